/* How well and how fast bone is found, for docs/bone.md:
 *
 *   labels    twelve real frames marked by hand (tests/labels)
 *   no bone   frames of wires in water: the share of columns claimed
 *   sweep     each real frame against the line between its neighbours
 *   variants  nine changes of the labelled frames that leave the bone there
 *   simulated frames of known scenes, probes and seeds
 *   speed     one frame of 512 x 512 in memory to its bone, one and two threads
 *   ONNX      the same network by ONNX Runtime, where it and torch are installed
 *
 * Run it from the root of the sources; recordings are looked for in
 * ES_TEST_DATA, else in ../shared/data, and left out with a word where they
 * are not there. `--json` prints the rows for programs; `--check` exits with 1
 * when a figure misses what is asked; `--model FILE` judges another network. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "echosolid/bone_flow.h"

/* ---- rows --------------------------------------------------------------------- */

typedef struct row {
    char name[80];
    const char *method, *unit;
    double value, limit; /* NaN: none; positive: at most; negative: at least -limit */
} row;
enum { ROWS = 256 };
static row rows[ROWS];
static int row_count;

static void add(const char *name, const char *method, double value, const char *unit,
                double limit) {
    if (row_count == ROWS) return;
    row *r = &rows[row_count++];
    *r = (row){.method = method, .unit = unit, .value = value, .limit = limit};
    snprintf(r->name, sizeof r->name, "%s", name);
}

static bool is_good(const row *r) {
    return isnan(r->limit) || (r->limit < 0 ? r->value >= -r->limit : r->value <= r->limit);
}

static int print_rows(bool json) {
    json_t *array = json_array();
    int missed = 0;
    for (int i = 0; i < row_count; i++) {
        const row *r = &rows[i];
        missed += !is_good(r);
        json_array_append_new(
            array,
            json_pack("{s:s, s:s, s:o, s:s, s:o, s:b}", "name", r->name, "method", r->method,
                      "value", isfinite(r->value) ? json_real(r->value) : json_null(), "unit",
                      r->unit, "limit", isnan(r->limit) ? json_null() : json_real(fabs(r->limit)),
                      "good", is_good(r)));
        if (json) continue;
        printf("%-44s %-9s %9.3f %-6s", r->name, r->method, r->value, r->unit);
        if (!isnan(r->limit))
            printf(" asked %s %g: %s", r->limit < 0 ? ">=" : "<=", fabs(r->limit),
                   is_good(r) ? "yes" : "MISSED");
        printf("\n");
    }
    if (json) json_dumpf(array, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(array);
    return missed;
}

/* ---- values ------------------------------------------------------------------- */

enum { MOST = 1 << 16 };
typedef struct list {
    double values[MOST];
    size_t count;
} list;

static void push(list *l, double value) {
    if (l->count < MOST) l->values[l->count++] = value;
}

static double quantile(list *l, double share) {
    if (l->count == 0) return NAN;
    qsort(l->values, l->count, sizeof *l->values, es_compare_doubles);
    return l->values[(size_t)(share * (double)(l->count - 1))];
}

static double mean(const list *l) {
    double sum = 0;
    for (size_t i = 0; i < l->count; i++) sum += l->values[i];
    return l->count ? sum / (double)l->count : NAN;
}

static double rms(const list *l) {
    double sum = 0;
    for (size_t i = 0; i < l->count; i++) sum += l->values[i] * l->values[i];
    return l->count ? sqrt(sum / (double)l->count) : NAN;
}

static double share(size_t part, size_t whole) {
    return whole ? (double)part / (double)whole : NAN;
}

/* ---- recordings ------------------------------------------------------------------ */

static void data_path(char path[4096], const char *name) {
    const char *data = getenv("ES_TEST_DATA");
    snprintf(path, 4096, "%s/plus/%s", data ? data : "../shared/data", name);
}

static bool is_there(const char *path) {
    if (access(path, R_OK) == 0) return true;
    fprintf(stderr, "left out: %s is not there\n", path);
    return false;
}

enum { MOST_FRAMES = 32 };
typedef struct recording {
    es_frame frames[MOST_FRAMES];
    int count;
} recording;

/* Every `step`-th frame. */
static bool load(const char *path, int step, recording *r, es_error *err) {
    es_source *source = es_sequence_open(path, err);
    es_frame frame = {0};
    bool ok = source != NULL, end = false;
    for (int f = 0; ok && r->count < MOST_FRAMES; f++) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        if (f % step == 0) ok = es_frame_copy(&frame, &r->frames[r->count++], err);
    }
    es_frame_clear(&frame);
    es_source_free(source);
    return ok;
}

static void unload(recording *r) {
    for (int i = 0; i < r->count; i++) es_frame_clear(&r->frames[i]);
    free(r);
}

