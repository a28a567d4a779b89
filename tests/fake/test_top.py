#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The live view on a real (pseudo) terminal, and as JSON: what it shows of a recording is what the report says."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

SLOW = {"FAKE_OP_NS": "20000"}  # 59 operators: a millisecond a token and more


def record(tokens, *options, folder=None, name="t.lmt", command=None):
    """A recording that is going on: (process, folder, file)."""
    folder = folder or t.scratch()
    path = os.path.join(folder, name)
    env = t.environment((), {"LMMETER_DIR": folder, **SLOW})
    command = command or t.fake(f"tokens={tokens}", "prompt=20")
    p = subprocess.Popen([t.LMMETER, "run", "-q", "-o", path, *options, "--", *command], env=env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 2000, 20, "the recording")
    return p, folder, path


def lines(p, count):
    return [json.loads(p.stdout.readline()) for _ in range(count)]


def same(shown, rep):
    """The object says what the report does."""
    t.check(shown["schema"] == "lmmeter.top/1", shown)
    for key in ("ttft", "tpot", "itl"):
        for value in shown[key]:
            t.check(shown[key][value] == rep["tokens"][key][value], key, shown[key], rep["tokens"][key])
    t.check(shown["output_tokens_per_second"] == rep["tokens"]["output_tokens_per_second"], shown)
    wanted = {p["phase"]: (p["count"], p["total_ns"], p["share_percent"]) for p in rep["phases"] if p["share_percent"] is not None}
    t.check({p["phase"]: (p["count"], p["total_ns"], p["share_percent"]) for p in shown["phases"]} == wanted, shown["phases"], wanted)
    t.check([(k["name"], k["estimate_ns"]) for k in shown["kernels"]] ==
            [(k["name"], k["estimate_ns"]) for k in rep["kernels"][:10]], shown["kernels"])
    t.check(shown["output_tokens"] == sum(q["output_tokens"] for q in rep["requests"]), shown)
    numbers = {p["pid"]: p["process"] for p in rep["session"]["processes"]}
    for e in shown["engines"]:
        own = [q["output_tokens"] for q in rep["requests"] if q["process"] == numbers[e["pid"]]]
        t.check((e["requests"], e["output_tokens"]) == (len(own), sum(own)), e, own)


def test_json_follows():
    p, folder, path = record(3000)
    env = t.environment((), {"LMMETER_DIR": folder})
    for what in ([path], [], [str(p.pid)]):
        with subprocess.Popen([t.LMMETER, "top", "--json", *what], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as top:
            first, second = lines(top, 2)
            top.send_signal(signal.SIGINT)
            rest = top.stdout.read().splitlines()
            t.check(top.wait(10) == 0, what, top.stderr.read())
        t.check(not first["ended"] and first["output_tokens_per_second_now"] is None, first)
        t.check(second["output_tokens"] > first["output_tokens"] > 0, what, first, second)
        t.check(second["duration_ns"] > first["duration_ns"], first, second)
        t.check(0 < second["output_tokens_per_second_now"] < 2 * second["output_tokens_per_second"], second)
        t.check(len(rest) <= 1, rest)
    with subprocess.Popen([t.LMMETER, "top", "--json", path], env=env, stdout=subprocess.PIPE) as top:
        last = [json.loads(line) for line in top.stdout][-1]
        t.check(top.wait(60) == 0 and last["ended"], last)
    t.check(p.wait(60) == 0, "run")
    same(last, t.report(path))


def test_compacted_file_is_followed():
    """--max-size puts a shorter file in the place of the one that is read."""
    p, folder, path = record(1500, "--max-size", "100K")
    with subprocess.Popen([t.LMMETER, "top", "--json", path], env=t.environment((), {"LMMETER_DIR": folder}),
                          stdout=subprocess.PIPE) as top:
        seen = [json.loads(line) for line in top.stdout]
        t.check(top.wait(60) == 0 and seen[-1]["ended"], seen[-1:])
    t.check(p.wait(60) == 0, "run")
    same(seen[-1], t.report(path))


def machine(folder, microjoules):
    """A modelled machine that draws power."""
    for path, text in (("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "2400000"),
                       ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "4700000"),
                       ("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp"),
                       ("sys/class/thermal/thermal_zone0/temp", "61250"),
                       ("sys/class/powercap/intel-rapl:0/name", "package-0"),
                       ("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850"),
                       ("sys/class/powercap/intel-rapl:0/energy_uj", str(microjoules))):
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="ascii") as f:  # in place, as the kernel does
            f.write(text + "\n")
    os.makedirs(os.path.join(folder, "proc"), exist_ok=True)


