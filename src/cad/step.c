/* STEP (ISO 10303-21): a file that CAD systems open as a solid.
 *
 * The text is a list of numbered entities: the product and its contexts, units
 * (millimetres) and uncertainty, then points, faces and shells, and last the
 * validation properties: volume, area and centroid as the writer knows them,
 * so that a reader can tell whether it understood. Sharing is everything: two
 * faces meet because they name the same points and edges, not because these
 * lie close. The bytes depend on the arguments alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "step_file.h"

typedef struct schema_words {
    const char *schema, *context, *protocol;
    int year;
} schema_words;

static const schema_words SCHEMAS[] = {
    [ES_STEP_AP214] = {"AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }",
                       "core data for automotive mechanical design processes", "automotive_design",
                       2000},
    [ES_STEP_AP203] = {"CONFIG_CONTROL_DESIGN", "config control design", "config_control_design",
                       1994},
    [ES_STEP_AP242] = {"AP242_MANAGED_MODEL_BASED_3D_ENGINEERING_MIM_LF { 1 0 10303 442 1 1 4 }",
                       "managed model based 3d engineering",
                       "ap242_managed_model_based_3d_engineering", 2014},
};

bool es_step_is_path(const char *path) {
    return es_has_suffix(path, ".step") || es_has_suffix(path, ".stp");
}

/* ---- checks ------------------------------------------------------------------------ */

static bool check_numbers(const es_mesh *mesh, es_error *err) {
    for (size_t i = 0; i < 3 * mesh->triangle_count; i++)
        if (mesh->triangles[i] >= mesh->vertex_count)
            return es_fail(err, ES_GEOMETRY, "triangle %zu: vertex %u, but there are %zu", i / 3,
                           mesh->triangles[i], mesh->vertex_count);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        if (!(fabs(mesh->vertices[i]) < 1e7))
            return es_fail(err, ES_GEOMETRY, "vertex %zu: %g mm is not a coordinate", i / 3,
                           (double)mesh->vertices[i]);
    return true;
}

typedef struct mesh_side {
    uint32_t low, high;
    int forward;
} mesh_side;

static int by_ends(const void *a, const void *b) {
    const mesh_side *p = a, *q = b;
    if (p->low != q->low) return p->low < q->low ? -1 : 1;
    return (p->high > q->high) - (p->high < q->high);
}

/* Each edge is used twice, in opposite senses. */
static bool check_closed(const es_mesh *mesh, es_error *err) {
    size_t count = 3 * mesh->triangle_count, open = 0, bad = 0;
    mesh_side *sides = es_alloc(count, sizeof *sides, err);
    if (!sides) return false;
    for (size_t h = 0; h < count; h++) {
        uint32_t a = mesh->triangles[h], b = mesh->triangles[h % 3 == 2 ? h - 2 : h + 1];
        sides[h] = a < b ? (mesh_side){a, b, 1} : (mesh_side){b, a, -1};
    }
    qsort(sides, count, sizeof *sides, by_ends);
    for (size_t i = 0, j; i < count; i = j) {
        int sum = 0;
        for (j = i; j < count && by_ends(&sides[i], &sides[j]) == 0; j++) sum += sides[j].forward;
        open += j - i == 1;
        bad += j - i != 1 && (j - i != 2 || sum != 0);
    }
    es_free(sides);
    if (open == 0 && bad == 0) return true;
    return es_fail(err, ES_GEOMETRY,
                   "a solid needs a closed mesh: %zu edges have one triangle only, %zu are used "
                   "more than twice or in one sense; thicken or close it first",
                   open, bad);
}

static bool check_mesh(const es_mesh *mesh, bool many, es_error *err) {
    size_t count = mesh->triangle_count;
    if (count == 0) return es_fail(err, ES_GEOMETRY, "the mesh has no triangles");
    if (count > ES_STEP_FACETS_MAX && !many)
        return es_fail(err, ES_UNSUPPORTED,
                       "%zu triangles as STEP facets: CAD systems take a minute for %d, and more "
                       "than in proportion for more (100000: 2.5 minutes and 1.5 GB); reduce the "
                       "mesh, write smooth faces, or force it",
                       count, ES_STEP_FACETS_MAX);
    if (count > UINT32_MAX / 16)
        return es_fail(err, ES_UNSUPPORTED, "%zu triangles: more than a file can number", count);
    return check_numbers(mesh, err) && check_closed(mesh, err);
}

