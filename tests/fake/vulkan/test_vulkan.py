#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What lmmeter records of Vulkan commands, on Mesa's CPU driver, against what the program and an independent layer counted.

Run by hand: LMM_BUILD=<build folder> tests/fake/vulkan/test_vulkan.py
"""

import collections
import glob
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import lmmtest as t  # noqa: E402
import sleeper  # noqa: E402
import vkwatch  # noqa: E402

HERE = os.path.join(t.FAKE, "vulkan")
VKPLAY = os.path.join(HERE, "vkplay")
MANIFESTS = os.path.join(t.BUILD, "src", "probe", "vulkan")
OURS, WATCH = "VK_LAYER_LMMETER_latency", "VK_LAYER_LMMETER_TEST_watch"
VALIDATION = "VK_LAYER_KHRONOS_validation"
OFF = ("--budget", "off")
SUBMITS = 20
PER_SUBMIT = {"secondary": 5, "groups": 30, "long": 1000}
SCENES = ("once", "again", "secondary", "timeline", "poll", "host-reset", "groups", "unwaited", "two", "copies", "named")
ADDED = {"vkCmdWriteTimestamp", "vkCmdResetQueryPool", "vkGetQueryPoolResults"}


def driver():
    found = [f for d in ("/usr/share", "/etc") for f in glob.glob(d + "/vulkan/icd.d/lvp_icd*")]
    if not found or not os.path.exists(VKPLAY):
        raise t.Skip("Mesa's CPU driver for Vulkan, or the program for it, is missing here")
    return {"VK_ICD_FILENAMES": found[0], "VK_DRIVER_FILES": found[0]}


class Play:
    """vkplay, under lmmeter unless options is None. `below`: layers next to the driver, which see what lmmeter adds."""

    def __init__(self, scene, n=SUBMITS, options=OFF, below=(), watch="", before=()):
        folder = t.scratch()
        self.log = os.path.join(folder, "watch")
        env = driver()
        command = [*before, VKPLAY, scene, str(n)]
        watching = [f"WATCH_LOG={self.log}", *watch.format(folder=folder).split()]
        if options is None:
            env.update({"VK_ADD_LAYER_PATH": os.path.join(HERE, "layer"), "VK_INSTANCE_LAYERS": WATCH})
            env.update(dict(w.split("=") for w in watching))
            run = t.plain(command, env=env, timeout=60)
        else:
            if below:
                # the loader looks into folders in turn, and what it finds first is next to the program
                command = ["env", f"VK_ADD_LAYER_PATH={MANIFESTS}:{os.path.join(HERE, 'layer')}",
                           f"VK_INSTANCE_LAYERS={':'.join((OURS, *below))}", *watching, *command]
            run = t.record(command, options=["-q", *options], env=env, timeout=120, folder=folder)
            self.report, self.trace = run.report, run.trace
            t.check_counts(self.report)
            t.check(self.report["records"]["lost"] == 0 and self.report["records"]["invalid"] == 0, self.report["records"])
        self.status, self.out, self.err = run.status, run.out.decode(), run.err

    def dispatches(self):
        """As the program counted them."""
        return int(self.out.split("dispatches ")[1])

    def watched(self):
        with open(self.log, encoding="ascii") as f:
            return {name: int(n) for name, n in (line.split() for line in f)}

    def kernels(self):
        return {k["name"]: k for k in self.report["kernels"] or []}

    def reasons(self):
        return " ".join(self.report["level"]["reasons"])


def runs(kernel):
    return kernel["count"] + kernel["untimed"]


def programs(play):
    return {n: k for n, k in play.kernels().items() if n not in ("fill", "write", "copy")}


def test_bare():
    """The program by itself, and the layer that counts, agree."""
    for scene in SCENES:
        play = Play(scene, options=None)
        t.check(play.status == 0, scene, play.status, play.err)
        seen = play.watched()
        t.check(play.dispatches() == SUBMITS * PER_SUBMIT.get(scene, 10), scene, play.out)
        if scene not in ("two", "timeline"):
            t.check(seen["submitted"] == play.dispatches(), scene, seen, play.out)
        t.check(not any(seen[name] for name in ADDED), scene, seen)


def test_every_dispatch():
    """Everything timed: counted as by the program, with the same output, and each has a time."""
    for scene in SCENES:
        bare, play = Play(scene, options=None), Play(scene)
        t.check(play.status == 0 and play.out == bare.out, scene, play.status, bare.out, play.out, play.err)
        if scene == "secondary":
            continue
        kernels = programs(play)
        names = {"the adder", "the mixer"} if scene == "named" else {"play_add", "play_mix"}
        t.check(set(kernels) == names, scene, list(kernels))
        t.check(sum(k["count"] for k in kernels.values()) == play.dispatches(), scene, kernels)
        t.check(all(k["untimed"] == 0 and k["p50_ns"] > 0 for k in kernels.values()), scene, kernels)
        device = play.report["device"]
        t.check(device["in_flight"] == 0 and device["early"] == 0 and device["failed"] == 0, scene, device)
        t.check(device["unavailable"] == 0, scene, device)
        t.check(0 < device["busy_ns"] < play.report["session"]["duration_ns"], scene, device)


def test_copies():
    play = Play("copies")
    kernels = play.kernels()
    for name, amount in (("fill", 4096), ("write", 64), ("copy", 1024)):
        t.check(kernels[name]["count"] == SUBMITS and kernels[name]["bytes"] == SUBMITS * amount, name, kernels[name])


def test_secondary():
    """What a secondary buffer holds is timed as a whole by the one that runs it."""
    play = Play("secondary")
    (name, kernel), = play.kernels().items()
    t.check(name == "play_add + play_mix x2 + play_add + play_mix", name)
    t.check(kernel["count"] == SUBMITS and kernel["p50_ns"] > 0, kernel)


def test_threads():
    """A device for each of two threads, and a queue for both."""
    for scene, devices in (("threads", 2), ("shared", 1)):
        bare, play = Play(scene, options=None), Play(scene, options=RARELY)
        t.check(play.status == 0 and play.out == bare.out, scene, bare.out, play.out)
        t.check(sum(runs(k) for k in play.kernels().values()) == play.dispatches() == 400, scene, play.kernels())
        play = Play(scene)
        t.check(play.status == 0 and play.out == bare.out, scene, bare.out, play.out)
        t.check(sum(k["count"] for k in play.kernels().values()) == play.dispatches() == 400, scene, play.kernels())
        t.check(play.report["device"]["timed"] == 400, scene, play.report["device"], devices)


def test_groups():
    """Between two barriers: told apart where everything is timed; elsewhere together or apart, and none is forgotten."""
    play = Play("groups")
    t.check(play.report["device"]["timed"] == play.dispatches(), play.report["device"])
    play = Play("groups", n=60, options=("--budget", "50%"))
    n = 0
    for name, kernel in play.kernels().items():
        n += runs(kernel) * (3 if "+" in name else 1)
    t.check(n == play.dispatches(), play.kernels())
    t.check("play_add + play_mix x2" in play.kernels(), list(play.kernels()))


def test_nothing_is_added():
    """What reaches the driver is what the program said, and stamps."""
    for scene in ("once", "again", "groups", "unwaited", "poll"):
        bare, play = Play(scene, options=None), Play(scene, below=(WATCH,))
        t.check(play.status == 0 and play.out == bare.out, scene, play.status, play.err)
        without, seen = bare.watched(), play.watched()
        t.check(seen["vkCmdWriteTimestamp"] > 0 and seen["vkGetQueryPoolResults"] > 0, scene, seen)
        t.check({k: v for k, v in seen.items() if k not in ADDED} == {k: v for k, v in without.items() if k not in ADDED},
                scene, without, seen)
    # one stamp at each barrier, one at the beginning
    seen = Play("again", below=(WATCH,)).watched()
    t.check(seen["vkCmdWriteTimestamp"] == 11 and seen["vkCmdPipelineBarrier"] == 10, seen)
    # one buffer in eight has another one there, which says what a stamp costs
    seen = Play("once", below=(WATCH,)).watched()
    t.check(seen["vkCmdWriteTimestamp"] == SUBMITS * 11 + SUBMITS // 8, seen)


def test_validation():
    """The layer that knows the specification has nothing to say of what we do; it does of what is wrong."""
    if not glob.glob("/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json"):
        raise t.Skip("the validation layer is missing here (Debian: vulkan-validationlayers)")
    wrong = Play("wrong", n=1, below=(VALIDATION,))
    t.check("VUID" in wrong.out, "the validation layer says nothing:", wrong.out, wrong.err)
    for scene in (*SCENES, "twice", "threads", "shared", "long"):
        play = Play(scene, n=5, below=(VALIDATION,))
        t.check(play.status == 0, scene, play.status, play.err)
        t.check("alidation" not in play.out + play.err and "VUID" not in play.out + play.err, scene, play.out, play.err)
        t.check(play.report["device"]["timed"] > 0 or scene == "twice", scene, play.report["device"])


def test_twice_in_flight():
    """Its slots would be written twice: it has none, and the report says so."""
    play = Play("twice")
    t.check(play.report["device"]["untimed"] == play.dispatches() == 200, play.report["device"])
    t.check("in flight twice" in play.reasons(), play.reasons())


def test_many_stamps():
    """More than a query pool's piece holds, in one buffer."""
    play = Play("long", n=3)
    t.check(play.report["device"]["timed"] == play.dispatches() == 3000, play.report["device"])


