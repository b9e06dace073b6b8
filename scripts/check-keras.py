"""Keras's own models against its log-probabilities; run by scripts/check-data with the tool, the data and a folder."""
import json
import math
import subprocess
import sys

tool, data, folder = sys.argv[1:]


def run(*arguments, text=None):
    return subprocess.run([tool, *arguments], check=True, input=text, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def tokens(name, texts):
    path = f"{folder}/{name}.tokens.json"
    with open(path, "w") as file:
        json.dump(texts, file)
    return path


def figures(model, text):
    return json.loads(run("evaluate", model, "-", "--resamples", "0", "--json", text=text))


with open(f"{data}/keras/vocabulary.json") as file:
    ids = json.load(file)
characters = sorted(ids, key=ids.get)
words = tokens("characters", characters)
for name in ("lstm", "gru"):
    digests = set()
    for form in ("weights.h5", "h5", "keras"):
        model = f"{folder}/keras.{name}.{form}.unroll.h5"
        run("convert", f"{data}/keras/keras_{name}.{form}", "--vocabulary", words, "--tokenizer", "character", "-o", model)
        digests.add(next(line for line in run("inspect", model).splitlines() if line.strip().startswith("weights  ")))
    assert len(digests) == 1, digests
    with open(f"{data}/keras/{name}.probe.json") as file:
        probe = json.load(file)
    worst = 0.0
    for row, expected in zip(probe["ids"], probe["log_probabilities"], strict=True):
        before = 0.0
        for end in range(2, len(row) + 1):
            found = figures(model, "".join(characters[i] for i in row[:end]))
            total = -found["nll"] * found["predictions"]
            worst = max(worst, abs(total - before - expected[end - 2][row[end - 1]]))
            before = total
    print(f"keras {name}: three files, one digest; log-probabilities within {worst:.1e} of Keras's")
    assert worst < 2e-5, worst

with open(f"{data}/lstm-chem/tokens.txt") as file:
    words = tokens("chem", file.read().split("\n")[:47])
model = f"{folder}/chem.unroll.h5"
run("convert", f"{data}/lstm-chem/LSTM_Chem-22-0.45.hdf5", "--vocabulary", words, "--tokenizer", "greedy", "-o", model)
count, total = 0, 0.0
with open(f"{data}/lstm-chem/known_TRPM8-inhibitors_cleansed.smi") as file:
    for molecule in file.read().split("\n")[:100]:
        found = figures(model, f"G{molecule}E")
        count += found["predictions"]
        total += found["nll"] * found["predictions"]
perplexity = math.exp(total / count)
print(f"keras lstm-chem: perplexity {perplexity:.6f} over {count} predictions, 1.70947 in float64")
assert count == 5504 and abs(perplexity / 1.70947 - 1) < 1e-5, perplexity
