"""Colour one source in memory: its bytes in, the bytes of its output and its row out. Nothing is read or written."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Literal

from colorbatch.formats import decode, encode, mark, with_coded_luma
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.model_file import ModelFile
from colorbatch.job import BatchJob, ColorOptions, Luma, Status
from colorbatch.pixels.color import Plane
from colorbatch.pixels.own_color import find_own_color
from colorbatch.pixels.picture import Frame, Picture, Pixels
from colorbatch.records.row import Row
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import StageTimer
from colorbatch.text import to_utf_8
from colorbatch.version import __version__

IN_COLOR = "it is in colour already"
COPIED = f"{IN_COLOR}, copied unchanged"
OBJECTS_KEPT = "something in colour, such as a stamp or a colour chart, was kept as it is"
UNMARKED = "without a mark, as requested with --no-mark"


@dataclass(frozen=True)
class Recipe:
    """Everything that determines an output, besides its source."""

    job: BatchJob
    model: ModelFile
    options: ColorOptions
    """Options of the job, with the contract's values for those that it leaves open."""

    @cached_property
    def settings_sha256(self) -> str:
        """Hash of all options that determine the outcome of a source."""
        settings = {
            **asdict(self.options),
            "already_color": self.job.already_color,
            "jpeg_luma": self.job.jpeg_luma,
            "digital_source_type": self.job.digital_source_type,
        }
        if self.job.convert_profile:  # not in the hashes of older versions, whose outputs are kept
            settings["convert_profile"] = True
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Encoded:
    """The output of a source, not yet written."""

    row: Row
    content: bytes
    """Content of the file."""


@dataclass(frozen=True)
class NoOutput:
    """A source without an output."""

    row: Row
    """Row that states the reason."""


Action = Literal["colour", "copy", "skip"]


@dataclass(frozen=True)
class Treatment:
    """What becomes of a decoded source, given the colours that it has."""

    action: Action
    in_color: Sequence[bool]
    """Whether each page is in colour, so that it is not coloured."""
    objects: Sequence[Plane | None]
    """Weights of what is in colour on each page, as :class:`~colorbatch.pixels.own_color.OwnColor` has them."""


def treatment_of(pages: Sequence[Pixels], job: BatchJob) -> Treatment:
    """Decide what becomes of a source with these pages, grey ``[H, W]`` or RGB ``[H, W, 3]``."""
    found = [find_own_color(pixels) for pixels in pages]
    objects = [each.objects for each in found]
    if job.already_color == "recolor":
        return Treatment("colour", [False] * len(found), objects)
    in_color = [each.is_widespread for each in found]
    return Treatment(job.already_color if all(in_color) else "colour", in_color, objects)


