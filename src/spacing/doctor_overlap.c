/* Overlap agreement: the one test of poses that needs no feature and no
 * assumption but that the body holds still.
 *
 * Each picture is shrunk to cells of some pixels, and what all pictures have
 * in common at a cell (the probe's own shading, the near field) is taken away.
 * Every cell is put where the pose says it lies, into boxes of a few mm. Where
 * pictures of different times fall into the same box, they must show the same:
 * the correlation r over all such pairs is about .3 to .7 for right poses, and
 * about 0 for poses that are transposed, inverted, mirrored, permuted or late,
 * because then the boxes hold different tissue. Neighbouring frames look alike
 * wherever they lie, so only pairs that are some pictures apart count.
 *
 * A single sweep without a second look at any place has no pairs, and then
 * nothing is claimed. */
#include "doctor_overlap.h"

#include <math.h>
#include <string.h>

enum {
    TABLE = 1 << 17, /* boxes */
    MOST_SAMPLES = 80000,
    BLOCK = 5 /* pictures that count as one look */
};
#define LIT 3.0F /* grey: cells that are never brighter are outside the field */
#define FEW_PAIRS 500.0
#define LEAST_BOX 1.0 /* mm */

/* One place; looks at it are gathered block by block, in the order of time. */
typedef struct box {
    uint64_t key;
    uint32_t round;            /* of the measurement that used it last */
    int32_t block, last_block; /* -1: none */
    float sum, last_mean;
    uint32_t count;
} box;

struct overlap {
    size_t pictures, cells;
    int64_t *frame;
    float *value; /* pictures x cells, mean of all pictures taken away */
    float *u, *v; /* middle of each cell, pixels */
    box *table;
    uint32_t round;
    double box_mm;
    double n, sx, sy, sxx, syy, sxy; /* of the pairs */
};

/* ---- the cells ------------------------------------------------------------------ */

static bool is_lit(const es_doctor *d, size_t i) {
    for (size_t t = 0; t < d->thumb_count; t++)
        if (d->thumbs[t].grey[i] > LIT) return true;
    return false;
}

static size_t choose_cells(const es_doctor *d, overlap *o, uint32_t *index) {
    size_t all = (size_t)d->thumb_width * d->thumb_height, lit = 0, count = 0;
    for (size_t i = 0; i < all; i++)
        if (is_lit(d, i)) index[lit++] = (uint32_t)i;
    size_t every = 1 + lit * o->pictures / MOST_SAMPLES;
    for (size_t i = 0; i < lit; i += every) {
        uint32_t x = index[i] % d->thumb_width, y = index[i] / d->thumb_width;
        o->u[count] = (float)(x * d->cell) + 0.5F * (float)(d->cell - 1);
        o->v[count] = (float)(y * d->cell) + 0.5F * (float)(d->cell - 1);
        index[count++] = index[i];
    }
    return count;
}

static void take_values(const es_doctor *d, overlap *o, const uint32_t *index,
                        const size_t *thumb) {
    for (size_t c = 0; c < o->cells; c++) {
        double sum = 0;
        for (size_t p = 0; p < o->pictures; p++) sum += d->thumbs[thumb[p]].grey[index[c]];
        float mean = (float)(sum / (double)o->pictures);
        for (size_t p = 0; p < o->pictures; p++)
            o->value[p * o->cells + c] = d->thumbs[thumb[p]].grey[index[c]] - mean;
    }
}

static bool fill(const es_doctor *d, overlap *o, uint32_t *index, size_t *thumb, es_error *err) {
    for (size_t t = 0; t < d->thumb_count; t++)
        if (d->has_pose[d->thumbs[t].frame]) {
            o->frame[o->pictures] = d->thumbs[t].frame;
            thumb[o->pictures++] = t;
        }
    if (o->pictures < 3 * BLOCK) return false;
    o->cells = choose_cells(d, o, index);
    if (o->cells < 50) return false;
    o->value = es_alloc(o->pictures * o->cells, sizeof *o->value, err);
    o->table = es_alloc_zero(TABLE, sizeof *o->table, err);
    if (!o->value || !o->table) return false;
    take_values(d, o, index, thumb);
    const es_mat4 *pose = &d->image_pose[o->frame[0]];
    double pixel = fmax(doctor_column_length(pose, 0), doctor_column_length(pose, 1));
    o->box_mm = fmax(1.5 * pixel * d->cell, LEAST_BOX);
    return isfinite(o->box_mm) && o->box_mm < 50;
}

