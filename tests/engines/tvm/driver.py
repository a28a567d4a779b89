# SPDX-License-Identifier: Apache-2.0
"""MLC-LLM's serving step from Python, call by call: usage: driver.py MODEL PROMPT TOKENS [LIBRARY: loaded when everything else is | "instrument": the virtual machine
tells it what it calls, and how often that was is printed by name].
Needs tvm's runtime alone."""
import collections
import json
import os
import sys

os.environ["TVM_USE_RUNTIME_LIB"] = "1"  # no compiler in the process, as on a phone
import ctypes  # noqa: E402

import numpy as np  # noqa: E402
import tvm  # noqa: E402
import tvm_ffi  # noqa: E402
from tvm.runtime import ShapeTuple  # noqa: E402
from tvm.runtime.vm import VirtualMachine  # noqa: E402

folder, prompt, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(folder + "/config.json", encoding="utf-8") as f:
    config = json.load(f)
if config["kind"] == "opencl":
    ctypes.CDLL("libtvm_runtime_opencl.so", ctypes.RTLD_LOCAL)
device = tvm.device("opencl" if config["kind"] == "opencl" else "cpu", 0)
vm = VirtualMachine(tvm.runtime.load_module(folder + "/model.so"), device)
weights = np.load(folder + "/params.npz")
params = [tvm.runtime.tensor(weights[k], device) for k in sorted(weights.files)]
builtin = {n: tvm_ffi.get_global_func("vm.builtin." + n)
           for n in ("kv_state_begin_forward", "kv_state_end_forward", "kv_state_add_sequence", "kv_state_remove_sequence", "reshape")}
cache = vm["create_tir_paged_kv_cache"](*(ShapeTuple([n]) for n in (1, 1024, 512, 16, 0)))
calls = collections.Counter()
if sys.argv[4:] == ["instrument"]:
    vm.set_instrument(lambda function, name, before, *rest: calls.update([name]) if before else None)
elif len(sys.argv) > 4:
    ctypes.CDLL(sys.argv[4])
random = np.random.default_rng(1)


def embed(ids):
    e = vm["embed"](tvm.runtime.tensor(np.asarray(ids, "int32"), device), params)
    return builtin["reshape"](e, ShapeTuple([1, len(ids), config["hidden"]]))


def forward(name, x, n):
    builtin["kv_state_begin_forward"](cache, ShapeTuple([0]), ShapeTuple([n]))
    logits = vm[name](x, cache, params)[0]
    builtin["kv_state_end_forward"](cache)
    return logits


def choose(logits):
    p = vm["softmax_with_temperature"](logits, tvm.runtime.tensor(np.asarray([0.7], "float32"), device)).numpy().reshape(-1)
    order = np.argsort(-p)
    total = np.cumsum(p[order])
    most = int(np.searchsorted(total, 0.95)) + 1
    return int(order[min(int(np.searchsorted(total[:most] / total[most - 1], random.random())), most - 1)])


builtin["kv_state_add_sequence"](cache, 0)
ids = list(prompt.encode())
out = [choose(forward("prefill", embed(ids), len(ids)))]
while len(out) < tokens:
    out.append(choose(forward("decode", embed(out[-1:]), 1)))
builtin["kv_state_remove_sequence"](cache, 0)
print("tokens", *out)
for name, count in sorted(calls.items()):
    print("called", name, count)
