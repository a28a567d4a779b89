#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What lmmeter records of CUDA against the truth of the scripted driver: its log, its counters, its script.

Nothing expected here comes from lmmeter's own code. Run by hand: LMM_BUILD=<build folder> tests/fake/test_cuda.py
"""

import collections
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

HERE = os.path.join(t.FAKE, "cuda")
PLAY = os.path.join(HERE, "cudaplay")
CUPTI = os.path.join(HERE, "cupti", "libcupti.so.13")
LMT_TOOL = os.path.join(t.BUILD, "tests", "format", "lmt_tool")
COMMAND = 0x46
OFF = ("--kernels", "off")
ALWAYS = ("--kernels", "always")
# Windows come early and often: a window of a few ms is earned in about as many.
WINDOWS = ("--budget", "60%")
NAMES = {"_Z12rms_norm_f32ILi1024EEvPKfPfi": "rms_norm_f32<1024>", "_ZN4ggml9mul_mat_qIL9ggml_type2ELi8EEEvPKvS3_Pf": "ggml::mul_mat_q<2, 8>",
         "_Z14flash_attn_extILi64EEvPKf": "flash_attn_ext<64>", "k_bin_bcast": "k_bin_bcast", "driver_kernel": "driver_kernel"}
KINDS = {"1": "copy", "2": "fill", "3": "copy"}

Run = collections.namedtuple("Run", "kind name start end stream correlation node graph bytes")


class Log:
    """What the driver wrote."""

    def __init__(self, path):
        self.runs, self.graphs, self.other, self.calls = [], [], [], collections.Counter()
        with open(path, encoding="utf-8") as f:
            lines = [line.split() for line in f if line.endswith("\n")]  # a signal cuts it
        for words in lines:
            if words[0] == "run":
                name = NAMES.get(words[2], words[2]) if words[1] == "0" else KINDS[words[1]]
                self.runs.append(Run(int(words[1]), name, *(int(w) for w in words[3:])))
            elif words[0] == "graph":
                self.graphs.append([int(w) for w in words[1:]])
            elif words[0] == "calls":
                self.calls.update({k: int(v) for k, v in (w.split("=") for w in words[1:])})
            else:
                self.other.append(words)

    def said(self, word):
        return [words for words in self.other if words[0] == word]

    @property
    def names(self):
        return collections.Counter(r.name for r in self.runs)

    @property
    def sums(self):
        sums = collections.Counter()
        for r in self.runs:
            sums[r.name] += r.end - r.start
        return sums


class Play:
    """cudaplay, under lmmeter if options are given."""

    def __init__(self, scene, n=40, script="", options=None, env=None, status=0, program=PLAY):
        self.path = os.path.join(t.scratch(), "log")
        env = {"FAKECUDA": f"{script} log={self.path}", "LMMETER_CUPTI": CUPTI, **(env or {})}
        if options is None:
            run = t.plain([program, scene, str(n)], env=env, timeout=60)
        else:
            run = t.record([program, scene, str(n)], options=["-q", *options], env=env, timeout=120)
            self.report, self.trace = run.report, run.trace
            t.check_counts(self.report)
            t.check(self.report["records"]["lost"] == 0 and self.report["records"]["invalid"] == 0, scene, self.report["records"])
        t.check(run.status == status, scene, options, "exit", run.status, run.out, run.err)
        self.out, self.err = run.out, run.err
        self.log = Log(self.path)

    @property
    def device(self):
        t.check(self.report["device"] is not None, "no device in the report", self.report["level"])
        return self.report["device"]

    @property
    def windows(self):
        t.check(self.device["windows"] is not None, "no window", self.report["level"])
        return self.device["windows"]

    def reported(self, of=lambda k: k["count"] + k["untimed"]):
        """By name; copies of all directions together, as the log has them."""
        sums = collections.Counter()
        for k in self.report["kernels"]:
            sums["copy" if k["name"] in ("read", "write", "copy") else k["name"]] += of(k)
        return +sums

    @property
    def reasons(self):
        return "; ".join(self.report["level"]["reasons"])


def queues(trace):
    """Those that have commands with times."""
    dump = subprocess.run([LMT_TOOL, "dump", trace], stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = [line.split() for line in dump.splitlines() if line.startswith("event ")]
    return {words[4] for words in lines if words[2] == f"type={COMMAND}"}


def union(runs):
    total = end = 0
    for r in sorted(runs, key=lambda r: r.start):
        total += max(0, r.end - max(r.start, end))
        end = max(end, r.end)
    return total


# ---- the program is not disturbed ------------------------------------------------------------------

def test_transparent():
    """Output, errno, arguments and the calls that wait are those of a plain run, at every level and in every scene."""
    for scene in ("decode", "eager", "streams", "driver", "bare", "update", "threads"):
        plain = Play(scene)
        for options in (OFF, WINDOWS, ALWAYS):
            play = Play(scene, options=options)
            t.check(play.out == plain.out, scene, options, play.out, plain.out)
            t.check(sorted(w[1:8] for w in play.log.said("args")) == sorted(w[1:8] for w in plain.log.said("args")), scene, "arguments")
            for call in ("launch", "copy", "set", "graph", "sync"):
                t.check(play.log.calls[call] == plain.log.calls[call], scene, options, call, play.log.calls, plain.log.calls)
            t.check("last error 0 errno 0" in play.out.decode(), scene, play.out)


def test_nothing_of_cupti():
    """Before a window is earned, and without any, CUPTI is not called; nor is an event recorded in steps that are not timed."""
    play = Play("decode", 300, options=OFF)
    t.check(not play.log.said("attach") and not play.log.said("subscribe"), play.log.other[:3])
    t.check(play.device["windows"] is None, play.device["windows"])
    short = Play("decode", 30, options=())
    t.check(not short.log.said("attach"), "attached in a run of some ms")
    t.check("too short" in short.reasons and short.report["level"]["reached"] == "phases", short.report["level"])


# ---- counts ----------------------------------------------------------------------------------------

def test_counts():
    """Without CUPTI each call that the driver took is counted, by kernel; what is captured is not work."""
    for scene in ("decode", "eager", "streams", "bare", "update", "threads", "driver"):
        play = Play(scene, options=OFF)
        truth = collections.Counter(r.name for r in play.log.runs if r.graph == 0)
        graphs = len(play.log.graphs)
        got = play.reported()
        in_graphs = sum(n for name, n in got.items() if name.startswith("CUDA graph"))
        t.check(in_graphs == graphs, scene, in_graphs, graphs)
        got = collections.Counter({name: n for name, n in got.items() if not name.startswith("CUDA graph")})
        t.check(got == truth, scene, got, truth)
        t.check(play.device["untimed"] == sum(truth.values()) + graphs and play.device["timed"] == 0, scene, play.device)


def test_calls():
    play = Play("decode", 25, options=OFF)
    calls = sum(play.log.calls[k] for k in ("launch", "copy", "set", "graph"))
    t.check(play.device["calls"]["count"] == calls, play.device["calls"], play.log.calls)
    # the first copy waits before there is a step of anything
    t.check(play.device["calls"]["waits"] == play.log.calls["sync"] - 1, play.device["calls"], play.log.calls)


def test_calls_of_threads():
    """What the last step of a thread cost is told when the thread ends."""
    for scene in ("threads", "workers"):
        play = Play(scene, 5, options=OFF)
        calls = sum(play.log.calls[k] for k in ("launch", "copy", "set", "graph"))
        t.check(play.device["calls"]["count"] == calls, scene, play.device["calls"], play.log.calls)


def test_events_go_on():
    """What making the events cost, once, does not count for those that use them."""
    play = Play("decode", 3000, "create_us=9000", options=OFF)
    check = play.device["step_check"]
    t.note(check)
    t.check(check["timed"] >= 5, check)


def test_runtime_inside():
    """The runtime is linked into the program, and the driver's functions come by cuGetProcAddress(): all is seen as ever."""
    program = PLAY + "_static"
    for scene in ("decode", "eager", "update", "threads"):
        plain, play = Play(scene, program=program), Play(scene, options=ALWAYS, program=program)
        t.check(plain.out == play.out and plain.err == play.err, scene, plain.out, play.out)
        check_all(play, scene)
        calls = sum(play.log.calls[k] for k in ("launch", "copy", "set", "graph"))
        t.check(play.device["calls"]["count"] == calls, scene, play.device["calls"], play.log.calls)
        t.check("second copy" not in play.reasons, play.reasons)
    w = Play("decode", 2000, options=WINDOWS, program=program).windows
    t.check(w["count"] > 1 and w["records"] == w["expected"] > 0, w)


