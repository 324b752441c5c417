#!/usr/bin/python3
"""The 3-D view in a real browser: what it shows is judged in millimetres and by
its colours, on meshes and volumes that are known. Pages that were made by a
program without the view, and machines without Chromium, node or npm, are skipped
and say so."""
import base64
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BINARY = os.environ["ES_TEST_BINARY"]
SOURCE = pathlib.Path(os.environ["ES_TEST_SOURCE"])
SKIPPED = 77
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
MODULES = pathlib.Path(BINARY).parent / "viewer-test"


def run(*words, cwd, status=0):
    done = subprocess.run([BINARY, *map(str, words)], cwd=cwd, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == status, done.stderr
    return done


def playwright():
    """None when it is there, else why not."""
    if not CHROMIUM:
        return "no chromium here (apt-get install chromium)"
    if not shutil.which("node") or not shutil.which("npm"):
        return "no node or npm here"
    if (MODULES / "node_modules/playwright-core").exists():
        return None
    MODULES.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / "viewer" / name, MODULES)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                           "--fetch-retries=1"], cwd=MODULES, capture_output=True, text=True)
    return None if done.returncode == 0 else f"npm could not install playwright-core: {done.stderr}"


def write_sphere(path, radius, centre=(0, 0, 0), rings=64):
    """An ASCII PLY, outwards."""
    corners, faces = [(0, 0, radius)], []
    for i in range(1, rings):
        for k in range(2 * rings):
            a, b = math.pi * i / rings, math.pi * k / rings
            corners.append((radius * math.sin(a) * math.cos(b), radius * math.sin(a) * math.sin(b),
                            radius * math.cos(a)))
    corners.append((0, 0, -radius))
    n, last = 2 * rings, len(corners) - 1
    for k in range(n):
        following = (k + 1) % n
        faces.append((0, 1 + k, 1 + following))
        for i in range(rings - 2):
            a, b = 1 + i * n + k, 1 + i * n + following
            faces += [(a, a + n, b), (b, a + n, b + n)]
        faces.append((last, last - n + following, last - n + k))
    lines = [f"{x + centre[0]:.6f} {y + centre[1]:.6f} {z + centre[2]:.6f}" for x, y, z in corners]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text("ply\nformat ascii 1.0\n"
                    f"element vertex {len(corners)}\nproperty float x\nproperty float y\n"
                    f"property float z\nelement face {len(faces)}\n"
                    "property list uchar int vertex_indices\nend_header\n" + "\n".join(lines) + "\n")


def write_cube(path, side=40, bright=200):
    """A volume of 1 mm voxels: 60 outside, bright within 10 mm of the middle, 0
    (never seen) where x < 5 mm."""
    middle = (side - 1) / 2
    voxels = bytearray()
    for z in range(side):
        for y in range(side):
            for x in range(side):
                near = math.dist((x, y, z), (middle,) * 3) < 10
                voxels.append(0 if x < 5 else bright if near else 60)
    path.write_bytes(b"ObjectType = Image\nNDims = 3\nDimSize = %d %d %d\n"
                     b"ElementSpacing = 1 1 1\nOffset = %f %f %f\nElementType = MET_UCHAR\n"
                     b"ElementDataFile = LOCAL\n" % (side, side, side, -middle, -middle, -middle)
                     + bytes(voxels))


