"""Makes docs/images/*.jpg anew: the demo's drawings, pages and batches, and the application in a browser.

.venv/bin/python scripts/make_images.py [NAME …]

Uses demo/, which scripts/demo.sh makes, and trains two small networks: some minutes. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.helpers import app_process, drawn_run  # noqa: E402 - the checkout's own
from tests.helpers.browser import open_browser  # noqa: E402

FOLDER = ROOT / "docs" / "images"
RAW = ROOT / "demo" / "raw" / "butterflies.zip"
DATA = ROOT / "demo" / "data"
QUALITY = 80
# All sections of a page but some of its first, by their number, and some by their names.
HIDE = """([first, names]) => document.querySelectorAll("section").forEach((section, number) => {
    if (number >= first && !names.includes(section.id)) section.remove();
    section.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
})"""


def butterflyer(*line: object) -> None:
    """Runs a command."""
    subprocess.run([sys.executable, "-m", "butterflyer_jax", *map(str, line)], cwd=ROOT, check=True)


def make_species(target: Path) -> None:
    """The eight species that are drawn."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder, target.name)
        butterflyer("synthetic", "--output", f"{folder}/raw.zip", "--photos", 1, "--contact_sheet", sheet)
        shutil.copyfile(sheet, target)


def make_batch(target: Path) -> None:
    """An augmented batch."""
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder, "batch.png")
        strength = "--config.augment.strength=medium"
        butterflyer("preview", "--input", DATA, "--config", "demo", strength, "--grid", grid)
        with Image.open(grid) as image:
            image.convert("RGB").save(target, quality=QUALITY)


def make_data_card(target: Path) -> None:
    """The top of the demo's data card."""
    [card] = DATA.glob("butterflies/*/*/data_card.html")
    _photograph_page(card, target, 2, ["species", "samples"], height=1390)


def make_report(target: Path) -> None:
    """Parts of the report on the demo after 5 epochs instead of 15, so that it has mistakes."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "five epochs")
        short = ("--config.num_epochs=5", "--config.export.format=none")
        butterflyer("train", "--config", "demo", "--input", DATA, "--output", run, *short)
        butterflyer("evaluate", "--run", run, "--split", "test")
        _photograph_page(run / "report" / "index.html", target, 1, ["confusions", "mistakes"])


def make_app(target: Path) -> None:
    """The page with a drawing that it names, on a wide screen."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_browser() as browser,
        app_process.start(Path(folder), "--run", drawn_run.train(Path(folder))) as service,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(service.url)
        photo = {"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": drawn_run.draw("Monarch", 1001, 640, 480)}
        page.set_input_files("#choose", [photo])
        page.wait_for_selector("#facts:not([hidden])")
        for number, question in enumerate(("What do its caterpillars eat?", "And how big does it get?")):
            page.fill("#message", question)
            page.press("#message", "Enter")
            page.locator(".bubble.assistant").nth(number).wait_for()
            page.wait_for_selector("#send:enabled")
        # Without the button that leads to the questions from further up, and the conversation whole.
        page.evaluate("document.getElementById('talk').style.maxHeight = 'none'; document.activeElement.blur()")
        page.evaluate("document.getElementById('to-chat').remove()")
        _photograph(page, target)


def _photograph_page(source: Path, target: Path, first: int, names: Sequence[str], height: int | None = None) -> None:
    with open_browser() as browser:
        # As on a screen of two columns, smaller.
        page = browser.new_page(viewport={"width": 1100, "height": 800}, device_scale_factor=0.8)
        page.goto(source.as_uri())
        page.evaluate(HIDE, [first, list(names)])
        page.wait_for_function("Array.from(document.images).every((image) => image.complete)")
        _photograph(page, target, height)


def _photograph(page: Any, target: Path, height: int | None = None) -> None:
    clip = {"clip": {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": height}} if height else {}
    page.screenshot(path=target, type="jpeg", quality=QUALITY, full_page=True, **clip)


IMAGES: dict[str, Callable[[Path], None]] = {
    "species": make_species,
    "batch": make_batch,
    "data_card": make_data_card,
    "report": make_report,
    "app": make_app,
}


def main() -> None:
    """Runs the command with its arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *IMAGES], metavar="NAME", help=f"of {', '.join(IMAGES)}")
    for name in parser.parse_args().names or IMAGES:
        target = FOLDER / f"{name}.jpg"
        IMAGES[name](target)
        print(f"wrote {target.relative_to(ROOT)}, {target.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
