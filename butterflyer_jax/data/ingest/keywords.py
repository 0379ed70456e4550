"""Keywords that programs write into photos and sidecars; they are named where nothing else labels the photos."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from butterflyer_jax.data.ingest.folders.reading import some
from butterflyer_jax.data.ingest.source import Entry

# XMP stands before the pixels, in at most 64 KiB; IPTC does too.
MAX_BYTES = 128 << 10
# Photos and sidecars that are looked at.
MAX_FILES = 12
# "1.jpg.supplemental-metadata.json" is of Google Takeout.
_SIDECAR = re.compile(r"\.xmp$|\.(?:jpe?g|png|hei[cf]|webp|tiff?)\.[\w.-]*json$", re.IGNORECASE)
# https://www.adobe.com/devnet/xmp.html: dc:subject is a bag of keywords.
_SUBJECT = re.compile(rb"<dc:subject>(.*?)</dc:subject>", re.DOTALL)
_ITEM = re.compile(rb"<rdf:li[^>]*>(.*?)</rdf:li>", re.DOTALL)
_DESCRIPTION = re.compile(rb'"description"\s*:\s*"([^"]+)"')
# IPTC-IIM 4.2, data set 2:25: a marker, the number of bytes, at most 64, and the keyword.
_IPTC = re.compile(rb"\x1c\x02\x19\x00([\x01-\x40])")


def find(files: Iterable[bytes]) -> list[str]:
    """Returns the different keywords in the beginnings of photos and sidecars, and the descriptions there, sorted."""
    found: set[str] = set()
    for data in files:
        for subject in _SUBJECT.findall(data):
            found |= {html.unescape(item.decode("utf-8", "replace")).strip() for item in _ITEM.findall(subject)}
        found |= {text.decode("utf-8", "replace").strip() for text in _DESCRIPTION.findall(data)}
        for match in _IPTC.finditer(data):
            keyword = _text(data[match.end() : match.end() + match[1][0]])
            # Pixels hold such a marker now and then.
            if keyword.isprintable():
                found.add(keyword)
    return sorted(found - {""})


def _text(data: bytes) -> str:
    """Returns a keyword of IPTC, which is Latin-1 where it is no UTF-8."""
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()


def hint(
    heads: Callable[[Sequence[Entry], int], list[bytes]], entries: Iterable[Entry], photos: Sequence[Entry]
) -> str:
    """Returns a hint on the keywords of a collection, for an error; "" where it has none.

    Args:
      heads: returns the first bytes of files, given their number.
      entries: all files of the collection.
      photos: its photos.
    """
    sidecars = [entry for entry in entries if _SIDECAR.search(entry.name) and not entry.problem]
    found = find(heads([*sidecars[:MAX_FILES], *photos[:: 1 + len(photos) // MAX_FILES]], MAX_BYTES))
    if not found:
        return ""
    return (
        f"; keywords in the photos or their .xmp or .json files ({some(found)}) are not read as labels: if they name "
        "the species, copy them into a table of labels (exiftool -csv -Subject lists them)"
    )
