"""Exports of programs that draw boxes: what is a label, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.ingest.test_layouts import FLAT, SPECIES, labels, listing_of, rows, tree


def test_attributes_of_boxes_in_cvat_are_columns(tmp_path: Path) -> None:
    image = (
        '<image id="0" name="{n}.jpg" width="9" height="9"><box label="butterfly" xtl="1" ytl="1" xbr="8" ybr="8">'
        '<attribute name="species">{s}</attribute><attribute name="sex">m</attribute></box></image>'
    )
    listing = listing_of(tmp_path, FLAT | {"annotations.xml": f"<annotations>{rows('', image)}</annotations>"})
    assert labels(listing) == {name: SPECIES[int(Path(name).stem) // 10] for name in FLAT}
    assert all(member.boxes for member in listing.members)


def test_boxes_of_megadetector_are_no_labels(tmp_path: Path) -> None:
    files = tree("{s}/{n}.jpg")
    images = [{"file": name, "detections": [{"category": str(1 + n % 2)}]} for n, name in enumerate(files)]
    found = json.dumps({"detection_categories": {"1": "animal", "2": "person"}, "images": images})
    listing = listing_of(tmp_path, files | {"md.json": found})
    assert labels(listing) == {name: name.split("/")[0] for name in files}
    assert listing.notes == ("tables not used: md.json (the boxes of a detector, which are not labels)",)
