"""The data card: one HTML page that shows the content of a built data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.report import charts, findings, pictures, summary
from butterflyer_jax.report.page import make_environment, settings
from butterflyer_jax.report.pictures import CardPhoto

__all__ = ["CardPhoto", "render_data_card"]

SPLITS = ("train", "val", "test")
OPEN_SPECIES = 30
MAX_SPECIES = 300
MAX_REJECTS = 50
MAX_REASONS = 20


@dataclass(frozen=True)
class SpeciesRow:
    """The number of photos of a species, and the length of its bar as a share of the longest."""

    name: str
    counts: Mapping[str, int]
    total: int
    length: float


def render_data_card(
    card: Mapping[str, Any],
    photos: Sequence[CardPhoto],
    rejects: Sequence[tuple[str, str]],
    read_jpeg: Callable[[CardPhoto], bytes],
) -> str:
    """Returns the data card as one HTML page with its images and charts; the same input gives the same page.

    Args:
      card: content of data_card.json.
      photos: all photos of the data set, at least one.
      rejects: (member, reason) of every file that is not in the data set, and of every CSV row without a file.
      read_jpeg: gives the stored JPEG of a photo; called for the at most 146 photos that are shown.
    """
    thumbnails = pictures.Thumbnails(read_jpeg)
    rows = _species_rows(card["species"])
    names = [row.name for row in rows]
    reasons = sorted(card["reject_reasons"].items(), key=lambda item: (-item[1], item[0]))
    return (
        make_environment()
        .get_template("data_card.html.j2")
        .render(
            card=card,
            splits=SPLITS,
            origin_of_splits=summary.origin_of_splits(card),
            findings=findings.find(card, photos),
            open_rows=rows[:OPEN_SPECIES],
            folded_rows=rows[OPEN_SPECIES:MAX_SPECIES],
            num_unlisted=max(0, len(rows) - MAX_SPECIES),
            samples=pictures.choose_samples(photos, names, thumbnails),
            extremes=pictures.choose_extremes(photos, thumbnails),
            charts=charts.draw_charts(photos, card["build"]["image_size"]),
            groups=pictures.choose_groups(photos, thumbnails),
            reasons=reasons[:MAX_REASONS],
            num_more_reasons=max(0, len(reasons) - MAX_REASONS),
            rejects=rejects[:MAX_REJECTS],
            num_more_rejects=max(0, len(rejects) - MAX_REJECTS),
            mean_colour=[round(255 * value) for value in card["pixels"]["mean"]],
            settings=settings(card["build"], BuildConfig),
        )
    )


def _species_rows(species: Mapping[str, Mapping[str, int]]) -> list[SpeciesRow]:
    """Returns a row per species, those with the most photos first."""
    totals = {name: sum(counts.values()) for name, counts in species.items()}
    longest = max(totals.values())
    names = sorted(species, key=lambda name: (-totals[name], name))
    return [SpeciesRow(name, species[name], totals[name], totals[name] / longest) for name in names]
