#!/usr/bin/env python3
"""A second reader of the Unroll checkpoint format, written from FORMAT.md alone, on h5py and numpy.

Opens checkpoints, verifies their digests and computes their self-tests in double precision.
Usage: reader.py FILE ...     Exit code 1 if a file does not hold what it says.

libhdf5 runs in this process: give it files whose origin you know.
"""

import hashlib
import sys

import h5py
import numpy as np


class Invalid(Exception):
    """A checkpoint that breaks a sentence of FORMAT.md."""


def expect(condition, message):
    if not condition:
        raise Invalid(message)


# 1. Container: attributes are text, text[], int or number.


def attribute(owner, name, default=None):
    if name not in owner.attrs:
        return default
    value = owner.attrs[name]
    if isinstance(value, np.ndarray):
        return [bytes(text).rstrip(b"\0").decode() for text in value]
    if isinstance(value, (bytes, np.bytes_)):
        return bytes(value).rstrip(b"\0").decode()
    return float(value) if isinstance(value, np.floating) else int(value)


def element_type(dataset):
    """The name of the type, such as f32; bf16 is a float of 16 bits with 8 bits of exponent."""
    kind = dataset.id.get_type()
    size = 8 * kind.get_size()
    if kind.get_class() == h5py.h5t.FLOAT:
        return "bf16" if size == 16 and kind.get_ebias() == 127 else f"f{size}"
    return f"{'i' if kind.get_sign() == h5py.h5t.SGN_2 else 'u'}{size}"


def raw_bytes(dataset):
    """The elements as they are on disk, little-endian: memory type = file type, nothing converts."""
    size = dataset.id.get_type().get_size()
    data = np.empty(dataset.shape, dtype=f"V{size}")
    if data.size:
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=dataset.id.get_type())
    return data.tobytes()


