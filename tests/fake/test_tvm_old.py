#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TVM's C interface up to 0.19, which the stand-in in tvm_old/ has: what it answers comes through, and phases are the engine's."""

import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))
import lmmtest as t  # noqa: E402
import test_tvm as tvm  # noqa: E402

ENGINE = os.path.join(t.FAKE, "tvm_old", "engine")
PROMPT, LAYERS = 7, 3


def check_truth(trace, path):
    """The engine's phases in their order, a preemption at an edge aside: ours and its brackets."""
    with open(path, encoding="utf-8") as f:
        truth = sorted((json.loads(line) for line in f), key=lambda b: b["t0"])
    mine = tvm.brackets(trace)
    t.check([m[0] for m in mine] == [b["phase"] for b in truth], [m[0] for m in mine])
    for m, b in zip(mine, truth):
        t.check(abs(m[1] - b["t0"]) < 5e6 and abs(m[2] - b["t1"]) < 5e6, m, b)
    return mine, truth


def test_phases():
    for tokens in (1, 20):
        path = os.path.join(t.scratch(), "truth.jsonl")
        bare = t.plain([ENGINE, str(tokens), path])
        seen = t.record([ENGINE, str(tokens), path], options=["-q"])
        t.check(bare.status == 0 == seen.status and bare.out == seen.out and bare.err == seen.err.replace("\r", ""), bare.out, seen.out,
                seen.err)
        rep = seen.report
        t.check_counts(rep)
        t.check(rep["records"]["invalid"] == 0, rep["records"])
        t.check(rep["session"]["engine"] == {"name": "TVM", "version": "up to 0.19"}, rep["session"]["engine"])
        check_truth(seen.trace, path)
        request = rep["requests"][0]
        t.check((request["prompt_tokens"], request["output_tokens"], request["seq"]) == (PROMPT, tokens, 5), request)
        layers = {x["layer"]: x for x in rep["layers"]}
        t.check(set(layers) - {-1} == set(range(LAYERS)), layers)
        # the last layer is not told from what comes behind, once a pass has told which is the last
        t.check(layers[1]["other_ns"] >= 100e3 * (tokens - 1), layers)


def test_failing_pass():
    """It is a pass of its own, without a token, and what comes behind it is what it was."""
    path = os.path.join(t.scratch(), "truth.jsonl")
    bare = t.plain([ENGINE, "5", path, "fail"])
    seen = t.record([ENGINE, "5", path, "fail"], options=["-q"])
    t.check(bare.status == 0 == seen.status and bare.out == seen.out, bare.out, seen.out, seen.err)
    once = ["embedding", "decode", "softmax", "copy_to_cpu", "sampling"]
    t.check([m[0] for m in tvm.brackets(seen.trace)] == ["embedding", "prefill", *once[2:], "decode", *once * 4],
            [m[0] for m in tvm.brackets(seen.trace)])
    t.check(seen.report["records"]["invalid"] == 0 and seen.report["requests"][0]["output_tokens"] == 5, seen.report["requests"])


def speculative(how, kept, *scopes):
    path = os.path.join(t.scratch(), "truth.jsonl")
    bare = t.plain([ENGINE, "9", path, how, *scopes])
    seen = t.record([ENGINE, "9", path, how, *scopes], options=["-q"])
    t.check(bare.status == 0 == seen.status and bare.out == seen.out, bare.out, seen.out, seen.err)
    t.check_counts(seen.report)
    mine, truth = check_truth(seen.trace, path)
    if scopes:
        check_edges(mine, truth)
    tvm.check_speculation(seen.trace, seen.report, PROMPT, 9, 1, kept, how)


def test_chain():
    """As in early 2024: both caches are cut to what was accepted, and nothing else says so."""
    speculative("draft", lambda k: (k % 4 + 1, 3 - k % 4, False))


