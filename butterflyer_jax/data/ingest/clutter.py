"""Files that operating systems, browsers and office programs leave beside photos."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

SYSTEM_FOLDERS = frozenset(
    # Of macOS, Windows, Linux, network storage, and programs that keep previews beside photos.
    [
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "#recycle",
        "#snapshot",
        "@eaDir",
        "CaptureOne",
        "CaptureOneCache",
    ]
)
SYSTEM_FILES = frozenset(["thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"])
# What browsers save beside "page.html".
PAGE_FOLDERS = ("_files", "-files", "_file", "-Dateien", "_fichiers", "_archivos", "_bestanden")


# Of a run: its examples and report hold pictures, and its tables name photos.
RUN_FILES = ("config.json", "metrics.jsonl")


def is_clutter(name: str) -> bool:
    """Returns whether a file was left by an operating system: a hidden file, or one with a known name."""
    parts = name.split("/")
    # "~$labels.xlsx" is Excel's lock of an open file.
    hidden = any(part.startswith((".", "~$")) and part not in (".", "..") for part in parts)
    # Lightroom's previews.
    hidden |= any(part.endswith(".lrdata") for part in parts[:-1])
    return hidden or not SYSTEM_FOLDERS.isdisjoint(parts) or parts[-1].lower() in SYSTEM_FILES


def page_folders(names: Iterable[str]) -> set[str]:
    """Returns the folders that browsers save beside the pages among these files: "page_files" beside "page.html"."""
    pages = [stem for stem, suffix in map(posixpath.splitext, names) if suffix in (".html", ".htm")]
    return {stem + end for stem in pages for end in PAGE_FOLDERS}


def run_folders(names: Sequence[str]) -> set[str]:
    """Returns the run folders of trainings among these files, each with a slash at its end; "" for the root."""
    config, metrics = ({name.removesuffix(file) for name in names if name.endswith(file)} for file in RUN_FILES)
    folders = {folder for folder in config & metrics if not folder or folder.endswith("/")}
    return {folder for folder in folders if any(name.startswith(f"{folder}checkpoints/") for name in names)}
