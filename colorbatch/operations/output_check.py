"""Check one output against its row, its signature, and the luma of its source."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from colorbatch.errors import MissingExtraError, PictureError, reason_of
from colorbatch.formats import decode, encode, mark
from colorbatch.formats.credentials import SignatureState, credentials_of
from colorbatch.operations.jpeg_luma import is_luma_copied
from colorbatch.operations.second_reader import luma_of_file
from colorbatch.pixels import color
from colorbatch.pixels.picture import Frame, Picture, Pixels
from colorbatch.records.retouch import Retouch, Retouches
from colorbatch.records.row import Row
from colorbatch.run.plan import plan_batch
from colorbatch.run.resume import earlier_outputs
from colorbatch.run.signing import is_colored
from colorbatch.store.store import Store

_EXACT_TOLERANCE = 1.0
"""Maximum difference of luma in lossless formats, in levels: source and output are rounded to whole levels of RGB."""
_SECOND_TOLERANCES = {8: 2.0, 16: 5.0}
"""The same as the second reader finds it, whose transforms of profiles round to whole numbers, by bit depth."""
_JPEG_TOLERANCE = 0.5
"""A JPEG is encoded again, which changes even a grey one. The root mean square difference of its luma from the
source's, in levels, may exceed that of the source re-encoded in grey with its own table by a quarter and this much."""

Signature = SignatureState | Literal["unchecked"]
"""``unchecked``: the package c2pa-python is not installed."""


@dataclass(frozen=True)
class Folder:
    """The outputs, and what a person said about their sources."""

    output: Store
    retouches: Retouches
    anchors: str | None
    """Trusted certificates in PEM."""
    has_signatures: bool
    """Whether signatures are looked for."""


class Sources:
    """The sources of the outputs: a folder, or a single file."""

    def __init__(self, store: Store, output: Store, rows: Mapping[str, Row]) -> None:
        """List the sources.

        Raises:
            UsageError: the folder or file does not exist, or intersects the outputs.
            StoreUnavailableError: its store does not respond, or denies access.

        """
        planned = plan_batch(store, output, earlier=earlier_outputs(rows.values()))
        self.inputs = {each.input for each in planned}
        self._store = store
        self._is_file = [each.key for each in planned] == [""]

    def read(self, row: Row) -> bytes:
        """Return the source of a row.

        Raises:
            OSError: it cannot be read.

        """
        return self._store.read("" if self._is_file else row.input)


@dataclass
class Outcome:
    """Outcome of the check of one output."""

    problems: list[str] = field(default_factory=list)
    is_marked: bool = False
    luma_difference: float | None = None
    is_luma_copied: bool = False
    signature: Signature | None = None


def check(row: Row, folder: Folder, source: Sources | None) -> Outcome:
    """Check one output against its row and its source."""
    outcome = Outcome()
    _check_sidecar(row, folder.output, outcome)
    try:
        output = folder.output.read(str(row.output))
    except OSError as error:
        outcome.problems.append(f"the output cannot be read: {reason_of(error)}")
        return outcome
    if folder.has_signatures and is_colored(row):
        _check_signature(row, output, folder.anchors, outcome)
    if hashlib.sha256(output).hexdigest() != row.output_sha256:
        outcome.problems.append("the output was altered after it was made")
        return outcome
    original = None if source is None else _source_of(row, source, outcome)
    if row.is_copy:  # which the hashes prove
        return outcome
    try:
        picture = decode(output, max_megapixels=float("inf"))
        _check_mark(row, picture, folder.retouches.get(row.input), outcome)
        if original is None:
            return outcome
        outcome.is_luma_copied = picture.format == "JPEG" and is_luma_copied(original, output)
        if outcome.is_luma_copied:
            outcome.luma_difference = 0.0
        elif row.luma == "exact":
            outcome.problems.append("its coded luma is not the source's")
        else:
            _check_luma(decode(original, float("inf"), salvage=row.is_salvaged), picture, outcome)
            if not outcome.problems:
                _check_with_second_reader(original, output, picture.first.bits, outcome)
    except PictureError as error:
        outcome.problems.append(f"it cannot be compared: {error}")
    except MemoryError:
        outcome.problems.append("it cannot be compared: not enough memory")
    return outcome


def _check_sidecar(row: Row, output: Store, outcome: Outcome) -> None:
    """Check the copy of a sidecar, if there is one."""
    name = row.sidecar_output
    if name is None or output.sha256(name) == row.sidecar_output_sha256:
        return
    if output.state(name) is None:
        outcome.problems.append(f"the copy of its sidecar, {name}, is not there")
    else:
        outcome.problems.append(f"the copy of its sidecar, {name}, was altered or cannot be read")


