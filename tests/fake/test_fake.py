#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recording from end to end on a stand-in engine, whose tokens, operators and timings are known beforehand. Needs no network."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

OPS = 59  # operators that one pass of the fake graph runs: 14 per layer and 3 around them
BOTH = {"TEST_RECORDER": "1", "TEST_COUNTER": "1"}


def go(*options, layout="plain", env=None, run_options=(), status=0):
    run = t.record(t.fake(*options, layout=layout), options=run_options, env={**BOTH, **(env or {})})
    t.check(run.status == status, "exit", run.status, run.err[-3000:])
    return run


def counted(run):
    return truth.Counts(*[sum(column) for column in zip(*truth.counts(run.folder).values())])


def check_complete(run, lost=0):
    """Every operator that was run is in the report, and the sums are right."""
    rep = run.report
    n = counted(run)
    t.check_counts(rep)
    r = rep["records"]
    # what is lost leaves brackets without their other half
    t.check(r["lost"] <= lost and (r["invalid"] == 0 or r["lost"] > 0), r)
    t.check(n.before >= r["operators"] and r["operators"] + r["lost"] >= n.after > 0, n, r)
    return rep


def shapes(rep):
    return sorted((r["prompt_tokens"], r["output_tokens"]) for r in rep["requests"])


def check_wall(rep, calls):
    """Σ phases + unaccounted of the only request is the recorder's wall."""
    req = rep["requests"][0]
    part = truth.generation(calls)
    wall = part[-1].end - part[0].start
    parts = {k: v for k, v in t.request_phases(req).items() if k != "unaccounted"}
    whole = sum(parts.values()) + req["unaccounted_ns"]
    t.check(t.close(whole, wall, 0.001, 2000), "phases + unaccounted", whole, "wall", wall)
    return part, req


def test_phases():
    run = go("prompt=7", "tokens=40", "warmup=1")
    rep = check_complete(run)
    t.check(rep["level"]["reached"] == "kernels", rep["level"])
    t.check(shapes(rep) == [(7, 40)], rep["requests"])
    t.check(counted(run).before == OPS * (1 + 40), counted(run), "the engine changed?")
    part, req = check_wall(rep, next(iter(truth.calls(run.folder).values())))
    got = t.request_phases(req)
    for name in ("tokenize", "embedding", "prefill", "decode", "copy_to_cpu", "softmax", "sampling", "detokenize"):
        t.check(got.get(name, 0) > 0, "no", name, got)
    engine = sum(got[p] for p in ("embedding", "prefill", "decode", "copy_to_cpu"))
    t.check(t.close(engine, truth.total(part, "decode"), 0.001, 5000), "steps", engine, truth.total(part, "decode"))
    for name, call in (("copy_to_cpu", "copy"), ("tokenize", "tokenize"), ("detokenize", "piece")):
        # the recorder's own clock reads, and the fake's, are in its brackets and not in ours
        t.check(t.close(got[name], truth.total(part, call), 0.02, 200 * 41), name, got[name], truth.total(part, call))
    layers = {e["layer"] for e in rep["layers"]}
    t.check({0, 1, 2, 3} <= layers, layers)
    roles = {k["role"] for k in rep["kernels"]}
    t.check({"attention", "mlp", "norm", "embedding", "lm_head"} <= roles, roles)


def test_unaccounted_is_what_it_is():
    """Busy time of the program's own, behind each token and in no call of the engine, is unaccounted and nothing else is."""
    gap = 400
    run = go("tokens=50", f"gap_us={gap}")
    part, req = check_wall(check_complete(run), next(iter(truth.calls(run.folder).values())))
    outer = [c for c in part if c.call in ("tokenize", "decode", "sample", "piece")]
    between = sum(b.start - a.end for a, b in zip(outer, outer[1:]))
    t.note(f"unaccounted {req['unaccounted_ns'] / 1e3:.0f} us, between the recorder's calls {between / 1e3:.0f} us,",
           f"asked for {gap * 49} us")
    t.check(t.close(req["unaccounted_ns"], between, 0.01, 20000), req["unaccounted_ns"], between)
    t.check(req["unaccounted_ns"] >= gap * 1000 * 49, req["unaccounted_ns"])


def test_greedy_has_no_softmax():
    rep = check_complete(go("sampler=greedy"))
    t.check("softmax" not in t.request_phases(rep["requests"][0]), rep["requests"][0])


