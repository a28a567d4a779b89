#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter is put into a stand-in engine that was started without it; whoever cannot have it put in is told why."""

import ctypes
import glob
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

SLOW = {"FAKE_OP_NS": "20000"}  # 59 operators: a millisecond a token and more
NOBODY = 65534
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
PROBE = os.path.join(t.BUILD, "src", "probe")


class Engine:
    """A process without lmmeter, in which a stand-in makes tokens until it is ended."""

    def __init__(self, *options, command=None, preexec=None, env=None):
        self.folder = t.scratch()
        self.env = t.environment((), {"LMMETER_DIR": self.folder, **SLOW, **(env or {})})
        self.process = subprocess.Popen(command or t.fake("tokens=100000", "prompt=20", *options), env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        preexec_fn=preexec)  # pylint: disable=subprocess-popen-preexec-fn
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait(self):
        t.wait_for(lambda: "libggml-cpu" in self.maps(), 20, "the engine")
        return self

    def maps(self):
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as f:
            return f.read()

    def lives(self):
        t.check(self.process.poll() is None, "the engine has ended:", self.process.returncode)

    def attach(self, name, *options, inject=True):
        path = os.path.join(self.folder, name)
        done = t.lmmeter("attach", str(self.pid), "-q", "-o", path, *(["--inject"] if inject else []), *options,
                         env={"LMMETER_DIR": self.folder})
        return done, path

    def record(self, name, *options, inject=True):
        done, path = self.attach(name, "--for", "500ms", *options, inject=inject)
        t.check(done.status == 0, done.err)
        return t.report(path)

    def refused(self, *words):
        done, path = self.attach("refused.lmt", "--for", "100ms")
        t.check(done.status == 1, done.status, done.err)
        for word in words:
            t.check(word in done.err, word, "is not in:", done.err)
        t.check(not os.path.exists(path), "a file of nothing")
        t.note(done.err.strip())

    def leads_to_us(self):
        """Words of the engine's own data that lie in our library."""
        lines = [line.split(None, 5) for line in self.maps().splitlines()]
        spans = [[int(x, 16) for x in line[0].split("-")] for line in lines]
        ours = [span for line, span in zip(lines, spans) if len(line) > 5 and "liblmmeter" in line[5] and "x" in line[1]]
        found = 0
        with open(f"/proc/{self.pid}/mem", "rb") as mem:
            for line, span in zip(lines, spans):
                if len(line) < 6 or t.FAKE not in line[5] or "r" not in line[1]:
                    continue
                mem.seek(span[0])
                for (word,) in struct.iter_unpack("<Q", mem.read(span[1] - span[0])):
                    found += any(lo <= word < hi for lo, hi in ours)
        return found


def check_middle(rep):
    t.check_counts(rep)
    t.check(rep["records"]["invalid"] == 0, rep["records"])
    t.check(rep["level"]["reached"] == "kernels", rep["level"])
    t.check(any("put into the running process" in x for x in rep["level"]["reasons"]), rep["level"])
    t.check(len(rep["requests"]) == 1, rep["requests"])
    q = rep["requests"][0]
    t.check(q["joined"] and not q["complete"] and q["output_tokens"] > 10, q)
    t.check(rep["records"]["operators"] > 59 * 10, rep["records"])
    t.check(rep["session"]["engine"]["name"] == "llama.cpp", rep["session"]["engine"])
    sums = sum(p["total_ns"] for p in q["phases"]) + q["unaccounted_ns"]
    t.check(t.close(sums, q["wall_ns"], 0.01), sums, q["wall_ns"])
    for phase in ("decode", "sampling"):
        t.check(phase in t.phases(rep), phase, t.phases(rep).keys())


def test_put_in():
    """Recorded, left alone, recorded again: the second time the library is there already."""
    with Engine() as e:
        e.wait()
        t.check("liblmmeter" not in e.maps(), "the library is there before")
        done, path = e.attach("a.lmt", "--for", "500ms")
        t.check(done.status == 0 and re.search(r"thread \d+ \(.*\) was stopped for [\d.]+ ms", done.err), done.err)
        t.note(done.err.splitlines()[0])
        check_middle(t.report(path))
        t.check(e.leads_to_us() == 0, "after the recording", e.leads_to_us(), "words lead to lmmeter still")
        check_middle(e.record("b.lmt", inject=False))
        check_middle(e.record("c.lmt"))
        e.lives()