/* The network of --model, else the built-in one, else none. */
static es_network *network;
static int methods(void) { return network ? ES_BONE_METHODS : ES_BONE_NETWORK; }

/* What is asked of the classical detectors, and of the network. */
static double asked_of(es_bone_method method, double classical, double networks) {
    return method == ES_BONE_NETWORK ? networks : classical;
}

static es_bone_options options_for(es_bone_method method, double u_mm, double v_mm) {
    es_bone_options o = ES_BONE_DEFAULTS;
    o.method = method;
    o.network = network;
    o.spacing_mm[0] = u_mm;
    o.spacing_mm[1] = v_mm;
    return o;
}

static bool detect(const es_bone_options *o, const es_image *image, es_trace *trace,
                   es_error *err) {
    es_bone *bone = es_bone_new(o, err);
    bool ok = bone && es_bone_detect(bone, image, trace, err);
    es_bone_free(bone);
    return ok;
}

/* ---- labels ----------------------------------------------------------------------- */

typedef struct label {
    int frame, count;
    double (*points)[2]; /* pixels */
} label;
typedef struct labels {
    json_t *json;
    label items[MOST_FRAMES];
    int count;
    bool front;
} labels;

static void free_labels(labels *l) {
    for (int i = 0; i < l->count; i++) free(l->items[i].points);
    json_decref(l->json);
}

static bool read_labels(const char *path, labels *l) {
    memset(l, 0, sizeof *l);
    l->json = json_load_file(path, 0, NULL);
    const char *edge = json_string_value(json_object_get(l->json, "edge"));
    l->front = edge && strcmp(edge, "front") == 0;
    size_t i, k;
    json_t *frame, *point;
    json_array_foreach(json_object_get(l->json, "frames"), i, frame) {
        json_t *line = json_array_get(json_object_get(frame, "surface"), 0);
        label *at = &l->items[l->count++];
        at->frame = (int)json_integer_value(json_object_get(frame, "index"));
        at->points = malloc(json_array_size(line) * sizeof *at->points);
        json_array_foreach(line, k, point) {
            at->points[k][0] = json_number_value(json_array_get(point, 0));
            at->points[k][1] = json_number_value(json_array_get(point, 1));
            at->count++;
        }
    }
    if (l->count == 0) fprintf(stderr, "left out: no labels in %s\n", path);
    return l->count > 0;
}

/* mm from a pixel to the polyline. */
static double off_label(const label *l, double u, double v, double mm) {
    double best = INFINITY;
    for (int k = 0; k + 1 < l->count; k++) {
        double x = l->points[k + 1][0] - l->points[k][0], y = l->points[k + 1][1] - l->points[k][1];
        double px = u - l->points[k][0], py = v - l->points[k][1];
        double t = fmin(fmax((px * x + py * y) / (x * x + y * y), 0), 1);
        best = fmin(best, hypot(px - t * x, py - t * y));
    }
    return best * mm;
}

typedef struct score {
    list off; /* of traced columns that the label covers */
    size_t covered, hit, near, traced, wrong;
} score;

/* Columns of the label: hit within 1 mm, near within 1.5. Columns beside it:
 * the bone goes on downwards where the person stopped, so only a trace above
 * the label's end is wrong there. */
static void judge(const label *l, const es_trace *trace, double mm, score *s) {
    const double *first = l->points[0], *last = l->points[l->count - 1];
    for (size_t i = 0; i < trace->count; i++) {
        const es_scan_line *line = &trace->lines[i];
        bool covered = line->u >= first[0] && line->u <= last[0];
        s->covered += covered;
        if (!line->found) continue;
        double u, v;
        es_bone_point(line, &u, &v);
        double off = off_label(l, u, v, mm);
        double end = u < first[0] ? first[1] : last[1];
        if (!covered && (v - end) * mm > -1.5) continue;
        s->traced++;
        s->wrong += off > 1.5;
        if (!covered) continue;
        push(&s->off, off);
        s->hit += off <= 1;
        s->near += off <= 1.5;
    }
}

static double f_score(const score *s) {
    double recall = share(s->near, s->covered), precision = share(s->traced - s->wrong, s->traced);
    return 2 * recall * precision / (recall + precision);
}

/* `told`: the factor by which the spacing is told wrongly. */
static bool score_frame(const label *l, const es_image *image, const es_bone_options *o,
                        double told, score *s, es_error *err) {
    es_trace trace = {0};
    es_bone_options used = *o;
    used.spacing_mm[0] *= told;
    used.spacing_mm[1] *= told;
    bool ok = detect(&used, image, &trace, err);
    if (ok) judge(l, &trace, o->spacing_mm[0], s);
    es_trace_clear(&trace);
    return ok;
}

/* ---- variants ------------------------------------------------------------------------ */

