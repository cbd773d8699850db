"""Whether the result of an earlier run is kept or remade: one decision for runs and dry runs."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

from colorbatch.job import BatchJob
from colorbatch.records.row import MIGHT_BE_COLOR, Row
from colorbatch.run.colorize import Recipe
from colorbatch.run.plan import EarlierOutput, PlannedPicture
from colorbatch.run.sidecars import Sidecar, fingerprint, fingerprint_of_etags, read_sidecars
from colorbatch.run.treatment import IN_COLOR
from colorbatch.store.store import Store
from colorbatch.text import printable

RemakeReason = Literal["new", "recipe", "source", "sidecars", "missing", "altered"]
"""``new``: no run has read the source; ``recipe``: it was made by another model, with other settings or another
retouch, or no run finished it; ``source``, ``sidecars``: these have changed; ``missing``, ``altered``: the
state of the output, or of the copy of a sidecar beside it."""
OutputState = Literal["unchanged", "altered", "missing"]
_TIME_RESOLUTION = 1e-6
"""Resolution of a time of today as a float, in seconds, with a margin."""
MAX_CLOCK_SKEW = 2.0
"""Seconds by which the clock of a file system may be ahead, or by which it rounds."""


@dataclass(frozen=True)
class Keep:
    """The output of an earlier run is kept, or its decision not to make one."""

    row: Row
    """Row of that run."""


@dataclass(frozen=True)
class Remake:
    """The source is to be read and coloured."""

    reason: RemakeReason


class Evidence(Protocol):
    """What can be determined about the files of one source."""

    def is_source_unchanged(self, row: Row) -> bool:
        """Return whether the source is unchanged since an earlier row.

        Raises:
            PictureError: the source cannot be read.

        """

    def are_sidecars_unchanged(self, row: Row) -> bool:
        """Return whether the sidecars of the source are unchanged since an earlier row.

        Raises:
            StoreUnavailableError: they cannot be read, nor can anything else.

        """

    def output_state(self, row: Row) -> OutputState:
        """Return the state of the output of an earlier row."""

    def copy_state(self, row: Row) -> OutputState:
        """Return the state of the copy of a sidecar that an earlier row names."""


def decide(planned: PlannedPicture, earlier: Row | None, recipe: Recipe, evidence: Evidence) -> Keep | Remake:
    """Decide whether to keep or remake the output of a source that the plan leaves open.

    Args:
        planned: the source.
        earlier: its row of an earlier run; ``None``: there is none.
        recipe: the recipe of this run.
        evidence: what is known of the files; queried only as needed, the cheapest first.

    Raises:
        PictureError: the source cannot be read.

    """
    if earlier is None or earlier.input_sha256 is None:
        return Remake("new")
    if not _is_same_recipe(earlier, planned, recipe):
        return Remake("recipe")
    if not _is_same_use(earlier, planned, recipe) or not evidence.are_sidecars_unchanged(earlier):
        return Remake("sidecars")
    if not evidence.is_source_unchanged(earlier):
        return Remake("source")
    state = "unchanged" if earlier.output is None else evidence.output_state(earlier)
    if state == "unchanged" and earlier.sidecars and earlier.sidecar_output is not None:
        state = evidence.copy_state(earlier)
    return Keep(earlier) if state == "unchanged" else Remake(state)


def _is_same_recipe(earlier: Row, planned: PlannedPicture, recipe: Recipe) -> bool:
    """Return whether a row was made by the same model with the same settings, whatever the state of the files."""
    if (earlier.model_sha256, earlier.settings_sha256) != (recipe.model.sha256, recipe.settings_sha256):
        return False
    if earlier.retouch_sha256 != (None if planned.retouch is None else planned.retouch.sha256):
        return False
    if earlier.is_salvaged and not recipe.job.salvage:
        return False
    if earlier.status == "skipped":
        return earlier.reason in (IN_COLOR, MIGHT_BE_COLOR)
    has_output = earlier.output in (planned.output_name, planned.input) and earlier.output_sha256 is not None
    return earlier.status == "done" and has_output


def _is_same_use(earlier: Row, planned: PlannedPicture, recipe: Recipe) -> bool:
    """Return whether the sidecars of a source, if it has any, were used in the same way."""
    before = earlier.settings.get("sidecars", BatchJob.sidecars)
    return not planned.sidecars or earlier.sidecars_sha256 is None or before == recipe.job.sidecars


def _are_unchanged(planned: PlannedPicture, row: Row, sidecars: Callable[[], Sequence[Sidecar]]) -> bool:
    """Return whether the sidecars of a source are as a row says, by their ETags or what they hold."""
    etags = fingerprint_of_etags(planned.sidecars)
    if etags is not None and etags == row.sidecars_etag:
        return True
    return row.sidecars_sha256 == (fingerprint(sidecars()) if planned.sidecars else None)


class Appearance(Evidence):
    """Sizes, times and ETags, for which no picture is read: the evidence of a dry run."""

    def __init__(
        self, planned: PlannedPicture, output: Store, sidecars: Callable[[], Sequence[Sidecar]] = tuple
    ) -> None:
        self._planned = planned
        self._output = output
        self._sidecars = sidecars

    def is_source_unchanged(self, row: Row) -> bool:
        """Return whether size and ETag are the same."""
        has_same_etag = self._planned.etag is None or row.input_etag in (None, self._planned.etag)
        return row.input_bytes == self._planned.bytes and has_same_etag

    def are_sidecars_unchanged(self, row: Row) -> bool:
        """Return whether their ETags are the same, or what they hold: they are small."""
        return _are_unchanged(self._planned, row, self._sidecars)

    def copy_state(self, row: Row) -> OutputState:
        """Return whether it exists."""
        return "missing" if self._output.state(str(row.sidecar_output)) is None else "unchanged"

    def output_state(self, row: Row) -> OutputState:
        """Return the state of an output; one that was modified after its row counts as ``altered``."""
        found = self._output.state(str(row.output))
        if found is None:
            return "missing"
        if found.etag is not None and row.output_etag is not None:
            return "unchanged" if found.etag == row.output_etag else "altered"
        try:
            finished = datetime.fromisoformat(str(row.finished_at)).timestamp()
        except ValueError:
            return "altered"
        if found.modified is None:
            return "altered"
        is_preserved = is_same_time(found.modified, self._planned.modified)  # which may be in the future
        return "unchanged" if is_preserved or found.modified <= finished + MAX_CLOCK_SKEW else "altered"


def appearance_of(planned: PlannedPicture, source: Store, output: Store) -> Appearance:
    """Return what the looks of the files of a source tell."""
    return Appearance(planned, output, lambda: read_sidecars(planned.input, planned.sidecars, source))


class Hashes(Evidence):
    """The sha256 of source and output, each computed at most once and only where no ETag answers, or trusted time."""

    def __init__(
        self,
        planned: PlannedPicture,
        read: Callable[[], bytes],
        output: Store,
        sidecars: Callable[[], Sequence[Sidecar]] = tuple,
        *,
        trust_times: bool = False,
    ) -> None:
        """Prepare the hashes, without computing any.

        Args:
            planned: the source.
            read: function that returns the content of the source.
            output: the store of the outputs.
            sidecars: function that returns the sidecars of the source, read.
            trust_times: whether files with the same sizes and times count as unchanged.

        """
        self._planned = planned
        self._read = read
        self._output = output
        self._sidecars = sidecars
        self._trust_times = trust_times
        self.is_source_trusted = False
        """Whether the source was found unchanged by its size and time."""
        self._known: dict[str, str] = {}

    def is_source_unchanged(self, row: Row) -> bool:
        """Return whether the source has the same bytes."""
        is_known = self._planned.etag is not None
        if is_known and (row.input_etag, row.input_bytes) == (self._planned.etag, self._planned.bytes):
            return True
        found = (self._planned.bytes, self._planned.modified)
        self.is_source_trusted = self._trust_times and found == (row.input_bytes, row.input_modified)
        return self.is_source_trusted or row.input_sha256 == hashlib.sha256(self._read()).hexdigest()

    def are_sidecars_unchanged(self, row: Row) -> bool:
        """Return whether their ETags are the same, or what they hold."""
        return _are_unchanged(self._planned, row, self._sidecars)

    def copy_state(self, row: Row) -> OutputState:
        """Return the state of a copy; in a store, and where times are trusted, one that exists is not read."""
        name = str(row.sidecar_output)
        if self._output.state(name) is None:
            return "missing"
        if self._trust_times or self._output.is_remote:
            return "unchanged"
        return "unchanged" if self.of_output(name) == row.sidecar_output_sha256 else "altered"

    def output_state(self, row: Row) -> OutputState:
        """Return the state of an output; one that exists but cannot be read counts as unchanged."""
        name = str(row.output)
        state = self._output.state(name)
        if state is None:
            return "missing"
        if state.etag is not None and state.etag == row.output_etag:
            return "unchanged"
        if self._trust_times and state.bytes == row.output_bytes:
            appearance = Appearance(self._planned, self._output)
            if appearance.output_state(row) == "unchanged":
                return "unchanged"
        if self.of_output(name) not in (None, row.output_sha256):
            return "altered"
        return "unchanged" if self._output.is_file(name) else "missing"

    def of_output(self, name: str) -> str | None:
        """Return the sha256 that a file in the output folder had at the first call; ``None``: there is none."""
        if name not in self._known:
            sha256 = self._output.sha256(name)
            if sha256 is None:
                return None
            self._known[name] = sha256
        return self._known[name]


def is_same_time(modified: float | None, other: float | None) -> bool:
    """Return whether two times of files, in seconds, are the same but for rounding."""
    return modified is not None and other is not None and abs(modified - other) < _TIME_RESOLUTION


def output_exists(row: Row, output: Store) -> bool:
    """Return whether the output that a row names exists, altered or not."""
    return row.output is not None and output.state(row.output) is not None


def with_earlier_output(row: Row, earlier: Row | None, output: Store) -> Row:
    """Return a row without an output of its own; an earlier output that still exists stays on record as ours."""
    if earlier is None or not output_exists(earlier, output):
        return row
    return row.with_output_of(earlier)


def rows_of_other_sources(plan: Mapping[str, str | None], earlier: Mapping[str, Row], output: Store) -> list[Row]:
    """Return the rows of earlier runs for sources that no longer exist, where their outputs still exist.

    Args:
        plan: outputs of the existing sources, by input.
        earlier: rows of earlier runs, by input.
        output: the store of the outputs.

    """
    outputs = set(plan.values())
    return [
        row
        for row in earlier.values()
        if row.input not in plan and row.output not in outputs and output_exists(row, output)
    ]


def with_names_in_use_refused(plan: Sequence[PlannedPicture], earlier: Mapping[str, Row]) -> list[PlannedPicture]:
    """Return a plan in which sources fail whose output has the name of one that stays: that of a source left out now.

    Their names change if both are coloured: with ``a.gif`` alone its output is ``a.gif.png``, which is later that of
    ``a.gif.png``.

    Args:
        plan: of all sources, those that are left out too.
        earlier: rows of earlier runs, by input.

    """
    left_out = (earlier.get(each.input) for each in plan if each.verdict == "skipped")
    in_use = {row.output: row.input for row in left_out if row is not None and row.output is not None}

    def refused(planned: PlannedPicture) -> PlannedPicture:
        owner = in_use.get(planned.output_name, planned.input) if planned.verdict == "colour" else planned.input
        if owner == planned.input:
            return planned
        reason = f"its output has the name of an earlier one, of {printable(owner)}, which this run leaves out"
        return replace(planned, verdict="failed", reason=f"{reason}. Run once without leaving that out.")

    return list(map(refused, plan)) if in_use else list(plan)


def earlier_outputs(rows: Iterable[Row]) -> Mapping[str, EarlierOutput]:
    """Return the outputs of earlier runs for sources that have an ETag, by input."""
    return {
        row.input: EarlierOutput(row.input_etag, row.output)
        for row in rows
        if has_planned_output(row) and row.input_etag is not None and row.output is not None
    }


def has_planned_output(row: Row) -> bool:
    """Return whether the output of a row has the name that is planned for its source: a copy has that of the source."""
    return row.status == "done" and row.output is not None and not row.is_copy