def test_calls_that_are_rare():
    """By the driver's own names and by addresses that the program asks for: cooperative launches, copies of areas and volumes."""
    n = 50
    for program in (PLAY, PLAY + "_static"):
        for options in (OFF, ALWAYS):
            play = Play("rare", n, options=options, program=program)
            seen, bytes_of = collections.Counter(), collections.Counter()
            for k in play.report["kernels"]:
                seen[k["name"]] += k["count"] + k["untimed"]
                bytes_of[k["name"]] += k["bytes"]
            # and the copy before the first round
            t.check(seen == {"write": n + 1, "fill": n, "whole_grid": n, "read": n}, program, options, seen)
            t.check(bytes_of == {"write": 3000 * n + 2048, "fill": 2000 * n, "read": 6000 * n, "whole_grid": 0}, options, bytes_of)


def test_handle_of_an_unloaded_module():
    """A driver gives addresses again: what is launched by one then is the new function."""
    for program in (PLAY, PLAY + "_static"):
        play = Play("unload", 20, options=OFF, program=program)
        seen = {k["name"]: k["untimed"] for k in play.report["kernels"] if k["name"] != "write"}
        t.check(seen == {"early": 20, "late": 20}, program, seen)


def test_pass():
    """Steps that are timed by events: the device's time of each phase, in a recording that times all of them."""
    play = Play("decode", 60, options=("--kernels", "off", "--budget", "off"))
    copies = [r for r in play.log.runs if r.name == "copy"]
    rest = [r for r in play.log.runs if r.name != "copy"]
    device = {p["phase"]: p["device_ns"] for p in play.report["phases"]}
    # the copy of the logits is a phase of its own; the first copy of all is in none
    t.check(device["copy_to_cpu"] >= sum(r.end - r.start for r in copies[1:]) * 0.99, device, "copies")
    t.check(device["decode"] + device["prefill"] >= sum(r.end - r.start for r in rest) * 0.99, device, "the rest")
    t.check(play.log.calls["event"] > 0 and not play.log.said("attach"), play.log.calls)


