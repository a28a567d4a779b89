#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter diff on recordings of the stand-in engine, with and without a preload that makes one operator slower."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

SLOW = os.path.join(t.FAKE, "slow.so")
_traces = {}


def traces(side, n=3):
    """Of the plain engine ("plain", "again"), of one whose ffn_out is half as slow again ("slow"), of a longer run ("long")."""
    while len(_traces.setdefault(side, [])) < n:
        slow = side == "slow"
        run = t.record(t.fake("prompt=8", "tokens=150" if side == "long" else "tokens=80", "warmup=1"),
                       preload=[SLOW] if slow else [], env={"TEST_SLOW": "ffn_out", "TEST_SLOW_NS": "20000"} if slow else {})
        t.check(run.status == 0, "exit", run.status, run.err[-2000:])
        _traces[side].append(run.trace)
    return _traces[side][:n]


def diff(before, after, *options):
    return t.lmmeter("diff", *before, "--against", *after, *options)


def document(before, after, *options):
    return json.loads(diff(before, after, "--json", *options).out)


def test_finds_the_operator():
    done = diff(traces("plain"), traces("slow"), "--fail-over", "3%", "--json")
    got = json.loads(done.out)
    changed = [i["name"] for i in got["items"] if i["changed"] and i["level"] == "kernel" and i["class"] == "decode"]
    t.check(changed == ["ffn_out"], changed)
    t.check(done.status == 1 and "regression" in done.err, done.status, done.err)
    item = next(i for i in got["items"] if i["name"] == "ffn_out" and i["class"] == "decode")
    # four layers, 20 us each
    t.check(t.close(item["change_ns"], 80e3, 0.1), item)
    t.check(item["low_ns"] < item["change_ns"] < item["high_ns"] and item["beyond_limit"], item)
    decode = next(c for c in got["classes"] if c["class"] == "decode")
    t.check(t.close(decode["named_ns"], 80e3, 0.1), decode)
    t.check(abs(decode["change_ns"] - decode["named_ns"] - decode["common_ns"] - decode["rest_ns"]) < 0.01, decode)


def test_faster_is_no_regression():
    done = diff(traces("slow"), traces("plain"), "--fail-over", "3%")
    t.check(done.status == 0 and b"ffn_out" in done.out, done.status, done.out)


def test_nothing_changed():
    done = diff(traces("plain"), traces("again"), "--fail-over", "3%")
    t.check(done.status == 0 and b"Nothing changed" in done.out, done.status, done.out)


def test_against_the_report():
    """The plain means are those of the report: steps, and warm-up left out, are counted alike."""
    got = document(traces("plain", 1), traces("again", 1))
    rep = t.report(traces("plain", 1)[0])
    decode = next(c for c in got["classes"] if c["class"] == "decode")
    t.check(decode["before_steps"] == rep["steps"]["decode"]["count"], decode, rep["steps"]["decode"])
    for kernel in (k for k in rep["kernels"] if k["phase"] == "decode"):
        item = next(i for i in got["items"] if (i["class"], i["level"], i["name"], i["op"], i["fused"]) ==
                    ("decode", "kernel", kernel["name"], kernel["op"], kernel["fused"]))
        whole = item["before_mean_ns"] * decode["before_steps"]
        t.check(t.close(whole, kernel["total_ns"], 0.005, 200), item, kernel)


def test_refused_calls_are_no_steps():
    """One engine makes room before its context is full, the other when it is told: the same steps."""
    shifted = t.record(t.fake("prompt=8", "tokens=40", "context=24", "sampler=greedy"))
    refused = t.record(t.fake("prompt=8", "tokens=40", "sampler=greedy"), env={"FAKE_ROOM": "24"})
    t.check(refused.report["context_refusals"]["count"] > 0 and refused.report["steps"]["decode"]["count"] == 39, refused.report["steps"])
    got = {c["class"]: (c["before_steps"], c["after_steps"]) for c in document([shifted.trace], [refused.trace])["classes"]}
    t.check(got == {"prefill": (1, 1), "decode": (39, 39)}, got)


def test_one_run_a_side_says_so():
    done = diff(traces("plain", 1), traces("again", 1))
    t.check(b"one run a side" in done.out, done.out)
    t.check(document(traces("plain", 1), traces("again", 1))["runs"]["within_only"], "within_only")


def test_warns_of_another_length_and_version():
    got = document(traces("plain", 2), traces("long", 2))
    t.check(any("decode steps" in w for w in got["warnings"]), got["warnings"])
    threads = t.record(t.fake("tokens=80", "threads=2")).trace
    got = document(traces("plain", 1), [threads])
    t.check(any("thread count" in w for w in got["warnings"]), got["warnings"])


if __name__ == "__main__":
    t.main()
