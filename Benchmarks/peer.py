"""PyTorch's side of a measurement: perplexity of a text under the protocol `columns`, as JSON.

usage: peer.py MODEL.pt CORPUS_FOLDER THREADS
MODEL.pt is a whole pickled module of word_language_model; loading it runs it, so own files only.
The time covers what `unroll evaluate` times too: reading and tokenizing the text, and the forward pass.
"""
import json
import math
import os
import sys
import time
import types

import torch
import torch.nn.functional as F

path, corpus, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_grad_enabled(False)
torch.set_num_threads(threads)


class RNNModel(torch.nn.Module):
    pass


sys.modules["model"] = types.ModuleType("model")
sys.modules["model"].RNNModel = RNNModel
RNNModel.__module__ = "model"
model = torch.load(path, weights_only=False).eval()


def lines(part):
    with open(os.path.join(corpus, part), encoding="utf8") as file:
        for line in file:
            yield line.split() + ["<eos>"]


index = {}
for part in ("train.txt", "valid.txt", "test.txt"):
    for line in lines(part):
        for word in line:
            index.setdefault(word, len(index))

start = time.perf_counter()
ids = torch.tensor([index[word] for line in lines("test.txt") for word in line])
B, T = 10, 35
n = len(ids) // B
columns = ids[: n * B].view(B, -1).t().contiguous()
hidden, total = None, 0.0
for i in range(0, n - 1, T):
    L = min(T, n - 1 - i)
    output, hidden = model.rnn(model.encoder(columns[i:i + L]), hidden)
    logits = model.decoder(output)
    loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), columns[i + 1:i + 1 + L].reshape(-1))
    total += L * loss.item()
seconds = time.perf_counter() - start
print(json.dumps({"perplexity": math.exp(total / (n - 1)), "predictions": (n - 1) * B, "seconds": seconds,
                  "torch": torch.__version__}))
