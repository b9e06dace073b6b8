"""Measures what --report adds to the time and memory of a verb; called by Benchmarks/run-reporting.

Each command runs in turn without and with a page; a difference is of two runs that followed each other. Time is that of the
processor, in all threads and child processes; memory is the peak of the resident set.
"""
import os
import statistics
import subprocess
import sys
import tempfile

RUNS = 11
COMMANDS = {
    "score": "score model.h5 text.txt",
    "score --guesses 5": "score model.h5 text.txt --guesses 5",
    "evaluate": "evaluate model.h5 text.txt --protocol sentence",
    "train": "train --train train.txt --valid valid.txt --embedding-size 64 --hidden-size 128 --num-layers 1 --epochs 8 -o new.h5 --force",
}


def prepare(unroll, corpus, folder):
    """Converts the model of characters and writes a text of 10,000 words, and texts to train on."""
    subprocess.run([unroll, "convert", f"{corpus}/model.pt", "--corpus", corpus, "--tokenizer", "character", "--space", "_", "-o",
                    "model.h5"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    lines = [line.rstrip("\n") for line in open(f"{corpus}/test.txt", encoding="utf8")]
    plain = [line.replace(" ", "").replace("_", " ") for line in lines if line.strip()]
    text, count = [], 0
    while count < 10_000:
        text.append(plain[len(text) % len(plain)])
        count += len(text[-1].split())
    for name, part in (("text", text), ("train", lines[:400]), ("valid", lines[400:500])):
        with open(f"{folder}/{name}.txt", "w", encoding="utf8") as file:
            file.writelines(line + "\n" for line in part)


def run(unroll, command, folder):
    """The seconds of the processor, and the peak memory in MB."""
    process = subprocess.Popen([unroll, *command.split()], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"unroll {command} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(unroll, corpus):
    unroll, corpus = os.path.abspath(unroll), os.path.abspath(corpus)
    with tempfile.TemporaryDirectory() as folder:
        prepare(unroll, corpus, folder)
        print("| command | time | more with a page: median (range) | memory | with a page | page |")
        print("|---|---|---|---|---|---|")
        for name, command in COMMANDS.items():
            page = " --report page.html" + ("" if "--force" in command else " --force")
            pairs = [(run(unroll, command, folder), run(unroll, command + page, folder)) for _ in range(RUNS)]
            more = sorted(100 * (after[0] / before[0] - 1) for before, after in pairs)
            seconds, *memory = (statistics.median(pair[side][part] for pair in pairs) for side, part in ((0, 0), (0, 1), (1, 1)))
            size = os.path.getsize(f"{folder}/page.html") / 1000
            print(f"| `{name}` | {seconds:.2f} s | {statistics.median(more):+.1f} % ({more[0]:+.1f} to {more[-1]:+.1f}) | "
                  f"{memory[0]:.1f} MB | {memory[1]:.1f} MB | {size:,.0f} kB |", flush=True)


main(*sys.argv[1:3])
