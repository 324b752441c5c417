/* Bone lines and bricks as files, bit by bit, for the next run on this machine: a line
 * of text, a mark of the byte order, then numbers as they lie in memory. */
#include <stdlib.h>
#include <string.h>

#include "echosolid/keep.h"

static const char LINES_HEAD[] = "echosolid bone lines 1\n", BRICKS_HEAD[] = "echosolid bricks 1\n";
static const uint32_t ORDER = 0x01020304;
enum { MOST_LINES = 1 << 20 };

/* ---- reading, with an end ------------------------------------------------------------ */

typedef struct input {
    FILE *file;
    char *path;
} input;

static bool take(input *in, void *to, size_t bytes, es_error *err) {
    if (fread(to, 1, bytes, in->file) == bytes) return true;
    return es_fail(err, ES_FORMAT, "%s: ends too soon", in->path);
}

static void input_close(input *in) {
    if (in->file) fclose(in->file);
    es_free(in->path);
}

static bool input_open(input *in, const char *path, const char *head, es_error *err) {
    char found[64] = "";
    uint32_t order = 0;
    in->path = es_copy_text(path, err);
    if (!in->path) return false;
    in->file = fopen(path, "rb");
    if (!in->file) return es_fail_errno(err, "%s: cannot be opened", path);
    if (!take(in, found, strlen(head), err) || !take(in, &order, sizeof order, err)) return false;
    if (strcmp(found, head) == 0 && order == ORDER) return true;
    return es_fail(err, ES_FORMAT, "%s: does not start with \"%.*s\" of this machine", path,
                   (int)strlen(head) - 1, head);
}

static bool start(es_output *out, const char *head, es_error *err) {
    return es_output_write(out, head, strlen(head), err) &&
           es_output_write(out, &ORDER, sizeof ORDER, err);
}

/* ---- lines ---------------------------------------------------------------------------- */

typedef struct frame_head {
    int64_t index; /* -1: behind the last */
    uint64_t lines;
    double matrix[16];
} frame_head;

typedef struct line_record {
    double u, v, du, dv, length_mm, depth_mm;
    float confidence, cos_incidence;
    uint32_t found, pad;
} line_record;

struct es_lines_writer {
    es_output *out;
};

es_lines_writer *es_lines_create(const char *path, es_error *err) {
    es_lines_writer *w = es_alloc_zero(1, sizeof *w, err);
    if (w && (w->out = es_output_open(path, err)) && start(w->out, LINES_HEAD, err)) return w;
    es_lines_discard(w);
    return NULL;
}

bool es_lines_put(es_lines_writer *w, int64_t index, const es_mat4 *image_to_reference,
                  const es_trace *trace, es_error *err) {
    frame_head head = {.index = index, .lines = trace->count};
    memcpy(head.matrix, image_to_reference->m, sizeof head.matrix);
    bool ok = es_output_write(w->out, &head, sizeof head, err);
    for (size_t i = 0; ok && i < trace->count; i++) {
        const es_scan_line *l = &trace->lines[i];
        line_record r = {l->u,          l->v,
                         l->du,         l->dv,
                         l->length_mm,  l->depth_mm,
                         l->confidence, l->cos_incidence,
                         l->found,      0};
        ok = es_output_write(w->out, &r, sizeof r, err);
    }
    return ok;
}

bool es_lines_finish(es_lines_writer *w, es_error *err) {
    frame_head end = {.index = -1};
    bool ok = es_output_write(w->out, &end, sizeof end, err);
    if (ok) {
        ok = es_output_commit(w->out, err);
        w->out = NULL;
    }
    es_lines_discard(w);
    return ok;
}

void es_lines_discard(es_lines_writer *w) {
    if (!w) return;
    es_output_discard(w->out);
    es_free(w);
}

struct es_lines_reader {
    input in;
};

es_lines_reader *es_lines_open(const char *path, es_error *err) {
    es_lines_reader *r = es_alloc_zero(1, sizeof *r, err);
    if (r && input_open(&r->in, path, LINES_HEAD, err)) return r;
    es_lines_close(r);
    return NULL;
}

