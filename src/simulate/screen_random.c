/* screen_random.c: plausible screens by chance. Each group of facts draws from
 * its own stream, so that a new one does not change the others.
 *
 * The shares are guesses at what recordings look like: most fans whole or cut
 * at the sides, some cut at the bottom or with margins, a few in water; most
 * screens with words, a little more than half with a ruler. */
#include "screen.h"

#include <math.h>
#include <string.h>

#include "dice.h"

enum { FRAMES = 8 };
static const double DEGREE = 0.017453292519943295;

/* Group of this file's streams. */
static dice screen_dice(uint64_t seed, uint64_t group) { return dice_of(seed, 0x5c4ee000 + group); }

/* ---- picture and array ---------------------------------------------------------- */

static void draw_picture(es_screen *s, dice *d) {
    static const uint32_t sizes[][2] = {{512, 512}, {640, 480}, {800, 600}, {820, 616},
                                        {720, 576}, {600, 800}, {768, 576}, {1024, 768}};
    const uint32_t *size = sizes[whole(d, 0, 7)];
    bool bare = chance(d, 0.35); /* cropped to the echoes by the recorder */
    s->width = size[0];
    s->height = size[1];
    s->panel[0] = bare ? 0 : whole(d, 0, (int)size[0] / 6);
    s->panel[1] = bare ? 0 : whole(d, 0, (int)size[1] / 8);
    s->panel[2] = (int)size[0] - (bare ? 0 : whole(d, 0, (int)size[0] / 5));
    s->panel[3] = (int)size[1] - (bare ? 0 : whole(d, 0, (int)size[1] / 10));
}

static void draw_array(es_screen *s, dice *d) {
    static const double radii[] = {10, 12.5, 20, 40, 45, 50, 60, 60, 65};
    s->curved = chance(d, 0.6);
    if (s->curved) {
        s->radius_mm = chance(d, 0.7) ? radii[whole(d, 0, 8)] : between(d, 8, 75);
        bool small = s->radius_mm < 25;
        s->half_angle_rad = DEGREE * (small ? between(d, 35, 75) : between(d, 25, 37));
        s->setting_mm = floor(small ? between(d, 30, 110) : between(d, 60, 240));
        return;
    }
    s->width_mm = chance(d, 0.7) ? 5.0 * whole(d, 5, 12) : between(d, 24, 62);
    s->setting_mm = floor(between(d, 20, 90));
    if (chance(d, 0.15)) s->half_angle_rad = DEGREE * between(d, 5, 20);
}

/* The largest scale at which the field fits, then a choice of what does not
 * fit: sides cut (the picture filled from top to bottom), zoomed, or margins. */
static void lay_out(es_screen *s, dice *d) {
    double sagitta = s->curved ? s->radius_mm * (1 - cos(s->half_angle_rad)) : 0;
    double across = s->panel[2] - s->panel[0], down = s->panel[3] - s->panel[1];
    double margin = chance(d, 0.5) ? between(d, 0, 0.06) * down : 0;
    /* Pictures that show the set depth from their top to their bottom are bare. */
    bool bare = across == s->width && down == s->height;
    bool height_is_setting = s->curved && bare && chance(d, 0.3) && s->setting_mm > 2 * sagitta;
    if (height_is_setting) margin = 0;
    s->depth_mm = height_is_setting ? s->setting_mm - sagitta : s->setting_mm;
    double high = s->depth_mm + sagitta;
    double wide = s->curved ? 2 * (s->radius_mm + s->depth_mm) * sin(s->half_angle_rad)
                            : s->width_mm + 2 * s->depth_mm * tan(s->half_angle_rad);
    double aspect = chance(d, 0.8) ? 1 : between(d, 0.94, 1.07);
    double fit_rows = high / (down - 2 * margin), fit_columns = wide / (aspect * (across - 4));
    double spacing = fmax(fit_rows, fit_columns);
    /* Some fields fill the height and lose their sides; some are zoomed, so
     * that the bottom is cut. Not a linear one within a panel: nothing would
     * tell the panel's edges from the array's. */
    bool may_cut = s->curved || bare;
    if (chance(d, s->curved ? 0.35 : 0.1) && may_cut) spacing = fmax(fit_rows, fit_columns * 0.65);
    if (chance(d, 0.12) && may_cut) spacing *= between(d, 0.8, 0.97);
    if (height_is_setting) {
        spacing = fit_rows;
        aspect = 1;
    }
    s->spacing_mm[0] = spacing * aspect;
    s->spacing_mm[1] = spacing;
    s->face_u =
        s->panel[0] + across / 2 - 0.5 + (chance(d, 0.2) && may_cut ? between(d, -20, 20) : 0);
    s->face_v = s->panel[1] - 0.5 + margin + sagitta / spacing;
    s->header_spacing_mm = chance(d, 0.5) ? 0.2 : 0;
}

