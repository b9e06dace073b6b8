"""Training, evaluation and generation of unroll and its peers in turn; called by Benchmarks/run.

usage: speed.py SPEED_PROGRAM [CASE ...]     tables on standard output and in RESULTS.md; all cases unless told
       speed.py --peer NAME OPTIONS          one peer: for each line on standard input a turn, its seconds out

Each program makes its model once and then waits for its turn, WARM_UP + TURNS times around. In a turn it works for half
a second, and the median counts, the first run left out: caches are its own by then, and the threads of the one before
asleep. A ratio is of two turns that followed each other. The limit is the time of the matrix products alone, at the best rate that was found
for each of their shapes and the type; for generation the time to read all weights once a token, if that is less. Peak memory is that of
the process; those of Python include its libraries.
"""
import json
import os
import statistics
import subprocess
import sys
import time

import chart

WARM_UP, TURNS = 1, 7
CASES = {
    "LSTM 2x650, V 33,278, B 20, T 35": dict(widths="650,650,650", vocabulary=33278, batch=20, bptt=35),
    "LSTM 2x256, V 65, B 50, T 60": dict(widths="256,256,256", vocabulary=65, batch=50, bptt=60),
    "LSTM 2x200, V 18,328, B 20, T 35": dict(widths="200,200,200", vocabulary=18328, batch=20, bptt=35),
    "GRU 2x200, V 18,328, B 20, T 35": dict(cell="GRU", widths="200,200,200", vocabulary=18328, batch=20, bptt=35),
    "RNN 2x200, V 18,328, B 20, T 35": dict(cell="RNN", widths="200,200,200", vocabulary=18328, batch=20, bptt=35),
    "LSTM 400-1150-1150-400 tied, V 33,278, B 80, T 70":
        dict(widths="400,1150,1150,400", vocabulary=33278, batch=80, bptt=70, tied=1),
    "LSTM 2x650 tied, V 33,278, B 20, T 35": dict(widths="650,650,650", vocabulary=33278, batch=20, bptt=35, tied=1),
}

# The types and threads of each: all of two cases, of the others what tells them apart.
ALL = [("f32", 2), ("bf16", 2), ("int8", 2), ("f32", 1)]
KINDS = {"LSTM 2x650, V 33,278, B 20, T 35": ALL, "LSTM 2x256, V 65, B 50, T 60": ALL}


# The peers


def torch_model(o):
    """The embedding, the layers and the decoder, and a function from tokens and states to hidden states."""
    import torch
    import torch.nn as nn

    torch.set_num_threads(o["threads"])
    torch.manual_seed(0)
    widths = [int(w) for w in o["widths"].split(",")]
    encoder = nn.Embedding(o["vocabulary"], widths[0])
    make = getattr(nn, o.get("cell", "LSTM"))
    same = len(set(widths)) == 1
    layers = [make(widths[0], widths[0], len(widths) - 1)] if same else [make(*pair) for pair in zip(widths, widths[1:])]
    decoder = nn.Linear(widths[-1], o["vocabulary"])
    if o.get("tied"):
        decoder.weight = encoder.weight

    def run(tokens, states):
        x, after = encoder(tokens), []
        for layer, state in zip(layers, states):
            x, state = layer(x, state)
            after.append(state)
        return x, after

    return nn.ModuleList([encoder, *layers, decoder]), run, decoder, [None] * len(layers)


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def torch_peer(o, compiled):
    import torch
    import torch.nn.functional as F

    modules, run, decoder, states = torch_model(o)
    parameters = list(modules.parameters())
    V, B, T = o["vocabulary"], o["batch"], o["bptt"]
    x, y = torch.randint(0, V, (T, B)), torch.randint(0, V, (T * B,))
    cast = torch.autocast("cpu", torch.bfloat16, enabled=o["precision"] != "f32")

    def head(hidden, targets):
        return F.cross_entropy(decoder(hidden).view(-1, V).float(), targets)

    if compiled:
        head = torch.compile(head)

    def train():
        nonlocal states
        for p in parameters:
            p.grad = None
        with cast:
            hidden, states = run(x, states)
            loss = head(hidden, y)
        states = [detached(s) for s in states]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.25)
        with torch.no_grad():
            for p in parameters:
                p.add_(p.grad, alpha=-1e-3)
        return loss.item()

    @torch.no_grad()
    def evaluate():
        nonlocal states
        with cast:
            hidden, states = run(x, states)
            return head(hidden, y).item()

    token = x[:1, :1]

    @torch.no_grad()
    def generate():
        nonlocal token, states
        with cast:
            for _ in range(T):
                hidden, states = run(token, states)
                token = decoder(hidden).argmax(-1)

    return {"train": train, "evaluate": evaluate, "generate": generate}[o["mode"]]


