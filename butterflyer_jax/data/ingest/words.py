"""Usual names of splits, folders and table columns in data sets."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

SPLITS = ("train", "val", "test")
# Besides the splits: photos that show no species.
NEGATIVES = "negatives"
# Number by which data sets say that a photo has no label.
NO_LABEL = "-1"
# Value for a folder of unlabelled photos beside folders of splits.
UNLABELLED = "unlabelled"


def listed(text: str) -> list[str]:
    """Returns the words of a text."""
    return text.split()


_SPLIT = re.compile(
    r"\d{0,2}(?:(?P<train>train|trainings?|trn|entrainement|entraînement|entrenamiento|entrenament|apprentissage|treino"
    r"|treinamento|addestramento|antrenare|antrenament|trening|treningow[aey]|trénovací|träning|træning|koulutus|tanító"
    r"|latih|pelatihan|huấnluyện|eğitim|обучение|обучающая|навчання|навчальна|εκπαίδευση|تدريب|التدريب|آموزش|אימון"
    r"|训练|訓練|学習|훈련|학습)"
    r"|(?P<val>val|valid|validation|validate|dev|development|validierungs?|validacion|validación|validació|validacao"
    r"|validação|validazione|validare|validatie|validasi|validering|validointi|validációs|validační|walidacja"
    r"|walidacyjn[aey]|doğrulama|валидация|валидационная|валідація|επικύρωση|xácthực|تحقق|التحقق|اعتبارسنجی|אימות"
    r"|验证|驗證|検証|검증)"
    r"|(?P<test>tests?|testing|tst|eval|evaluation|holdout|pruebas?|testes?|testare|testow[aey]|testovací|testi|teszt"
    r"|uji|pengujian|kiểmtra|тест|тестовая|δοκιμή|اختبار|الاختبار|آزمون|בדיקה|测试|測試|テスト|評価|테스트))"
    r"(?:set|集|用|データ|数据|split|data|dataset|images?|imgs?|photos?|photographs?|pictures?|pics|files|samples|folder"
    r"|dir|crops?|daten|bilder|fotos)?\d*"
)
# Names of folders of unlabelled photos beside folders of splits.
_PREDICT = re.compile(r"(?:pred|predict|predictions?|inference)(?:set|data|images?)?")
# Splits "ImagesTrain" into Images and Train.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
# Folders of images that are not photos of a species.
_NO_PHOTOS = set(
    listed(
        """
    mask masks segmentation segmentations segmented seg segs segmask segmasks segmentationmask segmentationmasks
    annotation annotations annotated trimap trimaps bbox bboxes boundingbox boundingboxes groundtruth gt silhouette
    silhouettes saliency edges contours keypoints landmarks heatmap heatmaps depth depthmaps thumbnail thumbnails
    thumb thumbs preview previews figures figure figs plots docs doc documentation logo logos icons results result
    output outputs visualization visualizations trash deleted discarded papierkorb
    """
    )
)
# Words that say the same within longer names: "SegmentationClass", "Masks_PNG", "images_masked", "train_masks".
_MASKS = set(
    listed(
        """
    mask masks masked segmentation segmentations segmented annotation annotations annotated trimap trimaps bbox bboxes
    groundtruth silhouette silhouettes saliency heatmap heatmaps thumbnail thumbnails thumb thumbs
    """
    )
)
# The same at the end of a file's name, after that of its photo: "0001_mask.png" beside "0001.jpg".
_MASK_OF = re.compile(
    r"(?P<photo>.+?)[\s_.-]+(?:mask|masks|masked|seg|segmentation|segmented|trimap|matte|alpha|annotated|annotation|"
    r"bbox|gt|groundtruth|silhouette|saliency|heatmap|depth|thumb|thumbnail|preview)\d?",
    re.IGNORECASE,
)
_BESIDE_MASKS = set(listed("class classes object objects instance instances semantic binary alpha black white bw rgba"))
_CREATURES = frozenset(["butterfly", "butterflies", "lepidoptera", "species"])
# Folders of photos whose names say nothing about the content.
_CONTAINERS = set(
    listed(
        """
    image images img imgs photo photos photograph photographs picture pictures pic pics jpg jpgs jpeg jpegs png pngs
    webp tif tiff heic jpegimages media dcim cameraroll upload uploads data dataset datasets file files raw original
    originals all full resized cropped crop crops label labels labelled labeled export exports download downloads
    archive content root main set sets collection takeout googlephotos googlefotos
    butterfly butterflies lepidoptera species classes categories bilder fotos foto imagenes fotografias
    """
    )
)
# Those that are also numbered, as parts of a large set: images_1, images_2.
_NUMBERED_CONTAINERS = frozenset(
    listed("image images img imgs photo photos picture pictures pics dataset data files uploads download bilder fotos")
)
_UNLABELLED = set(
    listed(
        """
    unlabelled unlabeled unlabelleddata unlabeleddata unsorted tosort todo notlabelled notlabeled
    """
    )
)
_UNKNOWN = _UNLABELLED | {"unknown", "unclassified", "unidentified"}
# Words beside a split: "train_mini" of iNaturalist, "Jeu d'entraînement", "conjunto de treino".
_BESIDE_SPLIT = frozenset(
    listed(
        """
    mini tiny small medium large big jeu ensemble conjunto conjunt insieme zbiór dane выборка набор données datos dados
    dati d de du di do dos des
    """
    )
)
# Folders on a camera's card (DCF).
_CAMERA_CARD = re.compile(r"\d{3}[A-Za-z_]{5}|\d{3}_\d{2,5}|\d{6}__|10\d{4}_[a-z]")

# Genus and epithet; epithets are Latin or have Latin endings.
_BINOMIAL = re.compile(
    r"(?:\d+[.\s_-]+)?[A-Z][a-z]{2,}[\s_](?P<epithet>[a-z][a-z-]*(?:a|ae|e|i|o|is|us|um|as|es|os|on|ns|or|er|ax|ex|ix|ys|ops))"
    r"(?:[\s_][a-z(].*)?"
)


# Soft hyphen, spaces and joiners of no width, marks of direction and of the byte order; not those within emoji.
_SIGNS = str.maketrans({"♂": "male", "♀": "female", "×": "x"})  # noqa: RUF001
_MARKUP = re.compile(r"</?(?:i|b|em|strong|u|span)(?:\s[^<>]*)?>", re.IGNORECASE)
_INVISIBLE = dict.fromkeys([0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, 0xFEFF])


def plain(text: str) -> str:
    """Returns a label with normalised white space and accents: TFDS stores names one per line, stripped.

    Invisible characters, such as a mark of the byte order, and markup such as <i> are left out.
    """
    return unicodedata.normalize("NFC", " ".join(_MARKUP.sub("", text).translate(_INVISIBLE).split()))


@lru_cache(maxsize=100_000)
def squeeze(text: str) -> str:
    """Returns a name reduced to lower-case letters and digits: "File Name", "file_name" and "filename" are the same.

    The signs of male, female and hybrid are words.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_SIGNS)
    return "".join(character for character in folded if character.isalnum())


