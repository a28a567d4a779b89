#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`lmmeter serve` and `lmmeter run --prometheus`: what Prometheus gets while a stand-in engine runs, and whom else they answer.

Everything goes over the loopback; ports are the kernel's choice.
"""

import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

SLOW = {"FAKE_OP_NS": "20000"}  # 59 operators: a millisecond a token and more
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
HISTOGRAMS = {"gen_ai_server_time_to_first_token_seconds": 16, "gen_ai_server_time_per_output_token_seconds": 13,
              "gen_ai_server_request_duration_seconds": 14}


def parse(text):
    """{(name, labels): value} of text exposition 0.0.4; fails on what breaks its rules."""
    kinds, samples = {}, {}
    t.check(text.endswith("\n"), "the last line has no end")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            t.check(name not in kinds, "described twice:", name)
            kinds[name] = kind
            continue
        got = SAMPLE.fullmatch(line)
        t.check(got, "no sample:", line)
        name, labels, value = got.groups()
        family = name if name in kinds else re.sub("_(bucket|sum|count)$", "", name)
        t.check(family == list(kinds)[-1], "not behind its description:", line)
        t.check((name, labels or "") not in samples, "twice:", line)
        samples[(name, labels or "")] = float(value)
    for name, kind in kinds.items():
        t.check(kind != "counter" or name.endswith("_total"), "a counter's name:", name)
    return samples


def of(samples, name, **labels):
    """The one of that name with these labels among others."""
    got = [v for (n, ls), v in samples.items() if n == name and all(f'{k}="{w}"' in ls for k, w in labels.items())]
    t.check(len(got) == 1, name, labels, got)
    return got[0]


def has(samples, name):
    return any(n == name for n, _ in samples)


def ask(url, method="GET", path=None, timeout=20):
    """(status, headers, text)"""
    host, _, target = url.removeprefix("http://").partition("/")
    con = http.client.HTTPConnection(host, timeout=timeout)
    try:
        con.request(method, path or "/" + target)
        answer = con.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        con.close()


def scrape(url):
    status, headers, text = ask(url)
    t.check(status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", status, headers)
    return parse(text)


def record(*options, run=(), env=None, command=None):
    """A recording that is going on: (process, folder, file)."""
    folder = t.scratch()
    path = os.path.join(folder, "t.lmt")
    p = subprocess.Popen([t.LMMETER, "run", "-q", "-o", path, *run, "--", *(command or t.fake(*options))],
                         env=t.environment((), {"LMMETER_DIR": folder, **SLOW, **(env or {})}), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    t.wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 2000, 20, "the recording")
    return p, folder, path


def recorded(*options):
    done = t.record(t.fake(*options), options=["-q"], env=SLOW)
    return done.trace


class Serve:
    """`lmmeter serve`, from its first line to a signal."""

    def __init__(self, *what, folder=None, where="127.0.0.1:0"):
        self.p = subprocess.Popen([t.LMMETER, "serve", "--prometheus", where, *what],
                                  env=t.environment((), {"LMMETER_DIR": folder} if folder else {}), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        self.url = self.p.stdout.readline().decode().strip()
        if not self.url:
            err = self.p.stderr.read().decode()
            if "built without libmicrohttpd" in err:
                raise t.Skip("lmmeter was built without libmicrohttpd")
            t.check(False, "it does not serve:", err)
        return self

    def __exit__(self, *why):
        self.p.send_signal(signal.SIGINT)
        self.err = self.p.communicate(timeout=20)[1].decode()
        if why[0] is None:
            t.check(self.p.returncode == 0, "exit", self.p.returncode, self.err)


def same(samples, rep):
    """The figures of a recording that has ended are the report's."""
    tokens = rep["tokens"]
    for name, key in (("time_to_first_token", "ttft"), ("time_per_output_token", "tpot")):
        name = f"gen_ai_server_{name}_seconds"
        t.check(of(samples, name + "_count") == tokens[key]["count"], name, tokens[key])
        t.check(t.close(of(samples, name + "_sum") * 1e9, tokens[key]["total_ns"], 1e-9, 2), name, tokens[key])
        t.check(of(samples, name + "_bucket", le="+Inf") == tokens[key]["count"], name)
    name = "gen_ai_server_request_duration_seconds"
    t.check(of(samples, name + "_count") == len(rep["requests"]), name)
    t.check(t.close(of(samples, name + "_sum") * 1e9, sum(q["wall_ns"] for q in rep["requests"]), 1e-9, 100), name)
    t.check(of(samples, "lmmeter_requests_total") == len(rep["requests"]), "requests")
    t.check(of(samples, "lmmeter_tokens_total", kind="output") == sum(q["output_tokens"] for q in rep["requests"]), "tokens")
    t.check(of(samples, "lmmeter_tokens_total", kind="prompt") == rep["steps"]["prefill_tokens"], "prompt tokens")
    for p in rep["phases"]:
        if not p["warmup_only"]:
            t.check(t.close(of(samples, "lmmeter_phase_seconds_total", phase=p["phase"]) * 1e9, p["total_ns"], 1e-9, 2), p)
    kernels = sum(v for (n, _), v in samples.items() if n == "lmmeter_kernel_seconds_total")
    t.check(t.close(kernels * 1e9, sum(k["estimate_ns"] for k in rep["kernels"]), 1e-9, 100), "kernels", kernels)
    t.check(of(samples, "lmmeter_records_total") == rep["records"]["stored"], "records")
    t.check(of(samples, "lmmeter_records_lost_total") == rep["records"]["lost"], "lost")
    t.check(of(samples, "lmmeter_recording_ended") == 1, "ended")


