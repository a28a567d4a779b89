#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""script/gpu-check: what lmmeter says of llama.cpp on a real NVIDIA GPU, held against what others say of it.

Every check prints a line; --json FILE gets all figures. Exit status: 0 if all hold, 1 if one does not, 77 without a GPU or llama.cpp.
"""

import argparse
import array
import bisect
import collections
import glob
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LMMETER = os.environ.get("LMMETER", "lmmeter")
BENCH = os.environ.get("LLAMA_BENCH", "llama-bench")
COMPLETION = os.environ.get("LLAMA_COMPLETION")
VULKAN = os.environ.get("GGML_VULKAN")
BUILD = os.environ.get("LMM_BUILD", os.path.join(ROOT, "build", "gpu"))
MODEL = os.environ.get("MODEL", "")
WORK = tempfile.mkdtemp(prefix="gpu-check.")
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23, 15: 2.13, 20: 2.09, 30: 2.04, 60: 2.00, 120: 1.98}

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import vkwatch  # noqa: E402

result = {"checks": []}


def say(name, ok, text, **figures):
    """One check; ok None: told, not judged."""
    mark = {True: "ok", False: "FAILED", None: "--"}[ok]
    print(f"{mark:7} {name:28} {text}", flush=True)
    result["checks"].append({"name": name, "ok": ok, "text": text, **figures})


class Broken(Exception):
    """A program that did not do what a check needs."""


def run(command, env=None, timeout=580):
    full = dict(os.environ, **(env or {}))
    done = subprocess.run(command, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def must(command, env=None):
    """Standard output of a command that has to succeed."""
    code, out, err = run(command, env)
    if code:
        raise Broken(f"{' '.join(command)}: exit {code}: {err[-400:]}")
    return out


numbers = iter(range(1, 100000))


def recorded(command, level, env=None):
    """Under lmmeter: standard output, report."""
    path = os.path.join(WORK, f"{next(numbers)}")
    out = must([LMMETER, "run", "-q", "-o", path + ".lmt", "--json", path + ".json", *level, "--", *command], env)
    with open(path + ".json", encoding="utf-8") as f:
        report = json.load(f)
    os.unlink(path + ".lmt")
    return out, report


def bench(options, level=None, env=None, layers=99):
    """llama-bench as it is (level None) or recorded: (tokens/s of each repetition, report or None)."""
    command = [BENCH, "-m", MODEL, "-ngl", str(layers), "-o", "json", *map(str, options)]
    out, report = (must(command, env), None) if level is None else recorded(command, level, env)
    return [s for entry in json.loads(out[out.index("["):]) for s in entry["samples_ts"]], report


def interval(values):
    """Mean and half of its 95 % interval."""
    n = len(values)
    if n < 2:
        return values[0], float("inf")
    t = STUDENT.get(n - 1) or STUDENT[max(k for k in STUDENT if k <= n - 1)]
    return statistics.mean(values), t * statistics.stdev(values) / math.sqrt(n)


# ---- the checks ------------------------------------------------------------------------------------

def check_machine(is_cuda):
    try:
        code, out, _ = run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    except OSError:
        code, out = 1, ""
    if code or not out.strip():
        if is_cuda:
            print("SKIP: nvidia-smi shows no GPU (--only vulkan works without)")
            sys.exit(77)
        out = "no NVIDIA GPU"
    code, version, _ = run([LMMETER, "--version"])
    if code or not MODEL or not os.path.exists(MODEL):
        print(f"SKIP: {LMMETER} or MODEL={MODEL!r} is not there")
        sys.exit(77)
    result["device"] = out.strip().splitlines()[0]
    result["lmmeter"] = version.strip()
    result["cpu"] = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                          if line.startswith("model name")), "?")
    print(f"{result['device']}; {result['cpu']}, {os.cpu_count()} CPUs; {result['lmmeter']}")


def newest(header, name):
    kinds = {int(k) for text in header for k in re.findall(rf"CUpti_Activity{name}(\d+);", text)}
    return f"CUpti_Activity{name}{max(kinds)}"


def include_folders():
    found = [os.path.dirname(p) for pattern in ("/usr/local/cuda*/include/cupti.h", "/usr/local/cuda*/extras/CUPTI/include/cupti.h",
                                                "/opt/cuda*/include/cupti.h", "/opt/cuda*/extras/CUPTI/include/cupti.h")
             for p in glob.glob(pattern)]
    for path in sys.path:
        found += [os.path.dirname(p) for p in glob.glob(os.path.join(path, "nvidia/*/include/cupti.h"))]
    return found + ["/usr/local/cuda/include"]


def check_abi():
    ours, real = os.path.join(WORK, "ours"), os.path.join(WORK, "real")
    folders = include_folders()
    header = [open(p, encoding="utf-8").read() for folder in folders[:1] for p in glob.glob(os.path.join(folder, "cupti_activity.h"))]
    if not header:
        say("structures", None, "no cupti.h here: not compared")
        return
    kinds = [f"-D{macro}={newest(header, name)}" for macro, name in
             (("KERNEL", "Kernel"), ("MEMCPY", "Memcpy"), ("MEMSET", "Memset"), ("PEER", "MemcpyPtoP"))]
    crt = [os.path.dirname(os.path.dirname(p)) for folder in (*sys.path, "/usr/local/cuda/include")
           for p in glob.glob(os.path.join(folder, "nvidia/*/include/crt/host_config.h"))]
    code, _, err = run(["cc", "-w", *kinds, *(f"-I{f}" for f in folders + crt), os.path.join(HERE, "abi_real.c"), "-o", real])
    if code:
        say("structures", None, f"the headers do not compile: {err.strip().splitlines()[0] if err else ''}")
        return
    code, _, err = run(["cc", f"-I{ROOT}/src", os.path.join(HERE, "abi_ours.c"), "-o", ours])
    lines = [run([p])[1].splitlines() for p in (ours, real)]
    different = [f"{a} / {b}" for a, b in zip(*lines) if a != b]
    say("structures", code == 0 and not different and len(lines[0]) == len(lines[1]),
        f"{len(lines[0])} places and numbers against {folders[0]}: {', '.join(different) or 'all the same'}")


def counter_env(**more):
    """Preloads the counter; None: it cannot be made here."""
    counter = os.path.join(WORK, "counter.so")
    if not os.path.exists(counter) and run(["cc", "-O2", "-shared", "-fPIC", "-o", counter, os.path.join(HERE, "counter.c"), "-ldl"])[0]:
        return None
    return {"LD_PRELOAD": counter, "GPU_COUNT_OUT": os.path.join(WORK, "counts"), **more}


def counted():
    with open(os.path.join(WORK, "counts"), encoding="utf-8") as f:
        return {k: int(v) for k, v in (line.split() for line in f)}


def check_counts(tokens):
    env = counter_env()
    if not env:
        say("calls seen", None, "no compiler")
        return
    # by preload alone: what cuBLAS launches by a runtime of its own the counter does not see
    _, report = bench(["-p", 512, "-n", tokens, "-r", 2, "--no-warmup"], ["--kernels", "off", "--door", "preload"], env)
    truth = counted()
    device = report["device"] or {"timed": 0, "untimed": 0}
    ours = device["timed"] + device["untimed"]
    work = sum(v for k, v in truth.items() if k != "captured")
    # the first request of llama-bench is a warm-up by its own account, apart from the sums
    calls = device["calls"]["count"] if device.get("calls") else 0
    say("calls seen", calls == work + truth["captured"],
        f"{calls} calls by lmmeter, {work + truth['captured']} by the counter ({truth}); {ours} commands outside of warm-ups",
        counter=truth, calls=calls)


def check_records(tokens, reps):
    _, report = bench(["-p", 0, "-n", tokens, "-r", reps], ["--budget", "20%"])
    w = report["device"]["windows"] if report["device"] else None
    if not w or not w["count"]:
        say("records", False, f"no window: {report['level']}")
        return report
    result["windows"] = w
    say("records", w["records"] == w["expected"] and not (w["dropped"] + w["invalid"] + w["unmatched"]),
        f"{w['records']} of {w['expected']} in {w['steps']} steps of {w['count']} windows; {w['unmatched']} unmatched, "
        f"{w['dropped']} dropped, {w['invalid']} senseless")
    say("stalls", None, f"attach {w['attach']['total_ns'] / w['count'] / 1e6:.2f} ms (most {w['attach']['max_ns'] / 1e6:.2f}), "
        f"detach {w['detach']['total_ns'] / w['count'] / 1e6:.2f} ms (most {w['detach']['max_ns'] / 1e6:.2f})")
    kernels = [k for k in report["kernels"] if k["phase"] == "decode" and k["count"]]
    named = sum(k["count"] for k in kernels if k["op"])
    say("nodes", None, f"{100 * named / max(1, sum(k['count'] for k in kernels)):.1f} % of the records are of a known node")
    for k in sorted(kernels, key=lambda k: -k["exclusive_ns"])[:5]:
        print(f"          {k['name'][:60]:60} {k['op'][:14]:14} {k['mean_ns'] / 1e3:8.2f} us x {k['count']}")
    say("level", report["level"]["reached"] == "kernels", f"{report['level']['reached']}; {'; '.join(report['level']['reasons'])}")
    say("invalid", report["records"]["invalid"] == 0 and report["records"]["lost"] == 0, str(report["records"]))
    return report


COPIES = ("read", "write", "copy", "fill")


def check_union(tokens, reps, report):
    """Kernels of a decode step in windows against a pair of events around the launch of the graph, without lmmeter."""
    env = counter_env(GPU_COUNT_EVENTS="1")
    if not env:
        say("union against events", None, "no compiler")
        return
    bench(["-p", 0, "-n", tokens, "-r", reps], env=env)
    truth = counted()
    if "graph_ns" not in truth:
        say("union against events", None, "the program launches no graph")
        return
    kernels = [k for k in report["kernels"] if k["phase"] == "decode" and k["name"] not in COPIES]
    # a window ends where its last step first waits, before that has launched its graph
    passes = max((k["count"] for k in kernels if k["role"] == "lm_head"), default=0)
    if not passes:
        say("union against events", None, "no kernel is known to be of the model's end")
        return
    # a graph for each of several devices
    a, b = sum(k["exclusive_ns"] for k in kernels) / passes, truth["graph_ns"] * max(1, round(truth["graphs"] / (tokens * reps)))
    # runs of one machine differ by some tenths of a percent
    off = abs(a / b - 1)
    say("union against events", three_way(off <= 0.02, off > 0.025), f"{a / 1e3:.1f} us of kernels in each of {passes} passes in windows, "
        f"{b / 1e3:.1f} us between events around {truth['graph_timed']} launches of graphs without lmmeter ({100 * (a / b - 1):+.2f} %)",
        percent=100 * (a / b - 1))


def three_way(holds, fails):
    """For say(): what is open is told, not judged."""
    return False if fails else True if holds else None


def judge(name, changes, limit, two_sided=False):
    """Changes in % against what they may be at worst; where the interval holds the limit they are told, not judged."""
    mean, half = interval(changes)
    low, high = mean - half, mean + half
    is_within = low >= -limit and (high <= limit or not two_sided)
    is_beyond = high < -limit or (two_sided and low > limit)
    middle, least, most = median_interval(changes)
    say(name, three_way(is_within, is_beyond),
        f"{mean:+.2f} ± {half:.2f} % ({len(changes)}; median {middle:+.2f} [{least:+.2f}, {most:+.2f}]), goal {'within ±' if two_sided else ''}{limit} %"
        f"{'' if is_within or is_beyond else ': not resolved'}", changes=changes, mean_percent=mean, half_percent=half, median_percent=middle)


LEVELS = {"plain": None, "again": None, "always": ["--kernels", "always"]}


def check_slowdown(rounds, tokens, reps):
    """In processes of their own: for what is larger than they differ by themselves."""
    speeds = {name: [] for name in LEVELS}
    for _ in range(rounds):
        order = list(LEVELS)
        random.shuffle(order)
        for name in order:
            samples, _ = bench(["-p", 0, "-n", tokens, "-r", reps], LEVELS[name])
            # all of the time counts: the mean of rates is weighed by time
            speeds[name].append(len(samples) / sum(1 / s for s in samples))
    for name, values in speeds.items():
        mean, half = interval([100 * (v / p - 1) for v, p in zip(values, speeds["plain"])])
        if name != "plain":
            say(f"slowdown {name}", None, f"{mean:+.2f} ± {half:.2f} % of {statistics.mean(speeds['plain']):.1f} tokens/s ({rounds} rounds)",
                tokens_per_second=values, mean_percent=mean, half_percent=half)


# ---- one process, each token stamped ---------------------------------------------------------------

# Tokens: of a repetition, as one costs more the more context it has; of a block; of those that are left out behind a change; around another.
Scale = collections.namedtuple("Scale", "repetition block left_out around")
FAST, SLOW = Scale(128, 48, 4, 256), Scale(16, 4, 1, 16)


class Tokens:
    """What the counter wrote of each token: when, ns that it took, of these those on the host, and which block it is of, and whether recorded."""

    def __init__(self, path, scale=FAST):
        with open(path, "rb") as f:
            words = array.array("Q", f.read())
        n = bisect.bisect(range(len(words) // 2), 0, key=lambda i: words[2 * i] == 0)
        self.at = [w >> 1 for w in words[0:2 * n:2]]
        took = [b - a for a, b in zip(self.at, self.at[1:])]
        typical = statistics.median(took) if took else 0
        # up to the second repetition's end things warm up; the draw before a repetition is no token
        which = [i for i, t in enumerate(took) if i >= 2 * scale.repetition and t > typical / 2]
        self.took = [took[i] for i in which]
        # what is not the wait for the graph
        self.host = [took[i] - words[2 * i + 1] for i in which]
        self.recorded = [bool(words[2 * i] & 1) for i in which]
        self.scale = scale
        self.block = [i // scale.block for i in which]
        # what a recording begins with is no part of its running cost
        self.is_begun = [i % scale.block >= scale.left_out for i in which]


def stamped(seconds, level, env, options=(), in_blocks=False):
    """llama-bench under lmmeter for about so long, in_blocks: recorded in one of two; (tokens, report)."""
    stamps = os.path.join(WORK, f"stamps.{next(numbers)}")
    rates, _ = bench(["-p", 0, "-n", SLOW.repetition, "-r", 3, *options], env={k: v for k, v in env.items() if k != "LD_PRELOAD"})
    rate = statistics.mean(rates)
    scale = FAST if rate > 50 else SLOW
    env = {**env, "GPU_COUNT_STAMPS": stamps, **({"GPU_COUNT_BLOCKS": str(scale.block)} if in_blocks else {})}
    _, report = bench(["-p", 0, "-n", scale.repetition, "-r", max(6, int(seconds * rate / scale.repetition)), *options], level, env)
    return Tokens(stamps, scale), report


def block_changes(t):
    """Of each two blocks that belong together, change of tokens/s, in %, from the one that is not recorded to the one that is."""
    sums = {}
    for took, block, recorded, is_begun in zip(t.took, t.block, t.recorded, t.is_begun):
        if is_begun:
            sums.setdefault(block // 2, {False: [], True: []})[recorded].append(took)
    full = [pair for pair in sums.values() if min(len(x) for x in pair.values()) >= t.scale.block // 2]
    if len(full) < 2:
        raise Broken("the recording was not switched: no lmm_recording_set() in the process, or no tokens")
    return [100 * (statistics.mean(pair[False]) / statistics.mean(pair[True]) - 1) for pair in full]


def stalls(took, around=FAST.around, n=20):
    """How much longer than those around it each token took: its share of the time, in %, of each of n parts."""
    rests = []
    for i in range(0, len(took) - around, around):
        middle = statistics.median(took[i:i + around])
        rests += [t - middle for t in took[i:i + around]]
    if len(rests) < n:
        raise Broken(f"{len(took)} tokens are too few to tell stalls from: --seconds")
    return [100 * sum(rest) / sum(part) for rest, part in zip(parts_of(rests, n), parts_of(took[:len(rests)], n))]


def parts_of(values, n):
    return [values[i * len(values) // n:(i + 1) * len(values) // n] for i in range(n)]


def residues(t):
    """Around each group of stalls (a window is attached and detached), change from before it to behind it: (token, its part on the host), ns."""
    typical = statistics.median(t.took)
    long = [i for i, took in enumerate(t.took) if took > 4 * typical]
    changes, i = [], 0
    while i < len(long):
        first = last = long[i]
        while i < len(long) and long[i] <= last + 4 * 16:
            last = long[i]
            i += 1
        before, behind = slice(first - t.scale.around, first), slice(last + 4, last + 4 + t.scale.around)
        if first >= t.scale.around and behind.stop < len(t.took) and (i == len(long) or long[i] >= behind.stop):
            changes.append([statistics.median(x[behind]) - statistics.median(x[before]) for x in (t.took, t.host)])
    return changes


def median_interval(values):
    """Median and what it lies within, 95 %, whatever the values' distribution."""
    values, n = sorted(values), len(values)
    k = max(0, int(n / 2 - 0.98 * math.sqrt(n)) - 1)
    return statistics.median(values), values[k], values[n - 1 - k]


