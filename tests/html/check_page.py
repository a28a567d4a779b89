#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a page of `lmmeter report --html` as text: check_page.py PAGE.html REPORT.json [--size BYTES].

Elements close in order, ids are there once, nothing is loaded, no marker is left, the policy names the very script and style,
and the data say what the report says.
"""
import base64
import hashlib
import html.parser
import json
import sys

VOID = {"meta", "br", "link", "img", "input", "hr"}
LOADS = {"src", "href", "srcset", "data", "action", "poster", "xlink:href", "style"}


def check(ok, *what):
    if not ok:
        raise SystemExit("check_page: " + " ".join(str(w) for w in what))


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.text, self.policy, self.headings = [], [], {}, "", []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        for name in attrs:
            check(name not in LOADS and not name.startswith("on"), tag, attrs)
        if "id" in attrs:
            check(attrs["id"] not in self.ids, "twice:", attrs["id"])
            self.ids.append(attrs["id"])
        if attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = attrs["content"]
        if tag not in VOID:
            self.open.append(tag + (":" + attrs["id"] if tag == "script" and "id" in attrs else ""))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        check(self.open and self.open[-1].split(":")[0] == tag, f"</{tag}> closes", self.open, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        where = self.open[-1] if self.open else ""
        self.text[where] = self.text.get(where, "") + data

    def handle_comment(self, data):
        check(not data.startswith("@"), "a place that was not filled:", data)


def sha256(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def near(a, b):
    return abs(a - b) <= 2 + 1e-6 * abs(b)


def check_data(page, report):
    shown = json.loads(page.text["script:lmm-report"])
    tokens = json.loads(page.text["script:lmm-tokens"])
    for key, value in report.items():
        if key not in ("requests", "requests_summary", "kernels"):
            check(shown[key] == value, key, "is not the report's")
    if report["requests_summary"]["total"] == len(shown["requests"]):
        check(tokens["count"] == report["tokens"]["itl"]["count"], tokens["count"], "tokens, not", report["tokens"]["itl"])
        itl = [1e3 * v for q in tokens["requests"] for v in q["itl_us"]]
        for have, want in ((max(itl, default=0), "max_ns"), (min(itl, default=0), "min_ns")):
            check(near(have, report["tokens"]["itl"][want]), have, want, report["tokens"]["itl"])
        if tokens["stride"] == 2:
            check(len(itl) == tokens["count"], len(itl), "points of", tokens["count"])


def main(path, report_path, *more):
    with open(path, encoding="utf-8", newline="") as f:
        source = f.read()
    page = Page()
    page.feed(source)
    page.close()
    check(not page.open, "not closed:", page.open)
    check(page.policy.startswith("default-src 'none';"), page.policy)
    check(sha256(page.text["script"]) in page.policy, "the script is not the one of", page.policy)
    check(sha256(page.text["style"]) in page.policy, "the style is not the one of", page.policy)
    check("url(" not in page.text["style"] and "@import" not in page.text["style"], "the style loads something")
    with open(report_path, encoding="utf-8") as f:
        report = json.load(f)
    check_data(page, report)
    check(("state" in page.ids) == bool(report["sensors"] or report["sensors_absent"]), "sensors and no section, or the other way round")
    for wanted in ("recording", "machine"):
        check(wanted in page.ids, "no section", wanted)
    size = len(source.encode())
    check(size <= int(more[1]) if more else size < 1 << 20, size, "bytes")
    print("ok:", size, "bytes")


main(*sys.argv[1:])
