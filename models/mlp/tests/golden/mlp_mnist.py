"""PyTorch's side of the textbook example: what mlp-mnist must compute, step by step.

Writes mlp_mnist.json beside itself: the losses of the first 200 steps, the mean loss of each of ten
epochs, and the test accuracy. Initial weights and the order of the examples come from SplitMix64,
which crates/train/src/rng.rs repeats, so nothing but results needs to be stored.

    ZOO_DATA_DIR=... python mlp_mnist.py        (needs torch and numpy; about a minute)
"""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

SEED, EPOCHS, BATCH, RATE = 1, 10, 64, 0.01
MASK, GAMMA = (1 << 64) - 1, 0x9E3779B97F4A7C15
ORDER, WEIGHTS = 1, 5


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def derive(seed, purpose, keys):
    state = mix(mix((seed + GAMMA) & MASK) ^ purpose)
    for key in keys:
        state = mix(state ^ mix((key + GAMMA) & MASK))
    return state


def stream(seed):
    while True:
        seed = (seed + GAMMA) & MASK
        yield mix(seed)


def permutation(length, seed):
    order, numbers = list(range(length)), stream(seed)
    for i in range(length - 1, 0, -1):
        j = (next(numbers) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return order


def images(name):
    data = gzip.open(folder / f"{name}-images-idx3-ubyte.gz").read()
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784)
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255))


def labels(name):
    data = gzip.open(folder / f"{name}-labels-idx1-ubyte.gz").read()
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=8).astype(np.int64))


folder = Path(os.environ["ZOO_DATA_DIR"]) / "mnist"
torch.set_num_threads(2)
model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
numbers = stream(derive(SEED, WEIGHTS, []))
with torch.no_grad():
    for parameter, fan_in in zip(model.parameters(), [784, 784, 128, 128]):
        units = [((next(numbers) >> 40) / (1 << 24)) * 2 - 1 for _ in range(parameter.numel())]
        values = np.array(units, np.float32) / np.sqrt(np.float32(fan_in))
        parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))

optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
x, y = images("train"), labels("train")
losses, epoch_losses = [], []
for epoch in range(EPOCHS):
    order = torch.tensor(permutation(len(x), derive(SEED, ORDER, [epoch])))
    sums = []
    for batch in order.split(BATCH):
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        sums.append(loss.item())
    losses += sums
    epoch_losses.append(sum(sums) / len(sums))
    print(f"epoch {epoch + 1}: training loss {epoch_losses[-1]:.4f}", flush=True)
with torch.no_grad():
    accuracy = (model(images("t10k")).argmax(1) == labels("t10k")).float().mean().item()
print(f"test accuracy {accuracy:.4f}")
golden = {
    "torch": torch.__version__,
    "losses": [round(loss, 7) for loss in losses[:200]],
    "epoch_losses": [round(loss, 7) for loss in epoch_losses],
    "test_accuracy": round(accuracy, 6),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")
