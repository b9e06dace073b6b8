"""Python interface of Unroll: recurrent language models, each in one HDF5 file.

Each function runs the command-line tool `unroll` that this package contains and returns its results as Python objects;
an error of the tool is an `UnrollError` with its message. Nothing but the standard library is needed: `state_dict` imports
numpy or torch, and `score` imports pandas.

    import unroll_lm

    unroll_lm.evaluate("poet.unroll.h5", "test.txt")["perplexity"]
    unroll_lm.score("poet.unroll.h5", ["The cat sat on the mat."])       # a pandas.DataFrame
    unroll_lm.state_dict("poet.unroll.h5", framework="torch")
"""
from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Literal, Mapping, Sequence, Union

if TYPE_CHECKING:
    import numpy
    import pandas
    import torch

__all__ = [
    "UnrollError", "card", "config", "convert", "evaluate", "find_unroll", "generate", "run", "score", "state_dict", "tokens",
]
__version__ = "0.1.0"

Path = Union[str, "os.PathLike[str]"]


class UnrollError(Exception):
    """An error of the tool: `str(error)` is its message, `error.exit_code` its exit code (docs/reference/exit-codes.md)."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def find_unroll() -> str:
    """Returns the path of the tool: that of this package, or the one that the variable UNROLL names.

    Raises:
        FileNotFoundError: The package has no tool, as in a checkout of the sources.
    """
    named = os.environ.get("UNROLL")
    path = named or os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "unroll")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: the tool is missing: install the wheel unroll-lm, or set UNROLL to a path of the tool")
    return path


def run(*arguments: Path, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the tool.

    Args:
        arguments: The verb, its arguments and options, as `run("inspect", "poet.unroll.h5", "--json")`.
        text: What the tool reads from standard input, as for the argument "-".
        check: Raise an error if the tool fails. Exit code 1 is an answer (findings, differences) and raises nothing.

    Returns:
        Exit code, standard output and standard error, as text.

    Raises:
        UnrollError: The tool failed.
    """
    result = subprocess.run(
        [find_unroll(), *(os.fspath(argument) for argument in arguments)], input=(text or "").encode(), capture_output=True)
    output, errors = result.stdout.decode("utf-8", "replace"), result.stderr.decode("utf-8", "replace")
    if check and result.returncode not in (0, 1):
        raise UnrollError(_message(errors), result.returncode)
    return subprocess.CompletedProcess(result.args, result.returncode, output, errors)


def _message(errors: str) -> str:
    """The message of the tool without its notes, or everything it said."""
    lines = [line for line in errors.splitlines() if not line.startswith("note: ")]
    return "\n".join(lines).strip() or errors.strip() or "unroll failed without a message"


def _options(options: Mapping[str, Any]) -> list[str]:
    """Options of the command line from keywords: `line_end="none"` is `--line-end none`, `strict=True` is `--strict`.

    A list gives the option once for each element; None and False leave it out.
    """
    words: list[str] = []
    for name, value in options.items():
        option = "--" + name.rstrip("_").replace("_", "-")
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if each is None or each is False:
                continue
            # One word, so that a value may begin with a hyphen.
            words.append(option if each is True else f"{option}={os.fspath(each) if isinstance(each, os.PathLike) else each}")
    return words


