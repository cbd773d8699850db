"""A finished job with names of every kind, and its report opened in a browser."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from browsers import lent_page
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


@contextmanager
def opened(browser: Browser, index: Path, width: int = 1200) -> Iterator[Page]:
    """Open a page; at its end, nothing may have gone wrong on it and nothing have been fetched from elsewhere."""
    with lent_page(browser, (width, 900)) as lent:
        lent.page.goto(index.as_uri())
        yield lent.page
    assert lent.trouble == []
    folder = index.parent.as_uri()
    assert [url for url in lent.requests if not url.startswith((folder, "blob:", "about:"))] == []


SHOWN = {"a.png", "album 1/c.tif", "album 1/b/d.webp", *ODD_NAMES}


def card(page: Page, name: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("button", name=name, exact=True))
