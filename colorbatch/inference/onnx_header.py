"""Read the header of an ONNX file without loading it: metadata, opset, inputs, outputs, external data.

The package ``onnx`` is not required at run time, and ONNX Runtime neither reports the opset nor refuses external data,
so this reads the few fields needed from the protobuf wire format. Field numbers: onnx.proto3 of the ONNX project; wire
format: protobuf.dev, "Encoding".
"""

from collections.abc import Iterator
from dataclasses import dataclass

# Message -> field number -> message of that field. Every path to a tensor, and those read below.
_NESTED: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 8: "OperatorSet", 14: "StringEntry", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 11: "ValueInfo", 12: "ValueInfo", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
_MAX_DEPTH = 64
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FLOAT = 1
"""``TensorProto.DataType.FLOAT``."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model."""

    name: str
    is_float32: bool
    shape: tuple[int | str | None, ...] | None
    """Sizes; a dynamic one is its name, or ``None``. ``None`` as a whole: not a tensor of known rank."""


@dataclass(frozen=True)
class OnnxHeader:
    """Description of an ONNX file, without its computation."""

    metadata: dict[str, str]
    opsets: dict[str, int]
    """Opset version by operator domain; the ONNX domain is ``""``."""
    inputs: tuple[TensorInfo, ...]
    """Inputs that must be fed."""
    optional_inputs: tuple[TensorInfo, ...]
    """Inputs with a default: an initializer of the same name."""
    outputs: tuple[TensorInfo, ...]
    has_external_data: bool
    """Whether any tensor, at any depth, is stored in another file."""


def read_onnx_header(data: bytes) -> OnnxHeader:
    """Read the header of an ONNX file.

    Raises:
        ValueError: the bytes are not an ONNX model.

    """
    metadata: dict[str, str] = {}
    opsets: dict[str, int] = {}
    inputs: list[TensorInfo] = []
    optional_inputs: list[TensorInfo] = []
    outputs: list[TensorInfo] = []
    external = False
    graphs = 0
    for path, message in _walk(memoryview(data), ("Model",)):
        match path:
            case ("Model", "StringEntry"):
                metadata[_text(message, 1)] = _text(message, 2)
            case ("Model", "OperatorSet"):
                opsets[_text(message, 1)] = _integer(message, 2)
            case ("Model", "Graph"):
                graphs += 1
                initializers = {_text(tensor, 8) for tensor in _messages(message, 5)}
                for info in map(_tensor_info, _messages(message, 11)):
                    (optional_inputs if info.name in initializers else inputs).append(info)
                outputs += map(_tensor_info, _messages(message, 12))
            case (*_, "Tensor"):
                external = external or _integer(message, 14) != 0 or any(_messages(message, 13))
    if graphs != 1 or not opsets:
        raise ValueError("no ONNX graph in it")
    return OnnxHeader(metadata, opsets, tuple(inputs), tuple(optional_inputs), tuple(outputs), external)


def _walk(message: memoryview, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], memoryview]]:
    """Yield every message of a known type below ``message``, parents first."""
    if len(path) > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    nested = _NESTED.get(path[-1], {})
    for number, value in _fields(message):
        if number in nested:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {number} of {path[-1]} is not a message")
            below = (*path, nested[number])
            yield below, value
            yield from _walk(value, below)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: an integer for varints, bytes otherwise."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _LENGTH:
            length, position = _varint(message, position)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire_type} at byte {position}")
        if number == 0 or position + length > len(message):
            raise ValueError(f"cut short or damaged at byte {position}")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("cut short")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 10 bytes")


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    return (value for number, value in _fields(message) if number == wanted and isinstance(value, memoryview))


def _text(message: memoryview, wanted: int) -> str:
    text = ""
    for value in _messages(message, wanted):
        text = bytes(value).decode("utf-8")
    return text


def _integer(message: memoryview, wanted: int) -> int:
    result = 0
    for number, value in _fields(message):
        if number == wanted and isinstance(value, int):
            result = value
    return result


def _tensor_info(value_info: memoryview) -> TensorInfo:
    """Read ValueInfo(name 1, type 2) -> Type(tensor_type 1) -> Tensor(elem_type 1, shape 2) -> Shape(dim 1)."""
    name = _text(value_info, 1)
    for kind in _messages(value_info, 2):
        for tensor in _messages(kind, 1):
            for shape in _messages(tensor, 2):
                dimensions = tuple(_dimension(each) for each in _messages(shape, 1))
                return TensorInfo(name, _integer(tensor, 1) == _FLOAT, dimensions)
    return TensorInfo(name, is_float32=False, shape=None)


def _dimension(message: memoryview) -> int | str | None:
    """Read Dimension(dim_value 1, dim_param 2)."""
    for number, value in _fields(message):
        if number == 1 and isinstance(value, int):
            return value
        if number == 2 and isinstance(value, memoryview):
            return bytes(value).decode("utf-8")
    return None
