"""Several processes at one file, odd folders and file systems, and odd names."""

import contextlib
import mmap
import os
import pathlib
import shutil
import signal
import subprocess
import time

from .saves import MODEL, OTHER_MODEL, check, fail, partials, read, run, succeed

ROUNDS = 20


class Scene:
    """A folder with two models, and what becomes of each when it is converted."""

    def __init__(self, unroll, scratch):
        self.unroll, self.scratch = unroll, scratch
        self.tokens = scratch / "tokens.txt"
        self.tokens.write_text("".join(f"{number}\n" for number in range(1, 12)))
        self.good = {}
        for model in [MODEL, OTHER_MODEL]:
            succeed(self.convert(model, f"good-{model.stem}.h5"), scratch)
            self.good[model] = read(scratch / f"good-{model.stem}.h5")
        check(self.good[MODEL] != self.good[OTHER_MODEL], "the two models are one")

    def convert(self, model, target, *options):
        return [self.unroll, "convert", str(model), "--vocabulary", str(self.tokens), f"--output={target}",
                *options]

    @contextlib.contextmanager
    def folder(self):
        folder = self.scratch / "scene"
        folder.mkdir()
        yield folder
        shutil.rmtree(folder)


def refused(result, message, what):
    check(result.returncode == 2 and message in result.stderr,
          f"{what}: exit code {result.returncode}: {result.stderr}")


def start(command, folder):
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


# MARK: Several processes

def two_writers(scene):
    """Of two at once one wins whole; without --force exactly one."""
    for number in range(ROUNDS):
        with scene.folder() as folder:
            options = ["--force"] if number % 2 else []
            # Both have written all before the first one gives its file the name.
            delay = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e",
                     "inject=fsync:delay_enter=200000:when=1"]
            writers = [start(delay + scene.convert(model, "out.h5", *options), folder)
                       for model in scene.good]
            messages = [writer.communicate(timeout=60)[1] for writer in writers]
            codes = sorted(writer.returncode for writer in writers)
            check(codes == ([0, 0] if options else [0, 2]), f"two writers: {codes}: {messages}")
            check(os.listdir(folder) == ["out.h5"], f"two writers: {os.listdir(folder)}")
            check(read(folder / "out.h5") in scene.good.values(), "two writers: a mix")
            if not options:
                winner = [writer.returncode for writer in writers].index(0)
                check(read(folder / "out.h5") == list(scene.good.values())[winner], "two writers: the loser won")
    return f"two writers at once: {ROUNDS} rounds"


def living_and_dead(scene):
    """The temporary file of a living process stays, that of a dead one goes."""
    with scene.folder() as folder:
        with stopped(scene.convert(MODEL, "out.h5"), folder, "fsync", 1) as writer:
            held = partials(folder)
            check(held == [f".out.h5.{writer.process}.partial"], f"a stopped writer: {held}")
            succeed(scene.convert(OTHER_MODEL, "out.h5"), folder)
            check(partials(folder) == held, "a living process lost its temporary file")
            os.kill(writer.process, signal.SIGKILL)
        check(partials(folder) == held, "a killed process left nothing")
        succeed(scene.convert(MODEL, "out.h5", "--force"), folder)
        check(os.listdir(folder) == ["out.h5"], f"after a killed process: {os.listdir(folder)}")
    return "temporary files of the living stay, of the dead go"


@contextlib.contextmanager
def stopped(command, folder, call, when):
    """A process that is stopped at a call of its save, and goes on after the block: its PID."""
    file = folder.parent / "stopped.trace"
    file.unlink(missing_ok=True)
    tracer = start(["strace", "-qq", "-o", str(file), "-e", f"trace={call}", "-e",
                    f"inject={call}:signal=STOP:when={when}", *command], folder)
    for _ in range(600):
        if file.exists() and "stopped by SIGSTOP" in file.read_text():
            break
        time.sleep(0.05)
    else:
        tracer.kill()
        fail(f"{command} did not come to {call} {when}")
    children = pathlib.Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()
    tracer.process = int(children[0])
    yield tracer
    with contextlib.suppress(ProcessLookupError):
        os.kill(tracer.process, signal.SIGCONT)
    tracer.messages = tracer.communicate(timeout=60)[1]


