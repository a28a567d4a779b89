#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lmmeter calibrate and roofline where the recording is of this machine, and on the scripted OpenCL driver, whose times are known."""

import glob
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import lmmtest as t  # noqa: E402

FAKECL = os.path.join(t.BUILD, "tests", "fake", "opencl")
_trace = {}


def trace():
    if "path" not in _trace:
        run = t.record(t.fake("prompt=8", "tokens=20", "warmup=1"))
        t.check(run.status == 0, "exit", run.status, run.err[-2000:])
        _trace["path"] = run.trace
    return _trace["path"]


def env():
    return {"XDG_CACHE_HOME": os.path.join(t.scratch(), "cache")}


def stored(where):
    found = glob.glob(os.path.join(where["XDG_CACHE_HOME"], "lmmeter", "peaks-*.json"))
    t.check(len(found) == 1, "one file of peaks:", found)
    return found[0]


def test_without_peaks():
    done = t.lmmeter("roofline", trace(), env=env())
    t.check(done.status == 1 and done.out == b"", done.status, done.out)
    t.check("peaks are not known" in done.err and "lmmeter calibrate" in done.err and "--calibrate" in done.err, done.err)


def test_stored_peaks():
    where = env()
    done = t.lmmeter("calibrate", "--seconds", "0.02", env=where)
    t.check(done.status == 0, done.status, done.err)
    done = t.lmmeter("roofline", trace(), "--json", env=where)
    t.check(done.status == 0, done.status, done.err)
    got = json.loads(done.out)
    with open(stored(where), encoding="utf-8") as f:
        peaks = json.load(f)
    t.check(got["host"]["cpu"] == peaks["host"]["cpu"], got["host"], peaks["host"])
    t.check(not [w for w in got["warnings"] if "another machine" in w], got["warnings"])
    t.check(got["peaks"]["cpu"]["read_bytes_per_second"] == peaks["cpu"][-1]["read_bytes_per_second"]["best"], got["peaks"])
    t.check({p["phase"] for p in got["phases"]} >= {"prefill", "decode"}, got["phases"])


def test_stored_of_another_machine():
    """A folder that came from elsewhere: the name of the file does not decide."""
    where = env()
    t.lmmeter("calibrate", "--seconds", "0.02", "--threads", "1", env=where)
    path = stored(where)
    with open(path, encoding="utf-8") as f:
        peaks = json.load(f)
    peaks["host"]["cpus"] += 1
    with open(path, "w", encoding="utf-8") as f:
        json.dump(peaks, f)
    done = t.lmmeter("roofline", trace(), env=where)
    t.check(done.status == 1 and "is of another machine" in done.err, done.status, done.err)
    with open(path, "w", encoding="utf-8") as f:
        f.write("{}")
    done = t.lmmeter("roofline", trace(), env=where)
    t.check(done.status == 1 and "holds no peaks" in done.err, done.status, done.err)


def test_calibrate_at_once():
    where = env()
    done = t.lmmeter("roofline", trace(), "--calibrate", "--json", env=where, timeout=200)
    t.check(done.status == 0, done.status, done.err)
    t.check(json.loads(done.out)["peaks"]["cpu"]["f32_flops_per_second"] > 0, done.out)
    t.check(os.path.exists(stored(where)), "stored")


def test_opencl_rates_are_exact():
    """Whatever a kernel does takes as long as the script says: the rate is the work that is counted over that time."""
    if not os.path.exists(os.path.join(FAKECL, "fake.icd")):
        t.skip("the scripted OpenCL driver was not built")
    where = env()
    where.update({"OCL_ICD_VENDORS": FAKECL, "FAKECL": "ns:lmm_read=2000000 ns:lmm_f32=4000000"})
    done = t.lmmeter("calibrate", "--seconds", "0.02", "--threads", "1", "--opencl", "--json", env=where)
    t.check(done.status == 0, done.status, done.err)
    device, = json.loads(done.out)["opencl"]
    t.check(device["name"] == "fakecl", device)
    read, f32 = device["read_bytes_per_second"], device["f32_flops_per_second"]
    t.check(read["best"] == read["worst"] == device["working_set_bytes"] * 500, read, device)
    # 2048 items a unit, 8 sums each of 4 floats (the driver's native width), a product and a sum
    t.check(f32["best"] == f32["worst"] == device["compute_units"] * 2048 * 8 * 4 * 2 * 250, f32, device)


def test_opencl_that_fails():
    if not os.path.exists(os.path.join(FAKECL, "fake.icd")):
        t.skip("the scripted OpenCL driver was not built")
    for script in ("profiling_unavailable_every=1", "lost_after=1", "fail_enqueue_every=1", "zero_stamps_every=1"):
        where = env()
        where.update({"OCL_ICD_VENDORS": FAKECL, "FAKECL": script})
        done = t.lmmeter("calibrate", "--seconds", "0.02", "--threads", "1", "--opencl", env=where)
        t.check(done.status == 1 and "OpenCL was not measured: " in done.err, script, done.status, done.err)
        t.check(not os.path.exists(where["XDG_CACHE_HOME"]), "half a result was stored")


if __name__ == "__main__":
    t.main()
