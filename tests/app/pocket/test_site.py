"""The static site, in a real browser whose network is gone."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import Predictor, UserError, runs
from butterflyer_jax.app.chat.conversation import Identification, Message
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.app.pocket import network_file, site
from butterflyer_jax.app.pocket.__main__ import main
from butterflyer_jax.data import photo
from butterflyer_jax.export import reference
from butterflyer_jax.inference import search
from butterflyer_jax.metrics.ranks import Rank, Ranks
from tests.conftest import encode, make_photo
from tests.helpers import typical_run, web
from tests.helpers.browser import open_browser
from tests.helpers.chats import embedded
from tests.helpers.export_networks import KINDS, make_network, noise
from tests.helpers.public_questions import FOLLOWED, TUNED

SPECIES = ("Monarch", "Giant_Swallowtail", "Freckled Pardine")
# In the page: files as the page itself posts them.
ANSWER = """async ([files, query]) => {
    const { postForm } = await import("./service.js");
    const found = [];
    for (const file of files) {
        const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
        const body = new FormData();
        body.append("file", new File([bytes], "a.jpg"));
        found.push(await postForm(`api/predict${query}`, body));
    }
    return found;
}"""
INPUT = """async ([files, given]) => {
    const { decode, isJpeg } = await import("./decode.js");
    const { toInput } = await import("./resize.js");
    const found = [];
    for (const file of files) {
        const blob = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
        found.push([...toInput(await decode(blob), await isJpeg(blob), given)]);
    }
    return found;
}"""
# The more of a picture is red, the more typical it is.
SEARCH = """async ([files, given, limit]) => {
    const { decode, isJpeg } = await import("./decode.js");
    const { search } = await import("./search.js");
    const found = [];
    for (const file of files) {
        const blob = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
        const seen = [];
        const answer = (pixels) => {
            seen.push(btoa(String.fromCharCode(...pixels)));
            const red = pixels.filter((_, place) => place % 3 === 0);
            return { typicality: -red.reduce((sum, value) => sum + value, 0) / red.length };
        };
        const { part } = await search({ answer }, limit, await decode(blob), await isJpeg(blob), given);
        found.push([seen, part]);
    }
    return found;
}"""
COMPUTE = """async ([about, file, images]) => {
    const { Network } = await import("./network.js");
    const network = new Network(about, Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0)).buffer);
    return images.map((image) => network.answer(Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0))));
}"""
TALK = """async (conversations) => {
    const { postStream } = await import("./service.js");
    const found = [];
    for (const one of conversations) {
        const events = [];
        await postStream("api/chat", one, (event) => events.push(event));
        found.push(events);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = typical_run.make(trained_run, tmp_path_factory.mktemp("pocket") / "run", SPECIES)
    # Such a short training is sure of no species.
    ranks = (Rank("species", SPECIES, 0.8), Rank("family", ("Nymphalidae", "Papilionidae", "Nymphalidae"), 0.5))
    step = runs.load_model(runs.read(made)).step
    (made / "ranks.json").write_text(Ranks(ranks, 0.9, 12, step).to_json())
    return made


@pytest.fixture(scope="module")
def folder(run: Path) -> Path:
    target = run.parent / "site"
    site.write(run, target, base.load())
    return target


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Any]:
    """The page at its second visit, when the server is gone; it must not complain."""
    server = web.serve_folder(folder)
    complaints: list[str] = []
    with open_browser() as browser:
        opened = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(f"{server.url}/")
        opened.wait_for_selector("#offline:not(:empty)")
        server.server_close()
        opened.reload()
        opened.wait_for_selector(".chip")
        yield opened
    assert complaints == []


def encoded(files: list[bytes]) -> list[str]:
    return [base64.b64encode(file).decode() for file in files]


@pytest.mark.browser
def test_it_names_shows_facts_and_talks_without_a_server(page: Any) -> None:
    assert page.inner_text("#drop p").startswith(
        "You can also drop or paste them here. Photos are named on this device and"
    )
    # On a telephone, nothing is dropped.
    assert page.inner_text("#drop p .with-mouse").strip() == "You can also drop or paste them here."
    page.set_input_files("#choose", [{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": make_photo(1)}])
    page.wait_for_selector(".verdict.named, .verdict.higher, .verdict.unsure, .verdict.none")
    assert page.locator("#ranking li").count() == len(SPECIES)
    assert not page.locator("#feedback").is_visible()
    page.fill("#message", "What do monarch caterpillars eat?")
    page.press("#message", "Enter")
    page.wait_for_selector(".bubble.assistant .sources")
    assert "milkweed" in page.inner_text(".bubble.assistant").lower()
    facts = page.evaluate("async () => (await import('./service.js')).getJson('api/species/Giant_Swallowtail')")
    assert facts["scientific_name"] == "Papilio cresphontes" and facts["facts"]


@pytest.mark.browser
def test_it_answers_as_the_run_does(page: Any, run: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8))
    files = [*(make_photo(number) for number in range(12)), encode(noise, "PNG"), encode(Image.new("RGB", (64, 64)))]
    theirs = page.evaluate(ANSWER, [encoded(files), ""])
    for ours, found in zip(Predictor.load(run).predict(files), theirs, strict=True):
        assert found["probabilities"] == pytest.approx(ours["probabilities"], abs=0.01)
        assert found["species"] == ours["species"]
        assert (found["verdict"] == "none") == ours["none_of_these"]
        assert found["answer"]["text"] == ours["answer"]["text"]
    assert {found["verdict"] for found in theirs} >= {"none", "higher"}


@pytest.mark.browser
def test_it_sees_the_pixels_that_the_service_sees(page: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = Image.open(io.BytesIO(make_photo(3, 300, 200)))
    transparent = smooth.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(smooth.size))
    exact = [
        make_photo(1),
        make_photo(2, 61, 90),
        encode(smooth.resize((130, 99)), "PNG"),
        encode(smooth, "WEBP", lossless=True),
    ]
    # Turned after it is scaled; decoded at a half by the service; of many pixels first averaged; transparent.
    near = [
        encode(smooth, quality=95, exif=exif, subsampling=0),
        make_photo(4, 900, 700),
        encode(smooth.resize((900, 700)), "PNG"),
        encode(transparent.resize((90, 80)), "PNG"),
    ]
    given = {"short_side": 96, "crop_fraction": 0.9, "image_size": 64}
    found = page.evaluate(INPUT, [encoded([*exact, *near]), given])
    for number, (file, pixels) in enumerate(zip([*exact, *near], found, strict=True)):
        ours = photo.central_crop(photo.load(file, 96, 10**7)[0], 0.9, 64)
        difference = np.abs(np.array(pixels).reshape(64, 64, 3) - ours.astype(int))
        assert difference.max() <= (0 if number < len(exact) else 3), number


@pytest.mark.browser
def test_it_searches_as_the_service_does(page: Any, run: Path) -> None:
    smooth = Image.open(io.BytesIO(make_photo(3, 130, 99)))
    sizes = ((130, 99), (99, 99), (40, 71))
    files = [encode(smooth.resize(size), "PNG") for size in sizes]
    given = {"short_side": 32, "crop_fraction": 0.9, "image_size": 24}
    chosen = set()
    # Under the second limit no part is typical enough, and the central square stays.
    for limit in (0, -255):
        theirs = page.evaluate(SEARCH, [encoded(files), given, limit])
        for file, (seen, part) in zip(files, theirs, strict=True):

            def load(side: int, file: bytes = file) -> tuple[Image.Image, tuple[int, int]]:
                image, source = photo.load(file, side, 10**8)
                return image, source.size

            ours = search.read_parts(load, 32, 0.9, 24)
            pixels = np.frombuffer(b"".join(map(base64.b64decode, seen)), np.uint8)
            np.testing.assert_array_equal(pixels.reshape(ours.pixels.shape), ours.pixels)
            number = search.choose(-ours.pixels[..., 0].mean(axis=(1, 2)) - limit)
            assert part == pytest.approx(np.array(ours.places[number]) / (2 * ours.image.size), abs=1e-4)
            chosen.add(number > 0)
    assert chosen == {True, False}
    plain, searched = (page.evaluate(ANSWER, [encoded(files[:1]), query])[0] for query in ("", "?search=true"))
    assert "part" not in plain and len(searched["part"]) == 4
    assert searched["typicality"] <= plain["typicality"]


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["vgg11, maps of 2x2", "vgg13 gap", "vgg19 normalised"])
def test_the_browser_computes_every_kind_of_network(page: Any, kind: str) -> None:
    network = make_network(**KINDS[kind])
    made = network_file.make(network)
    images = noise(network)
    given = [made.about, *encoded([gzip.decompress(made.data)]), encoded([image.tobytes() for image in images])]
    found = page.evaluate(COMPUTE, given)
    ours = reference.answers(made.network, images)
    np.testing.assert_allclose([one["probabilities"] for one in found], ours["probabilities"], atol=1e-4)
    if network.typicality:
        np.testing.assert_allclose([one["typicality"] for one in found], ours["typicality"], atol=1e-2)
    else:
        assert {one["typicality"] for one in found} == {None}


@pytest.mark.browser
def test_it_talks_as_the_service_does(page: Any) -> None:
    conversations, expected = [], []
    for number, asked in enumerate((*TUNED, *FOLLOWED)):
        texts = (*asked.before, asked.text)
        found = None
        if asked.photo:
            top = ((asked.photo, 0.95), ("Monarch", 0.04))
            found = Identification(asked.photo, 0.95, number % 2 == 0, top)
        pieces = list(embedded().answer([Message("user", text) for text in texts], found))
        expected.append(
            [
                "".join(piece.text for piece in pieces),
                [piece.more for piece in pieces if piece.more],
                [list(piece.suggestions) for piece in pieces if piece.suggestions],
                [source.url for piece in pieces for source in piece.sources],
            ]
        )
        identification = found and {
            "species": found.species,
            "probability": found.probability,
            "verdict": "named" if found.named else "none",
            "top5": [{"species": name, "probability": share} for name, share in found.ranked],
        }
        messages = [{"role": "user", "text": text} for text in texts]
        conversations.append({"messages": messages, "identification": identification})
    for events, (text, more, suggestions, urls) in zip(page.evaluate(TALK, conversations), expected, strict=True):
        assert "".join(event.get("text", "") for event in events) == text
        assert [event["more"] for event in events if "more" in event] == more
        assert [event["suggestions"] for event in events if "suggestions" in event] == suggestions
        assert [source["url"] for event in events for source in event.get("sources", [])] == urls
        assert events[-1] == {"done": True}


def test_the_command_writes_a_small_site(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--run", str(run), "--to", str(tmp_path / "site")])
    assert capsys.readouterr().out.startswith(f"wrote {tmp_path / 'site'}, ")
    written = list((tmp_path / "site").iterdir())
    assert sum(path.stat().st_size for path in written) < 2_000_000
    text = (tmp_path / "site" / "files.js").read_text()
    assert all(path.name in text for path in written if path.name not in ("files.js", "worker.js", "index.html"))
    # Of an earlier site what is no longer part of it goes, and nothing else.
    (tmp_path / "site" / "CNAME").write_text("example.org")
    (tmp_path / "site" / "files.js").write_text(text.replace('"app.css"', '"app.css","gone.js"'))
    (tmp_path / "site" / "gone.js").write_text("")
    main(["--run", str(run), "--to", str(tmp_path / "site")])
    assert {path.name for path in (tmp_path / "site").iterdir()} == {*(path.name for path in written), "CNAME"}


def test_what_a_user_gets_wrong(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in"):
        site.write(tmp_path / "none", tmp_path / "site", base.load())
    (tmp_path / "mine.txt").write_text("of another kind")
    with pytest.raises(UserError, match="is not empty and holds no site"):
        site.write(run, tmp_path, base.load())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_site_is_as_near_as_asked(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = site.write(run, tmp_path / "plain", base.load())
    monkeypatch.setattr(site, "TOLERANCES", {"probabilities": plain.largest_difference / 2})
    nearer = site.write(run, tmp_path / "nearer", base.load())
    assert nearer.largest_difference <= plain.largest_difference / 2
    assert nearer.model_bytes > plain.model_bytes
    monkeypatch.setattr(site, "TOLERANCES", {"probabilities": -1.0})
    with pytest.raises(UserError, match="does not answer as the run does"):
        site.write(run, tmp_path / "none", base.load())
    assert not (tmp_path / "none").exists()
