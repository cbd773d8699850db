"""Colour one source in memory: its bytes in, the bytes of its output and its row out. Nothing is read or written."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cached_property

from colorbatch.errors import InferenceError, UnsupportedPictureError, UsageError
from colorbatch.formats import converted, decode, encode, mark, with_coded_luma
from colorbatch.inference.colorizer import Colorizer, resolved
from colorbatch.inference.contract import ModelContract
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.session import hints_unsupported
from colorbatch.job import BatchJob, ColorOptions, Luma, Status
from colorbatch.pixels.color import Plane
from colorbatch.pixels.picture import Frame, Picture
from colorbatch.records.retouch import Retouch, RetouchLine
from colorbatch.records.row import MIGHT_BE_COLOR, Row
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.sidecars import Sidecar, fingerprint, name_of_copy, unusable, usable, with_sidecars
from colorbatch.run.treatment import PageAction, Treatment, lines_of, treatment_of
from colorbatch.stages import StageTimer
from colorbatch.text import to_utf_8
from colorbatch.version import __version__

OBJECTS_KEPT = "something in colour, such as a stamp or a colour chart, was kept as it is"
_KEPT: Mapping[PageAction, str] = {
    "in colour": "already in colour and kept unchanged: page",
    "perhaps in colour": "perhaps in colour and kept unchanged: page",
    "left as it is": "left as it is, as the retouch record says: page",
}
"""Warnings of pictures with pages that are not coloured, before the numbers of the pages."""
SIDECAR_NOT_MERGED = "its sidecar was not merged, since the picture is copied unchanged"
UNMARKED = "without a mark, as requested with --no-mark"


@dataclass(frozen=True)
class Recipe:
    """Everything that determines an output, besides its source."""

    job: BatchJob
    model: ModelFile
    options: ColorOptions
    """Options of the job, with the contract's values for those that it leaves open."""
    format: str = ""
    """Format of the output; empty: as the kind of the source requires."""

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
        if self.job.doubtful_color != "color":  # likewise
            settings["doubtful_color"] = self.job.doubtful_color
        if self.format:  # nor this one, which no batch has
            settings["format"] = self.format
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    @cached_property
    def chosen_settings(self) -> Mapping[str, object]:
        """The options that determine the outcome of a source and were not left at their defaults."""
        defaults = BatchJob(self.job.source, self.job.output)
        names = ("already_color", "doubtful_color", "jpeg_luma", "digital_source_type", "convert_profile", "sidecars")
        found = {name: getattr(self.job, name) for name in names if getattr(self.job, name) != getattr(defaults, name)}
        options = asdict(self.job.options)
        return found | {name: value for name, value in options.items() if value != getattr(ColorOptions, name)}


@dataclass(frozen=True)
class Encoded:
    """The output of a source, not yet written."""

    row: Row
    content: bytes
    """Content of the file."""
    sidecar: bytes | None = None
    """Content of the copy of a sidecar beside it; ``None``: there is none."""


@dataclass(frozen=True)
class NoOutput:
    """A source without an output."""

    row: Row
    """Row that states the reason."""


