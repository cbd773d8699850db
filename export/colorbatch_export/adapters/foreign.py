"""A file with a published network: what is in it, and why it may be refused. Nothing here goes by the file's name."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, inliner, numpy_helper, version_converter

from colorbatch.errors import ModelRefusedError, reason_of
from colorbatch.file_type import MODEL, SNIFFED, file_type_of
from colorbatch.inference.contract import PREFIX, Precision
from colorbatch.inference.model_file import MAX_BYTES
from colorbatch.inference.onnx_header import read_onnx_header
from colorbatch.inference.provider import open_inference_session
from colorbatch.pixels.color import Plane
from colorbatch_export.adapters.kinds import KINDS, Kind
from colorbatch_export.adapters.nodes import FIRST_OPSET
from colorbatch_export.comparison import picture

Run = Callable[[Sequence[Plane]], Plane]
"""The network itself: float32 inputs ``[1, C, h, w]`` in, float32 output ``[1, C, h, w]`` out."""
Units = Literal["Lab", "Lab / 110"]

PREFIX_OF_NAMES = "adopted/"
"""Of the names in the original, to tell them from those of the graph around it."""
_ADVICE = "docs/bring-another-network.md lists the files that can be adapted."
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Domains of the operators that every build of ONNX Runtime has."""
_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
_TYPES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
_SIZE_TRIED = (256, 256)
"""Height and width at which a file with dynamic sides is tried."""
_MIDDLE_OF_LIGHTNESS = 50.0
_SMALLEST_LAB = 2.0
"""Largest a or b of a picture above which the values are in the units of Lab: divided by 110, it would be 220."""


@dataclass(frozen=True)
class Port:
    """An input or output of the file."""

    name: str
    type: int
    """Element type of ONNX."""
    shape: tuple[int | None, ...]
    """``None``: dynamic."""

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {_TYPES.get(self.type, TensorProto.DataType.Name(self.type).lower())} [{sides}]"


@dataclass(frozen=True, eq=False)
class Foreign:
    """A network of one of the kinds, and all that the graph around it has to know."""

    kind: Kind
    model: onnx.ModelProto
    """The original; all names in it begin with :data:`PREFIX_OF_NAMES`."""
    sha256: str
    """Of the file that was given."""
    inputs: tuple[Port, ...]
    size: tuple[int, int] | None
    """Height and width that it takes; ``None``: dynamic."""
    precision: Precision
    is_centred: bool
    """Whether it takes (L - 50) / 100 and a and b divided by 110; else, L in 0..100 and a and b as they are."""
    units: Units
    """Units of the a and b that it gives."""
    may_take_several: bool
    """Whether a batch of several pictures is worth trying; false if it was exported here, for one."""
    run: Run | None
    """Runs the original; ``None`` once it has been run: two opened networks may need more memory than there is."""

    @property
    def takes_hints(self) -> bool:
        """Whether it has inputs for colours that are known."""
        return len(self.inputs) > 1

    @property
    def values(self) -> str:
        """What it takes and gives, in words."""
        if self.kind.takes_luma:
            return "RGB from 0 to 255 in and out"
        lightness = "(L - 50) / 100" if self.is_centred else "L from 0 to 100"
        taken = "grey RGB from 0 to 1" if len(self.inputs) == 1 and self.inputs[0].shape[1] == 3 else lightness
        return f"{taken} in, a and b{' divided by 110' if self.units == 'Lab / 110' else ''} out"