typedef struct variant {
    const char *name;
    double gamma, gain, noise, told;
    int blur, jpeg;
    bool mirror;
} variant;
static const variant variants[] = {
    {"gamma 0.6", .gamma = 0.6, .gain = 1, .told = 1},
    {"gamma 1.6", .gamma = 1.6, .gain = 1, .told = 1},
    {"gain 0.5", .gamma = 1, .gain = 0.5, .told = 1},
    {"gain 2", .gamma = 1, .gain = 2, .told = 1},
    {"noise 5 %", .gamma = 1, .gain = 1, .noise = 0.05, .told = 1},
    {"blur 3 px", .gamma = 1, .gain = 1, .blur = 1, .told = 1},
    {"JPEG 20", .gamma = 1, .gain = 1, .jpeg = 20, .told = 1},
    {"mirror", .gamma = 1, .gain = 1, .mirror = true, .told = 1},
    {"spacing 5 % off", .gamma = 1, .gain = 1, .told = 1.05},
};

static double grey(const es_image *image, int u, int v) {
    u = u < 0 ? 0 : u >= (int)image->width ? (int)image->width - 1 : u;
    v = v < 0 ? 0 : v >= (int)image->height ? (int)image->height - 1 : v;
    return ((const uint8_t *)image->data)[(size_t)v * image->width + (size_t)u];
}

static double varied(const es_image *image, const variant *c, int u, int v) {
    double sum = 0, n = pow(2 * c->blur + 1, 2);
    for (int du = -c->blur; du <= c->blur; du++)
        for (int dv = -c->blur; dv <= c->blur; dv++) sum += grey(image, u + du, v + dv);
    double value = 255 * fmin(c->gain * pow(sum / n / 255, c->gamma), 1);
    es_random random = es_random_new(7, (uint64_t)v * 4096 + (uint64_t)u);
    return c->noise > 0 ? value + 255 * c->noise * es_random_normal(&random) : value;
}

/* A block of 8 x 8 through the cosine transform, quantised as JPEG's standard
 * luminance table does at a quality below 50 (ITU T.81, annex K). */
static void quantise(uint8_t *block, size_t stride, int quality) {
    static const int table[64] = {16,  11,  10,  16,  24, 40, 51,  61,  12,  12,  14,  19,  26,
                                  58,  60,  55,  14,  13, 16, 24,  40,  57,  69,  56,  14,  17,
                                  22,  29,  51,  87,  80, 62, 18,  22,  37,  56,  68,  109, 103,
                                  77,  24,  35,  55,  64, 81, 104, 113, 92,  49,  64,  78,  87,
                                  103, 121, 120, 101, 72, 92, 95,  98,  112, 100, 103, 99};
    double wave[8][8], half[8][8], whole[8][8];
    for (int k = 0; k < 8; k++)
        for (int x = 0; x < 8; x++)
            wave[k][x] = (k ? 0.5 : sqrt(0.125)) * cos((2 * x + 1) * k * M_PI / 16);
    for (int y = 0; y < 8; y++)
        for (int k = 0; k < 8; k++) {
            half[y][k] = 0;
            for (int x = 0; x < 8; x++)
                half[y][k] += wave[k][x] * (block[(size_t)y * stride + (size_t)x] - 128.);
        }
    for (int j = 0; j < 8; j++)
        for (int k = 0; k < 8; k++) {
            double step = table[8 * j + k] * 50. / quality, sum = 0;
            for (int y = 0; y < 8; y++) sum += wave[j][y] * half[y][k];
            whole[j][k] = step * round(sum / step);
        }
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            double sum = 128;
            for (int j = 0; j < 8; j++)
                for (int k = 0; k < 8; k++) sum += wave[j][y] * wave[k][x] * whole[j][k];
            block[(size_t)y * stride + (size_t)x] = (uint8_t)lround(fmin(fmax(sum, 0), 255));
        }
}

static bool make_variant(const es_image *image, const variant *c, es_image *out, es_error *err) {
    uint32_t w = image->width, h = image->height;
    if (!es_image_resize(out, ES_U8, 1, w, h, err)) return false;
    uint8_t *to = out->data;
    for (uint32_t v = 0; v < h; v++)
        for (uint32_t u = 0; u < w; u++)
            es_type_set(ES_U8, to, (size_t)v * w + u,
                        varied(image, c, (int)(c->mirror ? w - 1 - u : u), (int)v));
    for (uint32_t v = 0; c->jpeg && v + 8 <= h; v += 8)
        for (uint32_t u = 0; u + 8 <= w; u += 8) quantise(to + (size_t)v * w + u, w, c->jpeg);
    return true;
}

static void mirror_label(const label *l, uint32_t width, label *out) {
    out->count = l->count;
    for (int k = 0; k < l->count; k++) {
        out->points[k][0] = width - 1 - l->points[l->count - 1 - k][0];
        out->points[k][1] = l->points[l->count - 1 - k][1];
    }
}

