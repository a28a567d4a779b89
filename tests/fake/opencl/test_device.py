#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What lmmeter records of OpenCL commands against the truth of the scripted driver: its log, its counters, its script.

Nothing expected here comes from lmmeter's own code. Run by hand: LMM_BUILD=<build folder> tests/fake/opencl/test_device.py
LMM_LONG=1 adds a million commands.
"""

import collections
import functools
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lmmtest as t  # noqa: E402
import test_fakecl as fakecl  # noqa: E402

OFF = ("--budget", "off")
BUDGETS = {"default": (), "off": OFF}
SYNCING = ("clFinish", "clFlush", "clWaitForEvents", "clEnqueueBarrierWithWaitList", "clEnqueueMarkerWithWaitList",
           "clSetEventCallback")
ALIVE = ("events_alive", "queues_alive", "kernels_alive", "contexts_alive", "programs_alive", "mems_alive", "double_release")
# They leave with commands in flight: which of them had ended by then nobody can say beforehand.
IN_FLIGHT = ("early", "noexit")
# What they print on stderr differs from run to run.
TALKS = ("events", "stamps")


class Play:
    """clplay, under lmmeter if options are given."""

    def __init__(self, scene, n=None, script="", options=None, before=(), command=None):
        self.scene = scene
        self.path = os.path.join(t.scratch(), "log")
        command = command or [fakecl.CLPLAY, scene] + ([str(n)] if n is not None else [])
        env = {"OCL_ICD_VENDORS": fakecl.HERE, "FAKECL": f"{script} log={self.path}"}
        if options is None:
            run = t.plain([*before, *command], env=env, timeout=60)
        else:
            run = t.record([*before, *command], options=["-q", *options], env=env, timeout=120)
            self.trace = run.trace
            t.check(os.path.exists(run.json_path), scene, "no report:", run.status, run.err)
            self.report = run.report
            t.check_counts(self.report)
            t.check(self.report["records"]["lost"] == 0, scene, self.report["records"])
        self.status, self.out, self.err = run.status, run.out.decode(), run.err

    @functools.cached_property
    def logs(self):
        """Of the process and of those it forked. _exit() cuts it anywhere."""
        if self.scene == "noexit":
            return []
        return [fakecl.Log(path) for path in [self.path, *glob.glob(self.path + ".*")] if os.path.exists(path)]

    @property
    def log(self):
        return self.logs[0]

    @property
    def device(self):
        t.check(self.report["device"] is not None, self.scene, "no device in the report", self.report["level"])
        return self.report["device"]

    @property
    def names(self):
        """{name: commands}, as the driver took them."""
        return collections.Counter(called(c.kind, c.name) for log in self.logs for c in log.commands)

    @property
    def order(self):
        """What the driver took, in that order, of each process."""
        return [[(c.queue, c.kind, c.name) for c in log.commands] for log in self.logs]

    @property
    def taken(self):
        return sum(len(log.commands) + len(log.failed) + len(log.unfinished) for log in self.logs)

    def reported(self, of=lambda k: k["count"] + k["untimed"]):
        """The same as reported."""
        sums = collections.Counter()
        for k in self.report["kernels"]:
            sums[re.sub("^command buffer.*", "command buffer", k["name"])] += of(k)
        return sums

    @property
    def stamps(self):
        """{kernel's number: what the driver told the program}."""
        lines = [line.split() for line in self.err.splitlines() if line.startswith("stamps ")]
        return {int(words[1]): [int(w) for w in words[2:]] for words in lines}


@functools.lru_cache(maxsize=None)
def played(scene, budget=None):
    """Each scenario once without lmmeter (None) and once for each budget."""
    return Play(scene, options=None if budget is None else BUDGETS[budget])


def called(kind, name):
    """A command's name in the report."""
    if kind in ("kernel", "task"):
        return name
    if kind in ("marker", "barrier"):
        return "marker"
    if kind == "command_buffer":
        return "command buffer"
    kind = kind.replace("svm_", "").split("_")[0]
    return {"memcpy": "copy"}.get(kind, kind)


def check_total(play, n=None):
    """Each command that the driver took is timed, or not, or in flight. Commands without times are among those not timed."""
    d = play.device
    n = play.taken if n is None else n
    t.check(d["timed"] + d["untimed"] + d["in_flight"] == n, play.scene, n, "commands:", d)
    t.check(d["unavailable"] + d["failed"] <= d["untimed"], play.scene, d)
    t.check(sum(play.reported().values()) == d["timed"] + d["untimed"], play.scene, play.reported(), d)


def union_ns(play):
    """Time in which some queue ran something that does work, of one process."""
    total = end = 0
    for c in sorted(play.log.commands, key=lambda c: c.start):
        if called(c.kind, c.name) != "marker":
            total += max(0, c.end - max(c.start, end))
            end = max(end, c.end)
    return total


# ---- the program's own view ------------------------------------------------------------------------

def check_unseen(bare, seen, what):
    t.check(seen.status == bare.status, *what, "exit", seen.status, "without", bare.status, seen.out, seen.err)
    t.check(seen.out == bare.out, *what, "prints", seen.out, "without", bare.out)
    t.check(bare.scene in TALKS or seen.err == bare.err, *what, "stderr", seen.err, "without", bare.err)


def check_unseen_by_driver(bare, seen, what):
    t.check(len(bare.logs) == len(seen.logs), *what, "logs", len(seen.logs), "without", len(bare.logs))
    if bare.scene == "threads":
        t.check(bare.names == seen.names, *what, "commands", seen.names, "without", bare.names)
    elif bare.scene not in IN_FLIGHT:
        t.check(bare.order == seen.order, *what, "commands", seen.order, "without", bare.order)
    for x, y in zip(bare.logs, seen.logs):
        for name in (*SYNCING, *ALIVE) if x.counts else ():
            t.check(y.counts[name] == x.counts[name], *what, name, y.counts[name], "without", x.counts[name])


def test_program_sees_nothing():
    for scene in fakecl.SCENES:
        for budget in BUDGETS:
            check_unseen(played(scene), played(scene, budget), (scene, budget))


def test_driver_sees_no_waits_and_no_leaks():
    wrong = []
    for scene in fakecl.SCENES:
        for budget in BUDGETS:
            try:
                check_unseen_by_driver(played(scene), played(scene, budget), (scene, budget))
            except t.Failed as why:
                wrong.append(str(why))
    t.check(not wrong, "; ".join(wrong))


def test_program_sees_nothing_of_slow_times():
    """Held back until flushed, and stamps that take long to read."""
    for scene in ("events", "callbacks", "userevents", "outoforder", "queues", "cmdbuf"):
        script = "flush_to_submit=1 spin=1 query_ns=2000"
        bare, seen = Play(scene, script=script), Play(scene, script=script, options=OFF)
        check_unseen(bare, seen, (scene, script))
        check_unseen_by_driver(bare, seen, (scene, script))


# ---- counts ----------------------------------------------------------------------------------------

def test_on_pocl():
    """A real driver: the same text and status, and every kernel of the decode timed."""
    if not os.path.exists(fakecl.POCL_ICD):
        raise t.Skip("no PoCL here (Debian: pocl-opencl-icd)")
    env = {"OCL_ICD_VENDORS": fakecl.POCL_ICD}
    for device in ("basic", "pthread"):
        env["POCL_DEVICES"] = device
        for scene in fakecl.SCENES:
            # its own stamps and reference counts are not the program's; its threads do not survive a fork
            if scene in (*fakecl.NOT_POCL, *TALKS, *IN_FLIGHT, "fork"):
                continue
            bare = t.plain([fakecl.CLPLAY, scene, "10"], env=env)
            run = t.record([fakecl.CLPLAY, scene, "10"], OFF, env=env)
            t.check((bare.status, bare.out) == (run.status, run.out), device, scene, bare.out, run.out, run.err)
        device_of = run_decode(env)
        t.check(device_of["untimed"] == 0 and device_of["in_flight"] == 0 and device_of["timed"] == 10 * 62, device_of)
        t.check(device_of["early"] == 0 and device_of["clock_error_ns"] < 50e3, device_of)


def run_decode(env):
    return t.record([fakecl.CLPLAY, "decode", "10"], OFF, env=env).report["device"]


def test_every_command_is_counted():
    wrong = []
    for scene in fakecl.SCENES:
        for budget in BUDGETS:
            play = played(scene, budget)
            if scene in IN_FLIGHT or (scene == "queueinfo" and not play.taken):
                continue
            try:
                t.check(play.reported() == play.names, scene, budget, "reported", dict(play.reported()), "taken", dict(play.names))
                check_total(play)
                t.check(play.device["in_flight"] == 0, scene, budget, play.device)
                # with all of them to be timed, all are
                t.check(budget != "off" or play.device["untimed"] == 0, scene, play.device)
            except t.Failed as why:
                wrong.append(str(why))
    t.check(not wrong, "; ".join(wrong))


def test_nothing_is_made_up():
    play = played("queueinfo", "off")
    t.check(not play.report["kernels"] and (play.report["device"] is None or play.device["timed"] == 0), play.report["device"])


def test_more_in_flight_than_can_be_kept():
    """Nothing waits, so the rest is counted and not timed; none is kept for ever."""
    play = Play("inorder", 12000, "ns=50000 submit_ns=0", options=OFF)
    t.check(play.status == 0 and play.reported() == play.names, play.status, play.reported(), play.names)
    check_total(play)
    d = play.device
    t.check(d["in_flight"] == 0 and d["untimed"] > 1000 and d["timed"] > 1000, d)
    t.check(play.log.counts["events_peak"] < 6000 and play.log.counts["events_alive"] == 0, play.log.counts)
    per = play.reported(lambda k: k["total_ns"] - 50000 * k["count"])
    t.check(all(per[k] == 0 for k in ("add", "mul", "norm")), per)


# ---- times -----------------------------------------------------------------------------------------

def check_sums(play, tick):
    for name in set(play.names):
        own = [c.end - c.start for c in play.log.commands if called(c.kind, c.name) == name]
        rows = [k for k in play.report["kernels"] if k["name"] == name]
        got = sum(k["total_ns"] for k in rows)
        t.check(sum(k["count"] for k in rows) == len(own), name, rows)
        t.check(abs(got - sum(own)) <= 0.001 * sum(own) + 2 * tick * len(own), name, "reported", got, "true", sum(own), "tick", tick)
        t.check(max(k["max_ns"] for k in rows) <= max(own) + tick and min(k["min_ns"] for k in rows) >= min(own) - tick, name, rows)


def test_durations():
    for tick in (1, 32, 1000):
        script = f"ns:add=7000 ns:mul=31000 ns:norm=90 copy_ns=1500 tick_ns={tick}"
        check_sums(Play("inorder", 300, script, options=OFF), tick)
        check_sums(Play("decode", 6, script + " bytes_per_us=1", options=OFF), tick)
    check_sums(Play("outoforder", 20, "ns:add=70000 ns:mul=31000 copy_ns=250000", options=OFF), 1)
    check_sums(Play("copies", 3, "bytes_per_us=100", options=OFF), 1)
    check_sums(Play("images", 3, "bytes_per_us=100", options=OFF), 1)


def test_durations_are_those_the_driver_tells():
    """With jitter the stamps are the truth, and the program was told the same."""
    for script in ("ns=50000 jitter_ns=3000", "ns=5000 jitter_ns=3000 tick_ns=32 drift_ppm=50 clock_offset_ns=-123456789"):
        play = Play("stamps", 300, script, options=OFF)
        t.check(len(play.stamps) == 300, len(play.stamps))
        for i, name in enumerate(("add", "mul", "norm")):
            told = [s[3] - s[2] for number, s in play.stamps.items() if number % 3 == i]
            row, = [k for k in play.report["kernels"] if k["name"] == name]
            t.check(row["count"] == len(told), row, len(told))
            t.check(abs(row["total_ns"] - sum(told)) <= 0.01 * len(told) and len(set(told)) > 10, name, row["total_ns"], sum(told))
            t.check(abs(row["max_ns"] - max(told)) < 0.01 and abs(row["min_ns"] - min(told)) < 0.01, row, max(told), min(told))
            t.check(t.close(row["p50_ns"], statistics.median(told), 0.02), row["p50_ns"], statistics.median(told))


def test_sampled_sums_are_estimated():
    """Timed on some steps only: the estimate's interval holds the truth. Durations differ by kernel and size, not by chance."""
    play = Play("decode", 300, "ns=20000 event_ns=2000 jitter_ns=4000 submit_ns=0", options=("--budget", "1%"))
    t.check(play.device["untimed"] > play.device["timed"] > 0, play.device)
    for k in play.report["kernels"]:
        n, true = k["count"] + k["untimed"], 20000 * (k["count"] + k["untimed"])
        if k["name"] in ("add", "mul", "norm"):
            # jitter may lengthen or shorten a run, and both the same; three halves are far out
            t.check(abs(k["estimate_ns"] - true) <= 2 * k["estimate_half_ns"] + 0.002 * true, n, k)


def test_intervals_cover():
    """Kernels of 5 us whose times scatter by 40 %, timed on some steps: 200 runs, and how often the interval held the mean."""
    if not t.LONG:
        raise t.Skip("only with LMM_LONG=1")
    inside, widths = [], []
    for run in range(200):
        play = Play("decode", 100, f"ns=5000 event_ns=2000 jitter_ns=4000 jitter_seed={run} submit_ns=0", options=("--budget", "3%"))
        t.check(play.device["untimed"] > play.device["timed"], play.device)
        for k in play.report["kernels"]:
            n = k["count"] + k["untimed"]
            if k["name"] in ("add", "mul", "norm"):
                inside.append(abs(k["estimate_ns"] / n - 5000) <= k["estimate_half_ns"] / n)
                widths.append(k["estimate_half_ns"] / n)
    covered = 100 * statistics.mean(inside)
    t.note(f"{len(inside)} intervals: {covered:.1f} % hold the mean; half-widths up to {max(widths):.0f} ns, median {statistics.median(widths):.0f} ns")
    t.check(90 <= covered <= 99, covered)
    t.check(statistics.median(widths) <= 1000, statistics.median(widths))


# ---- the device's clock ----------------------------------------------------------------------------

def realtime_offset():
    """CLOCK_REALTIME - CLOCK_MONOTONIC."""
    best = None
    for _ in range(100):
        before, real, after = time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_REALTIME), time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = after - before, real - (before + after) // 2
    return best[1]


