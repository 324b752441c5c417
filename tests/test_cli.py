#!/usr/bin/python3
"""The program as people use it: the examples of every --help run, every
option is exercised, wrong input gives one clear message, the right exit
status, and leaves nothing under the final name."""
import json
import math
import os
import pathlib
import random
import re
import resource
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BINARY = os.environ["ES_TEST_BINARY"]
DATA = pathlib.Path(os.environ.get("ES_TEST_DATA", "/nonexistent"))
COMMANDS = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", subprocess.run(
    [BINARY, "--help"], capture_output=True, text=True).stdout, re.M)
USED = set()  # (command, option) pairs that were run
# Under a sanitizer a few tests would take most of the time; what they do is tested there
# function by function.
SANITIZED = "ES_TEST_QUICK" in os.environ
thorough = unittest.skipIf(SANITIZED, "takes minutes under a sanitizer")


def run(*arguments, status=0, cwd=None, **keywords):
    words = [str(a) for a in arguments]
    for word in words[1:]:
        USED.add((words[0], word.split("=")[0]))
    if words and words[0] in COMMANDS:
        words[:1] = words[0].split()
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, cwd=cwd,
                          timeout=300, **keywords)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(words)}: status {done.returncode}, expected {status}\n"
                             f"{done.stdout}\n{done.stderr}")
    return done


def run_json(*arguments, **keywords):
    return json.loads(run(*arguments, "--json", **keywords).stdout)


def examples(command):
    text = run(command, "--help").stdout
    return [line.strip() for line in text.split("examples:\n")[1].splitlines() if line.strip()]


def options(command):
    return re.findall(r"^  (?:-\w, )?(--[a-z-]+)", run(command, "--help").stdout, re.M)