static bool score_variant(const labels *l, const recording *r, const es_bone_options *o,
                          const variant *c, score *s, es_error *err) {
    es_image image = {0};
    bool ok = true;
    for (int i = 0; ok && i < l->count; i++) {
        const es_image *from = &r->frames[l->items[i].frame].image;
        double points[256][2];
        label mirrored = {.points = points};
        if (c->mirror) mirror_label(&l->items[i], from->width, &mirrored);
        ok = make_variant(from, c, &image, err) &&
             score_frame(c->mirror ? &mirrored : &l->items[i], &image, o, c->told, s, err);
    }
    es_image_clear(&image);
    return ok;
}

static bool bench_variants(const labels *l, const recording *r, const es_bone_options *o,
                           const char *method, double plain_mm, es_error *err) {
    for (size_t k = 0; k < sizeof variants / sizeof *variants; k++) {
        score *s = calloc(1, sizeof *s);
        char name[80];
        bool ok = s && score_variant(l, r, o, &variants[k], s, err);
        if (ok) {
            snprintf(name, sizeof name, "variant %s, mean moves by", variants[k].name);
            add(name, method, fabs(mean(&s->off) - plain_mm), "mm", 0.05);
            snprintf(name, sizeof name, "variant %s, recall", variants[k].name);
            add(name, method, 100 * share(s->hit, s->covered), "%", NAN);
        }
        free(s);
        if (!ok) return false;
    }
    return true;
}

static bool bench_labels(const labels *l, const recording *r, es_bone_method method,
                         const char *what, bool with_variants, es_error *err) {
    es_bone_options o = options_for(method, 0.0854, 0.0854);
    o.edge = l->front ? ES_BONE_FRONT : ES_BONE_CREST;
    const char *by = es_bone_method_names[method];
    score *s = calloc(1, sizeof *s);
    bool ok = s != NULL;
    char name[80];
    for (int i = 0; ok && i < l->count; i++)
        ok = score_frame(&l->items[i], &r->frames[l->items[i].frame].image, &o, 1, s, err);
    if (ok) {
        double plain = mean(&s->off);
        bool asked = !l->front;
        snprintf(name, sizeof name, "%s, mean distance", what);
        add(name, by, plain, "mm", asked ? asked_of(method, 0.45, 0.3) : NAN);
        snprintf(name, sizeof name, "%s, 95 %%", what);
        add(name, by, quantile(&s->off, 0.95), "mm", asked ? asked_of(method, NAN, 0.7) : NAN);
        snprintf(name, sizeof name, "%s, recall at 1 mm", what);
        add(name, by, 100 * share(s->hit, s->covered), "%",
            asked ? asked_of(method, -90, -95) : NAN);
        snprintf(name, sizeof name, "%s, F at 1.5 mm", what);
        add(name, by, f_score(s), "", NAN);
        ok = !with_variants || bench_variants(l, r, &o, by, plain, err);
    }
    free(s);
    return ok;
}

/* ---- leave one out ----------------------------------------------------------------------- */

typedef struct sweep {
    es_mat4 poses[MOST_FRAMES];
    es_trace traces[MOST_FRAMES];
    int count;
} sweep;

static bool place(const recording *r, const char *config, sweep *s, es_error *err) {
    es_plus *plus = es_plus_read(config, err);
    es_placement *placement = plus ? es_placement_new(plus, NULL, err) : NULL;
    bool ok = placement != NULL, placed = false;
    for (int f = 0; ok && f < r->count; f++, s->count++)
        ok = es_placement_find(placement, &r->frames[f], &s->poses[f], &placed, err);
    es_placement_free(placement);
    es_plus_free(plus);
    return ok;
}

/* Where another frame's trace crosses column u of frame f: its pixel v there
 * and its distance from f's plane. */
static bool cross(const sweep *s, es_mat4 to_f, int other, double u, es_vec3 *found) {
    const es_trace *trace = &s->traces[other];
    for (size_t i = 0; i + 1 < trace->count; i++) {
        double p[2][2];
        if (!trace->lines[i].found || es_bone_piece_end(trace, i) == i + 1) continue;
        for (int k = 0; k < 2; k++) es_bone_point(&trace->lines[i + (size_t)k], &p[k][0], &p[k][1]);
        es_vec3 a = es_mat4_point(to_f, es_vec3_make(p[0][0], p[0][1], 0));
        es_vec3 b = es_mat4_point(to_f, es_vec3_make(p[1][0], p[1][1], 0));
        if (!(a.x <= u && u < b.x)) continue;
        double t = (u - a.x) / (b.x - a.x);
        *found = es_vec3_make(u, a.y + t * (b.y - a.y), a.z + t * (b.z - a.z));
        return true;
    }
    return false;
}

