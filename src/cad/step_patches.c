/* Patches as spline faces, their planes as PLANEs: MANIFOLD_SOLID_BREP where they close, else a
 * SHELL_BASED_SURFACE_MODEL. Each control point, edge curve and vertex is one
 * entity that the neighbours share; the curves are the patches' own boundaries,
 * so that no tolerance is needed. */
#include <math.h>

#include "step_file.h"

typedef struct patch_writer {
    step_file *file;
    const es_patches *patches;
    es_patch_edges edges;
    uint32_t *point, *vertex; /* entities of control points; 0: none yet */
    uint32_t *curve;          /* EDGE_CURVE of an edge; 0: none yet */
    uint32_t *faces, *ring;
    step_sum *sum;
} patch_writer;

static uint32_t point_of(patch_writer *w, uint32_t point) {
    const double *p = w->patches->points + 3 * (size_t)point;
    if (w->point[point] == 0)
        w->point[point] = step_point(w->file, "", es_vec3_make(p[0], p[1], p[2]));
    return w->point[point];
}

static uint32_t vertex_of(patch_writer *w, uint32_t point) {
    if (w->vertex[point] == 0) {
        uint32_t at = point_of(w, point);
        w->vertex[point] = step_add(w->file, "VERTEX_POINT('',#%u)", at);
        w->sum->report.vertices++;
    }
    return w->vertex[point];
}

static es_vec3 control_point(const es_patches *patches, uint32_t point) {
    const double *p = patches->points + 3 * (size_t)point;
    return es_vec3_make(p[0], p[1], p[2]);
}

static uint32_t write_line(patch_writer *w, const es_patch_edge *edge) {
    es_vec3 way = es_vec3_sub(control_point(w->patches, edge->point[1]),
                              control_point(w->patches, edge->point[0]));
    uint32_t start = point_of(w, edge->point[0]);
    uint32_t direction = step_direction(w->file, es_vec3_unit(way));
    uint32_t vector = step_add(w->file, "VECTOR('',#%u,1.)", direction);
    return step_add(w->file, "LINE('',#%u,#%u)", start, vector);
}

static uint32_t write_spline(patch_writer *w, const es_patch_edge *edge) {
    uint32_t p[4];
    for (int i = 0; i < 4; i++) p[i] = point_of(w, edge->point[i]);
    return step_add(w->file,
                    "B_SPLINE_CURVE_WITH_KNOTS('',3,(#%u,#%u,#%u,#%u),.UNSPECIFIED.,.F.,.F.,"
                    "(4,4),(0.,1.),.UNSPECIFIED.)",
                    p[0], p[1], p[2], p[3]);
}

static uint32_t edge_of(patch_writer *w, uint32_t number) {
    const es_patch_edge *edge = &w->edges.edges[number];
    if (w->curve[number] == 0) {
        uint32_t from = vertex_of(w, edge->point[0]);
        uint32_t to = vertex_of(w, edge->point[edge->points - 1]);
        uint32_t curve = edge->points == 2 ? write_line(w, edge) : write_spline(w, edge);
        w->curve[number] = step_add(w->file, "EDGE_CURVE('',#%u,#%u,#%u,.T.)", from, to, curve);
        w->sum->report.edges++;
    }
    return w->curve[number];
}

static uint32_t write_surface(patch_writer *w, const es_patch *patch) {
    int columns = patch->ruled ? 2 : 4;
    uint32_t p[16];
    for (int i = 0; i < 4 * columns; i++) p[i] = point_of(w, patch->point[i]);
    uint32_t number = step_begin(w->file);
    step_put(w->file, "B_SPLINE_SURFACE_WITH_KNOTS('',3,%d,(", columns - 1);
    for (int i = 0; i < 4; i++) {
        step_put(w->file, i ? ",(" : "(");
        step_put_list(w->file, p + columns * i, (size_t)columns);
        step_put(w->file, ")");
    }
    step_put(w->file, "),.%s.,.F.,.F.,.F.,(4,4),(%s),(0.,1.),(0.,1.),.UNSPECIFIED.",
             patch->ruled ? "RULED_SURF" : "UNSPECIFIED", patch->ruled ? "2,2" : "4,4");
    step_end(w->file);
    return number;
}

/* Side `number` as the patch walks it, or the other way round. */
static uint32_t write_side(patch_writer *w, uint32_t number, bool back) {
    uint32_t side[4], curve = edge_of(w, w->edges.of_side[number]);
    int count = es_patch_side(&w->patches->patches[number / 4], (int)(number % 4), side);
    bool up = side[0] < side[count - 1];
    return step_add(w->file, "ORIENTED_EDGE('',*,*,#%u,.%c.)", curve, up != back ? 'T' : 'F');
}

