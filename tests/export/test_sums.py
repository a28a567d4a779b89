#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the exports of sums (folded stacks, speedscope, the table of steps) make of many shapes of recordings is what the report says."""

import csv
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_exports.py")


def same(*options, run=()):
    done = t.record(t.fake(*options), options=["-q", *run])
    check(done.trace, options)
    return done.trace


def check(trace, *what):
    got = t.plain([sys.executable, CHECK, t.LMMETER, trace])
    t.check(got.status == 0, *what, got.out.decode(), got.err)
    t.note(*what, got.out.decode().strip())


def export(trace, form):
    done = t.lmmeter("export", trace, "--to", form, "-")
    t.check(done.status == 0, done.err)
    return done.out.decode()


def test_one_after_the_other():
    trace = same("requests=5", "tokens=12", "prompt=20", "warmup=1", "gap_us=50")
    rows = list(csv.DictReader(export(trace, "csv").splitlines()))
    t.check([r["request"] for r in rows if r["kind"] == "prefill"] == list("12345"), rows)
    t.check(sum(r["kind"] == "decode" for r in rows) == 5 * 11, len(rows))


def test_at_once():
    trace = same("slots=3", "requests=4", "tokens=9")
    rows = list(csv.DictReader(export(trace, "csv").splitlines()))
    shared = [r for r in rows if int(r["sequences"] or 0) > 1]
    t.check(shared and all(" " in r["request"] for r in shared), shared[:3])
    t.check(any(line.startswith("several requests;decode") for line in export(trace, "folded").splitlines()), "shared steps")


def test_contexts_and_processes():
    same("contexts=3", "requests=2", "tokens=9")
    same("fork=2", "tokens=9")


def test_threads():
    trace = same("threads=3", "tokens=9", run=("--threads", "all"))
    profiles = export(trace, "speedscope").count('"type":"sampled"')
    t.check(profiles == len(t.report(trace)["threads"]) > 3, "a profile for each thread", profiles)


def test_more_requests_than_can_be_seen():
    trace = same("requests=70", "tokens=3")
    roots = {line.split(";")[0] for line in export(trace, "folded").splitlines()}
    t.check(roots == {"requests", "no request"}, roots)


def test_more_requests_than_are_known():
    done = t.record(t.fake("requests=1100", "tokens=2"), options=["-q"])
    rows = list(csv.DictReader(export(done.trace, "csv").splitlines()))
    named = {int(r["request"]) for r in rows if r["request"]}
    t.check(named == set(range(101, 1101)), min(named), max(named), len(named))
    t.check(sum(r["kind"] == "prefill" for r in rows) == 1100, "a step is missing")


def test_killed():
    same("tokens=40", "end=kill")


if __name__ == "__main__":
    t.main()
