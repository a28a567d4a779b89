#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter study on the stand-in engine: the matrix, broken off and gone on with, holes, refusals."""

import csv
import ctypes
import io
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

ENGINE = t.fake()[0]
# so that tests may run side by side
os.environ["LMMETER_STUDY_LOCK"] = f"test-{os.getpid()}"

PLAN = """
[engine]
command = [{engine}, "prompt={{prompt_tokens}}", "tokens={{tokens}}"{more}]
[factors]
prompt_tokens = [4, 64]
tokens = [24]
{factors}
[run]
repeats = {repeats}
warmup = {warmup}
{run}
"""


def plan(folder, name="p.toml", repeats=3, warmup=0, factors="", run="", more="", engine=ENGINE):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(PLAN.format(engine=json.dumps(engine), repeats=repeats, warmup=warmup, factors=factors, run=run, more=more))
    return path


def study(path, folder, *options, **more):
    return t.lmmeter("study", path, "-o", folder, *options, **more)


def document(folder):
    done = t.lmmeter("study", "report", folder, "--json")
    t.check(done.status == 0, done.status, done.err)
    return json.loads(done.out)


def rows(folder):
    done = t.lmmeter("study", "report", folder, "--csv", "-")
    t.check(done.status == 0, done.err)
    return list(csv.DictReader(io.StringIO(done.out.decode())))


def cells(folder):
    """{name: bytes} of the cells that are stored; a kill may leave a .part, which is none."""
    where = os.path.join(folder, "cells")
    out = {}
    for name in sorted(n for n in os.listdir(where) if n.endswith(".json")):
        with open(os.path.join(where, name), "rb") as f:
            out[name] = f.read()
    return out


def test_runs_the_matrix():
    where = t.scratch()
    done = study(plan(where, factors="[factors.env]\nX_TEST = [\"1\", \"2\"]"), where + "/s")
    t.check(done.status == 0, done.status, done.err)
    t.check(b"12 of 12 cells measured" in done.out, done.out)
    got = rows(where + "/s")
    t.check(len(got) == 12 and all(r["status"] == "ok" for r in got), got)
    for r in got:
        t.check(float(r["prompt_tokens"]) >= 4 and float(r["output_tokens"]) == 24, r)
        t.check(float(r["ttft_ns"]) > 0 and float(r["tpot_ns"]) > 0 and float(r["memory_bytes"]) > 1e5, r)
    # every condition once in a block, not in the same order in each
    orders = []
    for b in ("1", "2", "3"):
        mine = sorted((int(r["position"]), r["condition"]) for r in got if r["block"] == b)
        t.check(len({c for _, c in mine}) == 4, mine)
        orders.append([c for _, c in mine])
    t.check(len({tuple(o) for o in orders}) > 1, orders)
    # what a report of one recording says is what the cell says
    t.check(not os.listdir(where + "/s/traces"), "traces were not to be kept")


def test_a_cell_is_its_recording():
    where = t.scratch()
    done = study(plan(where, repeats=1, run='keep = "all"'), where + "/s")
    t.check(done.status == 0, done.err)
    rep = t.report(where + "/s/traces/0000-0001.lmt")
    cell = json.loads(cells(where + "/s")["0000-0001.json"])
    t.check(t.close(cell["figures"]["ttft_ns"], rep["tokens"]["ttft"]["mean_ns"], 1e-6), cell["figures"], rep["tokens"])
    t.check(t.close(cell["figures"]["tpot_ns"], rep["tokens"]["tpot"]["mean_ns"], 1e-6), cell["figures"])
    decode = next(p for p in rep["phases"] if p["phase"] == "decode")
    t.check(t.close(cell["parts"]["phase_ns"][7], decode["total_ns"], 1e-6), cell["parts"], decode)


def test_same_report_twice():
    where = t.scratch()
    study(plan(where), where + "/s")
    for options in (["--json"], ["--csv", "-"], ["--paper"], []):
        first = t.lmmeter("study", "report", where + "/s", *options)
        again = t.lmmeter("study", "report", where + "/s", *options)
        t.check(first.status == 0 and first.out and first.out == again.out, options, first.err)


