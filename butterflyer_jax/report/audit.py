"""The audit page: photos whose label is probably wrong, with the answer and similar photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Audit:
    """The content of an audit page.

    Attributes:
      name: name of the run.
      data: folder of the data set.
      count: number of photos.
      num_species: number of species.
      num_suspects: number of photos whose answer is another species than the label.
      num_not_judged: number of photos whose species has no photo in another fold.
      num_accepted: number of answers that replace labels in the table.
      table: file name of the table.
      suspects: the suspects to show, the most doubtful first.
    """

    name: str
    data: str
    count: int
    num_species: int
    num_suspects: int
    num_not_judged: int
    num_accepted: int
    table: str
    suspects: Sequence[Suspect]


def render_audit(audit: Audit) -> str:
    """Returns the audit as one HTML page with its images."""
    page: str = make_environment().get_template("audit.html.j2").render(of=audit)
    return page
