"""Our checkpoints as h5py and PyTorch see them; run by scripts/check/interop."""
import json
import math
import os
import subprocess
import sys
import tempfile
import types

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
        words = subprocess.run(["unroll", "score", path, "-"], input=text, text=True, check=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        columns = words[0].split("\t")
        assert columns[:7] == "word sentid sentpos wlen surp entropy entred".split()
        rows, worst = iter(words[1:]), 0.0
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            # As neural-complexity defines them: bits, of the distribution that the word is from.
            ids = torch.tensor([index[w] for w in ["<eos>"] + line.split()])
            logp = run(ids[:-1]).double()
            entropy = -(logp.exp() * logp).sum(1) / math.log(2)
            for t, word in enumerate(line.split()):
                row = dict(zip(columns, next(rows).split("\t"), strict=True))
                assert (row["word"], int(row["sentid"]), int(row["sentpos"])) == (word, number, t + 1)
                expected = {"surp": -logp[t, ids[t + 1]] / math.log(2), "entropy": entropy[t],
                            "entred": max(0.0, entropy[t - 1] - entropy[t]) if t else None}
                assert (row["entred"] == "NA") == (t == 0)
                worst = max(worst, *(abs(float(row[k]) - float(v)) for k, v in expected.items() if v is not None))
        assert next(rows, None) is None
        print(f"interop: surprisal, entropy and its reduction of the same words: largest difference {worst:.1e} bits")
        assert worst < 2e-5, worst


# Back to PyTorch: what we export, as PyTorch loads and runs it.


class RNNModel(torch.nn.Module):
    """The model of a state_dict under word_language_model's names."""

    def __init__(self, state):
        super().__init__()
        V, D = state["encoder.weight"].shape
        layers = sum(name.startswith("rnn.weight_ih_l") for name in state)
        H = state["rnn.weight_hh_l0"].shape[1]
        self.encoder = torch.nn.Embedding(V, D)
        self.rnn = torch.nn.LSTM(D, H, layers)
        self.decoder = torch.nn.Linear(H, V)
        self.load_state_dict(state, strict=True)

    def forward(self, ids, hidden):
        output, hidden = self.rnn(self.encoder(ids), hidden)
        return torch.log_softmax(self.decoder(output), -1), hidden


def columns(model, ids, B=10, T=35):
    """The perplexity that word_language_model prints."""
    n = len(ids) // B
    columns, hidden, total = ids[:n * B].view(B, -1).t().contiguous(), None, 0.0
    for i in range(0, n - 1, T):
        L = min(T, n - 1 - i)
        logp, hidden = model(columns[i:i + L], hidden)
        total -= logp.double().gather(2, columns[i + 1:i + 1 + L, :, None]).sum().item()
    return math.exp(total / ((n - 1) * B))


def bits(tensor):
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.detach().contiguous().view(integer)


def load_original(path):
    """The state_dict of a file: itself, or of a whole module whose program is not needed."""
    module = types.ModuleType("model")
    module.RNNModel = type("RNNModel", (torch.nn.Module,), {"__module__": "model"})
    sys.modules["model"] = module
    value = torch.load(path, map_location="cpu", weights_only=False)
    return value.state_dict() if isinstance(value, torch.nn.Module) else value


def weights_digest(path):
    with h5py.File(path) as file:
        return file.attrs["weights_digest"]


def there_and_back(folder, original, source, *options):
    """original -> checkpoint -> PyTorch: every tensor bit for bit, ties still ties, and back again."""
    name = os.path.join(folder, "model")
    quiet = dict(check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["unroll", "convert", original, *source, *options, "-o", f"{name}.h5", "--force"], **quiet)
    subprocess.run(["unroll", "convert", f"{name}.h5", "-o", f"{name}.pt", "--force",
                    "--write-vocabulary", f"{name}.txt"], **quiet)
    before, after = load_original(original), torch.load(f"{name}.pt", weights_only=True)
    assert list(before) == list(after), (list(before), list(after))
    for key in before:
        assert before[key].dtype == after[key].dtype and torch.equal(bits(before[key]), bits(after[key])), key
    tied = [state["encoder.weight"].data_ptr() == state["decoder.weight"].data_ptr() for state in (before, after)]
    assert tied[0] == tied[1], tied
    for vocabulary in (["--vocabulary", f"{name}.txt"], source):
        subprocess.run(["unroll", "convert", f"{name}.pt", *vocabulary, *options, "-o", f"{name}.again.h5",
                        "--force"], **quiet)
        assert weights_digest(f"{name}.h5") == weights_digest(f"{name}.again.h5")
    return after, tied[1]


def export(folder, original, corpus):
    state, tied = there_and_back(folder, original, ["--corpus", corpus])
    run = RNNModel(state)
    with open(f"{folder}/model.txt", encoding="utf8", newline="\n") as file:
        index = {token: i for i, token in enumerate(file.read().split("\n")[:-1])}
    theirs = columns(run, ids_of(f"{corpus}/test.txt", index))
    ours = evaluate(f"{folder}/model.h5", f"{corpus}/test.txt")
    print(f"interop: export of {original}: {len(state)} tensors bit-equal, {'tied' if tied else 'not tied'}; "
          f"perplexity {theirs:.6f} in PyTorch, relative difference {abs(ours / theirs - 1):.1e}")
    assert abs(ours / theirs - 1) < 1e-6, (ours, theirs)


def export_fixtures(folder):
    """Every cell, type and stack that torch.save wrote for the tests, strictly loaded into its modules."""
    with open(f"{folder}/tokens.txt", "w") as file:
        file.write("".join(f"w{i}\n" for i in range(11)))
    source = ["--vocabulary", f"{folder}/tokens.txt"]
    files = {"lstm-tied": [], "gru-float64": [], "mixed": [], "deep": [],
             "rnn-bfloat16": ["--nonlinearity", "tanh"]}
    for name, options in files.items():
        there_and_back(folder, f"fixtures/pytorch/export-{name}.pt", source, *options)
    state = torch.load(f"{folder}/model.pt", weights_only=True)
    assert state._metadata["rnn"] == {"version": 1}
    print(f"interop: {len(files)} more state_dicts bit-equal")


def evaluate(model, text):
    result = subprocess.run(["unroll", "evaluate", model, text, "--protocol", "columns", "--json"], check=True,
                            stdout=subprocess.PIPE)
    return json.loads(result.stdout)["perplexity"]


def ids_of(path, index):
    with open(path, encoding="utf8") as text:
        return torch.tensor([index[word] for line in text for word in line.split() + ["<eos>"]])


@torch.enable_grad()
def losses(model, ids, steps, optimizer, B=20, T=35):
    """The losses of word_language_model's training without dropout; epochs begin with a zero state."""
    model.train()
    columns, hidden = ids[:len(ids) // B * B].view(B, -1).t().contiguous(), None
    starts = range(0, len(columns) - 1, T)
    for step in range(steps):
        i = starts[step % len(starts)]
        if i == 0:
            hidden = None
        optimizer.zero_grad()
        logp, hidden = model(columns[i:min(i + T, len(columns) - 1)], hidden)
        hidden = tuple(h.detach() for h in hidden)
        targets = columns[i + 1:i + T + 1]
        loss = torch.nn.functional.nll_loss(logp[:len(targets)].flatten(0, 1), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        yield loss.item()


def finetune(folder):
    """Learns from one text, chooses by a second, and is better on a third, in PyTorch too."""
    lines = open(f"{DATA}/test.txt", encoding="utf8").read().splitlines(keepends=True)
    half = len(lines) // 2
    other, unseen, log = f"{folder}/other.txt", f"{folder}/unseen.txt", f"{folder}/log.jsonl"
    for path, part in ((other, lines[:half]), (unseen, lines[half:])):
        with open(path, "w", encoding="utf8") as file:
            file.writelines(part)
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    poet, tuned = f"{folder}/poet.unroll.h5", f"{folder}/tuned.unroll.h5"
    subprocess.run(["unroll", "convert", f"{DATA}/model.pt", "--corpus", DATA, "-o", poet], **quiet)
    train = ["unroll", "finetune", poet, "--train", f"{DATA}/valid.txt", "--valid", other]
    subprocess.run([*train, "-o", tuned], **quiet)
    before, after = evaluate(poet, unseen), evaluate(tuned, unseen)
    assert after < before, (before, after)
    vocabulary = f"{folder}/tuned.txt"
    subprocess.run(["unroll", "convert", tuned, "-o", f"{folder}/tuned.pt", "--write-vocabulary", vocabulary], **quiet)
    with open(vocabulary, encoding="utf8", newline="\n") as file:
        index = {token: i for i, token in enumerate(file.read().split("\n")[:-1])}
    run = RNNModel(torch.load(f"{folder}/tuned.pt", weights_only=True))
    theirs = columns(run, ids_of(unseen, index))
    print(f"interop: fine-tuned: perplexity of unseen text {before:.4f} before, {after:.4f} after, {theirs:.4f} in "
          f"PyTorch, relative difference {abs(after / theirs - 1):.1e}")
    assert abs(after / theirs - 1) < 1e-6, (after, theirs)

    # The same steps in both, as the tool's users see them: in the log.
    steps = 30
    subprocess.run([*train, "-o", f"{folder}/steps.unroll.h5", "--steps", str(steps), "--momentum", "0.9",
                    "--weight-decay", "1e-3", "--log", log], **quiet)
    ours = [event["loss"] for event in map(json.loads, open(log)) if event["event"] == "step"]
    subprocess.run(["unroll", "convert", poet, "-o", f"{folder}/poet.pt"], **quiet)
    run = RNNModel(torch.load(f"{folder}/poet.pt", weights_only=True))
    optimizer = torch.optim.SGD(run.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-3)
    expected = list(losses(run, ids_of(f"{DATA}/valid.txt", index), steps, optimizer))
    worst = max(abs(a / b - 1) for a, b in zip(ours, expected))
    print(f"interop: {len(ours)} steps of training: largest relative difference of losses {worst:.1e}")
    assert len(ours) == len(expected) == steps and worst < 1e-5, worst


def from_scratch(folder):
    """200 losses of a training from PyTorch's own initial weights, for two optimizers.

    Not with the learning rate 20 of word_language_model: from step 80 on PyTorch's own losses in float32 are then up to
    10 percent off those in float64, and ours up to 10 percent, too.
    """
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    V, D, H = len(set(open(f"{DATA}/train.txt", encoding="utf8").read().split()) | {"<eos>"}), 64, 128
    vocabulary = f"{folder}/scratch.txt"
    with open(f"{DATA}/train.txt", encoding="utf8") as text:
        tokens = list(dict.fromkeys(word for line in text for word in line.split() + ["<eos>"]))
    with open(vocabulary, "w", encoding="utf8") as file:
        file.writelines(token + "\n" for token in tokens)
    torch.manual_seed(5)
    state = RNNModel({"encoder.weight": torch.empty(V, D).uniform_(-0.1, 0.1),
                      "decoder.weight": torch.empty(V, H).uniform_(-0.1, 0.1), "decoder.bias": torch.zeros(V)}
                     | {f"rnn.{name}": value for name, value in torch.nn.LSTM(D, H, 2).state_dict().items()}).state_dict()
    torch.save(state, f"{folder}/scratch.pt")
    subprocess.run(["unroll", "convert", f"{folder}/scratch.pt", "--vocabulary", vocabulary,
                    "-o", f"{folder}/scratch.unroll.h5"], **quiet)
    ids = ids_of(f"{DATA}/train.txt", {token: i for i, token in enumerate(tokens)})
    for name, options, make in (
        ("sgd", ["--learning-rate", "2"], lambda p: torch.optim.SGD(p, lr=2.0)),
        ("adam", ["--optimizer", "adam", "--learning-rate", "2e-3"], lambda p: torch.optim.Adam(p, lr=2e-3)),
    ):
        log = f"{folder}/{name}.jsonl"
        subprocess.run(["unroll", "finetune", f"{folder}/scratch.unroll.h5", "--train", f"{DATA}/train.txt", "--valid",
                        f"{DATA}/valid.txt", *options, "--schedule", "constant", "--steps", "200", "--log", log,
                        "-o", f"{folder}/{name}.unroll.h5"], **quiet)
        ours = [event["loss"] for event in map(json.loads, open(log)) if event["event"] == "step"]
        run = RNNModel(state)
        expected = list(losses(run, ids, 200, make(run.parameters())))
        worst = max(abs(a / b - 1) for a, b in zip(ours, expected))
        print(f"interop: 200 steps of {name} from PyTorch's initial weights: losses {expected[0]:.4f} to {expected[-1]:.4f},"
              f" largest relative difference {worst:.1e}")
        assert len(ours) == len(expected) == 200 and worst < 1e-4, worst


def continued(folder):
    """A training of ours goes on in PyTorch, from the file that is written for that."""
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    poet, texts = f"{folder}/went.unroll.h5", ["--train", f"{DATA}/valid.txt", "--valid", f"{folder}/few.txt"]
    with open(f"{DATA}/test.txt", encoding="utf8") as whole, open(f"{folder}/few.txt", "w", encoding="utf8") as few:
        few.writelines(whole.readlines()[:60])
    subprocess.run(["unroll", "convert", f"{DATA}/model.pt", "--corpus", DATA, "-o", poet, "--force"], **quiet)
    makers = {"sgd,momentum=0.9": lambda p: torch.optim.SGD(p), "adam,amsgrad=1": lambda p: torch.optim.Adam(p),
              "adamw": lambda p: torch.optim.AdamW(p), "rmsprop,momentum=0.5,centered=1": lambda p: torch.optim.RMSprop(p),
              "adagrad": lambda p: torch.optim.Adagrad(p), "adadelta": lambda p: torch.optim.Adadelta(p),
              "asgd,t0=3": lambda p: torch.optim.ASGD(p)}
    for rule, make in makers.items():
        state, theirs, log = f"{folder}/on.last.unroll.h5", f"{folder}/on.training.pt", f"{folder}/on.jsonl"
        rate = {"sgd": "0.5", "asgd": "0.5", "adagrad": "0.01", "adadelta": "1"}.get(rule.split(",")[0], "0.001")
        subprocess.run(["unroll", "finetune", poet, *texts, "--optimizer", rule, "--learning-rate", rate, "--schedule", "constant",
                        "--steps", "6", "-o", f"{folder}/on.unroll.h5", "--force"], **quiet)
        subprocess.run(["unroll", "convert", state, "-o", theirs, "--force"], **quiet)
        subprocess.run(["unroll", "finetune", state, *texts, "--keep-optimizer", "--schedule", "constant", "--steps", "3",
                        "-o", f"{folder}/on2.unroll.h5", "--log", log, "--force"], **quiet)
        ours = [event["loss"] for event in map(json.loads, open(log)) if event["event"] == "step"]
        saved = torch.load(theirs, weights_only=True)
        assert saved["step"] == 6 and len(saved["itos"]) == 65
        run = RNNModel(saved["model_state_dict"])
        optimizer = make(run.parameters())
        optimizer.load_state_dict(saved["optimizer_state_dict"])
        index = {token: i for i, token in enumerate(saved["itos"])}
        expected = list(losses(run, ids_of(f"{DATA}/valid.txt", index), 3, optimizer))
        worst = max(abs(a / b - 1) for a, b in zip(ours, expected))
        print(f"interop: a training with {rule} goes on in PyTorch: three losses, largest relative difference {worst:.1e}")
        assert len(ours) == len(expected) == 3 and worst < 1e-5, (rule, ours, expected)


@torch.enable_grad()
def adaptation(folder):
    """Neural cache and dynamic evaluation of the first lines of a text, as one stream."""
    poet = f"{folder}/adapted.unroll.h5"
    subprocess.run(["unroll", "convert", f"{DATA}/model.pt", "--corpus", DATA, "-o", poet, "--force"], check=True,
                   stderr=subprocess.DEVNULL)
    subprocess.run(["unroll", "convert", poet, "-o", f"{folder}/adapted.pt", "--force"], check=True, stderr=subprocess.DEVNULL)
    with h5py.File(poet) as file:
        index = {token: i for i, token in enumerate(tokens(file))}
    text = f"{folder}/beginning.txt"
    with open(f"{DATA}/test.txt", encoding="utf8") as whole, open(text, "w", encoding="utf8") as beginning:
        beginning.writelines(whole.readlines()[:60])
    ids = ids_of(text, index)

    def ours(*options):
        return json.loads(subprocess.run(["unroll", "evaluate", poet, text, "--json", *options], check=True,
                                         stdout=subprocess.PIPE).stdout)["nll"]

    run = RNNModel(torch.load(f"{folder}/adapted.pt", weights_only=True))
    size, theta, weight = 300, 0.4, 0.15
    with torch.no_grad():
        states, _ = run.rnn(run.encoder(ids[:-1, None]))
        states = states[:, 0].double()
        p = torch.softmax(run.decoder(states.float()), -1).double().gather(1, ids[1:, None])[:, 0]
        total = -math.log(p[0])
        for t in range(1, len(ids) - 1):
            first = max(0, t - size)
            share = torch.softmax(theta * states[first:t] @ states[t], 0)
            total -= math.log((1 - weight) * p[t] + weight * share[ids[first + 1:t + 1] == ids[t + 1]].sum())
    cached = ours("--cache", str(size), "--cache-theta", str(theta), "--cache-weight", str(weight)) / (total / (len(ids) - 1)) - 1
    optimizer, hidden, total, segment = torch.optim.SGD(run.parameters(), lr=0.05), None, 0.0, 10
    for i in range(0, len(ids) - 1, segment):
        targets = ids[i + 1:i + 1 + segment]
        output, hidden = run.rnn(run.encoder(ids[i:i + len(targets), None]), hidden)
        hidden = tuple(h.detach() for h in hidden)
        loss = torch.nn.functional.cross_entropy(run.decoder(output[:, 0]), targets)
        total += loss.item() * len(targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dynamic = ours("--dynamic", "0.05", "--segment", str(segment)) / (total / (len(ids) - 1)) - 1
    print(f"interop: {len(ids)} tokens: nll with a neural cache, relative difference {cached:.1e}; by dynamic evaluation {dynamic:.1e}")
    assert abs(cached) < 1e-5 and abs(dynamic) < 1e-5, (cached, dynamic)


def safetensors_parts(path):
    """The header's members, the order of its tensors, the length of the header and the data.

    Not the bytes of the header: the library writes the metadata in an order of chance.
    """
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        return header, [name for name in header if name != "__metadata__"], size, file.read()


def safetensors_there_and_back(folder):
    """The library opens what we write, with equal numbers, and writes the same file for them, and the other way round."""
    import safetensors
    import safetensors.torch

    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours, theirs, back = (f"{folder}/{name}" for name in ("ours.safetensors", "theirs.safetensors", "back.pt"))
    subprocess.run(["unroll", "convert", f"{DATA}/model.pt", "--corpus", DATA, "-o", f"{folder}/st.unroll.h5"], **quiet)
    subprocess.run(["unroll", "convert", f"{folder}/st.unroll.h5", "-o", ours], **quiet)
    subprocess.run(["unroll", "convert", f"{folder}/st.unroll.h5", "-o", f"{folder}/st.pt"], **quiet)
    expected = torch.load(f"{folder}/st.pt", weights_only=True)
    tensors = safetensors.torch.load_file(ours)
    assert tensors.keys() == expected.keys() and all(torch.equal(tensors[name], expected[name]) for name in expected)
    with safetensors.safe_open(ours, "pt") as file:
        safetensors.torch.save_file(tensors, theirs, metadata=file.metadata())
    assert safetensors_parts(ours) == safetensors_parts(theirs)
    safetensors.torch.save_file({name: tensor.half() for name, tensor in tensors.items()}, theirs)
    subprocess.run(["unroll", "convert", theirs, "--corpus", DATA, "-o", f"{folder}/half.unroll.h5"], **quiet)
    subprocess.run(["unroll", "convert", f"{folder}/half.unroll.h5", "-o", back], **quiet)
    half = torch.load(back, weights_only=True)
    assert all(torch.equal(half[name], tensor.half()) for name, tensor in tensors.items())
    print(f"interop: safetensors {safetensors.__version__}: {len(tensors)} tensors equal, the library writes the same header and data; its float16 file is read")


def ties_in_safetensors(folder):
    """A tied model has its weight once; the library loads it into a tied module, and writes the same file."""
    import safetensors
    import safetensors.torch

    words, tied, path, theirs = (f"{folder}/{name}" for name in ("words.txt", "tied.h5", "tied.safetensors", "theirs.safetensors"))
    with open(words, "w", encoding="utf8") as file:
        file.writelines(f"w{number}\n" for number in range(11))
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["unroll", "convert", "fixtures/pytorch/lstm-tied-state.pt", "--vocabulary", words, "-o", tied], **quiet)
    subprocess.run(["unroll", "convert", tied, "-o", path], **quiet)
    state = torch.load("fixtures/pytorch/lstm-tied-state.pt", weights_only=True)
    module = RNNModel({name: torch.zeros_like(tensor) for name, tensor in state.items()})
    module.decoder.weight = module.encoder.weight
    safetensors.torch.load_model(module, path)
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in state.items())
    with safetensors.safe_open(path, "pt") as file:
        safetensors.torch.save_file({name: file.get_tensor(name) for name in file.keys()}, theirs, metadata=file.metadata())
    assert safetensors_parts(path) == safetensors_parts(theirs)
    safetensors.torch.save_model(module, theirs)
    subprocess.run(["unroll", "convert", theirs, "--vocabulary", words, "-o", f"{folder}/tied-again.h5"], **quiet)
    with h5py.File(tied) as first, h5py.File(f"{folder}/tied-again.h5") as second:
        assert first.attrs["weights_digest"] == second.attrs["weights_digest"]
    print("interop: safetensors: a tied model loads into a tied module, and what save_model writes of it is read as tied")


def numpy_there_and_back(folder):
    """NumPy opens what we write, with equal numbers and no pickle, and all forms that it writes are read."""
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours, theirs = f"{folder}/ours.npz", f"{folder}/theirs.npz"
    subprocess.run(["unroll", "convert", f"{DATA}/model.pt", "--corpus", DATA, "-o", f"{folder}/np.unroll.h5"], **quiet)
    subprocess.run(["unroll", "convert", f"{folder}/np.unroll.h5", "-o", ours], **quiet)
    subprocess.run(["unroll", "convert", f"{folder}/np.unroll.h5", "-o", f"{folder}/np.pt"], **quiet)
    expected = {name: tensor.numpy() for name, tensor in torch.load(f"{folder}/np.pt", weights_only=True).items()}
    with np.load(ours, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    text = json.loads(arrays.pop("unroll").tobytes())
    assert arrays.keys() == expected.keys() and all(np.array_equal(arrays[name], expected[name]) for name in expected)
    assert len(text["vocabulary"]["tokens"]) == len(expected["encoder.weight"])
    forms = {
        "stored": (np.savez, lambda a: a), "deflated": (np.savez_compressed, lambda a: a),
        "by columns": (np.savez, np.asfortranarray), "big-endian": (np.savez, lambda a: a.astype(">f4")),
        "float64, deflated, by columns, big-endian": (np.savez_compressed, lambda a: np.asfortranarray(a.astype(">f8"))),
        "float16": (np.savez, lambda a: a.astype("<f2")),
    }
    for form, (save, change) in forms.items():
        changed = {name: change(array) for name, array in arrays.items()}
        save(theirs, **changed)
        subprocess.run(["unroll", "convert", theirs, "--corpus", DATA, "-o", f"{folder}/np-back.pt", "--force"], **quiet)
        back = torch.load(f"{folder}/np-back.pt", weights_only=True)
        assert all(np.array_equal(back[name].numpy(), array) and back[name].numpy().dtype == array.dtype.newbyteorder("=")
                   for name, array in changed.items()), form
    print(f"interop: numpy {np.__version__}: {len(arrays)} arrays equal; its files are read: {'; '.join(forms)}")


class OwnNames(torch.nn.Module):
    """A program's own LSTM: i, f, o, g, a single bias, and the embedding's weight as the output's."""

    def __init__(self, V=11, H=6):
        super().__init__()
        self.lut = torch.nn.Embedding(V, H)
        self.Wx, self.Wh = (torch.nn.Parameter(torch.randn(4 * H, H) / 2) for _ in range(2))
        self.b = torch.nn.Parameter(torch.randn(4 * H) / 2)
        self.bias_of_logits = torch.nn.Parameter(torch.randn(V))

    def forward(self, ids):
        h = c = torch.zeros(self.Wh.shape[1], dtype=self.Wh.dtype)
        logits = []
        for x in self.lut(ids):
            i, f, o, g = (self.Wx @ x + self.Wh @ h + self.b).chunk(4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            logits.append(self.lut.weight @ h + self.bias_of_logits)
        return torch.stack(logits)


def own_names(folder):
    """A map on output gives a program its own names and gate order: it loads the file and computes the same."""
    import safetensors.torch

    torch.manual_seed(18)
    source, words, names, ours = (f"{folder}/{name}" for name in ("own.pt", "own.txt", "own.json", "own.unroll.h5"))
    module = OwnNames()
    torch.save(module.state_dict(), source)
    with open(words, "w", encoding="utf8") as file:
        file.writelines(f"w{number}\n" for number in range(11))
    with open(names, "w", encoding="utf8") as file:
        json.dump({"encoder.weight": "lut.weight", "tied": True, "rnn.weight_ih_l0": "Wx", "rnn.weight_hh_l0": "Wh",
                   "rnn.bias_l0": "b", "decoder.bias": "bias_of_logits", "gates": "ifog"}, file)
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["unroll", "convert", source, "--map", names, "--vocabulary", words, "--line-end", "w0", "-o", ours], **quiet)
    ids, lines = torch.arange(11).repeat(2), "".join(f"w{number}\n" for number in range(1, 11))
    scored = subprocess.run(["unroll", "score", ours, "-", "--level", "sentence"], input=lines, text=True, check=True,
                            stdout=subprocess.PIPE).stdout.splitlines()[1:]
    for number, row in enumerate(scored, 1):
        expected = torch.log_softmax(module.double()(torch.tensor([0, number])), -1).gather(1, torch.tensor([[number], [0]])).sum()
        assert abs(float(row.split("\t")[3]) - expected.item()) < 1e-5
    module = module.float()
    for name, load in (("own-back.pt", lambda path: torch.load(path, weights_only=True)),
                       ("own-back.safetensors", safetensors.torch.load_file),
                       ("own-back.npz", lambda path: {name: torch.from_numpy(array) for name, array in np.load(path).items() if name != "unroll"})):
        subprocess.run(["unroll", "convert", ours, "--map", names, "-o", f"{folder}/{name}"], **quiet)
        again = OwnNames()
        again.load_state_dict(load(f"{folder}/{name}"), strict=True)
        assert torch.equal(again(ids), module(ids)), name
    print("interop: --map on output: a module with its own names and gate order loads .pt, .safetensors and .npz strictly, logits equal")


with tempfile.TemporaryDirectory() as folder:
    own_names(folder)
    safetensors_there_and_back(folder)
    ties_in_safetensors(folder)
    numpy_there_and_back(folder)
    continued(folder)
    adaptation(folder)
    from_scratch(folder)
    finetune(folder)
    export_fixtures(folder)
    export(folder, f"{DATA}/model.pt", DATA)
    data = os.environ.get("UNROLL_DATA", "../shared/data")
    tied = f"{data}/pytorch/wlm-wikitext-lstm-tied/model.pt"
    if os.path.exists(tied):
        export(folder, tied, f"{data}/corpora/wikitext-2-small")
    else:
        print(f"interop: no {tied}, the large tied model is left out")
