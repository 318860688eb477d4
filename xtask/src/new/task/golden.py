"""Golden numbers of the perceptron to my task: the same layers, on rows of numbers."""

import pathlib
import sys

import torch
from torch import nn

# In place of this folder, whose scripts may be named like modules.
sys.path[0] = str(pathlib.Path(__file__).parents[4] / "crates/weights")
import golden

CONFIG = {"name": "my_task_mlp", "widths": [16, 12, 8, 4], "activation": "relu", "dropout": 0.0}


class Mlp(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


torch.manual_seed(1)
golden.write(
    __file__,
    golden.randomise(Mlp(CONFIG["widths"])),
    CONFIG,
    torch.randn(8, 16),
    library=f"torch {torch.__version__}",
)
