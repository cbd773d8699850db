"""The requests of the page, and their answers: JSON and pictures in, JSON and pictures out. Docs: docs/retouch.md."""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from colorbatch.errors import ColorbatchError, ModelRefusedError, UsageError
from colorbatch.records.retouch import RetouchLine
from colorbatch.retouch.drafts import Drafts, parsed_draft
from colorbatch.retouch.lines import copied, parsed_line, values_of
from colorbatch.retouch.page import asset, rendered_page
from colorbatch.retouch.palette import merged, parsed_palette, read_palette, write_palette
from colorbatch.retouch.pictures import NotFoundError, described
from colorbatch.retouch.session import RetouchSession
from colorbatch.retouch.versions import ChangedError, version_of
from colorbatch.retouch.viewer import StaleError, Viewer
from colorbatch.text import printable, to_utf_8

logger = logging.getLogger(__name__)

MAX_COPIES = 1000
"""Maximum number of pictures to which hints or settings are copied at once."""
_LONGEST_CLIENT = 100
_OF_A_PICTURE = ("picture", "before", "thumb")
"""Names of what is read of one picture, whose number follows."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    body: bytes = b""
    media_type: str = "application/json"
    status: int = 200
    milliseconds: float | None = None
    """Time that it took, where the page shows it."""


Values = Mapping[str, Any]
"""The body of a request, or the parameters of its address."""


class Api:
    """Answers requests about one session. May be used from several threads at once."""

    def __init__(self, session: RetouchSession) -> None:
        self._session = session
        self._viewer = Viewer(session)
        self._drafts = Drafts(session.output)
        self._keeping = threading.Lock()
        self._read: Mapping[str, Callable[[Values], Answer]] = {
            "": lambda _: page_answer("", session.output.path),
            "retouch.js": lambda _: page_answer("retouch.js", session.output.path),
            "retouch.css": lambda _: page_answer("retouch.css", session.output.path),
            "pictures": self._pictures,
            "picture": self._picture,
            "can": lambda values: _json(self._can(values.get("model"))),
            "before": self._before,
            "thumb": self._thumb,
            "palette": self._palette,
            "alive": lambda _: _json({"ok": True}),
            "news": self._news,
            "drafts": self._claimed,
        }
        self._write: Mapping[str, Callable[[Values], Answer]] = {
            "preview": self._preview,
            "suggest": self._suggest,
            "color": self._color,
            "save": self._save,
            "copy": self._copy,
            "restore": self._restore,
            "reload": self._reload,
            "palette": self._keep_palette,
            "draft": self._keep_draft,
        }

    def answer(self, method: str, path: str, parameters: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to a request, an error included.

        Args:
            method: ``GET`` or ``POST``.
            path: after the token, without slashes around it: a name, or a name and the number of a picture.
            parameters: of the address.
            body: JSON of a ``POST``.

        """
        name, slash, number = path.partition("/")
        values: dict[str, Any] = dict(parameters)
        if slash:
            values["id"] = number
        handler = (self._write if method == "POST" else self._read).get(name)
        if handler is None or (name in _OF_A_PICTURE) != bool(slash):
            return failure(404, "there is nothing here")
        try:
            return handler(_parsed(body) if method == "POST" else values)
        except StaleError:
            return Answer(status=204)
        except (ChangedError, NotFoundError, ValueError, ColorbatchError) as error:
            return _refusal(error)
        except Exception as error:
            logger.exception("A bug in colorbatch, met at %s", name)
            return failure(500, f"a bug in colorbatch: {type(error).__name__}", "The terminal says more.")

    def _pictures(self, _: Values) -> Answer:
        session = self._session
        return _json(
            {
                "at": session.news(0)[0],
                "folder": session.output.path.resolve().name,
                "has_source": session.source is not None,
                "source": "" if session.source is None else printable(session.source.shown),
                "models": list(session.models),
                "pictures": [self._described(each.input) for each in session.pictures],
            }
        )

    def _described(self, name: str) -> Mapping[str, Any]:
        session = self._session
        found = described(session.number_of(name), session.listed(name), session.row(name), session.retouches.get(name))
        return {**found, "said": session.said.get(name, "")}

    def _news(self, values: Values) -> Answer:
        since = str(values.get("since", 0))
        at, names = self._session.news(int(since) if since.isascii() and since.isdigit() and len(since) < 10 else 0)
        return _json({"at": at, "pictures": [self._described(each) for each in names]})

    def _picture(self, values: Values) -> Answer:
        name, number = self._name(values), _page_of(values)
        pages, session = self._viewer.pages(name), self._session
        page = self._viewer.page(name, number)
        line = session.line(name, number)
        options = session.engine(None).recipe.options
        return _json(
            {
                "id": session.number_of(name),
                "page": number,
                "pages": len(pages),
                "width": page.width,
                "height": page.height,
                "screen": list(page.screen),
                "line": values_of(line),
                "version": version_of(line),
                "defaults": {
                    "vividness": options.vividness,
                    "strength": options.strength,
                    "model": session.job.model,
                },
                "can": self._can_or_refused(line.model),
            }
        )

    def _can_or_refused(self, model: str | None) -> Mapping[str, object]:
        """Return what a model takes and says, or why it cannot be used: the page lets another one be chosen."""
        try:
            return self._can(model)
        except (ValueError, ModelRefusedError, UsageError) as error:
            return {"hints": False, "vividness": False, "colors": False, "refused": str(error)}

    def _can(self, model: str | None) -> Mapping[str, bool]:
        """Return what a model takes and says; ``None``: that of the session."""
        contract = self._session.engine(model).recipe.model.contract
        return {
            "hints": contract.hints,
            "vividness": contract.vividness is not None,
            "colors": contract.colors is not None,
        }

    def _before(self, values: Values) -> Answer:
        return Answer(self._viewer.before(self._name(values), _page_of(values)), "image/jpeg")

    def _thumb(self, values: Values) -> Answer:
        return Answer(self._viewer.thumb(self._name(values)), "image/webp")

    def _preview(self, values: Values) -> Answer:
        started = time.perf_counter()
        name, line = self._name_and_line(values)
        client = str(values.get("client", f"{values['id']}/{line.page}"))[:_LONGEST_CLIENT]
        body = self._viewer.preview(name, line, client)
        return Answer(body, "image/jpeg", milliseconds=1000 * (time.perf_counter() - started))

    def _suggest(self, values: Values) -> Answer:
        name, line = self._name_and_line(values)
        found = self._viewer.suggestions(name, line, _share(values, "x"), _share(values, "y"))
        return _json({"colors": [asdict(each) for each in found]})

    def _color(self, values: Values) -> Answer:
        name, line = self._name_and_line(values)
        return _json({"color": self._viewer.color_at(name, line, _share(values, "x"), _share(values, "y"))})

    def _save(self, values: Values) -> Answer:
        name, line = self._name_and_line(values)
        pages = len(self._viewer.pages(name))
        if line.page is not None and line.page > pages:
            raise NotFoundError(f"there is no page {line.page}; the last one is {pages}")
        saved = self._session.save([line], pages, _text(values, "version"))
        return _json(
            {
                "picture": self._described(name),
                "milliseconds": saved.milliseconds,
                "made": saved.made,
                "message": saved.message,
                "version": saved.version,
            }
        )

    def _copy(self, values: Values) -> Answer:
        origin, targets, known = values.get("from"), values.get("to"), values.get("said")
        if not isinstance(origin, dict) or not isinstance(targets, list) or len(targets) > MAX_COPIES:
            raise ValueError(f"copy: expected from, and a list of up to {MAX_COPIES:,} numbers")
        said = [None] * len(targets) if known is None else known
        if not isinstance(said, list) or len(said) != len(targets):
            raise ValueError("said: expected a list as long as to")
        line = self._session.line(self._name(origin), _page_of(origin))
        if _text(origin, "version") not in (None, version_of(line)):
            raise ChangedError(line)
        names = [self._session.name_of(each) for each in targets]
        hints, settings = values.get("hints") is True, values.get("settings") is True

        def lines_from(present: Sequence[RetouchLine]) -> Sequence[RetouchLine]:
            return [copied(line, each, hints=hints, settings=settings) for each in present]

        return _json(
            {"pictures": [self._changed(*each, lines_from) for each in zip(names, said, strict=True)]},
        )

    def _changed(
        self, name: str, said: str | None, lines_from: Callable[[Sequence[RetouchLine]], Sequence[RetouchLine]]
    ) -> Mapping[str, Any]:
        """Return a picture after its lines were changed, with those before; if they were not, with the reason."""
        session = self._session
        message = "not reached: the session ends" if session.stop.is_set() else ""
        before: Sequence[RetouchLine] | None = None
        is_changed = False
        if not message:
            try:
                saved = session.change(name, len(self._viewer.pages(name)), lines_from, said)
                message, before = saved.message, saved.before
            except ChangedError:
                is_changed = True
            except (ColorbatchError, ValueError) as error:
                message = str(error)
        return {
            **self._described(name),
            "message": message,
            "before": None if before is None else [values_of(each) for each in before],
            "is_changed": is_changed,
        }

    def _restore(self, values: Values) -> Answer:
        name, lines = self._name(values), values.get("lines")
        if not isinstance(lines, list) or not lines:
            raise ValueError("lines: expected a list of lines, one for each page")
        parsed = [parsed_line(name, number, each) for number, each in enumerate(lines, start=1)]
        return _json({"picture": self._changed(name, _text(values, "said"), lambda _: parsed)})

    def _reload(self, _: Values) -> Answer:
        found, left = self._session.reload()
        return _json(
            {
                "pictures": [self._described(each) for each in found],
                "left": [f"{printable(to_utf_8(each.input))}: {printable(each.reason)}" for each in left],
            }
        )

    def _claimed(self, values: Values) -> Answer:
        session = self._session
        found = [each for each in self._drafts.claim(str(values.get("tab", ""))) if session.has(each.line.input)]
        return _json(
            {
                "drafts": [
                    {
                        "id": session.number_of(each.line.input),
                        "page": each.line.page,
                        "line": values_of(each.line),
                        "base": values_of(each.base),
                        "version": each.version,
                    }
                    for each in found
                ]
            }
        )

    def _keep_draft(self, values: Values) -> Answer:
        name, page = self._name(values), _page_of(values)
        if values.get("line") is None:
            self._drafts.drop(name, page, str(values.get("tab", "")))
        else:
            self._drafts.keep(parsed_draft(name, page, values))
        return _json({"ok": True})

    def _palette(self, _: Values) -> Answer:
        return _json({"colors": [asdict(each) for each in read_palette(self._session.output)]})

    def _keep_palette(self, values: Values) -> Answer:
        wanted = parsed_palette(values.get("colors"))
        with self._keeping:
            kept = read_palette(self._session.output)
            known = parsed_palette(values["known"]) if "known" in values else kept
            write_palette(self._session.output, merged(wanted, known, kept))
        return self._palette(values)

    def _name(self, values: Values) -> str:
        number = values.get("id")
        is_text = isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 10
        return self._session.name_of(int(str(number)) if is_text else number)

    def _name_and_line(self, values: Values) -> tuple[str, RetouchLine]:
        name = self._name(values)
        return name, parsed_line(name, _page_of(values), values.get("line", {}))


