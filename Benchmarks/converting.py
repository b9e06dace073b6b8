"""Converting a large state_dict, in turn with torch.load and safetensors.

usage: converting.py UNROLL FOLDER [GIGABYTES]

Prints medians of several runs in turn, and the anonymous memory at its peak. Files are in the page cache when they are
timed; what is written goes to FOLDER.
"""
import os, re, statistics, subprocess, sys, threading, time
import torch

UNROLL, FOLDER = sys.argv[1:3]
GIGABYTES = float(sys.argv[3]) if len(sys.argv) > 3 else 2
RUNS = 7
D = 1024
V = int(GIGABYTES * 2**30 / 8 / D)
# The start of Python and the import of torch do not count.
PEER = """import sys, time, torch
from safetensors.torch import save_file
start = time.perf_counter()
save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])
print(time.perf_counter() - start)"""


def fill(*shape):
    return torch.randn(*shape) * 0.1


def anonymous(command):
    """Runs a command: its seconds, and the largest anonymous memory of it and its children, in MiB."""
    start, peak = time.perf_counter(), [0]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def watch():
        while process.poll() is None:
            try:
                children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
                for pid in [str(process.pid), *children]:
                    peak[0] = max(peak[0], int(re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]))
            except (OSError, TypeError):
                pass
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    whole = time.perf_counter() - start
    watcher.join()
    assert process.returncode == 0, f"{command}: exit code {process.returncode}"
    return float(output) if output else whole, peak[0] / 1024


state = {"encoder.weight": fill(V, D), "decoder.weight": fill(V, D), "decoder.bias": fill(V)}
state |= {"rnn.weight_ih_l0": fill(4 * D, D), "rnn.weight_hh_l0": fill(4 * D, D)}
state |= {"rnn.bias_ih_l0": fill(4 * D), "rnn.bias_hh_l0": fill(4 * D)}
model, words = f"{FOLDER}/model.pt", f"{FOLDER}/words.txt"
with open(words, "w") as file:
    file.write("<eos>\n" + "".join(f"w{k}\n" for k in range(V - 1)))
torch.save(state, model)
largest = max(t.numel() * t.element_size() for t in state.values()) / 2**20
del state
commands = {
    "torch.load and save_file": [sys.executable, "-c", PEER, model, f"{FOLDER}/theirs.safetensors"],
    "PyTorch to safetensors": [UNROLL, "convert", model, "--vocabulary", words, "-o", f"{FOLDER}/ours.safetensors", "--force"],
    "PyTorch to Unroll": [UNROLL, "convert", model, "--vocabulary", words, "-o", f"{FOLDER}/ours.unroll.h5", "--force"],
    "Unroll to PyTorch": [UNROLL, "convert", f"{FOLDER}/ours.unroll.h5", "-o", f"{FOLDER}/ours.pt", "--force"],
    "Unroll to safetensors": [UNROLL, "convert", f"{FOLDER}/ours.unroll.h5", "-o", f"{FOLDER}/back.safetensors", "--force"],
}
taken = {name: [] for name in commands}
memory = dict.fromkeys(commands, 0.0)
for _ in range(RUNS):
    for name, command in commands.items():
        # Who went before may have left bytes to be written: nobody pays for another.
        os.sync()
        seconds, peak = anonymous(command)
        taken[name].append(seconds)
        memory[name] = max(memory[name], peak)
size, peer = os.path.getsize(model) / 2**20, taken["torch.load and save_file"]
print(f"{size:.0f} MiB, largest tensor {largest:.0f} MiB, {RUNS} runs in turn; ours are whole processes")
for name, times in taken.items():
    ratios = sorted(theirs / ours for theirs, ours in zip(peer, times))
    print(f"| {name} | {statistics.median(times):.2f} s | {size / statistics.median(times):.0f} MiB/s | "
          f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {memory[name]:.0f} MiB |")
