"""Keras's side of the textbook's second example: what the classifier of mlp-mnist must compute, step
by step, with the recipe's optimizer and with the one that Keras's own beginners' example uses.

Weights and made-up digits come from SplitMix64, which crates/train/src/rng.rs repeats, so nothing
but losses is stored. Writes mlp_keras.json beside itself.

    KERAS_BACKEND=torch python mlp_keras.py        (needs keras and one of its backends; seconds)
"""

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np

SEED, STEPS, BATCH = 1, 20, 64
MASK, GAMMA = (1 << 64) - 1, 0x9E3779B97F4A7C15
WEIGHTS, EXAMPLE = 5, 3


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def derive(purpose, *keys):
    state = mix(mix((SEED + GAMMA) & MASK) ^ purpose)
    for key in keys:
        state = mix(state ^ mix((key + GAMMA) & MASK))
    return state


def units(seed, count):
    """Numbers 0..1 in steps of 2^-24, which single precision holds exactly."""
    values = []
    for _ in range(count):
        seed = (seed + GAMMA) & MASK
        values.append((mix(seed) >> 40) / (1 << 24))
    return np.array(values, np.float32)


def batch(step):
    """Made-up digits: ink in a block of rows that tells the class, on noise."""
    numbers = units(derive(EXAMPLE, step), BATCH * 785).reshape(BATCH, 785)
    labels = (numbers[:, 0] * 10).astype(np.int64)
    pixels = numbers[:, 1:] * np.float32(0.5)
    for row, label in zip(pixels, labels):
        row[label * 78 : label * 78 + 78] += np.float32(0.25)
    return pixels, labels


def initial_weights():
    """U(-k, k), k = 1 / sqrt(fan-in); `[out, in]` as PyTorch and the zoo's files lay them out."""
    numbers = units(derive(WEIGHTS), 784 * 128 + 128 + 128 * 10 + 10) * np.float32(2) - np.float32(1)
    weights, start = [], 0
    for shape, fan_in in [((128, 784), 784), ((128,), 784), ((10, 128), 128), ((10,), 128)]:
        size = int(np.prod(shape))
        values = numbers[start : start + size] / np.sqrt(np.float32(fan_in))
        weights.append(values.reshape(shape).T if len(shape) == 2 else values)
        start += size
    return weights


def losses(optimizer):
    # The softmax is in the network and the loss is told so, as Keras's textbooks do: the same
    # cross-entropy as ours of logits.
    model = keras.Sequential(
        [
            keras.layers.Input((784,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.set_weights(initial_weights())
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    found = []
    for step in range(STEPS):
        found.append(float(model.train_on_batch(*batch(step))))
        # Keras gives back the mean over all calls since then.
        model.reset_metrics()
    return found


def golden(name, optimizer, keys):
    config = optimizer.get_config()
    row = {
        "optimizer": name,
        # As the recipe's table has them; Keras's own defaults, where the script gives none.
        "config": {ours: float(f"{config[theirs]:.7g}") for ours, theirs in keys.items()},
        "losses": [round(loss, 7) for loss in losses(optimizer)],
    }
    print(name, row["config"], row["losses"][0], row["losses"][-1])
    return row


document = {
    "keras": keras.__version__,
    "backend": keras.backend.backend(),
    "runs": [
        golden("sgd", keras.optimizers.SGD(), {"learning_rate": "learning_rate", "momentum": "momentum"}),
        golden(
            "adam",
            keras.optimizers.Adam(),
            {"learning_rate": "learning_rate", "beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"},
        ),
    ],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