def judge_default(name, seconds, level, limit, env, options=()):
    """What recording costs; the tokens."""
    t, report = stamped(seconds, level, env, options, True)
    changes = block_changes(t)
    device = report["device"] or {"timed": 0, "untimed": 0}
    print(f"        one process, a token {statistics.median(t.took) / 1e3:.1f} us, {statistics.median(t.host) / 1e3:.1f} of it on the host; "
          f"{report['records']['lost']} records lost; {device['timed']} commands timed of {device['timed'] + device['untimed']}; by lmmeter's own "
          f"account {report['overhead']['percent']:.2f} % of all blocks")
    judge(name, changes, limit)
    return changes, t


def check_default(seconds):
    """
    Recorded in one of two blocks of tokens at random, as the machine's speed drifts: what recording costs. Then with windows, each of which
    has the tokens around it to be compared with.
    """
    env = counter_env()
    if not env:
        say("default level", None, "no compiler")
        return
    changes, t = judge_default("default level", seconds, ["--kernels", "off"], 0.5, env)
    mean, half = interval(changes)
    without = stalls([took for took, recorded, is_begun in zip(t.took, t.recorded, t.is_begun) if recorded and is_begun], t.scale.around)
    t, report = stamped(seconds, [], env)
    count = windows_in([report])
    with_them, without = interval(stalls(t.took, t.scale.around)), interval(without)
    total, both = mean - with_them[0] + without[0], math.hypot(half, with_them[1], without[1])
    say("windows at 1 %", three_way(total - both >= -1, total + both < -1 or not count),
        f"{total:+.2f} ± {both:.2f} %: {mean:+.2f} ± {half:.2f} as above, stalls {-with_them[0]:+.2f} ± {with_them[1]:.2f} with {count} windows, "
        f"{-without[0]:+.2f} ± {without[1]:.2f} without; by lmmeter's own account {report['overhead']['percent']:.2f} %",
        mean_percent=total, half_percent=both, windows=count)