def onnx_peer(o):
    """ONNX Runtime with the graph that PyTorch exports: the summed loss, or the likeliest next token."""
    import io

    import numpy as np
    import onnxruntime
    import torch
    import torch.nn.functional as F

    modules, run, decoder, states = torch_model(o)
    V, generates = o["vocabulary"], o["mode"] == "generate"
    B, T = (1, 1) if generates else (o["batch"], o["bptt"])
    x = torch.randint(0, V, (T, B))
    _, states = run(x, states)
    flat = [s for state in states for s in (state if isinstance(state, tuple) else (state,))]
    width = len(flat) // len(states)

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.modules_ = modules

        def forward(self, tokens, targets, *flat):
            states = [flat[i] if width == 1 else flat[i:i + width] for i in range(0, len(flat), width)]
            hidden, states = run(tokens, states)
            logits = decoder(hidden)
            if generates:
                out = logits.argmax(-1)
            else:
                out = -F.log_softmax(logits.view(-1, V), -1).gather(1, targets.view(-1, 1)).sum()
            return (out, *[s for state in states for s in (state if isinstance(state, tuple) else (state,))])

    names = [f"s{i}" for i in range(len(flat))]
    file = io.BytesIO()
    targets = torch.randint(0, V, (T * B,))
    torch.onnx.export(Graph().eval(), (x, targets, *[s.detach() for s in flat]), file, dynamo=False, opset_version=17,
                      input_names=["tokens", "targets"] + names, output_names=["out"] + [n + "_out" for n in names])
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = o["threads"]
    session = onnxruntime.InferenceSession(file.getvalue(), settings, providers=["CPUExecutionProvider"])
    inputs = {i.name for i in session.get_inputs()}
    feed = {"tokens": x.numpy(), "targets": targets.numpy(), **{n: s.detach().numpy() for n, s in zip(names, flat)}}
    feed = {name: value for name, value in feed.items() if name in inputs}

    def work():
        for _ in range(o["bptt"] if generates else 1):
            out, *after = session.run(None, feed)
            feed.update(zip(names, after))
            if generates:
                feed["tokens"] = np.asarray(out).reshape(1, 1)

    return work


