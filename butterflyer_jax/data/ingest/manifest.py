"""Manifest of a build: prepared photos with splits and near-duplicates, and the content of the data card."""

from __future__ import annotations

import dataclasses
import json
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from etils import epath

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import boxes_of_photos, duplicates, inventory
from butterflyer_jax.data.ingest import groups as groups_lib
from butterflyer_jax.data.ingest.collection import Listing
from butterflyer_jax.data.ingest.folders import file_names
from butterflyer_jax.data.ingest.folders.reading import pattern, some
from butterflyer_jax.data.ingest.inventory import Reject
from butterflyer_jax.data.ingest.photo_tasks import Prepared
from butterflyer_jax.data.ingest.readings import FOLDERS, UNUSED
from butterflyer_jax.data.ingest.split import SPLITS, Candidate, assign_splits
from butterflyer_jax.data.ingest.tables import outside
from butterflyer_jax.data.ingest.words import NEGATIVES
from butterflyer_jax.data.ingest.zip_reader import Member
from butterflyer_jax.data.shard_format import GROUPS_FILE
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files

SHOWN_CAUSES = 5


@dataclass(frozen=True)
class Collection:
    """All photos of a zip, used or rejected.

    Attributes:
      photos: prepared photos with split and duplicate_group set, sorted by photo_id.
      rejects: photos that cannot be used.
      listing: listing of the zip.
      config: build config.
      zip_name: file name of the zip.
      grouped_by: kinds of groups, besides near-duplicates, whose photos share a split.
      notes: notes for the user about groups.
      negatives: prepared photos that show no species, sorted by photo_id; not part of `photos`.
    """

    photos: tuple[Prepared, ...]
    rejects: tuple[Reject, ...]
    listing: Listing
    config: BuildConfig
    zip_name: str
    grouped_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    negatives: tuple[Prepared, ...] = ()

    @property
    def species(self) -> list[str]:
        """Names of the species that have a photo, sorted; a species' index is its label."""
        return sorted({photo.species for photo in self.photos})

    def of_split(self, split: str) -> list[Prepared]:
        """Returns the photos of a split, or the negatives."""
        if split == NEGATIVES:
            return list(self.negatives)
        return [photo for photo in self.photos if photo.split == split]

    def data_card(self) -> dict[str, Any]:
        """Returns the content of data_card.json; `members = photos + negatives + rejects + ignored`."""
        counts = Counter((photo.species, photo.split) for photo in self.photos)
        species = {name: {split: counts[name, split] for split in SPLITS} for name in self.species}
        reasons = Counter(reject.reason.partition(":")[0] for reject in self.rejects)
        return {
            "zip": self.zip_name,
            "members": self.listing.num_files,
            "photos": len(self.photos),
            "negatives": len(self.negatives),
            "rejects": len(self.rejects),
            "ignored": self.listing.num_ignored,
            "missing": len(self.listing.missing),
            "reject_reasons": dict(reasons.most_common()),
            "bytes": sum(photo.num_bytes for photo in (*self.photos, *self.negatives)),
            "splits": {split: sum(row[split] for row in species.values()) for split in SPLITS},
            "given_splits": {
                "by": list(self.listing.split_names),
                **{split: sum(photo.given_split == split for photo in self.photos) for split in SPLITS},
            },
            "species": species,
            "taxonomy": {name: list(self.listing.taxonomy[name]) for name in species if name in self.listing.taxonomy},
            "labels_by": self.listing.source,
            "ignored_by": dict(self.listing.ignored),
            "enlarged": sum(min(p.source_width, p.source_height) < self.config.image_size for p in self.photos),
            "groups": self._groups(),
            "notes": [*self.listing.notes, *self.notes],
            "only_in_train": [name for name, row in species.items() if row["train"] and not row["val"] + row["test"]],
            "near_duplicates": self._near_duplicates(),
            "colour_profiles": dict(Counter(photo.colour_profile for photo in self.photos if photo.colour_profile)),
            "boxes": sum(photo.box is not None for photo in self.photos),
            "pixels": _pixels(self.of_split("train") or self.photos),
            "build": outside.values(self.config),
            "zip_fingerprint": self.listing.fingerprint,
            "fingerprint": fingerprint(self.listing, self.config),
        }

    def write_lists(self, folder: epath.Path) -> None:
        """Writes train.csv, val.csv, test.csv, rejects.csv, duplicates.csv and groups.csv."""
        for split in SPLITS:
            rows = [(photo.photo_id, photo.species) for photo in self.of_split(split)]
            files.write_csv(folder / f"{split}.csv", ("photo_id", "label"), rows)
        rejects = [*self.rejects, *self.listing.missing]
        files.write_csv(folder / "rejects.csv", ("member", "reason"), ((r.member, r.reason) for r in rejects))
        copies = sorted((p for p in self.photos if p.duplicate_group), key=lambda photo: int(photo.duplicate_group))
        header = ("group", "photo_id", "label", "split")
        rows_of_copies = ((p.duplicate_group, p.photo_id, p.species, p.split) for p in copies)
        files.write_csv(folder / "duplicates.csv", header, rows_of_copies)
        sizes = Counter(photo.group for photo in self.photos)
        together = sorted((p.group, p.photo_id) for p in self.photos if sizes[p.group] > 1)
        numbers = {group: number for number, group in enumerate(dict.fromkeys(group for group, _ in together), start=1)}
        rows_of_groups = ((numbers[group], photo_id) for group, photo_id in together)
        files.write_csv(folder / GROUPS_FILE, ("group", "photo_id"), rows_of_groups)

    def _groups(self) -> dict[str, Any]:
        groups: dict[str, list[Prepared]] = defaultdict(list)
        for photo in self.photos:
            groups[photo.group].append(photo)
        several = [group for group in groups.values() if len(group) > 1]
        return {
            "by": list(self.grouped_by),
            "groups": len(groups) if self.grouped_by else len(several),
            "photos": len(self.photos) if self.grouped_by else sum(map(len, several)),
            "across_splits": sum(len({photo.split for photo in group}) > 1 for group in several),
        }

    def _near_duplicates(self) -> dict[str, Any]:
        groups: dict[str, list[Prepared]] = defaultdict(list)
        for photo in self.photos:
            if photo.duplicate_group:
                groups[photo.duplicate_group].append(photo)
        return {
            "method": f"{duplicates.METHOD}, at most {self.config.near_duplicate_bits} differ",
            "groups": len(groups),
            "photos": sum(map(len, groups.values())),
            "across_splits": sum(len({photo.split for photo in group}) > 1 for group in groups.values()),
            "across_species": sum(len({photo.species for photo in group}) > 1 for group in groups.values()),
        }


