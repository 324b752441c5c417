#!/usr/bin/python3
"""Every kind of input through every kind of output of `echosolid convert`: the
pixels come through, and what an output cannot hold is named before it is written.
Stacks of slices that may be frames, and what people name their files."""
import io
import itertools
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

try:
    import h5py
    import numpy as np
    import scipy.io
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

BINARY = os.environ.get("ES_TEST_BINARY", "build/echosolid")
N, H, W = 5, 20, 24
FRAMES = np.random.default_rng(3).integers(0, 256, (N, H, W), dtype=np.uint8)
TIMES = .1 * np.arange(N)
POSES = np.tile(np.eye(4), (N, 1, 1))
POSES[:, :3, 3] = np.arange(3 * N).reshape(N, 3)


def run(*arguments, status=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def metaimage(frames=FRAMES, lines=("UltrasoundImageOrientation = MFA",), spacing="0.2 0.3 1",
              fields=True, data="LOCAL"):
    n, h, w = frames.shape
    head = ["ObjectType = Image", "NDims = 3", f"DimSize = {w} {h} {n}", f"ElementSpacing = {spacing}",
            *lines, "ElementType = MET_UCHAR"]
    for i in range(n if fields else 0):
        numbers = " ".join(map(repr, POSES[i].ravel().tolist()))
        head += [f"Seq_Frame{i:04}_ProbeToTrackerTransform = {numbers}",
                 f"Seq_Frame{i:04}_ProbeToTrackerTransformStatus = OK",
                 f"Seq_Frame{i:04}_Timestamp = {TIMES[i]}", f"Seq_Frame{i:04}_Gain = {40 + i}"]
    return "\n".join([*head, f"ElementDataFile = {data}", ""]).encode()


def nifti(dims, data, step=.1, code=0):
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(dims), *dims, *([1] * (7 - len(dims))))
    struct.pack_into("<2h", head, 70, 2, 8)
    struct.pack_into("<8f", head, 76, 1, .2, .3, 1, step, 1, 1, 1)
    struct.pack_into("<f", head, 108, 352)
    head[123] = 2 + 8
    struct.pack_into("<h", head, 252, code)
    head[344:348] = b"n+1\0"
    return bytes(head) + data


def scene(folder):
    """A Slicer scene with one sequence of pictures and one of poses."""
    nrrd = (f"NRRD0004\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\nsizes: {W} {H} 1 {N}\n"
            "space directions: (.2,0,0) (0,.3,0) (0,0,1) none\nkinds: domain domain domain list\n"
            "encoding: raw\nspace origin: (0,0,0)\naxis 3 index values:="
            + " ".join(map(str, TIMES)) + "\n\n").encode() + FRAMES.tobytes()
    ids = ";".join(f"t{i}:{t}" for i, t in enumerate(TIMES))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as z:
        z.writestr("s.mrml", f'<MRML><Sequence id="s" indexValues="{ids}"/>' + "".join(
            f'<LinearTransform id="t{i}" matrixTransformToParent="{" ".join(map(repr, m.ravel().tolist()))}"/>'
            for i, m in enumerate(POSES)) + "</MRML>")
    with zipfile.ZipFile(folder / "scene.mrb", "w") as z:
        z.writestr("S/S.mrml", '<MRML><VolumeSequenceStorage id="a" fileName="Data/i.seq.nrrd"/>'
                   '<Sequence id="b" name="Image" storageNodeRef="a"/><SequenceStorage id="c" '
                   'fileName="Data/p.seq.mrb"/><Sequence id="d" name="ProbeToTracker" storageNodeRef="c" '
                   'attributes="DataNodeClassName:vtkMRMLLinearTransformNode"/></MRML>')
        z.writestr("S/Data/i.seq.nrrd", nrrd)
        z.writestr("S/Data/p.seq.mrb", inner.getvalue())


