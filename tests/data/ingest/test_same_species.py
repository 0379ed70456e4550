"""Several names of one species, in folders and in one column of a table; folders of people and places."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest import same_species
from tests.data.ingest.test_layouts import FLAT, Files, labels, listing_of, tree

ENGLISH = ("Monarch", "Peacock", "Red Admiral")
LATIN = ("Danaus plexippus", "Aglais io", "Vanessa atalanta")


def column(one: str, other: str, latin: tuple[str, ...] = LATIN, english: tuple[str, ...] = ENGLISH) -> Files:
    """A table whose rows name each species in two ways, in turn."""
    rows = ["file,species"]
    for photo in FLAT:
        k, i = divmod(int(Path(photo).stem), 10)
        rows.append(f'{photo},"{(one if i % 2 else other).format(s=latin[k], en=english[k])}"')
    return FLAT | {"l.csv": "\n".join(rows)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{s}", "{en}"), ("{en} ({s})", "{en}"), ("{s} - {en}", "{s}"), ("{en} butterfly", "{en}"), ("2x {s}", "{s}"),
        ("{s} (Linnaeus, 1758)", "{s}"), ("{en} x 3", "{en}"),
    ],
)  # fmt: skip
def test_names_of_one_species_in_a_column_are_asked_about(tmp_path: Path, one: str, other: str) -> None:
    files = column(one, other)
    with pytest.raises(UserError, match=r"the labels .*, and 2 more .* are names of one species: build\.layout=table"):
        listing_of(tmp_path, files)
    assert len(set(labels(listing_of(tmp_path, files, layout="table")).values())) == 6


@pytest.mark.parametrize("english", [("Waldportier", "Mohrenfalter", "Eisvogel"), ("BRICIR", "EREAET", "LIMRED")])
def test_scientific_names_beside_others_in_a_column_are_asked_about(tmp_path: Path, english: tuple[str, ...]) -> None:
    files = column("{s}", "{en}", ("Brintesia circe", "Erebia aethiops", "Limenitis reducta"), english)
    with pytest.raises(UserError, match=r"3 labels in l\.csv .* are scientific names \(Brintesia circe, .*two names"):
        listing_of(tmp_path, files)
    assert len(set(labels(listing_of(tmp_path, files, layout="table")).values())) == 6


@pytest.mark.parametrize("one", ["{s} 97%", "{s} 0.97", "larva of {s}", "Raupe von {s}"])
def test_labels_with_a_confidence_or_a_stage_in_front_are_asked_about(tmp_path: Path, one: str) -> None:
    with pytest.raises(UserError, match="differ only by what is no part of the name of a species"):
        listing_of(tmp_path, column(one, "{s}"))


def test_folders_of_one_species_are_asked_about(tmp_path: Path) -> None:
    files = tree("{s}/{i}.jpg", LATIN) | tree("{s}/x{i}.jpg", ("Peacock", "Pyrameis atalanta"))
    with pytest.raises(
        UserError, match=r"folders Aglais io, Peacock, and 1 more .* of one species \(build\.layout=leaf"
    ):
        listing_of(tmp_path, files)
    assert len(set(labels(listing_of(tmp_path, files, layout="leaf")).values())) == 5


def test_folders_in_two_languages_are_noted(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, tree("{s}/{i}.jpg", (*LATIN, "Brimstone", "Orange Tip")))
    assert [note for note in listing.notes if "scientific names (Aglais io, " in note and "(Brimstone, " in note]


def test_other_species_are_no_names_of_one() -> None:
    for names in (
        ENGLISH, LATIN, ("Duke of Burgundy", "Duke of York"), ("Peacock (butterfly)", "Map (butterfly)"),
        ("Species of Monarch", "Species of Peacock"), ("Leptidea sinapis/juvernica", "Leptidea sinapis"),
        ("Aglais io / Peacock", "Danaus plexippus / Monarch"), ("Skipper (Essex)", "Skipper (Small)"),
    ):  # fmt: skip
        assert not same_species.groups(names)
    # In a sentence's case, common names have the form of scientific ones.
    for names in (
        ("Small white", "Large copper", "Red admiral", "Painted lady"),
        ("Aglais io", "Aglais sp. 1", "Moth"),
    ):
        assert same_species.in_two_languages(names) is None


@pytest.mark.parametrize(
    "folders",
    [
        ("Anna", "Ben", "Żaneta"), ("Anna Schmidt", "Karl Müller"), ("A. Schmidt", "J.-P. Dupont"),
        ("Müller, Karl", "Schmidt, Anna"), ("student_01", "student_02"), ("Team Blue", "Gruppe 2"),
        ("Dr. Weber", "Frau Klein"),
        ("Class 7a", "Klasse 8 b"), ("anna@uni.de", "ben@uni.de"), ("Hyde Park", "Kew Gardens"), ("José", "María"),
        ("Garten Müller", "Stadtpark"), ("Bayern", "Hessen"), ("forest", "meadow", "wetland"),
        ("Parque del Retiro", "Jardin"),
    ],
)  # fmt: skip
def test_folders_of_people_and_places_are_asked_about(tmp_path: Path, folders: tuple[str, ...]) -> None:
    files = tree("{s}/{i}.jpg", folders)
    with pytest.raises(UserError, match=r"may be people, teams or places, .*build\.layout=leaf takes them as species"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, layout="leaf")).values()) == set(folders)
    # A table says what the photos show.
    table = "\n".join(["file,species", *(f'"{name}",{ENGLISH[n % 3]}' for n, name in enumerate(files))])
    assert set(labels(listing_of(tmp_path, files | {"l.csv": table})).values()) == set(ENGLISH)


@pytest.mark.parametrize(
    "species",
    [
        ("Julia", "Cleopatra", "Apollo", "Camilla"), ("Wood White", "Large Heath", "Meadow Brown", "Speckled Wood"),
        ("Question Mark", "Waldbrettspiel", "Mauerfuchs"), ("Parnassius apollo", "Limenitis camilla"),
        ("Milbert's Tortoiseshell", "Queen Alexandra's Birdwing"), ("Garden White", "Forest Queen", "Mountain Ringlet"),
    ],
)  # fmt: skip
def test_species_that_sound_like_people_and_places_stay(tmp_path: Path, species: tuple[str, ...]) -> None:
    assert set(labels(listing_of(tmp_path, tree("{s}/{i}.jpg", species))).values()) == set(species)


@pytest.mark.parametrize(
    "folders", [("maj", "czerwiec"), ("wings open", "wings closed"), ("WhatsApp Images", "Camera")]
)
def test_folders_of_months_views_and_programs_are_asked_about(tmp_path: Path, folders: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="name no species"):
        listing_of(tmp_path, tree("{s}/{i}.jpg", folders))
