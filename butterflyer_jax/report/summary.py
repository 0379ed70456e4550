"""The summary that a build prints at its end: at most five lines, from its data card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from butterflyer_jax.report.findings import counted

MAX_REASONS = 3
MAX_SUFFIXES = 4
# Number of findings shown; the page has the rest.
MAX_REMARKS = 4
REMARK_NAMES = 3


def lines(card: Mapping[str, Any], folder: str) -> list[str]:
    """Returns the summary of a built data set.

    Args:
      card: content of data_card.json.
      folder: folder of the data set.
    """
    splits = ", ".join(f"{split} {number:,}" for split, number in card["splits"].items())
    species = counted(len(card["species"]), "species", "species")
    if "labels_by" not in card:
        # Built before 0.2, when the card said less.
        return [f"built: {card['photos']:,} photos of {species} ({splits})", f"data card: {folder}/data_card.html"]
    if origin := origin_of_splits(card):
        splits += f"; {origin}"
    result = [
        f"built: {counted(card['photos'], 'photo', 'photos')} of {species} ({splits}); labels by {card['labels_by']}"
    ]
    if card.get("negatives"):
        result[0] += f"; {counted(card['negatives'], 'negative', 'negatives')} beside"
    left = []
    if card["rejects"] or card["missing"]:
        reasons = _most(card["reject_reasons"], MAX_REASONS)
        if card["missing"]:
            rows = counted(card["missing"], "row without a file", "rows without files")
            reasons = f"{reasons}, {rows}" if reasons else rows
        left.append(f"rejected {card['rejects']:,} ({reasons}; see rejects.csv)")
    if card["ignored"]:
        left.append(f"ignored {card['ignored']:,} ({_most(card['ignored_by'], MAX_SUFFIXES)})")
    if left:
        result.append("left out: " + "; ".join(left))
    result.append("groups: " + _groups(card))
    if remarks := _remarks(card):
        result.append("look at: " + "; ".join(remarks))
    result.append(f"data card: {folder}/data_card.html")
    return result


def origin_of_splits(card: Mapping[str, Any]) -> str:
    """Returns which splits the source gives, and which were made of what; "" for cards that do not say."""
    counts: Mapping[str, int] = card["splits"]
    origin = card.get("given_splits")
    if not origin:
        return ""
    given = [split for split in counts if origin[split]]
    made = [split for split, number in counts.items() if number and split not in given]
    if not given:
        return "made by a hash of the photos"
    by = ", ".join(origin["by"][:MAX_REASONS]) + (", …" if len(origin["by"]) > MAX_REASONS else "")
    parts = [f"{_and(given)} by {by}"]
    if made:
        parts.append(f"{_and(made)} made of {'train' if 'train' in given else 'the rest'} by a hash of the photos")
    return ", ".join(parts)


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _most(counts: Mapping[str, int], number: int) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {name}" for name, count in ordered[:number]]
    rest = sum(count for _, count in ordered[number:])
    return ", ".join([*shown, *([f"{rest:,} others"] if rest else [])])


def _groups(card: Mapping[str, Any]) -> str:
    near, groups = card["near_duplicates"], card["groups"]
    parts = []
    if groups["by"]:
        across = counted(groups["across_splits"], "lies", "lie") if groups["across_splits"] else "none lies"
        parts.append(
            f"{counted(groups['groups'], 'group', 'groups')} of {groups['photos']:,} photos by "
            f"{', '.join(groups['by'])}, {across} in two splits"
        )
    across = f", {near['across_splits']:,} in two splits" if near["across_splits"] else ""
    copies = f"near-duplicates: {counted(near['groups'], 'group', 'groups')}{across}"
    parts.append(copies if near["groups"] else "no near-duplicates")
    return "; ".join(parts)


def _remarks(card: Mapping[str, Any]) -> list[str]:
    remarks = []
    for finding in card["findings"]:
        names = finding["names"]
        shown = ", ".join(names[:REMARK_NAMES]) + (", …" if len(names) > REMARK_NAMES else "")
        advice = f": {finding['advice']}" if finding.get("advice") else ""
        remarks.append(finding["title"] + (f" ({shown})" if names else "") + advice)
    remarks += card["notes"]
    more = len(remarks) - MAX_REMARKS
    return remarks[:MAX_REMARKS] + ([f"{more} more on the card"] if more > 0 else [])
