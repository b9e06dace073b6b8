"""Flips single bits of valid checkpoints, and sees that `unroll validate` finds what is changed.

A flip may pass only if h5py reads the same objects, types, shapes, attributes and bytes as before, and
`unroll inspect` says the same: it lies in bytes that mean nothing. (Or if h5py, whose libhdf5 is another,
refuses the file: newer versions look at parts of an index of chunks that older ones do not use.)
Needs h5py, and `unroll` in PATH.
Usage: mutations.py [COUNT]        (20,000 flips unless told)
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 200
TEXT = "the cat sat on a mat . the dog ran on the mat and the cat sat\n" * 8


def unroll(*arguments, folder=None, codes=(0,), seconds=300):
    run = subprocess.run(["unroll", *arguments], cwd=folder, capture_output=True, timeout=seconds)
    if run.returncode not in codes:
        raise RuntimeError(f"unroll {' '.join(arguments)}: ended with {run.returncode}: {run.stderr.decode()}")
    return run.stdout


def seeds(folder):
    """Checkpoints with every part of the format, in both profiles: name and bytes."""
    (folder / "text").write_text(TEXT)
    mixed = ROOT / "fixtures/checkpoints/torch-mixed.unroll.h5"
    training = folder / "training.last.h5"
    unroll("finetune", str(ROOT / "fixtures/hostile/valid.unroll.h5"), "--train", "text", "--valid", "text",
           "--epochs", "1", "--momentum", "0.9", "--batch-size", "2", "-o", "training.h5", folder=folder)
    for name, source in ("mixed", mixed), ("training", training):
        for profile in "live", "archive":
            unroll("repack", str(source), "--profile", profile, "-o", f"{name}-{profile}", folder=folder)
            yield f"{name}-{profile}", (folder / f"{name}-{profile}").read_bytes()


REFUSED = "h5py refuses the file"


def content(path):
    """All that h5py sees of a file, or REFUSED; how it is stored is not part of it."""
    objects = []

    def look(name, item):
        attributes = sorted((key, str(value.dtype), np.asarray(value).tobytes())
                            for key, value in item.attrs.items())
        data = None
        if isinstance(item, h5py.Dataset):
            raw = np.empty(item.shape, f"V{item.id.get_type().get_size()}")
            if raw.size:
                item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, mtype=item.id.get_type())
            data = (item.id.get_type().encode(), item.shape, raw.tobytes())
        objects.append((name, attributes, data))
        if isinstance(item, h5py.Group):
            for member in sorted(item):
                look(f"{name}/{member}", item[member])

    try:
        with h5py.File(path, "r") as file:
            look("", file["/"])
    except (OSError, RuntimeError, KeyError, ValueError):
        return REFUSED
    return objects


def data_places(path):
    """The places of the bytes of all datasets; the rest is metadata."""
    places = set()
    with h5py.File(path, "r") as file:
        def look(_, item):
            if not isinstance(item, h5py.Dataset):
                return
            if item.chunks is None:
                extents = [(item.id.get_offset(), item.id.get_storage_size())]
            else:
                chunks = (item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks()))
                extents = [(chunk.byte_offset, chunk.size) for chunk in chunks]
            for start, size in extents:
                places.update(range(start or 0, (start or 0) + size))
        file.visititems(look)
    return places


def flips(folder, name, bytes_, count):
    """Bits to flip: a quarter of them in data, the others over all of the metadata, unused bytes last."""
    generator = random.Random(name)
    data = data_places(folder / name)
    metadata = [place for place in range(len(bytes_)) if place not in data]
    generator.shuffle(metadata)
    # Every byte of metadata once before one is flipped twice; gaps are mostly zeros.
    metadata.sort(key=lambda place: not any(bytes_[max(0, place - 8):place + 9]))
    chosen = [(place, generator.randrange(8)) for place in metadata]
    wanted = count - min(count // 4, 8 * len(data))
    while len(chosen) < wanted:
        chosen.append((generator.choice(metadata), generator.randrange(8)))
    pairs = [(place, bit) for place in sorted(data) for bit in range(8)]
    return set(chosen[:wanted]) | set(generator.sample(pairs, min(count - wanted, len(pairs)))), data


def judge(folder, name, bytes_, chosen):
    """Validates a batch of flipped files: for each flip the rules of level error, none if it passes."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        names = {}
        for at, bit in chosen:
            changed = bytearray(bytes_)
            changed[at] ^= 1 << bit
            names[f"{at:07}-{bit}.h5"] = (at, bit)
            (pathlib.Path(place) / f"{at:07}-{bit}.h5").write_bytes(changed)
        report = json.loads(unroll("validate", ".", "--json", folder=place, codes=(0, 1)))
        assert len(report["files"]) == len(names), "a file without a report"
        result = []
        for file in report["files"]:
            path = pathlib.Path(place) / pathlib.Path(file["file"]).name
            rules = sorted({f["rule"] for f in file["findings"] if f["level"] == "error"})
            died = [f["found"] for f in file["findings"] if "a reader that" in f["found"]]
            seen = None
            if not rules:
                seen = (content(path), inspected(path))
            result.append((names[path.name], rules, died, seen))
        return result


def inspected(path):
    shown = json.loads(unroll("inspect", "--json", str(path)))
    shown.pop("file")
    return shown


def run(folder, pool, name, bytes_, count):
    """Flips bits of one checkpoint; returns what is wrong."""
    expected = (content(folder / name), inspected(folder / name))
    chosen, data = flips(folder, name, bytes_, count)
    chosen = sorted(chosen)
    batches = [chosen[i:i + BATCH] for i in range(0, len(chosen), BATCH)]
    rules, deaths, wrong = collections.Counter(), collections.Counter(), []
    passed = refused = 0
    for batch in pool.map(judge, *zip(*((folder, name, bytes_, batch) for batch in batches))):
        for (place, bit), broken, died, seen in batch:
            rules.update(broken)
            deaths.update(died)
            if broken:
                continue
            passed += 1
            refused += seen[0] == REFUSED
            if seen[1] != expected[1] or seen[0] not in (expected[0], REFUSED):
                wrong.append(f"{name}: bit {bit} of byte {place} changes what is read, and is not found")
            elif place in data and "live" in name:
                wrong.append(f"{name}: bit {bit} of byte {place} is data, and nobody sees it")
    places = {place for place, _ in chosen} - data
    print(f"{name}: {len(bytes_):,} bytes, {len(bytes_) - len(data):,} of metadata; {len(chosen):,} flips, "
          f"{len(places):,} bytes of metadata; {len(chosen) - passed:,} found, {passed:,} mean nothing"
          + (f" ({refused:,} of them only to some versions of libhdf5)" if refused else ""), flush=True)
    print("  " + ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items())))
    for how, number in sorted(deaths.items()):
        print(f"  {number} x {how}")
    return len(chosen), len(chosen) - passed, wrong


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        total, found, wrong = 0, 0, []
        files = list(seeds(folder))
        with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
            for name, bytes_ in files:
                results = run(folder, pool, name, bytes_, count // len(files))
                total, found, wrong = total + results[0], found + results[1], wrong + results[2]
    print("\n".join(wrong[:50]))
    print(f"mutations: {total:,} flips, {found:,} found, {total - found:,} mean nothing, {len(wrong)} missed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
