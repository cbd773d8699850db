"""Saving on the page of ``colorbatch retouch``, in a real browser, and what others change meanwhile."""

from fake_retouch import EMPTY, LIKELY, NAMES, FakeServer, retouching
from playwright.sync_api import Browser, Page, expect
from retouch_page import click_at, drag, hints, newest, saved, set_hint, settled, wait_until

# --- saving ---


def test_saving_sends_the_line_and_says_what_was_made(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.25, 0.5)
    page.get_by_label("Note").fill("the dress was green")
    row = page.locator(".row").first
    expect(row).to_contain_text("unsaved")
    expect(page).to_have_title(f"• {NAMES[0]} · colorbatch retouch")
    line = saved(page, server)
    assert line == newest(server) | {"note": "the dress was green"}
    assert set(line) == {"hints", "vividness", "strength", "model", "leave_grey", "note"}
    expect(page.locator("#said")).to_have_text(f"Saved, and made again in 0.8 s: {NAMES[0]}.")
    expect(row).to_contain_text("retouched")
    expect(row).not_to_contain_text("unsaved")
    expect(row.locator("img")).to_have_attribute("src", "thumb/0?v=v1")
    expect(page.locator("#save")).to_be_disabled()


def test_the_first_save_makes_it_and_the_picture_stays_where_it_is(browser: Browser) -> None:
    server = FakeServer(facts={"status": "not made"})
    with retouching(browser, server, (820, 1180)) as page:  # as a tablet, where lines are short
        settled(page)
        before = page.locator("#surface").bounding_box()
        click_at(page, 0.75, 0.5)
        expect(page.locator("#said")).to_contain_text("Nothing is changed yet")
        assert page.locator("#surface").bounding_box() == before
        set_hint(page)
        server.facts = {}
        page.keyboard.press("s")
        expect(page.locator("#said")).to_have_text(f"Saved, and made in 0.8 s: {NAMES[0]}.")
        assert page.locator("#surface").bounding_box() == before


def test_what_is_said_of_a_hint_is_of_its_present_colour(page: Page) -> None:
    set_hint(page)
    expect(page.locator("#said")).to_have_text("Hint 1: green.")
    page.locator("#likely button").nth(2).click()
    expect(page.locator("#said")).to_have_text("Hint 1: blue.")
    page.keyboard.press("Escape")
    expect(page.locator("#said")).to_have_text("")