@lru_cache(maxsize=100_000)
def split_of(text: str) -> str | None:
    """Returns train, val or test where a folder or value is a usual name of that split; None otherwise.

    The name may contain further words without meaning: "butterflies_train", "test images".
    """
    found = _SPLIT.fullmatch(squeeze(text))
    if found:
        return found.lastgroup
    parts = [part for part in map(squeeze, re.split(r"[\W_]+", text)) if part]
    named = [match.lastgroup for part in parts if (match := _SPLIT.fullmatch(part))]
    others = [part for part in parts if not _SPLIT.fullmatch(part)]
    return (
        named[0] if len(named) == 1 and all(part in _CONTAINERS or part in _BESIDE_SPLIT for part in others) else None
    )


def split_by_word(text: str) -> tuple[str, str] | None:
    """Returns the split named by one word of a folder's name, and the rest of the name: "my_train" is train of "my".

    Alone this does not indicate a split, but beside "my_test" it does. None where no word or more than one names a
    split; UNLABELLED for a folder of photos to be predicted.
    """
    found = [(match.group(), match.span()) for match in _WORD.finditer(text)]
    named = [(word, span) for word, span in found if _kind_of_split(word)]
    if len(named) != 1 or len(found) < 2:
        return None
    [(word, (start, end))] = named
    return _kind_of_split(word), squeeze(text[:start] + " " + text[end:])


