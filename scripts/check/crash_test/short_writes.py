"""Transfers that move fewer bytes than asked: once, and up to a limit after which no more fit."""

import concurrent.futures
import os
import pathlib
import shutil

from .saves import check, partials, run, succeed

LIMITS = 60
# No fewer transfers than these in a save and what it reads before.
FEWEST = {"write": 20, "read": 1}


def test(saves, scratch, compiler):
    """Returns the number of short transfers and the number of limits."""
    shim = scratch / "short.so"
    source = pathlib.Path(__file__).with_name("short.c")
    succeed([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], scratch)
    transfers = sum(test_transfers(save, scratch, shim) for save in saves)
    limits = sum(test_limits(save, scratch) for save in saves)
    return transfers, limits


def test_transfers(save, scratch, shim):
    """Each transfer of a save in turn is a short one: the rest must follow."""
    total = 0
    for kind in ["write", "read"]:
        count = shorten(save, scratch / "short-0", shim, kind, 0)
        check(count >= FEWEST[kind], f"{save.name}: {count} transfers of kind {kind}")
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda nth: shorten(save, scratch / f"short-{nth}", shim, kind, nth),
                          range(1, count + 1)))
        total += count
    print(f"short transfers: {save.name}: {total}, all completed", flush=True)
    return total


def shorten(save, folder, shim, kind, nth):
    save.prepare(folder)
    count = folder.with_suffix(".count")
    result = run(save.command, folder, env={
        **os.environ, "LD_PRELOAD": str(shim), "SHORT_CALL": kind, "SHORT_WHEN": str(nth),
        "SHORT_COUNT": str(count)})
    check(result.returncode == 0, f"{save.name}: {kind} {nth} short: {result.stderr}")
    check(set(save.states(folder)) == {"new"}, f"{save.name}: {kind} {nth} short: not whole")
    check(not partials(folder), f"{save.name}: {kind} {nth} short: left {partials(folder)}")
    shutil.rmtree(folder)
    # Each transfer that is short is followed by its rest, which counts too.
    return int(count.read_text()) - (nth > 0)


def test_limits(save, scratch):
    """A limit on the size of files, at many places: a short write and then a refused one."""
    largest = max(len(content) for content in save.new.values())
    limits = sorted({largest * i // LIMITS for i in range(LIMITS)} | {1, largest - 1, largest})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda limit: save_below(save, scratch / f"limit-{limit}", limit), limits))
    check(outcomes[-1] == 0 and set(outcomes[:-1]) == {2}, f"{save.name}: exit codes {outcomes}")
    print(f"limits of size: {save.name}: {len(limits)}, none exceeded or hidden", flush=True)
    return len(limits)


def save_below(save, folder, limit):
    save.prepare(folder, stale=False)
    # The shell's ulimit counts in blocks; prlimit, of util-linux, in bytes.
    result = run(["prlimit", f"--fsize={limit}", *save.command], folder)
    states = save.states(folder)
    if result.returncode == 0:
        check(set(states) == {"new"}, f"{save.name}: limit {limit}: {states}")
    else:
        check("cannot" in result.stderr, f"{save.name}: limit {limit}: {result.stderr}")
    check(not partials(folder), f"{save.name}: limit {limit}: left {partials(folder)}")
    shutil.rmtree(folder)
    return result.returncode
