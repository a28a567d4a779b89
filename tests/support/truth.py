# SPDX-License-Identifier: Apache-2.0
"""Reads what the tests' own preload libraries wrote (tests/engines/recorder.c, counter.c)."""

import glob
import os
import struct
from collections import namedtuple

Call = namedtuple("Call", "start end call tid value object")
Counts = namedtuple("Counts", "before after all_before all_after")

NAMES = {1: "decode", 2: "tokenize", 3: "piece", 4: "apply", 5: "accept", 6: "copy", 7: "sample", 8: "perf_reset",
         10: "detokenize"}
HEAD = 64
ENTRY = struct.Struct("<QQIIqQ")


def calls_of(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        f.seek(HEAD)
        data = f.read(n * ENTRY.size)
    out = [Call(a, b, NAMES.get(c, "?"), tid, value, obj) for a, b, c, tid, value, obj in ENTRY.iter_unpack(data)]
    return [c for c in out if c.start]


def calls(folder):
    """{pid: [Call]} of processes that made any."""
    out = {}
    for path in glob.glob(os.path.join(folder, "recorder.*")):
        got = calls_of(path)
        if got:
            out[int(path.rsplit(".", 1)[1])] = got
    return out


def counts(folder):
    """{pid: Counts} of processes that ran operators."""
    out = {}
    for path in glob.glob(os.path.join(folder, "counter.*")):
        with open(path, "rb") as f:
            data = f.read(32)
        got = Counts(*struct.unpack("<4Q", data)) if len(data) == 32 else Counts(0, 0, 0, 0)
        if got.all_before:
            out[int(path.rsplit(".", 1)[1])] = got
    return out


def generation(entries):
    """The calls of the one request that a completion program makes: from the tokenizing of its prompt to its last piece.

    What lies before the last reset of the engine's own counters is warm-up."""
    resets = [i for i, c in enumerate(entries) if c.call == "perf_reset"]
    rest = entries[resets[-1] + 1:] if resets else entries
    first = next(i for i, c in enumerate(rest) if c.call == "tokenize" and c.value > 0)
    last = max(i for i, c in enumerate(rest) if c.call in ("piece", "detokenize", "accept", "sample"))
    return rest[first:last + 1]


def total(entries, *names):
    return sum(c.end - c.start for c in entries if c.call in names)
