"""A service without a network that is trained: its classifier looks at the mean colour."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from butterflyer_jax.app.chat.conversation import Identification, Message, Piece
from butterflyer_jax.app.feedback import FeedbackStore
from butterflyer_jax.app.identify import Identifier
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.app.server.decoder import Decoder
from butterflyer_jax.app.server.service import Parts, work_of
from butterflyer_jax.app.settings import Settings
from butterflyer_jax.metrics.ranks import Ranks
from butterflyer_jax.runs.examples import Examples

SPECIES = ("Monarch", "Green_Unknown", "Red Admiral")
ORANGE, GREEN, GREY, DIM = (240, 10, 10), (10, 240, 10), (120, 120, 120), (160, 110, 100)


class Colours:
    """Red is a Monarch, green the unknown one; the less colour the less sure."""

    name = "colours"
    species = SPECIES
    threshold = 0.4
    ranks: Ranks | None = None
    listed: np.ndarray | None = None
    has_typicality = True
    short_side = 40
    crop_fraction = 0.8
    image_size = 32

    def __init__(self) -> None:
        self.batches: list[int] = []

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8 and images.shape[1:] == (32, 32, 3)
        self.batches.append(len(images))
        logits = images.mean(axis=(1, 2)) / 30
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def classify(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities = self.probabilities(images)
        return probabilities, probabilities.max(axis=1) < self.threshold

    def excess(self, images: np.ndarray) -> np.ndarray:
        """The surer, the more typical."""
        return 50 * (self.threshold - self.probabilities(images).max(axis=1))

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.linspace(0, 1, 49).reshape(1, 7, 7).repeat(len(images), 0) * (1 + labels[:, None, None]) / 3


def make_examples() -> Examples:
    """Photos of two of the species; the two are confused."""
    photos = {
        "Monarch": (picture(ORANGE, kind="JPEG"), picture(DIM, kind="JPEG")),
        "Red Admiral": (picture(GREY, kind="JPEG"),),
    }
    return Examples(photos, {"Monarch": ("Red Admiral",)}, photos_per_species=2, step=1)


class Echo:
    """Says what it was given."""

    name = "an echo"

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[Message], Identification | None]] = []

    def answer(self, messages: Sequence[Message], identification: Identification | None) -> Iterator[Piece]:
        self.asked.append((messages, identification))
        yield Piece("You said ")
        yield Piece(f"{messages[-1].text} [1]")
        yield Piece(suggestions=("And then?",))
        yield Piece(sources=(base.Source("A book", "A house", "https://example.org/book"),))


class SharedDecoder(Decoder):
    """A decoder whose processes outlive a service: each would take half a second to start."""

    def close(self) -> None:
        pass


@functools.cache
def decoder(**settings: Any) -> Decoder:
    """Returns the decoder of these settings, shared by all tests."""
    return SharedDecoder(work_of(Colours(), Settings(**settings)), 2, Settings().max_waiting, Settings().max_large)


def make_parts(folder: Path, settings: Settings | None = None, **more: Any) -> Parts:
    settings = settings or Settings()
    made: dict[str, Any] = {
        "decoder": decoder(max_pixels=settings.max_pixels, decode_seconds=settings.decode_seconds),
        "identifier": Identifier(Colours()),
        "knowledge": base.load(),
        "answerer": Echo(),
        "feedback": FeedbackStore(folder / "feedback.sqlite"),
        "settings": settings,
    }
    return Parts(**made | more)


def half(colour: tuple[int, int, int], other: tuple[int, int, int]) -> bytes:
    """Returns a photo that is of one colour on the left, of another on the right."""
    image = Image.new("RGB", (200, 100), colour)
    image.paste(other, (100, 0, 200, 100))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def with_square(colour: tuple[int, int, int]) -> bytes:
    """Returns a grey photo with a small square of a colour in a corner."""
    image = Image.new("RGB", (240, 160), GREY)
    image.paste(colour, (5, 5, 45, 45))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def picture(colour: tuple[int, int, int] = ORANGE, size: tuple[int, int] = (60, 48), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()