class Picture:
    """Pixels of a PNG as Debian's VTK reads them, row 0 at the top."""

    def __init__(self, path):
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkIOImage import vtkPNGReader
        reader = vtkPNGReader()
        reader.SetFileName(str(path))
        reader.Update()
        image = reader.GetOutput()
        width, height, _ = image.GetDimensions()
        values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
        self.rgb = values[::-1, :, :3].astype(int)
        self.width, self.height = width, height

    def like(self, rgb):
        """Where a colour stands in whatever light: of the same direction in RGB
        to 4 degrees, and no darker than a third of it."""
        import numpy
        target = numpy.array(rgb) / numpy.linalg.norm(rgb)
        length = numpy.linalg.norm(self.rgb, axis=2)
        along = self.rgb @ target
        return (along > math.cos(math.radians(4)) * length) & (length > numpy.linalg.norm(rgb) / 3)

    def middle(self):
        return self.rgb[self.height // 2, self.width // 2]


BONE = (0.91 * 255, 0.86 * 255, 0.75 * 255)
HALF = (4, 151, 150)  # the middle of the colour scale of all pictures


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="echosolid-viewer-")
        cls.folder = pathlib.Path(cls.temporary.name)
        write_sphere(cls.folder / "ball.ply", 20)
        write_sphere(cls.folder / "truth.ply", 21)
        write_cube(cls.folder / "cube.mha")
        run("view", "ball.ply", "cube.mha", "--truth", "truth.ply", "-o", "both.html", cwd=cls.folder)
        run("view", "ball.ply", "-o", "ball.html", cwd=cls.folder)
        run("view", "cube.mha", "-o", "cube.html", cwd=cls.folder)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def browse(self, page, steps=(), **more):
        task = {"chromium": CHROMIUM, "modules": str(MODULES), "page": str(self.folder / page),
                "out": str(self.folder), "steps": list(steps), **more}
        done = subprocess.run(["node", str(SOURCE / "tests/browser/browse.mjs"), json.dumps(task)],
                              capture_output=True, text=True, timeout=180)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual(found["errors"], [])
        self.assertEqual(len(found["requests"]), 1, found["requests"])  # the page, nothing else
        return found

    def picture(self, name):
        return Picture(self.folder / f"{name}.png")

    def test_the_policy_names_the_script_and_nothing_else_may_run(self):
        page = (self.folder / "both.html").read_text()
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
        scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
        self.assertEqual(len(scripts), 1)
        digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
        self.assertEqual(policy, "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                                 f"script-src 'sha256-{digest}'")

    def test_a_ball_of_40_mm_is_40_mm_wide_on_the_screen(self):
        found = self.browse("ball.html", [["key", "1"], ["shoot", "ball"]])
        self.assertEqual(found["state"], "ready")
        print(f"the page shows the mesh after {found['seconds']:.1f} s", file=sys.stderr)
        columns = self.picture("ball").like(BONE).any(axis=0).nonzero()[0]
        mm = float(found["bar"]["text"].split()[0]) / found["bar"]["px"]
        # Two pixels of rim, where the light falls off, and the facets: 0.3 %.
        self.assertAlmostEqual((columns[-1] - columns[0] + 1) * mm, 40, delta=4 * mm + 0.1)

    def test_a_clicked_point_is_where_it_lies_and_says_what_is_known(self):
        steps = [["key", "1", "s"], ["click", 0.5, 0.5], ["text", ".view-status"],
                 ["key", "3"], ["click", 0.5, 0.5], ["text", ".view-status"]]
        first, second = [t[0] for t in self.browse("both.html", steps)["texts"]]
        number = r"(-?[0-9.]+)"
        self.assertRegex(first, rf"^\({number}, {number}, {number}\) mm")
        x, y, z = map(float, re.findall(number, first)[:3])
        for value, expected in ((x, 20), (y, 0), (z, 0)):  # half a pixel, and one decimal
            self.assertAlmostEqual(value, expected, delta=0.2)
        # Facets of both spheres, 8 bits over 2 mm.
        self.assertAlmostEqual(float(re.search(rf"truth {number} mm", first).group(1)), 1, delta=0.04)
        self.assertAlmostEqual(float(re.search(rf"{number} mm from the point", second).group(1)),
                               20 * math.sqrt(2), delta=0.3)

    def test_the_distance_to_the_truth_has_the_colour_of_the_scale(self):
        steps = [["key", "s", "1"], ["shoot", "plain"], ["key", "c"], ["shoot", "coloured"],
                 ["text", ".view-legend"]]
        found = self.browse("both.html", steps)
        plain, coloured = self.picture("plain"), self.picture("coloured")
        at = plain.height // 2, plain.width // 2
        self.assertTrue(plain.like(BONE)[at])
        self.assertTrue(coloured.like(HALF)[at], coloured.middle())  # 1 mm of 0 to 2 mm
        share = coloured.like(HALF).sum() / plain.like(BONE).sum()
        self.assertTrue(0.9 < share < 1.1, share)
        self.assertIn("distance to the truth", found["texts"][0][0])

    def test_slices_show_the_volume_and_nothing_where_nothing_was_seen(self):
        found = self.browse("cube.html", [["key", "2"], ["shoot", "cube"],
                                          ["text", ".view-slice output"]])
        cube = self.picture("cube")
        mm = float(found["bar"]["text"].split()[0]) / found["bar"]["px"]
        row = cube.rgb[cube.height // 2]
        bright = (row.min(axis=1) > 200) & (row.max(axis=1) < 256)
        middle = cube.width // 2
        left, right = [int(middle + k * 12 / mm) for k in (-1, 1)]  # both in the seen part
        self.assertTrue(row[left].max() < 60 and row[right].max() < 60, (row[left], row[right]))
        unseen = int(middle - 17 / mm)  # x = -17 mm: never seen, the ground shows
        self.assertTrue(row[unseen].min() > 230, row[unseen])
        ball = bright[left:right].nonzero()[0]
        # Bright to 10 mm from the middle, by whole voxels of 1 mm.
        self.assertAlmostEqual((ball[-1] - ball[0] + 1) * mm, 20, delta=1.5)
        self.assertEqual([t[:4] for t in found["texts"][0]], ["x = ", "y = ", "z = "])

    def test_keys_hide_the_surface_and_move_a_slice(self):
        steps = [["shoot", "both"], ["key", "m"], ["shoot", "hidden"], ["text", ".view-slice output"],
                 ["key", "x", "x", "x"], ["text", ".view-slice output"]]
        before, after = self.browse("both.html", steps)["texts"]
        self.assertGreater(self.picture("both").like(BONE).sum(), 1000)
        self.assertEqual(self.picture("hidden").like(BONE).sum(), 0)
        moved = [float(t[0].split()[2]) for t in (after, before)]
        self.assertAlmostEqual(moved[0] - moved[1], 3, delta=0.11)

    def test_paper_and_readers_without_scripts_get_the_still_pictures(self):
        found = self.browse("both.html", [["media", "print"]])
        self.assertEqual((found["view_height"], found["pictures"]), (0, 5))
        found = self.browse("both.html", script=False)
        self.assertEqual((found["view_height"], found["pictures"]), (0, 5))

    def test_a_phone_needs_no_scrolling_sideways(self):
        found = self.browse("both.html", [["window", "phone"]], size=[360, 740])
        self.assertFalse(found["wide"])

    def test_without_webgl_the_page_says_so(self):
        found = self.browse("both.html", [["text", "figure.view"]], blind=True)
        self.assertEqual(found["state"], "failed")
        self.assertIn("No 3-D view", found["texts"][0][0])
        self.assertEqual(found["pictures"], 5)


def interactive():
    with tempfile.TemporaryDirectory() as folder:
        write_sphere(pathlib.Path(folder) / "ball.ply", 5, rings=8)
        done = run("view", "ball.ply", "-o", "ball.html", "--json", cwd=folder)
        return json.loads(done.stdout)["interactive"]


if __name__ == "__main__":
    why = playwright() if interactive() else "this echosolid was built without the 3-D view"
    if why:
        print(f"skipped: {why}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
