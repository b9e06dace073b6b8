"""Our models as Keras loads, runs and trains them, and its fresh files as we read them; run by scripts/check/interop."""
import json
import os
import subprocess
import tempfile
import warnings

os.environ["KERAS_BACKEND"] = "torch"
warnings.filterwarnings("ignore")
import h5py
import keras
import numpy as np

DATA, FIXTURES = "fixtures/characters", "fixtures/keras"
L = keras.layers
with open(f"{FIXTURES}/references.json") as file:
    REFERENCES = json.load(file)


def convert(*arguments):
    subprocess.run(["unroll", "convert", *arguments, "--force"], check=True, stderr=subprocess.DEVNULL)


def log_probabilities(model, ids):
    """Each next token's."""
    ids = np.asarray(ids)
    V = model.output_shape[-1]
    x = ids[None, :-1]
    rows = keras.ops.convert_to_numpy(model(np.eye(V, dtype="float32")[x] if len(model.input_shape) == 3 else x))[0]
    return np.log(rows.astype("float64"))[np.arange(len(ids) - 1), ids[1:]]


def tokens(path):
    with h5py.File(path) as file:
        offsets, data = file["/vocabulary/token_offsets"][:], file["/vocabulary/token_bytes"][:].tobytes()
        return [data[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]


def digest(path):
    with h5py.File(path) as file:
        return file.attrs["weights_digest"]


def a_model_of_pytorch(folder):
    """The characters' LSTM: two biases become one; 2,000 tokens."""
    convert(f"{DATA}/model.pt", "--corpus", DATA, "-o", f"{folder}/poet.unroll.h5")
    convert(f"{folder}/poet.unroll.h5", "-o", f"{folder}/poet.keras")
    convert(f"{folder}/poet.unroll.h5", "-o", f"{folder}/poet.weights.h5")
    index = {token: i for i, token in enumerate(tokens(f"{folder}/poet.unroll.h5"))}
    words = open(f"{DATA}/test.txt", encoding="utf8").read().split()[:2000]
    rows = subprocess.run(
        ["unroll", "score", f"{folder}/poet.unroll.h5", "-", "--level", "token", "--base", "e"], check=True,
        input=" ".join(words) + "\n", text=True, stdout=subprocess.PIPE).stdout.splitlines()
    column = rows[0].split("\t").index("surp")
    ours = -np.array([float(row.split("\t")[column]) for row in rows[1:]])
    model = keras.models.load_model(f"{folder}/poet.keras")
    ids = [index["<eos>"]] + [index[word] for word in words]
    theirs = log_probabilities(model, ids)
    largest = abs(ours[:len(theirs)] - theirs).max()
    assert len(theirs) == 2000 and largest < 1e-5, largest
    for layer in model.layers:
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    model.load_weights(f"{folder}/poet.weights.h5")
    assert abs(log_probabilities(model, ids) - theirs).max() == 0
    print(f"interop: keras {keras.__version__}: a model of PyTorch, its two biases as one, gives the same "
          f"log-probabilities of 2,000 tokens, largest difference {largest:.1e}; .weights.h5 loads")


def narrow_types(folder):
    """Files of f16 and bf16 load, with the numbers of the model rounded."""
    import torch
    model = keras.models.load_model(f"{FIXTURES}/lstm.keras")
    for name, type in [("f16", torch.float16), ("bf16", torch.bfloat16)]:
        convert(f"{FIXTURES}/lstm.keras", "--vocabulary", f"{folder}/words.json", "--dtype", name, "-o", f"{folder}/{name}.keras")
        narrow = keras.models.load_model(f"{folder}/{name}.keras")
        for wide, rounded in zip(model.weights, narrow.weights):
            assert torch.equal(torch.as_tensor(wide.value).detach().to(type), torch.as_tensor(rounded.value).detach())
    print("interop: models of f16 and bf16 load in Keras with the rounded numbers")


def training_goes_on(folder):
    """Keras's files by way of a checkpoint: the losses that Keras itself had with its own."""
    batch, worst = np.array(REFERENCES["batch"]), 0.0
    words = f"{folder}/words.json"
    with open(words, "w") as file:
        json.dump([f"w{i}" for i in range(11)], file)
    names = ["lstm", "gru", "gru-before", "rnn"]
    for name in names:
        convert(f"{FIXTURES}/{name}.keras", "--vocabulary", words, "-o", f"{folder}/{name}.unroll.h5")
        convert(f"{folder}/{name}.unroll.h5", "-o", f"{folder}/{name}.keras")
        model = keras.models.load_model(f"{folder}/{name}.keras")
        reference = REFERENCES["models"][name]
        worst = max(worst, abs(log_probabilities(model, REFERENCES["ids"]) - reference["log_probabilities"]).max())
        x = batch[:, :-1]
        x = np.eye(11, dtype="float32")[x] if len(model.input_shape) == 3 else x
        for loss in reference["losses"]:
            worst = max(worst, abs(float(model.train_on_batch(x, batch[:, 1:])) - loss))
    assert worst < 1e-5, worst
    print(f"interop: {len(names)} models of Keras there and back: log-probabilities and three more losses under Adam, "
          f"RMSprop and SGD, largest difference {worst:.1e}")


def fresh_files(folder):
    """What this Keras saves now, in three forms each."""
    generator, count = np.random.default_rng(5), 0
    words = f"{folder}/words.json"
    for cell in (L.LSTM, L.GRU, L.SimpleRNN):
        for settings in ({}, {"use_bias": False}):
            model = keras.Sequential([
                L.Input((None,), dtype="int32"), L.Embedding(11, 3), L.Dropout(0.1),
                cell(4, return_sequences=True, **settings), cell(5, return_sequences=True, **settings),
                L.Dense(11, activation="softmax")])
            for layer in model.layers:
                layer.set_weights([generator.normal(0, 0.5, w.shape) for w in layer.get_weights()])
            model.save(f"{folder}/x.keras")
            model.save(f"{folder}/x.h5")
            model.save_weights(f"{folder}/x.weights.h5")
            digests = set()
            for form in ("keras", "h5", "weights.h5"):
                convert(f"{folder}/x.{form}", "--vocabulary", words, "--nonlinearity", "tanh", "-o",
                        f"{folder}/x.unroll.h5") if cell is L.SimpleRNN else convert(
                            f"{folder}/x.{form}", "--vocabulary", words, "-o", f"{folder}/x.unroll.h5")
                digests.add(digest(f"{folder}/x.unroll.h5"))
                with h5py.File(f"{folder}/x.unroll.h5") as file:
                    test = file["/self_test"]
                    ids = test["token_ids"][:]
                    assert abs(test["log_probabilities"][:] - log_probabilities(model, ids)).max() < 1e-5
            assert len(digests) == 1
            count += 3
    print(f"interop: {count} fresh files of Keras read, three forms of a model with one digest, and its log-probabilities")


with tempfile.TemporaryDirectory() as folder:
    a_model_of_pytorch(folder)
    training_goes_on(folder)
    narrow_types(folder)
    fresh_files(folder)
