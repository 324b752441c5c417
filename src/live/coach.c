/* The coach: looks at every frame, remembers the last second, and says what a
 * colleague beside the probe would say.
 *
 * Of the poses it takes how far apart successive pictures are across their plane,
 * and holds that against the thickness of a picture: further apart, tissue between
 * them was never seen. Such a place is a gap until a later picture passes it. Of
 * the pictures it takes 48 x 48 samples: how many are white, how bright they are
 * on the whole, whether they change, and whether it is dark below the probe's face,
 * where tissue in contact always scatters. Only samples that were ever lit count,
 * so that the black round a fan says nothing. */
#include "echosolid/coach.h"

#include <math.h>
#include <string.h>

enum { SIDE = 48, SAMPLES = SIDE * SIDE, WINDOW = 256, FEW = 5, PAST = 4096 };

/* All shares of the full scale, or of the window. */
static const double WINDOW_S = 1, SILENT_S = 1, LOST_S = 0.3, FROZEN_S = 1, LOST_SHARE = 0.25;
static const double LIT = 0.05, WHITE = 0.98, WHITE_SHARE = 0.08, DARK_MEAN = 0.04;
/* The zone below the face where contact shows, in shares of the height, and how
 * dark it is without. */
static const double ZONE_TOP = 0.08, ZONE_END = 0.25, ZONE_DARK = 0.03, CONTACT_SHARE = 0.6;
/* Further, or later, the probe was put down somewhere else. */
static const double LIFTED_MM = 25, LIFTED_S = 1.5;

const char *const es_coach_names[] = {"silent", "lost", "frozen", "contact", "gain",
                                      "dark",   "fast", "gap",    NULL};

/* What is kept of a frame. */
typedef struct look {
    double at_s;
    bool placed, seen; /* seen: it had a picture */
    double step_mm;    /* NaN: unknown */
    double white, mean, no_contact;
} look;

typedef struct rectangle {
    es_vec3 corner, u, v; /* sides from the corner; mm */
    es_vec3 normal;       /* of length 1 */
    int64_t frame;
} rectangle;

typedef struct gap {
    es_vec3 middle;
    int64_t left, covered; /* by which frame; covered: of those that are no more */
} gap;

struct es_coach {
    double limit_mm, elevation_mm;
    look window[WINDOW]; /* a ring */
    size_t first, count;
    bool began, has_last;
    double began_s, frame_s, placed_s, changed_s; /* the newest of each */
    double last_s;
    rectangle last, now;
    rectangle past[PAST]; /* a ring of pictures that were there */
    size_t past_count;
    gap gaps[ES_COACH_GAPS], covered[ES_COACH_GAPS]; /* covered: a ring */
    size_t gap_count, covered_count;
    double full; /* white: the type's, or the most that was seen */
    uint8_t sample[SAMPLES], before[SAMPLES];
    bool lit[SAMPLES];
};

/* ---- beginning and end -------------------------------------------------- */

es_coach *es_coach_new(const es_coach_options *options, es_error *err) {
    if (!(options->elevation_mm > 0) || !isfinite(options->elevation_mm)) {
        es_fail(err, ES_USAGE, "a picture is %g mm thick; expected more than 0",
                options->elevation_mm);
        return NULL;
    }
    es_coach *c = es_alloc_zero(1, sizeof *c, err);
    if (c) c->limit_mm = c->elevation_mm = options->elevation_mm;
    return c;
}

void es_coach_free(es_coach *coach) { es_free(coach); }

void es_coach_set_voxel(es_coach *c, double voxel_mm) {
    if (voxel_mm > 0) c->limit_mm = fmin(c->elevation_mm, 3 * voxel_mm);
}

double es_coach_limit_mm(const es_coach *c) { return c->limit_mm; }

/* ---- where the picture is -------------------------------------------------- */

static rectangle rectangle_of(const es_frame *frame, const es_mat4 *place) {
    const es_image *image = &frame->image;
    double w = image->width > 1 ? image->width - 1.0 : 1,
           h = image->height > 1 ? image->height - 1.0 : 1;
    rectangle r = {.corner = es_mat4_point(*place, es_vec3_make(0, 0, 0)), .frame = frame->index};
    r.u = es_vec3_sub(es_mat4_point(*place, es_vec3_make(w, 0, 0)), r.corner);
    r.v = es_vec3_sub(es_mat4_point(*place, es_vec3_make(0, h, 0)), r.corner);
    r.normal = es_vec3_unit(es_vec3_cross(r.u, r.v));
    return r;
}

static es_vec3 middle_of(const rectangle *r) {
    return es_vec3_add(r->corner, es_vec3_scale(es_vec3_add(r->u, r->v), 0.5));
}

