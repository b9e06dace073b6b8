"""Training steps of unroll and of PyTorch in turn; called by Benchmarks/run-training.

usage: training.py STEP_PROGRAM            a table on standard output
       training.py --peer THREADS [--compile]   PyTorch's side alone: one JSON line

The model is word_language_model's large one: LSTM 2x650, V 33,278, not tied; B 20, T 35. A step is forward,
cross-entropy over all tokens, backward, clipping by global norm 0.25 and SGD, without dropout. Each figure is the
median of 9 steps after 3; programs alternate, and each ratio is of two that ran one after the other.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

V, H, B, T, STEPS, RUNS = 33278, 650, 20, 35, 9, 5


def peer(threads, compiled):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    encoder, rnn, decoder = nn.Embedding(V, H), nn.LSTM(H, H, 2), nn.Linear(H, V)
    parameters = [p for module in (encoder, rnn, decoder) for p in module.parameters()]
    tokens = torch.randint(0, V, (T + 1, B))

    def loss_of(output, targets):
        return F.cross_entropy(decoder(output).view(-1, V), targets)

    if compiled:
        loss_of = torch.compile(loss_of)
    hidden, times = None, []
    for step in range(-3, STEPS):
        start = time.perf_counter()
        for p in parameters:
            p.grad = None
        output, hidden = rnn(encoder(tokens[:-1]), hidden)
        hidden = tuple(h.detach() for h in hidden)
        loss = loss_of(output, tokens[1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.25)
        with torch.no_grad():
            for p in parameters:
                p.add_(p.grad, alpha=-1e-3)
        loss.item()
        if step >= 0:
            times.append(time.perf_counter() - start)
    print(json.dumps({"seconds": statistics.median(times), "torch": torch.__version__}))


def measure(command, **environment):
    """The figures that a command prints, and the peak memory of its process in MiB."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=os.environ | environment)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, command
        output.seek(0)
        return output.read().decode(), usage.ru_maxrss / 1024


def product_share(step):
    """The share of a step's time that oneDNN reports for matrix products."""
    text, _ = measure([step, str(V), str(H), str(B), str(T), "2", str(STEPS)], ONEDNN_VERBOSE="1")
    lines = [line.split(",") for line in text.splitlines()]
    products = sum(float(line[-1]) for line in lines if line[1:2] == ["exec"] and line[3] == "matmul")
    seconds = json.loads(text.splitlines()[-1])["seconds"]
    return products / 1000 / (STEPS + 3) / seconds


def compare(step):
    print(f"LSTM 2x{H}, V {V:,}, B {B}, T {T}; {os.cpu_count()} cores, {RUNS} runs in turn\n")
    print("| training step | unroll | PyTorch | ratio: median (range) |\n|---|---|---|---|")
    for threads, compiled in ((2, False), (1, False), (2, True)):
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(measure([step, str(V), str(H), str(B), str(T), str(threads), str(STEPS)]))
            theirs.append(measure([sys.executable, __file__, "--peer", str(threads)] + ["--compile"] * compiled))
        seconds = [[json.loads(run[0])["seconds"] for run in runs] for runs in (ours, theirs)]
        ratios = sorted(b / a for a, b in zip(*seconds))
        a, b = (statistics.median(s) for s in seconds)
        name = f"{threads} thread(s)" + (", torch.compile" if compiled else "")
        print(f"| {name} | {a:.3f} s, {B * T / a:,.0f} tokens/s | {b:.3f} s, {B * T / b:,.0f} tokens/s | "
              f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |")
        if not compiled:
            peak = [max(run[1] for run in runs) for runs in (ours, theirs)]
            print(f"| peak memory, {name} | {peak[0]:.0f} MiB | {peak[1]:.0f} MiB | {peak[1] / peak[0]:.2f} |")
    print(f"\nMatrix products take {100 * product_share(step):.0f} % of our step (2 threads, as oneDNN reports them). "
          f"torch {json.loads(theirs[0][0])['torch']}.")


if sys.argv[1] == "--peer":
    peer(int(sys.argv[2]), "--compile" in sys.argv)
else:
    compare(sys.argv[1])
