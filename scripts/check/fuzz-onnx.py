#!/usr/bin/env python3
"""Alters graphs at random and compares what Unroll reads with ONNX Runtime: equal numbers, or a refusal.

usage: fuzz-onnx.py UNROLL [COUNT [SEED]]
Prints how many graphs were equal, refused, invalid for ONNX Runtime and wrong; exit code 1 if one was wrong, which
then stays in .build/soak/found.
"""
import collections
import os
import random
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

V = 11
unroll, count, seed = os.path.abspath(sys.argv[1]), int((sys.argv[2:] or [300])[0]), int((sys.argv[3:] or [1])[0])
choose = random.Random(seed)
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
seeds = [os.path.join(root, "fixtures", name) for name in (
    "onnx-forms/harmless.onnx", "onnx-forms/one-hot.onnx", "onnx-forms/tf-one-hot-last.onnx", "onnx-forms/script-index.onnx",
    "onnx-forms/dynamo-two-layers.onnx", "onnx-forms/script-view.onnx", "onnx/lstm-script.onnx", "onnx/gemm-softmax.onnx",
    "onnx/gru-hard-sigmoid.onnx", "onnx/rnn-relu-no-bias.onnx")]
ids = np.arange(9) * 7 % V
onnxruntime.set_default_logger_severity(4)


def constant(model, value):
    name = f"constant{len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    return name


def insert(model, operation, extra=(), after=None, **attributes):
    """Puts an operation in front of one input of a node."""
    index = choose.randrange(len(model.graph.node))
    reader = model.graph.node[index]
    places = [i for i, name in enumerate(reader.input) if name][:1 if choose.random() < 0.8 else None]
    if not places:
        return
    place, name = choose.choice(places), f"altered{len(model.graph.node)}"
    nodes = [helper.make_node(operation, [reader.input[place], *extra], [name], name=name, **attributes)]
    if after:
        nodes.append(helper.make_node(after[0], [name, *after[1]], [name + "b"], name=name + "b", **after[2]))
    reader.input[place] = nodes[-1].output[0]
    for node in reversed(nodes):
        model.graph.node.insert(index, node)


def alter(model):
    kind = choose.choice(["identity", "cast", "cast back", "dropout", "transpose", "reshape", "unsqueeze", "attribute", "constant", "pick",
                        "scale", "result", "head"])
    float_types = [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.INT8]
    if kind == "identity":
        insert(model, "Identity")
    elif kind == "cast":
        insert(model, "Cast", to=choose.choice(float_types))
    elif kind == "cast back":
        insert(model, "Cast", to=choose.choice(float_types), after=("Cast", [], {"to": choose.choice([TensorProto.FLOAT, TensorProto.INT64])}))
    elif kind == "dropout":
        insert(model, "Dropout", [constant(model, np.float32(0.5)), constant(model, choose.random() < 0.5)])
    elif kind == "transpose":
        insert(model, "Transpose", perm=choose.choice([[1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 0], [0, 1, 2], [0, 2, 1, 3]]))
    elif kind == "reshape":
        sizes = [choose.choice([-1, 0, 1, 5, 7, 8, V]) for _ in range(choose.randint(2, 3))]
        insert(model, "Reshape", [constant(model, np.array(sizes, np.int64))])
    elif kind == "unsqueeze":
        axis = constant(model, np.array([choose.choice([-1, 0, 1, 2])], np.int64))
        other = constant(model, np.array([choose.choice([-1, 0, 1, 2])], np.int64))
        insert(model, "Unsqueeze", [axis], after=("Squeeze", [other], {}))
    elif kind == "pick":
        index = constant(model, np.array([choose.choice([0, -1, -2, 1])], np.int64))
        insert(model, "Gather", [index], axis=choose.choice([0, 0, 1]))
    elif kind == "scale":
        width = choose.choice([(), (1,), (5,), (7,), (V,)])
        insert(model, choose.choice(["Mul", "Add", "Sub", "Max", "Min"]), [constant(model, np.full(width, choose.choice([0, 0.5, 1, 2]), np.float32))])
    elif kind in ("result", "head"):
        name = choose.choice([o for node in model.graph.node for o in node.output if o])
        if kind == "head":
            weight = constant(model, np.full((choose.choice([5, 7, V]), choose.choice([3, V])), 0.25, np.float32))
            model.graph.node.append(helper.make_node("MatMul", [name, weight], ["head" + weight], name="head" + weight))
            name = "head" + weight
        if name not in {o.name for o in model.graph.output}:
            model.graph.output.insert(choose.choice([0, len(model.graph.output)]), onnx.ValueInfoProto(name=name))
    elif kind == "attribute":
        node = choose.choice([n for n in model.graph.node if n.op_type in ("LSTM", "GRU", "RNN", "Softmax", "LogSoftmax", "Gemm", "OneHot", "Transpose", "Gather")])
        name, value = choose.choice([
            ("clip", 0.1), ("layout", 1), ("input_forget", 1), ("direction", "reverse"), ("linear_before_reset", 1), ("linear_before_reset", 0),
            ("axis", 0), ("axis", 1), ("axis", -1), ("alpha", 2.0), ("beta", 0.5), ("transB", 0), ("perm", [1, 0, 2]),
            ("activation_alpha", [0.3]), ("activations", ["Tanh", "Tanh", "Tanh"]), ("activations", ["HardSigmoid", "Tanh", "Tanh"])])
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend(kept + [helper.make_attribute(name, value)])
    else:
        small = [t for t in model.graph.initializer if np.prod(t.dims) <= 4]
        if small:
            tensor = choose.choice(small)
            value = np.array(numpy_helper.to_array(tensor))
            change = choose.choice([-1, 1, 2]) if value.dtype != bool else True
            tensor.CopyFrom(numpy_helper.from_array((value + change).astype(value.dtype), tensor.name))


