"""Loading, verifying and rewriting large checkpoints, in turn with safetensors and openssl.

usage: loading.py UNROLL LOADING FOLDER [GIGABYTES_TO_REWRITE]

Prints medians of several runs in turn. Files are in the page cache when they are timed: what is compared is the work.
"""
import os, re, statistics, subprocess, sys, threading, time
import torch
from safetensors.torch import load_file, save_file

UNROLL, LOADING, FOLDER = sys.argv[1:4]
REWRITTEN = float(sys.argv[4]) if len(sys.argv) > 4 else 8
RUNS = 7


def make(name, gigabytes, fill):
    """A state_dict of word_language_model's names of about so many gigabytes, and its vocabulary."""
    D = 512 if gigabytes < 4 else 1024
    V = int(gigabytes * 2**30 / 8 / D)
    state = {"encoder.weight": fill(V, D), "decoder.weight": fill(V, D), "decoder.bias": fill(V)}
    state |= {"rnn.weight_ih_l0": fill(4 * D, D), "rnn.weight_hh_l0": fill(4 * D, D)}
    state |= {"rnn.bias_ih_l0": fill(4 * D), "rnn.bias_hh_l0": fill(4 * D)}
    tokens = os.path.join(FOLDER, f"{name}.txt")
    with open(tokens, "w") as file:
        file.write("<eos>\n" + "".join(f"w{k}\n" for k in range(V - 1)))
    torch.save(state, os.path.join(FOLDER, f"{name}.pt"))
    return state, tokens


def peak_anonymous(command):
    """Runs a command: its seconds, and the peak of the anonymous memory of it and of its children, in MiB."""
    start, peak = time.perf_counter(), [0]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def watch():
        while process.poll() is None:
            try:
                children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
                for pid in [str(process.pid), *children]:
                    status = open(f"/proc/{pid}/status").read()
                    peak[0] = max(peak[0], int(re.search(r"RssAnon:\s+(\d+)", status)[1]))
            except (OSError, TypeError):
                pass
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    assert code == 0, f"{command}: exit code {code}"
    return time.perf_counter() - start, peak[0] / 1024


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


state, tokens = make("one", 1, lambda *shape: torch.randn(*shape) * 0.1)
tensors_path, path = os.path.join(FOLDER, "one.safetensors"), os.path.join(FOLDER, "one.unroll.h5")
save_file(state, tensors_path)
took, memory = peak_anonymous([UNROLL, "convert", f"{FOLDER}/one.pt", "--vocabulary", tokens, "-o", path])
size = os.path.getsize(path)
print(f"convert, {size / 2**30:.2f} GiB: {took:.1f} s, anonymous memory {memory:.0f} MiB")

first, whole, verify, hashing, torch_load, safe = [], [], [], [], [], []
for _ in range(RUNS):
    whole.append(seconds(lambda: first.append(float(run(LOADING, "first", path).split()[0]) / 1000)) * 1000)
    hashing.append(seconds(lambda: run("sh", "-c", f"cat {path} >/dev/null; openssl dgst -sha256 {path}")))
    verify.append(seconds(lambda: run(UNROLL, "validate", path)))
    # Every byte is touched: a mapping alone costs nothing.
    safe.append(seconds(lambda: [float(t.sum()) for t in load_file(tensors_path).values()]))
    torch_load.append(seconds(lambda: torch.load(f"{FOLDER}/one.pt", weights_only=True)))
import safetensors


def safe_first():
    with safetensors.safe_open(tensors_path, "pt") as file:
        file.get_slice("decoder.weight")[0:1]


opened = statistics.median(seconds(safe_first) for _ in range(RUNS)) * 1000
median = statistics.median
print(f"first number of a tensor: {median(first):.2f} ms after main began, {median(whole):.1f} ms with the process")
print(f"safetensors in Python, in a process that runs: {opened:.2f} ms to a row")
print(f"validate (every byte, every digest): {median(verify):.2f} s; cat and openssl: {median(hashing):.2f} s; "
      f"ratio of speeds {median(h / v for h, v in zip(hashing, verify)):.2f}")
print(f"all bytes into a sum: safetensors {median(safe):.2f} s; torch.load: {median(torch_load):.2f} s")
del state

state, tokens = make("many", REWRITTEN, lambda *shape: torch.zeros(*shape))
del state
path, archive, again = (f"{FOLDER}/many{suffix}.unroll.h5" for suffix in ("", "-archive", "-again"))
for name, command in [
    ("convert", [UNROLL, "convert", f"{FOLDER}/many.pt", "--vocabulary", tokens, "-o", path]),
    ("repack to archive", [UNROLL, "repack", path, "--profile", "archive", "-o", archive]),
    ("repack to live", [UNROLL, "repack", archive, "--profile", "live", "-o", again]),
]:
    took, memory = peak_anonymous(command)
    print(f"{name}, {os.path.getsize(path) / 2**30:.2f} GiB: {took:.1f} s, anonymous memory {memory:.0f} MiB", flush=True)
    if name == "convert":
        os.remove(f"{FOLDER}/many.pt")
print("live again equals the first file:", run("cmp", path, again) == "")