def test_two_devices():
    """A thread that works with two of them: an event is of the context that it was made in."""
    play = Play("gpus", 40, options=("--kernels", "off", "--budget", "off"))
    t.check("refuses" not in play.reasons, play.reasons)
    device = sum(p["device_ns"] or 0 for p in play.report["phases"])
    truth = sum(r.end - r.start for r in play.log.runs[1:])
    t.check(device >= truth * 0.99, device, truth)
    play = Play("gpus", 40, options=ALWAYS)
    check_all(play, "gpus")
    # two streams on each, which both number alike
    t.check(len(queues(play.trace)) == 4, queues(play.trace))


def test_copies_between_devices():
    """One record of a copy where they reach each other's memory; else the driver makes two copies of one call."""
    for script in ("peers=1", ""):
        play = Play("peers", 40, script, options=ALWAYS)
        check_all(play, "peers")
        windows = Play("peers", 2000, script, options=WINDOWS).windows
        t.check(windows["records"] == windows["expected"] > 0, script, windows)


def test_threads_that_end():
    """What timing needs is left to those that come, and so is a window that stays open."""
    few, many = (Play("workers", n, options=("--kernels", "off", "--budget", "off")).log.calls for n in (2, 30))
    t.check(few["create"] == many["create"] > 0 and many["event"] > few["event"], few, many)
    check_all(Play("workers", 15, "ns=k_bin_bcast:30000", options=ALWAYS), "workers")


# ---- every kernel ----------------------------------------------------------------------------------

def check_all(play, scene):
    """Each run of the device is there, with its very time."""
    names, sums = play.log.names, play.log.sums
    t.check(play.reported(lambda k: k["count"]) == names, scene, play.reported(lambda k: k["count"]), names)
    got = play.reported(lambda k: round(k["total_ns"]))
    t.check(all(abs(got[name] - sums[name]) <= 2 * names[name] for name in names), scene, got, sums)
    w = play.windows
    t.check(w["records"] == w["expected"] == len(play.log.runs), scene, w, len(play.log.runs))
    t.check(w["unmatched"] == w["dropped"] == w["invalid"] == 0, scene, w)


def test_always():
    script = "ns=k_bin_bcast:2500 ns=_Z14flash_attn_extILi64EEvPKf:31000 copy_ns=1700"
    for scene in ("decode", "eager", "update", "bare", "driver", "streams", "threads"):
        play = Play(scene, 60, script, options=ALWAYS)
        check_all(play, scene)
        t.check(len(play.log.said("finalize")) == 1, scene, "was not taken out", play.log.said("finalize"))
        copies = {k["name"]: k["bytes"] for k in play.report["kernels"] if k["name"] in ("read", "write")}
        truth = sum(r.bytes for r in play.log.runs if r.name == "copy")
        t.check(sum(copies.values()) == truth, scene, copies, truth)


def test_large_graph():
    """More nodes per step than there is room for in as many steps as are read at once."""
    check_all(Play("large", 45, "ns=k_bin_bcast:30000", options=ALWAYS), "large")