def test_machine():
    """Clock, heat and power as the files have them; what is absent is named."""
    tree = t.scratch()
    machine(tree, 1000000)
    p, folder, path = record(1200, "--sysfs", tree)
    env = t.environment((), {"LMMETER_DIR": folder})
    with subprocess.Popen([t.LMMETER, "top", "--json", path], env=env, stdout=subprocess.PIPE) as top:
        first = lines(top, 1)[0]["machine"]
        machine(tree, 101000000)
        # 100 J in between: whatever the rounds are, the sum over the lines is that
        seen = [json.loads(line) for line in top.stdout]
        t.check(top.wait(60) == 0, "top")
    p.wait(60)
    t.check((first["cpu_hz"], first["cpu_limit_hz"], first["hottest_celsius"], first["hottest"]) ==
            (2400000000, 4700000000, 61.25, "x86_pkg_temp") and first["power_mw"] in (0, None), first)
    t.check(first["gpu_hz"] is None and "GPU" in first["absent"] and not first["throttled"], first)
    powers = [s["machine"]["power_mw"] for s in seen]
    t.check(max(powers) > 0, powers)
    rep = t.report(path)
    t.check(abs(rep["energy"]["total_uj"] - 1e8) < 1, rep["energy"])
    same(seen[-1], rep)


def test_nothing_to_read():
    p, folder, path = record(300, "--sysfs", t.scratch())
    p.wait(60)
    done = t.lmmeter("top", "--json", path)
    shown = json.loads(done.out.splitlines()[-1])["machine"]
    t.check([shown[k] for k in ("cpu_hz", "gpu_hz", "gpu_load_percent", "hottest_celsius", "hottest", "power_mw")] == [None] * 6, shown)
    t.check({"CPU frequency", "temperature", "power"} <= set(shown["absent"]), shown)


def test_several_engines():
    """Two processes with an engine in one recording, each with its own tokens."""
    both = '"$@" tokens=1500 & "$@" tokens=700 & wait'
    p, folder, path = record(0, command=["sh", "-c", both, "sh", *t.fake("prompt=20")])
    env = t.environment((), {"LMMETER_DIR": folder})
    with subprocess.Popen([t.LMMETER, "top", "--json", path], env=env, stdout=subprocess.PIPE) as top:
        seen = [json.loads(line) for line in top.stdout]
        t.check(top.wait(60) == 0, "top")
    p.wait(60)
    rep = t.report(path)
    same(seen[-1], rep)
    got = sorted(e["output_tokens"] for e in seen[-1]["engines"])
    # two that compute nothing write faster than a busy machine reads; what is lost is counted
    t.check(got == [700, 1500] or (rep["records"]["lost"] and got[0] <= 700 and got[1] <= 1500), got, rep["records"])
    going = [s for s in seen if len(s["engines"]) == 2 and all(e["output_tokens_per_second_now"] for e in s["engines"])]
    for s in going:
        each = sum(e["output_tokens_per_second_now"] for e in s["engines"])
        t.check(abs(each - s["output_tokens_per_second_now"]) < 0.01 * each, s)


