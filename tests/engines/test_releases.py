#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Releases of llama.cpp from February 2025 on: one small program compiled against each, the libraries as distributed."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

TOKENS = 16
GENERATIONS = 2


def one(folder):
    command = [os.path.join(folder, "simple"), t.model(), "1", str(TOKENS), t.PROMPT, str(GENERATIONS)]
    bare = t.plain(command)
    t.check(bare.status == 0, bare.err[-2000:])
    run = t.record(command, env={"TEST_RECORDER": "1", "TEST_COUNTER": "1"})
    t.check(run.status == 0, folder, run.err[-2000:])
    t.check(bare.out == run.out, "the text differs:", bare.out, run.out)
    rep = run.report
    t.check_counts(rep)
    counts = [sum(column) for column in zip(*truth.counts(run.folder).values())]
    t.note(os.path.basename(os.path.dirname(folder)), rep["session"]["engine"], rep["level"],
           "operators", rep["records"]["operators"], "counted", counts[:2])
    t.check(rep["level"]["reached"] == "kernels", rep["level"])
    t.check(counts[0] >= rep["records"]["operators"] >= counts[1] > 0, counts, rep["records"])
    got = [(r["prompt_tokens"], r["output_tokens"]) for r in rep["requests"]]
    calls = next(iter(truth.calls(run.folder).values()))
    prompt = next(c.value for c in calls if c.call == "tokenize")
    t.check(got == [(prompt, TOKENS)] * GENERATIONS, got)
    wall = [truth_wall(calls, i) for i in range(GENERATIONS)]
    for req, real in zip(rep["requests"], wall):
        parts = {k: v for k, v in t.request_phases(req).items() if k != "unaccounted"}
        whole = sum(parts.values()) + req["unaccounted_ns"]
        t.check(t.close(whole, real, 0.001), "phases + unaccounted", whole, "wall", real)
    layers = {e["layer"] for e in rep["layers"]}
    t.check(set(range(30)) <= layers, layers)
    roles = {k["role"] for k in rep["kernels"]}
    t.check({"attention", "mlp", "norm", "embedding", "lm_head"} <= roles, roles)


def truth_wall(calls, number):
    """From the number-th tokenizing to the last call before the next."""
    starts = [i for i, c in enumerate(calls) if c.call == "tokenize"] + [len(calls)]
    part = calls[starts[number]:starts[number + 1]]
    last = max(c.end for c in part if c.call in ("piece", "sample"))
    return last - part[0].start


def test_v0_5_0():
    one(t.engine("llama")[0])


def test_b4753():
    one(t.engine("node-old")[0])


def test_b6845():
    one(t.engine("node-old")[1])


def test_b8390():
    one(t.engine("node-old")[2])


if __name__ == "__main__":
    t.main()
