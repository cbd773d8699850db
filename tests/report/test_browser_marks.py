"""What is marked on the page of a report, in a real browser, and the commands that it tells."""

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import faults
from helpers import CommandLine, LocalJob
from playwright.sync_api import Browser, Page, expect
from reports import HOSTILE, SHOWN, card, opened

from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.records.row import Row
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.report import write_report
from colorbatch.run.only_list import read_list


def test_marks_are_kept_and_what_is_exported_is_what_run_takes(page: Page, tmp_path: Path) -> None:
    page.get_by_label("Order").select_option("path")
    for mark in page.locator('[data-mark="redo"]').all():
        mark.click()
    card(page, "a.png").locator('[data-mark="good"]').click()
    card(page, "broken.jpg").locator('[data-mark="redo"]').click()  # once more: no mark
    page.reload()
    expect(card(page, "a.png").locator('[data-mark="good"]')).to_have_attribute("aria-pressed", "true")
    page.locator("#mark").select_option("good")
    expect(page.locator("#count")).to_have_text("1 of 11 sources")
    page.locator("#marks summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save redo.txt").click()
    path = tmp_path / "redo.txt"
    download.value.save_as(path)
    assert read_list(path) == SHOWN - {"a.png"}
    assert path.read_text().splitlines()[0].startswith("# Redo: 8 of 11")