/* ---- echoes ------------------------------------------------------------------------ */

static void draw_shadows(es_screen *s, dice *d) {
    s->shadows = chance(d, 0.5) ? whole(d, 1, 4) : 0;
    for (int i = 0; i < s->shadows; i++) {
        es_screen_shadow *shadow = &s->shadow[i];
        shadow->from = between(d, -0.05, 0.95);
        shadow->to = shadow->from + between(d, 0.02, 0.14);
        shadow->start_mm = chance(d, 0.5) ? 0 : between(d, 0, 0.5) * s->depth_mm;
        shadow->gain = chance(d, 0.5) ? 0 : between(d, 0.1, 0.6);
    }
}

static void draw_echoes(es_screen *s, dice *d) {
    s->dark_field = chance(d, 0.1);
    s->ring_mm = s->dark_field ? between(d, 0.6, 3) : chance(d, 0.2) ? between(d, 0.3, 1.5) : 0;
    s->haze_mm = chance(d, 0.7) ? between(d, 3, 15) : 0;
    s->range_db = between(d, 45, 80);
    s->attenuation_db = chance(d, 0.75) ? between(d, -5, 12) : between(d, 12, 40);
    s->change = chance(d, 0.8) ? 1 : between(d, 0.1, 1);
    s->gamma = chance(d, 0.6) ? 1 : between(d, 0.7, 1.5);
    s->background = chance(d, 0.88) ? 0 : (uint8_t)whole(d, 1, 16);
    if (s->curved && chance(d, 0.08)) {
        s->blank_first_mm = between(d, 0.5, 3) * s->spacing_mm[1];
        s->blank_last_mm = between(d, 0, 3) * s->spacing_mm[1];
    }
    if (!s->curved && chance(d, 0.25)) s->dark_left_mm = between(d, 0.05, 0.3) * s->width_mm;
    if (!s->curved && chance(d, 0.25)) s->dark_right_mm = between(d, 0.05, 0.3) * s->width_mm;
}

static void draw_grabber(es_screen *s, dice *d) {
    bool analog = chance(d, 0.3);
    s->blur_px = analog ? between(d, 0.3, 0.9) : 0;
    s->noise = analog ? between(d, 0.3, 2) : 0;
    s->jpeg = chance(d, 0.25) ? whole(d, 70, 95) : 0;
}

/* ---- the ruler ----------------------------------------------------------------------- */

/* A step that leaves marks apart and at least six of them; 0: none does. */
static double choose_step(const es_screen *s, int axis, double extent_px, dice *d) {
    static const double steps[] = {0.5, 1, 2, 5, 10, 20};
    double good[6];
    int count = 0;
    for (int i = 0; i < 6; i++) {
        double period = steps[i] / s->spacing_mm[axis];
        if (period >= 9 && period <= 130 && extent_px / period >= 6) good[count++] = steps[i];
    }
    return count ? good[whole(d, 0, count - 1)] : 0;
}

static void draw_comb(es_screen *s, int axis, dice *d) {
    int low = s->panel[1 - axis], high = s->panel[3 - axis]; /* across the comb */
    double zero = axis ? s->face_v : s->face_u;
    double first_edge = s->panel[axis], last_edge = s->panel[2 + axis] - 1;
    if (axis == 0 || chance(d, 0.2)) zero = first_edge + between(d, 0, 20);
    double step = choose_step(s, axis, last_edge - zero, d);
    if (step == 0) return;
    bool dots = chance(d, 0.35), beyond = chance(d, 0.5);
    int sign = beyond ? -1 : 1, thick = whole(d, 1, dots ? 3 : 2);
    es_screen_comb c = {.axis = axis, .zero_px = zero, .step_mm = step};
    c.marks = 1 + (int)((last_edge - zero) / (step / s->spacing_mm[axis]));
    c.thickness = thick;
    c.length = sign * (dots ? thick : whole(d, 3, 8));
    c.major_every = chance(d, 0.6) ? (chance(d, 0.7) ? 5 : 10) : 0;
    c.major_length = dots && chance(d, 0.5) ? c.length : c.length + sign * whole(d, 2, 6);
    c.line = !dots && chance(d, 0.3);
    c.numbers = c.major_every > 0 && chance(d, 0.6);
    c.level = (uint8_t)whole(d, 120, 255);
    bool after = axis == 0 || chance(d, 0.5); /* right of the echoes, or below */
    c.at_px = after ? high - (beyond ? 3 : whole(d, 12, 20)) : low + (beyond ? 16 : 3);
    s->comb[s->combs++] = c;
}

