# SPDX-License-Identifier: Apache-2.0
"""What a layer of the tests saw of Vulkan beside lmmeter (tests/fake/vulkan/watch_layer.c), and what a recording holds of the same."""

import collections
import os
import re
import subprocess

COMMAND, COMMAND_UNTIMED, DEVICE_GRAPH = 0x46, 0x4B, 0x4C
FIRST_KERNEL = 32  # numbers below are fills, copies and the like

Dispatch = collections.namedtuple("Dispatch", "kernel n op node")


def layer(build):
    """The folder of the layer's manifest."""
    return os.path.join(build, "tests", "fake", "vulkan", "layer")


def environment(build, log, labels):
    """Puts the layer between the engine and lmmeter's."""
    env = {"VK_ADD_LAYER_PATH": layer(build), "VK_INSTANCE_LAYERS": "VK_LAYER_LMMETER_TEST_watch", "WATCH_LOG": log}
    if labels:
        env.update({"WATCH_LABELS": "1", "GGML_VK_DEBUG_MARKERS": "1"})
    return env


def log(path):
    """(counts by name, labels in the order of the submits)"""
    counts, labels = {}, []
    with open(path, encoding="utf-8") as f:
        for line in f:
            name, _, rest = line.rstrip("\n").partition(" ")
            if name == "label":
                labels.append(rest)
            else:
                counts[name] = int(rest)
    return counts, labels


def dump(build, trace):
    """Lines of the recording: (what it is, its values)."""
    tool = os.path.join(build, "tests", "format", "lmt_tool")
    text = subprocess.run([tool, "dump", trace], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in text.splitlines():
        kind, *words = line.split()
        yield kind, dict(w.split("=", 1) for w in words if "=" in w)


def commands(build, trace):
    """(is told at once with others, kernel's number, its work groups) of each command."""
    for kind, value in dump(build, trace):
        if kind == "event" and int(value["type"]) in (COMMAND, COMMAND_UNTIMED):
            is_at_once = int(value["type"]) == COMMAND_UNTIMED and int(value["id"]) == 1
            yield is_at_once, int(value["a"]) & 0xFFFFFFFF, int(value["b"]) >> 32


def dispatches(build, trace):
    """What the recording holds of kernels, in the order of the submits; a group stands for n."""
    graphs, names, now, nodes, found = {}, {}, None, None, []
    for kind, value in dump(build, trace):
        if kind == "graph":
            nodes = graphs.setdefault(int(value["graph"]), [])
        elif kind == "node":
            nodes.append(tuple(bytes.fromhex(value[k][1:]).decode() for k in ("op", "name")))
        elif kind == "kernel":
            names[int(value["kernel"])] = bytes.fromhex(value["name"][1:]).decode()
        elif kind == "event" and int(value["type"]) == DEVICE_GRAPH:
            now = graphs.get(int(value["id"]))
        elif kind == "event" and int(value["type"]) in (COMMAND, COMMAND_UNTIMED):
            kernel, node = int(value["a"]) & 0xFFFFFFFF, int(value["a"]) >> 32
            if kernel < FIRST_KERNEL:
                continue
            is_group = " + " in names[kernel] or re.search(r" x[0-9]+$", names[kernel])
            op, name = now[node] if now and node < len(now) else ("", "")
            found.append(Dispatch(names[kernel], int(value["b"]) >> 32 if is_group else 1, op, name))
    return found


def is_right(dispatch, label):
    """The backend's label says operator and tensor, of fused ones several operators."""
    op, _, name = label.partition(" ")
    return dispatch.node == name and (dispatch.op in op.split("+") or op == "GLU")
