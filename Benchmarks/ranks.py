"""Step times of one and two ranks, on one machine and over a limited link, beside PyTorch's DistributedDataParallel (gloo).

usage: ranks.py UNROLL PYTHON FOLDER [STEPS [TURNS]]
PYTHON has torch. Needs mpirun.openmpi; as root on Linux also two hosts as network namespaces, whose link `tc` limits.
Weak scaling: 20 streams of 35 tokens for each rank, one thread each. Both programs run in turn. Prints rows of a Markdown table:
medians of the turns, and the range of their ratios.
"""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import threading
import time

UNROLL, PYTHON, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]).resolve()
STEPS, TURNS = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((4, 8), (5, 3)))
V, H, B, T = 33278, 650, 20, 35
PEER = r"""
import os, statistics, sys, time
import torch, torch.distributed as dist, torch.nn as nn
V, H, B, T, STEPS = (int(a) for a in sys.argv[1:])
torch.set_num_threads(1)
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.rnn, self.output = nn.Embedding(V, H), nn.LSTM(H, H, 2), nn.Linear(H, V)
    def forward(self, x, state):
        y, state = self.rnn(self.embedding(x), state)
        return self.output(y), state
torch.manual_seed(1)
model = Model()
if size > 1:
    dist.init_process_group("gloo", rank=rank, world_size=size)
    model = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=1)
state = (torch.zeros(2, B, H), torch.zeros(2, B, H))
times = []
for step in range(STEPS):
    x, y = torch.randint(V, (T, B)), torch.randint(V, (T, B))
    start = time.perf_counter()
    logits, state = model(x, tuple(s.detach() for s in state))
    loss = nn.functional.cross_entropy(logits.view(-1, V), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    times.append(time.perf_counter() - start)
if rank == 0:
    print(torch.__version__, statistics.median(times[2:]))
"""


def write_texts():
    """A text that has each word once and then frequent ones more often."""
    random.seed(1)
    words = [f"w{n}" for n in range(V - 1)]
    tokens = words + [words[int(len(words) ** random.random()) - 1] for _ in range(40 * T * 2 * B)]
    lines = [" ".join(tokens[n:n + 20]) + "\n" for n in range(0, len(tokens), 20)]
    (FOLDER / "train.txt").write_text("".join(lines))
    (FOLDER / "valid.txt").write_text("".join(lines[:20]))


def peak(word, stop, found):
    """Records the peak memory of each process with a word in its command line."""
    while not stop.is_set():
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if word.encode() not in (folder / "cmdline").read_bytes():
                    continue
                for line in (folder / "status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        found[folder.name] = int(line.split()[1])
            except OSError:
                pass
        time.sleep(0.2)


def watched(word, body):
    stop, found = threading.Event(), {}
    thread = threading.Thread(target=peak, args=(word, stop, found))
    thread.start()
    try:
        return body(), max(found.values(), default=0) >> 10
    finally:
        stop.set()
        thread.join()


def unroll(ranks, launcher, shards=None, threads=1):
    """The median time of a step, and the largest process in MiB."""
    shards = shards or ranks
    log = FOLDER / "log.jsonl"
    log.unlink(missing_ok=True)
    command = launcher + [
        UNROLL, "train", "--train", "train.txt", "--valid", "valid.txt", "-o", "ranks-model.unroll.h5", "--force",
        "--hidden-size", str(H), "--embedding-size", str(H), "--batch-size", str(B * shards), "--bptt", str(T),
        "--shards", str(shards), "--steps", str(STEPS), "--threads", str(threads), "--log", str(log)]

    def run():
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        steps = [json.loads(line) for line in log.read_text().splitlines()]
        rates = [step["tokens_per_second"] for step in steps if step["event"] == "step"]
        return statistics.median(B * shards * T / rate for rate in rates[2:])
    return watched("ranks-model.unroll.h5", run)


def peer(ranks, hosts=None):
    (FOLDER / "ddp-peer.py").write_text(PEER)

    def run():
        processes = []
        for rank in range(ranks):
            environment = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_PORT="29511", OMP_NUM_THREADS="1",
                               MASTER_ADDR="10.77.0.10" if hosts else "127.0.0.1")
            if hosts:
                environment["GLOO_SOCKET_IFNAME"] = f"v{rank}"
            command = [PYTHON, str(FOLDER / "ddp-peer.py"), *map(str, (V, H, B, T, STEPS))]
            command = (["ip", "netns", "exec", f"h{rank}"] if hosts else []) + command
            processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        texts = [process.communicate()[0] for process in processes]
        return float(texts[0].split()[1])
    return watched("ddp-peer.py", run)


