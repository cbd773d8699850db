"""The page of ``colorbatch retouch`` before its real server, with a small model."""

import json
import threading
from collections.abc import Iterator

import pytest
from browsers import faults
from helpers import LocalJob
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from retouching import OpenSession

from colorbatch.records.retouch import RETOUCH_NAME
from colorbatch.retouch.api import Api
from colorbatch.retouch.server import held_address, serve

GREEN = "#2c9a3c"


@pytest.fixture
def page(browser: Browser, job: LocalJob, open_session: OpenSession) -> Iterator[Page]:
    """Return the page of a session over a finished job, with its first picture opened."""
    stop = threading.Event()
    trouble: list[str] = []
    with held_address(None) as address:
        server = threading.Thread(target=serve, args=(Api(open_session(job)), address, stop))
        server.start()
        page = browser.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda message: trouble.append(f"{message.text} {message.location['url']}"))
        try:
            page.goto(address.url)
            expect(page.locator("#surface")).to_be_visible()
            yield page
        finally:
            page.close()
            stop.set()
            server.join()
    told = [
        each for each in trouble if "Precondition Failed" not in each
    ]  # of a save that is refused, the browser tells
    assert [each for each in told if not each.endswith("/favicon.ico")] == []


def test_what_is_said_on_the_page_is_in_the_record_and_in_the_output(page: Page, job: LocalJob) -> None:
    expect(page.locator(".row")).to_have_count(2)
    page.locator('.row[title="a.png"]').click()
    expect(page.locator("#surface")).to_have_attribute("aria-label", "Picture a.png")
    page.locator("#surface").click()
    page.locator("#color").fill(GREEN)
    expect(page.locator(".hint")).to_have_count(1)
    page.locator("#radius").fill("100")
    page.get_by_label("Name of this colour").fill("green dress")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+s")
    expect(page.locator("#said")).to_contain_text("Saved, and made again")
    (line,) = [json.loads(each) for each in (job.output / RETOUCH_NAME).read_bytes().splitlines()]
    assert line["input"] == "a.png"
    (hint,) = line["hints"]
    assert (hint["color"], hint["radius"]) == (GREEN, 0.5)
    assert (hint["x"], hint["y"]) == pytest.approx((0.5, 0.5), abs=0.01)
    with Image.open(job.output / "a.png") as image, Image.open(job.source / "a.png") as source:
        luma, *chroma = image.convert("YCbCr").getpixel((32, 24))
        assert luma == pytest.approx(source.getpixel((32, 24)), abs=1)
    assert chroma == pytest.approx(Image.new("RGB", (1, 1), GREEN).convert("YCbCr").getpixel((0, 0))[1:], abs=3)  # type: ignore[index]
    page.keyboard.press("c")
    page.get_by_role("button", name="Select all that are shown").click()
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#copy-said")).to_have_text("Applied to 1 picture.")
    lines = [json.loads(each) for each in (job.output / RETOUCH_NAME).read_bytes().splitlines()]
    assert [each["input"] for each in lines] == ["a.png", "sub/b.jpg"]
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.locator('.row[title="sub/b.jpg"]').click()
    expect(page.locator(".hint")).to_have_count(1)
    expect(page.locator("#recent button")).to_have_text(["green dress"])
    assert faults(page) == []


@pytest.mark.slow
def test_two_tabs_never_lose_what_one_of_them_saved(page: Page, job: LocalJob) -> None:
    page.locator('.row[title="a.png"]').click()
    browser = page.context.browser
    assert browser is not None
    other = browser.new_page()  # of another person
    other.goto(page.url)
    other.locator('.row[title="a.png"]').click()
    for each in (page, other):
        expect(each.locator("#surface")).to_have_attribute("aria-label", "Picture a.png")
        each.get_by_label("Leave this picture as it is").check()
    other.get_by_label("Note").fill("a plan")
    other.get_by_label("Note").blur()
    other.keyboard.press("Control+s")
    expect(other.locator("#said")).to_contain_text("Saved")
    page.bring_to_front()
    page.get_by_label("Leave this picture as it is").uncheck()
    page.get_by_role("slider", name="Strength").fill("0.5")
    page.keyboard.press("Control+s")
    expect(page.locator("#conflict")).to_contain_text("left as it is, note “a plan”")
    (line,) = [json.loads(each) for each in (job.output / RETOUCH_NAME).read_bytes().splitlines()]
    assert line["leave_grey"]
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator("#conflict")).to_be_hidden()
    page.keyboard.press("Control+s")
    expect(other.get_by_label("Note")).to_have_value("")
    expect(other.locator("#strength-text")).to_have_text("50 %")
    other.close()
