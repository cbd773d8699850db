"""Hints on the page of ``colorbatch retouch``, in a real browser, before a server that answers from memory."""

import re

import pytest
from fake_retouch import LIKELY, NAMES, FakeServer, retouching
from playwright.sync_api import Browser, Page, expect
from retouch_page import click_at, color_in_the_middle, hints, newest, saved, saved_count, set_hint, settled, wait_until

# --- hints by the pointer ---


def test_a_hint_of_the_likeliest_colour_is_shown_and_a_click_takes_another(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.25, 0.5)
    settled(page)
    (hint,) = newest(server)["hints"]
    assert (hint["x"], hint["y"]) == pytest.approx((0.25, 0.5), abs=0.005)
    assert hint["color"] == LIKELY[0]
    assert hint["radius"] == 0.02
    (asked,) = server.bodies("suggest")
    assert (asked["id"], asked["page"], asked["line"]["hints"]) == (0, 1, [])
    red, green, blue = map(int, color_in_the_middle(page).split())
    assert (red, green, blue) == pytest.approx((0x6A, 0x8C, 0x4B), abs=3)
    swatches = page.locator("#likely button")
    assert swatches.first.get_attribute("aria-label") == "1: green, 41 %"
    swatches.nth(2).click()
    expect(swatches.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(swatches.first).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#color")).to_have_value(LIKELY[2])
    settled(page)
    assert newest(server)["hints"][0]["color"] == LIKELY[2]


def test_a_click_alone_changes_nothing(page: Page, server: FakeServer) -> None:
    before = len(server.bodies("preview"))
    click_at(page, 0.25, 0.5)
    expect(page.locator("#marker")).to_be_focused()
    expect(page.locator("#likely button")).to_have_count(6)
    expect(page.locator("#hint-title")).to_have_text("New hint: choose its colour")
    click_at(page, 0.75, 0.5)  # the marker goes there
    assert hints(page).count() == 0
    assert page.locator("#save").is_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#marker")).to_be_hidden()
    expect(page.locator("#surface")).to_be_focused()
    assert len(server.bodies("preview")) == before
    click_at(page, 0.75, 0.5)
    expect(page.locator("#likely button")).to_have_count(6)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    page.keyboard.press("g")
    expect(hints(page)).to_be_focused()
    settled(page)
    (hint,) = newest(server)["hints"]
    assert hint["x"] == pytest.approx(0.75 - 0.005 * 200 / 300, abs=0.005)
    assert (hint["radius"], hint["color"]) == (pytest.approx(0.024), "#808080")
    page.keyboard.press("Control+z")  # one step, with all that was set at the marker
    expect(hints(page)).to_have_count(0)


def test_beside_the_colour_is_how_it_looks_at_that_place(page: Page) -> None:
    """Red over a luma of 0.25: Cb, Cr stay, and shrink until green and blue are not below 0: 0.25 / 0.299 of them."""
    click_at(page, 0.25, 0.5)
    expect(page.locator("#here")).to_contain_text("How bright a place is, the photograph says")
    page.get_by_role("textbox", name="Colour", exact=True).fill("#ff0000")
    chip, here = (
        [int(each) for each in re.findall(r"\d+", page.locator(name).evaluate("each => each.style.background"))]
        for name in ("#chip", "#chip-here")
    )
    assert chip == [255, 0, 0]
    assert here == pytest.approx([255 * (0.25 + 0.701 * 0.25 / 0.299), 0, 0], abs=3)
    expect(page.locator("#here")).to_contain_text("as it looks here")


def test_the_size_of_a_hint_is_shown_while_one_points(page: Page) -> None:
    picture = page.locator("#surface").bounding_box()
    assert picture is not None
    page.mouse.move(picture["x"] + 0.3 * picture["width"], picture["y"] + 0.4 * picture["height"])
    ring = page.locator("#aim .ring").bounding_box()
    assert ring is not None
    assert ring["width"] == pytest.approx(2 * 0.02 * picture["height"], rel=0.02)  # the short side
    assert ring["x"] + ring["width"] / 2 == pytest.approx(picture["x"] + 0.3 * picture["width"], abs=1)
    page.mouse.move(5, 5)
    expect(page.locator("#aim")).to_be_hidden()
    set_hint(page)
    page.locator("#surface").focus()
    page.keyboard.down(" ")
    expect(hints(page)).to_have_css("opacity", "0")
    page.keyboard.up(" ")
    expect(hints(page)).not_to_have_css("opacity", "0")


def test_a_hint_is_dragged_in_one_step_to_undo_and_at_most_to_the_edge(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.25, 0.5)
    box = page.locator("#surface").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"], steps=8)
    page.mouse.up()
    settled(page)
    (hint,) = newest(server)["hints"]
    assert (hint["x"], hint["y"]) == pytest.approx((0.75, 0.25), abs=0.01)
    wait_until(page, lambda: bool(server.bodies("suggest")[-1]["x"] == hint["x"]), "no colours for the new place")
    assert server.bodies("suggest")[-1]["line"]["hints"] == []
    expect(hints(page)).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert newest(server)["hints"][0]["x"] == pytest.approx(0.25, abs=0.005)
    page.get_by_role("button", name="Redo").click()
    settled(page)
    assert newest(server)["hints"] == [hint]
    hints(page).hover()
    page.mouse.down()
    page.mouse.move(1439, 5, steps=3)
    page.mouse.up()
    settled(page)
    assert (newest(server)["hints"][0]["x"], newest(server)["hints"][0]["y"]) == (1, 0)


def test_the_wheel_and_its_sliders_set_hue_and_saturation_at_the_luma_of_the_place(
    page: Page, server: FakeServer
) -> None:
    set_hint(page, 0.5, 0.5)
    box = page.locator("#wheel").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 2)  # straight up: Cr alone, as much as there is
    settled(page)
    red, green, blue = bytes.fromhex(newest(server)["hints"][0]["color"][1:])
    assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(127.5, abs=3)  # the slope's middle
    assert red == 255
    assert blue == pytest.approx(127.5, abs=4)  # Cb is 0: blue is luma
    expect(page.locator("#hue")).to_have_value(re.compile("^(89|90|91)$"))
    page.locator("#saturation").fill("0")
    settled(page)
    red, green, blue = bytes.fromhex(newest(server)["hints"][0]["color"][1:])
    assert max(red, green, blue) - min(red, green, blue) <= 1
    page.locator("#hue").fill("0")  # Cb alone: blue
    settled(page)
    red, green, blue = bytes.fromhex(newest(server)["hints"][0]["color"][1:])
    assert blue > red
    assert red == pytest.approx(127.5, abs=4)


