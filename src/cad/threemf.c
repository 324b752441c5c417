/* 3MF (3D Manufacturing Format, core specification 1.2), a zip of XML: what
 * slicers read best, for it carries the unit and shares vertices by number.
 *
 * One object of type "model", which the specification wants closed and oriented;
 * an open sheet is written as "surface". Dates in the zip are fixed, so equal
 * meshes give equal bytes. */
#include <string.h>
#include <zip.h>

#include "mesh_file.h"

static const char TYPES[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">"
    "<Default Extension=\"rels\" "
    "ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
    "<Default Extension=\"model\" "
    "ContentType=\"application/vnd.ms-package.3dmanufacturing-3dmodel+xml\"/></Types>\n";
static const char RELATIONS[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
    "<Relationship Target=\"/3D/3dmodel.model\" Id=\"model\" "
    "Type=\"http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel\"/></Relationships>\n";

static void add_escaped(es_text *xml, const char *text) {
    for (; *text; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                                            : NULL;
        es_text_add(xml, "%.*s", entity ? 5 : 1, entity ? entity : text);
    }
}

static void add_numbers(es_text *xml, const es_mesh *mesh) {
    char x[ES_NUMBER_SIZE], y[ES_NUMBER_SIZE], z[ES_NUMBER_SIZE];
    es_text_add(xml, "<vertices>\n");
    for (size_t v = 0; v < mesh->vertex_count && !xml->failed; v++) {
        const float *at = mesh->vertices + 3 * v;
        es_text_add(xml, "<vertex x=\"%s\" y=\"%s\" z=\"%s\"/>\n", cad_format_float(at[0], x),
                    cad_format_float(at[1], y), cad_format_float(at[2], z));
    }
    es_text_add(xml, "</vertices><triangles>\n");
    for (size_t t = 0; t < mesh->triangle_count && !xml->failed; t++) {
        const uint32_t *k = mesh->triangles + 3 * t;
        es_text_add(xml, "<triangle v1=\"%u\" v2=\"%u\" v3=\"%u\"/>\n", k[0], k[1], k[2]);
    }
    es_text_add(xml, "</triangles>");
}

static void add_model(es_text *xml, const es_mesh *mesh, const es_mesh_write_options *options) {
    char title[160];
    cad_title(options, title, sizeof title);
    es_text_add(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<model unit=\"millimeter\" "
                     "xml:lang=\"en-US\" "
                     "xmlns=\"http://schemas.microsoft.com/3dmanufacturing/core/2015/02\">"
                     "<metadata name=\"Title\">bone</metadata><metadata name=\"Description\">");
    add_escaped(xml, title);
    es_text_add(xml, "</metadata><resources><object id=\"1\" name=\"bone\" type=\"%s\"><mesh>",
                options->open ? "surface" : "model");
    add_numbers(xml, mesh);
    es_text_add(xml, "</mesh></object></resources><build><item objectid=\"1\"/></build></model>\n");
}

static bool add_file(zip_t *zip, const char *name, const void *bytes, size_t length) {
    enum { START_OF_1980 = 0x21 };
    zip_source_t *source = zip_source_buffer(zip, bytes, length, 0);
    zip_int64_t index = source ? zip_file_add(zip, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (source && index < 0) zip_source_free(source);
    return index >= 0 && zip_file_set_dostime(zip, (zip_uint64_t)index, 0, START_OF_1980, 0) == 0;
}

/* The archive is made in memory: libzip writes files of its own otherwise. */
static bool make_archive(zip_source_t *archive, const es_text *model, es_error *err) {
    zip_error_t reason = {0};
    zip_t *zip = zip_open_from_source(archive, ZIP_TRUNCATE, &reason);
    if (!zip) {
        es_fail(err, ES_MEMORY, "the 3MF archive cannot be made: %s", zip_error_strerror(&reason));
        zip_error_fini(&reason);
        return false;
    }
    zip_source_keep(archive); /* closing frees one hold */
    bool ok = add_file(zip, "[Content_Types].xml", TYPES, sizeof TYPES - 1) &&
              add_file(zip, "_rels/.rels", RELATIONS, sizeof RELATIONS - 1) &&
              add_file(zip, "3D/3dmodel.model", model->bytes, model->length) && zip_close(zip) == 0;
    if (ok) return true;
    es_fail(err, ES_MEMORY, "the 3MF archive cannot be made: %s", zip_strerror(zip));
    zip_discard(zip);
    return false;
}

static bool copy_archive(es_output *out, zip_source_t *archive, es_error *err) {
    char block[1 << 16];
    zip_int64_t count = 0;
    if (zip_source_open(archive) != 0)
        return es_fail(err, ES_MEMORY, "the 3MF archive cannot be read back");
    bool ok = true;
    while (ok && (count = zip_source_read(archive, block, sizeof block)) > 0)
        ok = es_output_write(out, block, (size_t)count, err);
    zip_source_close(archive);
    return ok && (count == 0 || es_fail(err, ES_MEMORY, "the 3MF archive cannot be read back"));
}

bool cad_3mf_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err) {
    es_text model = {0};
    add_model(&model, mesh, options);
    zip_source_t *archive = model.failed ? NULL : zip_source_buffer_create(NULL, 0, 0, NULL);
    bool ok = (archive || es_fail(err, ES_MEMORY, "out of memory")) &&
              make_archive(archive, &model, err) && copy_archive(out, archive, err);
    if (archive) zip_source_free(archive);
    es_text_free(&model);
    return ok;
}
