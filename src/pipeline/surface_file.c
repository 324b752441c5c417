/* A surface as a file of any kind: the meshes of cad, and STL inside DICOM. */
#include "echosolid/format.h"
#include "echosolid/solid.h"

static bool is_dicom(const char *path) { return es_has_suffix(path, ".dcm"); }

bool es_surface_can_write(const char *path, es_error *err) {
    if (is_dicom(path) || es_mesh_can_write(path, err)) return true;
    return es_prefix(err, "neither DICOM (.dcm)");
}

bool es_surface_write(const char *path, const es_mesh *mesh, const es_mesh_write_options *options,
                      es_error *err) {
    size_t length;
    if (!is_dicom(path)) return es_mesh_write(path, mesh, options, err);
    const char *title = options && options->title ? options->title : "";
    void *stl = es_mesh_stl(mesh, title, &length, err);
    if (!stl) return es_prefix(err, "%s", path);
    bool ok = es_dicom_stl_write(path, stl, length, title, err);
    es_free(stl);
    return ok;
}
