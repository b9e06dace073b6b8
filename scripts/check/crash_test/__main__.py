"""All parts, each with its time."""

import pathlib
import shutil
import sys
import tempfile
import time

from . import faults, power_loss, saves, short_writes, situations


def timed(what, part, *arguments):
    start = time.monotonic()
    result = part(*arguments)
    print(f"== {what}: {time.monotonic() - start:.0f} s", flush=True)
    return result


def main():
    unroll, compiler = sys.argv[1:]
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="unroll-crash-test-"))
    try:
        all_saves = saves.make_saves(unroll, scratch)
        points = timed("faults", faults.test, all_saves, scratch)
        short, limits = timed("short writes", short_writes.test, all_saves, scratch, compiler)
        states = timed("power loss", power_loss.test, all_saves, scratch)
        timed("situations", situations.run_all, unroll, scratch)
        print(f"crash-test: {points} faults at system calls, {short} short transfers, {limits} limits of "
              f"size, {states} states after a loss of power")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


main()
