"""Golden numbers of VGG: torchvision's convolutions (its `make_layers`) and its `VGG`, whose
classifier is made anew because the constructor takes no widths."""

import pathlib
import sys

import torch
import torchvision
from torch import nn
from torchvision.models.vgg import VGG, make_layers

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "vgg",
    "in_channels": 3,
    "convolutions": [1, 2, 1],
    "width": 4,
    "hidden": 12,
    "dropout": 0.0,
    "num_classes": 4,
}


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


torch.manual_seed(0)
model = VGG(make_layers([4, "M", 8, 8, "M", 16, "M"], batch_norm=True), num_classes=4)
linear = [nn.Linear(16 * 7 * 7, 12), nn.Linear(12, 12), nn.Linear(12, 4)]
for index, layer in zip([0, 3, 6], linear):
    model.classifier[index] = layer
for index in [2, 5]:
    model.classifier[index] = nn.Dropout(0.0)

model = golden.randomise(model.apply(he))
# Norms cancel the biases before them, whose gradients are nothing but rounding. A small last layer
# keeps these far below the largest gradient, its own.
model.classifier[6].weight.data *= 0.03

golden.write(
    __file__,
    model,
    CONFIG,
    # The last map has 4x3 pixels, so that the windows of the averaging to 7x7 overlap.
    torch.randn(4, 3, 32, 25),
    library=f"torchvision {torchvision.__version__}",
)
