"""Golden numbers of EfficientNet: torchvision's, from its own constructor at small widths."""

import pathlib
import sys

import torch
import torchvision
from torch import nn
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

STAGES = [(1, 3, 1, 8, 1), (2, 5, 2, 16, 2), (3, 3, 1, 24, 1)]
KEYS = ("expansion", "kernel", "stride", "channels", "repeats")
CONFIG = {
    "name": "efficientnet",
    "in_channels": 3,
    "stem_channels": 8,
    "stages": [dict(zip(KEYS, row)) for row in STAGES],
    "last_channels": 32,
    "stochastic_depth": 0.0,
    "dropout": 0.0,
    "num_classes": 4,
}


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


torch.manual_seed(0)
inputs = [8, 8, 16]  # what comes into each stage
model = EfficientNet(
    [MBConvConfig(t, k, s, i, o, n) for i, (t, k, s, o, n) in zip(inputs, STAGES)],
    dropout=0.0,
    stochastic_depth_prob=0.0,
    num_classes=4,
    last_channel=32,
)
model = golden.randomise(model.apply(he))
# The gradient of weights before a batch norm is the larger the smaller they are. With a large one
# in the network, the rounding in gradients that are zero (a narrow map's bias, which the next norm
# cancels) is a small share of it.
model.features[0][0].weight.data /= 8

golden.write(
    __file__,
    model,
    CONFIG,
    # An odd side: the halving layers round up.
    torch.randn(4, 3, 32, 25),
    library=f"torchvision {torchvision.__version__}",
)
