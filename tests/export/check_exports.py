#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the folded stacks, speedscope's file and the table of steps that were made of a recording, by readers of its own, and compares
what they add up to with the report of the same recording.

    check_exports.py LMMETER FILE.lmt
"""

import collections
import csv
import json
import subprocess
import sys

failures = 0


def check(ok, *what):
    global failures
    if not ok:
        failures += 1
        print("FAIL", *what)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode("utf-8")


def near(a, b, slices=0):
    """Slices are whole nanoseconds, and times of the clock's fit; sums in the report are neither."""
    return abs(a - b) <= slices + 2 + 2e-6 * abs(b)


def wanted_phases(rep):
    """By name, what is in it on a thread's own time; waiting is that of others."""
    return {p["phase"]: p["total_ns"] for p in rep["phases"] if p["phase"] != "waiting" and not p["warmup_only"]}


def compare(what, have, want, slices):
    for name in sorted(set(have) | set(want)):
        check(near(have.get(name, 0), want.get(name, 0), slices), what, name, have.get(name, 0), want.get(name, 0))


def commands_timed(rep):
    return rep["device"]["timed"] if rep["device"] else 0


def overlap(requests):
    ends = {}
    for q in requests:
        if q["start_ns"] < ends.get(q["process"], 0):
            return True
        ends[q["process"]] = q["start_ns"] + q["wall_ns"]
    return False


def same_phases(what, have, rep, slices):
    want = wanted_phases(rep)
    if commands_timed(rep) == 0:
        # of several requests at once each has what was in no phase when it began; here every instant counts once
        if overlap(rep["requests"]):
            have.pop("unaccounted", 0), want.pop("unaccounted", 0)
        compare(what, have, want, slices)
        return
    # the report gives an instant to what the device did in it, these to the bracket it lies in: only the sum is the same
    check(near(sum(have.values()), sum(want.values()), 10 * slices), what, sum(have.values()), sum(want.values()))


# ---- folded stacks ---------------------------------------------------------------------------------

def folded_stacks(text):
    stacks = {}
    for line in text.splitlines():
        stack, _, ns = line.rpartition(" ")
        frames = tuple(stack.split(";"))
        check(ns.isdigit() and int(ns) > 0 and all(frames), "folded: line", line)
        check(frames not in stacks, "folded: twice", stack)
        stacks[frames] = int(ns)
    return stacks


def is_device(frames):
    return ": " in frames[0]


def check_folded(stacks, rep, slices):
    phases, kernels = collections.Counter(), collections.Counter()
    for frames, ns in stacks.items():
        if is_device(frames):
            continue
        phases[frames[1]] += ns
        if len(frames) > 2:
            kernels[(frames[1], frames[-1])] += ns
    same_phases("folded", phases, rep, slices)
    want = collections.Counter()
    for k in rep["kernels"]:
        if k["device"] == "CPU" and k["total_ns"]:
            want[(k["phase"], f"{k['name']} ({k['op']})")] += k["total_ns"]
    compare("folded operator", kernels, want, slices)
    named = {frames[0] for frames in stacks if frames[0].startswith("request ")}
    check(named == {f"request {q['id']}" for q in rep["requests"]} or len(rep["requests"]) > 64, "folded: requests", named)


# ---- speedscope ------------------------------------------------------------------------------------

def check_profile(p, n_frames):
    """The rules of its file format for profiles of samples."""
    check(p["type"] == "sampled" and p["unit"] == "nanoseconds" and isinstance(p["name"], str), "speedscope: profile", p["name"])
    check(len(p["samples"]) == len(p["weights"]), "speedscope: weights", len(p["samples"]), len(p["weights"]))
    check(all(isinstance(w, int) and w > 0 for w in p["weights"]), "speedscope: a weight that is none")
    check(sum(p["weights"]) == p["endValue"] - p["startValue"], "speedscope: span", p["name"])
    check(all(isinstance(f, int) and 0 <= f < n_frames for s in p["samples"] for f in s), "speedscope: a frame that is not there")


