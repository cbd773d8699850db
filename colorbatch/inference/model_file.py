"""Find a model file, and refuse it unless it fulfils the contract, before ONNX Runtime reads it."""

import hashlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from colorbatch.errors import ModelRefusedError, reason_of
from colorbatch.file_type import MODEL, SNIFFED, file_type_of
from colorbatch.inference import contract
from colorbatch.inference.contract import ModelContract
from colorbatch.inference.model_names import SEARCH_PATH, built_in_models, named_models, path_of, where_searched
from colorbatch.inference.onnx_header import OnnxHeader, TensorInfo, read_onnx_header
from colorbatch.store.regular_files import read_regular
from colorbatch.text import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

MAX_BYTES = 2 * 2**30
"""Maximum size of a protobuf message in bytes."""
LARGE_BYTES = 64 * 2**20
"""Size of a large model: it is not held in memory beside its session, each process reads it from its file, and the
memory that it needs counts. The models that ship with colorbatch are far below."""
_OPEN = 1.7
"""Memory of an open session in sizes of its file. 1.0 to 1.2 were measured for a matrix and a convolution of 240 MB,
1.7 and 1.5 for adopted networks of 270 and 979 MB."""
_OPENING = 6.0
"""The same while ONNX Runtime opens it: 2.9 were measured for a matrix, 5.8 for a convolution, which it rearranges."""


@dataclass(frozen=True)
class ModelFile:
    """A model that fulfils the contract: its bytes, header and contract."""

    path: Path
    held: "bytes | NDArray[np.uint8] | None"
    """The bytes, in this process or shared by several; ``None``: they are read from the file when they are needed."""
    sha256: str
    header: OnnxHeader
    contract: ModelContract
    size: int
    """Size of the file in bytes."""

    @property
    def data(self) -> bytes:
        """The bytes of the file.

        Raises:
            ModelRefusedError: they are not held, and the file was changed or deleted since it was read.

        """
        if self.held is not None:
            return bytes(self.held)
        try:
            data = read_regular(self.path)
        except OSError as error:
            raise ModelRefusedError(f"cannot read the model {self.path} again: {reason_of(error)}") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelRefusedError(
                f"the model {self.path} was changed while it was in use", advice="Run the same command again."
            )
        return data

    @property
    def is_large(self) -> bool:
        """Whether the memory that it needs counts."""
        return self.size >= LARGE_BYTES

    @property
    def bytes_open(self) -> int:
        """Memory in bytes that it needs in each process that has it open; 0 unless it is large."""
        return round(_OPEN * self.size) if self.is_large else 0

    @property
    def bytes_opening(self) -> int:
        """Memory in bytes that it needs while it is opened; 0 unless it is large."""
        return round(_OPENING * self.size) if self.is_large else 0

    def in_array(self) -> "ModelFile":
        """Return it with its bytes in an array if it is large: Ray shares an array among the workers of a node."""
        if not self.is_large:
            return self
        import numpy as np

        return replace(self, held=np.frombuffer(self.data, np.uint8))

    def released(self) -> "ModelFile":
        """Return it without its bytes if it is large and they are in this process."""
        return replace(self, held=None) if self.is_large and isinstance(self.held, bytes) else self


def name_with(sha256: str | None, likely: str | None) -> str | None:
    """Return the name of the model whose file has a sha256; ``None``: none does.

    Args:
        sha256: hash of the file.
        likely: a name to try first.

    """
    known = named_models()
    for name in sorted(known, key=lambda name: name != likely):  # which keeps the order of the others
        try:
            if read_model_file(name).sha256 == sha256:
                return name
        except ModelRefusedError:  # a damaged or foreign file in a folder of models
            continue
    return None