def keras_peer(o):
    """Keras on JAX, compiled: the fastest of its backends on a CPU."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import numpy as np

    widths = [int(w) for w in o["widths"].split(",")]
    V, B, T = o["vocabulary"], o["batch"], o["bptt"]
    make = getattr(keras.layers, {"RNN": "SimpleRNN"}.get(o.get("cell", "LSTM"), o.get("cell", "LSTM")))
    model = keras.Sequential([keras.layers.Input((T,), batch_size=B), keras.layers.Embedding(V, widths[0])]
                             + [make(w, return_sequences=True) for w in widths[1:]] + [keras.layers.Dense(V)])
    model.compile(optimizer=keras.optimizers.SGD(1e-3, global_clipnorm=0.25),
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
    x, y = np.random.randint(0, V, (B, T)), np.random.randint(0, V, (B, T))
    return lambda: (model.train_on_batch if o["mode"] == "train" else model.test_on_batch)(x, y)


PEERS = {
    "PyTorch": lambda o: torch_peer(o, False),
    "PyTorch compiled": lambda o: torch_peer(o, True),
    "ONNX Runtime": onnx_peer,
    "Keras, JAX": keras_peer,
}


def peers_of(o):
    """Those that can do the work in its precision; beside int8 they compute in bf16."""
    names = ["PyTorch"] if o["mode"] == "generate" else ["PyTorch", "PyTorch compiled"]
    if o["precision"] == "f32" and o["mode"] != "train":
        names.append("ONNX Runtime")
    # JAX takes as many threads as there are processors; Keras has no tied layers.
    if o["mode"] != "generate" and o["precision"] == "f32" and o["threads"] == os.cpu_count() and not o.get("tied"):
        names.append("Keras, JAX")
    return names


def serve(name, o):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[: o["threads"]])
    work = PEERS[name](o)
    answers, sys.stdout = sys.stdout, sys.stderr
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        times = []
        while not times or time.perf_counter() - start < 0.5:
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
        print(statistics.median(times), file=answers, flush=True)


# The comparison


class Contestant:
    """A program that does one run for each line."""

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=os.environ | (environment or {}))
        self.times = []

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.times.append(float(self.process.stdout.readline()))

    def end(self):
        """Ends the program; its peak memory in MiB."""
        self.process.stdin.close()
        return os.wait4(self.process.pid, 0)[2].ru_maxrss / 1024


def compare(program, name, o):
    words = [word for key, value in o.items() for word in (f"--{key}", str(value))]
    limit = float(subprocess.run([program, *words, "--limit", "1"], check=True, capture_output=True, text=True).stdout)
    ours = Contestant([program, *words], {})
    peers = {p: Contestant([sys.executable, __file__, "--peer", p, json.dumps(o)]) for p in peers_of(o)}
    for _ in range(WARM_UP + TURNS):
        ours.run()
        for peer in list(peers):
            try:
                peers[peer].run()
            except (ValueError, BrokenPipeError):
                print(f"{peer} failed: {name} {o}", file=sys.stderr)
                peers.pop(peer).process.kill()
    times = {None: ours.times[WARM_UP:], **{p: c.times[WARM_UP:] for p, c in peers.items()}}
    memory = {None: ours.end(), **{p: c.end() for p, c in peers.items()}}
    median = statistics.median(times[None])
    count = o["bptt"] * (1 if o["mode"] == "generate" else o["batch"])
    own = (f"| {o['mode']} | {o['precision']} | {o['threads']} | {1000 * median:.1f} ms | {count / median:,.0f} | "
           f"{100 * limit / median:.0f} % |")
    if peers:
        best = min(peers, key=lambda p: statistics.median(times[p]))
        ratios = sorted(b / a for a, b in zip(times[None], times[best]))
        others = ", ".join(f"{p} {1000 * statistics.median(times[p]):.1f}" for p in peers if p != best)
        row = (f"{own} {best} {1000 * statistics.median(times[best]):.1f} | "
               f"**{statistics.median(ratios):.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {others} | "
               f"{memory[None]:.0f} of {memory[best]:.0f} MiB |")
    else:
        row = f"{own} none runs here | | | {memory[None]:.0f} MiB |"
    print(row, flush=True)
    return row


# The results


RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "RESULTS.md")
CHAPTER = "## Training, evaluation and generation beside their peers"
HEAD = ("| work | type | threads | unroll | tokens/s | of the limit | best peer, ms | ratio | others, ms | peak memory |\n"
        "|---|---|---|---|---|---|---|---|---|---|")


def processor():
    """The processor's name, and the instruction sets that decide how fast products are: names alone are often general."""
    if not os.path.exists("/proc/cpuinfo"):
        name = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True).stdout
        return f"{name.strip() or 'unnamed processor'}, {os.cpu_count()} cores"
    lines = dict(line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    sets = [name for flag, name in [("avx512f", "AVX-512"), ("avx512_vnni", "VNNI"), ("avx512_bf16", "bf16"),
                                    ("asimd", "NEON")] if flag in flags] or ["AVX2" if "avx2" in flags else "no AVX2"]
    name = fields.get("model name", "unnamed processor") + generation(fields)
    return f"{name} with {', '.join(sets)}, {os.cpu_count()} cores"


def generation(fields):
    """AMD's microarchitecture by family and model: virtual machines have one name for all, of very different speed."""
    if fields.get("vendor_id") != "AuthenticAMD":
        return ""
    family, model = int(fields["cpu family"]), int(fields["model"])
    zen4 = 0x10 <= model < 0x20 or 0x60 <= model < 0xB0
    return {23: " (Zen 2 or older)", 25: " (Zen 4)" if zen4 else " (Zen 3)", 26: " (Zen 5)"}.get(family, "")


def record(case, rows):
    """Puts the table of a case into this processor's section of RESULTS.md; other processors keep theirs."""
    with open(RESULTS) as file:
        text = file.read()
    start = text.index(CHAPTER)
    end = text.index("\n## ", start)
    chapter, title = text[start:end], f"\n### {processor()}\n"
    if title not in chapter:
        chapter = chapter.rstrip("\n") + "\n" + title
    place = chapter.index(title) + len(title)
    following = chapter.find("\n### ", place)
    following = len(chapter) if following < 0 else following
    section, heading = chapter[place:following], f"\n#### {case}\n"
    table = f"{heading}\n{time.strftime('%Y-%m-%d')}; {TURNS} turns of each after {WARM_UP}.\n\n{HEAD}\n" + "\n".join(rows) + "\n"
    if heading in section:
        first = section.index(heading)
        last = section.find("\n#### ", first + 1)
        section = section[:first] + table + (section[last:] if last >= 0 else "")
    else:
        body = section.rstrip("\n")
        section = (body + "\n" if body else "") + table
    with open(RESULTS, "w") as file:
        file.write(text[:start] + chapter[:place] + section + chapter[following:] + text[end:])


def main(program, chosen):
    print(processor())
    for name, case in CASES.items():
        if chosen and not any(word in name for word in chosen):
            continue
        print(f"\n#### {name}\n\n{HEAD}", flush=True)
        rows = []
        for precision, threads in KINDS.get(name, ALL[:2]):
            for mode in ("train", "evaluate", "generate"):
                if (precision, mode) != ("int8", "train"):
                    rows.append(compare(program, name, dict(mode=mode, precision=precision, threads=threads, **case)))
        record(name, rows)
        chart.main()


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        serve(sys.argv[2], json.loads(sys.argv[3]))
    else:
        main(sys.argv[1], sys.argv[2:])
