"""A browser for the tests of pages, a page in it that is used again, and what axe finds there."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

Scheme = Literal["light", "dark"]

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Debian's chromium; without it the test is skipped, except when ``CI`` is set.

    Its headless shell draws pages by the same code and has no window around them, which saves some of the time.
    """
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS])
        yield browser
        browser.close()


@dataclass
class Lent:
    """An empty page, and what happened on it so far."""

    page: Page
    trouble: list[str] = field(default_factory=list)
    """Errors, messages to the console, dialogs."""
    requests: list[str] = field(default_factory=list)
    """What was fetched."""

    def answer(self, dialog: Dialog) -> None:
        """Leave the page if it asks about that; any other dialog is trouble."""
        if dialog.type == "beforeunload":
            dialog.accept()
        else:
            self.trouble.append(f"a dialog: {dialog.message}")
            dialog.dismiss()


_OPENED: dict[tuple[Browser, bool], Page] = {}
"""A page without touch, and one with it, which are used again: a new one takes most of a second."""


@contextmanager
def lent_page(
    browser: Browser, size: tuple[int, int], scheme: Scheme = "light", *, has_touch: bool = False
) -> Iterator[Lent]:
    """Lend an empty page that knows nothing of those who had it before; after a failure nobody has it again."""
    if (browser, has_touch) not in _OPENED:
        context = browser.new_context(has_touch=has_touch)
        context.set_default_timeout(15_000)  # the machine may be busy
        _OPENED[browser, has_touch] = context.new_page()
    page = _OPENED.pop((browser, has_touch))
    lent = Lent(page)
    listeners: list[tuple[Any, Callable[..., None]]] = [
        ("pageerror", lambda error: lent.trouble.append(f"{error}\n{error.stack}")),
        ("console", lambda message: lent.trouble.append(f"{message.text} {message.location['url']}")),
        ("dialog", lent.answer),
        ("request", lambda request: lent.requests.append(request.url)),
    ]
    for name, listener in listeners:
        page.on(name, listener)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    try:
        yield lent
        page.mouse.move(0, 0)
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.goto("about:blank")
    except BaseException:
        page.context.close()
        raise
    for name, listener in listeners:
        page.remove_listener(name, listener)
    page.unroute_all(behavior="ignoreErrors")
    _OPENED[browser, has_touch] = page


def faults(page: Page) -> list[tuple[str, str, list[str]]]:
    """Return what axe finds; its style sheets are not fetched again, which the page forbids.

    What it finds in order is told of one element each and stays on the page, or there are megabytes of it.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("axe.run({ preload: false, resultTypes: ['violations'] }).then((found) => found.violations)")
    return [(each["id"], each["impact"], [node["html"] for node in each["nodes"]]) for each in found]
