#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a .lmt file with nothing but docs/format.md in hand, and prints its items, one per line.

Standard library only, so no compressed chunks (they stop it with a clear word). Strings are printed in hex: their bytes are
what counts. The line format is that of tests/format/lmt_tool.c.
"""
import struct
import sys

M32 = (1 << 32) - 1
M64 = (1 << 64) - 1


def crc32c_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = M32
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ M32


class Corrupt(Exception):
    pass


class Cursor:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n > self.left():
            raise Corrupt("too short")
        self.at += n
        return self.data[self.at - n:self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self, bits=64):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        if value >> bits:
            raise Corrupt("number too large")
        return value

    def zigzag(self, bits=64):
        coded = self.varint()
        value = coded >> 1 if not coded & 1 else -(coded + 1 >> 1)
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise Corrupt("number too large")
        return value

    def string(self):
        n = self.varint()
        if n > 65535:
            raise Corrupt("string too long")
        return self.take(n)


# kind: name, fields as (name, how)
PLAIN = {
    1: ("session", "id:s lmmeter:s command_name:s command_line:s host_os:s host_cpu:s host_cpus:32 "
        "host_memory_bytes:64 clock:8 threads_all:8 embedded:8 start_ticks:64 start_realtime_ns:64"),
    2: ("process", "process:32 pid:-32 parent_pid:-32 name:s engine_name:s engine_version:s door:s start_ticks:64 "
        "op_cost_ps:32 pair_cost_ps:32 joined:8"),
    3: ("stream", "stream:32 process:32 ring:32 tid:-32"),
    4: ("model", "process:32 name:s description:s architecture:s quantization:s file:s size_bytes:64 parameters:64 "
        "layers:32 vocabulary:32 embedding:32"),
    6: ("clock", "ticks:64 mono_ns:64 error_ns:32"),
    8: ("reason", "process:32 level:8 text:s"),
    9: ("kernel", "process:32 kernel:32 name:s device:s"),
    10: ("queue", "process:32 queue:16 device:s ticks_per_second:64"),
    12: ("loss", "stream:32 emitted:64 lost:64"),
    13: ("dropped", "batches:64 events:64"),
    14: ("process_end", "process:32 ticks:64"),
    15: ("end", "ticks:64 exit_status:-32 collector_cpu_ns:64 no_ring_lost:64"),
    18: ("name", "process:32 number:32 text:s"),
    16: ("sensor", "sensor:32 kind:8 component:8 name:s unit:s source:s states:s absent:s limit:-64 part_of:32"),
}


def plain(kind, cursor):
    name, fields = PLAIN[kind]
    out = [name]
    for field in fields.split():
        key, how = field.split(":")
        if how == "s":
            value = "x" + (cursor.string().hex() if cursor.left() else "")
        elif not cursor.left():
            value = 0
        elif how.startswith("-"):
            value = cursor.zigzag(int(how[1:]))
        else:
            value = cursor.varint(int(how))
        out.append(f"{key}={value}")
    print(" ".join(out))


def graph(cursor):
    process, number, n_tokens = cursor.varint(32), cursor.varint(32), cursor.varint(32)
    strings = ["x" + cursor.string().hex() for _ in range(cursor.varint())]
    shapes = []
    for _ in range(cursor.varint()):
        kind = cursor.varint()
        if kind >= len(strings):
            raise Corrupt("no such string")
        shapes.append(strings[kind] + "".join(f":{cursor.zigzag()}" for _ in range(4)))
    n_nodes, more = cursor.varint(), cursor.varint()
    print(f"graph process={process} graph={number} n_nodes={n_nodes} n_tokens={n_tokens}")

    def pick(table):
        index = cursor.varint()
        if index >= len(table):
            raise Corrupt("no such entry")
        return table[index]

    for _ in range(n_nodes):
        out = [f"node name={pick(strings)} op={pick(strings)} weight={pick(strings)}"]
        out.append(f"layer={cursor.zigzag(32)} role={cursor.varint(8)} runs={cursor.varint(8)}")
        n_src = cursor.varint(8)
        if n_src > 4:
            raise Corrupt("too many sources")
        out.append(f"bytes_read={cursor.varint()} bytes_written={cursor.varint()} flops={cursor.varint()}")
        out.append(f"out={pick(shapes)}")
        out += [f"src={pick(shapes)}" for _ in range(n_src)]
        for _ in range(more):
            cursor.varint()
        print(" ".join(out))


def add_half(rest, value, shift):
    coded = rest.varint(32)
    half = value >> shift & M32
    half = half + (coded >> 1 if not coded & 1 else -(coded + 1 >> 1)) & M32
    return value & ~(M32 << shift) | half << shift


class Events:
    def __init__(self, t0):
        self.time = {False: t0, True: t0}  # is it a COMPLETION?
        self.node = M32
        self.last = {}

    def operator(self, tag, dt, rest):
        kind, node = tag >> 3, M32
        if kind == 30:
            self.node = add_half(rest, self.node, 0)
        elif kind < 29:
            self.node = self.node + kind & M32
        if kind != 29:
            node = self.node
        self.time[False] = self.time[False] + dt & M64
        return self.time[False], 2 if tag & 4 else 1, 0, 65535, node, 0, 0

    def other(self, tag, dt, rest):
        kind, differences = rest.u8(), rest.u8()
        if differences & 0x80:
            raise Corrupt("unknown field")
        if tag & 4:
            dt = rest.zigzag()
        clock = kind == 0x47
        self.time[clock] = self.time[clock] + dt & M64
        phase, seq, number, a, b = self.last.get(kind, (0, 0, 0, 0, 0))
        if differences & 1:
            phase = rest.u8()
        if differences & 2:
            seq = rest.varint(16)
        if differences & 4:
            number = add_half(rest, number, 0)
        if differences & 8:
            a = add_half(rest, a, 0)
        if differences & 16:
            a = add_half(rest, a, 32)
        if differences & 32:
            b = add_half(rest, b, 0)
        if differences & 64:
            b = add_half(rest, b, 32)
        self.last[kind] = phase, seq, number, a, b
        if kind == 0x43:
            a = a + self.time[clock] & M64
        if kind in (0x40, 0x4A):
            self.node = M32
        return self.time[clock], kind, phase, seq, number, a, b


def events(n, stream, cursor):
    ring_from = cursor.varint()
    ring_to = ring_from + cursor.varint() & M64
    state = Events(cursor.varint())
    n_times = cursor.varint()
    tags = cursor.take(n)
    times = Cursor(cursor.take(n_times))
    print(f"events stream={stream} n={n} ring_from={ring_from} ring_to={ring_to}")
    for tag in tags:
        dt = 0
        if tag & 0xFC != 0xFC:
            dt = int.from_bytes(times.take((tag & 3) + 1), "little")
        event = state.operator(tag, dt, cursor) if tag >> 3 != 31 else state.other(tag, dt, cursor)
        print("event t={} type={} phase={} seq={} id={} a={} b={}".format(*event))
    if times.left():
        raise Corrupt("times left over")


class Samples:
    """What the sensors said last: number to value, without those that are silent, and what those said before."""
    ticks, values, silent = None, {}, {}

    @classmethod
    def read(cls, is_key, cursor):
        if is_key:
            cls.ticks, cls.values, cls.silent = 0, {}, {}
        if cls.ticks is None:
            return
        cls.ticks = cls.ticks + cursor.varint() & M64
        sensor = 0
        while cursor.left():
            word = cursor.varint()
            sensor += word >> 1
            if sensor >= 1024:
                raise Corrupt("no such sensor")
            before = cls.values.pop(sensor, None)
            if before is None:
                before = cls.silent.pop(sensor, 0)
            if word & 1:
                cls.silent[sensor] = before
            else:
                value = before + cursor.zigzag() & M64
                cls.values[sensor] = value - (1 << 64) if value >> 63 else value
            sensor += 1
        print("samples ticks=" + " ".join([str(cls.ticks)] + [f"{k}={v}" for k, v in sorted(cls.values.items())]))


def chunk(data, at):
    """Prints the item at this offset. Returns the next offset, or None and how the file ends."""
    if len(data) - at < 32:
        return None, "cut"
    header = data[at:at + 32]
    magic, kind, coding, flags, stored, raw, count, stream, crc, header_crc = struct.unpack("<IBBHIIIIII", header)
    if magic != 0x4B43544C or header_crc != crc32c(header[:28]):
        return None, "corrupt"
    if len(data) - at - 32 < stored:
        return None, "cut"
    payload = data[at + 32:at + 32 + stored]
    if crc != crc32c(payload):
        return None, "corrupt"
    after = at + 32 + stored
    if kind not in PLAIN and kind not in (5, 7, 11, 17):
        return after, None
    if coding != 0:
        sys.exit(f"chunk at {at}: compressed, and this reader does without")
    if stored != raw:
        return None, "corrupt"
    cursor = Cursor(payload)
    try:
        if kind == 5:
            graph(cursor)
        elif kind == 7:
            events(count, stream, cursor)
        elif kind == 17:
            Samples.read(flags & 2, cursor)
        elif kind == 11:
            print(f"checkpoint data=x{payload.hex()}")
        else:
            plain(kind, cursor)
    except Corrupt:
        return None, "corrupt"
    return after, "complete" if kind == 15 else None


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    if data[:8] != b"\x89LMT\r\n\x1a\n":
        sys.exit("not a .lmt file")
    if len(data) < 64 or struct.unpack_from("<I", data, 60)[0] != crc32c(data[:60]):
        sys.exit("damaged header")
    if struct.unpack_from("<H", data, 10)[0] > 1:
        sys.exit("too new")
    at = struct.unpack_from("<I", data, 16)[0]
    ended = False
    while at < len(data):
        after, how = chunk(data, at)
        ended = ended or how == "complete"
        if after is None:
            print(f"{how} at {at}")
            return
        at = after
    print(f"{'complete' if ended else 'cut'} at {at}")


main()
