#!/usr/bin/python3
"""The include arrows of the design: a room knows only the rooms below it, and
siblings never include one another."""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(os.environ.get("ES_TEST_SOURCE", pathlib.Path(__file__).parent.parent))
SIBLINGS = {"format", "spacing", "calib", "recon", "bone", "surface", "cad", "track", "simulate"}
BELOW = {"base": set(), "geom": {"base", "patches"}, "image": {"base", "geom"},
         "picture": {"base", "geom", "image"}}
for room in SIBLINGS:
    BELOW[room] = {"base", "geom", "image", "picture", "patches"}
BELOW["bone"] = BELOW["bone"] | {"network"}
BELOW["network"] = {"base"}  # a second header of bone
BELOW["patches"] = {"base", "geom"}  # a second header of geom
BELOW["pipeline"] = {"base", "geom", "image", "picture", "patches", "solid", "report", "view", "compat",
                     "doctor", "judge", "bone_flow", "plan", "keep", "bone_given",
                     "calibration"} | SIBLINGS
BELOW["calibration"] = BELOW["pipeline"] | {"pipeline"}  # a second header of the pipeline
BELOW["live"] = BELOW["pipeline"] | {"pipeline", "igtl", "natnet", "live_run"}
BELOW["live"].add("trackers")
BELOW["capture"] = {"base", "geom", "image"}  # a second header of format
BELOW["format"] = BELOW["format"] | {"capture"}
BELOW["live"].add("capture")
BELOW["trackers"] = BELOW["live"] | {"live"}
BELOW["igtl"] = BELOW["natnet"] = {"base", "geom", "image"}  # headers of the live room
BELOW["page"] = {"base"}  # a header of the live room
BELOW["live"].add("page")
BELOW["coach"] = {"base", "geom", "image"}  # a header of the live room
BELOW["live"] |= {"coach", "live_page", "wizard"}
BELOW["wizard"] = BELOW["calibration"] | {"calibration"}  # a header of the live room
BELOW["live_run"] = BELOW["live"] | {"live"}  # a second header of the live room
BELOW["live_page"] = BELOW["live_run"] | {"live_run", "coach", "page"}  # a third one
BELOW["judge"] = BELOW["pipeline"] | {"pipeline"}  # a second header of the pipeline
BELOW["bone_flow"] = BELOW["judge"]  # a third one
BELOW["plan"] = BELOW["judge"]  # a fourth one
BELOW["keep"] = BELOW["bone_given"] = {"base", "geom", "image"}  # headers of the pipeline
BELOW["recon"].add("compat")
BELOW["compat"] = {"base", "geom", "image", "picture", "recon"}  # a second header of recon
BELOW["doctor"] = BELOW["spacing"] | {"spacing"}  # a second header of spacing
BELOW["spacing"].add("doctor")
BELOW["solid"] = {"base", "cad", "surface"}  # a second header of the pipeline
BELOW["phantom"] = BELOW["calib"] | {"calib"}  # a second header of calib
BELOW["calib"] = BELOW["calib"] | {"phantom"}
BELOW["pipeline"].add("phantom")
BELOW["calibration"].add("phantom")
BELOW["view"] = {"base", "geom", "image"}  # headers of the pipeline
BELOW["report"] = {"base", "geom", "image", "picture", "view"}

# What only one room may touch: the library beside its door.
LIBRARIES = {"libxml/": {"format"}, "nifti": {"format"}, "zlib.h": {"format", "pipeline"}, "png.h": {"picture"},
             "xxhash.h": {"base", "format"}, "jansson.h": {"bone", "pipeline", "spacing", "format", "calib", "live"}, "lapacke.h": {"geom", "calib", "spacing", "cad"},
             "cminpack.h": {"geom", "calib", "spacing", "cad"}, "dcmtk/": {"format"},
             "kiss_fft": {"image"}, "hdf5.h": {"format"}, "matio.h": {"format"}, "zip.h": {"format", "cad"}, "libwebsockets.h": {"live"}, "libav": {"format"}}


def check(path, room, allowed):
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        ours = re.match(r'\s*#\s*include\s+"echosolid/(\w+)\.h"', line)
        if ours and ours.group(1) != room and ours.group(1) not in allowed:
            found.append(f"{path.relative_to(ROOT)}:{number}: {room} may not include {ours.group(1)}")
        up = re.match(r'\s*#\s*include\s+"[^"]*(\.\./|src/)', line)
        if up:
            found.append(f"{path.relative_to(ROOT)}:{number}: reaches into another folder")
        system = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        for library, rooms in LIBRARIES.items():
            if system and library in system.group(1) and room not in rooms:
                found.append(f"{path.relative_to(ROOT)}:{number}: {library} belongs to {rooms}")
    return found


def main():
    problems, files = [], 0
    for folder in sorted((ROOT / "src").iterdir()):
        for path in sorted(folder.glob("*.[ch]*")):
            files += 1
            problems += check(path, folder.name, BELOW[folder.name])
    for path in sorted((ROOT / "include/echosolid").glob("*.h")):
        files += 1
        problems += check(path, path.stem, BELOW[path.stem])
    print("\n".join(problems) or f"{files} files keep to the arrows")
    return 1 if problems or files < 20 else 0


sys.exit(main())
