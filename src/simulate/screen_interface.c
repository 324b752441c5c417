/* screen_interface.c: what scanners write around and over the echoes: rulers,
 * words, logos, grey bars, and the few things on them that move. */
#include "screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static es_colour grey(uint8_t level) { return (es_colour){level, level, level}; }

/* Columns u0 up to u1 and rows v0 up to v1, the last of each excluded. */
static void fill(es_image *picture, int u0, int v0, int u1, int v1, uint8_t level) {
    int width = (int)picture->width, height = (int)picture->height;
    for (int v = v0 < 0 ? 0 : v0; v < v1 && v < height; v++)
        for (int u = u0 < 0 ? 0 : u0; u < u1 && u < width; u++)
            memset((uint8_t *)picture->data + 3 * ((size_t)v * picture->width + (size_t)u), level,
                   3);
}

/* ---- rulers --------------------------------------------------------------- */

/* A mark of any direction: `along` the comb, `from` .. `to` across it. */
static void fill_mark(es_image *picture, const es_screen_comb *c, int along, int from, int to) {
    int low = from < to ? from : to, high = from < to ? to : from;
    if (c->axis == 1)
        fill(picture, low, along, high, along + c->thickness, c->level);
    else
        fill(picture, along, low, along + c->thickness, high, c->level);
}

static void number_mark(es_image *picture, const es_screen_comb *c, int mark, int along) {
    char text[16];
    snprintf(text, sizeof text, "%g", mark * c->step_mm / 10);
    int side = c->major_length < 0 ? -1 : 1, wide = 6 * (int)strlen(text);
    int across = c->at_px + c->major_length + 4 * side;
    if (c->axis == 1)
        es_picture_text(picture, side < 0 ? across - wide : across, along - 3, 1, grey(c->level),
                        text);
    else
        es_picture_text(picture, along - wide / 2, side < 0 ? across - 8 : across, 1,
                        grey(c->level), text);
}

static void draw_comb(es_image *picture, const es_screen *s, const es_screen_comb *c) {
    double period = c->step_mm / s->spacing_mm[c->axis];
    int first = (int)lround(c->zero_px), last = first;
    for (int k = 0; k < c->marks; k++) {
        bool major = c->major_every > 0 && k % c->major_every == 0;
        int along = (int)lround(c->zero_px + k * period);
        int length = major ? c->major_length : c->length;
        fill_mark(picture, c, along, c->at_px, c->at_px + length);
        if (c->numbers && major) number_mark(picture, c, k, along);
        last = along;
    }
    if (!c->line) return;
    if (c->axis == 1)
        fill(picture, c->at_px, first, c->at_px + 1, last + c->thickness, c->level);
    else
        fill(picture, first, c->at_px, last + c->thickness, c->at_px + 1, c->level);
}

/* ---- other things ------------------------------------------------------------ */

static void draw_bar(es_image *picture, const es_screen_item *i) {
    for (int row = 0; row < i->height; row++)
        fill(picture, i->u, i->v + row, i->u + i->width, i->v + row + 1,
             (uint8_t)(1 + 254 * (i->height - 1 - row) / i->height));
}

static void draw_box(es_image *picture, const es_screen_item *i) {
    int u1 = i->u + i->width, v1 = i->v + i->height;
    fill(picture, i->u, i->v, u1, i->v + 1, i->level);
    fill(picture, i->u, v1 - 1, u1, v1, i->level);
    fill(picture, i->u, i->v, i->u + 1, v1, i->level);
    fill(picture, u1 - 1, i->v, u1, v1, i->level);
}

static void draw_focus(es_image *picture, const es_screen_item *i) {
    for (int row = -i->width / 2; row <= i->width / 2; row++)
        fill(picture, i->u + 2 * abs(row), i->v + row, i->u + i->width, i->v + row + 1, i->level);
}

static void draw_disc(es_image *picture, const es_screen_item *i, uint8_t level, double share) {
    es_picture_disc(picture, i->u + i->width / 2.0, i->v + i->width / 2.0, share * i->width / 2,
                    grey(level));
}

