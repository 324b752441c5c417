/* Six B-spline patches as a MANIFOLD_SOLID_BREP of six faces, twelve edges and
 * eight vertices; each edge is the two faces' own row of controls. */
#include <math.h>

#include "step_file.h"

enum { SIZE_MAX_HERE = ES_CUBE_SIZE_MAX };

typedef struct cube_edge {
    uint32_t from, to; /* controls at its ends, the lower number first */
    uint32_t curve;    /* EDGE_CURVE */
} cube_edge;

typedef struct cube_writer {
    step_file *file;
    const es_spline_cube *cube;
    uint32_t *point, *vertex; /* entities of controls; 0: none yet */
    cube_edge edges[12];
    int edge_count;
} cube_writer;

/* "(4,1,...,1,4)" and the knots between 0 and 1. */
static void put_multiplicities(step_file *file, int size) {
    step_put(file, "(4");
    for (int k = 1; k < size - 3; k++) step_put(file, ",1");
    step_put(file, ",4)");
}

static void put_knots(step_file *file, int size) {
    char number[STEP_REAL_SIZE];
    for (int k = 0; k <= size - 3; k++)
        step_put(file, "%s%s", k ? "," : "(", step_real((double)k / (size - 3), number));
    step_put(file, ")");
}

static uint32_t vertex_of(cube_writer *w, uint32_t control) {
    if (w->vertex[control] == 0)
        w->vertex[control] = step_add(w->file, "VERTEX_POINT('',#%u)", w->point[control]);
    return w->vertex[control];
}

/* The controls of side k of a face, counter-clockwise seen from outside. */
static void side_of(const es_spline_cube *cube, int face, int k, uint32_t *side) {
    int last = cube->size - 1;
    for (int n = 0; n <= last; n++) {
        const int at[4][2] = {{n, 0}, {last, n}, {last - n, last}, {0, last - n}};
        side[n] = cube->index[(face * cube->size + at[k][0]) * cube->size + at[k][1]];
    }
}

static uint32_t write_curve(cube_writer *w, const uint32_t *side, bool turned) {
    int size = w->cube->size;
    uint32_t points[SIZE_MAX_HERE];
    for (int n = 0; n < size; n++) points[n] = w->point[side[turned ? size - 1 - n : n]];
    uint32_t from = vertex_of(w, side[turned ? size - 1 : 0]);
    uint32_t to = vertex_of(w, side[turned ? 0 : size - 1]);
    uint32_t curve = step_begin(w->file);
    step_put(w->file, "B_SPLINE_CURVE_WITH_KNOTS('',3,(");
    step_put_list(w->file, points, (size_t)size);
    step_put(w->file, "),.UNSPECIFIED.,.F.,.F.,");
    put_multiplicities(w->file, size);
    step_put(w->file, ",");
    put_knots(w->file, size);
    step_put(w->file, ",.UNSPECIFIED.");
    step_end(w->file);
    return step_add(w->file, "EDGE_CURVE('',#%u,#%u,#%u,.T.)", from, to, curve);
}

/* ORIENTED_EDGE of a side; its curve runs from the lower control to the higher. */
static uint32_t write_side(cube_writer *w, int face, int k) {
    uint32_t side[SIZE_MAX_HERE];
    side_of(w->cube, face, k, side);
    uint32_t a = side[0], b = side[w->cube->size - 1];
    bool turned = a > b;
    uint32_t from = turned ? b : a, to = turned ? a : b;
    int e = 0;
    while (e < w->edge_count && (w->edges[e].from != from || w->edges[e].to != to)) e++;
    if (e == w->edge_count)
        w->edges[w->edge_count++] = (cube_edge){from, to, write_curve(w, side, turned)};
    return step_add(w->file, "ORIENTED_EDGE('',*,*,#%u,.%c.)", w->edges[e].curve,
                    turned ? 'F' : 'T');
}

static uint32_t write_face(cube_writer *w, int face) {
    int size = w->cube->size;
    uint32_t points[SIZE_MAX_HERE], sides[4];
    uint32_t surface = step_begin(w->file);
    step_put(w->file, "B_SPLINE_SURFACE_WITH_KNOTS('',3,3,(");
    for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++)
            points[j] = w->point[w->cube->index[(face * size + i) * size + j]];
        step_put(w->file, i ? ",(" : "(");
        step_put_list(w->file, points, (size_t)size);
        step_put(w->file, ")");
    }
    step_put(w->file, "),.UNSPECIFIED.,.F.,.F.,.F.,");
    for (int way = 0; way < 2; way++, step_put(w->file, ",")) put_multiplicities(w->file, size);
    for (int way = 0; way < 2; way++, step_put(w->file, ",")) put_knots(w->file, size);
    step_put(w->file, ".UNSPECIFIED.");
    step_end(w->file);
    for (int k = 0; k < 4; k++) sides[k] = write_side(w, face, k);
    uint32_t loop = step_add(w->file, "EDGE_LOOP('',(#%u,#%u,#%u,#%u))", sides[0], sides[1],
                             sides[2], sides[3]);
    uint32_t bound = step_add(w->file, "FACE_OUTER_BOUND('',#%u,.T.)", loop);
    return step_add(w->file, "ADVANCED_FACE('',(#%u),#%u,.T.)", bound, surface);
}

static bool write_solid(cube_writer *w, const char *encoded, step_sum *sum) {
    uint32_t faces[6];
    for (size_t p = 0; p < w->cube->point_count; p++) {
        const double *at = w->cube->points + 3 * p;
        w->point[p] = step_point(w->file, "", es_vec3_make(at[0], at[1], at[2]));
    }
    for (int face = 0; face < 6; face++) faces[face] = write_face(w, face);
    uint32_t shell = step_add(w->file, "CLOSED_SHELL('',(#%u,#%u,#%u,#%u,#%u,#%u))", faces[0],
                              faces[1], faces[2], faces[3], faces[4], faces[5]);
    uint32_t solid = step_begin(w->file);
    step_put(w->file, "MANIFOLD_SOLID_BREP(");
    step_put_name(w->file, encoded, 0, 1);
    step_put(w->file, ",#%u", shell);
    step_end(w->file);
    sum->report.faces += 6;
    sum->report.edges += 12;
    sum->report.vertices += 8;
    return step_add_item(sum, solid, w->file->err);
}

static bool add_measures(const es_spline_cube *cube, step_sum *sum, es_error *err) {
    es_patches patches = {0};
    if (!es_spline_cube_patches(cube, &patches, err)) return false;
    es_patches_measure m = es_patches_measured(&patches);
    es_patches_clear(&patches);
    step_add_measures(sum, &m);
    if (m.volume_mm3 > 0) return true;
    return es_fail(err, ES_GEOMETRY, "six patches with their inside out (%g mm3)", m.volume_mm3);
}

bool step_write_cube(step_file *file, const es_spline_cube *cube, const char *encoded,
                     step_sum *sum) {
    cube_writer w = {.file = file, .cube = cube};
    w.point = es_alloc_zero(cube->point_count, sizeof *w.point, file->err);
    w.vertex = w.point ? es_alloc_zero(cube->point_count, sizeof *w.vertex, file->err) : NULL;
    bool ok = w.vertex && add_measures(cube, sum, file->err) && write_solid(&w, encoded, sum);
    es_free(w.point);
    es_free(w.vertex);
    return ok;
}
