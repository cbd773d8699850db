"""Descriptions for viewers: the IIIF Presentation API 3.0.

A canvas is a page of a scan, and shows a choice of the original, which comes first, and of the coloured picture. A
manifest is a folder of scans, or a file with several pages; the collection lists them.
"""

import hashlib
import json
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from colorbatch.operations.package.contents import Holding, Member, url_below
from colorbatch.operations.package.file_format import FileFormat
from colorbatch.records.row import Row
from colorbatch.text import to_locale

FOLDER = "iiif/"
_CONTEXT = "http://iiif.io/api/presentation/3/context.json"
_TYPES = {
    "JPEG File Interchange Format": "image/jpeg",
    "Exchangeable Image File Format (Compressed)": "image/jpeg",
    "Raw JPEG Stream": "image/jpeg",
    "Portable Network Graphics": "image/png",
    "WebP": "image/webp",
    "Graphics Interchange Format": "image/gif",
    "Tagged Image File Format": "image/tiff",
    "BigTIFF": "image/tiff",
    "JP2 (JPEG 2000 part 1)": "image/jp2",
    "High Efficiency Image File Format": "image/heif",
}
_SHOWN_BY_BROWSERS = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
ORIGINAL = "Original scan"
COLORED = "Coloured by a model: not an original"
_STATEMENT = (
    "The colours of the pictures that are called coloured were made by a model. They are guesses, and not part of the "
    "original."
)
_STATEMENT_LABEL = "About the colours"


@dataclass(frozen=True)
class Image:
    """One of the two images of a page."""

    url: str
    kind: str
    """Media type."""
    width: int
    height: int
    service: str = ""
    """Identifier of its tiles; empty: it has none."""


@dataclass(frozen=True)
class Page:
    """A page of a scan."""

    original: Image
    colored: Image | None
    """``None``: the output is a copy."""


@dataclass(frozen=True)
class Scan:
    """A scan that was coloured, or copied, with its pages."""

    holding: Holding
    pages: Sequence[Page]

    @property
    def row(self) -> Row:
        """The row."""
        return self.holding.row


def image_of(base: str, member: Member, file_format: FileFormat, row: Row) -> Image:
    """Return a file as an image of the size that the manifest says, which is that of the first page."""
    kind = _TYPES.get(file_format.name) or mimetypes.guess_type(member.path)[0] or "application/octet-stream"
    url = member.url or url_below(base, to_locale(member.path))
    return Image(url, kind, row.width or 1, row.height or 1)


def warnings(scans: Sequence[Scan]) -> Iterator[str]:
    """Yield what viewers cannot show."""
    images = [(each.row, image) for each in scans for page in each.pages for image in (page.original, page.colored)]
    hidden = {row.input for row, each in images if each and not each.service and each.kind not in _SHOWN_BY_BROWSERS}
    if hidden:
        yield f"scans in a format that browsers do not show: {len(hidden)}; give --iiif-tiles"
    paged = [each for each in scans if len(each.pages) == 1 and (each.row.frames or 1) > 1]
    if paged:
        yield f"scans of several pages, of which viewers show the first: {len(paged)}; give --iiif-tiles"


def tiles_folder(name: str, part: str, page: int) -> str:
    """Return the folder of the tiles of a page, the same each time.

    Args:
        name: of the scan.
        part: ``original`` or ``coloured``.
        page: from 1.

    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"{FOLDER}tiles/{digest[:2]}/{digest[2:]}-{part}-{page}"


def documents(base: str, label: str, scans: Sequence[Scan]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the path of each document and its parts: manifests, then the collection.

    Args:
        base: address at which the package will be published.
        label: name of the collection.
        scans: in the order of the manifest.

    """
    listed = []
    for folder, name, some in _manifests(scans):
        path = f"{FOLDER}manifests/{folder}/manifest.json".replace("//", "/")
        identifier = url_below(base, to_locale(path))
        listed.append({"id": identifier, "type": "Manifest", "label": {"none": [name or label]}})
        yield path, _manifest(base, identifier, name or label, some)
    identifier = url_below(base, f"{FOLDER}collection.json")
    head = {"@context": _CONTEXT, "id": identifier, "type": "Collection", "label": {"none": [label]}, **_statement()}
    yield f"{FOLDER}collection.json", _with_items(head, iter(listed))