def test_other_work_under_way():
    """What other streams and threads still do when a window that stays open is read: it comes later, for the same calls."""
    for scene, n in (("behind", 300), ("threads", 500)):
        play = Play(scene, n, "late=1 ns=_Z14flash_attn_extILi64EEvPKf:15000", options=ALWAYS)
        check_all(play, scene)
        t.check(play.reported() == play.log.names, scene, play.reported(), play.log.names)


def test_no_room():
    """A pass of more launches than there is room for: each is told once, and each record that could not be told is counted once."""
    # every other record never comes: all that is told fits into the ring
    play = Play("huge", script="skip=2", options=ALWAYS)
    w, truth = play.windows, play.log.names
    came = len(play.log.runs) - len(play.log.runs) // 2
    t.check(w["expected"] == len(play.log.runs) and w["records"] + w["dropped"] == came, w, len(play.log.runs))
    t.check(0 < w["dropped"] < 2500 and w["unmatched"] == w["invalid"] == 0, w)
    t.check(play.reported() == truth, play.reported(), truth)


def test_beside_a_capture():
    """Launches to a stream that takes no part in the capture that goes on: work, and no part of the graph."""
    for options in (OFF, ALWAYS):
        play = Play("beside", 40, options=options)
        got, truth = play.reported(), play.log.names
        if options == ALWAYS:
            check_all(play, "beside")
            t.check(got == truth, got, truth)
        else:
            eager = collections.Counter(r.name for r in play.log.runs if r.graph == 0)
            t.check(all(got[name] == n for name, n in eager.items()), got, eager)


def test_runtime_numbers():
    """Records that bear the number of the runtime's call, and not of the driver's."""
    check_all(Play("decode", 30, "cupti_only=1", options=ALWAYS), "cupti_only")


def test_overlap():
    """Kernels that begin before those ahead of them have ended: exclusive times add up to the union, durations do not."""
    play = Play("eager", 40, "overlap=_Z14flash_attn_extILi64EEvPKf:6000 overlap=k_bin_bcast:3000", options=ALWAYS)
    check_all(play, "overlap")
    truth = union(play.log.runs)
    exclusive = sum(k["exclusive_ns"] for k in play.report["kernels"])
    total = sum(k["total_ns"] for k in play.report["kernels"])
    t.check(abs(exclusive - truth) <= 0.001 * truth, exclusive, truth)
    t.check(total > 1.02 * truth, total, truth)
    t.check(abs(play.device["busy_ns"] - truth) <= 0.001 * truth, play.device["busy_ns"], truth)
    device = sum(p["device_ns"] for p in play.report["phases"])
    t.check(device <= 1.001 * truth, "phases have more device time than there was", device, truth)


def test_streams():
    """Two streams: their kernels are of two queues, whose work at the same time counts once."""
    play = Play("streams", 40, options=ALWAYS)
    check_all(play, "streams")
    t.check(len({r.stream for r in play.log.runs}) == 3, "the script has other streams")
    truth = union(play.log.runs)
    t.check(abs(play.device["busy_ns"] - truth) <= 0.002 * truth, play.device["busy_ns"], truth)


def test_limits():
    """Beyond what is told apart all is counted, and the driver is not asked for names again and again."""
    play = Play("wide", 300, options=OFF)
    t.check(play.reported() == play.log.names and "more than 64 CUDA streams" in play.reasons, play.reported(), play.log.names, play.reasons)
    check_all(Play("wide", 300, options=ALWAYS), "wide")
    play = Play("kinds", 3, options=OFF)
    got, truth = play.reported(), play.log.names
    t.check(sum(got.values()) == sum(truth.values()) and got["(other)"] > 0, sum(got.values()), sum(truth.values()), got["(other)"])
    t.check("more than 2047 kernels" in play.reasons, play.reasons)
    t.check(all(got[name] == truth[name] for name in got if name != "(other)"), "a kernel has others' launches")
    t.check(play.log.calls["name"] < 3000, play.log.calls)
    play = Play("graphs", 2, options=OFF)
    in_graphs = sum(n for name, n in play.reported().items() if name.startswith("CUDA graph"))
    t.check(in_graphs == len(play.log.graphs) == 900 and "more than 256 executable CUDA graphs" in play.reasons, in_graphs, play.reasons)


def test_graphs_are_let_go():
    """A graph of 1,201 nodes is captured and replaced for every token, in a window that stays open: what was replaced goes in time."""
    if not t.LONG:
        raise t.Skip("some 900 graphs are kept at a time: it takes more than the quick tests have")
    peaks = []
    for n in 1200, 2400:
        run = t.record([PLAY, "renew", str(n)], options=["-q", *ALWAYS], env={"FAKECUDA": "log=/dev/null", "LMMETER_CUPTI": CUPTI}, timeout=300)
        t.check(run.status == 0, run.err)
        peaks.append(int(re.search(rb"VmHWM:\s*([0-9]+) kB", run.out)[1]))
    t.note(f"peak with 1,200 graphs {peaks[0]} KiB, with 2,400 {peaks[1]} KiB")
    t.check(peaks[1] - peaks[0] < 12 * 1024, peaks)


