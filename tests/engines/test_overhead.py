#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter overhead on llama-completion: what it says of its runs must follow from the values that it gives of each, and these
must be what the engine did. How large the slowdown is, is no matter of a test: machines are noisy."""

import json
import math
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

TOKENS = 24
PAIRS = 3
T975 = {2: 4.303}
_cache = {}


def overhead():
    if not _cache:
        kept = os.path.join(t.scratch(), "kept")
        run = t.lmmeter("overhead", "--pairs", str(PAIRS), "--json", "--keep", kept, "--", *t.completion(TOKENS), timeout=300)
        t.check(run.status == 0 and not run.err, "exit", run.status, run.err[-2000:])
        _cache.update(json.loads(run.out), kept=kept)
    return _cache


def series():
    rep = overhead()
    t.check(rep["schema"] == "lmmeter.overhead/1" and len(rep["series"]) == 1, rep["schema"], len(rep["series"]))
    return rep["series"][0]


def expm1_percent(x):
    return 100 * math.expm1(x)


def test_runs_are_what_the_engine_did():
    s = series()
    t.check(s["engine_seen"] and s["level"] == "kernels" and s["engine"]["name"] == "llama.cpp", s["engine"], s["level"])
    t.check(len(s["pairs"]) == PAIRS and s["ended_by"] == "pairs", len(s["pairs"]), s["ended_by"])
    for pair in s["pairs"]:
        for arm in ("without", "with"):
            run = pair[arm]
            # the prompt's pass and TOKENS - 1 of one token, between which lie TOKENS - 2 steps; the warm-up is not counted
            t.check(run["prefills"] == 1 and run["decode_steps"] == TOKENS - 2, arm, run)
            t.check(run["calls_not_kept"] == 0 and run["calls"] >= 2 * TOKENS, arm, run)
            t.check(run["first_token_ns"] == run["prefill_ns"], arm, run)
            t.check(run["wall_ns"] > run["prefill_ns"] + run["decode_step_ns"] * TOKENS / 2, arm, run)
        t.check(pair["with"]["calls"] == pair["without"]["calls"], "calls differ:", pair)


def test_intervals_follow_from_the_runs():
    s = series()
    for key, value in (("prefill", "prefill_ns"), ("decode", "decode_step_ns"), ("process", "wall_ns")):
        m = s[key]
        logs = [math.log(p["with"][value] / p["without"][value]) for p in s["pairs"]]
        mean = statistics.mean(logs)
        half = T975[PAIRS - 1] * statistics.stdev(logs) / math.sqrt(PAIRS)
        for name, want in (("percent", mean), ("low_percent", mean - half), ("high_percent", mean + half)):
            t.check(abs(m["slowdown"][name] - expm1_percent(want)) < 2e-4 + 1e-6 * abs(expm1_percent(want)), key, name,
                    m["slowdown"], "but worked out here:", expm1_percent(want))
        noise = math.log(s["pairs"][1]["without"][value] / s["pairs"][0]["without"][value])
        t.check(m["noise"]["count"] == 1 and abs(m["noise"]["percent"] - expm1_percent(noise)) < 2e-4, key, m["noise"])
        t.check(m["noise"]["low_percent"] is None, key, m["noise"])
        t.note(f"{key}: {m['slowdown']['percent']:+.2f} % [{m['slowdown']['low_percent']:+.2f}, {m['slowdown']['high_percent']:+.2f}],",
               f"noise {m['noise']['percent']:+.2f} %: {m['verdict']}")
        t.check(m["verdict"] in ("slower", "faster", "none_visible", "too_noisy"), m["verdict"])


def test_the_ruler_agrees_with_lmmeter():
    """The recorder of the runs and lmmeter's own stamps are strangers to each other; the median step must be the same."""
    s = series()
    rep = t.report(os.path.join(overhead()["kept"], "pair001-with.lmt"))
    ruler = s["pairs"][0]["with"]["decode_step_ns"]
    own = rep["tokens"]["itl"]["p50_ns"]
    t.note(f"median step {ruler / 1e6:.3f} ms, lmmeter's median between tokens {own / 1e6:.3f} ms")
    # steps begin elsewhere than tokens end, and the histogram rounds
    t.check(t.close(ruler, own, 0.1), "ruler", ruler, "lmmeter", own)


def test_arithmetic():
    s = series()
    a = s["arithmetic"]
    reps = [t.report(os.path.join(overhead()["kept"], f"pair{i + 1:03}-with.lmt")) for i in range(PAIRS)]
    kernels = sum(k["count"] for r in reps for k in r["kernels"] if k["phase"] == "decode")
    tokens = sum(r["steps"]["decode_tokens"] for r in reps)
    t.check(abs(a["operators_per_token"] - kernels / tokens) < 1e-3, a, kernels, tokens)
    t.check(100 < a["operators_per_token"] < 2000, "operators per token", a["operators_per_token"])
    t.check(t.close(a["operator_ns"], statistics.mean(r["overhead"]["operator_ns"] for r in reps), 1e-4), a)
    t.check(t.close(a["percent"], statistics.mean(r["overhead"]["percent"] for r in reps), 1e-3), a)
    want = a["operators_per_token"] * a["operator_ns"] + a["phases_per_token"] * a["phase_pair_ns"]
    t.check(t.close(a["per_token_ns"], want, 1e-3), a, want)
    t.check([round(x["token_ns"] / 1e6) for x in a["shares"][1:]] == [120, 370], a["shares"])
    for share in a["shares"]:
        t.check(t.close(share["percent"], 100 * a["per_token_ns"] / share["token_ns"], 1e-2), share)
    t.note(f"{a['operators_per_token']:.0f} operators, {a['per_token_ns']:.0f} ns per token, {a['shares'][0]['percent']:.3f} %")


def test_bench_in_a_script():
    """llama-bench reads nothing, waits after each pass, and is a child here."""
    bench = os.path.join(t.engine("llama")[0], "llama-bench")
    run = t.lmmeter("overhead", "--pairs", "1", "--json", "--", "sh", "-c", '"$@"; exit $?', "sh", bench, "-m", t.model(), "-t", "1",
                    "-p", "16", "-n", "8", "-r", "2", timeout=300)
    t.check(run.status == 0, "exit", run.status, run.err[-2000:])
    pair = json.loads(run.out)["series"][0]["pairs"][0]
    for arm in ("without", "with"):
        # two prompts and a warm-up; twice eight tokens and a warm-up of one
        t.check(pair[arm]["prefills"] == 3, arm, pair[arm])
        t.check(pair[arm]["decode_steps"] >= 14, arm, pair[arm])


if __name__ == "__main__":
    t.main()