def fingerprint(listing: Listing, config: BuildConfig) -> str:
    """Returns a hash of everything the records depend on: the zip's content and the config."""
    values = json.dumps(outside.values(config), sort_keys=True)
    return sha256(f"{listing.fingerprint} {values}".encode()).hexdigest()


def collect(
    prepared: Sequence[Prepared],
    rejects: Sequence[Reject],
    listing: Listing,
    config: BuildConfig,
    zip_name: str,
    min_species: int = 2,
) -> Collection:
    """Finds near-duplicates, assigns splits, and checks that no photo was lost.

    Args:
      prepared: all usable photos, in any order.
      rejects: members that turned out to be unusable, in addition to those of the listing.
      listing: listing of the zip.
      config: build config, with the shares of the splits and the limit for near-duplicates.
      zip_name: file name of the zip.
      min_species: smallest number of species, 2 for training, 1 for testing.

    Raises:
      UserError: more than `max_reject_fraction` of the photos cannot be used, or too few species remain.
    """
    everything = sorted(prepared, key=lambda photo: photo.photo_id)
    prepared = [photo for photo in everything if photo.species]
    negatives = tuple(photo for photo in everything if not photo.species)
    _check_negatives(negatives, prepared)
    rejects = sorted((*listing.rejects, *rejects), key=lambda reject: reject.member)
    check_rejects(rejects, listing, config)
    near = duplicates.group([photo.perceptual_hash for photo in prepared], config.near_duplicate_bits).tolist()
    groups = groups_lib.join(prepared, near, listing.groups, config.bursts, chosen=bool(config.group_column))
    splits = assign_splits(
        [Candidate(name, photo.species, photo.given_split) for name, photo in zip(groups.names, prepared, strict=True)],
        {"val": config.val_fraction, "test": config.test_fraction},
        config.salt,
    )
    sizes = Counter(near)
    numbers = {group: str(n) for n, group in enumerate((g for g in dict.fromkeys(near) if sizes[g] > 1), start=1)}
    photos = tuple(
        dataclasses.replace(photo, split=split, duplicate_group=numbers.get(copies, ""), group=group)
        for photo, split, copies, group in zip(prepared, splits, near, groups.names, strict=True)
    )
    if config.val_fraction or config.test_fraction:
        _check_groups(photos, groups.by)
    photos, notes_on_boxes = boxes_of_photos.settle(photos)
    collection = Collection(
        photos, tuple(rejects), listing, config, zip_name, tuple(groups.by), (*groups.notes, *notes_on_boxes), negatives
    )
    check_species(listing, photos, min_species)
    if listing.num_files != len(photos) + len(negatives) + len(rejects) + listing.num_ignored:
        raise AssertionError("photos lost: members != photos + negatives + rejects + ignored")
    return collection


