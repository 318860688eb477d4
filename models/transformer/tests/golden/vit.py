"""Golden numbers of the Vision Transformer: timm's `VisionTransformer` at a small size, with either
pooling."""

import pathlib
import sys

import timm
import torch
from timm.models.vision_transformer import VisionTransformer

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "vit",
    "image_size": 16,
    "patch_size": 8,
    "in_channels": 3,
    "num_layers": 2,
    "num_heads": 2,
    "width": 12,
    "hidden": 24,
    "dropout": 0.0,
    "stochastic_depth": 0.0,
    "num_classes": 4,
}

for pooling, variant in [("token", ""), ("avg", "_avg")]:
    torch.manual_seed(0)
    model = VisionTransformer(
        img_size=CONFIG["image_size"],
        patch_size=CONFIG["patch_size"],
        depth=CONFIG["num_layers"],
        num_heads=CONFIG["num_heads"],
        embed_dim=CONFIG["width"],
        mlp_ratio=CONFIG["hidden"] / CONFIG["width"],
        num_classes=CONFIG["num_classes"],
        global_pool=pooling,
    )
    # At the deviation of 0.02 with which weights begin, attention is all but even and blocks add little.
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    golden.write(
        __file__,
        golden.randomise(model),
        CONFIG if pooling == "token" else CONFIG | {"global_pool": pooling},
        torch.randn(3, 3, 16, 16),
        library=f"timm {timm.__version__}",
        variant=variant,
    )
    print(sum(tensor.numel() for tensor in model.parameters()), "parameters")
