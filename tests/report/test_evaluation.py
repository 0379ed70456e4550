from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from butterflyer_jax.report import matrix
from butterflyer_jax.report.evaluation import render_evaluation
from tests.helpers.browser import open_browser
from tests.helpers.evaluations import make_evaluation, render
from tests.report.test_data_card import HOSTILE


def test_the_page_stands_alone() -> None:
    text, page = render()
    assert text.startswith("<!DOCTYPE html>")
    assert "http://" not in text and "https://" not in text and "@import" not in text
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object"}
    assert page.all("img")
    assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)


def test_the_numbers_and_the_sections_are_there() -> None:
    evaluation = make_evaluation()
    _, page = render()
    wrong = int((evaluation.probabilities.argmax(axis=1) != evaluation.labels).sum())
    assert f"108 photos of the split test, 10 species, checkpoint of step 1,234. {wrong} answers are" in page.words
    low, high = evaluation.metrics["intervals"]["top1"]
    assert f"{low:.1%} to {high:.1%}" in page.words
    for heading in ("Training", "Species, the worst first", "Confusion matrix", "Worst confusions", "Surest mistakes"):
        assert heading in page.words
    assert "1 species has no test photos" in page.words
    assert "a photo is probably none of these species" in page.words
    assert "model.width_multiplier" in page.words and "0.10.2" in page.words
    # A run that refuses by its typicality does not refuse by the probability.
    _, page = render(metrics=evaluation.metrics | {"refused_by": "typicality"})
    assert "dashed line, 42%" not in page.words and "Photos are refused by their typicality, not by this" in page.words


@pytest.mark.parametrize("num_species", [10, 100, 400])
def test_a_matrix_names_its_species_at_any_number(num_species: int) -> None:
    evaluation = make_evaluation(num_species)
    confusion = np.zeros((num_species, num_species), int)
    np.add.at(confusion, (evaluation.labels, evaluation.probabilities.argmax(axis=1)), 1)
    drawn = matrix.layout(confusion, evaluation.species)
    # The first species has no photos, and may not have been named.
    assert min(num_species - 1, 120) <= len(drawn.names) <= 120
    assert drawn.font >= 11 and drawn.cell > drawn.font
    assert drawn.numbered == (num_species == 10)
    if num_species <= 120:
        assert sum(cell.count for cell in drawn.cells) == len(evaluation.labels)
    text, page = render(num_species=num_species)
    assert len(text) < 1_500_000
    assert len(page.all("title")) > len(drawn.names)


def test_a_perfect_run_has_no_mistakes_to_show() -> None:
    _, page = render(sure=30.0)
    assert "No answer is wrong." in page.words
    assert "Worst confusions" not in page.words and "Surest mistakes" not in page.words
    assert "Where it looks" in page.words


def test_without_photos_and_without_records_the_numbers_stand() -> None:
    _, page = render(view=None, records=[])
    assert not page.all("img")
    assert "Learning rate" not in page.words and "Confusion matrix" in page.words


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    evaluation = make_evaluation(3)
    species = (f"{name} 1", f"{name} 2", name)
    rows = dict(zip(species, evaluation.metrics["species"].values(), strict=True))
    evaluation = make_evaluation(
        3, species=species, metrics={**evaluation.metrics, "species": rows}, photo_ids=[name] * len(evaluation.labels)
    )
    text = render_evaluation(evaluation)
    assert "<script>" not in text and "onerror='alert" not in re.sub(r"&\w+;|&#\d+;", "", text).replace("&", "")
    assert "49" not in re.findall(r"<bdi class=\"name\">([^<]*)</bdi>", text)


def test_a_telephone_shows_all_of_it_without_scrolling_aside() -> None:
    evaluation = make_evaluation()
    photo_ids = [f"a_folder_with_a_long_name/and another one/{name}" for name in evaluation.photo_ids]
    part = {"share": 0.968, "count": 121, "interval": [0.921, 0.987]}
    outcomes = {name: dict.fromkeys(("answered", "sure", "refused"), part) for name in ("right", "wrong", "unknown")}
    counts = {"count": 125, "refused": 3, "interval": [0.008, 0.068]}
    metrics = evaluation.metrics | {
        "outcomes": outcomes | {"sure_from": 0.8},
        "refusal": dict.fromkeys(("known", "unknown"), counts),
    }
    text = render_evaluation(make_evaluation(photo_ids=photo_ids, metrics=metrics))
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_content(text)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        cells = page.evaluate(
            """Array.from(document.querySelectorAll(".outcomes tr")).map((row) => Array.from(row.cells).map((cell) => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                const box = range.getBoundingClientRect();
                return [box.left, box.right];
            }).filter(([left, right]) => right > left))"""
        )
    assert len(cells) == 4
    assert all(before[1] <= after[0] for row in cells for before, after in itertools.pairwise(row)), "no overlap"


def test_slices_are_reported_and_the_weak_ones_stand_on_top() -> None:
    evaluation = make_evaluation()
    row = evaluation.metrics | {"count": 20, "loss": 0.25, "top1": 0.9}
    weak = row | {"top1": 0.1, "intervals": {"top1": [0.0, 0.2]}}
    cameras = {f"camera {number}": row for number in range(20)} | {"<b>phone</b>": weak, "rare": weak | {"count": 3}}
    metrics = {**evaluation.metrics, "slices": {"camera": cameras}}
    text, page = render(metrics=metrics)
    assert "1 slice is less accurate than the rest" in page.words
    assert "camera <b>phone</b> (10% of 20)" in page.words and "<b>" not in text
    assert "10 more values" in page.words
    assert "0.250" in page.words and "0.0% to 20.0%" in page.words
    assert {"href": "#slices"} in page.all("a")
    assert {"href": "#slices"} not in render()[1].all("a")
