"""Golden numbers of the network of PyTorch's MNIST example, built as `Net` is there.

Without its two dropouts and its log-softmax, which ours leaves out.
"""

import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {"name": "convnet", "in_channels": 1, "image_size": 6, "num_classes": 4}


class Net(nn.Module):
    def __init__(self, c):
        super().__init__()
        side = (c["image_size"] - 4) // 2
        self.conv1 = nn.Conv2d(c["in_channels"], 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(64 * side * side, 128)
        self.fc2 = nn.Linear(128, c["num_classes"])

    def forward(self, x):
        x = self.conv2(self.conv1(x).relu()).relu()
        return self.fc2(self.fc1(F.max_pool2d(x, 2).flatten(1)).relu())


def he(module):
    """Weights that keep the size of what passes, so that outputs depend on inputs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


torch.manual_seed(0)
golden.write(
    __file__,
    golden.randomise(Net(CONFIG).apply(he)),
    CONFIG,
    torch.randn(4, 1, 6, 6),
    library=f"torch {torch.__version__}",
)
