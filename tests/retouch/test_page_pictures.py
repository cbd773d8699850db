"""The list, the picture and its previews on the page of ``colorbatch retouch``, in a real browser."""

import pytest
from browsers import Scheme, faults
from fake_retouch import EMPTY, LIKELY, NAMES, FakeServer, retouching
from playwright.sync_api import Browser, Page, expect
from retouch_page import (
    HOSTILE,
    click_at,
    color_in_the_middle,
    drag,
    hints,
    newest,
    saved,
    set_hint,
    settled,
    wait_for_requests,
)

# --- the whole picture ---


def test_the_picture_before_is_uncovered_and_settings_are_sent_and_taken_back(page: Page, server: FakeServer) -> None:
    page.get_by_role("slider", name="Before and after").fill("30")
    clip = page.locator("#before").evaluate("image => getComputedStyle(image).clipPath")
    assert clip == "inset(0px 70% 0px 0px)"
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


def test_a_model_that_cannot_be_used_is_replaced_by_another(browser: Browser) -> None:
    server = FakeServer()
    server.lines[0, 1] = EMPTY | {"model": "broken"}
    with retouching(browser, server) as page:
        settled(page)
        expect(page.locator("#can")).to_have_text("cannot use the model broken. Choose another model.")
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


# --- the list ---


def test_the_list_is_walked_by_arrow_keys_searched_and_filtered(page: Page) -> None:
    page.locator(".row").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text(NAMES[2])
    expect(page.locator(".row[aria-current]")).to_have_attribute("title", NAMES[2])
    expect(page.locator("#count")).to_have_text("4 of 4 pictures")
    page.get_by_role("searchbox", name="Search").first.fill("FRAME")
    expect(page.locator("#count")).to_have_text("3 of 4 pictures")
    page.locator("#status").select_option("retouched")
    expect(page.locator("#count")).to_have_text("0 of 4 pictures")
    page.locator("#status").select_option("untouched")
    expect(page.locator("#count")).to_have_text("3 of 4 pictures")


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((1440, 900), 1000),
        pytest.param((1440, 900), 40_000, marks=pytest.mark.slow),
        pytest.param((1024, 768), 40_000, marks=pytest.mark.slow),
    ],
)
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
    damaged, empty = (409, "The source is damaged."), (409, "the file is empty")  # errors have no full stop
    with retouching(browser, FakeServer(refused={"picture/0": damaged, "picture/1": empty})) as page:
        expect(page.locator("#nothing")).to_have_text("The source is damaged. Try another.")
        page.keyboard.press("n")
        expect(page.locator("#nothing")).to_have_text("the file is empty. Try another.")
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
        expect(page.locator("#conflict")).to_be_visible()  # until then, the picture is hidden for a moment
        click_at(page, 0.6, 0.6)
        drag(page, "drop")
        assert faults(page) == []
        page.locator("#copy-open").click()
        assert faults(page) == []
        page.locator("#copy-close").click()
        page.locator("#help-open").click()
        assert faults(page) == []


@pytest.mark.parametrize(
    "size",
    [(320, 256), pytest.param((400, 800), marks=pytest.mark.slow), pytest.param((1024, 768), marks=pytest.mark.slow)],
)
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
