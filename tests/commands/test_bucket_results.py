"""What leaves a run in a bucket: answers, reports, exports; and pictures that lie in one. In this process."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gcsfs
import pytest
from PIL import Image

import butterflyer_jax as bj
from butterflyer_jax import evaluate, predict
from butterflyer_jax.app.pocket.__main__ import main as pocket
from butterflyer_jax.errors import UserError
from butterflyer_jax.export.__main__ import main as export
from butterflyer_jax.inference import inputs
from butterflyer_jax.storage import bucket
from tests.conftest import make_photo
from tests.helpers import gcs_server

pytestmark = pytest.mark.gcs

BUCKET = "gs://butterflies"
RUN = f"{BUCKET}/runs/first"
PHOTOS = {"photos/a.jpg": make_photo(1), "photos/below/b.PNG": make_photo(2), "photos/notes.txt": b"hello"}


def zipped(encrypted: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"Monarch/{number}.jpg", make_photo(number))
        archive.writestr("large.bin", bytes(3 << 20), zipfile.ZIP_STORED)
        archive.writestr("Monarch/readme.txt", "hello")
    data = buffer.getvalue()
    if encrypted:
        # The flag in each header, as a program sets it that has a password.
        for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            parts = data.split(mark)
            data = mark.join(
                [parts[0], *(p[: place - 4] + bytes([p[place - 4] | 1]) + p[place - 3 :] for p in parts[1:])]
            )
    return data


@pytest.fixture(scope="module")
def server(trained_run: Path, dataset: Path) -> Iterator[gcs_server.Gcs]:
    """A bucket with a run, its data set and photos."""
    with gcs_server.serve() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        # Those of other tests know another address.
        gcsfs.GCSFileSystem.clear_instance_cache()
        config = json.loads((trained_run / "config.json").read_text()) | {"dataset": f"{BUCKET}/data"}
        files = {f"data/{path.relative_to(dataset).as_posix()}": path for path in dataset.rglob("*") if path.is_file()}
        for part in ("checkpoints", "calibration.json"):
            below = [path for path in [trained_run / part, *(trained_run / part).rglob("*")] if path.is_file()]
            files |= {f"runs/first/{path.relative_to(trained_run).as_posix()}": path for path in below}
        for name, path in files.items():
            server.put(f"butterflies/{name}", path.read_bytes())
        server.put("butterflies/runs/first/config.json", json.dumps(config).encode())
        for name, data in {**PHOTOS, "raw.zip": zipped(), "no.zip": b"hello", "long.zip": bytes(1 << 20)}.items():
            server.put(f"butterflies/{name}", data)
        yield server
        gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def healthy(server: gcs_server.Gcs) -> Iterator[None]:
    yield
    server.fault = gcs_server.no_fault


def names(*given: str) -> list[str]:
    return [picture.name.removeprefix(f"{BUCKET}/") for picture in inputs.pictures(given)]


def test_folders_patterns_and_zips_stand_for_their_pictures() -> None:
    assert names(f"{BUCKET}/photos") == names(f"{BUCKET}/photos/") == ["photos/a.jpg", "photos/below/b.PNG"]
    assert names(f"{BUCKET}/photos/*.jpg") == ["photos/a.jpg"]
    assert names(f"{BUCKET}/**/*.PNG") == ["photos/below/b.PNG"]
    assert names(f"{BUCKET}/raw.zip") == [f"raw.zip/Monarch/{number}.jpg" for number in range(3)]
    assert [p.read() for p in inputs.pictures([f"{BUCKET}/raw.zip"])] == [make_photo(n) for n in range(3)]
    assert [p.read() for p in inputs.pictures([f"{BUCKET}/photos"])] == [make_photo(1), make_photo(2)]


def test_of_a_zip_only_the_pictures_are_read(server: gcs_server.Gcs) -> None:
    pictures = list(inputs.pictures([f"{BUCKET}/raw.zip"]))
    before = server.num_requests
    assert pictures[1].read() == make_photo(1)
    assert server.num_requests == before + 1


def test_answers_to_a_bucket_are_those_to_a_disk(
    server: gcs_server.Gcs, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"{BUCKET}/{name}" for name in ("photos/*.jpg", "raw.zip", "none.jpg", "no.zip", "long.zip")]
    with pytest.raises(SystemExit):
        predict.main(["--run", RUN, *given, "gs://nowhere/a.jpg", "--gradcam", f"{BUCKET}/looks"])
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer.get("error", "")[:19] for answer in answers] == [
        *[""] * 4,
        "no such file: gs://",
        "not a zip that can ",
        "not a zip that can ",
        "no such bucket: gs:",
    ]
    (tmp_path / "raw.zip").write_bytes(zipped())
    predict.main(["--run", str(trained_run), str(tmp_path / "raw.zip")])
    local = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["probabilities"] for answer in local] == [answer["probabilities"] for answer in answers[1:4]]
    assert [answer["gradcam"] for answer in answers[:2]] == [
        f"{BUCKET}/looks/photos_a.gradcam.jpg",
        f"{BUCKET}/looks/Monarch_0.gradcam.jpg",
    ]
    assert len(server.names("butterflies/looks")) == 4
    assert Image.open(io.BytesIO(server.get("butterflies/looks/photos_a.gradcam.jpg"))).size == (43, 43)


def test_what_a_bucket_refuses_is_reported_of_each_picture(server: gcs_server.Gcs) -> None:
    [before] = inputs.pictures([f"{BUCKET}/photos/a.jpg"])
    server.fault = lambda method, path, number: "403"
    with pytest.raises(UserError, match=r"no permission to read gs://butterflies/photos/a\.jpg"):
        before.read()
    for name in ("photos", "photos/*.jpg", "raw.zip"):
        [picture] = inputs.pictures([f"{BUCKET}/{name}"])
        with pytest.raises(UserError, match="no permission to read gs://butterflies/"):
            picture.read()


def test_encrypted_pictures_are_reported(server: gcs_server.Gcs, tmp_path: Path) -> None:
    server.put("butterflies/secret.zip", zipped(encrypted=True))
    (tmp_path / "secret.zip").write_bytes(zipped(encrypted=True))
    for name in (f"{BUCKET}/secret.zip", str(tmp_path / "secret.zip")):
        for picture in inputs.pictures([name]):
            with pytest.raises(UserError, match="encrypted"):
                picture.read()


def test_a_run_in_a_bucket_is_evaluated_with_its_report(server: gcs_server.Gcs, dataset: Path) -> None:
    rows = list(csv.DictReader((dataset / "test.csv").open()))
    table = "".join(f"{row['photo_id']},{'dorsal' if n % 2 else 'ventral'}\n" for n, row in enumerate(rows))
    server.put("butterflies/views.csv", f"filename,view\n{table}".encode())
    evaluate.main(["--run", RUN, "--slices", f"{BUCKET}/views.csv", "--by", "view"])
    metrics = json.loads(server.get("butterflies/runs/first/eval/test/metrics.json"))
    assert metrics["count"] == 12
    assert {view: row["count"] for view, row in metrics["slices"]["view"].items()} == {"dorsal": 6, "ventral": 6}
    page = server.get("butterflies/runs/first/report/index.html").decode()
    assert page.count("data:image/jpeg;base64,") > 3, "photos are in it"
    assert rows[0]["label"] in page and page.rstrip().endswith("</html>")
    assert json.loads(server.get("butterflies/runs/first/calibration.json"))["count"] == 12
    with pytest.raises(UserError, match=r"no such file: gs://butterflies/no\.csv"):
        bj.evaluate(RUN, slices=f"{BUCKET}/no.csv", by=["view"])


def test_exports_go_to_the_run_or_to_another_place(server: gcs_server.Gcs, capsys: pytest.CaptureFixture[str]) -> None:
    export(["--run", RUN, "--format", "onnx"])
    assert f"wrote {RUN}/export/model.onnx, " in capsys.readouterr().out
    beside = ["", ".card.json", ".card.md", ".species.txt"]
    assert server.names("butterflies/runs/first/export") == [
        f"butterflies/runs/first/export/model.onnx{suffix}" for suffix in beside
    ]
    card = json.loads(server.get("butterflies/runs/first/export/model.onnx.card.json"))
    assert card["bytes"] == len(server.get("butterflies/runs/first/export/model.onnx"))
    assert card["check"]["photographs"] == 12

    written = bj.export(RUN, "onnx", f"{BUCKET}/models/mine")
    assert written.path == f"{BUCKET}/models/mine/model.onnx"
    assert server.get("butterflies/models/mine/model.onnx.species.txt").decode().splitlines()[0] == "Blue Stripe"
    # A folder, in the place of an earlier one.
    server.put("butterflies/models/served/card.json", b"{}")
    bj.export(RUN, "savedmodel", f"{BUCKET}/models/served")
    assert json.loads(server.get("butterflies/models/served/card.json"))["format"] == "savedmodel"
    assert {"saved_model.pb", "card.json", "species.txt"} <= {
        name.removeprefix("butterflies/models/served/") for name in server.names("butterflies/models/served")
    }


def test_a_place_that_takes_no_export_is_reported(server: gcs_server.Gcs) -> None:
    server.put("butterflies/models/other/notes.txt", b"hello")
    with pytest.raises(UserError, match="is not empty and holds no export"):
        bj.export(RUN, "savedmodel", f"{BUCKET}/models/other")
    with pytest.raises(UserError, match="no such bucket: gs://nowhere"):
        bj.export(RUN, "onnx", "gs://nowhere/models")
    server.fault = lambda method, path, number: "403" if method != "GET" else ""
    with pytest.raises(UserError, match=f"no permission to write {BUCKET}/models/x"):
        bj.export(RUN, "onnx", f"{BUCKET}/models/x")
    assert not server.names("butterflies/models/x")


def test_a_site_in_a_bucket_says_the_kinds_of_its_files(server: gcs_server.Gcs) -> None:
    pocket(["--run", RUN, "--to", f"{BUCKET}/site"])
    # Browsers run no script and compile no WebAssembly of another kind.
    wanted = {
        "index.html": ("text/html",),
        "app.js": ("text/javascript", "application/javascript"),
        "tfjs-backend-wasm-simd.wasm": ("application/wasm",),
        "manifest.json": ("application/json",),
    }
    for name, kinds in wanted.items():
        filesystem, inner = bucket.connect(f"{BUCKET}/site/{name}")
        assert filesystem.info(inner)["contentType"] in kinds
    with pytest.raises(UserError, match="is not empty and holds no site"):
        pocket(["--run", RUN, "--to", f"{BUCKET}/photos"])