def _check_signature(row: Row, output: bytes, anchors: str | None, outcome: Outcome) -> None:
    """Validate the signature of an output; one that never had any is counted as ``missing``, without a problem."""
    try:
        found = credentials_of(output, anchors)
    except MissingExtraError:
        outcome.signature = "unchecked"
        return
    outcome.signature = found.state
    match found.state:
        case "broken":
            outcome.problems.append(f"its signature is broken: {found.problem}")
        case "untrusted":
            outcome.problems.append(f"its signature is untrusted: {found.problem}")
        case "missing":
            if row.c2pa is not None:
                outcome.problems.append("its signature is missing")
        case _:
            if found.claim != row.c2pa:
                outcome.problems.append(f"its signed claim is {found.claim}, that of the manifest {row.c2pa}")


def _source_of(row: Row, source: Sources, outcome: Outcome) -> bytes | None:
    """Return the source of a row; ``None``: it cannot be read, or was altered, which is a problem of the outcome."""
    try:
        original = source.read(row)
    except OSError as error:
        outcome.problems.append(f"the source {row.input} cannot be read: {reason_of(error)}")
        return None
    if row.input_sha256 in (None, hashlib.sha256(original).hexdigest()):
        return original
    outcome.problems.append(f"the source {row.input} was altered after the output was made")
    return None


def _check_mark(row: Row, picture: Picture, retouch: Retouch | None, outcome: Outcome) -> None:
    try:
        types = {mark.digital_source_type(frame.metadata.xmp) for frame in picture.frames}
        hints = {mark.given_hints(frame.metadata.xmp) for frame in picture.frames}
    except ValueError as error:
        outcome.problems.append(f"its XMP is damaged: {error}")
        return
    outcome.is_marked = row.digital_source_type is not None and types == {row.digital_source_type}
    if row.digital_source_type is not None and not outcome.is_marked:
        outcome.problems.append("its metadata does not state that a model made its colours")
    elif outcome.is_marked and retouch is not None and retouch.sha256 == row.retouch_sha256:
        given = sum(len(retouch.of_page(number).hints) for number, _ in enumerate(picture.frames, start=1))
        if hints != {given}:
            outcome.problems.append(f"its metadata does not state how many hints a person gave, which is {given}")


def _check_luma(source: Picture, output: Picture, outcome: Outcome) -> None:
    sizes = [[(frame.height, frame.width, frame.bits) for frame in picture.frames] for picture in (source, output)]
    if sizes[0] != sizes[1]:
        outcome.problems.append(f"the pages are {sizes[1]}, those of the source {sizes[0]} (height, width, bits)")
        return
    for before, after in zip(source.frames, output.frames, strict=True):
        differences = _luma_differences(before, after)
        largest = float(differences.max())
        outcome.luma_difference = max(outcome.luma_difference or 0.0, largest)
        if output.format == "JPEG":
            to_grey = _luma_differences(before, _reencoded(before, source))
            is_same = _root_mean_square(differences) <= 1.25 * _root_mean_square(to_grey) + _JPEG_TOLERANCE
        else:
            is_same = largest <= _EXACT_TOLERANCE
        if not is_same:
            outcome.problems.append(f"its luma is not the source's: it differs by up to {largest:.1f} levels")
        if not _is_same(before.alpha, after.alpha):
            outcome.problems.append("its alpha is not the source's")
        if not _is_same(before.unnamed, after.unnamed):
            outcome.problems.append("its extra channel is not the source's")
    if source.masks != output.masks:
        outcome.problems.append("its masks are not the source's")


def _is_same(before: Pixels | None, after: Pixels | None) -> bool:
    """Return whether a channel is the same bit for bit, or missing in both."""
    return before is after if before is None or after is None else np.array_equal(before, after)


def _check_with_second_reader(original: bytes, output: bytes, bits: int, outcome: Outcome) -> None:
    """Compare luma as other libraries read it, in the formats that they read."""
    before, after = luma_of_file(original), luma_of_file(output)
    if before is None or after is None:
        return
    if before.shape != after.shape:
        outcome.problems.append(f"another reader finds {after.shape} pixels, and {before.shape} in the source")
        return
    largest = float(np.abs(before - after).max()) * (2**bits - 1)
    if largest > _SECOND_TOLERANCES[bits]:
        outcome.problems.append(f"another reader finds a luma that is not the source's, by up to {largest:.1f} levels")


def _luma_differences(before: Frame, after: Frame) -> color.Plane:
    """Return the absolute differences of luma, ``[H, W]``, in levels of the frames' bit depth."""
    top = np.float32(2**before.bits - 1)
    differences: color.Plane = np.abs(color.luma_of(before.pixels) - color.luma_of(after.pixels)) * top
    return differences


def _root_mean_square(differences: color.Plane) -> float:
    return float(np.sqrt(np.square(differences, dtype=np.float64).mean()))


def _reencoded(frame: Frame, source: Picture) -> Frame:
    """Return the luma of a frame, encoded as a grey JPEG with the source's own table and decoded again."""
    grey = Frame(color.to_levels(color.luma_of(frame.pixels), np.uint8))
    return decode(encode(Picture((grey,), "JPEG", jpeg=source.jpeg)), max_megapixels=float("inf")).first
