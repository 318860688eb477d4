"""Writes the golden numbers of one architecture; imported by the scripts beside the models.

A script builds a small instance in PyTorch, by the origin's own code wherever a package has it, and
calls `write`. The file holds, by the
origin's names: `weight.*` (the whole state dict), `input` (or `input.NAME` for each of several),
`target`, the `output` in evaluation, `grad.*` (of the loss in training, for every parameter), and the `losses` of ten steps of SGD.
Dropout and stochastic depth must be off, so that no chance is left in training.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

STEPS = 10


def randomise(model, seed=0):
    """Moves what starts as zeros or ones, so that every tensor shows in the result."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda tensor: torch.randn(tensor.shape, generator=generator)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.dim() < 2 and name.endswith("weight"):
                tensor.copy_(1 + 0.2 * draw(tensor))
            elif tensor.dim() < 2 or not tensor.any():
                tensor.copy_(0.2 * draw(tensor))
            else:
                tensor.copy_(tensor.std() * draw(tensor))
        for name, tensor in model.named_buffers():
            if name.endswith("running_mean"):
                tensor.copy_(0.2 * draw(tensor))
            elif name.endswith("running_var"):
                tensor.copy_(1 + 0.5 * torch.rand(tensor.shape, generator=generator))
    return model


def rows(output):
    """The logits `[n, k]` of any output: the classes of a map are its second dimension."""
    if output.dim() == 4:
        output = output.movedim(1, -1)
    return output.reshape(-1, output.shape[-1])


def named(input):
    """The inputs by their names in the file."""
    if isinstance(input, dict):
        return {f"input.{name}": tensor for name, tensor in input.items()}
    return {"input": input}


def write(script, model, config, input, *, library, learning_rate=0.05, forward=None, variant="", seed=1):
    """Writes `<script's stem><variant>.safetensors` beside the script.

    `input` is a tensor, or tensors by the names of a task's columns where there are several.
    `config` is the `[model]` table of a recipe, `forward(model, input)` gives the logits where
    `model(input)` does not, `library` names the origin with its version.
    """
    forward = forward or (lambda model, input: model(input))
    weights = {f"weight.{name}": tensor.detach().clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        output = forward(model.eval(), input)
    logits = rows(output)
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(logits.shape[1], (logits.shape[0],), generator=generator)

    model.train()
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses, gradients = [], {}
    for _ in range(STEPS):
        loss = torch.nn.functional.cross_entropy(rows(forward(model, input)), target)
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            # A parameter that the output does not depend on has none.
            gradients = {
                f"grad.{name}": parameter.grad.clone()
                for name, parameter in parameters.items()
                if parameter.grad is not None
            }
        losses.append(loss.item())
        optimizer.step()

    script = pathlib.Path(script)
    path = script.with_name(f"{script.stem}{variant}.safetensors")
    tensors = {
        **weights,
        **gradients,
        **named(input),
        "target": target,
        "output": output,
        "losses": torch.tensor(losses, dtype=torch.float64),
    }
    tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    metadata = {
        "format": "pt",
        "model": json.dumps(config),
        "library": library,
        "learning_rate": str(learning_rate),
    }
    save_file(tensors, path, metadata)
    size = path.stat().st_size
    assert size < 300_000, f"{path.name}: {size} bytes; golden files stay below 300 KB"
    print(f"{path.name}: {size} bytes, losses {losses[0]:.4f} to {losses[-1]:.4f}")