static uint32_t write_bounded(patch_writer *w, const uint32_t *oriented, size_t count,
                              uint32_t surface) {
    uint32_t loop = step_begin(w->file);
    step_put(w->file, "EDGE_LOOP('',(");
    step_put_list(w->file, oriented, count);
    step_put(w->file, ")");
    step_end(w->file);
    uint32_t bound = step_add(w->file, "FACE_OUTER_BOUND('',#%u,.T.)", loop);
    return step_add(w->file, "ADVANCED_FACE('',(#%u),#%u,.T.)", bound, surface);
}

static uint32_t write_face(patch_writer *w, uint32_t index) {
    uint32_t surface = write_surface(w, &w->patches->patches[index]), oriented[4];
    for (uint32_t k = 0; k < 4; k++) oriented[k] = write_side(w, 4 * index + k, false);
    return write_bounded(w, oriented, 4, surface);
}

/* The ring of sides backwards, each in the other sense. */
static uint32_t write_plane(patch_writer *w, const es_patch_plane *plane) {
    uint32_t at = step_point(w->file, "", plane->at);
    uint32_t normal = step_direction(w->file, plane->normal);
    uint32_t axes = step_add(w->file, "AXIS2_PLACEMENT_3D('',#%u,#%u,$)", at, normal);
    uint32_t surface = step_add(w->file, "PLANE('',#%u)", axes);
    for (size_t i = 0; i < plane->count; i++)
        w->ring[i] =
            write_side(w, w->patches->plane_sides[plane->first + plane->count - 1 - i], true);
    return write_bounded(w, w->ring, plane->count, surface);
}

static uint32_t write_body(patch_writer *w, bool open, const char *encoded, size_t piece,
                           size_t pieces, size_t face_count) {
    uint32_t shell = step_begin(w->file);
    step_put(w->file, open ? "OPEN_SHELL('',(" : "CLOSED_SHELL('',(");
    step_put_list(w->file, w->faces, face_count);
    step_put(w->file, ")");
    step_end(w->file);
    uint32_t body = step_begin(w->file);
    step_put(w->file, open ? "SHELL_BASED_SURFACE_MODEL(" : "MANIFOLD_SOLID_BREP(");
    step_put_name(w->file, encoded, piece, pieces);
    step_put(w->file, open ? ",(#%u)" : ",#%u", shell);
    step_end(w->file);
    return body;
}

static void add_measure(es_patches_measure *sum, const es_patches *one) {
    es_patches_measure m = es_patches_measured(one);
    sum->area_mm2 += m.area_mm2;
    sum->volume_mm3 += m.volume_mm3;
    sum->centroid = es_vec3_add(sum->centroid, es_vec3_scale(m.centroid, m.volume_mm3));
}

/* Whether the plane's ring is of the piece with these patches. */
static bool is_of(const patch_writer *w, size_t plane, const uint32_t *members, size_t count) {
    uint32_t patch = w->patches->plane_sides[w->patches->planes[plane].first] / 4;
    for (size_t i = 0; i < count; i++)
        if (members[i] == patch) return true;
    return false;
}

/* The piece as patches of its own, measured; the centroid times the volume. */
static es_patches_measure measure_piece(const patch_writer *w, const uint32_t *members,
                                        size_t count) {
    es_patches_measure sum = {0};
    es_patches one = *w->patches;
    one.count = 1;
    one.plane_count = 0;
    for (size_t i = 0; i < count; i++) {
        one.patches = w->patches->patches + members[i];
        add_measure(&sum, &one);
    }
    one = *w->patches;
    one.count = 0;
    one.plane_count = 1;
    for (size_t p = 0; p < w->patches->plane_count; p++) {
        one.planes = w->patches->planes + p;
        if (is_of(w, p, members, count)) add_measure(&sum, &one);
    }
    return sum;
}

static void add_measures(patch_writer *w, const es_patches_measure *m, bool open) {
    w->sum->report.area_mm2 += m->area_mm2;
    w->sum->report.shells += open;
    if (open) return;
    w->sum->report.solids++;
    w->sum->report.volume_mm3 += m->volume_mm3;
    w->sum->moment[0] += m->centroid.x;
    w->sum->moment[1] += m->centroid.y;
    w->sum->moment[2] += m->centroid.z;
}

/* What each piece measures. A small one with its inside out, of a hundredth of the solids at
 * most, is a hollow of a solid about it, or a crumb of the fit: not written. */
static es_patches_measure *measure_pieces(const patch_writer *w, const step_pieces *pieces,
                                          es_error *err) {
    es_patches_measure *m = es_alloc(pieces->count, sizeof *m, err);
    for (size_t p = 0; m && p < pieces->count; p++)
        m[p] = measure_piece(w, pieces->members + pieces->start[p],
                             pieces->start[p + 1] - pieces->start[p]);
    return m;
}

