"""The page of ``colorbatch retouch`` in a real browser, before a server that answers from memory."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browsers import faults
from fake_retouch import EMPTY, LIKELY, NAMES, PICKED, FakeServer, Scheme, retouching
from playwright.sync_api import Browser, Locator, Page, expect

HOSTILE = "<img src=x onerror=alert(1)>/</script><b>.jpg"


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def page(browser: Browser, server: FakeServer) -> Iterator[Page]:
    """Return the page with its first picture opened and shown."""
    with retouching(browser, server) as page:
        settled(page)
        yield page


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
    page.locator("#likely button").first.click()
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


# --- hints by the pointer ---


def test_a_click_makes_a_hint_of_the_likeliest_colour_and_shows_it(page: Page, server: FakeServer) -> None:
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


def test_another_likely_colour_is_taken_by_a_click(page: Page, server: FakeServer) -> None:
    set_hint(page)
    swatches = page.locator("#likely button")
    assert swatches.first.get_attribute("aria-label") == "1: green, 41 %"
    swatches.nth(2).click()
    expect(swatches.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(swatches.first).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#color")).to_have_value(LIKELY[2])
    settled(page)
    assert newest(server)["hints"][0]["color"] == LIKELY[2]


def test_a_hint_is_dragged_and_that_is_one_step_to_undo(page: Page, server: FakeServer) -> None:
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
    last = server.bodies("suggest")[-1]
    assert last["line"]["hints"] == []
    assert last["x"] == hint["x"]
    expect(hints(page)).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert newest(server)["hints"][0]["x"] == pytest.approx(0.25, abs=0.005)
    page.get_by_role("button", name="Redo").click()
    settled(page)
    assert newest(server)["hints"] == [hint]


def test_a_drag_beyond_the_edge_ends_at_the_edge(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.9, 0.5)
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
    expect(page.locator("#save")).to_be_disabled()
    assert server.line()["hints"] == []


def test_the_key_to_the_picture_shows_where_it_is(page: Page) -> None:
    page.keyboard.press("h")
    expect(page.locator("#cross")).to_be_visible()
    expect(page.locator("#cross .ring")).to_be_visible()


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


def saved_count(server: FakeServer) -> int:
    return len(server.bodies("save"))


def test_the_list_is_walked_by_arrow_keys(page: Page) -> None:
    page.locator(".row").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text(NAMES[2])
    expect(page.locator(".row[aria-current]")).to_have_attribute("title", NAMES[2])


# --- the whole picture ---


def test_settings_are_sent_and_taken_back(page: Page, server: FakeServer) -> None:
    page.get_by_role("slider", name="Vividness").fill("0.8")
    page.get_by_role("slider", name="Strength").fill("1.4")
    expect(page.locator("#model option")).to_have_text(["as in the run (default)", "fast"])
    page.get_by_role("combobox", name="Model").select_option("fast")
    settled(page)
    line = newest(server)
    assert (line["vividness"], line["strength"], line["model"]) == (0.8, 1.4, "fast")
    page.get_by_role("button", name="Vividness as in the run").click()
    page.get_by_role("button", name="Strength as in the run").click()
    page.get_by_role("combobox", name="Model").select_option("")
    settled(page)
    expect(page.locator("#vividness")).to_have_attribute("aria-valuetext", "50 %, as in the run")
    assert page.locator("#save").is_disabled()


def test_the_pages_of_a_picture_are_read_again_after_one_is_saved(browser: Browser) -> None:
    server = FakeServer(pages=2, held={"save"})
    with retouching(browser, server) as page:
        settled(page)
        page.get_by_role("combobox", name="Model").select_option("fast")
        page.keyboard.press("Control+s")
        page.locator("#page").select_option("2")
        settled(page)
        server.lines[0, 2] = EMPTY | {"model": "fast"}  # as the server keeps it: all pages have one model
        server.release(page)
        expect(page.get_by_role("combobox", name="Model")).to_have_value("fast")
        settled(page)
        set_hint(page)


def test_a_model_without_hints_says_so(browser: Browser) -> None:
    server = FakeServer(can=())
    with retouching(browser, server) as page:
        settled(page)
        click_at(page, 0.5, 0.5)
        expect(page.locator("#said")).to_contain_text("takes no hints")
        expect(page.locator("#can")).to_have_text("This model takes no hints, has no vividness, suggests no colours.")
        expect(page.locator("#vividness")).to_be_disabled()
        assert hints(page).count() == 0
        page.get_by_role("combobox", name="Model").select_option("fast")
        settled(page)
        expect(page.locator("#can")).to_be_hidden()
        set_hint(page)


def test_a_model_that_suggests_nothing_gives_the_colour_that_is_there(browser: Browser) -> None:
    server = FakeServer(can=("hints",))
    with retouching(browser, server) as page:
        settled(page)
        click_at(page, 0.5, 0.5)
        expect(page.locator("#likely-none")).to_have_text("This model suggests no colours.")
        page.locator("#saturation").fill("0")  # of the colour that is there, at the place's own luma
        expect(hints(page)).to_have_count(1)
        settled(page)
        assert server.bodies("suggest") == []
        red, green, blue = bytes.fromhex(newest(server)["hints"][0]["color"][1:])
        assert (red, green, blue) == pytest.approx((128, 128, 128), abs=2)


def test_the_slider_uncovers_the_picture_before(page: Page) -> None:
    page.get_by_role("slider", name="Before and after").fill("30")
    clip = page.locator("#before").evaluate("image => getComputedStyle(image).clipPath")
    assert clip == "inset(0px 70% 0px 0px)"


def test_in_an_enlarged_picture_a_click_is_still_where_it_is(page: Page, server: FakeServer) -> None:
    page.locator("#zoom").select_option("4")
    page.locator("#stage").evaluate("stage => stage.scrollTo(stage.scrollWidth, stage.scrollHeight)")
    box, stage = page.locator("#surface").bounding_box(), page.locator("#stage").bounding_box()
    assert box is not None
    assert stage is not None
    assert box["width"] > 3 * stage["width"]
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    page.mouse.click(x, y)
    page.get_by_role("button", name="Keep grey").click()
    expect(hints(page)).to_have_count(1)
    settled(page)
    (hint,) = newest(server)["hints"]
    assert hint["x"] == pytest.approx((x - box["x"]) / box["width"], abs=0.002)
    assert hint["y"] == pytest.approx((y - box["y"]) / box["height"], abs=0.002)


def test_a_picture_that_is_left_as_it_is_says_so_in_the_list(page: Page) -> None:
    page.get_by_label("Leave this picture as it is").check()
    page.keyboard.press("s")
    expect(page.locator(".row").first).to_contain_text("left as it is")
    page.locator("#status").select_option("grey")
    expect(page.locator(".row")).to_have_count(1)


def test_a_picture_of_pages_has_a_line_for_each(browser: Browser) -> None:
    server = FakeServer(pages=3)
    with retouching(browser, server) as page:
        settled(page)
        page.locator("#page").select_option("2")
        settled(page)
        set_hint(page)
        saved(page, server)
        assert server.bodies("save")[0]["page"] == 2
        page.locator("#page").select_option("1")
        settled(page)
        assert hints(page).count() == 0


# --- previews ---


def wait_for_requests(page: Page, server: FakeServer, count: int) -> None:
    """Wait until so many previews were asked for."""
    for _ in range(250):
        if len(server.bodies("preview")) >= count:
            return
        page.wait_for_timeout(20)
    pytest.fail(f"{len(server.bodies('preview'))} previews were asked for, not {count}")


def test_while_one_preview_runs_only_the_newest_state_waits(page: Page, server: FakeServer) -> None:
    server.held.add("preview")
    before = len(server.bodies("preview"))
    set_hint(page, 0.2, 0.5)
    for place in (1, 2, 3):
        page.locator("#likely button").nth(place).click()
    wait_for_requests(page, server, before + 1)  # of the first state; of the three after it, only the newest waits
    grey = color_in_the_middle(page)
    server.release(page)
    wait_for_requests(page, server, before + 2)
    assert color_in_the_middle(page) == grey  # the first answer came too late
    asked = [body["line"]["hints"][0]["color"] for body in server.bodies("preview")[before:]]
    assert asked == [LIKELY[0], LIKELY[3]]
    server.release(page)
    settled(page)
    assert color_in_the_middle(page) != grey
    assert len(server.bodies("preview")) == before + 2


def test_the_same_state_is_not_asked_for_twice(page: Page, server: FakeServer) -> None:
    set_hint(page)
    settled(page)
    count = len(server.bodies("preview"))
    page.get_by_label("Note").fill("grandmother's garden")  # without an effect on the picture
    page.locator("#likely button").first.click()
    page.keyboard.press("Escape")
    settled(page)
    assert len(server.bodies("preview")) == count


def test_a_preview_that_is_refused_is_explained_and_not_repeated(page: Page, server: FakeServer) -> None:
    server.refused["preview"] = (409, "The source cannot be read.")
    set_hint(page)
    expect(page.locator("#problem")).to_have_text("The source cannot be read. Try another.")
    count = len(server.bodies("preview"))
    page.wait_for_timeout(100)
    assert len(server.bodies("preview")) == count
    server.refused.clear()
    page.locator("#likely button").nth(1).click()
    settled(page)
    expect(page.locator("#problem")).to_be_hidden()


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


def test_what_is_not_saved_stays_when_another_picture_is_opened(page: Page) -> None:
    set_hint(page)
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


def test_leaving_with_unsaved_changes_asks_first(page: Page) -> None:
    assert page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))") is True
    set_hint(page)
    assert page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))") is False


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
    server.is_gone = False
    page.get_by_role("button", name="Try again").click()
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
    for _ in range(250):
        if server.bodies("draft") and ("line" in server.bodies("draft")[-1]) == has_line:
            return
        page.wait_for_timeout(20)
    pytest.fail("the draft was not kept, or not dropped")


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
    assert server.palette == [{"color": LIKELY[0], "name": "uniform field grey"}]
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
    assert server.palette == [{"color": LIKELY[3], "name": "roof"}]
    expect(page.get_by_label("Name of this colour")).to_have_value("")


def test_saved_colours_are_remembered(page: Page, server: FakeServer) -> None:
    set_hint(page, 0.75, 0.5)
    page.get_by_role("button", name="Keep grey").click()  # which has a button of its own
    set_hint(page)
    saved(page, server)
    expect(page.locator("#recent button")).to_have_count(1)
    assert server.bodies("palette")[-1] == {"colors": [{"color": LIKELY[0], "name": ""}], "known": []}


def test_of_many_colours_those_with_names_are_kept(browser: Browser) -> None:
    palette = [{"color": f"#0000{number:02x}", "name": ""} for number in range(99)]
    server = FakeServer(palette=[*palette, {"color": "#445566", "name": "roof"}])
    with retouching(browser, server) as page:
        settled(page)
        set_hint(page)
        saved(page, server)
        expect(page.locator("#recent button").nth(1)).to_have_attribute("data-color", LIKELY[0])
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


# --- the list ---


def test_the_list_is_searched_and_filtered(page: Page) -> None:
    expect(page.locator("#count")).to_have_text("4 of 4 pictures")
    page.get_by_role("searchbox", name="Search").first.fill("FRAME")
    expect(page.locator("#count")).to_have_text("3 of 4 pictures")
    page.locator("#status").select_option("retouched")
    expect(page.locator("#count")).to_have_text("0 of 4 pictures")
    page.locator("#status").select_option("untouched")
    expect(page.locator("#count")).to_have_text("3 of 4 pictures")


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768)])
@pytest.mark.parametrize("count", [1000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_forty_thousand_pictures_stay_usable(browser: Browser, size: tuple[int, int], count: int) -> None:
    server = FakeServer(names=[f"box {number // 100:03}/{number:05}.jpg" for number in range(count)])
    with retouching(browser, server, size) as page:
        settled(page)
        expect(page.locator("#count")).to_have_text(f"{count:,} of {count:,} pictures")
        assert page.locator(".row").count() < 40
        page.locator("#rows").evaluate("rows => rows.scrollTo(rows.scrollWidth, rows.scrollHeight)")
        last = page.locator(".row").last
        expect(page.locator(f'.row[data-id="{count - 1}"]')).to_be_visible()
        last.click()
        expect(page.locator("#title")).to_have_text(server.names[-1])
        assert len([path for path, _ in server.asked if path.startswith("thumb/")]) < 200
        page.locator("#name").fill(f"{count // 2:05}")
        expect(page.locator(".row")).to_have_count(1)


def test_a_hostile_name_is_only_a_name(browser: Browser) -> None:
    server = FakeServer(
        names=[HOSTILE, "a.jpg"],
        facts={"reason": HOSTILE, "warnings": [HOSTILE], "concerns": [HOSTILE]},
        palette=[{"color": "#112233", "name": HOSTILE}],
        lines={(0, 1): {**FakeServer().line(), "note": HOSTILE, "model": HOSTILE}},
    )
    with retouching(browser, server) as page:
        settled(page)
        expect(page.locator("#title")).to_have_text(HOSTILE)
        assert page.get_by_label("Note").input_value() == HOSTILE
        assert page.get_by_role("combobox", name="Model").input_value() == HOSTILE
        set_hint(page)
        page.keyboard.press("s")
        expect(page.locator("#said")).to_contain_text(HOSTILE)
        page.keyboard.press("c")
        expect(page.locator("#copy-from")).to_contain_text(HOSTILE)
        assert page.locator("img[src=x], b").count() == 0


def test_a_picture_that_cannot_be_opened_says_why(browser: Browser) -> None:
    server = FakeServer(refused={"picture/0": (409, "The source is damaged.")})
    with retouching(browser, server) as page:
        expect(page.locator("#nothing")).to_have_text("The source is damaged. Try another.")
        page.keyboard.press("n")
        settled(page)
        set_hint(page)


def test_a_folder_without_pictures_says_so(browser: Browser) -> None:
    with retouching(browser, FakeServer(names=[])) as page:
        expect(page.locator("#nothing")).to_have_text("There are no pictures in this folder.")


# --- for everyone ---


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("dark", (400, 800)),
        pytest.param("light", (1440, 900), marks=pytest.mark.slow),
        pytest.param("dark", (1440, 900), marks=pytest.mark.slow),
        pytest.param("light", (1024, 768), marks=pytest.mark.slow),
        pytest.param("dark", (1024, 768), marks=pytest.mark.slow),
        pytest.param("light", (400, 800), marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_fault(browser: Browser, scheme: Scheme, size: tuple[int, int]) -> None:
    server = FakeServer(palette=[{"color": "#445566", "name": "roof"}, {"color": "#556677", "name": ""}])
    with retouching(browser, server, size, scheme) as page:
        settled(page)
        assert faults(page) == []
        set_hint(page)
        settled(page)
        assert faults(page) == []
        server.elsewhere({"strength": 0.5})
        click_at(page, 0.6, 0.6)
        drag(page, "drop")
        expect(page.locator("#conflict")).to_be_visible()
        assert faults(page) == []
        page.locator("#copy-open").click()
        assert faults(page) == []
        page.locator("#copy-close").click()
        page.locator("#help-open").click()
        assert faults(page) == []


@pytest.mark.parametrize("size", [(1024, 768), (400, 800), (320, 256)])
def test_on_small_screens_nothing_is_cut_off_and_targets_are_large(browser: Browser, size: tuple[int, int]) -> None:
    with retouching(browser, FakeServer(), size) as page:
        settled(page)
        page.locator("#surface").scroll_into_view_if_needed()
        set_hint(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, select, input, textarea")]
              .map((each) => [each.id || each.className, each.getBoundingClientRect()])
              .filter(([, box]) => box.width > 0 && (box.height < 24 || box.width < 24))
              .filter(([name]) => name && !name.startsWith("copy") && name !== "keys-on")
              .map(([name, box]) => [name, box.width, box.height])"""
        )
        assert small == []
        page.locator("#remove").scroll_into_view_if_needed()
        page.locator("#remove").click()
        expect(hints(page)).to_have_count(0)