/* The mean distance of the corners of one from the plane of the other. */
static double step_between(const rectangle *a, const rectangle *b) {
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        es_vec3 corner = a->corner;
        if (i & 1) corner = es_vec3_add(corner, a->u);
        if (i & 2) corner = es_vec3_add(corner, a->v);
        sum += fabs(es_vec3_dot(es_vec3_sub(corner, b->corner), b->normal));
    }
    return sum / 4;
}

/* ---- gaps -------------------------------------------------- */

static bool covers(const rectangle *r, es_vec3 point, double within_mm) {
    es_vec3 from = es_vec3_sub(point, r->corner);
    double u = es_vec3_dot(from, r->u) / es_vec3_dot(r->u, r->u),
           v = es_vec3_dot(from, r->v) / es_vec3_dot(r->v, r->v);
    return fabs(es_vec3_dot(from, r->normal)) <= within_mm && u >= 0 && u <= 1 && v >= 0 && v <= 1;
}

/* Whoever hurries over what was seen before leaves no gap. */
static bool was_seen(const es_coach *c, es_vec3 point) {
    size_t count = c->past_count < PAST ? c->past_count : PAST;
    for (size_t i = 0; i < count; i++)
        if (covers(&c->past[i], point, c->limit_mm / 2)) return true;
    return false;
}

static void add_gap(es_coach *c, es_vec3 middle) {
    if (was_seen(c, middle)) return;
    if (c->gap_count == ES_COACH_GAPS)
        memmove(c->gaps, c->gaps + 1, (--c->gap_count) * sizeof *c->gaps);
    c->gaps[c->gap_count++] = (gap){.middle = middle, .left = c->now.frame};
}

static void close_gaps(es_coach *c, const rectangle *now) {
    size_t kept = 0;
    for (size_t i = 0; i < c->gap_count; i++) {
        gap g = c->gaps[i];
        if (covers(now, g.middle, c->limit_mm / 2)) {
            g.covered = now->frame;
            c->covered[c->covered_count++ % ES_COACH_GAPS] = g;
        } else {
            c->gaps[kept++] = g;
        }
    }
    c->gap_count = kept;
}

size_t es_coach_gaps(const es_coach *c, es_vec3 out[ES_COACH_GAPS]) {
    for (size_t i = 0; i < c->gap_count; i++) out[i] = c->gaps[i].middle;
    return c->gap_count;
}

/* Those that were covered since come back behind the others. */
static void open_gaps(es_coach *c, int64_t first) {
    size_t left = c->covered_count < ES_COACH_GAPS ? c->covered_count : ES_COACH_GAPS;
    for (; left > 0; left--, c->covered_count--) {
        const gap g = c->covered[(c->covered_count - 1) % ES_COACH_GAPS];
        if (g.covered < first) return;
        if (g.left < first && c->gap_count < ES_COACH_GAPS) c->gaps[c->gap_count++] = g;
    }
    c->covered_count = 0; /* those before them are not known any more */
}

void es_coach_undo(es_coach *c, int64_t first) {
    size_t kept = 0;
    for (size_t i = 0; i < PAST; i++)
        if (c->past[i].frame >= first) c->past[i] = (rectangle){0}; /* covers nothing */
    for (size_t i = 0; i < c->gap_count; i++)
        if (c->gaps[i].left < first) c->gaps[kept++] = c->gaps[i];
    c->gap_count = kept;
    open_gaps(c, first);
    c->has_last = false;
}

/* The distance from the picture before. */
static double move_to(es_coach *c, const es_frame *frame, const es_mat4 *place, double now_s) {
    double step = NAN;
    c->now = rectangle_of(frame, place);
    close_gaps(c, &c->now);
    if (c->has_last && now_s - c->last_s <= LIFTED_S) {
        es_vec3 from = middle_of(&c->last), to = middle_of(&c->now);
        step = step_between(&c->last, &c->now);
        if (es_vec3_length(es_vec3_sub(to, from)) > LIFTED_MM)
            step = NAN;
        else if (step > c->limit_mm)
            add_gap(c, es_vec3_scale(es_vec3_add(from, to), 0.5));
    }
    c->last = c->past[c->past_count++ % PAST] = c->now;
    c->last_s = now_s;
    c->has_last = true;
    return step;
}

/* ---- what the picture looks like -------------------------------------------------- */

static double grey_at(const es_image *image, size_t pixel) {
    double value = 0;
    for (int k = 0; k < image->channels; k++)
        value = fmax(value, es_type_get(image->type, image->data,
                                        pixel * (size_t)image->channels + (size_t)k));
    return isfinite(value) ? value : 0;
}

