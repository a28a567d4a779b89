#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama-server with two slots and four clients at once: requests told apart, tokens as the server itself counts them."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402
import truth  # noqa: E402

WORDS = ["red", "green", "blue", "white"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, path, body=None, timeout=60):
    con = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        con.request("POST" if body else "GET", path, json.dumps(body) if body else None)
        answer = con.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        con.close()


class Server:
    """llama-server under `lmmeter run`, from its start to SIGTERM, which goes to lmmeter as a terminal's would."""

    def __init__(self, slots, context=2048, options=()):
        self.folder = t.scratch()
        self.port = free_port()
        command = [os.path.join(t.engine("server")[0], "llama-server"), "-m", t.model(), "--host", "127.0.0.1", "--port",
                   str(self.port), "-np", str(slots), "-t", "1", "-tb", "2", "-c", str(context), "--no-webui", *options]
        whole = [t.LMMETER, "run", "-o", os.path.join(self.folder, "t.lmt"), "--json", os.path.join(self.folder, "r.json"),
                 "--", *command]
        env = t.environment([t.RECORDER, t.COUNTER], {"TEST_RECORDER": os.path.join(self.folder, "recorder"),
                                                      "TEST_COUNTER": os.path.join(self.folder, "counter")})
        self.log = open(os.path.join(self.folder, "log"), "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(whole, env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        t.wait_for(self.ready, 60, "llama-server")
        return self

    def ready(self):
        t.check(self.process.poll() is None, "the server ended:", self.said())
        try:
            return ask(self.port, "/health", timeout=2)[0] == 200
        except OSError:
            time.sleep(0.1)
            return False

    def said(self):
        with open(os.path.join(self.folder, "log"), "rb") as f:
            return f.read().decode("utf-8", "replace")[-3000:]

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.status = self.process.wait(30)
        finally:
            if self.process.poll() is None:
                self.process.kill()

    def report(self):
        with open(os.path.join(self.folder, "r.json"), encoding="utf-8") as f:
            return json.load(f)


def complete(port, prompt, n, answers):
    status, body = ask(port, "/completion", {"prompt": prompt, "n_predict": n, "temperature": 0, "cache_prompt": True,
                                             "ignore_eos": True})
    answers.append((status, body))


def test_four_clients_on_two_slots():
    with Server(2) as server:
        answers, clients = [], []
        for i, word in enumerate(WORDS):
            prompt = f"The color {word} is often seen in " + "very " * (3 * i) + "many places because"
            clients.append(threading.Thread(target=complete, args=(server.port, prompt, 12 + 4 * i, answers)))
        for c in clients:
            c.start()
        for c in clients:
            c.join()
        # a longer prompt with a beginning that is in a slot's cache
        complete(server.port, "The color red is often seen in many places because of the", 8, answers)
    t.check(all(s == 200 for s, _ in answers), [s for s, _ in answers])
    rep = server.report()
    t.check_counts(rep)
    t.check(rep["records"]["invalid"] == 0, rep["records"])
    counts = sum((list(c) for c in truth.counts(server.folder).values()), [])
    t.check(counts[0] >= rep["records"]["operators"] >= counts[1] > 0, counts, rep["records"])

    def told(timings):
        return (timings["prompt_n"] + timings["cache_n"], timings["cache_n"], timings["predicted_n"])

    want = sorted(told(b["timings"]) for _, b in answers)
    got = sorted((r["prompt_tokens"], r["cached_tokens"], r["output_tokens"]) for r in rep["requests"])
    t.note("(prompt, cached, output) by the server:", want)
    t.note("                            by lmmeter:", got)
    t.check(got == want, "requests differ")
    t.check(any(c for _, c, _ in want), "no answer came from the cache; the test shows nothing")
    t.check(any("waiting" in t.request_phases(r) for r in rep["requests"]), "four requests on two slots, none waited")
    for r in rep["requests"]:
        parts = {k: v for k, v in t.request_phases(r).items() if k != "unaccounted"}
        whole = sum(parts.values()) + r["unaccounted_ns"]
        t.check(t.close(whole, r["wall_ns"], 0.001), "phases + unaccounted", whole, "wall", r["wall_ns"])
    t.check(server.status in (0, -signal.SIGTERM, 128 + signal.SIGTERM), "exit", server.status, server.said())


def test_full_context():
    """Three answers share 256 positions: when they are full the server is refused, says so, and tries again with less or gives up."""
    with Server(3, 256, ["--kv-unified"]) as server:
        answers = []
        clients = [threading.Thread(target=complete, args=(server.port, f"The color {word} is", 200, answers)) for word in WORDS[:3]]
        for c in clients:
            c.start()
        for c in clients:
            c.join()
    with open(os.path.join(server.folder, "log"), "rb") as f:
        said = f.read().decode("utf-8", "replace")
    refused = len(re.findall(r"decode: .*ret = 1$", said, re.M))
    rep = server.report()
    t.note("refused by the server's log:", refused, "by lmmeter:", rep["context_refusals"])
    t.check(rep["context_refusals"]["count"] == refused > 0, rep["context_refusals"], refused, said[-3000:])
    # any two do not fit together; who was refused altogether has an error, and made as many tokens as it decoded, and one
    failed = [r for r in rep["requests"] if r["context_refusals"]]
    t.check(len(rep["requests"]) == 3 and len(failed) == sum(s != 200 for s, _ in answers) >= 2, [s for s, _ in answers], rep["requests"])
    t.check(all(r["decode_steps"] == r["output_tokens"] - 1 for r in rep["requests"]), rep["requests"])


if __name__ == "__main__":
    t.main()
