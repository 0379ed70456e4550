"""Detection of the code page of text that does not state it: file names in old zips, tables of old programs."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.errors import UserError

# Code pages that Windows packs names in and programs save tables in, by country.
CODE_PAGES = words.listed(
    """
    cp850 cp437 cp1252 cp852 cp1250 cp866 cp1251 gb18030 big5 cp932 cp949 cp737 cp1253 cp775 cp1257 cp857 cp1254
    cp862 cp1255 cp1256 cp874 cp1258
    """
)
SAMPLES = 3
SHOWN_PAGES = 4
# Difference in charset-normalizer's disorder, 0 to 1, from which the more orderly reading is taken.
MIN_MARGIN = 0.1
# Latin words do not have more letters beyond ASCII than this.
MAX_ACCENTED = 0.6

_EAST_ASIAN = {"cp932", "cp949", "gb18030", "big5"}
_WORD = re.compile(r"[^\W\d_]+")
_PUNCTUATION = set(
    "\u2018\u2019\u201c\u201d\u2013\u2014\u00b7\u30fb\u3001\u3002\u00b0\uff08\uff09\u300c\u300d\u2642\u2640"
)


def check(encoding: str) -> None:
    """Raises a UserError for an encoding that Python does not know."""
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise UserError(
            f"build.name_encoding={encoding}: no such encoding; there are cp850, gbk, cp932 and so on"
        ) from error


def detect(texts: Sequence[bytes], what: str, preferred: str = "") -> str:
    """Returns the code page in which every word is plausible text.

    A code page stays a candidate if in it each word has one script and a usual use of capitals. Pages that give the
    same text count as one reading. Among several readings, one that charset-normalizer finds clearly more orderly wins.

    Args:
      texts: pieces of text with bytes beyond ASCII, without line ends.
      what: description of the texts, for the error message.
      preferred: code page that wins over all others if its text is plausible.

    Raises:
      UserError: there is no plausible reading, or several that differ.
    """
    data = b"\n".join(sorted(set(texts)))
    readings: dict[str, str] = {}
    for page in [*([preferred] if preferred else []), *CODE_PAGES]:
        try:
            text = data.decode(page)
        except UnicodeDecodeError:
            continue
        if all(_is_plausible(word, page) for word in text.split("\n")):
            readings.setdefault(text, page)
            if page == preferred:
                break
    if not readings:
        raise UserError(f"the code page of {what} is not clear: choose it, for example build.name_encoding=gbk")
    if len(readings) == 1:
        return next(iter(readings.values()))
    disorder = sorted((_disorder(data, page), page) for page in readings.values())
    if disorder[0][0] + MIN_MARGIN <= disorder[1][0]:
        return disorder[0][1]
    # Indices of words on which the readings differ.
    lines = [text.split("\n") for text in readings]
    differing = [n for n in range(len(lines[0])) if len({text[n] for text in lines}) > 1][:SAMPLES]
    shown = [
        f"{page} ({', '.join(text[n] for n in differing)})"
        for text, page in zip(lines[:SHOWN_PAGES], readings.values(), strict=False)
    ]
    raise UserError(f"{what} can be read as {' or as '.join(shown)}: choose one with build.name_encoding")


def _disorder(data: bytes, page: str) -> float:
    import charset_normalizer

    found = charset_normalizer.from_bytes(
        data, cp_isolation=[page], threshold=1.0, preemptive_behaviour=False, enable_fallback=False
    ).best()
    return found.chaos if found else 1.0


def _is_plausible(text: str, page: str) -> bool:
    """Returns whether words look plausible: each in one script, with capitals first or throughout."""
    previous = ""
    for character in text:
        category = unicodedata.category(character)[0]
        if ord(character) > 0x7F and not (category in "LMN" or character in _PUNCTUATION):
            return False
        if category == "M" and not previous.isalpha():
            return False
        previous = character
    return all(_is_word(word, page) for word in _WORD.findall(text))


def _is_word(word: str, page: str) -> bool:
    if word.isascii():
        return True
    scripts = {_script(character) for character in word}
    if page in _EAST_ASIAN:
        # These pages also contain Greek, Cyrillic and half-width letters, which text in other pages turns into.
        wanted = {"CJK", "HIRAGANA", "KATAKANA"} if page == "cp932" else {"HANGUL"} if page == "cp949" else {"CJK"}
        return scripts <= wanted and (page != "gb18030" or _encodes(word, "gb2312"))
    if len(scripts) > 1 or scripts & {"CJK", "HANGUL", "HIRAGANA", "KATAKANA"}:
        return False
    if scripts == {"GREEK"} and "\u03c2" in word[:-1]:
        return False  # final sigma
    if scripts == {"LATIN"} and len(word) > 3 and sum(c > "\x7f" for c in word) > MAX_ACCENTED * len(word):
        return False
    return word.islower() or word.isupper() or word.istitle() or not word.isalpha() or word.upper() == word.lower()


def _encodes(text: str, page: str) -> bool:
    try:
        text.encode(page)
    except UnicodeEncodeError:
        return False
    return True


def _script(character: str) -> str:
    name = unicodedata.name(character, "?")
    if name.startswith(("KATAKANA-HIRAGANA", "HALFWIDTH")):
        return "KATAKANA" if name.startswith("KATAKANA") else "HALFWIDTH"
    return name.split()[0].split("-")[0]