static void take_samples(es_coach *c, const es_image *image) {
    memcpy(c->before, c->sample, sizeof c->before);
    if (image->type == ES_U8) c->full = 255;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t u = (2 * (i % SIDE) + 1) * image->width / (2 * SIDE),
               v = (2 * (i / SIDE) + 1) * image->height / (2 * SIDE);
        double grey = grey_at(image, v * image->width + u);
        c->full = fmax(c->full, grey);
        double share = c->full > 0 ? grey / c->full : 0;
        c->sample[i] = (uint8_t)lround(255 * share);
        c->lit[i] |= share >= LIT;
    }
}

static void weigh_samples(const es_coach *c, look *l) {
    size_t lit = 0, white = 0;
    double sum = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        if (!c->lit[i]) continue;
        lit++;
        white += c->sample[i] >= WHITE * 255;
        sum += c->sample[i];
    }
    l->white = lit ? (double)white / (double)lit : 0;
    l->mean = lit ? sum / (255 * (double)lit) : 0;
}

/* Mean of a column's zone below its first lit sample; NaN: it has none. */
static double zone_mean(const es_coach *c, int u) {
    int face = 0, count = 0;
    double sum = 0;
    while (face < SIDE && !c->lit[face * SIDE + u]) face++;
    int first = face + (int)ceil(ZONE_TOP * SIDE), end = face + (int)(ZONE_END * SIDE);
    for (int v = first; v < end && v < SIDE; v++) {
        if (!c->lit[v * SIDE + u]) continue;
        sum += c->sample[v * SIDE + u];
        count++;
    }
    return count > 2 ? sum / (255.0 * count) : NAN;
}

static double without_contact(const es_coach *c) {
    int dark = 0, known = 0;
    for (int u = 0; u < SIDE; u++) {
        double mean = zone_mean(c, u);
        known += !isnan(mean);
        dark += mean < ZONE_DARK;
    }
    return known > SIDE / 4 ? (double)dark / known : 0;
}

/* ---- one frame -------------------------------------------------- */

static void remember(es_coach *c, const look *l) {
    if (c->count == WINDOW) {
        c->first = (c->first + 1) % WINDOW;
        c->count--;
    }
    c->window[(c->first + c->count++) % WINDOW] = *l;
}

void es_coach_frame(es_coach *c, const es_frame *frame, const es_mat4 *place, double now_s) {
    look l = {.at_s = now_s, .placed = place != NULL, .step_mm = NAN};
    const es_image *image = &frame->image;
    if (!c->began) c->began_s = c->placed_s = c->changed_s = now_s;
    c->began = true;
    c->frame_s = now_s;
    l.seen = frame->has_image && image->width > 0 && image->height > 0;
    if (place) c->placed_s = now_s;
    if (place && l.seen) l.step_mm = move_to(c, frame, place, now_s);
    if (l.seen) {
        take_samples(c, image);
        if (memcmp(c->before, c->sample, sizeof c->sample) != 0) c->changed_s = now_s;
        weigh_samples(c, &l);
        l.no_contact = without_contact(c);
    }
    remember(c, &l);
}

/* ---- the sentences ------------------------------------------------------------------------------
 */

/* Means over the last second. */
typedef struct second {
    size_t frames, seen, unplaced, steps;
    double step_mm, white, mean, no_contact;
} second;

static second last_second(const es_coach *c, double now_s) {
    second s = {0};
    for (size_t i = 0; i < c->count; i++) {
        const look *l = &c->window[(c->first + i) % WINDOW];
        if (now_s - l->at_s > WINDOW_S) continue;
        s.frames++;
        s.unplaced += !l->placed;
        if (!isnan(l->step_mm)) {
            s.step_mm += l->step_mm;
            s.steps++;
        }
        if (!l->seen) continue;
        s.seen++;
        s.white += l->white;
        s.mean += l->mean;
        s.no_contact += l->no_contact;
    }
    double n = s.seen ? (double)s.seen : 1;
    s.step_mm /= s.steps ? (double)s.steps : 1;
    s.white /= n;
    s.mean /= n;
    s.no_contact /= n;
    return s;
}

static es_coach_advice *say(es_coach_advice *out, size_t *count, es_coach_what what,
                            double measured, double limit) {
    es_coach_advice *a = &out[(*count)++];
    *a = (es_coach_advice){.what = what, .measured = measured, .limit = limit};
    return a;
}

