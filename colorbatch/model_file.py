"""Find a model file, and refuse it unless it keeps the contract, before ONNX Runtime sees a byte of it."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from colorbatch import contract
from colorbatch.contract import ModelContract
from colorbatch.errors import ModelRefusedError
from colorbatch.onnx_header import OnnxHeader, TensorInfo, read_onnx_header
from colorbatch.reading import read_regular

MAX_BYTES = 2 * 2**30
"""Largest file that can be one protobuf message."""


@dataclass(frozen=True)
class ModelFile:
    """A model that keeps the contract: its bytes, and what they say."""

    path: Path
    data: bytes
    sha256: str
    header: OnnxHeader
    contract: ModelContract


def built_in_models() -> dict[str, Path]:
    """Return the models that ship with colorbatch, by name."""
    folder = Path(str(resources.files("colorbatch") / "models"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def read_model_file(name_or_path: str) -> ModelFile:
    """Read a built-in model by its name, or a model file by its path.

    Raises:
        ModelRefusedError: it is not there, is not ONNX, has external data, or does not keep the contract.

    """
    path = built_in_models().get(name_or_path, Path(name_or_path))
    try:
        if path.exists() and not path.is_file():
            raise ModelRefusedError(f"the model {path} is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise ModelRefusedError(f"{path} is larger than any model can be")
        data = read_regular(path)
    except OSError as error:
        raise ModelRefusedError(
            f"cannot read the model {name_or_path}: {error.strerror or error}",
            advice=f"Give the path of an .onnx file, or a built-in model: {', '.join(built_in_models())}",
        ) from error
    try:
        header = read_onnx_header(data)
    except (ValueError, RecursionError) as error:
        raise ModelRefusedError(f"{path} is not an ONNX model: {error}") from error
    if header.has_external_data:
        raise ModelRefusedError(
            f"{path} keeps weights in another file; a model must be one file",
            advice="Save the model with all weights inside it.",
        )
    try:
        model_contract = ModelContract.from_metadata(header.metadata)
        _check_signature(header, model_contract)
    except ModelRefusedError as error:
        raise ModelRefusedError(f"{path} is refused: {error}", advice=error.advice) from error
    return ModelFile(path, data, hashlib.sha256(data).hexdigest(), header, model_contract)


def _check_signature(header: OnnxHeader, model_contract: ModelContract) -> None:
    """Raise unless inputs and outputs are those of the contract."""
    wanted = f"{contract.INPUT_NAME} float32 [N, 1, H, W]"
    inputs, outputs = header.inputs, header.outputs
    matches = bool(inputs) and _is_planes(inputs[0], contract.INPUT_NAME, 1)
    if model_contract.vividness is None:
        matches &= len(inputs) == 1
    else:
        wanted += f", {contract.VIVIDNESS_NAME} float32 []"
        matches &= len(inputs) == 2 and _is_scalar(inputs[1], contract.VIVIDNESS_NAME)
    matches &= len(outputs) == 1 and _is_planes(outputs[0], contract.OUTPUT_NAME, 2)
    if not matches:
        found_inputs = ", ".join(map(describe_tensor, inputs)) or "nothing"
        found_outputs = ", ".join(map(describe_tensor, outputs)) or "nothing"
        raise ModelRefusedError(
            f"expected {wanted} in, {contract.OUTPUT_NAME} float32 [N, 2, H, W] out; "
            f"found {found_inputs} in, {found_outputs} out"
        )


def _is_scalar(info: TensorInfo, name: str) -> bool:
    return info.name == name and info.is_float32 and info.shape is not None and len(info.shape) == 0


def _is_planes(info: TensorInfo, name: str, planes: int) -> bool:
    """Return whether ``info`` is float32 ``[N, planes, H, W]`` with N, H and W dynamic."""
    if info.name != name or not info.is_float32 or info.shape is None or len(info.shape) != 4:
        return False
    batch, channels, height, width = info.shape
    return channels == planes and not any(isinstance(side, int) for side in (batch, height, width))


def describe_tensor(info: TensorInfo) -> str:
    """Return an input or output in words, such as ``luma float32 [N, 1, H, W]``."""
    kind = "float32" if info.is_float32 else "not float32"
    shape = "of unknown rank" if info.shape is None else f"[{', '.join(str(side or '?') for side in info.shape)}]"
    return f"{info.name} {kind} {shape}"
