/* Candidates for a ruler's ticks. Two sources:
 *  - connected bright parts of at most 4 pixels along the ruler and 14 across:
 *    letters are taller, so that this alone removes most text. A dot that has
 *    something bright on both sides (the point of "12.5 Hz") is none;
 *  - ticks that touch their axis line: next to a long lit line, the short
 *    runs of lit pixels. */
#include "marks.h"

#include <math.h>
#include <string.h>

enum { LONG = 4, WIDE = 14, BESIDE = 6, LINE_WIDE = 4 };

/* The picture seen so that `along` runs along the ruler. */
typedef struct view {
    const float *grey;
    size_t step[2]; /* of along and across */
    int size[2];
    float threshold;
} view;

static view make_view(const es_image *still, int axis, float threshold) {
    int w = (int)still->width, h = (int)still->height;
    view v = {.grey = still->data, .threshold = threshold};
    v.step[0] = axis ? still->width : 1;
    v.step[1] = axis ? 1 : still->width;
    v.size[0] = axis ? h : w;
    v.size[1] = axis ? w : h;
    return v;
}

static float value_at(const view *v, int along, int across) {
    if (along < 0 || across < 0 || along >= v->size[0] || across >= v->size[1]) return 0;
    return v->grey[(size_t)along * v->step[0] + (size_t)across * v->step[1]];
}

static bool lit(const view *v, int along, int across) {
    return value_at(v, along, across) > v->threshold;
}

static bool add_mark(mark_list *list, const mark *item, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        if (!es_resize(&list->items, capacity, sizeof *list->items, err)) return false;
        list->capacity = capacity;
    }
    list->items[list->count++] = *item;
    return true;
}

void marks_clear(mark_list *list) {
    es_free(list->items);
    memset(list, 0, sizeof *list);
}

/* ---- connected parts ------------------------------------------------------------ */

typedef struct part {
    int low[2], high[2];
    double weight, moment, pixels;
} part;