/* ---- words ------------------------------------------------------------------------------ */

static es_screen_item *add_item(es_screen *s, es_screen_kind kind, int u, int v, dice *d) {
    if (s->items == ES_SCREEN_ITEMS) return &s->item[s->items - 1];
    es_screen_item *item = &s->item[s->items++];
    *item = (es_screen_item){.kind = kind, .u = u, .v = v, .scale = 1};
    item->level = (uint8_t)whole(d, 130, 255);
    return item;
}

static void draw_words(es_screen *s, dice *d) {
    static const char *const words[] = {"Gain 48%",   "FR 34Hz",  "Depth 15.0cm", "MI 0.9 TIs 0.3",
                                        "Freq 5.0M",  "Dyn 60dB", "Persist 3",    "Map 4",
                                        "Power 100%", "B 2D",     "General",      "ID 0042",
                                        "TGC",        "Abdomen",  "Clarity Med",  "Zoom 1.0x"};
    int columns = s->panel[2] + 80 < (int)s->width && chance(d, 0.7) ? 1 : 0;
    int lines = whole(d, 1, 12), pitch = whole(d, 10, 16), scale = chance(d, 0.85) ? 1 : 2;
    int u = columns ? s->panel[2] + whole(d, 2, 16) : whole(d, 2, 12);
    int v = whole(d, 2, (int)s->height / 3);
    for (int i = 0; i < lines; i++) {
        es_screen_item *item = add_item(s, ES_SCREEN_TEXT, u, v + i * pitch * scale, d);
        item->scale = scale;
        snprintf(item->text, sizeof item->text, "%s", words[whole(d, 0, 15)]);
    }
}

static void draw_furniture(es_screen *s, dice *d) {
    int width = (int)s->width, height = (int)s->height;
    if (chance(d, 0.5)) {
        es_screen_item *clock = add_item(s, ES_SCREEN_CLOCK, whole(d, 0, width - 60), 2, d);
        clock->scale = chance(d, 0.8) ? 1 : 2;
    }
    if (chance(d, 0.2))
        add_item(s, ES_SCREEN_BLINK, whole(d, 0, width - 12), whole(d, 0, height - 12), d)->width =
            whole(d, 6, 12);
    if (chance(d, 0.4)) {
        es_screen_item *bar = add_item(s, ES_SCREEN_BAR, whole(d, 2, 20), whole(d, 20, 60), d);
        bar->width = whole(d, 6, 14);
        bar->height = whole(d, 60, height / 2);
    }
    if (chance(d, 0.3)) {
        es_screen_item *logo = add_item(s, ES_SCREEN_LOGO, 4, 4, d);
        logo->width = whole(d, 12, 28);
        strcpy(logo->text, "SCAN-U");
    }
    if (chance(d, 0.3))
        add_item(s, ES_SCREEN_FOCUS, s->panel[2] - 10, whole(d, s->panel[1] + 20, s->panel[3] - 20),
                 d)
            ->width = 8;
    if (chance(d, 0.1)) {
        es_screen_item *box = add_item(s, ES_SCREEN_BOX, s->panel[0] - 1, s->panel[1] - 1, d);
        box->width = s->panel[2] - s->panel[0] + 2;
        box->height = s->panel[3] - s->panel[1] + 2;
    }
}

void es_screen_random(uint64_t seed, es_screen *screen) {
    dice picture = screen_dice(seed, 0), array = screen_dice(seed, 1),
         layout = screen_dice(seed, 2), echoes = screen_dice(seed, 3),
         grabber = screen_dice(seed, 4), ruler = screen_dice(seed, 5), words = screen_dice(seed, 6);
    memset(screen, 0, sizeof *screen);
    screen->frames = FRAMES;
    screen->seed = seed;
    draw_picture(screen, &picture);
    draw_array(screen, &array);
    lay_out(screen, &layout);
    draw_shadows(screen, &echoes);
    draw_echoes(screen, &echoes);
    draw_grabber(screen, &grabber);
    if (chance(&ruler, 0.55)) draw_comb(screen, 1, &ruler);
    if (chance(&ruler, 0.12)) draw_comb(screen, 0, &ruler);
    if (chance(&words, 0.7)) draw_words(screen, &words);
    if (chance(&words, 0.6)) draw_furniture(screen, &words);
}
