#!/usr/bin/env python3
"""Trains on four hosts: the same bytes as one process, and an end with a reason whatever breaks.

Each host is a network namespace with a host name, a disk of its own and a cable to one switch.
usage: check/mpi_hosts.py UNROLL FOLDER     (run by scripts/check/mpi-hosts, in namespaces that end with it)
"""
import contextlib
import filecmp
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time

UNROLL, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
HOSTS = [f"h{n}" for n in range(4)]
PATIENCE = 10
# Steps that outlast every failure below.
STEPS = 400
SETTINGS = ["--train", "train.txt", "--valid", "valid.txt", "--shards", "4", "--batch-size", "8", "--hidden-size", "20",
            "--embedding-size", "16", "--dropout", "0.2", "--optimizer", "adam", "--threads", "1",
            # Saves right before the evaluations, too, which come every 12 steps.
            "--save-every", "12"]
# Stands for ssh: enters the last letter's host, whose disk is at FOLDER/work.
ENTER = f"""#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do shift; done
host=h${{1#"${{1%?}}"}}; shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; mount --bind {FOLDER}/$host {FOLDER}/work; cd {FOLDER}/work; $*"
"""
# Keeps the messages and the exit code of a rank where no cable is needed; a launcher may end it by SIGTERM.
RANK = f"""#!/bin/sh
trap : TERM
"$@" 2>{FOLDER}/$(hostname).err
code=$?
echo $code >{FOLDER}/$(hostname).code
exit $code
"""


class Failure(Exception):
    pass


def expect(condition, message):
    if not condition:
        raise Failure(message)


def shell(text):
    done = subprocess.run(text, shell=True, capture_output=True, text=True)
    expect(done.returncode == 0, f"{text}\n{done.stderr}")
    return done.stdout


def build_hosts():
    """Makes the hosts, and one switch that connects them."""
    shell("mkdir -p /run/netns; mount -t tmpfs names /run/netns")
    shell("ip netns add switch; ip -n switch link add bridge type bridge; ip -n switch link set bridge up")
    (FOLDER / "work").mkdir()
    for name, text in ("enter", ENTER), ("rank", RANK):
        (FOLDER / name).write_text(text)
        (FOLDER / name).chmod(0o755)
    for n, host in enumerate(HOSTS):
        shell(f"ip netns add {host}; ip -n {host} link set lo up;"
              f"ip link add cable netns {host} type veth peer name {host} netns switch;"
              f"ip -n {host} addr add 10.77.0.1{n}/24 dev cable; ip -n {host} link set cable up;"
              f"ip -n switch link set {host} master bridge up")
        (FOLDER / host).mkdir()
    limit("1gbit")
    # The disk of rank 0 can be filled.
    shell(f"mount -t tmpfs -o size=64m disk {FOLDER}/h0")


def limit(rate):
    """Limits what each host sends."""
    for host in HOSTS:
        shell(f"ip netns exec {host} tc qdisc replace dev cable root tbf rate {rate} burst 1mb latency 50ms")


def write_texts():
    """Writes seeded texts of 60 words to the disks of all hosts."""
    random.seed(1)
    for name, count in ("train.txt", 400), ("valid.txt", 60):
        lines = [" ".join(f"w{random.randrange(60)}" for _ in range(3 + n % 9)) for n in range(count)]
        for host in HOSTS:
            (FOLDER / host / name).write_text("\n".join(lines) + "\n")


def launcher(ranks):
    """The command that starts ranks, one on each host."""
    addresses = [f"10.77.0.1{n}" for n in range(ranks)]
    # The hosts share processors: a rank that waits yields.
    options = {"plm_rsh_agent": f"{FOLDER}/enter", "btl": "tcp,self",
               "btl_tcp_if_include": "10.77.0.0/24", "oob_tcp_if_include": "10.77.0.0/24", "mpi_yield_when_idle": "1"}
    return ["mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none", "-np", str(ranks),
            "--host", ",".join(f"{address}:1" for address in addresses),
            *(word for name, value in options.items() for word in ("--mca", name, value))]


