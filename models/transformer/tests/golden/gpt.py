"""Golden numbers of GPT-2, by transformers.

Run from anywhere: python gpt.py
"""

import pathlib
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "gpt",
    "vocab_size": 13,
    "context": 8,
    "num_layers": 2,
    "num_heads": 2,
    "width": 16,
    "activation": "gelu_new",
    "dropout": 0.0,
    "output": "tied",
    "bias": True,
}

origin = transformers.GPT2Config(
    vocab_size=CONFIG["vocab_size"],
    n_positions=CONFIG["context"],
    n_layer=CONFIG["num_layers"],
    n_head=CONFIG["num_heads"],
    n_embd=CONFIG["width"],
    activation_function=CONFIG["activation"],
    resid_pdrop=CONFIG["dropout"],
    embd_pdrop=CONFIG["dropout"],
    attn_pdrop=CONFIG["dropout"],
    tie_word_embeddings=True,
    # With the usual 0.02 every position would attend to all others alike.
    initializer_range=0.3,
    bos_token_id=None,
    eos_token_id=None,
)
torch.manual_seed(0)
model = golden.randomise(transformers.GPT2LMHeadModel(origin))
tokens = torch.randint(CONFIG["vocab_size"], (3, 8), generator=torch.Generator().manual_seed(2))
golden.write(
    __file__,
    model,
    CONFIG,
    tokens,
    library=f"transformers {transformers.__version__}",
    forward=lambda model, tokens: model(tokens).logits,
)