overlap *overlap_new(const es_doctor *d, es_error *err) {
    size_t all = (size_t)d->thumb_width * d->thumb_height;
    if (!d->thumb_count) return NULL;
    overlap *o = es_alloc_zero(1, sizeof *o, err);
    uint32_t *index = es_alloc(all, sizeof *index, err);
    size_t *thumb = es_alloc(d->thumb_count, sizeof *thumb, err);
    if (o) {
        o->frame = es_alloc(d->thumb_count, sizeof *o->frame, err);
        o->u = es_alloc(all, sizeof *o->u, err);
        o->v = es_alloc(all, sizeof *o->v, err);
    }
    bool ok = o && index && thumb && o->frame && o->u && o->v && fill(d, o, index, thumb, err);
    es_free(index);
    es_free(thumb);
    if (ok) return o;
    overlap_free(o);
    return NULL;
}

void overlap_free(overlap *o) {
    if (!o) return;
    es_free(o->frame);
    es_free(o->u);
    es_free(o->v);
    es_free(o->value);
    es_free(o->table);
    es_free(o);
}

size_t overlap_count(const overlap *o) { return o->pictures; }
int64_t overlap_frame(const overlap *o, size_t picture) { return o->frame[picture]; }

/* ---- the boxes -------------------------------------------------------------------- */

static uint64_t key_of(es_vec3 p, double box_mm) {
    uint64_t key = 0;
    double at[3] = {p.x, p.y, p.z};
    for (int a = 0; a < 3; a++) {
        double index = floor(at[a] / box_mm) + 1048576;
        index = fmin(fmax(index, 0), 2097151); /* 21 bits an axis: 2 km of boxes of 1 mm */
        key = (key << 21) | (uint64_t)index;
    }
    return key;
}

/* NULL: the table is full around here; that sample is left out. */
static box *find_box(overlap *o, uint64_t key) {
    uint64_t hash = (key ^ (key >> 31)) * 0x9E3779B97F4A7C15ull;
    size_t at = (size_t)(hash >> 40) & (TABLE - 1);
    for (int tries = 0; tries < 16; tries++, at = (at + 1) & (TABLE - 1)) {
        box *b = &o->table[at];
        if (b->round != o->round) {
            *b = (box){.key = key, .round = o->round, .block = -1, .last_block = -1};
            return b;
        }
        if (b->key == key) return b;
    }
    return NULL;
}

/* The block that was being gathered is complete: pair it with the one before. */
static void close_look(overlap *o, box *b) {
    if (b->block < 0) return;
    double mean = b->sum / (float)b->count, last = b->last_mean;
    if (b->last_block >= 0 && b->block - b->last_block >= 2) {
        o->n++;
        o->sx += last;
        o->sy += mean;
        o->sxx += last * last;
        o->syy += mean * mean;
        o->sxy += last * mean;
    }
    b->last_block = b->block;
    b->last_mean = (float)mean;
}

static void add_picture(overlap *o, size_t picture, const es_mat4 *pose) {
    const float *value = o->value + picture * o->cells;
    int32_t block = (int32_t)(picture / BLOCK);
    const double *m = pose->m;
    for (size_t c = 0; c < o->cells; c++) {
        double u = o->u[c], v = o->v[c];
        es_vec3 at = {m[0] * u + m[1] * v + m[3], m[4] * u + m[5] * v + m[7],
                      m[8] * u + m[9] * v + m[11]};
        box *b = find_box(o, key_of(at, o->box_mm));
        if (!b) continue;
        if (b->block != block) {
            close_look(o, b);
            b->block = block;
            b->sum = 0;
            b->count = 0;
        }
        b->sum += value[c];
        b->count++;
    }
}

agreement overlap_measure(overlap *o, const es_mat4 *poses, const uint8_t *use) {
    size_t samples = 0;
    o->round++;
    o->n = o->sx = o->sy = o->sxx = o->syy = o->sxy = 0;
    for (size_t p = 0; p < o->pictures; p++) {
        if (!use[p] || !es_mat4_finite(poses[p])) continue;
        add_picture(o, p, &poses[p]);
        samples += o->cells;
    }
    for (size_t i = 0; i < TABLE; i++)
        if (o->table[i].round == o->round) close_look(o, &o->table[i]);
    agreement a = {.r = 0, .pairs = (int64_t)o->n};
    double vx = o->sxx - o->sx * o->sx / fmax(o->n, 1);
    double vy = o->syy - o->sy * o->sy / fmax(o->n, 1);
    if (o->n > 2 && vx > 0 && vy > 0) a.r = (o->sxy - o->sx * o->sy / o->n) / sqrt(vx * vy);
    a.r *= o->n / (o->n + FEW_PAIRS); /* a few pairs correlate by chance */
    a.share = samples ? o->n / (double)samples : 0;
    return a;
}