static bool leave_out(const sweep *s, int f, double mm, list *off, es_error *err) {
    es_mat4 inverse;
    if (!es_mat4_invert(s->poses[f], &inverse, err)) return false;
    es_mat4 before = es_mat4_multiply(inverse, s->poses[f - 1]);
    es_mat4 after = es_mat4_multiply(inverse, s->poses[f + 1]);
    for (size_t i = 0; i < s->traces[f].count; i++) {
        const es_scan_line *line = &s->traces[f].lines[i];
        es_vec3 a, b;
        double u, v;
        if (!line->found) continue;
        es_bone_point(line, &u, &v);
        if (!cross(s, before, f - 1, u, &a) || !cross(s, after, f + 1, u, &b)) continue;
        if (!(fabs(b.z - a.z) * mm > 0.05) || a.z * b.z > 0) continue; /* the hand turned */
        double expected = a.y + a.z / (a.z - b.z) * (b.y - a.y);
        push(off, fabs(v - expected) * mm * (double)line->cos_incidence);
    }
    return true;
}

static bool bench_sweep(const recording *r, const char *config, es_bone_method method,
                        es_error *err) {
    es_bone_options o = options_for(method, 0.0854, 0.0854);
    sweep *s = calloc(1, sizeof *s);
    list *off = calloc(1, sizeof *off);
    bool ok = s && off && place(r, config, s, err);
    for (int f = 0; ok && f < s->count; f++)
        ok = detect(&o, &r->frames[f].image, &s->traces[f], err);
    for (int f = 1; ok && f + 1 < s->count; f++) ok = leave_out(s, f, 0.0854, off, err);
    if (ok) {
        add("sweep, each frame against its neighbours", es_bone_method_names[method], rms(off),
            "mm rms", asked_of(method, NAN, 0.2));
        add("sweep, the same, 95 %", es_bone_method_names[method], quantile(off, 0.95), "mm", NAN);
        add("sweep, points compared", es_bone_method_names[method], (double)off->count, "", NAN);
    }
    for (int f = 0; s && f < MOST_FRAMES; f++) es_trace_clear(&s->traces[f]);
    free(s);
    free(off);
    return ok;
}

static bool bench_real_bone(es_error *err) {
    char path[4096], config[4096];
    labels l;
    data_path(path, "sequences/BoneUltrasound_L14.igs.mha");
    data_path(config, "config/BoneUltrasound_L14_config.xml");
    if (!is_there(path) || !is_there(config)) return true;
    recording *r = calloc(1, sizeof *r);
    bool labelled = read_labels("tests/labels/bone_l14.json", &l);
    bool ok = r && load(path, 1, r, err);
    for (int m = 0; ok && m < methods(); m++)
        ok = (!labelled || bench_labels(&l, r, (es_bone_method)m, "labels of bone", true, err)) &&
             bench_sweep(r, config, (es_bone_method)m, err);
    free_labels(&l);
    if (r) unload(r);
    return ok;
}

/* ---- phantoms ------------------------------------------------------------------------------ */

/* Agreement of a detector with its second opinion where the bright arch over
 * the process draws detectors. */
static bool bench_agreement(const recording *r, es_bone_method method, es_error *err) {
    list *late = calloc(1, sizeof *late);
    es_trace traces[2] = {{0}, {0}};
    bool ok = late != NULL;
    for (int f = 10; ok && f < r->count; f++) {
        double agreed = 0;
        for (int k = 0; ok && k < 2; k++) {
            es_bone_options o = options_for(k ? es_bone_second(method) : method, 0.0854, 0.0854);
            ok = detect(&o, &r->frames[f].image, &traces[k], err);
        }
        ok = ok && es_bone_agreement(&traces[0], &traces[1], 1.5, &agreed, err);
        push(late, 100 * agreed);
    }
    if (ok)
        add("spine phantom, frames 10 on, agreement", es_bone_method_names[method], mean(late), "%",
            NAN);
    for (int k = 0; k < 2; k++) es_trace_clear(&traces[k]);
    free(late);
    return ok;
}

static bool bench_spine(es_error *err) {
    char path[4096];
    labels l;
    data_path(path, "sequences/SpinePhantomFreehand.igs.mha");
    if (!is_there(path)) return true;
    recording *r = calloc(1, sizeof *r);
    bool labelled = read_labels("tests/labels/spine_phantom.json", &l);
    bool ok = r && load(path, 1, r, err);
    for (int m = 0; labelled && ok && m < methods(); m++)
        ok = bench_labels(&l, r, (es_bone_method)m, "labels of spine phantom", false, err);
    for (int m = 0; ok && m < methods(); m++) ok = bench_agreement(r, (es_bone_method)m, err);
    free_labels(&l);
    if (r) unload(r);
    return ok;
}

static bool count_claimed(const es_bone_options *o, const es_image *image, size_t *claimed,
                          size_t *lines, es_error *err) {
    es_trace trace = {0};
    bool ok = detect(o, image, &trace, err);
    for (size_t i = 0; ok && i < trace.count; i++) *claimed += trace.lines[i].found;
    *lines += trace.count;
    es_trace_clear(&trace);
    return ok;
}