def runtime(path, result):
    """The log-probabilities that ONNX Runtime gives for one sequence in either order of the two axes.

    An order in which the first token changes nothing later is that of several texts of one token."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = []
    for batch_first in (False, True):
        def run(tokens):
            feed = {}
            for value in session.get_inputs():
                laid = tokens[None] if batch_first else tokens[:, None]
                if value.type == "tensor(int64)":
                    feed[value.name] = laid
                elif value.name == "x":
                    feed[value.name] = np.eye(V, dtype=np.float32)[laid]
                else:
                    feed[value.name] = np.zeros([1 if isinstance(n, str) else n for n in value.shape], np.float32)
            return session.run([result], feed)[0].astype(np.float64).reshape(-1, V)
        def steps(tokens):
            rows = run(tokens)
            return rows if len(rows) > 1 else np.concatenate([run(tokens[:n]) for n in range(1, len(tokens) + 1)])

        try:
            rows = steps(ids[:-1])
            if np.array_equal(rows[1:], steps(np.concatenate([ids[1:2], ids[1:-1]]))[1:]):
                continue
            if (rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=1e-3):
                rows = np.log(rows)
            rows -= np.log(np.exp(rows).sum(1, keepdims=True))
            if len(rows) == len(ids) - 1:
                found.append(rows[np.arange(len(rows)), ids[1:]])
        except Exception:
            continue
    return found


def converted(path, scratch):
    """What Unroll gives, or None for a refusal."""
    out = os.path.join(scratch, "model.unroll.h5")
    tokens = os.path.join(scratch, "tokens.txt")
    with open(tokens, "w") as file:
        file.writelines(f"t{i}\n" for i in range(V))
    run = subprocess.run([unroll, "convert", path, "-o", out, "--force", "--vocabulary", tokens, "--eos", f"t{ids[0]}"], capture_output=True, text=True)
    if run.returncode:
        assert run.returncode == 2, run.stderr
        return None
    text = " ".join(f"t{i}" for i in ids[1:]) + "\n"
    run = subprocess.run([unroll, "score", out, "-", "--level", "token", "--base", "e"], input=text, capture_output=True, text=True)
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    column = rows[0].index("surp")
    return np.array([-float(row[column]) for row in rows[1:] if row[column] != "NA"])[: len(ids) - 1]


counts = collections.Counter()
with tempfile.TemporaryDirectory() as scratch:
    for number in range(count):
        model = onnx.load(choose.choice(seeds))
        result = model.graph.output[0].name
        for _ in range(choose.choice([1, 1, 2, 3])):
            alter(model)
        path = os.path.join(scratch, "altered.onnx")
        onnx.save(model, path)
        got = converted(path, scratch)
        counts["altered"] += 1
        if got is None:
            counts["refused"] += 1
            continue
        try:
            want = runtime(path, result)
        except Exception:
            want = []
        if not want:
            counts["invalid for ONNX Runtime"] += 1
        elif min(abs(got - numbers).max() for numbers in want) < 1e-4:
            counts["equal"] += 1
        else:
            counts["wrong"] += 1
            place = os.path.join(root, ".build", "soak", "found", f"onnx-{seed}-{number}.onnx")
            os.makedirs(os.path.dirname(place), exist_ok=True)
            onnx.save(model, place)
            print(f"fuzz-onnx: wrong: {place}", file=sys.stderr)
print(", ".join(f"{counts[name]} {name}" for name in ("altered", "equal", "refused", "invalid for ONNX Runtime", "wrong")))
sys.exit(1 if counts["wrong"] else 0)
