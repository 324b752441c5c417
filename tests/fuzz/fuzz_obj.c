/* Any bytes as an OBJ: no crash, and what is read is a whole mesh. */
#include <stdlib.h>

#include "../../src/cad/mesh_file.h"
#include "echosolid/surface.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    es_mesh mesh;
    es_mesh_check check;
    if (cad_obj_parse((const char *)bytes, length, &mesh, NULL) &&
        !es_mesh_inspect(&mesh, &check, NULL))
        abort();
    es_mesh_clear(&mesh);
    return 0;
}
