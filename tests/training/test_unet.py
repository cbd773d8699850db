import pytest
import torch
from torch import nn

from colorbatch.errors import UsageError
from colorbatch.training import unet
from colorbatch.training.architectures import build_network

TABLE = {  # the table of the published network: in and out channels, and the side after each part for an input of 160
    "enc1": (1, 128, 80),
    "enc2": (128, 128, 40),
    "enc3": (128, 256, 20),
    "enc4": (256, 512, 10),
    "enc5": (512, 512, 5),
    "dec1": (512, 512, 10),
    "dec2": (1024, 256, 20),
    "dec3": (512, 128, 40),
    "dec4": (256, 128, 80),
    "dec5": (256, 3, 160),
    "final_conv": (4, 3, 160),
}


def test_parameters_are_those_of_the_published_network() -> None:
    assert sum(parameter.numel() for parameter in unet.ColorizationUNet().parameters()) == 9_600_441


def test_every_part_has_the_published_shape() -> None:
    network = unet.ColorizationUNet().eval()
    shapes = {}
    for name, part in network.named_children():
        part.register_forward_hook(
            lambda _, inputs, output, name=name: shapes.update(
                {name: (inputs[0].shape[1], output.shape[1], output.shape[2])}
            )
        )
    with torch.inference_mode():
        rgb = network(torch.rand(1, 1, 160, 160))
    assert shapes == TABLE
    assert rgb.shape == (1, 3, 160, 160)
    assert 0 <= rgb.min() <= rgb.max() <= 1


def test_the_state_dict_has_the_seeds_names() -> None:
    names = set(unet.ColorizationUNet().state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"final_conv.depthwise.weight", "final_conv.pointwise.weight"}
    for number in range(1, 6):
        expected |= {f"enc{number}.conv.{each}" for each in ("weight", "bias")}
        expected |= {f"dec{number}.upconv.{each}" for each in ("weight", "bias")}
        expected |= {f"{part}{number}.bn.{each}" for part in ("enc", "dec") for each in norm}
    assert names == expected


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 64, 96), (3, 160, 32)])
def test_any_multiple_of_32_keeps_its_size(shape: tuple[int, int, int]) -> None:
    batch, height, width = shape
    with torch.inference_mode():
        assert unet.ColorizationUNet().eval()(torch.rand(batch, 1, height, width)).shape == (batch, 3, height, width)


@pytest.mark.slow
def test_the_network_overfits_two_pictures() -> None:
    torch.manual_seed(0)
    network = unet.ColorizationUNet().train()
    slope = torch.linspace(0.2, 1, 64).expand(2, 1, 64, 64)
    rgb = slope * torch.tensor([[0.9, 0.5, 0.2], [0.2, 0.6, 0.8]])[:, :, None, None]
    luma = (rgb * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-2)
    losses = []
    for _ in range(80):
        loss = nn.functional.mse_loss(network(luma), rgb)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.02
    assert losses[-1] < losses[0] / 20


def test_the_blocks_are_what_the_table_says() -> None:
    down, up, separable = unet.ConvBlock(3, 5), unet.UpConvBlock(5, 3), unet.SeparableConv2d(4, 6)
    assert isinstance(down.relu, nn.ReLU)
    assert down.relu.inplace
    assert (down.conv.kernel_size, down.conv.stride, down.conv.padding) == ((3, 3), (2, 2), (1, 1))
    assert (up.upconv.kernel_size, up.upconv.stride, up.upconv.output_padding) == ((3, 3), (2, 2), (1, 1))
    assert separable.depthwise.groups == 4
    assert separable.depthwise.bias is None
    assert separable.pointwise.bias is None
    assert unet.ConvBlock(1, 1, stride=1)(torch.rand(2, 1, 7, 7)).shape == (2, 1, 7, 7)


def test_an_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there are: unet"):
        build_network("resnet")
