"""`butterflyer compare` on evaluations of several runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from butterflyer_jax import UserError, compare, evaluate
from tests.helpers.browser import open_browser
from tests.helpers.report_pages import Page

SPECIES = ("Blue Stripe", "Green Dot")
Make = Callable[..., Path]
# Cells whose words reach into the next one.
WIDER = """() => [...document.querySelectorAll("td")]
    .filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.innerText)"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a run folder with an evaluation of photos of two species in turn; `wrong` are named as the other."""

    def run(
        name: str,
        wrong: Sequence[int] = (),
        count: int = 20,
        unknown: Sequence[int] = (),
        evaluation: str = "test",
        photo: str = "{species}/{number}.jpg",
        fingerprint: str = "f",
        split: str = "test",
        trained_on: int = 0,
    ) -> Path:
        folder = tmp_path / name / "eval" / evaluation
        folder.mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
        (folder / "metrics.json").write_text(
            json.dumps({"fingerprint": fingerprint, "trained_on": {"same": trained_on, "near": 0}})
        )
        with (folder / "predictions.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["photo_id", "split", "label", "known_as", "species", "probability", "none_of_these"])
            for number in range(count):
                species, other = SPECIES[number % 2], SPECIES[1 - number % 2]
                known = "" if number in unknown else species
                named = other if number in wrong else species
                path = photo.format(species=species, number=number)
                writer.writerow([path, split, species, known, named, 0.9, str(number == 0).lower()])
        return tmp_path / name

    return run


def test_runs_are_compared_photo_by_photo(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The second has eight photos right that the first has not, all of one species, and one the other way.
    first, second = make("first", range(0, 18, 2)), make("second", [0, 1])
    page = tmp_path / "page.html"
    compare.main([str(first), str(second), "--output", str(page)])
    out = capsys.readouterr().out
    result = compare.compare([first, second], output=page)
    [pair] = result["pairs"]
    assert [row["right"] for row in result["runs"]] == [11, 18]
    assert (pair["only_first"], pair["only_this"]) == (1, 8)
    assert pair["difference"] == pytest.approx(0.35) and pair["interval"][0] > 0
    assert pair["p"] == pair["p_adjusted"] == pytest.approx(2 * 10 / 512)
    blue, green = result["species"]["Blue Stripe"], result["species"]["Green Dot"]
    assert [row["top1"] for row in blue["runs"]] == [0.1, 0.9]
    assert [row["top1"] for row in green["runs"]] == [1.0, 0.9]
    # Two tests, one for each species.
    assert blue["pairs"][0]["p_adjusted"] == pytest.approx(2 * blue["pairs"][0]["p"])
    lines = out.splitlines()
    assert lines[0] == "test: 20 photos"
    assert lines[4].split() == ["second", "90.0%", "69.9%", "to", "97.2%", "+35.0", "+7.0", "to", "+56.7", "0.039"]
    assert [line.split(",")[0] for line in lines if line.endswith(", 10")] == ["Blue Stripe", "Green Dot"]
    assert "2 runs on the same 20 photos" in Page(page.read_text()).words


@pytest.mark.browser
def test_a_phone_shows_the_intervals_too(make: Make, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    compare.compare([make("first", range(0, 18, 2)), make("second", [0, 1])], output=output)
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 640})
        page.goto(output.as_uri())
        shown = " ".join(page.locator("#runs table").inner_text().split())
        assert "90.0% 69.9% to 97.2% +35.0 +7.0 to +56.7" in shown
        assert "Right alone" not in page.locator("body").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate(WIDER) == []
        page.set_viewport_size({"width": 1280, "height": 800})
        shown = page.locator("#runs table").inner_text()
        assert shown.count("69.9%") == 1 and "Right alone" in shown


def test_several_runs_are_compared_with_the_first(make: Make, tmp_path: Path) -> None:
    runs = [make("a"), make("b", range(0, 12, 2)), make("c", [1])]
    result = compare.compare(runs, output=tmp_path / "page.html")
    assert [pair["run"] for pair in result["pairs"]] == ["b", "c"]
    b, c = result["pairs"]
    assert (b["p"], b["p_adjusted"]) == pytest.approx((2 / 64, 4 / 64))
    assert c["p"] == c["p_adjusted"] == 1


def test_photos_that_not_all_runs_know_are_left_out(make: Make, tmp_path: Path) -> None:
    result = compare.compare([make("a"), make("b", unknown=range(0, 20, 2))], output=tmp_path / "page.html")
    assert (result["count"], result["left_out"]) == (10, 10)
    assert list(result["species"]) == ["Green Dot"]
    with pytest.raises(UserError, match="no photo is of a species that all of the runs know"):
        compare.compare([tmp_path / "a", make("c", unknown=range(20))], output=tmp_path / "other.html")
    assert not (tmp_path / "other.html").exists()


def test_the_split_that_a_run_gives_a_photo_does_not_matter(make: Make, tmp_path: Path) -> None:
    result = compare.compare([make("a"), make("b", [0], split="val")], output=tmp_path / "page.html")
    assert result["count"] == 20 and result["pairs"][0]["only_first"] == 1


def test_photos_that_a_run_was_trained_on_are_pointed_out(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    compare.main([str(make("a")), str(make("b", trained_on=7)), "--output", str(page)])
    said = "b was trained on 7 photos of these, or near-duplicates: no fair test"
    assert said in capsys.readouterr().out and said in Page(page.read_text()).words


def test_what_cannot_be_compared_is_one_line(make: Make, tmp_path: Path) -> None:
    a, page = make("a"), tmp_path / "page.html"
    numbered = {"photo": "test/{number}"}
    for others, wrong in (
        ([], "compare needs at least two runs"),
        ([a], "is named twice"),
        ([tmp_path / "none"], "no run in .*none"),
        (
            [make("b", count=18)],
            "of different photos: a has 20, b 18, and 18 are the same; evaluate both runs on",
        ),
        ([make("c", photo="x/{number}.jpg")], "a has 20, c 20, and 0 are the same"),
        ([make("d", evaluation="field")], r"d has no evaluation test \(it has field\): butterflyer evaluate makes one"),
    ):
        with pytest.raises(UserError, match=wrong):
            compare.compare([a, *others], output=page)
    with pytest.raises(UserError, match="cannot be matched: they have no names"):
        compare.compare([make("e", **numbered), make("f", fingerprint="g", **numbered)], output=page)
    file = make("g") / "eval" / "test" / "predictions.csv"
    text = file.read_text()
    file.write_text(text.replace(",Blue Stripe,Blue Stripe,Blue", ",Red,Blue Stripe,Blue", 1))
    with pytest.raises(UserError, match=r"labels differ: Blue Stripe/0.jpg is 'Blue Stripe' for a and 'Red' for g"):
        compare.compare([a, tmp_path / "g"], output=page)
    file.write_text(text.replace("known_as", "other"))
    with pytest.raises(UserError, match="is of an earlier version or empty: butterflyer evaluate recreates it"):
        compare.compare([a, tmp_path / "g"], output=page)
    assert not page.exists()


def test_it_reads_what_evaluate_writes(trained_run: Path, tmp_path: Path) -> None:
    import shutil

    runs = [Path(shutil.copytree(trained_run, tmp_path / name)) for name in ("a", "b")]
    found = [evaluate(run) for run in runs]
    result = compare.compare(runs, output=tmp_path / "page.html")
    assert [row["top1"] for row in result["runs"]] == [metrics["top1"] for metrics in found]
    assert result["runs"][0]["interval"] == found[0]["intervals"]["top1"]
    assert result["pairs"][0]["difference"] == 0


def test_a_page_replaces_no_other_file(make: Make, tmp_path: Path) -> None:
    first, second = make("first"), make("second")
    for _ in range(2):
        compare.compare([first, second], output=tmp_path / "page.html")
    (tmp_path / "thesis.html").write_text("precious")
    with pytest.raises(UserError, match=r"thesis\.html exists, and was not written by this command; take another"):
        compare.compare([first, second], output=tmp_path / "thesis.html")
    with pytest.raises(UserError, match="Not a directory; a file is in the way"):
        compare.compare(["nowhere", "neither"], output=tmp_path / "thesis.html" / "page.html")
    assert (tmp_path / "thesis.html").read_text() == "precious"
