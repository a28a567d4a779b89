#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine on TVM's stock runtime that calls it as MLC-LLM does, on OpenCL (PoCL) and on the CPU, against brackets of its own.

The engine's text must stay what it is; every phase of every step must be there, in order; how far edges and times are off is printed,
and bounded far above what was seen, as no machine of a test is idle.
"""

import bisect
import collections
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import sleeper  # noqa: E402

PROMPT = "Hello, world"
PHASES = {5: "embedding", 6: "prefill", 7: "decode", 8: "copy_to_cpu", 9: "softmax", 10: "sampling"}
SPECULATIVE = {12: "draft", 13: "verify"}
DRAFTS = 3
DUMP = os.path.join(t.BUILD, "tests", "format", "lmt_tool")
PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tvm")
LIBRARY = os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")
LAYERS = 4
# embed; norm, qkv, rope, append, attention, output, norm, up, activation, down per layer; norm, head; two of softmax
KERNELS_PER_TOKEN = 1 + 10 * LAYERS + 2 + 2
LAUNCHES = 200000
TRACING = "/sys/kernel/tracing"
NOT_KERNELS = ("read", "write", "copy", "fill", "map", "unmap", "marker", "migrate")
_kept = {}


def folder():
    return t.engine("tvm")[0]


def environment(how):
    """how: linked, hidden, open (as the OpenCL backend is built), cpu."""
    if how != "cpu" and not os.path.exists("/etc/OpenCL/vendors/pocl.icd"):
        raise t.Skip("PoCL is missing here (Debian: pocl-opencl-icd)")
    return {"LD_LIBRARY_PATH": os.path.join(folder(), how), "POCL_CACHE_DIR": os.path.join(folder(), "pocl"),
            "OCL_ICD_VENDORS": "/etc/OpenCL/vendors/pocl.icd"}


def model(how):
    return os.path.join(folder(), "m_cpu" if how == "cpu" else "m")


class Interruptions:
    """When threads lost their CPU to an interrupt or to another thread, as the kernel's own tracing has it (root, and tracefs mounted)."""

    def __init__(self):
        self.instance = os.path.join(TRACING, "instances", f"lmmeter-{os.getpid()}")
        self.of_thread = None
        if not os.access(os.path.dirname(self.instance), os.W_OK):
            return
        self.of_thread = collections.defaultdict(list)
        os.mkdir(self.instance)
        self.write("trace_clock", "mono")
        self.write("buffer_size_kb", "32768")
        for events in ("sched/sched_switch", "irq", "irq_vectors"):
            if os.path.exists(os.path.join(self.instance, "events", events)):
                self.write(f"events/{events}/enable", "1")

    def write(self, name, value):
        with open(os.path.join(self.instance, name), "w", encoding="ascii") as f:
            f.write(value)

    def end(self):
        """Only now are they known: ns of CLOCK_MONOTONIC by thread, rounded down to a microsecond."""
        if self.of_thread is None:
            return
        self.write("tracing_on", "0")
        line = re.compile(r".{16}-([0-9]+) +\S+ \S+ +([0-9]+)\.([0-9]{6}):")
        with open(os.path.join(self.instance, "trace"), encoding="utf-8", errors="replace") as f:
            for found in filter(None, map(line.match, f)):
                self.of_thread[int(found[1])].append(int(found[2] + found[3]) * 1000)
        os.rmdir(self.instance)

    def between(self, thread, a, b):
        seen = self.of_thread[thread]
        return bisect.bisect(seen, max(a, b)) > bisect.bisect(seen, min(a, b) - 1000)


