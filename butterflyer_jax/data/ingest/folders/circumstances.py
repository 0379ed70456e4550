"""Circumstances that folders name: dates, sessions, cameras, places, views; and catalogue numbers."""

from __future__ import annotations

import re
from functools import lru_cache

from butterflyer_jax.data.ingest.words import listed, squeeze

_MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet "
    "août septembre octobre novembre décembre enero febrero marzo abril mayo junio julio agosto septiembre octubre "
    "noviembre diciembre gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre "
    "januari februari maart mei augustus maj juni juli augusti styczeń luty marzec kwiecień czerwiec lipiec sierpień "
    "wrzesień październik listopad grudzień leden únor březen duben květen červen červenec srpen září říjen prosinec "
    "janeiro fevereiro março maio junho julho setembro outubro novembro dezembro январь февраль март апрель май июнь "
    "июль август сентябрь октябрь ноябрь декабрь"
)
_PLACES = set(
    listed(
        """
    europe asia africa america northamerica southamerica centralamerica oceania australia antarctica north south
    east west northeast northwest southeast southwest central northern southern eastern western palearctic
    palaearctic nearctic neotropical neotropics afrotropical oriental australasian indomalaya
    argentina austria bangladesh belgium belize bolivia brazil bulgaria cambodia cameroon canada chile china colombia
    costarica croatia cuba cyprus czechia czechrepublic denmark ecuador egypt england estonia ethiopia finland france
    allemagne frankreich schweiz suisse svizzera österreich autriche italien italie italia spanien espagne españa
    niederlande england großbritannien polen griechenland grèce schweden norwegen dänemark finnland kroatien ungarn
    germany deutschland ghana greatbritain greece guatemala guyana honduras hongkong hungary iceland india indonesia
    iran ireland israel italy japan kenya korea latvia lithuania luxembourg madagascar malaysia malta mexico morocco
    nepal netherlands newzealand nicaragua nigeria norway pakistan panama papuanewguinea paraguay peru philippines
    poland portugal romania russia scotland serbia singapore slovakia slovenia southafrica southkorea spain srilanka
    sweden switzerland taiwan tanzania thailand turkey uganda uk ukraine unitedkingdom unitedstates uruguay us usa
    venezuela vietnam wales
    alabama alaska arizona arkansas california colorado connecticut delaware florida hawaii idaho illinois iowa kansas
    kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana nebraska nevada
    newhampshire newjersey newmexico newyork northcarolina northdakota ohio oklahoma oregon pennsylvania rhodeisland
    southcarolina southdakota tennessee texas utah vermont virginia washington westvirginia wisconsin wyoming
    """
    )
)
_SEXES_AND_STAGES = set(
    listed(
        """
    male female males females adult adults larva larvae pupa pupae egg eggs caterpillar caterpillars chrysalis imago
    juvenile juveniles raupe raupen puppe puppen falter ei eier männchen weibchen chenille chenilles chrysalide papillon
    mâle femelle oruga orugas crisálida macho hembra bruco bruchi maschio femmina rups rupsen
    """
    )
)
_VIEWS = _SEXES_AND_STAGES | set(
    listed(
        """
    dorsal ventral lateral frontal side top bottom left right front back upper lower upperside underside recto verso
    oberseite unterseite seitlich dessus dessous recto verso
    monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag
    lundi mardi mercredi jeudi vendredi samedi dimanche
    day night spring summer autumn fall winter indoor indoors outdoor outdoors wild captive
    wing wings openwing openwings wingopen wingsopen closedwing closedwings wingclosed wingsclosed body antenna antennae
    """
    )
)
_SOURCES = set(
    listed(
        """
    gbif inaturalist inat flickr wikimedia wikipedia google bing web internet museum herbarium field lab studio
    phone smartphone mobile camera webcam dslr drone
    whatsapp whatsappimages instagram facebook messenger telegram telegramimages snapchat twitter pinterest bluetooth
    """
    )
)
_CAMERA = re.compile(
    r"(?:canon|nikon|sony|olympus|panasonic|lumix|fuji|fujifilm|pentax|leica|gopro|iphone|ipad|samsung|galaxy|pixel|huawei|"
    r"xiaomi|oneplus|motorola|nokia)(?:[\s_-].*|\d.*)?",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"(?:user|observer|photographer|collector|person|author|recorder)(?:[\s_.#-]\w+|\d+)", re.IGNORECASE
)
_SESSION = (
    r"observation|obs|occurrence|specimen|spec|individual|indiv|ind|id|no|nr|session|sess|visit|trip|day|night|week|camera|"
    r"cam|site|location|loc|plot|transect|trap|station|point|batch|part|burst|sequence|seq|series|roll|card|event|encounter"
)
# Of books, cabinets and years.
_PLATE = (
    r"plate|pl|tafel|taf|planche|lámina|tavola|figure|fig|abb|abbildung|page|seite|sheet|scan|slide|tray|drawer|box|"
    r"kasten|schublade|schachtel|film|album|disc|disk|kw|woche|semaine|excursion|exkursion|ausflug|tour|urlaub|holiday"
)
_COUNTED = re.compile(
    rf"(?:{_SESSION})[\s_.#-]*(?:\d+[a-z]?|[a-z])|(?:{_PLATE})(?:[\s_.#-]*\d+[a-z]?|[\s_.#-]+[ivxlc]+)", re.IGNORECASE
)
# Folds of a cross-validation, each of which has its own splits.
FOLD = re.compile(r"(?:cv|k|cross)?[\s_-]?(?:folds?|splits?|runs?|rounds?|rep(?:eat)?s?|cv|iter|seed)[\s_-]?\d+", re.I)
_REGION = re.compile(
    r"(?:region|area|zone|country|state|province|folder|dir|set|group|grp|month|year|season|collection)[\s_.#-]*\w{1,3}"
    r"|(?:region|country|state|province)[\s_.#-]\w+|q[1-4]"
    # Parts of a download from Google Drive or Takeout.
    r"|(?:drive-download|takeout)-[\dTZ-]+|.*\bpart \d+ of \d+"
    # The albums of years in Takeout, and copies by their size.
    r"|(?:photos|fotos) (?:from|von|de|uit) (?:19|20)\d\d|\d{2,4}x\d{2,4}(?:px)?"
    # Lenses, ratings, coordinates.
    r"|\d{2,3}(?:-\d{2,3})?\s?mm\b.{0,20}|[1-5]\s?(?:stars?|sterne?|étoiles?)|-?\d+\.\d+°?[NS]?[\s_,]+-?\d+\.\d+°?[EWO]?"
    # Ranges of numbers.
    r"|[A-Z]{0,5}[\s_-]?\d+\s*(?:-|\u2013|to|bis)\s*[A-Z]{0,5}[\s_-]?\d+",
    re.I,
)
_DAY = re.compile(
    r"(?:19|20)\d\d([-_.\s]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?:[\sT_-].{0,12})?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-_.](?:0?[1-9]|1[0-2])[-_.](?:19|20)?\d\d"
)
_DATED = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d([-_.\s]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-_.](?:0?[1-9]|1[0-2])[-_.](?:19|20)\d\d|(?:19|20)\d\d)(?!\d)"
)
_YEAR_MONTH = re.compile(r"(?:19|20)\d\d[-_.\s](?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[-_.\s](?:19|20)\d\d")
_SEASON = "season|spring|summer|autumn|fall|winter|year|yr"
_YEAR = re.compile(
    rf"(?:(?:{_SEASON})[\s_-]*)?(?:19|20)\d\d(?:[-_/](?:(?:19|20)\d\d|\d\d))?(?:[\s_-]*(?:{_SEASON}))?", re.IGNORECASE
)
_MONTH = re.compile(rf"(?:\d{{1,2}}[-_.\s]*)?(?:{_MONTHS.replace(' ', '|')})(?:[-_.\s]*(?:19|20)\d\d)?", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"(?!(?:sp|species|class|cls|label|cat|category|taxon)[-_ ]?\d)[A-Za-z]{0,6}[-_ ]?\d{2,}[A-Za-z]?(?:[-_ ]\d+)*",
    re.I,
)
_HASH = re.compile(r"(?=.*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,}){0,4}", re.IGNORECASE)


