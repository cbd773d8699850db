"""Models and checkpoints that are broken, hostile or swapped are refused before a picture is read, or pictures fail."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from gauntlet.arena import Arena, at_outputs
from helpers import endless_model, model_of, small_model
from onnx import TensorProto, helper, numpy_helper

Spoil = Callable[[onnx.ModelProto], object]


def external(model: onnx.ModelProto) -> None:
    """Weights in a file of the system's, which would then show in the colours."""
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "../../../../../../../../etc/passwd", "length": "8"}.items():
        tensor.external_data.add(key=key, value=value)


def without_contract(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def from_the_future(model: onnx.ModelProto) -> None:
    next(each for each in model.metadata_props if each.key == "colorbatch.contract").value = "99"


def with_odd_contract(model: onnx.ModelProto) -> None:
    for each in model.metadata_props:
        if each.key in {"colorbatch.size_multiple", "colorbatch.working_size"}:
            each.value = "-99999999999999999999"


def three_planes(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "RunProgram"


def foreign_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example.hostile"
    model.opset_import.append(helper.make_opsetid("com.example.hostile", 1))


def future_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9999


def without_weights(model: onnx.ModelProto) -> None:
    del model.graph.initializer[:]


SPOILT = (
    *(external, without_contract, from_the_future, with_odd_contract, three_planes, unknown_operator, foreign_domain),
    *(future_opset, without_weights),
)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda each: each.__name__)
def test_a_model_that_cannot_be_trusted_is_refused(arena: Arena, spoil: Spoil) -> None:
    arena.fill(3)
    model = small_model()
    spoil(model)
    arena.model.write_bytes(model.SerializeToString())
    arena.run(codes={3})
    assert not arena.output.exists()
    arena.command("inspect", arena.model, codes={0, 3})


def test_a_file_that_is_no_model_is_refused(arena: Arena) -> None:
    arena.fill(3)
    whole = small_model().SerializeToString()
    random = np.random.default_rng(1)
    contents = [
        b"",
        b"<html>",
        b"\x80\x04.",
        random.bytes(5000),
        whole * 2,
        b"\x08" * 100_000,
        b"\x0a\xff\xff\xff\xff\x0f",
    ]
    contents += [whole[: len(whole) * percent // 100] for percent in (1, 30, 60, 90, 99)]
    for number, content in enumerate(contents):
        arena.model = arena.root / "models" / f"{number}.onnx"
        arena.model.write_bytes(content)
        arena.run(codes={3, 0} if content == whole * 2 else {3})


@pytest.mark.parametrize("kind", ["pipe", "folder", "endless", "none", "huge", "dangling"])
def test_what_is_no_file_is_no_model(arena: Arena, kind: str) -> None:
    arena.fill(3)
    arena.model = arena.root / "models" / "other.onnx"
    match kind:
        case "pipe":
            os.mkfifo(arena.model)
        case "folder":
            arena.model.mkdir()
        case "endless":
            arena.model.symlink_to("/dev/zero")
        case "dangling":
            arena.model.symlink_to("nowhere")
        case "huge":
            with (arena.root.parent / "huge").open("wb") as file:
                file.truncate(2**33)
            arena.model.symlink_to(arena.root.parent / "huge")
        case _:
            pass
    arena.run(codes={3})


def test_a_model_with_flipped_bytes_is_refused_or_gives_colours_or_fails(arena: Arena) -> None:
    arena.fill(2)
    whole = small_model().SerializeToString()
    random = np.random.default_rng(7)
    for number in range(25):
        data = bytearray(whole)
        for position in random.integers(0, len(data), 3):
            data[position] ^= int(random.integers(1, 256))
        arena.model = arena.root / "models" / f"{number}.onnx"
        arena.model.write_bytes(data)
        arena.run("--timeout", 10, codes={0, 1, 2, 3}, output=arena.root / "place" / str(number))


def of_4_tib() -> onnx.ModelProto:
    shape = numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["top"], keepdims=0),
        helper.make_node("Add", ["luma", "top"], ["plane"]),
        helper.make_node("Concat", ["plane", "plane"], ["chroma"], axis=1),
    ]
    return model_of(nodes, [shape])


def of_another_size() -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.zeros((2, 1, 1, 1), np.float32), "weights")
    return model_of([helper.make_node("Conv", ["luma", "weights"], ["chroma"], strides=[2, 2])], [weights])


