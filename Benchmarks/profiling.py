"""Where the time of a step goes, by who wrote the code; called by Benchmarks/run-profile.

usage: profiling.py SPEED_PROGRAM

Needs `perf`. Each work runs for some turns under perf; samples are counted by function.
"""
import os
import re
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
LARGE, SMALL = ["--vocabulary", "33278", "--widths", "650,650,650"], ["--vocabulary", "65", "--widths", "256,256,256", "--batch", "50", "--bptt", "60"]
WORKS = {
    "train, 2x650": ["--mode", "train", *LARGE],
    "evaluate, 2x650": ["--mode", "evaluate", *LARGE],
    "generate, 2x650": ["--mode", "generate", *LARGE],
    "train, characters": ["--mode", "train", *SMALL],
    "evaluate, characters": ["--mode", "evaluate", *SMALL],
    "generate, characters": ["--mode", "generate", *SMALL],
}
# The first that fits counts.
KINDS = [
    ("matrix products", r"_multiply_(f32|bf16|int8)$|^(pack|interleave|multiply)_"),
    ("Swift runtime", r"^_?swift_|^_?_ZN5swift|^swift::"),
    ("memory allocation", r"^(_int_|__libc_)?(malloc|free|calloc|realloc|memalign|cfree|aligned_alloc|posix_memalign)|^_int_|^malloc_consolidate|^unlink_chunk|^sysmalloc"),
    ("Swift of ours", r"^\$s"),
    ("the system", r"\[k\]"),
]


def profile(words):
    """The shares of the kinds, in percent."""
    with tempfile.NamedTemporaryFile() as data:
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "2000", "-o", data.name, PROGRAM, *words], input=b"\n" * 8,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        report = subprocess.run(["perf", "report", "-i", data.name, "-n", "--sort", "dso,symbol", "--stdio", "-t", "\t", "--percent-limit", "0"],
                                capture_output=True, text=True, check=True).stdout
    counts = {}
    for line in report.splitlines():
        if line.startswith("#") or "\t" not in line:
            continue
        _, count, dso, symbol = (part.strip() for part in line.split("\t")[:4])
        mark, name = symbol[:3], symbol[3:].strip()
        kind = next((k for k, pattern in KINDS if re.search(pattern, mark if k == "the system" else name)), None)
        if not kind:
            kind = "kernels of ours" if dso == os.path.basename(PROGRAM) else "C libraries"
        counts[kind] = counts.get(kind, 0) + int(count)
    return {kind: 100 * count / sum(counts.values()) for kind, count in counts.items()}


for name, words in WORKS.items():
    shares = sorted(profile(words).items(), key=lambda item: -item[1])
    print(f"| {name} | " + ", ".join(f"{kind} {share:.1f}" for kind, share in shares if share >= 0.05) + " |", flush=True)