def check_buckets(samples, values):
    """Counts up to each boundary, of the values in seconds that they were made of."""
    for name, n in HISTOGRAMS.items():
        got = [(ls, v) for (s, ls), v in samples.items() if s == name + "_bucket"]
        t.check(len(got) == n + 1, name, got)
        counts = [v for _, v in got]
        t.check(counts == sorted(counts), name, counts)
        for labels, count in got:
            le = float(re.search('le="([^"]+)"', labels).group(1).replace("+Inf", "inf"))
            low, high = (sum(v <= le * x for v in values[name]) for x in (0.992, 1.008))
            t.check(low <= count <= high, name, le, count, low, high)


def values_of(rep):
    q = rep["requests"]
    return {"gen_ai_server_time_to_first_token_seconds": [x["ttft_ns"] / 1e9 for x in q if x["ttft_ns"] is not None],
            "gen_ai_server_time_per_output_token_seconds": [x["tpot_ns"] / 1e9 for x in q if x["tpot_ns"] is not None],
            "gen_ai_server_request_duration_seconds": [x["wall_ns"] / 1e9 for x in q]}


def not_back(before, after):
    """Counters never go back."""
    for key, value in before.items():
        if re.search("(_total|_bucket|_sum|_count)$", key[0]):
            t.check(after.get(key, -1) >= value, "went back:", key, value, after.get(key))


def test_follows_a_recording():
    p, folder, path = record("requests=30", "tokens=40", "prompt=20", "warmup=1")
    seen = []
    with Serve(folder=folder) as s:
        while p.poll() is None:
            seen.append(scrape(s.url))
            time.sleep(0.1)
        t.check(p.returncode == 0, p.stderr.read())
        time.sleep(0.3)
        last = scrape(s.url)
        seen += [last, scrape(s.url)]
    t.check("has ended" in s.err, s.err)
    for before, after in zip(seen, seen[1:]):
        not_back(before, after)
    tokens = [of(x, "lmmeter_tokens_total", kind="output") for x in seen]
    t.check(len(set(tokens)) > 2 and not of(seen[0], "lmmeter_recording_ended"), tokens)
    t.note(len(seen), "scrapes, tokens", tokens[:8])
    same(last, t.report(path))
    check_buckets(last, values_of(t.report(path)))


