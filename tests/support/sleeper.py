# SPDX-License-Identifier: Apache-2.0
"""A program with the library asleep in it, to be attached to while it runs."""

import functools
import os
import re
import subprocess
import time

import lmmtest as t

PROBE = os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")


class Span:
    """A recording of a running program: its file and report, and instants (CLOCK_MONOTONIC, ns) of what the test did."""

    def __init__(self, process, path, asked_ns):
        self.process, self.path, self.asked_ns = process, path, asked_ns
        line = process.stderr.readline().decode()
        t.check(re.search(r"attached to process \d+ in [\d.]+ ms", line), line, process.stderr.read() if not line else "")
        self.attached_ns = time.monotonic_ns()
        self.leaving_ns = self.left_ns = None

    def end(self):
        """Waits until `lmmeter attach` has left."""
        err = self.process.stderr.read().decode()
        t.check(self.process.wait(60) == 0, "attach", err)
        self.process.stderr.close()
        self.left_ns = time.monotonic_ns()
        return self

    @functools.cached_property
    def report(self):
        """Made when it is asked for: the program runs on meanwhile, and may be asked for more spans."""
        report = t.report(self.path)
        t.check_counts(report)
        return report


class Sleeper:
    def __init__(self, command, env=None, how="dormant", options=()):
        self.folder = t.scratch()
        self.env = t.environment((), {"LMMETER_DIR": self.folder, **(env or {})})
        if how == "dormant":
            command = [t.LMMETER, "run", "--dormant", *options, "--", *command]
        elif how == "preloaded":
            self.env.update(LD_PRELOAD=PROBE, OPENCL_LAYERS=PROBE)
        self.n = 0
        with open(os.path.join(self.folder, "out"), "wb") as out, open(os.path.join(self.folder, "err"), "wb") as err:
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.PIPE, stdout=out, stderr=err)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def wait_for_page(self, seconds=60):
        t.wait_for(lambda: any(f"c{self.pid}" in files for _, _, files in os.walk(self.folder)), seconds, "the control page")

    def attach(self, *options):
        """A recording that goes on until detach()."""
        self.n += 1
        path = os.path.join(self.folder, f"{self.n}.lmt")
        asked_ns = time.monotonic_ns()
        p = subprocess.Popen([t.LMMETER, "attach", str(self.pid), "-q", "-o", path, *options], env=self.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return Span(p, path, asked_ns)

    def detach(self, span):
        span.leaving_ns = time.monotonic_ns()
        done = t.lmmeter("detach", str(self.pid), env={"LMMETER_DIR": self.folder})
        t.check(done.status == 0, "detach", done.err)
        return span.end()

    def attach_for(self, seconds, *options):
        span = self.attach(*options)
        time.sleep(seconds)
        return self.detach(span)

    def attach_to_work(self, seconds, *options):
        """The same for so much of its CPU time, however busy the machine is."""
        span = self.attach(*options)
        until = self.cpu_s() + seconds
        t.wait_for(lambda: self.cpu_s() >= until or self.process.poll() is not None, 100, f"{seconds} s of CPU time")
        return self.detach(span)

    def finish(self, timeout=200):
        """Its exit status, once it has ended by itself."""
        status = self.process.wait(timeout)
        self.out, self.err = (self.text(name) for name in ("out", "err"))
        return status

    def text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
