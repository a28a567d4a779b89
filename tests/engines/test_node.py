#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""node-llama-cpp: the engine is an addon that node opens RTLD_LOCAL."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

TOKENS = 16


def command():
    folder = t.engine("node")[0]
    program = os.path.join(folder, "generate.mjs")
    shutil.copy(os.path.join(t.ROOT, "tests", "engines", "node", "generate.mjs"), program)
    return [os.path.join(folder, "node"), program, t.model(), "1", str(TOKENS), t.PROMPT]


def test_node():
    bare = t.plain(command())
    t.check(bare.status == 0, bare.err[-2000:])
    run = t.record(command(), env={"TEST_RECORDER": "1", "TEST_COUNTER": "1"})
    t.check(run.status == 0, run.err[-2000:])
    t.check(bare.out == run.out, "the text differs:", bare.out, run.out)
    rep = run.report
    t.check_counts(rep)
    t.check(rep["level"]["reached"] == "kernels", rep["level"])
    counts = [sum(column) for column in zip(*truth.counts(run.folder).values())]
    t.check(counts[0] >= rep["records"]["operators"] >= counts[1] > 0, counts, rep["records"])
    t.note([(r["prompt_tokens"], r["output_tokens"], r["wall_ns"]) for r in rep["requests"]])
    t.check(len(rep["requests"]) == 1, "requests:", rep["requests"])
    t.check(rep["requests"][0]["output_tokens"] in (TOKENS, TOKENS + 1), rep["requests"][0])
    t.check(rep["session"]["engine"]["name"] == "llama.cpp", rep["session"])


def test_node_without_an_engine():
    """Node itself runs as ever, and nothing is left."""
    node = command()[0]
    run = t.record([node, "-e", "console.log(6*7)"])
    t.check(run.status == 0 and run.out == b"42\n", run.out, run.err)


if __name__ == "__main__":
    t.main()
