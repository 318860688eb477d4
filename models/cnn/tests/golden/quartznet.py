"""Golden numbers of QuartzNet, from torch.nn's layers in the structure of the paper's table 1 and with
the masks of NeMo's MaskedConv1d: pip install torch numpy safetensors; python quartznet.py

As JSON, because a recording's length goes in beside its features.
"""

import json
import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

STAGE = [{"blocks": 1, "width": 4, "kernel": 3}, {"blocks": 1, "width": 6, "kernel": 5}]
TINY = {
    "in_channels": 6, "stem": {"width": 4, "kernel": 5, "stride": 2}, "stages": STAGE, "repeats": 2,
    "tail": {"width": 6, "kernel": 3, "dilation": 2}, "head_width": 8, "dropout": 0.0,
    "num_classes": 5,
}


def mask(lengths, frames):
    return (torch.arange(frames)[None, :] < lengths[:, None]).float()[:, None, :]


class Separable(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, dilation=1):
        super().__init__()
        margin = dilation * (kernel // 2)
        self.depthwise = nn.Conv1d(
            inputs, inputs, kernel, stride, margin, dilation, groups=inputs, bias=False
        )
        self.pointwise = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3)

    def forward(self, x, mask, residual=0):
        return torch.relu(self.norm(self.pointwise(self.depthwise(x * mask))) + residual)


def pointwise(inputs, outputs):
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs, eps=1e-3))


class Block(nn.Module):
    def __init__(self, inputs, stage, repeats):
        super().__init__()
        width, kernel = stage["width"], stage["kernel"]
        widths = [inputs] + [width] * repeats
        self.layers = nn.ModuleList(Separable(a, width, kernel) for a in widths[:-1])
        self.shortcut = pointwise(inputs, width)

    def forward(self, x, mask):
        residual = self.shortcut(x)
        for layer in self.layers[:-1]:
            x = layer(x, mask)
        return self.layers[-1](x, mask, residual)


class QuartzNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        stem, tail = c["stem"], c["tail"]
        self.stride, width, blocks = stem["stride"], stem["width"], []
        self.stem = Separable(c["in_channels"], width, stem["kernel"], self.stride)
        for stage in c["stages"]:
            for _ in range(stage["blocks"]):
                blocks.append(Block(width, stage, c["repeats"]))
                width = stage["width"]
        self.blocks = nn.ModuleList(blocks)
        self.tail = Separable(width, tail["width"], tail["kernel"], 1, tail["dilation"])
        self.head = pointwise(tail["width"], c["head_width"])
        self.classes = nn.Conv1d(c["head_width"], c["num_classes"], 1)

    def forward(self, x, lengths):
        x = self.stem(x, mask(lengths, x.shape[2]))
        within = mask((lengths + self.stride - 1) // self.stride, x.shape[2])
        for block in self.blocks:
            x = block(x, within)
        x = torch.relu(self.head(self.tail(x, within)))
        return self.classes(x).transpose(1, 2)


def rounded(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().flatten().tolist()]


torch.manual_seed(0)
model = golden.randomise(QuartzNet(TINY))
features, lengths = torch.randn(3, 6, 21), torch.tensor([21, 12, 5])
weights = {name: rounded(tensor) for name, tensor in model.state_dict().items() if tensor.dim()}
output = model.eval()(features, lengths)
model.train()(features, lengths).square().mean().backward()
numbers = {
    "library": f"torch {torch.__version__}",
    "config": TINY,
    "weights": weights,
    "features": rounded(features),
    "lengths": lengths.tolist(),
    "output": rounded(output),
    "gradients": {name: rounded(p.grad) for name, p in model.named_parameters()},
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(numbers) + "\n")
print(path.name, path.stat().st_size)
