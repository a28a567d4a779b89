#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's OpenCL backend, unmodified, on a real device's runtime (Intel's for CPUs): what lmmeter says of its kernels."""

import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import sleeper  # noqa: E402
import truth  # noqa: E402

TOKENS = 8
KERNELS_OF_A_TOKEN = 604  # counted apart, by a layer that does nothing else
LOGITS_BYTES = 49152 * 4
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


def of_phase(rep, phase):
    return [k for k in device_kernels(rep) if k["phase"] == phase]


def test_kernels():
    """Every kernel has its own name, and the node of the graph that it works for."""
    rep = recorded().report
    steps = rep["steps"]["decode"]["count"]
    decode = [k for k in of_phase(rep, "decode") if k["name"].startswith("kernel_")]
    t.check(sum(k["count"] + k["untimed"] for k in decode) == KERNELS_OF_A_TOKEN * steps, "kernels in decode:",
            [(k["name"], k["count"], k["untimed"]) for k in decode], "steps:", steps)
    t.check(all(k["op"] for k in decode), "of no node:", [k for k in decode if not k["op"]])
    roles = {k["role"] for k in decode}
    t.check({"attention", "mlp", "norm", "lm_head"} <= roles, roles)
    head = [k for k in decode if k["role"] == "lm_head" and "mul_mv" in k["name"]]
    t.check(len(head) == 1 and head[0]["count"] + head[0]["untimed"] == steps, "one LM head per token:", head)
    layers = [x for x in rep["layers"] if x["layer"] >= 0]
    t.check(len(layers) == 30 and all(x["decode_ns"] > 0 and x["prefill_ns"] > 0 for x in layers), layers)
    reads = [k for k in of_phase(rep, "copy_to_cpu") if k["name"] == "read"]
    t.check(len(reads) == 1 and reads[0]["bytes"] == LOGITS_BYTES * rep["requests"][0]["output_tokens"], reads)


def test_phases_are_the_devices():
    """The engine hands a token over within milliseconds and waits in the copy: that is not where the time belongs."""
    rep = recorded().report
    phases = t.phases(rep)
    decode, copy = phases["decode"], phases["copy_to_cpu"]
    t.note({p["phase"]: (p["total_ns"], p["host_ns"], p["device_ns"]) for p in (decode, copy)})
    t.check(copy["host_ns"] > 5 * copy["total_ns"], "the wait is in the copy:", copy)
    t.check(decode["total_ns"] >= decode["device_ns"] - 1e6, decode)
    t.check(decode["total_ns"] < 1.1 * decode["device_ns"], "decode is more than what the device did for it:", decode)
    for request in rep["requests"]:
        whole = sum(p["total_ns"] for p in request["phases"]) + request["unaccounted_ns"]
        t.check(t.close(whole, request["wall_ns"], 0.001), "phases + unaccounted = wall:", whole, request)


def test_engines_own_timer():
    """llama.cpp's eval time is decode and what is copied."""
    run = recorded()
    found = re.search(r"\beval time = +([0-9.]+) ms / +([0-9]+) runs", run.err)
    t.check(found, "no eval time in:", run.err[-1500:])
    rep = run.report
    phases = {p["phase"]: p["total_ns"] for p in rep["requests"][0]["phases"]}
    first = rep["requests"][0]["ttft_ns"]
    ours = sum(phases.get(p, 0) for p in ("prefill", "decode", "copy_to_cpu", "embedding")) - first
    engine = float(found.group(1)) * 1e6
    t.note(f"eval {engine / 1e6:.2f} ms by the engine, {ours / 1e6:.2f} ms here: {100 * (ours / engine - 1):+.3f} %")
    t.check(t.close(ours, engine, 0.03), ours, engine)


