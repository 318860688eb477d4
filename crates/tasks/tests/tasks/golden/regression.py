"""Golden numbers of the metrics of regression, from scikit-learn: several outputs are averaged
uniformly, its default.

Writes regression.json beside itself.      (needs scikit-learn)
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error

generator = np.random.default_rng(0)
drawn = lambda *shape: generator.normal(size=shape).astype(np.float32)

truth, three = drawn(20, 1), drawn(12, 3)
constant = np.array([[3.0], [3.0], [3.0]], np.float32)
cases = [
    ("one output", truth, truth + 0.3 * drawn(20, 1)),
    ("worse than the mean", truth, -2 * truth + drawn(20, 1)),
    ("several outputs of unlike scales", three * [1, 100, 0.01], three * [1, 100, 0.01] + drawn(12, 3)),
    ("far from zero", 30_000 + truth, 30_000 + truth + 0.3 * drawn(20, 1)),
    ("exact", truth, truth),
    ("a constant truth, exact", constant, constant),
    ("a constant truth, missed", constant, np.array([[3.0], [2.5], [3.0]])),
    ("one of two outputs constant and missed", np.hstack([truth, truth * 0 + 7]), np.hstack([truth * 0.9, truth])),
    ("one of two outputs constant and exact", np.hstack([truth, truth * 0 + 7]), np.hstack([truth * 0.9, truth * 0 + 7])),
    ("two examples", truth[:2], truth[2:4]),
    ("one example", truth[:1], truth[1:2]),
]


def golden(name, truth, answered):
    truth, answered = truth.astype(np.float32), answered.astype(np.float32)
    pair = truth.astype(np.float64), answered.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        r2 = r2_score(*pair)
    return {
        "name": name,
        "truth": truth.tolist(),
        "answered": answered.tolist(),
        "mse": mean_squared_error(*pair),
        "rmse": root_mean_squared_error(*pair),
        "mae": mean_absolute_error(*pair),
        # Of fewer than two examples it is not defined, and scikit-learn says NaN.
        "r2": None if np.isnan(r2) else r2,
    }


document = {"scikit-learn": sklearn.__version__, "cases": [golden(*case) for case in cases]}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(document) + "\n")
for case in document["cases"]:
    print(case["name"], {key: case[key] for key in ["mse", "rmse", "mae", "r2"]})
