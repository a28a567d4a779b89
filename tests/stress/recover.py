#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter is killed, the engine goes on; reports recover what is in the rings, again and again, and are killed at it, too.

Whatever happens in between, when the engine has ended the last report has every operator once:

    before >= operators          operators + lost >= after          emitted = stored + lost

nothing is described twice, the session's folder is gone, and a further report says the same. KILLS=n, SEED=n as in kill.py."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

KILLS = int(os.environ.get("KILLS", "300" if t.LONG else "30"))
SEED = int(os.environ.get("SEED", str(int(time.time()))))
OPERATORS_OF_A_RUN = 59  # of the fake engine
PROCESS, STREAM, MODEL, GRAPH, EVENTS, CHECKPOINT, PROCESS_END, END = 2, 3, 4, 5, 7, 11, 14, 15


def chunks(path):
    """[(kind, count)] of the file, from the chunk headers alone."""
    with open(path, "rb") as f:
        data = f.read()
    at = struct.unpack_from("<I", data, 16)[0]
    out = []
    while at + 32 <= len(data):
        magic, kind, _, _, stored, _, count = struct.unpack_from("<IBBHIII", data, at)
        t.check(magic == 0x4B43544C, "no chunk at", at)
        out.append((kind, count))
        at += 32 + stored
    return out