static bool check_points(const double *points, size_t count, es_error *err) {
    for (size_t i = 0; i < 3 * count; i++)
        if (!(fabs(points[i]) < 1e7))
            return es_fail(err, ES_GEOMETRY, "control point %zu: %g mm is not a coordinate", i / 3,
                           points[i]);
    return true;
}

static bool check_planes(const es_patches *patches, es_error *err) {
    for (size_t p = 0; p < patches->plane_count; p++) {
        const es_patch_plane *plane = &patches->planes[p];
        double length = es_vec3_length(plane->normal);
        if (plane->count == 0 || !(fabs(length - 1) < 1e-6) || !check_points(&plane->at.x, 1, err))
            return es_fail(err, ES_GEOMETRY, "plane %zu has no ring, normal or place", p);
        for (size_t i = 0; i < plane->count; i++)
            if (patches->plane_sides[plane->first + i] >= 4 * patches->count)
                return es_fail(err, ES_GEOMETRY, "plane %zu: side %u, but there are %zu patches", p,
                               patches->plane_sides[plane->first + i], patches->count);
    }
    return true;
}

static bool check_patches(const es_patches *patches, es_error *err) {
    if (patches->count == 0) return es_fail(err, ES_GEOMETRY, "there are no patches");
    if (!check_points(patches->points, patches->point_count, err)) return false;
    for (size_t p = 0; p < patches->count; p++)
        for (int i = 0; i < (patches->patches[p].ruled ? 8 : 16); i++)
            if (patches->patches[p].point[i] >= patches->point_count)
                return es_fail(err, ES_GEOMETRY, "patch %zu: control point %u, but there are %zu",
                               p, patches->patches[p].point[i], patches->point_count);
    return check_planes(patches, err);
}

static bool check_cube(const es_spline_cube *cube, es_error *err) {
    size_t side = (size_t)cube->size;
    if (cube->size < 4 || cube->size > ES_CUBE_SIZE_MAX)
        return es_fail(err, ES_GEOMETRY, "a cube of %d controls a side: expected 4 to %d",
                       cube->size, ES_CUBE_SIZE_MAX);
    for (size_t i = 0; i < 6 * side * side; i++)
        if (cube->index[i] >= cube->point_count)
            return es_fail(err, ES_GEOMETRY, "control point %u, but there are %zu", cube->index[i],
                           cube->point_count);
    return check_points(cube->points, cube->point_count, err);
}

typedef enum body_kind { FACETS, CLOSED, OPEN, TESSELLATED } body_kind;

static body_kind kind_of(const es_step_body *body) {
    if (body->mesh) return body->tessellated ? TESSELLATED : FACETS;
    return body->open ? OPEN : CLOSED;
}

static bool check_body(const es_step_body *body, bool many, es_error *err) {
    if (body->cube) return check_cube(body->cube, err);
    if (body->patches) return check_patches(body->patches, err);
    return check_mesh(body->mesh, many || body->tessellated, err);
}

static bool check_bodies(const es_step_body *bodies, size_t count, const es_step_options *o,
                         es_error *err) {
    if (count == 0) return es_fail(err, ES_GEOMETRY, "there is no body to write");
    for (size_t b = 0; b < count; b++) {
        const es_step_body *body = &bodies[b];
        if (!!body->mesh + !!body->patches + !!body->cube != 1 ||
            kind_of(body) != kind_of(&bodies[0]) || (body->cube && body->open))
            return es_fail(err, ES_USAGE,
                           "body %zu: each is a mesh, patches or a closed cube, and all of a file "
                           "are alike",
                           b);
        if (kind_of(body) == TESSELLATED && o->schema != ES_STEP_AP242)
            return es_fail(err, ES_USAGE, "tessellated solids are part of AP242 only");
        if (!check_body(body, o->many_facets, err))
            return es_prefix(err, "%s", body->name ? body->name : "a body");
    }
    return true;
}