def test_what_is_not_saved_stays_when_another_picture_is_opened_and_to_leave_asks_first(page: Page) -> None:
    assert page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))") is True
    set_hint(page)
    assert page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))") is False
    page.keyboard.press("n")
    settled(page)
    assert hints(page).count() == 0
    page.locator("#status").select_option("unsaved")
    expect(page.locator(".row")).to_have_count(1)
    page.locator(".row").click()
    expect(hints(page)).to_have_count(1)
    page.get_by_role("button", name="Discard changes").click()
    expect(hints(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(hints(page)).to_have_count(1)


def test_a_refused_save_is_explained_and_nothing_is_lost(page: Page, server: FakeServer) -> None:
    set_hint(page)
    server.refused["save"] = (409, "Another run works in this folder.")
    page.keyboard.press("s")
    expect(page.locator("#problem")).to_have_text(
        f"Not saved: {NAMES[0]}. Another run works in this folder. Try another."
    )
    expect(page.locator("#save")).to_be_enabled()
    page.locator("#likely button").nth(1).click()
    settled(page)
    expect(page.locator("#problem")).to_contain_text("Not saved")  # a preview that succeeds does not hide it
    server.refused.clear()
    assert len(saved(page, server)["hints"]) == 1


def test_an_output_that_is_not_made_again_is_named_with_the_reason(page: Page, server: FakeServer) -> None:
    server.not_made = {0: "the source is damaged", 1: "the disk is full"}
    set_hint(page)
    page.keyboard.press("s")
    expect(page.locator("#problem")).to_have_text(f"{NAMES[0]} was not made again: the source is damaged")
    expect(page.locator("#save")).to_be_disabled()
    page.keyboard.press("c")
    page.get_by_role("button", name="Select all that are shown").click()
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#copy-said")).to_have_text(
        f"Applied to 2 pictures. Not made again: {NAMES[1]}: the disk is full"
    )


def test_without_the_source_the_next_run_makes_it(browser: Browser) -> None:
    command = "Saved. The output is made by the next run: colorbatch run SOURCE out"
    server = FakeServer(has_source=False, not_made={0: command, 1: command})
    with retouching(browser, server) as page:
        settled(page)
        page.keyboard.press("l")
        page.keyboard.press("s")
        expect(page.locator("#said")).to_have_text(command)
        expect(page.locator("#problem")).to_be_hidden()


def test_changes_during_a_save_are_still_unsaved(page: Page, server: FakeServer) -> None:
    set_hint(page)
    server.held.add("save")
    page.keyboard.press("s")
    expect(page.locator("#save")).to_have_text("Saving…")
    page.locator("#likely button").nth(1).click()
    server.release(page)
    expect(page.locator("#save")).to_have_text("Save")
    expect(page.locator("#save")).to_be_enabled()
    assert server.line()["hints"][0]["color"] == LIKELY[0]


def test_a_reason_is_not_told_twice(browser: Browser) -> None:
    reason = "left as it is, as the retouch record says"
    server = FakeServer(facts={"status": "copied", "reason": reason, "leave_grey": True})
    with retouching(browser, server) as page:
        settled(page)
        expect(page.locator("#facts")).to_have_text("copied; left as it is")


def test_when_the_server_is_gone_the_work_is_kept(page: Page, server: FakeServer) -> None:
    server.is_gone = True
    click_at(page, 0.5, 0.5)
    expect(page.locator("#gone")).to_contain_text("cannot reach colorbatch")
    page.get_by_role("button", name="Keep grey").click()
    expect(hints(page)).to_have_count(1)
    page.keyboard.press("s")
    expect(page.locator("#save")).to_be_enabled()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#gone")).to_be_visible()
    server.held.add("alive")  # or the page itself, which tries again each second, may come before the click
    server.is_gone = False
    page.get_by_role("button", name="Try again").click()
    server.release(page)
    expect(page.locator("#gone")).to_be_hidden()
    settled(page)
    assert len(newest(server)["hints"]) == 1
    assert len(saved(page, server)["hints"]) == 1


# --- another tab, another person, a hand edit ---


def come_back(page: Page) -> None:
    """Come back to the tab, which asks at once what changed; otherwise it does so every second."""
    page.evaluate("dispatchEvent(new Event('focus'))")


def test_a_save_over_that_of_another_tab_asks_first(page: Page, server: FakeServer) -> None:
    server.held.add("news")
    set_hint(page)
    server.elsewhere({"strength": 0.5, "note": "aunt says green"})
    page.keyboard.press("s")
    conflict = page.locator("#conflict")
    expect(conflict).to_contain_text(f"Not saved: {NAMES[0]} was changed meanwhile, in another tab or in the record.")
    expect(conflict).to_contain_text("Theirs: strength 50 %, note “aunt says green”. Yours: 1 hint.")
    assert server.line()["strength"] == 0.5
    page.get_by_role("button", name="Take theirs").click()
    expect(conflict).to_be_hidden()
    expect(hints(page)).to_have_count(0)
    expect(page.get_by_label("Note")).to_have_value("aunt says green")
    expect(page.locator("#save")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    expect(hints(page)).to_have_count(1)
    assert len(saved(page, server)["hints"]) == 1  # now over theirs, which was seen


def test_ones_own_is_kept_if_one_says_so(page: Page, server: FakeServer) -> None:
    server.held.add("news")
    set_hint(page)
    server.elsewhere({"strength": 0.5})
    page.keyboard.press("s")
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator("#said")).to_contain_text("Saved")
    assert (server.line()["strength"], len(server.line()["hints"])) == (None, 1)
    expect(page.locator("#conflict")).to_be_hidden()


def test_to_save_after_undo_asks_too(page: Page, server: FakeServer) -> None:
    set_hint(page)
    saved(page, server)
    server.held.add("news")
    server.elsewhere({"strength": 0.5})
    page.keyboard.press("Control+z")
    page.keyboard.press("s")
    expect(page.locator("#conflict")).to_contain_text("Theirs: strength 50 %. Yours: nothing is said.")
    assert server.line()["strength"] == 0.5


def test_what_was_saved_elsewhere_is_shown_if_nothing_is_unsaved(page: Page, server: FakeServer) -> None:
    server.elsewhere({"hints": [{"x": 0.5, "y": 0.5, "radius": 0.1, "color": "#445566"}]})
    server.elsewhere({"leave_grey": True}, 1)
    come_back(page)
    expect(hints(page)).to_have_count(1)
    expect(page.locator("#said")).to_contain_text("was changed in another tab or in the record")
    expect(page.locator(".row").nth(1)).to_contain_text("left as it is")
    assert page.locator("#save").is_disabled()


def test_a_picture_that_was_changed_elsewhere_stays_in_view_while_that_is_read(page: Page, server: FakeServer) -> None:
    set_hint(page)
    server.held.add("picture/0")
    server.elsewhere({"strength": 0.5})
    come_back(page)
    wait_until(page, lambda: bool(server.waiting), "what was changed is not read")
    expect(page.locator("#nothing")).to_be_hidden()
    click_at(page, 0.2, 0.2)
    expect(page.locator("#marker")).to_be_visible()
    server.held.clear()
    route = server.waiting.pop()
    server(route, route.request)
    expect(page.locator("#conflict")).to_contain_text("Theirs: strength 50 %. Yours: 1 hint.")


def test_what_was_saved_elsewhere_is_told_of_before_one_saves(page: Page, server: FakeServer) -> None:
    set_hint(page)
    server.elsewhere({"strength": 0.5})
    expect(page.locator("#conflict")).to_contain_text("Theirs: strength 50 %. Yours: 1 hint.")
    expect(hints(page)).to_have_count(1)
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator("#said")).to_contain_text("Save puts it in the place of the other one")
    assert server.line()["strength"] == 0.5
    assert len(saved(page, server)["hints"]) == 1


