"""The search in the list of ``colorbatch retouch``, before a server that answers from memory."""

from fake_retouch import FakeServer, retouching
from playwright.sync_api import Browser, expect


def test_enter_opens_the_first_picture_that_is_found(browser: Browser) -> None:
    with retouching(browser, FakeServer()) as page:
        surface = page.locator("#surface")
        expect(surface).to_have_attribute("aria-label", "Picture 1910/frame 01.tif")
        page.keyboard.press("/")
        page.keyboard.press("Enter")
        page.keyboard.type("no such picture")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text("0 of 4 pictures")
        expect(surface).to_have_attribute("aria-label", "Picture 1910/frame 01.tif")
        page.get_by_role("searchbox", name="Search").first.fill("")
        page.keyboard.type("CAT")
        page.keyboard.press("Enter")
        expect(surface).to_have_attribute("aria-label", "Picture cat.jpg")
        expect(page.locator("#count")).to_have_text("1 of 4 pictures")
