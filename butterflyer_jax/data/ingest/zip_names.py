"""Names of zip members as their author wrote them, for any packing program and Python version."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence

from butterflyer_jax.data.ingest import code_pages, zip_reader

_UTF8_NAME = 0x800
_WINDOWS = 0


def member_names(members: Sequence[zipfile.ZipInfo], encoding: str = "") -> tuple[list[str], str]:
    """Returns the path of each member, and the code page that was detected ("" where none was needed).

    A name is decoded by the first rule that applies: as UTF-8 where the zip says so; from extra field 0x7075 (WinRAR,
    7-Zip, Gmail); as UTF-8 where all names of the zip are valid UTF-8 (macOS); else in one code page for the whole zip.

    Args:
      members: entries of the zip's directory.
      encoding: code page of names that do not state theirs; "" to detect it from all names.

    Raises:
      UserError: the encoding is unknown, or several code pages give plausible names.
    """
    known: dict[int, str] = {}
    unknown: dict[int, bytes] = {}
    for position, info in enumerate(members):
        # `filename` depends on the version of Python: 3.11 ignores the extra field.
        if info.flag_bits & _UTF8_NAME:
            known[position] = info.orig_filename.partition("\0")[0]
            continue
        raw = zip_reader.raw_name(info).partition(b"\0")[0]
        name = zip_reader.unicode_path(info)
        if name is None and not raw.isascii():
            unknown[position] = raw
        else:
            known[position] = name or raw.decode("ascii")
    page = ""
    if unknown and encoding:
        code_pages.check(encoding)
        known |= {position: raw.decode(encoding, "backslashreplace") for position, raw in unknown.items()}
    elif unknown:
        try:
            known |= {position: raw.decode("utf-8") for position, raw in unknown.items()}
        except UnicodeDecodeError:
            # In East Asian code pages the second byte of a letter may be that of a backslash.
            cuts = {raw: b"/" if b"/" in raw else b"\\" for raw in unknown.values()}
            words = {part for raw, cut in cuts.items() for part in raw.split(cut) if not part.isascii()}
            page = code_pages.detect(sorted(words), "file names in the zip")
            known |= {position: raw.decode(page) for position, raw in unknown.items()}
    # Some Windows programs leave backslashes in names, some of them under another system's number.
    ordered = ((known[position], info) for position, info in enumerate(members))
    return [
        _relative(name.replace("\\", "/") if "/" not in name or info.create_system == _WINDOWS else name)
        for name, info in ordered
    ], page


def _relative(name: str) -> str:
    """Returns a name without a slash at its start, and a drive as a folder, as programs unpack: C:/a.jpg is C/a.jpg."""
    return re.sub(r"^([A-Za-z]):/*", r"\1/", name.lstrip("/"))