def _json(*arguments: Path, text: str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", text=text).stdout)


# What a model is


def config(model: Path, **options: Any) -> dict[str, Any]:
    """Returns what `unroll inspect MODEL --json` shows: sizes, layers, parameters, tokenizer, history.

    Args:
        model: A model of any readable format.
        options: Options of `unroll inspect`, with underscores: `root="ema"`.
    """
    return _json("inspect", model, *_options(options))


def card(model: Path) -> dict[str, list[str]]:
    """Returns the model card: license, authors and so on, each a list of texts."""
    return config(model)["card"]


def tokens(model: Path) -> list[str]:
    """Returns the tokens in the order of their ids.

    Raises:
        UnrollError: A token is not text in UTF-8, or the model has no vocabulary.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = os.path.join(folder, "tokens.json")
        run("convert", model, "-o", os.path.join(folder, "model.npz"), "--write-vocabulary", names)
        with open(names, encoding="utf-8") as file:
            return json.load(file)


def state_dict(
    model: Path, framework: Literal["numpy", "torch"] = "numpy"
) -> dict[str, numpy.ndarray] | dict[str, torch.Tensor]:
    """Returns the weights by the names of PyTorch's word_language_model: `encoder.weight`, `rnn.weight_ih_l0`, `decoder.bias`.

    The LSTM's gates are in PyTorch's order i, f, g, o, those of a GRU r, z, n. Numbers are those of the file. numpy has no bf16:
    such weights need the framework "torch".

    Args:
        model: A model of any readable format that has a vocabulary.
        framework: "numpy" for arrays, "torch" for tensors; a tied weight is one tensor under two names in "torch".

    Raises:
        UnrollError: The model cannot be written in this form.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model." + {"numpy": "npz", "torch": "pt"}[framework])
        run("convert", model, "-o", path)
        if framework == "torch":
            import torch

            return dict(torch.load(path, weights_only=True))
        import numpy

        with numpy.load(path) as arrays:
            # The settings of the model are beside the weights.
            return {name: arrays[name] for name in arrays.files if name != "unroll"}


def convert(model: Path, output: Path, **options: Any) -> list[str]:
    """Converts a model, as `unroll convert MODEL -o OUTPUT` does, and returns the notes on what was assumed or not preserved.

    Args:
        model: The model.
        output: The file to write; its name states the format.
        options: Options of `unroll convert`, with underscores: `corpus="data"`, `line_end="none"`, `strict=True`.
    """
    errors = run("convert", model, "-o", output, *_options(options)).stderr
    return [line[len("note: "):] for line in errors.splitlines() if line.startswith("note: ")]


# What a model computes


def evaluate(model: Path, text: Path, **options: Any) -> dict[str, Any]:
    """Returns the perplexity of a text file and what belongs to it, as `unroll evaluate --json` prints it.

    Args:
        model: A checkpoint.
        text: A text file.
        options: Options of `unroll evaluate`, with underscores: `protocol="sentence"`, `precision="int8"`.
    """
    return _json("evaluate", model, text, *_options(options))


def score(model: Path, text: Path | Sequence[str], **options: Any) -> pandas.DataFrame:
    """Returns a row for each word, token or sentence, with surprisal in bits or log-probability, as `unroll score` prints it.

    Missing numbers are NaN; words such as "NA" and "null" stay words.

    Args:
        model: A checkpoint.
        text: A path of a text file, or a list of sentences without line breaks.
        options: Options of `unroll score`, with underscores: `level="sentence"`, `boundary="before"`.
    """
    import pandas

    for name in ("csv", "json", "flush"):
        if options.get(name):
            raise ValueError(f"score: {name} is a form of output; the result is a DataFrame")
    lines: str | None = None
    if not isinstance(text, (str, os.PathLike)):
        sentences = list(text)
        for number, sentence in enumerate(sentences):
            if "\n" in sentence or "\r" in sentence:
                raise ValueError(f"score: sentence {number} has a line break; give a sentence each")
        lines = "".join(sentence + "\n" for sentence in sentences)
    output = run("score", model, "-" if lines is not None else os.fspath(text), *_options(options), text=lines).stdout
    rows = list(csv.reader(io.StringIO(output, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows:
        return pandas.DataFrame()
    frame = pandas.DataFrame(rows[1:], columns=rows[0])
    for name in frame.columns:
        if name not in ("word", "token"):
            frame[name] = pandas.to_numeric(frame[name].replace("NA", None))
    return frame


def generate(model: Path, prompt: str = "", **options: Any) -> list[str]:
    """Returns sampled texts, without the prompt.

    Args:
        model: A checkpoint.
        prompt: The text to continue.
        options: Options of `unroll generate`, with underscores: `samples=3`, `temperature=0.8`, `seed=1`.
    """
    output = run("generate", model, f"--prompt={prompt}", "--json", *_options(options)).stdout
    return [json.loads(line)["text"] for line in output.splitlines()]


def main() -> None:
    """Replaces this process by the tool, with the same arguments."""
    path = find_unroll()
    os.execv(path, [path, *sys.argv[1:]])