static void say_lost(es_coach_advice *out, size_t *count, double away_s, const second *s) {
    double share = s->frames ? (double)s->unplaced / (double)s->frames : 0;
    if (away_s > LOST_S) {
        es_coach_advice *a = say(out, count, ES_COACH_LOST, away_s, LOST_S);
        snprintf(
            a->text, sizeof a->text,
            "Tracker lost: no valid position for %.1f s. Turn the markers back to the tracker.",
            away_s);
    } else if (s->frames >= FEW && share > LOST_SHARE) {
        es_coach_advice *a = say(out, count, ES_COACH_LOST, 100 * share, 100 * LOST_SHARE);
        snprintf(a->text, sizeof a->text,
                 "Tracker at its limit: %.0f %% of the last second's pictures have no valid "
                 "position. Keep the markers clear of hands and cables.",
                 100 * share);
    }
}

static void say_motion(const es_coach *c, es_coach_advice *out, size_t *count, const second *s) {
    if (s->steps >= FEW && s->step_mm > c->limit_mm) {
        es_coach_advice *a = say(out, count, ES_COACH_FAST, s->step_mm, c->limit_mm);
        snprintf(a->text, sizeof a->text,
                 "Too fast: %.1f mm from picture to picture, at most %.1f mm leave no gap. At %zu "
                 "pictures a second that is %.0f mm/s.",
                 s->step_mm, c->limit_mm, s->frames, c->limit_mm * (double)s->frames);
    }
    if (c->gap_count == 0) return;
    es_vec3 here = middle_of(&c->now), nearest = c->gaps[0].middle;
    double away = INFINITY;
    for (size_t i = 0; i < c->gap_count; i++) {
        double d = es_vec3_length(es_vec3_sub(c->gaps[i].middle, here));
        if (d < away) nearest = c->gaps[i].middle;
        away = fmin(away, d);
    }
    es_coach_advice *a = say(out, count, ES_COACH_GAP, (double)c->gap_count, 0);
    a->has_place = true;
    a->place = nearest;
    if (c->gap_count == 1)
        snprintf(a->text, sizeof a->text,
                 "1 gap, %.0f mm from here: pictures were more than %.1f mm apart. Go over it "
                 "again.",
                 away, c->limit_mm);
    else
        snprintf(a->text, sizeof a->text,
                 "%zu gaps, the nearest %.0f mm from here: pictures were more than %.1f mm apart. "
                 "Go over them again.",
                 c->gap_count, away, c->limit_mm);
}

static void say_picture(es_coach_advice *out, size_t *count, const second *s) {
    if (s->seen < FEW) return;
    bool contact = s->no_contact <= CONTACT_SHARE;
    if (!contact) {
        es_coach_advice *a =
            say(out, count, ES_COACH_CONTACT, 100 * s->no_contact, 100 * CONTACT_SHARE);
        snprintf(a->text, sizeof a->text,
                 "No contact: %.0f %% of the picture's width is dark just below the probe. More "
                 "gel, or a little more pressure.",
                 100 * s->no_contact);
    }
    if (s->white > WHITE_SHARE) {
        es_coach_advice *a = say(out, count, ES_COACH_BRIGHT, 100 * s->white, 100 * WHITE_SHARE);
        snprintf(a->text, sizeof a->text,
                 "Gain too high: %.0f %% of the picture is white, under %.0f %% is good. Turn the "
                 "gain down.",
                 100 * s->white, 100 * WHITE_SHARE);
    } else if (contact && s->mean < DARK_MEAN) {
        es_coach_advice *a = say(out, count, ES_COACH_DARK, 100 * s->mean, 100 * DARK_MEAN);
        snprintf(a->text, sizeof a->text,
                 "Too dark: the picture is at %.1f %% of white on the mean, over %.0f %% is good. "
                 "Turn the gain up.",
                 100 * s->mean, 100 * DARK_MEAN);
    }
}

size_t es_coach_advise(const es_coach *c, double now_s, es_coach_advice out[ES_COACH_WHATS]) {
    size_t count = 0;
    if (!c->began) return 0;
    if (now_s - c->frame_s > SILENT_S) {
        es_coach_advice *a = say(out, &count, ES_COACH_SILENT, now_s - c->frame_s, SILENT_S);
        snprintf(a->text, sizeof a->text,
                 "No picture for %.1f s. Is the scanner frozen, or the connection lost?",
                 now_s - c->frame_s);
        return count;
    }
    second s = last_second(c, now_s);
    say_lost(out, &count, c->frame_s - c->placed_s, &s);
    if (s.seen >= FEW && now_s - c->changed_s > FROZEN_S) {
        es_coach_advice *a = say(out, &count, ES_COACH_FROZEN, now_s - c->changed_s, FROZEN_S);
        snprintf(a->text, sizeof a->text,
                 "The picture has not changed for %.1f s. Is the scanner frozen?",
                 now_s - c->changed_s);
    }
    say_picture(out, &count, &s);
    say_motion(c, out, &count, &s);
    return count;
}
