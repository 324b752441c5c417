/* screen.c: a scanner's screen as a recording: checked, drawn ahead a batch at
 * a time on all threads, given frame by frame.
 *
 * A frame is a function of (screen, index) alone: echoes on the lattice of
 * the scanner, the interface over them, then the grabber. */
#include "screen.h"
#include "stream.h"

#include <math.h>
#include <string.h>

enum { BATCH = 16, SMALLEST = 64, LARGEST = 2048, MOST_FRAMES = 100000 };
static const double FRAME_S = 0.04;

/* ---- checks ---------------------------------------------------------------- */

typedef struct number_check {
    const char *what;
    double value, low, high;
} number_check;

static bool check_numbers(const number_check *checks, size_t count, es_error *err) {
    for (size_t i = 0; i < count; i++)
        if (!(checks[i].value >= checks[i].low && checks[i].value <= checks[i].high))
            return es_fail(err, ES_USAGE, "screen: %s %g: expected %g to %g", checks[i].what,
                           checks[i].value, checks[i].low, checks[i].high);
    return true;
}

static bool check_array(const es_screen *s, es_error *err) {
    const number_check curved[] = {{"radius in mm", s->radius_mm, 2, 500},
                                   {"half angle in rad", s->half_angle_rad, 0.05, 1.5},
                                   {"width in mm of a curved array", s->width_mm, 0, 0}};
    const number_check straight[] = {
        {"width in mm", s->width_mm, 5, 300},
        {"half angle in rad of a linear array", s->half_angle_rad, 0, 0.7},
        {"radius in mm of a linear array", s->radius_mm, 0, 0}};
    const number_check both[] = {{"spacing in mm", s->spacing_mm[0], 0.005, 5},
                                 {"spacing in mm", s->spacing_mm[1], 0.005, 5},
                                 {"header spacing in mm", s->header_spacing_mm, 0, 100},
                                 {"column of the face", s->face_u, -4096, 4096},
                                 {"row of the face", s->face_v, -4096, 4096},
                                 {"depth in mm", s->depth_mm, 5, 500}};
    return check_numbers(s->curved ? curved : straight, 3, err) &&
           check_numbers(both, sizeof both / sizeof *both, err);
}

static bool check_echoes(const es_screen *s, es_error *err) {
    const number_check checks[] = {{"unlit first mm", s->blank_first_mm, 0, s->depth_mm / 2},
                                   {"unlit last mm", s->blank_last_mm, 0, s->depth_mm / 2},
                                   {"dark left end in mm", s->dark_left_mm, 0, 100},
                                   {"dark right end in mm", s->dark_right_mm, 0, 100},
                                   {"number of shadows", s->shadows, 0, ES_SCREEN_SHADOWS},
                                   {"ring in mm", s->ring_mm, 0, 50},
                                   {"haze in mm", s->haze_mm, 0, 500},
                                   {"shown range in dB", s->range_db, 10, 200},
                                   {"attenuation in dB", s->attenuation_db, -200, 200},
                                   {"change between frames", s->change, 0, 1},
                                   {"gamma", s->gamma, 0.2, 5},
                                   {"number of combs", s->combs, 0, ES_SCREEN_COMBS},
                                   {"number of items", s->items, 0, ES_SCREEN_ITEMS},
                                   {"blur in pixels", s->blur_px, 0, 2},
                                   {"noise", s->noise, 0, 100}};
    if (!check_numbers(checks, sizeof checks / sizeof *checks, err)) return false;
    if (s->jpeg != 0 && (s->jpeg < 20 || s->jpeg > 100))
        return es_fail(err, ES_USAGE, "screen: quality %d: expected 20 to 100, or 0 for none",
                       s->jpeg);
    return true;
}

static bool check_combs(const es_screen *s, es_error *err) {
    for (int i = 0; i < s->combs; i++) {
        const es_screen_comb *c = &s->comb[i];
        const number_check checks[] = {{"axis of a comb", c->axis, 0, 1},
                                       {"first mark", c->zero_px, -4096, 4096},
                                       {"place of a comb", c->at_px, -4096, 4096},
                                       {"step in mm", c->step_mm, 0.1, 200},
                                       {"number of marks", c->marks, 1, 2048},
                                       {"length of a mark", c->length, -200, 200},
                                       {"length of a major mark", c->major_length, -200, 200},
                                       {"thickness of a mark", c->thickness, 1, 16},
                                       {"marks between majors", c->major_every, 0, 1000}};
        if (!check_numbers(checks, sizeof checks / sizeof *checks, err)) return false;
    }
    return true;
}