def test_more_stamps_than_can_be_read():
    """A buffer whose times would be more than wait to be read at a time: the first of them are read, and the report says so."""
    play = Play("huge", n=3)
    device = play.report["device"]
    t.check(device["timed"] + device["untimed"] == play.dispatches() == 15000, device)
    t.check(3 * 3900 < device["timed"] < 3 * 4000 and device["unavailable"] == 0, device)
    t.check("more than 3968 timestamps" in play.reasons(), play.reasons())


def test_more_groups_than_are_told_apart():
    """Those beyond the room are one, and not taken for command buffers of which nothing is known."""
    play = Play("many", n=42, options=("--budget", "50%"))
    kernels = play.kernels()
    t.check(sum(runs(k) for k in kernels.values()) == 4200, len(kernels))
    t.check(runs(kernels["(other)"]) > 2000 and "command buffer" not in kernels, [n for n in kernels if "+" not in n])
    t.check("more than 2048 Vulkan kernels" in play.reasons(), play.reasons())


def test_more_buffers_than_a_submit_keeps():
    play = Play("crowd", n=600)
    kernels = play.kernels()
    t.check(set(kernels) == {"play_add", "command buffer"}, list(kernels))
    t.check((kernels["play_add"]["count"], kernels["command buffer"]["untimed"]) == (512, 88), kernels)
    t.check("command buffers in one submit" in play.reasons(), play.reasons())


