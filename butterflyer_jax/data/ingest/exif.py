"""Camera and time of a photo, from its EXIF."""

from __future__ import annotations

import datetime

from PIL import ExifTags, Image


def captured(exif: Image.Exif) -> str:
    """Returns camera and capture time, "camera|2020-05-17T10:22:31.40"; "" where one is missing."""
    if not exif:
        return ""
    try:
        details = exif.get_ifd(ExifTags.IFD.Exif)
        taken = str(details.get(ExifTags.Base.DateTimeOriginal) or "").strip("\0 ")
        time = datetime.datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
        fraction = str(details.get(ExifTags.Base.SubsecTimeOriginal) or "").strip("\0 ")
        parts = [exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model)]
    except Exception:
        # Damaged EXIF data is no reason to reject a photo.
        return ""
    name = " ".join(str(part).strip("\0 ") for part in (*parts, details.get(ExifTags.Base.BodySerialNumber)) if part)
    return f"{name}|{time.isoformat()}.{fraction if fraction.isdigit() else 0}" if name else ""
