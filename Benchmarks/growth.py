"""How the speed of unroll grows with the shape of the work, and a cost model fitted to it; called by Benchmarks/run-growth.

usage: growth.py SPEED_PROGRAM PICTURE.svg [WORK:THREADS ...]     tables on standard output, the curves in the picture

Works are evaluate and train, with 1 and 2 threads unless told. One number at a time is changed in a model of LSTM 2x512,
V 10,000, B 20, T 35. The model of the cost is a sum of terms with coefficients that are not negative, fitted to the relative
errors: the operations of the window's products, those of the time steps' products, the bytes of weights that a step reads
again, the output weight, gates, logits, steps, and one for the window. Each point is also predicted from a fit to all others.
"""
import math
import sys

import matplotlib
import numpy as np
import scipy.optimize
from speed import Contestant

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

BASE = dict(batch=20, hidden=512, vocabulary=10_000, bptt=35)
SWEEPS = {
    "batch": [1, 2, 4, 8, 16, 32, 64, 128],
    "hidden": [64, 128, 256, 512, 1024, 1536],
    "vocabulary": [1_000, 4_000, 16_000, 65_000, 262_000, 1_000_000],
    "bptt": [1, 2, 5, 10, 20, 70, 140],
}
TURNS = 3


def measure(program, mode, threads, point):
    """The median seconds of a few turns."""
    words = ["--mode", mode, "--threads", str(threads), "--widths", ",".join([str(point["hidden"])] * 3)]
    for name in ("batch", "vocabulary", "bptt"):
        words += [f"--{name}", str(point[name])]
    program = Contestant([program, *words], {})
    for _ in range(TURNS):
        program.run()
    program.end()
    return sorted(program.times)[TURNS // 2]


def features(mode, point):
    B, H, V, T = (point[name] for name in ("batch", "hidden", "vocabulary", "bptt"))
    M, passes = T * B, 3 if mode == "train" else 1
    weights = 2 * 4 * H * H
    return np.array([
        passes * 2 * M * (weights + V * H),           # operations of a whole window's products
        passes * 2 * M * weights,                     # operations of the time steps' products
        passes * 4 * T * weights,                     # bytes of recurrent weights, read at each step
        4 * V * H,                                    # bytes of the output weight, read once
        M * 2 * 4 * H,                                # gates
        M * V,                                        # logits
        T,                                            # steps
        1,
    ], float)


def fit(rows, times):
    rows, times = np.array(rows), np.array(times)
    scale = rows.max(axis=0)
    coefficients, _ = scipy.optimize.nnls(rows / scale / times[:, None], np.ones(len(times)))
    return coefficients / scale


def main(program, picture, works):
    figure, axes = plt.subplots(1, len(SWEEPS), figsize=(4 * len(SWEEPS), 4))
    for mode, threads in works:
        points, times = [], []
        for name, values in SWEEPS.items():
            for value in values:
                points.append((name, BASE | {name: value}))
                times.append(measure(program, mode, threads, points[-1][1]))
        rows = [features(mode, point) for _, point in points]
        terms = fit(rows, times)
        others = [fit(rows[:i] + rows[i + 1:], times[:i] + times[i + 1:]) for i in range(len(rows))]
        print(f"\n### {mode}, {threads} thread(s)\n\n| changed | tokens/s | predicted | error | left out of the fit |\n"
              "|---|---|---|---|---|")
        for i, (name, point) in enumerate(points):
            count = point["batch"] * point["bptt"]
            predicted, left_out = rows[i] @ terms, rows[i] @ others[i]
            print(f"| {name} {point[name]:,} | {count / times[i]:,.0f} | {count / predicted:,.0f} | "
                  f"{100 * (predicted / times[i] - 1):+.0f} % | {100 * (left_out / times[i] - 1):+.0f} % |")
        errors = sorted(abs(rows[i] @ terms / times[i] - 1) for i in range(len(rows)))
        within = sum(error <= 0.15 for error in errors)
        print(f"\n{within} of {len(errors)} within 15 %, median {100 * errors[len(errors) // 2]:.0f} %, largest "
              f"{100 * errors[-1]:.0f} %. Seconds: " + ", ".join(f"{c:.2e}" for c in terms), flush=True)
        for axis, name in zip(axes, SWEEPS):
            chosen = [i for i, (n, _) in enumerate(points) if n == name]
            x = [points[i][1][name] for i in chosen]
            speed = [points[i][1]["batch"] * points[i][1]["bptt"] / times[i] for i in chosen]
            fitted = [points[i][1]["batch"] * points[i][1]["bptt"] / (rows[i] @ terms) for i in chosen]
            line, = axis.loglog(x, speed, "o", label=f"{mode}, {threads} thread(s)")
            axis.loglog(x, fitted, "-", color=line.get_color())
            axis.set_xlabel(name)
    axes[0].set_ylabel("tokens/s (line: the fit)")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


ALL = ["evaluate:1", "evaluate:2", "train:1", "train:2"]
main(sys.argv[1], sys.argv[2], [(work.split(":")[0], int(work.split(":")[1])) for work in sys.argv[3:] or ALL])