def test_chunked_prompt():
    rep = check_complete(go("prompt=1300", "tokens=3"))
    req = rep["requests"][0]
    t.check((req["prompt_tokens"], req["prefill_steps"], req["output_tokens"]) == (1300, 3, 3), req)


def test_requests_one_after_the_other():
    rep = check_complete(go("requests=5", "prompt=6", "tokens=4"))
    t.check(shapes(rep) == [(6, 4)] * 5, shapes(rep))


def test_slots():
    """Sequences that are decoded together are requests of their own."""
    rep = check_complete(go("slots=4", "requests=3", "prompt=9", "tokens=5"))
    t.check(shapes(rep) == [(9, 5)] * 12, shapes(rep))
    t.check(sorted(r["seq"] for r in rep["requests"]) == sorted(list(range(4)) * 3), [r["seq"] for r in rep["requests"]])


def test_no_room():
    """A call that is refused computes nothing: neither its tokens nor its step count, and the request goes on when there is room."""
    run = t.record(t.fake("prompt=8", "tokens=40", "sampler=greedy"), env={"FAKE_ROOM": "24"})
    plain = t.plain(t.fake("prompt=8", "tokens=40", "sampler=greedy"), env={"FAKE_ROOM": "24"})
    t.check(run.status == 0 == plain.status and run.out == plain.out, run.status, run.err)
    (q,) = run.report["requests"]
    # room for 16 more at first; then half of the 20 that are not kept goes each time
    expected = 1 + (40 - 1 - 16 - 1) // 10
    t.check(run.report["context_refusals"]["count"] == q["context_refusals"] == expected, run.report["context_refusals"], q)
    t.check(run.report["context_refusals"]["total_ns"] > 0, run.report["context_refusals"])
    t.check((q["prompt_tokens"], q["output_tokens"], q["prefill_steps"], q["decode_steps"]) == (8, 40, 1, 39), q)
    t.check(run.report["context_shifts"]["count"] == expected, run.report["context_shifts"])
    t.check(b"no room for the tokens of" in t.lmmeter("report", run.trace).out, "the report does not say it")
    out = run.trace + ".json"
    done = t.lmmeter("export", run.trace, "--to", "chrome", out)
    t.check(done.status == 0, done.err)
    with open(out, encoding="utf-8") as f:
        drawn = [e for e in json.load(f)["traceEvents"] if e.get("cat") == "context_refusal"]
    t.check(len(drawn) == expected, drawn)


def test_context_shift():
    """With room for 24 positions, of which four stay: 14 are left each time, and ten tokens follow."""
    run = t.record(t.fake("prompt=8", "tokens=60", "context=24", "sampler=greedy", "gap_us=100"))
    shifts, (q,) = run.report["context_shifts"], run.report["requests"]
    expected = 1 + (60 - 1 - (24 - 8)) // 10
    t.check(shifts["count"] == shifts["tokens"] == q["context_shifts"] == expected, shifts, q)
    t.check(q["output_tokens"] == 60 and q["prompt_tokens"] == 8, q)
    # two milliseconds each, and nothing else
    t.check(2e6 * expected <= shifts["more_ns"] < shifts["total_ns"] < t.phases(run.report)["unaccounted"]["total_ns"] + 1e9, shifts)
    out = run.trace + ".json"
    done = t.lmmeter("export", run.trace, "--to", "chrome", out)
    t.check(done.status == 0, done.err)
    with open(out, encoding="utf-8") as f:
        drawn = [e for e in json.load(f)["traceEvents"] if e.get("cat") == "context_shift"]
    t.check([e["args"]["positions"] for e in drawn] == [10] * expected and all(e["dur"] >= 2000 for e in drawn), drawn)


def test_contexts_on_threads():
    rep = check_complete(go("contexts=6", "requests=2", "tokens=6"))
    t.check(shapes(rep) == [(8, 6)] * 12, shapes(rep))


