"""Golden numbers of ResNet: torchvision's, with basic blocks and with bottlenecks, at small widths.

torchvision's constructor takes no widths and no number of stages, so the layers are made anew by its
own `_make_layer`. The CIFAR kind is not in torchvision: its blocks are, with option A's shortcut.
"""

import pathlib
import sys

import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "resnet",
    "in_channels": 3,
    "stem": "imagenet",
    "block": "basic",
    "blocks": [1, 2],
    "width": 8,
    "shortcut": "projection",
    "num_classes": 4,
}
BOTTLENECK = {**CONFIG, "block": "bottleneck", "width": 4}
CIFAR = {**CONFIG, "stem": "cifar", "width": 4, "shortcut": "zero_pad"}


class ZeroPad(nn.Module):
    """Option A: every second pixel, zero channels after the existing ones."""

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))


class Small(ResNet):
    def __init__(self, c):
        block = {"basic": BasicBlock, "bottleneck": Bottleneck}[c["block"]]
        super().__init__(block, [1, 1, 1, 1])
        kernel, stride = (7, 2) if c["stem"] == "imagenet" else (3, 1)
        self.inplanes = width = c["width"]
        self.conv1 = nn.Conv2d(c["in_channels"], width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        if c["stem"] == "cifar":
            self.maxpool = nn.Identity()
        first, second = c["blocks"]
        self.layer1 = self._make_layer(block, width, first)
        self.layer2 = self._make_layer(block, 2 * width, second, stride=2)
        self.layer3 = self.layer4 = nn.Identity()
        if c["shortcut"] == "zero_pad":
            self.layer2[0].downsample = ZeroPad()
        self.fc = nn.Linear(2 * width * block.expansion, c["num_classes"])


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


for variant, config in [("", CONFIG), ("_bottleneck", BOTTLENECK), ("_cifar", CIFAR)]:
    torch.manual_seed(0)
    golden.write(
        __file__,
        golden.randomise(Small(config).apply(he)),
        config,
        # An odd side: the halving layers round up.
        torch.randn(4, 3, 18, 15),
        library=f"torchvision {torchvision.__version__}",
        variant=variant,
    )
