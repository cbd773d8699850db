"""Photographs of prints that are raw files are coloured; colour photographs beside them are not."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import CommandLine
from raw_files import dng, mosaic_of

LAMP = (0.75, 1.0, 0.33)


def test_a_print_is_coloured_and_a_colour_photograph_is_not(
    command_line: CommandLine, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    down, across = np.mgrid[0:64, 0:96]
    grey = 0.05 + 0.4 * (down + across) / (64 + 96)
    colour = np.dstack([0.6 * (across > 48), 0.5 * (down > 32), 0.6 - 0.006 * across]) + 0.05
    (source / "print.dng").write_bytes(dng(mosaic_of(np.dstack([grey] * 3) * LAMP), neutral=LAMP))
    (source / "daylight.dng").write_bytes(dng(mosaic_of(np.dstack([grey] * 3) * LAMP)))
    (source / "garden.dng").write_bytes(dng(mosaic_of(colour)))
    assert command_line("run", "--json", "--model", model_path, source, output) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["skip_reasons"] == {"it is in colour already": 1}
    for name in ("print.dng.tif", "daylight.dng.tif"):
        levels = tifffile.imread(output / name)
        assert (levels.shape, str(levels.dtype)) == ((64, 96, 3), "uint16")
    assert not (output / "garden.dng.tif").exists()
    assert command_line("audit", output, "--source", source) == 0


def test_without_the_extra_they_are_counted_with_what_to_type(
    command_line: CommandLine,
    tmp_path: Path,
    model_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    source = tmp_path / "in"
    source.mkdir()
    for name in ("1.dng", "2.CR2", "3.nef"):
        (source / name).write_bytes(b"II*\0\x08\0\0\0")
    assert command_line("run", "--model", model_path, source, tmp_path / "out") == 0
    assert "3 skipped: a raw file; to have them developed: pip install 'colorbatch[raw]'" in capsys.readouterr().err
