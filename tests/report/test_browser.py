"""The page of a report in a real browser, opened from the file system."""

import json
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browsers import Scheme, faults, lent_page
from helpers import LocalJob
from playwright.sync_api import Browser, Locator, Page, expect
from reports import HOSTILE, SHOWN, card, opened

from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.row import Row
from colorbatch.report import write_report


def names(page: Page) -> list[str]:
    return page.locator(".card .title").all_text_contents()


def line_at(card: Locator) -> float:
    """Return where the line between before and after is, in shares of the picture's width."""
    picture, line = card.locator(".compare").bounding_box(), card.locator(".line").bounding_box()
    assert picture is not None
    assert line is not None
    return (line["x"] + line["width"] / 2 - picture["x"]) / picture["width"]


def test_every_source_is_on_the_page_and_its_pictures_load(page: Page) -> None:
    expect(page.locator("#count")).to_have_text("11 of 11 sources")
    images = page.locator(".card img")
    assert images.count() == 2 * len(SHOWN)
    for place in range(0, 2 * len(SHOWN), 2):  # before and after are in the same place
        images.nth(place).scroll_into_view_if_needed()
        page.wait_for_function(
            "place => [...document.images].slice(0, place).every((image) => image.complete)", arg=place
        )
    assert images.evaluate_all("images => images.every((image) => image.naturalWidth > 0)")


def test_a_hostile_name_is_only_a_name(page: Page) -> None:
    expect(card(page, HOSTILE)).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    card(page, HOSTILE).locator(".title").click()
    expect(page.locator("#large-title")).to_have_text(HOSTILE)
    link = page.get_by_role("link", name=HOSTILE).last
    assert link.get_attribute("href") == "../%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.jpg"


def test_text_of_a_crafted_manifest_stays_text(browser: Browser, tmp_path: Path) -> None:
    output = tmp_path / "<b onclick=alert(1)>"
    output.mkdir()
    bad = "</script><script>alert(1)</script>\"'&<!--{{ 7 * 7 }}"
    rows = [
        Row("a.png", "javascript:alert(1)", "done", bad, model=bad, version=bad, finished_at=bad),
        Row(f"{bad}.png", status="failed", reason=bad, warnings=(bad,)),
        Row(f"{bad}.txt", reason=bad),
    ]
    (output / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    with opened(browser, write_report(output).index) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text(output.name)
        expect(page.locator(".failures li")).to_contain_text(bad)
        assert page.evaluate("document.scripts.length") == 2
        card(page, "a.png").locator(".title").click()
        expect(page.locator("#facts")).to_contain_text(bad)
        assert page.get_by_role("link", name="javascript").get_attribute("href") == "../javascript%3Aalert%281%29"


def test_the_slider_follows_the_mouse(page: Page) -> None:
    picture = card(page, "a.png").locator(".compare")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    assert line_at(card(page, "a.png")) == pytest.approx(0.5, abs=0.01)
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20, steps=4)
    page.mouse.up()
    assert line_at(card(page, "a.png")) == pytest.approx(0.8, abs=0.01)
    expect(page.locator("#large")).to_be_hidden()
    clip = picture.locator(".before").evaluate("image => getComputedStyle(image).clipPath")
    assert clip == "inset(0px 20% 0px 0px)"


def test_the_slider_follows_the_arrow_keys_and_says_where_it_is(page: Page) -> None:
    slider = card(page, "a.png").get_by_role("slider")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("53")
    expect(slider).to_have_attribute("aria-valuetext", "47 % in colour")
    page.keyboard.press("Home")
    assert line_at(card(page, "a.png")) == pytest.approx(0, abs=0.01)
    page.keyboard.press("Enter")
    expect(page.locator("#large-title")).to_have_text("a.png")


