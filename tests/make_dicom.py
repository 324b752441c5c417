#!/usr/bin/env python3
"""Writes DICOM files with known pixels for the tests: make_dicom.py FOLDER.

Nothing here comes from a scanner. The pictures are made from a seed, so that a
test can make them again (picture()) and compare. Transfer syntaxes that pydicom
does not write are made by DCMTK's and GDCM's own programs from these files."""
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian,
                         ExplicitVRLittleEndian, ImplicitVRLittleEndian)

US, US_MULTI, SC = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.7"
EUS, CT = "1.2.840.10008.5.1.4.1.1.6.2", "1.2.840.10008.5.1.4.1.1.2"
SECRET = "Doe^Jane"  # must never come out again


def picture(frames, rows, columns, channels=1, bits=8, seed=1):
    """Smooth with edges, so that lossy coding stays close and every pixel has its own value."""
    f, v, u, c = np.meshgrid(np.arange(frames), np.arange(rows), np.arange(columns),
                             np.arange(channels), indexing="ij")
    wave = np.sin(u / (5 + seed) + f) + np.cos(v / 7 - c) + ((u // 8 + v // 8 + f) % 2) * 0.5
    low, high = wave.min(), wave.max()
    values = (wave - low) / (high - low) * (2**bits - 1)
    values = np.rint(values).astype(np.uint8 if bits <= 8 else np.uint16)
    return values if channels > 1 else values[..., 0]


def region(x0, y0, x1, y1, dx_cm, dy_cm, kind=1, units=3):
    r = Dataset()
    r.RegionSpatialFormat, r.RegionDataType, r.RegionFlags = 1, kind, 0
    r.RegionLocationMinX0, r.RegionLocationMinY0 = x0, y0
    r.RegionLocationMaxX1, r.RegionLocationMaxY1 = x1, y1
    r.ReferencePixelX0, r.ReferencePixelY0 = (x1 - x0) // 2, 0
    r.PhysicalUnitsXDirection = r.PhysicalUnitsYDirection = units
    r.PhysicalDeltaX, r.PhysicalDeltaY = dx_cm, dy_cm
    return r


def dataset(pixels, sop=US_MULTI, bits=None, photometric=None):
    """pixels: frames, rows, columns[, 3]."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop, pydicom.uid.generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = SECRET, "SECRET-42", "19700101"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "Example", "Model 7"
    ds.TransducerData = "C5-2R60S-3"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    ds.PhotometricInterpretation = photometric or ("RGB" if pixels.ndim == 4 else "MONOCHROME2")
    if pixels.ndim == 4:
        ds.PlanarConfiguration = 0
    if pixels.shape[0] > 1:
        ds.NumberOfFrames = pixels.shape[0]
        ds.FrameIncrementPointer = 0x00181063
        ds.FrameTime = 40
    ds.Rows, ds.Columns = pixels.shape[1:3]
    ds.BitsAllocated = 8 * pixels.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    return ds


def save(ds, path, syntax=ExplicitVRLittleEndian):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationVersionName = "MAKE_DICOM"
    ds.file_meta = meta
    ds.is_little_endian = syntax != ExplicitVRBigEndian
    ds.is_implicit_VR = syntax == ImplicitVRLittleEndian
    if ds.BitsAllocated == 16:
        ds["PixelData"].VR = "OW"
        if not ds.is_little_endian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.save_as(path, write_like_original=False)


def tool(*command):
    """Runs a program of DCMTK or GDCM; its absence or refusal is an error of the test."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr or done.stdout}")


CODINGS = {  # name, program, options
    "rle": ("dcmcrle", []), "jpeg": ("dcmcjpeg", ["+eb", "+q", "95"]),
    "jpeglossless": ("dcmcjpeg", ["+e1"]), "jpegls": ("dcmcjpls", []),
    "jpeglsnear": ("dcmcjpls", ["+en", "+md", "2"]), "j2k": ("gdcmconv", ["--j2k"]),
    "j2klossy": ("gdcmconv", ["--j2k", "--lossy", "-q", "60"]),
}


def codings(folder, name):
    """Every transfer syntax of a native file: name_rle.dcm and so on."""
    source = folder / f"{name}.dcm"
    ds = pydicom.dcmread(source)
    for suffix, syntax in (("implicit", ImplicitVRLittleEndian), ("big", ExplicitVRBigEndian),
                           ("deflated", DeflatedExplicitVRLittleEndian)):
        ds.PixelData = pydicom.dcmread(source).PixelData
        save(ds, folder / f"{name}_{suffix}.dcm", syntax)
    for suffix, (program, options) in CODINGS.items():
        if suffix == "jpeg" and ds.BitsStored > 8:
            continue  # baseline has 8 bits
        tool(program, *options, source, folder / f"{name}_{suffix}.dcm")


def cine(folder):
    for name, channels, bits, size in (("grey", 1, 8, (5, 48, 64)), ("odd", 1, 8, (3, 33, 35)),
                                       ("rgb", 3, 8, (4, 48, 64)), ("deep", 1, 12, (3, 40, 32))):
        save(dataset(picture(*size, channels, bits), bits=bits if bits > 8 else None),
             folder / f"{name}.dcm")
        codings(folder, name)
    grey = picture(4, 24, 32)
    save(dataset(grey, photometric="MONOCHROME1"), folder / "inverse.dcm")
    rgb = picture(2, 24, 32, 3)
    ds = dataset(rgb)
    ds.PlanarConfiguration = 1
    ds.PixelData = np.moveaxis(rgb, 3, 1).tobytes()
    save(ds, folder / "planar.dcm")
    save(dataset(rgb, photometric="YBR_FULL"), folder / "ybr.dcm")
    ds = dataset(rgb, photometric="YBR_FULL_422")
    pairs = rgb.reshape(2, 24, 16, 2, 3)
    ds.PixelData = np.stack([pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1],
                             pairs[..., 0, 2]], -1).tobytes()
    save(ds, folder / "ybr422.dcm")
    ds = dataset(picture(1, 24, 32), sop=US)
    save(ds, folder / "still.dcm")
    raw = (folder / "still.dcm").read_bytes()
    meta = 132 + 12 + int.from_bytes(raw[140:144], "little")
    (folder / "headerless.dcm").write_bytes(raw[meta:])
    for name, bits in (("palette", 16), ("palette8", 8)):
        save(palette(dataset(picture(2, 24, 32)), bits), folder / f"{name}.dcm")


