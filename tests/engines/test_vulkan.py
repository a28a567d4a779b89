#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's Vulkan backend, unmodified, on Mesa's CPU driver: what lmmeter says of its kernels."""

import os
import random
import sys


sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import sleeper  # noqa: E402
import truth  # noqa: E402
import vkwatch  # noqa: E402

TOKENS = 6
_cache = {}


def command(tokens=TOKENS, layers=99):
    """Greedy, all layers on the device unless told otherwise."""
    return [os.path.join(t.engine("vulkan")[0], "llama-completion-vulkan"), "-m", t.model(), "-t", "1", "-ngl", str(layers),
            "-c", "512", "-n", str(tokens), "--temp", "0", "-no-cnv", "-p", t.PROMPT]


def once(name, make):
    if name not in _cache:
        run = make()
        t.check(run.status == 0, "exit", run.status, run.err[-2000:])
        _cache[name] = run
    return _cache[name]


def bare():
    return once("bare", lambda: t.plain(command()))


def recorded():
    """As a user would: inside the budget."""
    return once("recorded", lambda: t.record(command(), env={"TEST_RECORDER": "1"}))


def watched(name, options, labels, layers=99):
    """With a layer between the engine and ours that counts on its own."""
    folder = t.scratch()
    env = vkwatch.environment(t.BUILD, os.path.join(folder, "watch"), labels)
    if not os.path.exists(vkwatch.layer(t.BUILD)):
        raise t.Skip("the counting layer was not built")
    return once(name, lambda: t.record(command(layers=layers), options=options, env=env, folder=folder))


def watch_log(run):
    return vkwatch.log(os.path.join(run.folder, "watch"))


def dispatches(run):
    return vkwatch.dispatches(t.BUILD, run.trace)


def device_kernels(rep):
    return [k for k in rep["kernels"] if k["device"] != "CPU"]


def test_bare():
    """The engine by itself says the same each time."""
    first, again = bare(), t.plain(command())
    t.check(again.status == 0, "exit", again.status, again.err[-2000:])
    t.check(first.out == again.out and t.PROMPT.encode() in first.out, "two runs differ:", first.out, again.out)


def test_output_is_the_same():
    for run in (recorded(), watched("off", ("--budget", "off"), True), watched("default", (), False)):
        t.check(run.out == bare().out, "standard output differs:", bare().out, run.out)


def test_counts():
    for run in (recorded(), watched("off", ("--budget", "off"), True)):
        t.check_counts(run.report)
        t.check(run.report["records"]["lost"] == 0 and run.report["records"]["invalid"] == 0, run.report["records"])


def test_tokens():
    run = recorded()
    entries = truth.calls(run.folder)
    calls = truth.generation(next(iter(entries.values())))
    prompt = next(c.value for c in calls if c.call == "tokenize" and c.value > 0)
    accepted = sum(1 for c in calls if c.call == "piece") - prompt
    reqs = run.report["requests"]
    t.check(len(reqs) == 1, "one request:", reqs)
    t.check((reqs[0]["prompt_tokens"], reqs[0]["output_tokens"]) == (prompt, accepted), reqs[0], prompt, accepted)


def test_every_dispatch():
    """Dispatches in the recording are those that an independent layer counted, timed or not."""
    for name, options, labels in (("off", ("--budget", "off"), True), ("default", (), False)):
        run = watched(name, options, labels)
        counts, _ = watch_log(run)
        seen = sum(d.n for d in dispatches(run))
        t.note(f"{name}: {seen} of {counts['submitted']} dispatches, {run.report['device']['timed']} commands timed")
        t.check(seen == counts["submitted"] == counts["vkCmdDispatch"], name, seen, counts)
    device = watched("off", ("--budget", "off"), True).report["device"]
    t.check(device["untimed"] == 0 and device["in_flight"] == 0 and device["early"] == 0, device)


def check_nodes(run):
    """Learned without labels, judged against the backend's own."""
    _, labels = watch_log(run)
    found = dispatches(run)
    t.check(len(found) == len(labels) > 1000, len(found), len(labels))
    wrong = [(d, label) for d, label in zip(found, labels) if not vkwatch.is_right(d, label)]
    t.note(f"{len(labels) - len(wrong)} of {len(labels)} nodes are right")
    t.check(len(wrong) <= len(labels) / 100, wrong[:10])


def test_nodes():
    check_nodes(watched("off", ("--budget", "off"), True))


