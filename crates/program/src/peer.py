"""The PyTorch side of Burn Zoo's backend comparison: originals by their libraries' own code, and the
zoo's other models, written a second time.

A worker process. It reads what to build from SPEC.json, then commands from stdin, one JSON object
a line, and answers with events on stdout, one JSON object a line. End of input ends it. By hand:

    python peer.py SPEC.json            # eager, PyTorch's defaults
    python peer.py SPEC.json --compile  # through torch.compile, which needs a C++ compiler
    {"do": "time", "work": "train", "batch": 1, "seconds": 2, "warm": false}

Needs torch and numpy only, and an original's library where one is asked for. Parameters have the
names and layouts of the zoo's own weights files; the layers follow the Rust sources named beside
each model. Training steps that are timed have dropout, what is compared has none: two programs do
not draw the same random numbers.
"""

# b batch, c channels or width, t positions or frames, s positions attended to, h heads,
# d head width, k classes or vocabulary, n scored targets

import argparse
import contextlib
import functools
import json
import math
import os
import pathlib
import platform
import statistics
import sys
import time
import traceback

# Compilers and libraries may print; the protocol keeps the real stdout to itself.
EVENTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def emit(event, **fields):
    print(json.dumps({"event": event, **fields}), file=EVENTS, flush=True)


try:
    import numpy  # noqa: F401 (torch needs it to hand out bytes)
    import torch
    import torch.nn.functional as F
    from originals import build, without_chance
    from torch import nn
except ImportError as error:
    emit("failed", kind="unsupported", message=f"{sys.executable}: {error}")
    sys.exit(0)


class Unsupported(Exception):
    """Something that this program, this PyTorch or this machine does not offer; no defect."""


