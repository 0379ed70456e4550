"""The TensorBoard tracker: event files, written without TensorFlow."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import text as text_summary

from butterflyer_jax.report import drawing
from butterflyer_jax.tracking.tracker import Pictures, Tracker, numbers_by_name

if TYPE_CHECKING:
    from PIL.Image import Image


class TensorboardTracker(Tracker):
    """Tracker that writes one event file per session of the run; event files hold no models."""

    def __init__(self, folder: Path, about: Mapping[str, Any], start_step: int) -> None:
        """Opens a file for a run that starts or resumes at `start_step`.

        TensorBoard then hides the later steps of older files.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # tensorboardX names a file by the second alone: two starts within one would share it.
        self._writer = EventsWriter(os.fspath(folder / "events"), filename_suffix=f".{os.getpid()}")
        self._write(start_step + 1, session_log=SessionLog(status=SessionLog.START))
        config = json.dumps(about, indent=2, ensure_ascii=False)
        self._write(start_step, summary=text_summary("config", f"```\n{config}\n```"))

    def log(self, record: Mapping[str, Any]) -> None:
        """Writes the numbers of a record, at once."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers_by_name(record).items()]
        self._write(record["step"], summary=Summary(value=values))

    def show(self, pictures: Pictures) -> None:
        """Writes the confusion matrix and the samples as two images."""
        matrix = drawing.confusion_matrix(pictures.confusion, pictures.species)
        values = [Summary.Value(tag="val/confusion", image=_encode(matrix, "PNG"))]
        if pictures.samples:
            pixels = [sample.pixels for sample in pictures.samples]
            captions = [f"{sample.species}\n{sample.verdict}" for sample in pictures.samples]
            grid = drawing.grid(pixels, captions, caption_lines=2)
            values.append(Summary.Value(tag="val/samples", image=_encode(grid, "JPEG")))
        self._write(pictures.step, summary=Summary(value=values))

    def close(self, failed: bool = False) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
        self._writer.flush()


def _encode(picture: Image, picture_format: str) -> Any:
    buffer = io.BytesIO()
    picture.save(buffer, picture_format)
    return Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=buffer.getvalue()
    )
