"""Our checkpoints as h5py and PyTorch see them; run by scripts/interop."""
import json
import math
import os
import subprocess
import tempfile

import h5py
import numpy as np
import torch

torch.set_grad_enabled(False)
DATA = "fixtures/characters"


def tokens(file):
    offsets, data = file["/vocabulary/token_offsets"][:], file["/vocabulary/token_bytes"][:].tobytes()
    return [data[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]


def model(file):
    """The network of a checkpoint, made of PyTorch's own modules."""
    layers = [file[f"/model/layers/{name}"] for name in sorted(file["/model/layers"])]
    cells = {b"lstm": torch.nn.LSTM, b"gru": torch.nn.GRU, b"rnn": torch.nn.RNN}
    stack = []
    for layer in layers:
        a = layer.attrs
        module = cells[a["cell"]](int(a["input_size"]), int(a["hidden_size"]))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(module, f"{name}_l0").copy_(torch.from_numpy(layer[name][:]))
        stack.append(module)
    embedding = torch.from_numpy(file["/model/embedding/weight"][:])
    weight, bias = (torch.from_numpy(file[f"/model/output/{n}"][:]) for n in ("weight", "bias"))

    def run(ids):
        x = embedding[ids].unsqueeze(1)
        for module in stack:
            x, _ = module(x)
        return torch.log_softmax(x.squeeze(1) @ weight.T + bias, -1)

    return run


with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/poet.unroll.h5"
    subprocess.run(["unroll", "convert", f"{DATA}/model.pt", "--corpus", DATA, "-o", path], check=True)
    lines = open(f"{DATA}/test.txt", encoding="utf8").read().splitlines()[:50]
    text = "".join(line + "\n" for line in lines)
    scored = subprocess.run(
        ["unroll", "score", path, "-", "--level", "sentence"], input=text, text=True, check=True,
        stdout=subprocess.PIPE).stdout.splitlines()[1:]
    with h5py.File(path) as file:
        assert file.attrs["complete"] == 1 and file.attrs["format"] == b"unroll"
        index = {token: i for i, token in enumerate(tokens(file))}
        run = model(file)
        largest = 0.0
        for line, row in zip(lines, scored, strict=True):
            target = torch.tensor([index[w] for w in line.split() + ["<eos>"]])
            source = torch.cat([torch.tensor([index["<eos>"]]), target[:-1]])
            expected = run(source).gather(1, target[:, None]).double().sum().item()
            _, count, unknown, ours = row.split("\t")
            assert int(count) == len(target) and int(unknown) == 0
            largest = max(largest, abs(float(ours) - expected) / len(target))
        print(f"interop: {len(lines)} lines, largest difference of a token's mean log-probability {largest:.1e}"
              f" (torch {torch.__version__}, h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version})")
        assert largest < 1e-5, largest

