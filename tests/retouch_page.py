"""What a person does on the page of ``colorbatch retouch``, and what is then to be seen."""

from collections.abc import Callable
from typing import Any

import pytest
from fake_retouch import FakeServer
from playwright.sync_api import Locator, Page, expect

HOSTILE = "<img src=x onerror=alert(1)>/</script><b>.jpg"


def settled(page: Page) -> None:
    """Wait until the preview of the newest state is shown."""
    page.wait_for_function(
        """() => {
          const [surface, before, busy] = ["surface", "before", "busy"].map((id) => document.getElementById(id));
          return surface?.checkVisibility() && before.complete && !busy.checkVisibility();
        }"""
    )


def click_at(page: Page, x: float, y: float) -> None:
    """Click on the picture, at shares of its width and height."""
    page.locator("#surface").wait_for()  # it is not shown while a picture is loaded anew
    box = page.locator("#surface").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def hints(page: Page) -> Locator:
    return page.locator(".hint")


def set_hint(page: Page, x: float = 0.25, y: float = 0.5) -> None:
    """Set a hint of the likeliest colour."""
    count = hints(page).count()
    click_at(page, x, y)
    page.wait_for_function(
        """() => !document.getElementById("marker").hidden && document.querySelectorAll("#likely button").length === 6
          && !document.getElementById("likely").ariaBusy"""
    )
    page.keyboard.press("1")
    page.wait_for_function("count => document.querySelectorAll('.hint').length === count", arg=count + 1)


def newest(server: FakeServer) -> dict[str, Any]:
    """Return the line of the newest preview."""
    line: dict[str, Any] = server.bodies("preview")[-1]["line"]
    return line


def saved(page: Page, server: FakeServer) -> dict[str, Any]:
    """Save, and return the line that was kept."""
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#said")).to_contain_text("Saved")
    return server.line()


def color_in_the_middle(page: Page) -> str:
    return str(
        page.evaluate(
            """() => {
              const canvas = document.getElementById("after");
              const [red, green, blue] = canvas.getContext("2d").getImageData(canvas.width / 2, 50, 1, 1).data;
              return [red, green, blue].join(" ");
            }"""
        )
    )


def saved_count(server: FakeServer) -> int:
    return len(server.bodies("save"))


def wait_until(page: Page, is_so: Callable[[], bool], failure: str) -> None:
    """Wait until a server has heard what it should."""
    for _ in range(250):
        if is_so():
            return
        page.wait_for_timeout(20)
    pytest.fail(failure)


def wait_for_requests(page: Page, server: FakeServer, count: int) -> None:
    """Wait until so many previews were asked for."""
    wait_until(page, lambda: len(server.bodies("preview")) >= count, f"previews are not {count}")


def drag(page: Page, kind: str) -> bool:
    """Drag a file over the picture, or drop it; return whether the browser is kept from opening it."""
    return bool(
        page.evaluate(
            """kind => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File(["x"], "x.jpg"));
              const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
              return !document.getElementById("surface").dispatchEvent(event);
            }""",
            kind,
        )
    )
