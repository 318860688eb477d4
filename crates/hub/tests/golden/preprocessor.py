"""What transformers and timm make of a picture by what their files say: preprocessor.json.

    python preprocessor.py    # torch 2.15.0, torchvision 0.29.2, timm 1.0.31, transformers 5.24.0, Pillow 13.0.0

transformers' processors are those of PIL. A picture is drawn by `photograph`, which ../preprocessor.rs
draws too. Of a result, a number is kept every so often.
"""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import timm.data
from PIL import Image

FLOATS = 24  # kept of each result, evenly spaced


def photograph(height, width):
    """Slopes, edges and a texture, in integers."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    wave = lambda n: np.abs(n % 510 - 255)
    return ((3 * wave(x * (3 + c) + 2 * y) + wave(x * y // 7 + 90 * c)) // 4).astype(np.uint8)


MODULES = {"CLIP": "clip", "ConvNext": "convnext", "DeiT": "deit", "EfficientNet": "efficientnet",
           "MobileNetV1": "mobilenet_v1", "MobileNetV2": "mobilenet_v2", "PoolFormer": "poolformer",
           "ViT": "vit"}


def transformers(size, config):
    name = config.get("image_processor_type") or config["feature_extractor_type"]
    name = re.sub("(ImageProcessorFast|ImageProcessor|FeatureExtractor)$", "", name)
    module = MODULES.get(name, name.lower())
    module = importlib.import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    settings = {key: value for key, value in config.items() if not key.endswith("_type")}
    processor = getattr(module, f"{name}ImageProcessorPil")(**settings)
    values = processor(Image.fromarray(photograph(*size)), return_tensors="np")["pixel_values"][0]
    return kept("transformers", size, config, np.asarray(values, np.float32))


def timm_(size, config):
    cfg = config.get("pretrained_cfg", config)
    data = timm.data.resolve_data_config({}, pretrained_cfg=cfg)
    image = Image.fromarray(photograph(*size))
    if cfg.get("input_size", [3])[0] == 1:
        image = image.convert("L")
    values = timm.data.create_transform(**data, is_training=False)(image).numpy()
    return kept("timm", size, config, values)


def kept(origin, size, config, values):
    flat = values.flatten()
    floats = [float(value) for value in flat[:: max(1, len(flat) // FLOATS)]]
    return {"origin": origin, "size": size, "config": config, "shape": list(values.shape), "floats": floats}


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073],
          "image_std": [0.26862954, 0.26130258, 0.27577711]}


def of(kind, **settings):
    return {"image_processor_type": f"{kind}ImageProcessor", "do_resize": True, "do_normalize": True,
            "do_rescale": True, "rescale_factor": 1 / 255} | settings


def pretrained(**settings):
    return {"architecture": "a", "num_classes": 1000, "pretrained_cfg": {
        "tag": "t", "custom_load": False, "fixed_input_size": True, "num_classes": 1000, "pool_size": None,
        "first_conv": "patch_embed.proj", "classifier": "head"} | settings}


def square(side):
    return {"height": side, "width": side}


cases = [
    # As google, microsoft and facebook wrote them first, and as they are written today.
    transformers([333, 500], {"feature_extractor_type": "ViTFeatureExtractor", "do_normalize": True,
                              "do_resize": True, "resample": 2, "size": 224} | HALF),
    transformers([641, 367], of("ViT", size=square(224), resample=3, do_convert_rgb=None, **IMAGENET)),
    transformers([500, 333], {"feature_extractor_type": "ConvNextFeatureExtractor", "crop_pct": 0.875,
                              "do_normalize": True, "do_resize": True, "resample": 3, "size": 224} | IMAGENET),
    transformers([97, 31], of("ConvNext", size={"shortest_edge": 224}, crop_pct=0.95, resample=2, **IMAGENET)),
    transformers([97, 131], of("ConvNext", size={"shortest_edge": 384}, crop_pct=0.875, resample=3, **HALF)),
    transformers([333, 641], of("Bit", size={"shortest_edge": 256}, resample=3, do_center_crop=True,
                                crop_size=square(224), do_convert_rgb=True, **IMAGENET)),
    transformers([640, 427], of("CLIP", size=224, resample=3, do_center_crop=True, crop_size=224, **OPENAI)),
    transformers([50, 75], of("CLIP", size={"shortest_edge": 21}, resample=3, crop_size={"height": 32, "width": 18},
                              **OPENAI)),
    transformers([75, 50], of("CLIP", size={"shortest_edge": 20}, resample=2, crop_size={"height": 17, "width": 33},
                              **OPENAI)),
    transformers([100, 150], of("DeiT", size=256, resample=3, do_center_crop=True, crop_size=224, **IMAGENET)),
    transformers([100, 151], of("Beit", size=square(64), resample=3, do_center_crop=True, crop_size=square(57),
                                do_reduce_labels=False, **HALF)),
    transformers([100, 151], of("Levit", size={"shortest_edge": 56}, resample=3, crop_size=square(56), **IMAGENET)),
    transformers([100, 151], of("PoolFormer", size={"shortest_edge": 56}, resample=3, crop_pct=0.9,
                                crop_size=square(56), **IMAGENET)),
    transformers([100, 151], of("MobileNetV1", size={"shortest_edge": 64}, resample=2, crop_size=square(56), **HALF)),
    transformers([100, 151], of("MobileNetV2", size={"shortest_edge": 64}, resample=2, crop_size=square(56),
                                do_reduce_labels=False, **HALF)),
    transformers([100, 151], of("Siglip", size=square(56), resample=3, do_convert_rgb=None, **HALF)),
    transformers([100, 151], of("Blip", size=square(48), resample=3, do_convert_rgb=True, **OPENAI)),
    transformers([100, 151], of("Pvt", size=square(48), resample=0, **IMAGENET)),
    transformers([100, 151], of("EfficientNet", size=square(48), resample=0, do_center_crop=False,
                                crop_size=square(40), rescale_offset=False, include_top=True, **IMAGENET)),
    transformers([100, 151], of("EfficientNet", size=square(48), resample=2, rescale_offset=True,
                                include_top=False, **HALF) | {"rescale_factor": 1 / 127.5}),
    # Parts that are left out.
    transformers([48, 37], of("ViT", **HALF) | {"do_resize": False}),
    transformers([48, 37], of("ViT", size=square(20), resample=2, do_center_crop=True,
                              crop_size=square(17)) | {"do_normalize": False}),
    transformers([48, 37], of("ViT", size=square(20), resample=2, image_mean=127.5, image_std=[127.5] * 3)
                 | {"do_rescale": False}),
    # timm: the usual, squashed, an older flat file, one channel.
    timm_([333, 641], pretrained(input_size=[3, 224, 224], interpolation="bicubic", crop_pct=0.9,
                                 crop_mode="center", mean=[0.5] * 3, std=[0.5] * 3)),
    timm_([641, 367], pretrained(input_size=[3, 224, 224], interpolation="bilinear", crop_pct=0.95,
                                 mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])),
    timm_([97, 131], pretrained(input_size=[3, 60, 84], interpolation="bicubic", crop_pct=0.96,
                                crop_mode="squash", test_input_size=[3, 288, 288], test_crop_pct=1.0)),
    timm_([97, 31], {"architecture": "a", "num_classes": 10, "num_features": 5, "input_size": [3, 75, 75],
                     "first_conv": "conv1", "classifier": "fc"}),
    timm_([97, 131], pretrained(input_size=[1, 28, 28], crop_pct=1.0, mean=[0.1307], std=[0.3081])),
]
lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")