class Played:
    """The engine, alone (options None) or under lmmeter."""

    def __init__(self, how, tokens, *extra, options=None):
        self.truth_path = os.path.join(t.scratch(), "truth.jsonl")
        command = [os.path.join(folder(), "engine"), model(how), PROMPT, str(tokens), self.truth_path, *extra]
        if options is None:
            run = t.plain(command, env=environment(how), timeout=300)
        else:
            self.interruptions = Interruptions()
            try:
                run = self.record(command, how, options)
            finally:
                self.interruptions.end()
        if options is not None:
            t.check_counts(self.report)
            t.check(self.report["records"]["lost"] == 0 == self.report["records"]["invalid"], self.report["records"])
        t.check(run.status == 0, how, tokens, extra, "exit", run.status, run.err[-2000:])
        self.text = run.out
        with open(self.truth_path, encoding="utf-8") as f:
            self.truth = sorted((json.loads(line) for line in f), key=lambda b: b["t0"])

    def record(self, command, how, options):
        if options == "late":
            self.trace = self.truth_path + ".lmt"
            run = t.plain([*command, "late=" + LIBRARY], env={**environment(how), "LMMETER_OUT": self.trace, "LMMETER_INSTRUMENT": "1"}, timeout=300)
            self.report = t.report(self.trace)
            return run
        run = t.record(command, options=["-q", *options], env=environment(how), timeout=300)
        self.trace = run.trace
        self.report = run.report
        return run


def played(how, tokens, *extra):
    key = (how, tokens, extra)
    if key not in _kept:
        _kept[key] = Played(how, tokens, *extra, options=("--budget", "off"))
    return _kept[key]


