"""Join the shards of a job: one manifest as if one run had done it all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from colorbatch.location import Location
from colorbatch.records.manifest import Manifest, read_rows, refuse_without_rows
from colorbatch.records.row import NOT_REACHED, Row
from colorbatch.records.state_folder import StateFile, state_files
from colorbatch.run.resume import rows_of_other_sources
from colorbatch.shard import Shard
from colorbatch.store import open_store


@dataclass
class Joined:
    """What a merge found."""

    shards: int = 0
    """Of the split, those that are missing among them; 0: there was nothing to merge."""
    missing: list[int] = field(default_factory=list)
    """Shards that were killed, or never begun."""
    stopped: list[int] = field(default_factory=list)
    """Shards that were stopped by a signal before their last picture."""
    done: int = 0
    skipped: int = 0
    failed: int = 0
    ways: int = 0
    """Different models, or settings, that the outputs of the shards were made with."""

    @property
    def is_whole(self) -> bool:
        """Whether every shard came to its end."""
        return not self.missing and not self.stopped


def join_shards(folder: Location) -> Joined:
    """Write the manifest of an output folder from the records of its shards.

    While shards are missing, their sources have the rows of earlier runs, if any, and the records stay for the next
    merge; when all are there the records are deleted, as are temporary files that killed shards left. Records of an
    older split into another number of shards are taken in below those of the newest one.

    Raises:
        UsageError: no run has left anything in the folder.
        OutputInUseError: a run is at work in it, be it of a shard.
        OutputUnwritableError: it cannot be written.
        StoreUnavailableError: its store does not answer, or refuses.

    """
    output = open_store(folder)
    refuse_without_rows(output)
    with Manifest(output) as record:
        split = _newest_split(state_files(output))
        of_shards = {row.input: row for each in split if not each.is_journal for row in read_rows(output, each)}
        found = _looked_at(split, record.previous if not split else of_shards)
        if split and found.is_whole:
            outputs = {row.input: row.output for row in of_shards.values()}
            rows = [*of_shards.values(), *rows_of_other_sources(outputs, record.previous, output)]
        else:
            rows = list(record.previous.values())
        counts = Counter(row.status for row in rows)
        found.done, found.skipped, found.failed = counts["done"], counts["skipped"], counts["failed"]
        record.finish(rows, keep_shards=not found.is_whole)
    return found


def _newest_split(files: Sequence[StateFile]) -> list[StateFile]:
    """Return what there is of the split into as many shards as the one that was worked on last."""
    of_shards = [(each.shard.count, each) for each in files if each.shard is not None]
    return [each for count, each in of_shards if count == of_shards[-1][0]]


def _looked_at(split: Sequence[StateFile], rows: Mapping[str, Row]) -> Joined:
    """Return which shards are missing."""
    shards = {each.shard for each in split}
    count = max((each.count for each in shards if each is not None), default=0)
    at_end = {each.shard for each in split} - {each.shard for each in split if each.is_journal}
    of_all = [Shard(index, count) for index in range(1, count + 1)]
    left = [row.input for row in rows.values() if row.reason == NOT_REACHED]
    return Joined(
        shards=count,
        missing=[each.index for each in of_all if each not in at_end],
        stopped=[each.index for each in of_all if each in at_end and any(map(each.holds, left))],
        ways=len({(row.model_sha256, row.settings_sha256) for row in rows.values() if row.model_sha256 is not None}),
    )
