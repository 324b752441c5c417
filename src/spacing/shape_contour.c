/* The contour of the mask: the first and last lit pixel of each row and each
 * column, the edge lying half a pixel outside of it. A shadow or a black hole
 * moves single points inwards; the fits after this one are robust to that.
 *
 * Where many rows begin in one column the echoes were cut there by the
 * picture's border or a clip: such points are marked and say nothing about
 * the shape. */
#include "shape_internal.h"

#include <string.h>

enum { PILE_LEAST = 30, PILE_SHARE_ROWS = 12, PILE_SHARE_COLUMNS = 35 }; /* percent */

static uint32_t row_of(const shape_mask *mask, uint32_t v, bool flipped) {
    return flipped ? mask->height - 1 - v : v;
}

static void add(shape_contour *c, double u, double v, shape_side side, bool cut) {
    c->points[c->count++] = (shape_point){(float)u, (float)v, (uint8_t)side, cut};
}

/* One pass over rows (or columns): the first and last lit place of each. */
static void scan(const shape_mask *mask, int parts, bool flipped, bool rows, int32_t *first,
                 int32_t *last) {
    uint32_t lines = rows ? mask->height : mask->width;
    for (uint32_t k = 0; k < lines; k++) first[k] = last[k] = -1;
    for (uint32_t v = 0; v < mask->height; v++)
        for (uint32_t u = 0; u < mask->width; u++) {
            if (!shape_lit(mask, u, row_of(mask, v, flipped), parts)) continue;
            uint32_t line = rows ? v : u;
            int32_t place = (int32_t)(rows ? u : v);
            if (first[line] < 0) first[line] = place;
            last[line] = place;
        }
}

/* Adds one side's points; true when a part of it is a straight cut. */
static bool add_side(shape_contour *c, const int32_t *place, uint32_t lines, uint32_t length,
                     shape_side side, uint32_t *pile) {
    bool rows = side == SHAPE_LEFT || side == SHAPE_RIGHT;
    bool low = side == SHAPE_LEFT || side == SHAPE_TOP;
    size_t lit = 0, share = rows ? PILE_SHARE_ROWS : PILE_SHARE_COLUMNS;
    bool any = false;
    memset(pile, 0, length * sizeof *pile);
    for (uint32_t k = 0; k < lines; k++)
        if (place[k] >= 0) pile[place[k]]++, lit++;
    c->first[side] = c->count;
    for (uint32_t k = 0; k < lines; k++) {
        if (place[k] < 0) continue;
        uint32_t p = (uint32_t)place[k];
        bool border = low ? p < 1 : p + 2 > length;
        bool cut = border || (pile[p] >= PILE_LEAST && (size_t)pile[p] * 100 > share * lit);
        double at = place[k] + (low ? -.5 : .5);
        add(c, rows ? at : k, rows ? k : at, side, cut);
        any = any || cut;
    }
    return any;
}

bool shape_contour_make(const shape_mask *mask, int parts, bool flipped, shape_contour *c,
                        es_error *err) {
    uint32_t w = mask->width, h = mask->height, most = w > h ? w : h;
    memset(c, 0, sizeof *c);
    c->points = es_alloc(2 * ((size_t)w + h), sizeof *c->points, err);
    int32_t *first = es_alloc(most, sizeof *first, err), *last = es_alloc(most, sizeof *last, err);
    uint32_t *pile = es_alloc(most, sizeof *pile, err);
    bool ok = c->points && first && last && pile;
    if (ok) {
        scan(mask, parts, flipped, true, first, last);
        c->cut_left = add_side(c, first, h, w, SHAPE_LEFT, pile);
        c->cut_right = add_side(c, last, h, w, SHAPE_RIGHT, pile);
        scan(mask, parts, flipped, false, first, last);
        c->cut_top = add_side(c, first, w, h, SHAPE_TOP, pile);
        c->cut_bottom = add_side(c, last, w, h, SHAPE_BOTTOM, pile);
        c->first[4] = c->count;
    }
    es_free(first);
    es_free(last);
    es_free(pile);
    if (!ok) shape_contour_clear(c);
    return ok;
}

void shape_contour_clear(shape_contour *c) {
    es_free(c->points);
    memset(c, 0, sizeof *c);
}