def check_speedscope(text, stacks, rep):
    doc = json.loads(text)
    check(doc["$schema"] == "https://www.speedscope.app/file-format-schema.json", "speedscope: schema")
    names = [f["name"] for f in doc["shared"]["frames"]]
    sums = collections.Counter()
    for p in doc["profiles"]:
        check_profile(p, len(names))
        for sample, weight in zip(p["samples"], p["weights"]):
            if sample:
                sums[tuple(names[f] for f in sample)] += weight
    check(len(names) == len(set(names)), "speedscope: a frame twice")
    if rep["session"]["threads_all"] or len(rep["requests"]) > 64:
        return
    plain = {tuple(n.replace(";", ":") for n in frames): ns for frames, ns in sums.items()}
    check({f: n for f, n in plain.items() if not is_device(f)} == {f: n for f, n in stacks.items() if not is_device(f)},
          "speedscope: its sums are not those of the folded stacks")


# ---- steps -----------------------------------------------------------------------------------------

def number(cell):
    return float(cell) if cell else 0


def check_steps(text, rep):
    check(text.count("\n") == text.count("\r\n"), "steps: lines end with CRLF")
    rows = list(csv.DictReader(text.splitlines(), strict=True))
    check(all(None not in r and None not in r.values() for r in rows), "steps: a row with more or fewer cells")
    columns = [c for c in rows[0] if c.endswith("_ns") and c not in ("start_ns", "wall_ns", "device_ns", "itl_ns")]
    sums = {c[:-3]: sum(int(r[c]) for r in rows) for c in columns}
    same_phases("steps", {n: ns for n, ns in sums.items() if ns}, rep, 4 * len(rows))
    for kind in ("prefill", "decode"):
        of = [r for r in rows if r["kind"] == kind]
        want = rep["steps"][kind]
        check(near(sum(number(r["wall_ns"]) for r in of), want["total_ns"], len(of)), "steps:", kind, want)
        check(sum(number(r["tokens"]) for r in of) == rep["steps"][f"{kind}_tokens"], "steps:", kind, "tokens")
    # of kernels that ran on devices, in whatever phase or none
    commands = sum(k["total_ns"] for k in rep["kernels"] if k["device"] != "CPU")
    check(near(sum(int(r["device_ns"]) for r in rows), commands, commands_timed(rep)), "steps: device_ns", commands)
    check_tokens(rows, rep)
    numbers = [int(r["step"]) for r in rows if r["step"]]
    if len(rep["session"]["processes"]) == 1:
        check(numbers == sorted(set(numbers)), "steps: order", numbers[:20])
    return rows


def check_tokens(rows, rep):
    made = sum(int(r["output_tokens"]) for r in rows)
    # where an engine samples elsewhere, tokens are only guessed from its passes
    if made == 0:
        return
    check(made == sum(q["output_tokens"] for q in rep["requests"]), "steps: tokens", made)
    itl = rep["tokens"]["itl"]
    check(near(sum(number(r["itl_ns"]) for r in rows), itl["total_ns"], itl["count"]), "steps: itl_ns", itl)
    for q in rep["requests"]:
        of = [r for r in rows if r["request"] == str(q["id"])]
        if all(" " not in r["request"] for r in rows):
            check(sum(int(r["output_tokens"]) for r in of) == q["output_tokens"], "steps: tokens of request", q["id"])


def main():
    lmmeter, trace = sys.argv[1:]
    rep = json.loads(output(lmmeter, "report", trace, "--json"))
    slices = rep["records"]["stored"]
    stacks = folded_stacks(output(lmmeter, "export", trace, "--to", "folded", "-"))
    check_folded(stacks, rep, slices)
    check_speedscope(output(lmmeter, "export", trace, "--to", "speedscope", "-"), stacks, rep)
    rows = check_steps(output(lmmeter, "export", trace, "--to", "csv", "-"), rep)
    print(f"{len(stacks)} stacks, {len(rows)} steps:", "ok" if failures == 0 else f"{failures} checks failed")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
