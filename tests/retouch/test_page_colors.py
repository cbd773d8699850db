"""Colours of the job and similar pictures on the page of ``colorbatch retouch``, in a real browser."""

import pytest
from fake_retouch import EMPTY, LIKELY, NAMES, PICKED, FakeServer, retouching
from playwright.sync_api import Browser, Page, expect
from retouch_page import click_at, hints, newest, saved, set_hint, settled, wait_until

# --- colours of the job ---


def test_a_colour_is_picked_from_another_picture(page: Page, server: FakeServer) -> None:
    set_hint(page)
    page.get_by_role("button", name="Pick from a picture").click()
    expect(page.locator("#picking")).to_be_visible()
    page.locator(".row").nth(3).click()
    expect(page.locator("#title")).to_have_text(NAMES[3])
    settled(page)
    click_at(page, 0.75, 0.5)
    expect(page.locator("#title")).to_have_text(NAMES[0])
    expect(page.locator("#color")).to_have_value(PICKED)
    asked = server.bodies("color")[0]
    assert (asked["id"], asked["x"]) == (3, pytest.approx(0.75, abs=0.005))
    assert saved(page, server)["hints"][0]["color"] == PICKED


def test_picking_is_cancelled_by_escape_and_done_by_keys(page: Page) -> None:
    set_hint(page)
    page.keyboard.press("e")
    page.keyboard.press("n")
    expect(page.locator("#title")).to_have_text(NAMES[1])
    page.keyboard.press("Escape")
    expect(page.locator("#title")).to_have_text(NAMES[0])
    expect(page.locator("#color")).to_have_value(LIKELY[0])
    page.keyboard.press("e")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#color")).to_have_value(PICKED)
    expect(hints(page)).to_have_count(1)


def test_colours_of_the_job_have_names_and_are_kept(page: Page, server: FakeServer) -> None:
    set_hint(page)
    page.get_by_label("Name of this colour").fill("uniform field grey")
    page.get_by_label("Name of this colour").blur()
    recent = page.locator("#recent button")
    expect(recent).to_have_text(["uniform field grey"])
    wait_until(
        page, lambda: server.palette == [{"color": LIKELY[0], "name": "uniform field grey"}], "the name was not kept"
    )
    page.keyboard.press("n")
    settled(page)
    set_hint(page, 0.6, 0.6)
    page.locator("#likely button").nth(3).click()
    recent.first.click()
    settled(page)
    assert newest(server)["hints"][0]["color"] == LIKELY[0]
    assert "uniform field grey" in (hints(page).get_attribute("aria-label") or "")
    page.get_by_role("button", name="Forget").click()
    expect(page.locator("#recent-group")).to_be_hidden()


def test_a_name_is_that_of_the_colour_beside_which_it_was_typed(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.25, 0.5)
    set_hint(page, 0.75, 0.5)
    page.locator("#likely button").nth(3).click()
    page.get_by_label("Name of this colour").fill("roof")
    hints(page).first.click()
    expect(page.locator("#recent button")).to_have_text(["roof"])
    wait_until(page, lambda: server.palette == [{"color": LIKELY[3], "name": "roof"}], "the name was not kept")
    expect(page.get_by_label("Name of this colour")).to_have_value("")


def test_saved_colours_are_remembered(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.75, 0.5)
    page.get_by_role("button", name="Keep grey").click()  # which has a button of its own
    set_hint(page)
    saved(page, server)
    expect(page.locator("#recent button")).to_have_count(1)
    wait_until(page, lambda: bool(server.bodies("palette")[-1]), "the colour was not kept")
    assert server.bodies("palette")[-1] == {"colors": [{"color": LIKELY[0], "name": ""}], "known": []}


