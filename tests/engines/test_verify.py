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


def test_opencl():
    tool = os.path.join(t.engine("opencl")[0], "llama-completion-opencl")
    command = [tool, "-m", t.model(), "-t", "1", "-ngl", "99", "-fa", "off", "-c", "512", "-n", "6", "--temp", "0", "-no-cnv",
               "-p", t.PROMPT]
    rep = verify("--opencl", "--runs", "1", "--top", "1", "--rounds", "1", command=command)
    check_phases(rep, PHASES)
    kernels = rep["kernels"]
    t.check(kernels["rounds"] == 1 and len(kernels["rows"]) == 1, kernels)
    row = kernels["rows"][0]
    t.note(f"{row['name']}: {row['runs_per_step']:g} per step, lmmeter {row['lmmeter_ns'] / 1e3:.1f} us, truth {row['truth_ns']},",
           f"alpha {row['alpha_percent']}, {row['verdict']}")
    t.check(row["name"].startswith("kernel_") and row["runs_per_step"] >= 1, row)
    t.check(sorted(p["repeats"] for p in row["points"]) == [0, 1, 2, 4], row["points"])
    x = [p["repeats"] for p in row["points"]]
    y = [p["step_ns"] for p in row["points"]]
    slope = statistics.covariance(x, y) / statistics.variance(x) if hasattr(statistics, "covariance") else None
    if slope is not None:
        t.check(t.close(row["truth_ns"]["mean"], slope / row["runs_per_step"], 1e-3, 1), row, slope)
    # noise may make anything of it but this: a kernel that runs five times takes longer than one that runs once
    t.check(row["truth_ns"]["mean"] > 0 and row["lmmeter_ns"] > 0, row)
    t.check(t.close(row["alpha_percent"], alpha(row["lmmeter_ns"], row["truth_ns"]["mean"]), 1e-3, 0.01), row)
    t.check(row["within"] == (row["truth_ns"]["low"] <= row["lmmeter_ns"] <= row["truth_ns"]["high"]), row)


if __name__ == "__main__":
    t.main()