static bool check_items(const es_screen *s, es_error *err) {
    for (int i = 0; i < s->items; i++) {
        const es_screen_item *item = &s->item[i];
        const number_check checks[] = {{"kind of an item", item->kind, 0, ES_SCREEN_FOCUS},
                                       {"column of an item", item->u, -4096, 4096},
                                       {"row of an item", item->v, -4096, 4096},
                                       {"width of an item", item->width, 0, LARGEST},
                                       {"height of an item", item->height, 0, LARGEST},
                                       {"size of letters", item->scale, 0, 16}};
        if (!check_numbers(checks, sizeof checks / sizeof *checks, err)) return false;
        if (!memchr(item->text, 0, sizeof item->text))
            return es_fail(err, ES_USAGE, "screen: the text of item %d has no end", i);
        bool letters = item->kind == ES_SCREEN_TEXT || item->kind == ES_SCREEN_CLOCK ||
                       item->kind == ES_SCREEN_LOGO;
        if (letters && item->scale < 1)
            return es_fail(err, ES_USAGE, "screen: letters of size 0: expected 1 to 16");
    }
    return true;
}

static bool check(const es_screen *s, es_error *err) {
    const number_check size[] = {{"width", s->width, SMALLEST, LARGEST},
                                 {"height", s->height, SMALLEST, LARGEST},
                                 {"number of frames", s->frames, 1, MOST_FRAMES}};
    return check_numbers(size, 3, err) && check_array(s, err) && check_echoes(s, err) &&
           check_combs(s, err) && check_items(s, err);
}

/* ---- the recording ------------------------------------------------------------ */

typedef struct worker_room {
    float *lattice, *picture;
} worker_room;

typedef struct screen_recording {
    es_screen screen;
    screen_echoes *echoes;
    es_image still;
    es_pool *pool;
    worker_room *rooms; /* one a worker */
    int workers;
    int64_t next, batch_first, batch_count; /* frames whose pixels are in `batch` */
    uint8_t *batch;
    size_t pixels;
} screen_recording;

static void draw_one(void *context, size_t offset, int worker) {
    screen_recording *r = context;
    worker_room *room = &r->rooms[worker];
    int64_t index = r->batch_first + (int64_t)offset;
    screen_echoes_draw(r->echoes, index, room->lattice, room->picture);
    screen_interface_draw(&r->screen, &r->still, index, room->picture);
    screen_grab(&r->screen, index, room->picture, r->batch + offset * r->pixels);
}

static bool show_picture(screen_recording *r, int64_t index, es_frame *frame, es_error *err) {
    if (index < r->batch_first || index >= r->batch_first + r->batch_count) {
        int64_t left = r->screen.frames - index;
        r->batch_first = index;
        r->batch_count = left < BATCH ? left : BATCH;
        es_pool_run(r->pool, (size_t)r->batch_count, draw_one, r);
    }
    if (!es_image_resize(&frame->image, ES_U8, 1, r->screen.width, r->screen.height, err))
        return false;
    memcpy(frame->image.data, r->batch + (size_t)(index - r->batch_first) * r->pixels, r->pixels);
    frame->has_image = true;
    return true;
}

static bool screen_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    screen_recording *r = self;
    restart_frame(frame);
    *end = r->next >= r->screen.frames;
    if (*end) return true;
    frame->index = r->next;
    frame->has_time = true;
    frame->time_s = FRAME_S * (double)r->next;
    double claimed = r->screen.header_spacing_mm;
    if (claimed > 0) {
        es_mat4 m = es_mat4_identity();
        for (int i = 0; i < 3; i++) m.m[5 * i] = claimed;
        if (!es_frame_set_transform(frame, "ImageToReference", m, true, err)) return false;
    }
    if (flags & ES_READ_PIXELS && !show_picture(r, r->next, frame, err)) return false;
    r->next++;
    return true;
}

static bool screen_rewind(void *self, es_error *err) {
    (void)err;
    ((screen_recording *)self)->next = 0;
    return true;
}

static void screen_free(void *self) {
    screen_recording *r = self;
    if (!r) return;
    for (int i = 0; r->rooms && i < r->workers; i++) {
        es_free(r->rooms[i].lattice);
        es_free(r->rooms[i].picture);
    }
    es_free(r->rooms);
    es_free(r->batch);
    es_pool_free(r->pool);
    es_image_clear(&r->still);
    screen_echoes_free(r->echoes);
    es_free(r);
}

