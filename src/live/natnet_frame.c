/* FRAMEOFDATA: sections one after the other, each a count and its things. From 4.1
 * a size in bytes follows each count, which lets a reader pass over what it
 * does not need; before, every section has to be walked to find the next. */
#include "natnet_wire.h"

typedef struct walk {
    little in;
    es_natnet_version version;
    const char *section; /* for the message */
} walk;

/* The count of a section, and from 4.1 where it ends (else NULL). */
static int32_t open_section(walk *w, const char *section, const uint8_t **end) {
    w->section = section;
    *end = NULL;
    int32_t count = little_i32(&w->in);
    if (since(w->version, 4, 1)) {
        uint32_t size = little_u32(&w->in);
        if (size > little_left(&w->in)) w->in.failed = true;
        if (!w->in.failed) *end = w->in.at + size;
    }
    if (count < 0) w->in.failed = true;
    return w->in.failed ? 0 : count;
}

/* From 4.1 the size decides where the next section starts; what was read must not
 * have gone past it. */
static void close_section(walk *w, const uint8_t *end) {
    if (!end || w->in.failed) return;
    if (w->in.at > end) w->in.failed = true;
    w->in.at = end;
}

static void read_body(little *in, es_natnet_version v, es_natnet_body *body) {
    *body = (es_natnet_body){.tracked = true};
    body->id = little_i32(in);
    body->place_m = natnet_vec3(in);
    body->turn.x = little_f32(in);
    body->turn.y = little_f32(in);
    body->turn.z = little_f32(in);
    body->turn.w = little_f32(in);
    if (!since(v, 3, 0)) { /* its markers: places, then ids and sizes */
        int32_t markers = little_i32(in);
        little_skip(in, markers, 12);
        little_skip(in, markers, 8);
    }
    body->error_m = little_f32(in);
    if (since(v, 2, 6)) body->tracked = (little_u16(in) & 1) != 0;
}

static void walk_markers(walk *w, es_natnet_frame *frame) {
    const uint8_t *end;
    frame->marker_sets = open_section(w, "marker sets", &end);
    for (int i = 0; i < frame->marker_sets && !w->in.failed; i++) {
        little_text(&w->in);
        little_skip(&w->in, little_i32(&w->in), 12);
    }
    close_section(w, end);
    frame->other_markers = open_section(w, "unlabeled markers", &end);
    little_skip(&w->in, frame->other_markers, 12);
    close_section(w, end);
}

static void walk_bodies(walk *w, es_natnet_frame *frame) {
    const uint8_t *end;
    es_natnet_body body;
    frame->body_count = open_section(w, "rigid bodies", &end);
    frame->bodies = w->in.at;
    for (int i = 0; i < frame->body_count && !w->in.failed; i++)
        read_body(&w->in, w->version, &body);
    frame->bodies_size = (size_t)(w->in.at - frame->bodies);
    close_section(w, end);
}

static void walk_skeletons(walk *w, es_natnet_frame *frame) {
    const uint8_t *end;
    es_natnet_body bone;
    if (!since(w->version, 2, 1)) return;
    frame->skeletons = open_section(w, "skeletons", &end);
    for (int i = 0; i < frame->skeletons && !w->in.failed; i++) {
        little_i32(&w->in);
        int32_t bones = little_i32(&w->in);
        for (int b = 0; b < bones && !w->in.failed; b++) read_body(&w->in, w->version, &bone);
        if (bones < 0) w->in.failed = true;
    }
    close_section(w, end);
}

static void walk_assets(walk *w, es_natnet_frame *frame) {
    enum { ASSET_BODY = 4 + 12 + 16 + 4 + 2, ASSET_MARKER = 4 + 12 + 4 + 2 + 4 };
    const uint8_t *end;
    if (!since(w->version, 4, 1)) return;
    frame->assets = open_section(w, "assets", &end);
    for (int i = 0; i < frame->assets && !w->in.failed; i++) {
        little_i32(&w->in);
        little_skip(&w->in, little_i32(&w->in), ASSET_BODY);
        little_skip(&w->in, little_i32(&w->in), ASSET_MARKER);
    }
    close_section(w, end);
}