/* The calibration that PLUS finds for the wires: .0777 x .0735 mm. */
static bool bench_wires(es_error *err) {
    char path[4096];
    data_path(path, "sequences/fCal_Test_Calibration_3NWires.igs.mha");
    if (!is_there(path)) return true;
    recording *r = calloc(1, sizeof *r);
    bool ok = r && load(path, 6, r, err);
    for (int m = 0; ok && m < methods(); m++) {
        es_bone_options o = options_for((es_bone_method)m, 0.0777, 0.0735);
        size_t claimed = 0, lines = 0;
        for (int f = 0; ok && f < r->count; f++)
            ok = count_claimed(&o, &r->frames[f].image, &claimed, &lines, err);
        add("wires in water, columns claimed", es_bone_method_names[m], 100 * share(claimed, lines),
            "%", 3);
    }
    if (r) unload(r);
    return ok;
}

/* ---- simulated --------------------------------------------------------------------------------
 */

/* The first surface along a beam: depth and cosine of the incidence. */
static bool first_hit(const es_scene *scene, es_vec3 from, es_vec3 along, double length_mm,
                      double *depth_mm, double *cosine) {
    for (double t = 0; t < length_mm;) {
        es_vec3 p = es_vec3_add(from, es_vec3_scale(along, t));
        double d = es_scene_distance(scene, p), h = 0.01;
        if (d > 0.01) {
            t += fmax(0.8 * d, 0.005);
            continue;
        }
        es_vec3 g = es_vec3_make(es_scene_distance(scene, es_vec3_make(p.x + h, p.y, p.z)) - d,
                                 es_scene_distance(scene, es_vec3_make(p.x, p.y + h, p.z)) - d,
                                 es_scene_distance(scene, es_vec3_make(p.x, p.y, p.z + h)) - d);
        *depth_mm = t;
        *cosine = fabs(es_vec3_dot(g, along)) / fmax(es_vec3_length(g), 1e-12);
        return true;
    }
    return false;
}

typedef struct truth {
    list off;
    size_t visible, hit, empty, claimed, wrong;
} truth;

/* Visible: hit at a cosine of .4 or more, 3 mm deep or more, 2 mm before the
 * end of the picture. Empty: nothing on that beam at all. */
static void judge_line(const es_scene *scene, es_mat4 to_scene, const es_scan_line *line,
                       truth *t) {
    es_vec3 from = es_mat4_point(to_scene, es_vec3_make(line->u, line->v, 0));
    es_vec3 next = es_mat4_point(to_scene, es_vec3_make(line->u + line->du, line->v + line->dv, 0));
    es_vec3 along = es_vec3_sub(next, from);
    along = es_vec3_scale(along, 1 / es_vec3_length(along));
    double depth = 0, cosine = 0, u, v;
    bool hit = first_hit(scene, from, along, line->length_mm, &depth, &cosine);
    bool visible = hit && cosine >= 0.4 && depth >= 3 && depth <= line->length_mm - 2;
    t->visible += visible;
    t->empty += !hit;
    if (!line->found) return;
    es_bone_point(line, &u, &v);
    double off = fabs(es_scene_distance(scene, es_mat4_point(to_scene, es_vec3_make(u, v, 0))));
    t->claimed += !hit;
    t->wrong += !hit && off > 1;
    if (hit) push(&t->off, off);
    t->hit += visible && off <= 1;
}

static bool judge_simulation(const es_simulation *sim, es_bone_method method, truth *t,
                             es_error *err) {
    es_source *source = es_simulation_open(sim, err);
    es_scene *scene = es_scene_new(sim->scene, err);
    es_mat4 to_probe = es_simulation_image_to_probe(sim), scene_from_reference, tracker;
    es_bone_options o = options_for(method, es_vec3_length(es_mat4_column(to_probe, 0)),
                                    es_vec3_length(es_mat4_column(to_probe, 1)));
    o.fan = es_simulation_fan(sim);
    es_frame frame = {0};
    es_trace trace = {0};
    bool ok = source && scene &&
              es_mat4_invert(es_simulation_scene_to_reference(sim), &scene_from_reference, err);
    for (bool end = false; ok;) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = es_mat4_invert(es_frame_find_transform(&frame, "ReferenceToTracker")->matrix, &tracker,
                            err) &&
             detect(&o, &frame.image, &trace, err);
        es_mat4 to_scene = es_mat4_multiply(
            es_mat4_multiply(scene_from_reference, tracker),
            es_mat4_multiply(es_frame_find_transform(&frame, "ProbeToTracker")->matrix, to_probe));
        for (size_t i = 0; ok && i < trace.count; i++)
            judge_line(scene, to_scene, &trace.lines[i], t);
    }
    es_trace_clear(&trace);
    es_frame_clear(&frame);
    es_scene_free(scene);
    es_source_free(source);
    return ok;
}

