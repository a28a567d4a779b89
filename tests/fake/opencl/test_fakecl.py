#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scripted OpenCL driver against its own script, and every scenario of clplay on it; most of them on PoCL, where it is installed.

Run by hand: LMM_BUILD=<build folder> tests/fake/opencl/test_fakecl.py
"""

import collections
import glob
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import lmmtest as t  # noqa: E402

HERE = os.path.join(t.BUILD, "tests", "fake", "opencl")
CLPLAY = os.path.join(HERE, "clplay")
POCL_ICD = "/etc/OpenCL/vendors/pocl.icd"
SCENES = ("inorder decode outoforder queues threads events stamps callbacks early noexit copies images svm binary cmdbuf userevents "
          "queueinfo errors double fork dlopen").split()
# PoCL 3.1 crashes at what errors and double do, and its basic device never ends what waits for a user event.
NOT_POCL = ("errors", "double", "userevents")

Command = collections.namedtuple("Command", "n queue kind name before after submit start end event thread")


class Log:
    def __init__(self, path):
        self.commands, self.counts, self.steps, self.failed, self.unfinished = [], {}, [], [], []
        with open(path, encoding="utf-8") as f:
            for line in f:
                self.take(line.split())
        self.commands.sort()

    def take(self, words):
        if words[0] == "cmd":
            _, n, queue, kind, name, *numbers = words
            self.commands.append(Command(int(n), int(queue), kind, name, *map(int, numbers)))
        elif words[0] == "count":
            self.counts[words[1]] = int(words[2])
        else:
            {"sub": self.steps, "failed": self.failed, "unfinished": self.unfinished}[words[0]].append(words[1:])

    def of(self, kind):
        return [c for c in self.commands if c.kind == kind]


class Play:
    def __init__(self, scene, n=None, script="", status=0):
        self.path = os.path.join(t.scratch(), "log")
        env = {"OCL_ICD_VENDORS": HERE, "FAKECL": f"{script} log={self.path}"}
        run = t.plain([CLPLAY, scene] + ([str(n)] if n is not None else []), env=env, timeout=60)
        self.out, self.err = run.out.decode(), run.err
        t.check(run.status == status, scene, "exit", run.status, self.out, self.err)

    @property
    def log(self):
        return Log(self.path)

    @property
    def stamps(self):
        return [[int(w) for w in line.split()[2:]] for line in self.err.splitlines() if line.startswith("stamps ")]


def check_clean(log):
    for name in ("events_alive", "queues_alive", "kernels_alive", "contexts_alive", "programs_alive", "mems_alive",
                 "double_release"):
        t.check(log.counts[name] == 0, name, log.counts[name])


def test_times_follow_the_script():
    play = Play("inorder", 30, "ns=7000 ns:mul=31000 submit_ns=1500 start_ns=300")
    kernels = play.log.of("kernel")
    t.check(len(kernels) == 30 and [k.name for k in kernels[:3]] == ["add", "mul", "norm"], kernels)
    last = 0
    for k in kernels:
        t.check(k.before <= k.after and k.submit == k.after + 1500, k)
        t.check(k.start == max(last, k.submit) + 300, k, last)
        t.check(k.end - k.start == (31000 if k.name == "mul" else 7000), k)
        last = k.end
    check_clean(play.log)


def test_copies_take_time_by_size():
    read, = Play("inorder", 1, "copy_ns=500 bytes_per_us=4").log.of("read")
    t.check(read.end - read.start == 500 + 4096 * 4 * 1000 // 4, read)


def test_complete_only_when_the_time_has_come():
    for spin in (0, 1):
        start = time.monotonic()
        play = Play("inorder", 50, f"ns=2000000 spin={spin}")
        t.check(time.monotonic() - start > 0.1, "50 kernels of 2 ms in", time.monotonic() - start)
        t.check(play.log.of("read")[0].before >= play.log.of("kernel")[-1].end, "clFinish came back before the end")


def test_held_back_until_flushed():
    kernels = Play("inorder", 20, "flush_to_submit=1 submit_ns=100").log.of("kernel")
    t.check(len({k.submit for k in kernels}) == 1 and kernels[0].submit >= kernels[-1].after + 100, kernels)


def test_out_of_order_overlaps_and_waits():
    commands = Play("outoforder", 5, "ns=3000000 copy_ns=3000000 ns:add=3000000").log.commands
    for i in range(0, 30, 6):
        add, norm, copy, marker, mul, barrier = commands[i:i + 6]
        t.check(norm.start == max(add.end, norm.submit) and copy.start == max(add.end, copy.submit), add, norm, copy)
        t.check(copy.start < norm.end, "no overlap", norm, copy)
        t.check(marker.start >= max(norm.end, copy.end) and mul.start >= marker.end and barrier.start >= mul.end, marker, mul)
        t.check(i == 0 or add.start >= commands[i - 1].end, "started before the barrier", add)


def test_queues_wait_for_each_other():
    log = Play("queues", 40).log
    kernels = log.of("kernel")
    t.check({k.queue for k in kernels} == {1, 2, 3, 4}, kernels)
    for before, k in zip(kernels, kernels[1:]):
        t.check(k.start >= before.end, before, k)


def test_threads_are_told_apart():
    log = Play("threads", 20).log
    threads = collections.defaultdict(set)
    for k in log.of("kernel"):
        threads[k.queue].add(k.thread)
    t.check(sorted(map(len, threads.values())) == [1] * 4 and len(set.union(*threads.values())) == 4, threads)


def check_stamps(script, want, n=40):
    """The stamps are want(command) for each kernel."""
    play = Play("stamps", n, script)
    kernels = play.log.of("kernel")
    t.check(len(play.stamps) == len(kernels) == n, len(play.stamps), len(kernels))
    for k, stamps in zip(kernels, play.stamps):
        t.check(stamps == want(k), script, k, "stamps", stamps, "wanted", want(k))
    return play


def true_stamps(k):
    return [k.after, k.submit, k.start, k.end]


def nth(n, then):
    """Events are counted from 1, commands from 0."""
    return lambda k: then(k) if (k.n + 1) % n == 0 else true_stamps(k)


def test_stamps():
    check_stamps("", true_stamps)
    check_stamps("clock_offset_ns=-12345", lambda k: [s - 12345 for s in true_stamps(k)])
    check_stamps("tick_ns=1000", lambda k: [s - s % 1000 for s in true_stamps(k)])
    check_stamps("queued_zero=1", lambda k: [0, *true_stamps(k)[1:]])
    check_stamps("zero_stamps_every=7", nth(7, lambda k: [0] * 4))
    check_stamps("profiling_unavailable_every=7", nth(7, lambda k: []))
    check_stamps("reversed_stamps_every=7", nth(7, lambda k: [k.after, k.submit, k.end, k.start]))


def test_drift_and_timer():
    play = Play("stamps", 40, "drift_ppm=250 clock_offset_ns=5000000")

    def device(mono):
        return mono * 1000250 // 1000000 + 5000000

    for k, stamps in zip(play.log.of("kernel"), play.stamps):
        t.check(all(abs(a - device(b)) <= 1 for a, b in zip(stamps, true_stamps(k))), k, stamps)
    _, stamp, host = [line for line in play.err.splitlines() if line.startswith("timer ")][0].split()
    t.check("timer: 0" in play.out and abs(int(stamp) - device(int(host))) <= 1, play.out, play.err)
    t.check("timer: -59" in Play("stamps", 1, "timer=0").out)


def test_jitter_is_bounded_and_there():
    play = Play("stamps", 100, "ns=50000 jitter_ns=3000")
    off = []
    for k, (queued, submit, start, end) in zip(play.log.of("kernel"), play.stamps):
        t.check((queued, submit) == (k.after, k.submit), k)
        off += [start - k.start, end - k.end]
    t.check(min(off) >= 0 and max(off) <= 3000 and len(set(off)) > 100, off)


def test_what_events_cost():
    plain = Play("inorder", 20, "enqueue_ns=50000 event_ns=400000 event_device_ns=7000").log.of("kernel")
    # the clock is read once more than the busy time
    t.check(all(50000 <= k.after - k.before for k in plain) and min(k.after - k.before for k in plain) < 400000, plain)
    t.check(all(not k.event for k in plain), plain)
    events = Play("stamps", 20, "enqueue_ns=50000 event_ns=400000 event_device_ns=7000 ns=1000000").log.of("kernel")
    t.check(all(k.after - k.before >= 450000 and k.event for k in events), events)
    t.check(all(b.start - a.end == 7000 for a, b in zip(events, events[1:]) if b.submit < a.end), events)
    start = time.monotonic()
    Play("stamps", 20, "query_ns=5000000")
    t.check(time.monotonic() - start >= 20 * 4 * 0.005, "queries were too fast")


def test_counters():
    log = Play("events", 10).log
    want = {"clGetEventInfo": 20, "clWaitForEvents": 10, "clGetEventProfilingInfo": 40, "clReleaseEvent": 10, "clRetainEvent": 0,
            "clFinish": 0, "clFlush": 0, "clSetEventCallback": 0, "events_peak": 1, "clEnqueueMarkerWithWaitList": 0}
    t.check(want.items() <= log.counts.items(), log.counts)
    check_clean(log)
    log = Play("outoforder", 10).log
    t.check(log.counts["clEnqueueMarkerWithWaitList"] == log.counts["clEnqueueBarrierWithWaitList"] == 10, log.counts)
    t.check(Play("callbacks", 10).log.counts["clSetEventCallback"] == 10)
    t.check(Play("stamps", 33).log.counts["events_peak"] == 33)
    play = Play("double")
    t.check(play.log.counts["double_release"] == 3 and play.out.split() == "event: -58 kernel: -48 context: -34 done".split(), play.out)


def test_command_buffer():
    log = Play("cmdbuf", 4, "ns=5000 start_ns=100").log
    buffers = log.of("command_buffer")
    t.check(len(buffers) == 4 and len(log.steps) == 4 * 13, buffers, log.steps)
    for b in buffers:
        steps = [s for s in log.steps if int(s[0]) == b.n]
        t.check([s[2] for s in steps] == ["fill"] + ["kernel"] * 10 + ["barrier", "copy"], steps)
        t.check(int(steps[0][4]) == b.start and int(steps[-1][5]) == b.end, b, steps)
        t.check(all(int(s[5]) - int(s[4]) == 5000 for s in steps if s[2] == "kernel"), steps)
        t.check(all(int(y[4]) - int(x[5]) == 100 for x, y in zip(steps, steps[1:])), steps)


def test_faults():
    play = Play("inorder", 100, "fail_enqueue_every=10", status=1)
    t.check(play.out.count("clEnqueueNDRangeKernel: -5") == 10 and len(play.log.of("kernel")) == 90, play.out)
    play = Play("inorder", 100, "lost_after=40", status=1)
    t.check(len(play.log.commands) + len(play.log.unfinished) == 40 and "clFinish: -5" in play.out, play.out)
    check_clean(play.log)
    play = Play("stamps", 30, "event_limit=20", status=1)
    t.check(play.out.count("clEnqueueNDRangeKernel: -6") == 10 and play.log.counts["events_peak"] == 20, play.out)
    play = Play("queueinfo", None, "no_profiling=1", status=1)
    t.check("clCreateCommandQueue: -35" in play.out and "with: none" in play.out, play.out)


def test_bad_scripts():
    for word in ("bogus=1", "ns=", "ns=-1", "ns=1x", "ns", "drift_ppm=nan", "devices=0", "clock_offset_ns=x"):
        play = Play("inorder", 1, word, status=1)
        t.check(play.err.startswith("fakecl: FAKECL: ") and play.err.count("\n") == 1 and "no device: -1001" in play.out, word,
                play.err, play.out)


def test_every_scene():
    for scene in SCENES:
        play = Play(scene)
        again = Play(scene, script="spin=1 flush_to_submit=1")
        t.check(play.out == again.out, scene, play.out, again.out)
        if scene not in ("noexit", "double"):
            check_clean(play.log)


def test_what_is_left_at_the_end():
    play = Play("early", 50, "ns=1000000")
    t.check(len(play.log.commands) + len(play.log.unfinished) == 50 and play.log.unfinished, play.log.unfinished)


def test_fork():
    play = Play("fork", 20)
    child, = glob.glob(play.path + ".*")
    t.check(len(Log(child).of("kernel")) == 20 and len(play.log.of("kernel")) == 40, child)
    check_clean(Log(child))


def test_memory_is_flat():
    for scene, n in ("million", 300000), ("events", 20000):
        play = Play(scene, n, "ns=100 submit_ns=100 copy_ns=0")
        tenth, end = [int(line.split()[2]) for line in play.err.splitlines() if "VmRSS" in line]
        t.check(end - tenth < 1024, scene, play.err)


def test_pocl():
    if not os.path.exists(POCL_ICD):
        raise t.Skip("PoCL is not installed")
    for scene in SCENES:
        if scene in NOT_POCL:
            continue
        run = t.plain([CLPLAY, scene], env={"OCL_ICD_VENDORS": POCL_ICD, "POCL_DEVICES": "basic"}, timeout=120)
        t.check(run.status == 0, scene, run.status, run.out, run.err)


if __name__ == "__main__":
    if not os.path.exists(CLPLAY):
        print(f"SKIP: {CLPLAY} is not built")
        sys.exit(77)
    t.main()