# as docs/study.md lists them; of files, so they stay
PHASES = ["none", "model_load", "context_init", "waiting", "tokenize", "embedding", "prefill", "decode", "copy_to_cpu", "softmax", "sampling",
          "detokenize", "draft", "verify"]


def test_paper_layout():
    """One of each phase and kernel, by arithmetic on the cells."""
    where = t.scratch()
    study(plan(where, repeats=2, more=', "requests=3"'), where + "/s")
    done = t.lmmeter("study", "report", where + "/s", "--paper")
    tables = [list(csv.DictReader(io.StringIO(part.split("\r\n", 1)[1]))) for part in done.out.decode().split("# ")[1:]]
    phases, kernels, rates = tables
    names = list(dict.fromkeys(r["condition"] for r in phases))
    for i, name in enumerate(names):
        of = [json.loads(text) for file, text in cells(where + "/s").items() if file.endswith(f"-{i:04}.json")]
        ms = {r["phase"]: float(r["lmmeter_ms"]) for r in phases if r["condition"] == name}
        decode = [c["parts"]["phase_ns"][7] / c["figures"]["requests"] / (c["figures"]["output_tokens"] - 1) / 1e6 for c in of]
        t.check(all((c["figures"]["requests"], c["figures"]["output_tokens"]) == (3, 24) for c in of), of)
        t.check(len(of) == 2 and t.close(ms["decode"], sum(decode) / 2, 1e-3), ms, decode)
        t.check(t.close(ms.pop("end_to_end"), sum(ms.values()), 1e-3), ms)
        for k in of[0]["kernels"]:
            alike = [x for c in of for x in c["kernels"]
                     if (x["name"], x["op"], x["weight_type"], x["phase"]) == (k["name"], k["op"], k["weight_type"], k["phase"])]
            got = [float(r["lmmeter_ms"]) for r in kernels if (r["condition"], r["kernel"], r["operator"], r["weight_type"], r["phase"]) ==
                   (name, k["name"], k["op"], k["weight_type"], PHASES[k["phase"]])]
            each = [x["total_ns"] / x["count"] / 1e6 for x in alike]
            t.check(len(got) == 1 and abs(got[0] - sum(each) / len(each)) < 2e-6, k, got, each)
    t.check({r["phase"] for r in rates} == {"prefill", "decode"} and len(rates) == 2 * len(names), rates)


