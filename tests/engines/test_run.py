#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`lmmeter run` as a command in front of a command: what goes through it unchanged, and what happens when things are missing."""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402


def run_in(folder, *command, options=(), **more):
    whole = [t.LMMETER, "run", *options, "--", *command]
    return subprocess.run(whole, cwd=folder, env=more.pop("env", t.environment()), input=more.pop("stdin", b""),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False, **more)


def leavings():
    """Sessions' folders of this user that nobody holds any more."""
    out = []
    for base in ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp"):
        if base and os.path.isdir(base):
            out += [os.path.join(base, n) for n in os.listdir(base) if n.startswith("lmmeter")]
    return set(out)


def test_no_engine():
    folder = t.scratch()
    before = leavings()
    done = run_in(folder, "true")
    t.check(done.returncode == 0 and done.stdout == b"", done)
    t.check(b"no engine" in done.stderr.lower(), done.stderr)
    t.check(os.listdir(folder) == [], "a run without an engine left", os.listdir(folder))
    t.check(leavings() <= before, "left:", leavings() - before)


def test_exit_statuses():
    folder = t.scratch()
    t.check(run_in(folder, "sh", "-c", "exit 3").returncode == 3, "exit 3")
    t.check(run_in(folder, "/etc/passwd").returncode == 126, "not executable")
    t.check(run_in(folder, "/nowhere/at/all").returncode == 127, "not found")
    t.check(run_in(folder, "no-such-command-here").returncode == 127, "not on the path")
    t.check(run_in(folder, "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM, "signal")
    t.check(run_in(folder, "sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL, "SIGKILL")
    t.check(run_in(folder).returncode == 125, "no command: lmmeter itself failed")


def test_input_and_output_go_through():
    folder = t.scratch()
    data = bytes(range(256)) * 4096
    done = run_in(folder, "cat", stdin=data)
    t.check(done.stdout == data, "cat returned", len(done.stdout), "bytes of", len(data))
    done = run_in(folder, "sh", "-c", "echo to-stderr >&2; echo to-stdout")
    t.check(done.stdout == b"to-stdout\n" and b"to-stderr\n" in done.stderr, done)


def test_environment_is_kept():
    folder = t.scratch()
    env = t.environment([t.COUNTER], {"SOME_VARIABLE": "a b\tc"})
    done = run_in(folder, "sh", "-c", 'printf "%s|%s" "$SOME_VARIABLE" "$LD_PRELOAD"', env=env)
    value, preload = done.stdout.decode().split("|")
    t.check(value == "a b\tc", done.stdout)
    t.check(preload.startswith(t.COUNTER + ":"), "the user's own preload is not in front:", preload)


def test_arguments_are_kept():
    folder = t.scratch()
    args = ["", "two words", "*", "-o", "--json", "--", "ü"]
    done = run_in(folder, sys.executable, "-c", "import sys; print(sys.argv[1:])", *args)
    t.check(done.stdout.decode().strip() == str(args), done.stdout)


def test_signals_go_through():
    for number in (signal.SIGTERM, signal.SIGHUP):
        folder = t.scratch()
        script = 'trap "echo got it; exit 5" TERM HUP; echo ready; while :; do sleep 0.05; done'
        with subprocess.Popen([t.LMMETER, "run", "--", "sh", "-c", script], cwd=folder, env=t.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            t.check(p.stdout.readline() == b"ready\n", "not started")
            p.send_signal(number)
            t.check(p.stdout.readline() == b"got it\n", "the signal did not arrive")
            t.check(p.wait(20) == 5, "exit", p.returncode)


def test_interrupt_from_the_terminal():
    """Ctrl-C reaches the whole foreground group; lmmeter lives on until the command has ended."""
    folder = t.scratch()
    with subprocess.Popen([t.LMMETER, "run", "-o", "t.lmt", "--", *t.fake("tokens=100000")], cwd=folder, env=t.environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as p:
        p.stdout.read(64)
        os.killpg(p.pid, signal.SIGINT)
        _, err = p.communicate(timeout=30)
    t.check(p.returncode == -signal.SIGINT, "exit", p.returncode, err[-500:])
    rep = t.report(os.path.join(folder, "t.lmt"))
    t.check_counts(rep)
    t.check(rep["session"]["complete"] and rep["session"]["exit_signal"] == signal.SIGINT, rep["session"])


def test_output_is_never_overwritten():
    folder = t.scratch()
    path = os.path.join(folder, "t.lmt")
    with open(path, "w", encoding="utf-8") as f:
        f.write("mine")
    done = run_in(folder, *t.fake("tokens=2"), options=["-o", path])
    with open(path, encoding="utf-8") as f:
        t.check(f.read() == "mine", "an existing file was overwritten")
    t.check(b"t.lmt" in done.stderr, done.stderr)


def unprivileged():
    """What to put before a command so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*nobody, "test", "-x", t.LMMETER], stderr=subprocess.DEVNULL, check=False).returncode:
        raise t.Skip("another user cannot reach the build folder")
    return nobody


def test_read_only_folder():
    """The trace has no place: one clear line; the command is not harmed."""
    folder = t.scratch()
    os.chmod(folder, 0o555)
    done = subprocess.run([*unprivileged(), t.LMMETER, "run", "--", *t.fake("tokens=3")], cwd=folder, env=t.environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    bare = t.plain(t.fake("tokens=3"))
    t.note(done.returncode, done.stderr.decode()[-300:].strip())
    t.check(done.returncode in (0, 125), done)
    t.check(done.stdout == bare.out or (done.returncode == 125 and not done.stdout), "output", done.stdout)
    t.check(b"ermission" in done.stderr or b"ead-only" in done.stderr, done.stderr)


def test_full_disk():
    """/dev/full takes the place of a disk without room, and a small tmpfs where mounting is allowed."""
    folder = t.scratch()
    script = (f"mount -t tmpfs -o size=16k tmpfs {folder} && cd {folder} && exec {t.LMMETER} run -o {folder}/t.lmt -- "
              + " ".join(t.fake("tokens=3000")))
    can = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False)
    if os.geteuid() != 0 or can.returncode != 0:
        raise t.Skip("mounting a small disk needs root")
    env = t.environment(env={"FAKE_OP_NS": "300", "FAKE_TOP_K_NS": "1000"})
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    bare = t.plain(t.fake("tokens=3000"), env={"FAKE_OP_NS": "0"})
    t.check(done.stdout == bare.out, "the command's output changed", len(done.stdout), len(bare.out))
    t.check(done.returncode == 0, "exit", done.returncode, done.stderr[-500:])
    t.check(b"no space" in done.stderr.lower(), "nothing was said:", done.stderr[-800:])


def test_setuid_target():
    """The loader ignores LD_PRELOAD there; the command runs as ever."""
    if os.geteuid() != 0:
        raise t.Skip("making a setuid program needs root")
    folder = t.scratch()
    os.chmod(folder, 0o755)
    for up in (folder, os.path.dirname(folder)):
        os.chmod(up, 0o755)
    target = os.path.join(folder, "id")
    with open("/usr/bin/id", "rb") as a, open(target, "wb") as b:
        b.write(a.read())
    os.chmod(target, 0o4755)
    done = subprocess.run([*unprivileged(), t.LMMETER, "run", "--", target, "-u"], cwd="/", env=t.environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    t.check(done.returncode == 0 and done.stdout == b"0\n", done)


def test_lmmeter_is_killed():
    """The engine goes on undisturbed, and what was recorded can be recovered."""
    folder = t.scratch()
    bare = t.plain(t.fake("tokens=400"))
    path = os.path.join(folder, "t.lmt")
    with subprocess.Popen([t.LMMETER, "run", "-o", path, "--", *t.fake("tokens=400")], cwd=folder, env=t.environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        time.sleep(0.15)
        p.kill()
        out, _ = p.communicate(timeout=60)
    t.check(out == bare.out, "the engine's output changed", len(out), len(bare.out))
    rep = t.report(path)
    t.check_counts(rep)
    t.note(rep["records"], "complete:", rep["session"]["complete"])


def test_startup():
    """What `lmmeter run` adds to a command that does nothing: told, and judged only where something waits."""
    folder = t.scratch()

    def best(*command):
        low = 1e9
        for _ in range(12):
            start = time.monotonic()
            subprocess.run(command, cwd=folder, env=t.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
            low = min(low, time.monotonic() - start)
        return low

    added = best(t.LMMETER, "run", "--", "true") - best("true")
    t.note(f"lmmeter run adds {added * 1e3:.1f} ms")
    t.check(added < 1, added)


if __name__ == "__main__":
    t.main()
