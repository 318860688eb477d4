"""Builds a model by the code of its origin, at full size and with random weights, for `zoo parity`.

Reads one JSON line: `folder`, `config` (as in config.json: `architectures` for transformers, or
`architecture` for torchvision and timm; and `library`, which of them), `input` (a shape),
`vocabulary`, `train` (gradients too) and `double` (those in double precision). Writes
`golden.safetensors` into the folder, says so, and then times one forward pass for each line it is
given.
"""

import json
import pathlib
import sys
import time

import torch
from originals import build, without_chance
from safetensors.torch import save_file


@torch.no_grad()
def enliven(model, forward, input):
    """Gives every layer something to say: fresh weights leave heads of zeros, branches scaled by a
    millionth, and batch norms that have seen nothing, behind which an output is as good as zero."""
    for parameter in model.parameters():
        if parameter.min() == parameter.max():
            parameter.add_(0.1 * torch.randn_like(parameter))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    forward(model, input)
    for norm, momentum in zip(norms, usual):
        norm.momentum = momentum


def main():
    request = json.loads(sys.stdin.readline())
    torch.manual_seed(1)
    model, forward, library = build(request["config"])
    without_chance(model)
    shape = request["input"]
    if len(shape) == 4:
        input = torch.randn(shape)
    else:
        # Token 0 pads.
        input = torch.randint(1, request["vocabulary"], shape)
    enliven(model, forward, input)
    tensors = {f"weight.{name}": tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.eval()
    with torch.no_grad():
        output = forward(model, input)
    rows = output.reshape(-1, output.shape[-1])
    target = torch.randint(rows.shape[1], (rows.shape[0],))
    losses = []
    metadata = {"format": "pt", "library": library, "learning_rate": "0"}
    if request["train"]:
        model.train()
        if request["double"]:
            model.double()
            metadata["trained_in"] = "float64"
        exact = input.double() if request["double"] and input.is_floating_point() else input
        logits = forward(model, exact).reshape(rows.shape)
        loss = torch.nn.functional.cross_entropy(logits, target)
        loss.backward()
        losses.append(loss.item())
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                tensors[f"grad.{name}"] = parameter.grad.float()
        model.zero_grad()
        model.float().eval()
    tensors |= {
        "input": input,
        "target": target,
        "output": output,
        "losses": torch.tensor(losses, dtype=torch.float64),
    }
    tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    path = pathlib.Path(request["folder"]) / "golden.safetensors"
    save_file(tensors, path, metadata)
    tensors.clear()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"library": library, "parameters": parameters}), flush=True)
    for _ in sys.stdin:
        with torch.no_grad():
            began = time.perf_counter()
            forward(model, input)
            print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


main()
