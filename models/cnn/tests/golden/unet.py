"""Golden numbers of U-Net, from torch.nn's layers in the structure and with the names of the
repository milesial/Pytorch-UNet, which no package index has; and with its bilinear upsampling
replaced by the nearest pixel's, as ours is."""

import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

NEAREST = {"name": "unet", "in_channels": 3, "num_classes": 2, "width": 2, "up": "nearest"}
TRANSPOSED = {**NEAREST, "up": "transposed_convolution"}


class DoubleConv(nn.Module):
    def __init__(self, inputs, between, outputs):
        super().__init__()
        layers = []
        for a, b in [(inputs, between), (between, outputs)]:
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs, outputs))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs, outputs, nearest):
        super().__init__()
        half = inputs // 2
        self.up = nn.Upsample(scale_factor=2) if nearest else nn.ConvTranspose2d(inputs, half, 2, 2)
        self.conv = DoubleConv(inputs, half if nearest else outputs, outputs)

    def forward(self, x, skip):
        x = self.up(x)
        rows, columns = (skip.shape[i] - x.shape[i] for i in (2, 3))
        edges = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return self.conv(torch.cat([skip, F.pad(x, edges)], dim=1))


class OutConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        w, nearest = c["width"], c["up"] == "nearest"
        factor = 2 if nearest else 1
        self.inc = DoubleConv(c["in_channels"], w, w)
        self.down1, self.down2, self.down3 = Down(w, 2 * w), Down(2 * w, 4 * w), Down(4 * w, 8 * w)
        self.down4 = Down(8 * w, 16 * w // factor)
        self.up1 = Up(16 * w, 8 * w // factor, nearest)
        self.up2 = Up(8 * w, 4 * w // factor, nearest)
        self.up3 = Up(4 * w, 2 * w // factor, nearest)
        self.up4 = Up(2 * w, w, nearest)
        self.outc = OutConv(w, c["num_classes"])

    def forward(self, x):
        skips = [self.inc(x)]
        for down in [self.down1, self.down2, self.down3, self.down4]:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in [self.up1, self.up2, self.up3, self.up4]:
            x = up(x, skips.pop())
        return self.outc(x)


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


if __name__ == "__main__":
    # The counts of the origin, for 3 channels and 2 classes.
    for up, parameters in [("transposed_convolution", 31_037_698), ("nearest", 17_263_042)]:
        full = UNet({**NEAREST, "width": 64, "up": up})
        assert sum(tensor.numel() for tensor in full.parameters()) == parameters

    # Odd sizes, of the images and on the way, are padded when maps are joined. The larger network has
    # room for one image in its file.
    for variant, config, input in [
        ("", NEAREST, (2, 3, 36, 40)),
        ("_transposed", TRANSPOSED, (1, 3, 33, 35)),
    ]:
        torch.manual_seed(0)
        golden.write(
            __file__,
            golden.randomise(UNet(config).apply(he)),
            config,
            torch.randn(input),
            library=f"torch {torch.__version__}",
            variant=variant,
        )