def a_reader(scene):
    """Who reads while others write sees whole files, and keeps what it has mapped."""
    with scene.folder() as folder:
        target = folder / "out.h5"
        succeed(scene.convert(MODEL, "out.h5"), folder)
        with open(target, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        seen, reads = set(), 0
        for number in range(2 * ROUNDS):
            writer = start(scene.convert([OTHER_MODEL, MODEL][number % 2], "out.h5", "--force"), folder)
            while writer.poll() is None:
                content = read(target)
                check(content in scene.good.values(), f"a reader saw {len(content or b'')} other bytes")
                seen.add(content)
                reads += 1
            check(writer.wait() == 0, f"a writer with a reader: {writer.stderr.read()}")
            writer.stderr.close()
            succeed([scene.unroll, "validate", "out.h5"], folder)
        check(len(seen) == 2, "a reader never saw a change")
        check(mapped[:] == scene.good[MODEL], "what was mapped has changed")
    return f"a reader during {2 * ROUNDS} writes: {reads} reads, all whole"


# MARK: Folders and file systems

def a_folder_that_goes(scene):
    """A folder that is moved away, and another under its name, while a file is written."""
    for call, when in [("fallocate", 1), ("pwrite64", 2), ("pwrite64", 30), ("fchmod", 1)]:
        what = f"a folder that is moved at {call} {when}"
        with scene.folder() as folder:
            inner, moved = folder / "inner", folder / "moved"
            inner.mkdir()
            (inner / "out.h5").write_bytes(b"old")
            command = scene.convert(MODEL, "inner/out.h5", "--force")
            with stopped(command, folder, call, when) as writer:
                inner.rename(moved)
                inner.mkdir()
            # Only behind the last look at the path is the file where the folder is now.
            expected = (0, scene.good[MODEL]) if call == "fchmod" else (2, b"old")
            check((writer.returncode, read(moved / "out.h5")) == expected,
                  f"{what}: exit code {writer.returncode}: {writer.messages}")
            check(os.listdir(moved) == ["out.h5"] and os.listdir(inner) == [], f"{what}: left files")
    return "a folder that is moved while a file is written"


def file_systems(scene):
    """A file system without space, and one that cannot be written."""
    with scene.folder() as folder:
        if run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], scene.scratch).returncode != 0:
            return "full and read-only file systems: skipped, nothing can be mounted here"
        try:
            for name in ["out.h5", "out.pt"]:
                full_disk(scene, folder, name)
            read_only(scene, folder)
        finally:
            succeed(["umount", folder], scene.scratch)
    return "full and read-only file systems"


def full_disk(scene, folder, name):
    source = ["fixtures/characters/model.pt", "--corpus", "fixtures/characters"]
    root = MODEL.parents[2]
    command = [scene.unroll, "convert", *source, "-o", str(folder / name), "--force"]
    (folder / name).write_bytes(b"old")
    refused(run(command, root), "no space left", f"full disk: {name}")
    check(os.listdir(folder) == [name] and read(folder / name) == b"old", f"full disk: {name}")
    os.unlink(folder / name)
    # What a killed process left may be what fills the disk.
    (folder / ".new.h5.1.partial").write_bytes(bytes(200 << 10))
    succeed(scene.convert(MODEL, folder / "new.h5"), root)
    check(os.listdir(folder) == ["new.h5"], f"full disk: {os.listdir(folder)}")
    os.unlink(folder / "new.h5")


def read_only(scene, folder):
    (folder / "out.h5").write_bytes(b"old")
    (folder / ".out.h5.1.partial").write_bytes(b"left")
    succeed(["mount", "-o", "remount,ro", folder], scene.scratch)
    for name, options in [("out.h5", ["--force"]), ("new.h5", [])]:
        refused(run(scene.convert(MODEL, folder / name, *options), folder), "read-only", "read-only")
    check(sorted(os.listdir(folder)) == [".out.h5.1.partial", "out.h5"], "read-only: changed")


def closed_folder(scene):
    """A folder that a user may not write."""
    with scene.folder() as folder:
        folder.chmod(0o555)
        result = run(as_nobody(scene, scene.convert(MODEL, folder / "out.h5")), scene.scratch)
        refused(result, "permission denied", "a closed folder")
        check(os.listdir(folder) == [], "a closed folder was written")
    return "a folder that may not be written"


def as_nobody(scene, command):
    """The command as a user that is not root, with copies of what it reads."""
    public = scene.scratch / "public"
    if not public.exists():
        public.mkdir()
        for path in [scene.unroll, MODEL, scene.tokens]:
            shutil.copy(path, public)
        for path in [scene.scratch, public]:
            path.chmod(0o755)
    copies = {str(path): str(public / pathlib.Path(path).name) for path in [scene.unroll, MODEL, scene.tokens]}
    command = [copies.get(str(word), word) for word in command]
    return command if os.getuid() else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]


# MARK: Names

def names(scene):
    """Whatever a file may be called, it can be written and replaced, and nothing else is left."""
    odd = ["with space.h5", "ünï-日本.h5", "-dash.h5", "--force", "new\nline.h5", "a'b\"c.h5", ".hidden",
           "x" * 255, "é" * 127, "日" * 85, "x" * 230 + ".h5", "%s%n.h5", "*.h5"]
    for name in odd:
        for prefix in ["", "./", "inner/", "inner/../", "{folder}/"]:
            with scene.folder() as folder:
                (folder / "inner").mkdir()
                target = prefix.format(folder=folder) + name
                for options in [[], ["--force"]]:
                    result = run(scene.convert(MODEL, target, *options), folder)
                    check(result.returncode == 0, f"{target!r}: {result.stderr}")
                    check(read(folder / target) == scene.good[MODEL], f"{target!r}: other bytes")
                    written = [each for _, _, files in os.walk(folder) for each in files]
                    check(written == [name], f"{target!r}: {written}")
    with scene.folder() as folder:
        refused(run(scene.convert(MODEL, "x" * 256), folder), "file name too long", "256 bytes")
        refused(run(scene.convert(MODEL, "none/out.h5"), folder), "no such file or directory", "no folder")
        check(os.listdir(folder) == [], "a name that cannot be")
    return f"names: {len(odd)} in 5 ways"


def run_all(unroll, scratch):
    scene = Scene(unroll, scratch)
    for part in [two_writers, living_and_dead, a_reader, a_folder_that_goes, file_systems, closed_folder,
                 names]:
        print(part(scene), flush=True)
