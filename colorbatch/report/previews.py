"""Previews: small pictures of an output and of its source before, reused as long as the files do not change."""

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from colorbatch.errors import PictureError, reason_of
from colorbatch.formats import decode, decoded_bytes
from colorbatch.machine import MemoryBudget
from colorbatch.pixels import color, resize
from colorbatch.records.row import Row
from colorbatch.report.folder import PREVIEWS
from colorbatch.report.scores import Measures, measure
from colorbatch.store import atomic
from colorbatch.store.regular_files import read_regular

KEPT_NAME = "previews.json"
"""Stamps and previews for the next report; written even if a report is stopped."""
SMALL_SIDE, LARGE_SIDE = 384, 1024
"""Longest sides in pixels: on the contact sheet, and of an opened picture."""
_QUALITY = 75
_EFFORT = 1
"""Effort of the WebP encoder, 0 to 6: 1 takes a third of the time of 4, for files that are a seventh larger."""
_VERSION = 3
"""Version of previews and measures; a change makes all previews again."""
_OUTPUT_HASH = 3
"""Position of the hash of the output in a stamp."""
_COPIES = 2
"""Copies of a decoded picture in memory: as read, and in 8 bits on its way to the preview."""

Before = Literal["source", "source in colour", "output"] | None
"""What is shown as the picture before: the luma of a file, or the source as it is; ``None``: nothing was coloured."""
_BEFORE: tuple[Before, ...] = ("source", "source in colour", "output", None)
_Part = Literal["before", "after"]
_Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Preview:
    """The preview of one source."""

    name: str | None = None
    """Name that its files share; ``None``: there is nothing to show."""
    before: Before = None
    width: int = 0
    height: int = 0
    """Size of the small pictures in pixels."""
    measures: Measures | None = None
    """Measures of the output; ``None``: it was not coloured."""
    sizes: Sequence[tuple[str, int]] = ()
    """Its files: paths below the folder of the report, and sizes in bytes."""
    notes: Sequence[str] = ()
    """Problems of the files that it is made from."""


@dataclass(frozen=True)
class Place:
    """The folders that previews are made from and written to."""

    output: Path
    source: Path | None
    report: Path
    memory: MemoryBudget
    """Budget for decoded pictures."""

    def path_of_output(self, row: Row) -> Path | None:
        """Return the file that a row names as its output."""
        return None if row.output is None else self.output / row.output

    def path_of_source(self, row: Row) -> Path | None:
        """Return the file that was read for a row; ``None``: no source is given, or none was read."""
        if self.source is None or row.input_sha256 is None:
            return None
        return self.source if self.source.is_file() else self.source / row.input


def file_name(name: str, part: _Part, *, is_large: bool) -> str:
    """Return the path of a preview file below the folder of the report, as the page's script computes it too."""
    return f"{PREVIEWS}/{name[:2]}/{name[2:]}-{part}{'-large' if is_large else ''}.webp"


def stamp_of(row: Row, place: Place) -> list[Any]:
    """Return everything that a preview depends on; files by size and time, so that they need not be read."""
    files = [_stat_of(path) for path in (place.path_of_output(row), place.path_of_source(row))]
    return [
        _VERSION,
        row.status,
        row.output,
        row.output_sha256,
        row.input_sha256,
        row.is_salvaged,
        row.might_be_color,
        *files,
    ]


def is_of_output(stamp: Sequence[Any], row: Row) -> bool:
    """Return whether a stamp is that of the output that a row names, whatever became of the file since."""
    return len(stamp) > _OUTPUT_HASH and row.output_sha256 is not None and stamp[_OUTPUT_HASH] == row.output_sha256


def read_kept(path: Path) -> Mapping[str, tuple[list[Any], Preview]]:
    """Return stamps and previews of an earlier report by input; none if the file is invalid."""
    try:
        found = json.loads(read_regular(path))
        return {str(name): (list(each["stamp"]), _preview_of(each["preview"])) for name, each in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}


def _preview_of(values: Mapping[str, Any]) -> Preview:
    """Return a preview from untrusted JSON.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: it is not a preview.

    """
    name, before, measures = values["name"], values["before"], values["measures"]
    if (name is not None and not re.fullmatch("[0-9a-f]{32}", name)) or before not in _BEFORE:
        raise ValueError("no preview")
    if measures is not None:
        measures = Measures(**{key: float(value) for key, value in measures.items()})
        if not all(0 <= value < math.inf for value in astuple(measures)):
            raise ValueError("no measures")
    sizes = [(str(part), int(size)) for part, size in values["sizes"]]
    notes = tuple(map(str, values["notes"]))
    return Preview(name, before, int(values["width"]), int(values["height"]), measures, sizes, notes)


