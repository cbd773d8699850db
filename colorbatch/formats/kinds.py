"""The kinds of picture files, how they are recognised, and the format of their outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from colorbatch.errors import UsageError
from colorbatch.file_type import file_type_named


@dataclass(frozen=True)
class Kind:
    """A kind of picture file."""

    name: str
    """Name of the format in Pillow."""
    written_as: str
    """Format of its output."""
    extensions: tuple[str, ...]
    """Lower-case extensions; the first is appended to names with another one."""


_RAW_EXTENSIONS = (
    *(".dng", ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srw", ".x3f"),
)
KINDS = {
    kind.name: kind
    for kind in (
        Kind("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".pjp", ".pjpeg", ".mpo")),
        Kind("PNG", "PNG", (".png", ".apng")),
        Kind("TIFF", "TIFF", (".tif", ".tiff", ".btf")),
        Kind("WEBP", "WEBP", (".webp",)),
        Kind("JPEG2000", "JPEG2000", (".jp2", ".j2k", ".jpx", ".j2c", ".jpc", ".jpf")),
        Kind("GIF", "PNG", (".gif",)),
        Kind("BMP", "PNG", (".bmp", ".dib")),
        Kind("PPM", "PNG", (".ppm", ".pgm", ".pbm", ".pnm")),
        Kind("AVIF", "PNG", (".avif",)),
        Kind("HEIF", "PNG", (".heic", ".heif", ".hif")),
        Kind("PSD", "TIFF", (".psd", ".psb")),
        Kind("RAW", "TIFF", _RAW_EXTENSIONS),
    )
}
"""All kinds by name. GIF, BMP and the Netpbm formats cannot store colour, profile or metadata; AVIF and HEIC cannot be
written without loss: all of these become PNG. Raw files that begin like a TIFF are taken for one until they are
decoded."""

PICTURE_EXTENSIONS = frozenset(extension for kind in KINDS.values() for extension in kind.extensions)
"""Lower-case extensions of the formats that are read."""
_WRITTEN = tuple(kind for kind in KINDS.values() if kind.name == kind.written_as)
"""Kinds of which outputs are."""
_UNSUPPORTED_EXTENSIONS = frozenset(
    {
        *(".xcf", ".kra", ".afphoto", ".ora", ".raw", ".srf"),
        *(".jxl", ".jxr", ".wdp", ".hdp", ".tga", ".pcx", ".pcd", ".exr", ".hdr", ".dpx", ".fits", ".djvu", ".dcm"),
        *(".eps", ".pdf", ".svg"),
    }
)
"""Lower-case extensions of other kinds of pictures: layered, and others that archives have."""
_EVICTED = ".icloud"
SNIFFED = 64
"""Number of bytes at the start of a file that determine its kind."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"8BPS", "PSD"),
    (b"FUJIFILMCCD-RAW", "RAW"),
    *((start, "RAW") for start in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    *((start, "RAW") for start in (b"IIIITwaR", b"IIIICwaR", b"MMMMRawT", b"II\x1a\0\0\0HEAPCCDR")),
    *((f"P{number}".encode(), "PPM") for number in range(1, 7)),
)
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIF"),
    b"crx ": "RAW",
}
"""Brands of ISO base media files that tell the codec (ISO/IEC 23008-12, annex B; AV1 Image File Format, section 8); the
last is that of Canon's CR3."""
_GENERAL_BRANDS = frozenset({b"mif1", b"msf1"})
"""Brands that leave the codec open, which is HEVC if no other brand tells."""


def sniff(head: bytes) -> Kind | None:
    """Return the kind of a file from its first ``SNIFFED`` bytes, whatever its name; ``None``: unknown."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return KINDS["WEBP"]
    if head[4:8] == b"ftyp":
        brands = _brands_of(head)
        codec = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
        return KINDS[codec or "HEIF"] if codec or not _GENERAL_BRANDS.isdisjoint(brands[:1]) else None
    name = next((name for start, name in _SIGNATURES if head.startswith(start)), None)
    return KINDS[name] if name else None


def _brands_of(head: bytes) -> list[bytes]:
    """Return the major brand and the compatible ones of an ISO base media file (ISO/IEC 14496-12, section 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[place : place + 4] for place in range(16, end, 4))]


def is_unsupported_picture(name: str) -> bool:
    """Return whether a name is that of a kind of picture, or of a file that may hold pictures, that is not read."""
    return _suffix(name) in _UNSUPPORTED_EXTENSIONS or file_type_named(name) is not None


def is_evicted_picture(name: str) -> bool:
    """Return whether a name is that of a placeholder: iCloud removes ``scan.jpg`` and leaves ``.scan.jpg.icloud``."""
    return name.startswith(".") and name.endswith(_EVICTED) and _suffix(name[1 : -len(_EVICTED)]) in PICTURE_EXTENSIONS


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def lacks_extra(name: str) -> bool:
    """Return whether a name is that of a raw file, and the package that develops these is not installed."""
    return Path(name).suffix.lower() in _RAW_EXTENSIONS and find_spec("rawpy") is None


def output_extension(kind: Kind, extension: str) -> str:
    """Return the extension to append to the name of an output; empty if ``extension`` fits its format."""
    written = KINDS[kind.written_as]
    return "" if extension.lower() in written.extensions else written.extensions[0]


def format_written_as(extension: str) -> str | None:
    """Return the format of which a file with an extension is written; ``None``: none that is written."""
    return next((each.name for each in _WRITTEN if extension.lower() in each.extensions), None)


def picture_files(folder: Path) -> list[Path]:
    """Return the files below ``folder`` with extensions of pictures, sorted.

    Raises:
        UsageError: it is not a folder, or contains none.

    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    paths = sorted(path for path in folder.rglob("*") if _is_read(path.name) and path.is_file())
    if not paths:
        raise UsageError(f"no pictures in {folder}", advice=f"Known endings: {' '.join(sorted(PICTURE_EXTENSIONS))}")
    return paths


def _is_read(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_EXTENSIONS and not lacks_extra(name)


def evenly(paths: Sequence[Path], limit: int | None) -> Sequence[Path]:
    """Return at most ``limit`` of the paths, spread evenly over them."""
    if limit is None or limit >= len(paths):
        return paths
    return [paths[index * len(paths) // limit] for index in range(limit)]
