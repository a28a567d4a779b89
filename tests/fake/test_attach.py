#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recording is switched on and off in a stand-in engine that runs; whoever may not do so is told why."""

import glob
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

SLOW = {"FAKE_OP_NS": "20000"}  # 59 operators: a millisecond a token and more
NOBODY = 65534


class Engine:
    """A stand-in that makes tokens until it is ended, with the library asleep in it."""

    def __init__(self, *options, how="dormant", env=None):
        self.folder = t.scratch()
        self.env = t.environment((), {"LMMETER_DIR": self.folder, **SLOW, **(env or {})})
        command = t.fake("tokens=100000", "prompt=20", *options)
        if how == "dormant":
            command = [t.LMMETER, "run", "--dormant", "--", *command]
        elif how == "preloaded":
            self.env["LD_PRELOAD"] = os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")
        elif how == "run":
            command = [t.LMMETER, "run", "-q", "-o", os.path.join(self.folder, "run.lmt"), "--", *command]
        self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def control(self):
        return glob.glob(os.path.join(self.folder, "lmmeter-*", f"c{self.pid}"))

    def wait(self):
        """Until it is in the middle of its first request."""
        t.wait_for(self.control, 20, "the control page")
        busy = self.cpu_s()
        t.wait_for(lambda: self.cpu_s() > busy + 0.2, 20, "some tokens")

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def attach(self, name, *options):
        """An attachment that goes on: (process, file)."""
        path = os.path.join(self.folder, name)
        p = subprocess.Popen([t.LMMETER, "attach", str(self.pid), "-q", "-o", path, *options], env=self.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return p, path

    def attach_for(self, name, seconds, *options):
        p, path = self.attach(name, "--for", f"{seconds}s", *options)
        err = p.stderr.read().decode()
        t.check(p.wait(30) == 0, "attach", err)
        return path

    def call(self, command, *options):
        return t.lmmeter(command, str(self.pid), *options, env={"LMMETER_DIR": self.folder})

    def maps(self):
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as f:
            return f.read()


def attached(p):
    """Waits for the line that says so."""
    line = p.stderr.readline().decode()
    t.check(re.search(r"attached to process \d+ in [\d.]+ ms", line), line)


def check_middle(path):
    """A recording of the middle of one request."""
    rep = t.report(path)
    t.check_counts(rep)
    t.check(rep["records"]["lost"] == 0 and rep["records"]["invalid"] == 0, rep["records"])
    t.check(rep["level"]["reached"] == "kernels" and not rep["level"]["reasons"], rep["level"])
    t.check(len(rep["requests"]) == 1, rep["requests"])
    q = rep["requests"][0]
    t.check(q["joined"] and not q["complete"] and q["ttft_ns"] is None, q)
    t.check(q["prompt_tokens"] == q["cached_tokens"] == q["prefill_steps"] == 0, q)
    t.check(q["output_tokens"] > 5 and q["tpot_ns"] > 1e6, q)
    t.check(rep["tokens"]["ttft"]["count"] == 0, rep["tokens"])
    t.check(rep["tokens"]["itl"]["count"] == q["output_tokens"] - 1, rep["tokens"], q)
    t.check("prefill" not in t.phases(rep), t.phases(rep).keys())
    t.check(rep["session"]["engine"]["name"] == "llama.cpp", rep["session"]["engine"])
    t.check(rep["session"]["model"]["file"], rep["session"]["model"])
    sums = sum(p["total_ns"] for p in q["phases"]) + q["unaccounted_ns"]
    t.check(t.close(sums, q["wall_ns"], 0.01), sums, q["wall_ns"])
    return rep


def test_on_and_off():
    for how in ("dormant", "preloaded"):
        with Engine(how=how) as e:
            e.wait()
            first = check_middle(e.attach_for("a.lmt", 0.5))
            second = check_middle(e.attach_for("b.lmt", 0.5))
            t.check(first["session"]["id"] != second["session"]["id"], "two sessions")
            t.check(first["session"]["model"] == second["session"]["model"], first["session"]["model"])
            os.kill(e.pid, signal.SIGTERM)
            t.check(e.process.wait(10) == -signal.SIGTERM, e.process.returncode)


def test_whole_requests_are_not_joined():
    """Requests that begin after the recording has are whole, the one that it began in is not."""
    with Engine("tokens=60", "requests=1000") as e:
        e.wait()
        rep = t.report(e.attach_for("a.lmt", 3))
        t.check(rep["requests_summary"]["total"] > 2, rep["requests_summary"])
        joined = [q["joined"] for q in rep["requests"]]
        t.check(sum(joined) <= 1 and not any(joined[1:]), joined)
        for q in rep["requests"][1:-1]:
            t.check(q["output_tokens"] == 60 and q["prompt_tokens"] == 20 and q["ttft_ns"] > 0, q)


def test_slots_are_joined():
    with Engine("slots=3") as e:
        e.wait()
        rep = t.report(e.attach_for("a.lmt", 0.5))
        t.check(len(rep["requests"]) == 3, rep["requests"])
        for q in rep["requests"]:
            t.check(q["joined"] and q["output_tokens"] > 5 and q["cached_tokens"] == 0, q)


def test_detach():
    with Engine() as e:
        e.wait()
        t.check("is not being recorded" in e.call("detach").err, "detached from nothing")
        p, path = e.attach("a.lmt")
        attached(p)
        time.sleep(0.3)
        second = e.call("attach", "-q", "-o", os.path.join(e.folder, "b.lmt"))
        t.check(second.status == 1 and "recorded already" in second.err, second.err)
        t.check(not os.path.exists(os.path.join(e.folder, "b.lmt")), "a file of a refused attachment")
        done = e.call("detach")
        t.check(done.status == 0, done.err)
        t.check(p.wait(10) == 0, p.stderr.read())
        p.stderr.close()
        check_middle(path)


def test_ctrl_c_and_exit():
    with Engine() as e:
        e.wait()
        p, path = e.attach("a.lmt")
        attached(p)
        time.sleep(0.3)
        p.send_signal(signal.SIGINT)
        t.check(p.wait(10) == 0, p.stderr.read())
        p.stderr.close()
        check_middle(path)
    with Engine("tokens=700") as e:
        e.wait()
        p, path = e.attach("a.lmt")
        attached(p)
        t.check(e.process.wait(30) == 0, e.process.returncode)
        t.check(p.wait(10) == 0, p.stderr.read())
        p.stderr.close()
        rep = t.report(path)
        t.check(rep["requests"][0]["joined"] and rep["requests"][0]["complete"], rep["requests"])
        t.check(not e.control(), "the page is left")


def test_killed_asker():
    """The engine notices by itself that nobody records any more, and can be attached to again."""
    with Engine() as e:
        e.wait()
        p, path = e.attach("a.lmt")
        attached(p)
        time.sleep(0.3)
        p.kill()
        p.wait()
        p.stderr.close()
        page = e.control()[0]
        t.wait_for(lambda: joined_word(page) == 0, 30, "the engine to leave")
        rep = t.report(path)
        t.check(rep["records"]["lost"] == 0 and rep["requests"][0]["output_tokens"] > 5, rep["records"])
        check_middle(e.attach_for("b.lmt", 0.5))


def joined_word(page):
    """is_joined of struct lmm_shm_control."""
    with open(page, "rb") as f:
        return int.from_bytes(f.read()[32:36], "little")


def test_killed_engine():
    with Engine() as e:
        e.wait()
        p, path = e.attach("a.lmt")
        attached(p)
        time.sleep(0.3)
        e.process.kill()
        t.check(p.wait(10) == 0, p.stderr.read())
        p.stderr.close()
        rep = t.report(path)
        t.check_counts(rep)
        t.check(rep["requests"][0]["output_tokens"] > 5, rep["requests"])


def test_nothing_grows():
    """Twenty recordings leave no mapping more than one does, whatever the engine's threads were doing."""
    with Engine("slots=2", "threads=2", "contexts=2") as e:
        e.wait()
        seen = []
        for i in range(20 if t.LONG else 6):
            rep = t.report(e.attach_for("a.lmt", round(random.uniform(0.05, 0.3), 3), "--threads", "all"))
            t.check_counts(rep)
            os.unlink(os.path.join(e.folder, "a.lmt"))
            seen.append(e.maps().count("/lmmeter-"))
        t.check(max(seen[1:]) <= seen[0] + 2, seen)
        t.check(e.process.poll() is None, "the engine has ended")


def test_stopped_engine():
    with Engine() as e:
        e.wait()
        os.kill(e.pid, signal.SIGSTOP)
        done = e.call("attach", "-q", "-o", os.path.join(e.folder, "a.lmt"))
        os.kill(e.pid, signal.SIGCONT)
        t.check(done.status == 1 and "does not answer" in done.err, done.err)
        t.check(not os.path.exists(os.path.join(e.folder, "a.lmt")), "a file of nothing")
        check_middle(e.attach_for("b.lmt", 0.5))


def test_refused():
    for pid, why in ((1 << 22, "no such process"), (os.getpid(), "library is not in it")):
        done = t.lmmeter("attach", str(pid))
        t.check(done.status == 1 and why in done.err, done.err)
    for arguments in (["attach"], ["attach", "x1"], ["attach", "-3"], ["attach", "1", "--for", "never"], ["detach"]):
        t.check(t.lmmeter(*arguments).status == 2, arguments)
    with Engine(how="run") as e:
        recorded = t.wait_for(lambda: children(e.pid), 10, "the command")
        t.wait_for(lambda: "/session" in open(f"/proc/{recorded}/maps", encoding="utf-8").read(), 10, "the session")
        done = t.lmmeter("attach", str(recorded), env={"LMMETER_DIR": e.folder})
        t.check(done.status == 1 and "recorded already" in done.err, done.err)
        os.kill(recorded, signal.SIGKILL)
        e.process.wait(10)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
        words = f.read().split()
    return int(words[0]) if words else None


def test_no_engine_yet():
    """A program with the library in which no engine was called: --wait waits."""
    library = os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")
    folder = t.scratch()
    env = t.environment((library,), {"LMMETER_DIR": folder, **SLOW})
    with subprocess.Popen(["sh", "-c", "sleep 1; exec \"$@\"", "sh", *t.fake("tokens=1000")], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as p:
        t.wait_for(lambda: "liblmmeter" in open(f"/proc/{p.pid}/maps", encoding="utf-8").read(), 10, "the library")
        done = t.lmmeter("attach", str(p.pid), env={"LMMETER_DIR": folder})
        t.check(done.status == 1 and "no engine has been called" in done.err, done.err)
        path = os.path.join(folder, "a.lmt")
        done = t.lmmeter("attach", str(p.pid), "-q", "--wait", "20s", "--for", "300ms", "-o", path, env={"LMMETER_DIR": folder})
        t.check(done.status == 0, done.err)
        t.check(t.report(path)["requests"], "requests")
        p.kill()


def test_another_user():
    if os.geteuid() != 0:
        raise t.Skip("needs to be root to become another user")
    with Engine() as e:
        e.wait()
        page = e.control()[0]
        t.check(os.stat(page).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(page)).st_mode & 0o777 == 0o700, page)
        done = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", t.LMMETER, "attach",
                               str(e.pid)], env=e.env, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        if done.returncode in (126, 127):
            raise t.Skip("another user cannot execute the build")
        t.check(done.returncode == 1 and "another user's" in done.stderr, done.stderr)
        opened = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat", page],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False)
        t.check(opened.returncode != 0, "another user has read the page")
        check_middle(e.attach_for("a.lmt", 0.5))


