"""The published network: a five-level U-Net from grey to RGB, with unchanged names so that its state dicts load."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from colorbatch.training.config import LossName
from colorbatch.training.network import ColorNetwork
from colorbatch.training.planes import chroma_of


class ConvBlock(nn.Module):
    """Convolution 3x3, batch norm, ReLU; halves the side at the default stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in, H, W]`` to ``[N, out, H / stride, W / stride]``."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class UpConvBlock(nn.Module):
    """Transposed convolution 3x3, batch norm, ReLU; doubles the side at the default stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__()
        self.upconv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=3, stride=stride, padding=1, output_padding=1
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in, H, W]`` to ``[N, out, stride * H, stride * W]``."""
        out: Tensor = self.relu(self.bn(self.upconv(x)))
        return out


class SeparableConv2d(nn.Module):
    """Depthwise convolution 3x3, then pointwise 1x1, both without bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel_size=3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in, H, W]`` to ``[N, out, H, W]``."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class ColorizationUNet(ColorNetwork):
    """A network from luma ``[N, 1, H, W]`` to RGB ``[N, 3, H, W]``, both in 0..1; H and W multiples of 32.

    It has 9,600,441 parameters.
    """

    size_multiple: ClassVar[int] = 32  # five stages of stride 2
    losses: ClassVar[tuple[LossName, ...]] = ("mse", "chroma", "huber")

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = ConvBlock(1, 128)
        self.enc2 = ConvBlock(128, 128)
        self.enc3 = ConvBlock(128, 256)
        self.enc4 = ConvBlock(256, 512)
        self.enc5 = ConvBlock(512, 512)

        self.dec1 = UpConvBlock(512, 512)
        self.dec2 = UpConvBlock(512 + 512, 256)
        self.dec3 = UpConvBlock(256 + 256, 128)
        self.dec4 = UpConvBlock(128 + 128, 128)
        self.dec5 = UpConvBlock(128 + 128, 3)

        self.final_conv = SeparableConv2d(3 + 1, 3)

    def forward(self, luma: Tensor, hints: Tensor | None = None) -> Tensor:  # noqa: ARG002 (without hints)
        """Predict RGB at the size of ``luma``."""
        e1 = self.enc1(luma)  # [N, 128, H/2,  W/2]
        e2 = self.enc2(e1)  # [N, 128, H/4,  W/4]
        e3 = self.enc3(e2)  # [N, 256, H/8,  W/8]
        e4 = self.enc4(e3)  # [N, 512, H/16, W/16]
        e5 = self.enc5(e4)  # [N, 512, H/32, W/32]

        d = self.dec1(e5)  # [N, 512, H/16, W/16]
        d = self.dec2(torch.cat([d, e4], dim=1))  # [N, 256, H/8, W/8]
        d = self.dec3(torch.cat([d, e3], dim=1))  # [N, 128, H/4, W/4]
        d = self.dec4(torch.cat([d, e2], dim=1))  # [N, 128, H/2, W/2]
        d = self.dec5(torch.cat([d, e1], dim=1))  # [N, 3, H, W]
        return torch.sigmoid(self.final_conv(torch.cat([d, luma], dim=1)))

    def chroma(self, prediction: Tensor) -> Tensor:
        """Return the chroma of the predicted RGB."""
        return chroma_of(prediction)
