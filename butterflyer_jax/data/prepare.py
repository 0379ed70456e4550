"""The one pass over a raw zip: every photograph is decoded once, and its JPEG spooled to local disk."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from butterflyer_jax import disk
from butterflyer_jax.config import BuildConfig, UserError
from butterflyer_jax.console import progress
from butterflyer_jax.data import photo
from butterflyer_jax.data.archive import SPLITS, Listing, Member, Reject
from butterflyer_jax.data.split import Candidate, assign_splits

MAX_MEMBER_BYTES = 512 << 20
SHOWN_REJECTS = 10


@dataclass(frozen=True)
class Prepared:
    """A photograph in the spool: where it lies there, its size in pixels, and the split it goes to."""

    photo_id: str
    species: str
    split: str
    width: int
    height: int
    offset: int
    num_bytes: int


@dataclass
class Preparation:
    """The result of the pass: every photograph in or out, and the spool with the JPEGs."""

    photos: list[Prepared]
    rejects: list[Reject]
    listing: Listing
    config: BuildConfig
    spool: IO[bytes]

    @property
    def fingerprint(self) -> str:
        """Hash of what the records depend on: the zip's content and the config."""
        values = json.dumps(dataclasses.asdict(self.config), sort_keys=True)
        return sha256(f"{self.listing.fingerprint} {values}".encode()).hexdigest()

    @property
    def species(self) -> list[str]:
        """Names of the species that have a photograph, sorted; the position is the label."""
        return sorted({photo.species for photo in self.photos})

    def read(self, prepared: Prepared) -> bytes:
        """Returns the JPEG of a photograph."""
        self.spool.seek(prepared.offset)
        return self.spool.read(prepared.num_bytes)

    def data_card(self) -> dict[str, object]:
        """Returns what data_card.json holds; `members = photos + rejects + ignored`."""
        counts = Counter((p.species, p.split) for p in self.photos)
        species = {name: {split: counts[name, split] for split in SPLITS} for name in self.species}
        return {
            "members": self.listing.num_files,
            "photos": len(self.photos),
            "rejects": len(self.rejects),
            "ignored": self.listing.num_ignored,
            "missing": len(self.listing.missing),
            "splits": {split: sum(row[split] for row in species.values()) for split in SPLITS},
            "species": species,
            "only_in_train": [name for name, row in species.items() if row["train"] and not row["val"] + row["test"]],
            "build": dataclasses.asdict(self.config),
            "zip_fingerprint": self.listing.fingerprint,
            "fingerprint": self.fingerprint,
        }


def prepare_photos(archive: zipfile.ZipFile, listing: Listing, config: BuildConfig) -> Preparation:
    """Decodes, checks, resizes and encodes every photograph of a zip, on all cores.

    Memory holds a few photographs a core and a line a photograph, not the zip; the JPEGs go to a nameless temporary
    file, which the operating system removes even when the process is killed.

    Raises:
      UserError: more than `max_reject_fraction` of the photographs cannot be used (the first ten are named), or fewer
        than two species are left.
    """
    spool = tempfile.TemporaryFile(prefix="butterflyer-")  # noqa: SIM115  (lives as long as the result)
    rejects = list(listing.rejects)
    kept: list[tuple[Member, str, int, int, int, int]] = []
    offset = 0
    results = _prepare_members(archive, listing.members, config)
    for member, digest, result in progress(results, len(listing.members), "preparing photographs"):
        if isinstance(result, str):
            rejects.append(Reject(member.name, result))
            continue
        with disk.writing(f"prepared photographs to {tempfile.gettempdir()}", "TMPDIR chooses another folder"):
            spool.write(result.jpeg)
            spool.flush()
        kept.append((member, digest, result.width, result.height, offset, len(result.jpeg)))
        offset += len(result.jpeg)

    bad = [*rejects, *listing.missing]
    _check_rejects(bad, len(kept) + len(bad), config.max_reject_fraction)
    splits = assign_splits(
        [Candidate(digest, member.species, member.split) for member, digest, *_ in kept],
        {"val": config.val_fraction, "test": config.test_fraction},
        config.salt,
    )
    photos = [
        Prepared(member.name, member.species, split, *place)
        for (member, _, *place), split in zip(kept, splits, strict=True)
    ]
    preparation = Preparation(photos, rejects, listing, config, spool)
    check_species(preparation.species)
    if listing.num_files != len(photos) + len(rejects) + listing.num_ignored:
        raise AssertionError("photographs lost: members != photos + rejects + ignored")
    return preparation


def check_species(names: Iterable[str]) -> None:
    """Raises a UserError where there are fewer than two species, as no classifier can be trained."""
    species = set(names)
    if len(species) == 1:
        raise UserError(f"only one species in the zip, {species.pop()!r}: a classifier needs two at least")


def _prepare_members(
    archive: zipfile.ZipFile, members: tuple[Member, ...], config: BuildConfig
) -> Iterator[tuple[Member, str, photo.Photo | str]]:
    """Yields (member, hash of its bytes, photograph or reason why not) in the order of the members."""
    # Reading is serial, the costly rest runs in threads: Pillow's decoders, resize and encoder release the GIL.
    num_threads = os.cpu_count() or 1
    pending: collections.deque[tuple[Member, Future[tuple[str, photo.Photo | str]]]] = collections.deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for member in members:
            pending.append((member, pool.submit(_prepare_one, _read_member(archive, member.name), config)))
            if len(pending) > 2 * num_threads:
                oldest, future = pending.popleft()
                yield oldest, *future.result()
        for member, future in pending:
            yield member, *future.result()


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes | str:
    if archive.getinfo(name).file_size > MAX_MEMBER_BYTES:
        return f"too large: more than {MAX_MEMBER_BYTES >> 20} MiB"
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return f"damaged in the zip: {error}"
    except Exception as error:
        # zlib, lzma and bz2 each have an error class of their own for damaged data.
        if type(error).__module__ in ("zlib", "_lzma", "lzma"):
            return f"damaged in the zip: {error}"
        raise


def _prepare_one(data: bytes | str, config: BuildConfig) -> tuple[str, photo.Photo | str]:
    if isinstance(data, str):
        return "", data
    try:
        prepared = photo.prepare(data, config.image_size, config.jpeg_quality, config.max_pixels)
    except photo.PhotoError as error:
        return "", str(error)
    return sha256(data).hexdigest(), prepared


def _check_rejects(rejects: list[Reject], total: int, max_fraction: float) -> None:
    if len(rejects) <= max_fraction * total and len(rejects) < total:
        return
    first = "; ".join(f"{reject.member} ({reject.reason})" for reject in rejects[:SHOWN_REJECTS])
    raise UserError(
        f"{len(rejects)} of {total} photographs cannot be used, more than the share of {max_fraction:g} that "
        f"build.max_reject_fraction allows. The first: {first}"
    )
