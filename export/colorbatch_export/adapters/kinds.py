"""The published networks that can be adapted: what their files take and give."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of published network."""

    name: str
    inputs: tuple[tuple[int, ...], ...]
    """The numbers of channels of its inputs, in order, in each form in which it was exported."""
    output: int
    """Number of channels of its only output."""
    size_multiple: int
    """What the sides of a file with dynamic sides must be multiples of."""
    working_size: int
    """Side of the square that its authors use, for a file with dynamic sides."""
    license: str
    training_data: str
    takes_luma: bool = False
    """Whether it takes grey RGB in 0..255 and gives RGB in 0..255; the others take lightness and give a and b."""

    def fits(self, channels: Sequence[int], output: int) -> bool:
        """Return whether a file with these channels may be of this kind."""
        return tuple(channels) in self.inputs and output == self.output


_IMAGENET = "ImageNet, as its authors state; not stated by the file"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("ddcolor", ((3,),), 2, 32, 512, "Apache-2.0, as its authors published it", _IMAGENET),
        Kind("deoldify", ((3,),), 3, 16, 560, "MIT, as its authors published it", _IMAGENET, takes_luma=True),
        Kind("zhang2016", ((1,),), 2, 8, 256, "BSD-2-Clause, as its authors published it", _IMAGENET),
        Kind("zhang2017", ((1,), (1, 3), (1, 2, 1)), 2, 8, 256, "BSD-2-Clause, as its authors published it", _IMAGENET),
    )
}
"""By name. ``ddcolor``: grey RGB in 0..1 in, a and b out. ``deoldify``: 560 is its render factor of 35, times 16.
``zhang2016`` and ``zhang2017``: L in, a and b out; the second one may also have inputs for a, b and their mask, as one
input of three channels or as two."""
