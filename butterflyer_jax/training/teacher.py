"""A teacher: an ONNX network whose outputs for views of images another network learns."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32

from butterflyer_jax import extras
from butterflyer_jax.config import DistillConfig
from butterflyer_jax.console import progress
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import download
from butterflyer_jax.storage.errors import words_of

# Views per call of the network: more are slower, as they leave the processor's cache.
BATCH = 8
# Side of the input, pixels, where the file leaves it open.
DEFAULT_SIDE = 224
CACHE = "teachers"


class Teacher:
    """An ONNX network from images to vectors: embeddings, logits or probabilities.

    Attributes:
      file: local file.
      image_size: side of its square input, pixels.
    """

    def __init__(self, config: DistillConfig) -> None:
        """Opens the network.

        Raises:
          UserError: no such file, it is no network of images, onnxruntime is missing, or the config has to choose
            among several outputs.
        """
        extras.require("export", "onnxruntime", purpose="config field distill.teacher")
        import onnxruntime

        name = config.teacher
        self.file = download.local_file(name, CACHE)
        if not self.file.is_file():
            raise UserError(f"config field distill.teacher: no such file: {name}")
        onnxruntime.set_default_logger_severity(3)
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(self.file), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UserError(
                f"config field distill.teacher: cannot read {name} as an ONNX network: {words_of(error)}"
            ) from error
        self._config, self._name = config, name
        self._read_input()
        self._output = self._choose_output()

    def _read_input(self) -> None:
        given = self._session.get_inputs()
        shape = given[0].shape if given else []
        if len(given) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise UserError(
                f"config field distill.teacher: {self._name} must have one input, images [n, 3, h, w] or [n, h, w, 3]; "
                f"it has {', '.join(f'{x.name} {x.shape}' for x in given) or 'none'}"
            )
        if given[0].type not in ("tensor(float)", "tensor(float16)", "tensor(uint8)"):
            raise UserError(f"config field distill.teacher: {self._name} takes {given[0].type}, not float or uint8")
        self._input, self._dtype = given[0].name, given[0].type
        self._channels_first = shape[1] == 3
        sides = {side for side in (shape[2:] if self._channels_first else shape[1:3]) if isinstance(side, int)}
        asked = self._config.image_size
        if len(sides) > 1 or (asked and sides - {asked}):
            raise UserError(
                f"config field distill.teacher: the input of {self._name} is {shape}, not a square of "
                f"distill.image_size = {asked} pixels"
            )
        self.image_size: int = sides.pop() if sides else asked or DEFAULT_SIDE
        self._batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else BATCH

    def _choose_output(self) -> str:
        names = [x.name for x in self._session.get_outputs()]
        chosen = self._config.output
        if chosen and chosen not in names:
            raise UserError(f"config field distill.output = {chosen!r}: {self._name} has {', '.join(names)}")
        if not chosen and len(names) > 1:
            raise UserError(f"{self._name} has several outputs: set distill.output to one of {', '.join(names)}")
        return chosen or names[0]

    def outputs(self, images: Iterable[np.ndarray], count: int) -> Float32[np.ndarray, "{count} d"]:
        """Returns the network's outputs for images.

        Args:
          images: uint8 [image_size, image_size, 3] each.
          count: number of images.

        Returns:
          float32 [count, d]; feature maps are averaged over their positions.

        Raises:
          UserError: the network fails.
        """
        parts: list[np.ndarray] = []
        batch: list[np.ndarray] = []
        for number, image in enumerate(progress(images, count, "distill, views"), start=1):
            batch.append(image)
            if len(batch) == self._batch or number == count:
                parts.append(self._run(np.stack(batch)))
                batch = []
        return np.concatenate(parts)

    def _run(self, images: np.ndarray) -> np.ndarray:
        # Some files fix the length of the batch.
        filled = np.concatenate([images, np.repeat(images[:1], self._batch - len(images), axis=0)])
        x: Any = filled
        if self._dtype != "tensor(uint8)":
            x = (filled / np.float32(255) - np.array(self._config.mean, np.float32)) / np.array(
                self._config.std, np.float32
            )
            x = x.astype(np.float16 if self._dtype == "tensor(float16)" else np.float32)
        if self._channels_first:
            x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        try:
            values = np.asarray(self._session.run([self._output], {self._input: x})[0], np.float32)
        except Exception as error:
            raise UserError(
                f"config field distill.teacher: {self._name} fails on its input: {words_of(error)}"
            ) from error
        if values.ndim == 4:
            values = values.mean(axis=(2, 3) if self._channels_first else (1, 2))
        if values.ndim != 2 or len(values) != self._batch or not np.isfinite(values).all():
            raise UserError(
                f"config field distill.teacher: output {self._output} of {self._name} is {list(values.shape)}, or not "
                "finite; one vector per image is needed"
            )
        return values[: len(images)]