def test_several_recordings():
    folder = t.scratch()
    first, _, one = record(6000, folder=folder, name="one.lmt")
    second, _, two = record(6000, folder=folder, name="two.lmt")
    env = {"LMMETER_DIR": folder}
    done = t.lmmeter("top", "--json", env=env)
    t.check(done.status == 1 and not done.out and one in done.err and two in done.err, done.status, done.err)
    done = t.lmmeter("top", "--list", "--json", env=env)
    shown = json.loads(done.out)
    t.check(shown["schema"] == "lmmeter.recordings/1" and [r["file"] for r in shown["recordings"]] == [two, one], shown)
    t.check([r["lmmeter_pid"] for r in shown["recordings"]] == [second.pid, first.pid], shown)
    done = t.lmmeter("top", "--list", env=env)
    t.check(done.status == 0 and done.out.splitlines()[1].startswith(b"%d " % shown["recordings"][1]["pid"]), done.out)
    with subprocess.Popen([t.LMMETER, "top", "--json", str(shown["recordings"][1]["pid"])], env=t.environment((), env),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as top:
        lines(top, 1)
        top.stdout.close()  # the reader has seen enough
        t.check(top.wait(10) == 0 and not top.stderr.read(), "top whose reader has gone")
    try:
        choose(t.environment((), env))
    finally:
        for p in (first, second):
            p.terminate()
            p.wait(60)
    done = t.lmmeter("top", "--list", env=env)
    t.check(done.out == b"no recording of yours is going on\n", done.out)


def choose(env):
    has_screen(env)
    x = Terminal([t.LMMETER, "top"], env)
    x.expect(rb"Recordings that go on")
    x.send(b"\x1b[B\r")
    x.expect(rb"tokens/s")
    x.send(b"e")
    x.expect(rb"process")
    x.send(b"s")
    x.expect(rb"Sensor")
    seen = len(x.seen)
    x.send(b"n")
    x.expect(rb"(?s).{%d}.*the newest first" % seen)
    x.send(b"1")
    x.expect(rb"(?s)the newest first.*TTFT")
    x.send(b"nq")
    t.check(x.wait() == 0, x.seen[-500:])


class Terminal:
    """A program on a pseudo terminal of its own."""

    def __init__(self, command, env, rows=24, columns=80):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {**env, "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                return False
            if not got:
                return False
            self.seen += got
        return True

    def expect(self, pattern, seconds=20):
        def found():
            self.read()
            return re.search(pattern, self.seen)
        t.wait_for(found, seconds, pattern.decode())

    def send(self, keys):
        os.write(self.fd, keys)

    def wait(self):
        deadline = time.monotonic() + 60
        while self.read() and time.monotonic() < deadline:
            pass
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return status


def has_screen(env):
    done = subprocess.run([t.LMMETER, "run", "-q", "--live", "-o", os.path.join(t.scratch(), "t.lmt"), "--", "true"], env=env,
                          stderr=subprocess.PIPE, start_new_session=True, check=False)
    if b"built without ncursesw" in done.stderr:
        raise t.Skip("lmmeter was built without ncursesw")


def test_screen():
    p, folder, path = record(4000)
    env = t.environment((), {"LMMETER_DIR": folder})
    has_screen(env)
    x = Terminal([t.LMMETER, "top"], env)
    x.expect(rb"tokens/s")
    x.expect("\u2588".encode())
    x.send(b"r")
    x.expect(rb"cached")
    x.resize(40, 120)
    x.send(b"?")
    x.expect(rb"the recording goes on")
    x.send(b"q")
    t.check(x.wait() == 0, x.seen[-500:])
    t.check(b"\x1b[?1049l" in x.seen, "the screen was not put back", x.seen[-200:])
    x = Terminal([t.LMMETER, "top"], env)
    x.expect(rb"tokens/s")
    x.send(b"\x03")  # Ctrl-C
    t.check(x.wait() == 0, x.seen[-500:])
    p.terminate()
    p.wait(60)
    t.report(path)


def test_run_live():
    """The command's output and exit status come through when the view is gone."""
    folder = t.scratch()
    path = os.path.join(folder, "t.lmt")
    env = t.environment((), {"LMMETER_DIR": folder, **SLOW})
    has_screen(env)
    script = 'echo to-stdout; echo to-stderr >&2; "$@" >/dev/null; exit 7'
    x = Terminal([t.LMMETER, "run", "-q", "--live", "-o", path, "--", "sh", "-c", script, "sh", *t.fake("tokens=800", "prompt=20")], env)
    x.expect(rb"tokens/s")
    t.check(b"to-std" not in x.seen, "it wrote into the picture")
    status = x.wait()
    t.check(os.WIFEXITED(status) and os.WEXITSTATUS(status) == 7, status)
    t.check(x.seen.count(b"to-stdout") == 1 and x.seen.count(b"to-stderr") == 1, x.seen[-500:])
    t.check(x.seen.index(b"to-stdout") > x.seen.index(b"\x1b[?1049l"), "it wrote into the picture")
    t.check(t.report(path)["requests"][0]["output_tokens"] == 800, "the recording")


def test_errors():
    env = {"LMMETER_DIR": t.scratch()}
    for what, word in ((["1"], "in process 1"), (["/nowhere.lmt"], "cannot read /nowhere.lmt"),
                       ([os.path.join(t.ROOT, "README.md")], "cannot read")):
        done = t.lmmeter("top", "--json", *what, env=env)
        t.check(done.status == 1 and word in done.err and not done.out, what, done.status, done.err)


if __name__ == "__main__":
    t.main()
