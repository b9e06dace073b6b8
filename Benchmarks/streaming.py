"""Evaluating and scoring texts of growing size, in a stream; called by Benchmarks/run-streaming.

usage: streaming.py UNROLL FOLDER [MEGABYTES ...]

The model is small (LSTM 1x16, V 1,000) and the words have forty letters, so that 5 GB take minutes; the text is of lines of ten
words of Zipf's frequencies, 1 MB of them again and again. Predicted is what `--estimate` says before. The first line is that of
`score --level sentence` on the same text. Files are in the page cache as far as they fit.
"""
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch

UNROLL, FOLDER = sys.argv[1:3]
SIZES = [int(size) for size in sys.argv[3:]] or [1, 10, 100, 1000, 5000]
V, H = 1000, 16

torch.manual_seed(0)
state = {"encoder.weight": torch.randn(V, H), "decoder.weight": torch.randn(V, H), "decoder.bias": torch.zeros(V)}
state |= {f"rnn.weight_{kind}_l0": torch.randn(4 * H, H) * 0.1 for kind in ("ih", "hh")}
state |= {f"rnn.bias_{kind}_l0": torch.zeros(4 * H) for kind in ("ih", "hh")}
torch.save(state, f"{FOLDER}/model.pt")
words = ["<eos>"] + [f"w{k:039}" for k in range(1, V)]
open(f"{FOLDER}/words.txt", "w").write("\n".join(words) + "\n")
model = f"{FOLDER}/model.unroll.h5"
subprocess.run([UNROLL, "convert", f"{FOLDER}/model.pt", "--vocabulary", f"{FOLDER}/words.txt", "-o", model], check=True,
               stderr=subprocess.DEVNULL)
shares = 1 / np.arange(1, V)
drawn = np.random.default_rng(0).choice(np.arange(1, V), size=200_000, p=shares / shares.sum())
lines = (" ".join(words[k] for k in drawn[i:i + 10]) + "\n" for i in range(0, len(drawn), 10))
megabyte = "".join(lines).encode()[:1_000_000]
megabyte = megabyte[: megabyte.rindex(b"\n") + 1]
text = f"{FOLDER}/text.txt"


def run(*options):
    """What a verb prints as JSON, the seconds, and the largest memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([UNROLL, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{options}: {status}"
    return json.loads(output), time.perf_counter() - start, usage.ru_maxrss / 1024


def first_line():
    """The seconds until `score` prints its second line, the first of numbers."""
    start = time.perf_counter()
    process = subprocess.Popen([UNROLL, "score", model, text, "--level", "sentence"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    process.stdout.readline()
    process.stdout.readline()
    seconds = time.perf_counter() - start
    process.kill()
    process.wait()
    return seconds


print("| text | tokens | time | tokens/s | MB/s | predicted | peak memory | predicted | first line of `score` |\n"
      "|---|---|---|---|---|---|---|---|---|")
for size in SIZES:
    with open(text, "wb") as file:
        for _ in range(size):
            file.write(megabyte)
    os.sync()
    estimate, _, _ = run("evaluate", model, text, "--estimate", "--json")
    result, seconds, memory = run("evaluate", model, text, "--json")
    tokens = result["tokens"]
    print(f"| {size:,} MB | {tokens:,} | {seconds:.1f} s | {tokens / seconds:,.0f} | {size / seconds:.1f} | "
          f"{estimate['seconds']:.1f} s | {memory:.0f} MiB | {estimate['memory_bytes'] / 2**20:.0f} MiB | {1000 * first_line():.0f} ms |",
          flush=True)