def judge_residue(name, what, changes, typical):
    """Changes in ns, of tokens of so many: their median and its interval."""
    middle, low, high = (100 * v / typical for v in median_interval(changes))
    say(name, three_way(-0.5 <= low and high <= 0.5, low > 0.5 or high < -0.5),
        f"{middle:+.3f} % of a token [{low:+.3f}, {high:+.3f}] from before to behind {what}, medians; goal within ±0.5 %",
        changes=[c / typical for c in changes], median_percent=middle)


FIRST_WINDOWS = 16  # processes


def check_residue(seconds):
    """What stays behind windows that are closed, while recording goes on; of a process's first one, too, as all others have it on both sides."""
    env = counter_env()
    if not env:
        say("residue", None, "no compiler")
        return
    t, report = stamped(seconds, ["--budget", "5%"], env)
    found, count = residues(t), windows_in([report])
    if len(found) < 10 or len(found) > 1.1 * count:
        # no windows, or other stalls than theirs
        say("residue of a window", None if count else False, f"{count} windows, {len(found)} stalls with tokens around them")
        return
    typical = statistics.median(t.took)
    for k, what in enumerate(("", ", host")):
        judge_residue(f"residue of a window{what}", f"each of {len(found)} windows", [f[k] for f in found], typical)
    firsts = []
    for _ in range(FIRST_WINDOWS if seconds >= 60 else 6):
        t, report = stamped(4, ["--budget", "5%"], env)
        found = residues(t)
        firsts += found[:1] if windows_in([report]) else []
    if len(firsts) < 6:
        say("residue of the first", None, f"{len(firsts)} processes with a window and tokens around it")
        return
    for k, what in enumerate(("", ", host")):
        judge_residue(f"residue of the first{what}", f"the first window of each of {len(firsts)} processes", [f[k] for f in firsts], typical)


