"""Golden numbers of ConvNeXt: torchvision's, from its own constructor at small widths."""

import pathlib
import sys

import torch
import torchvision
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "convnext",
    "in_channels": 3,
    "stages": [{"channels": 8, "blocks": 1}, {"channels": 16, "blocks": 2}],
    "layer_scale": 1.0,
    "stochastic_depth": 0.0,
    "num_classes": 4,
}


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


torch.manual_seed(0)
model = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 2)], num_classes=4)
model = golden.randomise(model.apply(he))
# They start all alike, which leaves nothing to scale random numbers by.
for name, parameter in model.named_parameters():
    if name.endswith("layer_scale"):
        nn.init.uniform_(parameter, 0.5, 1.5)

golden.write(
    __file__,
    model,
    CONFIG,
    # A side that the stem's patches do not divide: what is left over is not seen.
    torch.randn(4, 3, 32, 26),
    library=f"torchvision {torchvision.__version__}",
)
