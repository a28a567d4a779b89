#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments: of the engine, of lmmeter, of both. Whatever is left must read, and hold every operator that an
independent counter in a mapping of its own saw:

    before >= stored operators          stored operators + lost >= after          emitted = stored + lost

LMM_LONG=1: 1,000 kills instead of 100. KILLS=n overrides. SEED=n repeats a series."""

import json
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

KILLS = int(os.environ.get("KILLS", "1000" if t.LONG else "100"))
SEED = int(os.environ.get("SEED", str(int(time.time()))))


def start(folder, command, env):
    whole = [t.LMMETER, "run", "-q", "-o", os.path.join(folder, "t.lmt"), "--", *command]
    shm = os.path.join(folder, "shm")
    os.makedirs(shm, mode=0o700)
    env = t.environment([t.COUNTER], {"TEST_COUNTER": os.path.join(folder, "counter"), "LMMETER_DIR": shm, **env})
    return subprocess.Popen(whole, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True)


def child_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            got = f.read().split()
    except OSError:
        return None
    return int(got[0]) if got else None


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def one(rng, who, command, env, longest):
    """One run and one kill. Returns what was seen, or None if nothing had been recorded yet."""
    folder = t.scratch()
    delay = rng.uniform(0, longest)
    with start(folder, command, env) as p:
        engine = t.wait_for(lambda: child_of(p.pid), 10, "the command to start")
        time.sleep(delay)
        if who in ("engine", "both"):
            kill(engine)
        if who in ("lmmeter", "both"):
            kill(p.pid)
        if who == "lmmeter":
            time.sleep(rng.uniform(0, 0.02))
            kill(engine)  # it goes on without us; it need not do so for long
        p.wait(30)
    if who != "engine":
        t.wait_for(lambda: not t.process_lives(engine), 10, "the engine to be gone")
    counted = list(truth.counts(folder).values())
    trace = os.path.join(folder, "t.lmt")
    if not os.path.exists(trace):
        t.check(not counted or counted[0].after == 0, who, "operators ran and there is no trace:", counted)
        return None
    done = t.lmmeter("report", trace, "--json", env={"LMMETER_DIR": os.path.join(folder, "shm")})
    t.check(done.status == 0, who, f"after {delay * 1e3:.1f} ms: report exit", done.status, done.err[-500:], "in", folder)
    rep = json.loads(done.out)
    got = rep["records"]
    n = counted[0] if counted else truth.Counts(0, 0, 0, 0)
    seen = f"{who} after {delay * 1e3:.1f} ms: {got}, counter {n}"
    t.check(got["emitted"] == got["stored"] + got["lost"], seen)
    t.check(n.before >= got["operators"], "more operators than ran:", seen)
    t.check(got["operators"] + got["lost"] >= n.after, "operators are missing:", seen)
    # what was lost may have been the beginning of what is there
    t.check(got["invalid"] == 0 or got["lost"] > 0, seen)
    left = [name for _, _, names in os.walk(os.path.join(folder, "shm")) for name in names]
    t.check(not left, "left in shared memory:", left, seen)
    return got["operators"]


def series(name, command, env, longest, kills):
    rng = random.Random(f"{SEED} {name}")
    seen, most = [], 10 * longest
    for i in range(kills):
        seen.append(one(rng, ("engine", "lmmeter", "both")[i % 3], command, env, longest))
        if sum(1 for x in seen if x) < len(seen) // 2:
            longest = min(1.2 * longest, most)  # a machine with other work to do starts it later
    some = [s for s in seen if s]
    t.note(f"{name}: {kills} kills, {len(some)} with operators recorded, {sum(some)} operators, seed {SEED}")
    t.check(len(some) >= kills // 3, "too few kills hit a recording:", len(some))


def test_fake_engine():
    series("fake", t.fake("tokens=100000", "prompt=20", "threads=1"), {"FAKE_OP_NS": "500"}, 0.25, KILLS * 6 // 10)


def test_fake_engine_with_threads_and_contexts():
    series("fake, contexts", t.fake("tokens=100000", "contexts=3"), {"FAKE_OP_NS": "200"}, 0.2, KILLS * 2 // 10)


def test_real_engine():
    series("llama-completion", t.completion(400, 1), {}, 1.2, KILLS * 2 // 10)


if __name__ == "__main__":
    t.main()
