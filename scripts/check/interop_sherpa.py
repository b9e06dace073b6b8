"""A language model of ours as sherpa-onnx fuses it with a speech recognizer; run by scripts/check/interop.

The recognizer is made here: a transducer of random numbers under the interface of icefall's LSTM transducers. What it hears means
nothing, but for every token that it emits sherpa-onnx states the log-probability that the language model gave it.
"""
import importlib.metadata
import os
import subprocess
import tempfile

import numpy as np
import onnx
import sherpa_onnx
import torch
from onnx import TensorProto, helper, numpy_helper

V, WIDTH, LAYERS, STATE, CELL = 12, 8, 1, 3, 4
WORDS = ["<blk>", "<sos/eos>", "<unk>"] + [f"w{number}" for number in range(3, V)]
generator = np.random.default_rng(5)
node, value = helper.make_node, helper.make_tensor_value_info


def numbers(*shape):
    return generator.normal(size=shape).astype("float32")


def save(name, nodes, inputs, outputs, constants, metadata):
    graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(array, key) for key, array in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {key: str(text) for key, text in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")


def recognizer(**options):
    return sherpa_onnx.OnlineRecognizer.from_transducer(
        tokens="tokens.txt", encoder="encoder.onnx", decoder="decoder.onnx", joiner="joiner.onnx", num_threads=1,
        decoding_method="modified_beam_search", max_active_paths=3, **options)


def hear(recognizer, sound):
    stream = recognizer.create_stream()
    stream.accept_waveform(16000, sound)
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
    return recognizer.tokens(stream), recognizer.lm_probs(stream)


def transducer():
    reals, ids = TensorProto.FLOAT, TensorProto.INT64
    states = [("h", STATE), ("c", CELL)]
    # Every fourth frame of 80 features.
    save("encoder",
         [node("Slice", ["x", "start", "end", "axis", "step"], ["frames"]), node("MatMul", ["frames", "weight"], ["encoder_out"]),
          *(node("Identity", [name], [f"next_{name}"]) for name, _ in states)],
         [value("x", reals, ["N", 9, 80]), *(value(name, reals, [LAYERS, "N", size]) for name, size in states)],
         [value("encoder_out", reals, ["N", "T", WIDTH]), *(value(f"next_{name}", reals, [LAYERS, "N", size]) for name, size in states)],
         {"start": np.array([0]), "end": np.array([4]), "axis": np.array([1]), "step": np.array([4]), "weight": 0.3 * numbers(80, WIDTH)},
         {"model_type": "lstm", "num_encoder_layers": LAYERS, "T": 9, "decode_chunk_len": 4, "rnn_hidden_size": CELL, "d_model": STATE})
    save("decoder",
         [node("Gather", ["embedding", "y"], ["rows"]), node("ReduceMean", ["rows"], ["decoder_out"], axes=[1], keepdims=0)],
         [value("y", ids, ["N", 2])], [value("decoder_out", reals, ["N", WIDTH])], {"embedding": numbers(V, WIDTH)},
         {"vocab_size": V, "context_size": 2})
    save("joiner",
         [node("Add", ["encoder_out", "decoder_out"], ["sum"]), node("MatMul", ["sum", "weight"], ["product"]),
          node("Add", ["product", "bias"], ["logit"])],
         [value(name, reals, ["N", WIDTH]) for name in ("encoder_out", "decoder_out")], [value("logit", reals, ["N", V])],
         {"weight": numbers(WIDTH, V), "bias": np.array([2] + [0] * (V - 1), "float32")}, {"joiner_dim": WIDTH})


def language_model():
    """A model as icefall trains it, in Unroll's format and in that for sherpa-onnx."""
    torch.manual_seed(3)
    parts = {"input_embedding": torch.nn.Embedding(V, 6), "rnn": torch.nn.LSTM(6, 9, 2), "output_linear": torch.nn.Linear(9, V)}
    model = torch.nn.ModuleDict(parts)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    torch.save({"model": model.state_dict()}, "pretrained.pt")
    for arguments in (["pretrained.pt", "--vocabulary", "tokens.txt", "--line-start", WORDS[1], "--line-end", WORDS[1], "-o", "lm.unroll.h5"],
                      ["lm.unroll.h5", "-o", "lm.sherpa.onnx"]):
        subprocess.run(["unroll", "convert", *arguments], check=True, capture_output=True)


root = os.getcwd()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("tokens.txt", "w") as file:
        file.write("".join(f"{word} {number}\n" for number, word in enumerate(WORDS)))
    transducer()
    language_model()
    sound = 0.1 * numbers(32000)
    assert not hear(recognizer(), sound)[1]
    heard, theirs = hear(recognizer(lm="lm.sherpa.onnx", lm_scale=0.7), sound)
    table = subprocess.run(["unroll", "score", "lm.unroll.h5", "-", "--level", "token", "--base", "e"], check=True, text=True,
                           input=" ".join(heard) + "\n", capture_output=True).stdout.splitlines()
    column = table[0].split("\t").index("surp")
    # The last row is the end of the line, which nobody said.
    ours = [-float(row.split("\t")[column]) for row in table[1:-1]]
    assert len(ours) == len(theirs) == len(heard) > 20 and len(set(heard)) > 1, heard
    worst = abs(np.array(ours) - np.array(theirs)).max()
    assert worst < 1e-5, worst
    print(f"interop: sherpa-onnx {importlib.metadata.version('sherpa-onnx')} fuses a model of ours: {len(heard)} tokens, largest difference "
          f"of a log-probability {worst:.1e}")
    os.chdir(root)
