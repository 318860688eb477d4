"""Writes checkpoints.safetensors: the weights of tiny networks under the names of nanoGPT and llama2.c,
and the logits that those networks compute. Written from the papers and the layouts of the two
projects' files; it holds none of their code.

    pip install torch==2.15.0 safetensors && python checkpoints.py
"""

import math

import torch
from safetensors.torch import save_file
from torch.nn import functional as F


def gpt(weights, tokens, layers, heads, bias):
    """GPT-2 with exact GELU; linear weights are [out, in]."""

    def at(name):
        return weights["transformer." + name]

    def norm(x, name):
        offset = at(name + ".bias") if bias else None
        return F.layer_norm(x, x.shape[-1:], at(name + ".weight"), offset, 1e-5)

    def dense(x, name):
        return F.linear(x, at(name + ".weight"), at(name + ".bias") if bias else None)

    b, t = tokens.shape
    x = at("wte.weight")[tokens] + at("wpe.weight")[:t]
    c = x.shape[-1]
    above = torch.full((t, t), -math.inf).triu(1)
    for layer in range(layers):
        h = f"h.{layer}."
        q, k, v = dense(norm(x, h + "ln_1"), h + "attn.c_attn").split(c, dim=-1)
        q, k, v = (part.view(b, t, heads, c // heads).transpose(1, 2) for part in (q, k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(c // heads) + above
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c)
        x = x + dense(mixed, h + "attn.c_proj")
        x = x + dense(F.gelu(dense(norm(x, h + "ln_2"), h + "mlp.c_fc")), h + "mlp.c_proj")
    return F.linear(norm(x, "ln_f"), weights["lm_head.weight"])


def llama(weights, tokens, layers, heads, kv_heads):
    """Llama, whose rotary positions turn elements 2i and 2i + 1 of a head."""

    def norm(x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weights[name]

    b, t = tokens.shape
    x = weights["tok_embeddings.weight"][tokens]
    c = x.shape[-1]
    width = c // heads
    angles = torch.outer(torch.arange(t), 1e4 ** (-torch.arange(0, width, 2) / width))
    turns = torch.polar(torch.ones_like(angles), angles)[None, :, None]

    def turned(x):
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
        return torch.view_as_real(pairs * turns).flatten(-2)

    above = torch.full((t, t), -math.inf).triu(1)
    for layer in range(layers):
        at = f"layers.{layer}."
        normed = norm(x, at + "attention_norm.weight")
        q, k, v = (F.linear(normed, weights[f"{at}attention.w{name}.weight"]) for name in "qkv")
        q = turned(q.view(b, t, heads, width)).transpose(1, 2)
        k = turned(k.view(b, t, kv_heads, width)).transpose(1, 2)
        v = v.view(b, t, kv_heads, width).transpose(1, 2)
        k, v = (part.repeat_interleave(heads // kv_heads, dim=1) for part in (k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(width) + above
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c)
        x = x + F.linear(mixed, weights[at + "attention.wo.weight"])
        normed = norm(x, at + "ffn_norm.weight")
        w1, w2, w3 = (weights[f"{at}feed_forward.w{n}.weight"] for n in (1, 2, 3))
        x = x + F.linear(F.silu(F.linear(normed, w1)) * F.linear(normed, w3), w2)
    return F.linear(norm(x, "norm.weight"), weights["output.weight"])


def gpt_weights(layers, width, vocabulary, context, bias):
    def dense(name, outputs, inputs):
        yield name + ".weight", 0.3 * torch.randn(outputs, inputs)
        if bias:
            yield name + ".bias", 0.3 * torch.randn(outputs)

    def norm(name):
        yield name + ".weight", 1 + 0.3 * torch.randn(width)
        if bias:
            yield name + ".bias", 0.3 * torch.randn(width)

    def all():
        yield "wte.weight", torch.randn(vocabulary, width)
        yield "wpe.weight", torch.randn(context, width)
        for layer in range(layers):
            h = f"h.{layer}."
            yield from norm(h + "ln_1")
            yield from dense(h + "attn.c_attn", 3 * width, width)
            yield from dense(h + "attn.c_proj", width, width)
            yield from norm(h + "ln_2")
            yield from dense(h + "mlp.c_fc", 4 * width, width)
            yield from dense(h + "mlp.c_proj", width, 4 * width)
        yield from norm("ln_f")

    weights = {"transformer." + name: value for name, value in all()}
    weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    return weights


def llama_weights(layers, width, hidden, vocabulary, heads, kv_heads):
    kv_width = width // heads * kv_heads
    weights = {"tok_embeddings.weight": torch.randn(vocabulary, width)}
    for layer in range(layers):
        at = f"layers.{layer}."
        for name, shape in {
            "attention.wq": (width, width),
            "attention.wk": (kv_width, width),
            "attention.wv": (kv_width, width),
            "attention.wo": (width, width),
            "feed_forward.w1": (hidden, width),
            "feed_forward.w2": (width, hidden),
            "feed_forward.w3": (hidden, width),
        }.items():
            weights[f"{at}{name}.weight"] = 0.3 * torch.randn(shape)
        for name in ("attention_norm", "ffn_norm"):
            weights[f"{at}{name}.weight"] = 1 + 0.3 * torch.randn(width)
    weights["norm.weight"] = 1 + 0.3 * torch.randn(width)
    weights["output.weight"] = weights["tok_embeddings.weight"].clone()
    return weights


torch.manual_seed(1)
tokens = torch.randint(0, 13, (2, 7))
tensors = {"input": tokens}
for name, bias in (("nanogpt", True), ("nanogpt_plain", False)):
    weights = gpt_weights(2, 8, 13, 8, bias)
    tensors[f"{name}.output"] = gpt(weights, tokens, 2, 2, bias)
    tensors |= {f"{name}.weight.{key}": value for key, value in weights.items()}
weights = llama_weights(2, 24, 20, 13, 4, 2)
tensors["llama2c.output"] = llama(weights, tokens, 2, 4, 2)
tensors |= {f"llama2c.weight.{key}": value for key, value in weights.items()}
save_file(
    {name: value.contiguous() for name, value in tensors.items()},
    "checkpoints.safetensors",
    {"format": "pt", "library": f"torch {torch.__version__}"},
)
