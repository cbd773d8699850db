import copy

import torch

from colorbatch.training.moving_average import MovingAverage
from colorbatch.training.unet import ColorizationUNet


def mean(network: torch.nn.Module) -> torch.Tensor:
    return network.get_buffer("enc1.bn.running_mean")


def test_the_average_follows_slowly_and_faster_at_first() -> None:
    network = ColorizationUNet()
    average = MovingAverage(network, 0.5)
    weight = next(network.parameters())
    expected = None
    for step, value in enumerate([1.0, 4.0, 2.0, -3.0, 5.0, 7.0, 8.0, 1.0, 0.0, 3.0, 9.0, 2.0]):
        with torch.no_grad():
            weight.fill_(value)
            mean(network).fill_(value)
        average.update(network)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        torch.testing.assert_close(next(average.module.parameters()), torch.full_like(weight, expected))
        assert mean(average.module)[0] == value  # buffers at once


def test_it_goes_on_from_the_state_of_pytorchs_averaged_model() -> None:
    network = ColorizationUNet()
    theirs = torch.optim.swa_utils.AveragedModel(copy.deepcopy(network))
    theirs.update_parameters(network)
    ours = MovingAverage(ColorizationUNet(), 0.9)
    ours.load_state_dict(theirs.state_dict())
    assert ours.n_averaged == 1
    assert torch.equal(next(ours.module.parameters()), next(network.parameters()))
