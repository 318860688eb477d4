"""Golden numbers of the encoder-decoder: PyTorch's own layers in the wrapper that the paper describes.

`norm=None`, because the paper has no norm after the last layer where `torch.nn.Transformer` has.
"""

import math
import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "crates/weights"))
import golden

CONFIG = {
    "name": "encoder-decoder",
    "vocab_size": 12,
    "max_length": 8,
    "num_layers": 2,
    "num_heads": 2,
    "width": 8,
    "hidden": 12,
    "dropout": 0.0,
    "embeddings": "shared",
    "pad_token": 0,
    "start_token": 1,
    "stop_token": 2,
}


class EncoderDecoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embedding = nn.Embedding(c["vocab_size"], c["width"])
        layer = (c["width"], c["num_heads"], c["hidden"], c["dropout"])
        encoder_layer = nn.TransformerEncoderLayer(*layer, batch_first=True)
        decoder_layer = nn.TransformerDecoderLayer(*layer, batch_first=True)
        self.encoder = nn.TransformerEncoder(
            encoder_layer, c["num_layers"], norm=None, enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(decoder_layer, c["num_layers"], norm=None)
        self.pad_token = c["pad_token"]

    def embed(self, tokens):
        """Sections 3.4 and 3.5."""
        length, width = tokens.shape[1], self.embedding.embedding_dim
        frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        angle = torch.arange(length)[:, None] * frequency
        positions = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        return self.embedding(tokens) * math.sqrt(width) + positions

    def forward(self, inputs):
        source, target = inputs["sources"], inputs["prefixes"]
        padding = source == self.pad_token
        memory = self.encoder(self.embed(source), src_key_padding_mask=padding)
        ahead = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        x = self.decoder(
            self.embed(target), memory, tgt_mask=ahead, memory_key_padding_mask=padding
        )
        return x @ self.embedding.weight.T


torch.manual_seed(0)
model = golden.randomise(EncoderDecoder(CONFIG))
# Three sources of different lengths, and their targets, which start with 1.
inputs = {
    "sources": torch.tensor(
        [[5, 3, 8, 11, 2, 9], [6, 9, 4, 2, 0, 0], [10, 7, 0, 0, 0, 0]],
    ),
    "prefixes": torch.tensor(
        [[1, 4, 7, 7, 10, 3], [1, 8, 3, 11, 5, 6], [1, 9, 2, 0, 0, 0]],
    ),
}
golden.write(__file__, model, CONFIG, inputs, library=f"torch {torch.__version__}", learning_rate=0.02)
