"""The inputs of the fuzzers.

Usage: fuzzing.py unpack FOLDER     the committed corpora and the fixtures, a folder a target
       fuzzing.py pack FOLDER       such folders into fixtures/fuzzing/TARGET.zip, as many as it may hold
"""

import gzip
import pathlib
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPORA = ROOT / "fixtures/fuzzing"
TARGETS = "pickle", "zip", "torch", "legacy", "arrays", "numbers", "gguf", "graph", "lua", "manifest", "bundle", "saved", "inventory", "answer"
LARGEST_SEED = 12_000
LARGEST_CORPUS = 55_000
# The newer ones: the fixtures have little room left.
SMALLER_CORPUS = dict.fromkeys(("legacy", "numbers", "gguf", "lua", "manifest", "saved"), 30_000)
# Long to read by design: they would slow every run down.
SLOW = "hostile-depth.pt", "hostile-modules.pt"


def without_checksums(data):
    """A ZIP archive in which no CRC-32 hides what a fuzzer changes."""
    data = bytearray(data)
    place = data.find(b"PK\1\2")
    while place >= 0:
        data[place + 16:place + 20] = bytes(4)
        place = data.find(b"PK\1\2", place + 1)
    return data


def pickles(path):
    """The pickles of a file of torch.save; none of one that Python cannot unpack."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl")]
    except (zipfile.BadZipFile, NotImplementedError):
        return []


def fields(message):
    """Numbers and values of a message of Protocol Buffers that has no fields of a fixed size: numbers and bytes."""
    rest = memoryview(message)

    def number():
        nonlocal rest
        value = shift = 0
        while True:
            byte, rest = rest[0], rest[1:]
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while rest:
        key = number()
        value = number()
        if key & 7 == 2:
            value, rest = bytes(rest[:value]), rest[value:]
        yield key >> 3, value


def varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def saved_model():
    """A SavedModel of Keras without what only its execution needs, and with a list of tokens; and what Keras notes of layers."""
    with zipfile.ZipFile(ROOT / "fixtures/tensorflow/keras2.zip") as archive:
        graph, notes = (archive.read(f"keras2-saved/{name}.pb") for name in ("saved_model", "keras_metadata"))
    operations = dict(fields(dict(fields(graph))[2]))[2]
    nodes = b"".join(field(1, node) for _, node in list(fields(operations))[:2])
    # dtype, shape and elements of a tensor of strings.
    tokens = b"\x08\x07" + field(2, field(2, b"\x08\x0b")) + b"".join(field(8, bytes([number])) for number in range(97, 108))
    constant = field(1, b"tokens") + field(2, b"Const") + field(5, field(1, b"value") + field(2, field(8, tokens)))
    layers = b"".join(field(1, note) for _, note in fields(notes) if len(note) < 2000)
    graph = b"\x08\x01" + field(2, field(2, nodes + field(1, constant)))
    return len(graph).to_bytes(2, "little") + graph + layers


def seeds():
    """Targets, names and bytes of the inputs to begin with."""
    for target in TARGETS:
        yield target, "empty", b""
        if (CORPORA / f"{target}.zip").exists():
            with zipfile.ZipFile(CORPORA / f"{target}.zip") as corpus:
                for name in corpus.namelist():
                    yield target, name, corpus.read(name)
    tokens = "".join(f"token{number}\n" for number in range(40)).encode()
    yield "zip", "tokens.gz", gzip.compress(tokens, mtime=0)
    for path in sorted((ROOT / "fixtures").glob("*/*.safetensors")):
        yield "arrays", path.name, path.read_bytes()
    for path in sorted((ROOT / "fixtures/numpy").glob("*.npz")):
        yield "arrays", path.name, without_checksums(path.read_bytes())
    for path in sorted((ROOT / "fixtures/gguf").glob("*.gguf")):
        yield "gguf", path.name, path.read_bytes()
    for path in sorted((ROOT / "fixtures/tensorflow").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if "/" not in name and name.endswith(".index") and name != "shards.index":
                    index, data = archive.read(name), archive.read(name.replace(".index", ".data-00000-of-00001"))
                    if len(data) <= LARGEST_SEED:
                        yield "bundle", name, len(index).to_bytes(2, "little") + bytes(2) + index + data
    yield "saved", "keras2-saved", saved_model()
    for path in sorted((ROOT / "fixtures/tensorflow/charrnn").glob("*.pkl")):
        yield "numbers", path.name, path.read_bytes()
    for path in sorted((ROOT / "fixtures/torch-programs").iterdir()):
        if path.suffix != ".json":
            yield "torch", path.name, without_checksums(path.read_bytes())
            yield from (("pickle", path.name, pickle) for pickle in pickles(path))
    for path in sorted((ROOT / "fixtures/pickles").glob("*.p*")):
        data = path.read_bytes()
        if len(data) <= LARGEST_SEED and not data.startswith(b"PK"):
            yield "legacy" if path.suffix == ".pt" else "numbers", path.name, data
    for path in sorted((ROOT / "fixtures/onnx").glob("*.onnx")):
        yield "graph", path.name, path.read_bytes()
    for path in sorted((ROOT / "fixtures/torch7").glob("*.t7")):
        if path.stat().st_size <= LARGEST_SEED:
            yield "lua", path.name, path.read_bytes()
    for path in sorted((ROOT / "fixtures/tfjs").glob("*/model.json")):
        yield "manifest", path.parent.name, path.read_bytes()
    for path in sorted((ROOT / "fixtures/pytorch").glob("*.pt")):
        data = path.read_bytes()
        if path.name in SLOW or len(data) > LARGEST_SEED:
            continue
        yield "zip", path.name, without_checksums(data)
        yield "torch", path.name, without_checksums(data)
        yield from (("pickle", path.name, pickle) for pickle in pickles(path))


def unpack(folder):
    for target, name, data in seeds():
        (folder / target).mkdir(parents=True, exist_ok=True)
        (folder / target / name).write_bytes(data)


def size(inputs):
    """The bytes of an archive of inputs."""
    return sum(len(data) + 84 for data in inputs)


def pack(folder):
    for target in TARGETS:
        inputs = sorted((path.read_bytes() for path in (folder / target).iterdir()), key=lambda x: (len(x), x))
        # Of every size as many as there is room for: the small ones are refused at their first bytes.
        room = SMALLER_CORPUS.get(target, LARGEST_CORPUS)
        step = next(step for step in range(1, 1000) if size(inputs[::step]) < room)
        with zipfile.ZipFile(CORPORA / f"{target}.zip", "w") as corpus:
            for number, data in enumerate(inputs[::step]):
                # Without a date, equal corpora are equal files.
                corpus.writestr(zipfile.ZipInfo(f"{number:04}"), data)


{"unpack": unpack, "pack": pack}[sys.argv[1]](pathlib.Path(sys.argv[2]))
