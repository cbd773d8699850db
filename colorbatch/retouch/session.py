"""A session over an output folder: it holds the folder as a run does, and makes outputs by the code of runs."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from colorbatch.errors import OutputInUseError, UnreadablePictureError, UsageError, reason_of
from colorbatch.formats.kinds import SNIFFED
from colorbatch.inference.model_names import named_models
from colorbatch.records.manifest import Manifest, is_unmerged, refuse_without_rows
from colorbatch.records.retouch import RETOUCH_NAME, Retouches, RetouchLine, parsed_retouches, record_in
from colorbatch.records.row import NOT_REACHED, Row
from colorbatch.retouch.engines import Engine, Engines
from colorbatch.retouch.lines import line_in, with_line
from colorbatch.retouch.made_with import Choices, job_of, refuse_other_settings, sidecars_for, usual_row
from colorbatch.retouch.pictures import Listed, NotFoundError, listed, refuse_other_kind, without_concerns
from colorbatch.retouch.versions import ChangedError, version_of, versions_of
from colorbatch.run.colorize import row_of
from colorbatch.run.engines.provider_choice import choose_provider
from colorbatch.run.output import make
from colorbatch.run.plan import EarlierOutput, PlannedPicture, plan_batch
from colorbatch.run.resume import has_planned_output
from colorbatch.run.work import Made, Run, Work
from colorbatch.store.local import LocalStore
from colorbatch.text import printable, shell_quoted

_PURPOSE = "the retouch page"
_NOT_MADE = "Saved. The output is made by the next run: colorbatch run SOURCE {}"


@dataclass(frozen=True)
class Saved:
    """What became of a picture whose line was written."""

    made: bool
    """Whether its output is now as the line says."""
    message: str
    """Why not; empty if it is."""
    milliseconds: int
    version: str = ""
    """Version of the first line that was written."""
    before: Sequence[RetouchLine] = ()
    """What the record said of the pages before."""


class RetouchSession:
    """An output folder, held until :meth:`close`. May be used from several threads at once."""

    def __init__(
        self,
        source: Path | None,
        output: Path,
        choices: Choices,
        when_listed: Callable[["RetouchSession"], None] = lambda _: None,
    ) -> None:
        """Open the folder, the model and the record; nothing is written yet.

        Args:
            source: folder or file of the photographs; ``None``: only the record is written.
            output: folder of the outputs; without a source, that of a run.
            choices: what the user chose.
            when_listed: called with this session as soon as it can tell its pictures, long before it can colour any.

        Raises:
            UsageError: a folder cannot be used, a line of the record is not valid, or the model of the outputs is not
                known.
            ModelRefusedError: the model does not keep the contract.
            EnvironmentFailure: ONNX Runtime is missing, or the output folder cannot be written.
            OutputInUseError: a run, or another session, is using the folder.

        """
        self.output = LocalStore(output)
        self.source = None if source is None else LocalStore(source)
        self._saving = threading.RLock()
        self._is_closed = False
        self.has_saved = False
        """Whether an output was made, or was to be made."""
        self._announced: dict[str, str] = {}
        self.stop = threading.Event()
        """Set when no further picture of several is to be made."""
        with ExitStack() as undo:
            self._refuse_unusable()
            is_new = not _has_rows(self.output)
            if not is_new:
                self._record = undo.enter_context(Manifest(self.output, purpose=_PURPOSE))
            self._rows = {} if is_new else dict(self._record.previous)
            self._seen = self.output.state(RETOUCH_NAME)
            record = record_in(self.output)
            self.retouches: Retouches = _parsed(record)
            self.said = versions_of(record)
            """Versions of what the record says, by source."""
            self._changes: list[str] = []
            usual = usual_row(self._rows.values())
            self.job = job_of(source or output, output, self._rows.values(), usual, choices)
            self._plan_of: Mapping[str, PlannedPicture] = {}
            self.pictures = list(listed(self._rows.values(), [], output))
            self._numbers = {each.input: number for number, each in enumerate(self.pictures)}
            if not is_new:
                when_listed(self)
            self._look_for_sources()
            if is_new:
                when_listed(self)
            self.job = replace(self.job, provider=choose_provider(self.job, 1)[0])
            self.engines = Engines(self.job)
            """Those that are open."""
            refuse_other_settings(self.engines.base.recipe, usual, choices)
            if is_new:  # a folder that is new is made only now, when nothing else can be wrong
                self._record = undo.enter_context(Manifest(self.output, purpose=_PURPOSE))
                if self._record.previous:
                    raise OutputInUseError(
                        f"another run has just coloured {self.output.shown}", advice="Run the same command again."
                    )
            self._until_closed = undo.pop_all()

    def _refuse_unusable(self) -> None:
        if self.output.is_itself_a_file():
            raise UsageError(f"the output {self.output.shown} is not a folder")
        if self.source is None:
            refuse_without_rows(self.output)
        elif not self.source.is_reachable():
            raise UsageError(f"the source {self.source.shown} does not exist")
        if is_unmerged(self.output):
            raise UsageError(
                f"{self.output.shown} has shards that are not merged yet",
                advice=f"Run: colorbatch merge {shell_quoted(self.output.shown)}",
            )

    def _plan(self) -> Sequence[PlannedPicture]:
        """Return the sources; those that have an output keep its name, and are not read yet."""
        if self.source is None:
            return []
        known = {
            name: EarlierOutput(None, str(row.output)) for name, row in self._rows.items() if has_planned_output(row)
        }
        return plan_batch(self.source, self.output, earlier=known, reads_sidecars=True)

    def name_of(self, number: object) -> str:
        """Return the input of a picture by its number in the list.

        Raises:
            NotFoundError: there is none.

        """
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(self.pictures):
            return self.pictures[number].input
        raise NotFoundError(f"there is no picture {str(number)[:20]}")

    def has(self, name: str) -> bool:
        """Return whether a source is in the list."""
        return name in self._numbers

    def listed(self, name: str) -> Listed:
        """Return a picture of the list."""
        return self.pictures[self._numbers[name]]

    def number_of(self, name: str) -> int:
        """Return the number of a picture in the list."""
        return self._numbers[name]

    def row(self, name: str) -> Row | None:
        """Return the row of a source; ``None``: no run has reached it."""
        return self._rows.get(name)

    def key_of(self, name: str) -> str:
        """Return the name by which a source is read from its store."""
        planned = self._plan_of.get(name)
        return name if planned is None else planned.key

    @property
    def models(self) -> Sequence[str]:
        """Names of the models that a line may name: those with a name, that of the session, those in the record."""
        named = [each.model for each in self.retouches.values() if each.model is not None]
        return list(dict.fromkeys([*named_models(), os.fspath(self.job.model), *named]))

    def engine(self, model: str | None) -> Engine:
        """Return the engine of a model, opened on first use; ``None``: that of the session.

        Raises:
            ValueError: a line may not name it.
            ModelRefusedError: it does not keep the contract.
            UsageError: the options of the session do not fit it.

        """
        return self.engines.of(model, self.models)

    def line(self, name: str, page: int) -> RetouchLine:
        """Return what the record says of a page; an empty line if that is nothing."""
        return line_in(record_in(self.output), name, page)

    def reload(self) -> tuple[Sequence[str], Sequence[PlannedPicture]]:
        """Look for new files below the source; return those that are listed now, and those that cannot be coloured.

        Raises:
            UsageError: there are no photographs, or their folder cannot be used any more.

        """
        if self.source is None:
            raise UsageError("this page was opened without the photographs", advice="Give their folder with --source.")
        with self._saving:
            new = self._look_for_sources()
        return [each.input for each in new if self.has(each.input)], [each for each in new if each.verdict != "colour"]

    def _look_for_sources(self) -> Sequence[PlannedPicture]:
        """Plan the sources as they are now, and return those that were not there; the list ends with them."""
        before = self._plan_of
        self._plan_of = {each.input: each for each in self._plan()}
        new = [each for name, each in self._plan_of.items() if name not in before and name not in self._numbers]
        for each in listed([], [each for each in new if each.input not in self._rows], self.output.path):
            self._numbers[each.input] = len(self.pictures)
            self.pictures.append(each)
            self._changes.append(each.input)
        return new

    def news(self, since: int) -> tuple[int, Sequence[str]]:
        """Return a number for the next call, and the sources of which the record says something else since one.

        What another program wrote into the record is noticed, unless it is not valid.

        Args:
            since: the number of an earlier call; 0: all since the session began.

        """
        if self._saving.acquire(blocking=False):  # otherwise a save reads the record anyway
            try:
                state = self.output.state(RETOUCH_NAME)
                if state != self._seen and not self._is_closed:
                    self._seen = state
                    record = record_in(self.output)
                    self._note(record, _parsed(record))
            except UsageError:
                pass  # the next save says what is wrong with it
            finally:
                self._saving.release()
        at = len(self._changes)
        return at, list(dict.fromkeys(self._changes[max(0, since) : at]))

    def _note(self, content: bytes, retouches: Retouches) -> None:
        """Take over what the record says."""
        self.retouches = retouches
        said = versions_of(content)
        names = [name for name in self.said.keys() | said.keys() if self.said.get(name) != said.get(name)]
        self.said = said
        self._changes += sorted(name for name in names if name in self._numbers)

    def change(
        self,
        name: str,
        pages: int,
        lines_from: Callable[[Sequence[RetouchLine]], Sequence[RetouchLine]],
        said: str | None = None,
    ) -> Saved:
        """Change what is said of all pages of a source, and make its output, as :meth:`save` does.

        Args:
            name: of the source.
            pages: their number.
            lines_from: returns the new lines of the pages from the present ones.
            said: the version of all that was said of the source that is to be changed, ``""`` for nothing;
                ``None``: whatever it is.

        Raises:
            ChangedError: something else is said of it.

        """
        with self._saving:
            content = record_in(self.output)
            present = [line_in(content, name, number) for number in range(1, pages + 1)]
            if said is not None and versions_of(content).get(name, "") != said:
                raise ChangedError(present[0])
            return replace(self.save(lines_from(present), pages), before=present)

    def save(self, lines: Sequence[RetouchLine], pages: int, version: str | None = None) -> Saved:
        """Write what a person says of pages of a source into the record, and make its output.

        Args:
            lines: of one source, at least one, each with the number of its page.
            pages: number of pages of the source.
            version: the version of the line that the first one replaces; ``None``: whatever it is.

        Raises:
            ChangedError: the record says something else of the page of the first line; nothing was changed.
            UsageError: the record is not valid any more, the session has ended, or an option does not fit the model.
            ValueError: a line does not fit its model.
            PictureError: the source cannot be read any more; nothing was changed.
            EnvironmentFailure: the record or the output cannot be written.

        """
        started = time.perf_counter()
        for line in lines:
            self._refuse_unfit(line)
        with self._saving:
            if self._is_closed:
                raise UsageError("the session has ended", advice="Start colorbatch retouch again.")
            planned = None if self.source is None else self._planned(lines[0].input)
            changed = content = record_in(self.output)
            name, page = lines[0].input, lines[0].page or 1
            present = line_in(content, name, page)
            if version is not None and version_of(present) != version:
                raise ChangedError(present)
            for line in lines:
                changed = with_line(changed, line, pages)
            retouches = _parsed(changed)
            if changed != content:
                self.output.write(RETOUCH_NAME, changed, may_replace=True)
                self._seen = self.output.state(RETOUCH_NAME)
            self._note(changed, retouches)
            message = _NOT_MADE.format(shell_quoted(self.output.shown)) if planned is None else self._make(planned)
            is_now = version_of(line_in(changed, name, page))
        return Saved(not message, message, round(1000 * (time.perf_counter() - started)), is_now)

    def _refuse_unfit(self, line: RetouchLine) -> None:
        engine = self.engine(line.model)
        contract = engine.recipe.model.contract
        if line.hints and not contract.hints:
            raise ValueError(f"hints: the model {contract.name} does not support them")
        engine.colorizer.with_options(vividness=line.vividness, strength=line.strength)

    def _planned(self, name: str) -> PlannedPicture:
        """Return the plan for a source as it is now.

        Raises:
            UnreadablePictureError: it cannot be read.
            UnsafeOutputError: it is of another kind now, so that its output would need another name.

        """
        assert self.source is not None
        planned = self._plan_of.get(name)
        if planned is None:
            raise UnreadablePictureError(f"{printable(name)} is not in {self.source.shown} any more", advice="")
        try:
            head = self.source.head(planned.key, SNIFFED)
        except OSError as error:
            raise UnreadablePictureError(f"cannot read the file: {reason_of(error)}", advice="") from error
        refuse_other_kind(planned, head.start)
        sidecars = () if sidecars_for(self._rows.get(name), self.job) == "ignore" else planned.sidecars
        return replace(planned, bytes=head.size, modified=head.modified, sidecars=sidecars)

    def _make(self, planned: PlannedPicture) -> str:
        """Make the output of a source by the code of a run; return why it was not made, or nothing."""
        assert self.source is not None
        retouch = self.retouches.get(planned.input)
        engine = self.engine(None if retouch is None else retouch.model)
        engine = engine.with_sidecars(sidecars_for(self._rows.get(planned.input), self.job))
        run = Run(engine.recipe, self.source, self.output, self._rows, self._record.outputs)
        work = Work(run, engine.executor, self._record.announce, announced=self._announced)
        outcome = make(replace(planned, retouch=retouch), work)
        self._record.append(outcome.row, is_durable=isinstance(outcome, Made))
        self._rows[planned.input] = outcome.row
        self.has_saved = True
        if isinstance(outcome, Made):
            number = self._numbers[planned.input]
            self.pictures[number] = without_concerns(self.pictures[number])
        return "" if outcome.row.status == "done" else outcome.row.reason

    def close(self) -> None:
        """Wait for a picture that is being made, write the manifest if one was, and release the folder.

        Raises:
            OutputUnwritableError: the manifest cannot be written; the next run continues from the journal.

        """
        self.stop.set()
        with self._saving, self._until_closed:
            if not self._is_closed and self.has_saved:
                self._record.finish(self._remaining())
            self._is_closed = True

    def _remaining(self) -> Iterable[Row]:
        """Return the rows of the sources of which this session made nothing: they stay, or say why there is none."""
        new = [each for name, each in self._plan_of.items() if name not in self._rows]
        return [
            *self._rows.values(),
            *(row_of(each, "skipped", NOT_REACHED) for each in new if each.verdict == "colour"),
            *(row_of(each, each.verdict, each.reason) for each in new if each.verdict != "colour"),
        ]


def _parsed(record: bytes) -> Retouches:
    """Return the retouches of a record.

    Raises:
        UsageError: a line is not valid.

    """
    try:
        return parsed_retouches(record, RETOUCH_NAME)
    except UsageError as error:
        raise UsageError(str(error), advice="Correct or remove these lines. Nothing was changed.") from error


def _has_rows(output: LocalStore) -> bool:
    try:
        refuse_without_rows(output)
    except UsageError:
        return False
    return True
