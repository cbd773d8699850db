"""What a person did not save yet: kept for the job, in ``OUT/.colorbatch/retouch-drafts.json``, until it is saved."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from colorbatch.records.retouch import RetouchLine
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.retouch.lines import parsed_line, values_of
from colorbatch.store.store import Store
from colorbatch.text import to_locale, to_utf_8

DRAFTS_NAME = f"{STATE_FOLDER}/retouch-drafts.json"
MAX_DRAFTS = 1000
MAX_TEXT = 100


@dataclass(frozen=True)
class Draft:
    """A line that is not saved, and the one that it was begun from."""

    line: RetouchLine
    base: RetouchLine
    """What the record said when it was begun."""
    version: str
    """Version of that."""
    tab: str = ""
    """The tab of the browser that has it; empty: one of an earlier session."""


class Drafts:
    """The drafts of a job. May be used from several threads at once."""

    def __init__(self, output: Store) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._drafts = {_key_of(each.line): each for each in _read(output)}

    def claim(self, tab: str) -> Sequence[Draft]:
        """Return the drafts of a tab; those of an earlier session become those of the first one that asks."""
        with self._lock:
            claimed = {key: replace(each, tab=tab) for key, each in self._drafts.items() if each.tab in ("", tab)}
            self._drafts |= claimed
            return list(claimed.values())

    def keep(self, draft: Draft) -> None:
        """Keep a draft instead of the one of the same page.

        Raises:
            ValueError: there are too many.
            OutputUnwritableError: it cannot be written.

        """
        with self._lock:
            kept = self._drafts | {_key_of(draft.line): draft}
            if len(kept) > MAX_DRAFTS:
                raise ValueError(
                    f"more than {MAX_DRAFTS:,} pictures have changes that are not saved; save some of them"
                )
            self._write(kept)

    def drop(self, name: str, page: int, tab: str) -> None:
        """Drop the draft that a tab has of a page, if there is one.

        Raises:
            OutputUnwritableError: the others cannot be written.

        """
        with self._lock:
            found = self._drafts.get((name, page))
            if found is not None and found.tab == tab:
                self._write({key: each for key, each in self._drafts.items() if each is not found})

    def _write(self, drafts: Mapping[tuple[str, int], Draft]) -> None:
        content = json.dumps([_to_json(each) for each in drafts.values()], ensure_ascii=True).encode("ascii")
        self._output.write(DRAFTS_NAME, content, may_replace=True)
        self._drafts = dict(drafts)


def parsed_draft(name: str, page: int, values: Mapping[str, Any]) -> Draft:
    """Return a draft from JSON.

    Raises:
        ValueError: a value is not valid.

    """
    version, tab = values.get("version"), values.get("tab", "")
    if not all(isinstance(each, str) and len(each) <= MAX_TEXT for each in (version, tab)):
        raise ValueError(f"version, tab: expected texts of up to {MAX_TEXT} characters")
    line, base = (parsed_line(name, page, values.get(each)) for each in ("line", "base"))
    return Draft(line, base, str(version), str(tab))


def _key_of(line: RetouchLine) -> tuple[str, int]:
    return line.input, line.page or 1


def _to_json(draft: Draft) -> Mapping[str, Any]:
    return {
        "input": to_utf_8(draft.line.input),
        "page": draft.line.page,
        "line": values_of(draft.line),
        "base": values_of(draft.base),
        "version": draft.version,
    }


def _read(output: Store) -> Sequence[Draft]:
    """Return the drafts of an earlier session; none if the file is missing, or not valid."""
    try:
        found = json.loads(output.read(DRAFTS_NAME))
        return [parsed_draft(to_locale(str(each["input"])), each["page"], each) for each in found]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
