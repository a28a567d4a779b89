#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter verify on llama-completion: what it says must follow from the values that it gives of each run, and be what the engine
did. How noisy the machine is, is no matter of a test: only prefill, decode and the sum must agree, to 95 %."""

import json
import math
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

TOKENS = 24
RUNS = 2
PHASES = ["prefill", "decode", "copy_to_cpu", "sampling", "tokenize", "detokenize", "sum"]
VERDICTS = ("true", "interval", "own_cost", "short", "off")
T975 = {1: 12.706, 2: 4.303}
_cache = {}


def verify(*options, command, timeout=300):
    run = t.lmmeter("verify", "--json", *options, "--", *command, timeout=timeout)
    t.check(run.status in (0, 1) and run.out, "exit", run.status, run.err[-2000:])
    rep = json.loads(run.out)
    t.check(rep["schema"] == "lmmeter.verify/1" and rep["ended_by"] == "runs", rep["schema"], rep["ended_by"], run.err)
    # the exit status and the document say the same
    t.check((run.status == 0) == rep["passed"], run.status, rep["passed"])
    return rep


def completion():
    if "rep" not in _cache:
        _cache["kept"] = os.path.join(t.scratch(), "kept")
        _cache["rep"] = verify("--runs", str(RUNS), "--keep", _cache["kept"], command=t.completion(TOKENS))
    return _cache["rep"]


def rows(rep):
    return {p["phase"]: p for p in rep["phases"]}


def alpha(p, g):
    return 100 * (1 - abs(p - g) / g)


def check_phases(rep, names):
    got = rows(rep)
    t.check(list(got) == names, list(got))
    for name, p in got.items():
        values = [alpha(r["lmmeter_ns"], r["reference_ns"]) for r in p["runs"]]
        t.note(f"{name}: {p['calls']:g} calls, lmmeter {p['lmmeter_ns'] / 1e3:.2f} us, reference {p['reference_ns'] / 1e3:.2f} us:",
               f"alpha {p['alpha_percent']['mean']:.3f}, {p['verdict']}")
        t.check(abs(p["alpha_percent"]["mean"] - statistics.mean(values)) < 1e-3, name, p["alpha_percent"], values)
        t.check(p["verdict"] in VERDICTS, name, "calls differ:", p["runs"])
        if len(values) > 1:
            half = T975[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
            t.check(abs(p["alpha_percent"]["high"] - statistics.mean(values) - half) < 1e-3, name, p["alpha_percent"], values)
        if name in ("prefill", "decode", "sum"):
            t.check(p["alpha_percent"]["mean"] >= 95, name, p)
        # the reference encloses lmmeter's hooks: it never is the shorter one, clocks aside
        for r in p["runs"]:
            t.check(r["reference_ns"] >= r["lmmeter_ns"] * 0.999, name, "the reference is shorter:", r)


def test_phases():
    rep = completion()
    t.check(rep["runs"] == RUNS and rep["kernels"] is None and rep["engine"]["name"] == "llama.cpp", rep["engine"])
    check_phases(rep, PHASES)
    got = rows(rep)
    counts = {name: got[name]["calls"] for name in ("prefill", "decode", "copy_to_cpu", "sum")}
    t.check(counts == {"prefill": 1, "decode": TOKENS - 1, "copy_to_cpu": TOKENS, "sum": 1}, counts)


def test_lmmeters_figures_are_the_reports():
    got = rows(completion())
    for i in range(RUNS):
        phases = t.phases(t.report(os.path.join(_cache["kept"], f"run{i + 1:03}.lmt")))
        for name in PHASES[:-1]:
            t.check(t.close(got[name]["runs"][i]["lmmeter_ns"], phases[name]["host_ns"], 1e-9, 1), name, i,
                    got[name]["runs"][i], phases[name]["host_ns"])


def test_the_engines_own_timings():
    got = rows(completion())
    for name in ("prefill", "decode", "sampling"):
        t.check(got[name]["engine_ns"] > 0 and got[name]["engine_alpha_percent"]["count"] == RUNS, name, got[name])
        t.note(name, "against llama.cpp's own:", got[name]["engine_alpha_percent"]["mean"])
    for name in ("prefill", "decode"):
        t.check(got[name]["engine_alpha_percent"]["mean"] >= 95, name, got[name]["engine_alpha_percent"])
    for name in ("copy_to_cpu", "tokenize", "detokenize", "sum"):
        t.check(got[name]["engine_ns"] is None and got[name]["engine_alpha_percent"] is None, name, got[name])


def test_published():
    got = rows(completion())
    t.check({n: got[n]["published_percent"] for n in PHASES} == {
        "prefill": {"low": 99.99, "high": 99.99}, "decode": {"low": 99.91, "high": 99.95},
        "copy_to_cpu": {"low": 91.84, "high": 94.02}, "sampling": {"low": 75.36, "high": 92.76},
        "tokenize": None, "detokenize": None, "sum": {"low": 99.99, "high": 99.99}}, got)


def test_bench():
    """llama-bench chooses no token, and each of its contexts warms up first."""
    bench = os.path.join(t.engine("llama")[0], "llama-bench")
    rep = verify("--runs", "1", command=[bench, "-m", t.model(), "-t", "1", "-p", "16", "-n", "8", "-r", "2"])
    check_phases(rep, ["prefill", "decode", "copy_to_cpu"])
    t.check(rows(rep)["prefill"]["calls"] == 2 and rows(rep)["decode"]["calls"] == 16, rows(rep))


TURNS = [("none", 1), ("none", 1), ("warm", 1), ("warm", 2), ("warm", 4), ("warm-timed", 2), ("fill", 0), ("cold", 0),
         ("cold-timed", 0), ("empty", 0), ("empty-timed", 0)]


def slope(points):
    x = [p["further_runs"] for p in points]
    y = [p["step_ns"] for p in points]
    mx, my = statistics.mean(x), statistics.mean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def blocks_of(row):
    """The whole blocks, each a list of points by mode."""
    blocks = {}
    for p in row["points"]:
        blocks.setdefault(p["block"], {}).setdefault(p["mode"], []).append(p)
    return [b for b in blocks.values() if sum(len(v) for v in b.values()) == len(TURNS)]


def truths(blocks):
    """What a further run added in each block: the kernel, the kernel behind a filler, an empty kernel."""
    warm = [slope(b["none"] + b["warm"]) for b in blocks]
    cold = [(b["cold"][0]["step_ns"] - b["fill"][0]["step_ns"]) / b["cold"][0]["further_runs"] for b in blocks]
    empty = [(b["empty"][0]["step_ns"] - statistics.mean(p["step_ns"] for p in b["none"])) / b["empty"][0]["further_runs"]
             for b in blocks]
    return warm, cold, empty


def test_opencl():
    tool = os.path.join(t.engine("opencl")[0], "llama-completion-opencl")
    command = [tool, "-m", t.model(), "-t", "1", "-ngl", "99", "-fa", "off", "-c", "512", "-n", "29", "--ignore-eos", "--temp", "0",
               "-no-cnv", "-p", t.PROMPT]
    rep = verify("--opencl", "--runs", "1", "--top", "1", "--rounds", "1", command=command)
    check_phases(rep, PHASES)
    kernels = rep["kernels"]
    t.check(kernels["rounds"] == 1 and len(kernels["rows"]) == 1, kernels)
    row = kernels["rows"][0]
    t.check(row["name"] == "kernel_mul_mv_q4_1_f32_flat" and row["runs_per_step"] == 210, row["name"], row["runs_per_step"])
    # its weights, their scales and minima, what it multiplies them with, and its result, which alone is written
    t.check((row["buffers"], row["buffers_copied"], row["remark"]) == (5, 1, ""), row)
    blocks = blocks_of(row)
    t.check(len(blocks) == 2, [(p["block"], p["mode"]) for p in row["points"]])
    for b in blocks:
        # behind every run of the kernel as often as the turn says, an empty one or a filler as often as fits
        t.check(sorted((m, len(p)) for m, p in b.items()) == [(m, 3 if m == "warm" else 2 if m == "none" else 1) for m in
                                                              sorted({m for m, _ in TURNS})], b)
        factor = {p["further_runs"] / p["repeats"] for p in b["warm"] + b["warm-timed"]}
        t.check(factor == {210}, b["warm"])
        t.check(sorted(p["repeats"] for p in b["warm"]) == [k * b["warm-timed"][0]["repeats"] // 2 for k in (1, 2, 4)], b["warm"])
        t.check(b["fill"][0]["further_runs"] == b["cold"][0]["further_runs"] > 0 == b["none"][0]["further_runs"], b)
    warm, cold, empty = truths(blocks)
    gap = max(row["gap_ns"], 0)
    t.check(row["gap_ns"] < statistics.median(empty) < row["gap_ns"] + 50e3, row["gap_ns"], empty)
    t.check(t.close(row["warm"]["truth_ns"]["mean"], statistics.median(warm) - gap, 1e-6, 1), row["warm"], warm, gap)
    t.check(t.close(row["cold"]["truth_ns"]["mean"], statistics.median(cold) - gap, 1e-6, 1), row["cold"], cold, gap)
    for how in ("warm", "cold"):
        r = row[how]
        t.note(f"{how}: lmmeter {r['lmmeter_ns']['mean'] / 1e3:.1f} us, truth {r['truth_ns']['mean'] / 1e3:.1f} us,",
               f"alpha {r['alpha_percent']}, {r['verdict']}")
        # a difference between steps, which on a machine that is busy may come out as nothing
        if r["truth_ns"]["mean"] <= 0:
            t.check(r["alpha_percent"] is None and r["verdict"] == "interval", r)
            continue
        t.check(t.close(r["alpha_percent"], alpha(r["lmmeter_ns"]["mean"], r["truth_ns"]["mean"]), 1e-3, 0.01), r)
        t.check(r["truth_ns"]["low"] is None and not r["within"] and r["verdict"] in ("true", "interval"), r)
    # how far two blocks are off is the machine's doing, but not as far as that
    t.check(row["warm"]["alpha_percent"] is not None and row["warm"]["alpha_percent"] > 0, row["warm"])


def test_too_few_steps_for_kernels():
    tool = os.path.join(t.engine("opencl")[0], "llama-completion-opencl")
    run = t.lmmeter("verify", "--opencl", "--runs", "1", "--", tool, "-m", t.model(), "-t", "1", "-ngl", "99", "-fa", "off", "-c",
                    "512", "-n", "6", "--temp", "0", "-no-cnv", "-p", t.PROMPT, timeout=300)
    t.check(run.status == 1 and "too few decode steps" in run.err and "-n 64" in run.err, run.status, run.err)


if __name__ == "__main__":
    t.main()
