/* Bone that was found elsewhere: polylines in the pictures, cut by the scan lines. */
#include "echosolid/bone_given.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/format.h"

/* The slope at a place is that between points so far before and behind it, about a
 * millimetre: single steps of a polyline are rounded to hundredths of a pixel. */
enum { SLOPE_POINTS = 3, FILE_LIMIT = 1 << 30 };

typedef struct polyline {
    int64_t frame;
    size_t first, count; /* of the points */
    float confidence;
} polyline;

struct es_bone_given {
    double spacing_mm[2];
    const es_stream_info *info; /* while reading */
    double (*points)[2];
    size_t point_count, point_capacity;
    polyline *lines; /* by frame */
    size_t line_count, line_capacity;
    int64_t frames;
};

static bool reserve(void *block, size_t count, size_t *capacity, size_t size, es_error *err) {
    if (count < *capacity) return true;
    size_t wanted = *capacity ? 2 * *capacity : 1024;
    if (!es_resize(block, wanted, size, err)) return false;
    *capacity = wanted;
    return true;
}

/* ---- reading ----------------------------------------------------------------------- */

/* From the picture as it is stored: es_stored_place is u' = corner + u * along + v * down. */
static bool place_of(const es_bone_given *g, const double stored[2], double place[2],
                     es_error *err) {
    double c[2] = {0, 0}, a[2] = {1, 0}, d[2] = {0, 1};
    if (!es_stored_place(g->info, &c[0], &c[1], err) ||
        !es_stored_place(g->info, &a[0], &a[1], err) ||
        !es_stored_place(g->info, &d[0], &d[1], err))
        return false;
    double x = stored[0] - c[0], y = stored[1] - c[1];
    double au = a[0] - c[0], av = a[1] - c[1], du = d[0] - c[0], dv = d[1] - c[1];
    double det = au * dv - av * du;
    place[0] = (x * dv - y * du) / det;
    place[1] = (y * au - x * av) / det;
    return true;
}

static bool add_point(es_bone_given *g, const json_t *point, int64_t frame, es_error *err) {
    const json_t *u = json_array_get(point, 0), *v = json_array_get(point, 1);
    if (json_array_size(point) != 2 || !json_is_number(u) || !json_is_number(v))
        return es_fail(err, ES_FORMAT, "frame %lld: expected points [u, v] in pixels",
                       (long long)frame);
    double stored[2] = {json_number_value(u), json_number_value(v)};
    if (!reserve(&g->points, g->point_count, &g->point_capacity, sizeof *g->points, err) ||
        !place_of(g, stored, g->points[g->point_count], err))
        return false;
    const double *p = g->points[g->point_count++];
    if (fabs(p[0]) < 1e6 && fabs(p[1]) < 1e6) return true;
    return es_fail(err, ES_FORMAT, "frame %lld: a point at %g, %g", (long long)frame, stored[0],
                   stored[1]);
}

static bool add_line(es_bone_given *g, int64_t frame, const json_t *points, const json_t *sure,
                     es_error *err) {
    polyline line = {.frame = frame, .first = g->point_count, .confidence = 1};
    if (json_is_number(sure)) line.confidence = (float)json_number_value(sure);
    if (!json_is_array(points) || !(line.confidence >= 0 && line.confidence <= 1))
        return es_fail(err, ES_FORMAT,
                       "frame %lld: expected lists of points, and a confidence of 0 to 1 for each",
                       (long long)frame);
    for (size_t i = 0; i < json_array_size(points); i++)
        if (!add_point(g, json_array_get(points, i), frame, err)) return false;
    line.count = g->point_count - line.first;
    if (line.count == 0) return true;
    if (!reserve(&g->lines, g->line_count, &g->line_capacity, sizeof *g->lines, err)) return false;
    g->lines[g->line_count++] = line;
    return true;
}

static bool add_frame(es_bone_given *g, const json_t *frame, int64_t *last, es_error *err) {
    const json_t *index = json_object_get(frame, "index"),
                 *surface = json_object_get(frame, "surface"),
                 *sure = json_object_get(frame, "surface_confidence");
    if (!json_is_integer(index) || !json_is_array(surface))
        return es_fail(err, ES_FORMAT, "expected frames with \"index\" and \"surface\"");
    int64_t number = json_integer_value(index);
    if (number <= *last)
        return es_fail(err, ES_FORMAT, "frame %lld stands behind frame %lld", (long long)number,
                       (long long)*last);
    if (g->info->frame_count >= 0 && number >= g->info->frame_count)
        return es_fail(err, ES_FORMAT, "frame %lld: the recording has %lld", (long long)number,
                       (long long)g->info->frame_count);
    *last = number;
    size_t before = g->line_count;
    for (size_t i = 0; i < json_array_size(surface); i++)
        if (!add_line(g, number, json_array_get(surface, i), json_array_get(sure, i), err))
            return false;
    g->frames += g->line_count > before;
    return true;
}

