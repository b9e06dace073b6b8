"""Runs unroll and PyTorch in turn and prints medians, ratios and peak memory; called by Benchmarks/run-evaluating."""
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

unroll, model, corpus = sys.argv[1:4]
RUNS, WARM_UP = 7, 1


def measure(command):
    """The JSON that a command prints, its wall time and the peak memory of its process."""
    import time

    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        assert status == 0, command
        output.seek(0)
        text = output.read().decode()
    return json.loads(text) if text.startswith("{") else {}, wall, usage.ru_maxrss / 1024


def row(name, ours, theirs, unit):
    a, b = statistics.median(ours), statistics.median(theirs)
    ratios = sorted(y / x for x, y in zip(ours, theirs))
    print(f"| {name} | {a:.3f} {unit} | {b:.3f} {unit} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")


with tempfile.TemporaryDirectory() as folder:
    checkpoint = f"{folder}/model.unroll.h5"
    subprocess.run([unroll, "convert", model, "--corpus", corpus, "-o", checkpoint], check=True,
                   stderr=subprocess.DEVNULL)
    size = os.path.getsize(checkpoint) / 2**20
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line),
                     platform.processor()) if os.path.exists("/proc/cpuinfo") else platform.processor()
    print(f"Model {os.path.basename(model)} ({size:.1f} MiB), {processor}, {os.cpu_count()} cores, {RUNS} runs in turn\n")
    print("| measurement | unroll | PyTorch | ratio: median (range) |\n|---|---|---|---|")
    for threads in (2, 1):
        ours_command = [unroll, "evaluate", checkpoint, f"{corpus}/test.txt", "--protocol", "columns", "--threads",
                        str(threads), "--json"]
        theirs_command = [sys.executable, "Benchmarks/peer.py", model, corpus, str(threads)]
        ours, theirs = [], []
        for run in range(-WARM_UP, RUNS):
            pair = measure(ours_command), measure(theirs_command)
            if run >= 0:
                ours.append(pair[0])
                theirs.append(pair[1])
        a, b = ours[0][0], theirs[0][0]
        assert a["predictions"] == b["predictions"] and abs(a["perplexity"] / b["perplexity"] - 1) < 1e-6, (a, b)
        row(f"evaluate, protocol columns, {threads} thread(s)", [m[0]["seconds"] for m in ours],
            [m[0]["seconds"] for m in theirs], "s")
        row(f"the same, the whole process", [m[1] for m in ours], [m[1] for m in theirs], "s")
        peak = max(m[2] for m in ours)
        print(f"| peak memory, {threads} thread(s) | {peak:.1f} MiB = model + {peak - size:.1f} | "
              f"{max(m[2] for m in theirs):.1f} MiB | {max(m[2] for m in theirs) / peak:.1f} |")
    walls = sorted(measure([unroll, "inspect", checkpoint])[1] for _ in range(21))
    print(f"| `unroll inspect`, whole process | {1000 * walls[10]:.1f} ms ({1000 * walls[0]:.1f} to {1000 * walls[-1]:.1f}) | - | - |")
    print(f"\nunroll, torch {b['torch']}; perplexity {a['perplexity']:.6f} and {b['perplexity']:.6f}")
