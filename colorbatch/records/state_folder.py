"""Files in ``OUT/.colorbatch`` while a job is unfinished: the journal of each run, the record of each shard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from colorbatch.errors import OutputInUseError, UsageError
from colorbatch.shard import Shard
from colorbatch.store.journal import Journal, JournalFile, Notes
from colorbatch.store.store import Store

STATE_FOLDER = ".colorbatch"
_NAMES = re.compile(
    r"(?:(journal|shard(?=-))(?:-(\d{1,6})-of-(\d{1,6}))?|announced-[0-9a-f]{16}-\d{1,6})\.jsonl", re.ASCII
)


@dataclass(frozen=True)
class StateFile:
    """A journal, the record of a shard, or the announcements of a worker of a cluster."""

    file: JournalFile
    shard: Shard | None
    """The shard it belongs to; ``None``: a run over all sources."""
    is_journal: bool
    """Whether it belongs to an active or killed run; false for the record of a shard, which has finished."""

    @property
    def name(self) -> str:
        """Path below the output folder."""
        return self.file.name

    @property
    def is_held(self) -> bool:
        """Whether the run that it belongs to is active.

        Raises:
            OSError: that cannot be determined.

        """
        return self.is_journal and self.file.is_held

    def is_sibling_shard(self, shard: Shard | None) -> bool:
        """Return whether it belongs to another shard of the same split, without sources of ``shard``."""
        return shard is not None and self.shard not in (None, shard) and self.shard.count == shard.count


def journal_name(shard: Shard | None) -> str:
    """Return the path of the journal of a run below the output folder."""
    return f"{STATE_FOLDER}/journal{'.jsonl' if shard is None else _suffix(shard)}"


def record_name(shard: Shard) -> str:
    """Return the path of the record of a finished shard below the output folder, used until it is merged."""
    return f"{STATE_FOLDER}/shard{_suffix(shard)}"


def announcements(output: Store, run: str, worker: int) -> Notes | None:
    """Return the notes in which a worker of a cluster announces its outputs; ``None``: none are needed.

    Args:
        output: of the run.
        run: identifier of the run, 16 hexadecimal digits.
        worker: its number; 0 is no worker, but lets all check that they see the same folder.

    """
    return output.notes(f"{STATE_FOLDER}/announced-{run}-{worker}.jsonl")


def state_files(output: Store) -> Sequence[StateFile]:
    """Return all state files, the latest last.

    Raises:
        OSError: they cannot be listed.

    """
    found = [each for each in map(_state_file, output.journal_files(STATE_FOLDER)) if each is not None]
    return sorted(found, key=lambda each: (each.file.modified, each.is_journal))


def open_journal(output: Store, shard: Shard | None, purpose: str = "a run") -> Journal:
    """Open the journal of a run, after making sure that no other run conflicts.

    Each run opens its own journal before it checks those of others: of two runs, at least one sees the other.

    Args:
        output: the store of the outputs.
        shard: the share of the sources; ``None``: all.
        purpose: what this process does with the folder, for others that find it held.

    Raises:
        OutputInUseError: a run over all sources, or a shard of another split, is active.
        OutputUnwritableError: the output folder cannot be written.
        StoreUnavailableError: the store of the output folder cannot be used.

    """
    journal = output.open_journal(journal_name(shard), purpose if shard is None else f"shard {shard}")
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
    """Raise if a run over all sources, or a shard of another split, is active.

    Raises:
        OutputInUseError: one is.
        OSError: that cannot be determined.

    """
    own = journal_name(shard)
    others = [each for each in state_files(output) if each.name != own and not each.is_sibling_shard(shard)]
    conflicting = next((each for each in others if each.is_held), None)
    if conflicting is None:
        return
    holder = conflicting.file.holder
    told = f": {holder}" if holder else ""
    if conflicting.shard is None:
        raise OutputInUseError(f"a run over all sources is in progress in {output.shown}{told}")
    raise OutputInUseError(f"shard {conflicting.shard} is in progress in {output.shown}{told}")


def _suffix(shard: Shard) -> str:
    width = len(str(shard.count))
    return f"-{shard.index:0{width}}-of-{shard.count}.jsonl"


def _state_file(file: JournalFile) -> StateFile | None:
    found = _NAMES.fullmatch(file.name.removeprefix(f"{STATE_FOLDER}/"))
    if found is None:
        return None
    try:
        shard = Shard(int(found[2]), int(found[3])) if found[2] else None
    except UsageError:  # a foreign file of a similar name
        return None
    return StateFile(file, shard, found[1] != "shard")