class Mlp(nn.Module):
    """models/mlp/src/mlp.rs"""

    ACTIVATIONS = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu}

    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(map(nn.Linear, config["widths"], config["widths"][1:]))
        self.activation = self.ACTIVATIONS[config["activation"]]

    def forward(self, images):
        x = images.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class LeNet(nn.Module):
    """models/cnn/src/lenet.rs"""

    def __init__(self, config):
        super().__init__()
        side = (config["image_size"] // 2 - 4) // 2
        self.conv1 = nn.Conv2d(config["in_channels"], 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, config["num_classes"])

    def forward(self, images):
        x = F.relu(F.max_pool2d(self.conv1(images), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


class ConvNet(nn.Module):
    """models/cnn/src/convnet.rs"""

    def __init__(self, config):
        super().__init__()
        side = (config["image_size"] - 4) // 2
        self.conv1 = nn.Conv2d(config["in_channels"], 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(64 * side * side, 128)
        self.fc2 = nn.Linear(128, config["num_classes"])

    def forward(self, images):
        x = self.conv2(F.relu(self.conv1(images)))
        x = F.relu(F.max_pool2d(x, 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class ResNet(nn.Module):
    """models/cnn/src/resnet.rs"""

    def __init__(self, config):
        super().__init__()
        width, blocks = config["width"], config["blocks"]
        for_imagenet = config["stem"] == "imagenet"
        kernel, stride = (7, 2) if for_imagenet else (3, 1)
        self.conv1 = conv(config["in_channels"], width, kernel, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if for_imagenet else nn.Identity()
        stages = [nn.Sequential() for _ in range(4)]  # a smaller network leaves the last ones empty
        for stage, count in enumerate(blocks):
            c_out = width << stage
            for block in range(count):
                c_in = c_out // 2 if stage > 0 and block == 0 else c_out
                stages[stage].append(BasicBlock(c_in, c_out, config["shortcut"]))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(width << (len(blocks) - 1), config["num_classes"])

    def forward(self, images):
        x = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them; halves the image where it widens it."""

    def __init__(self, c_in, c_out, shortcut):
        super().__init__()
        self.new_channels = c_out - c_in
        stride = 2 if self.new_channels else 1
        self.conv1, self.bn1 = conv(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = conv(c_out, c_out, 3, 1), nn.BatchNorm2d(c_out)
        self.downsample = None
        if self.new_channels and shortcut == "projection":
            self.downsample = nn.Sequential(conv(c_in, c_out, 1, 2), nn.BatchNorm2d(c_out))

    def forward(self, x):
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.new_channels:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(residual + x)


def conv(c_in, c_out, kernel, stride):
    return nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)


class Block(nn.Module):
    """models/transformer/src/block.rs"""

    def __init__(self, width, num_heads, hidden, bias, dropout):
        super().__init__()
        self.ln_1, self.ln_2 = (nn.LayerNorm(width, bias=bias) for _ in range(2))
        self.attn = SelfAttention(width, num_heads, bias, dropout)
        self.mlp = FeedForward(width, hidden, bias, dropout)

    def forward(self, x, mask=None, seen=None):
        x = x + self.attn(self.ln_1(x), mask, seen)
        return x + self.mlp(self.ln_2(x))


class SelfAttention(nn.Module):
    def __init__(self, width, num_heads, bias, dropout):
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width, bias=bias)
        self.c_proj = nn.Linear(width, width, bias=bias)
        self.drop = nn.Dropout(dropout)
        self.num_heads = num_heads

    def forward(self, x, mask, seen):
        """Additive `mask`, causal without one; `seen`, a list, holds earlier keys and values."""
        b, t, c = x.shape
        qkv = self.c_attn(x).view(b, t, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # [b, h, t, d]
        if seen is not None:
            assert t == 1, "one new position sees all others; several would need a mask"
            if seen:
                k, v = torch.cat([seen[0], k], 2), torch.cat([seen[1], v], 2)  # [b, h, s, d]
            seen[:] = k, v
        p = self.drop.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=mask is None and t > 1)
        return self.drop(self.c_proj(mixed.transpose(1, 2).reshape(b, t, c)))


class FeedForward(nn.Module):
    def __init__(self, width, hidden, bias, dropout):
        super().__init__()
        self.c_fc = nn.Linear(width, hidden, bias=bias)
        self.c_proj = nn.Linear(hidden, width, bias=bias)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(self.c_proj(F.gelu(self.c_fc(x))))


class Transformer(nn.Module):
    """What decoder and encoder share: embeddings, blocks, and the last norm."""

    def __init__(self, config, positions, hidden, bias):
        super().__init__()
        width, num_heads = config["width"], config["num_heads"]
        self.wte = nn.Embedding(config["vocab_size"], width)
        self.wpe = nn.Embedding(positions, width)
        sizes = width, num_heads, hidden, bias, config["dropout"]
        self.h = nn.ModuleList(Block(*sizes) for _ in range(config["num_layers"]))
        self.ln_f = nn.LayerNorm(width, bias=bias)
        self.drop = nn.Dropout(config["dropout"])

    def embed(self, tokens, past=0):
        positions = torch.arange(past, past + tokens.shape[1], device=tokens.device)
        return self.drop(self.wte(tokens) + self.wpe(positions))


class Gpt(Transformer):
    """models/transformer/src/gpt.rs"""

    def __init__(self, config):
        super().__init__(config, config["context"], 4 * config["width"], config["bias"])
        self.lm_head = None
        if config["output"] == "free":
            self.lm_head = nn.Linear(config["width"], config["vocab_size"], config["bias"])

    def forward(self, tokens, cache=None):
        """`tokens [b, t]` -> `[b, t, k]`; with a `cache`, one more position after those in it."""
        x = self.embed(tokens, cache[0][0].shape[2] if cache and cache[0] else 0)
        for layer, block in enumerate(self.h):
            x = block(x, seen=None if cache is None else cache[layer])
        x = self.ln_f(x)
        return F.linear(x, self.wte.weight) if self.lm_head is None else self.lm_head(x)

    def cache(self):
        return [[] for _ in self.h]


class Encoder(Transformer):
    """models/transformer/src/encoder.rs"""

    def __init__(self, config):
        super().__init__(config, config["max_length"], config["hidden"], True)
        self.classifier = nn.Linear(config["width"], config["num_classes"])
        self.pooling, self.pad_token = config["pooling"], config["pad_token"]

    def forward(self, tokens):
        padding, x = tokens == self.pad_token, self.embed(tokens)  # [b, t], [b, t, c]
        # Not minus infinity: a sentence of padding alone gets finite logits, as in block.rs.
        mask = (padding.to(x.dtype) * -1e4)[:, None, None, :]
        for block in self.h:
            x = block(x, mask)
        x = self.ln_f(x)
        if self.pooling == "first":
            return self.classifier(self.drop(x[:, 0]))
        kept = (~padding).to(x.dtype)  # [b, t]
        sums, counts = (x * kept[:, :, None]).sum(1), kept.sum(1, keepdim=True)
        return self.classifier(self.drop(sums / counts.clamp(min=1)))


class UNet(nn.Module):
    """models/cnn/src/unet.rs"""

    def __init__(self, config):
        super().__init__()
        width, self.learned = config["width"], config["up"] == "transposed_convolution"
        widths = [width << level for level in range(5)]
        if not self.learned:
            widths[4] = widths[3]
        self.inc = DoubleConv(config["in_channels"], width, width)
        for level in range(1, 5):
            wide = widths[level]
            down = nn.ModuleList([nn.MaxPool2d(2), DoubleConv(widths[level - 1], wide, wide)])
            self.add_module(f"down{level}", nn.ModuleDict({"maxpool_conv": down}))
            self.add_module(f"up{level}", self.upward(width, 4 - level))
        self.outc = nn.Conv2d(width, config["num_classes"], 1)

    def upward(self, width, level):
        skip, up = width << level, nn.ModuleDict()
        out = skip if self.learned else width << max(level - 1, 0)
        if self.learned:
            up["up"] = nn.ConvTranspose2d(2 * skip, skip, 2, 2)
        up["conv"] = DoubleConv(2 * skip, skip, out)
        return up

    def forward(self, images):
        maps = [self.inc(images)]
        for level in range(1, 5):
            pool, conv = self.get_submodule(f"down{level}")["maxpool_conv"]
            maps.append(conv(pool(maps[-1])))
        x = maps.pop()
        for level in range(1, 5):
            up, skip = self.get_submodule(f"up{level}"), maps.pop()
            x = up["up"](x) if self.learned else F.interpolate(x, scale_factor=2, mode="nearest")
            lost = skip.shape[3] - x.shape[3], skip.shape[2] - x.shape[2]
            if any(lost):
                x = F.pad(x, (0, lost[0], 0, lost[1]))
            x = up["conv"](torch.cat([skip, x], 1))
        return self.outc(x)


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, a norm and a ReLU after each."""

    def __init__(self, c_in, c_between, c_out):
        super().__init__()
        pairs = (c_in, c_between), (c_between, c_out)
        layers = (nn.ModuleList([conv(*pair, 3, 1), nn.BatchNorm2d(pair[1])]) for pair in pairs)
        self.double_conv = nn.ModuleList(layers)

    def forward(self, x):
        for convolution, norm in self.double_conv:
            x = F.relu(norm(convolution(x)))
        return x


class QuartzNet(nn.Module):
    """models/cnn/src/quartznet.rs"""

    def __init__(self, config):
        super().__init__()
        stem, tail, width = config["stem"], config["tail"], config["stem"]["width"]
        self.stem = Separable(config["in_channels"], width, stem["kernel"], stem["stride"])
        self.stride, self.blocks = stem["stride"], nn.ModuleList()
        for stage in config["stages"]:
            for _ in range(stage["blocks"]):
                wide = stage["width"]
                widths = [width] + [wide] * config["repeats"]
                layers = (Separable(c, wide, stage["kernel"]) for c in widths[:-1])
                block = {"layers": nn.ModuleList(layers), "shortcut": pointwise(width, wide)}
                self.blocks.append(nn.ModuleDict(block))
                width = wide
        dilation = tail["dilation"]
        self.tail = Separable(width, tail["width"], tail["kernel"], dilation=dilation)
        self.head = pointwise(tail["width"], config["head_width"])
        self.classes = nn.Conv2d(config["head_width"], config["num_classes"], 1)
        self.dropout = nn.Dropout(config["dropout"])

    def lengths(self, lengths):
        return (lengths + self.stride - 1) // self.stride

    def forward(self, features, lengths):
        """`features [b, m, t]`, `lengths [b]` -> `[b, s, k]`"""
        x = features[:, :, None]  # [b, m, 1, t]
        x = self.dropout(F.relu(self.stem(x, within(lengths, x))))
        mask = within(self.lengths(lengths), x)
        for block in self.blocks:
            convolution, norm = block["shortcut"]
            residual = norm(convolution(x))
            for layer in block["layers"][:-1]:
                x = self.dropout(F.relu(layer(x, mask)))
            x = self.dropout(F.relu(block["layers"][-1](x, mask) + residual))
        x = self.dropout(F.relu(self.tail(x, mask)))
        convolution, norm = self.head
        x = self.dropout(F.relu(norm(convolution(x))))
        return self.classes(x)[:, :, 0].transpose(1, 2)


class Separable(nn.Module):
    """Over time for each channel alone, then over channels, and the norm; no activation."""

    def __init__(self, c_in, c_out, kernel, stride=1, dilation=1):
        super().__init__()
        window = {"padding": (0, dilation * (kernel // 2)), "dilation": (1, dilation)}
        self.depthwise = nn.Conv2d(
            c_in, c_in, (1, kernel), (1, stride), groups=c_in, bias=False, **window
        )
        self.pointwise, self.norm = pointwise(c_in, c_out)

    def forward(self, x, mask):
        return self.norm(self.pointwise(self.depthwise(x * mask)))


def pointwise(c_in, c_out):
    return nn.ModuleList([nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out, 1e-3)])


def within(lengths, x):
    """1 where `x [b, c, 1, t]` is not behind the end: `[b, 1, 1, t]`."""
    places = torch.arange(x.shape[3], device=x.device)
    return (places < lengths[:, None]).to(x.dtype)[:, None, None]


class EncoderDecoder(nn.Module):
    """models/transformer/src/encoder_decoder.rs"""

    def __init__(self, config):
        super().__init__()
        vocabulary, width = config["vocab_size"], config["width"]
        self.width, self.pad_token = width, config["pad_token"]
        self.embedding, self.target_embedding, self.output = nn.Embedding(vocabulary, width), None, None
        if config["embeddings"] == "separate":
            self.target_embedding = nn.Embedding(vocabulary, width)
            self.output = nn.Linear(width, vocabulary, bias=False)
        for name, decodes in ("encoder", False), ("decoder", True):
            layers = (Layer(config, decodes) for _ in range(config["num_layers"]))
            self.add_module(name, nn.ModuleDict({"layers": nn.ModuleList(layers)}))
        self.dropout = nn.Dropout(config["dropout"])
        columns = torch.arange(width, dtype=torch.float64)
        rates = 10_000.0 ** (-(columns // 2 * 2) / width)
        angles = torch.arange(config["max_length"], dtype=torch.float64)[:, None] * rates
        waves = torch.where(columns % 2 == 0, angles.sin(), angles.cos())
        self.register_buffer("waves", waves, persistent=False)  # [t, c]

    def embed(self, table, tokens):
        x = table(tokens) * math.sqrt(self.width)
        return self.dropout(x + self.waves[: tokens.shape[1]].to(x.dtype))

    def forward(self, sources, prefixes):
        """`sources [b, s]`, `prefixes [b, t]` -> `[b, t, k]`"""
        x = self.embed(self.embedding, sources)
        mask = ((sources == self.pad_token).to(x.dtype) * -1e4)[:, None, None, :]
        for layer in self.encoder["layers"]:
            x = layer(x, mask)
        memory, x = x, self.embed(self.target_embedding or self.embedding, prefixes)
        for layer in self.decoder["layers"]:
            x = layer(x, None, memory, mask)
        return F.linear(x, (self.output or self.embedding).weight)


class Layer(nn.Module):
    """Attention, in a decoder to the source too, and a feed-forward; a norm after each sum."""

    def __init__(self, config, decodes):
        super().__init__()
        width, hidden, heads = config["width"], config["hidden"], config["num_heads"]
        self.self_attn = Attention(width, heads)
        self.multihead_attn = Attention(width, heads) if decodes else None
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width) if decodes else None
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, x, mask, memory=None, memory_mask=None):
        x = self.norm1(x + self.dropout(self.self_attn(x, x, mask, causal=memory is not None)))
        norm = self.norm2
        if memory is not None:
            x = norm(x + self.dropout(self.multihead_attn(x, memory, memory_mask)))
            norm = self.norm3
        return norm(x + self.dropout(self.linear2(F.relu(self.linear1(x)))))


class Attention(nn.Module):
    def __init__(self, width, num_heads):
        super().__init__()
        self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.num_heads = num_heads

    def forward(self, x, seen, mask, causal=False):
        """`x [b, t, c]`, `seen [b, s, c]`, additive `mask` -> `[b, t, c]`"""
        b, t, c = x.shape
        if x is seen:
            parts = self.in_proj(x).chunk(3, -1)
        else:
            weight, bias = self.in_proj.weight, self.in_proj.bias
            keys = F.linear(seen, weight[c:], bias[c:]).chunk(2, -1)
            parts = F.linear(x, weight[:c], bias[:c]), *keys
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).reshape(b, t, c))


MODELS = {
    "mlp": Mlp,
    "regressor": Mlp,
    "lenet": LeNet,
    "convnet": ConvNet,
    "resnet": ResNet,
    "unet": UNet,
    "quartznet": QuartzNet,
    "gpt": Gpt,
    "encoder": Encoder,
    "encoder-decoder": EncoderDecoder,
}


@contextlib.contextmanager
def hooks_on_layers(model, register, hook):
    """Within it, `hook(path, …)` is called for every module that owns parameters."""
    layers = [(path, m) for path, m in model.named_modules() if list(m.parameters(recurse=False))]
    handles = [getattr(m, register)(functools.partial(hook, path)) for path, m in layers]
    yield
    for handle in handles:
        handle.remove()


def make_optimizer(config, model):
    """crates/train/src/optimizer.rs, for the optimizers whose formulas PyTorch shares."""
    groups = [{"params": list(model.parameters())}]
    if config["decay_on"] == "matrices":
        vectors = [p for p in model.parameters() if p.dim() < 2]
        groups = [{"params": [p for p in model.parameters() if p.dim() >= 2]}]
        groups.append({"params": vectors, "weight_decay": 0.0})
    # In one pass, as the zoo's; PyTorch's default on a CPU is several.
    shared = {"lr": config["learning_rate"], "weight_decay": config["weight_decay"], "fused": True}
    if config["name"] == "sgd":
        momentum, nesterov = config["momentum"], config["nesterov"]
        return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, **shared)
    adaptive = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if config["name"] not in adaptive:
        raise Unsupported(f"optimizer {config['name']!r}: the peer has sgd, adam, adamw")
    betas = config["beta_1"], config["beta_2"]
    return adaptive[config["name"]](groups, betas=betas, eps=config["epsilon"], **shared)


def clip_by_global_norm(parameters, max_norm):
    """crates/train/src/params.rs; torch's own `clip_grad_norm_` adds 1e-6 to the norm."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    factor = (max_norm / nn.utils.get_total_norm(gradients)).clamp(max=1.0)
    torch._foreach_mul_(gradients, factor)


class Training:
    """A model on its way from the given weights, each step in two halves."""

    def __init__(self, worker, chance=False):
        self.worker, self.spec = worker, worker.spec
        self.model = worker.load_model(chance).train()
        self.forward = worker.compiled(self.model)
        self.optimizer = make_optimizer(self.spec["optimizer"], self.model)
        self.step = 0

    def compute_gradients(self):
        """Forward and backward on this step's batch; gives the loss."""
        batch = self.worker.batches[self.step % len(self.worker.batches)]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.worker.loss(self.worker.output(self.forward, batch), batch)
        loss.backward()
        return loss

    def update(self):
        if self.spec["clip_norm"] is not None:
            clip_by_global_norm(self.model.parameters(), self.spec["clip_norm"])
        rates = self.spec["rates"]
        for group in self.optimizer.param_groups:
            group["lr"] = rates[min(self.step, len(rates) - 1)]
        self.optimizer.step()
        self.step += 1


FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
DTYPES = {**FLOATS, "I64": torch.int64, "I32": torch.int32}


def read_tensors(path):
    """A safetensors file: the header's length, the header in JSON, the data."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        data = bytearray(content[start + first : start + end])  # a copy is aligned and writable
        tensor = torch.frombuffer(data, dtype=DTYPES[entry["dtype"]])
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors


def write_tensors(path, tensors):
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, data = {}, bytearray()
    for name, tensor in tensors.items():
        start = len(data)
        data += tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        entry = {"dtype": names[tensor.dtype], "shape": list(tensor.shape)}
        header[name] = {**entry, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # keeps the data aligned, as the format's own library does
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


class Worker:
    """One subject on one device."""

    def __init__(self, path, compile_models):
        self.spec = spec = json.loads(path.read_text())
        self.folder, self.compile_models = path.parent, compile_models
        if spec["original"] is None:
            self.require("model", spec["model"]["name"], MODELS)
        self.require("dtype", spec["dtype"].upper(), FLOATS)
        self.require("device", spec["device"], ["cpu", "cuda"])
        if spec["device"] == "cuda" and not torch.cuda.is_available():
            raise Unsupported("device cuda: PyTorch finds none here")
        make_optimizer(spec["optimizer"], nn.Linear(1, 1))  # refuses an unknown one at once
        if spec["threads"] is not None:
            torch.set_num_threads(spec["threads"])
        self.dtype, self.device = FLOATS[spec["dtype"].upper()], torch.device(spec["device"])
        self.on_gpu = self.device.type == "cuda"
        self.inputs, self.library = spec["task"]["inputs"], None
        self.batches = self.load_batches()
        answers = self.agree, self.time, self.profile, self.limit, self.cost
        self.commands = {answer.__name__: answer for answer in answers}

    @staticmethod
    def require(what, name, known):
        if name not in known:
            raise Unsupported(f"{what} {name!r}: the peer has {', '.join(known)}")

    def serve(self, lines):
        device, kind = proc_file("/proc/cpuinfo").get("model name") or platform.processor(), "CPU"
        driver = f"PyTorch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} threads"
        if self.on_gpu:
            device, kind = torch.cuda.get_device_name(self.device), "discrete GPU"
            driver += f", CUDA {torch.version.cuda}"
        emit("ready", device=device, kind=kind, driver=driver)
        for line in filter(str.strip, lines):
            command = json.loads(line)
            name = command.pop("do")
            self.require("command", name, self.commands)
            self.commands[name](**command)

    def load_batches(self):
        """On the device and in the compute type from the start, so that no step pays for it."""
        batches = [{} for _ in self.spec["shapes"]]
        for name, tensor in read_tensors(self.folder / self.spec["batches"]).items():
            key, i = name.rsplit(".", 1)
            dtype = self.dtype if tensor.is_floating_point() else torch.int64
            batches[int(i)][key] = tensor.to(self.device, dtype)
        for batch in batches:
            self.mark_unscored(batch)
        return batches

    def mark_unscored(self, batch):
        """Targets of all rows or pixels, as PyTorch's loss takes them, which leaves -100 out."""
        if "scored" in batch:
            # Tokens [b, t], or images [b, c, h, w].
            shape = batch[self.inputs[-1]].shape
            rows = math.prod(shape) // (shape[1] if len(shape) == 4 else 1)
            targets = batch["targets"].new_full((rows,), -100)
            targets[batch.pop("scored")] = batch["targets"]
            batch["targets"] = targets

    def load_model(self, chance=False):
        """A model with the given weights; a name that either side lacks is an error."""
        original = self.spec["original"]
        if original is None:
            weights, model = self.spec["weights"], MODELS[self.spec["model"]["name"]](self.spec["model"])
        else:
            weights = original["weights"]
            model, self.called, self.library = build(original["config"])
        if not chance:
            without_chance(model)
        model = model.to(self.device, self.dtype)
        path = self.folder / weights
        result = model.load_state_dict(read_tensors(path), strict=False)
        state = model.state_dict()
        # A tied tensor is there by one of its names.
        found = {state[name].data_ptr() for name in state.keys() - set(result.missing_keys)}
        missing = [name for name in result.missing_keys if state[name].data_ptr() not in found]
        problems = [f"missing {name}" for name in missing]
        problems += [f"unexpected {name}" for name in result.unexpected_keys]
        # PyTorch counts the batches that batch norm has seen; Burn does not.
        problems = [problem for problem in problems if not problem.endswith("num_batches_tracked")]
        if problems:
            raise ValueError(f"{path}: {'; '.join(problems)}")
        return model

    def output(self, forward, batch):
        """What a model, compiled or not, gives for the inputs of a batch."""
        inputs = [batch[name] for name in self.inputs]
        return forward(*inputs) if self.spec["original"] is None else self.called(forward, *inputs)

    def compiled(self, model):
        if not self.compile_models:
            return model
        # Made for exact shapes, unless the batches differ among themselves: one version for each
        # batch size that is timed, where PyTorch would give up after eight.
        torch._dynamo.config.recompile_limit = 64
        shapes = {tuple(batch[name].shape for name in self.inputs) for batch in self.batches}
        return torch.compile(model, dynamic=False if len(shapes) == 1 else None)

    @functools.cached_property
    def model(self):
        """For evaluation; trained values, perhaps not finite ones, must not change its speed."""
        return self.load_model().eval()

    @functools.cached_property
    def forward(self):
        return self.compiled(self.model)

    @functools.cached_property
    def timed_training(self):
        return Training(self, chance=True)

    def loss(self, output, batch):
        """The losses of crates/tasks, each as PyTorch has it."""
        options, target = self.spec["task"]["options"], batch["targets"]
        if "target_lengths" in batch:
            return self.transcription_loss(output, batch)
        if target.is_floating_point():
            return F.mse_loss(output, target)
        if output.dim() == 4:
            target = target.view(-1, *output.shape[2:])  # [b, h, w]
        else:
            output = output.flatten(0, -2)  # [b, k] or [b·t, k]
        if options.get("loss") == "mean-squared-error":
            return F.mse_loss(output, F.one_hot(target, output.shape[-1]).to(output.dtype))
        return F.cross_entropy(output, target, label_smoothing=options.get("label_smoothing", 0.0))

    def transcription_loss(self, output, batch):
        """In nats a character, the mean over the recordings."""
        lengths = self.model.lengths(batch["lengths"])
        scores, longest = output.log_softmax(2).transpose(0, 1), batch["target_lengths"]
        return F.ctc_loss(scores, batch["targets"], lengths, longest)

    def synchronize(self):
        if self.on_gpu:
            torch.cuda.synchronize()

    def seconds_since(self, start):
        self.synchronize()
        return time.perf_counter() - start

    def agree(self, out, steps, perturb):
        """What both sides must agree on. The gradients written are the first training step's."""
        if perturb is not None:
            raise Unsupported("perturbed weights: the peer computes with the given ones only")
        out, first, model = pathlib.Path(out), self.batches[0], self.model

        emit("phase", name="forward")
        start = time.perf_counter()
        with torch.inference_mode():
            outputs = {"outputs": self.output(self.forward, first)}
        first_forward_seconds = self.seconds_since(start)

        emit("phase", name="gradients")
        training = Training(self)
        start = time.perf_counter()
        loss = training.compute_gradients()
        first_step_seconds = self.seconds_since(start)
        gradients = {name: p.grad for name, p in training.model.named_parameters()}
        write_tensors(out / "gradients.safetensors", gradients)

        losses = []
        for step in range(steps):
            emit("phase", name=f"training step {step + 1}")
            start = time.perf_counter()
            if step > 0:
                loss = training.compute_gradients()
            training.update()
            # JSON has no NaN and no infinity.
            losses.append(loss.item() if math.isfinite(loss.item()) else None)
            if step == 0:
                first_step_seconds += self.seconds_since(start)

        emit("phase", name="layers")

        def keep(path, _module, _inputs, output):
            if isinstance(output, torch.Tensor):
                outputs[f"layer/{path}"] = output

        with torch.inference_mode(), hooks_on_layers(model, "register_forward_hook", keep):
            self.output(model, {name: first[name][:2] for name in self.inputs})

        if isinstance(model, Gpt) and self.spec["prompt"]:
            emit("phase", name="decoding")
            cache, prompt = model.cache(), torch.tensor(self.spec["prompt"], device=self.device)
            with torch.inference_mode():
                rows = [model(token.view(1, 1), cache)[0] for token in prompt]  # [1, k] each
            outputs["decoding"] = torch.cat(rows)
        write_tensors(out / "outputs.safetensors", outputs)
        emit(
            "agreed",
            losses=losses,
            first_forward_seconds=first_forward_seconds,
            first_step_seconds=first_step_seconds,
        )

    def time(self, work, batch, seconds, warm):
        """Works for about `seconds`; to warm up, at least three times and until it is steady."""
        iterate = {"train": self.train, "infer": self.infer, "decode": self.decode}[work](batch)
        self.synchronize()
        iterations, last, elapsed, start = 0, math.inf, 0.0, time.perf_counter()
        while elapsed < seconds or iterations < (3 if warm else 1):
            iterate()  # reads a number back, so nothing is left running
            iterations += 1
            now = time.perf_counter() - start
            previous, last, elapsed = last, now - elapsed, now
            if warm and iterations >= 3 and abs(last - previous) < 0.2 * max(last, previous):
                break
        emit("timed", iterations=iterations, seconds=self.seconds_since(start))

    def train(self, _batch):
        """One training step on the next of the given batches, with dropout."""
        training = self.timed_training

        def iterate():
            loss = training.compute_gradients()
            training.update()
            return loss.item()

        return iterate

    def infer(self, batch):
        """One forward pass of `batch` examples."""
        first = {name: self.batches[0][name] for name in self.inputs}
        count = len(first[self.inputs[0]])
        rows = torch.arange(batch, device=self.device) % count
        examples = {name: column[rows] for name, column in first.items()}

        def iterate():
            with torch.inference_mode():
                return self.output(self.forward, examples).flatten()[0].item()

        return iterate

    def decode(self, batch):
        """One token through the cache: the prompt's, then the likeliest; anew where it is full."""
        model, context = self.model, self.spec["model"].get("context")
        if not isinstance(model, Gpt):
            raise Unsupported(f"decoding with {self.spec['model']['name']}: it is no decoder")
        prompt = torch.tensor(self.spec["prompt"] or [0], device=self.device).expand(batch, -1)
        cache, past, token = model.cache(), 0, None

        def iterate():
            nonlocal cache, past, token
            if past == context:
                cache, past = model.cache(), 0
            if past < prompt.shape[1]:
                token = prompt[:, past : past + 1]  # [b, 1]
            with torch.inference_mode():
                token = model(token, cache)[:, -1].argmax(-1, keepdim=True)
            past += 1
            return token[0, 0].item()

        return iterate

    def profile(self):
        """The median time from each layer's start to the next one's, in eager evaluation."""
        model, starts, seconds = self.model, [], {}

        def note(path, *_):
            self.synchronize()
            starts.append((path, time.perf_counter()))

        with torch.inference_mode(), hooks_on_layers(model, "register_forward_pre_hook", note):
            for run in range(7):
                starts.clear()
                self.output(model, self.batches[0])
                note(None)
                for (path, start), (_, end) in zip(starts, starts[1:]):
                    runs = seconds.setdefault(path, [0.0] * 7)
                    runs[run] += end - start  # a layer that is called twice counts twice
        # The first two runs are to warm up.
        medians = {path: statistics.median(runs[2:]) for path, runs in seconds.items()}
        emit("profiled", layers=[{"name": path, "seconds": s} for path, s in medians.items()])

    def limit(self):
        """The most that this machine gives through PyTorch: a large product and a large copy."""
        side = 8192 if self.on_gpu else 1536
        a = torch.randn(side, side, device=self.device).to(self.dtype)
        product_rate = side**3 / self.best_seconds(lambda: a @ a)
        source = torch.zeros(256 << 20, dtype=torch.uint8, device=self.device)  # beyond any cache
        target = torch.zeros_like(source)
        # Every byte is read and written.
        copy_rate = 2 * source.numel() / self.best_seconds(lambda: target.copy_(source))
        emit("limit", multiply_adds_per_second=product_rate, copy_bytes_per_second=copy_rate)

    def best_seconds(self, work):
        """The quickest run of half a second, after one that does not count."""
        work()
        self.synchronize()
        runs, first = [], time.perf_counter()
        while not runs or time.perf_counter() < first + 0.5:
            start = time.perf_counter()
            work()
            runs.append(self.seconds_since(start))
        return min(runs)

    def cost(self):
        status = proc_file("/proc/self/status")  # "VmRSS: 123456 kB"

        def size_bytes(key):
            return int(status[key].split()[0]) * 1024 if key in status else None

        emit(
            "cost",
            peak_resident_bytes=size_bytes("VmHWM"),
            resident_bytes=size_bytes("VmRSS"),
            device_bytes=torch.cuda.max_memory_reserved() if self.on_gpu else None,
        )


def proc_file(path):
    """The `key: value` lines of a file that Linux provides; empty elsewhere."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def kind_of(error, compile_models):
    """What cannot be had here is not a crash."""
    if isinstance(error, Unsupported):
        return "unsupported"
    # `"max_pool2d" not implemented for 'Half'`
    if isinstance(error, RuntimeError) and "not implemented for" in str(error):
        return "unsupported"
    in_compiler = type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
    return "unsupported" if compile_models and in_compiler else "crash"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec", type=pathlib.Path, metavar="SPEC.json")
    parser.add_argument("--compile", action="store_true", help="wrap models with torch.compile")
    arguments = parser.parse_args()
    try:
        Worker(arguments.spec, arguments.compile).serve(sys.stdin)
    except Exception as error:
        traceback.print_exc()
        name = "" if isinstance(error, Unsupported) else f"{type(error).__name__}: "
        kind = kind_of(error, arguments.compile)
        emit("failed", kind=kind, message=f"{name}{error}")
        return 0 if kind == "unsupported" else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