static uint32_t root_of(uint32_t *parent, uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static void join(uint32_t *parent, uint32_t a, uint32_t b) {
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

/* Numbers the lit pixels by their part's first pixel + 1; 0: dark. */
static void label_parts(const view *v, uint32_t *parent) {
    int n = v->size[0], m = v->size[1];
    for (int a = 0; a < n; a++)
        for (int c = 0; c < m; c++) {
            uint32_t i = (uint32_t)a * (uint32_t)m + (uint32_t)c;
            parent[i] = i;
            if (!lit(v, a, c)) continue;
            if (lit(v, a, c - 1)) join(parent, i, i - 1);
            for (int d = -1; d <= 1; d++)
                if (lit(v, a - 1, c + d)) join(parent, i, i - (uint32_t)m + (uint32_t)d);
        }
}

static void add_pixel(part *p, int along, int across, float value) {
    if (p->weight == 0) {
        p->low[0] = p->high[0] = along;
        p->low[1] = p->high[1] = across;
    }
    p->high[0] = along; /* pixels come in this order */
    p->low[1] = across < p->low[1] ? across : p->low[1];
    p->high[1] = across > p->high[1] ? across : p->high[1];
    p->pixels++;
    p->weight += value;
    p->moment += (double)value * along;
}

static bool lit_between(const view *v, const part *p, int from, int to) {
    for (int a = p->low[0]; a <= p->high[0]; a++)
        for (int c = from; c <= to; c++)
            if (lit(v, a, c)) return true;
    return false;
}

static bool is_tick(const view *v, const part *p) {
    if (p->high[0] - p->low[0] >= LONG || p->high[1] - p->low[1] >= WIDE) return false;
    return !(lit_between(v, p, p->low[1] - BESIDE, p->low[1] - 1) &&
             lit_between(v, p, p->high[1] + 1, p->high[1] + BESIDE));
}

/* Parts are gathered in one pass over the pixels, in slots that roots name. */
static bool gather_parts(const view *v, uint32_t *parent, mark_list *list, es_error *err) {
    int n = v->size[0], m = v->size[1];
    size_t roots = 0, total = (size_t)n * (size_t)m;
    for (size_t i = 0; i < total; i++)
        roots += parent[i] == i && lit(v, (int)(i / (size_t)m), (int)(i % (size_t)m));
    part *parts = es_alloc_zero(roots, sizeof *parts, err);
    uint32_t *slot = es_alloc(total, sizeof *slot, err);
    bool ok = parts && slot;
    size_t used = 0;
    for (size_t i = 0; ok && i < total; i++) {
        int a = (int)(i / (size_t)m), c = (int)(i % (size_t)m);
        if (!lit(v, a, c)) continue;
        uint32_t root = root_of(parent, (uint32_t)i); /* the part's first pixel */
        if (root == i) slot[i] = (uint32_t)used++;
        add_pixel(&parts[slot[root]], a, c, value_at(v, a, c));
    }
    for (size_t i = 0; ok && i < used; i++) {
        const part *p = &parts[i];
        mark found = {.at = p->moment / p->weight, .left = p->low[1], .right = p->high[1]};
        found.level = p->weight / p->pixels;
        found.thick = p->high[0] - p->low[0] + 1;
        if (is_tick(v, p)) ok = add_mark(list, &found, err);
    }
    es_free(parts);
    es_free(slot);
    return ok;
}

static bool find_parts(const view *v, mark_list *list, es_error *err) {
    size_t total = (size_t)v->size[0] * (size_t)v->size[1];
    if (total >= UINT32_MAX) return true; /* no screen is that large */
    uint32_t *parent = es_alloc(total, sizeof *parent, err);
    if (!parent) return false;
    label_parts(v, parent);
    bool ok = gather_parts(v, parent, list, err);
    es_free(parent);
    return ok;
}

/* ---- ticks on an axis line -------------------------------------------------------- */

static bool is_line(const view *v, int across) {
    int count = 0;
    for (int a = 0; a < v->size[0]; a++) count += lit(v, a, across);
    return 10 * count > 3 * v->size[0];
}

/* How far the run at `along` reaches away from the line. */
static int reach(const view *v, int along, int across, int side) {
    int far = across;
    while (lit(v, along, far + side) && far != across + side * 4 * WIDE) far += side;
    return far;
}

/* Lit runs of at most LONG pixels in a column `across` beside a line. */
static bool runs_beside(const view *v, int across, int side, mark_list *list, es_error *err) {
    for (int a = 0; a < v->size[0]; a++) {
        if (!lit(v, a, across)) continue;
        int first = a;
        double weight = 0, moment = 0;
        for (; lit(v, a, across); a++) {
            weight += value_at(v, a, across);
            moment += (double)value_at(v, a, across) * a;
        }
        if (a - first > LONG) continue;
        int far = reach(v, (first + a - 1) / 2, across, side);
        mark found = {.at = moment / weight, .beside = across + 1};
        found.thick = a - first;
        found.level = weight / found.thick;
        found.left = side < 0 ? far : across;
        found.right = side < 0 ? across : far;
        if (!add_mark(list, &found, err)) return false;
    }
    return true;
}

static bool find_beside_lines(const view *v, mark_list *list, es_error *err) {
    for (int c = 0; c < v->size[1]; c++) {
        if (!is_line(v, c)) continue;
        int first = c;
        while (c + 1 < v->size[1] && is_line(v, c + 1)) c++;
        if (c - first >= LINE_WIDE) continue; /* tissue or a grey bar */
        for (int gap = 2; gap <= 4; gap++)
            if ((first - gap >= 0 && !runs_beside(v, first - gap, -1, list, err)) ||
                (c + gap < v->size[1] && !runs_beside(v, c + gap, 1, list, err)))
                return false;
    }
    return true;
}

bool marks_find(const es_image *still, int axis, float threshold, mark_list *list, es_error *err) {
    view v = make_view(still, axis, threshold);
    if (v.size[0] < 1 || v.size[1] < 1) return true;
    return find_parts(&v, list, err) && find_beside_lines(&v, list, err);
}