def test_device():
    rep = recorded().report
    device = rep["device"]
    t.note(device)
    t.check(device["in_flight"] == 0 and device["failed"] == 0 and device["early"] == 0, device)
    t.check(0 < device["clock_error_ns"] < 20e3, "clock:", device)
    busy_and_idle = device["busy_ns"] + sum(g["total_ns"] for g in device["gaps"])
    t.check(busy_and_idle < rep["session"]["duration_ns"], device)


def check_span(span):
    """Of the middle of a generation: every kernel of the steps that were seen whole."""
    rep = span.report
    t.check(rep["level"]["reached"] == "kernels" and not rep["level"]["reasons"], rep["level"])
    t.check(rep["records"]["invalid"] == rep["records"]["lost"] == 0, rep["records"])
    steps = rep["steps"]["decode"]["count"]
    kernels = [k for k in device_kernels(rep) if k["name"].startswith("kernel_")]
    total = sum(k["count"] + k["untimed"] for k in kernels) + rep["device"]["in_flight"]
    t.check(steps >= 2 and KERNELS_OF_A_TOKEN * (steps - 1) <= total <= KERNELS_OF_A_TOKEN * (steps + 2), steps, total)
    t.check(sum(k["count"] for k in kernels) > 0 and all(k["first_use_count"] == 0 for k in kernels), kernels)
    known = [k for k in kernels if k["phase"] == "decode" and k["op"]]
    t.check(sum(k["count"] + k["untimed"] for k in known) >= KERNELS_OF_A_TOKEN * (steps - 2), "of no node", kernels)
    t.check({"attention", "mlp", "norm", "lm_head"} <= {k["role"] for k in known}, {k["role"] for k in known})
    for q in rep["requests"]:
        whole = sum(p["total_ns"] for p in q["phases"]) + q["unaccounted_ns"]
        t.check(q["joined"] and t.close(whole, q["wall_ns"], 0.001), whole, q)
    return steps


def test_attach():
    """Switched on and off while it loads, computes its prompt, and generates: the same text, and kernels of what was seen."""
    whole = [*command(80), "--ignore-eos"]
    bare_text = t.plain(whole, timeout=300).out.decode()
    with sleeper.Sleeper(whole) as s:
        s.wait_for_page()
        time.sleep(random.uniform(0, 0.5))
        s.attach_for(random.uniform(0, 0.5))
        t.wait_for(lambda: t.PROMPT + " " in s.text("out"), 100, "the first token")
        steps = [check_span(s.attach_to_work(random.uniform(2, 3), *options)) for options in (("--budget", "off"), ())]
        t.note(f"steps of each recording: {steps}")
        t.check(s.process.poll() is None, "it has ended too early")
        t.check(s.finish() == 0, s.err[-2000:])
        t.check(s.out == bare_text, "standard output differs:", bare_text, s.out)


def test_preload_door():
    run = t.record(command(2), ["--door", "preload"])
    t.check(run.status == 0, run.err[-2000:])
    t.check(device_kernels(run.report), "no kernels by the preload door:", run.report["kernels"])


def test_khronos_loader():
    """The other loader: it takes layers by another function than the distribution's."""
    clplay = os.path.join(t.FAKE, "opencl", "clplay")
    runtime = t.engine("opencl")[1]
    if not os.path.exists(clplay):
        raise t.Skip("no fake OpenCL driver was built")
    env = {"LD_LIBRARY_PATH": ":".join([os.path.join(runtime, "khronos"), os.path.join(runtime, "lib")]),
           "OCL_ICD_VENDORS": os.path.dirname(clplay), "FAKECL": "ns=5000"}
    maps = t.plain(["sh", "-c", 'LD_TRACE_LOADED_OBJECTS=1 "$1"', "sh", clplay], env=env)
    t.check(b"khronos/libOpenCL.so.1" in maps.out, maps.out)
    run = t.record([clplay, "inorder", "20"], ["--budget", "off"], env=env)
    t.check(run.status == 0, run.err)
    t.check(run.report["device"]["timed"] == 21, run.report["device"])


if __name__ == "__main__":
    t.main()