def read_model_file(given: str | os.PathLike[str]) -> ModelFile:
    """Read a model by its name, built-in or in a folder of ``COLORBATCH_MODELS``, or a model file by its path.

    Raises:
        ModelRefusedError: it does not exist, is not ONNX, has external data, or does not fulfil the contract.

    """
    name_or_path = os.fspath(given)
    path = path_of(name_or_path)
    _refuse_unknown_name(name_or_path, path)
    try:
        if path.exists() and not path.is_file():
            raise ModelRefusedError(f"the model {path} is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise ModelRefusedError(f"{path} is larger than any model can be")
        data = read_regular(path)
    except OSError as error:
        raise ModelRefusedError(
            f"cannot read the model {name_or_path}: {reason_of(error)}",
            advice=f"Give the path of an .onnx file, or a built-in model: {', '.join(built_in_models())}",
        ) from error
    try:
        header = read_onnx_header(data)
    except (ValueError, RecursionError) as error:
        logger.debug("%s: %s", path, error)
        raise _not_a_model(path, data[:SNIFFED]) from error
    if header.has_external_data:
        raise ModelRefusedError(
            f"{path} keeps weights in another file; a model must be one file",
            advice="Save the model with all weights in one file.",
        )
    try:
        model_contract = ModelContract.from_metadata(header.metadata)
        _check_signature(header, model_contract)
    except ModelRefusedError as error:
        raise ModelRefusedError(f"{path} is refused: {error}", advice=error.advice) from error
    return ModelFile(path, data, hashlib.sha256(data).hexdigest(), header, model_contract, len(data))


def _refuse_unknown_name(name: str, path: Path) -> None:
    """Check that a name without folder and extension is that of a model or of a file.

    Raises:
        ModelRefusedError: it is neither.

    """
    if path.name != name or path.suffix or path.exists():
        return
    known = named_models()
    raise ModelRefusedError(
        f"cannot read the model {name}: no built-in model or file has this name; there are: {', '.join(known)}"
        f"{where_searched(name)}",
        advice=did_you_mean(name, known)
        or f"Give a model of your own by the path of its .onnx file, or put its folder into {SEARCH_PATH}.",
    )


def _not_a_model(path: Path, head: bytes) -> ModelRefusedError:
    """Return the error for a file that is not ONNX, which says what it is instead."""
    found = file_type_of(head)
    if found is MODEL:
        return ModelRefusedError(f"{path} is not an ONNX model: it is damaged or cut short", advice="Copy it again.")
    if found is None:
        return ModelRefusedError(f"{path} is not an ONNX model: it is damaged, or another kind of file")
    return ModelRefusedError(f"{path} is not an ONNX model: it is {found.name}", advice=found.advice)


def _check_signature(header: OnnxHeader, model_contract: ModelContract) -> None:
    """Raise ModelRefusedError unless inputs and outputs are those of the contract."""
    inputs = [_RequiredTensor(contract.INPUT_NAME, ("N", 1, "H", "W"))]
    if model_contract.vividness is not None:
        inputs.append(_RequiredTensor(contract.VIVIDNESS_NAME, ()))
    hints = [_RequiredTensor(contract.HINTS_NAME, ("N", 3, "H", "W"))] if model_contract.hints else []
    outputs = [_RequiredTensor(contract.OUTPUT_NAME, ("N", 2, "H", "W"))]
    if model_contract.confidence:
        outputs.append(_RequiredTensor(contract.CONFIDENCE_NAME, ("N",)))
    if model_contract.colors is not None:
        outputs.append(_RequiredTensor(contract.COLORS_NAME, ("N", len(model_contract.colors), "h", "w")))
    # A file may list any of its weights as an input with a default; only one called hints belongs to the contract.
    found_hints = [info for info in header.optional_inputs if info.name == contract.HINTS_NAME]
    pairs = ((inputs, header.inputs), (hints, found_hints), (outputs, header.outputs))
    if not all(
        len(required) == len(found) and all(each.matches(info) for each, info in zip(required, found, strict=True))
        for required, found in pairs
    ):
        optional = "".join(f", optionally {each}" for each in hints)
        found_inputs = ", ".join(map(describe_tensor, (*header.inputs, *found_hints))) or "nothing"
        found_outputs = ", ".join(map(describe_tensor, header.outputs)) or "nothing"
        raise ModelRefusedError(
            f"expected {', '.join(map(str, inputs))}{optional} in, {', '.join(map(str, outputs))} out; "
            f"found {found_inputs} in, {found_outputs} out"
        )


@dataclass(frozen=True)
class _RequiredTensor:
    """An input or output required by the contract: float32, its named dimensions dynamic."""

    name: str
    shape: tuple[int | str, ...]

    def matches(self, info: TensorInfo) -> bool:
        """Return whether ``info`` is this input or output."""
        if info.name != self.name or not info.is_float32 or info.shape is None or len(info.shape) != len(self.shape):
            return False
        return all(
            found == required if isinstance(required, int) else not isinstance(found, int)
            for required, found in zip(self.shape, info.shape, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.name} float32 [{', '.join(map(str, self.shape))}]"


def describe_tensor(info: TensorInfo) -> str:
    """Return a description of an input or output, such as ``luma float32 [N, 1, H, W]``."""
    kind = "float32" if info.is_float32 else "not float32"
    shape = "of unknown rank" if info.shape is None else f"[{', '.join(str(side or '?') for side in info.shape)}]"
    return f"{info.name} {kind} {shape}"