def test_only_while_recording():
    with Engine() as e:
        e.wait()
        p = subprocess.Popen([t.LMMETER, "attach", str(e.pid), "--inject", "-q", "-o", os.path.join(e.folder, "a.lmt")],
                             env=e.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        t.check("lmmeter is in" in p.stderr.readline().decode(), "put in")
        t.check("attached" in p.stderr.readline().decode(), "attached")
        t.check(e.leads_to_us() > 10, "while recording only", e.leads_to_us(), "words lead to lmmeter")
        done = t.lmmeter("detach", str(e.pid), env={"LMMETER_DIR": e.folder})
        t.check(done.status == 0 and p.wait(10) == 0, done.err)
        p.stderr.close()
        t.check(e.leads_to_us() == 0, e.leads_to_us(), "words lead to lmmeter still")
        e.lives()


def test_killed_recorder():
    """Nobody told the process that the recording is over: it notices, and nothing leads to lmmeter any more."""
    with Engine() as e:
        e.wait()
        p = subprocess.Popen([t.LMMETER, "attach", str(e.pid), "--inject", "-q", "-o", os.path.join(e.folder, "a.lmt")],
                             env=e.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        p.stderr.readline()
        p.stderr.readline()
        time.sleep(0.3)
        p.kill()
        p.wait()
        p.stderr.close()
        t.wait_for(lambda: e.leads_to_us() == 0, 10, "the imports to be put back")
        t.check(t.report(os.path.join(e.folder, "a.lmt"))["requests"], "requests")
        check_middle(e.record("b.lmt", inject=False))


def attach_and_kill(e, name):
    """lmmeter, and whoever it has started, at a random moment."""
    with subprocess.Popen([t.LMMETER, "attach", str(e.pid), "--inject", "-q", "-o", os.path.join(e.folder, name)], env=e.env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as p:
        time.sleep(random.uniform(0.001, 0.03))
        os.killpg(p.pid, signal.SIGKILL)


def test_killed_at_any_moment():
    """The engine goes on, and its text is what it would have been."""
    want = t.plain(t.fake("tokens=1000", "prompt=20"), env=SLOW).out
    kills = half_way = 0
    while kills < (200 if t.LONG else 25):
        with Engine(command=t.fake("tokens=1000", "prompt=20")) as e:
            e.wait()
            while e.process.poll() is None and "lmmeter-" not in e.maps():
                attach_and_kill(e, f"{kills}.lmt")
                kills += 1
            half_way += e.process.poll() is None
            out, _ = e.process.communicate(timeout=120)
            t.check(e.process.returncode == 0, e.process.returncode)
            t.check(out == want, "the text differs", len(out), len(want))
    t.note(kills, "killed,", half_way, "times when the library was in already")


def test_random_moments():
    """From its first moments on, while it loads its model too: the engine's text is always the same."""
    want = t.plain(t.fake("tokens=200", "prompt=20"), env=SLOW).out
    put_in = recorded = 0
    for i in range(50 if t.LONG else 10):
        with Engine(command=t.fake("tokens=200", "prompt=20", "threads=1")) as e:
            time.sleep(random.uniform(0, 0.2))
            done, path = e.attach("a.lmt")
            out, _ = e.process.communicate(timeout=60)
            t.check(e.process.returncode == 0, e.process.returncode, done.err)
            t.check(out == want, "the text differs")
            put_in += done.status == 0
            if done.status == 0:
                rep = t.report(path)
                t.check_counts(rep)
                recorded += rep["records"]["operators"] > 0
            else:
                t.check("cannot" in done.err or "did not" in done.err, done.err)
    t.note(put_in, "put in,", recorded, "with operators, of", i + 1)
    t.check(recorded > i / 4, "hardly any was recorded")


def test_opencl():
    """Queues that are there already: their commands are counted, and each recording finds them again."""
    folder = os.path.join(t.FAKE, "opencl")
    program = os.path.join(folder, "clplay")
    if not os.path.exists(program):
        raise t.Skip("built without OpenCL")
    log = os.path.join(t.scratch(), "log")
    with Engine(command=[program, "decode", "1000000"], env={"OCL_ICD_VENDORS": folder, "FAKECL": f"ns=20000 log={log}"}) as e:
        t.wait_for(lambda: "libOpenCL" in e.maps(), 20, "OpenCL")
        time.sleep(0.5)
        for i in range(3):
            rep = e.record(f"{i}.lmt")
            t.check_counts(rep)
            t.check(rep["level"]["reached"] == "phases", rep["level"])
            t.check(any("made before the recording, without profiling" in x for x in rep["level"]["reasons"]), rep["level"])
            t.check({k["name"] for k in rep["kernels"]} == {"add", "mul", "norm", "read", "write"}, rep["kernels"])
            t.check(rep["records"]["stored"] > 300, rep["records"])
            t.check(e.leads_to_us() == 0, "words lead to lmmeter still")
        e.lives()


# ---- who cannot ------------------------------------------------------------------------------------

def compiled(folder, name, *options):
    source = os.path.join(folder, "wait.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write("int llama_decode(void) { return 0; }\nint main(void) { for (;;); }\n")
    program = os.path.join(folder, name)
    done = subprocess.run([os.environ.get("CC", "cc"), source, "-o", program, *options], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise t.Skip(f"cannot compile with {options}: {done.stderr.strip()[:200]}")
    return program


def test_static_program():
    with Engine(command=[compiled(t.scratch(), "static", "-static")]) as e:
        time.sleep(0.2)
        e.refused("static program")
        e.lives()


def test_32_bits():
    with Engine(command=[compiled(t.scratch(), "small", "-m32", "-static", "-nostdlib", "-Wl,--entry=main")]) as e:
        time.sleep(0.2)
        e.refused("32-bit")


def test_another_c_library():
    """By its loader's name; the loader itself is the usual one here."""
    folder = t.scratch()
    loader = os.path.join(folder, "ld-musl-x86_64.so.1")
    shutil.copy("/lib64/ld-linux-x86-64.so.2", loader)
    with Engine(command=[compiled(folder, "musl", f"-Wl,--dynamic-linker={loader}")]) as e:
        time.sleep(0.2)
        e.refused("not glibc", "lmmeter run")
        e.lives()


def test_no_engine():
    with Engine(command=["sleep", "100"]) as e:
        time.sleep(0.2)
        e.refused("no engine")
        e.lives()


def test_traced_already():
    libc = ctypes.CDLL(None, use_errno=True)
    with Engine() as e:
        e.wait()
        t.check(libc.ptrace(PTRACE_SEIZE, e.pid, None, None) == 0, "cannot trace a child of my own")
        e.refused(f"process {os.getpid()} traces it")
        libc.ptrace(PTRACE_INTERRUPT, e.pid, None, None)
        os.waitpid(e.pid, 0)
        t.check(libc.ptrace(PTRACE_DETACH, e.pid, None, None) == 0, "detach")
        check_middle(e.record("a.lmt"))


def test_stopped():
    with Engine() as e:
        e.wait()
        os.kill(e.pid, signal.SIGSTOP)
        time.sleep(0.2)
        e.refused("stopped", "kill -CONT")
        os.kill(e.pid, signal.SIGCONT)
        check_middle(e.record("a.lmt"))


def filter_all():
    """A filter that lets everything pass: nobody outside knows."""
    class Program(ctypes.Structure):
        _fields_ = [("n", ctypes.c_ushort), ("code", ctypes.c_void_p)]
    allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000), 8)
    program = Program(1, ctypes.addressof(allow))
    libc = ctypes.CDLL(None)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        os._exit(99)


def test_filtered():
    with Engine(preexec=filter_all) as e:
        e.wait()
        e.refused("seccomp")
        e.lives()


def test_another_root():
    """The library's folder is something else where the process is."""
    if os.geteuid() != 0:
        raise t.Skip("needs to be root to give a process another root")
    with Engine(command=["unshare", "-m", "sh", "-c", f"mount -t tmpfs none '{PROBE}' && exec \"$@\"", "sh",
                         *t.fake("tokens=100000", "prompt=20")]) as e:
        try:
            e.wait()
        except t.Failed as why:
            raise t.Skip("no name space of its own for a process here") from why
        e.refused("another root", "liblmmeter-inject.so")
        e.lives()


def test_another_user():
    if os.geteuid() != 0:
        raise t.Skip("needs to be root to become another user")
    with Engine() as e:
        e.wait()
        done = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", t.LMMETER, "attach",
                               str(e.pid), "--inject"], env=e.env, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        if done.returncode in (126, 127):
            raise t.Skip("another user cannot execute the build")
        t.check(done.returncode == 1 and "another user's" in done.stderr, done.stderr)
        t.check("liblmmeter" not in e.maps(), "another user has put it in")


def test_preloaded_but_not_called():
    """The library is there, but no engine was called: it is woken, and its hooks are bound already."""
    with Engine(command=["sh", "-c", "sleep 2; exec \"$@\"", "sh", *t.fake("tokens=10")],
                env={"LD_PRELOAD": os.path.join(PROBE, "liblmmeter.so")}) as e:
        t.wait_for(lambda: "liblmmeter" in e.maps(), 10, "the library")
        done, _ = e.attach("a.lmt", "--for", "100ms")
        # the shell is no engine
        t.check(done.status == 1 and "no engine" in done.err, done.err)
        t.check(not glob.glob(os.path.join(e.folder, "lmmeter-*", "c*")), "a page")


if __name__ == "__main__":
    t.main()
