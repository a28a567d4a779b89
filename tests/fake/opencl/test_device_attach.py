#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recording is switched on and off in a program that uses OpenCL, against the scripted driver's own log of all its commands.

Run by hand: LMM_BUILD=<build folder> tests/fake/opencl/test_device_attach.py; LMM_LONG=1 makes it attach more often.
"""

import bisect
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lmmtest as t  # noqa: E402
import sleeper  # noqa: E402
import test_device as device  # noqa: E402
import test_fakecl as fakecl  # noqa: E402

OFF = ("--budget", "off")
TOKEN = 62  # commands of one: a write, 60 kernels, a read
# of 20 us each: a token takes 1.3 ms
SCRIPT = "ns=20000 copy_ns=20000 submit_ns=0 bytes_per_us=0"


class Play(sleeper.Sleeper):
    """clplay, or another program, on the scripted driver."""

    def __init__(self, scene, n=None, script=SCRIPT, how="dormant", options=(), command=None):
        self.path = os.path.join(t.scratch(), "log")
        command = command or [fakecl.CLPLAY, scene, str(n)]
        super().__init__(command, {"OCL_ICD_VENDORS": fakecl.HERE, "FAKECL": f"{script} log={self.path}"}, how, options)

    def finish(self, timeout=120):
        status = super().finish(timeout)
        self.log = fakecl.Log(self.path)
        return status


def check_slice(span, log, timed=True):
    """What was recorded is what the driver took from some command on, without a hole, up to another: those of the span."""
    t.check(span.report["records"]["lost"] == 0, span.report["records"])
    d = span.report["device"]
    total = d["timed"] + d["untimed"] + d["in_flight"]
    taken = [c.before for c in sorted(log.commands, key=lambda c: c.before)]
    least = bisect.bisect_left(taken, span.leaving_ns) - bisect.bisect_left(taken, span.attached_ns)
    most = bisect.bisect_left(taken, span.left_ns) - bisect.bisect_left(taken, span.asked_ns)
    # a call that waits for a CPU is at an edge for long
    t.check(least - 1 <= total <= most and least > 0, "recorded", total, "of", least, "to", most, d)
    t.check(d["early"] == 0 and d["failed"] == 0 and d["unavailable"] == 0 and span.report["records"]["invalid"] == 0, d)
    if not timed:
        t.check(d["timed"] == 0 and d["untimed"] == total, d)
        return
    t.check(d["untimed"] == 0 and d["in_flight"] <= TOKEN, d)
    # in order: as many of each as in the same stretch of the log
    slices = device.placed(type("Traced", (), {"trace": span.path}))
    t.check(len(slices) == d["timed"], len(slices), d)
    commands = sorted(log.commands, key=lambda c: c.start)
    first = min(range(len(commands)), key=lambda i: abs(commands[i].start - slices[0][0]))
    # of the same length each, the nearest may be the neighbour where the clocks are off
    for shift in (0, -1, 1, -2, 2):
        some = commands[max(first + shift, 0):max(first + shift, 0) + len(slices)]
        if [device.called(c.kind, c.name) for c in some] == [name for _, name, _ in slices]:
            break
    else:
        raise t.Failed("not a stretch of what the driver did")
    off = sorted(abs(start - c.start) for (start, _, _), c in zip(slices, some))
    t.check(off[len(off) // 2] < 1e6, "off by", off[len(off) // 2])


def check_as_bare(play, scene, n, script):
    """The program prints, and the driver is asked, what they are without us."""
    bare = device.Play(scene, n, script)
    t.check((play.out, play.err) == (bare.out, bare.err) or scene in ("million", "events"), play.out[-500:], play.err[-500:])
    t.check([(c.queue, c.kind, c.name) for c in play.log.commands] == [(c.queue, c.kind, c.name) for c in bare.log.commands], "other commands")
    for name in (*device.SYNCING, *device.ALIVE):
        t.check(play.log.counts[name] == bare.log.counts[name], name, play.log.counts[name], "without", bare.log.counts[name])


def test_on_and_off():
    with Play("decode", 3000) as play:
        play.wait_for_page()
        time.sleep(0.3)
        spans = [play.attach_for(0.4, *options) for options in (OFF, OFF, ())]
        t.check(play.process.poll() is None, "it has ended too early")
        t.check(play.finish() == 0, play.err)
        for span in spans[:2]:
            check_slice(span, play.log)
            names = {k["name"]: k["count"] for k in span.report["kernels"]}
            t.check(set(names) == {"add", "mul", "norm", "read", "write"}, names)
            t.check(all(k["total_ns"] == 20000 * k["count"] for k in span.report["kernels"] if k["count"]), span.report["kernels"])
            t.check(all(k["first_use_count"] == 0 for k in span.report["kernels"]), "a first use long after it", span.report["kernels"])
            t.check(span.report["level"]["reached"] == "kernels", span.report["level"])
            t.check(span.report["device"]["command_cost_ns"] is None, "calibrated without need", span.report["device"])
        # the third one has a budget, and finds out anew what it costs
        t.check(spans[2].report["device"]["command_cost_ns"] is not None, spans[2].report["device"])
        check_as_bare(play, "decode", 3000, SCRIPT)


def test_preloaded():
    """The library alone does not ask for profiling: commands are counted, and the report says why."""
    with Play("decode", 2000, how="preloaded") as play:
        play.wait_for_page()
        span = play.attach_for(0.4, *OFF)
        t.check(play.finish() == 0, play.err)
        check_slice(span, play.log, timed=False)
        reasons = span.report["level"]["reasons"]
        t.check(any("run --dormant" in r for r in reasons), reasons)
        check_as_bare(play, "decode", 2000, SCRIPT)


def test_asleep():
    """Nobody ever attaches: no event is taken, nothing is asked, nothing grows."""
    n, script = 200000, "ns=100 submit_ns=0 copy_ns=0 enqueue_ns=1000"
    for how in ("dormant", "preloaded"):
        with Play("million", n, script, how=how) as play:
            t.check(play.finish() == 0, play.err)
        t.check(not any(c.event for c in play.log.commands if c.kind == "kernel"), how, "events were taken")
        t.check(play.log.counts["clGetEventInfo"] == play.log.counts["clGetEventProfilingInfo"] == 0, how, play.log.counts)
        t.check(play.log.counts["events_peak"] <= 1, how, play.log.counts)
        tenth, end = [int(line.split()[2]) for line in play.err.splitlines() if "VmRSS" in line]
        t.note(f"{how}: {tenth} KiB after a tenth, {end} at the end")
        # eight bytes for each command would be 1,400
        t.check(end - tenth < 1024, how, "grew by", end - tenth, "KiB")


LEAVES = device.HEAD + """
print("ready", flush=True)
sys.stdin.readline()
for i in range(500):
    cl.clEnqueueNDRangeKernel(queue, kernel, 1, None, P(size), None, 0, None, None)
