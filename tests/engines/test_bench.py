#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama-bench: nothing is sampled, runs are warmed up, and the program says itself how long each took."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

PROMPT, TOKENS, REPEATS = 64, 24, 2


def test_bench():
    command = [os.path.join(t.engine("llama")[0], "llama-bench"), "-m", t.model(), "-t", "1", "-p", str(PROMPT), "-n",
               str(TOKENS), "-r", str(REPEATS), "-o", "json"]
    run = t.record(command, env={"TEST_RECORDER": "1", "TEST_COUNTER": "1"})
    t.check(run.status == 0, run.err[-2000:])
    rep = run.report
    t.check_counts(rep)
    counts = sum((list(c) for c in truth.counts(run.folder).values()), [])
    t.check(counts[0] >= rep["records"]["operators"] >= counts[1] > 0, counts, rep["records"])
    reqs = [(r["prompt_tokens"], r["output_tokens"]) for r in rep["requests"]]
    t.note("requests (prompt, output):", reqs, "warm-ups:", rep["requests_summary"]["warmup"])
    t.check([r for r in reqs if r[0] == PROMPT].__len__() == REPEATS, "prompt runs:", reqs)
    t.check([r for r in reqs if r[1] in (TOKENS, TOKENS - 1) and r[0] <= 1].__len__() == REPEATS, "token runs:", reqs)
    theirs = {("prefill" if r["n_prompt"] else "decode"): sum(r["samples_ns"]) for r in json.loads(run.out)}
    phases = t.phases(rep)
    for name, ns in theirs.items():
        ours = phases[name]["host_ns"]
        t.note(f"{name}: lmmeter {ours / 1e6:.3f} ms, llama-bench {ns / 1e6:.3f} ms ({(ours / ns - 1) * 100:+.2f} %)")
    t.check(t.close(phases["prefill"]["host_ns"], theirs["prefill"], 0.01), "prefill")
    t.check(t.close(phases["decode"]["host_ns"], theirs["decode"], 0.01), "decode")
    t.check("sampling" not in phases or phases["sampling"]["count"] == 0, phases.get("sampling"))


if __name__ == "__main__":
    t.main()
