"""Files that operating systems, browsers and office programs leave beside photos."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

# Of macOS, Windows, Linux, and network storage.
SYSTEM_FOLDERS = frozenset(
    ["__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle", "#snapshot", "@eaDir"]
)
SYSTEM_FILES = frozenset(["thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"])
# What browsers save beside "page.html".
PAGE_FOLDERS = ("_files", "-files", "_file", "-Dateien", "_fichiers", "_archivos", "_bestanden")


def is_clutter(name: str) -> bool:
    """Returns whether a file was left by an operating system: a hidden file, or one with a known name."""
    parts = name.split("/")
    # "~$labels.xlsx" is Excel's lock of an open file.
    hidden = any(part.startswith((".", "~$")) and part not in (".", "..") for part in parts)
    return hidden or not SYSTEM_FOLDERS.isdisjoint(parts) or parts[-1].lower() in SYSTEM_FILES


def page_folders(names: Iterable[str]) -> set[str]:
    """Returns the folders that browsers save beside the pages among these files: "page_files" beside "page.html"."""
    pages = [stem for stem, suffix in map(posixpath.splitext, names) if suffix in (".html", ".htm")]
    return {stem + end for stem in pages for end in PAGE_FOLDERS}