static bool make_room(screen_recording *r, int threads, es_error *err) {
    r->pixels = (size_t)r->screen.width * r->screen.height;
    size_t ahead = r->screen.frames < BATCH ? (size_t)r->screen.frames : BATCH;
    r->batch = es_alloc(ahead, r->pixels, err);
    r->echoes = r->batch ? screen_echoes_new(&r->screen, err) : NULL;
    r->pool = r->echoes ? es_pool_new(threads, err) : NULL;
    if (!r->pool || !screen_interface_new(&r->screen, &r->still, err)) return false;
    r->workers = es_pool_threads(r->pool);
    r->rooms = es_alloc_zero((size_t)r->workers, sizeof *r->rooms, err);
    if (!r->rooms) return false;
    for (int i = 0; i < r->workers; i++) {
        worker_room *room = &r->rooms[i];
        room->lattice = es_alloc(screen_echoes_scratch(r->echoes), sizeof *room->lattice, err);
        room->picture = es_alloc(r->pixels, sizeof *room->picture, err);
        if (!room->lattice || !room->picture) return false;
    }
    return true;
}

es_source *es_screen_open(const es_screen *screen, int threads, es_error *err) {
    static const es_source_ops ops = {screen_next, screen_rewind, screen_free};
    if (!check(screen, err)) return NULL;
    screen_recording *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    r->screen = *screen;
    if (!make_room(r, threads, err)) {
        screen_free(r);
        return NULL;
    }
    es_stream_info info = drawn_stream(screen->frames, screen->width, screen->height);
    return es_source_new(&ops, r, &info, err);
}

/* ---- truth and names -------------------------------------------------------------- */

es_fan es_screen_fan(const es_screen *screen) {
    double su = screen->spacing_mm[0], sv = screen->spacing_mm[1];
    double half = screen->width_mm / 2 / su;
    if (!screen->curved)
        return (es_fan){.kind = ES_FAN_LINEAR,
                        .u0 = screen->face_u - half,
                        .v0 = screen->face_v,
                        .u1 = screen->face_u + half,
                        .v1 = screen->face_v + screen->depth_mm / sv};
    return (es_fan){.kind = ES_FAN_CURVED,
                    .apex_u = screen->face_u,
                    .apex_v = screen->face_v - screen->radius_mm / sv,
                    .radius_start = screen->radius_mm / sv,
                    .radius_stop = (screen->radius_mm + screen->depth_mm) / sv,
                    .angle_start_rad = -screen->half_angle_rad,
                    .angle_stop_rad = screen->half_angle_rad,
                    .aspect = su / sv};
}

bool es_screen_named(const char *name, es_screen *screen, es_error *err) {
    /* facts: a face of 60 mm and 30 degrees to each side is 8.04 mm high. */
    static const double radius = 60, half_angle = 0.5235987755982988, setting = 150;
    static const char *const names[] = {"c5-2r60-a", "c5-2r60-b", "c5-2r60-c"};
    int which = 0;
    while (which < 3 && strcmp(name, names[which]) != 0) which++;
    if (which == 3)
        return es_fail(err, ES_USAGE,
                       "no screen called \"%s\": expected c5-2r60-a, c5-2r60-b, c5-2r60-c, or a "
                       "number to draw one from",
                       name);
    double sagitta = radius * (1 - cos(half_angle));
    double margin = which == 2 ? 15 : 0; /* above and below */
    double shown = which == 0 ? setting : setting + sagitta;
    double spacing = shown / (512 - 2 * margin);
    *screen = (es_screen){.width = 512,
                          .height = 512,
                          .frames = 50,
                          .spacing_mm = {spacing, spacing},
                          .header_spacing_mm = 0.2,
                          .setting_mm = setting,
                          .curved = true,
                          .radius_mm = radius,
                          .half_angle_rad = half_angle,
                          .face_u = 255.5,
                          .face_v = margin - 0.5 + sagitta / spacing,
                          .depth_mm = shown - sagitta,
                          .panel = {0, 0, 512, 512},
                          .haze_mm = 12,
                          .range_db = 60,
                          .attenuation_db = 8,
                          .change = 1,
                          .gamma = 1,
                          .shadows = 1,
                          .shadow = {{0.3, 0.37, 25, 0.15}},
                          .noise = 0.5,
                          .seed = (uint64_t)which + 1};
    return true;
}
