"""The audit page: photos whose label is probably wrong, with the answer and similar photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from butterflyer_jax.report.page import make_environment


@dataclass(frozen=True)
class Neighbour:
    """A similar photo of another group.

    Attributes:
      photo_id: path of the photo in its source.
      species: its label.
      uri: data URI of the image.
    """

    photo_id: str
    species: str
    uri: str


@dataclass(frozen=True)
class Suspect:
    """A photo whose label is probably wrong.

    Attributes:
      photo_id: path of the photo in its source.
      species: its label.
      proposed: species of the out-of-fold answer.
      probability: probability of that species.
      own_probability: probability of the label.
      accepted: whether the answer replaces the label in the table.
      uri: data URI of the image.
      neighbours: similar photos, the most similar first.
    """

    photo_id: str
    species: str
    proposed: str
    probability: float
    own_probability: float
    accepted: bool
    uri: str
    neighbours: Sequence[Neighbour]


def render_audit(metrics: Mapping[str, Any], run: str, table: str, suspects: Sequence[Suspect]) -> str:
    """Returns the audit as one HTML page with its images.

    Args:
      metrics: content of audit.json.
      run: name of the run.
      table: file name of the table.
      suspects: the suspects to show, the most doubtful first.
    """
    template = make_environment().get_template("audit.html.j2")
    return template.render(metrics=metrics, run=run, table=table, suspects=suspects)
