#!/usr/bin/python3
"""Video, pictures, arrays and scenes as recordings: what ffmpeg, numpy, scipy,
h5py and zipfile wrote comes back pixel by pixel, and what is broken or hostile
is refused in words. The files are read by `echosolid convert`, the results by
numpy."""
import io
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
import zlib

try:
    import h5py
    import numpy as np
    import scipy.io
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
if not shutil.which("ffmpeg"):
    print("skipped: no ffmpeg")
    sys.exit(77)

BINARY = os.environ["ES_TEST_BINARY"]
N, H, W = 7, 48, 64
F = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS to LPS


def pose(i):
    a = 0.1 * i
    m = np.eye(4)
    m[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    m[:3, 3] = [i, 2 * i, -i]
    return m


NOISE = np.random.default_rng(1).integers(0, 256, (N, H, W), dtype=np.uint8)
POSES = np.stack([pose(i) for i in range(N)])
# A bright disc that walks: smooth enough for lossy codecs, and no two frames alike.
V, U = np.mgrid[0:H, 0:W]
SMOOTH = np.stack([40 + 180 * np.exp(-((U - 8 - 7 * i) ** 2 + (V - 24) ** 2) / 150)
                   for i in range(N)]).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255 ** 2 / max(1e-9, np.mean((a.astype(float) - b) ** 2)))


