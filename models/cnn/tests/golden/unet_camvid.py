"""PyTorch's side of the claim on camvid-small: the network of unet.py, trained on the same batches.

The order of the examples and what augmentation draws are functions of (seed, epoch, example): those
of crates/train/src/rng.rs and datasets/images/src/augment.rs, repeated here. Initial weights are
PyTorch's own draws, from the same distribution as ours. Prints the mean intersection over union of
the test split over its 11 classes, void ignored, and the accuracy of its pixels. Seeds 1, 2 and 3:
mean IoU 40.66, 40.88 and 40.80 %, where the zoo has 42.89, 40.50 and 39.45 %.

    ZOO_DATA_DIR=... python unet_camvid.py [--steps N] [--seed N] ...     (needs torch, numpy, pillow)
"""

import argparse
import math
import os
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from unet import UNet

CLASSES = 11
VOID = 11
MASK, GAMMA = (1 << 64) - 1, 0x9E3779B97F4A7C15
ORDER, EXAMPLE = 1, 3

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=16)
parser.add_argument("--up", default="nearest", choices=["nearest", "transposed_convolution"])
parser.add_argument("--steps", type=int, default=1800)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--rate", type=float, default=2e-3)
parser.add_argument("--decay", type=float, default=1e-2)
parser.add_argument("--warmup", type=int, default=50)
parser.add_argument("--padding", type=int, default=8)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def derive(purpose, *keys):
    state = mix(mix((options.seed + GAMMA) & MASK) ^ purpose)
    for key in keys:
        state = mix(state ^ mix((key + GAMMA) & MASK))
    return state


def stream(seed):
    """SplitMix64."""
    while True:
        seed = (seed + GAMMA) & MASK
        yield mix(seed)


def xoshiro(seed):
    """xoshiro256++, seeded by SplitMix64 as the crate `rand` does."""
    numbers = stream(seed)
    s = [next(numbers) for _ in range(4)]
    turn = lambda x, k: ((x << k) | (x >> (64 - k))) & MASK
    while True:
        yield (turn((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = turn(s[3], 45)


def permutation(length, seed):
    order, numbers = list(range(length)), stream(seed)
    for i in range(length - 1, 0, -1):
        j = (next(numbers) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return order


def scenes(split):
    folder = pathlib.Path(os.environ["ZOO_DATA_DIR"]) / "camvid-small"
    paths = sorted((folder / split).glob("*.png"))
    masks = [folder / f"{split}annot" / path.name for path in paths]
    stack = lambda paths: torch.from_numpy(np.stack([np.array(Image.open(path)) for path in paths]))
    return stack(paths).permute(0, 3, 1, 2), stack(masks).long()


def augmented(x, mask, seed):
    """Shifted by up to `padding` pixels, the mean colour and void filled in; mirrored half the time."""
    numbers, p = xoshiro(seed), options.padding
    below = lambda count: (next(numbers) * count) >> 64
    (dy, dx), mirrored = (below(2 * p + 1), below(2 * p + 1)), below(2) == 1
    height, width = mask.shape
    x = F.pad(x, (p, p, p, p))[:, dy : dy + height, dx : dx + width]
    mask = F.pad(mask, (p, p, p, p), value=VOID)[dy : dy + height, dx : dx + width]
    return (x.flip(-1), mask.flip(-1)) if mirrored else (x, mask)


def rate(step):
    """Linear warm-up, then half a cosine to nothing (crates/train/src/schedule.rs)."""
    if step < options.warmup:
        return options.rate * (step + 1) / options.warmup
    done = (step - options.warmup) / (options.steps - options.warmup)
    return options.rate * 0.5 * (1 + math.cos(math.pi * done))


def judge(model, x, masks):
    model.eval()
    confusion = torch.zeros(CLASSES * CLASSES, dtype=torch.long)
    with torch.no_grad():
        for x, mask in zip(x.split(16), masks.split(16)):
            answered, told = model(x).argmax(1), mask != VOID
            confusion += torch.bincount(mask[told] * CLASSES + answered[told], minlength=CLASSES**2)
    confusion = confusion.view(CLASSES, CLASSES).double()
    hits = confusion.diag()
    iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    return iou, iou.nanmean().item(), (hits.sum() / confusion.sum()).item()


torch.set_num_threads(options.threads)
torch.manual_seed(options.seed)
config = {"in_channels": 3, "num_classes": CLASSES, "width": options.width, "up": options.up}
model = UNet(config)
(x, masks), (test_x, test_masks) = scenes("train"), scenes("test")
x, test_x = x.float() / 255, test_x.float() / 255
mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3))
print(f"mean {mean.tolist()}, std {std.tolist()}")
x, test_x = ((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1) for pixels in (x, test_x))

# Weights of convolutions decay; biases and norms do not (`decay_on = "matrices"`).
matrices = [p for name, p in model.named_parameters() if p.dim() > 1]
others = [p for name, p in model.named_parameters() if p.dim() <= 1]
groups = [{"params": matrices, "weight_decay": options.decay}, {"params": others, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=options.rate)
step, epoch, started = 0, 0, time.monotonic()
while step < options.steps:
    model.train()
    order = permutation(len(x), derive(ORDER, epoch))
    for start in range(0, len(x), options.batch):
        indices = order[start : start + options.batch]
        pairs = [augmented(x[i], masks[i], derive(EXAMPLE, epoch, i)) for i in indices]
        pictures, truth = (torch.stack(column) for column in zip(*pairs))
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss = F.cross_entropy(model(pictures), truth, ignore_index=VOID)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.4f}, {time.monotonic() - started:.0f} s", flush=True)
        if step == options.steps:
            break
    epoch += 1
iou, mean_iou, accuracy = judge(model, test_x, test_masks)
print(f"test: mean IoU {100 * mean_iou:.2f} %, pixel accuracy {100 * accuracy:.2f} %")
print("by class: " + " ".join(f"{100 * value:.1f}" for value in iou.tolist()))
