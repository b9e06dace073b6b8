"""What run-tokenizers runs: times both programs in alternation, encoding with BPE and learning it."""
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

program, path = sys.argv[1:]
with open(path, encoding="utf8", newline="") as file:
    text = file.read()
lines = text.splitlines(keepends=True)
size = len(text.encode("utf8"))
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator([text], trainers.BpeTrainer(
    vocab_size=10_000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))


def own(name):
    output = subprocess.run([program, name, path], check=True, capture_output=True).stdout.split()
    return float(output[0]), int(output[1])


def peer():
    best = 0
    for _ in range(5):
        # A copy, so that each run starts with an empty cache.
        copy = Tokenizer.from_str(tokenizer.to_str())
        start = time.perf_counter()
        encodings = copy.encode_batch_fast(lines, add_special_tokens=False)
        best = max(best, size / 1e6 / (time.perf_counter() - start))
        tokens = sum(len(e.ids) for e in encodings)
    return best, tokens


with tempfile.TemporaryDirectory() as folder:
    definition = os.path.join(folder, "tokenizer.json")
    tokenizer.save(definition)
    print(f"words       {own('words')[0]:8.1f} MB/s")
    print(f"characters  {own('characters')[0]:8.1f} MB/s")
    ratios = []
    for _ in range(5):
        (ours, count), (theirs, expected) = own(definition), peer()
        assert count == expected, (count, expected)
        ratios.append(ours / theirs)
        print(f"BPE         {ours:8.1f} MB/s, tokenizers {theirs:.1f} MB/s")
    print(f"BPE: median ratio {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


def peer_learning(size):
    """Seconds from the file to the tokenizer, all in the library's own code."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    start = time.perf_counter()
    tokenizer.train([path], trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return time.perf_counter() - start, tokenizer


with tempfile.TemporaryDirectory() as folder:
    names = [os.path.join(folder, name) for name in ["own.json", "peer.json"]]
    for _ in range(3):
        ours = float(subprocess.run(
            [program, "learn", path, "32000", names[0]], check=True, capture_output=True).stdout)
        theirs, learned = peer_learning(32_000)
        learned.save(names[1], pretty=False)
        with open(names[0], "rb") as own_file, open(names[1], "rb") as peer_file:
            assert own_file.read() == peer_file.read()
        print(f"learning 32,000 tokens: {ours:.2f} s, tokenizers {theirs:.2f} s, the same file")
