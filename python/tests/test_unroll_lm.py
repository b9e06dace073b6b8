"""Tests of the Python module, against fixtures/ and the tool: `pytest python/tests` with UNROLL set to a path of the tool."""
import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

import unroll_lm

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "fixtures"
DATA = FIXTURES / "characters"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("a folder") / "poet.unroll.h5"
    notes = unroll_lm.convert(DATA / "model.pt", path, corpus=DATA)
    assert all(isinstance(note, str) for note in notes)
    return path


def test_evaluate_gives_pytorchs_perplexity(model):
    reference = json.loads((DATA / "reference.json").read_text())["columns"]["ppl"]
    result = unroll_lm.evaluate(model, DATA / "test.txt", protocol="columns")
    assert result["perplexity"] == pytest.approx(reference, rel=1e-6)


def test_state_dict_is_that_of_the_pytorch_file(model):
    torch = pytest.importorskip("torch")
    numpy = pytest.importorskip("numpy")
    arrays, tensors = unroll_lm.state_dict(model), unroll_lm.state_dict(model, framework="torch")
    assert list(arrays) == list(tensors)
    assert arrays["rnn.weight_ih_l0"].shape[0] % 4 == 0
    for name, tensor in tensors.items():
        assert isinstance(tensor, torch.Tensor)
        assert numpy.array_equal(arrays[name], tensor.numpy())


def test_tokens_are_in_the_order_of_their_ids(model):
    tokens = unroll_lm.tokens(model)
    assert len(tokens) == unroll_lm.config(model)["vocabulary_size"]
    assert tokens[:5] == ["F", "i", "r", "s", "t"] and "<eos>" in tokens


def test_card_and_config(model):
    assert unroll_lm.card(model) == {}
    assert [layer["cell"] for layer in unroll_lm.config(model)["layers"]] == ["lstm", "lstm"]
    # A model of another format is shown, too.
    assert unroll_lm.config(DATA / "model.pt")["format"] == "pytorch"


def test_score_has_words_that_look_like_missing_numbers(tmp_path):
    plain = tmp_path / "plain.unroll.h5"
    unroll_lm.convert(DATA / "model.pt", plain, corpus=DATA, tokenizer="character", space="_")
    frame = unroll_lm.score(plain, ["NA null", "nan None"])
    assert list(frame["word"]) == ["NA", "null", "nan", "None"]
    assert list(frame["sentid"]) == [1, 1, 2, 2]
    assert math.isnan(frame["entred"][0]) and (frame["surp"] > 0).all()


def test_score_of_a_file_is_that_of_its_lines(model, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("W e _ a r e\nK I N G :\n")
    rows = unroll_lm.score(model, path, level="sentence")
    assert rows.equals(unroll_lm.score(model, ["W e _ a r e", "K I N G :"], level="sentence"))
    with pytest.raises(ValueError, match="sentence 0"):
        unroll_lm.score(model, ["a\nb"])
    with pytest.raises(ValueError, match="csv"):
        unroll_lm.score(model, path, csv=True)


def test_generate_gives_as_many_texts_as_are_asked_for(model):
    texts = unroll_lm.generate(model, "K I N G :", samples=3, max_tokens=10, seed=2)
    assert len(texts) == 3 and len(set(texts)) == 3
    assert texts == unroll_lm.generate(model, "K I N G :", samples=3, max_tokens=10, seed=2)


def test_errors_are_exceptions_with_the_message_of_the_tool(model, tmp_path):
    with pytest.raises(unroll_lm.UnrollError, match="no such file") as error:
        unroll_lm.evaluate(model, tmp_path / "missing.txt")
    assert error.value.exit_code == 2
    with pytest.raises(unroll_lm.UnrollError) as error:
        unroll_lm.convert(DATA / "model.pt", model, corpus=DATA)
    assert "exists" in str(error.value)
    with pytest.raises(unroll_lm.UnrollError) as error:
        unroll_lm.run("evaluate", model, "x", "--nonsense")
    assert error.value.exit_code == 64


def test_findings_are_an_answer(model, tmp_path):
    broken = tmp_path / "broken.unroll.h5"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    assert unroll_lm.run("validate", model).returncode == 0
    assert unroll_lm.run("validate", broken).returncode == 1


def test_the_module_is_the_tool():
    done = subprocess.run([sys.executable, "-m", "unroll_lm", "--version"], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0 and done.stdout == unroll_lm.run("--version").stdout
    missing = subprocess.run([sys.executable, "-m", "unroll_lm", "explain", "X999"], capture_output=True, text=True)
    assert missing.returncode not in (0, 1)


def test_a_missing_tool_is_named(monkeypatch):
    monkeypatch.setenv("UNROLL", "/nowhere/unroll")
    with pytest.raises(FileNotFoundError, match="/nowhere/unroll"):
        unroll_lm.run("--version")