# ---- one process, recorded now and then ------------------------------------------------------------

SETTLE_NS = 300_000_000  # of a recording's beginning: joining, calibration


class Dormant:
    """llama-bench with lmmeter asleep in it, each token stamped by the counter."""

    def __init__(self, env):
        self.folder, self.stamps = os.path.join(WORK, "dormant"), os.path.join(WORK, f"stamps.{next(numbers)}")
        os.makedirs(self.folder, exist_ok=True)
        self.env = dict(os.environ, **env, GPU_COUNT_STAMPS=self.stamps, LMMETER_DIR=self.folder)
        command = [LMMETER, "run", "--dormant", "--", BENCH, "-m", MODEL, "-ngl", "99", "-p", "0", "-n", str(FAST.repetition), "-r", "1000000"]
        self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def tokens(self):
        return Tokens(self.stamps).at

    def wait_for_work(self, seconds=60):
        end = time.monotonic() + seconds
        while not os.path.exists(self.stamps) or len(self.tokens()) < 200:
            if time.monotonic() > end or self.process.poll() is not None:
                raise Broken("llama-bench makes no tokens")
            time.sleep(0.2)

    def idle(self, seconds):
        begin = time.monotonic_ns()
        time.sleep(seconds)
        return begin, time.monotonic_ns()

    def recorded(self, seconds, level, path):
        p = subprocess.Popen([LMMETER, "attach", str(self.process.pid), "-q", "-o", path, *level], env=self.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if b"attached" not in (line := p.stderr.readline()):
            raise Broken(f"attach: {line.decode()}")
        begin = time.monotonic_ns() + SETTLE_NS
        time.sleep(seconds + SETTLE_NS / 1e9)
        end = time.monotonic_ns()
        run([LMMETER, "detach", str(self.process.pid)], env={"LMMETER_DIR": self.folder})
        _, err = p.communicate()
        if p.returncode:
            raise Broken(f"attach ended with {p.returncode}: {err.decode()}")
        return begin, end

    def alternate(self, levels, seconds, rest, rounds):
        """Asleep, recorded (level None: asleep as well), asleep, …: [(name, span)], and by name the files of the recordings."""
        spans, traces = [("asleep", self.idle(rest))], {name: [] for name in levels}
        for _ in range(rounds):
            for name in random.sample(list(levels), len(levels)):
                path = os.path.join(WORK, f"{next(numbers)}.lmt")
                spans.append((name, self.idle(seconds) if levels[name] is None else self.recorded(seconds, levels[name], path)))
                traces[name] += [] if levels[name] is None else [path]
                # the process has its calls back after the next wait or so
                time.sleep(0.1)
                spans.append(("asleep", self.idle(rest)))
        return spans, traces


def token_ns(tokens, span):
    """Mean time of a token, without what took twice as long as most (a repetition's end, the machine's hiccups)."""
    a, b = bisect.bisect_left(tokens, span[0]), bisect.bisect_right(tokens, span[1])
    took = [y - x for x, y in zip(tokens[a:b], tokens[a + 1:b])]
    if len(took) < 50:
        raise Broken(f"{len(took)} tokens in {(span[1] - span[0]) / 1e9:.1f} s")
    limit = 2 * statistics.median(took)
    return statistics.mean(x for x in took if x < limit)


def halves(span):
    middle = (span[0] + span[1]) // 2
    return (span[0], middle), (middle, span[1])


def changes_behind(tokens, spans):
    """
    Of each recording, tokens/s in the rest behind it against the one before, in %. A rest's first half is of the recording before it, its
    second of the next one: no two changes share a measurement.
    """
    after = {}
    for (_, before), (name, _), (_, behind) in zip(spans[0::2], spans[1::2], spans[2::2]):
        x, z = (token_ns(tokens, span) for span in (halves(before)[1], halves(behind)[0]))
        after.setdefault(name, []).append(100 * (x / z - 1))
    return after


def reports_of(traces):
    return [json.loads(run([LMMETER, "report", trace, "--json"])[1]) for trace in traces]


def windows_in(reports):
    return sum(((r["device"] or {}).get("windows") or {"count": 0})["count"] for r in reports)


def check_attached(rounds):
    """The same process asleep, recorded with many windows, asleep: what stays behind a recording."""
    env = counter_env()
    if not env:
        say("attached", None, "no compiler")
        return
    with Dormant(env) as d:
        d.wait_for_work()
        d.idle(2)
        first, _ = d.alternate({"again": None}, 0.5, 0.5, 2 * rounds)
        spans, traces = d.alternate({"again": None, "many": ["--budget", "20%"]}, 0.5, 0.5, 10 * rounds)
        last, _ = d.alternate({"again": None}, 0.5, 0.5, 2 * rounds)
        tokens = d.tokens()
    windows, after = windows_in(reports_of(traces["many"])), changes_behind(tokens, spans)
    asleep = [token_ns(tokens, span) for name, span in spans if name == "asleep"]
    print(f"        one process, a token {statistics.mean(asleep) / 1e3:.1f} us asleep")
    say("attached: windows seen", windows > 0, f"{windows} in {len(traces['many'])} recordings")
    judge("residue after nothing", after["again"], 0.5, True)
    judge("residue after windows", after["many"], 0.5, True)
    # what stays for good is in all rests but the first ones; clocks and heat move a GPU by a percent in these minutes
    a, b = ([token_ns(tokens, span) for _, span in spans] for spans in (first, last))
    change = 100 * (statistics.mean(a) / statistics.mean(b) - 1)
    half = 100 * 2.1 * math.sqrt(sum(statistics.variance(x) / len(x) for x in (a, b))) / statistics.mean(a)
    say("residue of all", three_way(change - half >= -3, change + half < -3), f"{change:+.2f} ± {half:.2f} % tokens/s behind all recordings against before the first; "
        "CUPTI that stays costs 10 % and more", change_percent=change, half_percent=half)


# ---- many windows, output --------------------------------------------------------------------------

def check_cycles(tokens, reps):
    env = counter_env()
    stamps = os.path.join(WORK, f"stamps.{next(numbers)}")
    samples, report = bench(["-p", 0, "-n", tokens, "-r", reps], ["--budget", "60%"], {**(env or {}), "GPU_COUNT_STAMPS": stamps})
    w = report["device"] and report["device"]["windows"]
    if not w or not w["count"]:
        say("cycles", False, f"no window: {report['level']}")
        return
    quarter = max(2, len(samples) // 4)
    first, last = samples[:quarter], samples[-quarter:]
    mean = statistics.mean(first)
    change = 100 * (statistics.mean(last) / mean - 1)
    half = 100 * 2 * math.sqrt(sum(statistics.variance(x) / len(x) for x in (first, last))) / mean
    # the device's clock moves in these minutes, what a library leaves in the process is seen on the host
    host = [statistics.median(part) for part in parts_of(Tokens(stamps).host, 4)[0::3]] if env else [0, 0]
    say("cycles", three_way(change - half >= -0.5, change + half < -0.5),
        f"{w['count']} without a crash; {mean:.1f} tokens/s in the first quarter, {statistics.mean(last):.1f} in the last "
        f"({change:+.2f} ± {half:.2f} %); a token's part on the host {host[0] / 1e3:.1f} us, then {host[1] / 1e3:.1f}; "
        f"attach {w['attach']['total_ns'] / w['count'] / 1e6:.2f} ms (most {w['attach']['max_ns'] / 1e6:.2f}), "
        f"detach {w['detach']['total_ns'] / w['count'] / 1e6:.2f} ms (most {w['detach']['max_ns'] / 1e6:.2f})",
        windows=w, samples=samples, change_percent=change, half_percent=half, host_ns=host)


def check_output(tokens):
    if not COMPLETION:
        say("same output", None, "LLAMA_COMPLETION is not given")
        return
    command = [COMPLETION, "-m", MODEL, "-ngl", "99", "-p", "The capital of France is", "-n", str(tokens), "--temp", "0", "-no-cnv",
               "--ignore-eos"]
    plain = run(command)
    recorded = {name: run([LMMETER, "run", "-q", "-o", os.path.join(WORK, f"{next(numbers)}.lmt"), *level, "--", *command])
                for name, level in (("off", ["--kernels", "off"]), ("many windows", ["--budget", "60%"]), ("always", ["--kernels", "always"]))}
    bad = [f"{name} (exit {got[0]})" for name, got in recorded.items() if got[0] or got[1] != plain[1]]
    say("same output", not bad and plain[0] == 0, f"{tokens} greedy tokens {'differ: ' + ', '.join(bad) if bad else 'equal at each level'}")


def check_partial(tokens):
    """Half of the layers on the CPU: the nodes of both halves."""
    _, report = bench(["-p", 0, "-n", tokens, "-r", 2], ["--kernels", "always"], layers=12)
    kernels = [k for k in report["kernels"] if k["phase"] == "decode" and k["device"] != "CPU" and k["name"] not in COPIES]
    seen = sum(k["count"] for k in kernels)
    w = report["device"]["windows"] or {"records": 0, "expected": 0, "unmatched": 0}
    known = sum(k["count"] for k in kernels if k["op"])
    say("partial offload", 0 < 0.95 * seen <= known and w["records"] == w["expected"],
        f"{w['records']} of {w['expected']} records, {w['unmatched']} unmatched; "
        f"{100 * known / max(1, seen):.1f} % of {seen} kernels are of a known node")


# ---- other programs --------------------------------------------------------------------------------

def check_own():
    """A program with the runtime inside."""
    program = os.path.join(WORK, "own")
    if not shutil.which("nvcc"):
        say("runtime inside", None, "no nvcc")
        return
    must(["nvcc", "-arch=native", "-O2", os.path.join(HERE, "own.cu"), "-o", program])
    plain = run([program])[1]
    truth = {k: int(v) for k, v in re.findall(r"(kernels|captured|graphs|copies|sets) (\d+)", plain)}
    for name, level in (("off", ["--kernels", "off"]), ("always", ["--kernels", "always"])):
        out, report = recorded([program], level)
        device = report["device"] or {"calls": None, "windows": None}
        calls = device["calls"]["count"] if device["calls"] else 0
        w = device["windows"] or {"records": 0, "expected": 0}
        # a graph is of 20 kernels; windows begin with the first call that is seen
        expected = 0 if name == "off" else sum(truth.values()) - truth["captured"] + 19 * truth["graphs"]
        say(f"runtime inside, {name}", out == plain and calls == sum(truth.values()) and w["records"] == w["expected"] == expected,
            f"{calls} of {sum(truth.values())} calls, {w['records']} of {expected} records; output {'equal' if out == plain else 'differs'}; "
            f"{', '.join(sorted({k['name'] for k in report['kernels'] if k['name'] not in COPIES}))}")


def check_tvm():
    """TVM=FOLDER, of script/get-engine tvm-cuda."""
    folder = os.environ.get("TVM")
    if not folder:
        say("tvm", None, "TVM=… is not given (script/get-engine tvm-cuda makes it)")
        return
    for model in ("m_cuda", "m_cuda_graph"):
        command = [os.path.join(folder, "engine"), os.path.join(folder, model), "Hello, world", "400", os.devnull]
        tokens = [line for line in must(command).splitlines() if line.startswith("tokens")]
        out, report = recorded(command, ["--kernels", "always"])
        w = report["device"]["windows"]
        kernels = [k for k in report["kernels"] if k["phase"] == "decode" and k["name"] not in COPIES]
        say(f"tvm, {model}", tokens and tokens[0] in out and w["records"] == w["expected"] > 0 and all(k["op"] for k in kernels),
            f"{w['records']} of {w['expected']} records; {sum(k['count'] for k in kernels if k['op'])} of {sum(k['count'] for k in kernels)} "
            f"kernels of decode are of a known function; tokens {'equal' if tokens and tokens[0] in out else 'differ'}")


# ---- Vulkan ----------------------------------------------------------------------------------------

def check_vulkan(seconds):
    """llama.cpp's Vulkan backend: dispatches and nodes against a layer of the tests, and speed."""
    if not VULKAN:
        say("vulkan", None, "GGML_VULKAN=…/libggml-vulkan.so is not given")
        return
    if os.path.exists(vkwatch.layer(BUILD)):
        check_vulkan_nodes()
    else:
        say("vulkan nodes", None, f"no counting layer in {BUILD} (LMM_BUILD=, built with -DLMM_TESTS=ON)")
    env = counter_env(GGML_BACKEND_PATH=VULKAN)
    if not env:
        say("vulkan speed", None, "no compiler")
        return
    judge_default("vulkan default level", seconds, [], 1.0, env, ("-dev", "Vulkan0"))


def check_vulkan_nodes():
    log, trace = os.path.join(WORK, "watch"), os.path.join(WORK, f"{next(numbers)}.lmt")
    must([LMMETER, "run", "-q", "-o", trace, "--budget", "off", "--", BENCH, "-m", MODEL, "-ngl", "99", "-dev", "Vulkan0",
          "-p", "16", "-n", "16", "-r", "1"], {"GGML_BACKEND_PATH": VULKAN, **vkwatch.environment(BUILD, log, True)})
    counts, labels = vkwatch.log(log)
    found = vkwatch.dispatches(BUILD, trace)
    seen = sum(d.n for d in found)
    right = sum(1 for d, label in zip(found, labels) if vkwatch.is_right(d, label))
    say("vulkan dispatches", seen == counts["submitted"] == counts["vkCmdDispatch"] > 0,
        f"{seen} by lmmeter, {counts['submitted']} by the layer of the tests")
    say("vulkan nodes", len(found) == len(labels) > 0 and right >= 0.99 * len(labels),
        f"{right} of {len(labels)} are those that the backend's labels name")


def finish():
    failed = [c["name"] for c in result["checks"] if c["ok"] is False]
    result["ok"] = not failed
    print("all hold" if not failed else f"do not hold: {', '.join(failed)}")
    return 1 if failed else 0


CHECKS = ("counts", "records", "output", "partial", "default", "residue", "slowdown", "attached", "cycles", "own", "tvm", "vulkan")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter runs")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0, help="of each run whose tokens are compared with one another")
    parser.add_argument("--cycles-reps", type=int, default=0, help="repetitions of the run with many windows")
    parser.add_argument("--only", metavar="CHECK,…", help="of: " + ", ".join(CHECKS))
    options = parser.parse_args()
    quick = options.quick
    tokens, reps = (256, 6) if quick else (1024, 8)

    def records():
        report = check_records(tokens, reps)
        if result.get("windows"):
            check_union(tokens, reps, report)

    checks = {"counts": lambda: check_counts(128), "records": records, "output": lambda: check_output(400 if quick else 1500),
              "partial": lambda: check_partial(64), "slowdown": lambda: check_slowdown(options.rounds or (3 if quick else 8), tokens, 8),
              "default": lambda: check_default(options.seconds or (20 if quick else 100)),
              "residue": lambda: check_residue(options.seconds or (20 if quick else 100)),
              "attached": lambda: check_attached(options.rounds or (3 if quick else 8)),
              "cycles": lambda: check_cycles(tokens, options.cycles_reps or (10 if quick else 80)),
              "own": check_own, "tvm": check_tvm,
              "vulkan": lambda: check_vulkan(options.seconds or (20 if quick else 100))}
    chosen = options.only.split(",") if options.only else CHECKS
    if set(chosen) - set(CHECKS):
        parser.error(f"no check {', '.join(set(chosen) - set(CHECKS))}")
    check_machine(set(chosen) != {"vulkan"})
    if set(chosen) != {"vulkan"}:
        check_abi()
    code = 1
    try:
        for name in chosen:
            try:
                checks[name]()
            except (Broken, OSError) as e:
                say(name, False, str(e))
    finally:
        code = finish()
        if options.json:
            with open(options.json, "w", encoding="utf-8") as f:
                json.dump(result, f, indent=1)
    return code


if __name__ == "__main__":
    sys.exit(main())