/* ---- the frame about the bodies ----------------------------------------------------- */

static bool put_header(step_file *file, const es_step_options *o, const char *name, es_error *err) {
    es_text words = {0};
    bool ok = step_string(o->description ? o->description : "", &words, err);
    if (ok) {
        step_put(file, "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION(('");
        es_text_add_bytes(&file->text, words.bytes, words.length);
        step_put(file, "'),'2;1');\nFILE_NAME('");
        es_text_add_bytes(&file->text, name, strlen(name));
        step_put(file, "','%s',(''),(''),'echosolid %s','echosolid','');\n",
                 o->time ? o->time : "1970-01-01T00:00:00+00:00", es_version());
        step_put(file, "FILE_SCHEMA(('%s'));\nENDSEC;\nDATA;\n", SCHEMAS[o->schema].schema);
    }
    es_text_free(&words);
    return ok;
}

typedef struct frame_numbers {
    uint32_t shape;   /* PRODUCT_DEFINITION_SHAPE */
    uint32_t length;  /* unit */
    uint32_t context; /* GEOMETRIC_REPRESENTATION_CONTEXT ... */
    uint32_t axes;    /* the origin's AXIS2_PLACEMENT_3D */
} frame_numbers;

static uint32_t put_product(step_file *file, es_step_schema schema, const char *name) {
    const schema_words *words = &SCHEMAS[schema];
    bool ap203 = schema == ES_STEP_AP203;
    uint32_t application = step_add(file, "APPLICATION_CONTEXT('%s')", words->context);
    step_add(file, "APPLICATION_PROTOCOL_DEFINITION('international standard','%s',%d,#%u)",
             words->protocol, words->year, application);
    uint32_t context = step_add(file, "PRODUCT_CONTEXT('',#%u,'mechanical')", application);
    uint32_t product = step_begin(file);
    step_put(file, "PRODUCT(");
    step_put_name(file, name, 0, 1);
    step_put(file, ",");
    step_put_name(file, name, 0, 1);
    step_put(file, ",'',(#%u)", context);
    step_end(file);
    step_add(file, "PRODUCT_RELATED_PRODUCT_CATEGORY('part',$,(#%u))", product);
    uint32_t formation =
        ap203
            ? step_add(file,
                       "PRODUCT_DEFINITION_FORMATION_WITH_SPECIFIED_SOURCE('','',#%u,.NOT_KNOWN.)",
                       product)
            : step_add(file, "PRODUCT_DEFINITION_FORMATION('','',#%u)", product);
    uint32_t view =
        ap203 ? step_add(file, "DESIGN_CONTEXT('',#%u,'design')", application)
              : step_add(file, "PRODUCT_DEFINITION_CONTEXT('part definition',#%u,'design')",
                         application);
    uint32_t definition =
        step_add(file, "PRODUCT_DEFINITION('design','',#%u,#%u)", formation, view);
    return step_add(file, "PRODUCT_DEFINITION_SHAPE('','',#%u)", definition);
}

static frame_numbers put_frame(step_file *file, es_step_schema schema, const char *name,
                               bool facets) {
    frame_numbers n = {.shape = put_product(file, schema, name)};
    n.length = step_add(file, "(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.))");
    uint32_t angle = step_add(file, "(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))");
    uint32_t solid = step_add(file, "(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())");
    uint32_t tight = step_add(file,
                              "UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(%s),#%u,"
                              "'distance_accuracy_value','edge and vertex coincidence')",
                              facets ? "0.001" : "0.0001", n.length);
    n.context = step_add(file,
                         "(GEOMETRIC_REPRESENTATION_CONTEXT(3)GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT"
                         "((#%u))GLOBAL_UNIT_ASSIGNED_CONTEXT((#%u,#%u,#%u))"
                         "REPRESENTATION_CONTEXT('','3D'))",
                         tight, n.length, angle, solid);
    uint32_t origin = step_point(file, "", es_vec3_make(0, 0, 0));
    uint32_t z = step_direction(file, es_vec3_make(0, 0, 1));
    uint32_t x = step_direction(file, es_vec3_make(1, 0, 0));
    n.axes = step_add(file, "AXIS2_PLACEMENT_3D('',#%u,#%u,#%u)", origin, z, x);
    return n;
}

