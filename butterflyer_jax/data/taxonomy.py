"""Taxonomy of a run's species: the genus, the family and so on of each, by rank."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from butterflyer_jax.data import species_names
from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import single
from butterflyer_jax.data.ingest.tables.columns import LABEL, RANKS
from butterflyer_jax.errors import UserError, close_match
from butterflyer_jax.storage import paths

SPECIES, GENUS, FAMILY = "species", "genus", "family"
# Of folders whose names follow no rule: the next above the species, and that above it.
GROUPS = ("group", "larger group")
# By the zoological code; "-ini" and "-ina" are too short to say much outside of it.
_SUFFIXES = {"oidea": "superfamily", "idae": FAMILY, "inae": "subfamily", "ini": "tribe"}
# Of names that have the form of scientific ones, the share with a known genus from which the others are trusted too:
# "Small white" and "Red admiral" have that form.
_MIN_KNOWN = 0.5


def find(
    species: Sequence[str], card: Mapping[str, Any] | None = None, table: str | os.PathLike[str] = ""
) -> dict[str, tuple[str, ...]]:
    """Returns the taxa of species by rank, from the smallest taxa to the largest.

    They come from a table; without one from the data card (folders or columns above the species), and from names:
    scientific ones, and common names of well-known species. A rank that says nothing is left out: where each of its
    taxa has one species, or one has all.

    Args:
      species: names of the species.
      card: content of data_card.json.
      table: CSV, TSV or xlsx, local or gs://, with a column of the species and columns such as genus, tribe and family.

    Returns:
      For each rank the taxon of each species, in the order of `species`; empty where it is not known.

    Raises:
      UserError: the table is not there, has no such columns, lacks a species, or contradicts itself.
    """
    known = _read_table(species, table) if table else of_names(species, card)
    ranks = dict.fromkeys(rank for of_one in known for rank in of_one)
    taxa = {rank: tuple(of_one.get(rank, "") for of_one in known) for rank in ranks}
    useful: dict[str, tuple[str, ...]] = {}
    for rank in sorted(taxa, key=lambda rank: (_mean_size(taxa[rank]), -_place(rank))):
        sizes = [taxa[rank].count(taxon) for taxon in set(taxa[rank]) - {""}]
        if any(1 < size < len(species) for size in sizes) and not _is_same(taxa[rank], useful.values()):
            useful[rank] = taxa[rank]
    return useful


def in_words(rank: str, taxon: str) -> str:
    """Returns a taxon in plain words, such as "a brush-footed butterfly", "a Painted Lady" or "Vanessa cardui"."""
    if rank == SPECIES:
        name = taxon.replace("_", " ")
        return name if words.are_binomials([name]) else f"{'an' if name[:1].casefold() in 'aeio' else 'a'} {name}"
    if rank == FAMILY and taxon in species_names.document()["families"]:
        return species_names.document()["families"][taxon]["words"]
    return f"one of the {rank} {taxon}"


def _read_table(species: Sequence[str], table: str | os.PathLike[str]) -> list[dict[str, str]]:
    file = paths.path(table)
    header, *rows = single.read_rows(table) or [[]]
    spelt = [words.squeeze(name) for name in header]
    ranks = {rank: spelt.index(rank) for rank in RANKS if rank in spelt}
    columns = [spelt.index(name) for name in LABEL if name in spelt and name not in ranks]
    if not columns or not ranks:
        raise UserError(
            f"{file} is not a taxonomy: it needs a column species and one of {', '.join(reversed(RANKS))}; "
            f"it has {', '.join(header) or 'none'}"
        )
    if wrong := next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None):
        raise UserError(f"{file}, row {wrong}: {len(header)} columns are needed")
    # One table may name a species in several ways, in a column each.
    names = [[row[column] for row in rows] for column in columns]
    if GENUS in ranks:
        names += [[f"{row[ranks[GENUS]]} {row[column]}" for row in rows] for column in columns]
    found = [_rows_of(species, of_column) for of_column in names]
    numbers, own = max(zip(found, names, strict=True), key=lambda pair: sum(map(bool, pair[0])))
    if missing := [name for name, of_species in zip(species, numbers, strict=True) if not of_species]:
        raise UserError(
            f"{file} lacks {len(missing)} of the run's {len(species)} species: {', '.join(missing[:4])}"
            f"{close_match(missing[0], own)}"
        )
    taxa = [{rank: row[column] for rank, column in ranks.items() if row[column]} for row in rows]
    for name, of_species in zip(species, numbers, strict=True):
        _check_one(file, [(f"species {name}", number, taxa[number]) for number in of_species])
    used = sorted({number for of_species in numbers for number in of_species})
    for place, rank in enumerate(ranks):
        above = list(ranks)[:place]
        for taxon in {taxa[number].get(rank, "") for number in used} - {""}:
            members = [number for number in used if taxa[number].get(rank) == taxon]
            _check_one(
                file,
                [(f"{rank} {taxon}", n, {one: taxa[n][one] for one in above if one in taxa[n]}) for n in members],
            )
    return [taxa[of_species[0]] for of_species in numbers]


def _rows_of(species: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """Returns the rows that name each species: as the run spells it, else by another name of the species."""
    by_spelling: dict[str, list[int]] = defaultdict(list)
    by_scientific: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        by_spelling[species_names.spelt(name)].append(number)
        by_scientific[species_names.spelt(species_names.scientific(name))].append(number)
    return [
        by_spelling.get(species_names.spelt(name))
        or by_scientific.get(species_names.spelt(species_names.scientific(name)), [])
        for name in species
    ]


def _check_one(file: Any, rows: Sequence[tuple[str, int, Mapping[str, str]]]) -> None:
    """Raises a UserError where two rows give the same species or taxon different taxa above it."""
    seen: dict[str, tuple[int, str]] = {}
    for what, number, taxa in rows:
        for rank, taxon in taxa.items():
            earlier, other = seen.setdefault(rank, (number, taxon))
            if other != taxon:
                raise UserError(
                    f"{file}: the {rank} of {what} is {other} in row {earlier + 2} and {taxon} in row {number + 2}"
                )


def of_names(species: Sequence[str], card: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """Returns the taxa of each species by rank, as far as its name and the data card say.

    Args:
      species: names of the species.
      card: content of data_card.json.
    """
    above = (card or {}).get("taxonomy") or {}
    genera = [_genus_of(name) for name in species]
    binomials = [name for name in species if words.are_binomials([name])]
    if sum(_first_word(name) in species_names.families() for name in binomials) >= _MIN_KNOWN * len(binomials):
        genera = [
            genus or (_first_word(name) if name in binomials else "")
            for genus, name in zip(genera, species, strict=True)
        ]
    found = []
    for name, genus in zip(species, genera, strict=True):
        named = {GENUS: genus, FAMILY: species_names.families().get(genus, "")} if genus else {}
        given = _ranks_of_path(name, above.get(name, ()), genus)
        found.append({rank: taxon for rank, taxon in (named | given).items() if taxon})
    return found


def _ranks_of_path(species: str, above: Sequence[str], genus: str) -> dict[str, str]:
    """Returns the ranks of the names above a species, by their form."""
    found: dict[str, str] = {}
    groups = iter(GROUPS)
    for position, taxon in enumerate(reversed(above)):
        rank = next((rank for suffix, rank in _SUFFIXES.items() if taxon.casefold().endswith(suffix)), "")
        is_epithet = position == 0 and species.isalpha() and species.islower()
        if taxon in (genus, _first_word(species)) or taxon in species_names.families() or is_epithet:
            rank = GENUS
        if rank := rank or next(groups, ""):
            found.setdefault(rank, taxon)
    return found


def _genus_of(name: str) -> str:
    """Returns the genus of a scientific name, or of a common one that is known; empty where neither is sure."""
    name = species_names.scientific(name)
    genus = _first_word(name).capitalize()
    return genus if len(species_names.spelt(name).split()) > 1 and genus in species_names.families() else ""


def _first_word(name: str) -> str:
    return next(iter(name.replace("_", " ").split()), "")


def _mean_size(taxa: Sequence[str]) -> float:
    named = [taxon for taxon in taxa if taxon]
    return len(named) / len(set(named))


def _place(rank: str) -> int:
    return RANKS.index(rank) if rank in RANKS else -1


def _is_same(taxa: Sequence[str], others: Iterable[Sequence[str]]) -> bool:
    """Returns whether a finer rank has the same taxa by other names."""
    return any(len(set(zip(taxa, other, strict=True))) == len(set(taxa)) == len(set(other)) for other in others)
