"""What the page of ``colorbatch retouch`` says of a picture that cannot be shown, before a server in memory."""

from fake_retouch import FakeServer, retouching
from playwright.sync_api import Browser, expect


def test_what_is_wrong_and_what_to_do_are_two_sentences(browser: Browser) -> None:
    server = FakeServer()
    server.refused["picture/0"] = (409, "the file is empty")  # as errors say it, without a full stop
    with retouching(browser, server) as page:
        expect(page.locator("#nothing")).to_have_text("the file is empty. Try another.")
        page.keyboard.press("n")
        expect(page.locator("#surface")).to_be_visible()
