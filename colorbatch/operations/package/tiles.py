"""Static tiles of pictures: the IIIF Image API 3.0 at level 0, for which any web server is enough."""

import io
import json
from collections.abc import Iterator

import numpy as np
from PIL import Image

from colorbatch.pixels.picture import Frame

TILE = 512
_QUALITY = 90


def image_of(frame: Frame) -> Image.Image:
    """Return the pixels of a frame as an image of 8 bits, grey or RGB, without alpha."""
    pixels = frame.pixels
    return Image.fromarray(pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8))


def information(identifier: str, width: int, height: int) -> bytes:
    """Return ``info.json`` (section 5 of the Image API).

    ``sizes`` has every level, since viewers take a list that has as many entries as levels for just that.
    """
    factors = _factors(width, height)
    told = {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": identifier,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": width,
        "height": height,
        "sizes": [dict(zip(("width", "height"), _size(width, height, each), strict=True)) for each in factors[::-1]],
        "tiles": [{"width": TILE, "height": TILE, "scaleFactors": factors}],
    }
    return json.dumps(told).encode("ascii")


def files_of(image: Image.Image, xmp: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the paths below the identifier of an image, and the JPEGs: each level as a whole, and its tiles.

    Paths are canonical (section 4.7 of the Image API): ``{region}/{size}/0/default.jpg``.

    Args:
        image: the whole.
        xmp: packet that each JPEG gets; may be empty.

    """
    width, height = image.size
    level = image
    for factor in _factors(width, height):
        size = _size(width, height, factor)
        level = level if factor == 1 else level.resize(size, Image.Resampling.LANCZOS)
        yield _path("full", size, image.size), _jpeg(level, xmp)
        if max(size) > TILE:
            for left in range(0, size[0], TILE):
                for top in range(0, size[1], TILE):
                    box = (left, top, min(left + TILE, size[0]), min(top + TILE, size[1]))
                    yield (
                        _path(_region(box, factor, width, height), _extent(box), image.size),
                        _jpeg(level.crop(box), xmp),
                    )


def _factors(width: int, height: int) -> list[int]:
    """Return the scale factors: 1, 2, 4 and so on, until a level fits into a tile."""
    factors = [1]
    while max(_size(width, height, factors[-1])) > TILE:
        factors.append(2 * factors[-1])
    return factors


def _size(width: int, height: int, factor: int) -> tuple[int, int]:
    return -(-width // factor), -(-height // factor)


def _extent(box: tuple[int, int, int, int]) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


def _region(box: tuple[int, int, int, int], factor: int, width: int, height: int) -> str:
    """Return the region of the whole image that a tile shows, in its pixels."""
    left, top = box[0] * factor, box[1] * factor
    return f"{left},{top},{min(TILE * factor, width - left)},{min(TILE * factor, height - top)}"


def _path(region: str, size: tuple[int, int], whole: tuple[int, int]) -> str:
    return f"{region}/{'max' if size == whole else '{},{}'.format(*size)}/0/default.jpg"


def _jpeg(image: Image.Image, xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, **({"xmp": xmp} if xmp else {}))
    return buffer.getvalue()
