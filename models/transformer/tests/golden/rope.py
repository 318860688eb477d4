"""Golden numbers of rotary positions that are slowed down, by transformers: frequencies as plain numbers
(`rope.json`), and a Llama that has them.

Run from anywhere: python rope.py
"""

import json
import pathlib
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "crates/weights"))
import golden

from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

LIBRARY = f"transformers {transformers.__version__}"
CONFIG = {
    "name": "llama",
    "vocab_size": 13,
    "context": 32,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "width": 32,
    "hidden": 24,
    "rope_theta": 500.0,
    "norm_epsilon": 1e-5,
    "attention_dropout": 0.0,
    "output": "free",
}
# Of the four pairs of a head of 8, one is quick, one in between and two are slow.
SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 0.3,
        "high_freq_factor": 2.0,
        "original_max_position_embeddings": 16,
    },
}


def configured(scaling, theta=CONFIG["rope_theta"], width=CONFIG["width"], heads=CONFIG["num_heads"], context=CONFIG["context"]):
    return transformers.LlamaConfig(
        vocab_size=CONFIG["vocab_size"],
        max_position_embeddings=context,
        num_hidden_layers=CONFIG["num_layers"],
        num_attention_heads=heads,
        num_key_value_heads=CONFIG["num_kv_heads"],
        hidden_size=width,
        intermediate_size=CONFIG["hidden"],
        rope_parameters={"rope_theta": theta, **scaling},
        rms_norm_eps=CONFIG["norm_epsilon"],
        attention_dropout=0.0,
        tie_word_embeddings=False,
        # With the usual 0.02 every position would attend to all others alike.
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
    )


cases = []
for scaling in [
    *SCALINGS.values(),
    # Llama 3.1's and 3.2's own.
    {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    # Without the original context: that of the model.
    {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
]:
    for theta, width in [(500.0, 32), (500_000.0, 512)]:
        config = configured(dict(scaling), theta, width, 4, 131_072)
        frequencies, factor = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, device="cpu")
        assert factor == 1.0
        cases.append(
            {"rope_parameters": {"rope_theta": theta, **scaling}, "head_width": width // 4, "frequencies": frequencies.tolist()}
        )
path = pathlib.Path(__file__).with_suffix(".json")
text = ",\n".join(json.dumps(case) for case in cases)
path.write_text(f'{{"library": "{LIBRARY}", "cases": [\n{text}\n]}}\n')

torch.manual_seed(0)
model = golden.randomise(transformers.LlamaForCausalLM(configured(dict(SCALINGS["llama3"]))))
tokens = torch.randint(CONFIG["vocab_size"], (2, 32), generator=torch.Generator().manual_seed(2))
golden.write(
    pathlib.Path(__file__).with_name("llama.py"),
    model,
    CONFIG | {"rope_scaling": SCALINGS["llama3"]},
    tokens,
    library=LIBRARY,
    learning_rate=0.02,
    forward=lambda model, tokens: model(tokens).logits,
    variant="_llama3",
)