static void walk_labeled(walk *w, es_natnet_frame *frame) {
    const uint8_t *end;
    if (!since(w->version, 2, 3)) return;
    size_t each =
        4 + 12 + 4u + (since(w->version, 2, 6) ? 2u : 0u) + (since(w->version, 3, 0) ? 4u : 0u);
    frame->labeled_markers = open_section(w, "labeled markers", &end);
    little_skip(&w->in, frame->labeled_markers, each);
    close_section(w, end);
}

/* Force plates and devices: channels of numbers. */
static void walk_channels(walk *w, const char *section) {
    const uint8_t *end;
    int32_t count = open_section(w, section, &end);
    for (int i = 0; i < count && !w->in.failed; i++) {
        little_i32(&w->in);
        int32_t channels = little_i32(&w->in);
        if (channels < 0) w->in.failed = true;
        for (int c = 0; c < channels && !w->in.failed; c++)
            little_skip(&w->in, little_i32(&w->in), 4);
    }
    close_section(w, end);
}

static void read_tail(walk *w, es_natnet_frame *frame) {
    little *in = &w->in;
    w->section = "times";
    if (!since(w->version, 3, 0)) little_f32(in); /* the software's latency */
    little_u32(in);                               /* time code and its sub-frame */
    little_u32(in);
    frame->timestamp_s = since(w->version, 2, 7) ? little_f64(in) : little_f32(in);
    frame->has_ticks = since(w->version, 3, 0);
    if (frame->has_ticks) {
        frame->exposed = little_u64(in);
        frame->received = little_u64(in);
        frame->sent = little_u64(in);
    }
    /* One public reader of a 4.1 server leaves these out: the rest tells. */
    frame->has_precision = since(w->version, 4, 1) && little_left(in) >= 8 + 6;
    if (frame->has_precision) {
        frame->precise_s = little_u32(in);
        frame->precise_fraction = little_u32(in);
    }
    unsigned flags = little_u16(in);
    frame->recording = (flags & 1) != 0;
    frame->models_changed = (flags & 2) != 0;
    little_u32(in); /* end of data, 0 */
}

bool es_natnet_get_frame(const es_natnet_packet *packet, es_natnet_version version,
                         es_natnet_frame *frame, es_error *err) {
    *frame = (es_natnet_frame){0};
    if (!natnet_is(packet, ES_NATNET_FRAMEOFDATA, "FRAMEOFDATA", err)) return false;
    walk w = {natnet_open(packet), version, "number"};
    void (*const sections[])(walk *, es_natnet_frame *) = {
        walk_markers, walk_bodies, walk_skeletons, walk_assets, walk_labeled, NULL};
    frame->number = little_i32(&w.in);
    for (int i = 0; sections[i] && !w.in.failed; i++) sections[i](&w, frame);
    if (!w.in.failed && since(version, 2, 9)) walk_channels(&w, "force plates");
    if (!w.in.failed && since(version, 2, 11)) walk_channels(&w, "devices");
    if (!w.in.failed) read_tail(&w, frame);
    if (w.in.failed)
        return es_fail(err, ES_FORMAT,
                       "NatNet %d.%d: a frame of %zu bytes does not fit this version (its %s)",
                       version.major, version.minor, packet->size, w.section);
    return little_left(&w.in) == 0 ||
           es_fail(err, ES_FORMAT,
                   "NatNet %d.%d: a frame of %zu bytes has %zu left over: another version?",
                   version.major, version.minor, packet->size, little_left(&w.in));
}

bool es_natnet_next_body(const es_natnet_frame *frame, es_natnet_version version, size_t *at,
                         es_natnet_body *body) {
    if (*at >= frame->bodies_size) return false;
    little in = {frame->bodies + *at, frame->bodies + frame->bodies_size, false};
    read_body(&in, version, body);
    *at = (size_t)(in.at - frame->bodies);
    return !in.failed;
}
