"""The data set of an evaluation, and the folder of its results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from etils import epath

from butterflyer_jax import UserError, runs
from butterflyer_jax.config import BuildConfig, Config
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.evaluation.opening import About, find_data, folder_name, labelled_by

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


@pytest.fixture
def own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., runs.Run]:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))

    def make(**build: str) -> runs.Run:
        config = Config(build=BuildConfig(**build))
        return cast(runs.Run, SimpleNamespace(config=config, dataset="", fingerprint=""))

    return make


@pytest.fixture
def read_as(monkeypatch: pytest.MonkeyPatch) -> list[BuildConfig]:
    """How photos are read that have a column species and no other, and lie in no folder background."""
    seen = []

    def resolve(source: str, config: BuildConfig, min_species: int) -> str:
        for field, known in (("negatives", ""), ("table", ""), ("label_column", "species"), ("split_column", "")):
            if getattr(config, field) not in ("", known):
                raise UserError(f"build.{field}={getattr(config, field)}: there is none")
        if config.layout == "name":
            raise UserError("4 of 4 photos cannot be used, more than build.max_reject_fraction allows")
        seen.append(config)
        return source

    monkeypatch.setattr(dataset_lib, "resolve", resolve)
    monkeypatch.setattr(dataset_lib, "is_built", lambda _: False)
    return seen


def test_other_photos_are_read_without_what_they_lack_of_the_runs_own(
    own_run: Callable[..., runs.Run], read_as: list[BuildConfig], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    run = own_run(negatives="background/*", table="labels.csv", layout="table", label_column="species", ignore="*.x")
    with caplog.at_level("INFO"):
        assert find_data(run, "field.zip") == "field.zip"
    assert read_as[-1] == BuildConfig(label_column="species", ignore="*.x")
    said = (
        "field.zip is read without the run's own build.negatives=background/*, build.layout=table, build.table=labels"
    )
    assert said in caplog.text
    assert find_data(run, "field.zip", labelled_by(tmp_path / "other.csv") | {"table": ""})
    assert (read_as[-1].layout, read_as[-1].negatives) == ("table", "")
    # What the user says counts as it is.
    with pytest.raises(UserError, match=r"build\.split_column=site: there is none"):
        find_data(run, "field.zip", {"split_column": "site"})
    with pytest.raises(
        UserError, match=r"more than build.* \(the run's own config says .*; --config.build.layout= det"
    ):
        find_data(own_run(layout="name"), "field.zip")
    assert find_data(own_run(layout="name"), "field.zip", {"layout": ""})
