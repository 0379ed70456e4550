"""Species of other data, matched with those of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.species_map import UNKNOWN, label_map, read_list, read_table

OURS = ("Danaus plexippus", "Pieris rapae", "Vanessa atalanta")


def test_names_agree_in_any_spelling_and_the_rest_is_unknown() -> None:
    theirs = ["pieris_rapae", "DANAUS  plexippus", "Aglais io"]
    assert label_map(theirs, OURS).tolist() == [1, 0, UNKNOWN]


def test_an_exact_name_comes_before_another_spelling() -> None:
    ours = ("A b", "a B", "c")
    assert label_map(["A b", "a B", "A_B", "c"], ours).tolist() == [0, 1, UNKNOWN, 2]


def test_a_table_comes_before_the_names() -> None:
    table = {"Monarch": "Danaus plexippus", "Pieris rapae": ""}
    assert label_map(["monarch", "Pieris rapae", "Vanessa atalanta"], OURS, table).tolist() == [0, UNKNOWN, 2]


def test_other_names_of_a_species_are_the_same(caplog: pytest.LogCaptureFixture) -> None:
    theirs = ["Monarch", "Anosia plexippus", "cabbage-white", "Vanessa atalanta (Linnaeus, 1758)", "Aglais io L."]
    with caplog.at_level("INFO"):
        assert label_map(theirs, OURS).tolist() == [0, 0, 1, 2, UNKNOWN]
    assert "Monarch is the run's Danaus plexippus, Anosia plexippus is the run's Danaus plexippus" in caplog.text
    # Where a run has both, neither is another one's name.
    ours = ("Pieris rapae", "Small White", "Monarch")
    assert label_map(["Small White", "Cabbage White", "monarch"], ours).tolist() == [1, UNKNOWN, 2]


def test_a_name_that_is_close_to_one_of_the_run_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    theirs = ["Danaus plexipus", "Pieris rapae crucivora", "Vanessa atalanta", "Pieris brassicae"]
    with caplog.at_level("INFO"):
        assert label_map(theirs, OURS).tolist() == [UNKNOWN, UNKNOWN, 2, UNKNOWN]
    assert "Danaus plexipus (Danaus plexippus), Pieris rapae crucivora (Pieris rapae); --species_map" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        label_map(["Species 1", "Species 2"], ("Species 1", "Species 3"))
    assert not caplog.text


def test_a_table_about_other_species_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    theirs = ["A one", "B two"]
    with pytest.raises(UserError, match="has its columns the other way round"):
        label_map(theirs, OURS, {"Danaus plexippus": "A one", "Pieris rapae": "B two"})
    with pytest.raises(UserError, match="names none of the data's: it has C three, the data A one, B two"):
        label_map(theirs, OURS, {"C three": ""})
    with caplog.at_level("INFO"):
        label_map(theirs, OURS, {"theirs": "ours", "A one": "Danaus plexippus", "C three": ""})
    assert "the table names species that the photos do not show: C three" in caplog.text


def test_a_table_that_names_no_species_of_the_run_is_refused() -> None:
    with pytest.raises(UserError, match="the run knows no species 'Danaus', which the table names"):
        label_map(["Monarch"], OURS, {"Monarch": "Danaus"})


def test_no_species_in_common_asks_for_a_table() -> None:
    with pytest.raises(UserError, match=r"none of the data's species .* with --species_map"):
        label_map(["Peacock"], OURS)


def test_no_species_in_common_may_be_meant_unless_a_name_is_close(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert label_map(["Peacock", "Brimstone"], OURS, may_be_unknown=True).tolist() == [UNKNOWN, UNKNOWN]
    assert "all photos count as of species that it does not know; if these are other names" in caplog.text
    with pytest.raises(UserError, match=r"close to names of the run: Danaus plexipus \(Danaus plexippus\)"):
        label_map(["Danaus plexipus", "Peacock"], OURS, may_be_unknown=True)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_with_any_delimiter(delimiter: str, tmp_path: Path) -> None:
    file = tmp_path / "map.csv"
    file.write_text(f"\ufeffMonarch{delimiter}Danaus plexippus\n\nPeacock{delimiter}\n", encoding="utf-8")
    assert read_table(file) == {"Monarch": "Danaus plexippus", "Peacock": ""}


def test_a_table_may_be_a_spreadsheet_or_of_another_encoding(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (("Monarch", "Danaus plexippus"), ("Peacock", None)):
        book.active.append(row)
    book.save(tmp_path / "map.xlsx")
    expected = {"Monarch": "Danaus plexippus", "Peacock": ""}
    assert read_table(tmp_path / "map.xlsx") == expected
    (tmp_path / "map.csv").write_text("Monarch,Danaus plexippus\nPeacock,\nPeacock,\n", encoding="utf-16")
    assert read_table(tmp_path / "map.csv") == expected
    (tmp_path / "map.csv").write_text("Monarch,Danaus plexippus\nmonarch,Pieris rapae\n")
    with pytest.raises(UserError, match="gives 'monarch' two names of the run: 'Danaus plexippus' and 'Pieris rapae'"):
        read_table(tmp_path / "map.csv")


def test_a_table_of_other_columns_names_the_row(tmp_path: Path) -> None:
    file = tmp_path / "map.csv"
    file.write_text("a,b\nc\n")
    with pytest.raises(UserError, match="row 2: two columns are needed"):
        read_table(file)
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none.csv")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "pieris_rapae\n\n# of this county\nDANAUS  plexippus\n",
        "Monarch,Danaus plexippus\nSmall White,Pieris rapae\nPeacock,\n",
        "\ufeffPieris rapae\nMonarch\tDanaus plexippus",
        'species\n"Pieris rapae"\nmonarch\n',
        "name,run\nPeacock,\nWhites,Pieris rapae\nX,Danaus plexippus\n",
    ],
)
def test_a_list_holds_names_or_the_runs_names_for_them(text: str, tmp_path: Path) -> None:
    assert read_list(write(tmp_path / "list.txt", text), OURS).tolist() == [True, True, False]


def test_a_table_maps_the_names_of_a_list_too(tmp_path: Path) -> None:
    table = {"monarch": "Danaus plexippus", "Peacock": ""}
    file = write(tmp_path / "list.txt", "Monarch\npeacock\n")
    assert read_list(file, OURS, table).tolist() == [True, False, False]


def test_a_list_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    for text, wrong in (
        ("Pieris rapae\nDanaus plexipus\n", r"line 2: the run knows no species 'Danaus plexipus'; did you mean Danaus"),
        ("Zzz\n", r"line 1: the run knows no species 'Zzz'; it knows Danaus plexippus, Pieris rapae"),
        ("Monarch,Danaus plexipus\n", r"no species 'Danaus plexipus'; did you mean Danaus plexippus\?"),
        ("Pieris rapae, Danaus plexippus\n", "line 1 names two species of the run: .*; write one name per line"),
        ("Monarch\nPieris rapae, Danaus plexippus, Vanessa atalanta\n", "line 2 names two species of the run"),
        ("\n# none\n", "lists none of the run's species"),
    ):
        with pytest.raises(UserError, match=wrong):
            read_list(write(file, text), OURS)
    with pytest.raises(UserError, match="no such file"):
        read_list(tmp_path / "none.txt", OURS)
    with pytest.raises(UserError, match="is a folder"):
        read_list(tmp_path, OURS)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not text in UTF-8"):
        read_list(file, OURS)
