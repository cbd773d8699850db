"""Merge the shards of a job into one manifest, as if one run had done it all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from colorbatch.location import LocationLike
from colorbatch.records.manifest import Manifest, read_rows, refuse_without_rows, state_files_for
from colorbatch.records.row import NOT_REACHED, Row
from colorbatch.records.state_folder import StateFile
from colorbatch.run.resume import rows_of_other_sources
from colorbatch.shard import Shard
from colorbatch.store import open_store


@dataclass
class Joined:
    """The result of a merge."""

    shards: int = 0
    """Number of shards of the split, including missing ones; 0: there was nothing to merge."""
    missing: list[int] = field(default_factory=list)
    """Shards that were killed or never started."""
    stopped: list[int] = field(default_factory=list)
    """Shards that were stopped by a signal before their last picture."""
    done: int = 0
    skipped: int = 0
    failed: int = 0
    ways: int = 0
    """Number of different combinations of model and settings that the outputs were made with."""

    @property
    def is_whole(self) -> bool:
        """Whether every shard finished."""
        return not self.missing and not self.stopped


def join_shards(folder: LocationLike) -> Joined:
    """Write the manifest of an output folder from the records of its shards.

    While shards are missing, their sources have the rows of earlier runs, if any, and the records are kept for the next
    merge; once all are complete, the records are deleted, as are temporary files of killed shards. Records of an
    older split into another number of shards are included, but those of the newest one take precedence.

    Raises:
        UsageError: the folder has no records of a run.
        OutputInUseError: a run, be it of a shard, is using the folder.
        OutputUnwritableError: the folder cannot be written.
        StoreUnavailableError: its store does not respond, or denies access.

    """
    output = open_store(folder)
    refuse_without_rows(output)
    with Manifest(output, purpose="a merge") as record:
        split = _newest_split(state_files_for(output, None))
        of_shards = {row.input: row for each in split if not each.is_journal for row in read_rows(output, each)}
        found = _survey(split, record.previous if not split else of_shards)
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
    """Return the files of all shards that have the same count as the shard that was worked on last."""
    of_shards = [(each.shard.count, each) for each in files if each.shard is not None]
    return [each for count, each in of_shards if count == of_shards[-1][0]]


def _survey(split: Sequence[StateFile], rows: Mapping[str, Row]) -> Joined:
    """Return which shards are missing or were stopped."""
    shards = {each.shard for each in split}
    count = max((each.count for each in shards if each is not None), default=0)
    finished = {each.shard for each in split} - {each.shard for each in split if each.is_journal}
    all_shards = [Shard(index, count) for index in range(1, count + 1)]
    not_reached = [row.input for row in rows.values() if row.reason == NOT_REACHED]
    return Joined(
        shards=count,
        missing=[each.index for each in all_shards if each not in finished],
        stopped=[each.index for each in all_shards if each in finished and any(map(each.holds, not_reached))],
        ways=len({(row.model_sha256, row.settings_sha256) for row in rows.values() if row.model_sha256 is not None}),
    )
