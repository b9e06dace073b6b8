"""The rates of matrix products beside those of PyTorch (MKL) and NumPy (OpenBLAS); called by Benchmarks/run-products.

usage: products.py PROGRAM [THREADS ...]     Markdown tables on standard output; 1 and 2 threads unless told
       products.py --peer NAME THREADS KIND M N K

The programs take turns of half a second, 5 times around after one that does not count; a rate is of the median turn.
"""
import os
import statistics
import subprocess
import sys
import time

TURNS = 5
# What a model with layers of 650 and 33,278 words multiplies, and one of characters with layers of 256.
SHAPES = [
    ("packed", 700, 2600, 650, "the input's part of a window"), ("packed", 20, 2600, 650, "one step of 20 columns"),
    ("packed", 1, 2600, 650, "one step of one column"), ("packed", 128, 1024, 650, "logits, 128 rows and 1,024 words"),
    ("packed", 1, 33278, 650, "logits of one row"), ("packed", 50, 1024, 256, "one step of 50 columns, characters"),
    ("packed", 1, 1024, 256, "one step of one column, characters"), ("ABt", 700, 1024, 650, "logits in training"),
    ("AtB", 1024, 650, 700, "gradient of the output weight"), ("AB", 700, 650, 1024, "gradient of the hidden states"),
    ("AtB", 2600, 650, 700, "gradient of a layer's weight"),
]


def peer(name, threads, kind, M, N, K):
    """Multiplies as a peer for each line on standard input."""
    if name == "torch":
        import torch
        torch.set_num_threads(threads)
        make, multiply = (lambda *s: torch.rand(*s)), torch.mm
    else:
        import numpy
        make, multiply = (lambda *s: numpy.random.rand(*s).astype("f4")), numpy.matmul
    a = make(K, M).T if kind == "AtB" else make(M, K)
    b = make(K, N) if kind in ("AtB", "AB") else make(N, K).T
    for _ in sys.stdin:
        times, start = [], time.perf_counter()
        while time.perf_counter() < start + 0.5:
            before = time.perf_counter()
            multiply(a, b)
            times.append(time.perf_counter() - before)
        print(statistics.median(times), flush=True)


def start(*command, **environment):
    return subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env=os.environ | environment)


def rates(program, threads, kind, M, N, K):
    """Gigaflops of each contestant."""
    contestants = {}
    for precision in ["f32", "bf16", "int8"] if kind == "packed" else ["f32"]:
        contestants[precision] = start(program, threads, kind, precision, M, N, K)
    own = [sys.executable, __file__, "--peer"]
    contestants["PyTorch"] = start(*own, "torch", threads, kind, M, N, K)
    contestants["NumPy"] = start(*own, "numpy", threads, kind, M, N, K, OPENBLAS_NUM_THREADS=str(threads))
    seconds = {name: [] for name in contestants}
    for turn in range(1 + TURNS):
        for name, process in contestants.items():
            process.stdin.write("\n")
            process.stdin.flush()
            value = float(process.stdout.readline())
            if turn:
                seconds[name].append(value)
    for process in contestants.values():
        process.stdin.close()
        process.wait()
    return {name: 2e-9 * M * N * K / statistics.median(values) for name, values in seconds.items()}


def main(program, *threads):
    for count in [int(t) for t in threads] or [1, 2]:
        print(f"\n| M x N x K, {count} thread{'s' * (count > 1)} | product | f32 | PyTorch | NumPy | bf16 | int8 |\n|---|---|---|---|---|---|---|")
        for kind, M, N, K, what in SHAPES:
            found = rates(program, count, kind, M, N, K)
            cells = [f"{found[name]:.0f}" if name in found else "" for name in ["f32", "PyTorch", "NumPy", "bf16", "int8"]]
            print(f"| {M:,} x {N:,} x {K:,} | {what} | {' | '.join(cells)} |", flush=True)


if sys.argv[1] == "--peer":
    peer(sys.argv[2], int(sys.argv[3]), sys.argv[4], *map(int, sys.argv[5:]))
else:
    main(*sys.argv[1:])
