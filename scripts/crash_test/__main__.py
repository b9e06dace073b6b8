"""All parts, each with its time."""

import pathlib
import shutil
import sys
import tempfile
import time

from . import faults, saves


def main():
    unroll, compiler = sys.argv[1:]
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="unroll-crash-test-"))
    try:
        all_saves = saves.make_saves(unroll, scratch)
        start = time.monotonic()
        points = faults.test(all_saves, scratch)
        print(f"crash-test: {points} faults at system calls, {time.monotonic() - start:.0f} s", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


main()
