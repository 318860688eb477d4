"""What torchvision's transforms make of PIL's images: preprocessing.json.

    python preprocessing.py    # torch 2.15.0, torchvision 0.29.2, Pillow 13.0.0

A picture is drawn by `photograph`, which ../preprocessing.rs draws too, or written as a small PNG. Of a
result, the CRC-32 of its bytes before they become floats is kept, and some of the floats.
"""

import io
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as Mode

FLOATS = 24  # kept of each result, evenly spaced


def photograph(height, width):
    """Slopes, edges and a texture, in integers."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    wave = lambda n: np.abs(n % 510 - 255)
    return ((3 * wave(x * (3 + c) + 2 * y) + wave(x * y // 7 + 90 * c)) // 4).astype(np.uint8)


def png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue().hex()


def small(mode):
    image = Image.fromarray(photograph(23, 17))
    if mode == "P":
        return image.quantize(11), {"transparency": 3}
    image = image.convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(photograph(17, 23)[:, :, 0].T.copy()))
    return image, {}


def case(picture, steps, preprocessing):
    """`steps` end in an image; `preprocessing` is the same in our words."""
    if isinstance(picture, str):
        image, options = small(picture)
        given = {"png": png(image, **options)}
    else:
        image, given = Image.fromarray(photograph(*picture)), {"size": picture}
    color = {"rgb": "RGB", "grey": "L"}[preprocessing.get("color", "rgb")]
    image = T.Compose(steps)(image.convert(color))
    mean, std = preprocessing.get("mean", [0.0]), preprocessing.get("std", [1.0])
    floats = T.Compose([T.ToTensor(), T.Normalize(mean, std)])(image).numpy()
    flat = floats.flatten()
    return given | {
        "preprocessing": preprocessing,
        "shape": list(floats.shape),
        "crc32": zlib.crc32(np.asarray(image).tobytes()),
        "floats": [float(value) for value in flat[:: max(1, len(flat) // FLOATS)]],
    }


IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def resized(picture, size, crop, mode=Mode.BILINEAR, **more):
    steps = [T.Resize(size, interpolation=mode)] if size else []
    steps += [T.CenterCrop(crop)] if crop else []
    preprocessing = {"resize": size, "crop": crop, "interpolation": mode.value} | more
    return case(picture, steps, preprocessing)


cases = [
    # The usual pipeline, on landscape, portrait, square, and odd sizes.
    resized([333, 500], 256, [224, 224], **IMAGENET),
    resized([641, 367], 256, [224, 224], **IMAGENET),
    resized([256, 256], 256, [224, 224], **IMAGENET),
    resized([333, 641], 232, [224, 224], **IMAGENET),
    resized([333, 641], 248, [224, 224], Mode.BICUBIC, **HALF),
    resized([97, 31], 248, [224, 224], Mode.BICUBIC, **HALF),
    # Lines.
    resized([300, 1], 256, [224, 224], **IMAGENET),
    resized([1, 211], 64, [33, 57], Mode.BICUBIC, **IMAGENET),
    resized([1, 1], 9, [7, 7], Mode.BICUBIC, **IMAGENET),
    # Smaller than the crop: on both axes, on one, by odd and even numbers.
    resized([31, 57], 20, [33, 52], **IMAGENET),
    resized([57, 31], 20, [41, 23], Mode.BICUBIC, **IMAGENET),
    resized([10, 10], None, [13, 14], **IMAGENET),
    resized([10, 11], None, [11, 8], **IMAGENET),
    # Offsets with halves: 0.5, 1.5, 2.5, 3.5.
    resized([20, 21], None, [19, 18], **IMAGENET),
    resized([20, 21], None, [15, 14], **IMAGENET),
    # Exact sizes, also of one axis alone; larger and smaller.
    resized([67, 101], [32, 48], None, Mode.BICUBIC, **HALF),
    resized([67, 101], [67, 48], None, **HALF),
    resized([67, 101], [130, 101], None, Mode.BICUBIC, **HALF),
    resized([67, 101], [31, 211], None, Mode.NEAREST, **HALF),
    resized([67, 101], 40, [32, 32], Mode.NEAREST, **HALF),
    resized([23, 29], None, None),
    # What a file may hold.
    resized("L", 32, [28, 28], **IMAGENET),
    resized("LA", 32, [28, 28], Mode.BICUBIC, **IMAGENET),
    resized("RGBA", 32, [28, 28], Mode.BICUBIC, **IMAGENET),
    resized("P", 32, [28, 28], **IMAGENET),
    resized("RGB", 28, [28, 28], color="grey", mean=[0.1307], std=[0.3081]),
    resized("P", [28, 28], None, Mode.BICUBIC, color="grey"),
    resized("L", [9, 9], None, color="grey"),
]
lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")
