"""Fixtures of the tests beside this file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batches import make_tree
from helpers import LocalJob, hinted_model, vivid_model
from PIL import Image


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    make_tree(tmp_path / "in", "a.jpg", "sub/b.png", "sub/deeper/c.tif", "d.webp", "sub/e.png")
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu")


@pytest.fixture
def colour_source(tmp_path: Path) -> Path:
    source = tmp_path / "colour"
    make_tree(source, "grey.png")
    red = np.zeros((64, 64, 3), np.uint8)
    red[:32, :, 0], red[32:, :, 1], red[:, 32:, 2] = 200, 102, 90
    Image.fromarray(red).save(source / "colour.png")
    Image.fromarray(red).save(source / "colour.bmp")
    return source


@pytest.fixture
def hinted(job: LocalJob, tmp_path: Path) -> LocalJob:
    """Return a job with a model whose chroma is exactly that of the hints."""
    path = tmp_path / "hinted.onnx"
    path.write_bytes(hinted_model().SerializeToString())
    return replace(job, model=str(path))


@pytest.fixture
def vivid(tmp_path: Path) -> str:
    path = tmp_path / "vivid.onnx"
    path.write_bytes(vivid_model().SerializeToString())
    return str(path)