static void draw_item(es_image *picture, const es_screen_item *i) {
    switch (i->kind) {
    case ES_SCREEN_TEXT:
        es_picture_text(picture, i->u, i->v, i->scale, grey(i->level), i->text);
        break;
    case ES_SCREEN_BAR: draw_bar(picture, i); break;
    case ES_SCREEN_BOX: draw_box(picture, i); break;
    case ES_SCREEN_FOCUS: draw_focus(picture, i); break;
    case ES_SCREEN_LOGO:
        draw_disc(picture, i, i->level, 1);
        draw_disc(picture, i, 1, 0.55);
        es_picture_text(picture, i->u + i->width + 4, i->v + i->width / 2 - 5 * i->scale, i->scale,
                        grey(i->level), i->text);
        break;
    case ES_SCREEN_CLOCK:
    case ES_SCREEN_BLINK: break; /* they move */
    }
}

/* The luma of greys drawn as RGB is the value of any channel. */
static bool keep_grey(const es_image *picture, es_image *still, es_error *err) {
    if (!es_image_resize(still, ES_U8, 1, picture->width, picture->height, err)) return false;
    const uint8_t *from = picture->data;
    uint8_t *to = still->data;
    for (size_t i = 0, n = (size_t)picture->width * picture->height; i < n; i++)
        to[i] = from[3 * i];
    return true;
}

bool screen_interface_new(const es_screen *screen, es_image *still, es_error *err) {
    es_image picture = {0};
    bool ok = es_picture_new(&picture, screen->width, screen->height, grey(0), err);
    for (int i = 0; ok && i < screen->items; i++) draw_item(&picture, &screen->item[i]);
    for (int i = 0; ok && i < screen->combs; i++) draw_comb(&picture, screen, &screen->comb[i]);
    ok = ok && keep_grey(&picture, still, err);
    es_image_clear(&picture);
    return ok;
}

/* ---- what moves ----------------------------------------------------------------- */

enum { LETTER_WIDTH = 6, LETTER_HEIGHT = 10, CLOCK_LETTERS = 8, CLOCK_PIXELS = 6 * 8 * 10 * 3 };

static void put(const es_screen *s, float *picture, int u, int v, float level) {
    if (u >= 0 && v >= 0 && u < (int)s->width && v < (int)s->height)
        picture[(size_t)v * s->width + (size_t)u] = level;
}

/* The letters are drawn small and then enlarged, as es_picture_text does. */
static void draw_clock(const es_screen *s, const es_screen_item *i, int64_t frame, float *picture) {
    uint8_t pixels[CLOCK_PIXELS] = {0};
    es_image small = {ES_U8, 3, LETTER_WIDTH * CLOCK_LETTERS, LETTER_HEIGHT, pixels, sizeof pixels};
    char text[CLOCK_LETTERS + 1];
    /* Hurried, so that short recordings show it. */
    unsigned second = (unsigned)(frame / 3 + 36000) % 86400;
    snprintf(text, sizeof text, "%02u:%02u:%02u", second / 3600 % 24, second / 60 % 60,
             second % 60);
    es_picture_text(&small, 0, 0, 1, grey(i->level), text);
    int wide = LETTER_WIDTH * CLOCK_LETTERS * i->scale;
    for (int v = 0; v < LETTER_HEIGHT * i->scale; v++)
        for (int u = 0; u < wide; u++) {
            uint8_t level =
                pixels[3 * (v / i->scale * (LETTER_WIDTH * CLOCK_LETTERS) + u / i->scale)];
            if (level) put(s, picture, i->u + u, i->v + v, level);
        }
}

static void draw_blink(const es_screen *s, const es_screen_item *i, int64_t frame, float *picture) {
    double middle = i->width / 2.0;
    if (frame % 4 >= 2) return;
    for (int v = 0; v < i->width; v++)
        for (int u = 0; u < i->width; u++)
            if (hypot(u - middle, v - middle) <= middle)
                put(s, picture, i->u + u, i->v + v, i->level);
}

void screen_interface_draw(const es_screen *screen, const es_image *still, int64_t index,
                           float *picture) {
    const uint8_t *over = still->data;
    for (size_t i = 0, n = (size_t)screen->width * screen->height; i < n; i++)
        if (over[i]) picture[i] = over[i];
    for (int i = 0; i < screen->items; i++) {
        const es_screen_item *item = &screen->item[i];
        if (item->kind == ES_SCREEN_CLOCK) draw_clock(screen, item, index, picture);
        if (item->kind == ES_SCREEN_BLINK) draw_blink(screen, item, index, picture);
    }
}