def colorize_source(
    data: bytes, planned: PlannedPicture, recipe: Recipe, colorizer: Colorizer, stages: StageTimer
) -> Encoded | NoOutput:
    """Return the output of one source and its row. Nothing is read or written.

    Raises:
        PictureError: the source cannot be coloured.

    """
    job, contract, retouch = recipe.job, colorizer.session.contract, planned.retouch
    with stages.timed("decode") as cost:
        picture = decode(data, job.max_megapixels, salvage=job.salvage)
        cost.megabytes = sum(frame.pixels.nbytes for frame in picture.frames) / 1e6
    if recipe.format:
        picture = converted(picture, recipe.format)
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
        settings=recipe.chosen_settings,
        retouch_sha256=None if retouch is None else retouch.sha256,
        sidecars_sha256=fingerprint(planned.sidecars),
    )
    picture = replace(picture, warnings=(*picture.warnings, *unusable(planned.sidecars)))
    sidecars = planned.sidecars if job.sidecars == "merge" else ()
    treatment = treatment_of([frame.pixels for frame in picture.frames], retouch, job)
    row = replace(row, reason=treatment.reason)
    if treatment.action == "skip":
        return NoOutput(replace(row, status="skipped", warnings=picture.warnings))
    if treatment.action in ("copy", "leave"):
        is_copy = treatment.action == "copy" or planned.output_name == planned.input
        if is_copy and recipe.format:
            raise UnsupportedPictureError(
                f"{treatment.reason.partition(',')[0]}, and a copy of it cannot become {recipe.format}",
                advice="Give the output the extension of the source, or --already-color recolor.",
            )
        picture, merged = (picture, ()) if is_copy else with_sidecars(picture, sidecars)
        if is_copy and usable(sidecars):
            picture = replace(picture, warnings=(*picture.warnings, SIDECAR_NOT_MERGED))
        name, content = (planned.input, data) if is_copy else (planned.output_name, encode(picture))
    else:
        lines = lines_of(retouch, len(picture.frames))
        picture = _with_objects_kept(treatment.objects, picture)
        with stages.timed("network") as cost:
            picture = _predicted(picture, treatment, lines, colorizer)
            cost.megabytes = sum(frame.chroma.nbytes for frame in picture.frames if frame.chroma is not None) / 1e6
        picture = _with_pages_named(treatment, picture, retouch)
        with stages.timed("encode"):
            if _copies_luma(job, picture):
                picture = with_coded_luma(picture, data)
        picture, merged = with_sidecars(picture, sidecars)
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
                contract.credit,
                recipe.model.sha256,
                recipe.settings_sha256,
                job.digital_source_type,
                row.retouch_sha256,
                sum(len(line.hints) for line in lines),
                row.sidecars_sha256 if merged else None,
            )
            picture = _marked(picture, origin)
        with stages.timed("encode") as cost:
            name, content = planned.output_name, encode(picture)
            cost.megabytes = len(content) / 1e6
    sha256 = hashlib.sha256(content).hexdigest()
    row = replace(row, output=name, output_sha256=sha256, warnings=picture.warnings, sidecars=merged)
    copied = usable(planned.sidecars)[:1] if job.sidecars == "copy" else []
    return _with_copy(Encoded(row, content), *copied[0]) if copied else Encoded(row, content)


def _with_copy(encoded: Encoded, sidecar: Sidecar, content: bytes) -> Encoded:
    """Return an output with the copy of a sidecar beside it."""
    row = replace(
        encoded.row,
        sidecars=(sidecar.name,),
        sidecar_output=name_of_copy(str(encoded.row.output)),
        sidecar_output_sha256=hashlib.sha256(content).hexdigest(),
    )
    return replace(encoded, row=row, sidecar=content)


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


def _predicted(picture: Picture, treatment: Treatment, lines: Sequence[RetouchLine], colorizer: Colorizer) -> Picture:
    """Return the picture with chroma for each page that is coloured, as a person said.

    Raises:
        InferenceError: the model failed on it, or does not support what a person said.

    """
    frames = []
    for action, frame, line in zip(treatment.pages, picture.frames, lines, strict=True):
        if action != "colour":
            frames.append(frame)
            continue
        refuse_unfit(line, colorizer.options, colorizer.session.contract)
        retouched = colorizer.with_options(vividness=line.vividness, strength=line.strength)
        frames.append(retouched.predict_frame(frame, line.hints))
    return replace(picture, frames=tuple(frames))


def refuse_unfit(line: RetouchLine, options: ColorOptions, contract: ModelContract) -> None:
    """Check that a model supports what a person said about a page.

    Raises:
        InferenceError: it does not.

    """
    if line.hints and not contract.hints:
        raise hints_unsupported(contract)
    vividness = options.vividness if line.vividness is None else line.vividness
    strength = options.strength if line.strength is None else line.strength
    try:
        resolved(replace(options, vividness=vividness, strength=strength), contract)
    except UsageError as error:
        raise InferenceError(str(error), advice="Change its line in the retouch record.") from error


def _with_pages_named(treatment: Treatment, picture: Picture, retouch: Retouch | None) -> Picture:
    """Return the picture with warnings that name pages: kept ones, doubtful ones, and those that do not exist."""
    warnings = list(picture.warnings)
    for action, kept in _KEPT.items():
        if action in treatment.pages:
            warnings.append(f"{kept} {_numbers(each == action for each in treatment.pages)}")
    if any(treatment.doubted):
        where = f" (page {_numbers(treatment.doubted)})" if len(treatment.doubted) > 1 else ""
        advice = "with --doubtful-color skip or copy, such pictures are not coloured"
        warnings.append(f"{MIGHT_BE_COLOR}{where}; {advice}")
    if retouch is not None and retouch.last_page > len(picture.frames):
        warnings.append(f"the retouch record names page {retouch.last_page}; the last one is {len(picture.frames)}")
    return replace(picture, warnings=tuple(warnings))


def _numbers(is_one: Iterable[bool]) -> str:
    """Return the numbers of some pages, counted from 1."""
    return ", ".join(str(number) for number, is_this in enumerate(is_one, start=1) if is_this)


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