class Cli(unittest.TestCase):
    """One folder with a small simulated recording for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="echosolid-cli-"))
        run("simulate", "--scene", "knee", "--frames", "120", "--image-size", "256,256", "--seed", 3,
            "--threads", 2, "--truth-spacing", "1.5mm", "-o", "scan.igs.mha", "-q", cwd=cls.folder)
        write_calibration_inputs(cls.folder)
        for name, more in (("floor", []), ("flat", ["--hold", "tilt"])):
            run("simulate", "--scene", "floor", *more, "--frames", "240", "--image-size", "256,512",
                "--pose-noise", "0.2mm", "--threads", 2, "--truth-spacing", "4mm", "-o",
                f"{name}.igs.mha", "-q", cwd=cls.folder)
        for name, seed in (("wires", 1), ("check", 2)):
            run("simulate", "--scene", "nwire", "--frames", "60", "--lag", "60ms", "--pose-noise",
                "0.1mm", "--seed", seed, "-o", f"{name}.igs.mha", "-q", cwd=cls.folder)
        run("reconstruct", "scan.igs.mha", "--config", "scan.xml", "-o", "volume.mha", "-q",
            cwd=cls.folder)
        run("model", "scan.igs.mha", "--config", "scan.xml", "--truth", "scan.seen.ply", "-o",
            "knee.stl", "--sheet", "knee-sheet.stl", "-q", cwd=cls.folder)
        write_ndi_log(cls.folder / "scan.igs.mha", cls.folder / "scan.csv")
        for name in ("igs.mha", "xml", "truth.ply", "seen.ply"):
            shutil.copy(cls.folder / f"scan.{name}", cls.folder / f"knee.{name}")
        write_distance_sphere(cls.folder / "distance.mha", 10, 1.0)
        shutil.copytree(cls.folder, str(cls.folder) + "-examples")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)
        shutil.rmtree(str(cls.folder) + "-examples")

    def path(self, name):
        return self.folder / name

    def refused(self, *arguments, says=(), status=1, leaves_no=None, **keywords):
        """One line that starts with the program's name, the right status,
        nothing written."""
        done = run(*arguments, status=status, cwd=self.folder, **keywords)
        self.assertNotEqual(done.returncode, 0)
        lines = done.stderr.strip().splitlines()
        self.assertTrue(lines[-1].startswith("echosolid: "), done.stderr)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, lines[-1])
        if leaves_no:
            self.assertFalse(self.path(leaves_no).exists())
        self.assertEqual(list(self.folder.glob("*.part")), [])
        return lines[-1]

    # ---- live

    def play(self, *arguments):
        """simulate --live in the background: the process and its port."""
        words = ["simulate", "--live", "0", *map(str, arguments)]
        for word in words[1:]:
            USED.add(("simulate", word))
        process = subprocess.Popen([BINARY, *words], cwd=self.folder, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        line = process.stderr.readline()
        self.assertIn("127.0.0.1:", line)
        return process, int(re.search(r":(\d+)", line).group(1))

    def test_a_live_scan_is_recorded_and_its_recording_makes_the_same_volume(self):
        process, port = self.play("--replay", "scan.igs.mha", "--json")
        live = run_json("live", "--connect", f"127.0.0.1:{port}", "--config", "scan.xml", "-o",
                        "live.mha", "--record", "live.igs.mha", "--seconds",
                        "40s" if SANITIZED else "7s", "--bone",
                        "--model", "live.stl", "--fill", "none", "--first", "20s", "--tolerance",
                        "20ms", "--wait", "100ms", "--lag", "0ms", "--queue", 64, "--no-crc",
                        "--serve", 0, "--parts", "--listen", "127.0.0.1", "--token", "word", "--folder", ".",
                        "--page", 0, "--elevation", "3mm",
                        "--preview", "2", "--spacing", "1mm", "--interpolation", "nearest",
                        "--compounding", "mean", "--clip", "0,0,256,256", "--threshold", 1,
                        "--skip", 1, "--memory", "1GB", "--threads", 2, "--image-to-reference",
                        "ImageToReference", cwd=self.folder)
        played = json.loads(process.communicate(timeout=60)[0])
        self.assertEqual(played["messages_dropped"], 0)
        self.assertEqual(live["received"], 120)
        self.assertEqual(live["recorded"], 120)
        self.assertEqual(live["inserted"] + live["dropped"] + live["unplaced"], 120)
        self.assertEqual(live["link"]["lost"], 0)
        self.assertGreater(live["triangles"], 1000)
        self.assertGreater(live["latency_median_s"], 0)
        again = ["--config", "scan.xml", "--spacing", "1mm", "--clip", "0,0,256,256", "--threshold", 1]
        run("reconstruct", "live.igs.mha", *again, "-o", "again.mha", "-q", cwd=self.folder)
        same = run_json("compare", "live.mha", "again.mha", cwd=self.folder)
        self.assertEqual(same["voxels_differing"], 0)
        self.assertEqual(same["geometry_mm"], 0)
        self.assertEqual(list(self.folder.glob("live.live.*")), [])
        run("reconstruct", "live.igs.mha", *again, "--all", "-o", "all.mha", "-q", cwd=self.folder)

    def test_a_scan_with_a_tracker_of_its_own_can_be_tried_without_hardware(self):
        process, port = self.play("--replay", "scan.igs.mha", "--natnet", 0, "--repeat")
        tracker = re.search(r"natnet://127\.0\.0\.1:\d+", process.stderr.readline()).group()
        live = run_json("live", "--connect", f"127.0.0.1:{port}", "--tracker", tracker, "--config",
                        "scan.xml", "--record", "tracked.igs.mha", "--seconds",
                        "20s" if SANITIZED else "5s", "--first", "20s", "--wait", "1s", cwd=self.folder)
        self.assertGreater(live["inserted"], 10)
        info = run("info", "tracked.igs.mha", cwd=self.folder).stdout
        self.assertRegex(info, r"ProbeToTracker +valid in [1-9]")
        self.assertRegex(info, r"ReferenceToTracker +valid in [1-9]")
        self.assertNotIn("RigidBody", info)
        self.refused("simulate", "--natnet", 0, "-o", "a.igs.mha", status=2, says="--live")

    def test_a_recording_is_played_as_if_it_came_now(self):
        live = run_json("live", "--capture", "scan.igs.mha", "--config", "scan.xml", "--crop",
                        "0,0,200,256", "--whole", "--record", "played.igs.mha", cwd=self.folder)
        self.assertEqual(live["received"], 120)
        self.assertIn("200 x 256", run("info", "played.igs.mha", cwd=self.folder).stdout)
        for words, says in ((["--connect", "127.0.0.1:1"], "--connect"), (["--no-crc"], "--no-crc"),
                            (["--crop", "0,0,0,9"], "--crop")):
            self.refused("live", "-o", "v.mha", "--capture", "scan.igs.mha", *words, status=2, says=says)
        self.refused("live", "-o", "v.mha", "--whole", status=2, says="--capture")
        self.refused("live", "-o", "v.mha", "--crop", "0,0,9,9", status=2, says="--capture")
        self.refused("live", "-o", "v.mha", "--capture", "none.mp4", status=1, says="none.mp4")

    def test_a_live_scan_ends_at_ctrl_c_with_everything_written(self):
        _, port = self.play("--scene", "sphere", "--frames", 20, "--image-size", "128,128", "--rate",
                            50, "--repeat")
        process = subprocess.Popen(
            [BINARY, "live", "--connect", f"127.0.0.1:{port}", "--config", "scan.xml", "-o", "end.mha",
             "--record", "end.igs.nhdr", "--origin", "-200,-200,-200", "--size", "400,400,400",
             "--spacing", "2"],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        USED.update({("live", "--origin"), ("live", "--size")})
        for line in process.stderr:  # told once a second
            if re.search(r"inserted [1-9]", line):
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertIn("latency", out)
        self.assertTrue(self.path("end.mha").exists())
        self.assertGreater(run_json("info", "end.igs.nhdr", cwd=self.folder)["frames"], 0)

    def test_a_live_scan_that_is_killed_leaves_what_was_received(self):
        _, port = self.play("--replay", "scan.igs.mha", "--repeat")
        process = subprocess.Popen(
            [BINARY, "live", "--connect", f"127.0.0.1:{port}", "--config", "scan.xml", "--record",
             "killed.igs.mha"],
            cwd=self.folder, text=True, stderr=subprocess.PIPE)
        received = 0
        for line in process.stderr:
            found = re.search(r"received (\d+)", line)
            received = int(found.group(1)) if found else 0
            if received > 20:
                break
        process.kill()
        process.communicate()
        left = run_json("info", "killed.live.nhdr", cwd=self.folder)
        self.assertGreaterEqual(left["frames"], received)
        run("convert", "killed.live.nhdr", "saved.igs.mha", cwd=self.folder)
        self.refused("live", "--record", "killed.live.nhdr", "--connect", f"127.0.0.1:{port}",
                     "--first", "5s", status=2, says="never written over")

    def test_wrong_usage_of_live_is_told(self):
        self.refused("live", status=2, says="-o")
        self.refused("live", "-o", "v.txt", status=None, says=".mha")
        self.refused("live", "-o", "v.mha", "--connect", "host:99999", status=2, says="65535")
        self.refused("live", "-o", "v.mha", "--model", "m.stl", status=2, says="--bone")
        self.refused("live", "-o", "v.mha", "--serve", 0, "--listen", "0.0.0.0", status=2,
                     says="token")
        self.refused("live", "-o", "none.mha", "--connect", "127.0.0.1:1", "--first", "0.3s", status=1,
                     says="127.0.0.1:1", leaves_no="none.mha")
        self.refused("live", "-o", "v.mha", "--compounding", "mask", "--mask", "none.png",
                     "--connect", "127.0.0.1:1", "--first", "0.3s", status=1)
        self.refused("live", "-o", "v.mha", "--tracker", "moon://here", status=2)
        self.refused("simulate", "--live", 0, "-o", "a.igs.mha", status=2, says="--live")
        self.refused("simulate", "--replay", "scan.igs.mha", "-o", "a.igs.mha", status=2,
                     says="--live")

    # ---- help and options

    def test_the_lag_of_a_water_tank_is_found(self):
        found = run_json("calibrate lag", self.folder / "tank.igs.mha", "--range", "1s", "--tool",
                         "Probe", "--reference", "Tracker", "--config", self.folder / "phantom.xml")
        self.assertAlmostEqual(found["lag_s"], 0.12, delta=0.01)
        run("calibrate lag", self.folder / "tank.igs.mha", "--from", "line", "--range", "1s")
        moved = run_json("calibrate lag", self.folder / "tank.igs.mha", "--from", "motion",
                         "--range", "1s")
        self.assertLess(abs(moved["lag_s"] - found["lag_s"]), 0.05)
        run("calibrate lag", self.folder / "tank.igs.mha", "--from", "nothing", status=2)
        run("calibrate lag", self.folder / "stylus-swing.igs.mha", status=1)

    def test_a_floor_gives_the_image_to_probe(self):
        floor, config = self.folder / "floor.igs.mha", self.folder / "floor.xml"
        truth = re.search(r'From="Image" To="Probe" Matrix="([^"]*)"', config.read_text()).group(1)
        truth = [float(n) for n in truth.split()]

        def miss(matrix):  # at 50 mm depth under the middle of the face, pixels of 0.1973 mm
            at = (127.5, 4 + 50 / 0.1973, 0, 1)
            return math.dist(*[[sum(m[4 * r + c] * at[c] for c in range(4)) for r in range(3)]
                               for m in (matrix, truth)])

        found = run_json("calibrate wall", floor, "--tool", "Probe", "--reference", "Reference")
        self.assertLess(miss(found["image_to_probe"]), 2 * found["target_ci95_mm"])
        self.assertTrue(found["bath_speed_assumed"])  # water of 20 C for the figure of tissue
        self.assertAlmostEqual(found["spacing_tissue_mm"][1] / found["spacing_mm"][1], 1.03887,
                               places=4)
        self.assertLess(abs(found["lag_s"]), max(0.02, 2 * found["lag_ci95_s"]))
        self.assertEqual(len(found["observability"]), 12)
        given = run_json("calibrate wall", floor, "--lag", "0", "--spacing-mm", "0.1973,0.1973",
                         "--temperature", "20", "--face", "4", "--config", config, "-o",
                         self.folder / "walled.xml")
        self.assertLess(miss(given["image_to_probe"]), 1.2)
        self.assertEqual(given["lag_s"], 0)
        # 1540 / 1482.38 m/s (Marczak at 20 C)
        self.assertAlmostEqual(given["spacing_tissue_mm"][1] / given["spacing_mm"][1], 1.03887,
                               places=4)
        face = [sum(m[4 * r + c] * (127.5, 4, 0, 1)[c] for c in range(4)) for r in range(3)
                for m in (given["image_to_probe"], given["image_to_probe_tissue"])]
        for bath, tissue in zip(face[::2], face[1::2]):
            self.assertAlmostEqual(bath, tissue, places=6)  # the face stays where it is
        self.assertIn('From="Image" To="Probe"', (self.folder / "walled.xml").read_text())
        one = run_json("calibrate wall", floor, "--isotropic", "--lag", "free", "--speed", "1500")
        self.assertEqual(one["spacing_mm"][0], one["spacing_mm"][1])
        self.assertEqual(len(one["observability"]), 11)

    def test_a_floor_without_tilt_is_refused_and_not_written(self):
        flat = self.folder / "flat.igs.mha"
        said = self.refused("calibrate wall", flat, "-o", "flat-walled.xml", says="tilt the probe",
                            leaves_no="flat-walled.xml")
        self.assertIn("does not determine", said)
        forced = run_json("calibrate wall", flat, "--force")
        self.assertGreater(forced["target_ci95_mm"], 2)
        self.assertTrue(forced["missing_motions"])
        self.assertFalse(all(p["determined"] for p in forced["observability"]))
        floor = self.folder / "floor.igs.mha"
        for wrong in (["--lag", "soon"], ["--lag", "11"], ["--temperature", "20", "--speed", "1500"],
                      ["--isotropic", "--spacing-mm", "0.1,0.2"]):
            self.refused("calibrate wall", floor, *wrong, status=2)
        self.refused("calibrate wall", self.folder / "stylus-swing.igs.mha", "--tool", "Stylus",
                     says="no pictures")
        self.refused("simulate", "--scene", "floor", "--hold", "rock,breath", "-o", "x.igs.mha",
                     status=2, leaves_no="x.igs.mha")
        self.refused("simulate", "--scene", "knee", "--hold", "rock", "-o", "x.igs.mha", status=2,
                     leaves_no="x.igs.mha")

    @thorough
    def test_overlapping_passes_give_the_image_to_probe_without_a_phantom(self):
        run("simulate", "--scene", "abdomen", "--sweeps", 6, "--lean", "20deg", "--turn", "40deg",
            "--frames", 100, "--image-size", "96,96", "--pose-noise", "0.2mm", "--threads", 2,
            "--truth-spacing", "4mm", "-o", "passes.igs.mha", "-q", cwd=self.folder)
        passes, config = self.folder / "passes.igs.mha", self.folder / "passes.xml"
        truth = re.search(r'From="Image" To="Probe" Matrix="([^"]*)"', config.read_text()).group(1)
        truth = [float(n) for n in truth.split()]
        spacing = math.hypot(*truth[0:9:4])
        found = run_json("calibrate self", passes, "--start", config, "--tool", "Probe",
                         "--reference", "Reference", "--lag", "0", "--isotropic", "--force",
                         "--config", config, "-o", self.folder / "self.xml", "--report",
                         self.folder / "self.html")
        at = (48, 40, 0, 1)
        miss = math.dist(*[[sum(m[4 * r + c] * at[c] for c in range(4)) for r in range(3)]
                           for m in (found["image_to_probe"], truth)])
        self.assertLess(miss, found["target_ci95_mm"])
        self.assertEqual(found["starts"][0]["start"], "given")
        self.assertEqual(len(found["observability"]), 7)
        self.assertIn('From="Image" To="Probe"', (self.folder / "self.xml").read_text())
        self.assertIn("Where the search began", (self.folder / "self.html").read_text())
        self.refused("calibrate self", passes, "--lag", "soon", status=2)
        self.refused("calibrate self", passes, "--isotropic", "--spacing-mm", "0.1,0.2", status=2)
        self.refused("calibrate self", passes, "--start", "floor.xml", "--tool", "Stylus",
                     says="Stylus", status=None)
        self.refused("simulate", "--scene", "floor", "--sweeps", 3, "-o", "x.igs.mha", status=2,
                     leaves_no="x.igs.mha")
        self.assertAlmostEqual(found["spacing_mm"][0] / spacing, 1, delta=0.05)

    def test_a_recording_says_which_calibrations_it_permits(self):
        def verdicts(*arguments):
            found = run_json("calibrate", *arguments)
            return {v["method"]: v for v in found["methods"]}, found

        floor, _ = verdicts(self.folder / "floor.igs.mha")
        self.assertTrue(floor["wall"]["possible"])
        flat, _ = verdicts(self.folder / "flat.igs.mha")
        self.assertIn("tilt the probe", flat["wall"]["missing"])
        self.assertIn("floor", flat["self"]["missing"])
        tank, about = verdicts(self.folder / "tank.igs.mha", "--tool", "Probe", "--reference",
                               "Tracker")
        self.assertTrue(tank["lag"]["possible"])
        self.assertFalse(tank["wall"]["possible"])
        self.assertEqual(about["transform"], "ProbeToTracker")
        swing, about = verdicts(self.folder / "stylus-swing.igs.mha", "--config",
                                self.folder / "phantom.xml")
        self.assertTrue(swing["pivot"]["possible"])
        self.assertTrue(swing["landmarks"]["possible"])
        self.assertIn("no pictures", swing["wall"]["missing"])
        self.assertIn("no pictures", swing["self"]["missing"])
        self.assertEqual(about["transform"], "")
        knee = run("calibrate", self.folder / "knee.igs.mha").stdout
        self.assertIn("water tank", knee)
        self.refused("calibrate", "absent.igs.mha", says="absent.igs.mha")

    def test_a_simulated_swing_shows_the_tip_that_it_was_made_with(self):
        truth = run_json("simulate", "--scene", "pivot", "--frames", 300, "--pose-noise", "0.2mm",
                         "--seed", 4, "-o", self.folder / "swung.igs.mha")
        found = run_json("calibrate pivot", self.folder / "swung.igs.mha")
        self.assertEqual(found["transform"], "StylusToReference")
        # what is asked of a pivot at this noise
        self.assertLess(math.dist(found["tip_mm"], truth["tip_mm"]), 0.2)
        run("simulate", "--scene", "pivot", "--frames", 20, "-o", self.folder / "swing.igs.mha")
        self.refused("calibrate pivot", self.folder / "swing.igs.mha", says="swing")
        self.refused("simulate", "--scene", "pivot", "--angle-noise", "60deg", "-o", "x.igs.mha",
                     status=2, leaves_no="x.igs.mha")

    def test_a_swung_stylus_shows_its_tip(self):
        found = run_json("calibrate pivot", self.folder / "stylus-swing.igs.mha", "--tool",
                         "Stylus", "--reference", "Reference", "--min-range", "20deg", "--config",
                         self.folder / "phantom.xml", "-o", self.folder / "tip.xml")
        for got, truth in zip(found["tip_mm"], TIP):
            self.assertAlmostEqual(got, truth, places=5)
        self.assertIn("StylusTip", (self.folder / "tip.xml").read_text())
        run("calibrate pivot", self.folder / "spun.igs.mha", status=1)
        run("calibrate pivot", self.folder / "stylus-swing.igs.mha", "--min-range", "90deg",
            "--force", status=1)
        several = run("calibrate pivot", self.folder / "stylus-swing.igs.mha", "--tool", "Pen",
                      status=1)
        self.assertIn("PenToReference", several.stderr)

    def test_a_spun_stylus_shows_its_axis(self):
        found = run_json("calibrate spin", self.folder / "spun.igs.mha", "--tip", "0,0,-200",
                         "--min-range", "30deg", "--tool", "Stylus", "--reference", "Reference",
                         "--config", self.folder / "phantom.xml")
        self.assertAlmostEqual(found["axis"][2], -1, places=6)
        run("calibrate spin", self.folder / "spun.igs.mha", "-o", "x.xml", status=2)

    def test_touched_landmarks_register_a_phantom(self):
        config = self.folder / "phantom.xml"
        for inputs in ([self.folder / "touches.igs.mha", "--still-time", "1s", "--still-radius",
                        "1mm", "--tool", "Stylus", "--reference", "Reference"],
                       ["--points", self.folder / "touched.fcsv"]):
            found = run_json("calibrate landmarks", *inputs, "--config", config, "--tolerance",
                             "2mm", "--target", "0,0,0", "-o", self.folder / "registered.xml")
            self.assertEqual(found["landmarks_found"], 5)
            self.assertLess(found["fre_mm"], 1e-6)
            for k, value in enumerate(found["phantom_to_reference"]):
                self.assertAlmostEqual(value, 1.0 if k % 5 == 0 else 0.0, places=6)
        run("calibrate landmarks", "--points", self.folder / "touched.fcsv", status=2)
        run("calibrate landmarks", "--config", config, status=2)

    def test_a_simulated_wire_phantom_gives_its_image_to_probe(self):
        folder = self.folder
        truth = run_json("simulate", "--scene", "nwire", "--frames", "2", "-o",
                         folder / "truth.igs.mha")
        found = run_json("calibrate nwire", folder / "wires.igs.mha", "--validation",
                         folder / "check.igs.mha", "--config", folder / "wires.xml", "--lag", "free",
                         "-o", folder / "wired.xml", "--report", folder / "wired.html", "--picture",
                         folder / "wired.png", "--temperature", "20", "--max-gap", "0.4s", "--tool",
                         "Probe", "--reference", "Reference")
        # 0.1 mm of pose noise leave less than this at the picture's corner
        for k in range(12):
            weight = 300 if k % 4 < 2 else 1
            self.assertAlmostEqual(found["image_to_probe"][k], truth["image_to_probe"][k],
                                   delta=2 if k % 4 == 2 else 0.8 / weight)
        self.assertAlmostEqual(found["lag_s"], 0.06, delta=0.03)
        self.assertLess(found["validation_m95_mm"], 0.5)
        self.assertLess(found["validation_2d_rms_mm"], 0.5)
        self.assertGreaterEqual(found["frames_used"], 50)
        self.assertFalse(found["bath_speed_assumed"])
        self.assertIn('From="Image"', (folder / "wired.xml").read_text())
        page = (folder / "wired.html").read_text()
        for word in ("Speed of sound", "Frames used", "data:image/png", "<svg"):
            self.assertIn(word, page)
        self.assertEqual((folder / "wired.png").read_bytes()[:4], b"\x89PNG")

    def test_a_wire_calibration_says_what_is_wrong(self):
        folder, wires = self.folder, self.folder / "wires.igs.mha"
        config = folder / "wires.xml"
        same = run_json("calibrate nwire", wires, "--phantom", "fcal-1.2", "--phantom-to-reference",
                        config, "--isotropic", "--lag", "0.06", "--speed", "1500")
        self.assertEqual(same["spacing_mm"][0], same["spacing_mm"][1])
        self.assertTrue(same["cross_validated"])
        run("calibrate nwire", wires, status=2)
        run("calibrate nwire", wires, "--phantom", "fcal-1.2", status=2)
        run("calibrate nwire", wires, "--config", config, "--phantom", "nobody", status=2)
        run("calibrate nwire", wires, "--config", config, "--lag", "soon", status=2)
        run("calibrate nwire", wires, "--config", config, "--speed", "1480", "--temperature", "20",
            status=2)
        other = self.refused("calibrate nwire", wires, "--config", config, "--phantom", "fcal-2.0",
                             "-o", "other.xml", says="wire", leaves_no="other.xml")
        self.assertIn("phantom", other)
        self.refused("calibrate nwire", wires, "--config", config, "--lag", "1.5", "-o", "late.xml",
                     says="--lag free", leaves_no="late.xml")
        run("calibrate nwire", wires, "--config", config, "--lag", "0.06", "--force", "-o",
            folder / "forced.xml")
        self.assertTrue((folder / "forced.xml").exists())
        self.refused("calibrate nwire", "touches.igs.mha", "--config", config, "--tool", "Stylus",
                     "--reference", "Tracker", status=1)

    @thorough
    def test_a_refused_wire_calibration_still_reports(self):
        folder, page = self.folder, self.folder / "refused.html"
        config = folder / "wires.xml"
        # no phantom in the picture; another phantom; --force does not help what has no result
        cases = (("floor.igs.mha", [], "Bright spots"),
                 ("wires.igs.mha", ["--phantom", "printed-endocavity", "--force"], "No result"))
        for recording, more, says in cases:
            page.unlink(missing_ok=True)
            self.refused("calibrate nwire", recording, "--config", config, *more, "--report", page,
                         "-o", "refused.xml", says="", leaves_no="refused.xml")
            text = page.read_text()
            for word in (says, "No result", "What to do next", "data:image/png", "Frames with found"):
                self.assertIn(word, text)

    @thorough
    def test_force_gives_a_bad_result_with_a_warning(self):
        folder = self.folder
        run("simulate", "--scene", "nwire", "--frames", "60", "--lag", "1.2s", "--seed", "2", "-o",
            folder / "late.igs.mha", "-q")  # for the validation, the tracker comes a second late
        late = ["calibrate nwire", folder / "wires.igs.mha", "--validation", folder / "late.igs.mha",
                "--config", folder / "wires.xml", "--lag", "0.06"]
        self.refused(*late, "-o", "bad.xml", says="2 mm", leaves_no="bad.xml")
        done = run(*late, "--force", "-o", folder / "bad.xml")
        self.assertIn("given by --force", done.stderr)
        self.assertTrue((folder / "bad.xml").exists())

    def test_a_printed_phantom_calibrates_with_its_own_wire_table(self):
        folder = self.folder
        sizes = {"rows": 3, "width": 33, "length": 44, "gap": 9, "stagger": 2, "inset": 6,
                 "above": 12, "below": 14, "side": 21, "wall": 5.5, "hole": 0.9, "line": 0.25,
                 "stylus": 2}
        words = [w for k, v in sizes.items() for w in (f"--{k}", v)]
        made = run_json("phantom", "--probe", "linear", *words, "-o", folder / "print.stl",
                        "--config-out", folder / "table.xml", "--guide", folder / "print.html")
        self.assertAlmostEqual(made["size_mm"][1], 44 + 2 * 5.5)
        self.assertEqual(len(made["wires"]), 9)
        self.assertEqual(len(made["landmarks_mm"]), 8)
        page = (folder / "print.html").read_text()
        for word in ("A1 to a1", "<svg", "data:image/png", "calibrate landmarks"):
            self.assertIn(word, page)
        data = (folder / "print.stl").read_bytes()
        count = struct.unpack_from("<I", data, 80)[0]
        self.assertEqual(len(data), 84 + 50 * count)
        truth = run_json("simulate", "--scene", "nwire", "--config", folder / "table.xml",
                         "--frames", "50", "--rate", "10", "--pose-noise", "0.1mm", "--gain", "2",
                         "--dashes", "4", "--grabber", "-o", folder / "printed.igs.mha")
        found = run_json("calibrate nwire", folder / "printed.igs.mha", "--config",
                         folder / "printed.xml")
        for k in range(12):
            weight = 300 if k % 4 < 2 else 1
            self.assertAlmostEqual(found["image_to_probe"][k], truth["image_to_probe"][k],
                                   delta=2 if k % 4 == 2 else 0.8 / weight)
        curved = run_json("simulate", "--scene", "nwire", "--phantom", "printed-curved", "--probe",
                          "convex", "--frames", "2", "-o", folder / "curved.igs.mha")
        self.assertGreater(curved["spacing_mm"][0], 0.12)

    def test_a_phantom_that_cannot_be_is_refused(self):
        self.refused("phantom", "--wall", "2", "-o", "thin.stl", says="wall", status=2,
                     leaves_no="thin.stl")
        self.refused("phantom", "-o", "phantom.txt", says=".stl", leaves_no="phantom.txt")
        run("phantom", status=2)
        run("simulate", "--scene", "nwire", "--config", self.folder / "scan.xml", "-o",
            self.folder / "no.igs.mha", status=1)
        run("simulate", "--scene", "nwire", "--config", self.folder / "wires.xml", "-o",
            self.folder / "wires.igs.mha", status=2)

    @thorough
    def test_the_examples_of_every_help_run(self):
        folder = str(self.folder) + "-examples"
        for command in ["phantom", "simulate", "reconstruct", "model", "surface", "convert", "compare", "info",
                        "spacing", "view"]:
            for line in examples(command):
                words = shlex.split(line)
                self.assertEqual(words[0], "echosolid")
                run(*words[1:], cwd=folder)

    def test_help_version_and_overview(self):
        self.assertIn("reconstruct", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^echosolid \d+\.\d+\.\d+$")
        self.assertEqual(run("help", "model").stdout, run("model", "--help").stdout)
        run(status=2)
        run("frobnicate", status=2)

    def test_wrong_usage_is_told_before_any_work(self):
        self.refused("model", "scan.igs.mha", status=2, says="-o")
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.txt", status=None, says=".mha")
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.mha", "--spacing", "0", status=2)
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.mha", "--spacing", "1,2", status=2)
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.mha", "--spacing", "nan", status=2)
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.mha", "--spacing", "3kg", status=2,
                     says="mm")
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.mha", "--interpolation", "cubic",
                     status=2, says="nearest, linear")
        self.refused("reconstruct", "scan.igs.mha", "-o", "v.mha", "--origin", "0,0,0",
                     "--config", "scan.xml", status=2, says="--size")
        self.refused("info", status=2)
        self.refused("info", "a", "b", status=2)
        self.refused("info", "--colour", "a", status=2, says="--colour")
        self.refused("compare", "volume.mha", "knee.stl", status=2, says="two of a kind")
        self.refused("simulate", "--scene", "unicorn", "-o", "u.igs.mha", status=2, says="knee",
                     leaves_no="u.igs.mha")

    # ---- spacing

    def test_spacing_json_has_the_stable_keys(self):
        j = run_json("spacing", self.path("scan.igs.mha"), "--config", self.path("scan.xml"),
                     "--depth-mm", "60mm", "--depth-error", 1, "--probe", "L14-5/38",
                     "--scanner-speed", 1540, "--speed", 1540, "--picture", self.path("seen.png"))
        self.assertIn(j["verdict"], ("known", "unknown"))
        self.assertEqual([len(j["spacing_mm"]), len(j["ci95_mm"]), len(j["ci95_mm"][0])], [2, 2, 2])
        for item in j["evidence"]:
            self.assertLessEqual({"source", "spacing_mm", "sigma", "note", "suspect"}, set(item))
        self.assertEqual(j["verdict"] == "unknown", bool(j["ask"]))
        self.assertTrue(self.path("seen.png").read_bytes().startswith(b"\x89PNG"))

    def test_spacing_of_nothing_is_unknown_and_no_failure(self):
        j = run_json("spacing", self.path("scan.igs.mha"), "--temperature", 20)
        self.assertEqual((j["verdict"], j["spacing_mm"]), ("unknown", [None, None]))
        self.assertIn("depth", j["ask"][0])
        self.assertTrue(run("spacing", self.path("scan.igs.mha")).stdout.startswith("unknown"))

    def test_spacing_writes_copies_only(self):
        rows = self.path("probes.json")
        rows.write_text(json.dumps([{"name": "mine", "kind": "linear", "aperture_mm": 40}]))
        config = ["--config", self.path("scan.xml"), "--probes", rows]
        before = self.path("scan.xml").read_bytes()
        j = run_json("spacing", self.path("scan.igs.mha"), *config, "--write", "-o",
                     self.path("spaced.igs.mha"))
        self.assertEqual(j["verdict"], "known")
        info = run_json("info", self.path("spaced.igs.mha"))
        self.assertAlmostEqual(info["spacing"][0], j["spacing_mm"][0], places=9)
        self.assertEqual(self.path("scan.xml").read_bytes(), before)
        self.refused("spacing", "scan.igs.mha", "--config", "scan.xml", "--write", "-o", "scan.xml",
                     status=2, says="overwritten")
        self.refused("spacing", "scan.igs.mha", "--write", status=2, says="-o")
        self.refused("spacing", "scan.igs.mha", "--write", "-o", "new.xml", status=2, says="--config",
                     leaves_no="new.xml")
        self.refused("spacing", "scan.igs.mha", "--write", "-o", "n.igs.mha", says="not known",
                     leaves_no="n.igs.mha")
        self.refused("spacing", "scan.igs.mha", "--probe", "Foo", status=2, says="--probes")
        self.refused("spacing", "scan.igs.mha", "--speed", 1500, "--temperature", 20, status=2)
        rows.write_text("[{]")
        self.refused("spacing", "scan.igs.mha", "--probe", "mine", "--probes", "probes.json",
                     says="line 1")

    # ---- stable JSON

    # ---- bone

    def test_bone_json_has_the_stable_keys(self):
        j = run_json("bone", self.path("scan.igs.mha"), "--config", self.path("scan.xml"),
                     "--frames", "3,10-30/10", "--threads", 2)
        self.assertEqual([f["index"] for f in j["frames"]], [3, 10, 20, 30])
        for frame in j["frames"]:
            self.assertLessEqual({"index", "surface", "confidence", "agreement"}, set(frame))
            self.assertEqual(len(frame["surface"]), len(frame["surface_confidence"]))
            self.assertTrue(0 <= frame["confidence"] <= 1 and 0 <= frame["agreement"] <= 1)
            for line in frame["surface"]:
                for u, v in line:
                    self.assertTrue(-1 <= u <= 256 and -1 <= v <= 256)
        self.assertTrue(any(f["surface"] for f in j["frames"]))
        self.assertEqual((j["method"], j["edge"], j["frames_read"]), ("network", "crest", 4))
        self.assertEqual(len(j["spacing_mm"]), 2)

    def test_bone_options_do_what_they_say(self):
        scan, config = self.path("scan.igs.mha"), ["--config", self.path("scan.xml")]
        few = ["--frames", "50-60/10"]
        plain = run_json("bone", scan, *config, *few)["frames"]
        def depths(*words):
            frames = run_json("bone", scan, *config, *few, *words)["frames"]
            return [v for f in frames for line in f["surface"] for _, v in line]
        rows = [v for f in plain for line in f["surface"] for _, v in line]
        mean = sum(rows) / len(rows)
        j = run_json("bone", scan, *config, *few)
        pixel = j["spacing_mm"][1]
        deeper = depths("--offset", "1mm")
        self.assertAlmostEqual(sum(deeper) / len(deeper) - mean, 1 / pixel, delta=0.1)
        front = depths("--edge", "front")
        self.assertLess(sum(front) / len(front), mean)
        both = depths("--method", "both")
        self.assertLessEqual(len(both), len(rows))
        self.assertGreater(len(depths("--method", "foroughi")), len(rows) // 2)
        self.assertEqual(depths("--min-depth", "55mm"), [])
        self.assertEqual(depths("--min-length", "500mm"), [])
        self.assertEqual(depths("--bone-threshold", "1"), [])
        spacing = f"{j['spacing_mm'][0]},{j['spacing_mm'][1]}"
        given = run_json("bone", scan, "--spacing-mm", spacing, *few)["frames"]
        points = sum(len(line) for f in given for line in f["surface"])
        self.assertAlmostEqual(points, len(rows), delta=0.2 * len(rows))

    def test_bone_writes_frames_pictures_and_json(self):
        scan, config = self.path("scan.igs.mha"), ["--config", self.path("scan.xml")]
        few = ["--frames", "0-99/9", "-q"]
        run("bone", scan, *config, *few, "-o", self.path("bone.igs.mha"), "--overlay",
            f"{self.path('overlay')}/", "--picture", self.path("sheet.png"))
        info = run_json("info", self.path("bone.igs.mha"))
        self.assertEqual((info["frames"], info["channels"]), (12, 1))
        self.assertEqual(transforms(self.path("bone.igs.mha"), "ProbeToTracker")[1],
                         transforms(scan, "ProbeToTracker")[9])
        self.assertEqual(len(list(self.path("overlay").glob("*.png"))), 12)
        self.assertTrue(self.path("sheet.png").read_bytes().startswith(b"\x89PNG"))
        run("bone", scan, *config, *few, "-o", self.path("beside.igs.mha"), "--original")
        self.assertEqual(run_json("info", self.path("beside.igs.mha"))["channels"], 3)
        run("bone", scan, *config, *few, "-o", self.path("bone.json"))
        saved = json.loads(self.path("bone.json").read_text())
        printed = run_json("bone", scan, *config, *few)
        self.assertEqual(saved["frames"], printed["frames"])

    def test_threads_do_not_change_the_bone(self):
        scan, config = self.path("scan.igs.mha"), ["--config", self.path("scan.xml")]
        one, three = (run_json("bone", scan, *config, "--threads", n)["frames"] for n in (1, 3))
        self.assertEqual(one, three)

    def test_bone_takes_a_table_of_poses(self):
        run("bone", self.path("scan.igs.mha"), "--config", self.path("scan.xml"), "--frames", "0",
            "--poses", self.path("scan.csv"), "--pose-tool", "Probe=Probe,Reference=Reference",
            "--pose-layout", "unit=mm", "--time-offset", "0s", status=None)
        self.refused("bone", "scan.igs.mha", "--fps", "25", status=2, says="--poses")

    def test_bone_is_asked_rightly(self):
        scan = "scan.igs.mha"
        self.refused("bone", scan, says=("pixel spacing", "--spacing-mm", "--config"))
        for words, says in ((["--frames", "3-1"], "--frames"), (["--frames", "x"], "--frames"),
                            (["--frames", ""], "--frames"), (["--frames", "1,,2"], "--frames"),
                            (["--frames", "9999"], "--frames"), (["--original"], "--original"),
                            (["--picture", "a.jpg"], ".png"), (["-o", "a.xyz"], "a.xyz"),
                            (["-o", "b.json", "--original"], "--original"),
                            (["--method", "magic"], "magic"),
                            (["--model", "none.esnn"], "none.esnn"),
                            (["--model", "bone.pt"], ".onnx or .esnn"),
                            (["--model", "a.esnn", "--method", "shadow"], "--method network")):
            self.refused("bone", scan, "--spacing-mm", "0.2,0.2", *words, status=None, says=says)
        self.refused("bone", scan, "--spacing-mm", "0,0.2", status=2)
        self.refused("bone", scan, "--config", "none.xml", says="none.xml")
        self.refused("reconstruct", scan, "--config", "scan.xml", "--detector", "shadow", "-o",
                     "v.mha", status=2, says="--channel bone")
        self.refused("reconstruct", scan, "--config", "scan.xml", "--network", "a.esnn", "-o",
                     "v.mha", status=2, says="--channel bone")
        for command in (["reconstruct", "--channel", "bone", "-o", "v.mha"], ["model", "-o", "m.stl"]):
            asked = [command[0], scan, "--config", "scan.xml", *command[1:], "--network", "a.esnn"]
            self.refused(*asked, says="a.esnn")
            self.refused(*asked, "--detector", "shadow", status=2, says="--detector network")
        self.refused("reconstruct", scan, "--config", "scan.xml", "--channel", "bone", "--compat",
                     "igsio", "-o", "v.mha", status=2, says="--compat")

    @thorough
    def test_a_network_of_ones_own_makes_the_model_and_the_volume(self):
        own = os.path.join(os.environ["ES_TEST_SOURCE"], "models", "bone.esnn")
        scan = [self.path("scan.igs.mha"), "--config", self.path("scan.xml")]
        for command, name in (("model", "own.stl"), ("reconstruct", "own.mha")):
            channel = ["--channel", "bone"] if command == "reconstruct" else []
            j = run_json(command, *scan, *channel, "--network", own, "-o", self.path(name))
            run(command, *scan, *channel, "-o", self.path("built-in-" + name))
            if command == "model":
                told = [d["value"] for d in j["decisions"] if d["what"] == "bone detector"]
                self.assertIn("network bone", told[0])
                self.assertEqual(self.path(name).read_bytes(),
                                 self.path("built-in-" + name).read_bytes())

    def test_frames_that_cannot_show_bone_have_none(self):
        def bone_of(name, width, height, frame, channels=1, mark="MF"):
            write_frames(self.path(name), width, height, [frame], channels, mark)
            return run_json("bone", self.path(name), "--spacing-mm", "0.2,0.2")["frames"][0]
        for grey in (0, 255):
            frame = bone_of("even.mha", 256, 256, bytes([grey]) * 256 * 256)
            self.assertEqual((frame["surface"], frame["confidence"], frame["agreement"]),
                             ([], 0, 1))
        overlay = bytearray(3 * 256 * 256)  # a green and a yellow line, thick as echoes, on black
        for k in range(256):
            for at in range(128 * 256 + k, 132 * 256 + k, 256):
                overlay[3 * at + 1] = 255
            for at in range(200 * 256 + k, 204 * 256 + k, 256):
                overlay[3 * at:3 * at + 2] = b"\xff\xff"
        self.assertEqual(bone_of("lines.mha", 256, 256, bytes(overlay), 3)["surface"], [])
        write_frames(self.path("tiny.mha"), 8, 8, [bytes(64)])
        self.refused("bone", "tiny.mha", "--spacing-mm", "0.2,0.2", status=2, says="mm across")
        write_frames(self.path("huge.mha"), 4000, 3000, [bytes(4000 * 3000)])
        j = run_json("bone", self.path("huge.mha"), "--spacing-mm", "0.02,0.02")
        self.assertEqual(j["frames"][0]["surface"], [])

    def test_places_are_those_of_the_picture_as_stored(self):
        """The same echo, stored as MF, upside down, mirrored and on its side."""
        side, rows = 200, []
        for v in range(side):
            for u in range(side):
                tissue = 90 + 25 * ((u * 7919 + v * 104729) % 13 > 6)
                below = v > 120 + u // 8
                echo = abs(v - 120 - u / 8) < 2
                rows.append(250 if echo else 6 if below else tissue)
        at = lambda u, v: rows[v * side + u]
        last = side - 1
        stored = {"MF": (lambda x, y: (x, y)), "UN": (lambda x, y: (last - x, last - y)),
                  "FM": (lambda x, y: (y, x)), "NU": (lambda x, y: (last - y, last - x))}
        for mark, to_mf in stored.items():
            frame = bytes(at(*to_mf(x, y)) for y in range(side) for x in range(side))
            write_frames(self.path("turned.mha"), side, side, [frame], mark=mark)
            j = run_json("bone", self.path("turned.mha"), "--spacing-mm", "0.2,0.2")
            points = [p for line in j["frames"][0]["surface"] for p in line]
            self.assertGreater(len(points), 60)
            for x, y in points:
                u, v = to_mf(x, y)
                self.assertAlmostEqual(v, 120 + u / 8, delta=2)

    def test_bone_as_a_channel_of_the_volume(self):
        run("reconstruct", self.path("scan.igs.mha"), "--config", self.path("scan.xml"),
            "--channel", "bone", "--detector", "foroughi", "--skip", 4, "-o",
            self.path("bone-volume.nrrd"), "-q")
        info = run_json("info", self.path("bone-volume.nrrd"))
        self.assertEqual(info["type"], "u8")

    def test_info_json_has_the_stable_keys(self):
        j = run_json("info", self.path("scan.igs.mha"))
        self.assertEqual((j["frames"], j["width"], j["height"]), (120, 256, 256))
        self.assertAlmostEqual(j["duration_s"], 119 / 25, places=6)
        names = {t["name"]: t["valid"] for t in j["transforms"]}
        self.assertEqual(names["ProbeToTracker"], 120)
        self.assertAlmostEqual(j["rate_hz"], 25, places=6)
        self.assertGreater(j["transforms"][0]["path_mm"], 1)
        self.assertIn(j["spacing_verdict"]["verdict"], ("known", "unknown"))
        self.assertEqual(j["doctor"]["errors"], 0)
        quick = run_json("info", self.path("scan.igs.mha"), "--quick")
        self.assertEqual((quick["spacing_verdict"], quick["doctor"]), (None, None))
        self.assertEqual(quick["frames"], 120)
        j = run_json("info", self.path("volume.mha"))
        self.assertEqual((j["kind"], len(j["size"])), ("volume", 3))
        self.assertTrue(run_json("info", self.path("knee.stl"))["check"]["closed"])

    def test_info_writes_a_contact_sheet_of_a_recording_alone(self):
        run("info", self.path("scan.igs.mha"), "--quick", "--picture", self.path("sheet.png"))
        with open(self.path("sheet.png"), "rb") as file:
            head = file.read(24)
        self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        # 4 x 3 cells of 240 x 240 (the frames are square), labels of 14, gaps of 6
        self.assertEqual((width, height), (4 * 246 + 6, 3 * 260 + 6))
        self.refused("info", "knee.stl", "--picture", "none.png", status=2, leaves_no="none.png")

    def test_reconstruct_json_has_the_stable_keys(self):
        j = run_json("reconstruct", self.path("scan.igs.mha"), "--config", self.path("scan.xml"),
                     "--image-to-reference", "ImageToReference", "--threads", 2, "-o",
                     self.path("v.mha"))
        self.assertGreater(j["ms_per_frame_insert"], 0)
        self.assertGreater(j["bricks"], 0)
        self.assertGreater(j["bytes"], j["bricks"] * 4096)
        self.assertEqual(j["frames_inserted"], 120)

    def test_compare_json_has_the_stable_keys(self):
        j = run_json("compare", self.path("volume.mha"), self.path("volume.mha"))
        self.assertEqual((j["voxels_over_2"], j["max_abs"], j["rms"]), (0, 0, 0))
        aligned = run_json("compare", self.path("knee-sheet.stl"), self.path("knee.seen.ply"),
                           "--align", "--picture", self.path("apart.png"), "--histogram",
                           self.path("apart.svg"), "--sample", 4)
        self.assertLessEqual(aligned["aligned"]["a_to_b"]["rms_mm"],
                             aligned["a_to_b"]["rms_mm"] * 1.1)
        self.assertAlmostEqual(aligned["chamfer_mm"], aligned["a_to_b"]["mean_mm"] +
                               aligned["b_to_a"]["mean_mm"], delta=1e-9)
        self.assertGreaterEqual(aligned["hausdorff_mm"], aligned["hausdorff95_mm"])
        self.assertEqual(self.path("apart.png").read_bytes()[:4], b"\x89PNG")
        self.assertIn("<svg", self.path("apart.svg").read_text())
        self.refused("compare", "volume.mha", "volume.mha", "--align", status=2, says="meshes")
        j = run_json("compare", self.path("knee.stl"), self.path("knee-sheet.stl"), "--sample", 1,
                     "--threads", 1)
        for way in ("a_to_b", "b_to_a"):
            for key in ("mean_mm", "rms_mm", "p95_mm", "max_mm"):
                self.assertGreaterEqual(j[way][key], 0)
        # The sheet is a part of the solid, but for facets that fold and were left out.
        self.assertLess(j["b_to_a"]["p95_mm"], 1e-3)

    # ---- results

    def test_threads_do_not_change_a_byte(self):
        for interpolation in ("nearest", "linear"):
            outputs = []
            for threads in (1, 2, 3):
                out = self.path(f"t{threads}.mha")
                run("reconstruct", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "-o", out,
                    "--interpolation", interpolation, "-t", threads, "-q")
                outputs.append(out.read_bytes().replace(b"t%d.mha" % threads, b"t.mha"))
            self.assertEqual(len(set(outputs)), 1)
        models = []
        for threads in (1, 2):
            run("model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "-o",
                self.path("m.stl"), "-t", threads, "-q")
            models.append(self.path("m.stl").read_bytes())
        self.assertEqual(models[0], models[1])

    def test_the_model_is_closed_and_has_its_report(self):
        j = run_json("model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--truth",
                     self.path("scan.seen.ply"), "-o", self.path("m.ply"), "--report",
                     self.path("m.html"), "--volume", self.path("m.nrrd"), "--field",
                     self.path("m.mha"), "--sheet", self.path("m-sheet.ply"))
        self.assertTrue(j["solid"]["closed"])
        self.assertIn("b_to_a", j)
        self.assertEqual([s["name"] for s in j["stages"]],
                         ["doctor and spacing", "reading", "bone", "volume", "field", "surface", "solid",
                          "writing"])
        self.assertFalse(any(s["reused"] for s in j["stages"]))
        self.assertTrue(all(s["seconds"] >= 0 for s in j["stages"]))
        self.assertEqual(j["outputs"], [str(self.path("m.ply"))])
        self.assertTrue(0.5 < j["coverage"]["share"] <= 1)
        # Each place was seen by a frame at least, most of them from one direction or two.
        seen = j["seen"]
        self.assertGreaterEqual(seen["frames_p50"], 1)
        self.assertAlmostEqual(sum(seen["from_" + k] for k in ("none", "one", "two", "more")), 1, 3)
        self.assertGreater(seen["from_one"] + seen["from_two"], 0.3)
        header = pathlib.Path(self.path("m-sheet.ply")).read_bytes()[:600].decode("latin1")
        self.assertIn("property float frames\nproperty float directions\n", header)
        # Pose noise, the detector's scatter, and voxels of a millimetre or more: under the band.
        self.assertTrue(0.05 < j["scatter"]["rms_mm"] < 1)
        self.assertIn("one-sided", [w["what"] for w in j["warnings"]])
        self.assertEqual(j["doctor"]["errors"], 0)
        report = json.loads(self.path("m.json").read_text())["sections"]
        self.assertGreater(report["error_budget"]["depth"]["value"], 5)
        self.assertIn("geometry_and_spacing", report)
        page = self.path("m.html").read_text()
        self.assertIn("not for", page)
        self.assertNotIn("http://", page.replace("http://www.w3.org", ""))
        self.assertEqual(page.count('class="view-data"'), page.count('class="view" hidden'))
        self.assertIn("in_three_dimensions", report)
        run("surface", self.path("m.mha"), "--open", "-o", self.path("again.ply"))
        # The same field: the model is a smoothed part of its whole surface.
        j = run_json("compare", self.path("m-sheet.ply"), self.path("again.ply"))
        self.assertLess(j["a_to_b"]["p95_mm"], 0.5)
        self.assertIn("sections", json.loads(self.path("m.json").read_text()))

    @thorough
    def test_the_model_as_step_is_thickened_or_open_and_says_how_far_it_is_off(self):
        scan = ["model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--components", 1]
        j = run_json(*scan, "-o", self.path("k.step"), "--report", self.path("k.html"),
                     "--step", "smooth", "--step-tolerance", "0.3", "--step-schema", "ap203",
                     "--step-facets", 9000, "--step-force")
        self.assertGreaterEqual(j["step"]["solids"], 1) # one, or more where it hangs by a corner
        self.assertTrue(j["step"]["thickened"])
        self.assertIn("The STEP file", self.path("k.html").read_text())
        self.assertIn("deviation_mm_rms", self.path("k.json").read_text())
        j = run_json(*scan, "-o", self.path("o.step"), "--open")
        self.assertEqual((j["step"]["solids"], j["step"]["shells"] >= 1), (0, True))

    @thorough
    def test_the_knee_of_the_demo_is_near_the_truth(self):
        # As in `./do demo`. What is asked of it: 0.7 mm RMS and 2 mm 95 % from the true surface
        # that some beam met first, with a tracker that errs by 0.3 mm and 0.3 degrees; and 95 % of
        # what was met at less than 72 degrees of incidence found within 1 mm.
        run("simulate", "--scene", "knee", "--pose-noise", "0.3mm",
            "--angle-noise", "0.3deg", "-o", self.path("demo.igs.mha"))
        j = run_json("model", self.path("demo.igs.mha"), "-c", self.path("demo.xml"), "--truth",
                     self.path("demo.seen.ply"), "-o", self.path("demo.stl"))
        self.assertLess(j["a_to_b"]["rms_mm"], 0.7)
        self.assertLess(j["a_to_b"]["p95_mm"], 2.0)
        self.assertGreater(j["truth_within_1mm"], 0.95)
        self.assertTrue(run_json("info", self.path("demo.stl"))["check"]["closed"])

    # ---- kept results

    STAGES = ["bone", "volume", "field", "surface", "solid"]
    KEEP_OUTPUTS = {"-o": "model.stl", "--sheet": "sheet.ply", "--volume": "v.mha",
                    "--field": "f.mha", "--report": "r.html"}

    def model_into(self, folder, *more, recording="small.igs.mha", outputs=KEEP_OUTPUTS):
        """A run of model in a folder of its own: JSON, what it said, bytes of the outputs."""
        if not self.path("small.igs.mha").exists():
            run("simulate", "--scene", "sphere", "--frames", 40, "--image-size", "160,160",
                "--truth-spacing", "4mm", "-o", self.path("small.igs.mha"), "-q")
        folder = self.path(folder)
        folder.mkdir(exist_ok=True)
        words = [w for pair in outputs.items() for w in pair]
        done = run("model", self.path(recording), "--config", self.path("small.xml"), "--unchecked",
                   *words, *more, "--json", cwd=folder)
        files = {name: (folder / name).read_bytes() for name in outputs.values()}
        return json.loads(done.stdout), done.stderr, files

    def reused(self, j):
        return [s["name"] for s in j["stages"] if s["reused"]]

    def test_a_second_run_takes_what_the_first_kept_and_writes_the_same_bytes(self):
        keep = ["--keep", self.path("kept")]
        plain, _, without = self.model_into("keep0")
        first, _, made = self.model_into("keep1", *keep)
        second, said, taken = self.model_into("keep2", *keep, "--threads", 1)
        self.assertEqual((self.reused(plain), self.reused(first)), ([], []))
        self.assertEqual(self.reused(second), self.STAGES)
        self.assertIn("taken from the earlier run", said)
        self.assertEqual(taken, made)
        # Who wrote it names its options, and --keep is one: the rest is that of a plain run.
        for name in ("model.stl", "sheet.ply"):
            self.assertEqual(made[name], without[name])
        for key in ("frames_inserted", "frames_with_bone", "sheet", "solid", "seen", "scatter", "bricks",
                    "decisions", "coverage"):
            self.assertEqual(second[key], plain[key])
        for name in ("bone.lines", "volume.mha", "field.bricks", "sheet.ply", "solid.ply",
                     "decisions.json", "kept.json"):
            self.assertTrue((self.path("kept") / name).exists(), name)

    def test_each_option_makes_the_stages_again_that_depend_on_it(self):
        bone, volume, field, surface, solid = self.STAGES
        few = {"-o": "model.stl", "--volume": "v.mha"}
        self.model_into("keep-options", "--keep", self.path("kept-base"), outputs=few)
        for option, made_again in {
                ("--detector", "shadow"): [bone, field, surface, solid],
                ("--bone-threshold", "0.6"): [bone, field, surface, solid],
                ("--skip", "2"): self.STAGES,
                ("--clip", "10,10,140,140"): self.STAGES,
                ("--spacing", "3mm"): [volume, field, surface, solid],
                ("--interpolation", "linear"): [volume],
                ("--compounding", "maximum"): [volume],
                ("--bone-spacing", "2.5mm"): [field, surface, solid],
                ("--blur", "1"): [field, surface, solid],
                ("--min-weight", "0.3"): [surface, solid],
                ("--min-area", "150"): [surface, solid],
                ("--components", "1"): [surface, solid],
                ("--smooth", "5"): [surface, solid],
                ("--thickness", "3"): [solid],
                ("--open",): [solid],
                ("--cap",): [solid],
                ("--close-holes", "4mm"): [solid],
                ("--memory", "2GB"): [],
                ("--threads", "1"): []}.items():
            shutil.rmtree(self.path("kept-now"), ignore_errors=True)
            shutil.copytree(self.path("kept-base"), self.path("kept-now"))
            j, said, _ = self.model_into("keep-options", "--keep", self.path("kept-now"), *option,
                                         outputs=few)
            self.assertEqual(self.reused(j), [s for s in self.STAGES if s not in made_again], option)
            if made_again:
                self.assertIn("inputs or options have changed", said)

    def test_what_was_made_again_is_what_a_fresh_run_makes(self):
        changed = ["--min-area", "150", "--interpolation", "linear", "--cap"]
        self.model_into("keep-c1", "--keep", self.path("kept-c"))
        j, _, mixed = self.model_into("keep-c2", "--keep", self.path("kept-c"), *changed)
        self.assertEqual(self.reused(j), ["bone", "field"])
        shutil.rmtree(self.path("kept-c"))
        j, _, fresh = self.model_into("keep-c3", "--keep", self.path("kept-c"), *changed)
        self.assertEqual(self.reused(j), [])
        self.assertEqual(mixed, fresh)

    @thorough
    def test_another_recording_configuration_or_a_broken_file_is_noticed(self):
        keep = ["--keep", self.path("kept-b")]
        self.model_into("keep-b")
        shutil.copy(self.path("small.igs.mha"), self.path("other.igs.mha"))
        _, _, made = self.model_into("keep-b", *keep, recording="other.igs.mha")
        for name, cut in (("solid.ply", "solid"), ("field.bricks", "field"), ("bone.lines", "bone"),
                          ("volume.mha", "volume"), ("sheet.ply", "surface")):
            whole = (self.path("kept-b") / name).read_bytes()
            (self.path("kept-b") / name).write_bytes(whole[:-100])
            j, said, again = self.model_into("keep-b", *keep, recording="other.igs.mha")
            self.assertEqual(self.reused(j), [s for s in self.STAGES if s != cut])
            self.assertIn(f"{name} is not as it was written", said)
            self.assertEqual(again, made)
            self.assertEqual((self.path("kept-b") / name).read_bytes(), whole)
        (self.path("kept-b") / "sheet.ply").unlink()
        j, said, _ = self.model_into("keep-b", *keep, recording="other.igs.mha")
        self.assertNotIn("surface", self.reused(j))
        (self.path("kept-b") / "kept.json").write_text('{"echosolid_kept": 1, "stag')
        j, said, again = self.model_into("keep-b", *keep, recording="other.igs.mha")
        self.assertEqual((self.reused(j), again), ([], made))
        # One digit of one pose.
        scan = bytearray(self.path("other.igs.mha").read_bytes())
        with open(self.path("other.igs.mha"), "r+b") as file:
            file.seek(scan.index(b"ProbeToTrackerTransform = ") + 26)
            digit = scan[file.tell()]
            file.write(b"2" if digit == ord("1") else b"1")
        j, said, _ = self.model_into("keep-b", *keep, recording="other.igs.mha")
        self.assertEqual(self.reused(j), [])
        self.refused("model", "scan.igs.mha", "-c", "scan.xml", "-o", "x.stl", "--keep",
                     "scan.xml", says="name a folder", leaves_no="x.stl")

    @thorough
    def test_a_stage_can_be_given(self):
        scan = ["model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--unchecked"]
        full = run_json(*scan, "-o", self.path("g.stl"), "--sheet", self.path("g-sheet.ply"),
                        "--field", self.path("g-field.mha"))
        run("bone", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "-o",
            self.path("g-bone.json"), "-q")
        j = run_json(*scan, "--from-bone", self.path("g-bone.json"), "-o", self.path("h.stl"),
                     "--sheet", self.path("h-sheet.ply"))
        self.assertTrue(next(s for s in j["stages"] if s["name"] == "bone")["given"])
        self.assertEqual(j["frames_with_bone"], full["frames_with_bone"])
        # Points rounded to hundredths of a pixel, slopes by single points: far under a voxel.
        d = run_json("compare", self.path("h-sheet.ply"), self.path("g-sheet.ply"))
        self.assertLess(d["a_to_b"]["p95_mm"], 0.4)
        self.assertLess(abs(j["sheet"]["area_mm2"] / full["sheet"]["area_mm2"] - 1), 0.05)
        j = run_json(*scan, "--from-field", self.path("g-field.mha"), "--min-weight", 0, "-o",
                     self.path("h.stl"), "--sheet", self.path("h-sheet.ply"))
        d = run_json("compare", self.path("g-sheet.ply"), self.path("h-sheet.ply"))
        self.assertLess(d["a_to_b"]["p95_mm"], 0.4)
        j = run_json(*scan, "--from-sheet", self.path("g-sheet.ply"), "-o", self.path("h.stl"))
        self.assertAlmostEqual(j["solid"]["volume_mm3"], full["solid"]["volume_mm3"], 2)
        self.refused(*scan, "-o", "x.stl", "--from-sheet", "g-sheet.ply", "--from-bone",
                     "g-bone.json", status=2, says="the last one only", leaves_no="x.stl")
        self.refused(*scan, "-o", "x.stl", "--from-sheet", "g-sheet.ply", "--field", "x.mha",
                     status=2, says="no distances", leaves_no="x.stl")
        self.path("bad.json").write_text('{"frames": [{"index": 5000, "surface": []}]}')
        self.refused(*scan, "-o", "x.stl", "--from-bone", "bad.json", says=["bad.json", "5000"],
                     leaves_no="x.stl")
        self.refused(*scan, "-o", "x.stl", "--from-bone", "scan.xml", says="scan.xml",
                     leaves_no="x.stl")

    def test_a_model_as_dicom_holds_the_stl_with_its_unit_and_names_nobody(self):
        try:
            import pydicom
        except ImportError:
            self.skipTest("pydicom is not there to read it")
        scan = ["model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--unchecked"]
        run(*scan, "-o", self.path("d.stl"), "-o", self.path("d.dcm"), "--sheet",
            self.path("d-sheet.dcm"), "-q")
        read = pydicom.dcmread(self.path("d.dcm"))
        stl = self.path("d.stl").read_bytes()
        self.assertEqual(read.file_meta.MediaStorageSOPClassUID, "1.2.840.10008.5.1.4.1.1.104.3")
        self.assertEqual((read.MIMETypeOfEncapsulatedDocument, read.Modality), ("model/stl", "M3D"))
        self.assertEqual(bytes(read.EncapsulatedDocument)[:read.EncapsulatedDocumentLength], stl)
        unit = read.MeasurementUnitsCodeSequence[0]
        self.assertEqual((unit.CodeValue, unit.CodingSchemeDesignator), ("mm", "UCUM"))
        self.assertTrue(read.FrameOfReferenceUID.is_valid)
        self.assertIn("LPS", read.DocumentTitle)
        self.assertEqual((str(read.PatientName), read.PatientID), ("", ""))
        sheet = pydicom.dcmread(self.path("d-sheet.dcm"))
        self.assertIn("seen sheet", sheet.DocumentTitle)
        self.assertNotEqual(sheet.SOPInstanceUID, read.SOPInstanceUID)
        again = self.path("d.dcm").read_bytes()
        run(*scan, "-o", self.path("d.dcm"), "--threads", 1, "-q")
        self.assertEqual(self.path("d.dcm").read_bytes(), again)
        done = subprocess.run(["dcmdump", self.path("d.dcm")], capture_output=True, text=True)
        self.assertEqual((done.returncode, "EncapsulatedSTLStorage" in done.stdout), (0, True))
        self.assertNotIn("W:", done.stderr)

    def test_a_simulated_knee_can_be_another_persons(self):
        run("simulate", "--anatomy", 7, "--frames", 2, "--image-size", "64,64", "--truth-spacing",
            "4mm", "-o", self.path("p7.igs.mha"), "-q")
        self.assertIn(b"SimulatedAnatomy = 7", self.path("p7.igs.mha").read_bytes()[:4000])
        self.refused("simulate", "--scene", "torus", "--anatomy", 7, "-o", "t.igs.mha", status=2,
                     says="only the knee", leaves_no="t.igs.mha")

    # ---- how many images

    def test_a_plan_counts_sweeps_and_frames(self):
        j = run_json("plan", "--length", "120mm", "--across", "90mm", "--arc", "180deg", "--width",
                     "38mm", "--depth", "30mm", "--rate", "30Hz", "--voxel", "0.5mm", "--overlap",
                     "0.2")
        self.assertEqual((j["sweeps_across"], j["directions"], j["frames"]), (3, 5, 15 * 161))
        self.path("mine.json").write_text('[{"name": "X1", "kind": "linear", "aperture_mm": 38}]')
        k = run_json("plan", "--length", "120mm", "--across", "90mm", "--arc", "180deg", "--probe",
                     "X1", "--probes", self.path("mine.json"))
        self.assertEqual(k["sweeps_across"], 3)
        self.refused("plan", status=2, says="--length")
        self.refused("plan", "--length", 50, status=2, says="--width")
        self.refused("plan", "--length", 50, "--probe", "no such probe", status=2, says="table")

    def test_a_plan_of_a_recording_says_where_frames_are_missing(self):
        scan = ["plan", self.path("scan.igs.mha"), "--config", self.path("scan.xml"),
                "--image-to-reference", "ImageToReference", "--voxel"]
        coarse, fine = run_json(*scan, 20), run_json(*scan, 1)
        self.assertEqual(fine["frames"], 120)
        self.assertEqual(coarse["too_far"], 0)
        self.assertGreater(fine["too_far"], 20)  # 120 frames where 900 suit the scene
        self.assertGreater(coarse["share"], fine["share"])
        self.assertGreater(len(fine["gaps"]), 0)
        self.assertIn("would close it", run(*scan, 1).stdout)

    # ---- poses of a tracker

    def test_a_trackers_poses_are_told_and_their_table_is_read_again(self):
        truth = {n: transforms(self.path("scan.igs.mha"), n + "ToTracker")
                 for n in ("Probe", "Reference")}
        lines = ["# a remark", "rubbish"]
        for k in range(120):
            for name, matrices in truth.items():
                numbers = ",".join(repr(x) for x in matrices[k])
                lines.append(f"{1.7e9 + 0.04 * k},{name},{numbers},{int(k != 7)},0.25")
        j = run_json("track", "stdin://?clock=sent", "--output", self.path("track.csv"), "--seconds", "20s",
                     input="\n".join(lines))
        self.assertEqual([(t["name"], t["poses"], t["valid"]) for t in j["tools"]],
                         [("ProbeToTracker", 120, 119), ("ReferenceToTracker", 120, 119)])
        self.assertEqual((j["rows"], j["refused"], j["dropped"]), (240, 1, 0))
        self.assertAlmostEqual(j["tools"][0]["error_mm"], 0.25)
        # Nothing about how it is to be read is left to the pictures.
        bare = self.path("bare.igs.mha")
        bare.write_bytes(re.sub(rb"Seq_Frame\d+_\w+Transform\w* = .*\n", b"",
                                self.path("scan.igs.mha").read_bytes()))
        run("convert", bare, self.path("tracked.igs.mha"), "--poses", self.path("track.csv"))
        for name, matrices in truth.items():
            found = transforms(self.path("tracked.igs.mha"), name + "ToTracker")
            self.assertEqual(len(found), 120)
            for k, (a, b) in enumerate(zip(matrices, found)):
                if k != 7:  # it was not seen; the recording's text has six digits
                    self.assertLess(max(abs(x - y) for x, y in zip(a, b)), 2e-3)
        status = re.findall(r"Seq_Frame0007_ProbeToTrackerTransformStatus = (\w+)",
                            self.path("tracked.igs.mha").read_bytes().decode("latin1"))
        self.assertEqual(status, ["INVALID"])

    def test_the_bridge_of_the_docs_reaches_track(self):
        docs = pathlib.Path(os.environ["ES_TEST_SOURCE"]) / "docs" / "trackers.md"
        code = re.search(r"```python\n(.*?)```", docs.read_text(), re.S).group(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        track = subprocess.Popen([BINARY, "track", f"udp://:{port}", "--json"],
                                 stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)  # until it listens; what is sent before is lost, as with any UDP
        subprocess.run([sys.executable, "-c", code.replace("5005", str(port))], check=True,
                       timeout=60)
        time.sleep(0.3)
        track.send_signal(signal.SIGINT)
        tool = json.loads(track.communicate(timeout=20)[0])["tools"][0]
        self.assertEqual(track.returncode, 0)
        self.assertEqual(tool["name"], "ProbeToTracker")
        self.assertGreater(tool["valid"], 100)
        self.assertLess(tool["jitter_mm"], 1e-6)  # it glides evenly

    def test_a_natnet_server_of_another_hand_is_followed(self):
        fake = pathlib.Path(os.environ["ES_TEST_SOURCE"]) / "tests" / "fake_motive.py"
        server = subprocess.Popen([sys.executable, fake, "--port", "0", "--seconds", "30",
                                   "--noise", "0.05"], stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().split()[-1]
            j = run_json("track", address, "--seconds", "3s", "-o", self.path("motive.csv"))
        finally:
            server.kill()
            server.communicate()
        self.assertIn("NatNet 3.0, unicast", j["peer"])
        self.assertEqual([t["name"] for t in j["tools"]], ["ProbeToTracker", "ReferenceToTracker"])
        self.assertEqual((j["clock"], j["refused"], j["foreign"]), ("echo", 0, 0))
        rest = j["tools"][1]
        self.assertEqual(rest["valid"], rest["poses"])
        # 0.05 mm on three axes, from a hundred and more poses: 10 % is three standard errors
        self.assertAlmostEqual(rest["jitter_mm"], 0.05 * 3 ** 0.5, delta=0.02)
        self.assertGreater(rest["latency_ms"], 5.5 - j["clock_error_ms"] - 0.1)  # as exposed
        rows = self.path("motive.csv").read_text().splitlines()
        self.assertEqual(len(rows), 2 + j["rows"])

    def test_jitter_is_the_noise_of_a_tool_that_glides(self):
        noise = random.Random(5)
        lines = [f"{k / 100},Probe,{k * 0.5 + noise.gauss(0, 0.1)},{noise.gauss(0, 0.1)},"
                 f"{noise.gauss(0, 0.1)},1,0,0,0" for k in range(1000)]
        j = run_json("track", "-", input="\n".join(lines))
        # 0.1 mm on each of three axes; the estimate of 1000 scatters by about 3 %
        self.assertAlmostEqual(j["tools"][0]["jitter_mm"], 0.1 * 3 ** 0.5, delta=0.02)
        text = run("track", "-", input="\n".join(lines)).stdout
        self.assertRegex(text, r"ProbeToTracker +[\d.]+ /s +100 % valid")

    def test_a_tracker_that_is_silent_or_unknown_is_told_and_nothing_written(self):
        self.refused("track", "-", "-o", "no.csv", leaves_no="no.csv", says="no pose came",
                     input="")
        self.refused("track", "-", "-o", "no.csv", leaves_no="no.csv", says="expected time,name",
                     input="1,2,3\n")
        self.refused("track", "natnet://127.0.0.1:9", "--seconds", "0.3", says="no pose came")
        self.refused("track", "vrpn://127.0.0.1:9", "--seconds", "0.5", says="refused")
        self.refused("track", "serial:/dev/ttyUSB0", status=2, says="expected natnet://HOST")
        self.refused("track", "-", "-o", "nowhere/no.csv", says="nowhere/no.csv", input="")

    # ---- poses of a table

    def test_a_table_of_poses_stands_in_for_those_of_the_recording(self):
        scan = self.path("scan.igs.mha")
        poses = self.path("scan.csv")
        for command in (["info"], ["info", "--config", self.path("scan.xml")]):
            done = run(*command, scan, "--poses", poses)
            self.assertIn("valid in 120 of 120", done.stdout)
            self.assertIn("row by row", done.stderr)
        run("convert", scan, self.path("posed.igs.mha"), "--poses", poses, "--config",
            self.path("scan.xml"), "--pose-tool", "Probe=Probe,Reference=Reference", "-q")
        before = transforms(scan, "ProbeToTracker")
        after = transforms(self.path("posed.igs.mha"), "ProbeToTracker")
        worst = max(abs(a - b) for x, y in zip(before, after) for a, b in zip(x, y))
        self.assertLess(worst, 1e-4)  # the digits of the table
        for command in ("reconstruct", "model"):
            j = run_json(command, scan, "--config", self.path("scan.xml"), "--poses", poses,
                         "--pose-layout", "unit=mm", "--pose-tool", "Probe=Probe", "--dry-run")
            self.assertEqual(j["frames_placed"], 120)
            self.assertTrue(any("poses" in d["what"] for d in j["decisions"]))

    def test_words_of_pose_tables_are_checked(self):
        self.refused("info", "scan.igs.mha", "--pose-layout", "tum", status=2, says="--poses")
        self.refused("info", "scan.igs.mha", "--poses", "none.csv", says="none.csv")
        self.refused("info", "scan.igs.mha", "--poses", "scan.csv", "--pose-layout", "unit=m",
                     status=2, says="unit=m")
        lines = self.path("scan.csv").read_text().splitlines()
        self.path("short.csv").write_text("\n".join(lines[:-6]))
        self.refused("convert", "scan.igs.mha", "short.igs.mha", "--poses", "short.csv",
                     says=("120 frames", "117 poses"), leaves_no="short.igs.mha")
        for command in ("info", "convert", "reconstruct", "model", "spacing", "doctor", "plan"):
            arguments = [command, "scan.igs.mha"] + (["z.igs.mha"] if command == "convert" else [])
            arguments += ["-o", "z.stl"] if command == "model" else []
            arguments += ["-o", "z.mha"] if command == "reconstruct" else []
            self.refused(*arguments, "--poses", "short.csv", "--time-offset", "3s", "--fps", "25",
                         "--pose-tool", "Probe", "--pose-layout", "unit=mm", says="clock")
        for command in ("calibrate wall", "calibrate lag", "calibrate nwire", "calibrate self"):
            name = {"wall": "floor", "lag": "tank", "nwire": "wires",
                    "self": "scan"}[command.split()[1]]
            more = ["--config", self.folder / "wires.xml"] if name == "wires" else []
            self.refused(command, f"{name}.igs.mha", *more, "--poses", "short.csv", "--time-offset",
                         "3s", "--fps", "25", "--pose-tool", "Probe=Probe", "--pose-layout", "unit=mm",
                         says="short.csv")
            if name != "wires":
                self.refused(command, f"{name}.igs.mha", f"{name}.igs.mha", "--poses", "short.csv",
                             status=2, says="one of the two")

    def test_pictures_and_a_table_of_poses_can_be_calibrated(self):
        floor, table = self.folder / "floor.igs.mha", self.folder / "floor.csv"
        write_ndi_log(floor, table)
        run("convert", floor, self.folder / "floor.npy", "-q")  # pictures alone
        own = run_json("calibrate wall", floor, "--lag", "0")
        for pictures in (floor, self.folder / "floor.npy"):
            found = run_json("calibrate wall", pictures, "--lag", "0", "--poses", table)
            for a, b in zip(own["image_to_probe"], found["image_to_probe"]):
                self.assertAlmostEqual(a, b, delta=1e-2)  # the seven digits of the table

    @thorough
    def test_every_model_option_changes_or_keeps_the_result_as_it_says(self):
        scan = ["model", self.path("scan.igs.mha"), "--config", self.path("scan.xml"), "--quiet"]
        sheet = run_json(*scan, "--open", "--output", self.path("o.stl"), "--detector", "foroughi",
                         "--bone-threshold", "0.1", "--bone-spacing", "1.2mm", "--blur", "1",
                         "--min-weight", "0.5", "--min-area", "50", "--components", "2",
                         "--smooth", "5", "--thickness", "3", "--skip", "2")
        self.assertLessEqual(sheet["pieces_kept"], 2)
        self.assertEqual(sheet["frames_inserted"], 60)
        self.assertFalse(run_json("info", self.path("o.stl"))["check"]["closed"])
        self.assertIn("decisions", run_json(*scan, "--dry-run"))
        j = run_json(*scan, "--unchecked", "-o", self.path("u.stl"))
        self.assertIn("unchecked", [w["what"] for w in j["warnings"]])
        self.assertNotIn("doctor", j)

    def test_a_calibration_that_the_pictures_contradict_is_warned_of_in_the_model(self):
        text = self.path("scan.xml").read_text()
        matrix = re.search(r'From="Image" To="Probe"\s+Matrix="([^"]*)"', text).group(1)
        numbers = [float(x) for x in matrix.split()]
        for i in (0, 1, 4, 5, 8, 9):
            numbers[i] *= 1.1
        wrong = self.path("wrong.xml")
        wrong.write_text(text.replace(matrix, " ".join(str(x) for x in numbers)))
        j = run_json("model", self.path("scan.igs.mha"), "-c", wrong, "-o", self.path("w.stl"))
        # Image or scan conversion, whichever is the stronger evidence here.
        self.assertTrue([w for w in j["warnings"] if w["what"].startswith("spacing-contradicts")])

    def test_region_clip_fan_and_threshold_options(self):
        scan = ["reconstruct", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--quiet"]
        whole = run_json(*scan, "--output", self.path("w.nii.gz"), "--hits", self.path("h.nrrd"),
                         "--spread", self.path("s.mha"), "--raw", "--compounding", "mean",
                         "--memory", "2GB")
        clipped = run_json(*scan, "-o", self.path("c.mhd"), "--clip", "10,10,100,100", "--threshold",
                           "20", "--skip", "3", "--spacing", "1mm")
        fan = run_json(*scan, "-o", self.path("f.mha"), "--fan-angles", "-30,30", "--fan-origin",
                       "128,-50", "--fan-radii", "60,200", "--compounding", "maximum")
        self.assertLess(clipped["pixels_inserted"], whole["pixels_inserted"])
        self.assertLess(fan["pixels_inserted"], whole["pixels_inserted"])
        info = run_json("info", self.path("w.nii.gz"))
        run(*scan, "-o", self.path("r.mha"), "--origin", ",".join(map(str, info["origin_mm"])),
            "--size", "10,10,10", "--spacing", "1")
        self.assertEqual(run_json("info", self.path("r.mha"))["size"], [11, 11, 11])

    def test_holes_are_filled_only_when_asked_and_marked(self):
        scan = ["reconstruct", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--quiet"]
        plain = run_json(*scan, "-o", self.path("p.mha"), "--spacing", "1mm")
        filled = run_json(*scan, "-o", self.path("q.mha"), "--spacing", "1mm", "--fill",
                          "stick:9:1+gaussian:5", "--filled", self.path("mask.mha"))
        self.assertEqual((plain["holes_filled"], plain["holes"]), (0, 0))
        j = run_json("compare", self.path("p.mha"), self.path("q.mha"))
        self.assertGreater(filled["holes_filled"], 0)
        self.assertLessEqual(j["voxels_differing"], filled["holes_filled"])
        ones = b"ObjectType = Image\nNDims = 2\nDimSize = 256 256\nElementType = MET_UCHAR\n"
        self.path("ones.mha").write_bytes(ones + b"ElementDataFile = LOCAL\n" + b"\1" * 65536)
        masked = [*scan, "--spacing", "1mm", "--compounding", "mask"]
        run(*masked, "--mask", self.path("ones.mha"), "--compat", "igsio", "-o", self.path("k.mha"))
        weighed = run_json(*masked, "--mask", self.path("ones.mha"), "-o", self.path("l.mha"))
        self.assertEqual(weighed["pixels_inserted"], plain["pixels_inserted"])
        # Weights that are all alike give the mean.
        j = run_json("compare", self.path("p.mha"), self.path("l.mha"))
        self.assertEqual(j["voxels_differing"], 0)
        run("model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--quiet",
            "--compounding", "mask", "--mask", self.path("ones.mha"), "-o", self.path("k.stl"),
            "--volume", self.path("kv.mha"))
        self.refused(*masked, "-o", self.path("r2.mha"), status=2, says="--mask")
        self.refused(*masked, "--mask", self.path("volume.mha"), "-o", self.path("r2.mha"), status=2)
        self.refused(*scan, "-o", self.path("r2.mha"), "--fill", "magic:3", status=2,
                     says="stick:LENGTH")
        self.refused(*scan, "-o", self.path("r2.mha"), "--fill", "stick:400", status=2)

    def test_the_bench_measures_each_kernel_and_keeps_its_names(self):
        j = run_json("bench", "reconstruct", "--quick", "--frames", "8", "--only",
                     "SYN0,nearest,mean,1")
        self.assertGreater(j["bandwidth_gb_s"], 0)
        self.assertEqual(j["rows"][0]["kernel"], "scalar")
        for row in j["rows"]:
            self.assertEqual((row["workload"], row["interpolation"], row["compounding"],
                              row["threads"]), ("SYN0", "nearest", "mean", 1))
            self.assertGreater(row["ms_per_frame"], 0)
            self.assertGreater(row["ms_per_frame_plain"], 0)
        j = run_json("bench", "reconstruct", "-q", "--frames", "4", "--best", "--instructions",
                     "--only", "path-100mm")
        self.assertEqual([row["ms_per_frame_plain"] for row in j["rows"]], [None])
        bench = ["bench", "reconstruct", "--best", "--frames", "2"]
        self.refused(*bench, "--only", "SYN7", status=2, says="SYN7")
        self.refused(*bench, "--sequence", self.path("scan.igs.mha"), status=2, says="820 x 616")
        self.refused("bench", "nothing", status=2, says="reconstruct")

    @thorough
    def test_the_compatible_mode_reproduces_the_reference_volumes(self):
        plus = DATA / "plus"
        if not plus.exists():
            self.skipTest("the real recordings are not here (ES_TEST_DATA)")
        for config, reference in (("SonixRP_TRUS_D70mm_NN_LATE", "NNLATE"),
                                  ("SpinePhantom_NN_MEAN", "NNMEAN"),
                                  ("SpinePhantom_LN_MAXI", "LNMAXI")):
            run("reconstruct", plus / "sequences/SpinePhantomFreehand.igs.mha", "--config",
                plus / f"config/Config_VolumeReconstruction_{config}.xml", "--compat", "igsio",
                "-o", self.path("compat.mha"))
            j = run_json("compare", self.path("compat.mha"),
                         plus / f"reference/VolumeReconstructorTest{reference}volumeRef.mha")
            self.assertEqual(j["voxels_over_2"], 0, reference)
            self.assertLess(j["geometry_mm"], 1e-3)

    def test_a_view_holds_meshes_and_a_volume(self):
        j = run_json("view", self.path("knee-sheet.stl"), self.path("volume.mha"), "--truth",
                     self.path("knee.seen.ply"), "--threads", 1, "--output", self.path("v.html"))
        self.assertEqual((j["meshes"], j["volumes"]), (1, 1))
        page = self.path("v.html").read_text()
        self.assertEqual(page.count("<img"), 2 + 3)
        self.assertIn("Surface to truth, RMS", page)
        self.assertIn("echosolid view knee-sheet.stl volume.mha --output v.html --truth "
                      "knee.seen.ply", page)
        self.assertEqual(page.count('class="view-data"'), int(j["interactive"]))
        self.assertNotIn(str(self.folder), page)

    def test_what_cannot_be_viewed_is_refused_before_the_work(self):
        for files, status, says in (
                (["scan.igs.mha"], 2, "recording"), (["scan.xml"], 2, "can be viewed"),
                (["volume.mha", "distance.mha"], 2, "one volume"),
                (["knee.stl", "missing.mha"], 1, "missing.mha"), (["missing.stl"], 1, "missing.stl"),
                (["x.html", "knee.stl"], 2, "x.html"), (["x.html"], 2, "page already")):
            self.refused("view", *files, "-o", "w.html", status=status, says=says,
                         leaves_no="w.html")
        self.refused("view", "knee.stl", "-o", "w.txt", status=2, says=".html", leaves_no="w.txt")
        self.refused("view", "knee.stl", "--port", "x", status=2, says="port")

    def test_surface_options(self):
        volume = self.path("volume.mha")
        j = run_json("surface", volume, "--output", self.path("s.stl"), "--level", 60, "--inside",
                     "above", "--components", 1, "--min-area", 10, "--smooth", 5, "--ascii",
                     "--threads", 1, "--thickness", "1.5mm", "--quiet")
        self.assertEqual(j["level"], 60)
        self.assertTrue(self.path("s.stl").read_text().startswith("solid"))
        j = run_json("surface", volume, "--open", "-o", self.path("s2.ply"))
        self.assertIn("Otsu", j["level_why"])

    @thorough
    def test_holes_are_closed_by_size_and_a_sheet_is_capped_both_marked_as_not_measured(self):
        # Half a ball of 20 mm with a hole of 6 mm in its top: what lies below is not known.
        write_distance_sphere(self.path("half.mha"), 20, 1.0, lambda x, y, z: z > 2 and
                              math.hypot(x, y) > 3)
        half = ["surface", self.path("half.mha"), "--quiet"]
        j = run_json(*half, "-o", self.path("open.ply"), "--open")
        self.assertEqual((j["shape"], j["closed_holes"], j["cap"]), ("open", None, None))
        rims = j["check"]["boundary_loops"]
        self.assertGreaterEqual(rims, 2)
        j = run_json(*half, "-o", self.path("hole.ply"), "--open", "--close-holes", "10mm")
        self.assertEqual(j["check"]["boundary_loops"], 1)
        self.assertEqual(j["closed_holes"]["closed"], rims - 1)
        # A hole of 6 mm, cut along voxels of 1 mm.
        self.assertTrue(math.pi * 2 ** 2 < j["closed_holes"]["area_mm2"] < math.pi * 5 ** 2)
        self.assertEqual(j["closed_holes"]["note"], "closed, not measured")
        j = run_json(*half, "-o", self.path("cap.ply"), "-o", self.path("cap.stl"), "-o",
                     self.path("cap.step"), "--cap", "--close-holes", "1mm")
        self.assertEqual((j["shape"], j["check"]["closed"]), ("capped", True))
        self.assertEqual(j["cap"]["closed"], rims)
        self.assertGreater(j["step"]["solids"], 0)
        self.assertIn(b"cap not measured", self.path("cap.stl").read_bytes()[:80])
        self.assertIn("cap not measured", self.path("cap.step").read_text())
        # A cap of height 18 of the ball, less the lid over the hole.
        self.assertLess(abs(j["check"]["volume_mm3"] / (math.pi * 18 ** 2 * 14) - 1), 0.15)
        self.assertGreater(confidences(self.path("cap.ply")).count(0), 50)
        self.assertEqual(j["self_intersections"], 0)
        self.assertEqual(run_json("info", self.path("cap.ply"))["self_intersections"], 0)
        self.refused(*half, "-o", self.path("no.stl"), "--open", "--cap", status=2, says="--cap")
        self.refused(*half, "-o", self.path("no.stl"), "--close-holes", "0", status=2)
        scan = ["model", self.path("scan.igs.mha"), "-c", self.path("scan.xml"), "--quiet"]
        j = run_json(*scan, "-o", self.path("c.ply"), "--cap", "--close-holes", "4mm", "--report",
                     self.path("c.html"))
        self.assertTrue(j["solid"]["closed"])
        self.assertGreater(confidences(self.path("c.ply")).count(0), 50)
        self.assertIn("closed, not measured", self.path("c.html").read_text())
        self.refused(*scan, "-o", self.path("no.stl"), "--open", "--cap", status=2, says="--cap")

    def test_a_point_chooses_a_piece(self):
        # Two half balls with an unknown layer between them.
        write_distance_sphere(self.path("two.mha"), 12, 1.0, lambda x, y, z: abs(x) > 2)
        for x in (-12, 12):
            j = run_json("surface", self.path("two.mha"), "-o", self.path("two.stl"), "--open",
                         "--seed", f"{x},0,0")
            self.assertEqual((j["pieces_kept"], j["pieces_dropped"]), (1, 1))
            box = run_json("info", self.path("two.stl"))
            self.assertGreater(x * (box["min_mm"][0] + box["max_mm"][0]), 0)
        self.refused("surface", self.path("two.mha"), "-o", self.path("no.stl"), "--seed", "1,2",
                     status=2)

    def test_surface_writes_step_beside_the_mesh_with_its_deviation(self):
        write_distance_sphere(self.path("ball.mha"), 20, 1.0)
        j = run_json("surface", self.path("ball.mha"), "-o", self.path("ball.stl"), "-o",
                     self.path("ball.step"), "--step", "smooth", "--step-tolerance", "0.1mm",
                     "--step-schema", "ap242")
        self.assertEqual(j["outputs"], [str(self.path("ball.stl")), str(self.path("ball.step"))])
        self.assertEqual(j["step"]["solids"], 1)
        self.assertTrue(j["step"]["reached"])
        self.assertLess(j["deviation_mm"]["to_mesh"]["p95_mm"], 0.1)
        # 1 mm voxels: flat facets take (s/R)^2 of the volume away.
        self.assertLess(abs(j["step"]["volume_mm3"] / (4 / 3 * math.pi * 20 ** 3) - 1), 2.5e-3)
        text = self.path("ball.step").read_text("ascii")
        self.assertIn("AP242_MANAGED", text)
        self.assertIn("deviation from the mesh RMS", text)
        j = run_json("surface", self.path("ball.mha"), "-o", self.path("f.stp"), "--step",
                     "faceted", "--step-facets", 500, "--step-force")
        self.assertLessEqual(j["step"]["faces"], 500)
        out = run("surface", self.path("ball.mha"), "-o", self.path("again.step")).stdout
        self.assertIn("faces to mesh", out)
        self.refused("surface", "ball.mha", "-o", "x.step", "--step", "faceted", "--step-facets",
                     60000, status=1, says="60000 facets", leaves_no="x.step")
        j = run_json("surface", self.path("ball.mha"), "-o", self.path("six.step"), "--step",
                     "patches6")
        self.assertEqual((j["step"]["faces"], j["step"]["solids"]), (6, 1))
        self.refused("surface", "ball.mha", "-o", "x.step", "--step", "tessellated", status=2,
                     says="only beside another model", leaves_no="x.step")
        j = run_json("surface", self.path("ball.mha"), "-o", self.path("ball.3mf"), "-o",
                     self.path("lists.step"), "--step", "tessellated")
        self.assertIn("TESSELLATED_SOLID", self.path("lists.step").read_text("ascii"))
        self.refused("surface", "ball.mha", "-o", "x.step", "-o", "x.step", status=2, says="twice")
        self.refused("surface", "ball.mha", "-o", "x.iges", says="STEP", leaves_no="x.iges")

    def test_a_distance_sphere_of_20_mm_is_found_within_20_um(self):
        errors = []
        for spacing in (1.0, 0.5):
            write_distance_sphere(self.path("d.mha"), 20, spacing)
            run("surface", self.path("d.mha"), "-o", self.path("d.ply"))
            radii = [sum(c * c for c in v) ** 0.5 for v in read_ply_vertices(self.path("d.ply"))]
            errors.append((sum((r - 20) ** 2 for r in radii) / len(radii)) ** 0.5)
        self.assertLess(errors[1], 0.02)
        # Linear interpolation of a curved field: the error goes with h^2.
        self.assertLess(errors[1], errors[0] / 3)

    def test_simulate_options_and_seed(self):
        base = ["simulate", "--frames", 4, "--image-size", "96,96", "--truth-spacing", 3, "--quiet"]
        run(*base, "--output", self.path("a.igs.mha"), "--scene", "sphere", "--probe", "convex",
            "--radius", 40, "--half-angle", "35deg", "--depth", "8cm", "--rate", 10, "--seed", 7,
            "--pose-noise", "0.1", "--angle-noise", "0.1", "--lag", "40ms", "--speckle", 0.5,
            "--threads", 1)
        run(*base, "-o", self.path("b.igs.mha"), "--seed", 7, "--width", 40)
        run(*base, "-o", self.path("c.igs.mha"), "--seed", 7, "--width", 40, "--threads", 2)
        run(*base, "-o", self.path("d.igs.mha"), "--seed", 8, "--width", 40)
        self.assertEqual(self.path("b.igs.mha").read_bytes(), self.path("c.igs.mha").read_bytes())
        self.assertNotEqual(self.path("b.igs.mha").read_bytes(), self.path("d.igs.mha").read_bytes())

    def test_a_part_of_the_pictures_can_be_converted(self):
        run("simulate", "--screen", "c5-2r60-b", "--frames", 4, "-o", self.path("whole.igs.mha"), "-q")
        run("convert", self.path("whole.igs.mha"), self.path("part.igs.mha"), "--crop",
            "100,50,200,220", "--grey")
        part = run_json("info", self.path("part.igs.mha"))
        self.assertEqual((part["width"], part["height"]), (200, 220))
        self.assertEqual(part["fields"]["EchosolidCropOrigin"], "100 50")
        run("convert", self.path("whole.igs.mha"), self.path("bare.igs.mha"), "--echoes-only")
        self.refused("convert", "whole.igs.mha", "x.igs.mha", "--crop", "500,0,200,10", status=2,
                     says="does not lie", leaves_no="x.igs.mha")

    def test_a_screen_comes_with_its_truth_and_its_claim(self):
        j = run_json("simulate", "--screen", "c5-2r60-b", "--frames", 3, "-o", self.path("screen.igs.mha"))
        # 150 mm under the middle of a face that is 60 (1 - cos 30) mm high, on 512 rows.
        self.assertAlmostEqual(j["spacing_mm"][1], 158.0385 / 512, places=5)
        self.assertEqual((j["claimed_mm"], j["depth_mm"], j["radius_mm"]), (0.2, 150, 60))
        self.assertIn('Matrix="0.2 0 0 0  0 0.2 0 0', self.path("screen.xml").read_text())
        info = run_json("info", self.path("screen.igs.mha"))
        self.assertEqual((info["frames"], info["width"], info["height"]), (3, 512, 512))
        for threads in (1, 2):
            run("simulate", "--screen", 7, "-o", self.path(f"s{threads}.igs.mha"), "--threads", threads)
        self.assertEqual(self.path("s1.igs.mha").read_bytes(), self.path("s2.igs.mha").read_bytes())
        self.refused("simulate", "--screen", "c9", "-o", "u.igs.mha", status=2, says="c5-2r60-a",
                     leaves_no="u.igs.mha")
        self.refused("simulate", "--screen", "c5-2r60-a", "--depth", "80mm", "-o", "u.igs.mha",
                     status=2, says="leave out", leaves_no="u.igs.mha")

    def test_the_doctor_finds_and_mends_metres(self):
        clean = run_json("doctor", self.path("scan.igs.mha"), "--config", self.path("scan.xml"),
                         "--elevation", "20mm", "--speed", 1000)
        for finding in clean["findings"]:
            self.assertLessEqual({"check", "severity", "evidence", "fix"}, set(finding))
            self.assertEqual(finding["severity"], "note")
        text = pathlib.Path(self.path("scan.igs.mha")).read_bytes()
        head, mark, pixels = text.partition(b"ElementDataFile")
        metres = re.sub(rb"(TrackerTransform = )(.*)", lambda m: m[1] + b" ".join(
            b"%.17g" % (float(n) / 1000) if i in (3, 7, 11) else n
            for i, n in enumerate(m[2].split())), head)
        pathlib.Path(self.path("metres.igs.mha")).write_bytes(metres + mark + pixels)
        before = run_json("doctor", self.path("metres.igs.mha"))
        self.assertIn("metres-for-millimetres", [f["check"] for f in before["findings"]])
        run("doctor", self.path("metres.igs.mha"), "--strict", status=1)
        run("doctor", self.path("metres.igs.mha"), "--fix", "--output", self.path("mended.igs.mha"))
        after = run_json("doctor", self.path("mended.igs.mha"))
        self.assertNotIn("metres-for-millimetres", [f["check"] for f in after["findings"]])
        run("doctor", self.path("metres.igs.mha"), "--fix", status=2)
        run("doctor", self.path("metres.igs.mha"), "--fix", "-o", self.path("metres.igs.mha"),
            status=2)
        run("doctor", status=2)

    def test_converting_there_and_back_changes_no_pixel(self):
        run("convert", self.path("volume.mha"), self.path("x.nrrd"), "--raw")
        run("convert", self.path("x.nrrd"), self.path("y.nii"), "--quiet")
        run("convert", self.path("y.nii"), self.path("z.mha"), "--level", 9)
        j = run_json("compare", self.path("volume.mha"), self.path("z.mha"))
        self.assertEqual(j["voxels_differing"], 0)
        self.assertLess(j["geometry_mm"], 1e-3)  # NIfTI-1 keeps its geometry in 32-bit floats
        run("convert", self.path("scan.igs.mha"), self.path("x.igs.nrrd"))
        run("convert", self.path("x.igs.nrrd"), self.path("y.igs.mhd"))
        a, b = (run_json("info", self.path(n)) for n in ("scan.igs.mha", "y.igs.mhd"))
        for key in ("frames", "width", "transforms", "duration_s", "orientation"):
            self.assertEqual(a[key], b[key])
        run("convert", self.path("knee.stl"), self.path("k.ply"))
        j = run_json("compare", self.path("knee.stl"), self.path("k.ply"))
        self.assertLess(j["hausdorff_mm"], 1e-4)

    # ---- bad input

    def test_missing_files_and_folders(self):
        self.refused("info", "nowhere.mha", says="nowhere.mha")
        self.refused("reconstruct", "nowhere.mha", "-o", "v2.mha", says="nowhere.mha")
        self.refused("reconstruct", "scan.igs.mha", "-c", "nowhere.xml", "-o", "v2.mha",
                     says="nowhere.xml")
        self.refused("reconstruct", "scan.igs.mha", "-c", "scan.xml", "-o", "no/such/v.mha",
                     says="no/such/v.mha")
        self.refused("model", "volume.mha", "-c", "scan.xml", "-o", "x.stl", status=2, says="surface")
        self.refused("surface", "scan.igs.mha", "-o", "x.stl", status=None, says="recording")
        self.refused("convert", "volume.mha", "volume.jpg", status=None, says=".nrrd")

    def test_a_missing_calibration_is_named(self):
        message = self.refused("reconstruct", "scan.igs.mha", "-o", "v3.mha", leaves_no="v3.mha")
        self.assertIn("Image", message)
        self.assertIn("--config", message)

    def test_all_frames_outside_the_clip(self):
        self.refused("reconstruct", "scan.igs.mha", "-c", "scan.xml", "-o", "v4.mha", "--clip",
                     "5000,0,10,10", status=2, says="outside", leaves_no="v4.mha")

    def test_a_volume_that_does_not_fit_says_what_would(self):
        message = self.refused("reconstruct", "scan.igs.mha", "-c", "scan.xml", "-o", "v5.mha",
                               "--spacing", "0.05", "--memory", "20MB", leaves_no="v5.mha")
        self.assertRegex(message, r"mm")
        self.assertRegex(message, r"would fit|fits")

    def test_frames_without_valid_pose(self):
        header, rest = self.path("scan.igs.mha").read_bytes().split(b"ElementDataFile", 1)
        broken = header.replace(b"TransformStatus = OK", b"TransformStatus = INVALID")
        self.path("lost.igs.mha").write_bytes(broken + b"ElementDataFile" + rest)
        self.refused("reconstruct", "lost.igs.mha", "-c", "scan.xml", "-o", "v6.mha",
                     says=["120 frames", "valid"], leaves_no="v6.mha")

    def test_truncated_pixels_are_noticed(self):
        whole = self.path("scan.igs.mha").read_bytes()
        self.path("cut.igs.mha").write_bytes(whole[:len(whole) * 2 // 3])
        self.refused("reconstruct", "cut.igs.mha", "-c", "scan.xml", "-o", "v7.mha",
                     says="cut.igs.mha", leaves_no="v7.mha")

    def test_a_full_disk_leaves_the_old_file(self):
        old = self.path("volume.mha").read_bytes()

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        done = run("reconstruct", "scan.igs.mha", "-c", "scan.xml", "-o", "volume.mha", "-q",
                   cwd=self.folder, status=1, preexec_fn=limit)
        self.assertIn("volume.mha", done.stderr)
        self.assertEqual(self.path("volume.mha").read_bytes(), old)
        self.assertEqual(list(self.folder.glob("*.part")), [])

    def test_ctrl_c_leaves_nothing(self):
        process = subprocess.Popen([BINARY, "simulate", "--frames", "5000", "-o", "long.igs.mha"],
                                   cwd=self.folder, stderr=subprocess.PIPE, text=True)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped", message)
        self.assertEqual(list(self.folder.glob("long*")), [])

    def test_hostile_headers(self):
        for name, text in {
            "huge.mha": "ObjectType = Image\nNDims = 3\nDimSize = 4000000000 4000000000 4000000000\n"
                        "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
            "negative.mha": "ObjectType = Image\nNDims = 3\nDimSize = -1 5 5\n"
                            "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
            "nodata.mhd": "ObjectType = Image\nNDims = 3\nDimSize = 5 5 5\n"
                          "ElementType = MET_UCHAR\nElementDataFile = gone.raw\n",
            "type.mha": "ObjectType = Image\nNDims = 3\nDimSize = 5 5 5\n"
                        "ElementType = MET_QUATERNION\nElementDataFile = LOCAL\n",
            "empty.mha": "", "text.mha": "hello\n", "short.nrrd": "NRRD0004\ntype: uchar\n",
        }.items():
            self.path(name).write_text(text)
            # Some are refused as volumes (status 2) before their damage is seen (status 1).
            self.refused("reconstruct", name, "-c", "scan.xml", "-o", "h.mha", says=name,
                         leaves_no="h.mha", status=None)

    def test_broken_meshes(self):
        self.path("bad.stl").write_bytes(b"\0" * 80 + struct.pack("<I", 2 ** 31))
        self.refused("info", "bad.stl", says="bad.stl")
        self.path("bad.ply").write_text("ply\nformat ascii 1.0\nelement vertex 3\n")
        self.refused("info", "bad.ply", says="bad.ply")
        self.path("nan.mha").write_bytes(
            b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_FLOAT\n"
            b"ElementDataFile = LOCAL\n" + struct.pack("<8f", *[float("nan")] * 8))
        self.refused("surface", "nan.mha", "-o", "nan.stl", says="NaN", leaves_no="nan.stl")

    # ---- surfaces that are hardly any

    def test_an_empty_surface_says_why(self):
        write_field(self.path("hollow.mha"), 12, lambda x, y, z: 1 + abs(x))
        self.refused("surface", "hollow.mha", "-o", "e.stl", "--level", 0, status=2,
                     says="there is no surface", leaves_no="e.stl")
        write_field(self.path("crumb.mha"), 12, lambda x, y, z: math.hypot(x, y, z) - 1.3)
        self.refused("surface", "crumb.mha", "-o", "e.step", "--min-area", 500, says="--min-area",
                     leaves_no="e.step")
        model = ["model", "scan.igs.mha", "-c", "scan.xml", "-o", "e.stl", "-q"]
        self.refused(*model, "--bone-threshold", 1, says=["none of", "--bone-threshold"],
                     leaves_no="e.stl")
        self.refused(*model, "--min-area", 1e6, says=["pieces are smaller", "--min-area"],
                     leaves_no="e.stl")

    def test_planes_balls_that_touch_and_what_is_not_finite_become_solids(self):
        outputs = ["-o", self.path("h.stl"), "-o", self.path("h.step")]
        # Not bounded: the plane ends with the volume. 23 x 23 mm, 2 mm thick.
        write_field(self.path("plane.mha"), 24, lambda x, y, z: z + 0.3)
        j = run_json("surface", self.path("plane.mha"), *outputs)
        self.assertEqual((j["shape"], j["check"]["closed"], j["step"]["solids"]),
                         ("thickened", True, 1))
        self.assertLess(abs(j["check"]["volume_mm3"] / (23 * 23 * 2) - 1), 0.01)
        self.assertLess(abs(j["step"]["volume_mm3"] / (23 * 23 * 2) - 1), 0.05) # its corners are round
        write_field(self.path("touch.mha"), 36, lambda x, y, z:
                    math.hypot(abs(x) - 7, y, z) - 7)
        j = run_json("surface", self.path("touch.mha"), *outputs)
        self.assertEqual((j["check"]["closed"], j["self_intersections"]), (True, 0))
        self.assertGreaterEqual(j["step"]["solids"], 1)
        # Unknown where it is infinite: a small hole, which the patches close.
        write_field(self.path("inf.mha"), 36, lambda x, y, z: math.inf if x > 0 and abs(y) < .8
                    and abs(z) < .8 else math.hypot(x, y, z) - 12)
        j = run_json("surface", self.path("inf.mha"), *outputs)
        self.assertEqual((j["step"]["solids"], j["step"]["bridged"]), (1, 1))
        self.assertLess(abs(j["step"]["volume_mm3"] / (4 / 3 * math.pi * 12 ** 3) - 1), 0.02)
        self.path("nan.obj").write_text("v 0 0 0\nv 1 0 nan\nv 0 1 0\nf 1 2 3\n")
        self.refused("info", "nan.obj", says="line 2")

    @thorough
    def test_specks_and_a_tolerance_out_of_reach_are_compromises_that_are_said(self):
        def specks(x, y, z):
            return math.hypot(*((a % 8) - 4 for a in (x + 4, y + 4, z + 4))) - 2.2
        write_field(self.path("specks.mha"), 42, specks)
        done = run("surface", self.path("specks.mha"), "-o", self.path("specks.stl"), "-o",
                   self.path("specks.step"), "--step", "patches6", "--json")
        j = json.loads(done.stdout)
        self.assertEqual(j["pieces_kept"], 125)
        self.assertEqual((j["step"]["solids"], j["step"]["surplus"]), (100, 25))
        self.assertIn("125 pieces: the STEP file has the 100 largest", done.stderr)
        write_distance_sphere(self.path("ball.mha"), 12, 1.0)
        done = run("surface", self.path("ball.mha"), "-o", self.path("r.step"),
                   "--step-tolerance", "0.001mm")
        self.assertIn("was not reached with 2000 faces", done.stdout)
        self.assertIn("95 %", done.stdout)

    def test_names_with_quotes_and_other_letters_stand_in_the_step_file(self):
        write_distance_sphere(self.path("ball.mha"), 8, 1.0)
        name = "Knie Größe 'links' 膝.step"
        run("surface", "ball.mha", "-o", name, cwd=self.folder)
        text = self.path(name).read_text("ascii")
        self.assertIn(r"PRODUCT('Knie Gr\X2\00F6\X0\\X2\00DF\X0\e ''links'' \X2\819D\X0\'", text)

    def test_a_full_disk_leaves_no_broken_model(self):
        write_distance_sphere(self.path("ball.mha"), 20, 1.0)

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        for name in ("f.stl", "f.ply", "f.obj", "f.3mf", "f.glb", "f.step", "f.dcm"):
            self.path(name).write_bytes(b"old")
            done = run("surface", "ball.mha", "-o", name, cwd=self.folder, status=1,
                       preexec_fn=limit)
            self.assertEqual(done.stderr.count(name), 1, done.stderr)
            self.assertEqual(self.path(name).read_bytes(), b"old")
        self.assertEqual(list(self.folder.glob("*.part")), [])

    # ---- real recordings

    @thorough
    def test_real_recordings_become_volumes_and_models(self):
        plus = DATA / "plus"
        if not plus.exists():
            self.skipTest("the real recordings are not here (ES_TEST_DATA)")
        for scan, config in (("BoneUltrasound_L14", "BoneUltrasound_L14_config.xml"),
                             ("SpinePhantomFreehand",
                              "Config_VolumeReconstruction_SpinePhantom_NN_MEAN.xml")):
            j = run_json("model", plus / f"sequences/{scan}.igs.mha", "--config",
                         plus / "config" / config, "-o", self.path("real.stl"), "--report",
                         self.path("real.html"))
            self.assertEqual(j["frames_inserted"], 21)
            self.assertTrue(j["solid"]["closed"])
            self.assertEqual(j["self_intersections"], 0)
            for word in ("--cap", "--open"):
                j = run_json("model", plus / f"sequences/{scan}.igs.mha", "--config",
                             plus / "config" / config, "-o", self.path("real2.stl"), word,
                             "--close-holes", "5mm", "--unchecked")
                self.assertEqual(j["self_intersections"], 0)
            if shutil.which("prusa-slicer"):
                text = subprocess.run(["prusa-slicer", "--info", self.path("real.stl")], text=True,
                                      capture_output=True, timeout=120, check=True).stdout
                self.assertIn("manifold = yes", text)

    def test_the_reference_volume_of_the_spine_phantom(self):
        plus = DATA / "plus"
        if not plus.exists():
            self.skipTest("the real recordings are not here (ES_TEST_DATA)")
        run("reconstruct", plus / "sequences/SpinePhantomFreehand.igs.mha", "--config",
            plus / "config/Config_VolumeReconstruction_SonixRP_TRUS_D70mm_NN_LATE.xml", "-o",
            self.path("nnlate.mha"))
        j = run_json("compare", self.path("nnlate.mha"),
                     plus / "reference/VolumeReconstructorTestNNLATEvolumeRef.mha")
        # The rest is the peer's 14-bit rounding (95 % is what the issue asks).
        self.assertLess(j["voxels_over_2"], 0.05 * j["voxels"])
        self.assertLess(j["geometry_mm"], 1e-3)


class Options(unittest.TestCase):
    """Runs last: every option of every command was exercised above."""

    @thorough
    def test_every_option_was_exercised(self):
        letters = {"-o": "--output", "-c": "--config", "-t": "--threads", "-q": "--quiet",
                   "-n": "--dry-run", "-s": "--spacing", "-l": "--level", "-h": "--help"}
        used = {(c, letters.get(w, w)) for c, w in USED}
        setup = {w for c, w in used if c in ("model", "reconstruct")}
        missing = [f"{c} {o}" for c in COMMANDS for o in options(c)
                   if (c, o) not in used and not (c in ("model", "live") and o in setup)
                   and o not in ("--json", "--quiet", "--help")]
        self.assertEqual(missing, [])


def turn(axis, angle):
    """Rodrigues' rotation as rows."""
    length = math.sqrt(sum(a * a for a in axis))
    x, y, z = (a / length for a in axis)
    c, s = math.cos(angle), math.sin(angle)
    d = 1 - c
    return [[c + x * x * d, x * y * d - z * s, x * z * d + y * s],
            [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
            [z * x * d - y * s, z * y * d + x * s, c + z * z * d]]


def about_tip(rows, tip, fixed):
    """The pose that turns by `rows` and keeps the tip at `fixed`."""
    return [row + [f - sum(r * t for r, t in zip(row, tip))] for row, f in zip(rows, fixed)]


def write_frames(path, width, height, frames, channels=1, mark="MF"):
    """A recording of plain frames, in the orientation that the mark names."""
    head = ("ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = %d %d %d\n"
            "ElementType = MET_UCHAR\nElementNumberOfChannels = %d\nKinds = domain domain list\n"
            "UltrasoundImageOrientation = %s\nElementDataFile = LOCAL\n"
            % (width, height, len(frames), channels, mark))
    pathlib.Path(path).write_bytes(head.encode() + b"".join(frames))


def write_stylus(path, poses, rate=20):
    """A recording of StylusToReference alone."""
    head = ("ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 0 0 %d\n"
            "ElementType = MET_UCHAR\nUltrasoundImageOrientation = XX\n" % len(poses))
    for k, rows in enumerate(poses):
        numbers = " ".join(repr(float(x)) for row in rows for x in row) + " 0 0 0 1"
        head += ("Seq_Frame%04d_StylusToReferenceTransform = %s\n"
                 "Seq_Frame%04d_StylusToReferenceTransformStatus = OK\n"
                 "Seq_Frame%04d_Timestamp = %r\nSeq_Frame%04d_ImageStatus = INVALID\n"
                 % (k, numbers, k, k, k / rate, k))
    pathlib.Path(path).write_bytes((head + "ElementDataFile = LOCAL\n").encode())


def write_tank(path, lag, frames=160, width=120, height=100):
    """A probe over a flat floor at 10 Hz: the frame of time t carries the pose that the tracker
    gave then, which is the one of t - lag."""
    def depth(t):
        return 8 * math.sin(1.3 * t) + 3 * math.sin(3.1 * t + 1) + 2 * math.sin(0.4 * t)
    head = ("ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = %d %d %d\n"
            "ElementType = MET_UCHAR\nUltrasoundImageOrientation = MFA\n" % (width, height, frames))
    pixels = bytearray()
    for k in range(frames):
        t = k / 10
        head += ("Seq_Frame%04d_ProbeToTrackerTransform = 1 0 0 5 0 1 0 %r 0 0 1 0 0 0 0 1\n"
                 "Seq_Frame%04d_ProbeToTrackerTransformStatus = OK\nSeq_Frame%04d_Timestamp = %r\n"
                 "Seq_Frame%04d_ImageStatus = OK\n" % (k, -depth(t - lag), k, k, t, k))
        floor = 50 + 3 * depth(t)
        rows = [min(255, int(220 * math.exp(-((v - floor) / 1.5) ** 2))) for v in range(height)]
        for v in range(height):
            pixels += bytes([rows[v]]) * width
    pathlib.Path(path).write_bytes((head + "ElementDataFile = LOCAL\n").encode() + bytes(pixels))


LANDMARKS = [(104, 5, 20), (104, 45, 22), (100, 45, 0), (-34, -12, 0), (-20, 50, 3)]
TIP = (3, -2, 200)


def write_calibration_inputs(folder):
    """What the examples of the calibrate commands use."""
    swing = [about_tip(turn((math.cos(k), math.sin(k), 0), 0.5 * math.sin(0.3 * k) + 1e-9), TIP,
                       (30, 40, 50)) for k in range(300)]
    write_stylus(folder / "stylus-swing.igs.mha", swing)
    write_stylus(folder / "spun.igs.mha", [about_tip(turn((0, 0, 1), 0.05 * k), TIP, (30, 40, 50))
                                           for k in range(120)])
    touches = [about_tip(turn((1, 0, 0), 0.2), TIP, mark) for mark in LANDMARKS for _ in range(40)]
    write_stylus(folder / "touches.igs.mha", touches)
    write_tank(folder / "tank.igs.mha", 0.12)
    (folder / "phantom.xml").write_text(
        "<PlusConfiguration version=\"2.1\"><CoordinateDefinitions>"
        "<Transform From=\"StylusTip\" To=\"Stylus\" Matrix=\"1 0 0 %g 0 1 0 %g 0 0 1 %g 0 0 0 1\"/>"
        "</CoordinateDefinitions><PhantomDefinition><Geometry><Landmarks>%s</Landmarks></Geometry>"
        "</PhantomDefinition></PlusConfiguration>" % (*TIP, "".join(
            f"<Landmark Name=\"#{k}\" Position=\"{x} {y} {z}\"/>"
            for k, (x, y, z) in enumerate(LANDMARKS))))
    (folder / "touched.fcsv").write_text(
        "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n" + "".join(
            f"p{k},{-x},{-y},{z},0,0,0,1,1,1,0,L{k},,\r\n" for k, (x, y, z) in enumerate(LANDMARKS)))


def transforms(path, name):
    """The matrices of a transform, 16 numbers a frame."""
    text = path.read_bytes().split(b"ElementDataFile")[0].decode()
    return [[float(n) for n in line.split()]
            for line in re.findall(rf"Seq_Frame\d+_{name}Transform = (.*)", text)]


def quaternion(m):
    """w x y z of a rotation, by the eigenvector of the largest eigenvalue."""
    import numpy
    r = numpy.array(m).reshape(4, 4)[:3, :3]
    k = numpy.array([[r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
                     [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
                     [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
                     [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], numpy.trace(r)]])
    x, y, z, w = numpy.linalg.eigh(k)[1][:, 3]
    return w, x, y, z


def write_ndi_log(recording, path):
    """The recording's poses as NDI's tools log them, a row a tool."""
    rows = ["Tools,Port,Frame,State,Q0,Qx,Qy,Qz,Tx,Ty,Tz,Error"]
    pairs = zip(transforms(recording, "ProbeToTracker"), transforms(recording, "ReferenceToTracker"))
    for frame, pair in enumerate(pairs):
        for name, m in zip(("Probe", "Reference"), pair):
            numbers = [*quaternion(m), m[3], m[7], m[11]]
            rows.append(f"2,{name},{frame},OK," + ",".join(f"{n:.7f}" for n in numbers) + ",0.1")
    path.write_text("\n".join(rows) + "\n")


def write_distance_sphere(path, radius, spacing, known=lambda x, y, z: True):
    """Exact signed distances to a sphere at the origin, MET_FLOAT; NaN where not known."""
    half = int((radius + 4) / spacing) + 1
    n = 2 * half + 1
    axis = [(i - half) * spacing + 0.137 for i in range(n)]  # not on the lattice
    values = bytearray()
    for z in axis:
        for y in axis:
            zy = z * z + y * y
            values += struct.pack(f"<{n}f", *[(zy + x * x) ** 0.5 - radius if known(x, y, z)
                                               else math.nan for x in axis])
    start = axis[0]
    path.write_bytes(
        f"ObjectType = Image\nNDims = 3\nDimSize = {n} {n} {n}\nElementType = MET_FLOAT\n"
        f"ElementSpacing = {spacing} {spacing} {spacing}\nOffset = {start} {start} {start}\n"
        f"BinaryDataByteOrderMSB = False\nElementDataFile = LOCAL\n".encode() + bytes(values))


def write_field(path, n, value):
    """n^3 voxels of 1 mm about the origin, MET_FLOAT; not on the lattice."""
    axis = [i - (n - 1) / 2 + 0.137 for i in range(n)]
    path.write_bytes(
        f"ObjectType = Image\nNDims = 3\nDimSize = {n} {n} {n}\nElementType = MET_FLOAT\n"
        f"ElementSpacing = 1 1 1\nOffset = {axis[0]} {axis[0]} {axis[0]}\n"
        f"BinaryDataByteOrderMSB = False\nElementDataFile = LOCAL\n".encode()
        + b"".join(struct.pack(f"<{n}f", *[value(x, y, z) for x in axis])
                   for z in axis for y in axis))


def read_ply_rows(path):
    """Binary little-endian PLY, vertex properties that are all floats: names, rows."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    text = header.decode()
    count = int(re.search(r"element vertex (\d+)", text).group(1))
    vertex = text.split("element vertex")[1].split("element face")[0]
    names = re.findall(r"property float (\w+)", vertex)
    rows = struct.iter_unpack(f"<{len(names)}f", body[:4 * count * len(names)])
    return names, list(rows)


def read_ply_vertices(path):
    return [list(row[:3]) for row in read_ply_rows(path)[1]]


def confidences(path):
    names, rows = read_ply_rows(path)
    return [row[names.index("confidence")] for row in rows]


if __name__ == "__main__":
    unittest.main(verbosity=1)
