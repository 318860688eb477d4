"""Subwords learned by Hugging Face's trainer: `python subwords.py > subwords.json`, with tokenizers 0.23.3."""

import json

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LINES = [
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
    "Ein Mann in einem blauen Hemd steht auf einer Leiter.",
    "Zwei Männer stehen am Herd und bereiten Essen zu.",
    "a man in a blue shirt, standing on a ladder",
    "two men at the stove; a man (and another man)",
    "Ein Junge in einer Unterführung, ein Mädchen in einem Haus",
]
TEXTS = [
    *LINES, "", " ", "  Ein  Mann ", "Ma\u0308dchen", "日 man 日本", "blue-ish!?", "<s> man </s>", "¿a▁b?", "\u00a0Ein\u2003Haus\t.",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
SIZES = [60, 70]


def learned(size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.NFC()
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([metaspace, pre_tokenizers.Punctuation("isolated")])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def main() -> None:
    golden = []
    for size in SIZES:
        tokenizer = learned(size)
        texts = [{"text": text, "ids": tokenizer.encode(text).ids, "decoded": tokenizer.decode(tokenizer.encode(text).ids)}
                 for text in TEXTS]
        golden.append({"size": size, "tokenizer": json.loads(tokenizer.to_str()), "texts": texts})
    print(json.dumps({"lines": LINES, "learned": golden}, ensure_ascii=False, separators=(",", ":")))


main()
