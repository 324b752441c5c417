#!/usr/bin/python3
"""DICOM in and out through the program, against the pictures that the files were
made from and against other people's readers (pydicom, GDCM, DCMTK)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings

try:
    import numpy as np
    import pydicom
    warnings.simplefilter("ignore")  # it warns of what the tests break on purpose
except ImportError:
    print("skipped: python3-pydicom and python3-numpy are needed")
    sys.exit(77)
if not all(map(shutil.which, ("dcmcjpeg", "dcmcjpls", "dcmcrle", "dcmdump", "gdcmconv", "gdcminfo"))):
    print("skipped: the programs of the packages dcmtk and libgdcm-tools are needed")
    sys.exit(77)

import make_dicom as made  # noqa: E402

PROGRAM = os.environ.get("ES_TEST_BINARY", "build/echosolid")
DTYPES = {"MET_UCHAR": np.uint8, "MET_USHORT": np.uint16, "MET_FLOAT": np.float32}
FOLDER = None


def run(*arguments, status=0):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def read_mha(path):
    """Header as a dictionary and pixels as an array, slowest axis first."""
    raw = pathlib.Path(path).read_bytes()
    end = raw.index(b"\n", raw.index(b"ElementDataFile")) + 1
    head = dict(line.split(" = ", 1) for line in raw[:end].decode().splitlines() if " = " in line)
    shape = [int(n) for n in head["DimSize"].split()][::-1]
    channels = int(head.get("ElementNumberOfChannels", 1))
    if channels > 1:
        shape.append(channels)
    return head, np.frombuffer(raw[end:], DTYPES[head["ElementType"]]).reshape(shape)


def convert(source, name="out.mha"):
    run("convert", source, FOLDER / name, "--raw", "--quiet")
    return read_mha(FOLDER / name)


def pixels(name):
    return convert(FOLDER / f"{name}.dcm")[1]


def gdcm_pixels(name):
    """What GDCM decodes, as numbers."""
    made.tool("gdcmconv", "--raw", FOLDER / f"{name}.dcm", FOLDER / "raw.dcm")
    ds = pydicom.dcmread(FOLDER / "raw.dcm")
    return ds, ds.pixel_array


def info(name):
    return json.loads(run("info", FOLDER / name, "--json").stdout)


def worst(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


class Reading(unittest.TestCase):
    def check_codings(self, name, expected):
        lossless = ["", "_implicit", "_big", "_deflated", "_rle", "_jpeglossless", "_jpegls", "_j2k"]
        for suffix in lossless:
            with self.subTest(name + suffix):
                np.testing.assert_array_equal(pixels(name + suffix), expected)
        # The coder was told to stay within 2.
        self.assertLessEqual(worst(pixels(name + "_jpeglsnear"), expected), 2)
        # The same codestream through the same arithmetic of another program.
        bits = pydicom.dcmread(FOLDER / f"{name}.dcm").BitsStored
        other = gdcm_pixels(name + "_j2klossy")[1]
        np.testing.assert_array_equal(pixels(name + "_j2klossy"),
                                      np.minimum(other, 2**bits - 1))  # ours are clamped

    def test_every_transfer_syntax_gives_the_pixels_that_were_written(self):
        self.check_codings("grey", made.picture(5, 48, 64))
        self.check_codings("rgb", made.picture(4, 48, 64, 3))
        self.check_codings("deep", made.picture(3, 40, 32, 1, 12))

    def test_frames_of_an_odd_number_of_bytes_stay_aligned(self):
        self.check_codings("odd", made.picture(3, 33, 35))

    def test_baseline_jpeg_is_what_another_decoder_makes_of_it(self):
        for name in ("grey_jpeg", "odd_jpeg"):
            # IDCTs may differ by one rounding (T.83).
            self.assertLessEqual(worst(pixels(name), gdcm_pixels(name)[1]), 1)
        ds, array = gdcm_pixels("rgb_jpeg")
        rgb = array if ds.PhotometricInterpretation == "RGB" else ybr_to_rgb(array)
        # One rounding of the IDCT, one of each chrominance (factor 1.77), one of the sum.
        self.assertLessEqual(worst(pixels("rgb_jpeg"), rgb), 4)
        # And near to what was coded: quality 95 with halved chrominance.
        difference = pixels("rgb_jpeg").astype(int) - made.picture(4, 48, 64, 3)
        self.assertLess(np.abs(difference).mean(), 12)

    def test_jpeg_colours_are_told_by_the_stream_not_by_the_data_set(self):
        truth = pixels("rgb_jpeg")
        ds = pydicom.dcmread(FOLDER / "rgb_jpeg.dcm")
        self.assertEqual(ds.PhotometricInterpretation, "YBR_FULL_422")
        ds.PhotometricInterpretation = "RGB"
        ds.save_as(FOLDER / "liar.dcm")
        np.testing.assert_array_equal(pixels("liar"), truth)

    def test_photometric_interpretations(self):
        np.testing.assert_array_equal(pixels("inverse"), 255 - made.picture(4, 24, 32))
        rgb = made.picture(2, 24, 32, 3)
        np.testing.assert_array_equal(pixels("planar"), rgb)
        self.assertLessEqual(worst(pixels("ybr"), ybr_to_rgb(rgb)), 1)  # fixed point against float
        pairs = rgb.reshape(2, 24, 16, 2, 3).astype(float)
        pairs[..., 1:] = pairs[..., :1, 1:]
        self.assertLessEqual(worst(pixels("ybr422"), ybr_to_rgb(pairs.reshape(rgb.shape))), 1)
        index = made.picture(2, 24, 32)
        expected = np.stack([made.table(k)[index] for k in range(3)], -1)
        np.testing.assert_array_equal(pixels("palette"), expected)
        np.testing.assert_array_equal(pixels("palette8"), expected)

    def test_a_still_and_a_data_set_without_preamble(self):
        np.testing.assert_array_equal(pixels("still"), made.picture(1, 24, 32))
        np.testing.assert_array_equal(pixels("headerless"), made.picture(1, 24, 32))

    def test_the_sample_of_pydicom(self):
        from pydicom.data import get_testdata_file
        path = get_testdata_file("ExplVR_BigEnd.dcm")
        if not path:
            self.skipTest("pydicom came without ExplVR_BigEnd.dcm")
        np.testing.assert_array_equal(convert(path)[1][0], pydicom.dcmread(path).pixel_array)


def ybr_to_rgb(ybr):
    """PS3.3 C.7.6.3.1.2 in floating point."""
    y, cb, cr = (np.asarray(ybr, float)[..., k] for k in range(3))
    rgb = np.stack([y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
                    y + 1.772 * (cb - 128)], -1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


class Scales(unittest.TestCase):
    def check(self, name, spacing, origin=None, size=(80, 60)):
        found = info(name + ".dcm")
        np.testing.assert_allclose(found["spacing"], spacing, rtol=1e-12, err_msg=name)
        self.assertEqual((found["width"], found["height"]), size, name)
        self.assertEqual(found["fields"].get("DicomCropOrigin"), origin, name)
        return found

    def test_the_tissue_region_gives_the_scale_and_the_crop(self):
        found = self.check("one", [0.25126, 0.25641])
        fields = found["fields"]
        self.assertEqual(json.loads(fields["DicomRegions"]), [
            {"format": 1, "type": 1, "flags": 0, "box": [0, 0, 79, 59], "ref": [39, 0],
             "units": [3, 3], "delta": [0.025126, 0.025641]}])
        self.assertEqual(fields["DicomPixelSpacing"], "0.3 0.4")
        self.assertEqual(fields["DicomDepthOfScanField"], "150")
        self.assertEqual(fields["DicomTransducer"], "C5-2R60S-3")
        self.assertEqual(fields["DicomModel"], "Model 7")
        self.assertEqual(fields["DicomManufacturer"], "Example")
        self.assertEqual(fields["DicomSopClass"], made.US_MULTI)
        self.assertEqual(fields["DicomImplementation"], "MAKE_DICOM")
        self.check("cut", [0.3, 0.3], "10 5", (60, 50))
        self.check("flow", [0.3, 0.3], "10 5", (60, 50))
        self.check("exclusive", [0.3, 0.3], "10 5", (70, 55))
        np.testing.assert_array_equal(pixels("cut"), made.picture(3, 60, 80)[:, 5:55, 10:70])

    def test_the_whole_picture_is_given_on_demand(self):
        found = info("cut.dcm#whole")
        self.assertEqual((found["width"], found["height"]), (80, 60))
        np.testing.assert_array_equal(convert(f"{FOLDER}/cut.dcm#whole")[1], made.picture(3, 60, 80))

    def test_regions_that_cannot_be_true_give_no_scale(self):
        for name in ("outside", "seconds", "zero"):
            self.check(name, [1, 1])

    def test_two_pictures_of_different_scale_are_neither_averaged_nor_cut(self):
        found = self.check("dual", [1, 1])
        self.assertEqual(len(json.loads(found["fields"]["DicomRegions"])), 2)

    def test_views_beside_one_another_are_named_by_the_doctor(self):
        for name, told in (("dual", True), ("flow", False), ("one", False), ("cut", False)):
            found = json.loads(run("doctor", FOLDER / f"{name}.dcm", "--json").stdout)["findings"]
            views = [f for f in found if f["check"] == "several-views"]
            self.assertEqual(len(views), told, name)
            if told:
                self.assertIn("2 pictures of tissue", views[0]["evidence"])

    def test_pixel_spacing_is_row_first(self):
        self.check("pixelspacing", [0.4, 0.3])

    def test_nobody_is_named(self):
        for name in ("one.dcm", "eus.dcm", "series"):
            convert(FOLDER / name)
            text = (FOLDER / "out.mha").read_bytes()
            for secret in (b"Doe", b"SECRET", b"1970"):
                self.assertNotIn(secret, text)


class Times(unittest.TestCase):
    def check(self, name, expected):
        head, _ = convert(FOLDER / name)
        found = [float(head[f"Seq_Frame{f:04d}_Timestamp"]) for f in range(len(expected))]
        np.testing.assert_allclose(found, expected, atol=1e-9, err_msg=str(name))

    def test_frame_times(self):
        self.check("grey.dcm", [0, 0.04, 0.08, 0.12, 0.16])
        self.check("vector.dcm", [0, 0.03, 0.0755, 0.1005])
        self.check("cinerate.dcm", [0, 0.05, 0.1, 0.15])
        self.assertEqual(info("vector.dcm")["fields"]["DicomFrameTiming"], "Frame Time Vector")

    def test_times_that_are_missing_or_miscounted_are_not_invented(self):
        for name in ("untimed.dcm", "shortvector.dcm"):
            head, _ = convert(FOLDER / name)
            self.assertNotIn("Seq_Frame0000_Timestamp", head)

    def test_stills_of_a_folder_follow_their_numbers_and_clocks(self):
        self.check("series", [0, 60, 120, 180])
        _, found = convert(FOLDER / "series")
        expected = np.concatenate([made.picture(1, 16, 24, seed=10 + i) for i in (3, 2, 1, 0)])
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(convert(FOLDER / "disk")[1], expected)
        np.testing.assert_array_equal(convert(FOLDER / "disk" / "DICOMDIR")[1], expected)


class Choosing(unittest.TestCase):
    def test_several_series_are_refused_and_one_can_be_named(self):
        told = run("info", FOLDER / "two", status=2).stderr
        for part in ("1 (3 files of 24 x 16)", "2 (2 files of 24 x 16)", "#NUMBER"):
            self.assertIn(part, told)
        self.assertEqual(info("two#2")["frames"], 2)
        self.assertEqual(info("two#1.2.3.4.5.1")["frames"], 3)
        self.assertIn("has no series 7", run("info", f"{FOLDER}/two#7", status=2).stderr)

    def test_pictures_of_different_sizes_are_refused_by_name(self):
        told = run("info", FOLDER / "mixed", status=1).stderr
        for part in ("32 x 16", "24 x 16", "ü0.dcm"):
            self.assertIn(part, told)

    def test_an_empty_folder_is_refused(self):
        self.assertIn("folder", run("info", FOLDER / "empty", status=1).stderr)

    def test_a_dicomdir_cannot_name_files_elsewhere(self):
        for name in ("../series/x.dcm", "/etc/passwd", "IMAGES/../../series"):
            ds = pydicom.dcmread(FOLDER / "disk" / "DICOMDIR")
            ds.DirectoryRecordSequence[1].ReferencedFileID = name.replace("/", "\\")
            (FOLDER / "escape").mkdir(exist_ok=True)
            shutil.copytree(FOLDER / "disk" / "IMAGES", FOLDER / "escape" / "IMAGES",
                            dirs_exist_ok=True)
            ds.save_as(FOLDER / "escape" / "DICOMDIR")
            told = run("info", FOLDER / "escape", status=1).stderr
            self.assertTrue("below its folder" in told or "cannot be opened" in told, told)


class Volumes(unittest.TestCase):
    def check_geometry(self, head):
        np.testing.assert_allclose([float(n) for n in head["ElementSpacing"].split()],
                                   [0.4, 0.3, 0.5], rtol=1e-6)
        np.testing.assert_allclose([float(n) for n in head["Offset"].split()], [10, -20, 30],
                                   atol=1e-6)
        np.testing.assert_allclose([float(n) for n in head["TransformMatrix"].split()],
                                   [0, 1, 0, 0, 0, -1, -1, 0, 0], atol=1e-6)

    def test_functional_groups_make_a_placed_volume(self):
        for name in ("eus", "groups"):
            head, voxels = convert(FOLDER / f"{name}.dcm", "volume.mha")
            self.check_geometry(head)
            np.testing.assert_array_equal(voxels, made.picture(6, 20, 24))

    def test_slices_of_a_series_are_sorted_by_place_and_rescaled(self):
        head, voxels = convert(FOLDER / "ct", "volume.mha")
        np.testing.assert_allclose([float(n) for n in head["ElementSpacing"].split()], [0.4, 0.3, 1.5])
        np.testing.assert_allclose([float(n) for n in head["Offset"].split()], [1, 2, 3])
        np.testing.assert_array_equal(voxels, made.picture(6, 20, 24, 1, 12).astype(np.float32) - 1024)

    def test_a_stack_with_a_gap_is_no_volume_and_says_so(self):
        done = run("info", FOLDER / "gap")
        self.assertIn("recording", done.stdout)
        self.assertIn("one is missing", done.stderr)
        self.assertIn("recording", run("info", FOLDER / "unplaced.dcm").stdout)


def write_mha(name, array, **fields):
    """array: slowest axis first; fields: header lines."""
    kinds = {np.uint8: "MET_UCHAR", np.uint16: "MET_USHORT", np.float32: "MET_FLOAT"}
    color = array.ndim == 4
    shape = array.shape[:3][::-1]
    lines = ["ObjectType = Image", "NDims = 3", "DimSize = %d %d %d" % shape]
    lines += [f"ElementNumberOfChannels = {array.shape[3]}"] if color else []
    lines += [f"{key} = {value}" for key, value in fields.items()]
    lines += [f"ElementType = {kinds[array.dtype.type]}", "ElementDataFile = LOCAL", ""]
    (FOLDER / name).write_bytes("\n".join(lines).encode() + array.tobytes())
    return FOLDER / name


def gdcminfo(path):
    """What GDCM, the reader under ITK and 3D Slicer, makes of a file."""
    text = subprocess.run(["gdcminfo", str(path)], capture_output=True, text=True, check=True).stdout
    found = {}
    for key in ("Spacing", "Origin", "Dimensions", "DirectionCosines"):
        value = re.search(rf"^\s*{key}: \(([^)]*)\)", text, re.M)
        found[key] = [float(n) for n in value.group(1).split(",")]
    return found


GEOMETRY = {"Offset": "10 -20 30.5", "TransformMatrix": "0 1 0 0 0 -1 -1 0 0",
            "ElementSpacing": "0.4 0.3 0.5"}


class WritingVolumes(unittest.TestCase):
    def write(self, array, name="volume.dcm", status=0):
        return run("convert", write_mha("in.mha", array, **GEOMETRY), FOLDER / name, status=status)

    def check_with_others(self, path, array):
        found = gdcminfo(path)
        np.testing.assert_allclose(found["Spacing"], [0.4, 0.3, 0.5])
        np.testing.assert_allclose(found["Origin"], [10, -20, 30.5])
        self.assertEqual(found["Dimensions"], list(array.shape[:3])[::-1])
        np.testing.assert_allclose(found["DirectionCosines"], [0, 1, 0, 0, 0, -1])
        ds = pydicom.dcmread(path)
        np.testing.assert_array_equal(ds.pixel_array, array)
        subprocess.run(["dcmdump", "-q", str(path)], check=True, capture_output=True)
        return ds

    def test_gdcm_sees_size_spacing_origin_and_direction(self):
        for array in (made.picture(6, 20, 24), made.picture(5, 21, 23), made.picture(6, 20, 24, 1, 16),
                      made.picture(4, 20, 24, 3)):
            self.write(array)
            ds = self.check_with_others(FOLDER / "volume.dcm", array)
            kind = "7.4" if array.ndim == 4 else "7.2" if array.itemsize == 1 else "7.3"
            self.assertTrue(ds.SOPClassUID.endswith(kind))

    def test_a_volume_comes_back_as_it_was(self):
        array = made.picture(6, 20, 24)
        self.write(array)
        for name in ("volume.dcm", "volume.eus.dcm"):
            head, voxels = convert(FOLDER / name, "back.mha")
            np.testing.assert_array_equal(voxels, array)
            for key, value in GEOMETRY.items():
                np.testing.assert_allclose([float(n) for n in head[key].split()],
                                           [float(n) for n in value.split()], atol=1e-9)

    def test_the_enhanced_us_volume_holds_what_the_standard_names(self):
        self.write(made.picture(6, 20, 24))
        ds = pydicom.dcmread(FOLDER / "volume.eus.dcm")
        self.assertEqual(ds.SOPClassUID, made.EUS)
        shared, frames = ds.SharedFunctionalGroupsSequence[0], ds.PerFrameFunctionalGroupsSequence
        self.assertEqual([float(x) for x in shared.PixelMeasuresSequence[0].PixelSpacing], [0.3, 0.4])
        self.assertEqual(list(shared.PlaneOrientationVolumeSequence[0].ImageOrientationVolume),
                         [0, 1, 0, 0, 0, -1])
        self.assertEqual(list(frames[2].PlanePositionVolumeSequence[0].ImagePositionVolume),
                         [9, -20, 30.5])
        self.assertEqual((len(frames), ds.NumberOfFrames), (6, 6))
        np.testing.assert_array_equal(ds.pixel_array, made.picture(6, 20, 24))

    def test_the_enhanced_us_volume_keeps_the_rules_of_the_standard(self):
        if "ES_US_ORACLE" not in os.environ:
            self.skipTest("the libraries dcmfg and dcmiod of DCMTK are needed")

        def broken(path):
            # What DCMTK's own judge forgets to free is not ours to mend.
            done = subprocess.run([os.environ["ES_US_ORACLE"], str(path)], capture_output=True,
                                  text=True, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
            self.assertEqual(done.returncode, done.stdout != "")
            return done.stdout

        path = FOLDER / "volume.eus.dcm"
        self.write(made.picture(6, 20, 24))
        self.assertEqual(broken(path), "")
        # The judge does judge: each of these is missed when it is gone.
        for name in ("UltrasoundAcquisitionGeometry", "VolumeToTransducerMappingMatrix",
                     "TransducerGeometryCodeSequence", "TransducerBeamSteeringCodeSequence", "MechanicalIndex",
                     "AcquisitionDuration", "PixelSpacing", "SynchronizationFrameOfReferenceUID"):
            ds = pydicom.dcmread(path)
            del ds[name]
            ds.save_as(FOLDER / "less.dcm")
            self.assertIn(name, broken(FOLDER / "less.dcm"))
        ds = pydicom.dcmread(path)
        del ds.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
        ds.save_as(FOLDER / "less.dcm")
        self.assertIn("VOI", broken(FOLDER / "less.dcm"))

    def test_what_nobody_told_of_an_enhanced_us_volume_is_named_as_unknown(self):
        self.write(made.picture(6, 20, 24))
        ds = pydicom.dcmread(FOLDER / "volume.eus.dcm")
        for name in ("AnatomicRegionSequence", "ViewCodeSequence", "TransducerGeometryCodeSequence",
                     "TransducerScanPatternCodeSequence", "TransducerBeamSteeringCodeSequence",
                     "TransducerApplicationCodeSequence"):
            code = ds[name][0]
            self.assertEqual((code.CodeValue, code.CodingSchemeDesignator), ("261665006", "SCT"))
        self.assertIn("stand-ins", ds.ImageComments)
        # Probe and patient: the volume has the patient's directions, the probe moved.
        self.assertEqual(ds.UltrasoundAcquisitionGeometry, "PATIENT")
        self.assertEqual(ds.VolumeToTransducerRelationship, "VARIABLE")
        for f, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
            np.testing.assert_allclose(group.PlanePositionSequence[0].ImagePositionPatient,
                                       group.PlanePositionVolumeSequence[0].ImagePositionVolume)

    def test_gdcm_scales_the_enhanced_us_volume_in_the_plane(self):
        self.write(made.picture(6, 20, 24))
        np.testing.assert_allclose(gdcminfo(FOLDER / "volume.eus.dcm")["Spacing"][:2], [0.4, 0.3])

    def test_nobody_is_named_and_the_bytes_are_the_same_each_time(self):
        self.write(made.picture(3, 20, 24))
        first = [(FOLDER / n).read_bytes() for n in ("volume.dcm", "volume.eus.dcm")]
        self.write(made.picture(3, 20, 24))
        self.assertEqual(first, [(FOLDER / n).read_bytes() for n in ("volume.dcm", "volume.eus.dcm")])
        uids = []
        for name in ("volume.dcm", "volume.eus.dcm"):
            ds = pydicom.dcmread(FOLDER / name)
            for key in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate",
                        "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"):
                self.assertIn(key, ds)
                self.assertFalse(ds[key].value, key)
            self.assertEqual(ds.PatientIdentityRemoved, "YES")
            self.assertIn("not for diagnosis", ds.ImageComments)
            for uid in (ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID):
                self.assertTrue(uid.is_valid and uid.startswith("2.25."))
            self.assertEqual(ds.file_meta.MediaStorageSOPInstanceUID, ds.SOPInstanceUID)
            uids.append((ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID))
        self.assertEqual(uids[0][2], uids[1][2])
        self.assertNotEqual(uids[0][:2], uids[1][:2])
        self.write(made.picture(3, 20, 24, seed=2))
        self.assertNotEqual(uids[0][0], pydicom.dcmread(FOLDER / "volume.dcm").SOPInstanceUID)

    def test_a_name_can_ask_for_the_enhanced_us_volume_alone(self):
        self.write(made.picture(3, 20, 24), "alone.eus.dcm")
        self.assertEqual(pydicom.dcmread(FOLDER / "alone.eus.dcm").SOPClassUID, made.EUS)
        self.assertFalse((FOLDER / "alone.eus.eus.dcm").exists())
        told = self.write(made.picture(3, 20, 24, 3), "colour.eus.dcm", status=1).stderr
        self.assertIn("8-bit grey", told)

    def test_voxels_that_dicom_cannot_hold_are_refused(self):
        told = self.write(made.picture(3, 20, 24).astype(np.float32), "float.dcm", status=1).stderr
        self.assertIn("f32", told)
        self.assertEqual(list(FOLDER.glob("float*")), [])


def recording(name, array, times, spacing="0.2 0.3 1", **more):
    fields = {"UltrasoundImageOrientation": "MFA", "ElementSpacing": spacing}
    for f, time_s in enumerate(times):
        if time_s is not None:
            fields[f"Seq_Frame{f:04d}_Timestamp"] = time_s
        fields[f"Seq_Frame{f:04d}_ImageStatus"] = "OK"
    return write_mha(name, array, **{**fields, **more})


class WritingCine(unittest.TestCase):
    times = [3, 3.0333333, 3.1, 3.125]

    def write(self, array, times=None, **more):
        run("convert", recording("in.mha", array, self.times if times is None else times, **more), FOLDER / "cine.dcm")
        return pydicom.dcmread(FOLDER / "cine.dcm")

    def test_a_scaled_recording_is_ultrasound_with_a_region(self):
        for channels in (1, 3):
            array = made.picture(4, 21, 23, channels)
            ds = self.write(array)
            self.assertEqual(ds.SOPClassUID, made.US_MULTI)
            region, = ds.SequenceOfUltrasoundRegions
            self.assertEqual((region.RegionSpatialFormat, region.RegionDataType), (1, 1))
            self.assertEqual((region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection), (3, 3))
            self.assertEqual((region.RegionLocationMinX0, region.RegionLocationMinY0,
                              region.RegionLocationMaxX1, region.RegionLocationMaxY1), (0, 0, 22, 20))
            np.testing.assert_allclose([region.PhysicalDeltaX, region.PhysicalDeltaY], [0.02, 0.03])
            np.testing.assert_array_equal(ds.pixel_array, array)
            subprocess.run(["dcmdump", "-q", str(FOLDER / "cine.dcm")], check=True, capture_output=True)
            self.assertEqual(gdcminfo(FOLDER / "cine.dcm")["Dimensions"], [23, 21, 4])

    def test_frame_times_do_not_drift(self):
        rng = np.random.default_rng(1)
        times = 100 + np.cumsum(rng.uniform(0.01, 0.04, 400))
        ds = self.write(made.picture(400, 4, 4), times)
        self.assertEqual(ds.FrameIncrementPointer, 0x00181065)
        found = np.cumsum(np.array(ds.FrameTimeVector, float)) / 1000
        # Written in whole microseconds.
        np.testing.assert_allclose(found, times - times[0], atol=0.51e-6)
        head, _ = convert(FOLDER / "cine.dcm", "back.mha")
        np.testing.assert_allclose(float(head["Seq_Frame0399_Timestamp"]), times[-1] - times[0],
                                   atol=0.51e-6)

    def test_thousands_of_frame_times_fit(self):
        times = np.arange(12000) * 0.0333333
        ds = self.write(made.picture(12000, 2, 2), times)
        self.assertEqual(len(ds.FrameTimeVector), 12000)
        self.assertEqual(len(convert(FOLDER / "cine.dcm", "back.mha")[1]), 12000)

    def test_without_spacing_or_with_deep_pixels_it_is_a_secondary_capture(self):
        ds = self.write(made.picture(4, 20, 24), spacing="1 1 1")
        self.assertTrue(ds.SOPClassUID.endswith("7.2"))
        self.assertNotIn("SequenceOfUltrasoundRegions", ds)
        self.assertEqual(info("cine.dcm")["spacing"], [1, 1])
        ds = self.write(made.picture(4, 20, 24, 1, 16))
        self.assertTrue(ds.SOPClassUID.endswith("7.3"))
        np.testing.assert_array_equal(ds.pixel_array, made.picture(4, 20, 24, 1, 16))

    def test_frames_without_times_are_pages(self):
        ds = self.write(made.picture(4, 20, 24), [None, 1, 2, 3])
        self.assertNotIn("FrameTimeVector", ds)
        self.assertEqual(ds.FrameIncrementPointer, 0x00182001)
        self.assertNotIn("Seq_Frame0001_Timestamp", convert(FOLDER / "cine.dcm", "back.mha")[0])

    def test_what_is_lost_is_said_before(self):
        path = recording("posed.mha", made.picture(2, 8, 8), [0, 1],
                         Seq_Frame0000_ProbeToTrackerTransform="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
                         Seq_Frame0000_ProbeToTrackerTransformStatus="OK")
        told = run("convert", path, FOLDER / "cine.dcm").stderr
        self.assertIn("ProbeToTracker", told)


class Broken(unittest.TestCase):
    def refused(self, name, *parts, code=1):
        told = run("convert", FOLDER / name, FOLDER / "never.mha", status=code).stderr
        self.assertIn(name, told)
        for part in parts:
            self.assertIn(part, told)
        self.assertFalse((FOLDER / "never.mha").exists())

    def changed(self, source, name, **more):
        ds = pydicom.dcmread(FOLDER / f"{source}.dcm")
        for key, value in more.items():
            if value is None:
                delattr(ds, key)
            else:
                setattr(ds, key, value)
        ds.save_as(FOLDER / name)
        return name

    def test_headers_that_lie_are_refused_with_what_was_found(self):
        self.refused(self.changed("grey", "a.dcm", NumberOfFrames=6), "6 frames", "18432", "15360")
        self.refused(self.changed("grey", "b.dcm", Rows=65535, Columns=65535), "65535")
        self.refused(self.changed("grey", "c.dcm", Rows=65535, Columns=4000, NumberOfFrames=9999999),
                     "9999999")
        self.refused(self.changed("grey", "d.dcm", NumberOfFrames=-1), "Number of Frames", "-1")
        self.refused(self.changed("grey", "e.dcm", Rows=None), "Rows", "missing")
        self.refused(self.changed("grey", "f.dcm", BitsAllocated=32), "32", "8 or 16")
        self.refused(self.changed("grey", "g.dcm", BitsStored=9), "Bits Stored")
        self.refused(self.changed("grey", "h.dcm", PhotometricInterpretation="HSV"), "HSV", "RGB")
        self.refused(self.changed("grey", "i.dcm", SamplesPerPixel=3), "MONOCHROME2 with 3 samples")
        self.refused(self.changed("grey", "j.dcm", PixelData=None), "no pixel data")
        self.refused(self.changed("grey_jpegls", "k.dcm", NumberOfFrames=50), "50 frames", "5")
        self.refused(self.changed("grey_jpegls", "l.dcm", Rows=20), "frame 0")
        self.refused(self.changed("grey_jpeg", "m.dcm", Rows=20), "frame 0")
        self.refused(self.changed("grey_j2k", "n.dcm", Rows=20), "64 x 48", "64 x 20")
        self.refused(self.changed("palette", "o.dcm", RedPaletteColorLookupTableData=b"ab"), "palette")

    def test_unknown_transfer_syntaxes_are_refused_by_name(self):
        for uid, part in (("1.2.840.10008.1.2.4.102", "H.264"), ("1.2.3.4.5", "1.2.3.4.5")):
            ds = pydicom.dcmread(FOLDER / "grey_jpegls.dcm")
            ds.file_meta.TransferSyntaxUID = uid
            ds.is_little_endian, ds.is_implicit_VR = True, False
            ds.save_as(FOLDER / "syntax.dcm")
            self.refused("syntax.dcm", part)

    def test_a_file_cut_off_anywhere_is_refused(self):
        for name in ("grey", "grey_jpegls", "grey_deflated", "grey_j2k", "eus"):
            whole = (FOLDER / f"{name}.dcm").read_bytes()
            for part in (0.1, 0.5, 0.97):
                (FOLDER / "cut-off.dcm").write_bytes(whole[:int(len(whole) * part)])
                with self.subTest(f"{name} {part}"):
                    self.refused("cut-off.dcm")

    def test_sequences_nested_without_end_do_not_break_the_program(self):
        head = (FOLDER / "still.dcm").read_bytes()
        start = 132 + 12 + int.from_bytes(head[140:144], "little")
        nested = b"\x08\x00\x11\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        (FOLDER / "deep-nest.dcm").write_bytes(head[:start] + nested * 400000)
        self.refused("deep-nest.dcm", "nested too deep")

    def test_an_existing_output_stays_when_the_input_is_bad(self):
        (FOLDER / "kept.dcm").write_bytes(b"old")
        run("convert", FOLDER / "a.dcm", FOLDER / "kept.dcm", status=1)
        self.assertEqual((FOLDER / "kept.dcm").read_bytes(), b"old")

    def test_a_missing_dictionary_is_named(self):
        done = subprocess.run([PROGRAM, "info", str(FOLDER / "grey.dcm")], capture_output=True, text=True,
                              env={**os.environ, "DCMDICTPATH": "/nowhere/dicom.dic"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("DCMDICTPATH", done.stderr)


if __name__ == "__main__":
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # outputs are synced to disk
    with tempfile.TemporaryDirectory(prefix="echosolid dicom ü ", dir=memory) as name:
        FOLDER = pathlib.Path(name)
        for make in (made.cine, made.scales, made.times, made.volumes, made.folders):
            make(FOLDER)
        result = unittest.main(exit=False, warnings="ignore").result
    sys.exit(0 if result.wasSuccessful() else 1)
