"""Words by which data sets name their splits, their folders and the columns of their tables."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

SPLITS = ("train", "val", "test")


def listed(text: str) -> list[str]:
    """Returns the words of a text."""
    return text.split()


_SPLIT = re.compile(
    r"\d{0,2}(?:(?P<train>train|training|trn)|(?P<val>val|valid|validation|validate|dev|development)"
    r"|(?P<test>test|testing|tst|eval|evaluation|holdout))"
    r"(?:set|split|data|dataset|images?|imgs?|photos?|photographs?|pictures?|pics|files|samples|folder|dir|crops?)?\d*"
)
# Folders of pictures that are no photographs of a species.
_NO_PHOTOS = set(
    listed(
        """
    mask masks segmentation segmentations segmented seg segs segmask segmasks segmentationmask segmentationmasks
    annotation annotations annotated trimap trimaps bbox bboxes boundingbox boundingboxes groundtruth gt silhouette
    silhouettes saliency edges contours keypoints landmarks heatmap heatmaps depth depthmaps thumbnail thumbnails
    thumb thumbs preview previews figures figure figs plots docs doc documentation logo logos icons results result
    output outputs visualization visualizations
    """
    )
)
# Folders that hold photographs and name nothing.
_CONTAINERS = set(
    listed(
        """
    image images img imgs photo photos photograph photographs picture pictures pic pics jpg jpgs jpeg jpegs png pngs
    webp tif tiff heic media dcim cameraroll upload uploads data dataset datasets file files raw original originals
    all full resized cropped crop crops label labels labelled labeled export exports download downloads archive
    content root main set sets collection
    butterfly butterflies lepidoptera species classes categories bilder fotos foto imagenes
    fotografias
    """
    )
)
_UNLABELLED = set(
    listed(
        """
    unlabelled unlabeled unlabelleddata unlabeleddata unsorted tosort todo notlabelled notlabeled
    """
    )
)
_UNKNOWN = _UNLABELLED | {"unknown", "unclassified", "unidentified"}
# DCF, the folders of a camera's card.
_CAMERA_CARD = re.compile(r"\d{3}[A-Za-z_]{5}|\d{3}_\d{2,5}|\d{6}__|10\d{4}_[a-z]")

_MONTHS = (
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec"
)
_PLACES = set(
    listed(
        """
    europe asia africa america northamerica southamerica centralamerica oceania australia antarctica north south
    east west northeast northwest southeast southwest central northern southern eastern western palearctic
    palaearctic nearctic neotropical neotropics afrotropical oriental australasian indomalaya
    """
    )
)
_VIEWS = set(
    listed(
        """
    dorsal ventral lateral frontal side top bottom left right front back upper lower upperside underside recto verso
    male female males females adult adults larva larvae pupa pupae egg eggs caterpillar caterpillars chrysalis imago
    juvenile juveniles day night spring summer autumn fall winter indoor indoors outdoor outdoors wild captive
    """
    )
)
_SESSION = (
    r"observation|obs|occurrence|specimen|spec|individual|indiv|ind|id|no|nr|session|sess|visit|trip|day|night|week|camera|"
    r"cam|site|location|loc|plot|transect|trap|station|point|batch|part|burst|sequence|seq|series|roll|card|event|encounter"
)
_COUNTED = re.compile(rf"(?:{_SESSION})[\s_.#-]*(?:\d+[a-z]?|[a-z])", re.IGNORECASE)
_REGION = re.compile(
    r"(?:region|area|zone|country|state|province|folder|dir|set|group|grp|month|year|season)[\s_.#-]*\w{1,3}", re.I
)
_DAY = re.compile(
    r"(?:19|20)\d\d([-_.\s]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?:[\sT_-].{0,12})?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-_.](?:0?[1-9]|1[0-2])[-_.](?:19|20)?\d\d"
)
_YEAR_MONTH = re.compile(r"(?:19|20)\d\d[-_.\s](?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[-_.\s](?:19|20)\d\d")
_YEAR = re.compile(r"(?:19|20)\d\d")
_MONTH = re.compile(rf"(?:\d{{1,2}}[-_.\s]*)?(?:{_MONTHS.replace(' ', '|')})(?:[-_.\s]*(?:19|20)\d\d)?", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"(?!(?:sp|species|class|cls|label|cat|category|taxon)[-_ ]?\d)[A-Za-z]{0,6}[-_ ]?\d{2,}[A-Za-z]?(?:[-_ ]\d+)*",
    re.I,
)
_HASH = re.compile(r"(?=.*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,}){0,4}", re.IGNORECASE)
_BINOMIAL = re.compile(r"(?:\d+[.\s_-]+)?[A-Z][a-z]{2,}[\s_][a-z][a-z-]{2,}(?:[\s_][a-z(].*)?")


def plain(text: str) -> str:
    """Returns a label with its white space and accents in one form: TFDS keeps names one a line, stripped."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


@lru_cache(maxsize=100_000)
def squeeze(text: str) -> str:
    """Returns a name in small letters and digits alone: "File Name", "file_name" and "filename" are one."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())


@lru_cache(maxsize=100_000)
def split_of(text: str) -> str | None:
    """Returns train, val or test where a folder or a value names that split, in any of its usual words.

    Beside that word others may stand that name nothing: "butterflies_train", "test images".
    """
    found = _SPLIT.fullmatch(squeeze(text))
    if found:
        return found.lastgroup
    parts = [part for part in map(squeeze, re.split(r"[\W_]+", text)) if part]
    named = [match.lastgroup for part in parts if (match := _SPLIT.fullmatch(part))]
    others = [part for part in parts if not _SPLIT.fullmatch(part)]
    return named[0] if len(named) == 1 and all(part in _CONTAINERS for part in others) else None


def split_of_table(stem: str) -> str | None:
    """Returns the split that a table's file name gives to its rows: train.csv, test_labels.csv, Training_set.csv."""
    named = {split_of(stem), *(split_of(word) for word in re.split(r"[\W_]+", stem))} - {None}
    return named.pop() if len(named) == 1 else None


def holds_no_photos(folder: str) -> bool:
    """Returns whether a folder's name says that its pictures are masks, thumbnails, figures and the like."""
    return squeeze(folder) in _NO_PHOTOS


def is_container(folder: str) -> bool:
    """Returns whether a folder's name says nothing of what its photographs show."""
    return squeeze(folder) in _CONTAINERS or bool(_CAMERA_CARD.fullmatch(folder))


def is_unlabelled(folder: str, in_test: bool) -> bool:
    """Returns whether a folder's name says that its photographs have no label; "unknown" does so in test alone."""
    return squeeze(folder) in (_UNKNOWN if in_test else _UNLABELLED)


def is_binomial(folder: str) -> bool:
    """Returns whether a folder's name has the form of a scientific name, genus and epithet."""
    return bool(_BINOMIAL.fullmatch(folder.strip()))


@lru_cache(maxsize=100_000)
def circumstance(folder: str) -> str | None:
    """Returns what circumstance of a photo a folder names, where it does not name a species.

    Returns:
      "group" for a session, site, camera, specimen or day, whose photographs are much alike; "time" for a year or
      month; "number" for digits alone; "other" for regions, views, sexes and stages; None for what may be a species.
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
    if squeeze(name) in _PLACES | _VIEWS or _REGION.fullmatch(name):
        return "other"
    return None


def is_identifier(folder: str) -> bool:
    """Returns whether a folder's name looks like a catalogue number: letters, then two digits or more."""
    return bool(_IDENTIFIER.fullmatch(folder.strip()))