def test_children_sleep_alone():
    """A child that goes on with the engine is asleep in its own right, also when its parent is recorded."""
    with Engine("fork=1", "tokens=300", "requests=4") as e:
        e.wait()
        child = t.wait_for(lambda: children(e.pid), 90, "the child")
        t.wait_for(lambda: glob.glob(os.path.join(e.folder, "lmmeter-*", f"c{child}")), 30, "its page")
        path = os.path.join(e.folder, "child.lmt")
        done = t.lmmeter("attach", str(child), "-q", "--for", "500ms", "-o", path, env={"LMMETER_DIR": e.folder})
        t.check(done.status == 0, done.err)
        rep = t.report(path)
        t.check([p["pid"] for p in rep["session"]["processes"]] == [child], rep["session"]["processes"])
        os.kill(child, signal.SIGKILL)


NAMESPACES = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--ipc", "sh", "-c"]


def need_namespaces():
    done = subprocess.run([*NAMESPACES, "mount -t tmpfs none /dev/shm"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, text=True, timeout=30, check=False)
    if done.returncode:
        raise t.Skip(f"name spaces cannot be made here: {done.stderr.strip()}")


def test_container_is_attached_to():
    """Its own numbers, its own memory file system: it is found through /proc."""
    need_namespaces()
    folder = t.scratch()
    env = t.environment((), {"LMMETER_DIR": folder, **SLOW})
    inside = f"mount -t tmpfs -o mode=755 none {folder} && exec \"$@\""
    with subprocess.Popen([*NAMESPACES, inside, "sh", t.LMMETER, "run", "--dormant", "--", *t.fake("tokens=100000", "prompt=20")],
                          env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as p:
        try:
            pid = t.wait_for(lambda: children(p.pid), 10, "the engine")
            t.wait_for(lambda: "/lmmeter-" in open(f"/proc/{pid}/maps", encoding="utf-8").read(), 20, "the control page")
            time.sleep(0.5)
            for name in ("a.lmt", "b.lmt"):
                path = os.path.join(folder, name)
                done = t.lmmeter("attach", str(pid), "-q", "--for", "500ms", "-o", path, env={"LMMETER_DIR": folder})
                t.check(done.status == 0, done.err)
                t.check([x["pid"] for x in t.report(path)["session"]["processes"]] == [pid], pid)
                check_middle(path)
        finally:
            p.kill()


def test_container_is_run():
    """`lmmeter run` outside, the engine inside with other numbers: the recording ends when it does."""
    need_namespaces()
    folder = t.scratch()
    done = t.record([*NAMESPACES, "exec \"$@\"", "sh", *t.fake("tokens=50", "prompt=20")], env={"LMMETER_DIR": folder, **SLOW})
    t.check(done.status == 0 and "still run" not in done.err, done.err)
    rep = done.report
    t.check_counts(rep)
    t.check(rep["session"]["processes"][0]["pid"] > 2 and rep["requests"][0]["complete"], rep["session"]["processes"])
    t.check(rep["requests"][0]["output_tokens"] == 50, rep["requests"])


def test_bad_page():
    """A page that says nonsense is refused, and the engine goes on."""
    with Engine() as e:
        e.wait()
        page = e.control()[0]
        with open(page, "r+b") as f:
            f.write(b"\xff" * 8)
        done = e.call("attach")
        t.check(done.status == 1 and "cannot attach" in done.err, done.err)
        t.check(e.process.poll() is None, "the engine has ended")


if __name__ == "__main__":
    t.main()
