"""A finished job with names of every kind, and its report opened in a browser."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from helpers import LocalJob
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from colorbatch.run.batch import run_batch

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
ODD_NAMES = (
    HOSTILE,
    "line\nbreak.png",
    '"quoted".png',
    "# no comment.png",
    " space .png",
    os.fsdecode(b"byte \xff.png"),
)


def slope(number: int) -> Image.Image:
    """Return a small picture of its own size and contrast."""
    levels = np.linspace(40, 120 + 10 * number, 60, dtype=np.uint8)
    return Image.fromarray(levels[None].repeat(40 + number, axis=0))


def finished_job(folder: Path, model: Path) -> LocalJob:
    source = folder / "in"
    (source / "album 1" / "b").mkdir(parents=True)
    for number, name in enumerate(("a.png", "album 1/c.tif", "album 1/b/d.webp", *ODD_NAMES)):
        slope(number).save(source / name)
    (source / "broken.jpg").write_bytes(b"no picture")
    (source / "notes.txt").write_text("of 1931")
    job = LocalJob(source, folder / "out", str(model), "cpu", jobs=1)
    run_batch(job)
    return job


def pictures_of(index: Path) -> dict[str, dict[str, Any]]:
    """Return what the script of a page reads, by the names of the sources."""
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', index.read_text("utf-8"), re.DOTALL
    )
    return {picture["input"]: picture for picture in json.loads(data)["pictures"]}


class opened:  # noqa: N801 (used as a context manager)
    """Open a page; at its end, nothing may have gone wrong on it and nothing have been fetched from elsewhere."""

    def __init__(self, browser: Browser, index: Path, width: int = 1200) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        self._index = index
        self.trouble: list[str] = []
        self.requests: list[str] = []

    def __enter__(self) -> Page:
        page = self._context.new_page()
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", lambda message: self.trouble.append(message.text))
        page.on("dialog", lambda dialog: self.trouble.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self._index.as_uri())
        return page

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._context.close()
        if kind is None:
            assert self.trouble == []
            folder = self._index.parent.as_uri()
            assert [url for url in self.requests if not url.startswith((folder, "blob:"))] == []


SHOWN = {"a.png", "album 1/c.tif", "album 1/b/d.webp", *ODD_NAMES}


def card(page: Page, name: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("button", name=name, exact=True))