def to_json(previews: Mapping[str, tuple[list[Any], Preview]]) -> bytes:
    """Return stamps and previews in the format that :func:`read_kept` reads."""
    kept = {name: {"stamp": stamp, "preview": asdict(preview)} for name, (stamp, preview) in previews.items()}
    return json.dumps(kept, sort_keys=True).encode("ascii")


def files_exist(preview: Preview, folder: Path) -> bool:
    """Return whether all files of a preview exist in their original sizes."""
    try:
        return all((folder / part).stat().st_size == size for part, size in preview.sizes)
    except (OSError, ValueError):
        return False


def make_preview(row: Row, place: Place) -> Preview:
    """Make the previews of one row and write them.

    Raises:
        OutputUnwritableError: they cannot be written.

    """
    notes: list[str] = []
    is_colored = row.output is not None and row.output_sha256 != row.input_sha256
    output = _shrunk(place.path_of_output(row), place.output, "output", row, notes, place)
    source = None
    if place.source is not None and (is_colored or output is None):
        source = _shrunk(place.path_of_source(row), place.source, "source", row, notes, place)
    if is_colored and output is not None:
        before, shown = _before(row, source, output)
        return _written(row, {"after": output, "before": shown}, before, place, notes)
    alone = source if output is None and not is_colored else output
    if alone is None:
        return Preview(notes=tuple(notes))
    return _written(row, {"after": alone}, None, place, notes)


def _before(row: Row, source: _Levels | None, output: _Levels) -> tuple[Before, _Levels]:
    """Return what is shown before: luma, except that a source that might be in colour is shown in its colours."""
    if source is None:
        return "output", color.to_levels(color.luma_of(output))
    if row.might_be_color:
        return "source in colour", source
    return "source", color.to_levels(color.luma_of(source))


def _written(
    row: Row, pictures: Mapping[_Part, _Levels], before: Before, place: Place, notes: Sequence[str]
) -> Preview:
    """Write the small and the large picture of each part, and return the preview."""
    facts = [_VERSION, row.input, row.output_sha256, row.input_sha256, before]
    name = hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()[:32]
    sizes = []
    small: dict[str, _Levels] = {}
    for part, levels in pictures.items():
        image = Image.fromarray(levels)
        shrunk = image.resize(_fit(image.width, image.height, SMALL_SIDE), Image.Resampling.HAMMING)
        small[part] = np.asarray(shrunk)
        encoded_small = _encoded(shrunk)
        encoded_large = encoded_small if shrunk.size == image.size else _encoded(image)
        for encoded, is_large in ((encoded_small, False), (encoded_large, True)):
            path = file_name(name, part, is_large=is_large)
            atomic.write_bytes(place.report / path, encoded, is_durable=False)
            sizes.append((path, len(encoded)))
    height, width = small["after"].shape[:2]
    measures = None if before is None else measure(small["after"])
    return Preview(name, before, width, height, measures, tuple(sizes), tuple(notes))


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=_EFFORT)
    return buffer.getvalue()


def _shrunk(
    path: Path | None, root: Path, kind: Literal["output", "source"], row: Row, notes: list[str], place: Place
) -> _Levels | None:
    """Return the first page of a file, its sides at most ``LARGE_SIDE``; else return ``None``, with a note."""
    if path is None:
        return None
    expected = row.output_sha256 if kind == "output" else row.input_sha256
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            notes.append(f"the {kind} is not shown: a link leads out of its folder")
            return None
        data = read_regular(path)
        if hashlib.sha256(data).hexdigest() != expected:
            notes.append(f"the {kind} was altered after {'it' if kind == 'output' else 'the output'} was made")
            if kind == "source":  # another picture was coloured
                return None
        with place.memory.taken(decoded_bytes(data) * _COPIES):
            pixels = decode(data, max_megapixels=math.inf, salvage=row.is_salvaged).first.pixels
            width, height = _fit(pixels.shape[1], pixels.shape[0], LARGE_SIDE)
            levels = resize.shrink_levels(pixels, (height, width), Image.Resampling.HAMMING)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        notes.append(f"the {kind} cannot be read: {reason_of(error)}")
    except PictureError as error:
        notes.append(f"the {kind} cannot be shown: {error}")
    except MemoryError:
        notes.append(f"the {kind} cannot be shown: not enough memory")
    else:
        return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)
    return None


def _fit(width: int, height: int, longest: int) -> tuple[int, int]:
    """Return width and height of the same aspect ratio, the longer of which is at most ``longest``."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _stat_of(path: Path | None) -> list[int] | None:
    try:
        found = path and path.stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns] if found else None