static const es_probe probes[] = {
    {.width_mm = 38, .depth_mm = 60, .image_size = {512, 512}},
    {.width_mm = 50, .depth_mm = 70, .image_size = {640, 480}},
    {.curved = true,
     .radius_mm = 60,
     .half_angle_rad = 0.5,
     .depth_mm = 110,
     .image_size = {512, 512}},
};

static bool bench_scene(const char *scene, int frames, es_bone_method method, truth *t,
                        es_error *err) {
    for (size_t p = 0; p < sizeof probes / sizeof *probes; p++) {
        es_simulation s = ES_SIMULATION_DEFAULTS;
        if (!es_simulation_preset(scene, &s, err)) return false;
        s.probe = probes[p];
        s.frames = frames;
        s.seed = 101 + p;
        if (!judge_simulation(&s, method, t, err)) return false;
    }
    return true;
}

static bool bench_simulated(es_bone_method method, es_error *err) {
    static const char *const bones[] = {"knee",   "spine",    "ribs",  "forearm",
                                        "sphere", "cylinder", "torus", "box"};
    const char *by = es_bone_method_names[method];
    truth *t = calloc(1, sizeof *t), *none = calloc(1, sizeof *none);
    bool ok = t && none;
    for (size_t i = 0; ok && i < sizeof bones / sizeof *bones; i++)
        ok = bench_scene(bones[i], i < 4 ? 8 : 4, method, t, err);
    ok = ok && bench_scene("abdomen", 8, method, none, err);
    if (ok) {
        add("simulated, median distance", by, quantile(&t->off, 0.5), "mm",
            asked_of(method, NAN, 0.15));
        add("simulated, 95 %", by, quantile(&t->off, 0.95), "mm", asked_of(method, NAN, 1));
        add("simulated, recall of visible bone", by, 100 * share(t->hit, t->visible), "%",
            asked_of(method, NAN, -95));
        add("simulated, columns without bone claimed", by, 100 * share(t->claimed, t->empty), "%",
            NAN);
        add("simulated, the same, over 1 mm from any", by, 100 * share(t->wrong, t->empty), "%",
            NAN);
        add("simulated abdomen, no bone, claimed", by,
            100 * share(none->off.count + none->claimed, none->visible + none->empty), "%",
            asked_of(method, NAN, 2));
    }
    free(t);
    free(none);
    return ok;
}

/* ---- speed
 * --------------------------------------------------------------------------------------- */

enum { REPEATS = 40 };

static bool same_traces(const es_trace *a, const es_trace *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->lines[i].found == b->lines[i].found &&
               a->lines[i].depth_mm == b->lines[i].depth_mm &&
               a->lines[i].confidence == b->lines[i].confidence;
    return same;
}

/* Best of REPEATS batches, per frame: other work on the machine only adds. */
static bool time_crew(const es_bone_options *o, int threads, const es_frame *const *frames,
                      es_trace *traces, double *ms, double *cpu_ms, es_error *err) {
    es_pool *pool = threads > 1 ? es_pool_new(threads, err) : NULL;
    es_bone_crew *crew = es_bone_crew_new(o, pool, err);
    bool ok = crew != NULL;
    size_t pieces = 0;
    *ms = *cpu_ms = INFINITY;
    for (int k = 0; ok && k < REPEATS; k++) {
        double start = es_clock_s();
        clock_t cpu = clock();
        ok = es_bone_crew_detect(crew, frames, ES_BATCH, traces, err);
        for (size_t f = 0; ok && f < ES_BATCH; f++)
            for (size_t i = 0; i < traces[f].count; i = es_bone_piece_end(&traces[f], i)) pieces++;
        *ms = fmin(*ms, 1e3 * (es_clock_s() - start) / ES_BATCH);
        *cpu_ms = fmin(*cpu_ms, 1e3 * (double)(clock() - cpu) / CLOCKS_PER_SEC / ES_BATCH);
    }
    es_bone_crew_free(crew);
    es_pool_free(pool);
    return ok && pieces > 0;
}

