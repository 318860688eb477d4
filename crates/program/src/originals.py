"""The originals of Burn Zoo's models: built by their libraries' own code, for parity.py and peer.py.

A configuration is what stands in the config.json of a folder from the hub, and `library`:
`architecture` names the model in torchvision or timm, `architectures` its class in transformers.
"""

import importlib

import torch
import torch.nn.functional as F


def build(config):
    """A model with random weights, what gives its output for an input, and its library's version.

    Inputs are images [b, c, h, w] or token ids [b, t], outputs logits, or vectors [b, c] of length 1.
    """
    config = dict(config)
    name = config.pop("library")
    package = importlib.import_module(name)
    library = f"{name} {package.__version__}"
    if name != "transformers":
        create = package.create_model if name == "timm" else package.models.get_model
        model = create(config["architecture"], num_classes=config["num_classes"])
        return model, lambda model, images: model(images), library
    kind = getattr(package, config["architectures"][0])
    settings = package.AutoConfig.for_model(**config)
    if "Bert" not in kind.__name__:
        # A cache of keys and values is for writing token by token.
        return kind(settings), lambda model, tokens: model(tokens, use_cache=False).logits, library
    pad = settings.pad_token_id
    if kind.__name__ != "BertModel":

        def classify(model, tokens):
            return model(tokens, attention_mask=(tokens != pad).long()).logits

        return kind(settings), classify, library

    def embed(model, tokens):
        mask = (tokens != pad).long()
        hidden = model(tokens, attention_mask=mask).last_hidden_state
        kept = mask.to(hidden.dtype)[:, :, None]
        mean = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1)
        return F.normalize(mean, dim=1)

    return kind(settings, add_pooling_layer=False), embed, library


def without_chance(model):
    """Turns dropout and stochastic depth off, whatever a library calls them."""
    for module in model.modules():
        for key in ("p", "drop_prob", "attention_dropout"):
            if isinstance(getattr(module, key, None), float):
                setattr(module, key, 0.0)
