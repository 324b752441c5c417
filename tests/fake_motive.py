#!/usr/bin/python3
"""A small NatNet 3.0 server for trying without cameras: a probe that rocks and a
reference that lies still, at 120 Hz, on 127.0.0.1. Written from the packets' layout,
not with the library.

    fake_motive.py [--port 1510] [--seconds S] [--noise MM]
"""
import argparse
import math
import random
import socket
import struct
import time

CLOCK_HZ, LATENCY_S = 3312787, 0.0055
BODIES = {1: b"Probe", 2: b"Reference"}


def packet(kind, payload):
    return struct.pack("<HH", kind, len(payload)) + payload


def server_info():
    return packet(1, struct.pack("<256s4B4BQHB4B", b"Fake Motive", 2, 1, 0, 0, 3, 0, 0, 0,
                                 CLOCK_HZ, 1511, 0, 239, 255, 42, 99))


def model_list():
    bodies = [struct.pack("<i", 1) + name + b"\0" + struct.pack("<2i3f", number, -1, 0, 0, 0) +
              struct.pack("<i", 3) + bytes(3 * 12 + 3 * 4) for number, name in BODIES.items()]
    return packet(5, struct.pack("<i", len(bodies)) + b"".join(bodies))


def pose(number, t):
    """Metres and x y z w; the probe rocks about x by 20 degrees in two seconds."""
    if number == 2:
        return (0.5, 0.1, 0.2), (0, 0, 0, 1)
    half = math.radians(10) * math.sin(math.pi * t)
    return (0.1 + 0.05 * math.sin(t), 0.2, 0.3), (math.sin(half), 0, 0, math.cos(half))


def frame(number, t, ticks, noise_m, chance):
    bodies = b""
    for body in BODIES:
        place, turn = pose(body, t)
        place = [p + chance.gauss(0, noise_m) for p in place]
        bodies += struct.pack("<i3f4ffh", body, *place, *turn, 0.0004, 1)
    return packet(7, struct.pack("<4i", number, 0, 0, len(BODIES)) + bodies +
                  struct.pack("<4i", 0, 0, 0, 0) + struct.pack("<IId", 0, 0, t) +
                  struct.pack("<3Q", ticks, ticks + 15000, ticks + 18000) +
                  struct.pack("<hi", 0, 0))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=1510)
    options.add_argument("--seconds", type=float, default=math.inf)
    options.add_argument("--noise", type=float, default=0.05, help="mm on each axis")
    options = options.parse_args()
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind(("127.0.0.1", options.port))
    link.settimeout(0.001)
    print(f"a fake Motive: natnet://127.0.0.1:{link.getsockname()[1]}", flush=True)
    chance, start, client, number = random.Random(1), time.perf_counter(), None, 0
    while time.perf_counter() - start < options.seconds:
        try:
            asked, client = link.recvfrom(2048)
            kind = struct.unpack("<H", asked[:2])[0]
            ticks = int((time.perf_counter() - start) * CLOCK_HZ)
            if kind == 0:
                link.sendto(server_info(), client)
            elif kind == 4:
                link.sendto(model_list(), client)
            elif kind == 12:
                link.sendto(packet(13, asked[4:12] + struct.pack("<Q", ticks)), client)
            elif kind == 9:
                client = None
        except socket.timeout:
            pass
        t = time.perf_counter() - start
        if client and int(t * 120) > number:
            number = int(t * 120)
            exposed = max(t - LATENCY_S, 0)
            link.sendto(frame(number, exposed, int(exposed * CLOCK_HZ), options.noise / 1000,
                              chance), client)


if __name__ == "__main__":
    main()
