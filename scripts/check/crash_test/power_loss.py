"""Power that fails in the middle of a save: what a disk may hold then, simulated.

The simulated file system promises what a journaling one promises and no more. Data of a file is on
disk once that file was synchronized; before, each write may be there, not be there, or be torn. An
operation on a folder is on disk once the folder was synchronized; before, it may have happened or not.
"""

import random

from .saves import check
from .tracing import trace

LOGGED = ("openat,close,write,pwrite64,writev,pwritev,ftruncate,truncate,rename,renameat,renameat2,"
          "link,linkat,unlink,unlinkat,fsync,fdatasync,sync_file_range,mmap,copy_file_range,sendfile")
UNKNOWN = {"writev", "pwritev", "truncate", "sync_file_range", "copy_file_range", "sendfile", "rename",
           "link", "unlink", "renameat2", "fdatasync"}
SAMPLES = 40
SECTOR = 512


def log_of(calls, folder, names):
    """The operations of a save on its targets and temporary files, from a trace.

    ("create", name, file), ("write", file, offset, bytes), ("truncate", file, size),
    ("rename" or "link", from, to), ("unlink", name), ("sync", file or "folder")
    """
    operations, files, open_files, positions = [], {}, {}, {}
    def is_ours(name):
        return name in names or name.endswith(".partial")
    for call in calls:
        if call.result is None or call.result < 0:
            continue
        strings = [text.decode(errors="replace").rsplit("/", 1)[-1] for text in call.strings[:2]]
        descriptor = call.numbers[0] if call.numbers else None
        check(call.name not in UNKNOWN, f"a call that the simulation does not know: {call.line[:80]}")
        if call.name == "openat":
            open_files.pop(call.result, None)
            if "O_DIRECTORY" in call.arguments and strings[0] in (".", folder.name):
                open_files[call.result] = "folder"
            elif is_ours(strings[0]):
                if strings[0] not in files and "O_CREAT" in call.arguments:
                    files[strings[0]] = f"file {len(files)}: {strings[0]}"
                    operations.append(("create", strings[0], files[strings[0]]))
                file = open_files[call.result] = files.get(strings[0])
                positions[call.result] = 0
                if "O_TRUNC" in call.arguments:
                    operations.append(("truncate", file, 0))
        elif call.name == "close":
            open_files.pop(descriptor, None)
        elif call.name == "mmap":
            is_shared = "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments
            check(not is_shared, "a file that is written through memory")
        elif call.name in ("renameat", "linkat") and is_ours(strings[1]):
            operations.append((call.name[:-2], strings[0], strings[1]))
        elif call.name == "unlinkat" and is_ours(strings[0]):
            operations.append(("unlink", strings[0]))
        elif open_files.get(descriptor) is None:
            continue
        elif call.name in ("pwrite64", "write"):
            offset = call.numbers[-1] if call.name == "pwrite64" else positions[descriptor]
            data = call.strings[0][:call.result]
            check(len(data) == call.result, f"a trace without its data: {call.line[:80]}")
            operations.append(("write", open_files[descriptor], offset, data))
            positions[descriptor] = offset + len(data)
        elif call.name == "ftruncate":
            operations.append(("truncate", open_files[descriptor], call.numbers[-1]))
        elif call.name == "fsync":
            operations.append(("sync", open_files[descriptor]))
    return operations


def pending_after(operations, old):
    """The disk for certain, as (entries, data operations by file), and what may be lost, in order."""
    certain_entries = {name: name for name, content in old.items() if content is not None}
    data = {name: [("write", name, 0, content)] for name, content in old.items() if content is not None}
    names, entries = dict(certain_entries), []
    pending = {name: [] for name in data}
    for operation in operations:
        kind = operation[0]
        if kind in ("write", "truncate"):
            pending.setdefault(operation[1], []).append(operation)
        elif kind == "sync" and operation[1] == "folder":
            for change in entries:
                certain_entries.update(change)
            entries = []
        elif kind == "sync":
            data.setdefault(operation[1], []).extend(pending.get(operation[1], []))
            pending[operation[1]] = []
        else:
            change = change_of(operation, names)
            names.update(change)
            entries.append(change)
    return certain_entries, data, entries, [item for items in pending.values() for item in items]


def change_of(operation, names):
    """What an operation makes of the names of a folder; one change happens as a whole."""
    kind, first, *rest = operation
    if kind == "create":
        return {first: rest[0]}
    if kind == "unlink":
        return {first: None}
    moved = {rest[0]: names.get(first)}
    return moved if kind == "link" else {**moved, first: None}


