"""Species of other data, matched with those of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.evaluation.species_map import UNKNOWN, label_map, read_table

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


def test_a_table_that_names_no_species_of_the_run_is_refused() -> None:
    with pytest.raises(UserError, match="the run knows no species 'Danaus', which the table names"):
        label_map(["Monarch"], OURS, {"Monarch": "Danaus"})


def test_no_species_in_common_asks_for_a_table() -> None:
    with pytest.raises(UserError, match=r"none of the data's species .* with --species_map"):
        label_map(["Monarch"], OURS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_with_any_delimiter(delimiter: str, tmp_path: Path) -> None:
    file = tmp_path / "map.csv"
    file.write_text(f"\ufeffMonarch{delimiter}Danaus plexippus\n\nPeacock{delimiter}\n", encoding="utf-8")
    assert read_table(file) == {"Monarch": "Danaus plexippus", "Peacock": ""}


def test_a_table_of_other_columns_names_the_row(tmp_path: Path) -> None:
    file = tmp_path / "map.csv"
    file.write_text("a,b\nc\n")
    with pytest.raises(UserError, match="row 2: two columns are needed"):
        read_table(file)
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none.csv")