def numbers(dataset):
    """The elements as numbers; floats in double precision, which holds all of them."""
    kind, data = element_type(dataset), raw_bytes(dataset)
    if kind == "bf16":
        wide = np.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4").astype(np.float64).reshape(dataset.shape)
    array = np.frombuffer(data, "<" + kind[0] + str(int(kind[1:]) // 8)).reshape(dataset.shape)
    return array.astype(np.float64) if kind[0] == "f" else array


def walk(file):
    """Every object as (path, object, path of its first link or None), in the order of a walk by name."""
    first = {}

    def visit(path, item):
        address = h5py.h5o.get_info(item.id).addr
        yield path, item, first.get(address)
        if first.setdefault(address, path) != path or not isinstance(item, h5py.Group):
            return
        for name in sorted(item, key=str.encode):
            link = item.get(name, getlink=True)
            expect(isinstance(link, h5py.HardLink), f"{path}: {name} is no hard link")
            yield from visit(f"{path.rstrip('/')}/{name}", item[name])

    return visit("/", file["/"])


# 11. Digests.


def canonical(value):
    def escaped(text):
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")

    if isinstance(value, str):
        return "s:" + escaped(value)
    if isinstance(value, list):
        return "a:" + "\\0".join(map(escaped, value))
    return f"i:{value}" if isinstance(value, int) else "f:" + np.float64(value).byteswap().tobytes().hex()


def digest_lines(path, item, first):
    if first:
        return [f"{path}\tlink\t{first}"]
    lines = []
    if isinstance(item, h5py.Dataset):
        shape = ",".join(map(str, item.shape))
        lines.append(f"{path}\t{element_type(item)}\t{shape}\t{attribute(item, 'digest', '-')}")
    names = set(item.attrs) - {"digest", "content_digest", "complete"}
    return lines + [f"{path}\t@{name}\t{canonical(attribute(item, name))}" for name in names]


def digest(lines):
    return hashlib.sha256("".join(f"{l}\n" for l in sorted(lines, key=str.encode)).encode()).hexdigest()


def weights_digest(file):
    model = [o for o in walk(file) if (o[0] + "/").startswith("/model/") and not o[2]]
    return digest([line for o in model for line in digest_lines(*o)])


def content_digest(file):
    return digest([line for o in walk(file) for line in digest_lines(*o)])


def verify(file):
    root = file["/"]
    expect(attribute(root, "format") == "unroll", "not an Unroll checkpoint")
    expect(attribute(root, "format_version", "").startswith("1."), "not of version 1")
    unknown = set(attribute(root, "required_features", [])) - {"mingru", "qrnn", "adaptive_softmax"}
    expect(not unknown, "needs features that are not known here")
    expect(attribute(root, "complete") == 1, "never completed")
    for path, item, first in walk(file):
        if isinstance(item, h5py.Dataset) and not first and "digest" in item.attrs:
            found = hashlib.sha256(raw_bytes(item)).hexdigest()
            expect(attribute(item, "digest") == found, f"{path}: other bytes than its digest says")
    expect(attribute(root, "weights_digest") == weights_digest(file), "weights_digest differs")
    expect(attribute(root, "content_digest") == content_digest(file), "content_digest differs")


# 4. Model.


def step(layer, x, h, c, before):
    """One token through one layer: the new h and c, and x, the input before of the next step."""
    if attribute(layer, "cell") in ("mingru", "qrnn"):
        return (*input_gated(layer, x, h, c, before), x)
    return (*recurrent(layer, x, h, c), x)


def input_gated(layer, x, h, c, before):
    """A cell whose gates see its input alone."""
    seen = np.concatenate([x, before]) if attribute(layer, "window", 1) == 2 else x
    a = numbers(layer["weight_ih"]) @ seen + (numbers(layer["bias"]) if "bias" in layer else 0.0)
    sigma = lambda a: 1 / (1 + np.exp(-a))
    if attribute(layer, "cell") == "mingru":
        z, n = np.split(a, 2)
        return (1 - sigma(z)) * h + sigma(z) * n, c
    z, f, o = np.split(a, 3)
    c = sigma(f) * np.tanh(z) + (1 - sigma(f)) * c
    return sigma(o) * c, c


def recurrent(layer, x, h, c):
    """A cell that multiplies its hidden state."""
    get = lambda name: numbers(layer[name]) if name in layer else 0.0
    H, cell = attribute(layer, "hidden_size"), attribute(layer, "cell")
    phi = np.tanh if attribute(layer, "activation") == "tanh" else lambda a: np.maximum(a, 0)
    alpha, beta = attribute(layer, "gate_alpha"), attribute(layer, "gate_beta")
    hard = attribute(layer, "gate_activation") == "hard_sigmoid"
    sigma = lambda a: np.clip(alpha * a + beta, 0, 1) if hard else 1 / (1 + np.exp(-a))
    block = lambda a, k: a[k * H : (k + 1) * H]
    b_hh = np.zeros(get("weight_hh").shape[0]) + get("bias_hh")
    a = get("weight_ih") @ x + get("bias_ih") + get("bias")
    r = get("weight_hh") @ h + b_hh
    if cell == "rnn":
        return phi(a + r), c
    if cell == "lstm":
        i, o = (sigma(block(a + r, k)) for k in (0, 3))
        f = sigma(block(a + r, 1) + attribute(layer, "forget_bias", 0.0))
        c = f * c + i * phi(block(a + r, 2))
        h = o * phi(c)
        return (get("weight_hr") @ h if "weight_hr" in layer else h), c
    reset, z = (sigma(block(a + r, k)) for k in (0, 1))
    if attribute(layer, "reset") == "after":
        n = phi(block(a, 2) + reset * block(r, 2))
    else:
        n = phi(block(a, 2) + block(get("weight_hh"), 2) @ (reset * h) + block(b_hh, 2))
    return (1 - z) * n + z * h, c


def log_probabilities(model, ids):
    """The natural logarithm of the probability of each token after the first, from a zero state."""
    layers = [model["layers"][name] for name in sorted(model["layers"])]
    size = lambda layer, name, other=None: np.zeros(attribute(layer, name, attribute(layer, other or name)))
    states = [(size(l, "projection_size", "hidden_size"), size(l, "hidden_size"), size(l, "input_size")) for l in layers]
    one_hot = attribute(model, "input") == "one_hot"
    rows = np.eye(attribute(model, "vocabulary_size")) if one_hot else numbers(model["embedding/weight"])
    output = model["output"]
    weight = numbers(output["weight"])
    result = []
    for token, target in zip(ids, ids[1:]):
        x = rows[token]
        for k, layer in enumerate(layers):
            states[k] = step(layer, x, *states[k])
            x = states[k][0]
        if "projection" in output:
            x = numbers(output["projection"]) @ x
        logits = weight @ x + (numbers(output["bias"]) if "bias" in output else 0.0)
        result.append(log_probability(output, logits, x, target, len(rows)))
    return np.array(result)


def log_softmax(logits):
    largest = logits.max()
    return logits - largest - np.log(np.exp(logits - largest).sum())


def log_probability(output, logits, x, target, tokens):
    """That of a token: of the head, or of the tail that has it and in that tail."""
    head = log_softmax(logits)
    tails = [output["tails"][name] for name in sorted(output["tails"])] if "tails" in output else []
    first = tokens - sum(attribute(tail, "size") for tail in tails)
    if target < first:
        return head[target]
    for k, tail in enumerate(tails):
        if target < first + attribute(tail, "size"):
            inside = numbers(tail["weight"]) @ (numbers(tail["projection"]) @ x)
            return head[len(head) - len(tails) + k] + log_softmax(inside)[target - first]
        first += attribute(tail, "size")


def self_test(file):
    """The largest difference from the numbers of the self-test, or None where there is none."""
    if "self_test" not in file:
        return None
    test = file["self_test"]
    expect(attribute(test, "weights_digest") == attribute(file["/"], "weights_digest"), "a self-test of other weights")
    computed = log_probabilities(file["model"], numbers(test["token_ids"]).astype(int))
    difference = float(np.abs(computed - numbers(test["log_probabilities"])).max())
    expect(difference <= attribute(test, "tolerance"), f"the self-test differs by {difference:.3g}")
    return difference


def main(paths):
    code = 0
    for path in paths:
        try:
            with h5py.File(path, "r") as file:
                verify(file)
                difference = self_test(file)
            print(f"{path}: valid, " + ("no self-test" if difference is None else f"self-test within {difference:.1e}"))
        except (Invalid, OSError, KeyError) as error:
            print(f"{path}: invalid: {error}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