class Job:
    """A command of the program on several hosts."""

    def __init__(self, ranks, *command):
        for old in [*FOLDER.glob("h?.code"), *FOLDER.glob("h?.err")]:
            old.unlink()
        self.hosts = HOSTS[:ranks]
        words = launcher(ranks) + [f"{FOLDER}/rank", UNROLL, *command]
        self.process = subprocess.Popen([f"{FOLDER}/enter", "h0", shlex.join(words)], stdin=subprocess.DEVNULL,
                                        stdout=(FOLDER / "job.log").open("w"), stderr=subprocess.STDOUT)

    def code(self, host):
        """The exit code of a host's rank; `None` before its end."""
        with contextlib.suppress(OSError, ValueError):
            return int((FOLDER / f"{host}.code").read_text())

    def message(self, host):
        with contextlib.suppress(OSError):
            return (FOLDER / f"{host}.err").read_text()
        return ""

    def said(self):
        """Everything that the launcher and the ranks printed, for a failure of this check."""
        return (FOLDER / "job.log").read_text() + "".join(
            f"{host}, exit code {self.code(host)}: {self.message(host)}" for host in self.hosts)

    def finish(self, seconds):
        """Waits for the launcher; returns its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"the launcher has not ended after {seconds} s: {self.said()}") from None

    def wait_for_saves(self):
        """Waits until a state has been saved several times."""
        seen = set()

        def is_saved_often():
            with contextlib.suppress(OSError):
                seen.add((FOLDER / "h0/long.last.unroll.h5").stat().st_ino)
            return len(seen) > 3
        self.wait(is_saved_often, 60, "no state is saved")

    def wait(self, condition, seconds, problem):
        """Waits for a condition; returns the seconds that it took."""
        start = time.monotonic()
        while not condition():
            expect(time.monotonic() - start < seconds, f"{problem} after {seconds} s: {self.said()}")
            time.sleep(0.05)
        return time.monotonic() - start

    def wait_for_ranks(self, seconds):
        """Waits for the end of all ranks; returns the seconds that it took."""
        return self.wait(lambda: not any(map(process_of, self.hosts)), seconds, "a rank has not ended")

    def kill(self):
        """Kills the launcher and all that it started."""
        for host in HOSTS:
            for process in shell(f"ip netns pids {host}").split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
        self.process.wait()


def process_of(host):
    """The process of the program on a host; `None` if there is none."""
    for process in shell(f"ip netns pids {host}").split():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{process}/exe") == UNROLL:
                return int(process)
    return None


def alone(*command):
    """Runs the program as one process on h0's disk."""
    done = subprocess.run([UNROLL, *command], cwd=FOLDER / "h0", capture_output=True, text=True)
    expect(done.returncode == 0, f"{shlex.join(command)}: {done.stderr}")


def train(output, steps):
    return ["train", *SETTINGS, "--steps", str(steps), "--peer-timeout", str(PATIENCE), "-o", f"{output}.unroll.h5"]


def begin():
    """Starts a training on four hosts; returns it in its middle."""
    job = Job(4, *train("long", STEPS))
    job.wait_for_saves()
    return job


def expect_whole(output, steps):
    """Compares both files of a training with those of one process."""
    for part in "", ".last":
        expect(filecmp.cmp(FOLDER / f"h0/whole{steps}{part}.unroll.h5", FOLDER / f"h0/{output}{part}.unroll.h5", shallow=False),
               f"{output}{part}.unroll.h5 has other bytes than one process writes")


def remove_long():
    for path in FOLDER.glob("h?/long.*"):
        path.unlink()


def resume(ranks):
    """Resumes a training that failed to the bytes of one that did not, on two hosts or without a launcher."""
    state = FOLDER / "h0/long.last.unroll.h5"
    found = subprocess.run([UNROLL, "inspect", "--json", state], capture_output=True, text=True)
    expect(found.returncode == 0, f"the saved state cannot be read: {found.stderr}")
    step = json.loads(found.stdout)["training"]["step"]
    expect(0 < step < STEPS, f"the saved state is of step {step}, and the training has {STEPS}")
    command = ["finetune", "long.last.unroll.h5", "--resume"]
    if ranks == 1:
        alone(*command)
    else:
        for path in FOLDER.glob("h0/long.*"):
            shutil.copy(path, FOLDER / "h1")
        job = Job(ranks, *command)
        code = job.finish(60)
        expect(code == 0, f"a resumed training ended with {code}: {job.said()}")
    expect_whole("long", STEPS)
    remove_long()
    return f"resumed from step {step} on {'one host' if ranks == 1 else 'two hosts'}"


