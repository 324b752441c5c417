#!/usr/bin/python3
"""Pictures without a server: a file as if live, a grabber (a fake one, preloaded),
streams over UDP, TCP and RTSP on loopback. Each picture carries its number as eight
squares; a tracker of lines of text says the time as a place. So every frame that was
recorded tells which picture it has and when its pose was taken. No rate is judged."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
if not shutil.which("ffmpeg"):
    print("skipped: no ffmpeg")
    sys.exit(77)

BINARY = os.environ["ES_TEST_BINARY"]
FAKE = os.environ.get("ES_FAKE_V4L2", "")
W, H, RATE = 160, 128, 25
MM_PER_S = 100.0
CONFIG = """<PlusConfiguration version="2.9"><CoordinateDefinitions>
<Transform From="Image" To="Probe" Matrix="0.5 0 0 0 0 0.5 0 0 0 0 0.5 0 0 0 0 1"/>
</CoordinateDefinitions></PlusConfiguration>"""


def picture(number):
    """A texture that moves, and eight squares: white where a bit of the number is set."""
    v, u = np.mgrid[0:H, 0:W]
    grey = (80 + 40 * np.sin(u / 9 + number / 3) * np.cos(v / 7)).astype(np.uint8)
    for bit in range(8):
        grey[8:24, 16 * bit + 16:16 * bit + 32] = 230 if number >> bit & 1 else 20
    return grey


def numbers(frames):
    squares = [frames[:, 12:20, 16 * b + 20:16 * b + 28].mean(axis=(1, 2)) > 125 for b in range(8)]
    return sum(s.astype(int) << b for b, s in enumerate(squares))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Tracker(threading.Thread):
    """Lines by UDP, a hundred a second: the probe is where the time since the start says."""

    def __init__(self):
        super().__init__(daemon=True)
        self.port, self.begun, self.over = free_port(socket.SOCK_DGRAM), time.time(), False
        self.start()

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not self.over:
                now = time.time()
                line = {"time": now, "name": "Probe", "quaternion": [1, 0, 0, 0],
                        "position": [MM_PER_S * (now - self.begun), 0, 100]}
                out.sendto(json.dumps(line).encode(), ("127.0.0.1", self.port))
                time.sleep(0.01)

    def times(self, transforms):
        return self.begun + transforms[:, 0, 3] / MM_PER_S


class Rtsp(threading.Thread):
    """A server of one stream, over TCP: ffmpeg codes it, its packets are passed on.
    `redirect`: everybody is sent there."""

    def __init__(self, folder, frames=None, redirect=None):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.redirect, self.coder = self.listener.getsockname()[1], redirect, None
        self.sdp = ""
        if frames is not None:
            self.packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.packets.bind(("127.0.0.1", 0))
            self.packets.settimeout(0.2)
            self.start_coder(folder, frames)
        self.start()

    def start_coder(self, folder, frames):
        file = folder / "rtsp.sdp"
        self.coder = coder(frames, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
                           "-g", "5", "-flags", "+global_header", "-f", "rtp", "-sdp_file", str(file),
                           f"rtp://127.0.0.1:{self.packets.getsockname()[1]}?rtcpport={free_port()}")
        end = time.time() + 30
        while "sprop" not in self.sdp and time.time() < end:
            self.sdp = file.read_text() if file.exists() else ""
            time.sleep(0.05)
        lines = [line for line in self.sdp.splitlines() if not line.startswith("SDP:")]
        self.sdp = "\r\n".join(re.sub(r"^m=video \d+", "m=video 0", line) for line in lines if line)
        self.sdp += "\r\na=control:streamid=0\r\n"

    def answer(self, request, sequence):
        if self.redirect:
            return f"RTSP/1.0 302 Found\r\nCSeq: {sequence}\r\nLocation: {self.redirect}\r\n\r\n"
        head, body = f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\nSession: 7\r\n", ""
        if request == "OPTIONS":
            head += "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        if request == "DESCRIBE":
            body = self.sdp
            head += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        if request == "SETUP":
            head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        return head + "\r\n" + body

    def serve(self, link):
        text, playing = b"", False
        link.settimeout(0.02 if self.redirect is None else 5)
        while True:
            try:
                got = link.recv(4096)
                if not got:
                    return
                text += got
            except socket.timeout:
                pass
            while b"\r\n\r\n" in text:
                request, text = text.split(b"\r\n\r\n", 1)
                words = request.decode().split()
                sequence = re.search(r"CSeq: *(\d+)", request.decode()).group(1)
                link.sendall(self.answer(words[0], sequence).encode())
                playing = playing or words[0] == "PLAY"
            while playing:
                try:
                    packet = self.packets.recv(65536)
                except socket.timeout:
                    break
                link.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)

    def run(self):
        while True:
            try:
                link, _ = self.listener.accept()
                with link:
                    self.serve(link)
            except (ConnectionError, BrokenPipeError):
                continue
            except OSError:
                return

    def close(self):
        self.listener.close()
        if self.coder:
            self.coder.kill()
            self.coder.wait()


def coder(frames, *words):
    """ffmpeg over raw frames from a file, at their rate, again and again."""
    return subprocess.Popen(["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-f", "rawvideo",
                             "-pix_fmt", "gray", "-s", f"{W}x{H}", "-r", str(RATE), "-i", str(frames),
                             "-pix_fmt", "yuv420p", *words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL)


CODE = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5", "-f", "mpegts"]


class Capture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="echosolid-capture-"))
        (cls.folder / "scan.xml").write_text(CONFIG)
        cls.frames = cls.folder / "frames.raw"
        np.stack([picture(i) for i in range(200)]).tofile(cls.frames)
        subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s",
                        f"{W}x{H}", "-r", str(RATE), "-i", cls.frames, "-frames:v", "75", "-c:v",
                        "ffv1", cls.folder / "file.mkv"], check=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def live(self, source, *words, name, status=0, enough=None, **environment):
        """Runs live to its end, or until so many frames were received."""
        command = [BINARY, "live", "--capture", str(source), "--config", "scan.xml", "--record",
                   f"{name}.igs.nhdr", "--json", "--first", "60s", *map(str, words)]
        process = subprocess.Popen(command, cwd=self.folder, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, **environment})
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        notes, end, told = [], time.time() + 100, False
        for line in process.stderr:
            notes.append(line)
            count = re.search(r"received (\d+)", line)
            done = enough and count and int(count.group(1)) >= enough
            if (done or time.time() > end) and not told:
                process.terminate()  # a second signal would not let it write
                told = True
        self.notes = "".join(notes)
        out = process.stdout.read()
        self.assertEqual(process.wait(timeout=60), status, self.notes)
        return json.loads(out) if status == 0 else notes[-1]

    def recorded(self, name):
        subprocess.run([BINARY, "convert", f"{name}.igs.nhdr", f"{name}.npz", "-q"], check=True,
                       cwd=self.folder, timeout=60, capture_output=True)
        with np.load(self.folder / f"{name}.npz") as z:
            return {key: z[key] for key in z.files}

    def check_poses(self, found, tracker, lag_s=0):
        """The pose of each frame is that of its time, of those 10 ms apart; a tracker's thread
        that was not let run is why the nearest may be as far as the tolerance, 20 ms."""
        poses = found["ProbeToTracker"]
        seen = np.isfinite(poses[:, 0, 3])
        self.assertGreater(seen.sum(), len(seen) / 2)
        off = tracker.times(poses[seen]) - found["timestamps"][seen] - lag_s
        self.assertLess(np.abs(off).max(), 0.021)
        return seen

    def check_steps(self, found, count=200, tolerance_s=0.002):
        """Pictures come in their order, and their times are as far apart as their numbers."""
        number, times = numbers(found["frames"]), found["timestamps"]
        steps = np.diff(number) % count
        self.assertGreater(steps.min(), 0)
        self.assertLess(steps.max(), count // 2)
        np.testing.assert_allclose(np.diff(times), steps / RATE, atol=tolerance_s)

    def with_tracker(self):
        tracker = Tracker()
        self.addCleanup(lambda: setattr(tracker, "over", True))
        return tracker, f"udp://:{tracker.port}?clock=sent"

    # ---- files

    def test_a_file_is_played_as_if_it_came_now_and_gets_the_trackers_poses(self):
        tracker, address = self.with_tracker()
        begun = time.time()
        told = self.live("file.mkv", "--tracker", address, "--whole", name="file", *("-o", "file.mha"))
        found = self.recorded("file")
        self.assertEqual(told["received"], 75)
        self.assertEqual(told["link"]["lost"] + told["link"]["duplicates"], 0)
        np.testing.assert_array_equal(found["frames"], [picture(i) for i in range(75)])
        self.assertGreater(found["timestamps"][0], begun)
        self.check_steps(found)
        self.check_poses(found, tracker)
        # What was recorded makes the same volume.
        subprocess.run([BINARY, "reconstruct", "file.igs.nhdr", "--config", "scan.xml", "-o", "again.mha"],
                       cwd=self.folder, check=True, capture_output=True, timeout=100)
        same = json.loads(subprocess.run([BINARY, "compare", "file.mha", "again.mha", "--json"],
                                         cwd=self.folder, check=True, capture_output=True,
                                         timeout=60).stdout)
        self.assertEqual(same["voxels_differing"], 0)
        self.assertEqual(same["geometry_mm"], 0)

    def test_the_lag_is_applied(self):
        tracker, address = self.with_tracker()
        self.live("file.mkv", "--tracker", address, "--whole", "--lag", "-0.2s", name="lag")
        self.check_poses(self.recorded("lag"), tracker, -0.2)

    def test_equal_pictures_come_once(self):
        doubled = np.repeat([picture(i) for i in range(30)], 2, axis=0)
        doubled.tofile(self.folder / "doubled.raw")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s",
                        f"{W}x{H}", "-r", "50", "-i", "doubled.raw", "-c:v", "ffv1", "doubled.mkv"],
                       check=True, timeout=60, cwd=self.folder)
        _, address = self.with_tracker()
        told = self.live("doubled.mkv", "--tracker", address, "--whole", name="doubled")
        self.assertEqual(told["received"], 30)
        self.assertEqual(told["link"]["duplicates"], 30)
        found = self.recorded("doubled")
        np.testing.assert_array_equal(found["frames"], [picture(i) for i in range(30)])
        self.check_steps(found)

    def test_a_crop_is_kept_and_the_recording_says_where_it_was(self):
        _, address = self.with_tracker()
        self.live("file.mkv", "--tracker", address, "--whole", "--crop", "16,8,128,16", name="crop")
        found = self.recorded("crop")["frames"]
        np.testing.assert_array_equal(found, [picture(i)[8:24, 16:144] for i in range(75)])
        self.assertIn("EchosolidCropOrigin:=16 8", (self.folder / "crop.igs.nhdr").read_text())
        said = self.live("file.mkv", "--crop", "100,0,100,10", name="bad", status=2)
        self.assertIn("does not lie in the picture", said)

    def test_what_lies_beside_the_echoes_is_black(self):
        subprocess.run([BINARY, "simulate", "--screen", "6", "--frames", "30", "-o", "screen.igs.mha",
                        "-q"], check=True, cwd=self.folder, capture_output=True, timeout=60)
        subprocess.run([BINARY, "convert", "screen.igs.mha", "echoes.npz", "--echoes-only", "--grey",
                        "-q"], check=True, cwd=self.folder, capture_output=True, timeout=60)
        _, address = self.with_tracker()
        self.live("screen.igs.mha", "--tracker", address, name="masked")
        self.assertIn("the echoes were found", self.notes)
        with np.load(self.folder / "echoes.npz") as z:
            wanted = z["frames"]
        found = self.recorded("masked")["frames"]
        self.assertGreater(len(found), 20)  # pictures that are equal come once
        for frame in found:
            self.assertTrue((frame == wanted).all(axis=(1, 2)).any())

    def test_pictures_alone_can_be_recorded(self):
        told = self.live("file.mkv", "--whole", name="alone")
        self.assertEqual((told["recorded"], told["inserted"]), (75, 0))
        self.assertIn("none of the 75 frames has a valid position", self.notes)
        np.testing.assert_array_equal(self.recorded("alone")["frames"], [picture(i) for i in range(75)])

    def test_without_a_field_of_echoes_all_is_taken_and_that_is_told(self):
        _, address = self.with_tracker()
        self.live("file.mkv", "--tracker", address, name="nothing", enough=1)
        self.assertIn("all of the picture is taken", self.notes)

    def test_a_recording_brings_its_own_poses(self):
        subprocess.run([BINARY, "simulate", "--scene", "sphere", "--frames", "40", "--image-size",
                        "128,128", "-o", "sphere.igs.mha", "-q"], check=True, cwd=self.folder,
                       capture_output=True, timeout=60)
        command = [BINARY, "live", "--capture", "sphere.igs.mha", "--config", "sphere.xml", "--whole",
                   "--record", "own.igs.mha", "-o", "own.mha", "--json"]
        told = json.loads(subprocess.run(command, check=True, cwd=self.folder, capture_output=True,
                                         timeout=100).stdout)
        self.assertEqual(told["inserted"], 40)

    # ---- a grabber

    def grabber(self, frames, name, *words, **environment):
        if not FAKE:
            self.skipTest("no fake grabber was built (a sanitizer, or not Linux)")
        grey = np.asarray(frames)
        pixels = np.full(grey.shape + (2,), 128, np.uint8)
        pixels[..., 0] = 16 + np.round(grey * (219 / 255))  # video's range of grey
        pixels.tofile(self.folder / f"{name}.yuyv")
        return self.live("v4l2:///dev/video-fake", *words, name=name, LD_PRELOAD=FAKE,
                         FAKE_V4L2_RAW=str(self.folder / f"{name}.yuyv"),
                         FAKE_V4L2_SIZE=f"{W}x{H}@{RATE}", **environment)

    def test_a_grabbers_pictures_get_the_poses_of_their_time(self):
        tracker, address = self.with_tracker()
        frames = [picture(i) for i in range(200)]
        told = self.grabber(frames, "grab", "--tracker", address, "--whole", enough=60)
        found = self.recorded("grab")
        # Rounding to video's range and back: half a step of 255 / 219 and half a grey.
        off = found["frames"].astype(int) - np.stack(frames)[numbers(found["frames"])]
        self.assertLessEqual(np.abs(off).max(), 1)
        self.check_poses(found, tracker)
        # The rest was lost only where the machine was too slow, and that is counted.
        missing = (np.diff(numbers(found["frames"])) % 200).sum() - (len(found["frames"]) - 1)
        if told["link"]["lost"] == 0:
            self.assertLessEqual(missing, told["link"]["missed"])
        self.check_steps(found)

    def test_lost_and_doubled_pictures_of_a_grabber_are_counted(self):
        _, address = self.with_tracker()
        told = self.grabber([picture(i // 2) for i in range(200)], "lossy", "--tracker", address,
                            "--whole", enough=40, FAKE_V4L2_SKIP="20")
        self.assertGreaterEqual(told["link"]["duplicates"], 20)
        self.assertGreaterEqual(told["link"]["missed"], 1)

    def test_a_grabber_that_is_unplugged_is_found_again(self):
        _, address = self.with_tracker()
        told = self.grabber([picture(i) for i in range(200)], "plug", "--tracker", address, "--whole",
                            enough=60, FAKE_V4L2_FRAMES="50")
        self.assertIn("the device is gone", self.notes)
        self.assertGreaterEqual(told["link"]["connections"], 2)

    def test_what_is_no_grabber_is_told(self):
        self.assertIn("No such file", self.live("v4l2:///dev/none", "--first", "5s",
                                                  name="no", status=1))
        for address, word in (("v4l2:///dev/video0?depth=3", "size=WxH"),
                              ("v4l2://dev/video0", "three slashes"), ("http://a/b", "expected"),
                              ("udp://239.1.1.1:5", "multicast"), ("udp://:70000", "65535"),
                              ("tcp://127.0.0.1:1?listen=1", "65535"), ("tcp://:99", "HOST:PORT"),
                              ("hls+http://a/b", "expected"), ("concat:/etc/passwd", "concat:"),
                              ("none.mp4", "none.mp4")):
            with self.subTest(address):
                said = self.live(address, "--first", "0.5s", name="no", status=1 if
                                 address.startswith(("concat", "none")) else 2)
                self.assertTrue(said.startswith("echosolid: "))
                self.assertIn(word, said)
        self.assertEqual(list(self.folder.glob("no.*")), [])

    # ---- streams

    def stream(self, *words):
        process = coder(self.frames, *words)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def check_stream(self, name, tracker):
        found = self.recorded(name)
        self.check_steps(found, tolerance_s=0.03)  # the clock is laid anew as faster ones come
        self.check_poses(found, tracker)

    def test_a_stream_by_udp_from_this_machine(self):
        tracker, address = self.with_tracker()
        port = free_port(socket.SOCK_DGRAM)
        self.stream(*CODE, f"udp://127.0.0.1:{port}?pkt_size=1316")
        told = self.live(f"udp://:{port}", "--tracker", address, "--whole", name="udp", enough=50)
        self.assertEqual(told["link"]["connections"], 1)
        self.check_stream("udp", tracker)

    def test_a_stream_is_taken_from_this_machine_alone(self):
        port = free_port(socket.SOCK_DGRAM)
        process = subprocess.Popen([BINARY, "live", "--capture", f"udp://:{port}", "--record",
                                    "bound.igs.nhdr"], cwd=self.folder, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        bound, end = [], time.time() + 60
        while not bound and time.time() < end:
            bound = [line.split()[1] for line in pathlib.Path("/proc/net/udp").read_text().splitlines()
                     if line.split()[1].endswith(f":{port:04X}")]
            time.sleep(0.05)
        self.assertEqual(bound, [f"0100007F:{port:04X}"])  # 127.0.0.1

    def test_a_stream_by_tcp_that_ends_is_fetched_anew(self):
        tracker, address = self.with_tracker()
        port = free_port()
        server = self.stream(*CODE, f"tcp://127.0.0.1:{port}?listen=1&listen_timeout=60000")

        def again():
            server.wait(timeout=60)
            self.stream(*CODE, f"tcp://127.0.0.1:{port}?listen=1&listen_timeout=60000")

        threading.Timer(4, server.kill).start()
        threading.Thread(target=again, daemon=True).start()
        told = self.live(f"tcp://127.0.0.1:{port}", "--tracker", address, "--whole", name="tcp",
                         enough=120)
        self.assertGreaterEqual(told["link"]["connections"], 2)
        self.assertIn("connecting anew", self.notes)
        found = self.recorded("tcp")
        self.check_poses(found, tracker)

    def test_a_stream_by_rtsp(self):
        tracker, address = self.with_tracker()
        server = Rtsp(self.folder, self.frames)
        self.addCleanup(server.close)
        self.assertIn("sprop", server.sdp)
        told = self.live(f"rtsp://nurse:secret@127.0.0.1:{server.port}/us", "--tracker", address,
                         "--whole", name="rtsp", enough=50)
        self.assertNotIn("secret", self.notes)
        self.assertEqual(told["link"]["connections"], 1)
        self.check_stream("rtsp", tracker)

    def test_a_server_that_sends_on_elsewhere_is_not_followed(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            heard = []

            def listen():
                try:
                    link, _ = other.accept()
                    link.settimeout(5)
                    heard.append(link.recv(100))
                except OSError:
                    pass

            threading.Thread(target=listen, daemon=True).start()
            server = Rtsp(self.folder, redirect=f"rtsp://127.0.0.1:{other.getsockname()[1]}/us")
            self.addCleanup(server.close)
            said = self.live(f"rtsp://127.0.0.1:{server.port}/us", name="sent", status=1)
            self.assertIn("sends on to another address", said)
            self.assertEqual(b"".join(heard), b"")  # nothing was asked of it

    def test_a_stream_that_names_other_addresses_is_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            other.settimeout(0.1)
            at = other.getsockname()[1]
            texts = [f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4,\nhttp://127.0.0.1:{at}/a.ts\n",
                     f"v=0\r\nc=IN IP4 127.0.0.1\r\nm=video {at} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
                     f"ffconcat version 1.0\nfile tcp://127.0.0.1:{at}\n", "nothing at all" * 5000]
            for text in texts:
                with socket.create_server(("127.0.0.1", 0)) as server:
                    def serve(bytes_sent=text.encode()):
                        while True:
                            try:
                                link, _ = server.accept()
                                with link:
                                    link.sendall(bytes_sent)
                            except OSError:
                                return
                    threading.Thread(target=serve, daemon=True).start()
                    port = server.getsockname()[1]
                    self.live(f"tcp://127.0.0.1:{port}", "--first", "2s", name="list", status=1)
                with self.assertRaises(socket.timeout):
                    other.accept()


if __name__ == "__main__":
    unittest.main()
