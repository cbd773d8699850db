"""Effects of age, old film and old cameras on a photograph, applied to luma as augmentation in training.

Every effect takes luma float32 ``[H, W]`` in 0..1 and a random generator, and returns luma, whose values may leave
0..1 until :func:`age` clips them. Sizes are fractions of the short side, so that an effect looks the same at every
resolution.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from colorbatch.pixels.color import LUMA_WEIGHTS, Plane

Effect = Callable[[Plane, Generator], Plane]
Pixels = NDArray[np.uint8]

REFERENCE_SIDE = 128
"""Short side in pixels to which the widths below refer."""


def age(luma: Plane, rgb: Plane, random: Generator, *, with_border: bool = True) -> tuple[Plane, Plane]:
    """Age a picture by a random selection of effects.

    Args:
        luma: ``[H, W]`` in 0..1.
        rgb: the same picture in colour, ``[H, W, 3]`` in 0..1; the luma of red-blind film is computed from it.
        random: source of all random choices.
        with_border: whether a border may be added.

    Returns:
        The aged luma in 0..1, and RGB, unchanged except for a grey border.

    """
    if random.random() < ORTHOCHROMATIC_SHARE:
        luma = luma + orthochromatic(rgb, random)
    for effect, share in EFFECTS:
        if random.random() < share:
            luma = effect(luma, random)
    luma = np.clip(luma, 0, 1, dtype=np.float32)
    if with_border and random.random() < BORDER_SHARE:
        return border(luma, rgb, random)
    return luma, rgb


def orthochromatic(rgb: Plane, random: Generator) -> Plane:
    """Return the difference to luma of a film that is nearly blind to red: dark lips, pale skies."""
    red = random.uniform(0, 0.15)
    blue = random.uniform(0.3, 0.6)
    weights = np.array([red, 1 - red - blue, blue]) - LUMA_WEIGHTS
    difference: Plane = rgb @ (weights * random.uniform(0.5, 1)).astype(np.float32)
    return difference


def gamma(luma: Plane, random: Generator) -> Plane:
    """Lighten or darken the mid-tones, as in printing."""
    curved: Plane = np.clip(luma, 0, 1) ** np.float32(np.exp(random.uniform(np.log(0.7), np.log(1.45))))
    return curved


def fade(luma: Plane, random: Generator) -> Plane:
    """Lighten the blacks and dull the whites."""
    black, white = random.uniform(0, 0.28), random.uniform(0.7, 1)
    result: Plane = luma * np.float32(white - black) + np.float32(black)
    return result


def contrast(luma: Plane, random: Generator) -> Plane:
    """Raise the contrast, as in copies: detail in blacks and whites is lost."""
    result: Plane = (luma - np.float32(random.uniform(0.4, 0.6))) * np.float32(random.uniform(1.1, 1.6)) + np.float32(
        0.5
    )
    return result


def uneven_light(luma: Plane, random: Generator) -> Plane:
    """Darken towards one side, or towards the corners."""
    height, width = luma.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        shape = (np.cos(angle) * x + np.sin(angle) * y) / 2
    else:
        shape = -(x**2 + y**2) / 2
    result: Plane = luma * (1 + random.uniform(0.1, 0.4) * shape).astype(np.float32)
    return result


def blur(luma: Plane, random: Generator) -> Plane:
    """Put the picture slightly out of focus."""
    return _blurred(luma, random.uniform(0.4, 1.4) * _scale(luma))


def grain(luma: Plane, random: Generator) -> Plane:
    """Add film grain, fine or coarse, strongest in the mid-tones."""
    noise = random.standard_normal(luma.shape, dtype=np.float32)
    strength = random.uniform(0.01, 0.06)
    if random.random() < 0.4:
        noise = _blurred(noise, random.uniform(0.4, 0.9) * _scale(luma))
        strength *= 0.7 / (float(noise.std()) + 1e-6)
    clipped = np.clip(luma, 0, 1)
    result: Plane = luma + noise * np.float32(strength) * (np.float32(0.4) + 2.4 * clipped * (1 - clipped))
    return result


def jpeg(luma: Plane, random: Generator) -> Plane:
    """Add the block artefacts of a low-quality JPEG."""
    buffer = io.BytesIO()
    _image(luma).save(buffer, "JPEG", quality=int(random.integers(12, 55)))
    return _plane(Image.open(buffer))


def scratches(luma: Plane, random: Generator) -> Plane:
    """Add scratches and specks of dust, light or dark."""
    height, width = luma.shape
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for _ in range(random.integers(1, 5)):
        x, y = random.uniform(0, width), random.uniform(0, height)
        angle = random.normal(np.pi / 2, 0.35)
        length = random.uniform(0.15, 1.2) * height
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        draw.line([(x, y), end], fill=int(random.integers(90, 256)), width=max(1, round(_scale(luma))))
    for _ in range(random.integers(0, 12)):
        x, y, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(0.3, 1.6) * _scale(luma)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=int(random.integers(90, 256)))
    return _cover(luma, _plane(mask), random)


def stains(luma: Plane, random: Generator) -> Plane:
    """Lighten or darken some soft-edged patches."""
    height, width = luma.shape
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for _ in range(random.integers(1, 4)):
        x, y = random.uniform(0, width), random.uniform(0, height)
        across, down = random.uniform(0.04, 0.25, 2) * min(height, width)
        draw.ellipse([x - across, y - down, x + across, y + down], fill=int(random.integers(60, 200)))
    soft = mask.filter(ImageFilter.GaussianBlur(random.uniform(1, 6) * _scale(luma)))
    result: Plane = luma + _plane(soft) * np.float32(random.choice([-0.25, -0.15, 0.15, 0.25]))
    return result


def border(luma: Plane, rgb: Plane, random: Generator) -> tuple[Plane, Plane]:
    """Add a border of bare or black paper, without colour."""
    height, width = luma.shape
    tone = random.uniform(0.8, 1) if random.random() < 0.7 else random.uniform(0, 0.15)
    top, bottom, left, right = np.round(random.uniform(0.015, 0.1, 4) * min(height, width)).astype(int)
    inside = np.zeros((height, width), bool)
    inside[top : height - bottom, left : width - right] = True
    paper = np.float32(tone) + random.standard_normal(luma.shape, dtype=np.float32) * np.float32(0.01)
    paper = np.clip(paper, 0, 1, dtype=np.float32)
    return np.where(inside, luma, paper), np.where(inside[..., None], rgb, paper[..., None])


ORTHOCHROMATIC_SHARE = 0.25
BORDER_SHARE = 0.08
EFFECTS: tuple[tuple[Effect, float], ...] = (
    (uneven_light, 0.15),
    (blur, 0.25),
    (gamma, 0.6),
    (contrast, 0.1),
    (fade, 0.3),
    (stains, 0.1),
    (grain, 0.4),
    (scratches, 0.12),
    (jpeg, 0.2),
)
"""Effects in order of application, each with its probability."""


def _scale(luma: Plane) -> float:
    return float(min(luma.shape)) / REFERENCE_SIDE


def _blurred(plane: Plane, radius: float) -> Plane:
    """Return the plane, of any range, blurred by a Gaussian of standard deviation ``radius`` pixels."""
    low, high = float(plane.min()), float(plane.max())
    span = np.float32(max(high - low, 1e-6))
    levels = Image.fromarray(np.round((plane - np.float32(low)) / span * 255).astype(np.uint8))
    result: Plane = _plane(levels.filter(ImageFilter.GaussianBlur(radius))) * span + np.float32(low)
    return result


def _cover(luma: Plane, mask: Plane, random: Generator) -> Plane:
    """Return luma with white or black where ``mask`` is 1."""
    result: Plane = luma + mask * (np.float32(random.random() < 0.6) - luma)
    return result


def _image(luma: Plane) -> Image.Image:
    return Image.fromarray(np.round(np.clip(luma, 0, 1) * 255).astype(np.uint8))


def _plane(image: Image.Image) -> Plane:
    result: Plane = np.asarray(image, np.float32) / np.float32(255)
    return result