class Session:
    """A recording with a folder of its own for the shared memory, so that leftovers show."""

    # an lmmeter with the address sanitizer starts with the counter preloaded, too
    SANITIZER = {"ASAN_OPTIONS": "verify_asan_link_order=0"}

    def __init__(self, command, options=(), env=None):
        self.max_size = "--max-size" in options
        self.make_folders()
        self.start([t.LMMETER, "run", "-q", "-o", self.trace, *options, "--", *command], [], {**self.SANITIZER, **(env or {})})
        self.engine = None
        try:
            self.engine = t.wait_for(self.child, 10, "the command to start")
        except t.Failed:
            self.close()
            raise

    @classmethod
    def embedded(cls, command, env):
        """The collector is a thread of the engine; its file has a relative name."""
        s = cls.__new__(cls)
        s.max_size = False
        s.make_folders()
        library = os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")
        s.start(command, [library], {"LMMETER_OUT": os.path.basename(s.trace), **env})
        s.engine = s.lmmeter.pid
        return s

    def make_folders(self):
        self.folder = t.scratch()
        self.shm = tempfile.mkdtemp(prefix="lmmtest.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.trace = os.path.join(self.folder, "t.lmt")
        self.report_env = {"LMMETER_DIR": self.shm}

    def start(self, command, preloads, env):
        env = t.environment([t.COUNTER, *preloads], {"TEST_COUNTER": os.path.join(self.folder, "counter"),
                                                     "LMMETER_DIR": self.shm, **env})
        self.lmmeter = subprocess.Popen(command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def child(self):
        try:
            with open(f"/proc/{self.lmmeter.pid}/task/{self.lmmeter.pid}/children", encoding="ascii") as f:
                got = f.read().split()
        except OSError:
            return None
        return int(got[0]) if got else None

    def kill_lmmeter(self):
        self.lmmeter.kill()
        self.lmmeter.wait(30)

    def kill_engine(self):
        try:
            os.kill(self.engine, signal.SIGKILL)
        except ProcessLookupError:
            pass
        t.wait_for(lambda: not t.process_lives(self.engine), 10, "the engine to be gone")

    def report(self):
        return t.lmmeter("report", self.trace, "--json", env=self.report_env)

    def report_killed_after(self, seconds):
        with subprocess.Popen([t.LMMETER, "report", self.trace], env=t.environment((), self.report_env),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
            time.sleep(seconds)
            p.kill()

    def sessions(self):
        return [d for base in os.listdir(self.shm) for d in os.listdir(os.path.join(self.shm, base))]

    def close(self):
        if self.engine and t.process_lives(self.engine):
            self.kill_engine()
        self.lmmeter.wait(30)
        shutil.rmtree(self.shm, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def check_whole(s, what, ended_well):
    """Everything is in the file, once."""
    done = s.report()
    t.check(done.status == 0, what, "report exit", done.status, done.err)
    t.check(not s.sessions(), what, "the folder is still there:", s.sessions(), done.err)
    rep = json.loads(done.out)
    records = rep["records"]
    counts = list(truth.counts(s.folder).values())
    n = counts[0] if counts else truth.Counts(0, 0, 0, 0)
    seen = f"{what}: {records}, counter {n}"
    t.check(records["emitted"] == records["stored"] + records["lost"], seen)
    t.check(n.before >= records["operators"], "more operators than ran:", seen)
    t.check(records["operators"] + records["lost"] >= n.after, "operators are missing:", seen)
    if records["lost"] == 0:
        # right after --max-size has rewritten the file, the nodes of the run that was going on are not known to a recovery
        t.check(records["invalid"] <= (4 * OPERATORS_OF_A_RUN if s.max_size else 0), seen)
        if ended_well:
            t.check(records["operators"] == n.after, "every operator, once:", seen)
    again = s.report()
    t.check(again.status == 0 and again.out == done.out, what, "another report differs", again.err)
    t.check(not again.err, what, "another report recovers again:", again.err)
    found = Counter(kind for kind, _ in chunks(s.trace))
    t.check(found[END] == 1, seen, found)
    t.check(found[PROCESS_END] == (1 if counts else found[PROCESS_END]), seen, found)
    t.check(found[PROCESS] <= 2 and found[MODEL] <= 1, "described twice:", seen, found)
    return records


def one(rng, command, options, env, longest):
    s = Session(command, options, env)
    what = []
    try:
        first = rng.uniform(0, longest)
        time.sleep(first)
        s.kill_lmmeter()
        what.append(f"killed after {first * 1e3:.1f} ms")
        for _ in range(rng.randrange(3)):
            time.sleep(rng.uniform(0, longest / 4))
            if rng.random() < 0.5:
                cut = rng.uniform(0, 0.02)
                s.report_killed_after(cut)
                what.append(f"report killed after {cut * 1e3:.2f} ms")
            else:
                done = s.report()
                what.append("report")
                t.check(done.status == 0, what, done.status, done.err)
        ended_well = rng.random() < 0.3
        if not ended_well:
            time.sleep(rng.uniform(0, longest / 4))
            s.kill_engine()
        t.wait_for(lambda: not t.process_lives(s.engine), 60, "the engine to end")
        for _ in range(rng.randrange(3)):
            cut = rng.uniform(0, 0.02)
            s.report_killed_after(cut)
            what.append(f"report killed after {cut * 1e3:.2f} ms")
        return check_whole(s, " ".join(what), ended_well)
    finally:
        s.close()


def series(name, command, options, env, longest, kills):
    rng = random.Random(f"{SEED} {name}")
    got = [one(rng, command, options, env, longest) for _ in range(kills)]
    operators, lost = sum(r["operators"] for r in got), sum(r["lost"] for r in got)
    t.note(f"{name}: {kills} kills, {operators} operators, {lost} events lost, seed {SEED}")
    t.check(sum(1 for r in got if r["operators"]) >= kills // 3, "too few kills hit a recording")
    return lost


def test_engine_goes_on():
    lost = series("alone", t.fake("tokens=1000", "prompt=20"), (), {"FAKE_OP_NS": "5000"}, 0.3, KILLS * 5 // 10)
    t.check(lost == 0, "the rings are large enough for this:", lost)


def test_rings_run_over():
    lost = series("small rings", t.fake("tokens=4000", "contexts=2"), ("--memory", "128K"), {"FAKE_OP_NS": "300"}, 0.3,
                  KILLS * 2 // 10)
    t.check(lost > 0, "the rings are too large for this")


def test_oldest_detail_is_taken_out():
    series("max-size", t.fake("tokens=3000"), ("--max-size", "100K"), {"FAKE_OP_NS": "500"}, 0.4, KILLS * 3 // 10)


def test_a_living_recording_is_left_alone():
    s = Session(t.fake("tokens=2000"), (), {"FAKE_OP_NS": "2000"})
    try:
        time.sleep(0.1)
        done = s.report()
        t.check(done.status == 0 and "is being recorded" in done.err, done.status, done.err)
        s.lmmeter.wait(60)
        t.check(not s.sessions(), s.sessions())
        t.check(Counter(kind for kind, _ in chunks(s.trace))[END] == 1, "the run was disturbed")
    finally:
        s.close()


def test_unwritable_file_is_kept_for_later():
    s = Session(t.fake("tokens=2000"), (), {"FAKE_OP_NS": "5000"})  # goes on for 0.6 s
    try:
        t.wait_for(lambda: truth.counts(s.folder), 10, "operators")
        s.kill_lmmeter()
        t.check(t.process_lives(s.engine), "the engine ended too early for this test")
        t.wait_for(lambda: not t.process_lives(s.engine), 60, "the engine to end")
        with open(s.trace, "rb") as lock:
            import fcntl  # pylint: disable=import-outside-toplevel
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = s.report()
            t.check(done.status == 0 and "being written" in done.err, done.status, done.err)
            t.check(len(s.sessions()) == 1, "the folder went")
        check_whole(s, "later", True)
    finally:
        s.close()


def test_embedded():
    """The collector is a thread of the engine: both end at once."""
    rng = random.Random(f"{SEED} embedded")
    for _ in range(max(KILLS // 10, 2)):
        s = Session.embedded(t.fake("tokens=100000"), {"FAKE_OP_NS": "2000"})
        try:
            t.wait_for(lambda: truth.counts(s.folder), 10, "operators")  # pylint: disable=cell-var-from-loop
            time.sleep(rng.uniform(0.02, 0.2))
            s.kill_lmmeter()
            got = check_whole(s, "embedded", False)
            t.check(got["operators"] > 0, got)
        finally:
            s.close()


def test_killed_at_cleaning_up():
    """Of a session's folder as much is left as another report needs to find and remove it."""
    for at in range(1, 100):
        s = Session(t.fake("tokens=100000"), (), {"FAKE_OP_NS": "2000"})
        try:
            t.wait_for(lambda: truth.counts(s.folder), 10, "operators")  # pylint: disable=cell-var-from-loop
            s.kill_lmmeter()
            s.kill_engine()
            done = subprocess.run([t.LMMETER, "report", s.trace], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  env=t.environment([os.path.join(t.FAKE, "killed.so")], {**s.report_env, "TEST_KILLED": str(at)}))
            if done.returncode == 0:
                break
            t.check(done.returncode == -signal.SIGKILL and len(s.sessions()) == 1, at, done, s.sessions())
            check_whole(s, f"removal {at}", False)
        finally:
            s.close()
    t.check(at > 3, "it removes two files and their folder", at)


def test_abandoned_sessions_are_swept():
    s = Session(t.fake("tokens=100000"), (), {"FAKE_OP_NS": "2000"})
    try:
        time.sleep(0.1)
        s.kill_lmmeter()
        sweep = [t.LMMETER, "run", "-q", "-o", os.path.join(s.folder, "{}.lmt"), "--", "true"]

        def run(name):
            subprocess.run([a.format(name) for a in sweep], env=t.environment((), s.report_env), check=True,
                           stdin=subprocess.DEVNULL)
            return len(s.sessions())

        t.check(run("a") == 1, "a living engine's session was swept")
        os.rename(s.trace, s.trace + ".moved")
        t.check(run("b") == 1, "a living engine's session was swept, its file is gone")
        os.rename(s.trace + ".moved", s.trace)
        s.kill_engine()
        t.check(run("c") == 1, "a session that can be recovered was swept")
        os.unlink(s.trace)
        t.check(run("d") == 0, "an abandoned session was left")
    finally:
        s.close()


if __name__ == "__main__":
    t.main()
