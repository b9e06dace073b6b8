"""The advice for files of kinds that are not read, run on real files; run by scripts/check/interop.

Each file comes from its own program. `unroll convert` refuses it by its kind, what stands between backquotes in the advice
is run as it is, and the file that it makes has the weights of the model. NOT_RUN says of which kinds the advice is not run.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings

import h5py
import joblib
import numpy
import onnx
import torch

warnings.filterwarnings("ignore")
V, D, H = 11, 5, 7
# Kinds of Sources/UnrollInterchange/NamedKind.swift by the beginning of their names.
NOT_RUN = {
    "a Git LFS pointer": "`git lfs pull` needs a repository and a server that has the file",
    "a web page": "no command: the address of the file is not in the page",
    "a part of a checkpoint of TensorFlow": "no command: the index lies beside the file, or is lost",
    "a damaged index of a checkpoint": "no command: the file has to be copied again",
    "a damaged graph of a SavedModel": "no command: the folder has to be copied again",
    "something else than the name of a file of Torch7": "no command: the file has to be copied again",
    "a model of brain.js": "there is no conversion, as the advice says",
}
run = []


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.rnn, self.decoder = torch.nn.Embedding(V, D), torch.nn.LSTM(D, H), torch.nn.Linear(H, V)

    def forward(self, x):
        return self.decoder(self.rnn(self.encoder(x))[0])


class Cells(torch.nn.Module):
    """The same network with a loop over the steps of an nn.LSTMCell."""

    def __init__(self, model):
        super().__init__()
        self.encoder, self.cell, self.decoder = model.encoder, torch.nn.LSTMCell(D, H), model.decoder
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(self.cell, name, getattr(model.rnn, name + "_l0"))

    def forward(self, x):
        state, outputs = None, []
        for step in self.encoder(x):
            state = self.cell(step, state)
            outputs.append(self.decoder(state[0]))
        return torch.stack(outputs)


def convert(path, out, *options):
    vocabulary = [] if "--vocabulary" in options else ["--vocabulary", words]
    return subprocess.run(["unroll", "convert", path, *vocabulary, *options, "-o", out, "--force"], text=True, capture_output=True)


def digest(path):
    with h5py.File(path) as file:
        return file.attrs["weights_digest"]


def advice(path, found, *options):
    """What a refusal says to do, between its first two backquotes."""
    refused = convert(path, path + ".unroll.h5", *options)
    assert refused.returncode == 2 and found in refused.stderr, (path, refused.returncode, refused.stderr)
    return re.search(r"fix: [^`]*`([^`]+)`", refused.stderr).group(1)


def checked(kind, path, command, expected=None):
    converted = convert(path, path + ".unroll.h5")
    assert converted.returncode == 0, (kind, command, converted.stderr)
    assert digest(path + ".unroll.h5") == (expected or plain), kind
    run.append(kind)
    print(f"interop: advice: {kind}: {command}")


def shell(kind, file, found=None, make=None):
    """Advice for the command line, in the folder of a file that `make` makes of plain.pt."""
    place = os.path.join(folder, re.sub(r"\W", "-", kind))
    os.makedirs(place)
    subprocess.run(make.format(plain=os.path.join(folder, "plain.pt")), shell=True, check=True, cwd=place)
    command = advice(os.path.join(place, file), found or kind)
    subprocess.run(command, shell=True, check=True, cwd=place, stdout=subprocess.DEVNULL)
    checked(kind, os.path.join(place, "plain.pt"), command)


def python(kind, file, found=None, **names):
    """Advice in Python, where `...` stands for the file and `model` for the user's model."""
    command = advice(os.path.join(folder, file), found or kind)
    os.chdir(folder)
    exec(command.replace("load(...)", f"load({file!r})"), {"torch": torch, "numpy": numpy, "json": json, **names})
    new = re.search(r'"(new\.pt|weights\.npz)"', command).group(1)
    checked(kind, os.path.join(folder, new), command)