def of_no_numbers() -> onnx.ModelProto:
    return small_model((float("nan"), 0.0))


def of_infinite_numbers() -> onnx.ModelProto:
    return small_model((0.0, float("-inf")))


FAILING = (of_4_tib, of_another_size, of_no_numbers, of_infinite_numbers, endless_model)


@pytest.mark.parametrize("make", FAILING, ids=lambda each: each.__name__)
def test_a_model_that_fails_fails_each_picture_and_leaves_none_grey(
    arena: Arena, make: Callable[[], onnx.ModelProto]
) -> None:
    arena.fill(5)
    arena.model.write_bytes(make().SerializeToString())
    ended = arena.run("--timeout", 0.5, codes={1, 3})
    assert arena.outputs() == {}
    assert ended.code == 3 or list(ended.statuses.values()).count("failed") == 5


def test_a_model_that_is_swapped_during_the_run_changes_nothing(arena: Arena) -> None:
    arena.fill(60)
    straight, before = arena.straight(), arena.model.read_bytes()
    green = small_model((-0.2, -0.2)).SerializeToString()
    swap = at_outputs(arena.output, 3, lambda _: arena.model.write_bytes(green))
    ended = arena.run("--jobs", 1, codes={0}, during=swap, altered=(arena.model,))
    assert len({row["model_sha256"] for row in ended.rows.values() if row["status"] == "done"}) == 1
    assert arena.outputs() == straight
    again = arena.run(codes={0})
    assert b"60 coloured" in again.stderr, "the other model makes other outputs"
    arena.model.write_bytes(before)


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self._path), "w")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from colorbatch.training.unet import ColorizationUNet

    path = tmp_path_factory.mktemp("weights") / "unet.pth"
    torch.save(ColorizationUNet().state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *((command, kind) for command in ("export", "verify") for kind in ("pickle", "torch", "cut", "missing")),
        *((command, kind) for command in ("resume", "init") for kind in ("pickle", "state")),
    ],
)
def test_a_checkpoint_that_cannot_be_trusted_is_refused_and_its_code_does_not_run(
    arena: Arena, weights: Path, kept: Path, command: str, kind: str
) -> None:
    import torch

    evil = Evil(arena.elsewhere / "code-ran")
    training = arena.root / "place" / "training"
    checkpoint = training / "checkpoints" / "last.pth"
    checkpoint.parent.mkdir(parents=True)
    match kind:
        case "pickle":
            checkpoint.write_bytes(pickle.dumps(evil, 2))
        case "torch":
            torch.save(evil, checkpoint)
        case "state":
            torch.save({"format": "colorbatch-checkpoint-1", "state": evil, "weights": {}, "optimizer": {}}, checkpoint)
        case "cut":
            checkpoint.write_bytes(weights.read_bytes()[:200_000])
        case _:
            pass
    (arena.elsewhere / "code-ran").unlink(missing_ok=True)
    for number in range(4):
        arena.add(f"{number}.png", seed=number, side=80)
    arguments = {
        "export": ("export", checkpoint, "-o", arena.root / "models" / "new.onnx"),
        "verify": ("verify", "unet", checkpoint),
        "resume": ("train", arena.source, "--resume", "--out", training, "--epochs", 2),
        "init": ("train", arena.source, "--init", checkpoint, "--out", training / "new", "--epochs", 1),
    }[command]
    places = (training, arena.home, arena.scratch)  # Matplotlib and PyTorch have folders of their own there
    fonts = {"MPLCONFIGDIR": str(kept / "fonts")}  # which Matplotlib looks for once, not in every new home
    arena.command(*arguments, codes={3}, writes=places, environment=fonts)
    assert not (arena.elsewhere / "code-ran").exists()
    shutil.rmtree(training)