def test_compute_threads():
    """Thread 0 alone by default; all of them on demand. They come and go with every graph."""
    run = go("threads=3", "tokens=6")
    n = counted(run)
    t.check(check_complete(run)["records"]["operators"] == n.before == n.all_before // 3, n)
    run = go("threads=3", "tokens=6", run_options=["--threads", "all"])
    rep, n = run.report, counted(run)
    t.check_counts(rep)
    t.check(n.all_before >= rep["records"]["operators"] and
            rep["records"]["operators"] + rep["records"]["lost"] >= n.all_after, n, rep["records"])


def test_thousands_of_threads():
    """Every graph starts 31 threads, which end with it: rings are handed on, and what got none is counted."""
    tokens = 330 if t.LONG else 60
    run = t.record(t.fake("threads=32", f"tokens={tokens}"), options=["--threads", "all"], env={
        "TEST_COUNTER": "1", "FAKE_OP_NS": "0"}, timeout=400)
    t.check(run.status == 0, run.err[-2000:])
    rep, n = run.report, counted(run)
    t.check_counts(rep)
    got = rep["records"]
    t.note(f"{tokens * 31} threads, operators {got['operators']} of {n.all_before}, lost {got['lost']}")
    t.check(n.all_before >= got["operators"] and got["operators"] + got["lost"] >= n.all_after, n, got)
    t.check(shapes(rep) == [(8, tokens)], shapes(rep))


def test_forked_children():
    """Children of fork() that go on using the engine are processes of their own and do not touch the parent's stream."""
    run = go("fork=3", "tokens=5")
    rep = check_complete(run)
    pids = {p["pid"] for p in rep["session"]["processes"]}
    t.check(pids == set(truth.counts(run.folder)), pids, truth.counts(run.folder))
    t.check(shapes(rep) == [(8, 5)] * 4, shapes(rep))


def test_fork_and_exec_tree():
    # the variable is set behind lmmeter, which has the preload itself
    run = t.record(["env", "TEST_FORK_TREE=3", *t.fake("tokens=5")], preload=[t.FORKTREE], env=BOTH)
    t.check(run.status == 0, run.err[-2000:])
    rep = check_complete(run)
    pids = {p["pid"] for p in rep["session"]["processes"]}
    t.check(pids == set(truth.counts(run.folder)) and len(pids) == 4, pids, truth.counts(run.folder))
    t.check(shapes(rep) == [(8, 5)] * 4, shapes(rep))
    parents = {p["pid"]: p["parent_pid"] for p in rep["session"]["processes"]}
    t.check(sum(1 for p in parents.values() if p in parents) == 3, "the tree is lost:", parents)


def test_shell():
    command = " ".join(t.fake("tokens=4"))
    run = t.record(["sh", "-c", f"{command}; echo between; {command} | cat"], env=BOTH)
    t.check(run.status == 0 and b"between" in run.out, run.err[-2000:])
    t.check(shapes(check_complete(run)) == [(8, 4)] * 2, run.report["requests"])


def test_ends():
    """However the engine leaves, nothing that was recorded is missing."""
    for how, status in (("return", 0), ("exit", 3), ("_exit", 4), ("abort", -signal.SIGABRT), ("segv", -signal.SIGSEGV),
                        ("kill", -signal.SIGKILL)):
        run = go("tokens=9", f"end={how}", status=status)
        rep = check_complete(run)
        t.check(rep["records"]["operators"] == OPS * 9, how, rep["records"])
        t.check(shapes(rep) == [(8, 9)], how, rep["requests"])
        s = rep["session"]
        want = (status, None) if status >= 0 else (None, -status)
        t.check((s["exit_status"], s["exit_signal"]) == want, how, s)
        t.check(s["complete"], how, "the trace says that it was cut")


def test_other_layout_of_tensors():
    """Read or given up with a reason; never wrong, and the engine does not notice."""
    run = go("tokens=5", layout="shuffled")
    level = run.report["level"]
    t.note("level", level)
    t.check(level["reached"] == "kernels" or (level["reached"] == "phases" and level["reasons"]), level)
    t.check(run.out == t.plain(t.fake("tokens=5")).out, run.out)
    t.check(shapes(run.report) == [(8, 5)], run.report["requests"])


def test_graph_rebuilt_for_each_token():
    rep = check_complete(go("tokens=12", env={"FAKE_REBUILD": "1"}))
    t.check(shapes(rep) == [(8, 12)], rep["requests"])
    t.check(rep["records"]["operators"] == OPS * 12, rep["records"])


def test_ways_into_the_module():
    """In everybody's scope; called by pointer from another library; with no preload in front; by either door."""
    for env in ({}, {"FAKE_GLOBAL": "1"}, {"FAKE_POINTER": "1"}):
        for door in ("auto", "preload", "audit"):
            for extra in ({}, BOTH):
                run = t.record(t.fake("tokens=5"), options=["--door", door], env={**env, **extra})
                what = (env, door, bool(extra))
                t.check(run.status == 0, *what, "exit", run.status, run.err[-1500:])
                rep = run.report
                t.check(rep["records"]["operators"] == OPS * 5 and shapes(rep) == [(8, 5)], *what, rep["records"], rep["level"])


def test_no_lmmeter_process():
    """LMMETER_OUT: the process writes the trace itself."""
    folder = t.scratch()
    out = os.path.join(folder, "e.lmt")
    library = os.path.join(os.environ.get("LMMETER_LIB_DIR", os.path.join(t.BUILD, "src", "probe")), "liblmmeter.so")
    env = {"LMMETER_OUT": out, "TEST_COUNTER": os.path.join(folder, "counter")}
    bare = t.plain(t.fake("tokens=11"))
    run = t.plain(t.fake("tokens=11"), preload=[t.COUNTER, library], env=env)
    t.check(run.status == 0 and run.out == bare.out, run.status, run.err[-2000:])
    rep = t.report(out)
    t.check_counts(rep)
    t.check(rep["session"]["embedded"] and rep["session"]["complete"], rep["session"])
    t.check(rep["records"]["operators"] == OPS * 11 and shapes(rep) == [(8, 11)], rep["records"], rep["requests"])


def test_monotonic_clock():
    run = go("tokens=9", env={"LMMETER_CLOCK": "monotonic"})
    rep = check_complete(run)
    t.check(rep["session"]["clock"] == "monotonic", rep["session"]["clock"])
    check_wall(rep, next(iter(truth.calls(run.folder).values())))


def model_machine(files):
    """A folder with the files that a machine of this kind has in /sys and /proc."""
    root = t.scratch()
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    return root


def test_sensors():
    """A board that draws 10 W all the time: what each phase used is its time, and the file says what the run said."""
    rail = "sys/class/hwmon/hwmon3/"
    root = model_machine({
        rail + "name": "ina3221\n", rail + "in1_label": "VDD_IN\n", rail + "in1_input": "5000\n",
        rail + "curr1_input": "2000\n", "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "52125\n"})
    run = go("prompt=7", "tokens=60", "gap_us=5000", run_options=("--sysfs", root))
    rep = check_complete(run)
    energy, machine = rep["energy"], rep["machine"]
    t.check(rep["sensors"][0]["mean"] == 52.125, rep["sensors"])
    t.check([a["what"] for a in rep["sensors_absent"]] ==
            ["CPU frequency", "CPU governor", "throttling", "memory pressure", "GPU"], rep["sensors_absent"])
    # ten rounds a second, the first before the command and the last behind it
    seconds = machine["sampled_ns"] / 1e9
    t.check(4 <= machine["rounds"] <= 10 * seconds + 2 and t.close(seconds, rep["session"]["duration_ns"] / 1e9, 0.2, 0.1), machine)
    t.check(t.close(energy["total_uj"], seconds * 10e6, 1e-6), energy["total_uj"], seconds)
    for row in energy["phases"]:
        t.check(t.close(row["mean_mw"], 10000, 1e-3), row)
        ns = next((p["total_ns"] for p in rep["phases"] if p["phase"] == row["phase"] and not p["warmup_only"]), 0)
        t.check(t.close(row["total_uj"], ns / 1e9 * 10e6, 1e-3), row, ns)
    tokens = sum(r["output_tokens"] for r in rep["requests"])
    t.check(t.close(energy["output_token_uj"], energy["requests_uj"] / tokens, 1e-6), energy)
    for recompute in ([], ["--recompute"]):
        again = t.report(run.trace, *recompute)
        t.check([again[k] for k in ("sensors", "machine", "energy")] == [rep[k] for k in ("sensors", "machine", "energy")],
                recompute, again["energy"])


def test_no_such_machine():
    run = t.record(t.fake("tokens=3"), options=["--sysfs", "/nonexistent"])
    t.check(run.status == 125 and "--sysfs /nonexistent: no such file or directory" in run.err, run.status, run.err)


def test_full_ring_is_counted():
    """Operators that take no time, and next to no memory for them: what does not fit is counted to the last one."""
    run = t.record(t.fake("tokens=3000", "contexts=2"), options=["--memory", "128K"], env={
        "TEST_COUNTER": "1", "FAKE_OP_NS": "0", "FAKE_COPY_NS": "0", "FAKE_TOP_K_NS": "0", "FAKE_DIST_NS": "0",
        "FAKE_TEMP_NS": "0", "FAKE_CHAIN_NS": "0", "FAKE_PIECE_NS": "0"})
    t.check(run.status == 0, run.err[-2000:])
    rep = check_complete(run, lost=1 << 60)
    t.note(rep["records"])


if __name__ == "__main__":
    t.main()
