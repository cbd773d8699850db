"""What lies in ``OUT/.colorbatch`` while a job is not finished: the journal of each run, the record of each shard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from colorbatch.errors import OutputInUseError, UsageError
from colorbatch.shard import Shard
from colorbatch.store.store import Journal, JournalFile, Notes, Store

STATE_FOLDER = ".colorbatch"
_NAMES = re.compile(
    r"(?:(journal|shard(?=-))(?:-(\d{1,6})-of-(\d{1,6}))?|announced-[0-9a-f]{16}-\d{1,6})\.jsonl", re.ASCII
)


@dataclass(frozen=True)
class StateFile:
    """A journal, the record of a shard, or what a worker of a cluster has announced."""

    file: JournalFile
    shard: Shard | None
    """Whose it is; ``None``: a run over all sources."""
    is_journal: bool
    """Of a run that is at work, or was killed; not the record of a shard, which came to its end."""

    @property
    def name(self) -> str:
        """Its path below the output folder."""
        return self.file.name

    @property
    def is_held(self) -> bool:
        """Whether the run that it belongs to is at work.

        Raises:
            OSError: that cannot be determined.

        """
        return self.is_journal and self.file.is_held

    def is_sibling_shard(self, shard: Shard | None) -> bool:
        """Return whether it is of another shard of the same split: it knows nothing of the sources of ``shard``."""
        return shard is not None and self.shard not in (None, shard) and self.shard.count == shard.count


def journal_name(shard: Shard | None) -> str:
    """Return where the journal of a run belongs below the output folder."""
    return f"{STATE_FOLDER}/journal{'.jsonl' if shard is None else _ending(shard)}"


def record_name(shard: Shard) -> str:
    """Return where the rows of a shard belong once it has come to its end, until they are merged."""
    return f"{STATE_FOLDER}/shard{_ending(shard)}"


def announcements(output: Store, run: str, worker: int) -> Notes | None:
    """Return where a worker of a cluster notes the outputs that it is about to write; ``None``: it need not.

    Args:
        output: of the run.
        run: 16 hexadecimal digits that tell this run from others.
        worker: its number; 0 is nobody's, and shows the others that they see the same folder.

    """
    return output.notes(f"{STATE_FOLDER}/announced-{run}-{worker}.jsonl")


def state_files(output: Store) -> Sequence[StateFile]:
    """Return what is there, the latest last.

    Raises:
        OSError: it cannot be looked at.

    """
    found = [each for each in map(_state_file, output.journal_files(STATE_FOLDER)) if each is not None]
    return sorted(found, key=lambda each: (each.file.modified, each.is_journal))


def open_journal(output: Store, shard: Shard | None) -> Journal:
    """Return the journal of a run, once it is sure that no other run is in the way.

    Each run takes its own journal before it looks at those of others: of two, at least one sees the other.

    Raises:
        OutputInUseError: a run over all, or a shard of another split, is at work.
        OutputUnwritableError: the output folder cannot be written.
        StoreUnavailableError: the store of the output folder cannot be used.

    """
    journal = output.open_journal(journal_name(shard))
    try:
        _refuse_others(output, shard)
    except OSError as error:
        journal.close()
        raise output.unavailable(error) from error
    except BaseException:
        journal.close()
        raise
    return journal


def _refuse_others(output: Store, shard: Shard | None) -> None:
    """Raise when a run over all, or a shard of another split, is at work.

    Raises:
        OutputInUseError: it is.
        OSError: that cannot be determined.

    """
    own = journal_name(shard)
    others = [each for each in state_files(output) if each.name != own and not each.is_sibling_shard(shard)]
    in_the_way = next((each for each in others if each.is_held), None)
    if in_the_way is None:
        return
    if in_the_way.shard is None:
        raise OutputInUseError(f"a run over all sources is in progress in {output.shown}")
    raise OutputInUseError(f"shard {in_the_way.shard} is in progress in {output.shown}")


def _ending(shard: Shard) -> str:
    width = len(str(shard.count))
    return f"-{shard.index:0{width}}-of-{shard.count}.jsonl"


def _state_file(file: JournalFile) -> StateFile | None:
    found = _NAMES.fullmatch(file.name.removeprefix(f"{STATE_FOLDER}/"))
    if found is None:
        return None
    try:
        shard = Shard(int(found[2]), int(found[3])) if found[2] else None
    except UsageError:  # named like one by somebody
        return None
    return StateFile(file, shard, found[1] != "shard")