repository = os.getcwd()
with tempfile.TemporaryDirectory() as folder:
    words = os.path.join(folder, "words.txt")
    with open(words, "w", encoding="utf8") as file:
        file.writelines(f"w{number}\n" for number in range(V))
    torch.manual_seed(18)
    model, ids = Model().eval(), torch.zeros(6, 1, dtype=torch.int64)
    torch.save(model.state_dict(), os.path.join(folder, "plain.pt"))
    assert convert(os.path.join(folder, "plain.pt"), os.path.join(folder, "plain.h5")).returncode == 0
    plain = digest(os.path.join(folder, "plain.h5"))

    shell("a gzip file", "plain.pt.gz", make="gzip -c {plain} >plain.pt.gz")
    shell("a bzip2 file", "plain.pt.bz2", make="bzip2 -c {plain} >plain.pt.bz2")
    shell("an xz file", "plain.pt.xz", make="xz -c {plain} >plain.pt.xz")
    shell("a Zstandard file", "plain.pt.zst", make="zstd -q -c {plain} >plain.pt.zst")
    shell("a tar archive", "models.tar", make="cp {plain} . && tar -cf models.tar plain.pt && rm plain.pt")
    shell("a ZIP archive", "models.zip", make="cp {plain} . && zip -q models.zip plain.pt && rm plain.pt")

    torch.export.save(torch.export.export(model, (ids,)), os.path.join(folder, "model.pt2"))
    python("a program that torch.export saved", "model.pt2")
    torch.jit.save(torch.jit.script(model), os.path.join(folder, "script.pt"))
    python("a TorchScript archive", "script.pt")
    quantised = torch.ao.quantization.quantize_dynamic(Model(), {torch.nn.LSTM, torch.nn.Linear})
    torch.save(quantised, os.path.join(folder, "quantised.pt"))
    python("a quantised model", "quantised.pt", model=model)
    with open(os.path.join(folder, "weights.json"), "w", encoding="utf8") as file:
        json.dump({name: tensor.tolist() for name, tensor in model.state_dict().items()}, file)
    python("weights as lists of numbers in JSON", "weights.json")

    import torch.distributed.checkpoint
    distributed = os.path.join(folder, "distributed")
    torch.distributed.checkpoint.save(model.state_dict(), checkpoint_id=distributed)
    kind = "a part of a distributed checkpoint of PyTorch"
    command = advice(os.path.join(distributed, "__0_0.distcp"), kind).replace("FOLDER", "distributed")
    subprocess.run(command.replace("python", sys.executable, 1), shell=True, check=True, cwd=folder, capture_output=True)
    checked(kind, os.path.join(folder, "new.pt"), command)

    cells = Cells(model).eval()
    for dynamo in (False, True):
        name = f"cells-{dynamo}.onnx"
        torch.onnx.export(cells, (ids,), os.path.join(folder, name), dynamo=dynamo)
        if dynamo and "LSTM" in {node.op_type for node in onnx.load(os.path.join(folder, name)).graph.node}:
            continue
        python("the exporter cut the cells into single operations", name, model=cells)
        torch.onnx.export(model, (ids,), os.path.join(folder, f"layers-{dynamo}.onnx"), dynamo=dynamo)
        checked("layers of nn.LSTM, which torch.onnx.export keeps whole", os.path.join(folder, f"layers-{dynamo}.onnx"), f"dynamo={dynamo}")

    joblib.dump([f"w{number}" for number in range(V)], os.path.join(folder, "list.joblib"), compress=("xz", 3))
    os.chdir(folder)
    command = advice("plain.pt", "compression xz", "--vocabulary", "list.joblib")
    exec(command, {})
    assert convert("plain.pt", "listed.h5", "--vocabulary", "plain.joblib").returncode == 0
    print(f"interop: advice: a list of tokens in xz: {command}")
    os.chdir(repository)

source = open("Sources/UnrollInterchange/NamedKind.swift", encoding="utf8").read()
kinds = re.findall(r'name:\s*"([^"]+)"', source)
assert len(kinds) >= 16
for kind in kinds:
    assert any(kind.startswith(name) for name in [*NOT_RUN, *run]), f"the advice for {kind} is neither run nor in NOT_RUN"
for kind, reason in NOT_RUN.items():
    print(f"interop: advice not run: {kind}: {reason}")