def placed(play):
    """[(name, start)] of the exported device commands, on CLOCK_MONOTONIC."""
    out = os.path.join(t.scratch(), "trace.json")
    done = t.lmmeter("export", play.trace, "--to", "chrome", out)
    t.check(done.status == 0, "export", done.status, done.err)
    with open(out, encoding="utf-8") as f:
        trace = json.load(f)
    zero = int(trace["otherData"]["start_realtime_ns"]) - realtime_offset()
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["cat"] == "command"]
    return sorted((zero + round(e["ts"] * 1000), e["name"], round(e["dur"] * 1000)) for e in slices)


def clock_errors(play, wide):
    """What the export says of each command's start, less the truth."""
    slices = placed(play)
    commands = sorted(play.log.commands, key=lambda c: c.start)
    t.check(len(slices) == len(commands) == play.device["timed"], len(slices), len(commands), play.device)
    for (_, name, dur), c in zip(slices, commands):
        t.check(name == called(c.kind, c.name) and abs(dur - (c.end - c.start)) <= 100 + wide, name, dur, c)
    return [start - c.start for (start, _, _), c in zip(slices, commands)]


def check_clock(script, limit, wide=0):
    """Commands stand where they ran, within what the report states; and that is little. Being preempted makes it more: three tries."""
    stated = []
    for _ in range(3):
        play = Play("decode", 40, f"ns=150000 copy_ns=20000 {script}", options=OFF)
        d = play.device
        errors = sorted(clock_errors(play, wide))
        # the anchor of the whole timeline on the clock of the wall may be off too, by as much for all
        anchor = statistics.median(errors)
        t.check(abs(anchor) <= 20000, script, "all of them off by", anchor)
        off = sorted(abs(e - anchor) for e in errors)
        t.check(off[-1] <= d["clock_error_max_ns"] * 2 + 100 + wide, script, "off by", off[-1], "stated", d)
        t.check(off[len(off) * 94 // 100] <= d["clock_error_ns"] * 2 + 100 + wide, script, "off by", off[len(off) * 94 // 100], "stated", d)
        t.check(d["early"] == 0, script, d)
        t.check(0 < d["clock_error_ns"] <= d["clock_error_max_ns"], script, d)
        stated.append(d["clock_error_ns"])
        if stated[-1] <= limit:
            return play
    raise t.Failed(f"{script}: clock_error_ns {stated}, wanted {limit}")


def test_clock():
    for timer, limit in ((1, 1000), (0, 100000)):
        for drift in (0, 50, -50):
            check_clock(f"clock_offset_ns=1000000000000 drift_ppm={drift} timer={timer}", limit)


def test_clock_of_coarse_ticks():
    check_clock("clock_offset_ns=1000000000000 tick_ns=1000", 3000, wide=1000)


def test_clock_without_queued():
    play = check_clock("queued_zero=1 clock_offset_ns=1000000000000 drift_ppm=50", 1000)
    t.check(play.device["timed"] == play.taken, play.device)
    # and nothing at all to go by: durations stay, nothing is claimed of when
    play = Play("decode", 12, "queued_zero=1 timer=0 clock_offset_ns=1000000000000", options=OFF)
    t.check(play.status == 0 and play.device["timed"] == play.taken and play.device["early"] == 0, play.device)
    check_sums(play, 1)


def test_clock_of_late_stamps():
    """QUEUED of commands that wait for others is the driver's instant, not the call's: it says nothing of the clock."""
    for scene, n in (("userevents", 20), ("outoforder", 20)):
        play = Play(scene, n, "queued_late=1 timer=0 ns=50000 clock_offset_ns=1000000000000 drift_ppm=50", options=OFF)
        d = play.device
        t.check(d["timed"] == play.taken and d["early"] == 0, scene, play.taken, d)
    check_clock("queued_late=1 timer=0 clock_offset_ns=1000000000000", 100000)


def test_busy_is_the_union():
    for scene, n, script in (("decode", 10, "ns=30000"), ("outoforder", 20, "ns=300000 copy_ns=300000"),
                             ("queues", 60, "ns=100000"), ("threads", 30, "ns=200000"), ("queues", 60, "ns=100000 timer=0")):
        play = Play(scene, n, script, options=OFF)
        want = union_ns(play)
        # each end of a busy stretch may be off by the clocks' error
        slack = 2 * len(play.log.commands) * play.device["clock_error_ns"]
        t.check(abs(play.device["busy_ns"] - want) <= 0.01 * want + slack, scene, play.device["busy_ns"], "true", want, "slack", slack)


# ---- stamps that are no good -----------------------------------------------------------------------

def check_bad_stamps(script, invalid=0, unavailable=0, n=200):
    play = Play("inorder", n, f"ns=9000 copy_ns=4000 bytes_per_us=0 {script}", options=OFF)
    t.check(play.status == 0 and play.reported() == play.names, script, play.status, play.out, play.reported(), play.names)
    d = play.device
    check_total(play)
    t.check(play.report["records"]["invalid"] == invalid, script, invalid, play.report["records"])
    t.check(d["unavailable"] == unavailable and d["failed"] == 0, script, unavailable, d)
    t.check(d["untimed"] == invalid + unavailable and d["in_flight"] == 0 and d["early"] == 0, script, d)
    for k in play.report["kernels"]:
        one = 4000 if k["name"] == "read" else 9000
        t.check(k["total_ns"] == one * k["count"], script, k)
    return play


def test_bad_stamps():
    # every command has an event, as all are to be timed: n kernels and a read
    check_bad_stamps("zero_stamps_every=7", invalid=201 // 7)
    check_bad_stamps("reversed_stamps_every=7", invalid=201 // 7)
    check_bad_stamps("profiling_unavailable_every=7", unavailable=201 // 7)
    check_bad_stamps("zero_stamps_every=1", invalid=201)
    check_bad_stamps("profiling_unavailable_every=1", unavailable=201)
    play = check_bad_stamps("zero_stamps_every=2 profiling_unavailable_every=3 reversed_stamps_every=5",
                            invalid=sum(1 for i in range(1, 202) if i % 3 and (i % 2 == 0 or i % 5 == 0)), unavailable=67)
    t.check(play.report["level"]["reached"] == "kernels", play.report["level"])


def test_no_profiling():
    for scene in ("inorder", "decode", "queues", "early"):
        bare = Play(scene, script="no_profiling=1")
        for budget in BUDGETS.values():
            play = Play(scene, script="no_profiling=1", options=budget)
            check_unseen(bare, play, (scene, "no_profiling"))
            check_unseen_by_driver(bare, play, (scene, "no_profiling"))
            check_total(play)
            t.check(play.device["untimed"] == play.taken and play.device["timed"] == 0, scene, play.device)
            t.check(any("profiling" in r for r in play.report["level"]["reasons"]), scene, play.report["level"])


def test_no_profiling_of_a_program_that_asks_for_it():
    check_unseen(Play("queueinfo", script="no_profiling=1"), Play("queueinfo", script="no_profiling=1", options=()), ("queueinfo",))


# ---- failures --------------------------------------------------------------------------------------

def test_failing_calls():
    for scene, n, script in (("inorder", 100, "fail_enqueue_every=10"), ("decode", 6, "fail_enqueue_every=7"),
                             ("images", 3, "fail_enqueue_every=3"), ("copies", 3, "fail_enqueue_every=4"),
                             ("svm", 3, "fail_enqueue_every=3"), ("cmdbuf", 9, "fail_enqueue_every=4"),
                             ("outoforder", 20, "fail_enqueue_every=9")):
        bare, play = Play(scene, n, script), Play(scene, n, script, options=OFF)
        check_unseen(bare, play, (scene, script))
        check_unseen_by_driver(bare, play, (scene, script))
        t.check(play.reported() == play.names and bare.names == play.names, scene, play.reported(), play.names)
        check_total(play)


def test_lost_device():
    for scene, n, lost in (("inorder", 100, 40), ("decode", 8, 200), ("stamps", 50, 25), ("queues", 50, 30)):
        script = f"lost_after={lost}"
        bare = Play(scene, n, script)
        for budget in BUDGETS.values():
            play = Play(scene, n, script, options=budget)
            # how many had been read by then is for the device's speed to say
            t.check(play.status == bare.status and play.out == bare.out, scene, script, play.status, play.out, "without", bare.out)
            check_total(play)
            t.check(play.taken == bare.taken, scene, play.taken, bare.taken)


def test_event_limit():
    """Where events are few, ours must not be those that are missing."""
    # early: the program's own are few, too
    for scene, n, limit in (("inorder", 100, 20), ("decode", 4, 20), ("copies", 3, 1), ("images", 3, 1), ("svm", 3, 1), ("cmdbuf", 9, 1),
                            ("early", 50, 2)):
        script = f"event_limit={limit}"
        bare, play = Play(scene, n, script), Play(scene, n, script, options=OFF)
        t.check(bare.status == 0, bare.out)
        check_unseen(bare, play, (scene, script))
        t.check(play.taken == bare.taken, scene, play.taken, bare.taken)
        check_total(play)


HEAD = """
import ctypes, sys, threading
cl = ctypes.CDLL("libOpenCL.so.1")
V, P = ctypes.c_void_p, ctypes.byref
for f in ("clCreateContext clCreateCommandQueue clCreateBuffer clCreateProgramWithSource clCreateKernel clCreateUserEvent").split():
    getattr(cl, f).restype = V
platform, device, rc = V(), V(), ctypes.c_int()
cl.clGetPlatformIDs(1, P(platform), None)
cl.clGetDeviceIDs(platform, ctypes.c_ulong(0xffffffff), 1, P(device), None)
context = V(cl.clCreateContext(None, 1, P(device), None, None, P(rc)))
queue = V(cl.clCreateCommandQueue(context, device, ctypes.c_ulong(int(sys.argv[1])), P(rc)))
mem = V(cl.clCreateBuffer(context, ctypes.c_ulong(1), ctypes.c_size_t(4096), None, P(rc)))
text = ctypes.c_char_p(b"__kernel void add(__global float *x) { x[get_global_id(0)] += 1; }")
program = V(cl.clCreateProgramWithSource(context, 1, P(text), None, P(rc)))
print("build", cl.clBuildProgram(program, 1, P(device), b"", None, None))
kernel = V(cl.clCreateKernel(program, b"add", P(rc)))
cl.clSetKernelArg(kernel, 0, ctypes.c_size_t(8), P(mem))
size = ctypes.c_size_t(64)

"""
FAILS = HEAD + """
gate = V(cl.clCreateUserEvent(context, P(rc)))

def launch(gated):
    print(cl.clEnqueueNDRangeKernel(queue, kernel, 1, None, P(size), None, int(gated), P(gate) if gated else None, None))

for i in range(20):
    launch(False)
for i in range(10):
    launch(True)
print("fails", cl.clSetUserEventStatus(gate, -5))
for i in range(20):
    launch(False)
print("finish", cl.clFinish(queue))
for f, o in (("Event", gate), ("Kernel", kernel), ("Program", program), ("MemObject", mem), ("CommandQueue", queue), ("Context", context)):
    print(f, getattr(cl, "clRelease" + f)(o))
"""


def test_commands_that_fail():
    """They wait for an event that fails: 10 of 50, which the driver logs."""
    for order in ("0", "1"):
        command = [sys.executable, "-c", FAILS, order]
        bare, play = Play("fails", command=command), Play("fails", command=command, options=OFF)
        check_unseen(bare, play, ("fails", order))
        t.check(len(bare.log.failed) == len(play.log.failed) == 10, order, bare.log.failed, play.log.failed)
        check_total(play, 50)
        t.check(play.device["failed"] == 10 and play.device["timed"] == 40, order, play.device)


# ---- gaps ------------------------------------------------------------------------------------------

def test_no_gaps_without_steps():
    """Why a device was idle is told within steps only; clplay has none."""
    for script in ("submit_ns=200000", "enqueue_ns=30000 ns=2000", "start_ns=50000"):
        play = Play("decode", 10, script, options=OFF)
        between = sum(b.start - a.end for a, b in zip(play.log.commands, play.log.commands[1:]))
        t.check(between > 0.15 * (play.log.commands[-1].end - play.log.commands[0].start), script, "the device was not idle")
        t.check(play.device["gaps"] == [], script, play.device)


# ---- in flight -------------------------------------------------------------------------------------

def test_left_in_flight():
    for scene in IN_FLIGHT:
        for script in ("ns=1000000", "ns=1000"):
            bare = Play(scene, 50, script)
            for budget in BUDGETS.values():
                play = Play(scene, 50, script, options=budget)
                check_unseen(bare, play, (scene, script))
                check_unseen_by_driver(bare, play, (scene, script))
                check_total(play, 50)
                t.check(script == "ns=1000" or play.device["in_flight"] >= 40, scene, play.device)


def test_killed_in_mid_kernel():
    """What was read by then is there; what the device was at is in flight. A token is 62 commands, 120 ms of the device."""
    kill = '"$0" decode 1000 & pid=$!; sleep 1; kill -KILL $pid; wait $pid'
    for _ in range(3):
        play = Play("decode", script="ns=2000000", options=OFF, command=["sh", "-c", kill, fakecl.CLPLAY])
        d = play.device
        t.check(play.status == 137, play.status, play.err)
        t.check(d["timed"] > 0 and d["timed"] % 62 == 0 and 0 < d["in_flight"] <= 62, d)
        t.check(d["untimed"] + d["failed"] + d["unavailable"] + d["early"] == 0, d)
        for k in play.report["kernels"]:
            expected = {"read": 2006, "write": 2000}.get(k["name"], 2000000)
            t.check(t.close(k["mean_ns"], expected, 0, 1), k)


def test_no_platform():
    """A loader without drivers: the program's own error, and no trace of a device."""
    bare = t.plain([fakecl.CLPLAY, "inorder", "5"], env={"OCL_ICD_VENDORS": t.scratch()})
    seen = t.record([fakecl.CLPLAY, "inorder", "5"], options=["-q"], env={"OCL_ICD_VENDORS": t.scratch()})
    t.check(bare.status != 0 and (seen.status, seen.out) == (bare.status, bare.out), bare.status, seen.status, seen.out, seen.err)
    t.check(seen.report["device"] is None and seen.report["records"]["emitted"] == 0, seen.report["device"])


# ---- what it may cost ------------------------------------------------------------------------------

def check_cost(event_ns, least, most):
    """The device has work all the time, so that no call has to wake it. A busy machine may spoil it: three tries."""
    found = []
    for _ in range(3):
        play = Play("decode", 12, f"event_ns={event_ns} ns=100000", options=())
        found.append(play.device["command_cost_ns"])
        if found[-1] is not None and least <= found[-1] <= most:
            return
    raise t.Failed(f"event_ns {event_ns}, found {found}")


def test_cost_of_an_event_is_found():
    for event_ns in (1000, 5000, 20000):
        check_cost(event_ns, 0.7 * event_ns, 1.3 * event_ns)
    check_cost(50, 0, 1500)
    play = Play("decode", 12, "event_ns=1000", options=OFF)
    t.check(play.device["command_cost_ns"] is None, "calibrated without need", play.device)


def check_budget(event_ns, budget, n):
    """Half of it is kept to once the cost is known. Pieces of 256 commands are timed by lot: three deviations are allowed for."""
    skip, piece = 1024, 256
    script = f"event_ns={event_ns} ns=10000 submit_ns=0"
    play = Play("decode", n, script, options=("--budget", f"{budget * 100:g}%"))
    t.check(play.status == 0 and play.reported() == play.names, play.reported(), play.names)
    check_total(play)
    commands = play.log.commands[skip:]
    with_event = sum(1 for c in commands if c.event)
    # of the time that they took without events: what the driver spent on these, and what it would on all of them
    plain_ns = commands[-1].end - commands[0].before - with_event * event_ns
    spent, whole = with_event * event_ns / plain_ns, len(commands) * event_ns / plain_ns
    pieces = len(commands) / piece
    most = pieces * min(1, 0.65 * budget / whole)
    # an event costs more than the script says: what it takes to make and to read, 1 us at most
    least = pieces * min(1, 0.3 * budget / (whole * (event_ns + 1000) / event_ns))
    t.note(f"event_ns {event_ns}, budget {budget:.2%}: {spent:.3%} of the time, {with_event / piece:.1f} pieces of {pieces:.0f}, "
           f"{least:.1f} to {most:.1f} expected")
    t.check(with_event / piece <= most + 3 * most ** 0.5 + 1, script, "timed", with_event / piece, "pieces of", pieces, "expected", most)
    return with_event / piece, least


def test_budget():
    timed = wanted = 0
    for event_ns, budget, n in ((50, 0.001, 500), (300, 0.01, 500), (1000, 0.01, 1500), (5000, 0.05, 1000), (20000, 0.01, 1000),
                                (1000, 0.001, 1500)):
        got, least = check_budget(event_ns, budget, n)
        timed += got
        wanted += least
    # nor is it left unused, all in all
    t.check(timed >= wanted - 3 * wanted ** 0.5, "timed", timed, "pieces, wanted", wanted)


HANDS_OVER = HEAD + """
first, second = threading.Event(), threading.Event()

def launch(n):
    for i in range(n):
        cl.clEnqueueNDRangeKernel(queue, kernel, 1, None, P(size), None, 0, None, None)

def short():
    first.wait()
    launch(150)
    second.set()

def long():
    cl.clFinish(queue)  # it is known before the other is gone, and hands nothing over until then
    first.set()
    second.wait()
    thread.join()
    for i in range(80):
        launch(100)
        cl.clFinish(queue)

thread = threading.Thread(target=short)
thread.start()
other = threading.Thread(target=long)
other.start()
other.join()
"""


def test_cost_is_found_though_its_thread_ends():
    """A thread that hands over 150 commands is gone before the cost of an event is known; another goes on."""
    play = Play("hands over", script="event_ns=20000 ns=10000 submit_ns=0", options=(), command=[sys.executable, "-c", HANDS_OVER, "0"])
    check_total(play, 8150)
    d = play.device
    t.check(d["command_cost_ns"] is not None and d["untimed"] > d["timed"], d)


def test_budget_of_whole_steps():
    """What timing costs on the device alone, calls and readings do not tell: the steps do."""
    n, before = 4000, 62
    play = Play("steps", n, "ns=5000 event_device_ns=5000", options=("--budget", "2%"))
    t.check(play.status == 0, play.err)
    timed = [sum(1 for c in play.log.commands[before + i * 62:before + (i + 1) * 62] if c.event) > 30 for i in range(n - 2)]
    # a timed step takes twice as long: one in a hundred is what half of the budget pays for, once 32 have shown that
    late = sum(timed[n // 2:])
    t.note(f"{sum(timed)} steps of {n} timed, {late} of the last half; command cost {play.device['command_cost_ns']} ns")
    t.check(late <= n // 50, "timed", late, "steps of", n // 2)
    t.check(late > 0 and sum(timed) >= 32, "timed", late, sum(timed))
    t.check(play.device["command_cost_ns"] > 2000, play.device)


def test_budget_times_all_where_that_is_cheap():
    play = Play("decode", 100, "ns=200000 event_ns=50", options=("--budget", "20%"))
    t.check(play.device["timed"] > 0.9 * play.taken, play.device)


# ---- long ------------------------------------------------------------------------------------------

PEAK = """
import resource, subprocess, sys
rc = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(rc)
"""


def test_million():
    if not t.LONG:
        raise t.Skip("LMM_LONG=1 makes it run")
    # no faster than a driver takes commands, so that lmmeter keeps up on a busy machine
    script = "ns=100 submit_ns=100 copy_ns=0 enqueue_ns=2000"
    for options in (OFF, ()):
        play = Play("million", 1000000, script, options=options)
        t.check(play.status == 0, play.out, play.err)
        tenth, end = [int(line.split()[2]) for line in play.err.splitlines() if "VmRSS" in line]
        t.check(end - tenth < 1024, options, "grew by", end - tenth, "KiB", play.err)
        t.check(play.reported() == play.names, play.reported(), play.names)
        check_total(play)
        t.note(f"{options}: {end - tenth} KiB more, {play.device['timed']} timed, {play.device['untimed']} not")
    # a small parent, as what it is when it starts a child counts for that
    whole = [sys.executable, "-c", PEAK, t.LMMETER, "run", "-q", *OFF, "-o", os.path.join(t.scratch(), "t.lmt"), "--", fakecl.CLPLAY, "million"]
    done = t.plain(whole, env={"OCL_ICD_VENDORS": fakecl.HERE, "FAKECL": script}, timeout=120)
    peak = int(done.out.split()[-1])
    t.check(done.status == 0 and peak < 150 * 1024, "lmmeter's peak", peak, "KiB", done.out, done.err)
    t.note(f"the largest of lmmeter and clplay was {peak} KiB")


# ---- ways in ---------------------------------------------------------------------------------------

def doors():
    text = subprocess.run([t.LMMETER, "run", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = re.search(r"--door (\S+)", text)
    return found.group(1).split("|") if found else []


def check_door(bare, play, what):
    check_unseen(bare, play, what)
    check_unseen_by_driver(bare, play, what)
    t.check(play.reported() == play.names and play.names, *what, "reported", dict(play.reported()), "taken", dict(play.names))
    check_total(play)
    t.check(play.device["untimed"] == 0, *what, play.device)


def check_doors(cases):
    wrong = []
    for door, scene, before in cases:
        try:
            check_door(played(scene), Play(scene, options=(*OFF, "--door", door), before=before), (door, scene, *before))
        except t.Failed as why:
            wrong.append(str(why))
    t.check(not wrong, "; ".join(wrong))


def test_doors():
    """What a program is linked with is preloaded's to see, what it looks up by itself the audit door's; the layer sees both."""
    t.check(set(doors()) >= {"auto", "preload", "audit"}, doors())
    linked = ("inorder", "outoforder", "images", "svm", "cmdbuf", "threads", "userevents")
    check_doors([("auto", scene, ()) for scene in (*linked, "dlopen")] + [("preload", scene, ()) for scene in linked] + [("audit", "dlopen", ())])


def test_doors_where_the_loader_has_no_layers():
    without = ("env", "-u", "OPENCL_LAYERS")
    check_doors((("preload", "inorder", without), ("audit", "dlopen", without), ("auto", "dlopen", without)))


def test_doors_leave_the_program_alone():
    """Those that do not see it, too."""
    for door in doors():
        for scene in ("queueinfo", "errors", "double", "callbacks", "dlopen", "fork"):
            bare, play = played(scene), Play(scene, options=("--door", door))
            check_unseen(bare, play, (door, scene))
            check_unseen_by_driver(bare, play, (door, scene))


def test_hidden_command_buffers():
    play = Play("cmdbuf", options=(*OFF, "--expand-command-buffers"))
    t.check(play.status == 0 and play.out == "no command buffers\ndone\n", play.status, play.out, play.err)


def test_shim():
    """The library that stands in the system's place."""
    folder = os.path.join(t.BUILD, "src", "probe", "shim")
    real = [p for p in glob.glob("/usr/lib/*/libOpenCL.so.1") if os.path.exists(p)]
    if not real or not os.path.exists(os.path.join(folder, "libOpenCL.so.1")):
        raise t.Skip("no shim was built")
    before = ("env", "-u", "OPENCL_LAYERS", "-u", "LD_AUDIT", "-u", "LD_PRELOAD", f"LD_LIBRARY_PATH={folder}",
              f"LMMETER_OPENCL_LIBRARY={real[0]}")
    for scene in ("inorder", "images", "dlopen"):
        play = Play(scene, options=OFF, before=before)
        # ld.so remarks that it has no versions
        play.err = "".join(line for line in play.err.splitlines(True) if "no version information available" not in line)
        check_door(played(scene), play, ("shim", scene))


if __name__ == "__main__":
    if not os.path.exists(fakecl.CLPLAY):
        print(f"SKIP: {fakecl.CLPLAY} is not built")
        sys.exit(77)
    t.main()
