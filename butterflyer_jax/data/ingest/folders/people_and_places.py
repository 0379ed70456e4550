"""Folders named after people or places, such as "Anna", "A. Schmidt", "Class 7b" and "Hyde Park"."""

from __future__ import annotations

import re
import unicodedata

from butterflyer_jax.data import species_names
from butterflyer_jax.data.ingest.folders.reading import Folders, some
from butterflyer_jax.data.ingest.words import listed, squeeze

# Share of the folders from which on those that may be people or places are not species by chance.
_MIN_SHARE = 0.5
# Common given names, without those that are names of butterflies too (Camilla, Claudia, Diana, Julia, Sara ...).
_GIVEN_NAMES = frozenset(
    listed(
        """
    adam adrian agnes ahmed alan albert alberto alejandro aleksandra alessandro alex alexander alexandra alfred
    alice alicja alina ali amit amy ana anders andrea andreas andrew andrzej angela anita anja anke ann anna anne
    annette annika antoine anton antonio arjun arthur astrid barbara beata ben benjamin bernd bernhard bill birgit
    bjorn bob brian bruno carl carla carlos carmen carol caroline catherine cecile charles chloe chris christian
    christina christine christoph christopher clemens daniel daniela david deborah dieter dirk dmitri dominik
    dorothea edward elena elias elisabeth elizabeth ella ellen emil emilia emily emma eric erik ernst esther ewa
    felix fernando finn florian francesca francesco francois frank franz fred friedrich fritz gabriel gabriele georg
    george gerhard giorgio giovanni giulia giuseppe greta guido gunter gustav hannah hanna hans harald harry heike
    heinz helen helga helmut henrik henry herbert ines inge ingrid irena isabel ivan jack jacob jakob james jan jana
    jane janine jason javier jean jennifer jens jessica jim joachim joan joanna joao jochen joe johan johann
    johannes john jonas jonathan jorge jose josef joseph juan judith julian jurgen kai karen karin karl karla kate
    katharina katherine kathrin katja katrin kevin kim klaus konrad kristina lars laurent lea lena leo leon leonie
    linda lisa lorenzo louis louise luca lucas lucia luis luisa lukas lutz magda magdalena manfred manuel manuela
    marc marco marcus marek margaret maria marie marina mario marion mark marko markus marta martin martina mary
    mateusz matteo matthias matthew max maximilian mia michael michal michel michelle miguel mike mohamed mohammed
    monika moritz nadia natalia natalie neha nicolas nicole niklas nils nina noah olaf oleg olga oliver olivia
    ondrej otto pablo paola paolo patricia patrick paul paula paulo pavel pawel pedro peter petra philip philipp
    pierre piotr priya rachel rahul rainer ralf ravi rebecca renate richard rob robert roberto rohan roland rolf
    ronald ruth ryan sabine sam samuel sandra sascha sebastian sergej sergey simon simone sneha sofia sofie sonja
    sophia sophie stefan stefanie stephan stephen steve steven susan susanna susanne sven svenja tanja tatjana
    teresa theo thomas thorsten tim timo tina tobias tom tomas tomasz torsten udo ulrich ulrike ursula ute uwe vera
    verena vladimir walter werner wilhelm william wolfgang xavier yannick yasmin yusuf yuki hiroshi takashi kenji
    wei ming
    """
    )
)
_TITLES = r"(?:dr|prof|mr|mrs|ms|mme|mlle|herr|frau|sr|sra|señor|señora|sig|dhr|mevr|pan|pani)"
_FORMS = re.compile(
    # "A. Schmidt", "J.-P. Dupont"; the epithet of "A. urticae" is in lower case.
    r"(?:[A-Z]\.[\s-]?){1,3}[A-ZÄÖÜÉ][\w'\u2019-]+|[A-ZÄÖÜÉ][\w'\u2019-]+, ?(?:[A-Z]\.[\s-]?){1,3}"
    rf"|(?i:{_TITLES}(?:\.\s?|\s)\S.*)"
    r"|\S+@\S+\.[a-z]{2,}|@\w+"
    # Teams and school classes.
    r"|(?i:(?:users?|observers?|observador|beobachter|photographer|fotograf|collector|person|author|recorder|student|pupil|"
    r"participant|volunteer|schüler|schülerin|teilnehmer|élève|eleve|étudiant|etudiant|alumno|alumna|aluno|studente|"
    r"team|gruppe|groupe|équipe|equipe|grupo|equipo|gruppo|squadra)(?:[\s_.#-]\w+|\d+))"
    r"|(?i:(?:class|klasse|classe|clase|grade|jahrgang|form)[\s_]?\d{1,2}[\s_]?[a-f])"
)
_REGIONS = frozenset(
    listed(
        """
    bayern hessen sachsen thüringen brandenburg badenwürttemberg niedersachsen nordrheinwestfalen rheinlandpfalz
    saarland sachsenanhalt schleswigholstein mecklenburgvorpommern tirol steiermark kärnten salzburg vorarlberg
    burgenland niederösterreich oberösterreich wallis tessin graubünden bretagne normandie provence alsace occitanie
    corse andalucía andalucia cataluña catalunya galicia asturias aragón toscana lombardia piemonte liguria sicilia
    sardegna
    """
    )
)
_HABITATS = frozenset(
    listed(
        """
    forest forests woodland woodlands meadow meadows grassland grasslands urban suburban rural wetland wetlands
    desert savanna savannah garden gardens park parks roadside farmland campus school university home mountain
    mountains wiese wiesen garten gärten moor stadt acker feld gebirge siedlung waldrand wegrand trockenrasen forêt
    forêts prairie prairies jardin jardins ville montagne bosque bosques pradera jardín jardines ciudad montaña
    bosco prato giardino città floresta campo jardim cidade
    """
    )
)
# The last word in English, a part of it in German, the first word in French, Spanish, Italian and Portuguese.
_SITES = re.compile(
    r".*[^\W\d_].*[\s_-](?:parks?|gardens|reserve|campus|museum|farm|valley|lake|river|beach|trail|zoo|school|university)"
    r"|(?:.*[\s_-])?\w*(?:park|garten|wiese|wiesen|wald)"
    r"|(?:garten|gärten|wiese|wiesen|wald|ufer|parc|parque|parco|jardin|jardín|jardim|giardino|forêt|bois|bosque|bosco|"
    r"reserva|réserve|riserva|lac|lago|casa)[\s_-].+",
    re.IGNORECASE,
)


def check(result: Folders) -> None:
    """Records a problem where most folders are named after people or places: who took the photos, and where."""
    labels = result.labels
    found = [label for label in labels if is_person(label) or is_place(label)]
    if len(labels) > 1 and _MIN_SHARE * len(labels) <= len(found):
        result.ask(
            f"the folders {some(found)} may be people, teams or places, and name no species",
            "build.layout=leaf takes them as species; else label the photos by a table",
        )


def is_person(folder: str) -> bool:
    """Returns whether a folder has the name of a person, a team or a school class."""
    if species_names.scientific(folder) != folder:
        return False
    given = re.split(r"[\s_]+", folder.rpartition(",")[2].strip())
    return bool(_FORMS.fullmatch(folder)) or (len(given) < 4 and _without_accents(given[0]) in _GIVEN_NAMES)


def is_place(folder: str) -> bool:
    """Returns whether a folder has the name of a region, a habitat or a site."""
    return squeeze(folder) in _REGIONS | _HABITATS or bool(_SITES.fullmatch(folder))


def _without_accents(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", word.casefold()) if letter.isalpha())
