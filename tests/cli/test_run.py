import json
import re
from pathlib import Path

import click
import numpy as np
import pytest
from helpers import CommandLine
from PIL import Image

from colorbatch.cli.options import ByteCount
from colorbatch.cli.run_summary import luma_sentence, skipped_lines
from colorbatch.job import BatchSummary, Luma


def test_all_done_is_exit_0(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--model", model_path, source, tmp_path / "out") == 0
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert "2 coloured, 0 kept, 0 skipped, 0 failed" in stderr
    assert (tmp_path / "out" / "a.png").exists()


def test_a_failed_picture_is_exit_1_and_named(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "\x1b[31mevil\n.png").write_bytes(b"x")
    assert command_line("run", "--model", model_path, source, tmp_path / "out") == 1
    stderr = capsys.readouterr().err
    assert "\\x1b[31mevil\\n.png" in stderr
    assert "\x1b" not in stderr


def test_quiet_says_nothing_when_all_went_well_and_names_failures(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "-q", "--model", model_path, source, tmp_path / "out") == 0
    assert capsys.readouterr() == ("", "")
    (source / "c.png").write_bytes(b"x")
    assert command_line("run", "-q", "--model", model_path, source, tmp_path / "out") == 1
    assert "c.png" in capsys.readouterr().err


def test_why_sources_were_skipped_is_counted(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.exr", "2.EXR", "3.xcf", "Thumbs.db", ".hidden.png"):
        (source / name).touch()
    colour = np.zeros((64, 64, 3), np.uint8)
    colour[:32, :, 0], colour[32:, :, 1], colour[:, 32:, 2] = 200, 102, 90
    for name in ("c.png", "d.png"):
        Image.fromarray(colour).save(source / name)
    assert command_line("run", "--json", "--model", model_path, source, tmp_path / "out") == 0
    stdout, stderr = capsys.readouterr()
    assert stderr.splitlines()[1:7] == [
        "  3 skipped: not a supported kind (2 .exr, 1 .xcf)",
        "  2 skipped: in colour already",
        "  1 skipped: a hidden file",
        "  1 skipped: not a picture file name",
        "2 photographs: every grey value unchanged (2 within 1 level)",
        f"Manifest: {tmp_path / 'out' / 'colorbatch-manifest.jsonl'}",
    ]
    summary = json.loads(stdout)
    assert summary["skip_reasons"] == {
        "not a supported kind": 3,
        "it is in colour already": 2,
        "a hidden file": 1,
        "not a picture file name": 1,
    }
    assert summary["unsupported"] == {".exr": 2, ".xcf": 1}
    assert command_line("run", "-q", "--model", model_path, source, tmp_path / "out") == 0
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_told_how_to_colour_what_was_skipped_in_colour() -> None:
    summary = BatchSummary(skip_reasons={"it is in colour already": 7, "excluded": 2})
    assert skipped_lines(summary, with_hints=True) == [
        "  7 skipped: in colour already (--already-color recolor colours them too)",
        "  2 skipped: excluded",
    ]


def test_pictures_that_might_be_in_colour_are_counted_with_what_to_do(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[:32] += np.array([0, 254, 8], np.uint8)  # Cb 4.7 levels above the mean, and as much below
    pixels[32:] += np.array([0, 2, 248], np.uint8)
    Image.fromarray(pixels).save(source / "c.png")
    assert command_line("run", "--json", "--model", model_path, source, tmp_path / "out") == 0
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["doubtful"] == 1
    sentence = (
        "1 coloured picture might be a colour photograph: see its warning, or the report, which begins with it; "
        "with --doubtful-color skip or copy, such pictures are not coloured"
    )
    assert sentence in stderr.splitlines()
    assert command_line("run", "--json", "--model", model_path, source, tmp_path / "out") == 0
    assert json.loads(capsys.readouterr().out)["doubtful"] == 0  # kept
    options = ("--doubtful-color", "skip", "--model", model_path)
    assert command_line("run", "--json", *options, source, tmp_path / "other") == 0
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["skip_reasons"] == {"it might be a colour photograph": 1}
    assert "  1 skipped: it might be a colour photograph" in stderr.splitlines()
    assert skipped_lines(BatchSummary(skip_reasons={"it might be a colour photograph": 3}), with_hints=True) == [
        "  3 skipped: it might be a colour photograph (--doubtful-color color colours them too)"
    ]


@pytest.mark.parametrize("is_dry", [False, True])
def test_strict_match_is_exit_2_and_writes_nothing(
    command_line: CommandLine, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_dry: bool
) -> None:
    options = ["--strict-match", "--include", "*.none", *(["--dry-run"] if is_dry else [])]
    assert command_line("run", *options, source, tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("Error: no file matches --include *.none; ")
    assert not (tmp_path / "out").exists()


def test_an_empty_source_is_a_warning(
    command_line: CommandLine, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    assert command_line("run", "--model", model_path, tmp_path / "in", tmp_path / "out") == 0
    assert f"WARNING: there are no pictures in {tmp_path / 'in'}: it is empty" in capsys.readouterr().err
    assert command_line("run", "--strict-match", tmp_path / "in", tmp_path / "out") == 2


def test_of_many_reasons_and_kinds_the_most_frequent_are_named() -> None:
    reasons = {f"reason {number}": number for number in range(1, 7)} | {"not a supported kind": 28}
    kinds = {f".k{number}": number for number in range(1, 8)}
    assert skipped_lines(BatchSummary(skip_reasons=reasons, unsupported=kinds)) == [
        "  28 skipped: not a supported kind (7 .k7, 6 .k6, 5 .k5, 4 .k4, 3 .k3, others)",
        "  6 skipped: reason 6",
        "  5 skipped: reason 5",
        "  4 skipped: reason 4",
        "  3 skipped: reason 3",
        "  and for 2 other reasons, all in the manifest",
    ]


def test_json_puts_the_summary_on_stdout(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "--json", "--model", model_path, source, tmp_path / "out") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["done"], summary["failed"], summary["model"]) == (2, 0, "small")
    assert sorted(summary["stages"]) == ["decode", "encode", "network", "read", "write"]
    read = sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) / 1e6
    assert summary["stages"]["read"]["megabytes"] == pytest.approx(read, abs=1e-3)
    assert all(stage["seconds"] > 0 for stage in summary["stages"].values())


def test_verbose_says_where_the_time_went(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line("run", "-v", "--memory-limit", "1 MB", "--model", model_path, source, tmp_path / "out") == 0
    said = capsys.readouterr().err
    for stage in ("read", "decode", "network", "encode", "write"):
        assert re.search(rf"^  {stage}: \d+\.\d s, \d+\.\d s of CPU time, \d+ MB$", said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("800MB", 800_000_000),
        ("4 gb", 4_000_000_000),
        ("2.5GiB", 5 * 2**29),
        ("1024", 1024),
        ("64k", None),
        ("0", None),
    ],
)
def test_sizes_are_read(text: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(click.BadParameter, match="is not a size such as"):
            ByteCount().convert(text, None, None)
    else:
        assert ByteCount().convert(text, None, None) == count


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "{in}", "{in}/out"], 2, "or inside it"),
        (["run", "{in}/none", "{out}"], 2, "does not exist"),
        (["run", "{in}"], 2, "Missing argument 'OUTPUT'"),
        (["run", "--no-such-option", "{in}", "{out}"], 2, "No such option"),
        (["run", "--working-size", "0", "{in}", "{out}"], 2, "working-size"),
        (["run", "--memory-limit", "much", "{in}", "{out}"], 2, "is not a size such as 800MB"),
        (["run", "--working-size", "8", "--model", "unet", "{in}", "{out}"], 2, "at least 32"),
        (["run", "--model", "{in}/a.png", "{in}", "{out}"], 3, "not an ONNX model"),
        (["run", "--model", "{in}/none.onnx", "{in}", "{out}"], 3, "cannot read the model"),
        (["no-such-command"], 2, "No such command"),
        (["run", "{in}", "/proc/no/such/folder"], 4, "cannot write"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_no_traceback(
    command_line: CommandLine,
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    words = {"in": source, "out": tmp_path / "out"}
    assert command_line(*(each.format(**words) for each in arguments)) == code
    stderr = capsys.readouterr().err
    assert message in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_a_provider_that_is_not_there_is_exit_4(
    command_line: CommandLine, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    assert command_line("run", "--provider", "cuda", source, tmp_path / "out") == 4
    assert "colorbatch[cuda]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bug_is_exit_70_with_one_line_and_a_log(
    command_line: CommandLine,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("colorbatch.run.batch.run_batch", faulty)
    assert command_line("run", source, tmp_path / "out") == 70
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert "ZeroDivisionError: oh" in stderr
    (log,) = tmp_path.glob("colorbatch-bug-*.log")
    assert str(log) in stderr
    assert "Traceback" in log.read_text()


def test_fail_fast_is_exit_1_and_patterns_choose(command_line: CommandLine, tmp_path: Path, model_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (9, 9), 70).save(source / name)
    (source / "a.png").write_bytes(b"no")
    options = ("--model", model_path, "--jobs", 1)
    assert command_line("run", *options, "--fail-fast", source, tmp_path / "out") == 1
    assert command_line("run", *options, "--exclude", "a.*", source, tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["b.png", "c.png"]


def test_audit_is_exit_0_or_1_and_says_why(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    command_line("run", "-q", "--model", model_path, source, output)
    assert command_line("audit", output, "--source", source) == 0
    assert "luma compared" in capsys.readouterr().out
    assert command_line("audit", "--json", "-q", output) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True
    (output / "\x1b[31ma.png").touch()
    assert command_line("audit", output) == 1
    assert "\\x1b[31ma.png: it is not in the manifest" in capsys.readouterr().out
    assert command_line("audit", source) == 2


def test_restore_gives_back_the_grey_jpegs(
    command_line: CommandLine, source: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "sub").mkdir()
    grey = Image.linear_gradient("L").resize((70, 50))
    exif = Image.Exif()
    exif[0x0112] = 6
    grey.save(source / "sub" / "c.jpg", quality=60)
    grey.save(source / "turned.jpg", exif=exif)
    grey.convert("CMYK").save(source / "printed.jpg")
    output, again = tmp_path / "out", tmp_path / "again"
    command_line("run", "-q", "--model", model_path, source, output)
    capsys.readouterr()
    assert command_line("restore", output, again) == 0
    stderr = capsys.readouterr().err
    assert "2 restored, 3 not restored" in stderr
    assert "Not restored: printed.jpg: it does not hold the coded luma of its source" in stderr
    for name in ("sub/c.jpg", "turned.jpg"):
        with Image.open(again / name) as restored, Image.open(source / name) as original:
            assert restored.mode == "L"
            assert restored.getexif().get(0x0112) == original.getexif().get(0x0112)
            np.testing.assert_array_equal(np.asarray(restored), np.asarray(original))
    assert command_line("restore", "--json", "-q", output, again) == 0
    assert "already exists" in capsys.readouterr().out
    assert command_line("restore", output, output / "in") == 2
    assert command_line("restore", source, again) == 2


@pytest.mark.parametrize("arguments", [["run", "", "out"], ["run", "in", ""], ["run", "--timeout", "inf", "in", "out"]])
def test_paths_of_unset_variables_and_numbers_that_are_none_are_exit_2(
    command_line: CommandLine, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    assert command_line(*arguments) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"exact": 12, "rounded": 2}, "14 photographs: every grey value unchanged (12 bit for bit, 2 within 1 level)"),
        ({"exact": 1}, "1 photograph: every grey value unchanged (1 bit for bit)"),
        (
            {"exact": 1, "reencoded": 3},
            "1 of 4 photographs: every grey value unchanged (1 bit for bit); 3 JPEGs: luma was encoded again",
        ),
        ({"reencoded": 1}, "1 JPEG: luma was encoded again"),
    ],
)
def test_the_end_of_a_run_tells_how_many_photographs_are_unchanged(numbers: dict[Luma, int], expected: str) -> None:
    assert luma_sentence(numbers) == expected


def test_advice_is_not_counted_as_a_reason() -> None:
    """One reason and a line of advice for it: there are no others."""
    summary = BatchSummary(skipped=3, skip_reasons={"not a supported kind": 3}, unsupported={".pdf": 2, ".zip": 1})
    lines = skipped_lines(summary)
    assert lines[0] == "  3 skipped: not a supported kind (2 .pdf, 1 .zip)"
    assert len(lines) == 3
    assert not any("other reasons" in line for line in lines)
