"""Golden numbers of word and character error rates: pip install jiwer; python wer.py"""

import importlib.metadata
import json
import pathlib

import jiwer

SPLITS = {
    "equal": [("yes no yes", "yes no yes")],
    "one of each": [("a b c d", "a x c"), ("e f", "e f g")],
    "nothing heard": [("yes no", ""), ("no", "no")],
    "nothing said in one": [("yes", "yes"), ("", "no no")],
    "nothing said at all": [("", "no no"), ("", "yes")],
    "nothing at all": [("", "")],
    "more heard than said": [("a", "b c d e f")],
    "several spaces": [("a  b   c", "a b c"), ("  a b ", "a b")],
    "tabs and lines": [("a\tb", "a b"), ("a\t\tb", "a b"), ("a \n b", "a b"), ("a\nb", "a\nb")],
    "other letters": [("Grüße aus Köln", "Grüsse aus Koln"), ("日本 語", "日本語"), ("ñ", "n\u0303")],
    "case and marks count": [("Yes, no.", "yes no")],
    "shifted": [("a b c d e f g", "b c d e f g h")],
    "repeated": [("no no no yes no", "no no yes yes no no")],
}

golden = {"made_by": f"jiwer {importlib.metadata.version('jiwer')}", "splits": []}
for name, pairs in SPLITS.items():
    said, heard = ([pair[side] for pair in pairs] for side in (0, 1))
    words = jiwer.process_words(said, heard)
    golden["splits"].append({
        "name": name,
        "pairs": pairs,
        "wer": float(words.wer),
        "cer": float(jiwer.process_characters(said, heard).cer),
        "said": words.hits + words.substitutions + words.deletions,
        "edits": words.substitutions + words.deletions + words.insertions,
    })
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
