"""Golden numbers of MLP-Mixer: timm's `MlpMixer` at a small size."""

import pathlib
import sys

import timm
import torch
from timm.models.mlp_mixer import MlpMixer

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "mixer",
    "image_size": 16,
    "patch_size": 8,
    "in_channels": 3,
    "num_layers": 2,
    "width": 12,
    "token_hidden": 6,
    "channel_hidden": 48,
    "dropout": 0.0,
    "stochastic_depth": 0.0,
    "num_classes": 4,
}

torch.manual_seed(0)
model = MlpMixer(
    img_size=CONFIG["image_size"],
    patch_size=CONFIG["patch_size"],
    num_blocks=CONFIG["num_layers"],
    embed_dim=CONFIG["width"],
    mlp_ratio=(0.5, 4.0),
    num_classes=CONFIG["num_classes"],
)
golden.write(
    __file__,
    golden.randomise(model),
    CONFIG,
    torch.randn(3, 3, 16, 16),
    library=f"timm {timm.__version__}",
)
print(sum(tensor.numel() for tensor in model.parameters()), "parameters")
