"""The folder of a result in the run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from etils import epath

from butterflyer_jax import UserError
from butterflyer_jax.evaluation.opening import About, folder_name

ALL = ("train", "val", "test")
OWN = About("own", True, ["test"], is_part=True)
OTHER = About("other", False, ALL)


def name_of(folder: Path, source: str | None, about: About, name: str | None = None, listed: str | None = None) -> str:
    return folder_name(epath.Path(folder), "metrics.json", name, source, about, listed)


def save(folder: Path, name: str, about: About) -> None:
    (folder / name).mkdir(exist_ok=True)
    content = {"fingerprint": about.fingerprint, "split": about.split, "species_list": about.species}
    (folder / name / "metrics.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("somewhere/field.zip", "field"),
        ("Field photos 2026.ZIP", "Field-photos-2026"),
        ("somewhere/field/", "field"),
        ("/data/field/butterflies/size256_0123abcd/1.0.0", "field"),
        ("test.zip", "test-data"),
        ("/", "other"),
    ],
)
def test_other_data_have_the_name_that_the_user_gave_them(source: str, name: str, tmp_path: Path) -> None:
    assert name_of(tmp_path, source, OTHER) == name
    assert name_of(tmp_path, source, About("other", False, ["val"], is_part=True)) == f"{name}-val"


def test_the_runs_own_photos_have_the_name_of_their_split(tmp_path: Path) -> None:
    assert name_of(tmp_path, "moved/leeds.zip", OWN) == "test"
    assert name_of(tmp_path, None, About("own", True, ALL)) == "all"
    assert name_of(tmp_path, None, OWN, listed="lists/my meadow.txt") == "test-my-meadow"


def test_no_result_takes_the_place_of_another(tmp_path: Path) -> None:
    save(tmp_path, "field", OTHER)
    assert name_of(tmp_path, "field.zip", OTHER) == name_of(tmp_path, None, OTHER, "field") == "field"
    for about in (
        About("third", False, ALL),
        About("other", False, ALL, species=["a"]),
        About("other", False, ["val"]),
    ):
        assert name_of(tmp_path, "field.zip", about).startswith("field-")
        with pytest.raises(UserError, match=r"field holds the results of other photos.* take another --name"):
            name_of(tmp_path, None, about, "field")
    for about, name in ((OTHER, "test"), (OWN, "val"), (OWN, "all")):
        with pytest.raises(UserError, match=f"--name {name}: this name is kept for the run's own photos"):
            name_of(tmp_path, None, about, name)
    assert name_of(tmp_path, None, OWN, "test") == "test"
