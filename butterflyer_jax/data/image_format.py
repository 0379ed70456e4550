"""Image formats recognised by their first bytes, whatever the file is called."""

from __future__ import annotations

import re
from dataclasses import dataclass

# An SVG may begin with comments.
HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """An image format.

    Attributes:
      name: name that users know it by.
      reader: name of the format in Pillow; None for a format that is not read.
    """

    name: str
    reader: str | None = None


JPEG = ImageFormat("JPEG", "JPEG")
PNG = ImageFormat("PNG", "PNG")
TIFF = ImageFormat("TIFF", "TIFF")
HEIC = ImageFormat("HEIC", "HEIF")
AVIF = ImageFormat("AVIF", "AVIF")

# Suffixes that promise an image. What the file is, its content says; a file with such a suffix whose content is
# unknown is a reject rather than ignored.
# fmt: off
READ_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jpg_large", ".jpeg_large", ".mpo", ".png", ".apng", ".webp",
    ".bmp", ".dib", ".gif", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif",
}
OTHER_SUFFIXES = {
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f", ".jxl",
    ".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".jxr", ".wdp", ".hdp", ".psd", ".psb", ".svg", ".eps", ".xcf",
    ".tga", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".hdr", ".qoi", ".dds", ".dcm", ".djvu", ".bpg",
    ".flif",
}
# Other files that may hold photos, which are not read from them.
PACKED = {
    ".parquet": "Parquet files", ".arrow": "Arrow files", ".tfrecord": "TFRecord files", ".npz": "NumPy files",
    ".npy": "NumPy files", ".h5": "HDF5 files", ".hdf5": "HDF5 files", ".mat": "MATLAB files", ".pkl": "pickles",
    ".pickle": "pickles", ".pdf": "PDF files", ".docx": "Word documents", ".pptx": "slides", ".lmdb": "databases",
    ".db": "databases", ".sqlite": "databases", ".mdb": "databases", ".mp4": "videos", ".mov": "videos",
}
# fmt: on
SUFFIXES = READ_SUFFIXES | OTHER_SUFFIXES

# Bytes at the very beginning.
_SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", ImageFormat("GIF", "GIF")),
    (b"GIF89a", ImageFormat("GIF", "GIF")),
    (b"FUJIFILMCCD-RAW", ImageFormat("camera raw (Fujifilm RAF)")),
    (b"IIRO", ImageFormat("camera raw (Olympus ORF)")),
    (b"IIRS", ImageFormat("camera raw (Olympus ORF)")),
    (b"MMOR", ImageFormat("camera raw (Olympus ORF)")),
    (b"IIU\0", ImageFormat("camera raw (Panasonic RW2)")),
    (b"II\x1a\0\0\0HEAPCCDR", ImageFormat("camera raw (Canon CRW)")),
    (b"FOVb", ImageFormat("camera raw (Sigma X3F)")),
    (b"\0MRM", ImageFormat("camera raw (Minolta MRW)")),
    (b"II\xbc\x01", ImageFormat("JPEG XR")),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\xff\x0a", ImageFormat("JPEG XL")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", ImageFormat("JPEG XL")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ImageFormat("JPEG 2000")),
    (b"\xff\x4f\xff\x51", ImageFormat("JPEG 2000")),
    (b"8BPS", ImageFormat("Photoshop (PSD)")),
    (b"gimp xcf", ImageFormat("GIMP (XCF)")),
    (b"%!PS-Adobe", ImageFormat("PostScript")),
    (b"\xc5\xd0\xd3\xc6", ImageFormat("PostScript")),
    (b"v/1\x01", ImageFormat("OpenEXR")),
    (b"#?RADIANCE", ImageFormat("Radiance HDR")),
    (b"qoif", ImageFormat("QOI")),
    (b"DDS ", ImageFormat("DDS")),
    (b"AT&TFORM", ImageFormat("DjVu")),
    (b"BPG\xfb", ImageFormat("BPG")),
    (b"FLIF", ImageFormat("FLIF")),
)
_CANON_RAW = ImageFormat("camera raw (Canon)")
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
# Sizes of the header that follows; two letters alone begin many a text.
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_NETPBM = re.compile(rb"P[1-6]\s(\s*#[^\n]*\n)*\s*\d+\s+\d+\s")
_SVG = re.compile(rb"^(\xef\xbb\xbf)?\s*<(\?xml|!--|!DOCTYPE svg|(\w+:)?svg\b)", re.IGNORECASE)


def sniff(head: bytes) -> ImageFormat | None:
    """Returns the format of the file that begins with `head` (`HEAD_BYTES` suffice); None if it is no image."""
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return _CANON_RAW
    for signature, image_format in _SIGNATURES:
        if head.startswith(signature):
            return image_format
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ImageFormat("WebP", "WEBP")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return ImageFormat("BMP", "BMP")
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[128:132] == b"DICM":
        return ImageFormat("DICOM")
    if _NETPBM.match(head):
        return ImageFormat("Netpbm")
    if _SVG.match(head) and re.search(rb"<(\w+:)?svg\b", head):
        return ImageFormat("SVG")
    return None


def what_instead(data: bytes) -> str:
    """Returns, in brackets, what users often have in place of an image, and a remedy; "" for anything else."""
    if not data:
        return " (zero bytes)"
    if re.match(rb"\s*<(!doctype html|html)\b", data[:HEAD_BYTES], re.IGNORECASE):
        return " (a web page: download the image itself)"
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        return " (a pointer of Git LFS: `git lfs pull` brings the image)"
    return ""


def _of_brands(head: bytes) -> ImageFormat | None:
    """Returns the format of an ISO base media file; None for films."""
    # The major brand, its version, then compatible brands: MIAF images may name the codec among these alone.
    box = head[8 : max(16, min(int.from_bytes(head[:4], "big"), HEAD_BYTES))]
    major, brands = box[:4], {box[start : start + 4] for start in range(0, len(box), 4)}
    if major == b"crx ":
        return _CANON_RAW
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1") and brands & {b"avif", b"avis"}):
        return AVIF
    if major in _HEIC_BRANDS:
        return HEIC
    return None
