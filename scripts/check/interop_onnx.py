"""Our ONNX files as onnx and ONNX Runtime see them, and theirs as we see them; run by scripts/check/interop."""
import glob
import os
import subprocess
import tempfile
import warnings

import h5py
import numpy as np
import onnx
import onnxruntime
import torch

warnings.filterwarnings("ignore")
DATA = "fixtures/characters"


def convert(*arguments):
    subprocess.run(["unroll", "convert", *map(str, arguments), "--force"], check=True, stderr=subprocess.DEVNULL)


def log_probabilities(path, ids):
    """`[T - 1, V]` of a graph of ours, fed in two windows with the states handed on."""
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    states = {value.name: np.zeros([1 if isinstance(n, str) else n for n in value.shape],
                                   np.float16 if value.type == "tensor(float16)" else np.float32)
              for value in session.get_inputs()[1:]}
    names, rows, half = [value.name for value in session.get_outputs()], [], len(ids) // 2
    for window in (ids[:half], ids[half:-1]):
        result = dict(zip(names, session.run(None, {"tokens": np.array(window, np.int64)[:, None], **states})))
        states = {name: result[f"{name}_after"] for name in states}
        rows.append(result["log_probabilities"][:, 0])
    return np.concatenate(rows).astype(np.float64)


def of_targets(logp, ids):
    return logp[np.arange(len(ids) - 1), ids[1:]]


def checkpoints(folder):
    """Every variant that ONNX has, against the log-probabilities of its first producer."""
    worst, count = 0.0, 0
    for path in sorted(glob.glob("fixtures/checkpoints/*.h5")):
        if "projection" in path or "mixed" in path:  # ONNX has no projections, nor forget biases at run time.
            continue
        convert(path, "-o", f"{folder}/a.onnx", "--dtype", "f32")
        with h5py.File(path) as file:
            test = file["self_test"]
            ids, expected = test["token_ids"][:].astype(int), test["log_probabilities"][:]
        ours = of_targets(log_probabilities(f"{folder}/a.onnx", ids), ids)
        assert len(ours) == len(expected)
        worst, count = max(worst, np.abs(ours - expected).max()), count + 1
        convert(f"{folder}/a.onnx", "-o", f"{folder}/a.h5")
        convert(f"{folder}/a.h5", "-o", f"{folder}/b.onnx")
        assert open(f"{folder}/a.onnx", "rb").read() == open(f"{folder}/b.onnx", "rb").read()
    print(f"interop: onnxruntime {onnxruntime.__version__}: {count} checkpoints of Keras and PyTorch give their "
          f"log-probabilities, largest difference {worst:.1e} (onnx {onnx.__version__} checked each)")
    assert count >= 5 and worst < 1e-5, (count, worst)


class Model(torch.nn.Module):
    def __init__(self, make, V, D, H, layers):
        super().__init__()
        self.encoder, self.rnn, self.decoder = torch.nn.Embedding(V, D), make(D, H, layers), torch.nn.Linear(H, V)

    def forward(self, tokens, hidden):
        y, hidden = self.rnn(self.encoder(tokens), hidden)
        return torch.log_softmax(self.decoder(y), -1), hidden


def exporters(folder):
    """Fresh files of PyTorch's two exporters: their tensors are the model's, bit for bit."""
    torch.manual_seed(3)
    V, D, H = 30, 8, 12
    with open(f"{folder}/v.txt", "w") as file:
        file.writelines(f"w{i}\n" for i in range(V))
    count = 0
    for make in (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN):
        for dynamo in (False, True):
            run, state = Model(make, V, D, H, 2).eval(), torch.zeros(2, 1, H)
            more = {} if dynamo else {"dynamic_axes": {"tokens": {0: "a", 1: "b"}}}
            hidden = (state, state.clone()) if make is torch.nn.LSTM else state
            if make is torch.nn.RNN and dynamo:
                continue  # This exporter cuts the cell into single operations.
            torch.onnx.export(run, (torch.zeros(7, 1, dtype=torch.int64), hidden), f"{folder}/theirs.onnx",
                              input_names=["tokens"], dynamo=dynamo, verbose=False, **more)
            convert(f"{folder}/theirs.onnx", "--vocabulary", f"{folder}/v.txt", "-o", f"{folder}/theirs.h5")
            convert(f"{folder}/theirs.h5", "-o", f"{folder}/theirs.pt")
            back = torch.load(f"{folder}/theirs.pt", weights_only=True)
            expected = run.state_dict()
            assert set(back) == set(expected)
            assert all(torch.equal(back[name], value) for name, value in expected.items())
            count += 1
    print(f"interop: {count} fresh files of torch {torch.__version__}'s exporters: every tensor equal")
    assert count == 5


def characters(folder):
    """2,000 tokens of a real text, token by token."""
    convert(f"{DATA}/model.pt", "--corpus", DATA, "-o", f"{folder}/poet.h5")
    convert(f"{folder}/poet.h5", "-o", f"{folder}/poet.onnx")
    with h5py.File(f"{folder}/poet.h5") as file:
        offsets, data = file["/vocabulary/token_offsets"][:], file["/vocabulary/token_bytes"][:].tobytes()
    index = {data[a:b].decode(): i for i, (a, b) in enumerate(zip(offsets[:-1], offsets[1:]))}
    with open(f"{DATA}/test.txt", encoding="utf8") as text:
        lines = text.readlines()[:100]
    with open(f"{folder}/text.txt", "w", encoding="utf8") as file:
        file.writelines(lines)
    ids = np.array([index[word] for line in lines for word in line.split() + ["<eos>"]])
    scored = subprocess.run(["unroll", "score", f"{folder}/poet.h5", f"{folder}/text.txt", "--level", "token", "--carry",
                             "--base", "e"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[1:]
    # The first token follows <eos>; after it both are one stream.
    start = np.concatenate([[index["<eos>"]], ids])
    theirs = of_targets(log_probabilities(f"{folder}/poet.onnx", start), start)
    ours = np.array([-float(row.split("\t")[4]) for row in scored])
    worst = np.abs(ours - theirs).max()
    print(f"interop: {len(ours)} tokens of text in ONNX Runtime: largest difference of a log-probability {worst:.1e}")
    assert len(ours) == len(theirs) >= 2000 and worst < 1e-5, (len(ours), worst)


with tempfile.TemporaryDirectory() as folder:
    checkpoints(folder)
    exporters(folder)
    characters(folder)
