"""Camera and capture time of a photo, from its EXIF data."""

from __future__ import annotations

import datetime
import io

from PIL import ExifTags, Image

# EXIF data precedes the pixels, in a segment of at most 64 KiB.
_HEAD_BYTES = 1 << 17


def captured(data: bytes) -> str:
    """Returns camera and capture time from EXIF, "camera|2020-05-17T10:22:31.40"; "" where they are missing."""
    if b"Exif" not in data[:_HEAD_BYTES]:
        return ""
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            details = exif.get_ifd(ExifTags.IFD.Exif)
        taken = str(details.get(ExifTags.Base.DateTimeOriginal) or "").strip("\0 ")
        time = datetime.datetime.strptime(taken, "%Y:%m:%d %H:%M:%S")
        fraction = str(details.get(ExifTags.Base.SubsecTimeOriginal) or "").strip("\0 ")
    except Exception:
        # Damaged EXIF data is no reason to reject a photo.
        return ""
    camera = [exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model), details.get(ExifTags.Base.BodySerialNumber)]
    name = " ".join(str(part).strip("\0 ") for part in camera if part)
    return f"{name}|{time.isoformat()}.{fraction if fraction.isdigit() else 0}" if name else ""
