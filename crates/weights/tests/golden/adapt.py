"""Golden numbers of weights made to fit another picture, by timm: positions at another size, a first
convolution for other channels.

Run from anywhere: python adapt.py
"""

import json
import pathlib

import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv

generator = torch.Generator().manual_seed(0)
draw = lambda *shape: torch.randn(*shape, generator=generator)
case = lambda tensor: {"shape": list(tensor.shape), "values": tensor.flatten().tolist()}

positions = []
# Up, down by more than half, by a fraction, to one and from one; with a class token, two tokens, none.
for old, new, tokens in [(3, 5, 1), (7, 3, 1), (5, 4, 0), (4, 1, 2), (1, 3, 1), (4, 9, 1)]:
    tensor = draw(1, old * old + tokens, 3)
    made = resample_abs_pos_embed(tensor, [new, new], num_prefix_tokens=tokens)
    positions.append({"tokens": tokens, "from": case(tensor), "to": case(made)})

channels = []
for old, new in [(3, 1), (3, 2), (3, 4), (3, 7)]:
    tensor = draw(2, old, 3, 2)
    channels.append({"from": case(tensor), "to": case(adapt_input_conv(new, tensor.clone()))})

path = pathlib.Path(__file__).with_suffix(".json")
lines = lambda cases: ",\n".join(json.dumps(case) for case in cases)
path.write_text(
    f'{{"library": "timm {timm.__version__}",\n"positions": [\n{lines(positions)}\n],\n'
    f'"channels": [\n{lines(channels)}\n]}}\n'
)
