#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""script/gpu-check: what lmmeter says of llama.cpp on a real NVIDIA GPU, held against what others say of it.

Every check prints a line; --json FILE gets all figures. Exit status: 0 if all hold, 1 if one does not, 77 without a GPU or llama.cpp.
"""

import argparse
import glob
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LMMETER = os.environ.get("LMMETER", "lmmeter")
BENCH = os.environ.get("LLAMA_BENCH", "llama-bench")
COMPLETION = os.environ.get("LLAMA_COMPLETION")
MODEL = os.environ.get("MODEL", "")
WORK = tempfile.mkdtemp(prefix="gpu-check.")
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23, 15: 2.13, 20: 2.09}

result = {"checks": []}


def say(name, ok, text, **figures):
    """One check; ok None: told, not judged."""
    mark = {True: "ok", False: "FAILED", None: "--"}[ok]
    print(f"{mark:7} {name:28} {text}", flush=True)
    result["checks"].append({"name": name, "ok": ok, "text": text, **figures})


def run(command, env=None, timeout=580):
    full = dict(os.environ, **(env or {}))
    done = subprocess.run(command, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


numbers = iter(range(1, 100000))


def bench(options, level=None, env=None):
    """llama-bench as it is (level None) or recorded: (tokens/s of each repetition, report or None)."""
    command = [BENCH, "-m", MODEL, "-ngl", "99", "-o", "json", *map(str, options)]
    path = os.path.join(WORK, f"{next(numbers)}")
    if level is not None:
        command = [LMMETER, "run", "-q", "-o", path + ".lmt", "--json", path + ".json", *level, "--", *command]
    code, out, err = run(command, env)
    if code:
        say("run", False, f"{' '.join(command)}: exit {code}: {err[-400:]}")
        raise SystemExit(finish())
    report = None
    if level is not None:
        with open(path + ".json", encoding="utf-8") as f:
            report = json.load(f)
        os.unlink(path + ".lmt")
    return [s for entry in json.loads(out[out.index("["):]) for s in entry["samples_ts"]], report


def interval(values):
    """Mean and half of its 95 % interval."""
    n = len(values)
    if n < 2:
        return values[0], float("inf")
    t = STUDENT.get(n - 1) or STUDENT[max(k for k in STUDENT if k <= n - 1)]
    return statistics.mean(values), t * statistics.stdev(values) / math.sqrt(n)


# ---- the checks ------------------------------------------------------------------------------------

def check_machine():
    code, out, _ = run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if code or not out.strip():
        print("SKIP: nvidia-smi shows no GPU")
        sys.exit(77)
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
             (("KERNEL", "Kernel"), ("MEMCPY", "Memcpy"), ("MEMSET", "Memset"))]
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
    _, report = bench(["-p", 512, "-n", tokens, "-r", 2, "--no-warmup"], ["--kernels", "off"], env)
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
    a, b = sum(k["exclusive_ns"] for k in kernels) / passes, truth["graph_ns"]
    say("union against events", abs(a / b - 1) <= 0.02, f"{a / 1e3:.1f} us of kernels in each of {passes} passes in windows, "
        f"{b / 1e3:.1f} us between events around {truth['graph_timed']} launches of the graph without lmmeter ({100 * (a / b - 1):+.2f} %)",
        percent=100 * (a / b - 1))


def check_residue(tokens, reps, with_windows):
    """Tokens outside of windows against a recording without any. Means, which have no buckets."""
    _, without = bench(["-p", 0, "-n", tokens, "-r", reps], ["--kernels", "off"])
    a, b = with_windows["tokens"]["itl"]["mean_ns"], without["tokens"]["itl"]["mean_ns"]
    say("residue", abs(a / b - 1) <= 0.01, f"mean token outside of windows {a / 1e3:.1f} us, without windows {b / 1e3:.1f} us "
        f"({100 * (a / b - 1):+.2f} %)", percent=100 * (a / b - 1))


LEVELS = {"plain": None, "again": None, "off": ["--kernels", "off"], "windows": [], "always": ["--kernels", "always"]}


def check_slowdown(rounds, tokens, reps):
    speeds = {name: [] for name in LEVELS}
    for _ in range(rounds):
        order = list(LEVELS)
        random.shuffle(order)
        for name in order:
            samples, _ = bench(["-p", 0, "-n", tokens, "-r", reps], LEVELS[name])
            # all of the time counts, windows too: the mean of rates is weighed by time
            speeds[name].append(len(samples) / sum(1 / s for s in samples))
    print(f"        {'level':10} tokens/s   change of tokens/s, 95 % interval ({rounds} rounds)")
    limits = {"off": 0.5, "windows": 1.0}
    result["slowdown"] = {}
    for name, values in speeds.items():
        changes = [100 * (v / p - 1) for v, p in zip(values, speeds["plain"])]
        mean, half = interval(changes) if name != "plain" else (0, 0)
        result["slowdown"][name] = {"tokens_per_second": values, "mean_percent": mean, "half_percent": half}
        print(f"        {name:10} {statistics.mean(values):8.1f}   {mean:+.2f} ± {half:.2f} %")
        if name in limits:
            is_within, is_beyond = mean - half >= -limits[name], mean + half < -limits[name]
            say(f"slowdown {name}", True if is_within else False if is_beyond else None,
                f"{mean:+.2f} ± {half:.2f} %, goal {limits[name]} %{'' if is_within or is_beyond else ': not resolved'}")


def check_cycles(tokens, reps):
    samples, report = bench(["-p", 0, "-n", tokens, "-r", reps], ["--budget", "60%"])
    w = report["device"]["windows"]
    quarter = max(1, len(samples) // 4)
    first, last = statistics.mean(samples[:quarter]), statistics.mean(samples[-quarter:])
    say("cycles", w["count"] > 0, f"{w['count']} without a crash; {first:.1f} tokens/s in the first quarter, {last:.1f} in the last "
        f"({100 * (last / first - 1):+.2f} %); attach at most {w['attach']['max_ns'] / 1e6:.2f} ms, detach {w['detach']['max_ns'] / 1e6:.2f} ms",
        windows=w["count"], change_percent=100 * (last / first - 1))


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


def finish():
    failed = [c["name"] for c in result["checks"] if c["ok"] is False]
    result["ok"] = not failed
    print("all hold" if not failed else f"do not hold: {', '.join(failed)}")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter runs")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--cycles-reps", type=int, default=0, help="repetitions of the run with many windows")
    parser.add_argument("--only", metavar="CHECK,…", help="of: counts, records, output, slowdown, cycles")
    options = parser.parse_args()
    quick = options.quick
    tokens, reps = (256, 6) if quick else (1024, 8)

    def records():
        report = check_records(tokens, reps)
        if result.get("windows"):
            check_union(tokens, reps, report)
        check_residue(tokens, reps, report)

    checks = {"counts": lambda: check_counts(128), "records": records, "output": lambda: check_output(400 if quick else 1500),
              "slowdown": lambda: check_slowdown(options.rounds or (3 if quick else 8), tokens, 8),
              "cycles": lambda: check_cycles(tokens, options.cycles_reps or (10 if quick else 40))}
    chosen = options.only.split(",") if options.only else list(checks)
    if set(chosen) - set(checks):
        parser.error(f"no check {', '.join(set(chosen) - set(checks))}")
    check_machine()
    check_abi()
    code = 1
    try:
        for name in chosen:
            checks[name]()
    finally:
        code = finish()
        if options.json:
            with open(options.json, "w", encoding="utf-8") as f:
                json.dump(result, f, indent=1)
    return code


if __name__ == "__main__":
    sys.exit(main())
