"""Golden numbers of the pre-norm encoder, which is our own: written here in torch.nn.

Run from anywhere: python encoder.py
"""

import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "encoder",
    "vocab_size": 16,
    "max_length": 8,
    "num_layers": 2,
    "num_heads": 2,
    "width": 16,
    "hidden": 24,
    "dropout": 0.0,
    "pooling": "mean",
    "num_classes": 3,
    "pad_token": 0,
}
WIDTH = CONFIG["width"]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.c_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, seen):
        b, t, _ = x.shape
        heads = lambda part: part.view(b, t, CONFIG["num_heads"], -1).transpose(1, 2)
        q, k, v = map(heads, self.c_attn(x).split(WIDTH, dim=2))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, seen[:, None, None, :])
        return self.c_proj(mixed.transpose(1, 2).reshape(b, t, WIDTH))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, CONFIG["hidden"])
        self.c_proj = nn.Linear(CONFIG["hidden"], WIDTH)

    def forward(self, x):
        return self.c_proj(nn.functional.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = Attention()
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = FeedForward()

    def forward(self, x, seen):
        x = x + self.attn(self.ln_1(x), seen)
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(CONFIG["vocab_size"], WIDTH)
        self.wpe = nn.Embedding(CONFIG["max_length"], WIDTH)
        self.h = nn.ModuleList(Block() for _ in range(CONFIG["num_layers"]))
        self.ln_f = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, CONFIG["num_classes"])

    def forward(self, tokens):
        seen = tokens != CONFIG["pad_token"]
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            x = block(x, seen)
        kept = seen[:, :, None].float()
        pooled = (self.ln_f(x) * kept).sum(1) / kept.sum(1)
        return self.classifier(pooled)


torch.manual_seed(0)
tokens = torch.randint(1, CONFIG["vocab_size"], (4, 8))
tokens[1, 5:] = CONFIG["pad_token"]
tokens[3, 2:] = CONFIG["pad_token"]
golden.write(
    __file__,
    golden.randomise(Encoder()),
    CONFIG,
    tokens,
    library=f"torch {torch.__version__}",
)
