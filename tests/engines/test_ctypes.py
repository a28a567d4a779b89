#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine behind Python's ctypes, where functions are found by dlsym() on a handle: the audit door."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

TOKENS = 24


def command():
    # the interpreter itself: a launcher in front of it would only be one process more
    return [sys.executable, os.path.join(t.ROOT, "tests", "engines", "ctypes_generate.py"), t.engine("python")[0], t.model(),
            "1", str(TOKENS), t.PROMPT]


def test_ctypes():
    bare = t.plain(command())
    t.check(bare.status == 0, bare.err[-2000:])
    run = t.record(command())
    t.check(run.status == 0, run.err[-2000:])
    t.check(bare.out == run.out, "the text differs:", bare.out, run.out)
    own = json.loads(next(line for line in run.err.splitlines() if line.startswith('{"wall_ns"')))
    rep = run.report
    t.check_counts(rep)
    t.note("level", rep["level"], "door", [p["door"] for p in rep["session"]["processes"]])
    t.check(rep["level"]["reached"] == "kernels", rep["level"])
    t.check(len(rep["requests"]) == 1, rep["requests"])
    req = rep["requests"][0]
    t.check((req["prompt_tokens"], req["output_tokens"]) == (own["prompt"], TOKENS), req, own)
    parts = t.request_phases(req)
    engine = sum(parts.get(p, 0) for p in ("embedding", "prefill", "decode", "copy_to_cpu"))
    t.note(f"llama_decode: lmmeter {engine / 1e6:.3f} ms, Python {own['decode_ns'] / 1e6:.3f} ms")
    t.check(t.close(engine, own["decode_ns"], 0.01), engine, own)
    t.check(t.close(req["wall_ns"], own["wall_ns"], 0.005), req["wall_ns"], own)


if __name__ == "__main__":
    t.main()
