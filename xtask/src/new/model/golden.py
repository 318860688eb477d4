"""MyModel in torch.nn, tiny, with random weights: what the Rust model must compute."""

import pathlib
import sys

import torch
from torch import nn

# In place of this folder, whose scripts may be named like modules.
sys.path[0] = str(pathlib.Path(__file__).parents[4] / "crates/weights")
import golden


class MyModel(nn.Module):
    def __init__(self, width=8, classes=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width, classes)

    def forward(self, images):
        x = torch.relu(self.conv1(images))
        x = torch.relu(self.conv2(x))
        return self.fc(x.mean((2, 3)))


torch.manual_seed(1)
golden.write(
    __file__,
    golden.randomise(MyModel()),
    {"name": "my_model", "in_channels": 3, "width": 8, "num_classes": 3},
    torch.randn(3, 3, 16, 16),
    library=f"torch {torch.__version__}",
)
