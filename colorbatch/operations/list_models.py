"""The models in a folder: what each promises, and what is wrong with those that cannot be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colorbatch.errors import ModelRefusedError, UsageError, reason_of
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.inference.model_names import models_in


@dataclass(frozen=True)
class RefusedModel:
    """A file that is not a model of colorbatch."""

    path: Path
    size: int
    """Bytes."""
    reason: str
    advice: str


def list_models(folder: Path) -> Iterator[ModelFile | RefusedModel]:
    """Yield what is known of each ``.onnx`` file in a folder, but not in those below it.

    Each file is read as a whole, for its sha256.

    Raises:
        UsageError: the folder cannot be read.

    """
    try:
        paths = models_in(folder)
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {reason_of(error)}") from error
    for path in paths:
        try:
            yield read_model_file(path).released()
        except ModelRefusedError as error:
            yield RefusedModel(path, _size_of(path), str(error), error.advice)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it has just been deleted
        return 0
