"""TIFF files before they are decoded: camera raw files among them, and kinds that Pillow reads wrongly."""

from __future__ import annotations

import io

from PIL import TiffImagePlugin

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _PLANES = 254, 258, 259, 262, 284
_SUB_IFDS, _DNG_VERSION = 330, 50706
_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
# Nikon NEF, Sony ARW, Pentax PEF, Kodak.
_RAW_COMPRESSIONS = {34713, 32767, 65535, 65000}


def why_unsupported(data: bytes) -> str:
    """Returns the name of a kind of TIFF that is not read, judged by its first directory; "" for the others.

    Raises:
      Exception: whatever a damaged file makes Pillow's reader raise.
    """
    file = io.BytesIO(data)
    header = file.read(16 if data[2:3] == b"+" or data[3:4] == b"+" else 8)
    directory = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(directory.next)
    directory.load(file)
    if _DNG_VERSION in directory:
        return "camera raw (DNG)"
    if (
        directory.get(_PHOTOMETRIC) in (_FILTER_ARRAY, _LINEAR_RAW)
        or directory.get(_COMPRESSION) in _RAW_COMPRESSIONS
        # The first directory holds a thumbnail; the picture itself lies in one below it.
        or (directory.get(_SUBFILE, 0) & 1 and _SUB_IFDS in directory)
    ):
        return "camera raw"
    bits = directory.get(_BITS, (1,))
    if directory.get(_PLANES) == 2 and max(bits if isinstance(bits, tuple) else (bits,)) > 8:
        return "TIFF with a plane of 16 bits for each colour"
    return ""
