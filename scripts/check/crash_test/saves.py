"""The saves that are tested: what they start from, what they run, and what may be there afterwards."""

import os
import pathlib
import random
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL = ROOT / "fixtures/pytorch/lstm-state.pt"
OTHER_MODEL = ROOT / "fixtures/pytorch/lstm-other-names.pt"
STALE = "1.partial"


def fail(message):
    sys.exit(f"crash-test: {message}")


def check(condition, message):
    if not condition:
        fail(message)


def run(command, folder, **options):
    """Runs a command to its end; its messages are in `stderr`."""
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, **options)


def succeed(command, folder, **options):
    result = run(command, folder, **options)
    check(result.returncode == 0, f"{' '.join(map(str, command))}: {result.stderr}")
    return result


def partials(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".partial"))


def read(path):
    """The bytes of a file; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class Save:
    """A command that writes files into a folder.

    `inputs` is a folder with everything that the command starts from, old targets included.
    `targets` are in the order of their saving.
    """

    def __init__(self, name, inputs, command, targets, accepted_codes=(0,)):
        self.name, self.inputs, self.command, self.targets = name, inputs, command, targets
        self.old = {target: read(inputs / target) for target in targets}
        good = inputs.parent / f"{inputs.name}.good"
        self.prepare(good)
        result = run(command, good)
        check(result.returncode in accepted_codes, f"{name}: {result.stderr}")
        check(not partials(good), f"{name}: left {partials(good)}")
        self.new = {target: read(good / target) for target in targets}
        for target in targets:
            check(self.new[target] not in (None, self.old[target]), f"{name}: {target} is not new")

    def prepare(self, folder, stale=True):
        """Makes a fresh folder; a killed process left a temporary file in it."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.inputs, folder)
        if stale:
            for target in self.targets:
                (folder / f".{target}.{STALE}").write_bytes(b"left behind")

    def states(self, folder):
        """For each target "old" or "new"; anything else ends the test."""
        states = []
        for target in self.targets:
            content = read(folder / target)
            if content == self.new[target]:
                states.append("new")
            elif content == self.old[target]:
                states.append("old")
            else:
                size = "no file" if content is None else f"{len(content)} other bytes"
                fail(f"{self.name}: {folder}: {target}: {size}")
        # The state to resume from is saved first: a best model of its future would be of no use.
        check(states == sorted(states), f"{self.name}: {folder}: {states}: in the wrong order")
        return states


# Sorting the states alphabetically puts "new" before "old", as saving does.
assert sorted(["old", "new"]) == ["new", "old"]


def make_saves(unroll, scratch):
    """All the saves, with their inputs below a scratch folder."""
    words = "the cat sat on a mat dog ran <eos> far <unk>".split()
    inputs = scratch / "inputs"
    inputs.mkdir()
    (inputs / "tokens.txt").write_text("".join(f"{word}\n" for word in words))
    shutil.copy(MODEL, inputs / "model.pt")
    convert = [unroll, "convert", "model.pt", "--vocabulary", "tokens.txt", "-o"]
    succeed(convert + ["model.h5"], inputs)
    succeed([unroll, "validate", "model.h5"], inputs)
    replaced = scratch / "replaced"
    shutil.copytree(inputs, replaced)
    for name in ["out.h5", "out.pt"]:
        (replaced / name).write_bytes(b"old")
    export = [unroll, "convert", "model.h5", "-o"]
    return [
        Save("to a checkpoint, new", inputs, convert + ["out.h5"], ["out.h5"]),
        Save("to a checkpoint, replacing", replaced, convert + ["out.h5", "--force"], ["out.h5"]),
        Save("to PyTorch, new", inputs, export + ["out.pt"], ["out.pt"]),
        Save("to PyTorch, replacing", replaced, export + ["out.pt", "--force"], ["out.pt"]),
        make_finetune_save(unroll, scratch, inputs, words),
    ]


def make_finetune_save(unroll, scratch, inputs, words):
    """The end of a training that was paused: it saves the last state, then the best model."""
    paused = scratch / "paused"
    shutil.copytree(inputs, paused)
    for name, lines in [("train.txt", 40), ("valid.txt", 20)]:
        generator = random.Random(name)
        text = [" ".join(generator.choices(words[:8], k=generator.randrange(7))) for _ in range(lines)]
        (paused / name).write_text("".join(f"{line}\n" for line in text))
    options = ["--train", "train.txt", "--valid", "valid.txt", "-o", "tuned.h5", "--threads", "1"]
    start = [unroll, "finetune", "model.h5", *options, "--batch-size", "4", "--bptt", "5", "--steps",
             "6", "--momentum", "0.5", "--pause-after", "3"]
    result = run(start, paused)
    check(result.returncode == 3, f"training: {result.stderr}")
    resume = [unroll, "finetune", "tuned.last.h5", "--resume", *options]
    return Save("fine-tuning, two files", paused, resume, ["tuned.last.h5", "tuned.h5"])
