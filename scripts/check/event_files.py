"""Reads what `unroll train --tensorboard` writes with the package tensorboard.

usage: scripts/check/event_files.py      (unroll is found in PATH)
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy
import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
EPOCHS = 3


def train(folder):
    """Trains a small model in a folder with a log and event files, and returns the lines of the log."""
    lines = (ROOT / "fixtures/characters/test.txt").read_text(encoding="utf8").split("\n")
    words = [line.replace(" ", "").replace("_", " ") for line in lines if line.strip()]
    (folder / "train.txt").write_text("\n".join(words[:400]) + "\n", encoding="utf8")
    (folder / "valid.txt").write_text("\n".join(words[400:500]) + "\n", encoding="utf8")
    command = (f"unroll train --train train.txt --valid valid.txt --embedding-size 12 --hidden-size 16 --optimizer adam "
               f"--learning-rate 0.01 --min-count 2 --epochs {EPOCHS} -o small.h5 --tensorboard events --log log.jsonl")
    subprocess.run(command.split(), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf8").splitlines()]


def session(events, name):
    """The field of an HParamsPluginData that a summary of settings has."""
    content = events.SummaryMetadata(f"_hparams_/{name}").plugin_data.content
    return getattr(plugin_data_pb2.HParamsPluginData.FromString(content), name)


def check_scalars(events, log):
    for name, key, kind in [("train/loss", "loss", "step"), ("train/gradient_norm", "gradient_norm", "step"),
                            ("valid/nll", "valid_nll", "evaluation")]:
        # TensorBoard migrates scalars to tensors of one number.
        found = [(event.step, event.value) for event in events.Scalars(name)]
        expected = [(line["step"], line[key]) for line in log if line["event"] == kind]
        assert [step for step, _ in found] == [step for step, _ in expected], name
        numpy.testing.assert_allclose([value for _, value in found], [value for _, value in expected], rtol=1e-6)
        yield len(found)


def check_settings(events):
    start = session(events, "session_start_info").hparams
    assert start["optimizer"].string_value == "adam" and start["learning_rate"].number_value == 0.01, start
    assert start["epochs"].number_value == EPOCHS
    assert session(events, "session_end_info").status == 1
    table = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    rows = [row.strip("| ").split(" | ") for row in table.split("\n")[2:]]
    assert sorted(name for name, _ in rows) == sorted(start), table
    return len(rows)


def check_histograms(events, folder, log):
    """Compares the last histograms of weights with the saved state, and returns the number of compared tensors."""
    evaluations = [line["step"] for line in log if line["event"] == "evaluation"]
    names = events.Tags()["histograms"]
    with h5py.File(folder / "small.last.h5") as file:
        weights = {}
        file["model"].visititems(
            lambda name, item: weights.update({f"weights/model/{name}": item[...]})
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.ndim > 0 else None)
    assert {name for name in names if name.startswith("weights/")} == set(weights), (names, sorted(weights))
    assert {name for name in names if name.startswith("gradients/")} == {name.replace("weights", "gradients", 1) for name in weights}
    for name in names:
        found = events.Histograms(name)
        assert [event.step for event in found] == (evaluations if name.startswith("weights/") else evaluations[1:]), name
        for event in found:
            value = event.histogram_value
            assert sum(value.bucket) == value.num and value.min <= value.max
            assert len(value.bucket) == len(value.bucket_limit) == 30
    for name, numbers in weights.items():
        numbers = numbers.astype(numpy.float64)
        value = events.Histograms(name)[-1].histogram_value
        assert value.num == numbers.size and value.min == numbers.min() and value.max == numbers.max(), name
        numpy.testing.assert_allclose([value.sum, value.sum_squares], [numbers.sum(), (numbers**2).sum()], rtol=1e-9, atol=1e-9)
        counts, _ = numpy.histogram(numbers, bins=30)
        # A number on a bound may be on its other side.
        assert abs(numpy.array(value.bucket) - counts).sum() <= 2, name
    # Norms of all gradients, of the step before each evaluation.
    norms = {line["step"]: line["gradient_norm"] for line in log if line["event"] == "step"}
    gradients = [events.Histograms(name) for name in names if name.startswith("gradients/")]
    for index, step in enumerate(evaluations[1:]):
        norm = sum(found[index].histogram_value.sum_squares for found in gradients) ** 0.5
        assert abs(norm - norms[step]) <= 1e-5 * norms[step], (step, norm, norms[step])
    return len(names)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        log = train(folder)
        events = EventAccumulator(str(folder / "events"), size_guidance={"histograms": 0, "scalars": 0, "tensors": 0})
        events.Reload()
        numbers = sum(check_scalars(events, log))
        settings, histograms = check_settings(events), check_histograms(events, folder, log)
    print(f"check/event-files: tensorboard {tensorboard.__version__} reads {numbers} numbers, {settings} settings and "
          f"{histograms} histograms of each evaluation")


if __name__ == "__main__":
    sys.exit(main())
