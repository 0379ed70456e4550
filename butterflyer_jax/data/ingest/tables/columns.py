"""Kinds of table columns, recognised by usual names and by content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from butterflyer_jax.data.ingest import words

# In order of preference; spelled as by `words.squeeze`.
FILE = words.listed(
    """
    filename filenames file filepath imagefile imagefilename imagename imagepath imgname imgpath imgfile path
    photoid photograph photo photofile photoname picture image images img imageid imgid fname name relativepath
    dateiname datei bestand bestandsnaam plik arquivo nomearquivo photono photonumber imageno imagenumber fotonr bildnr
    mediafilename localpath url imageurl photourl identifier gbifid observationid occurrenceid catalognumber
    specimenid sampleid uuid id member sourceref
    """
)
LABEL = words.listed(
    """
    label labels labelname classname species speciesname class category categories categoryname target targetname
    scientificname acceptedscientificname verbatimscientificname taxonname taxon acceptedname latinname binomial
    nomlatin nomelatino nombrelatino lateinischername 学名
    commonname vernacularname englishname groundtruth truelabel choice tag annotation butterfly classid labelid
    categoryid speciesid targetid taxonid y butterflyname butterflyspecies sp specie taxa gt truth displayname
    determination identification identifiedas determinedas artname espece espèce especie wissenschaftlichername
    nomscientifique nombrecientifico nombrecientífico nomescientifico nomecientífico espécie gatunek soort
    wetenschappelijkenaam deutschername trivialname nomcommun nomvernaculaire nombrecomun nombrecomún labeltext
    labelstring labelstr classtext categorytext speciestext latein specieslabel
    correctspecies correctlabel correctedspecies correctedlabel newlabel newspecies
    classlabel gtlabel truelabels trueclass primarylabel
    speciescommon scientific binomialname
    genusspecies identifiedspecies taxonscientificname taxonspeciesname butterflytype insect organism cls
    subspecies 物种 物種 种名 種名 和名 中文名 中文名称 拉丁名 拉丁学名 拉丁學名 學名
    标签 標籤 类别 類別 物种名 物种名称 ラベル 학명 국명 종명 라벨
    nomecomum nomepopular nomecomune nombrevulgar soortnaam nederlandsenaam artbezeichnung
    vetenskapligtnamn artnamn svensktnamn videnskabeligtnavn dansknavn artsnavn vitenskapelignavn norsknavn
    tieteellinennimi laji lajinimi латинскоеназвание русскоеназвание названиевида nazwagatunku nazwałacińska
    vědeckýnázev českýnázev tudományosnév fajnév faj spesies namaspesies namailmiah loài tênloài tênkhoahọc bilimselad
    türad espècie espeziea denumireștiințifică latinskinaziv επιστημονικόόνομα الاسمالعلمي نامعلمی 俗名 俗称
    falterart schmetterling schmetterlingsart tagfalter papillon mariposa farfalla borboleta vlinder motyl fjäril
    sommerfugl perhonen motýl leptir
    """
)
# Species, or the kind of a photo: read where they hold scientific names.
SPECIES_OR_KIND = words.listed("art вид druh tür jenis vrsta rūšis liik είδος النوع نوع گونه מין 种 種 종")
NUMBER_LABELS = frozenset(
    words.listed(
        """
    classid labelid categoryid speciesid targetid taxonid
    """
    )
)
SPLIT = words.listed(
    """
    split subset partition usage set dataset phase fold datasplit splitname mluse kfold foldid cvfold cvsplit
    """
)
GROUP = words.listed(
    """
    group groupid observationid observation obsid occurrenceid specimenid specimen individualid individual
    organismid animalid eventid event burstid burst sequenceid seqid sequence sessionid session siteid site
    locationid location locality plot plotid transect transectid trap trapid station stationid cameraid
    catalognumber materialsampleid deploymentid deployment visitid visit surveyid tripid onerow
    """
)
# Columns that may name the folder of a specimen or observation.
FOLDER = [
    *words.listed(
        """
    folder foldername folderid dir directory dirname path filepath id photoid gbifid uuid identifier sampleid obs
    """
    ),
    *GROUP,
]
# Above the species, outermost first.
RANKS = words.listed(
    """
    kingdom phylum class order superfamily family subfamily tribe subtribe genus subgenus
    """
)
GENUS = words.listed("genus genusname gattung gattungsname genre género genero geslacht genere rodzaj gênero")
# Epithets by their names, then columns that hold epithets where a genus stands beside them.
EPITHETS = words.listed("specificepithet speciesepithet epithet epitheton")
AFTER_GENUS = (
    *EPITHETS,
    *words.listed("species speciesname art artname espece espèce especie espécie specie soort gatunek"),
)
KNOWN = frozenset([*FILE, *LABEL, *SPLIT, *GROUP, *RANKS])
PREDICTIONS = re.compile(
    r".*submissions?(?:\b|_)|.*predict(?:ions?|ed)?(?:\b|_)|.*_preds?\b|preds?\b|.*_scores?\b", re.IGNORECASE
)
# What people write for the value of the row above, which is not copied: rows may have been sorted.
_SAME = {"same as above", "see above", "siehe oben", "wie oben"}.union(
    words.listed("~ \" '' „ “ ” ″ 〃 -\"- -„- dito ditto dto. idem ebd. s.o. same")
)
BLANK = (
    frozenset(
        words.listed(
            """
     nan na n/a null none ? - -- #n/a <na>
    """
        )
    )
    | _SAME
)
# Values in one-hot columns.
_BITS = (
    frozenset(["0", "1", "0.0", "1.0", "true", "false", ""]),
    frozenset(["yes", "no", "y", "n", ""]),
    frozenset(["x", ""]),
)
_YES = frozenset(["1", "1.0", "true", "yes", "y", "x"])
# Number of first rows in which a header may follow a title.
TITLE_ROWS = 10
_UNIT = re.compile(r"(?:[(\[].*[)\]])?")
_IN_BRACKETS = re.compile(r"[(\[][^()\[\]]*[)\]]")
# Names of columns that are no more than guesses at the label.
GUESS = re.compile(r"pred|guess|suggest|auto|model|computer|top.?\d|second|previous|old|original|was", re.IGNORECASE)
_MARK = '\ufeff" '


@dataclass(frozen=True)
class Table:
    """A table of a collection.

    Attributes:
      name: path of its file; with the sheet in brackets for one of several.
      columns: names as spelled in the file; "column 1" and so on where it has no header.
      rows: cells as text, one per column.
      header: whether the file has one.
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    header: bool = True

    def column(self, name: str) -> int | None:
        """Returns the index of a user's column, given by name in any spelling or by number from 1."""
        for spelling in (str, str.strip, words.squeeze):
            found = [n for n, column in enumerate(self.columns) if spelling(column) == spelling(name)]
            if found:
                return found[0]
        if name.isdigit() and 1 <= int(name) <= len(self.columns):
            return int(name) - 1
        return None

    def listed(self, names: str) -> list[int]:
        """Returns the indices of a user's columns, given by one name, or by several with commas between them."""
        whole = self.column(names.strip())
        found = [self.column(name.strip()) for name in names.split(",")] if whole is None else [whole]
        return [column for column in found if column is not None]

    def values(self, column: int) -> list[str]:
        """Returns the cells of a column."""
        return [row[column] for row in self.rows]


