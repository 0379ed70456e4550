from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax.app.knowledge import base as base_lib
from butterflyer_jax.errors import UserError
from tests.helpers.species_files import invented, monarch, write

LEEDS = {
    "American Copper": "Lycaena phlaeas",
    "Cabbage White": "Pieris rapae",
    "Common Buckeye": "Junonia coenia",
    "Crimson-patched Longwing": "Heliconius erato",
    "Giant Swallowtail": "Papilio cresphontes",
    "Monarch": "Danaus plexippus",
    "Mourning Cloak": "Nymphalis antiopa",
    "Painted Lady": "Vanessa cardui",
    "Red Admiral": "Vanessa atalanta",
    "Zebra Longwing": "Heliconius charithonia",
}


def test_our_files_have_no_problems() -> None:
    assert base_lib.problems() == []


@pytest.mark.parametrize(("label", "scientific_name"), LEEDS.items())
def test_each_species_of_the_leeds_set_is_found_by_label_and_by_scientific_name(
    label: str, scientific_name: str
) -> None:
    base = base_lib.load()
    species = base.find(label)
    assert species is not None
    assert species.scientific_name == scientific_name
    assert species.name == label
    assert base.find(scientific_name) is species
    assert tuple(species.facts) == base_lib.KINDS


@pytest.mark.parametrize(
    ("label", "scientific_name"),
    [
        ("danaus_plexippus", "Danaus plexippus"),
        ("  MONARCH  butterfly ", "Danaus plexippus"),
        ("Heliconius_charitonius", "Heliconius charithonia"),
        ("zebra-longwing", "Heliconius charithonia"),
        ("ZEBRA LONG WING", "Heliconius charithonia"),
        ("crimson patched longwing", "Heliconius erato"),
        ("Heliconius erato favorinus", "Heliconius erato"),
        ("heliconius_charitonius_vazquezae", "Heliconius charithonia"),
        ("Vanessa cardui (Linnaeus, 1758)", "Vanessa cardui"),
        ("Camberwell Beauty", "Nymphalis antiopa"),
        ("Lycaena hypophlaeas", "Lycaena phlaeas"),
    ],
)
def test_species_is_found_by_other_spellings(label: str, scientific_name: str) -> None:
    species = base_lib.load().find(label)
    assert species is not None
    assert species.scientific_name == scientific_name


@pytest.mark.parametrize("label", ["", "Morpho peleides", "Danaus", "Heliconius melpomene", "Red Admiral moth", "_"])
def test_what_is_not_known_is_none(label: str) -> None:
    assert base_lib.load().find(label) is None


def test_wingspan_and_sources_of_a_species() -> None:
    species = base_lib.load().find("Monarch")
    assert species is not None
    assert species.wingspan_mm == (86, 124)
    fact = species.facts["wingspan"]
    assert (fact.kind, fact.text.count("86 to 124 mm")) == ("wingspan", 1)
    assert fact.sources[0] == base_lib.Source(
        "Monarch, Danaus plexippus",
        "Butterflies and Moths of North America",
        "https://www.butterfliesandmoths.org/species/Danaus-plexippus",
    )
    assert [other.name for other in species.look_alikes] == ["Viceroy", "Queen"]


@pytest.mark.parametrize("label", LEEDS)
def test_each_species_of_the_leeds_set_is_complete(label: str) -> None:
    species = base_lib.load().find(label)
    assert species is not None
    assert tuple(species.facts) == base_lib.KINDS
    assert species.look_alikes


def test_there_is_a_passage_for_each_fact_look_alike_and_topic() -> None:
    base = base_lib.load()
    facts = sum(len(species.facts) for species in base.species)
    look_alikes = sum(len(species.look_alikes) for species in base.species)
    assert len(base.passages) == facts + look_alikes + len(base.topics)
    kinds = [passage.kind for passage in base.passages]
    assert kinds.count("range") == len(base.species)
    assert kinds.count("look_alikes") == look_alikes
    assert kinds.count("topic") == len(base.topics) >= 25
    [hosts] = [p for p in base.passages if p.species == "Danaus plexippus" and p.kind == "host_plants"]
    assert hosts.title == "Monarch (Danaus plexippus): Host plants"
    assert "milkweed" in hosts.text
    assert all(p.sources and (p.species is None) == (p.kind == "topic") for p in base.passages)


def test_our_files_are_read_once() -> None:
    assert base_lib.load() is base_lib.load()


def test_another_folder_stands_instead_of_ours(tmp_path: Path) -> None:
    write(tmp_path, invented())
    base = base_lib.load(tmp_path)
    assert [species.name for species in base.species] == ["Invented Swallowtail"]
    assert base.topics == base_lib.load().topics


def test_extra_folder_adds_and_replaces(tmp_path: Path) -> None:
    write(tmp_path, invented())
    changed = monarch()
    changed["common_names"] = ["King of Butterflies"]
    write(tmp_path, changed)
    base = base_lib.load(extra=tmp_path)
    assert len(base.species) == len(LEEDS) + 1
    assert base.find("invented swallowtail") is not None
    species = base.find("Danaus plexippus")
    assert species is not None
    assert species.name == "King of Butterflies"
    assert base.find("Monarch") is None
    assert len([p for p in base.passages if p.species == "Danaus plexippus" and p.kind == "names"]) == 1


def test_extra_species_may_not_take_a_name_of_ours(tmp_path: Path) -> None:
    write(tmp_path, invented(common_name="Painted-lady"))
    with pytest.raises(UserError, match="Papilio fictus: the name Painted-lady is one of Vanessa cardui already"):
        base_lib.load(extra=tmp_path)


def test_a_folder_without_species_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no species files in"):
        base_lib.load(tmp_path)
    with pytest.raises(UserError, match="no such folder of species files"):
        base_lib.load(extra=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such file of topics"):
        base_lib.problems(topics=tmp_path / "topics.yaml")