@lru_cache(maxsize=100_000)
def kind_of(folder: str) -> str | None:
    """Returns the kind of circumstance that a folder names, None where it may be a species.

    Returns:
      "group" for a session, site, camera, specimen or day, whose photos are similar; "time" for a year or month;
      "number" for digits alone; "other" for regions, views, sexes and stages; None for what may be a species.
    """
    name = folder.strip()
    if _YEAR.fullmatch(name) or _YEAR_MONTH.fullmatch(name) or _MONTH.fullmatch(name):
        return "time"
    if _DAY.fullmatch(name):
        return "group"
    if name.isdigit():
        return "number"
    if _COUNTED.fullmatch(name) or _HASH.fullmatch(name):
        return "group"
    first, _, rest = name.partition(" ") if " " in name else name.partition("_")
    if rest and _DAY.fullmatch(rest) and re.fullmatch(_SESSION, first, re.IGNORECASE):
        return "group"
    if squeeze(name) in _PLACES | _VIEWS | _SOURCES or any(
        pattern.fullmatch(name) for pattern in (_REGION, _CAMERA, _PERSON, FOLD)
    ):
        return "other"
    return None


def is_circumstance(label: str) -> bool:
    """Returns whether a label is a date, place, view, sex, stage or session: no species, number or code."""
    return kind_of(label) not in (None, "number") and not _HASH.fullmatch(label.strip())


def date_in(folder: str) -> str:
    """Returns the day, month or year within a folder's name: "2020-05-17 Richmond Park", "Spain 2019"; "" for none."""
    found = _DATED.search(folder)
    return found[0] if found else ""


def is_sex_or_stage(word: str) -> bool:
    """Returns whether a word names a sex or a stage of life."""
    return squeeze(word) in _SEXES_AND_STAGES


def is_identifier(folder: str) -> bool:
    """Returns whether a folder's name looks like a catalogue number: letters, then at least two digits."""
    return bool(_IDENTIFIER.fullmatch(folder.strip()))
