"""Scores 500 hypotheses of each of 40 utterances, or 10,000 pairs, by unroll and by PyTorch; called by Benchmarks/run-rescoring.

The hypotheses are lines of the corpus's test text with other tokens at some places, as the best paths of a confusion
network have them. A pair is a line and the same line with another token at one place. PyTorch's side removes equal lines, sorts by length and computes padded batches.
As its own peer it is called with --peer MODEL CORPUS LINES THREADS.
"""
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

UTTERANCES, HYPOTHESES, PAIRS, RUNS = 40, 500, 10_000, 3


def sentences(corpus, part):
    with open(os.path.join(corpus, part), encoding="utf8") as file:
        return [line.split() for line in file]


def hypotheses(corpus, seed=1):
    """Lines of tokens: for each utterance so many, best first: few places differ in the first ones."""
    g = random.Random(seed)
    words = [word for line in sentences(corpus, "train.txt") for word in line]
    chosen = [line for line in sentences(corpus, "test.txt") if 8 <= len(line) <= 40]
    for line in g.sample(chosen, UTTERANCES):
        places = g.sample(range(len(line)), 6)
        others = {place: [line[place]] + [g.choice(words) for _ in range(3)] for place in places}
        paths = {tuple(line): 0.0}
        while len(paths) < HYPOTHESES:
            path = list(line)
            for place in places:
                path[place] = others[place][min(3, int(g.expovariate(1.2)))]
            paths.setdefault(tuple(path), g.random())
        yield from (" ".join(path) for path in paths)


def pairs(corpus, seed=1):
    """Lines of tokens: a line, then the same with another token."""
    g = random.Random(seed)
    words = sorted({word for line in sentences(corpus, "train.txt") for word in line})
    lines = [line for line in sentences(corpus, "test.txt") if 4 <= len(line) <= 40]
    for _ in range(PAIRS):
        line = g.choice(lines)
        other = list(line)
        place = g.randrange(len(other))
        other[place] = g.choice([word for word in g.sample(words, 2) if word != line[place]])
        yield from (" ".join(line), " ".join(other))


def peer(path, corpus, text, threads):
    import types

    import torch

    torch.set_grad_enabled(False)
    torch.set_num_threads(threads)
    module = types.ModuleType("model")
    module.RNNModel = type("RNNModel", (torch.nn.Module,), {"__module__": "model"})
    sys.modules["model"] = module
    model = torch.load(path, weights_only=False).eval()
    index = {}
    for part in ("train.txt", "valid.txt", "test.txt"):
        for line in sentences(corpus, part):
            for word in line + ["<eos>"]:
                index.setdefault(word, len(index))
    end = index["<eos>"]
    best = None
    for size in (32, 128):
        start = time.perf_counter()
        lines = [line.split() for line in open(text, encoding="utf8")]
        unique = sorted({tuple(line) for line in lines}, key=len)
        scores = {}
        for first in range(0, len(unique), size):
            batch = unique[first:first + size]
            T = len(batch[-1]) + 1
            ids = torch.full((T + 1, len(batch)), end)
            for b, line in enumerate(batch):
                ids[1:len(line) + 1, b] = torch.tensor([index[word] for word in line])
            output, _ = model.rnn(model.encoder(ids[:-1]))
            logits = model.decoder(output)
            logs = logits.gather(2, ids[1:, :, None])[..., 0] - logits.logsumexp(2)
            mask = torch.arange(T)[:, None] <= torch.tensor([len(line) for line in batch])
            for line, score in zip(batch, (logs * mask).sum(0).tolist()):
                scores[line] = score
        result = [scores[tuple(line)] for line in lines]
        seconds = time.perf_counter() - start
        if best is None or seconds < best["seconds"]:
            best = {"seconds": seconds, "batch": size, "scores": result, "torch": torch.__version__}
    print(json.dumps(best))


def scored(unroll, checkpoint, text, threads, kind):
    """The log-probabilities of the lines of a text."""
    options = ["--pairs", "--each"] if kind == "pairs" else ["--level", "sentence"]
    table = subprocess.run([unroll, "score", checkpoint, text, "--threads", str(threads), *options], check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().splitlines()
    columns = table[0].split("\t")
    wanted = [columns.index(name) for name in (["good", "bad"] if kind == "pairs" else ["logprob"])]
    return [float(row.split("\t")[k]) for row in table[1:] for k in wanted]


def main(unroll, model, corpus, kind="hypotheses"):
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, text, table = f"{folder}/model.unroll.h5", f"{folder}/lines.txt", f"{folder}/pairs.tsv"
        subprocess.run([unroll, "convert", model, "--corpus", corpus, "-o", checkpoint, "--tokenizer", "whitespace"],
                       check=True, stderr=subprocess.DEVNULL)
        lines = list((pairs if kind == "pairs" else hypotheses)(corpus))
        with open(text, "w", encoding="utf8") as file:
            file.writelines(line + "\n" for line in lines)
        with open(table, "w", encoding="utf8") as file:
            file.write("sentence_good\tsentence_bad\n")
            file.writelines(f"{a}\t{b}\n" for a, b in zip(lines[::2], lines[1::2]))
        processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
        count = f"{PAIRS} pairs" if kind == "pairs" else f"{UTTERANCES} x {HYPOTHESES} hypotheses"
        print(f"{count}, {processor}, {RUNS} runs in turn\n")
        print("| threads | unroll score | PyTorch, its better batch size | ratio: median (range) | largest difference |")
        print("|---|---|---|---|---|")
        for threads in (2, 1):
            ours, theirs, difference = [], [], 0
            for _ in range(RUNS):
                start = time.perf_counter()
                found = scored(unroll, checkpoint, table if kind == "pairs" else text, threads, kind)
                ours.append(time.perf_counter() - start)
                output = subprocess.run([sys.executable, __file__, "--peer", model, corpus, text, str(threads)],
                                        check=True, stdout=subprocess.PIPE).stdout
                other = json.loads(output)
                theirs.append(other["seconds"])
                assert len(found) == len(other["scores"]) == len(lines)
                difference = max(abs(a - b) for a, b in zip(found, other["scores"]))
            ratios = sorted(b / a for a, b in zip(ours, theirs))
            print(f"| {threads} | {statistics.median(ours):.2f} s | {statistics.median(theirs):.2f} s, "
                  f"{other['batch']} lines | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | "
                  f"{difference:.1e} nats |", flush=True)
        print(f"\ntorch {other['torch']}; ours is the whole process, PyTorch's without start and loading")


if sys.argv[1] == "--peer":
    peer(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
else:
    main(*sys.argv[1:5])
