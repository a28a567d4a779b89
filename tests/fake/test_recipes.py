#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/recipes.md: parents that spawn an engine, with their own environment and with another one."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

SLOW = {"FAKE_OP_NS": "20000"}  # 59 operators: a millisecond a token and more
# a parent that starts argv[2:] with the environment "keep", or without it
PARENT = """
import os, subprocess, sys
env = None if sys.argv[1] == "keep" else {k: v for k, v in os.environ.items() if k in ("PATH", "FAKE_OP_NS", "LMMETER_DIR")}
sys.exit(subprocess.run(sys.argv[2:], env=env).returncode)
"""


def parent(environment, *command):
    return [sys.executable, "-c", PARENT, environment, *command]


def test_parent_passes_its_environment_on():
    run = t.record(parent("keep", *t.fake("tokens=20", "prompt=5")))
    t.check(run.status == 0, run.err)
    rep = run.report
    t.check([p["name"] for p in rep["session"]["processes"]] == ["fake_engine"], rep["session"]["processes"])
    t.check(rep["requests"][0]["output_tokens"] == 20, rep["requests"])


def test_parent_clears_its_environment():
    run = t.record(parent("clear", *t.fake("tokens=20", "prompt=5")))
    t.check(run.status == 0 and not run.report["session"]["processes"], run.report["session"]["processes"])
    t.check("No engine was seen" in run.err and "environment of their own" in " ".join(run.err.split()), run.err)


def attach_below(command, *options):
    """Attaches to the engine that the command starts; the report."""
    folder = t.scratch()
    env = t.environment((), {"LMMETER_DIR": folder, **SLOW})
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as p:
        try:
            pid = t.wait_for(lambda: engine_below(p.pid), 20, "the engine")
            path = os.path.join(folder, "a.lmt")
            done = t.lmmeter("attach", str(pid), "-q", "--wait", "20s", "--for", "500ms", "-o", path, *options,
                             env={"LMMETER_DIR": folder}, timeout=60)
            return done, t.report(path) if done.status == 0 else None
        finally:
            for pid in (engine_below(p.pid), p.pid):
                if pid:
                    subprocess.run(["kill", "-9", str(pid)], check=False)


def engine_below(pid):
    """The process of that parent's that is the stand-in, once it is that program."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
            child = f.read().split()[0]
        return int(child) if os.path.basename(os.readlink(f"/proc/{child}/exe")) == "fake_engine" else None
    except (OSError, IndexError):
        return None


def test_wrapper_in_the_servers_place():
    wrapper = os.path.join(t.scratch(), "server")
    with open(wrapper, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nexec "{t.LMMETER}" run --dormant -- "{t.fake()[0]}" "$@"\n')
    os.chmod(wrapper, 0o755)
    done, rep = attach_below(parent("clear", wrapper, "tokens=100000", "prompt=20"))
    t.check(done.status == 0, done.err)
    t.check(rep["requests"][0]["output_tokens"] > 10, rep["requests"])


def test_inject_below_a_parent():
    if os.uname().machine != "x86_64":
        raise t.Skip("--inject is for x86-64")
    done, rep = attach_below(parent("clear", *t.fake("tokens=100000", "prompt=20")), "--inject")
    t.check(done.status == 0, done.err)
    t.check(rep["requests"][0]["output_tokens"] > 10, rep["requests"])


if __name__ == "__main__":
    t.main()