def without_split(text: str) -> str:
    """Returns a folder's name without its word for a split: "Monarch_train" and "Monarch (train)" are Monarch."""
    for match in _WORD.finditer(text):
        if _kind_of_split(match.group()):
            rest = text[: match.start()] + " " + text[match.end() :]
            return plain(re.sub(r"\(\s*\)|\[\s*\]", "", rest)).strip(" _.-")
    return text


def _kind_of_split(word: str) -> str:
    if match := _SPLIT.fullmatch(squeeze(word)):
        return match.lastgroup or ""
    return UNLABELLED if _PREDICT.fullmatch(squeeze(word)) else ""


def split_of_table(stem: str) -> str | None:
    """Returns the split in a table's file name (train.csv, test_labels.csv, Training_set.csv), None for none."""
    named = {split_of(stem), *(split_of(word) for word in re.split(r"[\W_]+", stem))} - {None}
    return named.pop() if len(named) == 1 else None


def holds_no_photos(folder: str) -> bool:
    """Returns whether a folder's name says that its images are masks, thumbnails, figures and the like."""
    if squeeze(folder) in _NO_PHOTOS:
        return True
    parts = [part for word in _WORD.findall(folder) if not (part := squeeze(word)).isdigit()]
    rest = [part for part in parts if part not in _MASKS]
    return len(rest) < len(parts) and all(
        part in _CONTAINERS - _CREATURES or part in _BESIDE_MASKS or _SPLIT.fullmatch(part) for part in rest
    )


def without_mask_word(stem: str) -> str:
    """Returns the name of the photo that a mask or thumbnail of this name would belong to; the name itself for none."""
    found = _MASK_OF.fullmatch(stem)
    return found["photo"] if found else stem


def is_container(folder: str) -> bool:
    """Returns whether a folder's name says nothing about its photos."""
    numbered = re.sub(r"\d+$", "", squeeze(folder)) in _NUMBERED_CONTAINERS
    return squeeze(folder) in _CONTAINERS or numbered or bool(_CAMERA_CARD.fullmatch(folder))


def is_unlabelled(folder: str, in_test: bool) -> bool:
    """Returns whether a folder's name says that its photos have no label; "unknown" does so only in test."""
    name = squeeze(folder)
    return name in (_UNKNOWN if in_test else _UNLABELLED) or bool(_PREDICT.fullmatch(name))


def is_rank(folder: str) -> bool:
    """Returns whether a folder's name has the ending of an order, family, subfamily or tribe."""
    return bool(re.fullmatch(r"[A-Z][a-z]+(?:ptera|oidea|idae|inae|ini)", folder.strip()))


def are_binomials(folders: Iterable[str]) -> bool:
    """Returns whether names have the form of scientific names: genus and epithet, with epithets that rarely repeat.

    "High quality, Low quality" have the form, but repeat the second word.
    """
    found = [_BINOMIAL.fullmatch(folder.strip()) for folder in folders]
    if not all(found):
        return False
    epithets = [match["epithet"] for match in found if match]
    return len(epithets) < 2 or 2 * len(set(epithets)) > len(epithets) + 1


def in_two_languages(names: Mapping[str, Collection[str]]) -> tuple[str, str] | None:
    """Returns a source with scientific names alone, and one with none of these species; None where there are no such.

    Args:
      names: names by source, such as a table or a folder.
    """
    # One by one: together, names whose epithets repeat would be taken for others.
    found = {source: [are_binomials([name]) for name in own] for source, own in names.items()}
    scientific = [source for source, are_so in found.items() if all(are_so)]
    others = [source for source, are_so in found.items() if not any(are_so)]
    for one, other in itertools.product(scientific, others):
        genera = {name.split()[0].casefold() for name in names[one]}
        if not any(word.casefold() in genera for name in names[other] for word in name.split()):
            return one, other
    return None
