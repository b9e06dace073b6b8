"""Compares how unroll and the library tokenizers cut texts with regular expressions: published and random ones.

Used by check/tokenizers; alone: fuzz_expressions.py UNROLL FOLDER [EXPRESSIONS [SEED]].
Each expression gets a WordLevel model whose tokens are the pieces of the text, so that ids tell where it is cut.
"""
import json
import os
import random
import subprocess
import sys
import unicodedata

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shared"))
from expressions import EXPRESSIONS, LINES  # noqa: E402

ATOMS = [
    "a", "b", "A", r"\s", r"\S", r"\d", r"\w", r"\W", r"\p{L}", r"\p{N}", r"\p{Lu}", r"\p{Ll}", r"\P{L}", "[ab]",
    "[^a\\s]", r"[^\r\n\p{L}]", ".", " ", r"\n", r"[\p{P}\p{S}]", "[a-c&&[^b]]", "[\u00e9a1]", "1", r"\r", "'",
    r"[^\w\s]", r"[\p{M}]"]
QUANTIFIERS = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{2,}", "{,2}",
               "{1,3}?", "{1,2}+"]
# Rare: Oniguruma refuses most of them, or takes them otherwise than they look.
ODD_ATOMS = ["{1}", "{", "{,}", r"[\w-]", r"[\w-.]", "[a-c-b]", "[b-a]", "(?<!(a)b)", r"\u00"]
ODD_QUANTIFIERS = ["{1}{2}", "{2,1}", "{ 1}", "{+1}", "{100001}", "{,}"]
CHARACTERS = "aaabbbABcC112 \t\r\n  's.,!\u00e9\u00df\u017fK\u4e2d\u00bd\u00b2\u200d\u0301_\u0664\u2460\U0001f44d"


def expression(g, depth=2):
    """A random expression; groups nest to a depth."""
    def atom():
        kind = g.random()
        if depth and kind < 0.33:
            return g.choice(["(?:", "(?:", "(", "(?>"]) + expression(g, depth - 1) + ")"
        if kind < 0.38:
            return "(?i:" + g.choice(["a", "b|'a", "ab", "[ab]", "k", "'s"]) + ")"
        return g.choice(ODD_ATOMS if g.random() < 0.02 else ATOMS)

    def quantifier():
        return g.choice(ODD_QUANTIFIERS if g.random() < 0.02 else QUANTIFIERS)

    def sequence():
        text = "".join(atom() + quantifier() for _ in range(g.randrange(1, 4)))
        if g.random() < 0.2:
            text += g.choice(["(?=", "(?!"]) + expression(g, max(depth - 1, 0)) + ")"
        if g.random() < 0.1:
            text = g.choice(["(?<=", "(?<!"]) + g.choice(["a", r"\s", "ab|b", r"\p{L}", r"a\d"]) + ")" + text
        return g.choice(["", "", "", "", "", "^", r"\A"]) + text + g.choice(["", "", "", "", "", "$", r"\z"])

    return "|".join(sequence() for _ in range(g.choice([1, 1, 2, 3])))


def line(g):
    """Characters that the expressions tell apart, and some of Unicode 3.2: newer ones differ between versions."""
    text = "".join(g.choice(CHARACTERS) for _ in range(g.randrange(1, 25)))
    start = g.randrange(0x20, 0x3100)
    other = "".join(map(chr, range(start, start + g.randrange(4))))
    return text + "".join(c for c in other if unicodedata.ucd_3_2_0.category(c) not in ("Cn", "Cs"))


def compare(binary, folder, text, lines):
    """The first line that is cut otherwise; "refused", or "" where all are the same."""
    definition, source = os.path.join(folder, "cut.json"), os.path.join(folder, "cut.txt")
    try:
        cut = pre_tokenizers.Split(Regex(text), "isolated")
    except Exception as reason:
        with open(definition, "w", encoding="utf8") as file:
            json.dump({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, "pre_tokenizer": {
                "type": "Split", "pattern": {"Regex": text}, "behavior": "Isolated", "invert": False}}, file)
        run = subprocess.run([binary, "tokenize", "--tokenizer", definition, os.devnull], capture_output=True)
        return "refused" if b" in the regular expression " in run.stderr else f"accepted: {reason}"
    try:
        pieces = {piece for line in lines for piece, _ in cut.pre_tokenize_str(line)}
    except BaseException:  # a panic: Oniguruma has a limit of steps too
        return "refused"
    tokenizer = Tokenizer(models.WordLevel({piece: k for k, piece in enumerate(sorted(pieces))}, unk_token="?"))
    tokenizer.pre_tokenizer = cut
    tokenizer.save(definition)
    with open(source, "w", encoding="utf8", newline="") as file:
        file.writelines(lines)
    run = subprocess.run([binary, "tokenize", "--json", "--tokenizer", definition, source], capture_output=True)
    if b" in the regular expression " in run.stderr:
        return "refused"
    own = [json.loads(line)["ids"] for line in run.stdout.splitlines()]
    if run.returncode or len(own) != len(lines):
        return f"exit code {run.returncode}: {run.stderr.decode()}"
    expected = [tokenizer.encode(line).ids for line in lines]
    return next((f"{line!r}: {a}, not {b}" for line, a, b in zip(lines, own, expected) if a != b), "")


def run(binary, folder, count=150, seed=1):
    """Compares the published expressions and `count` random ones; returns the number that differ."""
    g = random.Random(seed)
    lines = [part + "\n" for text in LINES + [line(g) for _ in range(200)] for part in text.split("\n")]
    tried = dict(EXPRESSIONS) | {f"random {k}": expression(g) for k in range(count)}
    refused = failures = 0
    for name, text in tried.items():
        result = compare(binary, folder, text, lines)
        if result == "refused":
            refused += 1
            if name in EXPRESSIONS:
                failures += 1
                print(f"{name}: refused")
        elif result:
            failures += 1
            print(f"{name} {text!r}: {result}")
    print(f"regular expressions: {len(tried)} compared, {refused} of them refused")
    return failures


if __name__ == "__main__":
    sys.exit(1 if run(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])) else 0)