def check_bytes():
    """Four hosts write the bytes of one process."""
    job = Job(4, *train("long", 40))
    code = job.finish(60)
    expect(code == 0, f"exit code {code}: {job.said()}")
    expect("note: 4 ranks on 4 hosts" in job.message("h0"), f"not four hosts: {job.said()}")
    expect_whole("long", 40)
    others = [str(path) for host in HOSTS[1:] for path in (FOLDER / host).iterdir() if path.suffix != ".txt"]
    expect(not others, f"another rank than 0 wrote {others}")
    remove_long()
    return "the bytes of one process"


def check_cable():
    """A link goes down: the ranks on both of its sides end by themselves, and say why."""
    job = begin()
    shell("ip -n switch link set h2 down")
    seconds = job.wait_for_ranks(PATIENCE + 10)
    shell("ip -n switch link set h2 up")
    # A launcher may wait for minutes.
    job.kill()
    named = [host for rank, host in enumerate(HOSTS) if job.code(host) == 2 and re.search(
        f"unroll: rank {rank} on {host}: step [0-9]+: has waited {PATIENCE} s for the other ranks", job.message(host))]
    # The first rank that ends lets the launcher kill the others that it reaches.
    expect("h2" in named and len(named) > 1, f"{named} alone say why they ended: {job.said()}")
    return f"{len(named)} ranks name their step and host, all ended after {seconds:.1f} s; {resume(2)}"


def check_disk():
    """The disk of rank 0 is full: all ranks end at once, and the save before stays."""
    job = begin()
    last, filling = FOLDER / "h0/long.last.unroll.h5", FOLDER / "h0/filling"
    subprocess.run(["dd", "if=/dev/zero", f"of={filling}", "bs=1M"], stderr=subprocess.DEVNULL)
    saved = last.read_bytes()
    seconds = job.wait_for_ranks(20)
    code = job.finish(20)
    expect(code == 2, f"exit code {code}: {job.said()}")
    expect(seconds < PATIENCE and "has waited" not in job.said(), f"the ranks did not agree: {job.said()}")
    expect(re.search(r"unroll: long(\.last)?\.unroll\.h5: .*no space left on device", job.message("h0")),
           f"the file is not named: {job.said()}")
    expect(last.read_bytes() == saved, "the state of the save before has changed")
    filling.unlink()
    return f"the file is named after {seconds:.1f} s; {resume(1)}"


def check_text():
    """One host has another text."""
    text = FOLDER / "h2/train.txt"
    whole = text.read_text()
    text.write_text(whole.replace("w1 ", "w2 ", 1))
    job = Job(4, *train("long", STEPS))
    code = job.finish(20)
    text.write_text(whole)
    expect(code == 2 and job.code("h2") == 2, f"exit code {code}: {job.said()}")
    expect("unroll: rank 2 on h2: expected the training text of rank 0 on h0" in job.message("h0"),
           f"the rank is not named: {job.said()}")
    expect(not list(FOLDER.glob("h?/long.*")) and "epoch" not in job.said(), f"the training has begun: {job.said()}")
    return "refused before the first step, h2 is named"


def check_kill():
    """A rank is killed: the launcher ends the others, and the save before can be resumed."""
    job = begin()
    os.kill(process_of("h3"), signal.SIGKILL)
    start = time.monotonic()
    code = job.finish(30)
    seconds = time.monotonic() - start
    expect(code != 0 and job.code("h3") == 137, f"exit code {code}: {job.said()}")
    left = list(filter(process_of, HOSTS))
    expect(not left, f"ranks go on on {left}: {job.said()}")
    return f"the job ended after {seconds:.1f} s; {resume(1)}"


def sent_bytes(host):
    """The bytes that a host has sent."""
    return json.loads(shell(f"ip -n {host} -s -j link show cable"))[0]["stats64"]["tx"]["bytes"]


