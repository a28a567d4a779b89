# SPDX-License-Identifier: Apache-2.0
"""Launches one kernel of the model so often, a few dozen between two waits, as a pass does; nothing else is made meanwhile.

usage: launches.py MODEL LAUNCHES      prints the process's resident set after the first quarter and at the end, in KiB
"""
import ctypes
import os
import sys

os.environ["TVM_USE_RUNTIME_LIB"] = "1"  # no compiler in the process, as on a phone

import numpy as np  # noqa: E402
import tvm  # noqa: E402

folder, launches = sys.argv[1], int(sys.argv[2])
ctypes.CDLL("libtvm_runtime_opencl.so", ctypes.RTLD_LOCAL)
device = tvm.device("opencl", 0)
take = tvm.runtime.load_module(folder + "/model.so").get_function("take", query_imports=True)
table = tvm.runtime.tensor(np.ones((4096, 256), "float32"), device)
rows = tvm.runtime.tensor(np.zeros(1, "int32"), device)
out = tvm.runtime.empty((1, 256), "float32", device)


def resident():
    with open("/proc/self/status", encoding="ascii") as f:
        return next(line for line in f if line.startswith("VmRSS")).split()[1]


seen = []
for _ in range(4):
    for _ in range(launches // 4 // 50):
        for _ in range(50):
            take(table, rows, out)
        device.sync()
    seen.append(resident())
print("resident", seen[0], seen[-1])
