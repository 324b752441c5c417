#!/usr/bin/python3
"""report.json keeps to docs/report.schema.json, and the schema would notice if
it did not."""
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import json_schema  # noqa: E402

BINARY = os.environ["ES_TEST_BINARY"]
SOURCE = pathlib.Path(os.environ["ES_TEST_SOURCE"])
SCHEMA = json.loads((SOURCE / "docs/report.schema.json").read_text())


def run(folder, *words):
    subprocess.run([BINARY, *words], cwd=folder, check=True, capture_output=True, timeout=300)


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="echosolid-schema-")
        cls.folder = pathlib.Path(cls.temporary.name)
        run(cls.folder, "simulate", "--scene", "knee", "--frames", "80", "--image-size", "128,128",
            "--truth-spacing", "2mm", "-o", "scan.igs.mha", "-q")
        run(cls.folder, "model", "scan.igs.mha", "-c", "scan.xml", "--truth", "scan.seen.ply", "-o",
            "m.stl", "-o", "m.step", "--report", "full.html", "-q")
        run(cls.folder, "model", "scan.igs.mha", "-c", "scan.xml", "--open", "--unchecked", "-o",
            "s.stl", "--report", "bare.html", "-q")
        cls.full = json.loads((cls.folder / "full.json").read_text())

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_the_reports_of_the_model_keep_to_it(self):
        for name in ("full", "bare"):
            report = json.loads((self.folder / f"{name}.json").read_text())
            self.assertEqual(json_schema.check(report, SCHEMA), [])

    def test_an_independent_checker_agrees(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        jsonschema.Draft202012Validator(SCHEMA).validate(self.full)

    def test_what_breaks_it_is_noticed(self):
        def broken(change):
            report = copy.deepcopy(self.full)
            change(report)
            return json_schema.check(report, SCHEMA)

        result = "result"
        self.assertTrue(broken(lambda r: r.pop("notice")))
        self.assertTrue(broken(lambda r: r.update(surprise=1)))
        self.assertTrue(broken(lambda r: r["sections"].update({"With Blanks": {}})))
        self.assertTrue(broken(lambda r: r["sections"][result].update(area=3)))
        self.assertTrue(broken(lambda r: r["sections"][result]["area"].update(value="3")))
        self.assertTrue(broken(lambda r: r["sections"][result]["area"].pop("error")))
        self.assertTrue(broken(lambda r: r["sections"][result].update(notes=[{"level": "loud"}])))
        self.assertTrue(broken(lambda r: r["inputs"][0].update(xxh3_128="12")))

    def test_the_command_line_in_it_makes_the_same_report(self):
        first = (self.folder / "full.html").read_bytes(), (self.folder / "full.json").read_bytes()
        line = self.full["options"]["command"]
        subprocess.run(line.replace("echosolid", BINARY, 1) + " -q", shell=True, cwd=self.folder,
                       check=True, capture_output=True, timeout=300)
        again = (self.folder / "full.html").read_bytes(), (self.folder / "full.json").read_bytes()
        self.assertEqual(first, again)


if __name__ == "__main__":
    unittest.main(verbosity=2)
