"""Our GGUF files as the gguf package sees them, and its own as we see them; run by scripts/check/interop."""
import glob
import importlib.metadata
import subprocess
import tempfile

import gguf
import h5py
import numpy as np

VERSION = importlib.metadata.version("gguf")
STATE = {"weight_ih": "weight_ih", "weight_hh": "weight_hh", "bias_ih": "bias_ih", "bias_hh": "bias_hh", "bias": "bias",
         "weight_hr": "weight_hr"}


def convert(*arguments):
    return subprocess.run(["unroll", "convert", *map(str, arguments), "--force"], stderr=subprocess.PIPE, text=True)


def numbers(tensor):
    """The numbers of a tensor that the package read, as f32."""
    if tensor.tensor_type == gguf.GGMLQuantizationType.BF16:
        return gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return np.asarray(tensor.data, np.float32)


def expected(file):
    """The tensors of a checkpoint as h5py reads them, in the order of a state_dict, without names."""
    model = file["model"]
    arrays = [model["embedding/weight"]] if "embedding" in model else []
    for layer in sorted(model["layers"]):
        arrays += [model["layers"][layer][name] for name in STATE if name in model["layers"][layer]]
    output = model["output"]
    tied = bool(model.attrs["tied"])
    arrays += [output["projection"]] if "projection" in output else []
    arrays += ([] if tied else [output["weight"]]) + ([output["bias"]] if "bias" in output else [])
    # h5py has no bfloat16: it reads such numbers as f32.
    return [np.asarray(array[()], np.float32) for array in arrays]


def checkpoints(folder):
    """Committed checkpoints, and models of PyTorch with a tie, several layers, no biases and a projection."""
    yield from sorted(glob.glob("fixtures/checkpoints/*.h5"))
    with open(f"{folder}/words", "w", encoding="utf8") as file:
        file.writelines(f"w{i}\n" for i in range(11))
    for name in ("pytorch/lstm-tied-state", "pytorch/gru-two-layers-module", "pytorch/lstm-bias-free", "statedict/projection"):
        result = convert(f"fixtures/{name}.pt", "--vocabulary", f"{folder}/words", "-o", f"{folder}/a.h5")
        assert result.returncode == 0, result.stderr
        yield f"{folder}/a.h5"


def ours(folder):
    """Every checkpoint that a state_dict can hold: the package finds its tensors and its tokens."""
    count = tensors = 0
    for path in checkpoints(folder):
        result = convert(path, "-o", f"{folder}/a.gguf", "--dtype", "f32")
        if result.returncode != 0:
            # Variants that no state_dict can say.
            assert "keep the checkpoint" in result.stderr, result.stderr
            continue
        reader = gguf.GGUFReader(f"{folder}/a.gguf")
        assert reader.get_field("general.architecture").contents() == "unrolllm"
        with h5py.File(path) as file:
            arrays = expected(file)
            names = {tensor.name for tensor in reader.tensors}
            assert len(arrays) == len(reader.tensors) == len(names), (path, names)
            for array, tensor in zip(arrays, reader.tensors):
                assert tensor.data_offset % 64 == 0 and len(tensor.name) < 64
                assert np.array_equal(array, numbers(tensor).reshape(array.shape)), (path, tensor.name)
            offsets, text = file["vocabulary/token_offsets"][:], file["vocabulary/token_bytes"][:].tobytes()
            tokens = [text[a:b].decode("utf8", "replace") for a, b in zip(offsets, offsets[1:])]
            assert reader.get_field("tokenizer.ggml.tokens").contents() == tokens
        count, tensors = count + 1, tensors + len(arrays)
    assert count >= 7, count
    print(f"interop: gguf {VERSION}: {count} checkpoints, {tensors} tensors equal bit for bit, and their tokens")


def narrowed(folder):
    """f16 and bf16 are what the package's own conversion gives."""
    path = "fixtures/gguf/lstm.gguf"
    original = {tensor.name: np.asarray(tensor.data) for tensor in gguf.GGUFReader(path).tensors}
    for name, kind in (("f16", gguf.GGMLQuantizationType.F16), ("bf16", gguf.GGMLQuantizationType.BF16)):
        assert convert(path, "-o", f"{folder}/{name}.gguf", "--dtype", name).returncode == 0
        for tensor in gguf.GGUFReader(f"{folder}/{name}.gguf").tensors:
            theirs = gguf.quants.quantize(original[tensor.name], kind)
            assert tensor.tensor_type == kind and tensor.data.tobytes() == theirs.tobytes(), (name, tensor.name)
    print(f"interop: gguf {VERSION}: rounded to f16 and bf16 as the package does")


with tempfile.TemporaryDirectory() as temporary:
    ours(temporary)
    narrowed(temporary)
