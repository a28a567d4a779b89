# SPDX-License-Identifier: Apache-2.0
"""What the tests of the whole program share: finding the build, recording a command, asking for an engine, running checks.

A test file is a program: it defines functions test_…() and ends with lmmtest.main(). It exits 0, 1, or 77 when everything in
it was skipped. Arguments select tests by name. Only Python's standard library is used.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LMM_BUILD", os.path.join(ROOT, "build", "release")))
LMMETER = os.environ.get("LMMETER", os.path.join(BUILD, "src", "cli", "lmmeter"))
FAKE = os.path.join(BUILD, "tests", "fake")
LONG = os.environ.get("LMM_LONG", "0") == "1"
RECORDER = os.path.join(FAKE, "recorder.so")
COUNTER = os.path.join(FAKE, "counter.so")
FORKTREE = os.path.join(FAKE, "forktree.so")
PROMPT = "The capital of France is"


class Skip(Exception):
    """Why a test cannot run here."""


class Failed(AssertionError):
    pass


def check(condition, *what):
    """Ends the test with what was seen, if the condition does not hold."""
    if not condition:
        raise Failed(" ".join(str(w) for w in what))


def note(*what):
    print("   ", *what, flush=True)


# ---- engines ---------------------------------------------------------------------------------------

_engines = {}


def engine(name):
    """The folders or file that script/get-engine prints for it; Skip where there is no network."""
    if name not in _engines:
        got = subprocess.run([os.path.join(ROOT, "script", "get-engine"), name], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=580, check=False)
        if got.returncode == 77:
            raise Skip(got.stderr.strip().splitlines()[-1].replace("SKIP: ", ""))
        check(got.returncode == 0, "get-engine", name, got.stderr)
        _engines[name] = got.stdout.split()
    return _engines[name]


def model():
    return engine("model")[0]


def completion(tokens=48, threads=1, prompt=PROMPT, extra=()):
    """The command line of llama-completion, greedy: the same tokens each time."""
    return [os.path.join(engine("llama")[0], "llama-completion"), "-m", model(), "-t", str(threads), "-p", prompt,
            "-n", str(tokens), "--temp", "0", "-no-cnv", *extra]


def fake(*options, layout="plain"):
    return [os.path.join(FAKE, layout, "fake_engine"), *options]


# ---- running ---------------------------------------------------------------------------------------

class Run:
    """A finished command."""

    def __init__(self, done, folder):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr.decode("utf-8", "replace")
        self.folder = folder
        self.trace = os.path.join(folder, "t.lmt")
        self.json_path = os.path.join(folder, "r.json")

    @property
    def report(self):
        """What `lmmeter run --json` wrote."""
        with open(self.json_path, encoding="utf-8") as f:
            return json.load(f)

    def report_of_file(self, *options):
        """What `lmmeter report` makes of the trace."""
        return report(self.trace, *options)


def scratch():
    return tempfile.mkdtemp(prefix="lmmtest.", dir=os.environ.get("TMPDIR"))


def environment(preload=(), env=None):
    e = dict(os.environ)
    for name in ("LD_PRELOAD", "LD_AUDIT", "LMMETER_OUT", "LMMETER_SESSION"):
        e.pop(name, None)
    if preload:
        e["LD_PRELOAD"] = ":".join(preload)
    e.update(env or {})
    return e


def plain(command, env=None, preload=(), timeout=120, stdin=None, cwd=None):
    """Runs a command as it is, without lmmeter."""
    folder = scratch()
    done = subprocess.run(command, env=environment(preload, env), timeout=timeout, check=False, cwd=cwd,
                          input=stdin if stdin is not None else b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return Run(done, folder)


def record(command, options=(), preload=(), env=None, timeout=180, stdin=None, folder=None):
    """Runs a command under `lmmeter run`. With env's TEST_RECORDER=1 or TEST_COUNTER=1 the preloads write into the folder."""
    folder = folder or scratch()
    env = dict(env or {})
    preload = list(preload)
    for name, library in (("TEST_RECORDER", RECORDER), ("TEST_COUNTER", COUNTER)):
        if env.get(name) == "1":
            env[name] = os.path.join(folder, name[5:].lower())
            preload.append(library)
    whole = [LMMETER, "run", "-o", os.path.join(folder, "t.lmt"), "--json", os.path.join(folder, "r.json"), *options,
             "--", *command]
    done = subprocess.run(whole, env=environment(preload, env), timeout=timeout, check=False,
                          input=stdin if stdin is not None else b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return Run(done, folder)


def lmmeter(*arguments, timeout=60, env=None, cwd=None, stdin=None):
    done = subprocess.run([LMMETER, *arguments], env=environment((), env), timeout=timeout, check=False, cwd=cwd,
                          input=stdin if stdin is not None else b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return Run(done, scratch())


def report(trace, *options):
    done = lmmeter("report", trace, "--json", *options)
    check(done.status == 0, "lmmeter report", trace, "exit", done.status, done.err)
    return json.loads(done.out)


# ---- parts of a report -----------------------------------------------------------------------------

def phases(rep):
    """{name: entry} of the whole session."""
    return {p["phase"]: p for p in rep["phases"]}


def phase_ns(rep, *names):
    return sum(p["total_ns"] for p in rep["phases"] if p["phase"] in names)


def request_phases(req):
    return {p["phase"]: p["total_ns"] for p in req["phases"]}


def check_counts(rep):
    """emitted = stored + lost."""
    r = rep["records"]
    check(r["emitted"] == r["stored"] + r["lost"], "emitted = stored + lost:", r)


def close(a, b, relative, absolute=0):
    return abs(a - b) <= max(relative * max(abs(a), abs(b)), absolute)


def wait_for(condition, seconds, what):
    """Polls; for things another process does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise Failed(f"waited {seconds} s for {what}")


def process_lives(pid):
    """Of a process that is not our child: there, and not merely a zombie. Its first thread may be one while others still die."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8", errors="replace") as f:
                if f.read().rsplit(")", 1)[1].split()[0] not in "ZX":
                    return True
        except OSError:
            continue
    return False


# ---- the runner ------------------------------------------------------------------------------------

def main():
    module = sys.modules["__main__"]
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    failed = skipped = 0
    base = tempfile.mkdtemp(prefix="lmmtests.")
    os.environ["TMPDIR"] = base
    if not os.path.exists(LMMETER):
        print(f"SKIP: {LMMETER} is not built")
        sys.exit(77)
    for name, function in tests:
        if wanted and name not in wanted:
            continue
        start = time.monotonic()
        try:
            function()
            verdict = "ok"
        except Skip as why:
            verdict = f"SKIP: {why}"
            skipped += 1
        except (AssertionError, subprocess.TimeoutExpired) as why:
            if not isinstance(why, Failed):
                traceback.print_exc()
            verdict = f"FAILED: {why}"
            failed += 1
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            verdict = "FAILED"
            failed += 1
        print(f"{name}: {verdict} ({time.monotonic() - start:.1f} s)", flush=True)
    if failed and os.environ.get("LMM_KEEP"):
        print("kept", base)
    else:
        shutil.rmtree(base, ignore_errors=True)
    sys.exit(1 if failed else 77 if skipped and skipped == len(tests) else 0)
