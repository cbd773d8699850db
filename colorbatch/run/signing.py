"""Sign one output: the last step before it is written, and the same for outputs of earlier runs."""

import hashlib
from dataclasses import replace
from typing import cast

from colorbatch.errors import UnsignableError
from colorbatch.formats.mark import Origin
from colorbatch.formats.signer import Signer
from colorbatch.job import BatchJob, DigitalSourceType
from colorbatch.records.retouch import Retouch
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded, now
from colorbatch.run.treatment import LEFT_AS_IT_IS
from colorbatch.text import to_utf_8

NOT_SIGNED = "not signed: "
"""Beginning of the warning of an output that was to be signed."""
UNSIGNED_AGAIN = "the earlier output was signed, and this one is not: sign it again"


def is_colored(row: Row) -> bool:
    """Return whether a row is that of an output whose colours a model made, which is what a signature states."""
    is_copy = row.is_copy or row.reason == LEFT_AS_IT_IS
    return row.status == "done" and row.output is not None and row.model_sha256 is not None and not is_copy


def is_unsigned(row: Row) -> bool:
    """Return whether a row is that of an output that lacks a signature."""
    return is_colored(row) and row.c2pa is None


def was_signed(row: Row) -> bool:
    """Return whether an output is signed, or one before it was and nobody has signed it again."""
    return row.c2pa is not None or UNSIGNED_AGAIN in row.warnings


def signed(encoded: Encoded, signer: Signer, retouch: Retouch | None, source: bytes | None) -> Encoded:
    """Return an output with a signature; without one, with a warning, if it cannot be signed; a copy as it is.

    Args:
        encoded: the output, finished but for the signature.
        signer: who signs.
        retouch: what a person said about its source, which is what the row says it was made with.
        source: its source; ``None``: not at hand.

    Raises:
        UnsignableError: it cannot be signed, and the signer is strict.

    """
    row = encoded.row
    if not is_colored(row):
        return encoded
    warnings = tuple(each for each in row.warnings if not each.startswith((NOT_SIGNED, UNSIGNED_AGAIN)))
    try:
        _refuse_altered(encoded, source)
        found = signer.signed(encoded.content, to_utf_8(str(row.output)), _origin_of(row, retouch), source)
    except UnsignableError as error:
        if signer.strict:
            raise
        return replace(encoded, row=replace(row, warnings=(*warnings, f"{NOT_SIGNED}{error}")))
    sha256 = hashlib.sha256(found.content).hexdigest()
    row = replace(row, warnings=warnings, output_sha256=sha256, c2pa=found.claim)
    return replace(encoded, row=row, content=found.content)


def completed_again(row: Row) -> Row:
    """Return the row of an output that is signed now, after it was coloured."""
    return replace(row, colored_at=row.colored_at or row.finished_at, finished_at=now())


def _refuse_altered(encoded: Encoded, source: bytes | None) -> None:
    """Check that what is signed is what the row says.

    Raises:
        UnsignableError: output or source was altered.

    """
    if hashlib.sha256(encoded.content).hexdigest() != encoded.row.output_sha256:
        raise UnsignableError("the output was altered after it was made")
    if source is not None and hashlib.sha256(source).hexdigest() != encoded.row.input_sha256:
        raise UnsignableError("the source was altered after the output was made")


def _origin_of(row: Row, retouch: Retouch | None) -> Origin:
    pages = range(1, (row.frames or 1) + 1)
    return Origin(
        to_utf_8(row.input),
        str(row.input_sha256),
        str(row.model),
        str(row.model_sha256),
        str(row.settings_sha256),
        cast("DigitalSourceType", row.digital_source_type or BatchJob.digital_source_type),
        row.retouch_sha256,
        0 if retouch is None else sum(len(retouch.of_page(page).hints) for page in pages),
    )
