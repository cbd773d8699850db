"""Models of hundreds of megabytes: read once, and not multiplied."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import small_model

from colorbatch.errors import InferenceError, ModelRefusedError
from colorbatch.inference import model_file
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session

LUMA = np.zeros((1, 1, 8, 8), np.float32)


@pytest.fixture
def large(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model that counts as a large one."""
    monkeypatch.setattr(model_file, "LARGE_BYTES", 100)
    return model_path


def test_a_small_one_is_held_so_that_it_may_be_replaced_during_a_run(model_path: Path) -> None:
    model = read_model_file(model_path).released()
    data = model_path.read_bytes()
    model_path.unlink()
    assert model.data == data
    assert (model.bytes_open, model.bytes_opening) == (0, 0)


def test_a_large_one_is_read_again_and_checked_against_its_hash(large: Path) -> None:
    model = read_model_file(large).released()
    data = large.read_bytes()
    assert model.held is None
    assert model.data == data
    assert (model.size, model.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    large.write_bytes(small_model((0.1, 0.1)).SerializeToString())
    with pytest.raises(ModelRefusedError, match="was changed while it was in use"):
        _ = model.data
    large.unlink()
    with pytest.raises(ModelRefusedError, match=r"cannot read the model .* again: No such file"):
        _ = model.data


def test_a_session_reads_a_large_one_once_and_lets_go_of_its_bytes(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def read_regular(path: Path) -> bytes:
        read.append(path)
        return path.read_bytes()

    monkeypatch.setattr(model_file, "read_regular", read_regular)
    session = Session(read_model_file(large), "cpu")
    assert session.predict(LUMA).chroma.shape == (1, 2, 8, 8)
    assert session.model.held is None
    assert read == [large]


def test_ray_shares_the_bytes_of_a_large_one_as_an_array(large: Path) -> None:
    shared = read_model_file(large).in_array()
    assert isinstance(shared.held, np.ndarray)
    assert shared.released() is shared
    large.unlink()  # another machine does not have it
    assert Session(shared, "cpu").predict(LUMA).chroma.shape == (1, 2, 8, 8)


def test_a_closed_session_computes_nothing_and_still_tells_its_provider(model_path: Path) -> None:
    session = Session(read_model_file(model_path), "cpu")
    session.close()
    assert session.provider == "cpu"
    with pytest.raises(InferenceError, match="closed"):
        session.predict(LUMA)


def test_the_memory_of_a_large_one_follows_from_its_size(model_path: Path) -> None:
    model = replace(read_model_file(model_path), size=10**9)
    assert (model.bytes_open, model.bytes_opening) == (1_700_000_000, 6_000_000_000)