static bool read_frames(es_bone_given *g, const char *path, es_error *err) {
    size_t length;
    char *text = es_file_read(path, FILE_LIMIT, &length, err);
    if (!text) return false;
    json_error_t why;
    json_t *root = json_loadb(text, length, 0, &why), *frames = json_object_get(root, "frames");
    int64_t last = -1;
    bool ok = json_is_array(frames);
    if (!ok)
        es_fail(err, ES_FORMAT, "%s",
                root ? "has no list \"frames\", as echosolid bone --json "
                       "writes it"
                     : why.text);
    for (size_t i = 0; ok && i < json_array_size(frames); i++)
        ok = add_frame(g, json_array_get(frames, i), &last, err);
    json_decref(root);
    es_free(text);
    return ok || es_prefix(err, "%s", path);
}

es_bone_given *es_bone_given_read(const char *path, const es_stream_info *info,
                                  const double spacing_mm[2], es_error *err) {
    es_bone_given *g = es_alloc_zero(1, sizeof *g, err);
    if (!g) return NULL;
    memcpy(g->spacing_mm, spacing_mm, sizeof g->spacing_mm);
    g->info = info;
    if (read_frames(g, path, err)) {
        g->info = NULL;
        return g;
    }
    es_bone_given_free(g);
    return NULL;
}

void es_bone_given_free(es_bone_given *g) {
    if (!g) return;
    es_free(g->points);
    es_free(g->lines);
    es_free(g);
}

int64_t es_bone_given_frames(const es_bone_given *g) { return g->frames; }

/* ---- cutting ------------------------------------------------------------------------ */

/* Cosine between the beam and the normal of the polyline about point k. */
static float incidence(const es_bone_given *g, const polyline *line, size_t k,
                       const es_scan_line *beam) {
    size_t from = k > SLOPE_POINTS ? k - SLOPE_POINTS : 0;
    size_t to = k + 1 + SLOPE_POINTS < line->count ? k + 1 + SLOPE_POINTS : line->count - 1;
    const double *a = g->points[line->first + from], *b = g->points[line->first + to];
    double x = (b[0] - a[0]) * g->spacing_mm[0], y = (b[1] - a[1]) * g->spacing_mm[1];
    double p = beam->du * g->spacing_mm[0], q = beam->dv * g->spacing_mm[1];
    double length = hypot(x, y) * hypot(p, q);
    return length > 0 ? (float)fmin(fabs(x * q - y * p) / length, 1) : 1;
}

/* Where the line meets the step from point k to the next; half open, so that a point
 * that lies on the line counts once. */
static bool meets(const es_bone_given *g, const polyline *line, size_t k, const es_scan_line *beam,
                  double *depth) {
    const double *a = g->points[line->first + k], *b = g->points[line->first + k + 1];
    double side_a = (a[0] - beam->u) * beam->dv - (a[1] - beam->v) * beam->du;
    double side_b = (b[0] - beam->u) * beam->dv - (b[1] - beam->v) * beam->du;
    if ((side_a < 0) == (side_b < 0)) return false;
    double t = side_a / (side_a - side_b);
    double u = a[0] + t * (b[0] - a[0]) - beam->u, v = a[1] + t * (b[1] - a[1]) - beam->v;
    *depth = (u * beam->du + v * beam->dv) / (beam->du * beam->du + beam->dv * beam->dv);
    return *depth >= 0 && *depth <= beam->length_mm;
}

static void cut(const es_bone_given *g, const polyline *line, es_scan_line *beam) {
    for (size_t k = 0; k + 1 < line->count; k++) {
        double depth;
        if (!meets(g, line, k, beam, &depth) || (beam->found && depth >= beam->depth_mm)) continue;
        beam->found = true;
        beam->depth_mm = depth;
        beam->confidence = line->confidence;
        beam->cos_incidence = incidence(g, line, k, beam);
    }
}

void es_bone_given_put(const es_bone_given *g, int64_t index, es_trace *trace) {
    size_t low = 0, high = g->line_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->lines[middle].frame < index)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < g->line_count && g->lines[low].frame == index; low++)
        for (size_t i = 0; i < trace->count; i++) cut(g, &g->lines[low], &trace->lines[i]);
}