def contents(certain, data, entries, writes):
    """The files by name after what is certain, some changes of names and some writes."""
    names = dict(certain)
    for change in entries:
        names.update(change)
    by_file = {file: list(operations) for file, operations in data.items()}
    for write in writes:
        by_file.setdefault(write[1], []).append(write)
    return {name: replay(by_file.get(file, [])) for name, file in names.items() if file is not None}


def replay(operations):
    content = bytearray()
    for kind, _, *rest in operations:
        if kind == "truncate":
            size = rest[0]
            del content[size:]
            content.extend(bytes(size - len(content)))
        else:
            offset, data = rest
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset:offset + len(data)] = data
    return bytes(content)


def torn(write, generator):
    if write[0] != "write" or len(write[3]) <= SECTOR:
        return write
    kept = generator.randrange(1, (len(write[3]) - 1) // SECTOR + 1) * SECTOR
    return (*write[:3], write[3][:kept])


def choices(entries, writes, generator):
    """Which of the operations that are not certain have happened: none, all, all but one, one alone,
    and samples, torn and in another order among them."""
    everything = entries + writes
    def split(kept):
        return [e for e in entries if id(e) in kept], [w for w in writes if id(w) in kept]
    ids = [id(item) for item in everything]
    yield [], []
    yield entries, writes
    yield entries, []
    yield [], writes
    for item in ids:
        yield split({item})
        yield split(set(ids) - {item})
    for _ in range(SAMPLES if everything else 0):
        some_entries, some_writes = split({item for item in ids if generator.random() < 0.5})
        some_writes = [torn(write, generator) for write in some_writes]
        if generator.random() < 0.5:
            generator.shuffle(some_writes)
        yield some_entries, some_writes
        yield entries, some_writes


def states_of(operations, save):
    """Every simulated state: (number of operations done, contents by name)."""
    generator = random.Random(save.name)
    for count in range(len(operations) + 1):
        certain, data, entries, writes = pending_after(operations[:count], save.old)
        for some_entries, some_writes in choices(entries, writes, generator):
            yield count, contents(certain, data, some_entries, some_writes)


def first_loss(operations, save):
    """The first state that is a loss, in words or None, and the number of states until there."""
    number = 0
    for count, files in states_of(operations, save):
        number += 1
        for target in save.targets:
            found = files.get(target)
            if found not in (save.old[target], save.new[target]):
                return f"after {count} operations {target} may be damaged", number
            # Once it said that all is saved, all must be.
            if count == len(operations) and found != save.new[target]:
                return f"at the end {target} may be the old one", number
        is_new = [files.get(target) == save.new[target] for target in save.targets]
        if is_new != sorted(is_new, reverse=True):
            return f"after {count} operations a later file may be new and an earlier one old", number
    return None, number


def broken_protocols(operations, save):
    """Saves with a mistake that the simulation must find."""
    def without(is_left_out):
        return [operation for operation in operations if not is_left_out(operation)]
    yield "no fsync of the file", without(lambda o: o[0] == "sync" and o[1] != "folder")
    yield "no fsync of the folder", without(lambda o: o == ("sync", "folder"))
    naming = next(o for o in operations if o[0] in ("rename", "link"))
    rest = without(lambda o: o is naming)
    last = max(i for i, o in enumerate(rest) if o[0] == "sync" and o[1] != "folder")
    yield "a name before the fsync", rest[:last] + [naming] + rest[last:]
    if save.old[save.targets[-1]] is not None:
        file = next(o[2] for o in operations if o[0] == "create")
        inside = [(o[0], save.targets[0], *o[2:]) for o in operations
                  if o[0] in ("write", "truncate") and o[1] == file]
        yield "writing in place", inside + [("sync", save.targets[0])]


def test(saves, scratch):
    """Simulates all saves; returns the number of states."""
    total = 0
    for save in saves:
        folder = scratch / "power"
        save.prepare(folder, stale=False)
        result, calls = trace(save.command, folder, scratch / "power.trace", "-e", f"trace={LOGGED}")
        check(result.returncode == 0, f"{save.name}: {result.stderr}")
        operations = log_of(calls, folder, save.targets)
        # The log is complete if it makes the files that are there.
        final = contents(*pending_after(operations, save.old))
        check(final == {**final, **save.new} and not any(n.endswith(".partial") for n in final),
              f"{save.name}: the log does not give the files")
        loss, states = first_loss(operations, save)
        check(loss is None, f"power loss: {save.name}: {loss}")
        check(states > 50 * len(operations), f"{save.name}: only {states} states")
        found = []
        for mistake, broken in broken_protocols(operations, save):
            loss, _ = first_loss(broken, save)
            check(loss is not None, f"power loss: {save.name}: {mistake}: not found")
            found.append(mistake)
        print(f"power loss: {save.name}: {len(operations)} operations, {states} states, nothing lost; "
              f"mistakes found: {', '.join(found)}", flush=True)
        total += states
    return total
