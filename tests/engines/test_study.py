#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter study on llama.cpp: the examples' plans, made small: variants made and judged by the engine's own programs, context shifts."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

os.environ["LMMETER_STUDY_LOCK"] = f"test-{os.getpid()}"


def small(name, *changes):
    """An example's plan with some lines made cheaper."""
    where = t.scratch()
    with open(os.path.join(t.ROOT, "examples", "study", name + ".toml"), encoding="utf-8") as f:
        text = f.read()
    for pattern, to in changes:
        text, n = re.subn(pattern, to, text)
        t.check(n == 1, pattern, n)
    path = os.path.join(where, name + ".toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("${PLAN_DIR}", os.path.join(t.ROOT, "examples", "study")))
    return path, os.path.join(where, "s")


def run(path, folder):
    done = t.lmmeter("study", path, "-o", folder, timeout=500)
    t.check(done.status == 0, done.status, done.err)
    done = t.lmmeter("study", "report", folder, "--json")
    t.check(done.status == 0, done.err)
    return json.loads(done.out)


def test_quantization():
    t.engine("quality")
    t.model()
    doc = run(*small("quantization", (r'"Q8_0", .*"Q2_K"', '"Q8_0", "Q2_K"'), (r"\[16, 128\]", "16"), (r"repeats = 5", "repeats = 2"),
                     (r"chunks = 4", "chunks = 2")))
    t.check(doc["cells"] == {"ok": 6, "failed": 0, "missing": 0}, doc["cells"])
    by = {v["level"]: v for v in doc["variants"]}
    t.check(by["as_is"]["bits_per_weight"] < 6 < 8 < by["Q8_0"]["bits_per_weight"] < 9, by)
    t.check(by["Q8_0"]["size_bytes"] > by["as_is"]["size_bytes"] > by["Q2_K"]["size_bytes"], by)
    # what the engine's own programs are known to say of such a small model
    t.check(by["Q8_0"]["kl_divergence"]["value"] < 0.05 < by["Q2_K"]["kl_divergence"]["value"], by)
    t.check(by["Q8_0"]["top1_percent"]["value"] > by["Q2_K"]["top1_percent"]["value"], by)
    t.check(by["Q8_0"]["score"]["quality"] > by["Q2_K"]["score"]["quality"] > 0, by)
    ids = {c["id"] for c in doc["conclusions"]}
    t.check({"reference_quantized", "quality_lost"} <= ids, ids)
    # the weights are read once per token: about the size of the file
    for condition in doc["conditions"]:
        read = condition["figures"]["token_weight_bytes"]["mean"]
        size = by[condition["levels"]["quantization"]]["size_bytes"]
        t.check(t.close(read, size, 0.25), read, size)


def test_context_shift():
    t.engine("llama")
    t.model()
    doc = run(*small("kv-cache", (r"\[256, 512\]", "256"), (r"repeats = 5", "repeats = 3"), (r'"400"', '"300"')))
    t.check(doc["cells"]["ok"] == 3, doc["cells"])
    figures = doc["conditions"][0]["figures"]
    # more tokens than the context holds: the shift let it go on
    t.check(figures["output_tokens"]["mean"] > 256, figures)
    # full at 256 of 332 positions, and with half of them dropped not again
    t.check(figures["context_shifts"]["mean"] == 1 and figures["context_shift_ns"]["mean"] > 0, figures)


if __name__ == "__main__":
    t.main()