static void put_shape(step_file *file, const frame_numbers *n, const char *name, body_kind kind,
                      const step_sum *sum) {
    static const char *const WORDS[] = {[FACETS] = "FACETED_BREP_SHAPE_REPRESENTATION(",
                                        [CLOSED] = "ADVANCED_BREP_SHAPE_REPRESENTATION(",
                                        [OPEN] = "MANIFOLD_SURFACE_SHAPE_REPRESENTATION(",
                                        [TESSELLATED] = "TESSELLATED_SHAPE_REPRESENTATION("};
    uint32_t shape = step_begin(file);
    step_put(file, "%s", WORDS[kind]);
    step_put_name(file, name, 0, 1);
    step_put(file, ",(#%u,", n->axes);
    step_put_list(file, sum->items, sum->item_count);
    step_put(file, "),#%u", n->context);
    step_end(file);
    step_add(file, "SHAPE_DEFINITION_REPRESENTATION(#%u,#%u)", n->shape, shape);
}

static void put_property(step_file *file, const frame_numbers *n, const char *name, uint32_t item) {
    uint32_t property = step_add(
        file, "PROPERTY_DEFINITION('geometric validation property','%s',#%u)", name, n->shape);
    uint32_t value = step_add(file, "REPRESENTATION('%s',(#%u),#%u)", name, item, n->context);
    step_add(file, "PROPERTY_DEFINITION_REPRESENTATION(#%u,#%u)", property, value);
}

static void put_measure(step_file *file, const frame_numbers *n, const char *words[3], int exponent,
                        double value) {
    char number[STEP_REAL_SIZE];
    uint32_t element = step_add(file, "DERIVED_UNIT_ELEMENT(#%u,%d.)", n->length, exponent);
    uint32_t unit = step_add(file, "DERIVED_UNIT((#%u))", element);
    uint32_t item = step_add(file, "MEASURE_REPRESENTATION_ITEM('%s',%s(%s),#%u)", words[1],
                             words[2], step_real(value, number), unit);
    put_property(file, n, words[0], item);
}

static void put_properties(step_file *file, const frame_numbers *n, const es_step_report *r) {
    put_measure(file, n, (const char *[]){"surface area", "surface area measure", "AREA_MEASURE"},
                2, r->area_mm2);
    if (r->solids == 0) return;
    put_measure(file, n, (const char *[]){"volume", "volume measure", "VOLUME_MEASURE"}, 3,
                r->volume_mm3);
    put_property(file, n, "centroid", step_point(file, "centre point", r->centroid));
}

/* ---- the whole ------------------------------------------------------------------------ */

/* A copy, to the file's digits. */
static double *round_points(const double *points, size_t count, es_error *err) {
    double *rounded = es_alloc(count, 3 * sizeof(double), err);
    for (size_t i = 0; rounded && i < 3 * count; i++) rounded[i] = round(points[i] * 1e5) / 1e5;
    return rounded;
}

static es_vec3 onto(const es_patch_plane *plane, es_vec3 p) {
    double off = es_vec3_dot(es_vec3_sub(p, plane->at), plane->normal);
    return es_vec3_sub(p, es_vec3_scale(plane->normal, off));
}

/* Points on the ring of a plane go back to it: an edge lies in its faces. */
static void flatten(const es_patches *patches, double *points) {
    for (size_t p = 0; p < patches->plane_count; p++) {
        const es_patch_plane *plane = &patches->planes[p];
        for (size_t i = 0; i < plane->count; i++) {
            uint32_t side = patches->plane_sides[plane->first + i], along[4];
            int count = es_patch_side(&patches->patches[side / 4], (int)(side % 4), along);
            for (int k = 0; k < count; k++) {
                double *at = points + 3 * (size_t)along[k];
                es_vec3 flat = onto(plane, es_vec3_make(at[0], at[1], at[2]));
                memcpy(at, (double[]){flat.x, flat.y, flat.z}, 3 * sizeof *at);
            }
        }
    }
}

