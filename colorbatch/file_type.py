"""Types of files that are given by mistake where a picture, a model or a checkpoint belongs, and what to do instead."""

from dataclasses import dataclass
from pathlib import PurePath

SNIFFED = 512
"""Number of bytes at the start of a file that determine its type: those of a header of tar."""


@dataclass(frozen=True)
class FileType:
    """A type of file that is not read."""

    name: str
    """With its article, as it is called in a message."""
    advice: str
    """What to do with a file of this type among pictures."""
    extensions: tuple[str, ...] = ()
    """In lower case."""


_UNPACK = "Unpack it, and give the folder."
_SAVE_PICTURES = "Save the pictures in it as files, and give these."
_CONVERT = "Convert a copy to TIFF or PNG."

_PDF = FileType("a PDF", "Take its pictures out with: pdfimages -all FILE.pdf NAME", (".pdf",))
_OFFICE = FileType(
    "an office document",
    _SAVE_PICTURES,
    (".doc", ".docx", ".odp", ".ods", ".odt", ".pps", ".ppsx", ".ppt", ".pptx", ".rtf", ".xls", ".xlsx"),
)
_EBOOK = FileType("an e-book", _SAVE_PICTURES, (".epub", ".mobi"))
_VIDEO = FileType(
    "a video",
    "Take its frames out with: ffmpeg -i FILE frame_%05d.png",
    (
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov"),
        *(".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"),
    ),
)
ARCHIVE = FileType(
    "an archive",
    _UNPACK,
    (".7z", ".bz2", ".cbr", ".cbz", ".gz", ".iso", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst"),
)
CHECKPOINT = FileType(
    "a checkpoint of PyTorch",
    "Make a model of it with: colorbatch export CHECKPOINT; of one of DDColor with: colorbatch adopt CHECKPOINT",
)
MODEL = FileType("an ONNX model", "Name it with --model.")
_WEB_PAGE = FileType("a web page (HTML)", "Download the file itself, not the page that shows it.")
_LFS_POINTER = FileType("a pointer of Git LFS", "Fetch the file itself with: git lfs pull")
_EMPTY = FileType("empty", "Copy it again.")
_JPEG_XL = FileType("JPEG XL", _CONVERT, (".jxl",))
_POSTSCRIPT = FileType("PostScript", _CONVERT, (".ps", ".eps"))
_DJVU = FileType("a DjVu document", "Take its pages out with: ddjvu -format=tiff FILE.djvu NAME.tif", (".djvu", ".djv"))

_BY_EXTENSION = {
    extension: each
    for each in (_PDF, _OFFICE, _EBOOK, _VIDEO, ARCHIVE, _JPEG_XL, _POSTSCRIPT, _DJVU)
    for extension in each.extensions
}
_SIGNATURES = (
    (0, b"%PDF-", _PDF),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (0, b"{\\rtf", _OFFICE),
    (0, b"\x1a\x45\xdf\xa3", _VIDEO),  # Matroska
    (0, b"\0\0\x01\xba", _VIDEO),  # MPEG
    (0, b"\0\0\x01\xb3", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),  # ASF
    (0, b"FLV\x01", _VIDEO),
    *(
        (4, b"ftyp" + brand, _VIDEO)
        for brand in (b"3g", b"M4V", b"MSNV", b"avc1", b"dash", b"f4v", b"iso", b"mp4", b"qt")
    ),
    *((4, atom, _VIDEO) for atom in (b"moov", b"mdat", b"wide")),  # QuickTime without a brand
    (8, b"AVI ", _VIDEO),
    (0, b"Rar!\x1a\x07", ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (0, b"\x1f\x8b\x08", ARCHIVE),  # gzip
    (0, b"BZh", ARCHIVE),
    (0, b"\xfd7zXZ\0", ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", ARCHIVE),  # Zstandard
    (257, b"ustar", ARCHIVE),
    (0, b"version https://git-lfs", _LFS_POINTER),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"\0\0\0\x0cJXL ", _JPEG_XL),
    (0, b"%!PS", _POSTSCRIPT),
    (0, b"AT&TFORM", _DJVU),
    (0, b"\x80\x02", CHECKPOINT),  # a pickle, as PyTorch wrote it before version 1.6
)
"""Offset, bytes there, and the type that has them."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_NAME = 30
"""Offset of the name of the first file in a ZIP archive (APPNOTE.TXT, 4.3.7)."""
_TAGS = (b"<!doctype html", b"<html", b"<head", b"<body")


def file_type_of(head: bytes) -> FileType | None:
    """Return the type of a file from its first ``SNIFFED`` bytes; ``None``: a picture, or unknown."""
    if not head:
        return _EMPTY
    if head.startswith(_ZIP):
        return _type_of_zip(head[_ZIP_NAME:])
    if _is_onnx(head):
        return MODEL
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_TAGS):
        return _WEB_PAGE
    return next((each for offset, magic, each in _SIGNATURES if head.startswith(magic, offset)), None)


def file_type_named(name: str) -> FileType | None:
    """Return the type that the extension of a name stands for; ``None``: a picture, or unknown."""
    return _BY_EXTENSION.get(PurePath(name).suffix.lower())


def _type_of_zip(first: bytes) -> FileType:
    """Return the type of a ZIP archive from the name of its first file, and what follows it."""
    if first.startswith((b"[Content_Types].xml", b"_rels/", b"mimetypeapplication/vnd.oasis")):
        return _OFFICE
    if first.startswith(b"mimetypeapplication/epub"):
        return _EBOOK
    return CHECKPOINT if b"/data.pkl" in first or b"/.format_version" in first[:200] else ARCHIVE


def _is_onnx(head: bytes) -> bool:
    """Return whether a file begins like an ONNX model: its IR version, then its producer, opset or graph."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x80 and head[2] in (0x12, 0x1A, 0x3A, 0x42)
