"""The server of ``colorbatch retouch`` as its page sees it, answered from memory: no sockets, and answers that wait."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from browsers import Scheme, lent_page
from helpers import ROOT
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route

Json = dict[str, Any]
FILES = ROOT / "colorbatch" / "retouch" / "static"
ADDRESS = "http://retouch.test/token/"
EMPTY: Json = {
    "hints": [],
    "vividness": None,
    "strength": None,
    "model": None,
    "leave_grey": False,
    "note": "",
}
ALL = ("hints", "vividness", "colors")
LIKELY = ("#6a8c4b", "#8c6a4b", "#4b6a8c", "#8c4b6a", "#707070", "#9c5a3b")
PICKED = "#3b5f8a"
NAMES = ("1910/frame 01.tif", "1910/frame 02.tif", "1910/frame 03.tif", "cat.jpg")


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP")
    return buffer.getvalue()


@cache
def grey_slope(width: int, height: int) -> bytes:
    """Return grey from black on the left to white on the right."""
    return encoded(Image.fromarray(np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, axis=0)))


@cache
def one_color(color: str, width: int, height: int) -> bytes:
    return encoded(Image.new("RGB", (width, height), color))


@dataclass
class FakeServer:
    """Answers requests of the page, and records them."""

    names: Sequence[str] = NAMES
    pages: int = 1
    width: int = 300
    height: int = 200
    can: Sequence[str] = ALL
    """Of the model of the run; another one can all."""
    palette: list[dict[str, str]] = field(default_factory=list)
    facts: Json = field(default_factory=dict)
    """Facts about every picture other than the usual ones."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Path and body of each request."""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and sentence for a path."""
    has_source: bool = True
    not_made: dict[int, str] = field(default_factory=dict)
    """Why an output is not made, by the number of its picture."""
    is_gone: bool = False
    held: set[str] = field(default_factory=set)
    """Paths whose requests wait for ``release``."""
    waiting: list[Route] = field(default_factory=list)
    drafts: list[Json] = field(default_factory=list)
    """Those of an earlier session."""
    new_names: Sequence[str] = ()
    """Pictures that are found when the page asks for new ones."""
    left: Sequence[str] = ()
    """New files that cannot be coloured."""
    heard: list[int] = field(default_factory=list)
    """Numbers of the pictures that somebody else changed, in order."""
    lines: dict[tuple[int, int], Json] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)

    def __call__(self, route: Route, request: Request) -> None:
        parts = urlsplit(request.url)
        path = parts.path.removeprefix("/token/")
        body = json.loads(request.post_data) if request.post_data else None
        if path not in {"", "retouch.js", "retouch.css"}:
            if body is not None:
                assert request.headers["content-type"] == "application/json"
            self.asked.append((path, body))
        if self.is_gone and path not in {"", "retouch.js", "retouch.css"}:
            route.abort("connectionrefused")
        elif path in self.held:
            self.waiting.append(route)
        elif path == "news":
            since = int(parse_qs(parts.query)["since"][0])
            changed = [self._picture(number) for number in self.heard[since:]]
            route.fulfill(json={"at": len(self.heard), "pictures": changed})
        else:
            self._answer(route, path, body, parse_qs(parts.query))

    def release(self, page: Page) -> None:
        """Answer the oldest request that waits, or the next one of the page."""
        while not self.waiting:
            page.wait_for_timeout(20)
        route = self.waiting.pop(0)
        body = json.loads(route.request.post_data) if route.request.post_data else None
        self._answer(route, urlsplit(route.request.url).path.removeprefix("/token/"), body, {})

    def bodies(self, path: str) -> list[Any]:
        """Return what was sent to a path."""
        return [body for each, body in self.asked if each == path]

    def line(self, picture: int = 0, page: int = 1) -> Json:
        """Return what is kept for a picture."""
        return self.lines.get((picture, page), EMPTY)

    def elsewhere(self, changes: Json, picture: int = 0) -> None:
        """Change the line of a picture as another tab does."""
        self.lines[picture, 1] = EMPTY | changes
        self.versions[picture] = self.versions.get(picture, 0) + 1
        self.heard.append(picture)

    def version(self, picture: int, page: int = 1) -> str:
        return json.dumps(self.line(picture, page), sort_keys=True)

    def _said(self, picture: int) -> str:
        return json.dumps([self.lines.get((picture, page), EMPTY) for page in range(1, self.pages + 1)])

    def _answer(self, route: Route, path: str, body: Json | None, query: Mapping[str, Sequence[str]]) -> None:
        name, _, number = path.partition("/")
        if path in self.refused:
            status, sentence = self.refused[path]
            route.fulfill(status=status, json={"error": sentence, "advice": "Try another."})
        elif name in {"retouch.js", "retouch.css"}:
            kind = "text/javascript" if name.endswith("js") else "text/css"
            route.fulfill(body=(FILES / name).read_bytes(), content_type=kind)
        elif name == "":
            route.fulfill(body=page_of("out"), content_type="text/html; charset=utf-8")
        elif name in {"thumb", "before"}:
            route.fulfill(body=grey_slope(self.width, self.height), content_type="image/webp")
        elif name == "preview":
            assert body is not None
            route.fulfill(body=self._preview(body["line"]), content_type="image/webp")
        elif name == "picture":
            route.fulfill(json=self._info(int(number), int(query["page"][0])))
        elif name == "can":
            route.fulfill(json=self._can(query.get("model", [""])[0]))
        elif name == "save" and body is not None and body["version"] != self.version(body["id"], body["page"]):
            line, version = self.line(body["id"], body["page"]), self.version(body["id"], body["page"])
            route.fulfill(status=412, json={"error": "changed", "advice": "", "line": line, "version": version})
        else:
            route.fulfill(json=self._facts(name, body or {}))

    def _facts(self, name: str, body: Json) -> Json:
        handlers: Mapping[str, Callable[[Json], Json]] = {
            "pictures": self._pictures,
            "suggest": self._suggest,
            "color": lambda _: {"color": PICKED},
            "save": self._save,
            "copy": self._copy,
            "restore": self._restore,
            "palette": self._palette,
            "draft": lambda _: {"ok": True},
            "drafts": lambda _: {"drafts": self.drafts},
            "reload": self._reload,
            "alive": lambda _: {"ok": True},
        }
        return handlers[name](body)

    def _preview(self, line: Json) -> bytes:
        """Return a picture in the colour of the last hint."""
        color = line["hints"][-1]["color"] if line["hints"] and not line["leave_grey"] else "#808080"
        return one_color(color, self.width, self.height)

    def _suggest(self, _: Json) -> Json:
        shares = (0.41, 0.2, 0.12, 0.08, 0.05, 0.02)
        return {"colors": [{"color": color, "share": share} for color, share in zip(LIKELY, shares, strict=True)]}

    def _palette(self, body: Json) -> Json:
        self.palette = body.get("colors", self.palette)
        return {"colors": self.palette}

    def _pictures(self, _: Json) -> Json:
        pictures = [self._picture(number) for number in range(len(self.names))]
        return {
            "at": len(self.heard),
            "folder": "out",
            "has_source": self.has_source,
            "source": "/photos",
            "models": ["default", "fast"],
            "pictures": pictures,
        }

    def _reload(self, _: Json) -> Json:
        first = len(self.names)
        self.names = [*self.names, *self.new_names]
        return {"pictures": [self._picture(number) for number in range(first, len(self.names))], "left": self.left}

    def _picture(self, number: int) -> Json:
        usual = {
            "id": number,
            "input": self.names[number],
            "status": "done",
            "reason": "",
            "pages": self.pages,
            "width": self.width,
            "height": self.height,
            "warnings": [],
            "concerns": [],
            "score": 0.3,
            "retouched": any(each == number and line != EMPTY for (each, _), line in self.lines.items()),
            "leave_grey": self.line(number)["leave_grey"],
            "version": f"v{self.versions.get(number, 0)}",
            "said": self._said(number),
        }
        return usual | self.facts

    def _info(self, number: int, page: int) -> Json:
        return {
            "id": number,
            "page": page,
            "pages": self.pages,
            "width": self.width,
            "height": self.height,
            "screen": [self.width, self.height],
            "line": self.line(number, page),
            "version": self.version(number, page),
            "defaults": {"vividness": 0.5, "strength": 1.0, "model": "default"},
            "can": self._can(self.line(number, page)["model"] or ""),
        }

    def _can(self, model: str) -> Json:
        words = ALL if model == "fast" else () if model == "broken" else self.can
        refused = {"refused": "cannot use the model broken"} if model == "broken" else {}
        return {word: word in words for word in ALL} | refused

    def _save(self, body: Json) -> Json:
        number = body["id"]
        self.lines[number, body["page"]] = body["line"]
        self.versions[number] = self.versions.get(number, 0) + 1
        message = self.not_made.get(number, "")
        return {
            "picture": self._picture(number),
            "milliseconds": 812,
            "made": not message,
            "message": message,
            "version": self.version(number, body["page"]),
        }

    def _copy(self, body: Json) -> Json:
        kept = self.line(body["from"]["id"], body["from"]["page"])
        return {
            "pictures": [
                self._changed(*each, [kept] * self.pages) for each in zip(body["to"], body["said"], strict=True)
            ]
        }

    def _restore(self, body: Json) -> Json:
        return {"picture": self._changed(body["id"], body["said"], body["lines"])}

    def _changed(self, number: int, said: str, lines: Sequence[Json]) -> Json:
        is_changed = said != self._said(number)
        before = [self.line(number, page) for page in range(1, self.pages + 1)]
        if not is_changed:
            self.lines |= {(number, page): line for page, line in enumerate(lines, start=1)}
        return {
            **self._picture(number),
            "message": self.not_made.get(number, ""),
            "before": None if is_changed else before,
            "is_changed": is_changed,
        }


@cache
def page_of(title: str) -> bytes:
    environment = Environment(loader=PackageLoader("colorbatch.retouch"), autoescape=True, undefined=StrictUndefined)
    names = ("retouch.css", "retouch.js")
    page = environment.get_template("index.html")
    return page.render(title=title, version="1", assets={name: name for name in names}).encode()


@contextmanager
def retouching(
    browser: Browser,
    server: FakeServer,
    size: tuple[int, int] = (1440, 900),
    scheme: Scheme = "light",
    *,
    has_touch: bool = False,
) -> Iterator[Page]:
    """Open the page of a server; at its end, nothing may have gone wrong on it, and nothing been fetched elsewhere."""
    with lent_page(browser, size, scheme, has_touch=has_touch) as lent:
        lent.page.route("**/*", server)
        lent.page.goto(ADDRESS)
        yield lent.page
    answers = [text for text in lent.trouble if not text.startswith("Failed to load resource")]
    assert answers == [], answers
    elsewhere = [url for url in lent.requests if not url.startswith((ADDRESS, "about:"))]
    assert elsewhere == [], elsewhere