static bool put_rounded_patches(step_file *file, const es_step_body *body, const char *name,
                                step_sum *sum) {
    es_patches rounded = *body->patches;
    rounded.points = round_points(rounded.points, rounded.point_count, file->err);
    if (rounded.points) flatten(&rounded, rounded.points);
    bool ok = rounded.points && step_write_patches(file, &rounded, body->open, name, sum);
    es_free(rounded.points);
    return ok;
}

static bool put_rounded_cube(step_file *file, const es_spline_cube *cube, const char *name,
                             step_sum *sum) {
    es_spline_cube rounded = *cube;
    rounded.points = round_points(cube->points, cube->point_count, file->err);
    bool ok = rounded.points && step_write_cube(file, &rounded, name, sum);
    es_free(rounded.points);
    return ok;
}

static bool put_shape_of(step_file *file, const es_step_body *body, const char *name,
                         step_sum *sum) {
    if (body->cube) return put_rounded_cube(file, body->cube, name, sum);
    if (body->patches) return put_rounded_patches(file, body, name, sum);
    if (body->tessellated) return step_write_tessellated(file, body->mesh, name, sum);
    return step_write_mesh(file, body->mesh, name, sum);
}

static bool put_body(step_file *file, const es_step_body *body, step_sum *sum) {
    es_text name = {0};
    bool ok = step_string(body->name ? body->name : "bone", &name, file->err);
    if (ok && name.length > 800) /* as STEP text; an entity is made in a buffer of fixed size */
        ok = es_fail(file->err, ES_USAGE, "a name of %zu characters is too long", name.length);
    ok = ok && put_shape_of(file, body, name.bytes, sum);
    es_text_free(&name);
    return ok;
}

static bool put_all(step_file *file, const es_step_body *bodies, size_t count,
                    const es_step_options *o, step_sum *sum) {
    es_text name = {0};
    bool ok = step_string(o->name ? o->name : "bone", &name, file->err);
    if (ok && name.length > 800)
        ok = es_fail(file->err, ES_USAGE, "a name of %zu characters is too long", name.length);
    ok = ok && put_header(file, o, name.bytes, file->err);
    if (ok) {
        frame_numbers n = put_frame(file, o->schema, name.bytes, bodies[0].mesh != NULL);
        for (size_t b = 0; b < count && ok; b++) ok = put_body(file, &bodies[b], sum);
        es_step_report *r = &sum->report;
        double volume = r->volume_mm3;
        if (ok && volume > 0)
            r->centroid = es_vec3_make(sum->moment[0] / volume, sum->moment[1] / volume,
                                       sum->moment[2] / volume);
        put_shape(file, &n, name.bytes, kind_of(&bodies[0]), sum);
        put_properties(file, &n, r);
        step_put(file, "ENDSEC;\nEND-ISO-10303-21;\n");
    }
    es_text_free(&name);
    return step_flush(file) && ok;
}

bool es_step_write(const char *path, const es_step_body *bodies, size_t count,
                   const es_step_options *options, es_step_report *report, es_error *err) {
    static const es_step_options plain = {0};
    const es_step_options *o = options ? options : &plain;
    es_error own = {0};
    es_error *told = err ? err : &own;
    if (!es_step_is_path(path))
        return es_fail(err, ES_UNSUPPORTED, "%s: not STEP by its name; call it .step or .stp",
                       path);
    if (!check_bodies(bodies, count, o, told)) return es_prefix(err, "%s", path);
    step_file file = {.out = es_output_open(path, err), .err = told};
    step_sum sum = {0};
    if (!file.out) return false;
    bool ok = put_all(&file, bodies, count, o, &sum);
    sum.report.bytes = es_output_position(file.out);
    if (ok) {
        ok = es_output_commit(file.out, err);
        if (ok && report) *report = sum.report;
    } else {
        es_output_discard(file.out);
        if (told->code != ES_IO) es_prefix(err, "%s", path); /* else it names the file */
    }
    es_free(sum.items);
    es_text_free(&file.text);
    return ok;
}