def test_a_colour_is_typed(page: Page, server: FakeServer) -> None:
    set_hint(page)
    field = page.get_by_role("textbox", name="Colour", exact=True)
    field.fill("7A8b3C")
    settled(page)
    assert newest(server)["hints"][0]["color"] == "#7a8b3c"
    field.fill("#12")
    expect(page.locator("#color-fault")).to_contain_text("six digits")
    field.blur()
    expect(field).to_have_value("#7a8b3c")
    assert saved(page, server)["hints"][0]["color"] == "#7a8b3c"


def test_keep_grey_size_and_delete(page: Page, server: FakeServer) -> None:
    set_hint(page)
    page.get_by_role("button", name="Keep grey").click()
    page.locator("#radius").fill("50")
    settled(page)
    (hint,) = newest(server)["hints"]
    assert hint["color"] == "#808080"
    assert 0.1 < hint["radius"] < 0.2
    ring, picture = page.locator(".hint .ring").bounding_box(), page.locator("#surface").bounding_box()
    assert ring is not None
    assert picture is not None
    assert ring["width"] == pytest.approx(2 * hint["radius"] * picture["height"], rel=0.02)  # the short side
    page.get_by_role("button", name="Delete hint").click()
    expect(hints(page)).to_have_count(0)
    settled(page)
    assert page.locator("#save").is_disabled()


