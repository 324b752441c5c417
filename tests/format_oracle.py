"""Prints what VTK reads of a MetaImage or NIfTI volume, for test_format_grid:
size, spacing, origin as VTK has it, the qform and sform of NIfTI, and every
component of every voxel, x fastest. Exit status 77: no VTK here."""
import sys

try:
    from vtkmodules.vtkIOImage import vtkMetaImageReader, vtkNIFTIImageReader
except ImportError:
    sys.exit(77)

path = sys.argv[1]
reader = {
    "mha": vtkMetaImageReader,
    "mhd": vtkMetaImageReader,
    "nii": vtkNIFTIImageReader,
    "gz": vtkNIFTIImageReader,
}[path.rsplit(".", 1)[1]]()
reader.SetFileName(path)
reader.Update()
image = reader.GetOutput()
print("size", *image.GetDimensions())
print("spacing", *image.GetSpacing())
print("origin", *image.GetOrigin())
for name in ("QFormMatrix", "SFormMatrix"):
    get = getattr(reader, "Get" + name, None)
    if get and get():
        print(name, *[get().GetElement(row, column) for row in range(3) for column in range(4)])
scalars = image.GetPointData().GetScalars()
print("values", *[
    scalars.GetComponent(i, c)
    for i in range(scalars.GetNumberOfTuples())
    for c in range(scalars.GetNumberOfComponents())
])
