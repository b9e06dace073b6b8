#!/usr/bin/env python3
"""Makes bombs, HDF5 files that cost their reader far more than they seem to, and measures what they cost.

Each is fixtures/hostile/valid.unroll.h5 with something added, which `unroll validate` and `unroll inspect` must
refuse, or a file of another program (of HDF5, or a graph of TensorFlow), which `unroll convert` must, in less than 2 s and with less than 200 MB, the
process that runs libhdf5 included. With
BOMBS_KEEP set the bombs stay in FOLDER, and those that are there are not made again.
usage: check/bombs.py UNROLL FOLDER [NAME ...]        (needs h5py)
"""
import os
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t

unroll, folder = sys.argv[1:3]
wanted = sys.argv[3:]
keeps = "BOMBS_KEEP" in os.environ
valid = os.path.join(os.path.dirname(__file__), "../../fixtures/hostile/valid.unroll.h5")
bomb = "/extensions/org.example.bomb"
SECONDS, MEGABYTES = 2, 200
failures = 0


def peak(process):
    """The peak of the resident memory of a process so far, in bytes; 0 if it is gone."""
    try:
        with open(f"/proc/{process}/status") as status:
            return next((int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def children(process):
    try:
        with open(f"/proc/{process}/task/{process}/children") as names:
            return [int(name) for name in names.read().split()]
    except OSError:
        return []


def cost(command):
    """Runs a command: its output, exit code, and what it and its children cost together.

    That is seconds of work, on an idle machine those until the end, and the sum of the peaks of memory.
    """
    with open(os.path.join(folder, "output"), "w+b") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        peaks = {}
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            for each in [process.pid] + children(process.pid):
                peaks[each] = max(peaks.get(each, 0), peak(each))
            time.sleep(0.002)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return output.read(), process.returncode, usage.ru_utime + usage.ru_stime, sum(peaks.values())


def check(path, runs=(("validate", 1), ("inspect", 2)), options=()):
    global failures
    for verb, refusal in runs:
        output, code, seconds, memory = cost([unroll, verb, path, *options])
        rules = sorted({word.decode() for word in output.split(b": error ")[1:] for word in [word[:4]]})
        name = os.path.basename(path)[:-3]
        line = (f"{name:32} {verb:8} {os.path.getsize(path):>11,} bytes  {seconds:5.2f} s "
                f"{memory / 1e6:6.0f} MB  {len(output):>9,} bytes said  {' '.join(rules)}")
        if code != refusal or seconds > SECONDS or memory > MEGABYTES * 1e6:
            failures += 1
            line += f"  FAILED, exit code {code}"
        print(line, flush=True)


def edited(name, patch=None):
    """Adds to the valid file, in an extension: the layout says nothing of what is in there."""
    def run(edit):
        if wanted and name not in wanted:
            return
        path = os.path.join(folder, name + ".h5")
        if os.path.exists(path):
            return check(path)
        shutil.copyfile(valid, path)
        with h5py.File(path, "r+", libver=("v108", "v108")) as file:
            for path_part in ["/extensions", bomb]:
                if path_part not in file:
                    h5g.create(file.id, path_part.encode())
            edit(file)
        if patch:
            with open(path, "r+b") as file:
                patch(file)
        with open(path, "rb") as file:
            assert file.read(9)[8] == 2, name
        check(path)
        if not keeps:
            os.remove(path)
    return run


def dataset(file, name, type, shape, chunk=None, filters=()):
    plist = h5p.create(h5p.DATASET_CREATE)
    if chunk:
        plist.set_chunk(chunk)
    if "shuffle" in filters:
        plist.set_shuffle()
    if "deflate" in filters:
        plist.set_deflate(9)
    if "fletcher32" in filters:
        plist.set_fletcher32()
    return h5d.create(file.id, f"{bomb}/{name}".encode(), type, h5s.create_simple(shape), plist)


def attribute(object, name, value):
    value = np.asarray(value)
    type = h5t.py_create(value.dtype)
    if value.dtype.kind == "S":
        type.set_cset(h5t.CSET_UTF8)
    h5a.create(object, name, type, h5s.create(h5s.SCALAR)).write(value, mtype=type)


# --- Declared, not stored

@edited("terabytes-contiguous")
def _(file):
    dataset(file, "data", h5t.IEEE_F32LE, (1 << 20, 1 << 20))


@edited("terabytes-in-chunks")
def _(file):
    dataset(file, "data", h5t.IEEE_F32LE, (1 << 20, 1 << 20), (1 << 10, 1 << 10),
            ["deflate", "fletcher32"])


# --- Structure

@edited("deep")
def _(file):
    group = file[bomb].id
    for _ in range(300_000):
        group = h5g.create(group, b"g")


@edited("cycles")
def _(file):
    # Each of 100 groups has links to all of them, and to the root.
    groups = [h5g.create(file.id, f"{bomb}/{number}".encode()) for number in range(100)]
    for group in groups:
        for number, other in enumerate(groups):
            h5py.h5o.link(other, group, str(number).encode())
        h5py.h5o.link(file["/"].id, group, b"root")


@edited("links")
def _(file):
    group, target = file[bomb].id, h5g.create(file.id, f"{bomb}/target".encode())
    for number in range(1_000_000):
        h5py.h5o.link(target, group, str(number).encode())


@edited("groups")
def _(file):
    group = file[bomb].id
    for number in range(200_000):
        h5g.create(group, str(number).encode())


def siblings(file, parent, digits):
    """19,900 copies of the first member of a numbered group, without the datasets in it."""
    first = dict(file[parent][digits * "0"].attrs.items())
    for number in range(1, 19_900):
        group = h5g.create(file.id, f"{parent}/{number:0{digits}}".encode())
        for name, value in first.items():
            attribute(group, name.encode(), value)


@edited("layers")
def _(file):
    siblings(file, "/model/layers", 2)


@edited("provenance")
def _(file):
    siblings(file, "/provenance", 3)


# --- Attributes

@edited("attributes")
def _(file):
    group, space = file[bomb].id, h5s.create(h5s.SCALAR)
    for number in range(1_000_000):
        h5a.create(group, str(number).encode(), h5t.STD_I64LE, space)


@edited("attributes-of-many")
def _(file):
    # As many as one object may have, and a finding for each with a long path.
    group, space = file[bomb].id, h5s.create(h5s.SCALAR)
    for _ in range(12):
        group = h5g.create(group, b"n" * 255)
    for number in range(150):
        member = h5g.create(group, str(number).encode())
        for attribute_number in range(1000):
            h5a.create(member, str(attribute_number).encode(), h5t.STD_I32LE, space)


@edited("attributes-of-many-texts")
def _(file):
    value = np.full(32_000, b"", "S1")
    for number in range(1000):
        group = h5g.create(file.id, f"{bomb}/{number}".encode())
        h5a.create(group, b"a", h5t.C_S1, h5s.create_simple(value.shape)).write(value)


@edited("attributes-of-32-kib")
def _(file):
    value = np.bytes_(b"x" * ((32 << 10) - 1))
    for number in range(1000):
        group = h5g.create(file.id, f"{bomb}/{number}".encode())
        for name in [b"a", b"b", b"c", b"d"]:
            attribute(group, name, value)


@edited("attribute-of-300-mb")
def _(file):
    group = file[bomb].id
    space = h5s.create_simple((300 << 20,))
    h5a.create(group, b"a", h5t.STD_U8LE, space)


# --- Names

@edited("names-of-64-kb")
def _(file):
    group = file[bomb].id
    for _ in range(13):
        group = h5g.create(group, b"n" * 65_000)
    for number in range(500):
        h5g.create(group, b"\x1b[2J" + str(number).encode() * 12_000)


@edited("names-with-control-characters")
def _(file):
    group = file[bomb].id
    for number in range(19_000):
        h5g.create(group, b"\x1b]0;\x07\n\xff" + str(number).encode() * 40)


# --- Data

ARCHIVE = ["shuffle", "deflate", "fletcher32"]


def zeros(file, name, rows, width, per_chunk, filters=ARCHIVE):
    data = dataset(file, name, h5t.IEEE_F32LE, (rows, width), (per_chunk, width), filters)
    block = np.zeros((per_chunk, width), "<f4")
    for row in range(0, rows, per_chunk):
        data.write(h5s.create_simple(block.shape), selected(data, row, block.shape), block)


def selected(data, row, shape):
    space = data.get_space()
    space.select_hyperslab((row, 0), shape)
    return space


@edited("deflated-2-gb")
def _(file):
    # 128 chunks of 16 MiB, as the rules allow them.
    zeros(file, "data", 1 << 19, 1 << 10, 1 << 12)


@edited("deflated-2-gb-of-many")
def _(file):
    # No dataset is large.
    for number in range(128):
        zeros(file, str(number), 1 << 12, 1 << 10, 1 << 12)


@edited("chunk-of-1-gb")
def _(file):
    zeros(file, "data", 1, 1 << 28, 1)


@edited("chunk-of-4-gb-declared")
def _(file):
    dataset(file, "data", h5t.STD_U8LE, (1, (1 << 32) - 1), (1, (1 << 32) - 1), ARCHIVE)


@edited("many-chunks")
def _(file):
    # Stored without a filter but the checksum: 16 bytes of index and data a byte.
    data = dataset(file, "data", h5t.STD_U8LE, (300_000, 1), (1, 1), ["fletcher32"])
    data.write(h5s.ALL, h5s.ALL, np.zeros((300_000, 1), "u1"))


def same_chunk(file):
    """Makes all chunks the first one: keys of 32 bytes (size, mask, offsets), each before its address."""
    content, first = bytearray(file.read()), None
    start = -1
    while (start := content.find(b"TREE\x01\x00", start + 1)) >= 0:
        for index in range(int.from_bytes(content[start + 6:start + 8], "little")):
            at = start + 24 + index * 40
            first = first or (content[at:at + 8], content[at + 32:at + 40])
            content[at:at + 8], content[at + 32:at + 40] = first
    assert first
    file.seek(0)
    file.write(content)


@edited("chunks-overlapping", patch=same_chunk)
def _(file):
    # 512 MB, of which each chunk of 1 MiB of noise says that it has its own.
    zeros(file, "data", 1 << 17, 1 << 10, 1 << 8)
    block = np.random.default_rng(1).random((1 << 8, 1 << 10), "<f4")
    data = file[bomb + "/data"].id
    data.write(h5s.create_simple(block.shape), selected(data, 0, block.shape), block)


# --- Files of other programs

EMBEDDING = "layers/embedding/vars/0"


def foreign(name, source=None, patch=None):
    """Makes a file of Keras or, with its fixture as the source, of TheanoLM."""
    def run(make):
        if wanted and name not in wanted:
            return
        path = os.path.join(folder, name + ".h5")
        if not os.path.exists(path):
            if source:
                shutil.copyfile(os.path.join(os.path.dirname(valid), "..", source), path)
            with h5py.File(path, "a") as file:
                made = make(file)
            if patch:
                patch(path, made)
        check(path, [("convert", 2)], ["-o", os.path.join(folder, "out.unroll.h5")])
        if not keeps:
            os.remove(path)
    return run


@foreign("keras-deflated-2-gb")
def _(file):
    data = file.create_dataset(EMBEDDING, (1 << 19, 1 << 10), "f4", chunks=(1 << 12, 1 << 10), compression=9)
    for row in range(0, 1 << 19, 1 << 12):
        data[row:row + (1 << 12)] = 0


@foreign("keras-chunk-of-1-gb")
def _(file):
    file.create_dataset(EMBEDDING, data=np.zeros((1, 1 << 28), "f4"), chunks=(1, 1 << 28), compression=9)


@foreign("keras-many-chunks")
def _(file):
    file.create_dataset(EMBEDDING, data=np.zeros((300_000, 1), "f4"), chunks=(1, 1), fletcher32=True)


@foreign("keras-chunks-that-are-not-there")
def _(file):
    file.create_dataset(EMBEDDING, (1 << 11, 1 << 11), "f4", chunks=(1, 1), compression=9)


WORDS = "vocabulary/words"
TEXT = h5py.string_dtype()


def all_the_first(path, place):
    """Makes all references of 16 bytes the first one."""
    with open(path, "r+b") as file:
        file.seek(place)
        reference = file.read(16)
        file.seek(place)
        file.write(reference * 100_000)


@foreign("theanolm-one-text-many-times", source="theanolm/lstm.h5", patch=all_the_first)
def _(file):
    del file[WORDS]
    words = np.array(["x" * 60_000] + [""] * 99_999, dtype=object)
    return file.create_dataset(WORDS, data=words, dtype=TEXT).id.get_offset()


@foreign("theanolm-texts-that-are-not-there", source="theanolm/lstm.h5")
def _(file):
    del file[WORDS]
    file.create_dataset(WORDS, (16_000_000,), TEXT, chunks=(1000,), compression=9)


@foreign("theanolm-texts-of-17-mb", source="theanolm/lstm.h5")
def _(file):
    del file[WORDS]
    file.create_dataset(WORDS, data=np.array([f"{i:016}" for i in range(1_000_000)], dtype=object), dtype=TEXT)


# --- Graphs

def varint(number):
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def graph(name, operations):
    """Makes the graph of a SavedModel."""
    if wanted and name not in wanted:
        return
    path = os.path.join(folder, name + ".pb")
    with open(path, "wb") as file:
        file.write(b"\x08\x01" + field(2, field(2, operations)))
    check(path, [("convert", 2)], ["-o", os.path.join(folder, "out.unroll.h5")])
    if not keeps:
        os.remove(path)


graph("saved-operations", b"\x0a\x00" * 4_000_000)
graph("saved-functions", field(2, field(1, field(3, field(1, b"n") + field(2, b"NoOp")) * 10) * 100_000))
STRINGS = b"\x08\x07" + field(2, field(2, b"\x08\x03"))
graph("saved-strings", b"".join(
    field(1, field(1, b"c%d" % number) + field(2, b"Const")
          + field(5, field(1, b"value") + field(2, field(8, STRINGS + field(8, b"a%d" % number) * 3))))
    for number in range(100_000)))

if failures:
    sys.exit(f"check/bombs: {failures} runs cost more than {SECONDS} s or {MEGABYTES} MB, or are no refusal")