def shell(text):
    subprocess.run(text, shell=True, check=True, stdout=subprocess.DEVNULL)


def hosts_up():
    shell("ip netns add sw; ip -n sw link set lo up; ip -n sw link add br0 type bridge; ip -n sw link set br0 up")
    for n in range(2):
        shell(f"ip netns add h{n}; ip -n h{n} link set lo up; ip link add v{n} netns h{n} type veth peer name p{n} netns sw;"
              f"ip -n h{n} addr add 10.77.0.1{n}/24 dev v{n}; ip -n h{n} link set v{n} up;"
              f"ip -n sw link set p{n} master br0; ip -n sw link set p{n} up")
    agent = FOLDER / "agent.sh"
    # Stands for ssh: each host has a name of its own.
    agent.write_text("""#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
n=${1#"${1%?}"}; shift
exec ip netns exec "h$n" unshare --uts sh -c "hostname h$n; $*"
""")
    agent.chmod(0o755)
    return ["ip", "netns", "exec", "h0", "unshare", "--uts", "sh", "-c", 'hostname h0; exec "$@"', "sh",
            "mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none", "-np", "2",
            "--host", "10.77.0.10:1,10.77.0.11:1", "--mca", "plm_rsh_agent", str(agent), "--mca", "btl", "tcp,self",
            "--mca", "btl_tcp_if_include", "10.77.0.0/24", "--mca", "oob_tcp_if_include", "10.77.0.0/24"]


def hosts_down():
    for name in ("h0", "h1", "sw"):
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


def limit(rate):
    for n in range(2):
        shell(f"ip netns exec h{n} tc qdisc replace dev v{n} root tbf rate {rate} burst 1mb latency 50ms")


def middle(pairs, index):
    return statistics.median(pair[index] for pair in pairs)


def row(name, own, other):
    """Measures both in turn and prints a row."""
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(own())
        theirs.append(other())
    ratios = [b[0] / a[0] for a, b in zip(ours, theirs)]
    print(f"| {name} | {middle(ours, 0) * 1e3:,.0f} ms | {middle(ours, 1):.0f} MiB | {middle(theirs, 0) * 1e3:,.0f} ms | "
          f"{middle(theirs, 1):.0f} MiB | **{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) |", flush=True)


write_texts()
local = ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", "2"]
print("| ranks and link | unroll, step | largest process | PyTorch DDP, step | largest process | ratio |")
print("|---|---|---|---|---|---|")
row("1 rank, 20 streams", lambda: unroll(1, []), lambda: peer(1))
row("2 ranks, 40 streams, shared memory (gloo: loopback)", lambda: unroll(2, local), lambda: peer(2))
alone = [unroll(1, [], shards=2) for _ in range(TURNS)]
print(f"| 1 rank, 40 streams, 2 shards | {middle(alone, 0) * 1e3:,.0f} ms | {middle(alone, 1):.0f} MiB | | | |", flush=True)
if os.geteuid() == 0 and sys.platform == "linux":
    hosts_down()
    launcher = hosts_up()
    try:
        for rate in ("10gbit", "1gbit"):
            limit(rate)
            row(f"2 ranks, 40 streams, {rate[:-4]} Gb/s", lambda: unroll(2, launcher), lambda: peer(2, hosts=True))
    finally:
        hosts_down()
