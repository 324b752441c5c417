#!/usr/bin/python3
"""Models for slicers and viewers: what `echosolid convert` makes of a mesh is
read back by others, zipfile and an XML parser, VTK's glTF and OBJ readers, and
PrusaSlicer, which prints whether it could be printed."""
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
import zipfile

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

BINARY = os.environ["ES_TEST_BINARY"]
CORE = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"


def torus(r=20.0, tube=6.0, n=60, m=30):
    """A torus of n x m quads, closed; vertices, triangles, volume of the mesh."""
    i, j = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    a, b = 2 * np.pi * i / n, 2 * np.pi * j / m
    v = np.stack([(r + tube * np.cos(b)) * np.cos(a), (r + tube * np.cos(b)) * np.sin(a),
                  tube * np.sin(b)], -1).reshape(-1, 3).astype("<f4")
    k = lambda p, q: (p % n) * m + q % m
    t = np.array([[(k(p, q), k(p + 1, q), k(p + 1, q + 1)), (k(p, q), k(p + 1, q + 1), k(p, q + 1))]
                  for p in range(n) for q in range(m)], "<u4").reshape(-1, 3)
    return v, t, volume(v, t)


def volume(v, t):
    a, b, c = (v[t[:, k]].astype(float) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def write_ply(path, v, t, confidence=None):
    head = (f"ply\nformat binary_little_endian 1.0\nelement vertex {len(v)}\nproperty float x\n"
            "property float y\nproperty float z\n"
            + ("property float confidence\n" if confidence is not None else "")
            + f"element face {len(t)}\nproperty list uchar uint vertex_indices\nend_header\n")
    rows = v if confidence is None else np.column_stack([v, confidence]).astype("<f4")
    faces = b"".join(b"\x03" + row.tobytes() for row in t)
    path.write_bytes(head.encode() + rows.tobytes() + faces)


class Meshes(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.v, self.t, self.volume = torus()
        self.confidence = np.linspace(0, 1, len(self.v)).astype("<f4")
        self.ply = self.folder / "torus.ply"
        write_ply(self.ply, self.v, self.t, self.confidence)

    def convert(self, name, source=None):
        path = self.folder / name
        subprocess.run([BINARY, "convert", source or self.ply, path, "--quiet"], check=True,
                       timeout=60)
        return path

    def test_3mf_is_a_zip_of_the_parts_that_the_specification_asks_for(self):
        with zipfile.ZipFile(self.convert("a.3mf")) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(set(archive.namelist()),
                             {"[Content_Types].xml", "_rels/.rels", "3D/3dmodel.model"})
            relations = ET.fromstring(archive.read("_rels/.rels"))
            self.assertEqual(relations[0].get("Target"), "/3D/3dmodel.model")
            types = {e.get("Extension") for e in ET.fromstring(archive.read("[Content_Types].xml"))}
            self.assertEqual(types, {"rels", "model"})
            model = ET.fromstring(archive.read("3D/3dmodel.model"))
        self.assertEqual(model.get("unit"), "millimeter")
        self.assertEqual(model.find(f".//{CORE}object").get("type"), "model")
        v = np.array([[e.get(k) for k in "xyz"] for e in model.iter(CORE + "vertex")], "<f4")
        t = np.array([[e.get(k) for k in ("v1", "v2", "v3")]
                      for e in model.iter(CORE + "triangle")], int)
        np.testing.assert_array_equal(v, self.v)
        np.testing.assert_array_equal(t, self.t)

    def test_an_open_sheet_is_a_surface_in_3mf_and_no_model(self):
        write_ply(self.ply, self.v, self.t[:-3])
        with zipfile.ZipFile(self.convert("open.3mf")) as archive:
            model = ET.fromstring(archive.read("3D/3dmodel.model"))
        self.assertEqual(model.find(f".//{CORE}object").get("type"), "surface")

    def test_equal_meshes_give_equal_bytes(self):
        for name in ("a.3mf", "a.glb", "a.obj"):
            first = hashlib.sha256(self.convert(name).read_bytes()).hexdigest()
            again = subprocess.run([BINARY, "convert", self.ply, self.folder / ("again-" + name)],
                                   check=True, env=dict(os.environ, TZ="Asia/Tokyo"), timeout=60,
                                   stdout=subprocess.DEVNULL)
            self.assertEqual(again.returncode, 0)
            other = (self.folder / ("again-" + name)).read_bytes()
            self.assertEqual(first, hashlib.sha256(other).hexdigest(), name)

    def glb(self, path):
        data = path.read_bytes()
        magic, version, total, length, kind = struct.unpack_from("<4sIIII", data)
        self.assertEqual((magic, version, total, kind), (b"glTF", 2, len(data), 0x4E4F534A))
        self.assertEqual(length % 4, 0)
        size, kind = struct.unpack_from("<II", data, 20 + length)
        self.assertEqual(kind, 0x004E4942)
        self.assertEqual(28 + length + size, len(data))
        return json.loads(data[20:20 + length]), data[28 + length:]

    def test_glb_holds_what_its_json_says(self):
        head, binary = self.glb(self.convert("a.glb"))
        self.assertEqual(head["buffers"][0]["byteLength"], len(binary))
        shapes = {"VEC3": 3, "SCALAR": 1}

        def accessor(k):
            a = head["accessors"][k]
            view = head["bufferViews"][a["bufferView"]]
            kind = {5126: "<f4", 5125: "<u4"}[a["componentType"]]
            values = np.frombuffer(binary, kind, a["count"] * shapes[a["type"]],
                                   view["byteOffset"])
            self.assertEqual(values.nbytes, view["byteLength"])
            return values.reshape(a["count"], -1), a

        primitive = head["meshes"][0]["primitives"][0]
        v, a = accessor(primitive["attributes"]["POSITION"])
        np.testing.assert_array_equal(v, self.v)
        np.testing.assert_array_equal(np.array(a["min"], "<f4"), v.min(0))
        np.testing.assert_array_equal(np.array(a["max"], "<f4"), v.max(0))
        np.testing.assert_array_equal(accessor(primitive["indices"])[0].reshape(-1, 3), self.t)
        c, _ = accessor(primitive["attributes"]["_CONFIDENCE"])
        np.testing.assert_array_equal(c[:, 0], self.confidence)
        normals, _ = accessor(primitive["attributes"]["NORMAL"])
        # The outward normal of the torus; the mesh's is that of 12 x 12 degree cells.
        ring = self.v * [1, 1, 0]
        ring = 20 * ring / np.linalg.norm(ring, axis=1)[:, None]
        truth = (self.v - ring) / 6
        self.assertGreater((normals * truth).sum(1).min(), np.cos(np.radians(12)))
        m = np.array(head["nodes"][0]["matrix"]).reshape(4, 4).T
        np.testing.assert_allclose(m @ [0, 0, 1000, 1], [0, 1, 0, 1], atol=1e-12)  # z is up: y
        self.assertGreater(np.linalg.det(m), 0)

    def test_vtk_reads_the_glb(self):
        script = ("import sys, vtk\nr = vtk.vtkGLTFReader(); r.SetFileName(sys.argv[1])\n"
                  "r.Update()\nf = vtk.vtkCompositeDataGeometryFilter()\n"
                  "f.SetInputConnection(r.GetOutputPort()); f.Update()\n"
                  "m = vtk.vtkMassProperties(); m.SetInputData(f.GetOutput()); m.Update()\n"
                  "print(f.GetOutput().GetNumberOfPolys(), repr(m.GetVolume()))\n")
        answer = subprocess.run(["/usr/bin/python3", "-c", script, self.convert("a.glb")],
                                capture_output=True, text=True, timeout=120)
        if "No module" in answer.stderr:
            self.skipTest("python3-vtk9 is not installed")
        triangles, cubic_metres = answer.stdout.split()
        self.assertEqual(int(triangles), len(self.t))
        self.assertAlmostEqual(float(cubic_metres) * 1e9 / self.volume, 1, delta=1e-5)  # float32

    @unittest.skipUnless(shutil.which("prusa-slicer"), "prusa-slicer is not installed")
    def test_a_slicer_finds_them_printable_and_of_the_right_size(self):
        for name in ("a.stl", "a.3mf", "a.obj"):
            text = subprocess.run(["prusa-slicer", "--info", self.convert(name)], text=True,
                                  capture_output=True, timeout=120, check=True).stdout
            info = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
            self.assertEqual(info["manifold"], "yes", name)
            self.assertEqual(int(info["number_of_parts"]), 1)
            self.assertAlmostEqual(float(info["size_x"]), 52, delta=1e-4)
            self.assertAlmostEqual(float(info["volume"]) / self.volume, 1, delta=1e-5)  # 6 digits

    @unittest.skipUnless(shutil.which("prusa-slicer"), "prusa-slicer is not installed")
    def test_a_slicer_finds_thickened_and_capped_sheets_printable(self):
        # Half of a torus' distances: what lies on one side is not known.
        n = 60
        axis = (np.arange(n) - n / 2 + 0.137).astype(float)
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        d = np.sqrt((np.hypot(x, y) - 18) ** 2 + z ** 2) - 7
        d[z < -1.5] = np.nan
        half = self.folder / "half.mha"
        half.write_bytes(
            (f"ObjectType = Image\nNDims = 3\nDimSize = {n} {n} {n}\nElementType = MET_FLOAT\n"
             f"ElementSpacing = 1 1 1\nOffset = {axis[0]} {axis[0]} {axis[0]}\n"
             "BinaryDataByteOrderMSB = False\nElementDataFile = LOCAL\n").encode()
            + d.astype("<f4").tobytes())
        for words in ([], ["--cap"]):
            for name in ("half.stl", "half.3mf"):
                model = self.folder / name
                answer = json.loads(subprocess.run(
                    [BINARY, "surface", half, "-o", model, "--json", "--smooth", "20", *words],
                    capture_output=True, timeout=120, check=True).stdout)
                self.assertEqual(answer["self_intersections"], 0)
                text = subprocess.run(["prusa-slicer", "--info", model], text=True,
                                      capture_output=True, timeout=120, check=True).stdout
                info = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
                self.assertEqual(info["manifold"], "yes", (name, words))
                self.assertAlmostEqual(float(info["volume"]) / answer["check"]["volume_mm3"], 1,
                                       delta=1e-4)  # 6 digits of float32 coordinates

    def test_what_cannot_be_is_refused_in_words(self):
        for name, words in (("a.3mf", "written, not read"), ("a.fbx", "")):
            path = self.folder / name
            path.write_bytes(b"PK\3\4")
            answer = subprocess.run([BINARY, "convert", path, self.folder / "x.stl"], text=True,
                                    capture_output=True, timeout=60)
            self.assertNotEqual(answer.returncode, 0)
            self.assertIn(words, answer.stderr)
            self.assertFalse((self.folder / "x.stl").exists())


if __name__ == "__main__":
    unittest.main()
