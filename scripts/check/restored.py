"""Checkpoints of TensorFlow that Unroll writes and reads, restored and saved by TensorFlow; run by scripts/check/tensorflow.

usage: restored.py keras3    Keras 3: weights and optimizers, both directions
       restored.py keras2    Keras 2: weights, both directions
"""
import os
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

keras, layers = tf.keras, tf.keras.layers
V, D, H = 12, 6, 6
TEXT = np.random.default_rng(7).integers(0, V, (4, 9))


def unroll(*arguments):
    result = subprocess.run(["unroll", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, (arguments, result.stdout + result.stderr)
    return result.stdout + result.stderr


def sequential(*cells, one_hot=False):
    first = [] if one_hot else [layers.Embedding(V, D)]
    return keras.Sequential([keras.Input((None, V) if one_hot else (None,))] + first + [
        cell(H, return_sequences=True) for cell in cells] + [layers.Dense(V, "softmax")])


def reversible():
    tokens = keras.Input((None,), dtype="int32")
    embedding = layers.ReversibleEmbedding(V, D)
    h = layers.GRU(D, return_sequences=True)(embedding(tokens))
    return keras.Model(tokens, layers.Softmax()(embedding(h, reverse=True)))


def values(variables):
    return [np.asarray(v) for v in variables]


def are_equal(a, b):
    return len(a) == len(b) and all(x.dtype == y.dtype and x.shape == y.shape and (x == y).all() for x, y in zip(a, b))


def fresh(model):
    """The same model with other numbers, and an optimizer before its first step."""
    other = keras.models.model_from_json(model.to_json())
    if getattr(model, "optimizer", None):
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        other.compile(optimizer, "sparse_categorical_crossentropy")
        optimizer.build(other.trainable_variables)
    assert not are_equal(values(other.weights), values(model.weights))
    return other


def check(name, model, optimizer=None):
    """Restores what Unroll writes, and converts what TensorFlow saves."""
    if optimizer is not None:
        model.compile(optimizer, "sparse_categorical_crossentropy")
        one_hot = len(model.input_shape) == 3
        model.fit(np.eye(V, dtype="float32")[TEXT] if one_hot else TEXT, TEXT, epochs=3, verbose=0)
    listed = ["--vocabulary", "list.txt"]
    suffix = "keras" if keras3 else "h5"
    model.save(f"{name}.{suffix}")
    unroll("convert", f"{name}.{suffix}", *listed, "-o", f"{name}.unroll.h5")
    unroll("convert", f"{name}.unroll.h5", "-o", f"{name}.index")
    wanted, slots = values(model.weights), values(optimizer.variables) if optimizer else None
    for whole in (False, True):
        other = fresh(model)
        parts = {"optimizer": other.optimizer} if optimizer and whole else {}
        restored = tf.train.Checkpoint(model=other, **parts) if whole else tf.train.Checkpoint(other)
        status = restored.restore(name)
        status.assert_existing_objects_matched()
        status.assert_consumed()
        assert are_equal(values(other.weights), wanted), (name, whole)
        assert slots is None or are_equal(values(other.optimizer.variables), slots), (name, whole)
    # The other direction: what TensorFlow saves of it.
    saved = tf.train.Checkpoint(other, **parts).save(f"{name}-saved")
    with open(f"{name}.json", "w") as file:
        file.write(model.to_json())
    unroll("convert", f"{saved}.index", *listed, "--keras-config", f"{name}.json", "-o", f"{name}-back.unroll.h5")
    result = subprocess.run(["unroll", "diff", f"{name}.unroll.h5", f"{name}-back.unroll.h5"],
                            capture_output=True, text=True)
    assert result.stdout.startswith("the same model") and "optimizer" not in result.stdout, (name, result.stdout)
    print(f"tensorflow {tf.__version__}, {sys.argv[1]}: {name}: {len(wanted)} weights"
          + (f" and {len(slots)} variables of the optimizer" if slots else "") + " restored, and read back")


keras3 = sys.argv[1] == "keras3"
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("list.txt", "w") as file:
        file.write("".join(f"token{i}\n" for i in range(V)))
    if keras3:
        optimizers = keras.optimizers
        check("weights", sequential(layers.LSTM, layers.GRU))
        check("adam", sequential(layers.LSTM, layers.LSTM), optimizers.Adam(0.01))
        check("amsgrad", sequential(layers.GRU), optimizers.Adam(0.01, amsgrad=True))
        check("adamw", sequential(layers.SimpleRNN), optimizers.AdamW(0.01))
        check("sgd", sequential(layers.LSTM), optimizers.SGD(0.1))
        check("momentum", sequential(layers.LSTM, one_hot=True), optimizers.SGD(0.1, momentum=0.9))
        check("rmsprop", sequential(layers.SimpleRNN, one_hot=True), optimizers.RMSprop(0.01, momentum=0.5, centered=True))
        check("reversible", reversible(), optimizers.Adam(0.01))
    else:
        check("weights", sequential(layers.LSTM, layers.GRU))
        check("rnn", sequential(layers.SimpleRNN, one_hot=True))