def test_the_slider_follows_a_finger(browser: Browser, reported: LocalJob) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto((reported.output / "colorbatch-report" / "index.html").as_uri())
    picture = card(page, "a.png").locator(".compare")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    session = context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.25), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["x"] + share * box["width"], "y": box["y"] + 30}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert line_at(card(page, "a.png")) == pytest.approx(0.25, abs=0.02)
    expect(page.locator("#large")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture.tap()
    expect(page.locator("#large-title")).to_have_text("a.png")
    context.close()


def test_a_click_opens_the_picture_with_its_row_in_the_words_of_the_other_commands(
    page: Page, reported: LocalJob
) -> None:
    expect(page.locator(".figures dt").last).to_have_text("pictures/s")
    card(page, "a.png").locator(".compare").click()
    rows = [json.loads(line) for line in (reported.output / MANIFEST_NAME).read_bytes().splitlines()]
    (row,) = [row for row in rows if row["input"] == "a.png"]
    facts = page.locator("#facts")
    for text in (
        row["input_sha256"],
        row["output_sha256"],
        row["model_sha256"],
        "small",
        "cpu",
        "60 \N{MULTIPLICATION SIGN} 40",
    ):
        expect(facts).to_contain_text(text)
    assert {"Bit depth", "AI label"} <= set(page.locator("#facts dt").all_text_contents())
    large = page.locator("#stage .after")
    expect(large).to_have_js_property("complete", True)
    assert (large.get_attribute("src") or "").endswith("-after-large.webp")
    page.keyboard.press("n")
    expect(page.locator("#large-title")).not_to_have_text("a.png")
    page.keyboard.press("p")
    expect(page.locator("#large-title")).to_have_text("a.png")
    page.keyboard.press("Escape")
    expect(page.locator("#large")).to_be_hidden()


def test_the_order_is_look_at_this_first_and_the_filter_takes_name_folder_and_status(page: Page) -> None:
    looked = names(page)
    assert looked[0] == "broken.jpg"
    assert looked[-1] == "notes.txt"
    assert looked.index("a.png") < looked.index("byte \\udcff.png")  # the former has less contrast
    page.get_by_label("Order").select_option("path")
    folders = page.locator(".card .folder").all_text_contents()
    assert names(page)[:3] == [" space .png", '"quoted".png', "# no comment.png"]
    assert folders[4:7] == ["", "album 1/b/", "album 1/"]
    page.get_by_label("File name").fill("D.web")
    expect(page.locator("#count")).to_have_text("1 of 11 sources")
    assert names(page) == ["d.webp"]
    page.get_by_label("File name").fill("")
    page.get_by_label("Folder").select_option("album 1/")
    expect(page.locator("#count")).to_have_text("2 of 11 sources")
    page.get_by_label("Status").select_option("failed")
    expect(page.locator("#count")).to_have_text("0 of 11 sources")
    page.get_by_label("Folder").select_option("")
    assert names(page) == ["broken.jpg"]
    expect(card(page, "broken.jpg")).to_contain_text("not a known picture format")


def test_keys_go_on_at_the_end_of_the_sheet(page: Page) -> None:
    page.get_by_label("File name").fill(".webp")
    page.get_by_label("File name").fill("a")
    page.get_by_label("Folder").select_option("album 1/")
    page.locator(".card .title").first.click()
    first = page.locator("#large-title").text_content()
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_role("button", name="Next", exact=True)).to_be_disabled()
    page.keyboard.press("p")
    expect(page.locator("#large-title")).to_have_text(first or "")


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1200),
        ("dark", 390),
        pytest.param("dark", 1200, marks=pytest.mark.slow),
        pytest.param("light", 390, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_fault(page: Page, scheme: Scheme, width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    assert faults(page) == []
    card(page, "a.png").locator(".title").click()
    page.locator('#facts [data-mark="good"]').click()
    assert faults(page) == []


def test_it_works_from_a_web_server(browser: Browser, reported: LocalJob) -> None:
    handler = partial(_Silent, directory=str(reported.output))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with lent_page(browser, (1200, 900)) as lent:
            page = lent.page
            page.goto(f"http://127.0.0.1:{server.server_port}/colorbatch-report/")
            card(page, "a.png").locator(".title").click()
            expect(page.locator("#stage .after")).to_have_js_property("naturalWidth", 60)
            with page.expect_popup() as popup:
                page.get_by_role("link", name="a.png").last.click()
            expect(popup.value.locator("img")).to_have_js_property("naturalWidth", 60)
            popup.value.close()
        server.shutdown()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("count", "pages"), [(1000, 17), pytest.param(10_000, 167, marks=pytest.mark.slow)])
def test_ten_thousand_sources_stay_usable(browser: Browser, tmp_path: Path, count: int, pages: int) -> None:
    rows = [Row(f"box {number // 100:03}/{number:05}.jpg", status="failed", reason="broken") for number in range(count)]
    (tmp_path / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    with opened(browser, write_report(tmp_path).index) as page:
        expect(page.locator("#count")).to_have_text(f"{count:,} of {count:,} sources, 1 to 60 shown")
        assert page.evaluate("document.querySelectorAll('*').length") < 2500
        page.get_by_role("button", name="Next page").click()
        expect(page.locator("#page")).to_have_text(f"Page 2 of {pages}")
        assert names(page)[0] == "00060.jpg"
        assert faults(page) == []
        page.get_by_label("File name").fill(f"{count - 1:05}")
        expect(page.locator("#count")).to_have_text(f"1 of {count:,} sources")
        expect(page.locator("#pages")).to_be_hidden()


def test_without_scripts_the_page_says_what_failed(browser: Browser, reported: LocalJob) -> None:
    with lent_page(browser, (1200, 900)) as lent:
        session = lent.page.context.new_cdp_session(lent.page)
        session.send("Emulation.setScriptExecutionDisabled", {"value": True})
        lent.page.goto((reported.output / "colorbatch-report" / "index.html").as_uri())
        expect(lent.page.locator(".failures")).to_contain_text("broken.jpg")
        expect(lent.page.get_by_text(re.compile("scripts are disabled"))).to_be_visible()
        session.send("Emulation.setScriptExecutionDisabled", {"value": False})
        session.detach()


def test_no_option_is_broken_after_its_hyphens(browser: Browser, tmp_path: Path) -> None:
    warning = "it might be a colour photograph; with --doubtful-color skip or copy, such pictures are not coloured"
    rows = [Row("a.jpg", status="failed", reason="broken", warnings=(warning,))]
    (tmp_path / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    with opened(browser, write_report(tmp_path).index) as page:
        remark = page.locator(".remarks li").last
        expect(remark).to_have_text(warning)
        page.locator(".title").click()
        expect(page.locator("#facts")).to_contain_text(warning)
        page.keyboard.press("Escape")
        option = page.locator(".remarks .option")
        assert option.count() == 1
        lines = option.evaluate(
            """(option, widths) => widths.map((width) => {
              option.closest("li").style.width = `${width}px`;
              return option.getClientRects().length;
            })""",
            [*range(100, 300, 7)],
        )
        assert set(lines) == {1}
