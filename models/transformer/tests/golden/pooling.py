"""Golden numbers of how sentence-transformers makes one vector of a sentence's positions.

The formulas are those of its `Pooling` and `Normalize`, in plain PyTorch; where the
package is installed they are held against it.

Run from anywhere: python pooling.py
"""

import json
import pathlib

import torch

torch.manual_seed(0)
states = torch.randn(4, 5, 3)
# Padding at the end, at the beginning, none, and all but one.
mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
weights = mask[:, :, None].float()

last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
pooled = {
    "first": states[:, 0],
    "mean": (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9),
    "max": states.masked_fill(weights == 0, -1e9).max(1).values,
    "mean_sqrt_len": (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9).sqrt(),
    "last": states[torch.arange(len(states)), last],
}
try:
    import sentence_transformers
    from sentence_transformers.models import Pooling

    library = f"sentence-transformers {sentence_transformers.__version__}"
    names = {"first": "cls", "mean_sqrt_len": "mean_sqrt_len_tokens", "last": "lasttoken"}
    for name, expected in pooled.items():
        features = {"token_embeddings": states.clone(), "attention_mask": mask}
        found = Pooling(3, pooling_mode=names.get(name, name))(features)["sentence_embedding"]
        assert torch.allclose(found, expected, atol=1e-6), name
except ImportError:
    library = f"PyTorch {torch.__version__}, by the formulas of sentence-transformers"

path = pathlib.Path(__file__).with_suffix(".json")
golden = {
    "library": library,
    "states": states.tolist(),
    "padding": (mask == 0).tolist(),
    "pooled": {name: vector.tolist() for name, vector in pooled.items()},
}
path.write_text(json.dumps(golden) + "\n")