print("went", flush=True)
sys.stdin.readline()
print("finish", cl.clFinish(queue))
"""


def test_events_are_given_back():
    """When it is switched off, and not by whoever waits or releases a queue later: nobody does."""
    with Play("", script="ns=2000000", command=[sys.executable, "-c", LEAVES, "0"]) as play:
        t.wait_for(lambda: "ready" in play.text("out"), 20, "the queue")
        span = play.attach(*OFF)
        play.process.stdin.write(b"\n")
        play.process.stdin.flush()
        t.wait_for(lambda: "went" in play.text("out"), 20, "the commands")
        d = play.detach(span).report["device"]
        t.check(d["in_flight"] > 100 and d["in_flight"] + d["timed"] == 500, d)
        play.process.stdin.write(b"\n")
        play.process.stdin.flush()
        t.check(play.finish() == 0 and "finish 0" in play.out, play.out, play.err)
    t.check(play.log.counts["events_alive"] == play.log.counts["double_release"] == 0, play.log.counts)


def test_nothing_is_kept():
    """Hundreds of commands are in flight whenever it is switched off, again and again."""
    cycles = 20 if t.LONG else 6
    n, script = 30000 * cycles, "ns=20000 submit_ns=0 copy_ns=0"
    with Play("million", n, script) as play:
        play.wait_for_page()
        rss, spans = [], []
        for _ in range(cycles):
            spans.append(play.attach_for(random.uniform(0, 0.05), *OFF))
            rss.append(play.rss_kib())
        t.check(play.process.poll() is None, "it has ended too early")
        t.check(play.finish() == 0, play.err)
    flights = [s.report["device"]["in_flight"] for s in spans if s.report["device"]]
    t.note(f"in flight at the end of each: {flights}; resident {rss} KiB")
    t.check(max(flights) > 100, "nothing was in flight", flights)
    # the first one that sees a command brings a ring; where events are noted there is room for 4,096 of a queue, 128 KiB
    seen = [kib for kib, s in zip(rss, spans) if s.report["device"]]
    t.check(max(seen) - seen[min(1, len(seen) - 1)] < 512, "grew", rss)
    t.check(play.log.counts["events_alive"] == play.log.counts["double_release"] == 0, play.log.counts)
    check_as_bare(play, "million", n, script)


def test_any_moment():
    """Threads with a queue each, attached to and left whenever."""
    cycles = 40 if t.LONG else 8
    n, script = 9000 * cycles // 8, "ns=250000 submit_ns=0 copy_ns=1000 enqueue_ns=250000"
    with Play("threads", n, script) as play:
        play.wait_for_page()
        spans = [play.attach_for(random.uniform(0, 0.2), *random.choice(((), OFF))) for _ in range(cycles)]
        alive = play.process.poll() is None
        t.check(play.finish() == 0 and alive, alive, play.err)
    taken = sorted(c.before for c in play.log.commands)
    for span in spans:
        t.check(span.report["records"]["lost"] == 0, span.report["records"])
        d = span.report["device"]
        total = d["timed"] + d["untimed"] + d["in_flight"] if d else 0
        least = bisect.bisect_left(taken, span.leaving_ns) - bisect.bisect_left(taken, span.attached_ns)
        most = bisect.bisect_left(taken, span.left_ns) - bisect.bisect_left(taken, span.asked_ns)
        t.check(least - 4 <= total <= most, "recorded", total, "of", least, "to", most, d)
        t.check(span.report["records"]["invalid"] == 0 and (not d or d["early"] == d["failed"] == d["unavailable"] == 0), d)
    bare = device.Play("threads", 50, script)
    for name in device.ALIVE:
        t.check(play.log.counts[name] == bare.log.counts[name], name, play.log.counts[name])
    t.check(all(play.log.counts[x] == bare.log.counts[x] for x in ("clFinish", "clFlush", "clWaitForEvents")), play.log.counts)


MANY = device.HEAD + """
def launch():
    for i in range(10):
        cl.clEnqueueNDRangeKernel(queue, kernel, 1, None, P(size), None, 0, None, None)
    cl.clFinish(queue)