def test_tree():
    """Since late 2024: the main model's cache is told which leaf of the tree of drafts was right."""
    speculative("tree", lambda k: (k % 3 + 1, 2 - k % 3, k % 3 == 2))


def check_edges(mine, truth):
    """Between phases the engine is at something else for 0.5 to 1 ms: at least every other edge must be nearer than that."""
    for phase in {b["phase"] for b in truth}:
        for edge, name in ((1, "t0"), (2, "t1")):
            off = statistics.median(abs(m[edge] - b[name]) for m, b in zip(mine, truth) if m[0] == phase)
            t.check(off < 100e3, phase, name, off)


def test_scopes():
    for gpu in ([], ["gpu"]):
        path = os.path.join(t.scratch(), "truth.jsonl")
        bare = t.plain([ENGINE, "20", path, "scopes", *gpu])
        seen = t.record([ENGINE, "20", path, "scopes", *gpu], options=["-q"])
        t.check(bare.status == 0 == seen.status and bare.out == seen.out, bare.out, seen.out, seen.err)
        with open(path, encoding="utf-8") as f:
            truth = sorted((json.loads(line) for line in f), key=lambda b: b["t0"])
        mine = tvm.brackets(seen.trace)
        t.check([m[0] for m in mine] == [b["phase"] for b in truth], gpu, [m[0] for m in mine], [b["phase"] for b in truth])
        check_edges(mine, truth)
        t.check([q["output_tokens"] for q in seen.report["requests"]] == [20], seen.report["requests"])
        dump = subprocess.run([tvm.DUMP, "dump", seen.trace], stdout=subprocess.PIPE, check=True, timeout=60).stdout
        t.check(b"private" not in dump and b"BatchDecode" not in dump, "a scope's name was kept")


def test_scopes_of_speculation():
    speculative("tree", lambda k: (k % 3 + 1, 2 - k % 3, k % 3 == 2), "scopes")
    speculative("tree", lambda k: (k % 3 + 1, 2 - k % 3, k % 3 == 2), "scopes", "gpu")


def test_scopes_where_a_pass_fails():
    path = os.path.join(t.scratch(), "truth.jsonl")
    seen = t.record([ENGINE, "5", path, "fail", "scopes"], options=["-q"])
    check_truth(seen.trace, path)
    t.check(seen.report["requests"][0]["output_tokens"] == 5, seen.report["requests"])


def test_late():
    """Into a runtime that is loaded and an engine that has looked nothing up yet."""
    for options in (["20"], ["20", "scopes"]):
        folder = t.scratch()
        path, trace = os.path.join(folder, "truth.jsonl"), os.path.join(folder, "t.lmt")
        command = [ENGINE, options[0], path, *options[1:]]
        bare = t.plain(command)
        seen = t.plain([*command, "late=" + tvm.LIBRARY], env={"LMMETER_OUT": trace})
        t.check(bare.status == 0 == seen.status and bare.out == seen.out, bare.out, seen.out, seen.err)
        with open(path, encoding="utf-8") as f:
            truth = sorted((json.loads(line) for line in f), key=lambda b: b["t0"])
        mine = tvm.brackets(trace)
        t.check([m[0] for m in mine] == [b["phase"] for b in truth], options, [m[0] for m in mine])
        check_edges(mine, truth)
        t.check([q["output_tokens"] for q in t.report(trace)["requests"]] == [20], t.report(trace)["requests"])


def test_late_into_the_unknown():
    """Functions of 2025 on that are not what they are known to be stay as they are, and it is said."""
    trace = os.path.join(t.scratch(), "t.lmt")
    seen = t.plain([os.path.join(t.FAKE, "tvm_old", "odd"), tvm.LIBRARY], env={"LMMETER_OUT": trace})
    t.check(seen.status == 0 and seen.out == b"untouched\n", seen.out, seen.err)
    t.check("TVM was loaded before lmmeter" in json.dumps(t.report(trace)), t.report(trace))


if __name__ == "__main__":
    t.main()