def test_file_pid_and_end():
    trace = recorded("requests=3", "tokens=9")
    with Serve(trace) as s:
        same(scrape(s.url), t.report(trace))
        t.check('model="' in ask(s.url)[2] and "/" not in re.search('gen_ai_request_model="([^"]*)"', ask(s.url)[2]).group(1), "model")
    p, folder, path = record("tokens=100000")
    with Serve(str(p.pid), folder=folder) as s:
        t.check(not of(scrape(s.url), "lmmeter_recording_ended"), "it goes on")
        engine = children(p.pid)
        p.kill()
        p.wait(20)
        for pid in engine:
            os.kill(pid, signal.SIGKILL)
        t.wait_for(lambda: of(scrape(s.url), "lmmeter_recording_ended"), 20, "the end of a recording that was killed")
        t.wait_for(lambda: of(scrape(s.url), "lmmeter_requests_total") == 1, 5, "the request that was open")


def test_one_request_is_counted_when_it_ends():
    p, folder, _ = record("tokens=100000")
    with Serve(folder=folder) as s:
        made = [0]

        def more():
            now = scrape(s.url)
            t.check(of(now, "lmmeter_requests_total") == 0, "requests")
            if of(now, "lmmeter_tokens_total", kind="output") > made[-1]:
                made.append(of(now, "lmmeter_tokens_total", kind="output"))
            return len(made) > 3

        t.wait_for(more, 60, "tokens of a request that runs")
    p.terminate()
    p.wait(60)


def test_run_serves():
    p, folder, path = record("requests=20", "tokens=40", run=["--prometheus", "127.0.0.1:0"])
    line = p.stderr.readline().decode()
    if "built without" in line:
        raise t.Skip("lmmeter was built without libmicrohttpd")
    url = re.search(r"http://127\.0\.0\.1:\d+/metrics", line).group(0)
    seen = []
    while p.poll() is None:
        try:
            seen.append(scrape(url))
        except (ConnectionError, http.client.HTTPException):
            break
        if not check_listens(p.pid, 1, url):
            break
        for child in children(p.pid):
            check_listens(child, 0)
        time.sleep(0.1)
    t.check(p.wait(60) == 0 and len(seen) > 2, len(seen))
    for before, after in zip(seen, seen[1:]):
        not_back(before, after)
    rep = t.report(path)
    t.check(0 < of(seen[-1], "lmmeter_requests_total") <= len(rep["requests"]), "requests")
    t.check(of(seen[-1], "lmmeter_tokens_total", kind="output") <= sum(q["output_tokens"] for q in rep["requests"]), "tokens")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def listening():
    """{inode of a socket that listens}"""
    found = set()
    for name in ("tcp", "tcp6"):
        if os.path.exists(f"/proc/net/{name}"):
            with open(f"/proc/net/{name}", encoding="ascii") as f:
                found |= {line.split()[9] for line in f.readlines()[1:] if line.split()[3] == "0A"}
    return found


def check_listens(pid, wanted, url=None):
    """False: it has stopped serving meanwhile, as it does before it ends."""
    inodes, links = listening(), []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        pass
    got = [x for x in links if x.startswith("socket:[") and x[8:-1] in inodes]
    if not got and wanted and url:
        try:
            scrape(url)
        except (ConnectionError, http.client.HTTPException):
            return False
    # it may have ended while we looked
    t.check(len(got) == wanted or not os.path.exists(f"/proc/{pid}/fd/0"), pid, "listens on", got)
    return True


def test_nothing_listens_unasked():
    p, folder, path = record("tokens=100000")
    check_listens(p.pid, 0)
    with Serve(path) as s:
        check_listens(s.p.pid, 1)
    p.terminate()
    p.wait(60)


def test_answers():
    with Serve(recorded("tokens=9")) as s:
        text = ask(s.url)[2]
        status, headers, body = ask(s.url, "HEAD")
        t.check(status == 200 and body == "" and abs(int(headers["Content-Length"]) - len(text)) < 50, status, headers)
        for path in ("/", "/metric", "/metrics/", "/../etc/passwd"):
            t.check(ask(s.url, path=path)[0] == 404, path)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, headers, _ = ask(s.url, method)
            t.check(status == 405 and headers["Allow"] == "GET, HEAD", method, status)
        t.check(ask(s.url, path="/metrics?x=1")[0] == 200, "a query")
        host, port = s.url.removeprefix("http://").split("/")[0].split(":")
        con = http.client.HTTPConnection(host, int(port), timeout=20)
        for _ in range(3):
            con.request("GET", "/metrics")
            t.check(con.getresponse().read(), "the same connection again")
        con.close()
        for rubbish in (b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/1.1\r\nA: " + b"x" * 60000 + b"\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=20) as c:
                try:
                    c.sendall(rubbish)
                    c.shutdown(socket.SHUT_WR)
                    while c.recv(65536):
                        pass
                except OSError:
                    pass
        scrape(s.url)


