"""What `unroll gradients` reports, computed again by autograd; run by scripts/check/gradients.

In float32, as the tool computes. Autograd in float64 differs from both by up to 1e-2 where units are saturated: both
have the derivatives of tanh and sigmoid, 1 - y^2 and y - y^2, from a y that is rounded to float32.
"""
import json
import subprocess
import tempfile

import h5py
import numpy
import torch
import torch.nn.functional as F

DATA = "fixtures/characters"
K, B, T, POSITIONS, WINDOWS, CLIP, THRESHOLD = 40, 5, 20, 60, 12, 0.25, 0.01
GATES = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Model:
    """A checkpoint step by step, each state a tensor of its own."""

    def __init__(self, path, dtype):
        self.dtype = dtype
        with h5py.File(path) as file:
            self.parameters = {}
            file["/model"].visititems(lambda name, item: self.parameters.update(
                {name: torch.from_numpy(item[:]).to(dtype).requires_grad_()} if isinstance(item, h5py.Dataset) else {}))
            layers = [file[f"/model/layers/{name}"] for name in sorted(file["/model/layers"])]
            self.cells = [layer.attrs["cell"].decode() for layer in layers]
            self.sizes = [int(layer.attrs["hidden_size"]) for layer in layers]
            offsets, data = file["/vocabulary/token_offsets"][:], file["/vocabulary/token_bytes"][:].tobytes()
            self.index = {data[a:b].decode(): i for i, (a, b) in enumerate(zip(offsets[:-1], offsets[1:]))}

    def zero_state(self):
        return [tuple(torch.zeros(B, H, dtype=self.dtype) for _ in "hc") for H in self.sizes]

    def step(self, ids, state):
        x, after = self.parameters["embedding/weight"][ids], []
        for index, (cell, (h, c)) in enumerate(zip(self.cells, state)):
            wi, wh, bi, bh = (self.parameters[f"layers/{index:02d}/{name}"] for name in PARAMETERS)
            a, b = x @ wi.T + bi, h @ wh.T + bh
            if cell == "lstm":
                i, f, g, o = (a + b).chunk(4, -1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                x = o.sigmoid() * c.tanh()
            elif cell == "gru":
                (ar, az, an), (br, bz, bn) = a.chunk(3, -1), b.chunk(3, -1)
                z = (az + bz).sigmoid()
                x = (1 - z) * (an + (ar + br).sigmoid() * bn).tanh() + z * h
            else:
                x = (a + b).tanh()
            after.append((x, c))
        return after

    def loss(self, state, targets, reduction):
        logits = state[-1][0] @ self.parameters["output/weight"].T + self.parameters["output/bias"]
        return F.cross_entropy(logits, targets, reduction=reduction)


def detached(state):
    return [tuple(s.detach() for s in layer) for layer in state]


def norms_by_lag(model, rows, state, step):
    """[curve][K+1][B] from the loss of one step alone."""
    states = []
    for t in range(step - K, step + 1):
        state = model.step(rows[t], state)
        states.append(state)
    wanted = [s[layer][which] for layer, cell in enumerate(model.cells) for which in range(2 if cell == "lstm" else 1)
              for s in reversed(states)]
    gradients = torch.autograd.grad(model.loss(states[-1], rows[step + 1], "sum"), wanted)
    return torch.stack([g.double().norm(dim=-1) for g in gradients]).view(-1, K + 1, B).numpy()


def window_norm(model, rows, state, start):
    losses = []
    for t in range(start, min(start + T, len(rows) - 1)):
        state = model.step(rows[t], state)
        losses.append(model.loss(state, rows[t + 1], "mean"))
    parameters = list(model.parameters.values())
    gradients = torch.autograd.grad(torch.stack(losses).mean(), parameters)
    return torch.sqrt(sum((g**2).sum() for g in gradients)).item()


def relative(found, expected):
    found, expected = numpy.asarray(found, float), numpy.asarray(expected, float)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(numpy.abs(found / expected - 1).max())


def measure(model, rows, steps, windows):
    """The ratios to lag 0, [curve][K+1][N], and the norms of the windows' gradients."""
    starts = {t - K for t in steps} | {w * T for w in windows}
    state, before = model.zero_state(), {}
    with torch.no_grad():
        for t in range(max(starts) + 1):
            if t in starts:
                before[t] = detached(state)
            state = model.step(rows[t], state)
    norms = numpy.concatenate([norms_by_lag(model, rows, before[t - K], t) for t in steps], axis=-1)
    return norms / norms[:, :1], [window_norm(model, rows, before[w * T], w * T) for w in windows]


def check_curves(curves, ratios):
    """The largest relative difference of what is reported of the ratios [curve][K+1][N]."""
    worst = 0.0
    assert len(curves) == len(ratios)
    for curve, ratio in zip(curves, ratios):
        names = ("lower_quartile", "median", "upper_quartile")
        quartiles = dict(zip(names, numpy.quantile(ratio, [0.25, 0.5, 0.75], axis=-1)))
        median = quartiles["median"]
        small = numpy.flatnonzero(median < 1e-20)
        last = int(small[0]) - 1 if len(small) else K
        slope = numpy.polyfit(range(1, last + 1), numpy.log(median[1:last + 1]), 1)[0]
        worst = max(worst, relative([curve["decay_rate"], curve["half_life"]], [numpy.exp(slope), -numpy.log(2) / slope]),
                    *(relative(curve[name], quartiles[name]) for name in names))
        assert curve["positions"] == POSITIONS and curve["fitted_lags"] == [1, last]
        assert curve["horizon"] == max(k for k in range(K + 1) if median[k] >= THRESHOLD)
    return worst


def check_spectra(rows, model):
    """The largest relative difference of spectral radii and singular values."""
    expected = []
    for layer, (cell, H) in enumerate(zip(model.cells, model.sizes)):
        weight = model.parameters[f"layers/{layer:02d}/weight_hh"].detach().double().numpy()
        for gate, block in zip(GATES[cell], weight.reshape(-1, H, H), strict=True):
            expected.append((layer, gate, abs(numpy.linalg.eigvals(block)).max(), numpy.linalg.norm(block, 2)))
    assert [(row["layer"], row["gate"]) for row in rows] == [row[:2] for row in expected]
    return relative([(row["spectral_radius"], row["largest_singular_value"]) for row in rows],
                    [row[2:] for row in expected])


def check(cell, path, text):
    report = json.loads(subprocess.run(
        ["unroll", "gradients", path, text, "--json", "--lags", str(K), "--batch-size", str(B), "--bptt", str(T),
         "--positions", str(POSITIONS), "--windows", str(WINDOWS), "--clip", str(CLIP), "--threshold", str(THRESHOLD)],
        check=True, stdout=subprocess.PIPE, text=True).stdout)
    model = Model(path, torch.float32)
    with open(text, encoding="utf8") as lines:
        ids = torch.tensor([model.index[word] for line in lines for word in line.split() + ["<eos>"]])
    rows = ids[:len(ids) // B * B].view(B, -1).t().contiguous()
    steps, clipping, curves = report["steps"], report["clipping"], report["curves"]
    assert report["tokens"] == len(ids) and len(steps) * B == POSITIONS and len(clipping["windows"]) == WINDOWS
    assert all(K <= t < len(rows) - 1 for t in steps)

    ratios, norms = measure(model, rows, steps, clipping["windows"])
    exact, _ = measure(Model(path, torch.float64), rows, steps, [])
    assert clipping["clipped"] == sum(norm > CLIP for norm in norms)
    differences = check_curves(curves, ratios), relative(clipping["norms"], norms), check_spectra(report["weight_hh"], model)
    exact = numpy.quantile(exact, [0.25, 0.5, 0.75], axis=-1)
    ours = relative([[curve[name] for curve in curves] for name in ("lower_quartile", "median", "upper_quartile")], exact)
    theirs = relative(numpy.quantile(ratios, [0.25, 0.5, 0.75], axis=-1), exact)
    print(f"check/gradients: {cell}: half-lives " + " ".join(f"{curve['half_life']:.2f}" for curve in curves)
          + f"; largest relative difference of {len(curves)} curves of {K} lags {differences[0]:.1e}, of gradient norms "
          f"{differences[1]:.1e}, of spectra {differences[2]:.1e}; of quartiles from float64 "
          f"{ours:.1e}, PyTorch's {theirs:.1e} (torch {torch.__version__}, numpy {numpy.__version__})",
          flush=True)
    # Gradients over many lags are small: floats of 32 bits hold them to about 1e-4, PyTorch's to `theirs`. Ours may be
    # no worse, and then two programs differ by both errors, relative to other numbers.
    assert ours < max(1e-4, 1.5 * theirs), (ours, theirs)
    assert differences[0] < max(1e-4, 1.01 * (ours + theirs)), (differences, ours, theirs)
    assert differences[1] < 1e-5 and differences[2] < 1e-4, differences


with tempfile.TemporaryDirectory() as folder:
    for cell in GATES:
        path = f"{folder}/{cell}.unroll.h5"
        subprocess.run(
            ["unroll", "train", "--cell", cell, "--train", f"{DATA}/train.txt", "--valid", f"{DATA}/valid.txt",
             "--embedding-size", "16", "--hidden-size", "24,20", "--optimizer", "adam", "--learning-rate", "0.01",
             "--schedule", "constant", "--steps", "150", "-o", path],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        check(cell, path, f"{DATA}/valid.txt")