class Media(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="echosolid media ü "))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def path(self, name):
        return self.folder / name

    def convert(self, name, to="out.npz", status=0, **keywords):
        done = subprocess.run([keywords.pop("binary", BINARY), "convert", str(self.path(name)),
                               str(self.path(to)) + "/" * to.endswith("/")], capture_output=True, text=True, timeout=120,
                              **keywords)
        self.assertIn(done.returncode, [status] if status == 0 else [1, 2], done.stderr)
        return done.stderr

    def read(self, name):
        """The recording as numpy sees it after conversion to .npz."""
        self.notes = self.convert(name)
        with np.load(self.path("out.npz")) as z:
            return {key: z[key] for key in z.files}

    def refused(self, name, *words, to="refused.npz", **keywords):
        said = self.convert(name, to, status=1, **keywords).strip().splitlines()[-1]
        self.assertTrue(said.startswith("echosolid: "), said)
        for word in words:
            self.assertIn(word, said)
        self.assertFalse(self.path(to.rstrip("/")).exists())
        self.assertEqual(list(self.folder.glob("*.part*")), [])
        return said

    def ffmpeg(self, frames, name, *options, rate=25, pixels=None, size=None):
        pixels = pixels or {1: "gray", 2: "gray16le"}.get(frames.itemsize)
        size = size or f"{frames.shape[2]}x{frames.shape[1]}"
        subprocess.run(["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", pixels, "-s",
                        size, "-r", str(rate), "-i", "-", *options, str(self.path(name))],
                       input=np.ascontiguousarray(frames).tobytes(), check=True, timeout=120)
        return self.path(name)

    # ---- video

    def test_lossless_video_comes_back_pixel_by_pixel(self):
        for name, options in [("a b.mkv", ["-c:v", "ffv1"]), ("raw.avi", ["-c:v", "rawvideo"]),
                              ("ü.mov", ["-c:v", "png"]), ("a.gif", []),
                              ("a.y4m", ["-pix_fmt", "gray"])]:
            with self.subTest(name):
                self.ffmpeg(NOISE, name, *options)
                found = self.read(name)
                np.testing.assert_array_equal(found["frames"], NOISE)
                np.testing.assert_allclose(found["timestamps"], np.arange(N) / 25, atol=1e-3)

    def test_sixteen_bits_stay_sixteen_bits(self):
        wide = NOISE.astype(np.uint16) * 251 + 7
        self.ffmpeg(wide, "w.mkv", "-c:v", "ffv1")
        np.testing.assert_array_equal(self.read("w.mkv")["frames"], wide)

    def test_colour_is_kept_where_there_is_colour_and_grey_on_demand(self):
        colour = np.repeat(NOISE[..., None], 3, 3).copy()
        colour[:, 10:20, 10:30] = [200, 30, 90]
        self.ffmpeg(colour, "c.mkv", "-c:v", "ffv1", pixels="rgb24")
        np.testing.assert_array_equal(self.read("c.mkv")["frames"], colour)
        grey = self.read("c.mkv#grey")["frames"]
        # Equal parts are exact; ITU-R BT.601 luma elsewhere, rounded once.
        np.testing.assert_array_equal(grey[:, 20:], NOISE[:, 20:])
        self.assertLessEqual(abs(int(grey[0, 15, 15]) - (.299 * 200 + .587 * 30 + .114 * 90)), 1)
        self.refused("c.mkv#blue", "#grey or #rgb")

    def test_grey_stored_as_colour_is_grey(self):
        self.ffmpeg(np.repeat(NOISE[..., None], 3, 3), "g.mkv", "-c:v", "ffv1", pixels="rgb24")
        np.testing.assert_array_equal(self.read("g.mkv")["frames"], NOISE)

    def test_luma_and_chroma_become_colours_as_the_standards_say(self):
        # ITU-R BT.601 and BT.709; odd sides, so that the last chroma belongs to one pixel.
        random, high, wide = np.random.default_rng(5), 47, 63
        for pixels, across, down, options, (dark, white, most), (kr, kb) in [
                ("yuv420p", 2, 2, [], (16, 219, 224), (.299, .114)),
                ("yuv422p", 2, 1, ["-colorspace", "bt709"], (16, 219, 224), (.2126, .0722)),
                ("yuv444p", 1, 1, ["-color_range", "pc"], (0, 255, 255), (.299, .114))]:
            with self.subTest(pixels):
                y = random.integers(0, 256, (N, high, wide), dtype=np.uint8)
                chroma = random.integers(0, 256, (2, N, -(-high // down), -(-wide // across)),
                                         dtype=np.uint8)
                planes = [p.reshape(N, -1) for p in (y, *chroma)]
                self.ffmpeg(np.concatenate(planes, axis=1), "y.mkv", *options, "-c:v", "ffv1",
                            pixels=pixels, size=f"{wide}x{high}")
                luma = (y.astype(float) - dark) * 255 / white
                cb, cr = [np.repeat(np.repeat(c, down, 1), across, 2)[:, :high, :wide]
                          .astype(float) * 255 / most - 128 * 255 / most for c in chroma]
                red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
                green = (luma - kr * red - kb * blue) / (1 - kr - kb)
                truth = np.clip(np.stack([red, green, blue], axis=-1), 0, 255)
                # .5 of rounding, .01 of the tables
                self.assertLess(np.abs(self.read("y.mkv")["frames"] - truth).max(), .51)
                grey = np.clip(luma, 0, 255)
                self.assertLess(np.abs(self.read("y.mkv#grey")["frames"] - grey).max(), .51)

    def test_lossy_video_is_close_and_in_the_order_of_showing(self):
        # 30 dB: what these codecs give on smooth pictures at their default quality, less 5 dB.
        # A frame out of order has under 20 dB, as the disc is elsewhere.
        self.assertLess(psnr(SMOOTH[0], SMOOTH[1]), 25)
        for name, options in [("a.mp4", ["-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"]),
                              ("a.avi", ["-c:v", "mpeg4", "-q:v", "2"]),
                              ("a.wmv", ["-c:v", "wmv2", "-q:v", "2"]),
                              ("j.avi", ["-c:v", "mjpeg", "-q:v", "2"]),
                              ("a.mpg", ["-c:v", "mpeg2video", "-q:v", "2"]),
                              ("a.webm", ["-c:v", "libvpx", "-b:v", "4M"])]:
            with self.subTest(name):
                self.ffmpeg(SMOOTH, name, *options)
                found = self.read(name)["frames"]
                self.assertEqual(found.shape, SMOOTH.shape)
                for i in range(N):
                    self.assertGreater(psnr(found[i], SMOOTH[i]), 30, i)

    def test_times_are_the_files_own(self):
        times = np.array([0, .04, .2, .24, .28, 1, 7])
        places = "+".join(f"eq(N\\,{i})*{t}" for i, t in enumerate(times))
        self.ffmpeg(NOISE, "v.mkv", "-vf", f"setpts=({places})/TB", "-vsync", "vfr", "-c:v", "ffv1",
                    "-enc_time_base", "1/1000")
        found = self.read("v.mkv")
        np.testing.assert_allclose(found["timestamps"], times, atol=1.1e-3)  # Matroska counts ms

    def test_a_rotated_video_comes_upright(self):
        self.ffmpeg(SMOOTH, "t.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
        for degrees in (90, 180, 270):
            subprocess.run(["ffmpeg", "-y", "-v", "error", "-i", str(self.path("t.mp4")), "-c",
                            "copy", "-metadata:s:v", f"rotate={degrees}",
                            str(self.path("r.mp4"))], check=True)
            probe = subprocess.run(["ffmpeg", "-y", "-v", "error", "-i", str(self.path("r.mp4")),
                                    "-f", "rawvideo", "-pix_fmt", "gray", "-"],
                                   capture_output=True, check=True).stdout
            found = self.read("r.mp4")["frames"]
            self.assertIn("clockwise", self.notes)
            truth = np.frombuffer(probe, np.uint8).reshape(found.shape)  # ffmpeg turns by itself
            self.assertGreater(psnr(found, truth), 45)

    def test_a_video_cut_in_the_middle_gives_what_is_there(self):
        many = np.concatenate([NOISE] * 4)
        whole = self.ffmpeg(many, "w.avi", "-c:v", "ffv1").read_bytes()
        for part in (.3, .6, .95):
            self.path("cut.avi").write_bytes(whole[:int(part * len(whole))])
            found = self.read("cut.avi")["frames"]
            self.assertTrue(0 < len(found) < len(many) + 1)
            self.assertGreaterEqual(len(found), int(part * len(many)) - 2)
            np.testing.assert_array_equal(found[:-1], many[:len(found) - 1])
            self.assertIn("cut off", self.notes)
        self.ffmpeg(NOISE, "w.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
        self.path("cut.mp4").write_bytes(self.path("w.mp4").read_bytes()[:400])
        self.refused("cut.mp4", "cut.mp4", "cut off")

    def test_one_damaged_frame_does_not_shift_the_rest(self):
        data = bytearray(self.ffmpeg(NOISE, "d.mov", "-c:v", "png").read_bytes())
        at = -1
        for _ in range(4):
            at = data.index(b"\x89PNG", at + 1)
        data[at:at + 60] = bytes(60)
        self.path("d.mov").write_bytes(data)
        found = self.read("d.mov")
        np.testing.assert_array_equal(found["frames"][[0, 1, 2, 4, 5, 6]], NOISE[[0, 1, 2, 4, 5, 6]])
        self.assertFalse(found["frames"][3].any())
        self.assertIn("frame 3", self.notes)

    def test_an_unreadable_codec_is_named(self):
        data = self.ffmpeg(NOISE, "u.avi", "-c:v", "mjpeg").read_bytes()
        self.path("u.avi").write_bytes(data.replace(b"MJPG", b"ZZZZ"))
        self.refused("u.avi", "codec", "ZZZZ")

    def test_what_is_no_video_is_refused(self):
        self.path("t.mp4").write_text("no video at all\n" * 100)
        self.refused("t.mp4", "t.mp4")
        self.path("e.mkv").write_bytes(b"")
        self.refused("e.mkv", "e.mkv")
        subprocess.run(["ffmpeg", "-y", "-v", "error", "-f", "lavfi", "-i", "sine=duration=1",
                        str(self.path("sound.mkv"))], check=True)
        self.refused("sound.mkv", "no stream of video")

    def test_playlists_cannot_open_other_files(self):
        self.ffmpeg(NOISE, "secret.mkv", "-c:v", "ffv1")
        self.path("list.mp4").write_text(f"ffconcat version 1.0\nfile '{self.path('secret.mkv')}'\n")
        self.refused("list.mp4")
        self.path("list.ts").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
                                        f"{self.path('secret.mkv')}\n#EXT-X-ENDLIST\n")
        self.refused("list.ts")

    def test_without_the_module_the_message_says_what_to_install(self):
        self.ffmpeg(NOISE, "a.mkv", "-c:v", "ffv1")
        shutil.copy(BINARY, self.path("alone"))
        environment = {k: v for k, v in os.environ.items() if k != "ECHOSOLID_MODULES"}
        self.refused("a.mkv", "echosolid_ffmpeg.so", "libavformat-dev", binary=self.path("alone"),
                     env=environment)

    # ---- pictures

    def stills(self, pattern, *options, frames=NOISE):
        (self.path(pattern)).parent.mkdir(exist_ok=True)
        self.ffmpeg(frames, pattern, *options)

    def test_folders_come_in_the_order_of_their_numbers(self):
        for kind, options in [("png", []), ("tif", []), ("bmp", []), ("tiff", ["-pix_fmt", "gray"])]:
            with self.subTest(kind):
                folder = f"my pictures {kind}"
                self.stills(f"{folder}/ü %d.{kind}", "-start_number", "8", *options)
                (self.path(folder) / "readme.txt").write_text("not a picture")
                np.testing.assert_array_equal(self.read(folder)["frames"], NOISE)
                self.convert(folder, "o.mha")
                self.assertIn(f"Seq_Frame0002_FileName = ü 10.{kind}".encode(),
                              self.path("o.mha").read_bytes())

    def test_jpeg_pictures_are_close(self):
        self.stills("j/%d.jpg", "-q:v", "2", frames=SMOOTH)
        self.assertGreater(psnr(self.read("j")["frames"], SMOOTH), 30)

    def test_patterns_and_single_pictures(self):
        self.stills("p/f%03d.png")
        np.testing.assert_array_equal(self.read("p/f%03d.png")["frames"], NOISE)
        np.testing.assert_array_equal(self.read("p/f00[12].png")["frames"], NOISE[:2])
        np.testing.assert_array_equal(self.read("p/f004.png")["frames"], NOISE[3:4])
        self.refused("p/g%03d.png", "no file matches")

    def test_pictures_of_sixteen_bits(self):
        wide = NOISE.astype(np.uint16) * 200
        self.stills("w/%d.png", frames=wide)
        np.testing.assert_array_equal(self.read("w")["frames"], wide)

    def test_mixed_sizes_name_both_files(self):
        self.stills("m/%d.png")
        self.ffmpeg(NOISE[:1, :40], "m/5.png")
        self.refused("m", "m/5.png", "m/1.png", "64 x 40", "64 x 48")

    def test_folders_without_pictures_and_broken_pictures(self):
        self.path("none").mkdir()
        self.refused("none", "without pictures")
        self.stills("b/%d.png")
        whole = self.path("b/3.png").read_bytes()
        self.path("b/3.png").write_bytes(whole[:60])
        self.refused("b", "b/3.png")
        self.path("b/3.png").write_text("text")
        self.refused("b", "b/3.png")

    # ---- NumPy

    def test_numpy_arrays_in_every_order_and_type(self):
        for kind in ("u1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8", "|i1", ">i4"):
            for order in "CF":
                with self.subTest(kind + order):
                    array = np.array(NOISE % 100, kind, order=order)
                    np.save(self.path("a.npy"), array)
                    np.testing.assert_array_equal(self.read("a.npy")["frames"], array)

    def test_numpy_shapes(self):
        colour = np.random.default_rng(3).integers(0, 256, (N, H, W, 3), dtype=np.uint8)
        for order in "CF":
            np.save(self.path("c.npy"), np.array(colour, order=order))
            np.testing.assert_array_equal(self.read("c.npy")["frames"], colour)
            np.save(self.path("o.npy"), np.array(NOISE[0], order=order))
            np.testing.assert_array_equal(self.read("o.npy")["frames"], NOISE[:1])
        np.save(self.path("rgb.npy"), colour[0])
        np.testing.assert_array_equal(self.read("rgb.npy")["frames"], colour[:1])
        np.save(self.path("a#b.npy"), np.moveaxis(NOISE, 0, 2))
        np.testing.assert_array_equal(self.read("a#b.npy#,HWN")["frames"], NOISE)
        np.save(self.path("p.npy"), np.moveaxis(colour, 3, 1))
        np.testing.assert_array_equal(self.read("p.npy")["frames"], colour)
        self.refused("p.npy#,NHW", "axes")
        self.refused("p.npy#,NHHW", "axes")

    def test_npz_with_poses_and_times(self):
        for save in (np.savez, np.savez_compressed):
            for names in (("frames", "tforms"), ("images", "poses"), ("x", "ProbeToReference")):
                lost = POSES.copy()
                lost[3] = np.nan
                save(self.path("a.npz"), **{names[0]: NOISE, names[1]: lost,
                                            "timestamps": np.arange(N) * .1})
                found = self.read("a.npz")
                name = names[1] if "To" in names[1] else "ProbeToTracker"
                np.testing.assert_array_equal(found["frames"], NOISE)
                np.testing.assert_array_equal(found[name], lost)
                np.testing.assert_allclose(found["timestamps"], np.arange(N) * .1)

    def test_poses_stored_by_columns_are_found_by_their_last_row(self):
        np.savez(self.path("a.npz"), frames=NOISE, poses=np.swapaxes(POSES, 1, 2))
        np.testing.assert_array_equal(self.read("a.npz")["ProbeToTracker"], POSES)
        self.assertIn("column", self.notes)

    def test_counts_that_differ_are_refused_with_both(self):
        np.savez(self.path("a.npz"), frames=NOISE, tforms=POSES[:5])
        self.refused("a.npz", "7 frames", "5 poses")
        np.savez(self.path("a.npz"), frames=NOISE, times=np.arange(6.))
        self.refused("a.npz", "7 frames", "6 times")

    def test_several_arrays_are_listed_and_one_can_be_chosen(self):
        np.savez(self.path("a.npz"), left=NOISE, right=NOISE[:, ::-1], note=np.arange(3))
        self.refused("a.npz", "left [7, 48, 64]", "right [7, 48, 64]", "#NAME")
        np.testing.assert_array_equal(self.read("a.npz#right")["frames"], NOISE[:, ::-1])
        self.refused("a.npz#middle", "middle", "left")
        np.savez(self.path("b.npz"), note=np.arange(3))
        self.refused("b.npz", "note [3]")

    def npy(self, header, data=b"", version=1):
        text = header.encode()
        length = struct.pack("<H" if version == 1 else "<I", len(text))
        self.path("h.npy").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + text + data)

    def test_pickles_are_never_loaded(self):
        np.save(self.path("o.npy"), np.array([[{}, {}]] * 20, object), allow_pickle=True)
        self.refused("o.npy", "pickle")
        np.savez(self.path("o.npz"), frames=np.array([[[{}] * 20] * 20] * 3, object))
        self.refused("o.npz", "pickle")

    def test_hostile_npy_headers(self):
        good = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 20, 20), }\n"
        self.npy(good, bytes(800))
        self.assertEqual(self.read("h.npy")["frames"].shape, (2, 20, 20))
        self.npy(good, bytes(800), version=2)
        self.assertEqual(self.read("h.npy")["frames"].shape, (2, 20, 20))
        for header, words in [
                (good.replace("2, 20, 20", "2, 4294967296, 4294967296"), "h.npy"),
                (good.replace("2, 20, 20", "99999999999999999999, 20, 20"), "header"),
                (good.replace("2, 20, 20", "4611686018427387904, 2, 2"), "h.npy"),
                (good.replace("2, 20, 20", "-2, 20, 20"), "header"),
                (good.replace("2, 20, 20", "0, 20, 20"), "nothing is there"),
                (good.replace("2, 20, 20", "1, 1, 1, 2, 20, 20"), "6 axes"),
                (good.replace("2, 20, 20", ""), "0 axes"),
                (good.replace("|u1", "<c8"), "type"), (good.replace("|u1", "<i8"), "type"),
                (good.replace("'|u1'", "[('a', '<u1')]"), "records"),
                (good.replace("'|u1'", "__import__('os')"), "header"),
                (good.replace("False", "Maybe"), "header"), (good.replace("'shape'", "'form'"), "header"),
                (good.replace("}", ""), "header"), (good + "x", "header"), ("", "header"),
                (good.replace("}", "'descr': '|u1'}"), "header"), ("{" * 60000, "header")]:
            with self.subTest(header[:90]):
                self.npy(header, bytes(800))
                self.refused("h.npy", words)
        self.npy(good, bytes(799))
        self.refused("h.npy", "frame 0", "expected 800 bytes", "found 799")
        self.path("h.npy").write_bytes(b"\x93NUMPY\1\0\xff\xff{")
        self.refused("h.npy", "header")
        self.path("h.npy").write_bytes(b"\x93NUMPY\2\0\xff\xff\xff\xff{")
        self.refused("h.npy", "header")

    # ---- archives

    def test_broken_archives_are_refused(self):
        np.savez_compressed(self.path("a.npz"), frames=NOISE)
        whole = self.path("a.npz").read_bytes()
        self.path("b.npz").write_bytes(whole[:len(whole) // 2])
        self.refused("b.npz", "archive")
        self.path("b.npz").write_bytes(whole.replace(whole[200:240], bytes(40)))
        self.refused("b.npz", "b.npz")
        with zipfile.ZipFile(self.path("e.npz"), "w"):
            pass
        self.refused("e.npz", "no arrays")

    def test_a_zip_bomb_is_stopped(self):
        header = io.BytesIO()
        np.save(header, np.zeros((1, 20, 20), np.uint8))
        with zipfile.ZipFile(self.path("z.npz"), "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("frames.npy", header.getvalue() + bytes(1 << 20))
        data = bytearray(self.path("z.npz").read_bytes())
        at = data.rindex(b"PK\1\2")
        data[at + 24:at + 28] = struct.pack("<I", 0xf0000000)
        self.path("z.npz").write_bytes(data)
        self.refused("z.npz", "not possible")

    # ---- MATLAB and HDF5

    def test_matlab_five_in_matlabs_order(self):
        for compress in (False, True):
            scipy.io.savemat(self.path("a.mat"), {"images": np.moveaxis(NOISE, 0, 2),
                                                  "ProbeToTracker": np.moveaxis(POSES, 0, 2),
                                                  "t": np.arange(N) * .5, "title": "text"},
                             do_compression=compress)
            found = self.read("a.mat")
            np.testing.assert_array_equal(found["frames"], NOISE)
            np.testing.assert_array_equal(found["ProbeToTracker"], POSES)
            np.testing.assert_allclose(found["timestamps"], np.arange(N) * .5)

    def test_matlab_arrays_with_frames_first_by_their_poses_or_by_request(self):
        scipy.io.savemat(self.path("a.mat"), {"frames": NOISE, "poses": POSES})
        found = self.read("a.mat")
        np.testing.assert_array_equal(found["frames"], NOISE)
        np.testing.assert_array_equal(found["ProbeToTracker"], POSES)
        scipy.io.savemat(self.path("b.mat"), {"frames": NOISE})
        np.testing.assert_array_equal(self.read("b.mat#frames,NHW")["frames"], NOISE)
        self.read("b.mat")
        self.assertIn("taken as HWN", self.notes)

    def hdf5(self, name, **arrays):
        with h5py.File(self.path(name), "w") as h:
            for key, value in arrays.items():
                h[key] = value

    def test_tus_rec_hdf5(self):
        with h5py.File(self.path("a.h5"), "w") as h:
            h.create_dataset("frames", data=NOISE, chunks=(2, H, W), compression="gzip", shuffle=True)
            h["tforms"] = POSES.astype(np.float32)
        found = self.read("a.h5")
        np.testing.assert_array_equal(found["frames"], NOISE)
        np.testing.assert_array_equal(found["ProbeToTracker"], POSES.astype(np.float32))
        self.hdf5("b.h5", frames=NOISE)
        np.testing.assert_array_equal(self.read("b.h5")["frames"], NOISE)

    def test_numbered_scans_go_with_their_own_poses(self):
        self.hdf5("a.h5", **{"sub0_frames00": NOISE, "sub0_tforms00": POSES,
                             "sub0_frames01": NOISE[::-1], "sub0_tforms01": POSES[::-1]})
        self.refused("a.h5", "sub0_frames00", "sub0_frames01")
        found = self.read("a.h5#sub0_frames01")
        np.testing.assert_array_equal(found["frames"], NOISE[::-1])
        np.testing.assert_array_equal(found["ProbeToTracker"], POSES[::-1])

    def test_matlab_seven_three_is_reversed(self):
        with h5py.File(self.path("a.mat"), "w", userblock_size=512) as h:
            h["frames"] = np.ascontiguousarray(np.moveaxis(NOISE, 0, 2).T)
            h["poses"] = np.ascontiguousarray(np.moveaxis(POSES, 0, 2).T)
        with open(self.path("a.mat"), "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
        found = self.read("a.mat")
        np.testing.assert_array_equal(found["frames"], NOISE)
        np.testing.assert_array_equal(found["ProbeToTracker"], POSES)
        with h5py.File(self.path("b.mat"), "w", userblock_size=512) as h:
            h["frames"] = np.ascontiguousarray(NOISE.T)  # [N, H, W] in MATLAB
            h["poses"] = np.ascontiguousarray(POSES.T)
        with open(self.path("b.mat"), "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
        found = self.read("b.mat")
        np.testing.assert_array_equal(found["frames"], NOISE)
        np.testing.assert_array_equal(found["ProbeToTracker"], POSES)

    def test_hdf5_does_not_reach_into_other_files(self):
        self.hdf5("secret.h5", frames=NOISE)
        with h5py.File(self.path("l.h5"), "w") as h:
            h["frames"] = h5py.ExternalLink(str(self.path("secret.h5")), "/frames")
        self.refused("l.h5", "no arrays")
        self.path("raw.bin").write_bytes(NOISE.tobytes())
        with h5py.File(self.path("x.h5"), "w") as h:
            h.create_dataset("frames", NOISE.shape, np.uint8,
                             external=[(str(self.path("raw.bin")), 0, NOISE.size)])
        self.refused("x.h5", "another file")
        layout = h5py.VirtualLayout(NOISE.shape, np.uint8)
        layout[:] = h5py.VirtualSource(str(self.path("secret.h5")), "frames", NOISE.shape)
        with h5py.File(self.path("v.h5"), "w") as h:
            h.create_virtual_dataset("frames", layout)
        self.refused("v.h5", "another file")

    def test_broken_hdf5_and_matlab_files(self):
        self.hdf5("a.h5", frames=NOISE)
        whole = self.path("a.h5").read_bytes()
        self.path("b.h5").write_bytes(whole[:len(whole) // 2])
        self.refused("b.h5", "b.h5")
        self.hdf5("c.h5", frames=NOISE.astype(np.int64))
        self.refused("c.h5", "type")
        scipy.io.savemat(self.path("a.mat"), {"frames": np.moveaxis(NOISE, 0, 2)})
        whole = self.path("a.mat").read_bytes()
        self.path("b.mat").write_bytes(whole[:len(whole) // 2])
        self.refused("b.mat", "b.mat")
        scipy.io.savemat(self.path("z.mat"), {"frames": np.moveaxis(NOISE, 0, 2)}, do_compression=True)
        self.path("b.mat").write_bytes(self.path("z.mat").read_bytes()[:-100])
        self.refused("b.mat", "cut off")
        self.path("c.mat").write_bytes(b"nonsense" * 100)
        self.refused("c.mat", "c.mat")

    # ---- Slicer

    def nrrd(self, frames, gzip=False, last=False, keys="", unit='"s"'):
        n, h, w = frames.shape
        values = " ".join(str(.1 * i) for i in range(n))
        data = frames.tobytes() if last else np.moveaxis(frames, 0, 2).tobytes()
        if gzip:
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            data = packer.compress(data) + packer.flush()
        axes = ("{} {} 1 {}", "domain domain domain list", "(-.5,0,0) (0,-.25,0) (0,0,1) none",
                f'"" "" "" {unit}', 3)
        if not last:
            axes = ("{2} {0} {1} 1", "list domain domain domain",
                    "none (-.5,0,0) (0,-.25,0) (0,0,1)", f'{unit} "" "" ""', 0)
        return (f"NRRD0005\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\n"
                f"sizes: {axes[0].format(w, h, n)}\nspace directions: {axes[2]}\nkinds: {axes[1]}\n"
                f"encoding: {'gzip' if gzip else 'raw'}\nunits: {axes[3]}\n"
                f"space origin: (1,2,3)\naxis {axes[4]} index type:=numeric\n"
                f"axis {axes[4]} index values:={values}\n{keys}\n").encode() + data

    def test_slicers_sequences_with_the_list_first_or_last(self):
        for gzip in (False, True):
            for last in (False, True):
                self.path("a.seq.nrrd").write_bytes(self.nrrd(NOISE, gzip, last))
                found = self.read("a.seq.nrrd")
                np.testing.assert_array_equal(found["frames"], NOISE)
                np.testing.assert_allclose(found["timestamps"], .1 * np.arange(N))
        self.assertIn("0.5 x 0.25", self.notes)  # the spacing, which .npz cannot hold
        self.path("a.seq.nrrd").write_bytes(self.nrrd(NOISE, unit='"ms"'))
        np.testing.assert_allclose(self.read("a.seq.nrrd")["timestamps"], 1e-4 * np.arange(N))
        self.path("a.seq.nrrd").write_bytes(self.nrrd(NOISE)[:-100])
        self.refused("a.seq.nrrd", "a.seq.nrrd")

    def transform_scene(self, matrices, times):
        ids = ";".join(f"vtkMRMLLinearTransformNode{i}:{t}" for i, t in enumerate(times))
        nodes = "".join(f'<LinearTransform id="vtkMRMLLinearTransformNode{i}" '
                        f'matrixTransformToParent="{" ".join(map(repr, m.ravel().tolist()))}"/>'
                        for i, m in enumerate(matrices))
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as z:
            z.writestr("s/s.mrml", f'<MRML version="Slicer5"><Sequence id="vtkMRMLSequenceNode1" '
                       f'singletonTag="SequenceIndex" indexValues="{ids}"/>{nodes}</MRML>')
        return data.getvalue()

    def scene(self, entries, nodes, name="a.mrb"):
        with zipfile.ZipFile(self.path(name), "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("Scene/Scene.mrml", f'<?xml version="1.0"?><MRML version="Slicer5">{nodes}</MRML>')
            for key, value in entries.items():
                z.writestr(f"Scene/Data/{key}", value)

    IMAGES = ('<VolumeSequenceStorage id="st1" fileName="Data/Image%20Seq.seq.nrrd"/>'
              '<Sequence id="s1" name="Image-Seq" storageNodeRef="st1" attributes='
              '"DataNodeClassName:vtkMRMLScalarVolumeNode;Sequences.Source:Image" indexValues=""/>')

    @staticmethod
    def poses_node(number, source, file):
        return (f'<SequenceStorage id="st{number}" fileName="Data/{file}"/>'
                f'<Sequence id="s{number}" name="{source}-Seq" references="storage:st{number};" '
                f'attributes="DataNodeClassName:vtkMRMLLinearTransformNode;Sequences.Source:{source}"/>')

    def test_a_scene_gives_frames_and_poses_matched_by_time(self):
        times = .1 * np.arange(N)
        keep = [0, 1, 2, 4, 5, 6]  # one pose was never recorded
        fields = "".join(f"Seq_Frame{i:04}_StylusToTrackerTransform = "
                         f"{' '.join(map(repr, POSES[i].ravel().tolist()))}\n"
                         f"Seq_Frame{i:04}_StylusToTrackerTransformStatus = OK\n"
                         f"Seq_Frame{i:04}_Timestamp = {times[i]}\n" for i in range(N))
        mha = ("ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = False\n"
               f"DimSize = 0 0 {N}\nElementType = MET_UCHAR\n{fields}ElementDataFile = LOCAL\n")
        self.scene({"Image Seq.seq.nrrd": self.nrrd(NOISE, True),
                    "P.seq.mrb": self.transform_scene(POSES[keep], times[keep]), "S.seq.mha": mha},
                   self.IMAGES + self.poses_node(2, "ProbeToTracker", "P.seq.mrb") +
                   self.poses_node(3, "StylusToTracker", "S.seq.mha") +
                   '<LinearTransform id="t9" name="ImageToProbe" matrixTransformToParent='
                   '"2 0 0 5 0 2 0 6 0 0 2 7 0 0 0 1"/>')
        found = self.read("a.mrb")
        np.testing.assert_array_equal(found["frames"], NOISE)
        truth = F @ POSES  # the world turns from RAS to LPS, the tool's axes stay
        np.testing.assert_allclose(found["ProbeToTracker"][keep], truth[keep], atol=1e-12)
        self.assertTrue(np.isnan(found["ProbeToTracker"][3]).all())
        np.testing.assert_allclose(found["StylusToTracker"], truth, atol=1e-12)
        # From pixels: where Slicer places the picture (RAS), then the calibration.
        pixel_to_ras = F @ np.array([[-.5, 0, 0, 1], [0, -.25, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
        image_to_probe = np.diag([2., 2, 2, 1])
        image_to_probe[:3, 3] = [5, 6, 7]
        np.testing.assert_allclose(found["ImageToProbe"][0], image_to_probe @ pixel_to_ras,
                                   atol=1e-12)
        self.assertIn("LPS", self.notes)

    @staticmethod
    def picture_file(frame, origin="(1,2,3)"):
        """One picture as Slicer writes it: a volume of one slice."""
        h, w = frame.shape
        return (f"NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\n"
                f"sizes: {w} {h} 1\nspace directions: (-.5,0,0) (0,-.25,0) (0,0,1)\n"
                f"kinds: domain domain domain\nencoding: raw\nspace origin: {origin}\n\n"
                ).encode() + frame.tobytes()

    def picture_scene(self, files, times, id="s1", extra=""):
        """The nodes of a sequence with one file a picture, and its entries."""
        values = ";".join(f"vtkMRMLScalarVolumeNode{i}:{t}" for i, t in enumerate(times))
        nodes = "".join(f'<VolumeArchetypeStorage id="as{i}" fileName="Data/image%20{i}.nrrd"/>'
                        f'<Volume id="vtkMRMLScalarVolumeNode{i}" storageNodeRef="as{i}"/>'
                        for i in range(len(times)))
        return (f'<Sequence id="{id}" name="Image" indexValues="{values}"{extra}/>{nodes}',
                {f"image {i}.nrrd": file for i, file in enumerate(files)})

    def test_a_scene_with_one_file_a_picture(self):
        times = .1 * np.arange(N)
        nodes, entries = self.picture_scene([self.picture_file(f) for f in NOISE], times)
        self.scene(entries, nodes, "alone.seq.mrb")
        inner = self.path("alone.seq.mrb").read_bytes()
        told = ('<SequenceStorage id="st1" fileName="Data/I.seq.mrb"/><Sequence id="s1" name="Image-Seq"'
                ' storageNodeRef="st1" attributes="DataNodeClassName:vtkMRMLScalarVolumeNode"/>')
        self.scene({"I.seq.mrb": inner, "P.seq.mrb": self.transform_scene(POSES, times)},
                   told + self.poses_node(2, "ProbeToTracker", "P.seq.mrb"), "nested.mrb")
        self.scene({"I.seq.mrb": inner}, told.replace("DataNodeClassName:vtkMRMLScalarVolumeNode", ""),
                   "untold.mrb")
        for name in ("alone.seq.mrb", "nested.mrb", "untold.mrb"):
            with self.subTest(name):
                found = self.read(name)
                np.testing.assert_array_equal(found["frames"], NOISE)
                np.testing.assert_allclose(found["timestamps"], times)
                self.assertNotIn("ImageToWorld", found)  # all lie at one place
        np.testing.assert_allclose(self.read("nested.mrb")["ProbeToTracker"], F @ POSES, atol=1e-12)

    def test_pictures_with_places_of_their_own_are_tracked_by_them(self):
        places = [(i, 2 * i, 7.5) for i in range(N)]
        nodes, entries = self.picture_scene(
            [self.picture_file(f, str(p).replace(" ", "")) for f, p in zip(NOISE, places)], range(N))
        self.scene(entries, nodes)
        found = self.read("a.mrb")
        truth = np.tile(np.diag([-.5, -.25, 1, 1]), (N, 1, 1))  # LPS, as the files say
        truth[:, :3, 3] = places
        np.testing.assert_allclose(found["ImageToWorld"], truth, atol=1e-12)
        self.assertIn("ImageToWorld", self.notes)

    def test_broken_scenes_of_single_pictures_are_refused(self):
        files = [self.picture_file(f) for f in NOISE]
        nodes, entries = self.picture_scene(files, range(N))
        for change, words in [
                ({"image 3.nrrd": None}, ("picture 3", "image 3.nrrd", "not there")),
                ({"image 3.nrrd": files[3][:-1]}, ("image 3.nrrd",)),
                ({"image 3.nrrd": b"nonsense"}, ("image 3.nrrd",)),
                ({"image 3.nrrd": self.picture_file(NOISE[3, :, :32])}, ("image 3.nrrd", "32 x 48", "64 x 48")),
                ({"image 0.nrrd": files[0].replace(b"64 48 1", b"64 24 2")}, ("image 0.nrrd", "2 slices"))]:
            with self.subTest(words):
                kept = {k: v for k, v in (entries | change).items() if v is not None}
                self.scene(kept, nodes)
                self.refused("a.mrb", "a.mrb", *words)
        self.scene({}, '<Sequence id="s1" name="Image" indexValues=""/>')
        self.refused("a.mrb", "no sequence of pictures")

    def test_several_sequences_of_pictures_are_chosen_by_name(self):
        nodes, entries = self.picture_scene([self.picture_file(f) for f in NOISE], range(N))
        self.scene(entries | {"Image Seq.seq.nrrd": self.nrrd(255 - NOISE)},
                   nodes.replace('name="Image"', 'name="Second"').replace('id="s1"', 'id="s9"') + self.IMAGES)
        self.refused("a.mrb", "more than one", "Image", "Second", "#NAME")
        np.testing.assert_array_equal(self.read("a.mrb#Second")["frames"], NOISE)
        np.testing.assert_array_equal(self.read("a.mrb#Image")["frames"], 255 - NOISE)

    def test_broken_scenes_are_refused(self):
        sequence = self.nrrd(NOISE)
        self.scene({}, self.IMAGES)
        self.refused("a.mrb", "Data/Image Seq.seq.nrrd")
        self.scene({"Image Seq.seq.nrrd": sequence[:300]}, self.IMAGES)
        self.refused("a.mrb", "Image Seq.seq.nrrd")
        self.scene({}, "")
        self.refused("a.mrb", "no sequence of pictures")
        self.scene({}, "<a>")
        self.refused("a.mrb", "XML")
        with zipfile.ZipFile(self.path("d.mrb"), "w") as z:
            z.writestr("a.mrml", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><MRML>&a;</MRML>')
        self.refused("d.mrb", "document types")
        self.scene({"Image Seq.seq.nrrd": sequence, "P.seq.mrb": b"PK nonsense"},
                   self.IMAGES + self.poses_node(2, "ProbeToTracker", "P.seq.mrb"))
        self.refused("a.mrb", "P.seq.mrb")
        self.scene({"Image Seq.seq.nrrd": sequence}, self.IMAGES + self.IMAGES.replace("st1", "st2")
                   .replace("Source:Image", "Source:Other"))
        self.refused("a.mrb", "more than one", "Image", "Other")
        np.testing.assert_array_equal(self.read("a.mrb#Other")["frames"], NOISE)

    # ---- NIfTI

    def nifti(self, dims, data, units=2 + 8, step=.5):
        head = bytearray(352)
        struct.pack_into("<i", head, 0, 348)
        struct.pack_into("<8h", head, 40, len(dims), *dims, *([1] * (7 - len(dims))))
        struct.pack_into("<2h", head, 70, 2, 8)
        struct.pack_into("<8f", head, 76, 1, .5, .25, 1, step, 1, 1, 1)
        struct.pack_into("<f", head, 108, 352)
        head[123] = units
        head[344:348] = b"n+1\0"
        return bytes(head) + data

    def test_nifti_in_time_is_a_recording(self):
        self.path("a.nii").write_bytes(self.nifti([W, H, 1, N], NOISE.tobytes()))
        found = self.read("a.nii")
        np.testing.assert_array_equal(found["frames"], NOISE)
        np.testing.assert_allclose(found["timestamps"], .5 * np.arange(N))
        self.path("v.nii").write_bytes(self.nifti([W, H, 2, 3], NOISE[:6].tobytes()))
        self.refused("v.nii", "single pictures")

    # ---- writing

    def test_everything_goes_round_through_every_output(self):
        np.savez(self.path("a.npz"), frames=NOISE, ProbeToTracker=POSES, timestamps=np.arange(N) * .1)
        for to in ("b.npz", "b.h5", "b.mha", "b.nrrd"):
            self.convert("a.npz", to)
            found = self.read(to)
            np.testing.assert_array_equal(found["frames"], NOISE)
            np.testing.assert_array_equal(found["ProbeToTracker"], POSES)
            np.testing.assert_allclose(found["timestamps"], np.arange(N) * .1, atol=1e-12)
        for to in ("b.npy", "b folder/"):
            said = self.convert("a.npz", to)
            self.assertIn("cannot hold the transforms: ProbeToTracker", said)
            self.assertIn("cannot hold the times", said)
            np.testing.assert_array_equal(self.read(to)["frames"], NOISE)
        with zipfile.ZipFile(self.path("b.npz")) as z:
            self.assertIsNone(z.testzip())
        with h5py.File(self.path("b.h5")) as h:
            self.assertEqual(h["tforms"].shape, (N, 4, 4))

    def test_output_that_is_there_stays_when_the_input_is_broken(self):
        np.save(self.path("a.npy"), NOISE)
        whole = self.path("a.npy").read_bytes()
        self.path("a.npy").write_bytes(whole[:-10])
        for to in ("o.npz", "o.npy", "o.h5"):
            self.path(to).write_text("old")
            self.convert("a.npy", to, status=1)
            self.assertEqual(self.path(to).read_text(), "old")
        self.path("d").mkdir()
        (self.path("d") / "mine.txt").write_text("old")
        self.convert("a.npy", "d/", status=1)
        self.assertEqual((self.path("d") / "mine.txt").read_text(), "old")
        self.assertEqual(list(self.folder.glob("*.part")), [])
        np.save(self.path("w.npy"), NOISE.astype(np.uint16))
        self.refused("w.npy", "u8", to="w/")


if __name__ == "__main__":
    unittest.main(verbosity=1)
