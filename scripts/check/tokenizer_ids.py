"""What check/tokenizers runs: trains on a part of each text, then compares all ids, line by line.

Then both learn BPE from each text, and the files must be the same, and cut texts with regular expressions.
"""
import glob
import json
import os
import random
import subprocess
import sys
import unicodedata

import fuzz_expressions

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shared"))
import tokenizer_models  # noqa: E402

binary, data, folder, SIZE = *sys.argv[1:4], int(sys.argv[4])
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
generator = random.Random(1)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def fixture(name):
    return read(os.path.join(root, "fixtures", "tokenizers", "texts", name)).decode("utf8")


def recombined(text, unit):
    """A text of SIZE bytes from the parts of a small one: its words or its characters, at random."""
    parts, lines, size = unit(text), [], 0
    while size < SIZE:
        joint = " " if unit == str.split else ""
        line = joint.join(generator.choice(parts) for _ in range(generator.randrange(3, 25)))
        lines.append(line)
        size += len(line.encode("utf8")) + 1
    return "\n".join(lines) + "\n"


def english():
    corpus = sorted(glob.glob(os.path.join(data, "corpora", "*", "train.txt")))
    text = b"".join(read(path)[:SIZE // 2] for path in corpus if "characters" not in path)
    return (text or recombined(fixture("english.txt"), str.split).encode("utf8"))[:SIZE]


def code():
    files = sorted(glob.glob(os.path.join(os.path.dirname(json.__file__), "..", "*.py")))
    return b"".join(map(read, files))[:SIZE]


def mixture():
    """Runs of neighbours in Unicode, emoji sequences, white space and bytes that are no UTF-8.

    Only what Unicode 3.2 had, and emoji: the libraries know the classes of newer characters from
    different versions. No control characters: where a normalizer removes the first character of a line,
    tokenizers puts no sign for a space in front with prepend_scheme "first", and unroll does.
    """
    def character(value):
        known = unicodedata.ucd_3_2_0.category(chr(value)) not in ("Cn", "Cc")
        return chr(value) if known or value >= 0x1F300 else " "

    out = bytearray()
    blocks = [0x20, 0xA0, 0x300, 0x370, 0x400, 0x590, 0x600, 0x900, 0xE00, 0x1100, 0x1E00, 0x2000,
              0x2460, 0x3040, 0x3130, 0xAC00, 0xF900, 0xFB00, 0xFE00, 0xFF00, 0x1D400, 0x1F300, 0x1F600]
    while len(out) < SIZE:
        start = generator.choice(blocks)
        run = "".join(character(start + generator.randrange(96)) for _ in range(generator.randrange(1, 9)))
        out += run.encode("utf8")
        out += generator.choice([b" ", b"  ", b"\t", b"\n", b"", b"\xe2\x80\x8d", b"'s ", b"1234"])
        if generator.random() < 0.03:
            out += bytes(generator.choice(b"\xff\xc0\xf5\xe3\xf0\x80") for _ in range(generator.randrange(1, 4)))
    return bytes(out) + b"\n"


texts = {
    "english": english(),
    "german": recombined(fixture("german.txt"), str.split).encode("utf8"),
    "japanese": recombined(fixture("japanese.txt"), list).encode("utf8"),
    "code": code(),
    "mixture": mixture(),
}
training = [text[:150_000].decode("utf8", "replace") for text in texts.values()]
encoders = tokenizer_models.train(training, 3000, folder, full=True)
failures = 0
for name, encode in encoders.items():
    for kind, text in texts.items():
        path = os.path.join(folder, "text.txt")
        with open(path, "wb") as file:
            file.write(text)
        command = [binary, "tokenize", "--json", "--tokenizer", os.path.join(folder, name), path]
        if name == "gpt2-merges.txt":
            command[3:3] = ["--vocabulary", os.path.join(folder, "gpt2-vocab.json")]
        result = subprocess.run(command, capture_output=True)
        if result.returncode:
            print(f"{name} {kind}: {result.stderr.decode()}")
            failures += 1
            continue
        own = [json.loads(line)["ids"] for line in result.stdout.splitlines()]
        lines = text.split(b"\n")
        lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
        expected, _ = encode(lines)
        wrong = [k for k in range(len(lines)) if own[k] != expected[k]]
        if wrong:
            failures += 1
            first = wrong[0]
            print(f"{name} {kind}: {len(wrong)} of {len(lines)} lines differ, the first {lines[first]!r}")
            print(f"  own {own[first]}\n  expected {expected[first]}")
    print(f"{name}: compared")


def learned(text, special):
    """The tokenizer.json that `unroll train --tokenizer bpe` learns."""
    paths = {name: os.path.join(folder, name) for name in ["text.txt", "valid.txt", "a.h5", "a.json"]}
    for name, content in [("text.txt", text), ("valid.txt", text[:2000])]:
        with open(paths[name], "w", encoding="utf8", newline="") as file:
            file.write(content)
    subprocess.run(
        [binary, "train", "--train", paths["text.txt"], "--valid", paths["valid.txt"], "--force",
         "--tokenizer", "bpe", "--vocabulary-size", "5000", "--min-count", "2", "-o", paths["a.h5"],
         "--hidden-size", "2", "--num-layers", "1", "--embedding-size", "2", "--steps", "1"] + ["--append-eos"] * special,
        check=True, capture_output=True)
    subprocess.run(
        [binary, "tokenize", paths["a.h5"], "--export", paths["a.json"], "--force"], check=True,
        capture_output=True)
    return read(paths["a.json"])


for k, (kind, content) in enumerate(texts.items()):
    text, special = content.decode("utf8", "ignore"), k % 2 == 1
    tokenizer_models.byte_level_bpe(text, 5000, 2, ["<eos>"] * special).save(
        os.path.join(folder, "expected.json"), pretty=False)
    if learned(text, special) != read(os.path.join(folder, "expected.json")):
        failures += 1
        print(f"BPE learned from {kind}: another tokenizer.json")
print("BPE learned from each text: compared")
failures += fuzz_expressions.run(binary, folder, SIZE // 6000)
sys.exit(1 if failures else 0)