# more than there is room for at a time
for i in range(300):
    q = V(cl.clCreateCommandQueue(context, device, ctypes.c_ulong(0), P(rc)))
    cl.clEnqueueNDRangeKernel(q, kernel, 1, None, P(size), None, 0, None, None)
    cl.clFinish(q)
    cl.clReleaseCommandQueue(q)
launch()
print("ready", flush=True)
while sys.stdin.readline().strip() == "go":
    made = V(cl.clCreateKernel(program, b"mul", P(rc)))
    cl.clSetKernelArg(made, 0, ctypes.c_size_t(8), P(mem))
    cl.clEnqueueNDRangeKernel(queue, made, 1, None, P(size), None, 0, None, None)
    cl.clReleaseKernel(made)
    launch()
    print("went", flush=True)
"""
MANY = MANY.replace('x[get_global_id(0)] += 1; }', 'x[get_global_id(0)] += 1; } __kernel void mul(__global float *x) { x[get_global_id(0)] *= 2; }')


def test_many_queues_asleep():
    """Queues that came and went asleep take no room; a kernel that is made in a recording is seen with its first launch."""
    with Play("", command=[sys.executable, "-c", MANY, "0"]) as play:
        t.wait_for(lambda: "ready" in play.text("out"), 20, "300 queues")
        for turn in (1, 2):
            span = play.attach(*OFF)
            play.process.stdin.write(b"go\n")
            play.process.stdin.flush()
            t.wait_for(lambda: play.text("out").count("went") == turn, 20, "a turn")
            rep = play.detach(span).report
            kernels = {k["name"]: (k["count"], k["first_use_count"]) for k in rep["kernels"]}
            t.check(kernels == {"add": (10, 0), "mul": (1, int(turn == 1))}, kernels)
            t.check(rep["device"]["timed"] == 11 and not rep["level"]["reasons"], rep["device"], rep["level"])
        play.process.stdin.write(b"end\n")
        play.process.stdin.flush()
        t.check(play.finish() == 0, play.err)
    t.check(play.log.counts["events_alive"] == 0, play.log.counts)


def busy_span(play, seconds=0.2):
    """Long enough for a token, on a machine that has other things to do."""
    while True:
        span = play.attach_for(seconds, *OFF)
        if span.report["device"]["timed"] > TOKEN or seconds > 2:
            return span
        seconds *= 2


def test_on_pocl():
    """A real driver: every command of a span, and the same text."""
    if not os.path.exists(fakecl.POCL_ICD):
        raise t.Skip("no PoCL here (Debian: pocl-opencl-icd)")
    n = 20000
    for which in ("basic", "pthread"):
        env = {"OCL_ICD_VENDORS": fakecl.POCL_ICD, "POCL_DEVICES": which}
        bare = t.plain([fakecl.CLPLAY, "decode", str(n)], env=env)
        with sleeper.Sleeper([fakecl.CLPLAY, "decode", str(n)], env) as play:
            play.wait_for_page()
            spans = [busy_span(play), busy_span(play)]
            t.check(play.finish() == 0 and play.out == bare.out.decode(), which, "the text differs")
        for span in spans:
            d = span.report["device"]
            if span.report["records"]["lost"]:  # a million commands a second, and a machine that is too busy to read them
                t.note(f"{which}: lost", span.report["records"])
                continue
            t.check(d["timed"] > TOKEN and d["untimed"] == 0 and d["early"] == 0 and d["in_flight"] <= TOKEN, which, d)
            counts = {k["name"]: k["count"] for k in span.report["kernels"]}
            t.check(abs(counts["add"] - counts["mul"]) <= 2 * 60 and counts["read"] * 58 <= sum(counts.values()), which, counts)


if __name__ == "__main__":
    if not os.path.exists(fakecl.CLPLAY):
        print(f"SKIP: {fakecl.CLPLAY} is not built")
        sys.exit(77)
    t.main()