static bool bench_speed(es_bone_method method, es_error *err) {
    es_simulation s = ES_SIMULATION_DEFAULTS;
    s.frames = ES_BATCH;
    es_source *source = es_simulation_open(&s, err);
    es_mat4 m = es_simulation_image_to_probe(&s);
    es_bone_options o = options_for(method, es_vec3_length(es_mat4_column(m, 0)),
                                    es_vec3_length(es_mat4_column(m, 1)));
    o.fan = es_simulation_fan(&s);
    static es_frame frames[ES_BATCH];
    static es_trace traces[2][ES_BATCH];
    const es_frame *batch[ES_BATCH];
    bool ok = source != NULL, end = false, same = true;
    for (int f = 0; ok && f < ES_BATCH; f++) {
        ok = es_source_next(source, &frames[f], ES_READ_PIXELS, &end, err) && !end;
        batch[f] = &frames[f];
    }
    double one = 0, two = 0;
    double cpu = 0, both_cpu = 0;
    ok = ok && time_crew(&o, 1, batch, traces[0], &one, &cpu, err) &&
         time_crew(&o, 2, batch, traces[1], &two, &both_cpu, err);
    for (int f = 0; ok && f < ES_BATCH; f++)
        same = same && same_traces(&traces[0][f], &traces[1][f]);
    if (ok) {
        add("512 x 512, one core, CPU time per frame", es_bone_method_names[method], cpu, "ms",
            asked_of(method, 5, 8));
        add("512 x 512, one thread, best wall time", es_bone_method_names[method], one, "ms", NAN);
        add("two threads against one", es_bone_method_names[method], one / two, "times", -1.7);
        add("two threads, other result", es_bone_method_names[method], !same, "", 0.5);
    }
    for (int f = 0; f < ES_BATCH; f++) {
        es_frame_clear(&frames[f]);
        es_trace_clear(&traces[0][f]);
        es_trace_clear(&traces[1][f]);
    }
    es_source_free(source);
    return ok;
}

/* ---- against ONNX Runtime --------------------------------------------------------- */

enum { ONNX_WIDTH = 104, ONNX_HEIGHT = 128 };

/* Least CPU time of many passes, the two in turn. */
static bool time_networks(es_network *const pair[2], double ms[2], es_error *err) {
    static float grey[ONNX_WIDTH * ONNX_HEIGHT], logits[ONNX_WIDTH * ONNX_HEIGHT];
    es_network_run *runs[2] = {es_network_run_new(pair[0], err), es_network_run_new(pair[1], err)};
    es_random random = es_random_new(3, 3);
    bool ok = runs[0] && runs[1];
    for (int i = 0; i < ONNX_WIDTH * ONNX_HEIGHT; i++) grey[i] = (float)es_random_uniform(&random);
    ms[0] = ms[1] = INFINITY;
    for (int k = 0; ok && k < 200; k++) {
        clock_t start = clock();
        ok = es_network_apply(runs[k & 1], grey, ONNX_WIDTH, ONNX_HEIGHT, logits, err);
        ms[k & 1] = fmin(ms[k & 1], 1e3 * (double)(clock() - start) / CLOCKS_PER_SEC);
    }
    es_network_run_free(runs[0]);
    es_network_run_free(runs[1]);
    return ok;
}

/* The shipped shape with random weights, as both kinds of file. */
static bool bench_onnx(es_error *err) {
    char folder[] = "/tmp/bench-bone-XXXXXX", command[200], path[2][64];
    double ms[2];
    if (!mkdtemp(folder)) return true;
    snprintf(command, sizeof command, "tests/make_network.py %s >/dev/null 2>&1", folder);
    bool made = system(command) == 0;
    snprintf(path[0], sizeof path[0], "%s/net.esnn", folder);
    snprintf(path[1], sizeof path[1], "%s/net.onnx", folder);
    es_network *pair[2] = {made ? es_network_open(path[0], err) : NULL,
                           made ? es_network_open(path[1], err) : NULL};
    bool ok = true;
    if (pair[0] && pair[1] && (ok = time_networks(pair, ms, err))) {
        add("network 4-8-16-32 at 104 x 128, CPU time", "network", ms[0], "ms", NAN);
        add("the same by ONNX Runtime", "onnx", ms[1], "ms", NAN);
        add("own kernels against ONNX Runtime", "network", ms[0] / ms[1], "times", 1.6);
    } else if (ok) {
        fprintf(stderr, "left out: the comparison with ONNX Runtime (%s)\n",
                made ? err->message : "python3-torch and python3-onnx make the model");
    }
    es_network_free(pair[0]);
    es_network_free(pair[1]);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 && ok;
}

static const char *word_after(int argc, char **argv, const char *name) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return NULL;
}

static bool has_word(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    es_error err = {0};
    const char *model = word_after(argc, argv, "--model");
    network = model                      ? es_network_open(model, &err)
              : es_network_is_built_in() ? es_network_built_in(&err)
                                         : NULL;
    bool ok =
        (network || !model) && bench_real_bone(&err) && bench_spine(&err) && bench_wires(&err);
    for (int m = 0; ok && m < methods(); m++)
        ok = bench_simulated((es_bone_method)m, &err) && bench_speed((es_bone_method)m, &err);
    ok = ok && bench_onnx(&err);
    es_network_free(network);
    if (!ok) {
        fprintf(stderr, "bench_bone: %s\n", err.message);
        return 1;
    }
    int missed = print_rows(has_word(argc, argv, "--json"));
    return has_word(argc, argv, "--check") && missed ? 1 : 0;
}
