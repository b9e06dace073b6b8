"""Fresh models of programs that PyPI brings (MLX, REINVENT, flair, the converter of TensorFlow.js, icefall's layers by PyTorch),
as we read them, and what we write as these programs read it; run by scripts/check/interop."""
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import types
import warnings

warnings.filterwarnings("ignore")
import h5py
import numpy as np
import onnxruntime
import torch

torch.set_grad_enabled(False)
torch.manual_seed(41)
V, D, H = 23, 6, 9
WORDS = [f"token{number}" for number in range(V)]
IDS = np.random.default_rng(41).integers(0, V, 300)


def version(name):
    return f"{name} {importlib.metadata.version(name)}"


def convert(*arguments):
    result = subprocess.run(["unroll", "convert", *map(str, arguments), "--force"], capture_output=True, text=True)
    assert result.returncode == 0, (arguments, result.stderr)


def score(model, text):
    """The log-probabilities of the tokens of a line, without those that nothing precedes."""
    table = subprocess.run(["unroll", "score", model, "-", "--level", "token", "--base", "e"], check=True, input=text + "\n",
                           text=True, capture_output=True).stdout.splitlines()
    column = table[0].split("\t").index("surp")
    return -np.array([float(value) for value in (row.split("\t")[column] for row in table[1:]) if value != "NA"])


def difference(ours, theirs, within=1e-5):
    assert len(ours) == len(theirs), (len(ours), len(theirs))
    largest = abs(ours - np.asarray(theirs, "float64")).max()
    assert largest < within, largest
    return largest


def digest(path):
    with h5py.File(path) as file:
        return file.attrs["weights_digest"]


def stand_in(name, **attributes):
    """A module for one that is not needed here, or a package without its own imports."""
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(attributes)


def mlx():
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    mx.random.seed(41)

    class Model(nn.Module):
        def __init__(self, cell, widths):
            super().__init__()
            self.embedding = nn.Embedding(V, widths[0])
            self.layers = [cell(a, b) for a, b in zip(widths, widths[1:])]
            self.output = nn.Linear(widths[-1], V)

        def __call__(self, tokens):
            x = self.embedding(tokens)
            for layer in self.layers:
                x = layer(x)
                x = x[0] if isinstance(x, tuple) else x
            return self.output(x)

    def logprobs(model):
        logits = model(mx.array(IDS[:-1])[None])[0]
        rows = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True), "float64")
        return rows[np.arange(len(IDS) - 1), IDS[1:]]

    worst, options = 0.0, {nn.RNN: ["--nonlinearity", "tanh"]}
    for cell in nn.LSTM, nn.GRU, nn.RNN:
        model = Model(cell, [D, H, H])
        values = {name: mx.random.uniform(-0.8, 0.8, value.shape) for name, value in tree_flatten(model.parameters())}
        model.load_weights(list(values.items()))
        mx.save_safetensors("theirs.safetensors", values)
        convert("theirs.safetensors", "--vocabulary", "list.txt", *options.get(cell, []), "-o", "mlx.unroll.h5")
        # Its exponential function is an approximation.
        worst = max(worst, difference(score("mlx.unroll.h5", " ".join(WORDS[i] for i in IDS)), logprobs(model), within=3e-5))
        convert("mlx.unroll.h5", "-o", "ours.mlx.safetensors")
        back = Model(cell, [D, H, H])
        back.load_weights("ours.mlx.safetensors")
        pairs = dict(tree_flatten(back.parameters()))
        assert pairs.keys() == values.keys() and all(bool(mx.array_equal(pairs[name], values[name])) for name in values)
        assert (logprobs(back) == logprobs(model)).all()
    print(f"interop: {version('mlx')}: models of LSTM, GRU and RNN, largest difference {worst:.1e}; written back, every tensor bit "
          "for bit")


