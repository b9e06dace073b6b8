"""Trains with full, sampled and adaptive softmax by unroll and by PyTorch; called by Benchmarks/run-vocabularies.

The text has tokens by Zipf's law from a vocabulary of V. Both sides train an LSTM of one layer of 200 with embeddings of 200 by
SGD, batches of 20 streams and windows of 35 steps, clipped.
As its own peer it is called with --peer KIND V STEPS THREADS.
"""
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SIZES, HIDDEN, STREAMS, WINDOW, RUNS = (33_278, 262_144), 200, 20, 35, 3
DRAWS, FACTOR = 2000, 4
# The steps of the short and the long run.
STEPS = {(33_278, "full"): (3, 13), (262_144, "full"): (1, 4)}
FEW, MANY = 3, 43


def cutoffs(V):
    return [V // 16, V // 4]


def tokens(V, count, seed):
    g = random.Random(seed)
    return [min(V - 1, int((V + 1) ** g.random()) - 1) for _ in range(count)]


def peer(kind, V, steps, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    ids = torch.tensor(tokens(V, STREAMS * (MANY + 2) * WINDOW, 1)).reshape(STREAMS, -1).t()
    embedding, rnn = nn.Embedding(V, HIDDEN), nn.LSTM(HIDDEN, HIDDEN)
    if kind == "adaptive":
        output = nn.AdaptiveLogSoftmaxWithLoss(HIDDEN, V, cutoffs(V), div_value=FACTOR, head_bias=True)
    else:
        output = nn.Linear(HIDDEN, V)
    parameters = [p for m in (embedding, rnn, output) for p in m.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    state = None
    times = []
    for step in range(steps):
        start = time.perf_counter()
        inputs, targets = (ids[step * WINDOW + k : (step + 1) * WINDOW + k] for k in (0, 1))
        hidden, state = rnn(embedding(inputs), state)
        state = tuple(s.detach() for s in state)
        hidden, targets = hidden.flatten(0, 1), targets.flatten()
        loss = output(hidden, targets).loss if kind == "adaptive" else nn.functional.cross_entropy(output(hidden), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.25)
        optimizer.step()
        times.append(time.perf_counter() - start)
    # The first steps allocate memory.
    print(statistics.median(times[min(2, steps - 1):]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def timed(command):
    """Seconds and MiB of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    if status:
        sys.exit(f"{command} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, text


def main(unroll, threads):
    print(f"| V | loss | unroll ms/step | PyTorch ms/step | PyTorch / unroll | unroll MiB | PyTorch MiB |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for V in SIZES:
            names = {part: os.path.join(folder, f"{part}{V}.txt") for part in ("train", "valid", "vocabulary")}
            for part, count in ("train", STREAMS * (MANY + 2) * WINDOW), ("valid", 100):
                with open(names[part], "w") as file:
                    ids = tokens(V, count, 1 if part == "train" else 2)
                    file.writelines(" ".join(f"w{i}" for i in ids[k : k + 20]) + "\n" for k in range(0, count, 20))
            with open(names["vocabulary"], "w") as file:
                file.writelines(f"w{i}\n" for i in range(V))
            options = {"full": [], "sampled": ["--sampled-softmax", str(DRAWS)],
                       "adaptive": ["--adaptive-cutoffs", ",".join(map(str, cutoffs(V))), "--adaptive-factor", str(FACTOR)]}
            for kind, more in options.items():
                def ours(steps):
                    return timed([unroll, "train", "--train", names["train"], "--valid", names["valid"], "--vocabulary", names["vocabulary"],
                                  "--embedding-size", str(HIDDEN), "--hidden-size", str(HIDDEN), "--num-layers", "1", "--epochs", "1000",
                                  "--steps", str(steps), "--threads", str(threads), "-o", os.path.join(folder, "m.unroll.h5"), "--force", *more])
                def theirs(steps):
                    _, _, text = timed([sys.executable, __file__, "--peer", kind, str(V), str(steps), str(threads)])
                    return tuple(map(float, text.split()))
                rows = []
                for _ in range(RUNS):
                    row = []
                    for side in (ours,) if kind == "sampled" else (ours, theirs):
                        few, many = STEPS.get((V, kind), (FEW, MANY))
                        long = side(many)
                        # unroll's run also reads, evaluates and saves; PyTorch's prints the median of its steps.
                        seconds = (long[0] - side(few)[0]) / (many - few) if side is ours else long[0]
                        row += [1000 * seconds, long[1]]
                    rows.append(row)
                middle = [statistics.median(column) for column in zip(*rows)]
                if kind == "sampled":
                    print(f"| {V:,} | {kind} | {middle[0]:.0f} | | | {middle[1]:.0f} | |", flush=True)
                else:
                    print(f"| {V:,} | {kind} | {middle[0]:.0f} | {middle[2]:.0f} | {middle[2] / middle[0]:.2f} | {middle[1]:.0f} | {middle[3]:.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        peer(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main(sys.argv[1], int(sys.argv[2]))
