"""The other side of `cargo xtask bench peers`: the same networks, trained the same way, in PyTorch.

    python peers.py MODEL STEPS MODE THREADS

The arguments, and the one line of JSON that is printed, are those of peers.rs beside this file,
which says what they mean. Weights and batches are drawn by one generator, written in both files,
so the losses of the two programs can be held against each other. Needs torch alone.
"""

import json
import math
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    sys.exit(f"{sys.executable} has no PyTorch: {error}")

WARM_UP_STEPS = 3
BATCHES = 8  # different ones, handed out in turn
CLASSES = 10
VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS = 65, 64, 128, 4, 4


class Generator:
    """splitmix64 in whole tensors; torch's 64-bit integers are signed and wrap around."""

    def __init__(self, seed):
        self.state = seed

    @staticmethod
    def signed(number):
        return (number + (1 << 63)) % (1 << 64) - (1 << 63)

    @staticmethod
    def shifted(bits, places):
        """To the right, with zeros coming in at the left."""
        return (bits >> places) & ((1 << (64 - places)) - 1)

    def bits(self, count):
        step = 0x9E3779B97F4A7C15
        z = torch.arange(1, count + 1) * self.signed(step) + self.signed(self.state)
        self.state = (self.state + count * step) % (1 << 64)
        z = (z ^ self.shifted(z, 30)) * self.signed(0xBF58476D1CE4E5B9)
        z = (z ^ self.shifted(z, 27)) * self.signed(0x94D049BB133111EB)
        return z ^ self.shifted(z, 31)

    def floats(self, *shape):
        """In -1..1."""
        whole = self.shifted(self.bits(math.prod(shape)), 40)
        return (whole.float() / (1 << 24) * 2 - 1).reshape(shape)

    def integers(self, below, *shape):
        """In 0..below. The bits count as unsigned: twice the upper 63 and the lowest one."""
        bits = self.bits(math.prod(shape))
        return ((self.shifted(bits, 1) % below * 2 + (bits & 1)) % below).reshape(shape)


class Mlp(nn.Module):
    """Written out: its steps are so short that `nn.Sequential` would be seen in them."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 128)
        self.output = nn.Linear(128, CLASSES)

    def forward(self, x):
        return self.output(F.relu(self.hidden(x)))


def cnn():
    """The network of PyTorch's MNIST example, without its dropouts; it gives logits."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Linear(128, CLASSES),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a projection where the width grows."""

    def __init__(self, narrow, wide):
        super().__init__()
        stride = wide // narrow
        self.main = nn.Sequential(
            nn.Conv2d(narrow, wide, 3, stride, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, 1, 1, bias=False),
            nn.BatchNorm2d(wide),
        )
        self.shortcut = nn.Identity()
        if stride > 1:
            projection = nn.Conv2d(narrow, wide, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x))


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16, 16),
        Residual(16, 32),
        Residual(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


class Embeddings(nn.Module):
    """Tokens `[b, t]` to vectors `[b, t, c]`: what they are, and where."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)

    def forward(self, tokens):
        return self.token(tokens) + self.position.weight[: tokens.shape[1]]


class Attention(nn.Module):
    """Causal, with several heads; query, key and value come from one product."""

    def __init__(self):
        super().__init__()
        self.inward = nn.Linear(WIDTH, 3 * WIDTH)
        self.outward = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        parts = self.inward(x).unflatten(-1, (3, HEADS, -1))  # [b, t, 3, h, d]
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.outward(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(WIDTH), Attention())
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, 4 * WIDTH),
            nn.GELU(),
            nn.Linear(4 * WIDTH, WIDTH),
        )

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.feed_forward(x)


def gpt():
    blocks = [Block() for _ in range(LAYERS)]
    return nn.Sequential(
        Embeddings(), *blocks, nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)
    )


def images(*shape):
    def batch(draw, size):
        return draw.floats(size, *shape), draw.integers(CLASSES, size)

    return batch


def tokens(draw, size):
    inputs = draw.integers(VOCABULARY, size, CONTEXT)
    return inputs, draw.integers(VOCABULARY, size * CONTEXT)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01, fused=True)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, fused=True)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True)


# Network, one batch, optimizer, batch size in training.
MODELS = {
    "mlp": (Mlp, images(784), sgd, 64),
    "cnn": (cnn, images(1, 28, 28), adam, 64),
    "resnet": (resnet, images(3, 32, 32), adam, 64),
    "gpt": (gpt, tokens, adamw, 32),
}
MODES = {"train": None, "infer1": 1, "infer64": 64}


@torch.no_grad()
def fill(model):
    """Weights to U(-k, k) with k = 1 / sqrt(fan-in), biases to zero; gains stay at one."""
    draw = Generator(7)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias":
                parameter.zero_()
            if parameter.dim() == 1:
                continue
            # The zoo's linear layers lie the other way round, `[in, out]`.
            linear = isinstance(module, nn.Linear)
            shape = list(reversed(parameter.shape)) if linear else list(parameter.shape)
            fan = shape[0] if len(shape) == 2 else math.prod(shape[1:])
            k = (torch.tensor(1.0) / fan).sqrt()
            values = draw.floats(*shape) * k
            parameter.copy_(values.t() if linear else values)


def train(model, optimizer, inputs, targets):
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(inputs).flatten(0, -2), targets)
    loss.backward()
    number = loss.item()
    optimizer.step()
    return number


def infer(model, inputs):
    logits = model(inputs)
    return logits[(0,) * logits.dim()].item()


def peak_bytes():
    """The largest resident size so far, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(arguments):
    if len(arguments) != 4:
        sys.exit("usage: peers.py MODEL STEPS MODE THREADS")
    name, steps, mode, threads = arguments
    if name not in MODELS or mode not in MODES:
        sys.exit(f"MODEL is one of {', '.join(MODELS)}; MODE one of {', '.join(MODES)}")
    steps, threads = int(steps), int(threads)
    torch.set_num_threads(threads)

    build, make_batch, make_optimizer, size_in_training = MODELS[name]
    batch_size = MODES[mode] or size_in_training
    model = build()
    fill(model)
    draw = Generator(42)
    batches = [make_batch(draw, batch_size) for _ in range(BATCHES)]
    training = mode == "train"
    model.train(training)
    optimizer = make_optimizer(model.parameters()) if training else None

    times_ms, numbers = [], []
    with torch.inference_mode(not training):
        for step in range(WARM_UP_STEPS + steps):
            inputs, targets = batches[step % BATCHES]
            start = time.perf_counter()
            if training:
                numbers.append(train(model, optimizer, inputs, targets))
            else:
                numbers.append(infer(model, inputs))
            if step >= WARM_UP_STEPS:
                times_ms.append((time.perf_counter() - start) * 1e3)

    result = {
        "model": name,
        "mode": mode,
        "threads": threads,
        "batch": batch_size,
        "steps": steps,
        "median_ms": statistics.median_high(times_ms),
        "min_ms": min(times_ms),
        "first": numbers[0],
        "last": numbers[-1],
        "peak_bytes": peak_bytes(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