def write_inputs(folder):
    """One recording of each kind, by its name."""
    (folder / "scan.igs.mha").write_bytes(metaimage() + FRAMES.tobytes())
    (folder / "split.mhd").write_bytes(metaimage(data="split.raw"))
    (folder / "split.raw").write_bytes(FRAMES.tobytes())
    run("convert", folder / "scan.igs.mha", folder / "scan.igs.nrrd")
    run("convert", folder / "scan.igs.mha", folder / "apart.nhdr", "--raw")
    run("convert", folder / "scan.igs.mha", folder / "cine.dcm")
    (folder / "time.nii").write_bytes(nifti([W, H, 1, N], FRAMES.tobytes()))
    (folder / "stack.nii").write_bytes(nifti([W, H, N], FRAMES.tobytes()))
    np.save(folder / "frames.npy", FRAMES)
    np.savez(folder / "all.npz", frames=FRAMES, ProbeToTracker=POSES, timestamps=TIMES)
    with h5py.File(folder / "scan.h5", "w") as h:
        h["frames"], h["tforms"] = FRAMES, POSES
    scipy.io.savemat(folder / "five.mat", {"frames": np.moveaxis(FRAMES, 0, 2),
                                           "tforms": np.moveaxis(POSES, 0, 2)})
    with h5py.File(folder / "seven.mat", "w", userblock_size=512) as h:
        h["frames"] = np.swapaxes(FRAMES, 1, 2)  # MATLAB's order of axes, reversed
        h["tforms"] = np.swapaxes(POSES, 1, 2)
    with open(folder / "seven.mat", "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    scene(folder)
    recordings = ["scan.igs.mha", "split.mhd", "scan.igs.nrrd", "apart.nhdr", "cine.dcm", "time.nii",
                  "stack.nii#frames", "frames.npy", "all.npz", "scan.h5", "five.mat", "seven.mat",
                  "scene.mrb"]
    if any(p.name.startswith("echosolid_ffmpeg")
           for p in pathlib.Path(os.environ.get("ECHOSOLID_MODULES", "build")).glob("*.so")):
        run("convert", folder / "scan.igs.mha", f"{folder}/pictures/")
        with open(folder / "plain.y4m", "wb") as f:
            f.write(f"YUV4MPEG2 W{W} H{H} F10:1 Ip A1:1 Cmono XCOLORRANGE=FULL\n".encode())
            for frame in FRAMES:
                f.write(b"FRAME\n" + frame.tobytes())
        recordings += ["pictures", "pictures/*.png", "plain.y4m"]
    return recordings


OUTPUTS = ["o.mha", "o.mhd", "o.nrrd", "o.nhdr", "o.npy", "o.npz", "o.h5", "o.dcm", "o folder/"]
if "ES_TEST_QUICK" in os.environ:
    OUTPUTS = OUTPUTS[::3]


def about(name):
    """What a recording holds, as the words that a loss of it is told by."""
    j = json.loads(run("info", name, "--json").stdout)
    return {"the transforms": bool(j["transforms"]), "the times": "duration_s" in j,
            "the pixel spacing": j["spacing"] != [1, 1], "orientation mark": bool(j["orientation"])}


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="echosolid inputs é "))
        cls.recordings = write_inputs(cls.folder)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def pixels(self, name):
        run("convert", name, self.folder / "pixels.npy", "-q")
        return np.load(self.folder / "pixels.npy")

    def refused(self, *arguments, says, status=(1, 2)):
        done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        self.assertIn(done.returncode, status, done.stdout + done.stderr)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr)
        return done.stderr


class EveryRecording(Folder):
    def test_every_input_goes_through_every_output(self):
        held = {name: about(self.folder / name) for name in self.recordings}
        for name, out in itertools.product(self.recordings, OUTPUTS):
            with self.subTest(f"{name} -> {out}"):
                to = f"{self.folder}/{out}"
                if out.endswith("/"):
                    shutil.rmtree(to, ignore_errors=True)
                said = run("convert", self.folder / name, to).stderr
                np.testing.assert_array_equal(self.pixels(to), FRAMES)
                for what, there in about(to).items():
                    if held[name][what] and not there:
                        self.assertIn(what, said)

    def test_poses_and_times_come_through_where_they_can(self):
        for name in ("scan.igs.mha", "split.mhd", "scan.igs.nrrd", "apart.nhdr", "all.npz", "scene.mrb"):
            with self.subTest(name):
                run("convert", self.folder / name, self.folder / "back.npz")
                with np.load(self.folder / "back.npz") as z:
                    truth = POSES if name != "scene.mrb" else np.diag([-1, -1, 1, 1]) @ POSES
                    np.testing.assert_allclose(z["ProbeToTracker"], truth, atol=1e-12)
                    np.testing.assert_allclose(z["timestamps"], TIMES, atol=1e-9)

    def test_a_recording_is_no_volume_and_says_so(self):
        for name in self.recordings:
            if name != "stack.nii#frames":
                with self.subTest(name):
                    self.refused("surface", self.folder / name, "-o", self.folder / "x.stl",
                                 says=("recording", "reconstruct"))
                    self.refused("convert", self.folder / name, self.folder / "x.nii", says="recording")