def start(path, folder, *options):
    return subprocess.Popen([t.LMMETER, "study", path, "-o", folder, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=t.environment((), None))


def broken_off(how):
    where = t.scratch()
    folder = where + "/s"
    path = plan(where, repeats=4, more=', "gap_us=2000"')
    run = start(path, folder)
    t.wait_for(lambda: os.path.isdir(folder + "/cells") and len(cells(folder)) >= 3, 60, "three cells")
    run.send_signal(how)
    _, err = run.communicate(timeout=60)
    return path, folder, run.returncode, err.decode()


def gone_on(path, folder):
    before = cells(folder)
    t.check(3 <= len(before) < 8, "cells:", sorted(before))
    stamps = {n: os.stat(os.path.join(folder, "cells", n)).st_mtime_ns for n in before}
    done = study(path, folder)
    t.check(done.status == 1 and b"--resume goes on" in done.err.encode() and cells(folder) == before, done.err)
    done = study(path, folder, "--resume")
    t.check(done.status == 0, done.err)
    after = cells(folder)
    t.check(len(after) == 8, sorted(after))
    for name, text in before.items():
        t.check(after[name] == text, "changed:", name)
        t.check(os.stat(os.path.join(folder, "cells", name)).st_mtime_ns == stamps[name], "written again:", name)
    t.check([r["status"] for r in rows(folder)] == ["ok"] * 8, rows(folder))


def test_ctrl_c_costs_one_cell():
    path, folder, status, err = broken_off(signal.SIGINT)
    t.check(status == 1 and "stopped by a signal" in err and "--resume" in err, status, err)
    gone_on(path, folder)


def test_kill_ends_the_engine_too():
    where = t.scratch()
    script = where + "/engine"
    with open(script, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\necho $$ > {where}/pid\nexec sleep 60\n")
    os.chmod(script, 0o755)
    with open(where + "/p.toml", "w", encoding="utf-8") as f:
        f.write(f'[engine]\ncommand = ["{script}"]\n[run]\nwarmup = 0\n')
    run = start(where + "/p.toml", where + "/s")
    t.wait_for(lambda: os.path.exists(where + "/pid") and os.stat(where + "/pid").st_size > 1, 60, "the engine")
    with open(where + "/pid", encoding="utf-8") as f:
        pid = int(f.read())
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    t.wait_for(lambda: not t.process_lives(pid), 20, "the engine's end")


def test_kill_costs_one_cell():
    path, folder, status, err = broken_off(signal.SIGKILL)
    t.check(status == -signal.SIGKILL, status, err)
    gone_on(path, folder)


def test_another_plan_is_named():
    where = t.scratch()
    folder = where + "/s"
    study(plan(where, repeats=1), folder)
    before = cells(folder)
    for change, says in ((dict(repeats=2), "run.repeats = 2"), (dict(run="seed = 5"), "run.seed = 5"),
                         (dict(factors='env = {X = "1"}'), "factors.env.X")):
        done = study(plan(where, **{"repeats": 1, **change}), folder, "--resume")
        t.check(done.status == 1 and says in done.err and "-o another" in done.err, change, done.err)
    t.check(cells(folder) == before, "cells changed")
    # blanks and comments make no other plan
    path = plan(where, repeats=1, run="# the same")
    t.check(study(path, folder, "--resume").status == 0, "a comment")
    # another engine does
    engine = where + "/engine"
    with open(engine, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\nexec {ENGINE} \"$@\"\n")
    os.chmod(engine, 0o755)
    study(plan(where, repeats=1, engine=engine), where + "/t")
    with open(engine, "a", encoding="utf-8") as f:
        f.write("# newer\n")
    done = study(plan(where, repeats=1, engine=engine), where + "/t", "--resume")
    t.check(done.status == 1 and "file " + engine in done.err, done.err)


def test_holes():
    """One condition crashes, one hangs, one is no engine: the others go on, and a condition that failed twice is not run again."""
    where = t.scratch()
    folder = where + "/s"
    script = where + "/engine"
    with open(script, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho run >> " + where + "/runs-$1\ncase $1 in crash) echo 'it broke: no memory' >&2; kill -9 $$;; "
                "hang) exec sleep 60;; none) exit 0;; status) exit 3;; esac\nexec " + ENGINE + " tokens=24\n")
    os.chmod(script, 0o755)
    with open(where + "/p.toml", "w", encoding="utf-8") as f:
        f.write(f'[engine]\ncommand = ["{script}", "{{how}}"]\n[factors]\nhow = ["good", "crash", "hang", "none", "status"]\n'
                '[run]\nrepeats = 4\nwarmup = 0\ncell_budget = "3s"\n')
    done = study(where + "/p.toml", folder, timeout=120)
    t.check(done.status == 1, done.status, done.err)
    by = {}
    for r in rows(folder):
        by.setdefault(r["how"], []).append((r["status"], r["reason"]))
    t.check([s for s, _ in by["good"]] == ["ok"] * 4, by)
    t.check([s for s, _ in by["crash"]] == ["failed"] * 4 and "it broke: no memory" in by["crash"][0][1], by["crash"])
    t.check([s for s, _ in by["hang"]] == ["timeout"] * 4 and "budget of 3" in by["hang"][0][1], by["hang"])
    t.check([s for s, _ in by["none"]] == ["no_engine"] * 4, by["none"])
    t.check("status 3" in by["status"][0][1] and "not run, as it failed" in by["status"][3][1], by["status"])
    for how, runs in (("good", 4), ("crash", 2), ("hang", 2)):
        with open(where + "/runs-" + how, encoding="utf-8") as f:
            t.check(len(f.readlines()) == runs, how)
    text = t.lmmeter("study", "report", folder)
    t.check(text.status == 0 and b"16 failed" in text.out and b"\nHoles\n" in text.out, text.out)
    t.check(any(c["id"] == "holes" for c in document(folder)["conclusions"]), "holes")


def test_two_at_once():
    where = t.scratch()
    first = start(plan(where, more=', "gap_us=20000"'), where + "/a")
    t.wait_for(lambda: os.path.isdir(where + "/a/cells"), 60, "the first to begin")
    done = study(plan(where, name="q.toml"), where + "/b")
    t.check(done.status == 1 and f"process {first.pid}" in done.err and not os.path.exists(where + "/b"), done.err)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    # a kill leaves nothing behind that would hold the next one up
    t.check(study(plan(where, name="q.toml", repeats=1), where + "/b").status == 0, "after the kill")


def test_a_full_disk_stops_it():
    """A limit on the size of files stands for the disk: cells are larger than it."""
    where = t.scratch()
    script = f"ulimit -f 2; exec {t.LMMETER} study {plan(where, repeats=1)} -o {where}/s"
    done = subprocess.run(["bash", "-c", script], env=t.environment((), None), capture_output=True, timeout=60, check=False)
    t.check(done.returncode == 1, done.returncode, done.stderr)
    t.check(not [n for n in os.listdir(where + "/s/cells") if n.endswith(".part")], os.listdir(where + "/s/cells"))
    before = cells(where + "/s")
    again = study(plan(where, repeats=1), where + "/s", "--resume")
    t.check(again.status in (0, 1), again.err)
    for name, text in before.items():
        t.check(cells(where + "/s")[name] == text, name)


def test_environment_and_affinity_reach_the_engine():
    where = t.scratch()
    script = where + "/engine"
    with open(script, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\ngrep Cpus_allowed_list /proc/self/status | sed \"s/.*:/$X_TEST/\" >> " + where + "/seen\nexec " + ENGINE + "\n")
    os.chmod(script, 0o755)
    with open(where + "/p.toml", "w", encoding="utf-8") as f:
        f.write(f'[engine]\ncommand = ["{script}"]\n[factors]\naffinity = "0"\n[factors.env]\nX_TEST = ["one", "two"]\n'
                '[run]\nrepeats = 1\nwarmup = 1\n')
    done = study(where + "/p.toml", where + "/s")
    t.check(done.status == 0, done.err)
    with open(where + "/seen", encoding="utf-8") as f:
        seen = [line.split() for line in f]
    t.check(len(seen) == 3 and {s[0] for s in seen} == {"one", "two"} and {s[1] for s in seen} == {"0"}, seen)


def cpu_groups():
    """Of studies, also of others that run."""
    return subprocess.run(["find", "/sys/fs/cgroup", "/dev/cpuctl", "-maxdepth", "6", "-name", "lmmeter-study-*"], check=False, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def test_cpu_quota():
    """A fifth of one CPU is less than a whole one, by the engine's own request; the group goes with the study."""
    where = t.scratch()
    path = plan(where, repeats=2, factors='cpu_quota_percent = ["max", 20]\n[factors.env]\nFAKE_OP_NS = "100000"')
    if t.lmmeter("study", path, "--check").status:
        raise t.Skip("no control group with a CPU quota may be made here")
    before = cpu_groups()
    done = study(path, where + "/s")
    t.check(done.status == 0, done.err)
    got = {q: [float(r["request_ns"]) for r in rows(where + "/s") if r["cpu_quota_percent"] == q] for q in ("max", "20")}
    t.check(min(got["20"]) > 1.5 * max(got["max"]), got)
    t.check("not_clocks" in {c["id"] for c in document(where + "/s")["conclusions"]}, "nothing says that a quota is no lower clock")
    t.check(cpu_groups() == before, before, cpu_groups())


def resident(path):
    """Bytes of the file in the system's cache."""
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
        seen = (ctypes.c_ubyte * -(-len(m) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(m)
        rc = ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(m)), seen)
        del first
        t.check(rc == 0, "mincore()")
        return mmap.PAGESIZE * sum(x & 1 for x in seen)


def test_models_lie_alike():
    """Both files are read anew before the first cell, though the engine looks at none."""
    where = t.scratch()
    files = [where + "/a.gguf", where + "/b.gguf"]
    for path in files:
        with open(path, "wb") as f:
            f.write(os.urandom(4 << 20))
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if any(resident(path) for path in files):
        raise t.Skip("files cannot be put out of the cache here")
    with open(where + "/p.toml", "w", encoding="utf-8") as f:
        f.write(f'[engine]\ncommand = ["/bin/sh", "-c", "exec {ENGINE} tokens=24", "{{model}}"]\n[factors]\nmodel = {json.dumps(files)}\n[run]\nrepeats = 1\nwarmup = 0\n')
    done = study(where + "/p.toml", where + "/s")
    t.check(done.status == 0, done.err)
    t.check([resident(path) for path in files] == [4 << 20] * 2, [resident(path) for path in files])


def test_load_is_there_and_goes():
    where = t.scratch()
    script = where + "/engine"
    with open(script, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\npgrep -c -P $(ps -o ppid= -p $PPID) >> " + where + "/seen\nexec " + ENGINE + "\n")
    os.chmod(script, 0o755)
    with open(where + "/p.toml", "w", encoding="utf-8") as f:
        f.write(f'[engine]\ncommand = ["{script}"]\n[factors]\nload = [0, 1]\n[run]\nrepeats = 1\nwarmup = 0\n')
    done = study(where + "/p.toml", where + "/s")
    t.check(done.status == 0, done.err)
    with open(where + "/seen", encoding="utf-8") as f:
        seen = sorted(int(line) for line in f)
    t.check(len(seen) == 2 and seen[1] == seen[0] + 1, seen)
    ids = {c["id"] for c in document(where + "/s")["conclusions"]}
    t.check("not_clocks" in ids, ids)


QUANTIZE = """#!/bin/sh
echo "$@" >> {log}
for a; do [ "$a" = --dry-run ] && dry=1; prev2=$prev; prev=$last; last=$a; done
echo "model size  =    92.10 MiB (5.74 BPW)"
[ "$dry" ] && exit 0
[ "$last" = BAD ] && {{ echo "invalid ftype 'BAD'" >&2; exit 1; }}
echo "quant size  =   136.40 MiB (8.51 BPW)"
echo "llama_model_quantize_impl: WARNING: 11 of 30 tensor(s) required fallback quantization" >&2
echo model > "$prev"
"""

JUDGE = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
*--kl-divergence-base*--kl-divergence*)
	[ -e "{folder}/s/variants/base.kld" ] || exit 7
	printf 'chunk PPL KL Divergence Same top p\\n'
	printf 'Mean PPL(Q)                   :  20.000000 \xc2\xb1   1.000000\\nMean PPL(base)                :  10.000000 \xc2\xb1   0.500000\\n'
	printf 'Mean PPL(Q)/PPL(base)         :   2.000000 \xc2\xb1   0.010000\\nMean PPL(Q)-PPL(base)         :  10.000000 \xc2\xb1   0.161157\\n'
	printf 'Mean    KLD:   0.250000 \xc2\xb1   0.002000\\nSame top p: 90.000 \xc2\xb1 1.000 %%\\n' ;;
*--kl-divergence-base*)
	echo base > "{folder}/s/variants/base.kld"
	echo "45.71 seconds per pass - ETA 0.5 I Final estimate: PPL = 10.0000 +/- 0.50000" >&2 ;;
*--hellaswag*) printf '1\t50.0%%\t[1.0%%, 99.0%%]\n400\t45.25000000%%\t[40.4300%%, 50.1500%%]\n' ;;
*--winogrande*) echo "Final Winogrande score(100 tasks): 55.0000 +/- 2.0000" >&2 ;;
*--multiple-choice*) echo "Final result: 30.0000 +/- 3.0000" >&2; echo "Random chance: 25.0 +/- 1.0" >&2 ;;
esac
"""


def variants_plan(where, types):
    for name, text in (("quantize", QUANTIZE), ("judge", JUDGE)):
        with open(f"{where}/{name}", "w", encoding="latin-1") as f:
            f.write(text.format(log=f"{where}/{name}.log", folder=where))
        os.chmod(f"{where}/{name}", 0o755)
    for name in ("source.gguf", "text", "tasks"):
        with open(f"{where}/{name}", "w", encoding="utf-8") as f:
            f.write("x")
    with open(where + "/engine", "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\n[ -e "$1" ] || exit 5\nexec {ENGINE} tokens=24\n')
    os.chmod(where + "/engine", 0o755)
    with open(where + "/p.toml", "w", encoding="utf-8") as f:
        f.write(f"""[engine]
