"""Static site: the application's page with a network and the knowledge base, which run in the browser."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from butterflyer_jax import runs
from butterflyer_jax.app.identify import SURE
from butterflyer_jax.app.knowledge.base import Knowledge
from butterflyer_jax.app.knowledge.facts import facts
from butterflyer_jax.app.pocket import chat_file, network_file
from butterflyer_jax.app.pocket.network_file import to_json
from butterflyer_jax.app.server.schemas import About
from butterflyer_jax.data import taxonomy
from butterflyer_jax.errors import UserError
from butterflyer_jax.export import reference, verify
from butterflyer_jax.metrics.ranks import SPECIES, Ranks
from butterflyer_jax.storage import files, find, outputs, paths

MAX_UPLOAD_BYTES = 64 << 20
# Largest differences from the run's answers that int8 kernels may cause.
TOLERANCES = {"probabilities": 0.01, "typicality": 0.1}
MARK = "site.json"
# Files of the service's page; the site has its own `service.js` and `worker.js`.
SHARED = resources.files("butterflyer_jax.app").joinpath("static")
OWN = resources.files("butterflyer_jax.app.pocket").joinpath("static")
LAST = ("worker.js", "index.html")
SECURITY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; manifest-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'"
)
HEAD = f"""<meta http-equiv="Content-Security-Policy" content="{SECURITY}">
<link rel="manifest" href="manifest.json">
<link rel="stylesheet" href="pocket.css">
<script defer src="tf-core.js"></script>
<script defer src="tf-backend-wasm.js"></script>
<script type="module" src="pocket.js"></script>
"""
MANIFEST = {
    "name": "Butterflyer",
    "short_name": "Butterflyer",
    "description": "Names the butterfly in a photo, on this device.",
    "start_url": "./",
    "scope": "./",
    "display": "standalone",
    "background_color": "#ffffff",
    "theme_color": "#ffffff",
    "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"}],
}


@dataclasses.dataclass(frozen=True)
class Site:
    """A written site.

    Attributes:
      path: folder of the site, local or gs://.
      bytes: size of all files.
      model_bytes: size of the network.
      largest_difference: largest difference of a probability from the run's, on `images` images of the kind `of`.
    """

    path: str
    bytes: int
    model_bytes: int
    largest_difference: float
    images: int
    of: str


def write(run_folder: str | os.PathLike[str], to: str | os.PathLike[str], knowledge: Knowledge) -> Site:
    """Writes the site of a run's best checkpoint.

    Raises:
      UserError: the folder contains no run or checkpoint, `to` contains other files, or the network gives other answers
        than the run even with all kernels in float32.
    """
    target = paths.path(to)
    outputs.check_folder(target)
    earlier = _earlier(target)
    loaded = runs.load_model(runs.read(run_folder))
    loaded.report_missing()
    network = reference.network_of(loaded)
    samples = verify.choose_samples(loaded.run)
    answers = reference.answers(network, samples.images)
    for made in network_file.make_closest(network):
        difference = _differences(answers, reference.answers(made.network, samples.images))
        if all(difference[name] <= TOLERANCES[name] for name in difference):
            break
    else:
        raise UserError(f"the network of the site does not answer as the run does: {difference}")
    contents = _contents(loaded.name, made, knowledge, loaded.calibration().threshold, loaded.ranks())
    _publish(contents, target, earlier)
    sizes = {file: len(content) for file, content in contents.items()}
    model_bytes = sizes["network.bin.gz"] + sizes["network.json"]
    largest = difference["probabilities"]
    return Site(os.fspath(target), sum(sizes.values()), model_bytes, largest, len(samples.images), samples.of)


def _differences(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in TOLERANCES.keys() & ours.keys()}


def _contents(
    name: str, made: network_file.NetworkFile, knowledge: Knowledge, threshold: float, ranks: Ranks | None
) -> dict[str, bytes]:
    """Returns the files of the site by name."""
    network = made.network
    contents = {file.name: file.read_bytes() for file in SHARED.iterdir() if file.name != "page.html"}
    contents |= {file.name: file.read_bytes() for file in OWN.iterdir() if file.is_file()}
    contents |= {file.name: file.read_bytes() for file in OWN.joinpath("vendor").iterdir()}
    page = SHARED.joinpath("page.html").read_text(encoding="utf-8")
    before, icon, after = page.partition('<link rel="icon"')
    assert icon, "the page has an icon"
    contents["index.html"] = f"{before}{HEAD}{icon}{after}".encode()
    contents["manifest.json"] = to_json(MANIFEST)
    contents["network.json"], contents["network.bin.gz"] = to_json(made.about), made.data
    contents["chat.json.gz"] = gzip.compress(to_json(chat_file.content(knowledge)), mtime=0)
    contents[MARK] = to_json(
        {
            "about": About(
                model=name,
                species=list(network.species),
                threshold=threshold,
                sure=SURE,
                crop_fraction=network.data.eval_crop_fraction,
                chat="embedded",
                max_upload_bytes=MAX_UPLOAD_BYTES,
                keeps_photos=False,
                searches=network.typicality is not None,
            ).model_dump(),
            "input": {key: made.about[key] for key in ("short_side", "crop_fraction", "image_size")},
            "answers": {
                "species": network.species,
                "sure": SURE,
                "threshold": threshold,
                "ranks": None if ranks is None else _ranks(ranks),
                "words": [taxonomy.in_words(SPECIES, species) for species in network.species],
                "limit": network.typicality.limit if network.typicality else None,
            },
            "species": {label: facts(knowledge, label) for label in network.species},
        }
    )
    version = hashlib.sha256(b"".join(contents[file] for file in sorted(contents))).hexdigest()[:16]
    # The worker does not cache itself, and the page is cached under the folder's address.
    cached = ["./", *sorted(contents.keys() - {"worker.js", "index.html"})]
    contents["files.js"] = b"self.SITE = " + to_json({"version": version, "files": cached}) + b";\n"
    return contents


def _ranks(ranks: Ranks) -> list[dict[str, Any]]:
    """Returns the possible ranks of an answer, lowest first, each with its taxa; see `Ranks.answer`."""
    return [
        {
            "name": rank.name,
            "threshold": rank.threshold,
            "taxa": [
                {
                    "name": taxon,
                    "words": taxonomy.in_words(rank.name, taxon),
                    "members": [number for number, one in enumerate(rank.taxa) if one == taxon],
                }
                for taxon in sorted({taxon for taxon in rank.taxa if taxon})
            ],
        }
        for rank in ranks.ranks
        if rank.threshold is not None
    ]


def _earlier(target: Any) -> list[str]:
    """Returns the file names of an earlier site in the folder.

    Raises:
      UserError: the folder contains other files.
    """
    if not files.is_folder(target):
        return []
    found = [path.name for path in find.glob(target, "*")]
    if found and MARK not in found:
        raise UserError(f"{target} is not empty and holds no site; take another --to")
    try:
        script = files.read_text(target / "files.js") if "files.js" in found else "{}"
        listed: list[str] = json.loads(script.removeprefix("self.SITE = ").strip().removesuffix(";")).get("files", [])
    except ValueError:
        listed = []
    return [name for name in listed if name in found]


def _publish(contents: Mapping[str, bytes], target: Any, earlier: list[str]) -> None:
    """Writes the files, last the worker and the page, which publish a new version to visitors."""
    order = sorted(contents, key=lambda name: (name in LAST, name))
    files.make_folder(target)
    with tempfile.TemporaryDirectory() as folder:
        for name in order:
            # A bucket takes the content type of a file from its name.
            Path(folder, name).write_bytes(contents[name])
            files.move(Path(folder, name), target / name)
    for name in earlier:
        if name not in contents:
            files.remove(target / name)