def test_of_many_colours_those_with_names_are_kept(browser: Browser) -> None:
    palette = [{"color": f"#0000{number:02x}", "name": ""} for number in range(99)]
    server = FakeServer(palette=[*palette, {"color": "#445566", "name": "roof"}])
    with retouching(browser, server) as page:
        settled(page)
        set_hint(page)
        saved(page, server)
        expect(page.locator("#recent button").nth(1)).to_have_attribute("data-color", LIKELY[0])
        wait_until(page, lambda: bool(server.bodies("palette")[-1]), "the colours were not kept")
        kept = server.bodies("palette")[-1]["colors"]
        assert len(kept) == 100
        assert kept[0] == {"color": LIKELY[0], "name": ""}
        assert kept[-1] == {"color": "#445566", "name": "roof"}
        assert page.locator("#recent button").count() == 24


# --- similar pictures ---


def test_hints_are_applied_to_a_selection(page: Page, server: FakeServer) -> None:
    set_hint(page)
    page.keyboard.press("c")
    rows = page.locator("#copy-list li")
    expect(rows).to_have_count(2)  # the others of its folder
    page.locator("#copy-name").fill("")
    expect(rows).to_have_count(3)
    rows.first.get_by_role("checkbox").check()
    rows.nth(2).get_by_role("checkbox").click(modifiers=["Shift"])
    expect(page.locator("#copy-count")).to_contain_text("3 selected")
    rows.nth(2).get_by_role("checkbox").uncheck()
    page.get_by_label("Settings: vividness").uncheck()
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#copy-said")).to_have_text("Applied to 2 pictures.")
    assert [path for path, _ in server.asked if path in {"save", "copy"}] == ["save", "copy"]
    (asked,) = server.bodies("copy")
    assert (asked["from"]["id"], asked["from"]["page"]) == (0, 1)
    assert {name: asked[name] for name in ("to", "hints", "settings")} == {
        "to": [1, 2],
        "hints": True,
        "settings": False,
    }
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".row").nth(1)).to_contain_text("retouched")
    page.keyboard.press("n")
    expect(hints(page)).to_have_count(1)


def test_many_are_applied_a_few_at_a_time_and_can_be_stopped(browser: Browser) -> None:
    server = FakeServer(names=[f"{number:02}.jpg" for number in range(11)], held={"copy"})
    with retouching(browser, server) as page:
        settled(page)
        page.keyboard.press("l")
        page.keyboard.press("c")
        page.get_by_role("button", name="Select all that are shown").click()
        page.get_by_role("button", name="Apply", exact=True).click()
        expect(page.locator("#copy-said")).to_have_text("0 of 10 made…")
        server.release(page)
        expect(page.locator("#copy-said")).to_have_text("4 of 10 made…")
        page.get_by_role("button", name="Stop").click()
        server.release(page)
        expect(page.locator("#copy-said")).to_have_text("Applied to 8 pictures.")
        assert [body["to"] for body in server.bodies("copy")] == [[1, 2, 3, 4], [5, 6, 7, 8]]
        expect(page.locator("#copy-count")).to_contain_text("2 selected")


@pytest.mark.parametrize("server", [FakeServer(lines={(1, 1): EMPTY | {"note": "theirs", "strength": 0.3}})])
def test_what_was_applied_is_marked_and_can_be_taken_back(page: Page, server: FakeServer) -> None:
    page.keyboard.press("l")
    page.keyboard.press("c")
    page.get_by_role("button", name="Select all that are shown").click()
    server.lines[2, 1] = EMPTY | {"strength": 0.7}  # by another tab
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("#copy-said")).to_have_text(
        "Applied to 1 picture. 1 picture changed in another tab or in the record since: left alone. "
        "Look at them; Apply replaces what was said there."
    )
    results = page.locator("#copy-list .result")
    expect(results).to_have_text(["applied", "not applied: changed meanwhile"])
    assert server.line(1)["leave_grey"]
    assert server.line(2)["strength"] == 0.7
    page.get_by_role("button", name="Take back what was applied").click()
    expect(page.locator("#copy-said")).to_have_text("Taken back from 1 picture.")
    assert server.line(1) == EMPTY | {"note": "theirs", "strength": 0.3}
    expect(page.locator("#copy-undo")).to_be_hidden()