def test_a_finger_sets_and_drags_a_hint(browser: Browser, server: FakeServer) -> None:
    with retouching(browser, server, (1024, 768), has_touch=True) as page:
        settled(page)
        box = page.locator("#surface").bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        expect(page.locator("#marker")).to_be_visible()
        page.locator("#likely button").first.tap()
        expect(hints(page)).to_have_count(1)
        session = page.context.new_cdp_session(page)
        for kind, share in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.25), ("touchEnd", None)):
            points = [{"x": box["x"] + share * box["width"], "y": box["y"] + 0.5 * box["height"]}] if share else []
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        settled(page)
        assert newest(server)["hints"][0]["x"] == pytest.approx(0.25, abs=0.01)
        expect(hints(page)).to_have_count(1)


# --- by the keyboard alone ---


def test_keys_set_move_colour_resize_and_delete_a_hint(page: Page, server: FakeServer) -> None:
    press = page.keyboard.press
    press("h")
    expect(page.locator("#cross")).to_be_visible()  # shows where one is
    expect(page.locator("#cross .ring")).to_be_visible()
    for _ in range(3):
        press("Shift+ArrowRight")
    press("Enter")
    expect(page.locator("#marker")).to_be_focused()
    assert newest(server)["hints"] == []
    expect(page.locator("#likely button")).to_have_count(6)
    press("1")
    expect(hints(page)).to_have_count(1)
    expect(hints(page)).to_be_focused()
    settled(page)
    assert newest(server)["hints"][0]["x"] == pytest.approx(0.5 + 0.3 * 200 / 300, abs=1e-4)
    press("ArrowLeft")
    press("ArrowDown")
    press("+")
    press("3")
    settled(page)
    (hint,) = newest(server)["hints"]
    assert hint["x"] == pytest.approx(0.7 - 0.005 * 200 / 300, abs=1e-4)
    assert hint["y"] == pytest.approx(0.505, abs=1e-4)
    assert hint["radius"] == pytest.approx(0.024)
    assert hint["color"] == LIKELY[2]
    press("g")
    settled(page)
    assert newest(server)["hints"][0]["color"] == "#808080"
    press("Enter")  # from the hint to its colours
    expect(page.locator("#likely button").first).to_be_focused()
    press("Tab")
    press("Enter")
    settled(page)
    assert newest(server)["hints"][0]["color"] == LIKELY[1]
    press("s")
    expect(page.locator("#said")).to_contain_text("Saved")
    press("h")
    press("Tab")
    expect(hints(page)).to_be_focused()
    press("Delete")
    expect(hints(page)).to_have_count(0)
    press("Control+z")
    expect(hints(page)).to_have_count(1)
    press("Control+Shift+z")
    expect(hints(page)).to_have_count(0)
    press("s")
    expect(page.locator("#save")).to_be_disabled()  # while it saves, too
    wait_until(page, lambda: server.line()["hints"] == [], "the deletion was not saved")


def test_keys_open_other_pictures_show_the_one_before_and_leave_one_as_it_is(page: Page, server: FakeServer) -> None:
    press = page.keyboard.press
    press("n")
    expect(page.locator("#title")).to_have_text(NAMES[1])
    press("p")
    expect(page.locator("#title")).to_have_text(NAMES[0])
    settled(page)
    at = "document.getElementById('picture').style.getPropertyValue('--at')"
    assert page.evaluate(at) == "0%"
    page.keyboard.down(" ")
    assert page.evaluate(at) == "100%"
    page.keyboard.up(" ")
    assert page.evaluate(at) == "0%"
    press("l")
    settled(page)
    assert newest(server)["leave_grey"] is True
    press("?")
    expect(page.locator("#help")).to_be_visible()
    press("n")
    expect(page.locator("#title")).to_have_text(NAMES[0])
    page.get_by_label("Keys of one letter work").uncheck()
    press("Escape")
    press("n")
    expect(page.locator("#title")).to_have_text(NAMES[0])


def test_letters_that_are_typed_are_no_keys(page: Page, server: FakeServer) -> None:
    page.get_by_label("Note").fill("")
    page.keyboard.type("n p s l")
    page.get_by_label("Note").blur()
    expect(page.locator("#title")).to_have_text(NAMES[0])
    assert saved(page, server)["note"] == "n p s l"
    assert saved_count(server) == 1
