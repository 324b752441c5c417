#!/usr/bin/python3
"""The live page: what is served to whom, what pages get and may ask for, and the
page itself in a real browser beside a simulated scanner. The browser's tests are
skipped, and say so, without Chromium, node, npm or the 3-D view."""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_viewer import CHROMIUM, MODULES, playwright  # noqa: E402

BINARY = os.environ["ES_TEST_BINARY"]
SOURCE = pathlib.Path(os.environ["ES_TEST_SOURCE"])
SLOW = 6 if "ES_TEST_QUICK" in os.environ else 1  # a sanitizer
FRAMES = 120


class Program:
    """echosolid in the background; `line` waits for what it says."""

    def __init__(self, folder, *words):
        self.process = subprocess.Popen([BINARY, *map(str, words)], cwd=folder, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = []

    def line(self, pattern):
        for line in self.process.stderr:
            self.said.append(line)
            found = re.search(pattern, line)
            if found:
                return found.group(1)
        raise AssertionError(f"{pattern!r} was not said: {''.join(self.said)}")

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stderr.closed:
            return self.process.returncode, "", ""
        out, rest = self.process.communicate(timeout=120 * SLOW)
        return self.process.returncode, out, "".join(self.said) + rest

    def memory_kb(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


class Socket:
    """A WebSocket of a page, by hand."""

    def __init__(self, port, address="/live", origin=None, host=None, protocol="echosolid",
                 take=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        host = host or f"127.0.0.1:{port}"
        lines = [f"GET {address} HTTP/1.1", f"Host: {host}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Origin: {origin}"] if origin else []
        lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.rest = b""
        self.open = False
        self.answers = True
        if not take:
            return
        try:
            while b"\r\n\r\n" not in self.rest:
                more = self.socket.recv(4096)
                if not more:
                    return
                self.rest += more
        except OSError:
            return
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        self.open = head.startswith(b"HTTP/1.1 101") and accept in head

    def bytes(self, count):
        while len(self.rest) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            self.rest += more
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def message(self):
        """The next whole one: text as str, binary as bytes."""
        whole, kind = b"", None
        while True:
            first, second = self.bytes(2)
            length = second & 127
            if length > 125:
                length = struct.unpack("!H" if length == 126 else "!Q",
                                       self.bytes(2 if length == 126 else 8))[0]
            data = self.bytes(length)
            opcode = first & 15
            if opcode == 8:
                raise ConnectionError("closed")
            if opcode == 9:  # who does not answer is thrown out after 30 s
                self.send(data, 10)
            if opcode > 8:
                continue
            kind = opcode or kind
            whole += data
            if first & 128:
                if kind == 2 and self.answers:
                    self.send(b"seen")
                return whole.decode() if kind == 1 else whole

    def send(self, data, opcode=1, final=True):
        length = len(data)
        head = bytes([opcode | (128 if final else 0)])
        head += (bytes([128 | length]) if length < 126 else
                 bytes([128 | 126]) + struct.pack("!H", length) if length < 65536 else
                 bytes([128 | 127]) + struct.pack("!Q", length))
        self.socket.sendall(head + b"\0\0\0\0" + data)  # masked by nothing

    def ask(self, what, **more):
        self.send(json.dumps({"do": what, **more}).encode())

    def until(self, wanted, seconds=60):
        """The first message for which `wanted` is true; a state comes parsed."""
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            message = self.message()
            message = json.loads(message) if isinstance(message, str) else message
            if wanted(message):
                return message
        raise AssertionError(f"not within {seconds * SLOW} s; last: {str(message)[:600]}")

    def state(self, wanted=lambda s: True, seconds=60):
        return self.until(lambda m: isinstance(m, dict) and m["kind"] == "state"
                          and m.get("received") is not None and wanted(m), seconds)

    def close(self):
        self.socket.close()


def ask_page(port, address="/", method="GET", host=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, address, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data, answer.headers


class Scan(unittest.TestCase):
    """A simulated scanner for all tests, and a `live` with its page for each."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="echosolid-page-")
        cls.folder = pathlib.Path(cls.temporary.name)
        subprocess.run([BINARY, "simulate", "--scene", "knee", "--frames", str(FRAMES),
                        "--image-size", "256,256", "--seed", "3", "--truth-spacing", "1.5mm", "-o",
                        "scan.igs.mha", "-q"], cwd=cls.folder, check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def scanner(self, *words, recording="scan"):
        program = Program(self.folder, "simulate", "--live", 0, "--replay", f"{recording}.igs.mha",
                          *words)
        self.addCleanup(program.stop, signal.SIGKILL)
        return int(program.line(r"127\.0\.0\.1:(\d+)"))

    def live(self, *words, scanner=None, recording="scan", spacing="1mm"):
        scanner = scanner or self.scanner("--repeat", recording=recording)
        program = Program(self.folder, "live", "--connect", f"127.0.0.1:{scanner}", "--config",
                          f"{recording}.xml", "--bone", "--spacing", spacing, "--page", 0,
                          "--first", "60s",
                          *words)
        self.addCleanup(program.stop, signal.SIGKILL)
        program.port = int(program.line(r"http://[0-9.]+:(\d+)/"))
        return program

    def open(self, program, *more, **keywords):
        page = Socket(program.port, *more, **keywords)
        self.addCleanup(page.close)
        return page


class Served(Scan):
    def test_pages_and_sockets_are_for_this_machine_and_its_own_page(self):
        live = self.live()
        status, page, headers = ask_page(live.port)
        self.assertEqual(status, 200)
        self.assertIn(b"live.js", page)
        self.assertIn("script-src 'self'", headers["Content-Security-Policy"])
        self.assertNotIn("unsafe", headers["Content-Security-Policy"])
        for address in re.findall(rb'(?:src|href)="([^"]+)"', page) + [b"link.js", b"scene.js"]:
            self.assertNotIn(b":", address)  # nothing from elsewhere
            self.assertEqual(ask_page(live.port, "/" + address.decode())[0], 200)
        self.assertEqual(ask_page(live.port, host="evil.example")[0], 403)
        here = f"http://127.0.0.1:{live.port}"
        self.assertTrue(self.open(live, origin=here).open)
        self.assertTrue(self.open(live).open)  # no browser
        for keywords in ({"origin": "http://evil.example"}, {"origin": here + ".evil.example"},
                         {"origin": here.replace("http", "https")}, {"origin": "null"},
                         {"host": f"evil.example:{live.port}"}, {"address": "/"},
                         {"address": "/liver"}, {"protocol": None}, {"protocol": "chat"}):
            self.assertFalse(self.open(live, **keywords).open, keywords)

    def test_a_token_is_asked_for_by_page_socket_and_files(self):
        live = self.live("--listen", "0.0.0.0", "--token", "Open-Sesame.7")
        for address in ("/", "/?token=open-sesame.7", "/?token=Open-Sesame.77", "/?token=",
                        "/?token=Open-Sesame.", "/saved/scan-1.stl", "/?x=Open-Sesame.7"):
            self.assertEqual(ask_page(live.port, address)[0], 403, address)
            self.assertFalse(self.open(live, address=address.replace("/", "/live", 1)).open)
        self.assertEqual(ask_page(live.port, "/?token=Open-Sesame.7")[0], 200)
        # by whatever name: the token is enough, as from a tablet
        self.assertEqual(ask_page(live.port, "/?token=Open-Sesame.7", host="192.168.0.9")[0], 200)
        self.assertTrue(self.open(live, address="/live?token=Open-Sesame.7").open)
        self.assertFalse(self.open(live, address="/live?token=Open-Sesame.7",
                                   origin="http://evil.example").open)
        self.assertEqual(ask_page(live.port, "/live.js")[0], 200)  # program text

    def test_wrong_usage_is_told(self):
        for words, status, says in (
                (["--page", "0", "--listen", "0.0.0.0"], 2, "token"),
                (["--page", "0", "--token", "a b"], 2, "token"),
                (["--page", "0", "--token", "x" * 101], 2, "token"),
                (["--page", "70000"], 2, "65535"),
                (["--page", "0", "--elevation", "0mm"], 2, "elevation"),
                (["--page", "0", "--folder", "nowhere"], 1, "nowhere"),
                (["--page", "0", "--listen", "192.0.2.1", "--token", "x"], 1, "192.0.2.1")):
            done = subprocess.run([BINARY, "live", "--connect", "127.0.0.1:1", "--first", "0.3s",
                                   *words], cwd=self.folder, capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, status, (words, done.stderr))
            self.assertIn(says, done.stderr)
        live = self.live()
        done = subprocess.run([BINARY, "live", "--page", str(live.port), "--connect", "127.0.0.1:1"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(live.port), done.stderr)

    def test_no_file_but_what_was_saved_can_be_had(self):
        (self.folder / "out").mkdir(exist_ok=True)
        (self.folder / "out/secret.txt").write_text("root: secret")
        live = self.live("--folder", "out")
        for address in ("/saved/", "/saved/secret.txt", "/saved/../scan.xml", "/secret.txt",
                        "/saved/%2e%2e/scan.xml", "/out/secret.txt", "/saved//etc/passwd",
                        "/saved/scan-1.stl/../secret.txt", "/../../etc/passwd"):
            status, data, _ = ask_page(live.port, address)
            self.assertIn(status, (400, 403, 404), address)
            self.assertNotIn(b"root:", data)


class Messages(Scan):
    def test_pages_get_states_pictures_and_a_mesh_that_holds_together(self):
        page = self.open(self.live())
        hello = page.until(lambda m: isinstance(m, dict))
        self.assertEqual((hello["kind"], hello["can_save"]), ("hello", False))
        self.assertEqual(len(hello["colours"]), 16)
        mesh = page.until(lambda m: m[:4] == b"MESH" if isinstance(m, bytes) else False)
        version, vertices, triangles = struct.unpack_from("<3I", mesh, 4)
        self.assertEqual(version, 2)
        self.assertGreater(triangles, 100)
        self.assertLessEqual(vertices, 65536)  # so that indices have 16 bits

        def padded(count):
            return (count + 3) // 4 * 4

        corners = 32 + padded(6 * vertices)
        indices_at = corners + 4 * vertices + padded(vertices)
        self.assertEqual(len(mesh), indices_at + padded(6 * triangles))
        indices = struct.unpack_from(f"<{3 * triangles}H", mesh, indices_at)
        self.assertLess(max(indices), vertices)
        *origin, step = struct.unpack_from("<4f", mesh, 16)
        steps = struct.unpack_from(f"<{3 * vertices}H", mesh, 32)
        self.assertEqual((min(steps), max(steps)), (0, 65535))
        places = [origin[k % 3] + step * x for k, x in enumerate(steps)]
        self.assertTrue(all(abs(x) < 1000 for x in places))  # NaN fails too
        # Normals are of length 127, to a rounding of half a step each.
        normals = struct.unpack_from(f"<{4 * vertices}b", mesh, corners)
        longest = max(sum(x * x for x in normals[k:k + 3]) for k in range(0, 4 * vertices, 4))
        self.assertLess(longest, 128 ** 2)
        picture = page.until(lambda m: m[:4] == b"PICT" if isinstance(m, bytes) else False)
        width, height, full_width, full_height, flags, points = struct.unpack_from("<6I", picture, 24)
        self.assertEqual((width, height, full_width, full_height, flags & 1), (256, 256, 256, 256, 1))
        self.assertEqual(len(picture), 96 + 12 * points + width * height)
        self.assertGreater(max(picture[-width * height:]), 100)
        path = page.until(lambda m: m[:4] == b"PATH" if isinstance(m, bytes) else False)
        count, gaps = struct.unpack_from("<2I", path, 8)
        self.assertEqual(len(path), 16 + 12 * (count + gaps))
        cuts = page.until(lambda m: m[:4] == b"CUTS" if isinstance(m, bytes) else False)
        at, sizes = 8, []
        for _ in range(3):
            width, height = struct.unpack_from("<2I", cuts, at)
            # 1 mm voxels, as was asked for
            steps = struct.unpack_from("<9f", cuts, at + 8)[3:]
            self.assertEqual(sorted(map(abs, steps)), [0, 0, 0, 0, 1, 1])
            grey = cuts[at + 44:at + 44 + width * height]
            self.assertEqual(len(grey), width * height)
            at += 44 + (width * height + 3) // 4 * 4
            sizes.append((width, height))
        self.assertEqual(at + 72, len(cuts))
        (y, z), (x, z_again), (x_again, y_again) = sizes
        self.assertEqual((x, y, z), (x_again, y_again, z_again))
        self.assertEqual(struct.unpack_from("<3I", cuts, at), (x, y, z))
        state = page.state(lambda s: s["phase"] == "running" and s["bricks"] > 0)
        self.assertGreater(state["received_hz"], 0)
        self.assertIsInstance(state["coach"], list)

    def test_the_bone_line_lies_on_the_picture_that_came_with_it(self):
        page = self.open(self.live())

        def traced(m):
            return isinstance(m, bytes) and m[:4] == b"PICT" and struct.unpack_from("<I", m, 44)[0] > 20

        picture = page.until(traced)
        points, = struct.unpack_from("<I", picture, 44)
        values = struct.unpack_from(f"<{3 * points}f", picture, 96)
        grey = picture[-256 * 256:]
        found = [(u, v) for u, v in zip(values[::3], values[1::3]) if u == u]
        # The edge is bright: within two rows of the line stands the column's echo.
        on_edge = [max(grey[256 * row + round(u)] for row in range(round(v) - 2, round(v) + 3))
                   for u, v in found if 2 <= v < 253]
        mean = sum(grey) / len(grey)
        self.assertGreater(sum(on_edge) / len(on_edge), 2 * mean)

    def test_pause_leaves_frames_out_and_start_goes_on(self):
        page = self.open(self.live())
        page.state(lambda s: s["phase"] == "running" and s["inserted"] > 10)
        page.ask("pause")
        page.state(lambda s: s["phase"] == "paused")
        time.sleep(0.5 * SLOW)  # what waits is inserted
        first = page.state(lambda s: s["phase"] == "paused")
        later = page.state(lambda s: s["received"] >= first["received"] + 10)
        self.assertLessEqual(later["inserted"] - first["inserted"], 8)  # a queue
        last = page.state(lambda s: s["received"] >= later["received"] + 10)
        self.assertEqual(last["inserted"], later["inserted"])
        page.ask("start")
        page.state(lambda s: s["phase"] == "running" and s["inserted"] > last["inserted"])

    def test_undo_takes_seconds_back_and_the_recording_makes_what_is_left(self):
        live = self.live("-o", "undone.mha", "--record", "undone.igs.mha", "--fill", "none",
                         "--json")
        page = self.open(live)
        state = page.state(lambda s: s["phase"] == "running" and s["undo_s"] > 0)
        self.assertEqual((state["undone"], state["undo_step_s"]), (0, 5))
        page.state(lambda s: s["inserted"] > 60)
        page.ask("undo")
        first = page.state(lambda s: s["last_undo"]["number"] == 1)
        self.assertGreater(first["last_undo"]["frames"], 0)
        self.assertEqual(first["undone"], first["last_undo"]["frames"])
        page.state(lambda s: s["inserted"] > first["inserted"] + 20)
        page.ask("pause")
        page.state(lambda s: s["phase"] == "paused")
        for number in range(2, 20):  # all that there is, and once more
            page.ask("undo")
            last = page.state(lambda s: s["last_undo"]["number"] == number)
            if last["last_undo"]["frames"] == 0:
                break
        self.assertEqual((last["last_undo"]["frames"], last["undo_s"]), (0, 0))
        page.ask("start")
        page.state(lambda s: s["phase"] == "running" and s["inserted"] > last["inserted"] + 20)
        page.ask("undo")
        page.state(lambda s: s["last_undo"]["number"] == number + 1)
        page.state(lambda s: s["inserted"] > last["inserted"] + 30)
        status, out, said = live.stop()
        self.assertEqual(status, 0, said)
        self.assertGreater(json.loads(out)["undone"], first["undone"])
        again = subprocess.run([BINARY, "reconstruct", "undone.igs.mha", "--config", "scan.xml",
                                "--spacing", "1mm", "--fill", "none", "-o", "again.mha", "-q"],
                               cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(again.returncode, 0, again.stderr)
        done = subprocess.run([BINARY, "compare", "undone.mha", "again.mha", "--json"],
                              cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout)["voxels_differing"], 0)

    def test_slices_are_cut_where_a_page_says_and_follow_the_picture_again(self):
        page = self.open(self.live())

        def cuts(m):
            return isinstance(m, bytes) and m[:4] == b"CUTS"

        def end_of(m):
            """Voxels, the one that the slices go through, and the matrix to mm."""
            n = len(m) - 72
            return (struct.unpack_from("<3I", m, n), struct.unpack_from("<3I", m, n + 12),
                    struct.unpack_from("<12f", m, n + 24))

        size, _, mm = end_of(page.until(cuts))
        wanted = [n // 3 for n in size]
        at = [sum(mm[4 * row + a] * wanted[a] for a in range(3)) + mm[4 * row + 3] for row in range(3)]
        page.ask("slice", at=at)

        def there(m):
            if not cuts(m):
                return False
            _, through, to_mm = end_of(m)  # the volume may have grown meanwhile
            place = [sum(to_mm[4 * row + a] * through[a] for a in range(3)) + to_mm[4 * row + 3]
                     for row in range(3)]
            return max(abs(x - y) for x, y in zip(place, at)) < 1e-3

        page.until(there)
        for bad in ([1e9, 0, 0], ["a", 0, 0], [1, 2], [1, 2, 3, 4], {"x": 1}, "middle", True, [[1], 2, 3]):
            page.ask("slice", at=bad)
        page.ask("slice")
        page.send(b'{"do": "slice", "at": [1e999, 0, 0]}')
        page.send(b'{"do": "slice", "at": [NaN, 0, 0]}')
        for _ in range(3):
            state = page.state()
            self.assertLess(max(abs(x - y) for x, y in zip(state["slice"], at)), 1e-9)
        page.ask("slice", at=[-9e4, 9e4, 0])  # outside: the nearest voxel
        far = page.until(lambda m: cuts(m) and end_of(m)[1][0] == 0)
        self.assertEqual(end_of(far)[1][1], end_of(far)[0][1] - 1)
        page.ask("slice", at=None)
        page.state(lambda s: s["slice"] is None)

    def test_evidence_for_the_spacing_is_that_of_the_command(self):
        page = self.open(self.live())
        # Nothing of this is said: it is as if it were not there.
        for more in ({"depth_mm": "60"}, {"depth_mm": -1}, {"depth_mm": 1e300}, {"probe": "x" * 500},
                     {"probe": 7}, {"probe": ["C5"], "depth_mm": None}):
            page.ask("spacing", **more)  # all but the first are left out: one at a time

        def answer(m):
            return isinstance(m, dict) and m["kind"] == "evidence" and not m["busy"]

        plain = page.until(answer, 120)
        self.assertNotIn("error", plain)
        self.assertEqual(plain["pictures"], 8)
        page.ask("spacing", probe="no such probe \u00e4")
        self.assertIn("no such probe", page.until(answer, 120)["error"])
        page.ask("spacing", depth_mm=61.5)
        with_depth = page.until(answer, 120)
        sources = {row["source"] for row in with_depth["rows"]}
        self.assertGreater(len(sources), len({row["source"] for row in plain["rows"]}))
        done = subprocess.run([BINARY, "spacing", "scan.igs.mha", "--config", "scan.xml", "--json"],
                              cwd=self.folder, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        self.assertEqual(plain["known"], said["verdict"] == "known")
        if plain["known"]:  # other pictures of the same scan
            for axis in range(2):
                low, high = plain["ci95_mm"][axis]
                self.assertLess(low, said["ci95_mm"][axis][1])
                self.assertGreater(high, said["ci95_mm"][axis][0])

    def test_depth_and_probe_give_the_true_spacing_of_a_screen_that_claims_another(self):
        done = subprocess.run([BINARY, "simulate", "--screen", "c5-2r60-b", "-o", "screen.igs.mha"],
                              cwd=self.folder, capture_output=True, text=True, check=True)
        truth = float(re.search(r"pixels of ([0-9.]+) x", done.stdout + done.stderr).group(1))
        page = self.open(self.live(recording="screen"))
        page.ask("spacing", depth_mm=150, probe="C5-2R60S-3")
        answer = page.until(lambda m: isinstance(m, dict) and m["kind"] == "evidence"
                            and not m["busy"], 120)
        self.assertTrue(answer["known"], answer)
        for axis in range(2):
            low, high = answer["ci95_mm"][axis]
            self.assertTrue(low < truth < high, (low, truth, high))
        claimed = [row for row in answer["rows"] if row["suspect"]]
        self.assertEqual([row["spacing_mm"] for row in claimed], [[0.2, 0.2]])

    def test_what_is_saved_is_what_the_end_of_the_scan_makes(self):
        out = self.folder / "same"
        out.mkdir()
        live = self.live("--folder", "same", "--model", "end.stl", "-o", "end.mha", "--record",
                         "same.igs.nhdr", "--queue", 64, "--fill", "none", scanner=self.scanner())
        page = self.open(live)
        page.state(lambda s: s["received"] == FRAMES and
                   s["inserted"] + s["dropped"] + s["unplaced"] == FRAMES)
        page.ask("save")
        page.ask("save")  # one at a time
        state = page.state(lambda s: not s["saving"] and s["line"].endswith("saved"), 300)
        names = sorted(s["name"] for s in state["saved"])
        self.assertEqual(names, ["scan-1.mha", "scan-1.step", "scan-1.stl"])
        for saved in state["saved"]:
            status, data, headers = ask_page(live.port, saved["address"])
            self.assertEqual(status, 200)
            self.assertEqual(data, (out / saved["name"]).read_bytes())
            self.assertEqual(len(data), saved["bytes"])
            self.assertEqual(headers["Content-Disposition"], "attachment")
        status, _, said = live.stop()
        self.assertEqual(status, 0, said)
        ends = [(self.folder / "end.stl"), out / "scan-1.stl"]
        facets = [path.read_bytes()[80:] for path in ends]
        self.assertEqual(*facets)  # but for the words in front
        done = subprocess.run([BINARY, "compare", "end.mha", "same/scan-1.mha", "--json"],
                              cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(json.loads(done.stdout)["voxels_differing"], 0)

    def test_another_save_takes_another_name_and_leaves_the_first(self):
        (self.folder / "twice").mkdir()
        (self.folder / "twice/scan-1.step").write_text("mine")
        page = self.open(self.live("--folder", "twice"))
        page.state(lambda s: s["phase"] == "running" and s["inserted"] > 40)
        page.ask("save")
        page.state(lambda s: not s["saving"] and "scan-2" in s["line"], 300)
        self.assertEqual((self.folder / "twice/scan-1.step").read_text(), "mine")
        self.assertTrue((self.folder / "twice/scan-2.mha").exists())


class Hostile(Scan):
    def test_junk_from_a_page_ends_that_page_alone(self):
        live = self.live()
        good = self.open(live)
        for opcode, data in ((1, b"x" * 3000), (2, b"\0" * 10), (1, b"{" * 2000), (1, b"[]"),
                             (1, b'{"do": 7}'), (1, b'{"do": "format c:"}'), (1, b"\0\0\0"),
                             (1, b"\xff\xfe"), (1, b'{"do": "save"}'), (1, b"x" * 100_000), (9, b""),
                             (5, b"?"), (8, b"")):
            page = Socket(live.port)
            self.assertTrue(page.open)
            try:
                page.send(data, opcode)
                page.send(b'{"do": "nothing"}')
            except OSError:
                pass
            page.close()
        flood = Socket(live.port)
        with self.assertRaises((ConnectionError, OSError)):
            for _ in range(500):
                flood.ask("nothing")
            for _ in range(10_000):
                flood.message()
        flood.close()
        half = Socket(live.port)
        half.send(b'{"do":', final=False)  # and no more
        self.assertEqual(good.state()["phase"] in ("starting", "running"), True)
        half.close()
        self.assertIsNone(live.process.poll())

    def test_a_page_that_does_not_answer_gets_two_pictures_and_all_states(self):
        live = self.live()
        good = self.open(live)
        good.state(lambda s: s["phase"] == "running" and s["triangles"] > 0)
        page = self.open(live)
        page.answers = False
        kinds = []
        while kinds.count(dict) < 12:  # hello, and states for three seconds
            message = page.message()
            kinds.append(dict if isinstance(message, str) else bytes)
        self.assertEqual(kinds.count(bytes), 2)
        page.send(b"seen")
        page.until(lambda m: isinstance(m, bytes))  # and on it goes

    def test_sixteen_pages_are_open_at_most(self):
        live = self.live()
        pages = [Socket(live.port) for _ in range(20)]

        def hears(page):
            try:
                return bool(page.message())
            except OSError:
                return False

        self.assertEqual(sum(hears(page) for page in pages), 16)
        for page in pages:
            page.close()
        for _ in range(100):  # their places are free again
            page = Socket(live.port)
            heard = hears(page)
            page.close()
            if heard:
                break
            time.sleep(0.1)
        else:
            self.fail("no page can be opened any more")

    def test_pages_that_do_not_read_cost_little_and_hold_nothing_up(self):
        live = self.live()
        good = self.open(live)
        good.state(lambda s: s["phase"] == "running" and s["triangles"] > 0)
        before = live.memory_kb()
        def own(state):  # what the run takes for the volume and for Undo
            return state["volume_bytes"] + state["undo_bytes"]

        start = own(good.state())
        idle = [Socket(live.port) for _ in range(10)]
        first = good.state()
        last = good.state(lambda s: s["received"] >= first["received"] + 100)
        grown = live.memory_kb() - before - (own(last) - start) // 1024
        rate = (last["received"] - first["received"]) / (last["seconds"] - first["seconds"])
        print(f"10 pages that do not read cost {grown} kB; {rate:.1f} frames a second", file=sys.stderr)
        if SLOW == 1:
            # Ten pictures and meshes on their way, what the kernel does not count, and
            # the run's own growth: 20,000 triangles are 0.5 MB.
            self.assertLess(grown, 40_000)
            self.assertGreater(rate, 0)
        for page in idle:
            page.close()


class InBrowser(Scan):
    """The page in Chromium."""

    @classmethod
    def setUpClass(cls):
        why = "built without the 3-D view" if not has_scene() else playwright()
        if why:
            raise unittest.SkipTest(why)
        super().setUpClass()

    def browse(self, live, steps, **more):
        task = {"chromium": CHROMIUM, "modules": str(MODULES), "out": str(self.folder),
                "page": f"http://127.0.0.1:{live.port}/", "steps": steps, **more}
        browser = subprocess.Popen(["node", str(SOURCE / "tests/browser/live.mjs"), json.dumps(task)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(browser.kill)
        return browser

    def seen(self, browser, errors=()):
        out, said = browser.communicate(timeout=300 * SLOW)
        self.assertEqual(browser.returncode, 0, said)
        found = json.loads(out.strip().splitlines()[-1])
        self.assertEqual([e for e in found["errors"] if not any(x in e for x in errors)], [])
        self.assertEqual(len(found["hosts"]), 1, found["hosts"])  # nothing from elsewhere
        return found


class Browser(InBrowser):
    """Judged by what the page's script holds and its elements say."""

    def test_the_page_shows_mesh_picture_and_state_and_its_buttons_work(self):
        now = "[performance.now() / 1000, live.meshes, live.scene.stage.frames, live.triangles]"
        (self.folder / "browser").mkdir()
        live = self.live("--folder", "browser")
        found = self.seen(self.browse(live, [
            ["wait", 60 * SLOW, "live.meshes > 0 && live.scene.stage.frames > 0"],
            ["tell", "shown", "performance.now() / 1000"],
            ["wait", 60 * SLOW, "live.triangles > 100 && live.scene.surface.visible"],
            ["wait", 30 * SLOW, "live.picture.count > 3 && live.picture.points > 20"],
            ["wait", 30 * SLOW, "live.scene.probe.visible && live.paths > 0"],
            ["wait", 30 * SLOW, "live.cuts.count > 0 && !document.getElementById('cuts').hidden"],
            ["tell", "begin", now],
            ["sleep", 4],
            ["tell", "end", now],
            ["tell", "phase", "document.getElementById('phase').textContent"],
            ["tell", "figures", "document.getElementById('figures').textContent"],
            ["tell", "coach", "document.getElementById('coach').children.length"],
            ["tell", "wide", "document.documentElement.scrollWidth > innerWidth"],
            ["key", "Space"],
            ["wait", 20 * SLOW, "live.state.phase === 'paused'"],
            ["tell", "toggle", "document.getElementById('toggle').textContent"],
            ["key", "u"],
            ["wait", 20 * SLOW, "live.state.last_undo.number === 1"],
            ["wait", 20 * SLOW, "document.getElementById('undo-note').textContent !== ''"],
            ["tell", "note", "document.getElementById('undo-note').textContent"],
            ["tell", "undone", "live.state.undone"],
            ["sleep", 1],
            ["tell", "inserted", "live.state.inserted"],
            ["click", "#toggle"],
            ["wait", 20 * SLOW, "live.state.phase === 'running'"],
            ["wait", 60 * SLOW, "live.state.inserted > 60"],
            ["key", "s"],
            ["wait", 200 * SLOW, "live.state.saved.length === 3 && !live.state.saving"],
            ["download", "#saved a[download$='.stl']", "got.stl"],
            ["tell", "links", "[...document.querySelectorAll('#saved a')].map((a) => a.textContent)"],
            ["shoot", "page"],
        ]))
        told = found["told"]
        self.assertEqual(told["phase"], "scanning")
        self.assertIn("triangles", told["figures"])
        self.assertGreater(told["coach"], 0)
        self.assertEqual(told["toggle"], "Start")
        self.assertGreater(told["undone"], 0)
        self.assertIn(f"{told['undone']} pictures", told["note"])
        self.assertFalse(told["wide"])
        self.assertEqual(sorted(told["links"]), ["scan-1.mha", "scan-1.step", "scan-1.stl"])
        self.assertEqual((self.folder / "got.stl").read_bytes(),
                         (self.folder / "browser/scan-1.stl").read_bytes())
        took, meshes, drawn = (b - a for a, b in zip(told["begin"][:3], told["end"][:3]))
        print(f"the page shows the mesh {told['shown']:.1f} s after it was opened, then {meshes / took:.1f} "
              f"surfaces a second (the last of {told['end'][3]} triangles), drawn {drawn / took:.1f} times",
              file=sys.stderr)

    def test_slices_move_by_slider_and_pointer_and_the_keys_of_a_slider_are_its_own(self):
        live = self.live()
        through = "live.cuts.through"
        found = self.seen(self.browse(live, [
            ["wait", 60 * SLOW, "live.cuts.count > 0 && live.cuts.size.every((n) => n > 8)"],
            ["wait", 90 * SLOW, f"live.state.slice === null && live.state.inserted > {2 * FRAMES}"],
            ["tell", "follows", "document.getElementById('cuts-follow').getAttribute('aria-pressed')"],
            ["key", "f", "#cuts input"],  # keys of the page work there too
            ["tell", "pressed", "document.getElementById('follow').getAttribute('aria-pressed')"],
            ["key", "Home", "#cuts input"],
            ["wait", 20 * SLOW, f"live.state.slice && {through}[0] === 0"],
            ["key", "ArrowRight", "#cuts input"],
            ["key", "ArrowRight", "#cuts input"],
            ["wait", 20 * SLOW, f"{through}[0] === 2 && live.cuts.sliders[0].value === '2'"],
            ["tell", "placed", "document.getElementById('cuts-follow').getAttribute('aria-pressed')"],
            # the middle of the slice across z
            ["click", "#cuts figure:nth-child(3) canvas"],
            ["wait", 20 * SLOW, f"[0, 1].every((a) => Math.abs({through}[a] - live.cuts.size[a] / 2) < 3)"],
            ["shoot", "slices"],
            ["click", "#cuts-follow"],
            ["wait", 20 * SLOW, "live.state.slice === null"],
            ["tell", "again", "document.getElementById('cuts-follow').getAttribute('aria-pressed')"],
        ]))
        self.assertEqual([found["told"][k] for k in ("follows", "pressed", "placed", "again")],
                         ["true", "true", "false", "true"])

    def test_a_line_over_the_picture_is_held_against_spacing_and_evidence(self):
        live = self.live()
        ends = "live.measure.ends"
        found = self.seen(self.browse(live, [
            ["wait", 60 * SLOW, "live.picture.count > 0 && live.measure.inUse"],
            ["key", "m"],
            ["tell", "shown", "!document.getElementById('measure-box').hidden"],
            ["tell", "before", f"{ends}[1].slice()"],
            ["key", "Shift+ArrowDown", "#measure-over .end:last-child"],
            ["key", "ArrowLeft", "#measure-over .end:last-child"],
            ["tell", "after", f"{ends}[1].slice()"],
            ["drag", "#measure-over .end:nth-of-type(1)", 0, 40],
            ["tell", "dragged", f"{ends}[0].slice()"],
            # a length typed in: its digits are no keys of the page
            ["fill", "#measure-box input", "20"],
            ["tell", "measured", "live.measure.measured"],
            ["tell", "ends", ends],
            ["tell", "said", "document.getElementById('measured').textContent"],
            ["tell", "inUse", "live.measure.inUse"],
            ["click", "#measure-box .row button"],
            ["wait", 120 * SLOW, "live.measure.answers === 1"],
            ["tell", "rows", "document.querySelectorAll('#evidence li').length"],
            ["tell", "verdict", "document.getElementById('verdict').textContent"],
            # Ticks as they would be found: the line lies on the first and the last one, and a
            # tick draws the end that comes near.
            ["tell", "", "live.measure.evidence({busy: false, known: false, ask: [], rows: [], ticks: "
             "[{axis: 1, at: 200, first: 20.5, period: 30, count: 6, major: 0}]})"],
            ["click", "#measure-box .row button:nth-child(2)"],
            ["tell", "laid", ends],
            ["tell", "snapped", "live.measure.snap([201, 51], [1, 1])"],
            ["tell", "free", "live.measure.snap([201, 70], [1, 1])"],
            ["shoot", "measure"],
        ]))
        told = found["told"]
        self.assertTrue(told["shown"])
        self.assertEqual([a - b for a, b in zip(told["after"], told["before"])], [-1, 10])
        self.assertGreater(told["dragged"][1], told["before"][1] * 0.15 / 0.65 + 5)
        (u0, v0), (u1, v1) = told["ends"]
        self.assertAlmostEqual(told["measured"], 20 / ((u1 - u0) ** 2 + (v1 - v0) ** 2) ** 0.5)
        self.assertIn("In use along it", told["said"])
        self.assertGreater(told["rows"], 0)
        self.assertTrue(told["verdict"])
        self.assertEqual(told["laid"], [[200, 20.5], [200, 170.5]])
        self.assertEqual((told["snapped"], told["free"]), ([200, 50.5], [201, 70]))

    def test_a_reload_and_a_restart_come_back(self):
        live = self.live()
        browser = self.browse(live, [
            ["wait", 60 * SLOW, "live.meshes > 0"],
            ["reload"],
            ["wait", 30 * SLOW, "live.meshes > 0 && live.state !== null && live.state.received > 0"],
            ["tell", "again", "live.link.connections"],
            ["say", "stop"],
            ["wait", 30 * SLOW, "document.getElementById('phase').dataset.phase === 'gone'"],
            ["tell", "disabled", "document.getElementById('toggle').disabled"],
            ["say", "start"],
            ["wait", 60 * SLOW, "live.link.connections === 2 && live.state.phase === 'running'"],
        ])
        self.assertEqual(browser.stdout.readline().strip(), "stop")
        live.stop(signal.SIGKILL)
        browser.stdin.write("go\n")
        browser.stdin.flush()
        self.assertEqual(browser.stdout.readline().strip(), "start")
        self.live("--page", live.port)
        browser.stdin.write("go\n")
        browser.stdin.flush()
        found = self.seen(browser, errors=["WebSocket connection to"])
        self.assertEqual(found["told"], {"again": 1, "disabled": True})

    def test_tablet_and_phone_need_no_scrolling_sideways_and_no_webgl_is_said(self):
        live = self.live()
        for size in ([768, 1024], [390, 844]):
            found = self.seen(self.browse(live, [
                ["wait", 60 * SLOW, "live.state !== null && live.picture.count > 0"],
                ["tell", "wide", "document.documentElement.scrollWidth > innerWidth"],
                ["tell", "note", "document.getElementById('stage-note').textContent"],
            ], size=size, blind=True), errors=["WebGL"])
            self.assertFalse(found["told"]["wide"])
            self.assertIn("No 3-D view", found["told"]["note"])

    def test_who_comes_late_sees_the_bone_from_outside(self):
        live = self.live()
        page = self.open(live)
        page.state(lambda s: s["inserted"] > FRAMES)
        # The mean normal, and how much of it points at who looks.
        found = self.seen(self.browse(live, [
            ["wait", 60 * SLOW, "live.scene.shown > 0"],
            ["tell", "seen", """(() => {
                const { surface, stage } = live.scene;
                const { array } = surface.geometry.attributes.normal;
                const corners = surface.geometry.drawRange.count;
                const eye = stage.camera.position.clone().sub(stage.controls.target).normalize();
                const sum = eye.clone().set(0, 0, 0);
                for (let k = 0; k < corners; k += 1) {
                  const i = 4 * surface.geometry.index.array[k];
                  sum.add(eye.clone().set(array[i], array[i + 1], array[i + 2]));
                }
                sum.divideScalar(127 * corners).applyQuaternion(live.scene.root.quaternion);
                return [sum.length(), sum.dot(eye)];
            })()"""],
        ]))
        length, towards = found["told"]["seen"]
        self.assertGreater(length, 0.2)  # the sweep sees one side of the knee
        self.assertGreater(towards, 0)


def processes_of(root):
    """The root and all that came of it: process id to (what it is, processor seconds)."""
    tick = os.sysconf("SC_CLK_TCK")
    parents, found = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        pid = int(path.name)
        parents[pid] = int(fields[1])
        kind = re.search(r"--type=(\S+)", words)
        found[pid] = (kind.group(1) if kind else words.split(" ")[0].rsplit("/", 1)[-1],
                      (int(fields[11]) + int(fields[12])) / tick)
    mine = {root}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return {pid: found[pid] for pid in mine if pid in found}


class Rate(InBrowser):
    """How often the page shows another surface beside scanner, network and insertion, and what
    of the processor that takes. Printed, never judged: it is the machine's as much as ours."""
    SECONDS = float(os.environ.get("ES_RATE_SECONDS", "10"))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run([BINARY, "simulate", "--scene", "knee", "--frames", "200", "--rate", "30",
                        "--image-size", "512,512", "--seed", "3", "--truth-spacing", "1.5mm", "-o",
                        "large.igs.mha", "-q"], cwd=cls.folder, check=True, capture_output=True)

    def processor_ms(self, roots):
        total = {}
        for root in roots:
            for kind, seconds in processes_of(root).values():
                total[kind] = total.get(kind, 0) + 1e3 * seconds
        return total

    def scan(self):
        """A scanner and `live` beside it: what Chromium shows and takes is up to the page."""
        scanner = Program(self.folder, "simulate", "--live", 0, "--replay", "large.igs.mha", "--repeat")
        self.addCleanup(scanner.stop, signal.SIGKILL)
        port = int(scanner.line(r"127\.0\.0\.1:(\d+)"))
        return scanner, self.live(scanner=port, recording="large", spacing="0.5mm")

    def watch(self, picture_of, **more):
        """Counts of the page and processor time of all that runs, over SECONDS."""
        scanner, live = self.scan()
        now = ("({at: performance.now() / 1000, surfaces: live.scene.shown, draws: "
               "live.scene.stage.frames, pictures: live.picture.count, inserted: live.state.inserted, "
               "dropped: live.state.dropped, received: live.state.received})")
        browser = self.browse(live, [
            ["wait", 120 * SLOW, "live.scene.shown > 3 && live.state.inserted > 200"],
            ["tell", "begin", now], ["say", "begin"],
            ["sleep", self.SECONDS],
            ["tell", "end", now], ["say", "end"],
            ["tell", "triangles", "live.triangles"],
            ["tell", "software", "live.scene.stage.software"],
            ["shoot", picture_of],
        ], **more)
        spent = []
        for word in ("begin", "end"):
            self.assertEqual(browser.stdout.readline().strip(), word)
            spent.append(self.processor_ms([browser.pid, live.process.pid, scanner.process.pid]))
            browser.stdin.write("go\n")
            browser.stdin.flush()
        told = self.seen(browser)["told"]
        self.assertTrue(told["software"])
        gone = {key: told["end"][key] - told["begin"][key] for key in told["begin"]}
        used = {kind: ms - spent[0].get(kind, 0) for kind, ms in spent[1].items()}
        live.stop()
        scanner.stop(signal.SIGKILL)
        return told["triangles"], gone, used

    def tell(self, how, triangles, gone, used):
        took, surfaces = gone["at"], gone["surfaces"]
        # node and playwright are the test's own
        page = {kind: ms for kind, ms in used.items() if kind not in ("echosolid", "node")}
        each = ", ".join(f"{kind} {ms / surfaces:.0f}" for kind, ms in
                         sorted(page.items(), key=lambda row: -row[1]) if ms > 0.5 * surfaces)
        print(f"{how}: {surfaces / took:.1f} surfaces a second shown in the page (asked: 10), of "
              f"{triangles} triangles, beside {gone['received'] / took:.0f} pictures of 512 x 512 a "
              f"second with the network ({gone['dropped']} of {gone['received']} dropped); drawn "
              f"{gone['draws'] / took:.1f} times, pictures {gone['pictures'] / took:.1f}; Chromium takes "
              f"{sum(page.values()) / surfaces:.0f} ms of a processor for each surface ({each}), "
              f"scanner and echosolid {used['echosolid'] / took:.0f} ms a second; load average "
              f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)

    def test_surfaces_a_second_beside_the_scan_are_printed(self):
        for how, plain in (("3-D view alone by software GL", True), ("whole page by it", False)):
            triangles, gone, used = self.watch("plain" if plain else "forced", plain=plain)
            self.assertGreater(gone["surfaces"], 0)
            self.assertGreater(gone["inserted"], 0)
            self.assertLessEqual(triangles, 20_000)
            self.tell(how, triangles, gone, used)


def has_scene():
    done = subprocess.run([BINARY, "live", "--connect", "127.0.0.1:1", "--first", "0.1s", "--page",
                           "0"], capture_output=True, text=True)
    return "without its 3-D view" not in done.stderr


if __name__ == "__main__":
    unittest.main(verbosity=2)
