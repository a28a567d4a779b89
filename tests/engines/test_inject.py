#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter is put into engines that were started without it, while they load, read a prompt, make tokens, or wait: their text stays what
it is, and what they do from then on is recorded."""

import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import test_server as server  # noqa: E402

TOKENS = 100
LONG_PROMPT = "one two three four five six seven eight nine ten " * 12


class Running:
    """A command without lmmeter, and attachments to it."""

    def __init__(self, command):
        self.folder = t.scratch()
        self.env = t.environment((), {"LMMETER_DIR": self.folder})
        self.out = open(os.path.join(self.folder, "out"), "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()

    def said(self):
        # a description of our own: the process writes where its own stands
        with open(os.path.join(self.folder, "out"), "rb") as f:
            return f.read()

    def attach(self, name, *options, timeout=180):
        path = os.path.join(self.folder, name)
        done = t.lmmeter("attach", str(self.process.pid), "--inject", "-q", "-o", path, *options, env={"LMMETER_DIR": self.folder},
                         timeout=timeout)
        return done, path

    def end(self, want, *what):
        t.check(self.process.wait(180) == 0, "exit", self.process.returncode, *what)
        t.check(self.said() == want, "the text differs:", want, self.said(), *what)


def stopped_ms(done):
    return float(re.search(r"was stopped for ([\d.]+) ms", done.err).group(1))


def check_recorded(path, *phases):
    rep = t.report(path)
    t.check_counts(rep)
    t.check(rep["records"]["invalid"] == 0, rep["records"])
    t.check(rep["level"]["reached"] == "kernels", rep["level"])
    t.check(rep["records"]["operators"] > 500, rep["records"])
    # its file was opened before
    t.check("smollm2" in rep["session"]["model"]["name"].lower(), rep["session"]["model"])
    for phase in phases:
        t.check(phase in t.phases(rep), phase, "is not among", t.phases(rep).keys())
    return rep


def test_completion_that_decodes():
    command = t.completion(TOKENS)
    want = t.plain(command).out
    with Running(command) as e:
        t.wait_for(lambda: len(e.said()) > len(t.PROMPT) + 10, 60, "some text")
        done, path = e.attach("a.lmt")
        t.check(done.status == 0, done.err)
        t.note(done.err.splitlines()[0])
        e.end(want)
    rep = check_recorded(path, "decode", "copy_to_cpu", "softmax", "sampling", "detokenize")
    q = rep["requests"]
    t.check(len(q) == 1 and q[0]["joined"] and 0 < q[0]["output_tokens"] < TOKENS, q)


def test_on_its_only_thread():
    """A program without a thread that waits: the one that computes makes the call."""
    command = [os.path.join(t.engine("llama")[0], "simple"), t.model(), "1", "150", t.PROMPT]
    want = t.plain(command).out
    with Running(command) as e:
        time.sleep(1)
        done, path = e.attach("a.lmt")
        t.check(done.status == 0, done.err)
        t.note(done.err.splitlines()[0])
        e.end(want)
    t.check(re.search(r"running in lib(ggml|llama)", done.err), done.err)
    check_recorded(path, "decode")


def test_any_moment():
    """While it is loaded, loads its model, reads a prompt, makes tokens."""
    command = t.completion(24, prompt=LONG_PROMPT)
    start = time.monotonic()
    want = t.plain(command).out
    takes = time.monotonic() - start
    times, put_in, recorded, stops = 50 if t.LONG else 5, 0, 0, []
    for i in range(times):
        wait = random.uniform(0, takes)
        with Running(command) as e:
            time.sleep(wait)
            done, path = e.attach("a.lmt")
            e.end(want, f"after {wait:.3f} s", done.err)
            put_in += done.status == 0
            if done.status:
                t.check(any(x in done.err for x in ("cannot", "did not", "it has ended")), done.err)
                continue
            stops.append(stopped_ms(done))
            rep = t.report(path)
            t.check_counts(rep)
            recorded += rep["records"]["operators"] > 0
    t.note(f"{put_in} of {times} put in, {recorded} with operators; stopped for", sorted(stops), "ms")
    t.check(recorded >= times / 3, "hardly any was recorded")


def test_server_that_waits():
    folder = t.engine("server")[0]
    port = server.free_port()
    command = [os.path.join(folder, "llama-server"), "-m", t.model(), "--host", "127.0.0.1", "--port", str(port), "-np", "1", "-t",
               "1", "-tb", "2", "-c", "2048", "--no-webui"]

    def ready():
        try:
            return server.ask(port, "/health", timeout=2)[0] == 200
        except OSError:
            return False

    def text():
        status, body = server.ask(port, "/completion", {"prompt": t.PROMPT, "n_predict": 24, "temperature": 0, "ignore_eos": True,
                                                        "cache_prompt": False})
        t.check(status == 200, status, body)
        return body["content"], body["timings"]["predicted_n"], body["timings"]["prompt_n"]

    with Running(command) as e:
        t.wait_for(ready, 60, "llama-server")
        pid = engine_pid(e.process.pid)
        want = text()
        path = os.path.join(e.folder, "a.lmt")
        with subprocess.Popen([t.LMMETER, "attach", str(pid), "--inject", "-q", "-o", path], env=e.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as p:
            line = p.stderr.readline().decode()
            t.check("lmmeter is in" in line, line)
            t.note(line.strip())
            t.check("attached" in p.stderr.readline().decode(), "attached")
            t.check(text() == want, "the text differs")
            p.send_signal(signal.SIGINT)
            t.check(p.wait(20) == 0, p.stderr.read())
        t.check(text() == want, "the text differs afterwards")
        rep = check_recorded(path, "tokenize", "prefill", "decode", "sampling", "detokenize")
        q = rep["requests"]
        t.check([(x["prompt_tokens"], x["output_tokens"], x["joined"]) for x in q] == [(want[2], want[1], False)], q)
        os.kill(pid, signal.SIGTERM)


def engine_pid(pid):
    """The server itself: what is started may be a script around it."""
    while True:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as f:
            words = f.read().split()
        if not words:
            return pid
        pid = int(words[0])


def test_bench():
    command = [os.path.join(t.engine("llama")[0], "llama-bench"), "-m", t.model(), "-t", "1", "-p", "64", "-n", "32", "-r", "3", "-o",
               "json"]
    with Running(command) as e:
        time.sleep(1.5)
        done, path = e.attach("a.lmt")
        t.check(done.status == 0, done.err)
        t.note(done.err.splitlines()[0])
        t.check(e.process.wait(120) == 0, "exit", e.process.returncode)
    check_recorded(path, "decode")


def test_ctypes():
    """Python holds addresses that it asked for before: passes are seen by their graphs, and the report says so."""
    command = [sys.executable, os.path.join(t.ROOT, "tests", "engines", "ctypes_generate.py"), t.engine("python")[0], t.model(), "1",
               "450", t.PROMPT]
    want = t.plain(command).out
    with Running(command) as e:
        time.sleep(1)
        done, path = e.attach("a.lmt")
        t.check(done.status == 0, done.err)
        t.note(done.err.splitlines()[0])
        e.end(want)
    rep = t.report(path)
    t.check_counts(rep)
    t.check("decode" in t.phases(rep) and rep["records"]["operators"] > 500, rep["records"], t.phases(rep).keys())
    t.check(any("llama_decode()" in x for x in rep["level"]["reasons"]), rep["level"])


if __name__ == "__main__":
    t.main()