def reinvent():
    from reinvent_models.reinvent_core.models.model import Model
    from reinvent_models.reinvent_core.models.vocabulary import SMILESTokenizer, create_vocabulary
    smiles = ["CCO", "c1ccc[nH]1", "ClCBr", "C=1CN=1"]
    vocabulary, worst = create_vocabulary(smiles, SMILESTokenizer()), 0.0
    for cell in "gru", "lstm":
        model = Model(vocabulary, SMILESTokenizer(), {"layer_size": H, "num_layers": 2, "cell_type": cell, "embedding_layer_size": D})
        model.network.eval()
        model.save("theirs.prior")
        convert("theirs.prior", "-o", "prior.unroll.h5")
        # One by one: in a batch, the padding behind a short one counts, too.
        theirs = [-model.likelihood_smiles([text]).item() for text in smiles]
        worst = max(worst, difference(np.array([score("prior.unroll.h5", text).sum() for text in smiles]), theirs))
        convert("prior.unroll.h5", "-o", "ours.prior")
        saved = torch.load("ours.prior", weights_only=True)
        state = model.network.state_dict()
        assert saved["network"].keys() == state.keys() and all(torch.equal(saved["network"][name], state[name]) for name in state)
        assert saved["vocabulary"]["tokens"] == {token: vocabulary[token] for token in vocabulary.tokens()}
        parameters = dict(saved["network_params"])
        assert not parameters.pop("layer_normalization", False)
        back = Model(vocabulary, SMILESTokenizer(), parameters)
        back.network.load_state_dict(saved["network"])
        back.network.eval()
        assert [-back.likelihood_smiles([text]).item() for text in smiles] == theirs
    print(f"interop: {version('reinvent-models')}: priors of GRU and LSTM give their likelihoods of {len(smiles)} SMILES, largest "
          f"difference {worst:.1e}; written back, every tensor bit for bit")


def flair():
    # flair imports dozens of packages that its language model does not need.
    place = importlib.util.find_spec("flair").submodule_search_locations[0]
    stand_in("flair", __path__=[place], device=torch.device("cpu"))
    for package in "models", "nn":
        stand_in(f"flair.{package}", __path__=[os.path.join(place, package)])
    stand_in("flair.file_utils", Tqdm=None)
    stand_in("flair.tokenization", SegtokTokenizer=None, SpaceTokenizer=None, Tokenizer=None)
    stand_in("deprecated", __path__=[])
    stand_in("deprecated.sphinx", deprecated=lambda **_: lambda function: function)
    from flair.data import Dictionary
    from flair.models.language_model import LanguageModel
    dictionary = Dictionary(add_unk=True)
    characters = "abcdefghij é.ö猫"
    for character in characters:
        dictionary.add_item(character)
    model = LanguageModel(dictionary, is_forward_lm=True, hidden_size=H, nlayers=2, embedding_size=D)
    model.eval()
    model.save("flair.pt")
    convert("flair.pt", "-o", "flair.unroll.h5")
    # No white space at the ends of a line.
    text = "".join(characters[i % len(characters)] for i in IDS).strip()
    ids = torch.tensor([dictionary.get_idx_for_item(character) for character in text])
    zeros = torch.zeros(2, 1, H)
    rows = torch.log_softmax(model(ids[:-1, None], (zeros, zeros))[0][:, 0].double(), -1)
    worst = difference(score("flair.unroll.h5", text), rows.gather(1, ids[1:, None])[:, 0].numpy())
    print(f"interop: {version('flair')}: a forward model, {len(text) - 1} characters, largest difference {worst:.1e}")


def tensorflowjs(root):
    # Of TensorFlow the converter needs here one function that opens files.
    stand_in("tensorflow", io=types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open)))
    place = importlib.util.find_spec("tensorflowjs").submodule_search_locations[0]
    stand_in("tensorflowjs", __path__=[place])
    stand_in("tensorflowjs.converters", __path__=[os.path.join(place, "converters")])
    from tensorflowjs import read_weights
    from tensorflowjs.converters import keras_h5_conversion
    tokens = ["--vocabulary", "eleven.txt"]
    with open("eleven.txt", "w") as file:
        file.write("".join(f"token{number}\n" for number in range(11)))

    def read(folder):
        with open(f"{folder}/model.json") as file:
            manifest = json.load(file)["weightsManifest"]
        return {entry["name"]: entry["data"] for entry in read_weights.read_weights(manifest, folder, flatten=True)}

    source = f"{root}/fixtures/keras/keras2-hard.h5"
    os.mkdir("tfjs")
    topology, groups = keras_h5_conversion.h5_merged_saved_model_to_tfjs_format(h5py.File(source, "r"), False)
    keras_h5_conversion.write_artifacts(topology, groups, "tfjs", None)
    convert("tfjs/model.json", *tokens, "-o", "tfjs.unroll.h5")
    convert(source, *tokens, "-o", "keras.unroll.h5")
    assert digest("tfjs.unroll.h5") == digest("keras.unroll.h5")
    os.mkdir("back")
    convert("tfjs.unroll.h5", "-o", "back/model.json")
    theirs, ours = list(read("tfjs").values()), list(read("back").values())
    assert len(ours) == len(theirs) and all(any(np.array_equal(a, b) for b in theirs) for a in ours)
    print(f"interop: {version('tensorflowjs')}: a converted model has the weights of its Keras file; written back, "
          f"its reader finds {len(ours)} weights bit for bit")