# ---- windows ---------------------------------------------------------------------------------------

def test_windows():
    """Every node of every step inside a window; what lies between is estimated, and comes to what the driver did."""
    play = Play("decode", 1200, "attach_us=2000 detach_us=500", options=WINDOWS)
    w, finalized = play.windows, play.log.said("finalize")
    t.check(w["count"] == len(finalized) >= 2, w, finalized)
    seen = int(finalized[-1][3].split("=")[1])
    t.check(w["records"] == w["expected"] == seen, w, seen)
    t.check(w["records"] < len(play.log.runs), "a window over all of it")
    t.check(w["attach"]["total_ns"] >= w["count"] * 2e6 and w["detach"]["total_ns"] >= w["count"] * 5e5, w)
    t.check(play.report["overhead"]["device_ns"] >= w["attach"]["total_ns"] + w["detach"]["total_ns"], play.report["overhead"], w)
    got, truth = play.reported(), play.log.names
    for name in truth:
        t.check(abs(got[name] - truth[name]) <= 1 + 0.01 * truth[name], name, got, truth)
    # their steps are not among the others
    t.check(play.report["tokens"]["itl"]["count"] == 1201 - w["steps"], play.report["tokens"]["itl"], w)
    # events lie around the kernels, with whatever the host let the device wait for
    t.check(0 < w["records_union_ns"] <= 1.01 * w["events_ns"] and w["check_steps"] == w["steps"], w)


def test_update():
    """A graph that is captured anew every 16 tokens."""
    play = Play("update", 600, options=WINDOWS)
    t.check(play.windows["records"] == play.windows["expected"] > 0, play.windows)


# ---- bad luck --------------------------------------------------------------------------------------

def test_losses():
    for script, key in (("drop=7", "dropped"), ("zero=9", "invalid"), ("garbage=11", "invalid"), ("skip=5", None)):
        play = Play("decode", 100, script, options=ALWAYS)
        w, every = play.windows, int(script.split("=")[1])
        lost = len(play.log.runs) // every
        if key:
            t.check(w[key] == lost, script, w, lost)
        t.check(w["expected"] == len(play.log.runs) and w["records"] == w["expected"] - lost, script, w, len(play.log.runs))
        got, truth = play.reported(lambda k: k["count"]), play.log.names
        t.check(sum(got.values()) == w["records"] and all(got[n] <= truth[n] for n in got), script, got, truth)
        t.check(all(k["max_ns"] <= 11000 for k in play.report["kernels"] if k["count"]), script, "a senseless time")


def check_refused(script, *words, env=None, options=WINDOWS, attached=0):
    plain = Play("decode", 300)
    play = Play("decode", 300, script, options=options, env=env)
    t.check(play.out == plain.out, script, "the output changed")
    t.check(all(w in play.reasons for w in words), script, play.reasons)
    t.check(play.report["level"]["reached"] == "phases", script, play.report["level"])
    t.check(len(play.log.graphs) == 300 and not play.log.said("meddled"), script, play.log.other)
    t.check(len(play.log.said("attach")) == attached, script, play.log.said("attach"))
    return play


def test_another_profiler():
    """One that was there first, and one that comes between two windows: it keeps its clock and its buffers."""
    check_refused("subscribe=39", "another profiler", "MULTIPLE_SUBSCRIBERS")
    plain = Play("decode", 900)
    play = Play("decode", 900, "other=2", options=WINDOWS)
    t.check(play.out == plain.out and "another profiler" in play.reasons and not play.log.said("meddled"), play.reasons)
    t.check(play.windows["count"] == 1 and play.windows["records"] == play.windows["expected"] > 0, play.windows)


def test_no_rights():
    """Refused when CUPTI is in already: it is taken out again, once, and not tried anew."""
    play = check_refused("enable=35", "may not profile", attached=1)
    t.check(len(play.log.said("finalize")) == 1, play.log.other)


def test_refused_before_the_end():
    """Refused when CUPTI is in already, and the program ends without a wait: it is taken out all the same."""
    play = Play("unwaited", script="enable=35", options=ALWAYS)
    t.check(len(play.log.said("finalize")) == 1 and "may not profile" in play.reasons, play.log.other, play.reasons)


