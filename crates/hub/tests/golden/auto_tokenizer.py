"""Cuts texts with transformers' AutoTokenizer, in folders that `tests/tokenizers.rs` wrote.

    cargo test -p zoo-hub --test tokenizers    # writes the folders, below target/tmp/tokenizers
    python auto_tokenizer.py FOLDERS               # writes auto_tokenizer.json beside this file
    python auto_tokenizer.py FOLDERS --check       # compares instead, with another version

Needs transformers and no torch. Written with transformers 5.24.0 (tokenizers 0.23.3); 4.57.6 (0.22.2)
gives the same.
"""

import json
import pathlib
import sys

import tokenizers
import transformers
from transformers import AutoTokenizer

GOLDEN = pathlib.Path(__file__).with_suffix(".json")
folders = pathlib.Path(sys.argv[1])
cases = {}
for folder in sorted(folder for folder in folders.iterdir() if folder.is_dir()):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    cases[folder.name] = {
        "names": tokenizer.model_input_names,
        "longest": min(tokenizer.model_max_length, 2**31),
        "pad": tokenizer.pad_token_id,
        "texts": [[text, tokenizer(text)["input_ids"]] for text in texts],
    }
if "--check" in sys.argv:
    assert cases == json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    print("the same, with transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
else:
    made_with = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    golden = {"made_with": made_with, "cases": cases}
    GOLDEN.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