def colorize_source(
    data: bytes, planned: PlannedPicture, recipe: Recipe, colorizer: Colorizer, stages: StageTimer
) -> Encoded | NoOutput:
    """Return the output of one source and its row. Nothing is read or written.

    Raises:
        PictureError: the source cannot be coloured.

    """
    job, contract = recipe.job, colorizer.session.contract
    with stages.timed("decode") as cost:
        picture = decode(data, job.max_megapixels, salvage=job.salvage)
        cost.megabytes = sum(frame.pixels.nbytes for frame in picture.frames) / 1e6
    input_sha256 = hashlib.sha256(data).hexdigest()
    row = replace(
        row_of(planned, "done"),
        input_sha256=input_sha256,
        input_bytes=len(data),
        width=picture.first.width,
        height=picture.first.height,
        bits=picture.first.bits,
        frames=len(picture.frames),
        model=contract.name,
        model_sha256=recipe.model.sha256,
        settings_sha256=recipe.settings_sha256,
    )
    treatment = treatment_of([frame.pixels for frame in picture.frames], job)
    if treatment.action == "skip":
        return NoOutput(replace(row, status="skipped", reason=IN_COLOR, warnings=picture.warnings))
    if treatment.action == "copy":
        row = replace(row, reason=COPIED)
        name, content = planned.input, data
    else:
        picture = _with_objects_kept(treatment.objects, picture)
        with stages.timed("network") as cost:
            coloured = colorizer.predict(picture)
            cost.megabytes = sum(frame.chroma.nbytes for frame in coloured.frames if frame.chroma is not None) / 1e6
        picture = _keep_color_pages(treatment.in_color, picture, coloured)
        with stages.timed("encode"):
            if _copies_luma(job, picture):
                picture = with_coded_luma(picture, data)
        row = replace(
            row,
            luma=_luma_of(picture),
            provider=colorizer.session.provider,
            digital_source_type=job.digital_source_type,
            confidence=None if picture.confidence is None else round(picture.confidence, 3),
        )
        if job.digital_source_type is None:
            row = replace(row, reason=UNMARKED)
        else:
            origin = mark.Origin(
                to_utf_8(planned.input),
                input_sha256,
                contract.name,
                recipe.model.sha256,
                recipe.settings_sha256,
                job.digital_source_type,
            )
            picture = _marked(picture, origin)
        with stages.timed("encode") as cost:
            name, content = planned.output_name, encode(picture)
            cost.megabytes = len(content) / 1e6
    sha256 = hashlib.sha256(content).hexdigest()
    return Encoded(replace(row, output=name, output_sha256=sha256, warnings=picture.warnings), content)


def _copies_luma(job: BatchJob, picture: Picture) -> bool:
    """Return whether the job wants the coded luma of a picture, if that is a JPEG, in its output."""
    is_converted = job.convert_profile and picture.jpeg is not None and bool(picture.jpeg.profile)
    return job.jpeg_luma == "exact" and not is_converted


def _luma_of(picture: Picture) -> Luma:
    if picture.coded_luma is not None:
        return "exact"
    return "reencoded" if picture.format == "JPEG" else "rounded"


def row_of(planned: PlannedPicture, status: Status, reason: str = "") -> Row:
    """Return a row of this version, finished now."""
    return Row(input=planned.input, status=status, reason=reason, finished_at=now(), version=__version__)


def now() -> str:
    """Return the current time in the format of rows: ISO 8601 in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _keep_color_pages(in_color: Sequence[bool], source: Picture, coloured: Picture) -> Picture:
    """Return the coloured picture, with the source's own frames where they are already in colour."""
    if not any(in_color):
        return coloured
    pairs = zip(in_color, source.frames, coloured.frames, strict=True)
    pages = ", ".join(str(number) for number, is_in_color in enumerate(in_color, start=1) if is_in_color)
    return replace(
        coloured,
        frames=tuple(before if is_in_color else after for is_in_color, before, after in pairs),
        warnings=(*coloured.warnings, f"already in colour and kept unchanged: page {pages}"),
    )


def _with_objects_kept(objects: Sequence[Plane | None], picture: Picture) -> Picture:
    """Return the source, with the weights of what is in colour beside or on black-and-white photographs."""
    pages = [str(number) for number, weights in enumerate(objects, start=1) if weights is not None]
    if not pages:
        return picture
    where = f": page {', '.join(pages)}" if len(picture.frames) > 1 else ""
    return replace(
        picture,
        frames=tuple(replace(frame, own_color=each) for frame, each in zip(picture.frames, objects, strict=True)),
        warnings=(*picture.warnings, f"{OBJECTS_KEPT}{where}"),
    )


def _marked(picture: Picture, origin: mark.Origin) -> Picture:
    """Return the picture with the mark in the XMP of every frame."""
    warnings = list(picture.warnings)

    def mark_frame(frame: Frame) -> Frame:
        try:
            packet = mark.marked(frame.metadata.xmp, origin)
        except ValueError as error:
            warnings.append(f"damaged XMP was dropped: {error}")
            packet = mark.marked(b"", origin)
        return replace(frame, metadata=replace(frame.metadata, xmp=packet))

    frames = tuple(map(mark_frame, picture.frames))
    return replace(picture, frames=frames, warnings=tuple(warnings))