def page_answer(path: str, output: Path) -> Answer:
    """Return the page for an output folder, or its script or style sheet by their names."""
    if not path:
        return Answer(rendered_page(output), "text/html; charset=utf-8")
    return Answer(asset(path), "text/javascript" if path.endswith(".js") else "text/css")


def _refusal(error: ChangedError | NotFoundError | ValueError | ColorbatchError) -> Answer:
    """Return the answer to a request that was refused."""
    if isinstance(error, ChangedError):
        now = {"line": values_of(error.line), "version": version_of(error.line)}
        return failure(412, str(error), "Look at what was said there, and decide.", **now)
    if isinstance(error, ColorbatchError):
        return failure(409, str(error), error.advice)
    return failure(404 if isinstance(error, NotFoundError) else 400, str(error))


def failure(status: int, error: str, advice: str = "", **more: object) -> Answer:
    """Return the answer that says what is wrong."""
    return Answer(json.dumps({"error": error, "advice": advice, **more}).encode(), status=status)


def _json(values: object) -> Answer:
    return Answer(json.dumps(values, separators=(",", ":")).encode())


def _parsed(body: bytes) -> Values:
    """Return the body of a request.

    Raises:
        ValueError: it is not a JSON object.

    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("the request is not JSON") from error
    if not isinstance(values, dict):
        raise ValueError("the request is not a JSON object")  # noqa: TRY004 (as for all others)
    return values


def _text(values: Values, name: str) -> str | None:
    """Return a text, such as a version; ``None``: it is not given.

    Raises:
        ValueError: it is no text.

    """
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}: expected a text")
    return value


def _page_of(values: Values) -> int:
    """Return the number of a page.

    Raises:
        ValueError: it is not a number from 1.

    """
    page = values.get("page", 1)
    if isinstance(page, str) and page.isascii() and page.isdigit() and len(page) < 8:
        page = int(page)
    if page is None:
        return 1
    if not isinstance(page, int) or isinstance(page, bool) or page < 1:
        raise ValueError("page: expected a whole number from 1")
    return page


def _share(values: Values, name: str) -> float:
    """Return a place, as a share of width or height.

    Raises:
        ValueError: it is not a number from 0 to 1.

    """
    value = values.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1")
    return float(value)