def test_nodes_of_what_comes_again():
    """Most steps hold what the step before held, and are told at once: their nodes are those of this step."""
    for name, layers in (("rarely", 99), ("half rarely", 15)):
        run = watched(name, ("--budget", "0.0001%"), True, layers)
        _, labels = watch_log(run)
        found = dispatches(run)
        # a group of a timed step has one node and several labels
        t.check(sum(d.n for d in found) == len(labels) > 1000, len(found), len(labels))
        wrong, judged, at = [], 0, 0
        for d in found:
            if d.n == 1:
                judged += 1
                wrong += [] if vkwatch.is_right(d, labels[at]) else [(d, labels[at])]
            at += d.n
        at_once = sum(is_at_once for is_at_once, _, _ in vkwatch.commands(t.BUILD, run.trace))
        t.note(f"{judged - len(wrong)} of {judged} nodes are right; {at_once} commands were told at once")
        t.check(judged > 0.5 * len(labels) and at_once > 0.2 * len(labels), judged, at_once, len(labels))
        t.check(not wrong, wrong[:10])


def test_nodes_of_half():
    """The CPU computes the first layers: the device's nodes begin in the middle of the graph."""
    run = watched("half", ("--budget", "off"), True, 15)
    check_nodes(run)
    layers = {x["layer"] for x in run.report["layers"] if x["layer"] >= 0 and x["decode_ns"] > 0}
    t.check(layers == set(range(30)), "layers of both:", layers)


def test_names():
    """Kernels have the names of the shaders, though all of them have the entry point main."""
    rep = recorded().report
    names = {k["name"] for k in device_kernels(rep)}
    t.check(not any(name.startswith("main") for name in names), names)
    for word in ("mul_mat_vec_", "rms_norm", "rope_", "flash_attn", "swiglu"):
        t.check(any(word in name for name in names), word, names)
    decode = [k for k in device_kernels(rep) if k["phase"] == "decode" and k["name"] not in ("copy", "fill", "write")]
    t.check(all(k["op"] for k in decode), "of no node:", [k for k in decode if not k["op"]])
    t.check({"attention", "mlp", "norm", "lm_head"} <= {k["role"] for k in decode}, decode)
    layers = [x for x in rep["layers"] if x["layer"] >= 0]
    t.check(len(layers) == 30 and all(x["decode_ns"] > 0 and x["prefill_ns"] > 0 for x in layers), layers)


def test_phases_are_the_devices():
    """The engine hands a token over within milliseconds and waits elsewhere: that is not where the time belongs."""
    rep = watched("off", ("--budget", "off"), True).report
    decode = t.phases(rep)["decode"]
    t.note({k: decode[k] for k in ("total_ns", "host_ns", "device_ns")})
    t.check(decode["total_ns"] >= decode["device_ns"] - 1e6, decode)
    t.check(decode["device_ns"] > 0.5 * decode["total_ns"], "decode is what the device did for it:", decode)
    for request in rep["requests"]:
        whole = sum(p["total_ns"] for p in request["phases"]) + request["unaccounted_ns"]
        t.check(t.close(whole, request["wall_ns"], 0.001), "phases + unaccounted = wall:", whole, request)


def test_device():
    rep = recorded().report
    device = rep["device"]
    t.note(device)
    t.check(device["in_flight"] == 0 and device["failed"] == 0 and device["unavailable"] == 0, device)
    t.check(device["timed"] > 0 and device["clock_error_ns"] > 0, device)
    busy_and_idle = device["busy_ns"] + sum(g["total_ns"] for g in device["idle"])
    t.check(busy_and_idle < rep["session"]["duration_ns"], device)


def test_layer_is_not_found():
    """The engine runs as ever, phases are the host's, and the report says what is missing."""
    nowhere = ["env", "VK_LAYER_PATH=/nonexistent", "VK_ADD_LAYER_PATH=/nonexistent"]
    run = t.record([*nowhere, *command()])
    t.check(run.status == 0 and run.out == bare().out, run.status, run.out, bare().out)
    t.check(not device_kernels(run.report), device_kernels(run.report))
    t.check("has not loaded lmmeter's layer" in " ".join(run.report["level"]["reasons"]), run.report["level"])
    t.check(t.phases(run.report)["decode"]["count"] == run.report["steps"]["decode"]["count"] > 0, run.report["steps"])


def test_attach():
    """Asleep, then recorded in the middle of a generation: the same text, and kernels of what was seen."""
    whole = [*command(16), "--ignore-eos"]
    bare_text = t.plain(whole, timeout=300).out.decode()
    with sleeper.Sleeper(whole) as s:
        s.wait_for_page()
        t.wait_for(lambda: t.PROMPT + " " in s.text("out"), 100, "the first token")
        span = s.attach_to_work(random.uniform(2, 3), "--budget", "off")
        t.check(s.finish() == 0, s.err[-2000:])
        t.check(s.out == bare_text, "standard output differs:", bare_text, s.out)
    rep = span.report
    t.check(rep["records"]["invalid"] == rep["records"]["lost"] == 0, rep["records"])
    kernels = [k for k in device_kernels(rep) if k["name"] not in ("copy", "fill", "write")]
    t.check(kernels and not any(k["name"].startswith("main") for k in kernels), kernels)
    t.check(sum(k["count"] for k in kernels) > 0 and any(k["op"] for k in kernels), kernels)


if __name__ == "__main__":
    t.main()
