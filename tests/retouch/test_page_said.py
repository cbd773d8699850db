"""The line that says what has just happened on the page of ``colorbatch retouch``, before a server in memory."""

from fake_retouch import FakeServer, retouching
from playwright.sync_api import Browser, expect


def test_a_change_after_saving_does_not_stand_beside_the_word_saved(browser: Browser) -> None:
    with retouching(browser, FakeServer()) as page:
        expect(page.locator("#surface")).to_be_visible()
        leave, said = page.get_by_label("Leave this picture as it is"), page.locator("#said")
        leave.check()
        page.keyboard.press("Control+s")
        expect(said).to_contain_text("Saved")
        leave.uncheck()
        expect(page.locator("#save")).to_be_enabled()
        expect(said).to_have_text("")
        page.keyboard.press("Control+z")
        expect(said).to_have_text("Undone.")
