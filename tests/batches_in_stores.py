"""What the tests of runs over buckets share."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from stores import S3, Where

from colorbatch.records.manifest import MANIFEST_NAME

NAMES = ("a.jpg", "sub/b.png", "sub/deeper/c.tif", "d.gif", "sub/e.png")
OF_SOURCES = r"^GET /archive/in/"
OF_OUTPUTS = r"^GET /archive/out/.*\.(jpg|png|tif)"


def picture(number: int, ending: str, size: int = 20) -> bytes:
    random = np.random.default_rng(number)
    file = io.BytesIO()
    kind = Image.registered_extensions()[ending]
    Image.fromarray(random.integers(20, 230, (size + number, 30), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def here(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }


def there(s3: S3) -> dict[str, bytes]:
    """Return the outputs in the bucket, of which no upload is left half done."""
    assert s3.bucket.uploads() == []
    return {name: data for name, data in s3.bucket.files("out/").items() if name != MANIFEST_NAME}


def rows(s3: S3) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in s3.bucket.files("out/")[MANIFEST_NAME].splitlines()]
    assert len({row["input"] for row in found}) == len(found)
    return {row["input"]: row for row in found}


HOSTILE = (
    "../outside.png",
    "sub/../../outside.png",
    "/rooted.png",
    "sub//empty.png",
    "sub/./dot.png",
    "a?versionId=1.png",
    "sub\\..\\outside.png",
    "control\x01\x1b[31m.png",
    "C:\\outside.png",
)


CUTS: list[tuple[str, Where, float]] = [
    (r"^GET /archive/in/sub/b\.png", "answer headers", 0.5),
    (r"^GET /archive/in/sub/b\.png", "answer body", 0.01),
    (r"^GET /archive/in/sub/b\.png", "answer body", 0.5),
    (r"^GET /archive/in/sub/b\.png", "answer body", 1.0),
    (r"^PUT /archive/out/sub/b\.png", "request headers", 0.5),
    (r"^PUT /archive/out/sub/b\.png", "request body", 0.01),
    (r"^PUT /archive/out/sub/b\.png", "request body", 0.5),
    (r"^PUT /archive/out/sub/b\.png", "request body", 1.0),
    (r"^PUT /archive/out/sub/b\.png", "answer headers", 0.5),
]