static bool find_hollows(patch_writer *w, const step_pieces *pieces, const es_patches_measure *m,
                         bool *hollow, es_error *err) {
    static const double SHARE = 0.01;
    double solids = 0;
    for (size_t p = 0; p < pieces->count; p++) solids += fmax(0, m[p].volume_mm3);
    for (size_t p = 0; p < pieces->count; p++) {
        hollow[p] = !(m[p].volume_mm3 > 0);
        if (!hollow[p]) continue;
        if (!(-m[p].volume_mm3 < SHARE * solids))
            return es_fail(
                err, ES_GEOMETRY,
                "a piece of %u patches has its inside out (%g mm3): a hollow, or turned over",
                pieces->start[p + 1] - pieces->start[p], m[p].volume_mm3);
        es_log(ES_WARNING, "a hollow of %.1f mm3 inside is not in the STEP file", -m[p].volume_mm3);
        w->sum->report.hollows++;
    }
    return true;
}

/* The faces of a piece; their number. */
static size_t write_faces(patch_writer *w, const uint32_t *members, size_t count) {
    size_t faces = count;
    for (size_t i = 0; i < count; i++) w->faces[i] = write_face(w, members[i]);
    for (size_t k = 0; k < w->patches->plane_count; k++)
        if (is_of(w, k, members, count)) w->faces[faces++] = write_plane(w, &w->patches->planes[k]);
    return faces;
}

static bool write_pieces(patch_writer *w, const step_pieces *pieces, bool open, const char *encoded,
                         es_error *err) {
    es_patches_measure *m = measure_pieces(w, pieces, err);
    bool *hollow = m ? es_alloc_zero(pieces->count, sizeof *hollow, err) : NULL;
    size_t before = w->sum->report.hollows, written = 0;
    bool ok = hollow && (open || find_hollows(w, pieces, m, hollow, err));
    size_t bodies = pieces->count - (w->sum->report.hollows - before);
    for (size_t p = 0; ok && p < pieces->count; p++) {
        if (hollow[p]) continue;
        add_measures(w, &m[p], open);
        size_t faces = write_faces(w, pieces->members + pieces->start[p],
                                   pieces->start[p + 1] - pieces->start[p]);
        w->sum->report.faces += faces;
        uint32_t body = write_body(w, open, encoded, written++, bodies, faces);
        ok = step_add_item(w->sum, body, err);
    }
    es_free(m);
    es_free(hollow);
    return ok && !w->file->failed;
}

/* Patches of one piece share edges. */
static bool find_pieces(const patch_writer *w, step_pieces *pieces, es_error *err) {
    uint32_t *sets = step_sets_new(w->patches->count, err);
    uint32_t *seen = sets ? es_alloc_zero(w->edges.count, sizeof *seen, err) : NULL;
    bool ok = seen != NULL;
    for (size_t side = 0; ok && side < 4 * w->patches->count; side++) {
        uint32_t edge = w->edges.of_side[side], patch = (uint32_t)(side / 4);
        if (seen[edge])
            step_sets_join(sets, seen[edge] - 1, patch);
        else
            seen[edge] = patch + 1;
    }
    ok = ok && step_pieces_find(sets, w->patches->count, pieces, err);
    es_free(sets);
    es_free(seen);
    return ok;
}

static bool check_edges(const es_patch_edges *edges, bool open, es_error *err) {
    size_t rim = 0, bad = 0;
    for (size_t e = 0; e < edges->count; e++) {
        rim += edges->edges[e].uses == 1;
        bad += edges->edges[e].uses != 1 && !edges->edges[e].opposite;
    }
    if (bad > 0)
        return es_fail(err, ES_GEOMETRY,
                       "%zu edges of the patches are used more than twice, or twice in one sense",
                       bad);
    if (rim == 0 || open) return true;
    return es_fail(err, ES_GEOMETRY,
                   "the patches are not closed: %zu edges have one patch only; write them as an "
                   "open shell",
                   rim);
}

bool step_write_patches(step_file *file, const es_patches *patches, bool open, const char *encoded,
                        step_sum *sum) {
    patch_writer w = {.file = file, .patches = patches, .sum = sum};
    step_pieces pieces = {0};
    if (!es_patch_edges_find(patches, &w.edges, file->err)) return false;
    w.point = es_alloc_zero(patches->point_count, sizeof *w.point, file->err);
    w.vertex = w.point ? es_alloc_zero(patches->point_count, sizeof *w.vertex, file->err) : NULL;
    w.curve = w.vertex ? es_alloc_zero(w.edges.count, sizeof *w.curve, file->err) : NULL;
    size_t faces = patches->count + patches->plane_count;
    w.faces = w.curve ? es_alloc(faces, sizeof *w.faces, file->err) : NULL;
    w.ring = w.faces ? es_alloc(4 * patches->count, sizeof *w.ring, file->err) : NULL;
    bool ok = w.ring && check_edges(&w.edges, open, file->err) &&
              find_pieces(&w, &pieces, file->err) &&
              write_pieces(&w, &pieces, open, encoded, file->err);
    step_pieces_clear(&pieces);
    es_patch_edges_clear(&w.edges);
    es_free(w.point);
    es_free(w.vertex);
    es_free(w.curve);
    es_free(w.faces);
    es_free(w.ring);
    return ok;
}
