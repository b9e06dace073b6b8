"""Keras's own models against its log-probabilities; run by scripts/check/data with the tool, the data and a folder."""
import json
import re
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

# A generator of molecules: one line each, from G to E, from a zero state.
with open(f"{data}/lstm-chem/tokens.txt") as file:
    words = tokens("chem", file.read().split("\n")[:47])
model, molecules = f"{folder}/chem.unroll.h5", f"{folder}/molecules.smi"
with open(f"{data}/lstm-chem/known_TRPM8-inhibitors_cleansed.smi") as known, open(molecules, "w") as file:
    file.writelines(known.readlines()[:100])
run("convert", f"{data}/lstm-chem/LSTM_Chem-22-0.45.hdf5", "--vocabulary", words, "--tokenizer", "greedy", "--bos", "G", "--eos", "E",
    "--keras-config", f"{data}/lstm-chem/model_arch.json", "-o", model)
found = json.loads(run("evaluate", model, molecules, "--protocol", "sentence", "--resamples", "0", "--json"))
print(f"keras lstm-chem: perplexity {found['perplexity']:.6f} over {found['predictions']} predictions, 1.70947 in float64")
assert found["predictions"] == 5504 and abs(found["perplexity"] / 1.70947 - 1) < 1e-5, found


def is_whole(molecule):
    """Whether brackets are balanced and the digits of rings in pairs."""
    depth = 0
    for sign in molecule:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    rings = re.sub(r"%\d\d", "", re.sub(r"\[[^\]]*\]", "", molecule))
    return depth == 0 and molecule.count("[") == molecule.count("]") and all(rings.count(d) % 2 == 0 for d in "0123456789")


def whole(model):
    """How many of 200 molecules end and are whole."""
    lines = run("generate", model, "--samples", "200", "--max-tokens", "200", "--temperature", "0.75", "--stop-at-eos", "--json")
    samples = [json.loads(line) for line in lines.splitlines()]
    assert len(samples) == 200
    return sum(sample["ended"] and is_whole(sample["text"].strip().removesuffix("E")) for sample in samples)


run("finetune", model, "--train", f"{data}/lstm-chem/TRPM8_inhibitors_for_fine-tune.smi", "--valid", molecules, "--sentences",
    "--optimizer", "adam", "--learning-rate", "1e-3", "--schedule", "constant", "--epochs", "12", "-o", f"{folder}/chem.tuned.unroll.h5")
before, after = whole(model), whole(f"{folder}/chem.tuned.last.unroll.h5")
print(f"lstm-chem: of 200 molecules {before} are whole before, {after} after twelve epochs of five molecules")
assert after >= 180, after
