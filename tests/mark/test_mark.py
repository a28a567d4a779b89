#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that mark themselves: linked in every way, with and without lmmeter, in every order that a program may come to."""

import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import types

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import lmmtest as t  # noqa: E402

CC, CXX = os.environ.get("CC", "gcc"), os.environ.get("CXX", "g++")
STATIC = ["-DMARK_STATIC"]
KINDS = {
    "pie": (["-fPIE", "-pie"], ["other.c"]),
    "no-pie": (["-fno-pie", "-no-pie"], ["other.c"]),
    "static": (["-static", *STATIC], ["other.c", "static.c"]),
    "static-pie": (["-fPIE", "-static-pie", *STATIC], ["other.c", "static.c"]),
    # the other half is in it and has nothing to do
    "both halves": (["-fPIE", "-pie"], ["other.c", "static.c"]),
    # sections that nobody refers to are thrown away
    "gc": (["-fPIE", "-pie", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"], ["other.c"]),
    "lto": (["-fPIE", "-pie", "-flto"], ["other.c"]),
}
_built = {}


def headers():
    """A folder as it is installed: nothing else of lmmeter is there when the programs are built."""
    if "include" not in _built:
        folder = os.path.join(t.scratch(), "include")
        shutil.copytree(os.path.join(t.ROOT, "include"), folder)
        shutil.copy(os.path.join(t.BUILD, "include", "lmmeter", "mark_static.h"), os.path.join(folder, "lmmeter"))
        _built["include"] = folder
    return _built["include"]


def compile_(command, what):
    if not shutil.which(command[0]):
        raise t.Skip(f"no {command[0]}")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode and "cannot find" in done.stdout:
        raise t.Skip(f"{what}: a library of the system is missing ({done.stdout.strip().splitlines()[-1][:100]})")
    t.check(done.returncode == 0 and "warning" not in done.stdout, " ".join(command), done.stdout)


def program(kind="pie"):
    if kind not in _built:
        flags, more = KINDS[kind]
        out = os.path.join(t.scratch(), "program")
        common = ["-O2", "-g", "-Wall", "-Wextra", "-I" + headers(), "-I" + HERE]
        objects = []
        for source in ["program.c", *more]:
            obj = os.path.join(os.path.dirname(out), source + ".o")
            std = [] if source == "static.c" else ["-std=c99", "-D_GNU_SOURCE"]
            compile_([CC, *common, *std, *[f for f in flags if not f.startswith(("-Wl", "-static", "-pie", "-no-pie"))], "-c",
                      os.path.join(HERE, source), "-o", obj], kind)
            objects.append(obj)
        compile_([CC, *flags, *objects, "-o", out, "-lpthread", "-ldl"], kind)
        _built[kind] = out
    return _built[kind]


def library():
    if "library" not in _built:
        out = os.path.join(t.scratch(), "libmarked.so")
        compile_([CC, "-O2", "-std=c99", "-Wall", "-fPIC", "-shared", "-fvisibility=hidden", "-I" + headers(),
                  os.path.join(HERE, "library.c"), "-o", out], "library")
        _built["library"] = out
    return _built["library"]


def go(*arguments, kind="pie", options=()):
    run = t.record([program(kind), *arguments], options=options)
    t.check(run.status == 0 and run.out.strip().splitlines()[-1:] == [b"done"], kind, arguments, run.status, run.out, run.err[-3000:])
    return run


def whole(run, invalid=0):
    """Nothing was lost, all of it made sense, and phases and what is between them are the time from end to end."""
    rep = run.report
    t.check_counts(rep)
    t.check(rep["records"]["lost"] == 0 and rep["records"]["invalid"] == invalid, rep["records"])
    missing = []
    for r in rep["requests"]:
        parts = sum(v for k, v in t.request_phases(r).items() if k != "unaccounted") + r["unaccounted_ns"]
        # reads of the clock lie between a phase and what is around it
        allowed = max(r["wall_ns"] / 1000, 5000 + 200 * sum(p["count"] for p in r["phases"]))
        missing.append(r["wall_ns"] - parts - allowed)
        t.check(parts <= r["wall_ns"] + allowed, "phases", parts, "wall", r["wall_ns"], r)
    # a thread that loses its CPU right there misses milliseconds: one request in many does
    t.check(not missing or statistics.median_low(missing) <= 0, missing, rep["requests"][:5])
    return rep


def processes(rep):
    return rep["session"]["processes"]


def tokens(rep):
    return sorted((r["prompt_tokens"], r["cached_tokens"], r["output_tokens"]) for r in rep["requests"])


def spans(run):
    """{name: [(begin, end, thread)]} as chrome://tracing gets them, in us."""
    out = run.trace + ".json"
    done = t.lmmeter("export", "--force", run.trace, "--to", "chrome", out)
    t.check(done.status == 0, done.err)
    with open(out, encoding="utf-8") as f:
        events = json.load(f)["traceEvents"]
    got = {}
    for e in events:
        if e.get("cat") == "span":
            got.setdefault(e["name"], []).append((e["ts"], e["ts"] + e["dur"], e["tid"]))
    return got


def check_ordered(run):
    rep = whole(run)
    by_seq = {r["seq"]: r for r in rep["requests"]}
    t.check(sorted(by_seq) == [7, 8], by_seq.keys())
    seven, eight = by_seq[7], by_seq[8]
    t.check(tokens(rep) == [(5, 0, 3), (12, 4, 2)], rep["requests"])
    t.check([seven["complete"], eight["complete"]] == [True, True], rep["requests"])
    # what was waited for cannot have taken less
    t.check(seven["ttft_ns"] >= (200 + 2200 + 100) * 1000, seven)
    t.check(seven["tpot_ns"] >= (100 + 550 + 100) * 1000, seven)
    t.check(eight["ttft_ns"] >= (200 + 3000 + 2200 + 100) * 1000 and eight["unaccounted_ns"] >= 3000 * 1000, eight)
    for request, least in ((seven, {"tokenize": 200, "prefill": 2000, "decode": 1000, "copy_to_cpu": 300, "softmax": 300,
                                    "detokenize": 300}),
                           (eight, {"tokenize": 200, "prefill": 2000, "decode": 500, "copy_to_cpu": 250, "softmax": 200,
                                    "detokenize": 200})):
        got = t.request_phases(request)
        t.check(all(got.get(name, 0) >= us * 1000 for name, us in least.items()), got, least)
        t.check("sampling" in got, got)
    count = {name: p["count"] for name, p in t.phases(rep).items()}
    t.check([count[n] for n in ("tokenize", "prefill", "decode", "copy_to_cpu", "softmax", "sampling", "detokenize")] ==
            [2, 3, 3, 6, 5, 5, 5], count)
    t.check(processes(rep)[0]["engine"] == {"name": "test engine", "version": "2.5"} and processes(rep)[0]["door"] == "mark",
            processes(rep))


def each_kind(kind):
    bare = t.plain([program(kind), "ordered"])
    t.check(bare.status == 0 and bare.out == b"done\n", bare.status, bare.out, bare.err)
    check_ordered(go("ordered", kind=kind))


def test_pie():
    each_kind("pie")


def test_no_pie():
    each_kind("no-pie")


def test_static():
    each_kind("static")


def test_static_pie():
    each_kind("static-pie")


def test_both_halves():
    each_kind("both halves")


def test_sections_collected():
    each_kind("gc")


def test_link_time_optimised():
    each_kind("lto")


def test_doors():
    """Each way in finds the marks."""
    for door in ("preload", "audit"):
        check_ordered(go("ordered", options=("--door", door)))


def test_cxx():
    """A program of C++, with a second file of it; standards as old as they may be."""
    for std in ("c++11", "c++20"):
        out = os.path.join(t.scratch(), "program")
        compile_([CC, "-std=c99", "-D_GNU_SOURCE", "-I" + headers(), "-I" + HERE, "-c", os.path.join(HERE, "program.c"), "-o", out + ".o"],
                 "c++")
        compile_([CXX, "-O2", "-Wall", "-Wextra", "-pedantic", "-std=" + std, "-I" + headers(), "-I" + HERE, out + ".o",
                  os.path.join(HERE, "other.cc"), "-o", out, "-lpthread", "-ldl"], "c++")
        run = t.record([out, "names"])
        t.check(run.status == 0 and run.out == b"done\n", run.out, run.err[-2000:])
        t.check(len(spans(run).get("other file", [])) == 1, spans(run))


def test_one_table():
    """Two files of a program have one table between them, and a note each."""
    listed = subprocess.run(["nm", program()], stdout=subprocess.PIPE, text=True, check=True).stdout
    t.check(listed.count("lmm_mark_table_1") == 1, listed)
    exported = subprocess.run(["nm", "-D", program()], stdout=subprocess.PIPE, text=True, check=True).stdout
    t.check("lmm_" not in exported, exported)


def test_batch():
    rep = whole(go("batch"))
    t.check(tokens(rep) == [(4, 0, 4), (6, 0, 4)], rep["requests"])
    # a pass that is shared counts fully for each, and once in the sums
    passes = t.phase_ns(rep, "prefill", "decode")
    t.check(4 * 500e3 <= passes and all(t.close(sum(v for k, v in t.request_phases(r).items() if k in ("prefill", "decode")), passes,
                                                1e-3, 2000) for r in rep["requests"]), passes, rep["requests"])


def test_number_used_again():
    rep = whole(go("reused"))
    t.check(tokens(rep) == [(4, 0, 0), (5, 0, 2), (6, 0, 4)], rep["requests"])


def test_threads():
    for kind in ("no-pie", "static"):
        rep = whole(go("threads", kind=kind))
        t.check(tokens(rep) == [(5, 0, 1)] + [(5, 0, 10)] * 4, kind, tokens(rep))
        late = next(r for r in rep["requests"] if r["seq"] == 50)
        got = t.request_phases(late)
        t.check(got["tokenize"] >= 2e6 and got["waiting"] >= 3e6 and late["ttft_ns"] >= 5.5e6, late)


def test_fork():
    for kind in ("pie", "static"):
        run = go("fork", kind=kind)
        rep = whole(run)
        t.check(len(processes(rep)) == 2 and tokens(rep) == [(5, 0, 3), (6, 0, 4)], kind, processes(rep), tokens(rep))
        t.check({n: len(s) for n, s in spans(run).items()} == {"both": 1, "child": 1, "round of both": 2}, spans(run))
        t.check([p["engine"] for p in processes(rep)] == [{"name": "test engine", "version": "2.5"}] * 2, processes(rep))


def test_library():
    """Marks of a library that is opened late, twice, and is gone when a child is made."""
    out = library()
    bare = t.plain([program("no-pie"), "library", out])
    t.check(bare.status == 0, bare.status, bare.err)
    run = go("library", out, kind="no-pie")
    rep = whole(run)
    t.check(tokens(rep) == [(3, 0, 1), (3, 0, 1), (5, 0, 2), (5, 0, 3), (6, 0, 4)], tokens(rep))
    t.check(len(spans(run)["in the library"]) == 2, spans(run))


def test_wrong():
    """Whatever a program does, it runs, and what can be told is."""
    for kind in ("pie", "static"):
        t.check(t.plain([program(kind), "wrong"]).status == 0)
        run = go("wrong", kind=kind)
        rep = run.report
        t.check_counts(rep)
        t.check((5, 0, 3) in tokens(rep), tokens(rep))
        t.check(len(spans(run)["deep"]) == 16, len(spans(run)["deep"]))


def test_speculative():
    rep = whole(go("speculative"))
    t.check(tokens(rep) == [(5, 0, 13)], rep["requests"])
    got = t.request_phases(rep["requests"][0])
    t.check(got["draft"] >= 9 * 100e3 and got["verify"] >= 3 * 500e3, got)


def test_warm_up():
    rep = whole(go("warmed"))
    t.check(tokens(rep) == [(5, 0, 3)], rep["requests"])
    t.check(t.phases(rep)["prefill"]["count"] == 1, rep["phases"])


def test_spans():
    run = go("names")
    whole(run)
    got = spans(run)
    outer = next(n for n in got if n.startswith("a name that is longer"))
    # 62 bytes and then two for a letter: it is not cut in two
    t.check(len(outer.encode()) <= 63 and outer.endswith("have ü"), outer)
    inner = sorted(got['inner "quoted"\n'])
    (begin, end, thread), = got[outer]
    t.check(inner[0][1] - inner[0][0] >= 1000 and inner[1][1] - inner[1][0] >= 500, inner)
    t.check(begin <= inner[0][0] and inner[0][1] <= inner[1][0] and inner[1][1] <= end and inner[0][2] != thread, got)
    # the report's table says what the slices say
    table = {s["name"]: s for s in run.report["spans"]}
    t.check(set(table) == set(got), table.keys(), got.keys())
    for name, slices in got.items():
        total = sum(end - begin for begin, end, _ in slices) * 1000
        t.check(table[name]["count"] == len(slices) and t.close(table[name]["total_ns"], total, 0.001, 2000), table[name], slices)
    t.check(run.report["spans"] == t.report(run.trace)["spans"] == t.report(run.trace, "--recompute")["spans"], "again")
    text = t.lmmeter("report", run.trace).out.decode()
    t.check("Spans" in text and "a name that is" in text and "inner" in text, text)


def test_device():
    """Commands of a device are of the phase that they were enqueued in, with the times of the driver's script."""
    icd = os.path.join(t.BUILD, "tests", "fake", "opencl")
    if not os.path.exists(os.path.join(icd, "fake.icd")):
        raise t.Skip("the scripted OpenCL driver is not built")
    out = os.path.join(t.scratch(), "opencl")
    compile_([CC, "-O2", "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-I" + headers(), os.path.join(HERE, "opencl.c"), "-o", out, "-lOpenCL"],
             "OpenCL")
    env = {"OCL_ICD_VENDORS": icd, "FAKECL": "ns:add=300000 ns:mul=200000 ns:norm=100000 copy_ns=50000 bytes_per_us=0"}
    run = t.record([out], options=("--budget", "off"), env=env)
    t.check(run.status == 0 and run.out == b"done\n", run.out, run.err)
    rep = whole(run)
    t.check(tokens(rep) == [(8, 0, 3)] * 3, rep["requests"])
    kernels = {(k["name"], k["phase"]): (k["count"], k["untimed"], k["total_ns"]) for k in rep["kernels"]}
    expected = {("add", "prefill"): (12, 300e3), ("mul", "decode"): (12, 200e3), ("norm", "softmax"): (9, 100e3),
                ("read", "copy_to_cpu"): (9, 50e3)}
    t.check(kernels.keys() == expected.keys(), kernels)
    for key, (count, ns) in expected.items():
        t.check(kernels[key][:2] == (count, 0) and t.close(kernels[key][2], count * ns, 0.01), key, kernels[key])
    device = {name: p["device_ns"] or 0 for name, p in t.phases(rep).items()}
    for name, ns in (("prefill", 12 * 300e3), ("decode", 12 * 200e3), ("softmax", 9 * 100e3), ("copy_to_cpu", 9 * 50e3)):
        t.check(t.close(device[name], ns, 0.01), name, ns, device)


def test_killed():
    """What was marked until a kill -9 is there."""
    for kind in ("pie", "static"):
        folder = t.scratch()
        trace = os.path.join(folder, "t.lmt")
        with subprocess.Popen([t.LMMETER, "run", "-q", "-o", trace, "--json", os.path.join(folder, "r.json"), "--", "sh", "-c",
                               program(kind) + " endless & echo $!; wait"], stdout=subprocess.PIPE, env=t.environment()) as p:
            pid = int(p.stdout.readline())
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL)
            p.wait(60)
        rep = t.report(trace)
        t.check_counts(rep)
        t.check(len(rep["requests"]) >= 3 and all(r["output_tokens"] == 3 for r in rep["requests"] if r["complete"]), rep["requests"][:3])


class Asleep:
    """A program that runs with the library asleep in it."""

    def __init__(self, *command, launcher=(t.LMMETER, "run", "--dormant", "--")):
        self.folder = t.scratch()
        self.env = t.environment((), {"LMMETER_DIR": self.folder})
        self.process = subprocess.Popen([*launcher, *command], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        t.wait_for(lambda: glob.glob(os.path.join(self.folder, "lmmeter-*", f"c{self.process.pid}")), 20, "the first mark")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def attach(self, seconds):
        path = os.path.join(t.scratch(), "t.lmt")
        done = t.lmmeter("attach", str(self.process.pid), "-q", "--for", f"{seconds}s", "-o", path, env=self.env)
        t.check(done.status == 0 and self.process.poll() is None, done.err)
        return types.SimpleNamespace(report=t.report(path), trace=path)


def test_attached():
    """Each recording of a program that runs has the engine, the names and the requests; those under way have no beginning."""
    with Asleep(os.path.join(t.BUILD, "examples", "marked_engine"), "once upon", "200", "1000000") as engine:
        for _ in range(3):
            run = engine.attach(0.4)
            rep = whole(run)
            t.check(processes(rep)[0]["engine"] == {"name": "marked_engine", "version": "1.0"}, processes(rep))
            requests = sorted(rep["requests"], key=lambda r: r["start_ns"])
            t.check(len(requests) > 4 and not any(r["joined"] for r in requests[1:]), requests[:3])
            t.check(not requests[0]["joined"] or requests[0]["ttft_ns"] is None, requests[0])
            t.check(all(r["complete"] and (r["prompt_tokens"], r["output_tokens"]) == (9, 200) for r in requests[1:-1]), requests[:5])
            got = spans(run)
            t.check(set(got) == {"layer", "head"} and min(map(len, got.values())) > 100, {n: len(s) for n, s in got.items()})


def test_attached_to_several():
    """All that is under way is joined, whatever else begins or ends first; what begins afterwards is whole."""
    with Asleep(program(), "serve") as engine:
        time.sleep(0.3)
        run = engine.attach(0.5)
        rep = whole(run)
        first = {r["seq"] % 3: r for r in sorted(rep["requests"], key=lambda r: -r["start_ns"])}
        t.check(len(first) == 3, rep["requests"])
        for r in first.values():
            t.check(r["joined"] and r["ttft_ns"] is None and r["prompt_tokens"] == r["cached_tokens"] == 0 and r["output_tokens"] > 0, r)
        for r in rep["requests"]:
            t.check(r["joined"] == (r in first.values()) and (r["joined"] or r["cached_tokens"] == 0), r)


def test_attached_to_library():
    """A library that was opened while nothing was recorded has its marks taken."""
    with Asleep(program("no-pie"), "plugin", library()) as engine:
        for _ in range(2):
            t.check(spans(engine.attach(0.3)).get("in the library"), "spans")
    # it could not say so: each recording looks around
    with Asleep(program("no-pie"), "late", library(), os.path.join(t.BUILD, "src", "probe", "liblmmeter.so"), launcher=()) as engine:
        t.check(spans(engine.attach(0.3)).get("in the library"), "spans of a library that could not say so")


def test_recording_again():
    """The file says what the run said, from all its records as well."""
    run = go("fork")
    rep = run.report
    for recompute in ([], ["--recompute"]):
        again = t.report(run.trace, *recompute)
        t.check([again[k] for k in ("requests", "phases", "records")] == [rep[k] for k in ("requests", "phases", "records")], recompute)


def test_embedded():
    """Without an lmmeter process, the program writes the file itself."""
    folder = t.scratch()
    out = os.path.join(folder, "t.lmt")
    run = t.plain([program(), "ordered"], preload=[os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")], env={"LMMETER_OUT": out})
    t.check(run.status == 0, run.err)
    t.check(tokens(t.report(out)) == [(5, 0, 3), (12, 4, 2)], t.report(out)["requests"])


def test_no_lmmeter_behind_the_name():
    """A session that is gone, a folder of another's, a version that is not ours: the program runs as without us."""
    gone = os.path.join(t.scratch(), "gone")
    empty = t.scratch()
    with open(os.path.join(empty, "session"), "wb") as f:
        f.write(b"\0" * 8192)
    for kind in ("static", "pie"):
        for folder in (gone, empty, "", "/proc/self/mem", "x" * 5000):
            run = t.plain([program(kind), "ordered"], env={"LMMETER_SESSION": folder},
                          preload=[] if kind == "static" else [os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")])
            t.check(run.status == 0 and run.out == b"done\n", kind, folder[:40], run.status, run.out, run.err)


def test_other_versions():
    """Tables of a version to come are left alone; a door that ends early has no functions behind its end."""
    source = os.path.join(t.scratch(), "v.c")
    for version, seen in (("1", True), ("2", False)):
        with open(source, "w", encoding="ascii") as f:
            f.write("#include <lmmeter/mark.h>\n#include <stdio.h>\nint main(void) {\n"
                    f"struct lmm_mark_part p = {{ 1, 2, 1, 0 }};\n"
                    "lmm_mark_step_begin(LMM_MARK_AUTO, &p, 1);\nlmm_mark_step_end();\nputs(\"done\");\n"
                    "return 0; }\n")
        header = os.path.join(os.path.dirname(source), "lmmeter")
        shutil.rmtree(header, ignore_errors=True)
        shutil.copytree(os.path.join(headers(), "lmmeter"), header)
        path = os.path.join(header, "mark.h")
        with open(path, encoding="utf-8") as f:
            text = f.read().replace("#define LMM_MARK_VERSION 1", f"#define LMM_MARK_VERSION {version}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        compile_([CC, "-I" + os.path.dirname(header), source, "-o", source[:-2]], "version")
        run = t.record([source[:-2]])
        t.check(run.status == 0 and run.out == b"done\n", run.err)
        t.check(bool(processes(run.report)) == seen, version, processes(run.report))
    with open(source, "w", encoding="ascii") as f:
        f.write("#include <lmmeter/mark.h>\n#include <stdlib.h>\nstatic const uint32_t on = 1;\n"
                "static void never(void) { abort(); }\n"
                "int main(void) { static struct lmm_mark_door d; d.version = 1;\n"
                "d.bytes = offsetof(struct lmm_mark_door, span_end); d.recording = &on; d.span_end = never;\n"
                "__atomic_store_n(&lmm_mark_table_1.door, &d, __ATOMIC_RELEASE);\nlmm_mark_span_end();\nreturn 0; }\n")
    compile_([CC, "-I" + headers(), source, "-o", source[:-2]], "short door")
    t.check(t.plain([source[:-2]]).status == 0)


def test_switched_off():
    """LMM_MARK_OFF leaves nothing in the program."""
    out = os.path.join(t.scratch(), "off")
    compile_([CC, "-O2", "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-DLMM_MARK_OFF", "-I" + headers(), "-I" + HERE,
              os.path.join(HERE, "program.c"), os.path.join(HERE, "other.c"), "-o", out, "-lpthread", "-ldl"], "off")
    run = t.record([out, "ordered"])
    t.check(run.status == 0 and run.out == b"done\n" and not processes(run.report), run.out, run.err)
    t.check("lmmeter" not in subprocess.run(["readelf", "-n", out], stdout=subprocess.PIPE, text=True, check=True).stdout)


def test_example():
    """The example's own figures are those of the report."""
    example = os.path.join(t.BUILD, "examples", "marked_engine")
    run = t.record([example, "once upon", "20", "3"])
    t.check(run.status == 0, run.err)
    rep = whole(run)
    t.check(tokens(rep) == [(9, 0, 20)] * 3, rep["requests"])
    own = [line.split() for line in run.err.splitlines() if line.startswith("request ")]
    for r, said in zip(sorted(rep["requests"], key=lambda r: r["seq"]), own):
        t.check(t.close(r["ttft_ns"], float(said[3]) * 1e6, 0.02, 20000) and t.close(r["wall_ns"], float(said[5]) * 1e6, 0.02, 20000),
                r["ttft_ns"], r["wall_ns"], said)
    t.check(len(spans(run)["layer"]) == len(spans(run)["head"]) == 60, {n: len(s) for n, s in spans(run).items()})


if __name__ == "__main__":
    t.main()