bool es_lines_next(es_lines_reader *r, int64_t *index, es_mat4 *image_to_reference, es_trace *trace,
                   bool *end, es_error *err) {
    frame_head head;
    if (!take(&r->in, &head, sizeof head, err)) return false;
    *end = head.index < 0;
    if (*end) return true;
    if (head.lines > MOST_LINES)
        return es_fail(err, ES_FORMAT, "%s: a frame of %llu lines", r->in.path,
                       (unsigned long long)head.lines);
    if (!es_trace_resize(trace, (size_t)head.lines, err)) return false;
    *index = head.index;
    memcpy(image_to_reference->m, head.matrix, sizeof head.matrix);
    for (size_t i = 0; i < trace->count; i++) {
        line_record l;
        if (!take(&r->in, &l, sizeof l, err)) return false;
        trace->lines[i] = (es_scan_line){.u = l.u,
                                         .v = l.v,
                                         .du = l.du,
                                         .dv = l.dv,
                                         .length_mm = l.length_mm,
                                         .found = l.found != 0,
                                         .depth_mm = l.depth_mm,
                                         .confidence = l.confidence,
                                         .cos_incidence = l.cos_incidence};
    }
    return true;
}

void es_lines_close(es_lines_reader *r) {
    if (!r) return;
    input_close(&r->in);
    es_free(r);
}

/* ---- pictures ----------------------------------------------------------------------- */

bool es_ppm_write(const char *path, const es_image *picture, es_error *err) {
    if (picture->type != ES_U8 || picture->channels != 3)
        return es_fail(err, ES_USAGE, "%s: a .ppm holds 8-bit RGB", path);
    es_output *out = es_output_open(path, err);
    bool ok = out &&
              es_output_print(out, err, "P6\n%u %u\n255\n", picture->width, picture->height) &&
              es_output_write(out, picture->data, es_image_bytes(picture), err);
    if (ok) return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}

bool es_ppm_read(const char *path, es_image *picture, es_error *err) {
    unsigned width = 0, height = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return es_fail_errno(err, "%s: cannot be opened", path);
    bool ok = fscanf(file, "P6 %5u %5u 255", &width, &height) == 2 && fgetc(file) == '\n';
    if (!ok || width > 32768 || height > 32768 || !width || !height)
        ok = es_fail(err, ES_FORMAT, "%s: is not a .ppm of 8-bit RGB", path);
    ok = ok && es_image_resize(picture, ES_U8, 3, width, height, err);
    size_t bytes = ok ? es_image_bytes(picture) : 0;
    if (ok && fread(picture->data, 1, bytes, file) != bytes)
        ok = es_fail(err, ES_FORMAT, "%s: ends too soon", path);
    fclose(file);
    return ok;
}

/* ---- bricks --------------------------------------------------------------------------- */

typedef struct bricks_head {
    double origin_mm[3], spacing_mm[3];
    uint64_t count;
} bricks_head;

bool es_bricks_save(const char *path, const es_bricks *bricks, es_error *err) {
    bricks_head head = {.count = es_bricks_count(bricks)};
    memcpy(head.origin_mm, es_bricks_origin(bricks), sizeof head.origin_mm);
    memcpy(head.spacing_mm, es_bricks_spacing(bricks), sizeof head.spacing_mm);
    es_output *out = es_output_open(path, err);
    bool ok = out && start(out, BRICKS_HEAD, err) && es_output_write(out, &head, sizeof head, err);
    for (size_t i = 0; ok && i < head.count; i++) {
        const es_brick *b = es_bricks_get(bricks, i);
        ok = es_output_write(out, b->at, sizeof b->at, err) &&
             es_output_write(out, b->value, sizeof b->value, err) &&
             es_output_write(out, b->weight, sizeof b->weight, err);
    }
    if (ok) return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}

static bool take_brick(input *in, es_bricks *bricks, es_error *err) {
    int32_t at[3];
    if (!take(in, at, sizeof at, err)) return false;
    es_brick *b = es_bricks_add(bricks, at[0], at[1], at[2], err);
    return b && take(in, b->value, sizeof b->value, err) &&
           take(in, b->weight, sizeof b->weight, err);
}

es_bricks *es_bricks_load(const char *path, es_error *err) {
    input in = {0};
    bricks_head head;
    es_bricks *bricks = NULL;
    bool ok = input_open(&in, path, BRICKS_HEAD, err) && take(&in, &head, sizeof head, err) &&
              (bricks = es_bricks_new(head.origin_mm, head.spacing_mm, err)) != NULL;
    for (uint64_t i = 0; ok && i < head.count; i++) ok = take_brick(&in, bricks, err);
    if (ok && es_bricks_count(bricks) != head.count)
        ok = es_fail(err, ES_FORMAT, "%s: a brick is there twice", path);
    input_close(&in);
    if (ok) return bricks;
    es_bricks_free(bricks);
    return NULL;
}
