"""BLEU of small corpora by sacrebleu: `python bleu.py > bleu.json`, with sacrebleu 2.6.0."""

import json
import random

from sacrebleu.metrics import BLEU

CORPORA = {
    "equal": [("The cat sat on the mat.", "The cat sat on the mat.")],
    "no four-gram": [("the cat sat on a rug", "a dog sat on the mat today")],
    "one word": [("cat", "cat")],
    "three words": [("the cat sat", "the cat sat")],
    "nothing in common": [("one two three four five", "six seven eight nine ten")],
    "empty answer": [("", "something is here")],
    "some empty": [("", "something is here"), ("a man in a blue shirt stands", "a man in a blue shirt is standing")],
    "empty reference": [("something is here and there", ""), ("a b c d e", "a b c d f")],
    "shorter": [("a man in a blue", "a man in a blue shirt is standing on a ladder")],
    "longer": [("a man in a blue shirt is standing on a ladder today", "a man in a blue shirt")],
    "case": [("THE CAT Sat On The Mat", "the cat sat on the mat")],
    "repeated": [("the the the the the the the", "the cat is on the mat now")],
    "punctuation": [
        ('He said: "Well, yes (no)!" -- it\'s 5-6... ok?', 'He said "Well, yes" (no)! - it\'s 5 - 6 ... ok?'),
        ("a.b,c;d/e\\f [g] {h} ~i~ `j` ^k_l| m&n <o>=p @q #r $5.00 %s *t +u", "a.b, c;d/e \\f [g]{h} ~i `j` ^k_l m & n <o> = p @ q # r $5.00 % s * t + u"),
        ("..., ,., .,. a..b ,,c d,, 1..2 3,,4 .5 6. ,7 8,", "... , ,. , .,. a. .b ,, c d, , 1. .2 3 ,,4 .5 6 . ,7 8 ,"),
    ],
    "numbers": [
        ("about 1,000.50 people in 2016-2017, or 3.14", "about 1,000.50 people in 2016 - 2017 or 3.14 ."),
        ("it cost 1.234,56 and 7, 8.", "it cost 1.234,56 and 7,8."),
    ],
    "other scripts": [
        ("Zwei junge weiße Männer sind im Freien.", "Zwei junge, weiße Männer sind im Freien in der Nähe."),
        ("二人の若い男性 が 外 に います 。", "二人の若い男性 が 外 に います 。 今"),
        ("naïve café\u00a0au lait \u2014 déjà\u2003vu \u201cok\u201d\u3000end ٣.٤", "naïve café au lait \u2014 déjà vu \u201cok\u201d end ٣.٤"),
    ],
    "entities": [("a &quot;b&quot; &amp; c &lt;d&gt; &amp;lt; e", 'a "b" & c <d> &lt; e')],
    "spaces": [("  a  b\tc\x0bd\x1ce\x1ff  \n", "a b c d e f"), ("well-\nknown line\nbreaks <skipped> here ", "wellknown line breaks here")],
}


def drawn(seed: int) -> list[tuple[str, str]]:
    """Sentences over few words, of which the answers change some."""
    source = random.Random(seed)
    words = "a the man, woman. dog's 1,000 2.5 in on blue-ish (red) Straße läuft".split()
    pairs = []
    for _ in range(40):
        reference = [source.choice(words) for _ in range(source.randrange(1, 20))]
        answer = [word for word in reference if source.random() < 0.8]
        answer = [source.choice(words) if source.random() < 0.2 else word for word in answer]
        pairs.append((" ".join(answer), " ".join(reference)))
    return pairs


def main() -> None:
    corpora = CORPORA | {f"drawn {seed}": drawn(seed) for seed in range(3)}
    bleu = BLEU()
    golden = []
    for name, pairs in corpora.items():
        answers, references = map(list, zip(*pairs))
        score = bleu.corpus_score(answers, [references])
        golden.append({
            "name": name, "pairs": pairs, "score": score.score, "brevity_penalty": score.bp,
            "matches": score.counts, "totals": score.totals,
            "answer_tokens": score.sys_len, "reference_tokens": score.ref_len,
        })
    print(json.dumps({"signature": str(bleu.get_signature()), "corpora": golden}, indent=1, ensure_ascii=False))


main()