def test_waits_untold():
    """CUPTI does not tell of the calls that wait: it is taken out by another call, and if it does not tell of that either, it is said."""
    plain = Play("decode", 700)
    play = Play("decode", 700, "silent=1", options=WINDOWS)
    t.check(play.out == plain.out and len(play.log.said("finalize")) == len(play.log.said("attach")) == 1, play.log.other)
    t.check("told of no wait" in play.reasons and "could not be taken out" not in play.reasons, play.reasons)
    t.check(play.windows["records"] == play.windows["expected"] > 0, play.windows)
    play = Play("decode", 700, "silent=2 crash=no", options=WINDOWS)
    t.check(play.out == plain.out and not play.log.said("finalize") and len(play.log.said("attach")) == 1, play.log.other)
    t.check("could not be taken out" in play.reasons, play.reasons)


def test_partition():
    check_refused("enable=43", "CUPTI refuses", "43", attached=1)


def test_old_or_absent():
    check_refused("version=15", "too old")
    check_refused("", "LMMETER_CUPTI", env={"LMMETER_CUPTI": "/nowhere/libcupti.so"})
    # whatever else this machine has does not know this driver
    check_refused("", "counted and not timed", env={"LMMETER_CUPTI": ""})


def test_finalize_refused():
    """CUPTI stays in the process: said, and no further window."""
    plain = Play("decode", 300)
    play = Play("decode", 300, "finalize=999 crash=no", options=WINDOWS)
    t.check(play.out == plain.out and "could not be taken out" in play.reasons, play.reasons)
    t.check(len(play.log.said("attach")) == 1 and play.windows["records"] > 0, play.log.other, play.windows)


def test_context_destroyed():
    """Every call fails from some launch on, in a window: the program sees the same as without lmmeter."""
    for options in (OFF, ALWAYS, ("--kernels", "off", "--budget", "off")):
        plain = Play("eager", 30, "lost_after=300", status=1)
        play = Play("eager", 30, "lost_after=300", options=options, status=1)
        t.check(play.out == plain.out, options, play.out, plain.out)


def test_ends():
    """Left by _exit() and by a signal while a window is open: what is in the file can be read, and says what was handed over."""
    for scene, status in (("noexit", 0), ("killed", -9)):
        play = Play(scene, 200, options=ALWAYS, status=status)
        t.check(play.report["tokens"]["output_tokens_per_second"] > 0, scene, play.report["tokens"])


def test_fork():
    play = Play("fork", 40, options=WINDOWS)
    t.check(len(play.report["session"]["processes"]) == 2, play.report["session"])


def test_asleep():
    """Preloaded without a session: nothing is recorded, nothing changes."""
    plain = Play("decode", 50)
    folder = os.path.join(t.BUILD, "src", "probe")
    preload = [os.path.join(folder, "liblmmeter-cuda.so"), os.path.join(folder, "liblmmeter.so")]
    path = os.path.join(t.scratch(), "log")
    run = t.plain([PLAY, "decode", "50"], env={"FAKECUDA": f"log={path}"}, preload=preload)
    t.check(run.status == 0 and run.out == plain.out, run.status, run.err)
    t.check(Log(path).calls == plain.log.calls, Log(path).calls, plain.log.calls)


