"""Golden numbers of LeNet-5, from torch.nn's layers: there is no origin with tensor names."""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {"name": "lenet", "in_channels": 1, "image_size": 12, "num_classes": 4}


class LeNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        side = (c["image_size"] // 2 - 4) // 2
        self.conv1 = nn.Conv2d(c["in_channels"], 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, c["num_classes"])

    def forward(self, x):
        x = self.pool(self.conv1(x).relu())
        x = self.pool(self.conv2(x).relu()).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


torch.manual_seed(0)
golden.write(
    __file__,
    golden.randomise(LeNet(CONFIG).apply(he)),
    CONFIG,
    torch.randn(4, 1, 12, 12),
    library=f"torch {torch.__version__}",
)