def _manifests(scans: Sequence[Scan]) -> Iterator[tuple[str, str, Sequence[Scan]]]:
    """Yield the folder, the name and the scans of each manifest, by folder."""
    folders: dict[str, list[Scan]] = {}
    for each in scans:
        parent = str(PurePosixPath(each.holding.name).parent)
        folders.setdefault("" if parent == "." else parent, []).append(each)
    for folder in sorted(folders):
        if single := [each for each in folders[folder] if len(each.pages) == 1]:
            yield folder, folder, single
        for each in folders[folder]:
            if len(each.pages) > 1:
                yield each.holding.name, each.holding.name, [each]


def _manifest(base: str, identifier: str, label: str, scans: Sequence[Scan]) -> Iterator[bytes]:
    head = {"@context": _CONTEXT, "id": identifier, "type": "Manifest", "label": {"none": [label]}, **_statement()}
    canvases = (_canvas(base, each, number, page) for each in scans for number, page in enumerate(each.pages, start=1))
    return _with_items(head, canvases)


def _canvas(base: str, scan: Scan, number: int, page: Page) -> Mapping[str, object]:
    digest = hashlib.sha256(scan.holding.name.encode()).hexdigest()[:32]
    identifier = url_below(base, f"{FOLDER}canvas/{digest}/{number}")
    name = PurePosixPath(scan.holding.name).name
    return {
        "id": identifier,
        "type": "Canvas",
        "label": {"none": [name if len(scan.pages) == 1 else f"{name}, {number}"]},
        "width": page.original.width,
        "height": page.original.height,
        "metadata": list(_metadata(scan.row)),
        "items": [
            {
                "id": f"{identifier}/page",
                "type": "AnnotationPage",
                "items": [
                    {
                        "id": f"{identifier}/painting",
                        "type": "Annotation",
                        "motivation": "painting",
                        "target": identifier,
                        "body": _body(page),
                    }
                ],
            }
        ],
    }


def _body(page: Page) -> Mapping[str, object]:
    original = _image(page.original, ORIGINAL)
    if page.colored is None:
        return original
    return {"type": "Choice", "items": [original, _image(page.colored, COLORED)]}


def _image(image: Image, label: str) -> Mapping[str, object]:
    found: dict[str, object] = {
        "id": image.url,
        "type": "Image",
        "format": image.kind,
        "width": image.width,
        "height": image.height,
        "label": {"en": [label]},
    }
    if image.service:
        found["service"] = [{"id": image.service, "type": "ImageService3", "profile": "level0"}]
    return found


def _metadata(row: Row) -> Iterator[Mapping[str, object]]:
    told = {
        "Model": f"{row.model}, sha256 {row.model_sha256}" if row.model_sha256 else "",
        "SHA-256 of the scan": row.input_sha256,
        "SHA-256 of the coloured picture": row.output_sha256 if row.output_sha256 != row.input_sha256 else "",
    }
    for label, value in told.items():
        if value:
            yield {"label": {"en": [label]}, "value": {"none": [value]}}


def _statement() -> Mapping[str, object]:
    """Return what a viewer must show (section 3.1 of the Presentation API, requiredStatement)."""
    return {"requiredStatement": {"label": {"en": [_STATEMENT_LABEL]}, "value": {"en": [_STATEMENT]}}}


def _with_items(head: Mapping[str, object], items: Iterator[Mapping[str, object]]) -> Iterator[bytes]:
    """Yield a JSON object with a list of items, one after the other."""
    yield json.dumps(head).encode("ascii")[:-1] + b', "items": ['
    separator = b"\n"
    for each in items:
        yield separator + json.dumps(each).encode("ascii")
        separator = b",\n"
    yield b"\n]}\n"