def read_foreign(path: Path, kind: str | None) -> Foreign:
    """Read an ONNX file with a published network.

    Args:
        path: the file.
        kind: which of ``KINDS`` it is; ``None``: found out by what it takes and gives.

    Raises:
        ModelRefusedError: it is no network of these kinds, or of more than one; the message says what was found.

    """
    data = read_bytes(path)
    return foreign_of(data, hashlib.sha256(data).hexdigest(), str(path), kind)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        ModelRefusedError: it cannot be read, or is larger than a model can be.

    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelRefusedError(
                f"{path} has {path.stat().st_size / 1e9:.1f} GB, and an ONNX file in one piece at most 2 GB",
                advice="Export it in float16.",
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelRefusedError(f"cannot read {path}: {reason_of(error)}", advice="Give the path of a file.") from error


def foreign_of(
    data: bytes, sha256: str, name: str, kind: str | None, run: Run | None = None, *, may_take_several: bool = True
) -> Foreign:
    """Return the network in the content of an ONNX file.

    Args:
        data: the content.
        sha256: of the file that was given.
        name: what to call it in messages.
        kind: as for :func:`read_foreign`.
        run: runs the original, if that is not this content.
        may_take_several: whether a batch of several pictures is worth trying.

    Raises:
        ModelRefusedError: as for :func:`read_foreign`.

    """
    model = _sound(data, name)
    inputs, output = _ports(model.graph, name)
    if kind is not None and kind not in KINDS:
        raise ModelRefusedError(f"no kind {kind!r}; there are: {', '.join(KINDS)}")
    size = _size(inputs, name)
    run = run or _runner(data, inputs)
    found = _kind_of(inputs, output, _tried(run, inputs, size, 1.0, name), name, kind)
    is_centred = not _subtracts_the_middle(model.graph, inputs[0].name)
    units: Units = "Lab"
    if found.takes_luma:
        _refuse_other_values(_tried(run, inputs, size, 255.0, name), size or _SIZE_TRIED, found, name)
    elif inputs[0].shape[1] == 1:
        units = _units(_tried(run, inputs, size, 1.0 if is_centred else 100.0, name))
    return Foreign(
        found,
        compose.add_prefix(_raised(model, name), PREFIX_OF_NAMES, inplace=True),
        sha256,
        inputs,
        size,
        _precision(model),
        is_centred=is_centred,
        units=units,
        may_take_several=may_take_several,
        run=run,
    )


def _refuse_other_values(given: Plane, size: tuple[int, int], kind: Kind, name: str) -> None:
    """Raise ModelRefusedError unless a network gives RGB in 0..255 at the size of its input."""
    if given.shape[2:] != size or np.abs(given).max() <= _SMALLEST_LAB:
        raise ModelRefusedError(
            f"{name} does not give RGB from 0 to 255 at the size of its input, as {kind.name} does: found "
            f"{list(given.shape)} up to {np.abs(given).max():.3g}",
            advice=_ADVICE,
        )


def _units(given: Plane) -> Units:
    """Return the units of the a and b of a photograph."""
    return "Lab" if np.abs(given).max() > _SMALLEST_LAB else "Lab / 110"


def _sound(data: bytes, name: str) -> onnx.ModelProto:
    """Return the model of a file, with its functions inlined.

    Raises:
        ModelRefusedError: it is no ONNX, or of no use here.

    """
    try:
        header = read_onnx_header(data)
        model: onnx.ModelProto = onnx.load_model_from_string(data)
    except Exception as error:  # the reader of protobuf has exceptions of its own
        found = file_type_of(data[:SNIFFED])
        is_named = found is not None and found is not MODEL
        what = f"it is {found.name}" if is_named and found else "it is damaged, or another kind of file"
        raise ModelRefusedError(f"{name} is not an ONNX model: {what}", advice=_ADVICE) from error
    if f"{PREFIX}contract" in header.metadata:
        raise ModelRefusedError(
            f"{name} is a model of colorbatch already: {header.metadata.get(f'{PREFIX}name', '')}",
            advice="Use it as it is, with --model.",
        )
    if header.has_external_data:
        raise ModelRefusedError(
            f"{name} keeps weights in another file; a model must be one file",
            advice='Save it in one piece: onnx.save(onnx.load("model.onnx"), "one.onnx")',
        )
    if model.functions:  # else the model would only be copied several times
        model = inliner.inline_local_functions(model)
    kinds = {(node.domain, node.op_type) for node in _all_nodes(model.graph)}
    if foreign := sorted({domain for domain, _ in kinds if domain not in _DOMAINS}):
        raise ModelRefusedError(f"{name} has operators of its own: those of {', '.join(foreign)}", advice=_ADVICE)
    if flow := sorted({kind for domain, kind in kinds if domain in ("", "ai.onnx") and kind in _CONTROL_FLOW}):
        raise ModelRefusedError(
            f"{name} has control flow: {', '.join(flow)}", advice="Export it for a fixed size, with tracing."
        )
    return model


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                yield from _all_nodes(below)


def _ports(graph: onnx.GraphProto, name: str) -> tuple[tuple[Port, ...], Port]:
    """Return the inputs that must be fed, the lightness first, and the output.

    Raises:
        ModelRefusedError: they are not pictures.

    """
    stored = {each.name for each in graph.initializer}
    inputs = [_port(each) for each in graph.input if each.name not in stored]
    outputs = [_port(each) for each in graph.output]
    found = f"found {', '.join(map(str, inputs)) or 'nothing'} in, {', '.join(map(str, outputs)) or 'nothing'} out"
    if len(outputs) != 1 or not 1 <= len(inputs) <= 3 or any(port.type not in _TYPES for port in (*inputs, *outputs)):
        raise ModelRefusedError(
            f"{name}: expected one to three inputs and one output of floats; {found}", advice=_ADVICE
        )
    if any(len(port.shape) != 4 or port.shape[1] is None for port in inputs):
        raise ModelRefusedError(f"{name}: expected inputs [N, channels, height, width]; {found}", advice=_ADVICE)
    if any(port.shape[0] not in (None, 1) for port in inputs):
        raise ModelRefusedError(
            f"{name} takes several pictures at once, and only so many; {found}",
            advice="Export it with a batch of one, or a dynamic one.",
        )
    return tuple(inputs), outputs[0]


def _port(info: onnx.ValueInfoProto) -> Port:
    tensor = info.type.tensor_type
    sides = tuple(
        side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None for side in tensor.shape.dim
    )
    return Port(info.name, tensor.elem_type, sides)


def _size(inputs: Sequence[Port], name: str) -> tuple[int, int] | None:
    """Return the height and width of all inputs; ``None``: dynamic.

    Raises:
        ModelRefusedError: they differ, or only one side is dynamic.

    """
    height, width = inputs[0].shape[2:]
    if any(port.shape[2:] != (height, width) for port in inputs) or (height is None) != (width is None):
        raise ModelRefusedError(
            f"{name}: expected inputs of one size, both sides fixed or both dynamic; "
            f"found {', '.join(map(str, inputs))}",
            advice=_ADVICE,
        )
    return None if height is None or width is None else (height, width)


def _runner(data: bytes, inputs: Sequence[Port]) -> Run:
    """Open the original in ONNX Runtime.

    Raises:
        ModelRefusedError: ONNX Runtime does not accept it.

    """
    session, _ = open_inference_session(data, "cpu")

    def run(values: Sequence[Plane]) -> Plane:
        fed = {
            port.name: value.astype(np.float16 if port.type == TensorProto.FLOAT16 else np.float32)
            for port, value in zip(inputs, values, strict=True)
        }
        found: NDArray[Any] = session.run(None, fed)[0]
        return found.astype(np.float32)

    return run


def _tried(run: Run, inputs: Sequence[Port], size: tuple[int, int] | None, scale: float, name: str) -> Plane:
    """Return what the network gives for a photograph, with its grey scaled to 0..``scale``.

    Raises:
        ModelRefusedError: it fails, or gives no picture.

    """
    height, width = size or _SIZE_TRIED
    grey = picture(0, height, width) * np.float32(scale)
    shapes = [(1, port.shape[1] or 1, height, width) for port in inputs]
    values: list[Plane] = [np.broadcast_to(grey, shapes[0]), *(np.zeros(shape, np.float32) for shape in shapes[1:])]
    try:
        given = run(values)
    except Exception as error:  # ONNX Runtime's exceptions have no common base class but Exception
        raise ModelRefusedError(
            f"ONNX Runtime fails on {name} at {height} x {width}: {error}", advice=_ADVICE
        ) from error
    if given.ndim != 4 or len(given) != 1:
        raise ModelRefusedError(
            f"{name}: expected an output [N, channels, height, width]; found {list(given.shape)}", advice=_ADVICE
        )
    return given


def _kind_of(inputs: Sequence[Port], output: Port, given: Plane, name: str, kind: str | None) -> Kind:
    """Return the kind that a file is of.

    Raises:
        ModelRefusedError: there is none, or more than one, or another one than asked for.

    """
    channels = [port.shape[1] or 0 for port in inputs]
    fitting = [each for each in KINDS.values() if each.fits(channels, given.shape[1])]
    found = f"{', '.join(map(str, inputs))} in, {output} out, which is {list(given.shape)}"
    if kind is not None:
        if KINDS[kind] not in fitting:
            fits = f"it could be {' or '.join(each.name for each in fitting)}" if fitting else "it is none of the kinds"
            raise ModelRefusedError(f"{name} is no {kind}: found {found}; {fits}", advice=_ADVICE)
        return KINDS[kind]
    if not fitting:
        raise ModelRefusedError(
            f"{name} is none of the kinds that can be adapted ({', '.join(KINDS)}): found {found}", advice=_ADVICE
        )
    if len(fitting) > 1:
        names = [each.name for each in fitting]
        raise ModelRefusedError(
            f"{name} could be {' or '.join(names)}: found {found}", advice=f"Say which it is: --kind {names[0]}"
        )
    return fitting[0]


def _subtracts_the_middle(graph: onnx.GraphProto, name: str) -> bool:
    """Return whether the first thing that is done to an input is to subtract 50: then it takes L in 0..100."""
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    for node in graph.node:
        if name not in node.input:
            continue
        if node.op_type in ("Cast", "Identity"):
            return _subtracts_the_middle(graph, node.output[0])
        others = [constants[each] for each in node.input if each in constants]
        if node.op_type in ("Sub", "Add") and len(others) == 1:
            value = numpy_helper.to_array(others[0])
            if value.size == 1 and abs(float(value.ravel()[0])) == _MIDDLE_OF_LIGHTNESS:
                return True
    return False


def _precision(model: onnx.ModelProto) -> Precision:
    """Return the precision in which most of the weights are."""
    sizes: dict[int, int] = {}
    for tensor in model.graph.initializer:
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + int(np.prod(tensor.dims))
    most = max(sizes, key=lambda each: sizes[each], default=TensorProto.FLOAT)
    if most in (TensorProto.INT8, TensorProto.UINT8):
        return "int8"
    return "fp16" if most == TensorProto.FLOAT16 else "fp32"


def _raised(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return the model in an opset that has the operators of the graph around it.

    Raises:
        ModelRefusedError: it cannot be converted.

    """
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), FIRST_OPSET)
    if opset >= FIRST_OPSET:
        return model
    try:
        raised: onnx.ModelProto = version_converter.convert_version(model, FIRST_OPSET)
    except Exception as error:  # the converter raises all kinds of exceptions
        raise ModelRefusedError(
            f"{name} has opset {opset}, and cannot be raised to {FIRST_OPSET}: {error}",
            advice=f"Export it again with opset {FIRST_OPSET} or higher.",
        ) from error
    return raised