def table(k):
    """The palette's entry for each index, 8 bits: colour k."""
    return (np.arange(256) * (k + 1) * 37 % 256).astype(np.uint8)


def palette(ds, bits):
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for k, colour in enumerate(("Red", "Green", "Blue")):
        words = table(k).astype("<u2") << 8 if bits == 16 else table(k)
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(ds, f"{colour}PaletteColorLookupTableData", words.tobytes())
    return ds


def scales(folder):
    def with_regions(name, *regions, **more):
        ds = dataset(picture(3, 60, 80))
        ds.SequenceOfUltrasoundRegions = Sequence(regions)
        for key, value in more.items():
            setattr(ds, key, value)
        save(ds, folder / f"{name}.dcm")
    with_regions("one", region(0, 0, 79, 59, 0.025126, 0.025641), PixelSpacing=["0.3", "0.4"],
                 DepthOfScanField=150)
    with_regions("cut", region(10, 5, 69, 54, 0.03, 0.03))
    with_regions("exclusive", region(10, 5, 80, 60, 0.03, 0.03))
    with_regions("outside", region(10, 5, 200, 54, 0.03, 0.03))
    with_regions("seconds", region(0, 0, 79, 59, 0.03, 0.03, units=4))
    with_regions("zero", region(0, 0, 79, 59, 0.0, 0.03))
    with_regions("dual", region(0, 0, 39, 59, 0.03, 0.03), region(40, 0, 79, 59, 0.02, 0.02))
    with_regions("flow", region(10, 5, 69, 54, 0.03, 0.03), region(20, 10, 50, 40, 0.03, 0.03, kind=2))
    ds = dataset(picture(3, 60, 80))
    ds.PixelSpacing = ["0.3", "0.4"]
    save(ds, folder / "pixelspacing.dcm")