class Pauses:
    """cudaplay's scene of that name, with the library asleep in it."""

    def __init__(self, n, scene="pauses"):
        self.folder = t.scratch()
        self.path = os.path.join(self.folder, "log")
        self.env = t.environment((), {"LMMETER_DIR": self.folder, "FAKECUDA": f"log={self.path}", "LMMETER_CUPTI": CUPTI})
        self.process = subprocess.Popen([t.LMMETER, "run", "--dormant", "--", PLAY, scene, str(n)], env=self.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.paused()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def paused(self):
        line = self.process.stdout.readline()
        t.check(line == b"pause\n", line)

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def attach(self, name, *options):
        """Until detach(); the report is of what came in between."""
        path = os.path.join(self.folder, name)
        p = subprocess.Popen([t.LMMETER, "attach", str(self.process.pid), "-q", "-o", path, *options], env=self.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        line = p.stderr.readline().decode()
        t.check("attached to process" in line, line, p.stderr.read() if not line else "")

        def detach():
            p.send_signal(signal.SIGINT)
            t.check(p.wait(20) == 0, p.stderr.read())
            p.stderr.close()
            return t.report(path)
        return detach


def test_two_sessions():
    """The second begins before the window of the first has closed: it has its own settings, and nothing of what the first has seen."""
    n = 30
    with Pauses(n) as play:
        detach = play.attach("a.lmt", "--budget", "off")
        play.go()
        play.paused()
        first = detach()
        w = first["device"]["windows"]
        t.check(w["count"] == 1 and w["detach"]["max_ns"] == 0, "its window has closed, or was not told of", first["device"])
        detach = play.attach("b.lmt", "--budget", "1%")
        play.go()
        play.paused()
        second = detach()
        play.go()
        t.check(play.process.wait(20) == 0, play.process.returncode)
    t.check(second["device"]["windows"] is None and second["device"]["timed"] == 0, second["device"])
    passes = n + 2
    t.check(second["device"]["untimed"] == passes * 25 + n + 1, second["device"], passes)


def test_recordings_of_two_sessions():
    """A program that switches its recording off and on: the next session is told of its kernels anew."""
    with Pauses(30, "offpauses") as play:
        names = []
        for name in ("a.lmt", "b.lmt"):
            detach = play.attach(name, "--kernels", "off")
            play.go()
            play.paused()
            names.append(sorted(k["name"] for k in detach()["kernels"]))
        play.go()
        t.check(play.process.wait(20) == 0, play.process.returncode)
    t.check(names[0] == names[1] and len(names[0]) > 3 and "?" not in names[0], *names)


def test_queues_of_two_sessions():
    """What CUPTI alone has a number for, as another device's default stream, is the same queue in the next session."""
    with Pauses(120, "gpupauses") as play:
        for name in ("a.lmt", "b.lmt"):
            detach = play.attach(name, "--kernels", "always")
            play.go()
            play.paused()
            time.sleep(0.15)
            report = detach()
            t.check(report["device"]["timed"] > 1000, report["device"])
            seen = queues(os.path.join(play.folder, name))
            t.check(len(seen) == 4 and "64 CUDA streams" not in str(report["level"]["reasons"]), name, seen, report["level"])
        play.go()
        t.check(play.process.wait(20) == 0, play.process.returncode)


def test_recording_ends_in_a_window():
    """What it has seen is told then: every call of two rounds, also of the pass that nobody has waited for yet."""
    n = 20
    for pause in (0, 0.15):
        with Pauses(n) as play:
            detach = play.attach("a.lmt", "--kernels", "always")
            for _ in range(2):
                play.go()
                play.paused()
                time.sleep(pause)
            report = detach()
            play.go()
            t.check(play.process.wait(20) == 0, play.process.returncode)
        device, w = report["device"], report["device"]["windows"]
        # of n tokens 25 commands each and a copy, of the prefill and the pass 25 each
        t.check(device["timed"] + device["untimed"] == 2 * ((n + 2) * 25 + n + 1), device)
        t.check(w["count"] == 1 and w["records"] == device["timed"] > 0.9 * w["expected"] and w["unmatched"] == 0, device)


def test_recording_ends_while_it_works():
    """CUPTI goes on until it is taken out: what it records then is of no known call, and nobody's."""
    for level in (ALWAYS, WINDOWS):
        with Pauses(20000) as play:
            detach = play.attach("a.lmt", *level)
            play.go()
            time.sleep(0.3)
            report = detach()
        w = report["device"]["windows"]
        t.check(w["count"] > 0 and w["unmatched"] == 0 and 0 < w["records"] <= w["expected"], w)
        t.check(not w["check_steps"] or w["records_union_ns"] <= 1.1 * w["events_ns"], w)
        t.check(all(k["name"] for k in report["kernels"]), report["kernels"])


# ---- an engine with nodes --------------------------------------------------------------------------

LAYER = collections.Counter(MUL_MAT=7, ADD=2, RMS_NORM=2, ROPE=1, SOFT_MAX=1, GLU=1)  # kernels of one, as the fake engine builds it


def engine(tokens, options):
    path = os.path.join(t.scratch(), "log")
    env = {"FAKECUDA": f"log={path}", "LMMETER_CUPTI": CUPTI, "FAKE_BACKEND": os.path.join(HERE, "libggml-cuda.so")}
    command = t.fake("prompt=8", f"tokens={tokens}", "sampler=greedy")
    plain = t.plain(command, env=env)
    os.unlink(path)
    run = t.record(command, options=["-q", *options], env=env)
    t.check(run.status == plain.status == 0 and run.out == plain.out, run.status, run.err, plain.err)
    t.check(run.report["records"]["invalid"] == 0, run.report["records"])
    return run.report, Log(path)


def test_another_preload():
    """A library that the user preloads has the same functions, and the backend is opened for itself alone: each call comes once."""
    folder = t.scratch()
    env = {"FAKECUDA": f"log={folder}/log", "FAKE_BACKEND": os.path.join(HERE, "libggml-cuda.so"), "GPU_COUNT_OUT": f"{folder}/counts",
           "LD_PRELOAD": os.path.join(HERE, "gpu_counter.so")}
    run = t.record(t.fake("prompt=8", "tokens=40", "sampler=greedy"), options=["-q", *OFF], env=env)
    t.check(run.status == 0, run.status, run.err)
    with open(f"{folder}/counts", encoding="utf-8") as f:
        counts = {k: int(v) for k, v in (line.split() for line in f)}
    t.check(counts["graphs"] > 30 and run.report["device"]["calls"]["count"] == sum(counts.values()), counts, run.report["device"]["calls"])


def test_nodes():
    """Each kernel of the graph, launched or replayed, is that of its node, with its layer."""
    report, log = engine(40, ALWAYS)
    t.check(len(log.graphs) > 30, "the engine launched no graph", log.calls)
    kernels = [k for k in report["kernels"] if k["name"].startswith("k_")]
    t.check(sum(k["count"] for k in kernels) == sum(n for name, n in log.names.items() if name.startswith("k_")), kernels)
    wrong = [(k["name"], k["op"], k["count"]) for k in kernels if k["name"] != "k_" + k["op"]]
    t.check(not wrong, "of another node", wrong)
    # all of them last as long, so a layer's time is the number of its kernels
    passes = log.names["k_SOFT_MAX"] // (len(report["layers"]) - 1)
    for layer in report["layers"]:
        if layer["layer"] is None or layer["layer"] < 0:
            continue
        truth = passes * sum(LAYER.values()) * 10000
        t.check(abs(layer["total_ns"] - truth) <= 0.001 * truth, layer, truth)


def test_nodes_in_windows():
    report, log = engine(1500, WINDOWS)
    w = report["device"]["windows"]
    t.check(w and w["records"] == w["expected"] > 0, w, report["level"])
    kernels = [k for k in report["kernels"] if k["name"].startswith("k_") and k["phase"] == "decode" and k["count"]]
    wrong = [(k["name"], k["op"], k["count"]) for k in kernels if k["name"] != "k_" + k["op"]]
    t.check(kernels and not wrong, "of another node", wrong)
    got = collections.Counter()
    for k in kernels:
        got[k["name"]] += k["count"] + k["untimed"]
    steps = len(log.graphs)
    t.check(all(abs(got["k_" + op] / got["k_SOFT_MAX"] - n) < 0.2 for op, n in LAYER.items() if op not in ("RMS_NORM", "MUL_MAT")), got, steps)


# ---- NVTX ------------------------------------------------------------------------------------------

def test_nvtx():
    """Ranges are spans: of a thread, of domains, by registered strings, of wide characters, and those that another thread ends."""
    play = os.path.join(HERE, "nvtxplay")
    run = t.record([play, "6"], options=["-q"])
    t.check(run.status == 0 and b"injection 1" in run.out, run.status, run.out, run.err)
    spans = {s["name"]: s["count"] for s in run.report["spans"]}
    truth = {"forward": 6, "layer 0": 3, "layer 1": 3, "registered": 6, "plain": 6, "request": 6,
             "größe ∑ 𝛼": 6, "01234567890123456789012345678901234567890123456789012345678901": 6, "wide request": 6, "wide message": 12}
    t.check(spans == truth, spans, truth)
    t.check(run.report["records"]["invalid"] == 0, run.report["records"])
    named = t.record([play, "2"], options=["-q"], env={"NVTX_INJECTION64_PATH": "/nowhere/tool.so"})
    t.check(b"injection -1" in named.out, "a tool that the user has named was put aside", named.out)


def test_nvtx_phases():
    """Ranges whose names say so are steps and phases: how many requests of a step are at their prompt decides which."""
    n = 7
    run = t.record([os.path.join(HERE, "nvtxplay"), str(n), "phases"], options=["-q"])
    t.check(run.status == 0 and b"injection 1" in run.out, run.status, run.out, run.err)
    rep, phases = run.report, t.phases(run.report)
    counts = {name: p["count"] for name, p in phases.items()}
    t.check(counts == {"embedding": n, "prefill": 1, "decode": n - 1, "sampling": n}, counts)
    t.check({s["name"]: s["count"] for s in rep["spans"]} == {"gpu_model_runner: forward": n, "decode": n}, rep["spans"])
    t.check(phases["decode"]["min_ns"] >= 1100000 and phases["sampling"]["min_ns"] >= 200000, phases)
    t.check(rep["steps"]["decode"]["count"] == n - 1 and rep["records"]["invalid"] == 0, rep["steps"], rep["records"])
    t.check(rep["session"]["engine"]["name"] == "unknown", rep["session"])


if __name__ == "__main__":
    t.main()