def make_table(
    name: str,
    rows: Sequence[Sequence[str]],
    names_photo: Mapping[str, object] | None = None,
    no_header: bool = False,
) -> Table | None:
    """Returns a table of rows; the first is the header, unless it names a photo.

    Args:
      name: path of the file.
      rows: cells as text.
      names_photo: photos by file name; a first row with one of them is not a header.
      no_header: whether the first row is known not to be a header.

    Returns:
      None where there are no rows.
    """
    if not rows:
        return None
    rows = rows[_header(rows) :]
    if len(rows[0]) > 1:
        # Of files that were joined, each begins with the header.
        start = rows[0][0].strip(_MARK)
        rows = [rows[0], *(row for row in rows[1:] if row[0].strip(_MARK) != start or row[1:] != rows[0][1:])]
    if len(rows) > 2 and any(rows[1]) and all(map(_UNIT.fullmatch, rows[1])):
        # Units below the header: "(mm)".
        rows = [rows[0], *rows[2:]]
    width = max(map(len, rows))
    padded = [[*row, *[""] * (width - len(row))] for row in rows]
    first = padded[0]
    if no_header or (names_photo is not None and any(last_part(cell) in names_photo for cell in first if cell)):
        return Table(name, tuple(f"column {n + 1}" for n in range(width)), padded, header=False)
    if len(rows) < 2:
        return Table(name, tuple(first), [])
    return Table(name, tuple(first), padded[1:])


