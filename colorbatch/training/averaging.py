"""The mean of several checkpoints: often better on unseen pictures than each of them.

Source: Wortsman et al. 2022, "Model soups" (https://arxiv.org/abs/2203.05482), the uniform soup.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from colorbatch.errors import CheckpointRefusedError, UsageError
from colorbatch.store.atomic import atomic_writer
from colorbatch.training.checkpoint import FORMAT, load_network


def average_checkpoints(checkpoints: Sequence[Path], output: Path) -> None:
    """Write a checkpoint whose weights are the mean of those of several others.

    This makes sense only for stages or epochs of one training: otherwise the mean of two good networks is not a good
    one. A checkpoint that is given twice counts twice.

    Args:
        checkpoints: checkpoints of one architecture; the size of the first becomes that of the mean.
        output: the ``.pth`` file to write.

    Raises:
        UsageError: there are fewer than two, or the output is one of them or a folder.
        CheckpointRefusedError: one cannot be used, or their architectures differ.
        OutputUnwritableError: the output cannot be written.

    """
    if len(checkpoints) < 2:
        raise UsageError("a mean needs at least two checkpoints", advice="Give two or more.")
    if output.is_dir() or output.resolve() in {path.resolve() for path in checkpoints}:
        raise UsageError(f"cannot write the mean to {output}", advice="Give -o another file name that ends in .pth.")
    loaded = [load_network(path)[1] for path in checkpoints]
    first = loaded[0]
    for path, other in zip(checkpoints, loaded, strict=True):
        if other.architecture != first.architecture:
            raise CheckpointRefusedError(
                f"the architecture of {path} is {other.architecture}, that of {checkpoints[0]} is {first.architecture}",
                advice="Average only checkpoints of one architecture.",
            )
    weights = {
        name: torch.stack([each.weights[name].double() for each in loaded]).mean(dim=0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first.weights.items()
    }
    state = {"architecture": first.architecture, "size": first.size}
    content = {"format": FORMAT, "state": state, "weights": weights} if first.size else weights
    with atomic_writer(output) as file:
        torch.save(content, file)