def dump(trace):
    return subprocess.run([DUMP, "dump", trace], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def dumped(trace):
    """(kind, {name: value}) of each line that the file's own reader prints."""
    for line in dump(trace).splitlines():
        kind, *words = line.split()
        yield kind, dict(w.split("=", 1) for w in words if "=" in w)


def brackets(trace):
    """[(phase, begin, end)] on CLOCK_MONOTONIC, in order, by the file's own events and clock pairs."""
    clocks, found, opened = [], [], []
    for kind, values in dumped(trace):
        if kind == "clock":
            clocks.append((int(values["ticks"]), int(values["mono_ns"])))
        elif kind == "event" and values["type"] == "3":
            opened.append((values["phase"], int(values["t"])))
        elif kind == "event" and values["type"] == "4":
            phase, begin = opened.pop()
            t.check(phase == values["phase"], "phases do not nest")
            found.append(((PHASES | SPECULATIVE)[int(phase)], begin, int(values["t"])))
    clocks.sort()

    def ns(ticks):
        at = min(max(bisect.bisect(clocks, (ticks,)), 1), len(clocks) - 1)
        (x0, y0), (x1, y1) = clocks[at - 1], clocks[at]
        return y0 + (ticks - x0) * (y1 - y0) / (x1 - x0)

    return [(p, ns(b), ns(e)) for p, b, e in sorted(found, key=lambda x: x[1])]


def spread(ns):
    """Median and 99th percentile, in us."""
    return f"{statistics.median(ns) / 1e3:.2f}, {sorted(ns)[len(ns) * 99 // 100] / 1e3:.2f}" if ns else "-"


def alone(interruptions, threads, edges):
    """What is left where nothing took the CPU between the two stamps."""
    if interruptions.of_thread is None or len(threads) != 1:
        return "interruptions not known"
    left = [abs(a - b) for a, b in edges if not interruptions.between(min(threads), a, b)]
    return f"without the {1 - len(left) / len(edges):.1%} that were interrupted {spread(left)} us"


def check_brackets(play, what):
    """The same phases in the same order; edges within what is printed."""
    mine, truth = brackets(play.trace), play.truth
    t.check([m[0] for m in mine] == [b["phase"] for b in truth], what, collections.Counter(m[0] for m in mine),
            collections.Counter(b["phase"] for b in truth))
    threads = {int(tid) for tid in re.findall(r"^stream .* tid=([0-9]+)", dump(play.trace), re.M)}
    for phase in (PHASES | SPECULATIVE).values():
        for name, edges in (("begins", [(m[1], b["t0"]) for m, b in zip(mine, truth) if m[0] == phase]),
                            ("ends", [(m[2], b["t1"]) for m, b in zip(mine, truth) if m[0] == phase])):
            off = [abs(a - b) for a, b in edges]
            if not off:
                continue
            t.note(f"{what} {phase} {name}: {len(off)}, off by (median, 99th percentile) {spread(off)} us;",
                   f"{sum(x > 10000 for x in off) / len(off):.1%} by more than 10 us;", alone(play.interruptions, threads, edges))
            t.check(statistics.median(off) <= 50000, what, phase, name)


def check_whole(play, what, tokens, sequences=1):
    """Requests, tokens, and phases that add up."""
    rep = play.report
    t.check(len(rep["requests"]) == sequences, what, rep["requests"])
    for q in rep["requests"]:
        t.check(q["prompt_tokens"] == len(PROMPT) and q["output_tokens"] == tokens, what, q)
        total = sum(p["total_ns"] for p in q["phases"])
        t.check(t.close(total + q["unaccounted_ns"], q["wall_ns"], 0, 2000), what, total, q)
        t.check({p["phase"] for p in q["phases"]} >= set(PHASES.values()) - ({"prefill"} if tokens == 0 else set()), what, q)
    t.check(rep["session"]["processes"][0]["engine"]["name"] == "TVM", rep["session"]["processes"])


def check_kernels(play, what, passes, sequences=1):
    """As many as the model has; each pass of a prompt has one more, which takes the last row."""
    counts = collections.Counter()
    for k in play.report["kernels"]:
        if k["name"] not in NOT_KERNELS:
            counts[k["name"]] += k["count"] + k["untimed"]
    t.check(sum(counts.values()) == KERNELS_PER_TOKEN * passes + sequences, what, counts)
    layers = play.report["layers"]
    t.check([x["layer"] for x in layers if x["layer"] >= 0] == list(range(LAYERS)), what, layers)


def compiled(report):
    """How often each compiled function ran on the host, by its name."""
    counts = collections.Counter()
    for k in report["kernels"]:
        if k["device"] == "CPU" and k["op"] not in ("LAYER", "VM"):
            counts[k["op"]] += k["count"]
    return counts


def check_compiled(play, what, passes):
    """Each layer's product with its weights in each pass but where it was met first; spans are full."""
    counts = compiled(play.report)
    decode = {k["op"] for k in play.report["kernels"] if k["phase"] == "decode" and k["op"].startswith("matmul")}
    t.check(len(decode) == 5, what, decode)  # of qkv, output, up, down; and of the head
    t.check(LAYERS * 4 * (passes - 1) + passes - 1 <= sum(counts[n] for n in decode) <= (LAYERS * 4 + 1) * (passes + 1), what, counts)
    per_layer = collections.Counter(x["layer"] for x in play.report["layers"] if x["layer"] >= 0)
    t.check(sorted(per_layer) == list(range(LAYERS)), what, per_layer)
    g = play.report["graphs"]
    t.check(t.close(g["kernels_ns"] + g["gaps_ns"] + g["own_ns"], g["span_ns"], 0, 1), what, g)
    # the layers are alike, and so is their time: most of it is not in one of them, and the head is in none
    decode_ns = [x["decode_ns"] for x in play.report["layers"] if x["layer"] >= 0]
    t.check(max(decode_ns) < 0.6 * sum(decode_ns), what, decode_ns)


def test_text_stays():
    for how in ("linked", "hidden", "open", "cpu"):
        t.check(Played(how, 32).text == played(how, 32).text, how, "the text differs")


def test_opencl():
    play = played("linked", 32)
    check_brackets(play, "linked")
    check_whole(play, "linked", 32)
    check_kernels(play, "linked", 32)
    # the decode's time is the device's, not what the host saw of it
    phases = t.phases(play.report)
    t.note(f"decode {phases['decode']['total_ns'] / 1e6:.1f} ms, of the host {phases['decode']['host_ns'] / 1e6:.1f} ms;",
           f"softmax {phases['softmax']['total_ns'] / 1e6:.1f} and {phases['softmax']['host_ns'] / 1e6:.1f} ms")
    # kernels are compiled in the first pass of either kind, and nowhere else
    for phase in ("prefill", "decode", "softmax"):
        first = phases[phase]["first_use_ns"]
        t.note(f"{phase}: {first / 1e6:.1f} ms of compiling and first launches, {phases[phase]['host_ns'] / 1e6:.1f} ms in all")
        t.check(0 < first <= phases[phase]["host_ns"], phases[phase])
    # the passes in which that was are kept out of the steady figures
    decode = phases["decode"]
    t.check(decode["first_use_count"] >= 1 and decode["count"] == 31, decode)
    t.check(decode["first_use_ns"] > 2 * decode["max_ns"], "compiling is in the steady figures", decode)
    firsts = collections.Counter()
    for k in play.report["kernels"]:
        firsts[k["name"]] += k["first_use_count"]
    t.check(all(n == (name not in NOT_KERNELS) for name, n in firsts.items()), firsts)
    told = sum(k["first_use_ns"] for k in play.report["kernels"])
    t.check(0 < told <= sum(p["first_use_ns"] for p in phases.values()) + 1, told, phases)
    t.check(phases["copy_to_cpu"]["first_use_ns"] == phases["sampling"]["first_use_ns"] == 0, phases)
    softmax = phases["softmax"]
    t.check(softmax["host_ns"] - softmax["first_use_ns"] > 2 * (softmax["total_ns"] - softmax["first_use_ns"]), softmax)


def test_wrapped():
    """OpenCL opened by name; upstream's own build hides its symbols, so that nothing of them can be preloaded."""
    for how in ("hidden", "open"):
        play = played(how, 32)
        check_brackets(play, how)
        check_whole(play, how, 32)
        check_kernels(play, how, 32)


def test_cpu():
    play = played("cpu", 32)
    check_brackets(play, "cpu")
    check_whole(play, "cpu", 32)
    t.check([x["layer"] for x in play.report["layers"] if x["layer"] >= 0] == list(range(LAYERS)), play.report["layers"])
    t.check(not compiled(play.report), "an instrument that nobody asked for", compiled(play.report))
    play = Played("cpu", 32, options=("--budget", "off", "--instrument"))
    t.check(play.text == played("cpu", 32).text, "the text differs")
    check_brackets(play, "cpu, instrumented")
    check_whole(play, "cpu, instrumented", 32)
    check_compiled(play, "cpu", 31)
    phases = {k["op"]: k["phase"] for k in play.report["kernels"]}
    t.check((phases["take"], phases["chunk_lse"], phases["softmax_with_chunked_sum"]) == ("embedding", "softmax", "softmax"), phases)


def test_two_sequences():
    for how in ("linked", "cpu"):
        play = Played(how, 12, "two", options=("--budget", "off", "--instrument"))
        check_brackets(play, how)
        check_whole(play, how, 12, sequences=2)
        if how == "linked":
            check_kernels(play, how, 24, sequences=2)
        else:
            check_compiled(play, how, 22)


def check_speculation(trace, report, prompt, rounds, sequences, kept, what):
    """kept(round): how many tokens come of it, how many the draft model's cache loses, whether that catches up by a pass of its own.
    Passes begin where those before have left each sequence, each request has the tokens that were accepted, all of a check at once."""
    for q in report["requests"]:
        name = q["seq"]
        passes = [(p, int(v["a"]) & 0xffffffff, int(v["b"])) for p, v in sequence_passes(trace) if int(v["seq"]) == name]
        expected = [(6, prompt, 0), (12, prompt, 0)]
        main = draft = prompt
        for k in range(rounds):
            more, cut, catches_up = kept(k)
            expected += [(12, 1, draft + i) for i in range(DRAFTS)] + [(13, DRAFTS + 1, main)]
            expected += [(12, 1, draft + DRAFTS)] * catches_up
            main += more
            draft += DRAFTS - cut + catches_up
        t.check(passes == expected, what, passes, expected)
        tokens = [int(v["t"]) for kind, v in dumped(trace) if kind == "event" and v["type"] == "6" and int(v["seq"]) == name]
        t.check(q["output_tokens"] == len(tokens) == 1 + main - prompt, what, q["output_tokens"], len(tokens), main)
        t.check(len(set(tokens)) == 1 + rounds, what, tokens)
        t.check(q["prompt_tokens"] == prompt, what, q)
        phases = {p["phase"]: p for p in q["phases"]}
        t.check(phases["verify"]["count"] == rounds and "decode" not in phases and phases["prefill"]["count"] == 1, what, phases)
        t.check(phases["draft"]["count"] >= 1 + rounds * DRAFTS, what, phases)
        total = sum(p["total_ns"] for p in q["phases"])
        t.check(t.close(total + q["unaccounted_ns"], q["wall_ns"], 0, 2000), what, total, q)
    t.check(len(report["requests"]) == sequences, what, report["requests"])


def sequence_passes(trace):
    """(phase of the pass, what the event says) of each sequence in each pass."""
    phase = {}
    for kind, v in dumped(trace):
        if kind == "event" and v["type"] == "65":
            phase[v["id"]] = int(v["phase"])
        elif kind == "event" and v["type"] == "66":
            yield phase[v["id"]], v


def kept_by_engine(k):
    drafts = k % (DRAFTS + 1)
    return drafts + 1, max(DRAFTS - drafts - 1, 0), drafts == DRAFTS


def test_speculative():
    """A draft model with a cache of its own: its passes are drafts, and what checks them is a check."""
    for how, tokens, *two in (("linked", 20), ("cpu", 20), ("cpu", 12, "two")):
        play = Played(how, tokens, *two, "draft", options=("--budget", "off"))
        t.check(play.text == t.plain([os.path.join(folder(), "engine"), model(how), PROMPT, str(tokens), os.devnull, *two, "draft"],
                                     env=environment(how)).out, how, "the text differs")
        lines = play.text.splitlines()
        t.check([q["output_tokens"] for q in play.report["requests"]] == [len(x.split()) - 1 for x in lines], play.report["requests"], lines)
        check_brackets(play, f"speculative, {how}")
        rounds = sum(b["phase"] == "verify" for b in play.truth) // len(lines)
        check_speculation(play.trace, play.report, len(PROMPT), rounds, len(lines), kept_by_engine, how)


def test_prompt_in_pieces():
    """Each piece's logits are read, and no token is chosen but of the last one's."""
    for how in ("linked", "cpu"):
        play = Played(how, 8, "piece", "piece", options=("--budget", "off"))
        check_brackets(play, f"{how}, in pieces")
        check_whole(play, how, 8)
        t.check(play.report["requests"][0]["prefill_steps"] == 3, play.report["requests"])


def test_decode_against_a_wait():
    """With a wait for the device behind each pass, the engine's own bracket is the decode's whole time."""
    play = Played("linked", 64, "sync", options=("--budget", "off"))
    truth = sum(b["t1"] - b["t0"] for b in play.truth if b["phase"] == "decode")
    mine = t.phases(play.report)["decode"]["total_ns"]
    t.note(f"decode {mine / 1e6:.2f} ms, with a wait {truth / 1e6:.2f} ms: {100 * (mine / truth - 1):+.2f} %")
    t.check(t.close(mine, truth, 0.3), mine, truth)


def test_many_tokens():
    tokens = 500 if t.LONG else 100
    for how in ("linked", "cpu"):
        play = Played(how, tokens, options=("--budget", "off"))
        check_brackets(play, f"{how}, {tokens} tokens")
        check_whole(play, how, tokens)


def python(how, program, *arguments):
    """A program on TVM's Python package: its command and environment."""
    site = os.path.join(folder(), "site")
    env = {**environment(how), "PYTHONPATH": site, "PYTHONDONTWRITEBYTECODE": "1"}
    env["LD_LIBRARY_PATH"] += f":{site}/tvm/lib:{site}/tvm_ffi/lib"
    return [sys.executable, os.path.join(PROGRAMS, program), model(how), *arguments], env


def test_python():
    for how in ("linked", "cpu"):
        command, env = python(how, "driver.py", PROMPT, "8")
        bare = t.plain(command, env=env, timeout=120)
        seen = t.record(command, options=["-q", "--budget", "off"], env=env, timeout=120)
        t.check(bare.status == 0 == seen.status and bare.out == seen.out, how, bare.err[-1000:], seen.err[-1000:])
        t.check([p for p, _, _ in brackets(seen.trace)] ==
                ["embedding", "prefill", "softmax", "copy_to_cpu", "sampling"] +
                ["embedding", "decode", "softmax", "copy_to_cpu", "sampling"] * 7, how, brackets(seen.trace))
        t.check(seen.report["requests"][0]["output_tokens"] == 8, how, seen.report["requests"])


def test_instrument():
    """On a CPU what the virtual machine calls, against an instrument of the program's own, which stays when there is one."""
    command, env = python("cpu", "driver.py", PROMPT, "12")
    told = t.plain([*command, "instrument"], env=env, timeout=120)
    truth = {name: int(count) for name, count in re.findall(r"^called (\S+) ([0-9]+)$", told.out.decode(), re.M)}
    t.check(told.status == 0 and any(name.startswith("vm.builtin.") for name in truth), told.out, told.err[-1000:])
    truth = {name: count for name, count in truth.items() if not name.startswith(("vm.", "create_"))}
    for preload in [], [os.path.join(t.FAKE, "alone.so")]:  # a call's arguments with no memory in front of them
        mine = compiled(t.record(command, options=["-q", "--instrument"], env=env, preload=preload, timeout=120).report)
        # a function is not told where it is met first, nor in the first pass before its first attention
        t.check(set(mine) <= set(truth) and len(mine) > 20, preload, mine, truth)
        t.check(all(truth[n] - 3 <= mine[n] <= truth[n] for n in truth), preload, {n: (truth[n], mine[n]) for n in truth})
    both = t.record([*command, "instrument"], options=["-q", "--instrument"], env=env, timeout=120)
    t.check(both.status == 0 and both.out == told.out, "the program's instrument is told something else", both.out, both.err[-1000:])
    t.check("an instrument of its own" in json.dumps(both.report) and not compiled(both.report), compiled(both.report))


def peak_kib(command, env):
    """Runs it; what it prints, and the most memory that its first process had."""
    peak = 0
    with subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        while run.poll() is None:
            with open(f"/proc/{run.pid}/status", encoding="ascii") as f:
                peak = max([peak] + [int(line.split()[1]) for line in f if line.startswith("VmHWM")])
            time.sleep(0.01)
        t.check(run.returncode == 0, command, run.returncode)
        return run.stdout.read(), peak


def test_memory_is_flat():
    """TVM asks for its queue's properties before each launch and keeps an event of each if it sees that profiling is on."""
    for how in ("linked", "hidden"):
        command, env = python(how, "launches.py", str(LAUNCHES))
        bare = t.plain(command, env=env, timeout=120)
        trace = os.path.join(t.scratch(), "t.lmt")
        seen, peak = peak_kib([t.LMMETER, "run", "-q", "--budget", "off", "-o", trace, "--", *command], env)
        (bare_quarter, bare_end), (quarter, end) = ([int(x) for x in text.split()[1:]] for text in (bare.out.decode(), seen))
        t.note(f"{how}: {LAUNCHES} launches, from the first quarter to the end {quarter} to {end} KiB, without lmmeter {bare_quarter}",
               f"to {bare_end}; lmmeter's peak {peak} KiB")
        rep = t.report(trace)
        t.check([k["count"] for k in rep["kernels"] if k["name"] == "take_kernel" and k["untimed"] == 0] == [LAUNCHES], rep["kernels"])
        # an event that is kept takes 300 bytes and more
        t.check(end - quarter < 1024 + bare_end - bare_quarter, how, quarter, end, bare_quarter, bare_end)
        t.check(end - bare_end < 16 * 1024, how, end, bare_end)
        t.check(peak < 32 * 1024, how, peak)


def test_late():
    """The library comes when the runtime has registered its functions and the engine keeps them: their calls are taken over."""
    for how in ("linked", "hidden", "cpu"):
        play = Played(how, 16, options="late")
        t.check(play.text == Played(how, 16).text, how, "the text differs")
        check_brackets(play, f"late, {how}")
        check_whole(play, how, 16)
        layers = [x["layer"] for x in play.report["layers"] if x["layer"] >= 0]
        t.check(layers == (list(range(LAYERS)) if how == "cpu" else []), how, play.report["layers"])
        t.check("loaded after TVM" in json.dumps(play.report), how, "nothing says that it was late")
        if how == "cpu":
            check_compiled(play, "late", 15)
    play = Played("cpu", 8, "draft", options="late")
    check_brackets(play, "late, speculative")
    check_speculation(play.trace, play.report, len(PROMPT), sum(b["phase"] == "verify" for b in play.truth), 1, kept_by_engine, "late")


def in_span(span, truth):
    """The engine's brackets that a recording of its middle has, and how many it might have had: a pass that was under way when it began
    is not shown, nor what follows it up to the next one; what was open when it ended has no end."""
    mine = brackets(span.path)
    t.check(mine, "nothing was recorded", span.report["records"])
    first = min(range(len(truth)), key=lambda i: abs(truth[i]["t0"] - mine[0][1]))
    same = truth[first:first + len(mine)]
    t.check([m[0] for m in mine] == [b["phase"] for b in same], [m[0] for m in mine][:12], [b["phase"] for b in same][:12])
    t.check(all(m[2] >= m[1] for m in mine), "a phase ends before it begins")
    for edge, name in ((1, "t0"), (2, "t1")):
        off = sorted(abs(m[edge] - b[name]) for m, b in zip(mine, same))
        t.check(off[len(off) // 2] <= 50000, name, "off by", off[len(off) // 2])
    whole = sum(span.attached_ns <= b["t0"] and b["t1"] <= span.leaving_ns for b in truth)
    most = sum(span.asked_ns <= b["t1"] and b["t0"] <= span.left_ns for b in truth)
    return same, whole, most


def check_span(span, truth, what, cut=6):
    same, whole, most = in_span(span, truth)
    t.check(whole - cut <= len(same) <= most, what, whole, len(same), most)
    rep = span.report
    t.check(rep["records"]["invalid"] == rep["records"]["lost"] == 0 and rep["session"]["engine"]["name"] == "TVM", rep["records"], rep["session"])
    t.check(not [r for r in rep["level"]["reasons"] if "instrument" not in r], what, rep["level"])
    for q in rep["requests"]:
        t.check(q["joined"] and not q["complete"] and q["prompt_tokens"] == 0 and q["ttft_ns"] is None, what, q)
        t.check(all(p["total_ns"] >= 0 for p in q["phases"]) and q["unaccounted_ns"] >= 0, what, q)
        total = sum(p["total_ns"] for p in q["phases"]) + q["unaccounted_ns"]
        t.check(t.close(total, q["wall_ns"], 0, 2000), what, total, q)
    return same


def asleep(how, tokens, *extra, options=(), spans=2, attach=("--budget", "off")):
    """The engine with the library asleep in it, attached to at any moments; its text must be what it is."""
    path = os.path.join(t.scratch(), "truth.jsonl")
    command = [os.path.join(folder(), "engine"), model(how), PROMPT, str(tokens)]
    bare = t.plain([*command, os.devnull, *extra], env=environment(how))
    with sleeper.Sleeper([*command, path, *extra], environment(how), options=options) as s:
        s.wait_for_page()
        t.wait_for(lambda: s.cpu_s() > 1.0, 60, "the first tokens")
        time.sleep(random.uniform(0, 0.1))
        seen = [s.attach_to_work(random.uniform(0.3, 0.5), *attach) for _ in range(spans)]
        t.check(s.process.poll() is None, how, "it has ended too early")
        t.check(s.finish() == 0, how, s.err)
        t.check(s.out == bare.out.decode(), how, extra, "the text differs")
    with open(path, encoding="utf-8") as f:
        return seen, sorted((json.loads(line) for line in f), key=lambda b: b["t0"])


def test_attach():
    """Switched on and off in the middle of a generation: phases, tokens, layers and kernels of the passes that were seen whole."""
    n_spans = 4 if t.LONG else 2
    on_cpu = 170 * n_spans
    for how, tokens, options in (("linked", 700, ()), ("hidden", 700, ()), ("cpu", on_cpu, ()), ("cpu", on_cpu, ("--instrument",))):
        spans, truth = asleep(how, tokens, options=options, spans=n_spans)
        for span in spans:
            same = check_span(span, truth, how)
            q, = span.report["requests"]
            tokens_seen = sum(b["phase"] == "sampling" for b in same)
            t.check(abs(q["output_tokens"] - tokens_seen) <= 1 and tokens_seen > 5, how, q["output_tokens"], tokens_seen)
            layers = [x["layer"] for x in span.report["layers"] if x["layer"] >= 0]
            t.check(layers == list(range(LAYERS)), how, layers)
            passes = sum(b["phase"] == "decode" for b in same)
            if how != "cpu":
                counts = sum(k["count"] + k["untimed"] for k in span.report["kernels"] if k["name"] not in NOT_KERNELS)
                t.check((passes - 1) * KERNELS_PER_TOKEN <= counts <= (passes + 2) * KERNELS_PER_TOKEN, how, counts, passes)
                t.check(all(k["first_use_count"] == 0 for k in span.report["kernels"]), "a first use long after it")
            elif options:
                check_compiled_some(span.report, passes)
            else:
                t.check(not compiled(span.report), "an instrument that nobody asked for")


def check_compiled_some(report, passes):
    counts = compiled(report)
    most = max(counts.values(), default=0)
    t.check(len(counts) > 15 and LAYERS * (passes - 2) <= most <= (2 * LAYERS + 1) * (passes + 2), counts, passes)


def test_attach_to_speculation():
    """Which cache is the draft model's was told while nobody recorded."""
    for how, tokens, *two in (("cpu", 150), ("cpu", 90, "two"), ("linked", 500)):
        spans, truth = asleep(how, tokens, *two, "draft")
        for span in spans:
            same = check_span(span, truth, f"speculative, {how}", cut=12)
            t.check({"draft", "verify"} <= {b["phase"] for b in same}, how, {b["phase"] for b in same})


def test_attach_from_the_beginning():
    """Before the prompt: then nothing is missing, as if it had been recorded from the start."""
    for how in ("linked", "cpu"):
        path = os.path.join(t.scratch(), "truth.jsonl")
        command = [os.path.join(folder(), "engine"), model(how), PROMPT, "12", path]
        with sleeper.Sleeper(["sh", "-c", 'read x; exec "$@"', "sh", *command], environment(how)) as s:
            # nobody is there yet who could be asked
            p = subprocess.Popen([t.LMMETER, "attach", str(s.pid), "-q", "--wait", "30s", "--budget", "off", "-o", s.folder + "/0.lmt"], env=s.env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            s.process.stdin.write(b"\n")
            s.process.stdin.flush()
            t.check(s.finish() == 0 and p.wait(30) == 0, how, s.err)
        rep = t.report(s.folder + "/0.lmt")
        t.check_counts(rep)
        t.check(len(rep["requests"]) == 1 and rep["requests"][0]["output_tokens"] <= 12, how, rep["requests"])


def test_failing_pass():
    """What the runtime throws gets to the engine, past us too where we stand in between; what comes behind is what it was."""
    for options in (("--budget", "off"), "late"):
        play = Played("cpu", 6, "fail", options=options)
        t.check(play.text == Played("cpu", 6).text, options, "the text differs")
        if options == "late":  # that the call threw shows when the next pass begins
            failed = [b["phase"] for b in play.truth].index("decode")
            del play.truth[failed + 1]
        check_brackets(play, f"a failing pass, {options}")
        t.check([q["output_tokens"] for q in play.report["requests"]] == [6], play.report["requests"])


def test_late_python():
    for how in ("linked", "cpu"):
        trace = os.path.join(t.scratch(), "t.lmt")
        command, env = python(how, "driver.py", PROMPT, "8")
        bare = t.plain(command, env=env)
        seen = t.plain([*command, LIBRARY], env={**env, "LMMETER_OUT": trace})
        t.check(bare.status == 0 == seen.status and bare.out == seen.out, how, bare.err[-1000:], seen.err[-1000:])
        once = ["softmax", "copy_to_cpu", "sampling"]
        t.check([p for p, _, _ in brackets(trace)] == ["embedding", "prefill", *once] + ["embedding", "decode", *once] * 7, how,
                brackets(trace))
        t.check([q["output_tokens"] for q in t.report(trace)["requests"]] == [8], how, t.report(trace)["requests"])


def test_killed():
    """At any instant: what was recorded by then can be read."""
    for how, wait in (("linked", 0.7), ("linked", 1.1), ("cpu", 0.3), ("cpu", 0.6)):
        truth = os.path.join(t.scratch(), "truth.jsonl")
        trace = os.path.join(os.path.dirname(truth), "t.lmt")
        run = subprocess.Popen([t.LMMETER, "run", "-q", "-o", trace, "--", "sh", "-c", 'echo $$ >"$0"; exec "$@"', truth + ".pid",
                                os.path.join(folder(), "engine"), model(how), PROMPT, "900", truth],
                               env={**os.environ, **environment(how)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(truth + ".pid"):
            time.sleep(0.01)
        time.sleep(wait)
        with open(truth + ".pid", encoding="utf-8") as f:
            os.kill(int(f.read()), signal.SIGKILL)
        t.check(run.wait(60) in (128 + signal.SIGKILL, -signal.SIGKILL), how, run.returncode)
        t.check_counts(t.report(trace))


if __name__ == "__main__":
    t.main()
