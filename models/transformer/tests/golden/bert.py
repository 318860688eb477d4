"""Golden numbers of BERT, by transformers: as a classifier, with other activations, and as a
sentence encoder.

Run from anywhere: python bert.py
"""

import pathlib
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "bert",
    "vocab_size": 32,
    "max_length": 8,
    "type_vocab_size": 2,
    "num_layers": 2,
    "num_heads": 2,
    "width": 16,
    "hidden": 32,
    "dropout": 0.0,
    "layer_norm_eps": 1e-12,
    "pad_token": 0,
    "head": "classifier",
    "num_classes": 3,
}

options = dict(
    vocab_size=CONFIG["vocab_size"],
    max_position_embeddings=CONFIG["max_length"],
    type_vocab_size=CONFIG["type_vocab_size"],
    num_hidden_layers=CONFIG["num_layers"],
    num_attention_heads=CONFIG["num_heads"],
    hidden_size=CONFIG["width"],
    intermediate_size=CONFIG["hidden"],
    hidden_dropout_prob=CONFIG["dropout"],
    attention_probs_dropout_prob=CONFIG["dropout"],
    layer_norm_eps=CONFIG["layer_norm_eps"],
    pad_token_id=CONFIG["pad_token"],
    num_labels=CONFIG["num_classes"],
)
origin = transformers.BertConfig(**options)

# Sentences of 8, 5, 1 and 7 tokens.
tokens = torch.randint(1, CONFIG["vocab_size"], (4, 8), generator=torch.Generator().manual_seed(2))
for row, length in enumerate([8, 5, 1, 7]):
    tokens[row, length:] = CONFIG["pad_token"]


def classify(model, tokens):
    return model(input_ids=tokens, attention_mask=(tokens != 0).long()).logits


def embed(model, tokens):
    """The mean of the last hidden states over what is not padding, of length one."""
    mask = (tokens != 0).long()
    states = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(mean, dim=1)


def largest(model, tokens):
    """The largest of every component over what is not padding; see `pooling.py` for the other ways."""
    mask = (tokens != 0).long()
    states = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    return states.masked_fill(mask[:, :, None] == 0, -1e9).max(1).values


library = f"transformers {transformers.__version__}"
torch.manual_seed(0)
model = golden.randomise(transformers.BertForSequenceClassification(origin))
golden.write(__file__, model, CONFIG, tokens, library=library, forward=classify)

torch.manual_seed(0)
model = golden.randomise(transformers.BertModel(origin, add_pooling_layer=False))
config = CONFIG | {"head": "sentence_embedding"}
golden.write(__file__, model, config, tokens, library=library, forward=embed, variant="_sentence")


for activation in ["gelu_new", "silu"]:
    torch.manual_seed(0)
    other = transformers.BertConfig(**options, hidden_act=activation)
    model = golden.randomise(transformers.BertForSequenceClassification(other))
    config = CONFIG | {"activation": activation}
    golden.write(__file__, model, config, tokens, library=library, forward=classify, variant=f"_{activation}")

torch.manual_seed(0)
model = golden.randomise(transformers.BertModel(origin, add_pooling_layer=False))
config = CONFIG | {"head": "sentence_embedding", "pooling": "max", "normalize": False}
golden.write(__file__, model, config, tokens, library=library, forward=largest, variant="_max")
