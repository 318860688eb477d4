"""Golden numbers of intersection over union and pixel accuracy: torchmetrics' MulticlassJaccardIndex,
held against scikit-learn's jaccard_score, on small masks that hold the awkward cases.

Writes iou.json beside itself.      (needs torch, torchmetrics, scikit-learn)
"""

import json
import pathlib

import numpy as np
import sklearn
import torch
import torchmetrics
from sklearn.metrics import jaccard_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

VOID = 255
generator = np.random.default_rng(0)
draw = lambda classes, count: generator.integers(0, classes, count)


def noisy(truth, classes, share):
    """The truth, with a share of it drawn anew."""
    changed = generator.random(len(truth)) < share
    return np.where(changed, draw(classes, len(truth)), truth)


def void(truth, share):
    return np.where(generator.random(len(truth)) < share, VOID, truth)


truth = draw(5, 60)
cases = [
    ("every class", 5, truth, noisy(truth, 5, 0.3)),
    ("void pixels", 5, void(truth, 0.4), noisy(truth, 5, 0.5)),
    ("a class that is neither true nor answered", 7, truth, noisy(truth, 5, 0.4)),
    ("a class that is true and never answered", 4, np.array([0, 0, 1, 1, 2, 3]), np.array([0, 0, 1, 1, 1, 0])),
    ("a class that is answered and never true", 4, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 3, 1, 3, 2, 2])),
    ("a class answered only where the truth is void", 3, np.array([0, 1, VOID, VOID]), np.array([0, 1, 2, 2])),
    ("a class true nowhere but in one pixel", 3, np.array([0] * 9 + [2]), np.array([0] * 9 + [1])),
    ("one class, all right", 3, np.array([1, 1, 1]), np.array([1, 1, 1])),
    ("one class, all wrong", 3, np.array([1, 1, 1]), np.array([2, 2, 2])),
    ("only void", 3, np.array([VOID] * 4), np.array([0, 1, 2, 0])),
]


def golden(name, classes, truth, answered):
    tensors = torch.from_numpy(answered), torch.from_numpy(truth)
    of = lambda kind, average: kind(num_classes=classes, average=average, ignore_index=VOID)(*tensors)
    told = truth != VOID
    row = {
        "name": name,
        "classes": classes,
        "truth": truth.tolist(),
        "answered": answered.tolist(),
        # Of no pixel at all: torchmetrics says NaN and 0, we say that there is none of either.
        "mean_iou": None,
        "pixel_accuracy": None,
        "iou": [0.0] * classes,
    }
    mean_iou = of(MulticlassJaccardIndex, "macro").item()
    if told.any():
        # Its default labels are those that occur in the truth or the answers.
        other = jaccard_score(truth[told], answered[told], average="macro")
        assert abs(other - mean_iou) < 1e-6, (name, other, mean_iou)
        labels = np.arange(classes)
        row["iou"] = jaccard_score(truth[told], answered[told], labels=labels, average=None, zero_division=0).tolist()
        row["mean_iou"] = other
        row["pixel_accuracy"] = float((truth == answered)[told].mean())
        assert abs(row["pixel_accuracy"] - of(MulticlassAccuracy, "micro").item()) < 1e-6, name
    return row


document = {
    "torchmetrics": torchmetrics.__version__,
    "scikit-learn": sklearn.__version__,
    "void": VOID,
    "cases": [golden(*case) for case in cases],
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(document) + "\n")
for case in document["cases"]:
    print(case["name"], case["mean_iou"], case["pixel_accuracy"])