def check_link():
    """The bytes and the time of a step of two hosts follow the formula of docs/how-to/many-machines.md."""
    steps, embedding, words = 8, 16, 62
    options = ["train", "--train", "train.txt", "--valid", "valid.txt", "--hidden-size", "1000", "--num-layers", "1",
               "--embedding-size", str(embedding), "--bptt", "5", "--steps", str(steps), "--threads", "1",
               "--log", "long.jsonl", "-o", "long.unroll.h5"]

    def seconds_of_step(batch):
        events = [json.loads(line) for line in (FOLDER / "h0/long.jsonl").read_text().splitlines()]
        remove_long()
        rates = [event["tokens_per_second"] for event in events if event["event"] == "step"]
        return statistics.median(batch * 5 / rate for rate in rates[2:])
    alone(*options, "--batch-size", "4")
    own, found = seconds_of_step(4), []
    # The hosts share two processors, which a fast link keeps busy: only the time of the slow one is certain.
    for megabits, is_certain in (1000, False), (200, True):
        limit(f"{megabits}mbit")
        before = [sent_bytes(host) for host in HOSTS[:2]]
        job = Job(2, *options, "--batch-size", "8")
        code = job.finish(60)
        expect(code == 0, f"exit code {code}: {job.said()}")
        seconds = seconds_of_step(8)
        parameters = int(re.search("([0-9,]+) parameters", job.message("h0"))[1].replace(",", ""))
        # D of the formula: all but the embedding. 2 * D * (R - 1) / R is D with two ranks.
        size = 4 * (parameters - words * embedding)
        for host, count in zip(HOSTS, before):
            count = (sent_bytes(host) - count) / steps
            expect(0.99 < count / size < 1.06, f"{host} sends {count:,.0f} bytes a step; the formula says {size:,}")
        predicted = own + size * 8 / (0.8e6 * megabits)
        expect(not is_certain or abs(seconds / predicted - 1) < 0.2,
               f"a step at {megabits} Mb/s takes {seconds:.3f} s; the formula says {predicted:.3f} s")
        found.append(f"{seconds * 1e3:.0f} ms a step at {megabits} Mb/s (formula {predicted * 1e3:.0f})")
    limit("1gbit")
    return f"{size / 1e6:.1f} MB a step; " + ", ".join(found)


def check_estimate():
    """An estimate finds the bandwidth of the link, and predicts the steps that it measures."""
    limit("200mbit")
    job = Job(2, "train", "--train", "train.txt", "--valid", "valid.txt", "--hidden-size", "1000", "--num-layers", "1", "--embedding-size",
              "16", "--bptt", "5", "--batch-size", "8", "--threads", "1", "-o", "long.unroll.h5", "--estimate", "--json")
    code = job.finish(60)
    limit("1gbit")
    expect(code == 0 and not list(FOLDER.glob("h?/long.*")), f"exit code {code}, or a file was written: {job.said()}")
    found = json.loads((FOLDER / "job.log").read_text())["ranks"]
    expect(found["hosts"] == 2 and not found["is_shared_memory"], f"not two hosts: {found}")
    megabits = found["bits_per_second"] / 1e6
    # Each burst of 1 MB is sent at once.
    expect(130 < megabits < 220, f"found {megabits:.0f} Mb/s on a link of 200")
    expect(1 <= found["sent_bytes"] / found["dense_bytes"] < 1.01, f"a step sends other bytes than D: {found}")
    predicted, seconds = found["predicted"][0], found["computation_seconds"] + found["communication_seconds"]
    expect(predicted["ranks"] == 2 and abs(seconds / predicted["seconds_per_step"] - 1) < 0.2,
           f"a step takes {seconds:.3f} s; predicted are {predicted['seconds_per_step']:.3f} s")
    return f"{megabits:.0f} Mb/s, {seconds * 1e3:.0f} ms a step (predicted {predicted['seconds_per_step'] * 1e3:.0f})"


def main():
    build_hosts()
    write_texts()
    for steps in 40, STEPS:
        alone(*train(f"whole{steps}", steps))
    for check in check_bytes, check_cable, check_disk, check_text, check_kill, check_link, check_estimate:
        name = check.__name__.removeprefix("check_")
        start = time.monotonic()
        try:
            found = check()
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
        print(f"{name}: {found} ({time.monotonic() - start:.0f} s)", flush=True)


try:
    main()
except Failure as failure:
    sys.exit(f"check/mpi-hosts: {failure}")
