"""Decisions that the page saves as lines of the retouch record."""

import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from browsers import faults
from helpers import LocalJob
from playwright.sync_api import Browser, Locator, Page, expect
from reports import HOSTILE, ODD_NAMES, opened

from colorbatch.errors import UsageError
from colorbatch.inference.model_names import built_in_models
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.retouch import RETOUCH_NAME, parsed_retouches
from colorbatch.records.row import Row
from colorbatch.report import write_report
from colorbatch.report.decisions import OWN_MODEL, model_of

BAD_BYTES = os.fsdecode(b"bad \xff\xc3.png")
INPUTS = ("a.png", "b.png", "c.tif", "d.png", "é 日本 😀.png", BAD_BYTES, HOSTILE, '"\\\u2028\x7f.png')
HINT = {"x": 0.31, "y": 0.52, "radius": 0.02, "color": "#7a8b3c"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return the folder of a run over pictures that cannot be shown, of which one has two pages."""
    output = tmp_path / "Ann's out"
    output.mkdir()
    rows = [Row(name, status="failed", reason="broken", frames=2 if name == "c.tif" else 1) for name in INPUTS]
    (output / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    return output


def mark(page: Page, name: str, mark: str) -> Locator:
    """Return the button of a mark below the picture of a source."""
    data = json.loads(page.locator("#data").text_content() or "")
    (place,) = [number for number, each in enumerate(data["pictures"]) if each["input"] == name]
    return page.locator(".card").nth(place).locator(f'[data-mark="{mark}"]')


def saved(page: Page) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save decisions").click()
    assert download.value.suggested_filename == RETOUCH_NAME
    return Path(download.value.path()).read_bytes()


def entries(data: bytes) -> dict[str, dict[str, Any]]:
    """Return the lines by input, each a valid one."""
    assert data.isascii()
    assert data.endswith(b"\n")
    found = [json.loads(line) for line in data.splitlines()]
    assert parsed_retouches(data, RETOUCH_NAME)
    return {each["input"]: each for each in found}


def test_marks_become_lines_with_names_of_any_kind(browser: Browser, output: Path) -> None:
    with opened(browser, write_report(output).index) as page:
        expect(page.locator("#decisions")).to_be_hidden()
        for name in INPUTS[2:]:
            mark(page, name, "grey").click()
        mark(page, "a.png", "redo").click()
        mark(page, "b.png", "good").click()
        expect(page.locator("#decided")).to_have_text("7 decisions to save.")
        found = entries(saved(page))
    assert found.pop("a.png") == {"schema": 1, "input": "a.png", "vividness": 0.2}
    assert found == {name: {"schema": 1, "input": name, "leave_grey": True} for name in INPUTS[2:]}


def test_redo_has_the_settings_that_were_chosen(browser: Browser, output: Path, tmp_path: Path) -> None:
    source = tmp_path / "$HOME"
    source.mkdir()
    with opened(browser, write_report(output, source).index) as page:
        mark(page, "a.png", "redo").click()
        page.get_by_label("Vividness").fill("0.75")
        page.get_by_label("Strength").fill("1.2")
        page.get_by_label("Model").fill("my model's.onnx")
        page.get_by_label("Model").press("Tab")
        assert entries(saved(page)) == {
            "a.png": {
                "schema": 1,
                "input": "a.png",
                "vividness": 0.75,
                "strength": 1.2,
                "model": "my model's.onnx",
            }
        }
        command = shlex.split(page.locator("#marks code").text_content() or "")
        chosen = ["--vividness", "0.75", "--strength", "1.2", "--model", "my model's.onnx"]
        folders = [str(source), str(output)]
        assert command == ["colorbatch", "run", "--only", "redo.txt", *chosen, *folders]
        decisions = page.locator("#decisions-command").text_content() or ""
        assert shlex.split(decisions) == ["colorbatch", "run", *folders]
        expect(page.locator("#steps")).to_contain_text(f"into {shlex.quote(str(output))}. If there is")
        page.reload()
        expect(page.get_by_label("Strength")).to_have_value("1.2")


def test_a_value_that_is_not_allowed_is_not_saved_but_told(browser: Browser, output: Path) -> None:
    with opened(browser, write_report(output).index) as page:
        mark(page, "a.png", "redo").click()
        mark(page, "b.png", "grey").click()
        page.get_by_label("Vividness").fill("")
        for label, value, said, right in (
            ("Vividness", "1.5", "Vividness must be a number from 0 to 1, such as 0.2.", 0.5),
            ("Strength", "-1", "Strength must be a number from 0 to 2, such as 0.7.", 0.5),
            ("Strength", "1e", "Strength must be a number from 0 to 2, such as 0.7.", 0.6),
        ):
            page.get_by_label(label).press_sequentially(value)
            page.get_by_label(label).press("Tab")
            expect(page.locator("#decisions")).to_be_visible()
            expect(page.get_by_role("alert")).to_have_text(said)
            expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
            expect(page.get_by_role("button", name="Save decisions")).to_be_disabled()
            expect(page.locator("#marks code")).to_contain_text("colorbatch run --only redo.txt SOURCE ")
            page.get_by_label(label).fill(str(right))
            page.get_by_label(label).press("Tab")
            expect(page.get_by_role("alert")).to_have_text("")
            expect(page.locator("#decided")).to_have_text("2 decisions to save.")
            assert entries(saved(page))["a.png"] == {"schema": 1, "input": "a.png", label.lower(): right}
            page.get_by_label(label).fill("")
            page.get_by_label(label).press("Tab")


def test_redo_without_a_setting_asks_for_one(browser: Browser, output: Path) -> None:
    with opened(browser, write_report(output).index) as page:
        mark(page, "a.png", "redo").click()
        page.get_by_label("Vividness").fill("")
        page.get_by_label("Vividness").press("Tab")
        expect(page.locator("#decided")).to_have_text("Redo changes nothing yet: choose a setting.")
        expect(page.get_by_role("button", name="Save decisions")).to_be_disabled()
        mark(page, "a.png", "redo").click()
        expect(page.locator("#decisions")).to_be_hidden()


def test_what_was_saved_is_told_with_the_next_steps_until_more_is_decided(browser: Browser, output: Path) -> None:
    with opened(browser, write_report(output).index) as page:
        mark(page, "a.png", "grey").click()
        expect(page.locator("#redo-settings")).to_be_hidden()
        expect(page.locator("#steps")).to_be_hidden()
        saved(page)
        said = page.locator("#decisions").get_by_role("status")
        expect(said).to_have_text(f"The browser saved {RETOUCH_NAME}, with 1 decision.")
        expect(said).to_be_in_viewport()
        expect(page.locator("#decided")).to_have_text("")
        steps = page.locator("#steps > ol > li")
        expect(steps).to_have_count(2)
        expect(steps.first).to_contain_text(shlex.quote(str(output)))
        expect(steps.first).to_contain_text("colorbatch-retouch (1).jsonl")
        expect(steps.last.locator("code")).to_have_text(f"colorbatch run SOURCE {shlex.quote(str(output))}")
        assert faults(page) == []
        page.reload()
        expect(said).to_contain_text("The browser saved")
        mark(page, "b.png", "grey").click()
        expect(said).to_have_text("")
        expect(page.locator("#decided")).to_have_text("2 decisions to save.")
        expect(page.locator("#steps")).to_be_hidden()


def test_the_lists_are_for_scripts_and_that_of_what_is_left_has_no_command(browser: Browser, output: Path) -> None:
    with opened(browser, write_report(output).index) as page:
        mark(page, "a.png", "grey").click()
        expect(page.get_by_role("button", name="Save leave-as-it-is.txt")).to_be_hidden()
        page.get_by_text("Lists of marked pictures, for scripts").click()
        expect(page.get_by_role("button", name="Save leave-as-it-is.txt")).to_be_visible()
        expect(page.locator("#marks code")).to_have_count(0)
        assert faults(page) == []
        decisions, lists = page.locator("#decisions").bounding_box(), page.locator("#marks").bounding_box()
        assert decisions is not None
        assert lists is not None
        assert decisions["y"] < lists["y"]


def test_lines_on_record_are_kept_and_only_what_was_decided_changes(browser: Browser, output: Path) -> None:
    kept = [
        b'{"schema":1,"input":"gone.png","hints":[],"future":1e400}',
        b'{"schema": 1, "input": "b.png"',  # cut short
        b"\xff\xfe not JSON \xe9 \xc3\xa9",
        b'{"schema": 1, "input": "d.png", "note": "\\u00e9</script><script>alert(1)</script>"}\r',
        b"[1, 2]",
    ]
    a = {"schema": 1, "input": "a.png", "page": 1, "hints": [HINT], "vividness": 0.9, "new": {"field": [None]}}
    bad = {"schema": 1, "input": BAD_BYTES, "leave_grey": True, "hints": [HINT]}
    first_page = {"schema": 1, "input": "c.tif", "page": 1, "hints": [HINT]}
    lines = [*kept[:2], *(json.dumps(each).encode() for each in (a, bad, first_page)), *kept[2:]]
    (output / RETOUCH_NAME).write_bytes(b"\n".join(lines))
    with opened(browser, write_report(output).index) as page:
        expect(page.locator("#decisions")).to_be_hidden()
        mark(page, "a.png", "redo").click()
        mark(page, BAD_BYTES, "grey").click()
        mark(page, "c.tif", "grey").click()
        found = saved(page).split(b"\n")
    assert [line for line in found if line in kept] == kept
    assert [json.loads(line) for line in (found[2], found[3], found[4], *found[8:-1])] == [
        {**a, "vividness": 0.2},
        {**bad, "leave_grey": False},
        {**first_page, "leave_grey": True},
        {"schema": 1, "input": "c.tif", "leave_grey": True},  # for page 2
    ]
    assert found[-1] == b""
    (output / RETOUCH_NAME).write_bytes(b"\n".join(found))
    with opened(browser, write_report(output).index) as page:  # now everything that was decided is on record
        assert page.evaluate("decided().pictureCount") == 0
        assert page.evaluate("decided().lines.length") == len(found) - 1


def test_what_is_on_record_is_shown(browser: Browser, output: Path) -> None:
    on_record = [
        {"schema": 1, "input": "a.png", "leave_grey": True},
        {"schema": 1, "input": "b.png", "vividness": 0.4, "model": "fast", "hints": [HINT, HINT], "note": "<b>dress"},
        {"schema": 1, "input": "c.tif", "page": 1, "leave_grey": True},  # of one page of two
    ]
    (output / RETOUCH_NAME).write_text("\n".join(map(json.dumps, on_record)))
    with opened(browser, write_report(output).index) as page:
        expect(mark(page, "a.png", "grey")).to_have_attribute("aria-pressed", "true")
        expect(mark(page, "c.tif", "grey")).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#marks")).to_be_hidden()
        page.locator("#mark").select_option("grey")
        expect(page.locator("#count")).to_have_text("1 of 8 sources")
        page.locator("#mark").select_option("")
        expect(page.locator(".card", has_text="b.png").locator(".remarks")).to_contain_text(
            "decided: vividness 0.4, model fast, 2 hints, <b>dress"
        )
        expect(page.locator(".card", has_text="a.png").locator(".remarks")).to_contain_text("decided: leave as it is")
        expect(mark(page, "a.png", "grey")).to_have_text("Leave as it is")
        mark(page, "a.png", "grey").click()
        expect(mark(page, "a.png", "grey")).to_have_attribute("aria-pressed", "false")
        page.reload()
        expect(mark(page, "a.png", "grey")).to_have_attribute("aria-pressed", "false")
        assert json.loads(saved(page).splitlines()[0]) == {**on_record[0], "leave_grey": False}
        mark(page, "a.png", "grey").click()
        expect(page.locator("#decisions")).to_be_hidden()


def test_the_odd_names_of_a_real_run_are_those_of_its_manifest(browser: Browser, reported: LocalJob) -> None:
    with opened(browser, reported.output / "colorbatch-report" / "index.html") as page:
        for name in ODD_NAMES:
            mark(page, name, "grey").click()
        found = entries(saved(page))
        expect(page.locator("#decisions-command")).to_contain_text(f"colorbatch run --model {OWN_MODEL} ")
        expect(page.locator("#steps")).to_contain_text(f"in the place of {OWN_MODEL}")
    assert set(found) == set(ODD_NAMES)


def test_a_run_with_another_model_than_the_default_is_repeated_with_it(browser: Browser, output: Path) -> None:
    """Otherwise the commands of the page would do the pictures again with the default model."""
    other = next(name for name in built_in_models() if name != "default")
    rows = [Row("a.png", "a.png", "done", model=other, model_sha256=sha256_of(built_in_models()[other]))]
    (output / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    (output / "a.png").write_bytes(b"")
    assert model_of(rows) == other
    with opened(browser, write_report(output).index) as page:
        page.evaluate("setMark(pictures[0], 'redo')")
        expect(page.locator("#marks code")).to_contain_text(f"redo.txt --vividness 0.2 --model {other} SOURCE ")
        expect(page.locator("#decisions-command")).to_contain_text(f"colorbatch run --model {other} SOURCE ")
        expect(page.locator("#marks")).not_to_contain_text(OWN_MODEL)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_which_model_has_to_be_named() -> None:
    default = sha256_of(built_in_models()["default"])
    made = Row("a.png", "a.png", "done", model="default", model_sha256=default)
    own = Row("b.png", "b.png", "done", model="default", model_sha256="0" * 64)
    assert model_of([]) == ""
    assert model_of([made, Row("c.png", status="failed", model="fast")]) == ""
    assert model_of([own]) == OWN_MODEL
    assert model_of([made, own, made]) == ""


def test_a_record_that_cannot_be_read_is_not_taken_for_none(output: Path) -> None:
    (output / RETOUCH_NAME).mkdir()
    with pytest.raises(UsageError, match=RETOUCH_NAME):
        write_report(output)
    assert not (output / "colorbatch-report" / "index.html").exists()