def test_slow_and_many_clients():
    with Serve(recorded("tokens=9")) as s:
        host, port = s.url.removeprefix("http://").split("/")[0].split(":")
        idle = [socket.create_connection((host, int(port)), timeout=20) for _ in range(12)]
        for c in idle[:6]:
            c.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        for _ in range(300):
            t.check(ask(s.url)[0] == 200, "beside clients that say nothing")
        # more than are served at once: those wait until the silent ones are cut off
        idle += [socket.create_connection((host, int(port)), timeout=20) for _ in range(8)]
        start = time.monotonic()
        t.check(ask(s.url, timeout=60)[0] == 200, "behind clients that say nothing")
        t.note(f"behind 20 silent clients after {time.monotonic() - start:.1f} s")
        t.check(all(select.select([c], [], [], 20)[0] for c in idle[:6]), "a silent client is not cut off")
        for c in idle:
            c.close()


def test_refusals():
    trace = recorded("tokens=3")
    with Serve(trace) as s:
        taken = s.url.removeprefix("http://").split("/")[0]
        done = t.lmmeter("serve", "--prometheus", taken, trace)
        t.check(done.status == 1 and "in use" in done.err and not done.out, done.err)
    for where in ("9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ":9464", "here:9464", "[::1:9464", "1.2.3:1"):
        for command in (["serve", "--prometheus", where, trace], ["run", "--prometheus", where, "--", "true"]):
            done = t.lmmeter(*command)
            t.check(done.status == (2 if command[0] == "serve" else 125) and "ADDRESS:PORT" in done.err, where, done.status, done.err)
    for where in ("0.0.0.0:0", "[::]:0", "192.0.2.1:9464"):
        done = t.lmmeter("serve", "--prometheus", where, trace)
        t.check(done.status == 2 and "--allow-remote" in done.err, where, done.err)
    done = t.lmmeter("serve", "--allow-remote", "--prometheus", "192.0.2.1:9464", trace)
    t.check(done.status == 1 and "cannot listen" in done.err, done.err)
    done = t.lmmeter("serve", trace)
    t.check(done.status == 2 and "--prometheus 127.0.0.1:9464" in done.err, done.err)
    for what in ("/nowhere.lmt", os.path.join(t.ROOT, "README.md")):
        done = t.lmmeter("serve", "--prometheus", "127.0.0.1:0", what)
        t.check(done.status == 1 and "cannot read" in done.err and not done.out, done.err)


def test_ends_cleanly():
    trace = recorded("tokens=3")
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Serve(trace) as s:
            scrape(s.url)
            s.p.send_signal(sig)
            t.check(s.p.wait(20) == 0, sig)


def test_promtool():
    got = t.plain([os.path.join(t.ROOT, "tests", "export", "promtool.sh")], timeout=200)
    if got.status == 77:
        raise t.Skip(got.err.strip().splitlines()[-1].removeprefix("SKIP: "))
    promtool = got.out.decode().strip()
    for trace in (recorded("requests=3", "tokens=9"), recorded("slots=3", "tokens=9"), recorded("tokens=0")):
        with Serve(trace) as s:
            done = t.plain([promtool, "check", "metrics"], stdin=ask(s.url)[2].encode())
            t.check(done.status == 0 and not done.out and not done.err, done.out.decode(), done.err)
    bad = t.plain([promtool, "check", "metrics"], stdin=b"# HELP a_count x\n# TYPE a_count counter\na_count 1\n")
    t.check(bad.status != 0, "promtool says nothing about a bad name")


if __name__ == "__main__":
    t.main()
