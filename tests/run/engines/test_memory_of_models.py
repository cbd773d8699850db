"""A large model is not open in more processes than the memory allows."""

import logging
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import LocalJob, descendants, model_of, outputs_below, small_model
from memory_store import MemoryStore
from onnx import helper, numpy_helper
from PIL import Image

from colorbatch.errors import ModelRefusedError
from colorbatch.inference import model_file
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.job import EngineName
from colorbatch.run import engines
from colorbatch.run.batch import run_batch
from colorbatch.run.colorize import Recipe
from colorbatch.run.engines.children import ChildExecutor
from colorbatch.run.engines.local import LocalEngine, ThisProcess, budgets_of, models_that_fit
from colorbatch.run.work import Run

GB = 10**9
SIDE = 7000
"""Of a matrix of 196 MB."""


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.linear_gradient("L").resize((30 + number, 20)).save(tmp_path / "in" / f"{number}.png")
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", engine="processes", jobs=4)


def gigabyte(job: LocalJob) -> ModelFile:
    """Return a model as if its file had 1 GB: 1.7 GB open, and 6 GB while it is opened."""
    return replace(read_model_file(job.model), size=GB)


@pytest.mark.parametrize(
    ("limit", "wanted", "expected"),
    [
        (100, 8, 8),  # half of it for 29
        (13, 8, 3),  # half of it for 3.8
        (7, 8, 1),  # half of it for 2; the second would be opened with 1.7 + 6 GB
        (1, 8, 1),  # not enough for one, but there is no run without
    ],
)
def test_a_large_model_is_open_as_often_as_half_of_the_memory_allows(
    job: LocalJob, limit: int, wanted: int, expected: int
) -> None:
    assert models_that_fit(replace(job, memory_limit=limit * GB), gigabyte(job), wanted) == expected


def test_a_small_model_is_open_as_often_as_wanted(job: LocalJob) -> None:
    assert models_that_fit(replace(job, memory_limit=1), read_model_file(job.model), 64) == 64


def test_the_memory_of_open_models_is_not_for_pictures(job: LocalJob) -> None:
    recipe = Recipe(replace(job, memory_limit=10 * GB), gigabyte(job), job.options)
    run = Run(recipe, MemoryStore(), MemoryStore())
    for models, share, expected in ((1, 1.0, 8.3), (3, 1.0, 4.9), (1, 0.5, 3.3), (9, 1.0, 0)):
        memory, _ = budgets_of(run, share, models)
        assert memory._limit == round(expected * GB)  # noqa: SLF001 (it tells nobody)


@pytest.mark.parametrize(
    ("engine", "limit", "children"),
    [("processes", 3000, 1), ("auto", 3000, 0), pytest.param("auto", 13_000, 3, marks=pytest.mark.slow)],
)
def test_fewer_children_are_started_for_a_large_model_and_v_says_so(
    job: LocalJob,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    engine: EngineName,
    limit: int,
    children: int,
) -> None:
    """The model has about 400 bytes; its limits are as small."""
    monkeypatch.setattr(model_file, "LARGE_BYTES", 100)
    monkeypatch.setattr(engines, "PICTURES_FOR_A_PROCESS", 1)
    caplog.set_level(logging.INFO)
    size = Path(job.model).stat().st_size
    opened = engines.open_engine(replace(job, engine=engine, memory_limit=limit * size // 1000), 4, is_remote=False)
    try:
        assert isinstance(opened, LocalEngine)
        executor = opened._executor  # noqa: SLF001 (it tells nobody)
        assert isinstance(executor, ChildExecutor if children else ThisProcess)
        assert executor.models == (children or 1)
        assert executor.recipe.model.held is None
    finally:
        opened.close()
    assert re.search(
        rf"model takes .* GB in each process .* Child processes: {children or 1} instead of 4", caplog.text
    )


def test_children_read_a_large_model_themselves_and_check_it(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "LARGE_BYTES", 100)
    model = read_model_file(job.model)
    Path(job.model).write_bytes(small_model((0.1, 0.1)).SerializeToString())
    with pytest.raises(ModelRefusedError, match="was changed while it was in use"):
        ChildExecutor(job, 1, model)


@pytest.mark.slow
def test_they_make_the_same_of_a_large_model(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(job, output=job.output.with_name("small"), engine="threads")
    run_batch(small)
    monkeypatch.setattr(model_file, "LARGE_BYTES", 100)
    assert run_batch(replace(job, jobs=2)).done == 4
    assert outputs_below(job.output) == outputs_below(small.output)


def model_with_a_matrix() -> onnx.ModelProto:
    """Return a small model to whose chroma the product of the mean luma with a matrix is added."""
    random = np.random.default_rng(0)
    initializers = [
        numpy_helper.from_array(values, name)
        for name, values in {
            "axes": np.array([2, 3]),
            "sides": np.array([2, 3]),
            "weights": np.zeros((2, 1, 1, 1), np.float32),
            "row": np.ones((1, SIDE), np.float32),
            "matrix": random.random((SIDE, SIDE), np.float32) * np.float32(1e-6),
            "column": np.full((SIDE, 1), 1e-6, np.float32),
        }.items()
    ]
    nodes = [
        helper.make_node("Conv", ["luma", "weights"], ["none"]),
        helper.make_node("ReduceMean", ["luma", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "row"], ["a"]),
        helper.make_node("MatMul", ["a", "matrix"], ["b"]),
        helper.make_node("MatMul", ["b", "column"], ["c"]),
        helper.make_node("Unsqueeze", ["c", "sides"], ["level"]),
        helper.make_node("Add", ["none", "level"], ["chroma"]),
    ]
    return model_of(nodes, initializers)


def memory_of(processes: list[int]) -> int:
    """Return the bytes that processes have in memory, what they share counted once."""
    total = 0
    for process in processes:
        with suppress(OSError):  # it has just ended
            told = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += int(re.findall(r"^Pss: +(\d+)", told, re.MULTILINE)[0])
    return total * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
def test_a_run_with_a_model_of_196_mb_stays_within_its_memory(job: LocalJob) -> None:
    Path(job.model).write_bytes(model_with_a_matrix().SerializeToString())
    limit, program, child = 1600 * 10**6, 200 * 10**6, 150 * 10**6
    command = [sys.executable, "-m", "colorbatch", "run", "-v", "--engine", "processes", "--jobs", "4"]
    command += ["--memory-limit", str(limit), "--provider", "cpu", "--model", str(job.model)]
    with subprocess.Popen([*command, job.source, job.output], stderr=subprocess.PIPE, text=True) as process:
        most = 0
        while process.poll() is None:
            most = max(most, memory_of([process.pid, *descendants(process.pid)]))
            time.sleep(0.02)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert "Child processes: 2 instead of 4" in said
    assert SIDE**2 * 4 * 2 < most < limit + program + 2 * child, f"{most / 1e6:.0f} MB, {os.cpu_count()} cores"
