"""Golden numbers of MobileNetV2: torchvision's. Its constructor makes the stem and the blocks small,
but no last convolution below 1280 channels, so that one and the classifier are made anew."""

import pathlib
import sys

import torch
import torchvision
from torch import nn
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.ops.misc import Conv2dNormActivation

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

STAGES = [(1, 8, 1, 1), (2, 16, 2, 2), (3, 24, 1, 1)]
CONFIG = {
    "name": "mobilenet",
    "in_channels": 3,
    "stem_channels": 8,
    "stages": [dict(zip(("expansion", "channels", "repeats", "stride"), row)) for row in STAGES],
    "last_channels": 32,
    "dropout": 0.0,
    "num_classes": 4,
}


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


torch.manual_seed(0)
# A quarter of the widths, the stem's 32 included.
model = MobileNetV2(
    width_mult=0.25,
    inverted_residual_setting=[[t, 4 * c, n, s] for t, c, n, s in STAGES],
    dropout=0.0,
)
model.features[-1] = Conv2dNormActivation(24, 32, kernel_size=1, activation_layer=nn.ReLU6)
model.classifier[1] = nn.Linear(32, 4)

model = golden.randomise(model.apply(he))
# So wide that ReLU6 cuts some of it off, in training too.
for module in model.modules():
    if isinstance(module, Conv2dNormActivation):
        module[1].weight.data *= 3

golden.write(
    __file__,
    model,
    CONFIG,
    # An odd side: the halving layers round up.
    torch.randn(4, 3, 32, 25),
    learning_rate=0.01,
    library=f"torchvision {torchvision.__version__}",
)