RARELY = ("--budget", "0.0001%")


def test_what_comes_again():
    """Buffers that hold what others held are told at once, and whatever is changed in them is what is told."""
    bare = Play("varied", n=1500, options=None)
    truth = {k: int(v) for k, v in re.findall(r"(adds|mixes|groups|copies) (\d+)", bare.out)}
    t.check(truth["copies"] > 10 and bare.dispatches() == truth["adds"] + truth["mixes"], bare.out)
    for options in (RARELY, (), OFF):
        play = Play("varied", n=1500, options=options)
        t.check(play.status == 0 and play.out == bare.out, options, play.status, play.out, play.err)
        told = collections.Counter({name: runs(k) for name, k in play.kernels().items()})
        t.check((told["play_add"], told["play_mix"], told["copy"]) == (truth["adds"], truth["mixes"], truth["copies"]), options, told, truth)
        found = [c for c in vkwatch.commands(t.BUILD, play.trace) if c[1] >= vkwatch.FIRST_KERNEL]
        t.check(sum(groups for _, _, groups in found) == truth["groups"], options, truth)
        at_once = sum(is_at_once for is_at_once, _, _ in found)
        t.note(f"{options}: {at_once} of {len(found)} dispatches were recorded at once")
        if options == RARELY:
            t.check(at_once > 0.3 * len(found), at_once, len(found))