class Icefall(torch.nn.Module):
    """icefall's RnnLmModel with the forward function of its export with state."""

    def __init__(self):
        super().__init__()
        self.input_embedding = torch.nn.Embedding(V, H)
        self.rnn = torch.nn.LSTM(H, H, 3, batch_first=True)
        self.output_linear = torch.nn.Linear(H, V)
        self.output_linear.weight = self.input_embedding.weight

    def forward(self, x, h, c):
        output, (h, c) = self.rnn(self.input_embedding(x), (h, c))
        return self.output_linear(output[:, -1]).log_softmax(-1), h, c


def icefall():
    model = Icefall().eval()
    torch.save({"model": model.state_dict()}, "pretrained.pt")
    lines = ["--line-start", WORDS[1], "--line-end", WORDS[1]]
    convert("pretrained.pt", "--vocabulary", "list.txt", *lines, "-o", "icefall.unroll.h5")
    convert("icefall.unroll.h5", "-o", "ours.sherpa.onnx")
    inputs, outputs = ["x", "h0", "c0"], ["log_softmax", "next_h0", "next_c0"]
    zeros = torch.zeros(3, 1, H)
    torch.onnx.export(model, (torch.zeros(1, 20, dtype=torch.int64), zeros, zeros), "theirs.onnx", input_names=inputs, output_names=outputs,
                      opset_version=13, dynamo=False,
                      dynamic_axes={"x": {0: "N", 1: "L"}, "log_softmax": {0: "N"}} | {name: {1: "N"} for name in inputs[1:] + outputs[1:]})
    convert("theirs.onnx", "--vocabulary", "list.txt", *lines, "-o", "back.unroll.h5")
    assert digest("back.unroll.h5") == digest("icefall.unroll.h5")
    session = onnxruntime.InferenceSession("ours.sherpa.onnx", providers=["CPUExecutionProvider"])
    # sherpa-onnx feeds and takes values by their order.
    assert [value.name for value in session.get_inputs()] == inputs and [value.name for value in session.get_outputs()] == outputs
    metadata = session.get_modelmeta().custom_metadata_map
    layers, width, token = (int(metadata[name]) for name in ("num_layers", "hidden_size", "sos_id"))
    assert (layers, width, token) == (3, H, 1)
    ids = [i for i in IDS if i != 1] + [int(metadata["eos_id"])]
    values = {name: np.zeros((layers, 1, width), "float32") for name in inputs[1:]}
    fused, theirs, state = [], [], (zeros, zeros)
    for following in ids:
        x = np.array([[token]])
        scores, h, c = session.run(None, {"x": x, **values})
        values = {"h0": h, "c0": c}
        fused.append(scores[0, following])
        expected, *state = model(torch.from_numpy(x), *state)
        theirs.append(expected[0, following].item())
        token = following
    ours = score("icefall.unroll.h5", " ".join(WORDS[i] for i in ids[:-1]))
    worst = max(difference(ours, fused), difference(ours, theirs))
    print(f"interop: sherpa-onnx's interface in onnxruntime {onnxruntime.__version__}: {len(ids)} tokens of an icefall model fused "
          f"one by one, largest difference {worst:.1e} from its layers and `score`; its export with state is read")


root = os.getcwd()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("list.txt", "w") as file:
        file.write("".join(word + "\n" for word in WORDS))
    mlx()
    reinvent()
    icefall()
    flair()
    tensorflowjs(root)
    os.chdir(root)