command = ["${{PLAN_DIR}}/engine", "{{model}}"]
[factors]
quantization = {json.dumps(types)}
[run]
repeats = 2
warmup = 0
[quantize]
program = "${{PLAN_DIR}}/quantize"
source = "${{PLAN_DIR}}/source.gguf"
[quality]
program = "${{PLAN_DIR}}/judge"
text = "${{PLAN_DIR}}/text"
reference = "as_is"
hellaswag = "${{PLAN_DIR}}/tasks"
winogrande = "${{PLAN_DIR}}/tasks"
multiple_choice = "${{PLAN_DIR}}/tasks"
tasks = 100
""")
    return where + "/p.toml"


def test_variants_are_made_and_judged():
    """Scripts stand for llama-quantize and llama-perplexity, with lines as these print them."""
    where = t.scratch()
    path = variants_plan(where, ["Q8_0", "as_is", "BAD"])
    done = study(path, where + "/s")
    t.check(done.status == 1 and "BAD: quantize: it ended with status 1: invalid ftype" in done.err, done.err)
    doc = document(where + "/s")
    by = {v["level"]: v for v in doc["variants"]}
    ref, q8, bad = by["as_is"], by["Q8_0"], by["BAD"]
    t.check(ref["reference"] and ref["bits_per_weight"] == 5.74 and ref["perplexity"]["value"] == 10, ref)
    t.check((q8["fallback_tensors"], q8["fallback_of"]) == (11, 30) and ref["fallback_of"] is None, q8, ref)
    t.check(q8["bits_per_weight"] == 8.51 and q8["perplexity"]["value"] == 20, q8)
    t.check(q8["perplexity_ratio"]["value"] == 2 and t.close(q8["perplexity_ratio"]["half"], 1.96 * 0.01, 1e-3), q8)
    t.check(q8["kl_divergence"]["value"] == 0.25 and q8["top1_percent"]["value"] == 90, q8)
    t.check(t.close(q8["hellaswag_percent"]["value"], 45.29, 1e-6) and t.close(q8["hellaswag_percent"]["half"], 4.86, 1e-6), q8)
    t.check(q8["winogrande_percent"]["value"] == 55 and q8["multiple_choice_percent"]["value"] == 30, q8)
    t.check(q8["score"]["quality"] == 0.5 and ref["score"]["quality"] == 1, q8, ref)
    t.check("invalid ftype" in bad["reason"] and bad["perplexity"]["value"] is None, bad)
    t.check([r["status"] for r in rows(where + "/s") if r["quantization"] == "BAD"] == ["failed"] * 2, rows(where + "/s"))
    t.check(not os.path.exists(where + "/s/variants/base.kld"), "the base is large, and stays")
    # what is measured is not measured again
    asked = os.stat(where + "/judge.log").st_size
    os.remove(where + "/s/cells/0001-0001.json")
    study(path, where + "/s", "--resume")
    t.check(len(cells(where + "/s")) == 6, cells(where + "/s").keys())
    with open(where + "/judge.log", encoding="utf-8") as f:
        t.check("Q8_0" not in f.read()[asked:], "Q8_0 was judged again")


def test_a_nap_costs_a_run():
    """A preload lets CLOCK_BOOTTIME jump by ten seconds once, as a sleep would."""
    where = t.scratch()
    path = plan(where, repeats=1)
    with open(where + "/nap", "w", encoding="utf-8") as f:
        f.write("10")
    done = study(path, where + "/s", env={"LD_PRELOAD": os.path.join(t.FAKE, "nap.so"), "TEST_NAP": where + "/nap", "ASAN_OPTIONS": "verify_asan_link_order=0"})
    t.check(done.status == 0 and "was asleep for 10" in done.err and "run again" in done.err, done.status, done.err)
    t.check(sorted(r["naps"] for r in rows(where + "/s")) == ["0", "1"], rows(where + "/s"))


def test_five_hundred_cells():
    """Cells copied from one another: the report of a large study takes no time worth speaking of."""
    where = t.scratch()
    study(plan(where, repeats=1), where + "/s")
    one = json.loads(cells(where + "/s")["0000-0000.json"])
    text = plan(where, name="q.toml", repeats=10, factors="x = " + json.dumps([str(i) for i in range(25)]), more=', "{{x}}"')
    with open(text, encoding="utf-8") as f:
        body = f.read().replace("{{x}}", "{x}")
    for name in ("plan.toml",):
        with open(os.path.join(where, "s", name), "w", encoding="utf-8") as f:
            f.write(body)
    for block in range(10):
        for condition in range(50):
            one["block"], one["condition"] = block, condition
            one["figures"]["tpot_ns"] = 1e6 + 1e3 * ((block * 7 + condition * 13) % 11)
            with open(f"{where}/s/cells/{block:04}-{condition:04}.json", "w", encoding="utf-8") as f:
                json.dump(one, f)
    for options in ([], ["--json"], ["--html", where + "/p.html"]):
        begin = time.monotonic()
        done = t.lmmeter("study", "report", where + "/s", *options)
        took = time.monotonic() - begin
        t.check(done.status == 0, done.err)
        print(f"500 cells, {options[:1]}: {took:.2f} s")
    t.check(len(rows(where + "/s")) == 500, "rows")


def forged(where, levels, blocks, figures):
    """A study of one level, whose cell is copied for each level of the factor X and each block; figures(level): what it says instead."""
    def factors(some):
        return "[factors.env]\nX = " + json.dumps(some)
    text = plan(where, repeats=1, factors=factors(levels[:1]))
    done = study(text, where + "/s")
    t.check(done.status == 0, done.err)
    one = json.loads(cells(where + "/s")["0000-0000.json"])
    with open(plan(where, repeats=blocks, factors=factors(levels)), encoding="utf-8") as f, \
            open(os.path.join(where, "s", "plan.toml"), "w", encoding="utf-8") as to:
        to.write(f.read())
    for block in range(blocks):
        for condition in range(2 * len(levels)):
            cell = json.loads(json.dumps(one))
            cell["block"], cell["condition"] = block, condition
            cell["figures"].update(figures(levels[condition % len(levels)]))
            with open(f"{where}/s/cells/{block:04}-{condition:04}.json", "w", encoding="utf-8") as f:
                json.dump(cell, f)


def test_growth_is_drawn():
    """A factor of numbers has curves: points in the order of the numbers, as high as they are."""
    where = t.scratch()
    levels = ["40", "10", "20"]
    forged(where, levels, 2, lambda level: {"ttft_ns": int(level) * 1e6})
    done = t.lmmeter("study", "report", where + "/s", "--html", where + "/p.html")
    t.check(done.status == 0, done.err)
    with open(where + "/p.html", encoding="utf-8") as f:
        page = f.read()
    t.check("By env.X" in page and "By prompt_tokens" not in page, "two levels are no curve, three are", re.findall("<h2>.*?</h2>", page),
            re.findall("<header>.*?</header>", page, re.S))
    plot = page.split('aria-label="Time to first token by env.X"')[1].split("</svg>")[0]
    points = [tuple(map(float, xy.split(","))) for xy in re.search(r'points="([^"]+)"', plot)[1].split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    t.check(t.close((x1 - x0) / (x2 - x0), 1 / 3, 0.01), points)
    bottom = y2 + (y0 - y2) * 4 / 3  # of 10, 20 and 40 ms, the last at the top
    t.check(t.close((bottom - y1) / (bottom - y2), 0.5, 0.01), points)
    done = t.lmmeter("study", "report", where + "/s", "--svg", where + "/plots")
    t.check(done.status == 0 and sorted(os.listdir(where + "/plots")) == [f"env_X-{m}.svg" for m in ("prefill", "tpot", "ttft")], done.err, os.listdir(where + "/plots"))
    alone = ElementTree.parse(where + "/plots/env_X-ttft.svg").getroot()
    t.check(alone.tag == "{http://www.w3.org/2000/svg}svg" and len(alone.findall("{*}rect[@fill]")) >= 8, ElementTree.tostring(alone))
    t.check(t.lmmeter("study", "report", where + "/s", "--svg", where + "/plots").status == 1, "a plot was overwritten")
    t.check(">40.0 ms</text>" in plot and [w for w in re.findall(r">([0-9]+)</text>", plot)] == ["0", "10", "20", "40"], plot)


if __name__ == "__main__":
    t.main()