def test_what_comes_again_runs_what_nobody_saw():
    """A secondary buffer that was recorded while nobody looked, in one that is as expected."""
    n = 400
    play = Play("unseen", n=n, options=RARELY)
    t.check(play.status == 0 and play.out == Play("unseen", n=n, options=None).out, play.status, play.out, play.err)
    told = collections.Counter()
    for group, k in play.kernels().items():
        for name, times in re.findall(r"([a-z_ ]*[a-z])(?: x(\d+))?(?: \+ |$)", group):
            told[name] += runs(k) * int(times or 1)
    t.check(told == {"play_add": 4 * n, "play_mix": 8 * n, "command buffer": n // 2}, told, play.kernels())


def test_nodes_of_what_comes_again():
    """Layers are alike: a buffer more, or others' boundaries, and commands still have their own nodes."""
    walk = os.path.join(HERE, "vkwalk")
    if not os.path.exists(walk):
        raise t.Skip("the program for it is missing here")
    for scene in ("usual", "more", "moved 16", "moved 3", "small", "shut", "cut", "across 48", "across 20", "ahead", "between"):
        folder = t.scratch()
        run = t.plain([walk, *scene.split()], env={"LMMETER_OUT": os.path.join(folder, "t.lmt")})
        lines = [tuple(map(int, re.findall(r"\d+", line.split(":")[1]))) for line in run.out.decode().splitlines()]
        t.check(run.status == 0 and len(lines) == 2, scene, run.status, run.out, run.err)
        for wrong, told, at_once in lines:
            t.check(wrong == 0, scene, run.out)
        # of five runs the first two are learned from, and the third finds where a run begins anew
        t.check(lines[0][1] == 2000 and lines[0][2] >= 2 * 400, scene, run.out)
        records = t.report(os.path.join(folder, "t.lmt"))["records"]
        t.check(records["emitted"] == records["stored"] > 2000 and not records["lost"] + records["invalid"], scene, records)
        t.check(scene != "shut" or lines[1][1:] == (3600, 0), lines)
        # two are learned from, and the third one's first buffer
        t.check(scene != "small" or lines[1][1:] == (3600, 3600 - 2 * 400 - 8), lines)
        t.note(f"{scene}: {lines[1]}")


def test_what_comes_again_in_another_session():
    """What one recording was told of the next one does not know."""
    with sleeper.Sleeper([VKPLAY, "once", "1000000"], env={**driver(), "VK_ADD_LAYER_PATH": MANIFESTS, "VK_INSTANCE_LAYERS": OURS}) as s:
        s.wait_for_page()
        spans = [s.attach_to_work(0.7, *RARELY) for _ in range(2)]
        t.check(s.process.poll() is None, s.text("err")[-2000:])
    for span in spans:
        records = span.report["records"]
        t.check(records["invalid"] == records["lost"] == 0, records)
        at_once = sum(is_at_once for is_at_once, _, _ in vkwatch.commands(t.BUILD, span.path))
        t.note(f"{at_once} commands were told at once")
        t.check(at_once > 400, at_once)


def test_budget():
    """By default it measures what stamps cost; whatever comes of it, all are counted."""
    play = Play("once", n=200, options=())
    t.check(sum(runs(k) for k in play.kernels().values()) == play.dispatches() == 2000, play.kernels())
    t.check(play.report["device"]["command_cost_ns"] is not None, play.report["device"])


def test_without_timestamps():
    for watch, word in (("WATCH_BITS=0", "has no timestamps"), ("WATCH_NO_QUERIES=1", "no room for more timestamps")):
        play = Play("once", below=(WATCH,), watch=watch)
        t.check(play.status == 0, watch, play.status, play.err)
        t.check(play.report["device"]["untimed"] == play.dispatches() == 200, watch, play.report["device"])
        t.check(word in play.reasons(), watch, play.reasons())
        t.check(play.watched()["vkCmdWriteTimestamp"] == 0, watch, play.watched())


def test_few_bits():
    """Stamps of 31 bits come round every two seconds; with and without a clock to ask."""
    for more in ("", " WATCH_NO_CLOCK=1"):
        play = Play("long", n=24, below=(WATCH,), watch="WATCH_BITS=31" + more)
        device = play.report["device"]
        t.check(device["timed"] == play.dispatches() == 24000 and device["early"] == 0, more, device)
        t.check((1 << 31) < device["busy_ns"] < play.report["session"]["duration_ns"], more, device)


def test_no_calibrated_clock():
    """Then a submit and the wait for it say when it was, and the report says how well."""
    play, exact = Play("once", below=(WATCH,), watch="WATCH_NO_CLOCK=1"), Play("once", below=(WATCH,))
    t.check(play.report["device"]["timed"] == 200 and play.report["device"]["early"] == 0, play.report["device"])
    t.check(play.report["device"]["clock_error_ns"] > exact.report["device"]["clock_error_ns"] > 0,
            play.report["device"], exact.report["device"])


def test_overtaken():
    """A buffer is submitted again while its times are read: those of the first time are dropped and counted, not mixed."""
    play = Play("overtaken", below=(WATCH,), watch="WATCH_STALL={folder}/stall")
    t.check(play.status == 0 and play.dispatches() == 20, play.status, play.out, play.err)
    device = play.report["device"]
    t.check((device["timed"], device["untimed"], device["unavailable"]) == (10, 10, 10), device)


def test_recording_ends_in_a_buffer():
    """What a buffer holds is not known if a recording ended before it did, although another has begun; later it is."""
    play = Play("cut")
    kernels = play.kernels()
    t.check(list(kernels) == ["command buffer"], list(kernels))
    t.check((kernels["command buffer"]["count"], kernels["command buffer"]["untimed"]) == (0, SUBMITS), kernels)
    play = Play("carried")
    t.check(set(play.kernels()) == {"play_add", "play_mix"}, list(play.kernels()))
    t.check(play.report["device"]["timed"] == play.dispatches() == 200, play.report["device"])


def test_semaphores_of_some_stages():
    """They say nothing of the other stages: times are read when all has ended, and a semaphore of all stages says that."""
    play = Play("narrow", below=(WATCH,), watch="WATCH_STRICT=1")
    device = play.report["device"]
    t.check((device["timed"], device["unavailable"]) == (play.dispatches(), 0) == (200, 0), device)
    # the last submit has a fence, which nobody waits for, or none
    for n in (SUBMITS, SUBMITS + 1):
        device = Play("wide", n=n).report["device"]
        t.check((device["timed"], device["in_flight"]) == (10 * n, 0), n, device)


def test_forked_while_times_are_read():
    """The child begins anew: who reads times in its parent is not there, and its own are read."""
    play = Play("forked", below=(WATCH,), watch="WATCH_STALL={folder}/stall")
    t.check(play.status == 0 and not play.err, play.status, play.err)
    device = play.report["device"]
    t.check((device["timed"], device["in_flight"]) == (10 + 10 * SUBMITS, 0), device)


def test_errno_is_kept():
    """The program bears another name than its file, in which the names of its shaders are looked for."""
    elsewhere = ["bash", "-c", 'exec -a /nonexistent "$0" "$@"']
    bare = Play("errno", options=None, watch="WATCH_ERRNO=4242", before=elsewhere)
    t.check(bare.status == 0 and bare.out.startswith("device 4242\nmodule 4242\nmodule 4242\n"), bare.out, bare.err)
    play = Play("errno", below=(WATCH,), watch="WATCH_ERRNO=4242", before=elsewhere)
    t.check(play.status == 0 and play.out == bare.out, play.out, bare.out)
    t.check("play_add" in play.kernels(), list(play.kernels()))


def test_handles_come_again():
    """What is made while the driver takes down one with the same key is found, and not the one that goes."""
    driver()
    run = t.plain([os.path.join(HERE, "vkreuse"), os.path.join(t.BUILD, "src", "probe", "liblmmeter.so")])
    told = [f"{what} {when} 1" for what in ("device", "instance") for when in ("during", "after")]
    t.check(run.status == 0 and run.out.decode().splitlines() == told, run.status, run.out, run.err)


def test_lost():
    """The device goes: the program is told what it would be told, and what was under way counts as failed."""
    play = Play("lost", below=(WATCH,), watch="WATCH_LOST=5")
    t.check(play.status == 0 and "result -4" in play.out, play.status, play.out)
    device = play.report["device"]
    t.check((device["timed"], device["failed"]) == (40, 10), device)
    t.check("was lost" in play.reasons(), play.reasons())


def test_killed():
    play = Play("killed")
    t.check(play.status in (128 + signal.SIGKILL, -signal.SIGKILL), play.status)
    device = play.report["device"]
    t.check((device["timed"], device["in_flight"]) == (100, 10), device)


def test_layer_is_not_there():
    """Named, but in no folder that is looked into: the program runs as ever."""
    play = Play("once", before=["env", "VK_ADD_LAYER_PATH=/nonexistent", "VK_LAYER_PATH=/nonexistent"])
    bare = Play("once", options=None)
    t.check(play.status == 0 and play.out == bare.out, play.status, play.out, play.err)
    t.check(not play.report["kernels"], play.report["kernels"])


def test_users_layers_stay():
    """Ours goes behind what the user has set, in both variables that the loader may read."""
    for variable in ("VK_LAYER_PATH", "VK_ADD_LAYER_PATH"):
        env = {**driver(), variable: os.path.join(HERE, "layer"), "VK_INSTANCE_LAYERS": WATCH}
        folder = t.scratch()
        env["WATCH_LOG"] = os.path.join(folder, "watch")
        run = t.record([VKPLAY, "once", "5"], options=["-q", *OFF], env=env, folder=folder)
        t.check(run.status == 0, variable, run.err)
        t.check(run.report["device"]["timed"] == 50, variable, run.report["device"])
        with open(env["WATCH_LOG"], encoding="ascii") as f:
            t.check("vkCmdDispatch 50\n" in f.read(), variable)


def test_without_vulkan():
    """A program that has nothing to do with Vulkan sees three variables more and is none the worse."""
    run = t.record(["sh", "-c", "echo $VK_INSTANCE_LAYERS; echo $VK_ADD_LAYER_PATH"], options=["-q"],
                   env={"VK_INSTANCE_LAYERS": "a", "VK_ADD_LAYER_PATH": "/b"})
    t.check(run.status == 0 and run.out.decode().split() == [f"a:{OURS}", f"/b:{MANIFESTS}"], run.out)


def test_doctor():
    driver()
    vulkan = json.loads(t.plain([t.LMMETER, "doctor", "--json"]).out)["machine"]["vulkan"]
    t.check(vulkan["loader"] and vulkan["finds_layer"], vulkan)


if __name__ == "__main__":
    t.main()