class PosesBeside(Folder):
    """Poses in arrays and in recordings, beside frames that have none."""
    LAYOUT = ("--pose-layout", "direction=tool-to-tracker,sense=same,handedness=right,unit=mm")
    TURNED = POSES.copy()  # what would be mistaken shows: no two axes alike
    TURNED[:, :3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    QUATERNIONS = np.c_[TURNED[:, :3, 3], np.tile([.5, .5, -.5, .5], (N, 1))]  # w x y z

    def joined(self, name, *options, frames="frames.npy"):
        out = self.folder / "joined.npz"
        run("convert", self.folder / frames, out, "--poses", f"{self.folder}/{name}", *options)
        with np.load(out) as z:
            return {key: z[key] for key in z}

    def test_arrays_of_matrices_by_rows_by_columns_and_of_matlab(self):
        turned = self.TURNED
        np.save(self.folder / "rows.npy", turned)
        np.save(self.folder / "columns.npy", np.swapaxes(turned, 1, 2))
        np.save(self.folder / "short.npy", turned[:, :3])
        np.save(self.folder / "flat.npy", turned.reshape(N, 16))
        np.savez(self.folder / "timed.npz", tforms=turned, times=TIMES, mask=np.zeros((3, 3)))
        scipy.io.savemat(self.folder / "p5.mat", {"ProbeToTracker": np.moveaxis(turned, 0, 2)})
        with h5py.File(self.folder / "p.h5", "w") as h:
            h["a/ProbeToTracker"] = turned
        with h5py.File(self.folder / "p7.mat", "w", userblock_size=512) as h:
            h["poses"] = np.swapaxes(turned, 1, 2)
        with open(self.folder / "p7.mat", "r+b") as f:
            f.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
        for name in ("rows.npy", "columns.npy", "short.npy", "flat.npy", "timed.npz", "p5.mat", "p.h5",
                     "p7.mat"):
            with self.subTest(name):
                np.testing.assert_allclose(self.joined(name, *self.LAYOUT)["ProbeToTracker"], turned,
                                           atol=1e-12)

    def test_arrays_of_numbers_are_no_clearer_than_a_table_without_names(self):
        scipy.io.savemat(self.folder / "q.mat", {"poses": self.QUATERNIONS, "other": np.zeros((N, 9))})
        np.savez(self.folder / "q.npz", a=self.QUATERNIONS, b=self.QUATERNIONS)
        with self.assertRaisesRegex(AssertionError, "quaternion=wxyz or xyzw"):
            self.joined("q.mat")
        layout = (*self.LAYOUT[:1], self.LAYOUT[1] + ",quaternion=wxyz")
        for name in ("q.mat", "q.npz#b"):
            with self.subTest(name):
                np.testing.assert_allclose(self.joined(name, *layout)["ProbeToTracker"], self.TURNED,
                                           atol=1e-12)
        for name, says in (("q.npz", ("several arrays", "a [5, 7]", "FILE#NAME")),
                           ("q.npz#c", ('"c"', "a [5, 7]")), ("frames.npy", "no array that could be poses")):
            self.refused("info", self.folder / "frames.npy", "--poses", f"{self.folder}/{name}", says=says)

    def test_several_arrays_with_names_of_transforms_are_several_tools(self):
        np.savez(self.folder / "two.npz", ProbeToTracker=self.TURNED, ReferenceToTracker=POSES, t=TIMES)
        found = self.joined("two.npz", *self.LAYOUT)
        np.testing.assert_allclose(found["ProbeToTracker"], self.TURNED, atol=1e-12)
        np.testing.assert_allclose(found["ReferenceToTracker"], POSES, atol=1e-12)
        np.savez(self.folder / "uneven.npz", ProbeToTracker=self.TURNED, ReferenceToTracker=POSES[1:])
        self.refused("info", self.folder / "frames.npy", "--poses", self.folder / "uneven.npz",
                     says="expected as many")

    def test_a_recording_brings_its_poses_without_a_question(self):
        """The scene's world is turned from RAS to LPS, as where its pictures are read."""
        scene = np.diag([-1, -1, 1, 1]) @ POSES
        for name, truth in (("scan.igs.mha", POSES), ("scene.mrb", scene), ("alone.mrb", scene)):
            if name == "alone.mrb":  # poses without pictures
                with zipfile.ZipFile(self.folder / "scene.mrb") as z:
                    inner = z.read("S/Data/p.seq.mrb")
                with zipfile.ZipFile(self.folder / name, "w") as z:
                    z.writestr("S/S.mrml", '<MRML><SequenceStorage id="c" fileName="Data/p.seq.mrb"/>'
                               '<Sequence id="d" name="ProbeToTracker" storageNodeRef="c" '
                               'attributes="DataNodeClassName:vtkMRMLLinearTransformNode"/></MRML>')
                    z.writestr("S/Data/p.seq.mrb", inner)
            with self.subTest(name):
                np.testing.assert_allclose(self.joined(name)["ProbeToTracker"], truth, atol=1e-12)
        self.refused("info", self.folder / "frames.npy", "--poses", self.folder / "stack.nii",
                     says="without valid poses")


class EveryVolume(Folder):
    def test_every_volume_goes_through_every_output(self):
        base = self.folder / "v.mha"
        base.write_bytes(metaimage(fields=False, lines=("Offset = 1 2 3",), spacing="0.2 0.3 0.5")
                         + FRAMES.tobytes())
        outputs = ["w.mha", "w.mhd", "w.nrrd", "w.nhdr", "w.nii", "w.nii.gz", "w.dcm", "only.eus.dcm"]
        for name in outputs:
            run("convert", base, self.folder / name)
        for name, out in itertools.product(outputs, outputs):
            with self.subTest(f"{name} -> {out}"):
                to = self.folder / f"again {out}"
                run("convert", self.folder / name, to)
                j = json.loads(run("compare", base, to, "--json").stdout)
                self.assertEqual(j["voxels_differing"], 0)
                self.assertLess(j["geometry_mm"], 1e-5)  # NIfTI-1 keeps 32-bit floats
                to.unlink()


class Stacks(Folder):
    def stack(self, name, **more):
        (self.folder / name).write_bytes(metaimage(fields=False, lines=(), **more) + FRAMES.tobytes())
        return self.folder / name

    def test_a_stack_without_a_place_is_taken_as_frames_and_said_so(self):
        path = self.stack("stack.mha")
        for name in (path, self.folder / "stack.nii"):
            said = run("spacing", name).stderr
            self.assertIn("taken as frames", said)
            self.assertIn(f"{N} slices", said)

    def test_a_placed_volume_is_refused_where_frames_are_expected(self):
        placed = {"iso.mha": self.stack("iso.mha", spacing="0.2 0.2 0.2")}
        (self.folder / "away.mha").write_bytes(
            metaimage(fields=False, lines=("Offset = 0 0 4",)) + FRAMES.tobytes())
        (self.folder / "form.nii").write_bytes(nifti([W, H, N], FRAMES.tobytes(), code=1))
        (self.folder / "kinds.nrrd").write_bytes(
            f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: {W} {H} {N}\nkinds: domain domain domain\n"
            "encoding: raw\n\n".encode() + FRAMES.tobytes())
        for name in ("iso.mha", "away.mha", "form.nii", "kinds.nrrd"):
            with self.subTest(name):
                for command in (["spacing"], ["doctor"], ["bone"], ["calibrate", "lag"]):
                    self.refused(*command, self.folder / name, says=("volume", "#frames"))
                self.refused("reconstruct", self.folder / name, "-o", self.folder / "x.mha", says="volume")
                np.testing.assert_array_equal(self.pixels(f"{self.folder / name}#frames"), FRAMES)

    def test_a_table_of_poses_makes_frames_of_a_stack(self):
        path = self.stack("posed.mha")
        rows = "\n".join(f"{m[0, 3]},{m[1, 3]},{m[2, 3]},1,0,0,0" for m in POSES)
        (self.folder / "p.csv").write_text(f"tx_mm,ty_mm,tz_mm,qw,qx,qy,qz\n{rows}\n")
        layout = "direction=tool-to-tracker,sense=same,handedness=right"
        run("convert", path, self.folder / "posed.npz", "--poses", self.folder / "p.csv",
            "--pose-layout", layout)
        with np.load(self.folder / "posed.npz") as z:
            np.testing.assert_allclose(z["ProbeToTracker"], POSES, atol=1e-12)
            np.testing.assert_array_equal(z["frames"], FRAMES)

    def test_an_output_for_recordings_says_how_slices_become_frames(self):
        path = self.stack("asked.mha")
        self.refused("convert", path, self.folder / "asked.npz", says="asked.mha#frames")
        self.assertFalse((self.folder / "asked.npz").exists())
        self.refused("info", f"{path}#nothing", says=('"nothing"', "#frames"))


if __name__ == "__main__":
    unittest.main()