@pytest.fixture
def failed(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Return the report of many failures in folders whose names must be quoted, opened from the file system."""
    source, output = tmp_path / "$HOME", tmp_path / "Ann's photos & more"
    source.mkdir()
    output.mkdir()
    rows = [Row(f"{number:02}.jpg", status="failed", reason="broken") for number in range(24)]
    (output / MANIFEST_NAME).write_bytes(b"".join(row.to_json() for row in rows))
    with opened(browser, write_report(output, source).index) as page:
        yield page


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_commands_are_copied_with_the_paths_of_the_folders(
    failed: Page,
    tmp_path: Path,
    has_clipboard: bool,  # noqa: FBT001
) -> None:
    if not has_clipboard:  # as on a page from a server without TLS
        failed.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    failed.locator('[data-mark="redo"]').first.click()
    failed.locator("#marks summary").click()
    failed.locator("#marks").get_by_role("button", name="Copy").click()
    expect(failed.get_by_role("button", name="Copied")).to_be_visible()
    failed.get_by_label("File name").focus()
    failed.keyboard.press("Control+V")
    pasted = failed.get_by_label("File name").input_value()
    folders = [str(tmp_path / "$HOME"), str(tmp_path / "Ann's photos & more")]
    options = ["--only", "redo.txt", "--vividness", "0.2"]
    assert shlex.split(pasted) == ["colorbatch", "run", *options, *folders]


def test_where_nothing_can_be_copied_the_command_is_selected(failed: Page) -> None:
    failed.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    failed.evaluate("document.execCommand = () => false")
    failed.locator('[data-mark="redo"]').first.click()
    failed.locator("#marks summary").click()
    failed.locator("#marks").get_by_role("button", name="Copy").click()
    expect(failed.locator("#copied")).to_have_text("Selected: copy it with the keyboard")
    selected = failed.evaluate("String(getSelection())")
    assert selected.startswith("colorbatch run --only redo.txt --vividness 0.2 '/")


def test_without_the_source_its_place_in_a_command_is_named(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(Row("a.jpg", status="failed", reason="broken").to_json())
    with opened(browser, write_report(tmp_path).index) as page:
        page.locator('[data-mark="redo"]').click()
        expect(page.locator("#marks code")).to_contain_text(f" SOURCE {tmp_path}")
        expect(page.locator("#marks")).to_contain_text("in the place of SOURCE")


def test_a_report_so_far_says_how_to_write_it_again(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out" / STATE_FOLDER).mkdir(parents=True)
    (tmp_path / "out" / STATE_FOLDER / "journal.jsonl").touch()
    (tmp_path / "out" / MANIFEST_NAME).write_bytes(Row("a.jpg", status="failed", reason="broken").to_json())
    with opened(browser, write_report(tmp_path / "out", tmp_path / "in").index) as page:
        command = page.locator(".notice .command")
        expect(command.locator("code")).to_have_text(f"colorbatch report {tmp_path / 'out'} --source {tmp_path / 'in'}")
        command.get_by_role("button", name="Copy").click()
        expect(command.get_by_role("button", name="Copied")).to_be_visible()
        assert faults(page) == []


def test_the_lists_appear_above_the_pictures_which_stay_in_their_place(failed: Page) -> None:
    expect(failed.locator("#marks")).to_be_hidden()
    last = failed.locator(".card").last
    last.scroll_into_view_if_needed()
    before = last.bounding_box()
    last.locator('[data-mark="redo"]').click()
    after = last.bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=1)
    marks, sheet = failed.locator("#marks").bounding_box(), failed.locator("#sheet").bounding_box()
    assert marks is not None
    assert sheet is not None
    assert marks["y"] < sheet["y"]
    assert faults(failed) == []
    last.locator('[data-mark="redo"]').click()
    expect(failed.locator("#marks")).to_be_hidden()
    cleared = last.bounding_box()
    assert cleared is not None
    assert cleared["y"] == pytest.approx(before["y"], abs=1)


def test_pictures_marked_redo_are_done_again_and_lose_the_mark(
    browser: Browser, tmp_path: Path, reported: LocalJob, command_line: CommandLine
) -> None:
    shutil.copytree(reported.source.parent, tmp_path, dirs_exist_ok=True)
    job = LocalJob(tmp_path / "in", tmp_path / "out", str(tmp_path / "small.onnx"), "cpu", jobs=1)
    index = write_report(job.output, job.source).index
    before = (job.output / MANIFEST_NAME).read_bytes().splitlines()
    with opened(browser, index) as page:
        card(page, HOSTILE).locator(".title").click()
        page.keyboard.press("r")
        expect(page.locator('#facts [data-mark="redo"]')).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Escape")
        card(page, "a.png").locator('[data-mark="grey"]').click()
        page.locator("#marks summary").click()
        for mark, name in (("redo", "redo.txt"), ("grey", "leave-as-it-is.txt")):
            with page.expect_download() as download:
                page.locator(f'[data-save="{mark}"]').click()
            download.value.save_as(tmp_path / name)
        command = ("run", "-q", "--report", "--model", job.model, "--provider", "cpu", job.source, job.output)
        assert command_line(*command, "--only", tmp_path / "redo.txt", "--strength", 0.5) == 0
        assert command_line(*command, "--only", tmp_path / "leave-as-it-is.txt", "--strength", 0, "--no-mark") == 0
        after = (job.output / MANIFEST_NAME).read_bytes().splitlines()
        changed = [json.loads(new)["input"] for old, new in zip(before, after, strict=True) if old != new]
        assert changed == [HOSTILE, "a.png"]
        page.reload()
        expect(card(page, HOSTILE).locator('[data-mark="redo"]')).to_have_attribute("aria-pressed", "false")


def test_any_name_is_exported_so_that_it_is_read_back(page: Page, tmp_path: Path) -> None:
    names = [
        "a",
        "\u2028",
        "b\u2029c",
        " d",
        "e ",
        "\u3000f",
        "g\r",
        "\tg",
        "#",
        '"',
        '""',
        "\\n",
        "h\x85i",
        "\u202ej",
        "\ufeffk",
        "日本/é😀",
    ]
    names += [os.fsdecode(b"\xff\n\xfe"), "l\x00m".replace("\x00", "\x7f")]
    lines = page.evaluate(
        "names => JSON.stringify(names.map(lineOf))", [json.loads(json.dumps(name)) for name in names]
    )
    path = tmp_path / "list.txt"
    path.write_bytes("\n".join(json.loads(lines)).encode())
    assert read_list(path) == set(names)
