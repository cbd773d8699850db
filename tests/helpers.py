"""What many tests share: the samples, and models small enough to build anew each time."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from _pytest.mark import ParameterSet
from onnx import TensorProto, helper, numpy_helper

from colorbatch.inference.contract import ModelContract, Parity
from colorbatch.job import BatchJob
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME

ROOT = Path(__file__).parents[1]
CommandLine = Callable[..., int]
"""Runs ``colorbatch`` with arguments and returns the exit code."""
MakePictures = Callable[..., Path]
"""Makes a folder of pictures: its name, their names, and optionally their mode."""
SAMPLES = ROOT / "samples"


@dataclass(frozen=True)
class LocalJob(BatchJob):
    """A job of which a test knows that it reads and writes on this machine."""

    source: Path
    output: Path

    def __reduce__(self) -> tuple[type[BatchJob], tuple[object, ...]]:  # workers of a cluster know no tests
        return BatchJob, tuple(getattr(self, each.name) for each in fields(BatchJob))


ORANGE = (-0.2, 0.15)
"""Cb and Cr that the small model gives every pixel."""


def small_contract(**changes: object) -> ModelContract:
    values: dict[str, object] = {
        "name": "small",
        "architecture": "constant",
        "size_multiple": 8,
        "working_size": 32,
        "tiling": "whole",
        "precision": "fp32",
        "checkpoint_sha256": "0" * 64,
        "parity": Parity(0.0, 0.0, 0, 1e-4),
        "license": "MIT",
        "training_data": "none",
    }
    return ModelContract(**(values | changes))  # type: ignore[arg-type]


def small_model(chroma: tuple[float, float] = ORANGE) -> onnx.ModelProto:
    """Return a model that keeps the contract and gives every pixel the same chroma."""
    weights = numpy_helper.from_array(np.zeros((2, 1, 1, 1), np.float32), "weights")
    bias = numpy_helper.from_array(np.array(chroma, np.float32), "bias")
    return model_of([helper.make_node("Conv", ["luma", "weights", "bias"], ["chroma"])], [weights, bias])


def vivid_model(default: float = 0.25) -> onnx.ModelProto:
    """Return a model whose Cb is the luma and whose Cr is the vividness, both divided by 4."""
    quarter = numpy_helper.from_array(np.array(0.25, np.float32), "quarter")
    nodes = [
        helper.make_node("Mul", ["luma", "quarter"], ["cb"]),
        helper.make_node("Sub", ["luma", "luma"], ["zero"]),
        helper.make_node("Add", ["zero", "vividness"], ["level"]),
        helper.make_node("Mul", ["level", "quarter"], ["cr"]),
        helper.make_node("Concat", ["cb", "cr"], ["chroma"], axis=1),
    ]
    return model_of(nodes, [quarter], vividness=default)


def hinted_model() -> onnx.ModelProto:
    """Return a model whose chroma is that of the hints, and whose confidence and one color are the luma's mean."""
    initializers = [
        numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "hints"),
        *(
            numpy_helper.from_array(np.array(value), name)
            for name, value in (("from", [0]), ("to", [2]), ("axes", [1]))
        ),
        numpy_helper.from_array(np.array([1, 2, 3]), "all"),
        numpy_helper.from_array(np.array(0.0, np.float32), "zero"),
    ]
    nodes = [
        helper.make_node("Slice", ["hints", "from", "to", "axes"], ["hinted"]),
        helper.make_node("Mul", ["luma", "zero"], ["plane"]),
        helper.make_node("Add", ["hinted", "plane"], ["chroma"]),
        helper.make_node("ReduceMean", ["luma", "all"], ["confidence"], keepdims=0),
        helper.make_node("AveragePool", ["luma"], ["colors"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    model = model_of(nodes, initializers)
    model.graph.output.append(helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["N"]))
    model.graph.output.append(helper.make_tensor_value_info("colors", TensorProto.FLOAT, ["N", 1, "h", "w"]))
    # Other names than those of luma, since the default has a single pixel.
    model.graph.input.append(helper.make_tensor_value_info("hints", TensorProto.FLOAT, ["M", 3, "Y", "X"]))
    contract = small_contract(hints=True, confidence=True, colors=((0.125, -0.25),))
    helper.set_model_props(model, contract.to_metadata())
    return model


def endless_model() -> onnx.ModelProto:
    """Return a model that counts to 2^63 before it answers."""
    step = numpy_helper.from_array(np.array(1e-9, np.float32), "step")
    scalar = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("count", TensorProto.INT64),)]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_again"]),
            helper.make_node("Add", ["before", "step"], ["after"]),
        ],
        "body",
        [
            *scalar,
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["N", 1, "H", "W"]),
        ],
        [
            helper.make_tensor_value_info("goes_on_again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["N", 1, "H", "W"]),
        ],
    )
    times = numpy_helper.from_array(np.array(2**63 - 1, np.int64), "times")
    yes = numpy_helper.from_array(np.array(True), "yes")
    nodes = [
        helper.make_node("Loop", ["times", "yes", "luma"], ["counted"], body=body),
        helper.make_node("Concat", ["counted", "counted"], ["chroma"], axis=1),
    ]
    return model_of(nodes, [step, times, yes])


def model_of(
    nodes: list[onnx.NodeProto], initializers: list[TensorProto], vividness: float | None = None
) -> onnx.ModelProto:
    """Return a model with the contract's signature and metadata around ``nodes``."""
    inputs = [helper.make_tensor_value_info("luma", TensorProto.FLOAT, ["N", 1, "H", "W"])]
    if vividness is not None:
        inputs.append(helper.make_tensor_value_info("vividness", TensorProto.FLOAT, []))
    graph = helper.make_graph(
        nodes,
        "test",
        inputs,
        [helper.make_tensor_value_info("chroma", TensorProto.FLOAT, ["N", 2, "H", "W"])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, small_contract(vividness=vividness).to_metadata())
    return model


def outputs_below(folder: Path) -> dict[str, bytes]:
    """Return every file below an output folder but the manifest."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    }


_CHANGING = ("seconds", "finished_at", "input_modified")


def comparable_rows(folder: Path) -> list[dict[str, object]]:
    """Return the rows of a manifest, but for what differs from run to run.

    The time of a source that is less than 2 seconds old is not recorded.
    """
    found = [json.loads(line) for line in (folder / MANIFEST_NAME).read_bytes().splitlines()]
    return [{key: value for key, value in row.items() if key not in _CHANGING} for row in found]


class Foe(SilentProgress):
    """Does something whenever a picture, or any, is given to a worker."""

    def __init__(self, act: Callable[[], object], name: str | None = None) -> None:
        self._act = act
        self._name = name

    @contextmanager
    def working_on(self, name: str) -> Iterator[None]:
        if self._name in (None, name):
            self._act()
        yield


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1200):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("it took longer than a minute")


def descendants(of: int) -> list[int]:
    """Return the processes below one, nearest first."""
    below: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            below.setdefault(int(parent), []).append(int(process.name))
    found = list(below.get(of, ()))
    for each in found:  # which grows meanwhile
        found += below.get(each, ())
    return found


def mostly_slow(cases: Sequence[tuple[object, ...]], quick: int = 4) -> list[ParameterSet]:
    """Return parameters of a test, all but some, spread evenly, marked as slow."""
    step = -(-len(cases) // quick)
    return [pytest.param(*case, marks=[pytest.mark.slow] if number % step else []) for number, case in enumerate(cases)]