def times(folder):
    base = picture(4, 16, 16)
    ds = dataset(base)
    ds.FrameIncrementPointer, ds.FrameTimeVector = 0x00181065, [0, 30, 45.5, 25]
    del ds.FrameTime
    save(ds, folder / "vector.dcm")
    ds.FrameTimeVector = [0, 30]
    save(ds, folder / "shortvector.dcm")
    del ds.FrameTimeVector, ds.FrameIncrementPointer
    ds.CineRate = 20
    save(ds, folder / "cinerate.dcm")
    del ds.CineRate
    save(ds, folder / "untimed.dcm")


def volume(size, sop, spacing, origin, axes):
    """Functional groups as the standard has them for volumes."""
    eus = sop == EUS
    ds = dataset(picture(*size), sop=sop)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing[1], spacing[0]], spacing[2]
    shared.PixelMeasuresSequence = [measures]
    if eus:
        plane.ImageOrientationVolume = axes[0] + axes[1]
        shared.PlaneOrientationVolumeSequence = [plane]
    else:
        plane.ImageOrientationPatient = axes[0] + axes[1]
        shared.PlaneOrientationSequence = [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for z in range(size[0]):
        frame, place = Dataset(), Dataset()
        position = [o + z * spacing[2] * a for o, a in zip(origin, axes[2])]
        if eus:
            place.ImagePositionVolume = position
            frame.PlanePositionVolumeSequence = [place]
        else:
            place.ImagePositionPatient = [f"{p:.6f}" for p in position]
            frame.PlanePositionSequence = [place]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    return ds


def volumes(folder):
    axes = ([0, 1, 0], [0, 0, -1], [-1, 0, 0])
    spacing, origin = (0.4, 0.3, 0.5), (10, -20, 30)
    save(volume((6, 20, 24), EUS, spacing, origin, axes), folder / "eus.dcm")
    save(volume((6, 20, 24), "1.2.840.10008.5.1.4.1.1.7.2", spacing, origin, axes),
         folder / "groups.dcm")
    ds = volume((6, 20, 24), EUS, spacing, origin, axes)
    del ds.PerFrameFunctionalGroupsSequence[3].PlanePositionVolumeSequence
    save(ds, folder / "unplaced.dcm")
    for name, skip in (("ct", None), ("gap", 3)):
        (folder / name).mkdir()
        pixels = picture(6, 20, 24, 1, 12)
        for z in range(6):
            if z == skip:
                continue
            ds = dataset(pixels[z:z + 1], sop=CT)
            ds.Modality, ds.RescaleSlope, ds.RescaleIntercept = "CT", 1, -1024
            ds.InstanceNumber = 10 - z  # against the order of the places
            ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.3, 0.4]
            ds.ImagePositionPatient = [1, 2, 3 + 1.5 * z]
            save(ds, folder / name / f"{'cab'[z % 3]}{z}.dcm")


def stills(folder, name, counts, sizes=((16, 24),)):
    """A folder of single pictures, a series for each count."""
    (folder / name).mkdir()
    for s, count in enumerate(counts, 1):
        for i in range(count):
            ds = dataset(picture(1, *sizes[i % len(sizes)], seed=s * 10 + i), sop=US)
            ds.SeriesInstanceUID, ds.SeriesNumber = f"1.2.3.4.5.{s}", s
            ds.InstanceNumber = count - i
            ds.AcquisitionTime = f"12{count - i:02d}00.5"
            save(ds, folder / name / f"im {s} ü{i}.dcm")


def folders(folder):
    stills(folder, "series", [4])
    (folder / "series" / "notes.txt").write_text("no picture\n")
    stills(folder, "two", [3, 2])
    stills(folder, "mixed", [2], ((16, 24), (16, 32)))
    (folder / "empty").mkdir()
    shutil.copytree(folder / "series", folder / "disk" / "IMAGES")
    for i, path in enumerate(sorted((folder / "disk" / "IMAGES").glob("*.dcm"))):
        path.rename(path.with_name(f"IM{i}"))
    (folder / "disk" / "IMAGES" / "notes.txt").unlink()
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.1.3.10", pydicom.uid.generate_uid()
    ds.FileSetID, ds.BitsAllocated = "DISK", 8
    ds.DirectoryRecordSequence = []
    for i in range(4):
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["IMAGES", f"IM{i}"]
        ds.DirectoryRecordSequence.append(record)
    save(ds, folder / "disk" / "DICOMDIR")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for make in (cine, scales, times, volumes, folders):
        make(folder)


if __name__ == "__main__":
    main()