def test_two_who_say_the_same_are_not_asked(page: Page, server: FakeServer) -> None:
    server.held.add("news")
    page.keyboard.press("l")
    server.elsewhere({"leave_grey": True})
    page.keyboard.press("s")
    expect(page.locator("#said")).to_contain_text("Saved")
    expect(page.locator("#conflict")).to_be_hidden()


def wait_for_draft(page: Page, server: FakeServer, *, has_line: bool) -> None:
    """Wait until the server was given a draft, or told to drop it."""

    def is_so() -> bool:
        drafts = server.bodies("draft")
        return bool(drafts) and ("line" in drafts[-1]) == has_line

    wait_until(page, is_so, "the draft was not kept, or not dropped")


def test_what_is_not_saved_is_kept_by_the_server_until_it_is(page: Page, server: FakeServer) -> None:
    set_hint(page)
    wait_for_draft(page, server, has_line=True)
    kept = server.bodies("draft")[-1]
    assert (kept["id"], kept["page"], len(kept["line"]["hints"]), kept["base"]["hints"]) == (0, 1, 1, [])
    assert kept["version"] == server.version(0)
    saved(page, server)
    wait_for_draft(page, server, has_line=False)
    assert server.bodies("draft")[-1].keys() == {"id", "page", "tab"}


def test_what_an_earlier_session_did_not_save_is_shown_again(browser: Browser) -> None:
    line = EMPTY | {"strength": 0.5}
    server = FakeServer()
    server.drafts = [{"id": 2, "page": 1, "line": line, "base": EMPTY, "version": server.version(2)}]
    server.lines[1, 1] = EMPTY | {"note": "hers"}
    server.drafts += [{"id": 1, "page": 1, "line": line, "base": EMPTY, "version": "of a line that is gone"}]
    with retouching(browser, server) as page:
        settled(page)
        expect(page.locator("#said")).to_contain_text("2 pictures have changes that were not saved")
        expect(page.locator("#title")).to_have_text(NAMES[1])
        expect(page.locator("#conflict")).to_contain_text("Theirs: note “hers”. Yours: strength 50 %.")
        page.keyboard.press("n")
        expect(page.locator("#title")).to_have_text(NAMES[2])
        expect(page.locator("#conflict")).to_be_hidden()
        expect(page.locator("#strength-text")).to_have_text("50 %")
        page.keyboard.press("s")
        expect(page.locator("#said")).to_contain_text("Saved")
        assert server.line(2)["strength"] == 0.5


def test_the_end_of_the_command_is_told_within_two_seconds(page: Page, server: FakeServer) -> None:
    server.is_gone = True
    expect(page.locator("#gone")).to_contain_text("Everything was saved.", timeout=2000)
    server.is_gone = False
    expect(page.locator("#gone")).to_be_hidden()
    set_hint(page)
    wait_for_draft(page, server, has_line=True)
    server.is_gone = True
    expect(page.locator("#gone")).to_contain_text("1 picture has changes that are not saved", timeout=2000)
    expect(page.locator("#gone")).to_contain_text("the next `colorbatch retouch` of this folder shows them again")


# --- new files ---


def test_files_that_are_dropped_are_copied_nowhere_and_new_ones_are_found(page: Page, server: FakeServer) -> None:
    assert drag(page, "dragover")
    expect(page.locator("#dropped")).to_be_hidden()
    assert drag(page, "drop")
    expect(page.locator("#dropped")).to_contain_text("Nothing was copied")
    expect(page.locator("#dropped")).to_contain_text("Put them into /photos and press Reload.")
    server.new_names, server.left = ["new.jpg"], ["letter.txt: not a picture file name"]
    page.locator("#dropped").get_by_role("button", name="Reload").click()
    expect(page.locator("#title")).to_have_text("new.jpg")
    expect(page.locator("#said")).to_have_text(
        "1 new picture, at the end of the list. Not used: letter.txt: not a picture file name"
    )
    expect(page.locator("#count")).to_have_text("5 of 5 pictures")
    expect(page.locator("#dropped")).to_be_hidden()
    server.new_names, server.left = [], []
    page.locator("#reload").click()
    expect(page.locator("#said")).to_have_text("No new pictures.")
