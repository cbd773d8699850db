"""The page of ``colorbatch retouch`` in a narrow window, before a server that answers from memory."""

from fake_retouch import FakeServer, retouching
from playwright.sync_api import Browser, expect


def test_save_stays_in_view_where_the_page_scrolls(browser: Browser) -> None:
    with retouching(browser, FakeServer(), (390, 844)) as page:
        expect(page.locator("#surface")).to_be_visible()
        note, save = page.get_by_label("Note"), page.get_by_role("button", name="Save", exact=True)
        note.fill("the dress was green")
        note.blur()
        expect(save).to_be_enabled()
        expect(save).to_be_in_viewport(ratio=1)
        page.get_by_role("button", name="Discard changes").scroll_into_view_if_needed()
        page.mouse.wheel(0, 5000)
        expect(save).to_be_in_viewport(ratio=1)
        last, own = page.locator("#revert").bounding_box(), save.bounding_box()
        assert last is not None
        assert own is not None
        assert last["y"] + last["height"] <= own["y"], "at the end of the page, nothing is below it"
        save.click()
        expect(page.locator("#said")).to_contain_text("Saved")
