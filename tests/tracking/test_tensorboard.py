"""Event files, read back by TensorBoard itself."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from butterflyer_jax.tracking import Model, Pictures, Sample
from butterflyer_jax.tracking.tensorboard import TensorboardTracker


def record(step: int, loss: float, split: str = "train") -> dict[str, Any]:
    return {"step": step, "epoch": step / 4, "split": split, "loss": loss, "learning_rate": 0.1}


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    return events.Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 6)) for event in read(folder).Scalars(tag)]


def test_numbers_are_there_at_once(tmp_path: Path) -> None:
    tracker = TensorboardTracker(tmp_path, {"seed": 7}, 0)
    tracker.log(record(1, 0.5))
    tracker.log(record(1, 0.25, "val"))
    assert scalars(tmp_path, "train/loss") == [(1, 0.5)]
    assert scalars(tmp_path, "val/loss") == [(1, 0.25)]
    assert set(read(tmp_path).Tags()["scalars"]) == {
        f"{split}/{name}" for split in ("train", "val") for name in ("loss", "learning_rate")
    }
    [config] = read(tmp_path).Tensors("config/text_summary")
    assert b'"seed": 7' in config.tensor_proto.string_val[0]


def test_going_on_hides_what_is_done_again(tmp_path: Path) -> None:
    first = TensorboardTracker(tmp_path, {}, 0)
    for step in range(1, 8):
        first.log(record(step, step))
    # Killed; the same process, in the same second, stands for the next.
    [path] = tmp_path.iterdir()
    path.rename(tmp_path / "events.out.tfevents.0.before")
    second = TensorboardTracker(tmp_path, {}, 5)
    second.log(record(6, 60))
    second.close()
    assert scalars(tmp_path, "train/loss") == [*((step, float(step)) for step in range(1, 6)), (6, 60.0)]


def test_pictures(tmp_path: Path) -> None:
    samples = [Sample(np.full((32, 32, 3), 200, np.uint8), "Red Edge", "Green Dot", 0.7)] * 3
    tracker = TensorboardTracker(tmp_path, {}, 0)
    tracker.show(Pictures(4, ("Red Edge", "Green Dot"), np.array([[3, 1], [0, 4]]), samples))
    tracker.keep_model(Model(4, None, {}))
    tracker.close()
    events = read(tmp_path)
    assert set(events.Tags()["images"]) == {"val/confusion", "val/samples"}
    for tag in ("val/confusion", "val/samples"):
        [event] = events.Images(tag)
        picture = Image.open(io.BytesIO(event.encoded_image_string))
        assert event.step == 4
        assert picture.size == (event.width, event.height)


def test_it_is_written_without_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from butterflyer_jax.config import TrackingConfig\n"
        "from butterflyer_jax.tracking import open_trackers\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with open_trackers(folder, TrackingConfig(tensorboard=True), {}, 0, print) as trackers:\n"
        "    trackers.log({'step': 1, 'epoch': 1, 'split': 'train', 'loss': 0.5})\n"
        "print({'tensorflow', 'torch', 'wandb', 'jax'} & {*sys.modules})\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
    assert scalars(tmp_path / "tensorboard", "train/loss") == [(1, 0.5)]
