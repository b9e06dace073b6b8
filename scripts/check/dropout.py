"""Final validation losses under dropout, ours and PyTorch's, over several seeds; run by scripts/check/dropout.

The short form makes fewer steps, all from the same initial weights: what differs is what is dropped.
"""
import json
import statistics
import subprocess
import sys
import tempfile

import torch

DATA = "fixtures/characters"
SHORT = sys.argv[1] == "short"
SEEDS, STEPS, B, T, D, H, RATE, LEARNING_RATE = 5 if SHORT else int(sys.argv[1]), 200 if SHORT else 500, 20, 35, 48, 96, 0.3, 4e-3


class Model(torch.nn.Module):
    """word_language_model's RNNModel with an LSTM."""

    def __init__(self, V):
        super().__init__()
        self.drop, self.encoder = torch.nn.Dropout(RATE), torch.nn.Embedding(V, D)
        self.rnn, self.decoder = torch.nn.LSTM(D, H, 2, dropout=RATE), torch.nn.Linear(H, V)
        torch.nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        torch.nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        torch.nn.init.zeros_(self.decoder.bias)

    def forward(self, ids, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(ids)), hidden)
        return torch.log_softmax(self.decoder(self.drop(output)), -1), hidden


def ids_of(path, index):
    with open(path, encoding="utf8") as text:
        return torch.tensor([index.get(word, index["<unk>"]) for line in text for word in line.split() + ["<eos>"]])


def columns(ids, count):
    return ids[:len(ids) // count * count].view(count, -1).t().contiguous()


def by_torch(seed, train, valid, V):
    torch.manual_seed(0 if SHORT else seed)
    model = Model(V)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    rows, hidden = columns(train, B), None
    for step in range(STEPS):
        i = step * T
        optimizer.zero_grad()
        logp, hidden = model(rows[i:i + T], hidden)
        hidden = tuple(h.detach() for h in hidden)
        torch.nn.functional.nll_loss(logp.flatten(0, 1), rows[i + 1:i + T + 1].reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        rows = columns(valid, 10)
        logp, _ = model(rows[:-1], None)
        return -logp.gather(2, rows[1:, :, None]).double().mean().item()


def by_unroll(seed, folder):
    log, result = f"{folder}/{seed}.jsonl", f"{folder}/{seed}.h5"
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    model = ["train", "--embedding-size", str(D), "--hidden-size", f"{H},{H}"]
    if SHORT:
        torch.manual_seed(0)
        torch.save(Model(len(tokens)).state_dict(), f"{folder}/initial.pt")
        with open(f"{folder}/vocab.txt", "w", encoding="utf8") as file:
            file.writelines(token + "\n" for token in tokens)
        subprocess.run(["unroll", "convert", f"{folder}/initial.pt", "--vocabulary", f"{folder}/vocab.txt", "--force",
                        "-o", f"{folder}/initial.h5"], **quiet)
        model = ["finetune", f"{folder}/initial.h5"]
    subprocess.run(["unroll", *model, "--train", f"{DATA}/train.txt", "--valid", f"{DATA}/valid.txt", "--dropout", str(RATE),
                    "--optimizer", "adam", "--schedule", "constant", "--learning-rate", str(LEARNING_RATE),
                    "--steps", str(STEPS), "--seed", str(seed), "--log", log, "-o", result], **quiet)
    last = [event for event in map(json.loads, open(log)) if event["event"] == "evaluation"][-1]
    assert last["step"] == STEPS
    return last["valid_nll"]


with open(f"{DATA}/train.txt", encoding="utf8") as text:
    tokens = ["<unk>", *dict.fromkeys(word for line in text for word in line.split() + ["<eos>"])]
index = {token: i for i, token in enumerate(tokens)}
train, valid = (ids_of(f"{DATA}/{name}.txt", index) for name in ("train", "valid"))
assert len(train) // B > STEPS * T + 1, "more than an epoch"
ours, theirs = [], []
with tempfile.TemporaryDirectory() as folder:
    for seed in range(1, SEEDS + 1):
        ours.append(by_unroll(seed, folder))
        theirs.append(by_torch(seed, train, valid, len(tokens)))
        print(f"check/dropout: seed {seed}: {ours[-1]:.4f}, PyTorch {theirs[-1]:.4f}", flush=True)
difference = statistics.mean(ours) - statistics.mean(theirs)
print(f"check/dropout: mean of {SEEDS}: {statistics.mean(ours):.4f}, PyTorch {statistics.mean(theirs):.4f} "
      f"(torch {torch.__version__}), difference {difference:+.4f} nats")
sys.exit(abs(difference) >= 0.02)