def check_rejects(rejects: Sequence[Reject], listing: Listing, config: BuildConfig, margin: int = 0) -> None:
    """Raises a UserError with causes and counts if the rejects exceed the allowed number plus `margin`."""
    bad = [*rejects, *listing.missing]
    total = len(listing.members) + len(listing.negatives) + len(listing.rejects) + len(listing.missing)
    if len(bad) <= config.max_reject_fraction * total + margin and len(bad) < total:
        return
    examples: dict[str, list[str]] = defaultdict(list)
    for reject in bad:
        examples[reject.reason].append(reject.member)
    causes = sorted(examples.items(), key=lambda cause: -len(cause[1]))
    bad_members = {reject.member for reject in rejects}
    used = [m.name for m in (*listing.members, *listing.negatives) if m.name not in bad_members]
    shown = "; ".join(
        f"{len(members)} like {members[0]}: {reason}" + (_remedy(members, used) if bad_members >= set(members) else "")
        for reason, members in causes[:SHOWN_CAUSES]
    )
    more = f"; and {len(causes) - SHOWN_CAUSES} other causes" if len(causes) > SHOWN_CAUSES else ""
    raise UserError(
        f"{len(bad)} of {total} photos cannot be used, more than the share of {config.max_reject_fraction:g} that "
        f"build.max_reject_fraction allows: {shown}{more}"
    )


def _remedy(bad: Sequence[str], used: Sequence[str]) -> str:
    """Returns an option that leaves out the files of one cause, by suffix or folder, and no photo that is used."""
    by_suffix = sorted({f"*{suffix}" for name in bad if (suffix := posixpath.splitext(name)[1])})
    folder = posixpath.commonpath([posixpath.dirname(name) for name in bad])
    for patterns in (by_suffix, [pattern(folder)] if folder else []):
        if patterns and used and not any(inventory.fits(name, patterns) for name in used):
            return f" (build.ignore={','.join(patterns)} leaves them out)"
    return ""


def check_species(listing: Listing, photos: Iterable[Member | Prepared], min_species: int = 2) -> None:
    """Raises a UserError where there is one species and `min_species` is 2, as no classifier can be trained."""
    species = {photo.species for photo in photos}
    if len(species) != 1 or min_species == 1:
        return
    cause, numbers = f" by {listing.source}", ""
    if listing.source.startswith(FOLDERS):
        folders = {f"{PurePosixPath(member.name).parent}/" for member in listing.members}
        cause = f", as all photos lie in {some(folders)}"
        if found := file_names.leading_numbers(member.name for member in listing.members):
            numbers = f"; file names begin with {some(found)}, which may number the species"
        if labels := file_names.likely_labels(member.name for member in listing.members):
            raise UserError(
                f"only one species in the input, {species.pop()!r}{cause}, but their file names may name species: "
                f"{some(labels)} (build.layout=name takes those)"
            )
    unused = next((f"; {note}" for note in listing.notes if note.startswith(UNUSED)), "")
    raise UserError(
        f"only one species in the input, {species.pop()!r}{cause}, and a classifier needs two{numbers}{unused}: name "
        "folders after the species, or add a labels.csv with the columns filename,label"
    )


def _check_negatives(negatives: Sequence[Prepared], photos: Sequence[Prepared]) -> None:
    """Raises a UserError where the same photo is listed with a species and as a negative."""
    species = {photo.content_hash: photo for photo in photos}
    for negative in negatives:
        if same := species.get(negative.content_hash):
            raise UserError(
                f"{negative.photo_id} is among build.negatives, and the same photo is {same.photo_id}, of "
                f"{same.species}: remove one of them"
            )


def _check_groups(photos: Sequence[Prepared], by: Sequence[str]) -> None:
    """Raises a UserError where there are too few groups to leave any for validation and test."""
    if by and photos and {photo.split for photo in photos} == {"train"} and not any(p.given_split for p in photos):
        raise UserError(
            f"groups by {', '.join(by)} are too few to split: all photos would be in train. build.group_column chooses "
            "other columns, build.group_column=none and build.bursts=none split without groups"
        )


def _pixels(photos: Sequence[Prepared]) -> dict[str, list[float]]:
    """Returns mean and standard deviation of the channels, from 0 to 1; each photo has the same weight."""
    mean = np.mean([photo.mean for photo in photos], axis=0)
    mean_square = np.mean([photo.mean_square for photo in photos], axis=0)
    std = np.sqrt(np.maximum(mean_square - mean**2, 0))
    return {"mean": mean.round(4).tolist(), "std": std.round(4).tolist()}
