#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's OpenCL backend, unmodified, on a real device's runtime (Intel's for CPUs): what lmmeter says of its kernels."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

TOKENS = 8
_cache = {}


def command(tokens=TOKENS):
    """Greedy, all layers on the device. -fa off: flash attention's kernels would be compiled anew at every start."""
    return [os.path.join(t.engine("opencl")[0], "llama-completion-opencl"), "-m", t.model(), "-t", "1", "-ngl", "99",
            "-fa", "off", "-c", "512", "-n", str(tokens), "--temp", "0", "-no-cnv", "-p", t.PROMPT]


def bare():
    """The text without lmmeter."""
    if "bare" not in _cache:
        run = t.plain(command())
        t.check(run.status == 0, "exit", run.status, run.err[-2000:])
        _cache["bare"] = run
    return _cache["bare"]


def recorded():
    """One recording for all the checks on it."""
    if "run" not in _cache:
        run = t.record(command(), env={"TEST_RECORDER": "1"})
        t.check(run.status == 0, "exit", run.status, run.err[-2000:])
        _cache["run"] = run
    return _cache["run"]


def device_kernels(rep):
    return [k for k in rep["kernels"] if k["device"] != "CPU"]


def test_bare():
    """The engine by itself: it takes the device, and says the same each time."""
    first, again = bare(), t.plain(command())
    t.check(again.status == 0, "exit", again.status, again.err[-2000:])
    t.check(first.out == again.out and t.PROMPT.encode() in first.out, "two runs differ:", first.out, again.out)
    t.check("ggml_opencl" in first.err, "the OpenCL backend did not run:", first.err[-2000:])


def test_output_is_the_same():
    t.check(recorded().out == bare().out, "standard output differs:", bare().out, recorded().out)


def test_counts():
    rep = recorded().report
    t.check_counts(rep)
    t.check(rep["records"]["lost"] == 0 and rep["records"]["invalid"] == 0, rep["records"])


def test_tokens():
    run = recorded()
    entries = truth.calls(run.folder)
    t.check(len(entries) == 1, "one process made calls:", list(entries))
    calls = truth.generation(next(iter(entries.values())))
    prompt = next(c.value for c in calls if c.call == "tokenize" and c.value > 0)
    accepted = sum(1 for c in calls if c.call == "piece") - prompt
    reqs = run.report["requests"]
    t.check(len(reqs) == 1, "one request:", reqs)
    t.check((reqs[0]["prompt_tokens"], reqs[0]["output_tokens"]) == (prompt, accepted), reqs[0], prompt, accepted)


def test_kernels():
    rep = recorded().report
    kernels = device_kernels(rep)
    t.note([(k["device"], k["name"], k["count"]) for k in kernels])
    t.check(kernels, "no kernels of a device, seen:", sorted({k["device"] for k in rep["kernels"]}))
    odd = [k for k in kernels if not k["name"].startswith("kernel_")]
    t.check(not odd, "names that are not llama.cpp's:", odd)


if __name__ == "__main__":
    t.main()
