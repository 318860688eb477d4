"""Golden numbers of Llama, by transformers: two heads of queries to one of keys and values.

Run from anywhere: python llama.py
"""

import pathlib
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "llama",
    "vocab_size": 13,
    "context": 8,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "width": 16,
    "hidden": 24,
    "rope_theta": 10000.0,
    "norm_epsilon": 1e-5,
    "attention_dropout": 0.0,
    "output": "free",
}

origin = transformers.LlamaConfig(
    vocab_size=CONFIG["vocab_size"],
    max_position_embeddings=CONFIG["context"],
    num_hidden_layers=CONFIG["num_layers"],
    num_attention_heads=CONFIG["num_heads"],
    num_key_value_heads=CONFIG["num_kv_heads"],
    hidden_size=CONFIG["width"],
    intermediate_size=CONFIG["hidden"],
    rope_theta=CONFIG["rope_theta"],
    rms_norm_eps=CONFIG["norm_epsilon"],
    attention_dropout=CONFIG["attention_dropout"],
    tie_word_embeddings=False,
    # With the usual 0.02 every position would attend to all others alike.
    initializer_range=0.3,
    bos_token_id=None,
    eos_token_id=None,
)
torch.manual_seed(0)
model = golden.randomise(transformers.LlamaForCausalLM(origin))
tokens = torch.randint(CONFIG["vocab_size"], (3, 8), generator=torch.Generator().manual_seed(2))
golden.write(
    __file__,
    model,
    CONFIG,
    tokens,
    library=f"transformers {transformers.__version__}",
    learning_rate=0.02,
    forward=lambda model, tokens: model(tokens).logits,
)