def _header(rows: Sequence[Sequence[str]]) -> int:
    """Returns the index of the row that names the columns, which may follow a title; 0 where none does."""
    heads = [
        position
        for position, row in enumerate(rows[:TITLE_ROWS])
        if len(row) > 1
        and not (spelt := {words.squeeze(cell) for cell in row}).isdisjoint(FILE)
        and not spelt.isdisjoint(LABEL)
    ]
    if not heads:
        return 0
    # Of two rows one below the other, the second is more precise: "photo, taxon", then "file, family, species".
    return heads[1] if heads[1:2] == [heads[0] + 1] and rows[heads[1]] != rows[heads[0]] else heads[0]


def last_part(cell: str) -> str:
    """Returns the file name of a path, or of a URL without its query."""
    if "://" in cell:
        cell = re.split(r"[?#]", cell)[0]
    return cell.replace("\\", "/").rstrip("/").rpartition("/")[2]


def named(table: Table, names: Sequence[str]) -> list[int]:
    """Returns the columns with one of the names, in the order of the names.

    The last part of a nested name counts, and a name of words without what stands in brackets: "Species (Latin)".
    """
    spelt = [words.squeeze(column) for column in table.columns]
    ends = [words.squeeze(re.split(r"[.:/]", column)[-1]) for column in table.columns]
    found = [position for name in names for position, column in enumerate(spelt) if column == name]
    found += [position for name in names for position, column in enumerate(ends) if column == name]
    for position, column in enumerate(table.columns):
        bare = _IN_BRACKETS.sub("", column)
        if bare != column and words.squeeze(bare) in names and not GUESS.search(column):
            found += [position] if any(any(map(str.isalpha, cell)) for cell in table.values(position)) else []
    return list(dict.fromkeys(found))


def is_blank(cell: str) -> bool:
    """Returns whether a cell is empty or says that there is no value."""
    return not cell.strip() or cell.strip().casefold() in BLANK


def one_hot(table: Table, but: int) -> list[int]:
    """Returns the columns of a one-hot table (one per class, 1 in one of them and 0 in the others); else [].

    Args:
      table: table of the collection.
      but: index of the column that names photos.
    """
    found = [
        column
        for column in range(len(table.columns))
        if column != but
        and table.columns[column]
        and words.split_of(re.sub(r"^is\W*", "", table.columns[column])) is None
        and _all_bits(table.values(column))
    ]
    if len(found) < 2 or not _all_bits([value for column in found for value in table.values(column)]):
        # Columns that say 0 and others that say no are facts about a photo.
        return []
    ones = sum(sum(is_one(row[column]) for column in found) == 1 for row in table.rows)
    return found if 2 * ones > len(table.rows) else []


def _all_bits(values: Sequence[str]) -> bool:
    found = {value.casefold() for value in values}
    return bool(found) and any(found <= bits for bits in _BITS)


def is_one(cell: str) -> bool:
    """Returns whether a cell of a one-hot column is 1 or says yes."""
    return cell.casefold() in _YES


def class_of(column: str, among: Sequence[str]) -> str:
    """Returns the class of a one-hot column: "label_Monarch" is Monarch where all columns have this prefix."""
    heads = {re.split(r"[_.:/ -]", name, maxsplit=1)[0] for name in among}
    known = len(heads) == 1 and words.squeeze(*heads) in [*LABEL, "is"]
    if known and all(len(name) > len(*heads) + 1 for name in among):
        return column[len(*heads) + 1 :]
    return column
