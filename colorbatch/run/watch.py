"""Watch a folder: what arrives is coloured, with the model open and the output folder held all the while.

Each round is a run over a plan of the whole folder, by the code of runs; but only what has changed since the last round
is read. Of all else, name, size, time and inode are compared, and its rows stay.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from typing_extensions import override

from colorbatch.errors import InferenceStoppedError, UsageError
from colorbatch.job import BatchJob, BatchSummary
from colorbatch.location import is_local
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import Manifest
from colorbatch.records.retouch import RETOUCH_NAME, Retouch
from colorbatch.records.row import Row
from colorbatch.run.arrivals import Arrivals
from colorbatch.run.batch import (
    Batch,
    OneEngine,
    count,
    not_reached,
    pictures_in,
    plan_of,
    possible_outputs,
    with_newest_retouches,
    without_key,
)
from colorbatch.run.colorize import row_of
from colorbatch.run.output import refuse_unsupported_times
from colorbatch.run.plan import EarlierOutput, PlannedPicture
from colorbatch.run.resume import with_earlier_output, with_names_in_use_refused
from colorbatch.store import open_store
from colorbatch.store.file_state import FileState
from colorbatch.store.local import LocalStore
from colorbatch.store.store import Entry, Store

logger = logging.getLogger(__name__)

SECONDS_TO_SETTLE = 5.0
"""Default time for which a file must not have changed."""
_PURPOSE = "a watch, which goes on until it is stopped"
_SHARE_OF_LOOKS = 4
"""How many times as long as a look and the manifest after it the pause is: they take a fifth of the time at most."""

_State = tuple[int, int, int]
"""Size in bytes, time of the last change in ns, and inode: what tells a file from another in its place."""


@dataclass(frozen=True)
class Watching:
    """How a folder is watched."""

    settle: float = SECONDS_TO_SETTLE
    """Seconds for which a file must not have changed before it is read."""
    poll: float | None = None
    """Seconds between looks, without events of the system; ``None``: events, if they can be had."""


@dataclass(frozen=True)
class _Known:
    """A source as it was when its row was made."""

    planned: PlannedPicture
    files: Mapping[str, _State | None]
    """States of its file and its sidecars."""

    def is_same(self, other: "_Known") -> bool:
        """Return whether nothing has changed that a row depends on."""
        return self.files == other.files and _plain(self.planned) == _plain(other.planned)


def _plain(planned: PlannedPicture) -> tuple[object, ...]:
    retouch: Retouch | None = planned.retouch
    sidecars = [(each.name, each.rivals) for each in planned.sidecars]
    return planned.verdict, planned.reason, planned.output_name, planned.namesakes, retouch, sidecars


class WatchedFolder(LocalStore):
    """A folder as it was at the last look; a file that has changed since cannot be read."""

    def __init__(self, path: Path, output: Store, settle: float) -> None:
        super().__init__(path)
        self._output = output
        self._settle = settle
        self._entries: list[Entry] = []
        self._is_first = True
        self.states: dict[str, _State | None] = {}
        """By name, at the last look; ``None``: not a file."""
        self._since: dict[str, float] = {}
        """When a state was first seen, on the monotonic clock; missing: long ago."""

    def look(self) -> None:
        """List the folder.

        Raises:
            UsageError: it cannot be listed.
            StoreUnavailableError: it is gone.

        """
        self.refuse_lost()
        entries = list(super().walk(self._output))
        states = {each.name: self._state_of(each) for each in entries}
        self._entries = [replace(each, state=_listed(states[each.name])) for each in entries]
        now, wall = time.monotonic(), time.time()
        for name, state in states.items():
            if state == self.states.get(name):
                continue
            age = wall - state[1] / 1e9 if state is not None and self._is_first else 0.0  # moved later: an old time
            self._since[name] = now - max(0.0, age)
        self.states, self._is_first = states, False
        self._since = {name: since for name, since in self._since.items() if now - since < self._settle}

    def _state_of(self, entry: Entry) -> _State | None:
        if entry.is_folder or entry.problem:
            return None
        with suppress(OSError):
            return _state(self._at(entry.key).stat())
        return None

    def settled_in(self, name: str) -> float:
        """Return the seconds until a file counts as settled, 0 if it does."""
        if name not in self._since:
            return 0.0
        return max(0.0, self._since[name] + self._settle - time.monotonic())

    @override
    def walk(self, avoid: Store) -> Iterator[Entry]:
        yield from self._entries

    @override
    def read(self, name: str, size: int | None = None) -> bytes:
        try:
            content = super().read(name, size)
        except OSError:
            self._refuse_changed(name)
            raise
        self._refuse_changed(name)
        return content

    def _refuse_changed(self, name: str) -> None:
        """Check that a file is still as it was.

        Raises:
            InferenceStoppedError: it is not; it is left for the next round.

        """
        if self._state_of(Entry(name, name)) != self.states.get(name):
            raise InferenceStoppedError("it has changed since the last look")


def _state(found: os.stat_result) -> _State:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _listed(state: _State | None) -> FileState | None:
    return None if state is None else FileState(state[0], modified=state[1] / 1e9)


def watch_batch(
    job: BatchJob,
    watching: Watching,
    progress: ProgressReporter | None = None,
    stop: threading.Event | None = None,
    after_look: Callable[[BatchSummary | None], None] = lambda _: None,
) -> BatchSummary:
    """Colour what is in ``job.source`` and what arrives there, until ``stop`` is set; return the summary of all.

    Args:
        job: the run; both of its places are local folders.
        watching: how.
        progress: receives updates in each round.
        stop: ends it, as it ends a run.
        after_look: is called after each look, with the summary of the round, or ``None`` if nothing had changed; not
            after ``stop`` was set.

    Raises:
        UsageError: source or output cannot be used, or a choice does not go with watching.
        ColorbatchError: as :func:`colorbatch.run.batch.run_batch`.

    """
    refuse_unwatchable(job)
    progress, stop = progress or SilentProgress(), stop or threading.Event()
    started = time.perf_counter()
    signer, job = without_key(job)
    output = open_store(job.output)
    refuse_unsupported_times(job, output)
    source = WatchedFolder(Path(str(job.source)), output, watching.settle)
    source.refuse_intersection(output)
    source.remember_folder()
    with _Once(), closing(Arrivals(source.path, watching.poll, stop)) as arrivals:
        source.look()
        found = plan_of(job, source, output)
        engines = OneEngine(job, pictures_in(found), is_remote=False)
        with closing(engines), Manifest(output, None, possible_outputs(found), _PURPOSE) as record:
            rounds = _Rounds(Batch(job, source, output, engines, record, progress, stop, signer), source)
            rounds.batch.begin()
            summary = rounds.next(with_newest_retouches(job, found, output))
            rounds.batch.is_lenient = True  # what is wrong from the start, as for a run, is told at once
            while not stop.is_set():
                after_look(summary)
                arrivals.wait(rounds.pause, rounds.settles_in())
                summary = rounds.look()
            return rounds.summary(time.perf_counter() - started)


@dataclass
class _Rounds:
    """What the rounds know of each other."""

    batch: Batch
    source: WatchedFolder
    _known: dict[str, _Known] = field(default_factory=dict)
    """The sources as they were when their rows were made, by input."""
    _unsettled: list[str] = field(default_factory=list)
    _inputs: frozenset[str] | None = None
    _seconds_to_write: float = 0.0
    """What the last manifest took."""

    _said: _State | None = None
    """State of the retouch record at the last look."""
    _problem: str = ""
    """What is wrong with the retouch record; empty if nothing is."""
    pause: float = 0.0
    """Seconds that looks are to pause now."""

    def look(self) -> BatchSummary | None:
        """Look at the folder, and do what is to be done; ``None``: nothing was."""
        if self.batch.stop.is_set():
            return None
        began, before = time.monotonic(), (self.source.states, self._said)
        self.source.look()
        self._said = self._state_of_record()
        found = None if before == (self.source.states, self._said) and not self._unsettled else self._plan()
        cost = time.monotonic() - began
        summary = None if found is None else self.next(found)
        self.pause = _SHARE_OF_LOOKS * (cost + self._seconds_to_write)
        return summary

    def _state_of_record(self) -> _State | None:
        job = self.batch.job
        record = Path(str(job.output), RETOUCH_NAME) if job.retouch is None else job.retouch
        with suppress(OSError):
            return _state(record.stat())
        return None

    def _plan(self) -> list[PlannedPicture]:
        """Return the plan of the folder as it is now; the start of a file that is unchanged is not read again.

        A retouch record that cannot be read is reported, and what it said before stays.
        """
        earlier = {
            name: EarlierOutput(None, known.planned.output_name)
            for name, known in self._known.items()
            if known.planned.output_name and known.files.get(name) == self.source.states.get(name)
        }
        job = replace(self.batch.job, strict_match=False)  # that was so from the start; what is there now may go
        try:
            found = plan_of(job, self.source, self.batch.output, earlier)
        except UsageError as error:
            if str(error) != self._problem:
                logger.warning("%s: what was said before stays", error)
            self._problem = str(error)
            found = plan_of(replace(job, ignore_retouch=True), self.source, self.batch.output, earlier)
            said = {name: known.planned.retouch for name, known in self._known.items()}
            return [replace(each, retouch=said.get(each.input)) for each in found]
        self._problem = ""
        return found

    def next(self, found: Sequence[PlannedPicture]) -> BatchSummary | None:
        """Make what has changed and is settled, and write the manifest; ``None``: nothing was to be done."""
        batch, found = self.batch, with_names_in_use_refused(found, self.batch.record.previous)
        now = {each.input: self._as_it_is(each) for each in found}
        changed = [each for each in found if not self._is_known(now[each.input])]
        self._unsettled = [name for each in changed for name in now[each.input].files if self.source.settled_in(name)]
        waiting = set(self._unsettled)
        plan = [each for each in changed if waiting.isdisjoint(now[each.input].files)]
        inputs, self._seconds_to_write = frozenset(now), 0.0
        if not plan and inputs == self._inputs:
            return None
        batch.summary = BatchSummary()
        parts = batch.parts(plan)
        try:
            if plan:
                batch.make(parts)
        finally:
            for each in plan:
                if each.input in batch.record:
                    self._known[each.input] = now[each.input]
            began, names = time.monotonic(), {each.input for each in changed}
            left = [self._row_left(each, names) for each in found if each.input not in batch.record]
            batch.record.checkpoint([*batch.rows_without_source(found), *left])
            self._seconds_to_write = time.monotonic() - began
            self._known = {name: known for name, known in self._known.items() if name in now}
            self._inputs = inputs
        return batch.summary

    def _as_it_is(self, planned: PlannedPicture) -> _Known:
        names = (planned.input, *(each.name for each in planned.sidecars))
        return _Known(planned, {name: self.source.states.get(name) for name in names})

    def _is_known(self, now: _Known) -> bool:
        known = self._known.get(now.planned.input)
        return known is not None and known.is_same(now)

    def _row_left(self, planned: PlannedPicture, changed: AbstractSet[str]) -> Row:
        """Return the row of a source of which this round made nothing."""
        row = self.batch.record.previous.get(planned.input)
        if row is not None and planned.input not in changed:
            return row
        if planned.verdict == "colour" or (row is not None and row.status == "done"):
            return not_reached(planned, self.batch.run)
        return with_earlier_output(row_of(planned, planned.verdict, planned.reason), row, self.batch.output)

    def settles_in(self) -> float | None:
        """Return the seconds until the next file settles; ``None``: all have."""
        return min(map(self.source.settled_in, self._unsettled), default=None)

    def summary(self, seconds: float) -> BatchSummary:
        """Return the summary of all rounds: every source counts once, as it is now."""
        found = BatchSummary()
        for row in self.batch.record.previous.values():
            count(found, row, kept=row.input not in self.batch.made)
        self.batch.complete(found)
        found.seconds = seconds
        return found


class _Once(logging.Filter):
    """Lets each warning about the plan pass once, for as long as the block lasts: every round has the same."""

    _LOGGER = logging.getLogger("colorbatch.run.plan")

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        said, text = self._said, record.getMessage()
        is_new = text not in said
        said.add(text)
        return is_new

    def __enter__(self) -> None:
        self._LOGGER.addFilter(self)

    def __exit__(self, *_: object) -> None:
        self._LOGGER.removeFilter(self)


def refuse_unwatchable(job: BatchJob) -> None:
    """Check that a job can be done by watching, without writing anything.

    Raises:
        UsageError: it cannot.

    """
    if not (is_local(job.source) and is_local(job.output)):
        raise UsageError(
            "--watch cannot be used with a store: it does not tell what arrives",
            advice="Run the same command without --watch at intervals, by a timer: it reads only what has changed.",
        )
    unfit = {
        "--shard": job.shard is not None,
        "--only": job.only is not None,
        "--salvage": job.salvage,
        "--engine ray": job.engine == "ray",
        "several files": job.files is not None,
    }
    if found := [name for name, is_given in unfit.items() if is_given]:
        raise UsageError(f"--watch cannot be used with {found[0]}", advice="Remove one of them.")
    source = LocalStore(job.source)
    if source.is_itself_a_file() or not source.is_reachable():
        raise UsageError(f"the source {source.shown} is not a folder", advice="Only a folder can be watched.")
