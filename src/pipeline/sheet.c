/* A contact sheet: some frames of a recording side by side, each with its
 * number and time, to see at a glance what was recorded. */
#include <math.h>

#include "echosolid/pipeline.h"

enum { COLUMNS = 4, MOST = 12, CELL = 240, LABEL = 14, GAP = 6 };

typedef struct sheet {
    es_image *picture;
    es_image small;
    uint32_t high; /* of a frame on the sheet */
    int64_t frames;
    int shown, placed;
} sheet;

/* The frame that stands at a place of the sheet: first, last, evenly between. */
static int64_t frame_at(const sheet *s, int place) {
    return s->shown > 1 ? place * (s->frames - 1) / (s->shown - 1) : 0;
}

static bool begin(sheet *s, const es_stream_info *info, es_error *err) {
    const es_colour ground = {24, 26, 30};
    s->shown = (int)(s->frames < MOST ? s->frames : MOST);
    double ratio = (double)info->height / (double)info->width;
    s->high = (uint32_t)fmin(fmax(CELL * ratio, 24), 2 * CELL);
    uint32_t columns = (uint32_t)(s->shown < COLUMNS ? s->shown : COLUMNS);
    uint32_t rows = ((uint32_t)s->shown + columns - 1) / columns;
    return es_picture_new(s->picture, columns * (CELL + GAP) + GAP,
                          rows * (s->high + LABEL + GAP) + GAP, ground, err);
}

static bool place(sheet *s, const es_frame *frame, int64_t number, es_error *err) {
    const es_colour white = {255, 255, 255};
    int u = GAP + s->placed % COLUMNS * (CELL + GAP);
    int v = GAP + s->placed / COLUMNS * ((int)s->high + LABEL + GAP);
    double top = frame->image.type == ES_U8 ? 255 : 0; /* else by the frame's own range */
    char label[64];
    if (!es_picture_from_image(&frame->image, 0, top, CELL, s->high, &s->small, err)) return false;
    es_picture_paste(s->picture, &s->small, u, v);
    if (frame->has_time)
        snprintf(label, sizeof label, "frame %lld, %.3f s", (long long)number, frame->time_s);
    else
        snprintf(label, sizeof label, "frame %lld", (long long)number);
    es_picture_text(s->picture, u, v + (int)s->high + 2, 1, white, label);
    return true;
}

static bool fill(sheet *s, es_source *source, es_error *err) {
    es_frame frame = {0};
    bool ok = true, end = false;
    for (int64_t f = 0; ok && s->placed < s->shown; f++) {
        bool wanted = f == frame_at(s, s->placed);
        ok = !es_cancelled(err) &&
             es_source_next(source, &frame, wanted ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end) break;
        if (!wanted) continue;
        if (frame.has_image) ok = place(s, &frame, f, err);
        s->placed++;
    }
    es_frame_clear(&frame);
    return ok;
}

bool es_contact_sheet(es_source *source, int64_t frames, es_image *picture, es_error *err) {
    const es_stream_info *info = es_source_info(source);
    sheet s = {.picture = picture, .frames = frames};
    if (info->width == 0 || frames < 1)
        return es_fail(err, ES_USAGE, "a contact sheet needs pictures; the recording has none");
    bool ok = es_source_rewind(source, err) && begin(&s, info, err) && fill(&s, source, err);
    es_image_clear(&s.small);
    return ok;
}
