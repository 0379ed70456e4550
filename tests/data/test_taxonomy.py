"""Genus and family of species, by names, folders and a table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.data import taxonomy


def test_scientific_and_well_known_names_have_a_genus_and_a_family() -> None:
    species = ["Vanessa_atalanta", "Painted Lady", "MONARCH", "pieris rapae", "Eastern Tailed-Blue", "No Such One"]
    found = taxonomy.find(species)
    assert found == {
        "genus": ("Vanessa", "Vanessa", "Danaus", "Pieris", "Cupido", ""),
        "family": ("Nymphalidae", "Nymphalidae", "Nymphalidae", "Pieridae", "Lycaenidae", ""),
    }


def test_common_names_in_the_form_of_scientific_ones_are_no_genus() -> None:
    assert taxonomy.of_names(["Small heath moth", "Small brown", "Large brown", "Red edge"]) == [{}] * 4
    # Among scientific names one with a genus that is not known is another genus.
    species = ["Vanessa atalanta", "Vanessa cardui", "Xenica klugii", "Xenica achanta"]
    assert taxonomy.find(species)["genus"] == ("Vanessa", "Vanessa", "Xenica", "Xenica")


def test_folders_above_a_species_are_named_by_their_form() -> None:
    paths = {
        "atalanta": ["Nymphalidae", "Nymphalinae", "Vanessa"],
        "cardui": ["Nymphalidae", "Nymphalinae", "Vanessa"],
        "io": ["Nymphalidae", "Nymphalinae", "Aglais"],
        "erato": ["Nymphalidae", "Heliconiinae", "Heliconius"],
        "napi": ["Pieridae", "Pierinae", "Pieris"],
    }
    found = taxonomy.find(list(paths), {"taxonomy": paths})
    assert list(found) == ["genus", "subfamily", "family"]
    assert found["genus"] == ("Vanessa", "Vanessa", "Aglais", "Heliconius", "Pieris")
    whites = {"Small One": ["Day", "Whites"], "Large One": ["Day", "Whites"], "Odd": ["Day", "Blues"], "M": ["N", "O"]}
    assert taxonomy.find(list(whites), {"taxonomy": whites}) == {
        "group": ("Whites", "Whites", "Blues", "O"),
        "larger group": ("Day", "Day", "Day", "N"),
    }


def test_a_rank_that_says_nothing_is_left_out() -> None:
    assert taxonomy.find(["Vanessa atalanta", "Vanessa cardui"]) == {}
    assert taxonomy.find(["Vanessa atalanta", "Pieris rapae"]) == {}
    assert taxonomy.find([]) == {}
    # The genera and the families are the same species by other names.
    assert list(taxonomy.find(["Vanessa atalanta", "Vanessa cardui", "Pieris rapae"])) == ["genus"]


def test_a_table_says_it_all(tmp_path: Path) -> None:
    table = tmp_path / "taxa.csv"
    table.write_text("species;Genus;family\nblue stripe;Edgea;Linidae\nGreen Dot;Edgea;Linidae\nRed_Edge;Dotia;\n")
    species = ["Blue Stripe", "Green Dot", "Red Edge"]
    assert taxonomy.find(species, None, table) == {"genus": ("Edgea", "Edgea", "Dotia")}
    with pytest.raises(UserError, match=r"lacks 1 of the run's 4 species: Green Dott; did you mean Green Dot\?"):
        taxonomy.find([*species, "Green Dott"], None, table)
    for text, wrong in (
        ("name,colour\na,b\n", "is not a taxonomy: it needs a column species and one of .*genus.* it has name, colour"),
        ("species,genus\na\n", "row 2: 2 columns are needed"),
        ("", "it has none"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=wrong):
            taxonomy.find(species, None, table)
    with pytest.raises(UserError, match="no such file"):
        taxonomy.find(species, None, tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "Vanessa cardui,Vanessa,Nymphalidae",
            "the family of species Painted Lady is Nymphalidae in row 2 and Pieridae",
        ),
        (
            "Small White,Vanessa,Nymphalidae",
            "the family of genus Vanessa is Pieridae in row 2 and Nymphalidae in row 3",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(rows: str, said: str, tmp_path: Path) -> None:
    table = tmp_path / "taxa.csv"
    own = "painted lady,Vanessa,Pieridae"
    table.write_text(f"species,genus,family\n{own}\n{rows}\n")
    if "species" in said:
        table.write_text(f"species,genus,family\n{rows}\nCynthia cardui,Vanessa,Pieridae\n")
    with pytest.raises(UserError, match=said):
        taxonomy.find(["Painted Lady", "Small White"][: 1 + ("genus" in said)], None, table)


def test_a_table_may_name_species_otherwise_than_the_run(tmp_path: Path) -> None:
    import openpyxl

    species = ["Painted Lady", "Red Admiral", "Monarch"]
    expected = {"genus": ("Vanessa", "Vanessa", "Danaus")}
    scientific = [
        ("Vanessa cardui (Linnaeus, 1758)", "Vanessa"),
        ("Pyrameis atalanta", "Vanessa"),
        ("Danaus plexippus", "Danaus"),
    ]
    columns = {
        "scientific.csv": ("species,genus", [",".join((f'"{name}"', genus)) for name, genus in scientific]),
        "both.csv": (
            "species,common_name,genus",
            ["x,Painted Lady,Vanessa", "y,Red-Admiral,Vanessa", "z,MONARCH,Danaus"],
        ),
        "epithets.csv": ("genus,species", ["Vanessa,cardui", "Vanessa,atalanta", "Danaus,plexippus"]),
    }
    for name, (header, rows) in columns.items():
        (tmp_path / name).write_text("\n".join([header, *rows]), encoding="utf-16")
        assert taxonomy.find(species, None, tmp_path / name) == expected, name
    book = openpyxl.Workbook()
    for row in (("species", "genus"), *scientific):
        book.active.append(row)
    book.save(tmp_path / "taxa.xlsx")
    assert taxonomy.find(species, None, tmp_path / "taxa.xlsx") == expected


def test_taxa_in_words() -> None:
    assert taxonomy.in_words("family", "Nymphalidae") == "a brush-footed butterfly"
    assert taxonomy.in_words("genus", "Vanessa") == "one of the genus Vanessa"
    assert taxonomy.in_words("species", "Painted_Lady") == "a Painted Lady"
    assert taxonomy.in_words("species", "American Copper") == "an American Copper"
    assert taxonomy.in_words("species", "Vanessa_cardui") == "Vanessa cardui"


def test_it_agrees_with_the_knowledge_base() -> None:
    for species in base.load().species:
        for name in (species.scientific_name, *species.common_names, *species.synonyms):
            [found] = taxonomy.of_names([name])
            assert found["genus"] == species.scientific_name.split()[0]
            assert re.search(rf"\b{found['family']}\b", species.facts["family"].text), name
