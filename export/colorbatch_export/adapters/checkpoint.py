"""Checkpoints of DDColor, whose network spandrel holds: read without running code from them, and exported."""

import hashlib
import io
import logging
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorbatch.errors import CheckpointRefusedError
from colorbatch.extras import needs_extra
from colorbatch.pixels.color import Plane
from colorbatch_export.adapters.foreign import Foreign, foreign_of, read_bytes
from colorbatch_export.adapters.kinds import KINDS

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

EXTRA = "adopt"
_OPSET = 17
_DDCOLOR = "DDColor"
"""What spandrel calls it."""
_WRAPPERS = ("params_ema", "params", "state_dict")
"""Keys under which published checkpoints hold their weights."""
_ADVICE = "Of checkpoints, only those of DDColor can be adapted. Export others to ONNX in their own project."


def is_safetensors(data: bytes) -> bool:
    """Return whether a file with this content or beginning is one of safetensors.

    Source: the format's README: eight bytes with the length of the header, then the header, which begins with ``{``.
    """
    return data[8:9] == b"{"


def read_checkpoint(path: Path, kind: str | None, working_size: int | None) -> Foreign:
    """Return the network of a checkpoint of DDColor, exported for a square as its authors do it.

    Args:
        path: of the file.
        kind: that was asked for.
        working_size: side of the square; ``None``: that of the authors.

    Raises:
        ModelRefusedError: the file cannot be read.
        CheckpointRefusedError: it contains code, is damaged, or of another network.
        MissingExtraError: a package is not installed.

    """
    if kind not in (None, "ddcolor"):
        raise CheckpointRefusedError(f"{path} is a checkpoint, and --kind {kind} asks for another file", advice=_ADVICE)
    with needs_extra(EXTRA):
        import torch

        network, sha256 = _read(path)
    side = working_size or KINDS["ddcolor"].working_size

    def run(values: Sequence[Plane]) -> Plane:
        with torch.inference_mode():
            answer: Plane = network(torch.from_numpy(values[0].copy())).numpy()
        return answer

    return foreign_of(_exported(network, side), sha256, str(path), "ddcolor", run, may_take_several=False)


def _read(path: Path) -> "tuple[torch.nn.Module, str]":
    """Return the network of a checkpoint, and the sha256 of the file, whose content is not held any longer."""
    data = read_bytes(path)
    sha256, weights = hashlib.sha256(data).hexdigest(), weights_in(path, data)
    del data
    return _network(path, weights), sha256


def _network(path: Path, weights: "Mapping[str, torch.Tensor]") -> "torch.nn.Module":
    """Return the network with these weights, for inference in float32.

    Raises:
        CheckpointRefusedError: they are not those of DDColor.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch, about spandrel
        from spandrel_extra_arches import EXTRA_REGISTRY
    try:
        found = EXTRA_REGISTRY.load(dict(weights))
    except Exception as error:  # spandrel's, and those of networks whose weights have other shapes
        logger.debug("%s: %s", path, error)
        names = ", ".join(list(weights)[:3])
        raise CheckpointRefusedError(
            f"{path} is no checkpoint of DDColor: it holds {len(weights)} tensors, such as {names}", advice=_ADVICE
        ) from error
    if found.architecture.id != _DDCOLOR:
        raise CheckpointRefusedError(f"{path} is a checkpoint of {found.architecture.name}", advice=_ADVICE)
    network: torch.nn.Module = found.model.eval().float()
    return network.requires_grad_(requires_grad=False)  # else the exporter keeps all that the layers compute


def weights_in(path: Path, data: bytes) -> "Mapping[str, torch.Tensor]":
    """Return the tensors in a checkpoint by their names.

    Raises:
        CheckpointRefusedError: it contains code, or is damaged.

    """
    import torch
    from safetensors.torch import load

    try:
        content: Any = load(data) if is_safetensors(data) else torch.load(io.BytesIO(data), "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        logger.debug("%s: %s", path, error)
        raise CheckpointRefusedError(
            f"{path} is refused: it is not a plain checkpoint, or it contains code", advice=_ADVICE
        ) from error
    except Exception as error:  # the readers raise all kinds of exceptions for crafted files
        logger.debug("%s: %s", path, error)
        raise CheckpointRefusedError(
            f"{path} is not a checkpoint: it is damaged, or another kind of file", advice="Copy or download it again."
        ) from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {str(name): value for name, value in content.items()} if isinstance(content, Mapping) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise CheckpointRefusedError(
            f"{path} is no checkpoint of DDColor: it holds more than tensors, or none", advice=_ADVICE
        )
    return tensors


def _exported(network: "torch.nn.Module", side: int) -> bytes:
    """Return the content of an ONNX file of a network for one square picture."""
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself and about constants
        torch.onnx.export(
            network,
            (torch.rand(1, 3, side, side),),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input"],
            output_names=["output"],
        )
    return file.getvalue()
