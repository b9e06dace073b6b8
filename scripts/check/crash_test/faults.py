"""Faults at every system call of a save."""

import concurrent.futures
import os
import shutil

from .saves import STALE, check, partials, read, run, succeed
from .tracing import trace, windows

# Calls that concern no file cannot fail for the disk's sake: a process can only be killed there.
MEMORY_AND_THREADS = {
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "futex", "gettid", "getpid", "geteuid",
    "exit_group", "rt_sigaction", "rt_sigprocmask", "clock_gettime", "getrandom", "sched_yield",
    "sched_getaffinity", "getrusage", "sysinfo",
}
WRITES = {"write", "pwrite64"}
# Calls that may need space, those that end or name a file among them.
ALLOCATING = WRITES | {"ftruncate", "fallocate", "fsync", "close", "linkat", "renameat", "unlinkat", "fchmod"}
# A heap starts at a random place, so that calls about memory are not the same in every run: at most
# this share of the points may not come up.
MISSED_SHARE = 0.02
# Where these fail, the temporary file cannot be removed, or cannot be told from another.
KEEP_PARTIALS = {"unlinkat", "newfstatat", "fstat", "fcntl", "close", "getdents64", "openat"}
# No fewer calls than these: a trace that has lost its saves must not pass for a save without faults.
FEWEST_CALLS = {"to a checkpoint": 120, "to PyTorch": 60, "fine-tuning": 250}


def is_about_a_file(call):
    mapped = call.name == "mmap" and "MAP_ANONYMOUS" not in call.arguments
    return mapped or call.name not in MEMORY_AND_THREADS


def faults_of(call):
    yield "signal=KILL"
    if is_about_a_file(call):
        yield "error=EIO"
        yield "error=EINTR"
        if call.name in ALLOCATING or "O_CREAT" in call.arguments:
            yield "error=ENOSPC"
    # A disk that says that it wrote, and did not. Not for messages on the terminal.
    if call.name in WRITES and call.numbers[0] > 2:
        yield f"retval={call.result}"


def test(saves, scratch):
    """Injects every fault into every save; returns the number of points."""
    return sum(test_save(save, scratch) for save in saves)


def test_save(save, scratch):
    folder = scratch / "clean"
    save.prepare(folder)
    result, calls = trace(save.command, folder, scratch / "clean.trace")
    check(result.returncode == 0, f"{save.name}: {result.stderr}")
    found = windows(calls)
    check(len(found) == len(save.targets), f"{save.name}: {len(found)} saves in the trace")
    points = [(call, fault) for start, end in found for call in calls[start:end]
              for fault in faults_of(call)]
    count = sum(end - start for start, end in found)
    fewest = next(number for name, number in FEWEST_CALLS.items() if save.name.startswith(name))
    check(count >= fewest, f"{save.name}: {count} calls in the trace, expected {fewest} or more")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(
            lambda item: inject(save, scratch / f"point-{item[0]}", *item[1]), enumerate(points)))
    missed = outcomes.count(None)
    check(missed <= MISSED_SHARE * len(points), f"{save.name}: {missed} of {len(points)} points missed")
    outcomes = [outcome for outcome in outcomes if outcome]
    summary = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    print(f"faults: {save.name}: {count} system calls, {len(outcomes)} points: {summary}", flush=True)
    check("killed, old" in summary and "killed, new" in summary and "reported, old" in summary,
          f"{save.name}: faults have no effect")
    check(len(outcomes) > 3 * count, f"{save.name}: only {len(outcomes)} points")
    return len(outcomes)


def inject(save, folder, call, fault):
    """One save with one fault: how it ended; None if the call did not come up."""
    what = f"{save.name}: {fault} at {call.name} {call.nth}: {call.line[:100]}"
    file = folder.with_suffix(".trace")
    for _ in range(3):
        save.prepare(folder)
        result, calls = trace(save.command, folder, file, "-e", f"trace={call.name}", "-e",
                              f"inject={call.name}:{fault}:when={call.nth}")
        was_killed = result.returncode == -9
        if was_killed or any("(INJECTED)" in each.line for each in calls):
            break
    else:
        check(not is_about_a_file(call), f"{what}: could not be injected")
        return None
    outcome = judge(save, folder, call, fault, result, what)
    # A fault that was reported and left all as it was has nothing more to tell.
    if was_killed or partials(folder) or len(set(save.states(folder))) == 2:
        after(save, folder, what)
    shutil.rmtree(folder)
    file.unlink()
    return outcome


def judge(save, folder, call, fault, result, what):
    states = save.states(folder)
    if fault == "signal=KILL":
        check(result.returncode == -9, f"{what}: exit code {result.returncode}")
        return "killed, " + ("new" if set(states) == {"new"} else "old")
    check(result.returncode in (0, 2), f"{what}: exit code {result.returncode}: {result.stderr}")
    left = partials(folder)
    if result.returncode == 2:
        # What an earlier process left of a file that this one did not come to write.
        left = [name for name in left if not name.endswith(f".{STALE}")]
    check(not left or call.name in KEEP_PARTIALS, f"{what}: exit code {result.returncode}: left {left}")
    if result.returncode == 0:
        check(set(states) == {"new"}, f"{what}: was not noticed")
        return "harmless, new"
    check("cannot" in result.stderr or "expected" in result.stderr, f"{what}: {result.stderr}")
    return "reported, " + ("new" if set(states) == {"new"} else "old")


def after(save, folder, what):
    """The next run gives the good files, and leaves no temporary ones."""
    is_training = "--resume" in save.command
    has_nothing_to_save = is_training and set(save.states(folder)) == {"new"}
    command = save.command
    if not is_training and "--force" not in command and (folder / save.targets[0]).exists():
        command = command + ["--force"]
    succeed(command, folder)
    for target in save.targets:
        check(read(folder / target) == save.new[target], f"{what}: {target} after the next run")
    left = partials(folder)
    check(not left or has_nothing_to_save, f"{what}: {left} after the next run")
