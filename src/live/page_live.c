/* The live page: what a run shows, as messages for open pages, and what these ask
 * for, as deeds of the run.
 *
 * Every channel holds its newest message alone (page_socket.c), pictures are made
 * at a bounded rate and only while somebody looks, the path is thinned when it is
 * full. So neither a slow page nor a long scan makes anything wait or grow. */
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "echosolid/live_page.h"
#include "echosolid/picture.h"
#include "live_pages.h"
#include "page_slices.h"
#include "page_text.h"
#include "page_wire.h"

enum { HELLO, STATE, PICTURE, MESH, PATH, CUTS, EVIDENCE, WIZARD = ES_PAGE_CHANNELS - 1 };
enum { PATH_MOST = 4096, SAVED_MOST = 30, LINE = 400, COLOURS = 16, UNDOS_MOST = 10 };

static const double STATE_EVERY_S = 0.25, PATH_EVERY_S = 0.5, RATE_OVER_S = 1, PATH_STEP_MM = 0.5;
/* Pictures with their bone come this much late at most; then they come without. */
static const double BONE_LATE_S = 0.4;

typedef struct saved {
    char name[200], address[220];
    int64_t bytes;
} saved;

struct es_live_page {
    es_live_page_options options;
    es_page_server *server;
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock; /* guards all that follows */
    es_coach *coach;
    es_text picture, mesh, path;
    page_slices slices; /* has a lock of its own, as has the next */
    page_evidence *evidence;
    es_vec3 middle; /* of the newest picture */
    double picture_due_s, bone_s, white;
    float places[3 * PATH_MOST];
    int64_t place_frames[PATH_MOST]; /* that were there */
    size_t place_count;
    double place_step_mm;
    bool path_changed;
    double path_due_s, state_due_s;
    /* Of rates. */
    double counted_s, received_hz, inserted_hz, mesh_hz;
    int64_t received, inserted, previews;
    bool voxel_known;
    /* What pages asked for, and what they are told. */
    bool wants_save, wants_pause, wants_start;
    int wants_undo;   /* how often */
    bool wants_slice; /* slices at slice_at, or, if they follow, with the picture */
    bool slice_follows;
    es_vec3 slice_at;
    es_live_undone undone; /* the last one; frames 0: none */
    int64_t undos;
    bool saving, ended;
    char line[LINE];
    saved saved[SAVED_MOST];
    size_t saved_count;
};

bool es_live_page_has_scene(void) { return live_pages_have_scene; }

/* ---- what pages ask for ------------------------------------------------------------ */

/* With the lock held. */
static void note_wish(es_live_page *p, const page_asked *asked) {
    switch (asked->wish) {
    case PAGE_SAVE: p->wants_save = true; break;
    case PAGE_UNDO: p->wants_undo += p->wants_undo < UNDOS_MOST; break;
    case PAGE_PAUSE:
    case PAGE_START:
        p->wants_pause = asked->wish == PAGE_PAUSE;
        p->wants_start = !p->wants_pause;
        break;
    case PAGE_SLICE:
        p->wants_slice = true;
        p->slice_follows = !asked->has_place;
        if (asked->has_place) p->slice_at = asked->place;
        break;
    default: break;
    }
}

/* From the thread that serves. */
static void on_text(void *context, const char *text, size_t length) {
    es_live_page *p = context;
    const page_asked asked = page_asked_read(text, length);
    if (asked.wish == PAGE_SPACING) page_evidence_ask(p->evidence, &asked.evidence);
    if (asked.wish == PAGE_WIZARD && p->options.wizard)
        p->options.wizard(p->options.wizard_context, text, length);
    pthread_mutex_lock(&p->lock);
    note_wish(p, &asked);
    pthread_mutex_unlock(&p->lock);
}

/* ---- messages ---------------------------------------------------------------------- */

static void send_bytes(es_live_page *p, int channel, const es_text *bytes) {
    es_page_server_send(p->server, channel, false, bytes->bytes, bytes->length, NULL);
}

/* Takes `root`. What memory fails for is left out: the next one follows soon. */
static void send_json(es_live_page *p, int channel, json_t *root) {
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text) es_page_server_send(p->server, channel, true, text, strlen(text), NULL);
    free(text);
    json_decref(root);
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *colours(void) {
    json_t *list = json_array();
    for (int i = 0; i < COLOURS; i++) {
        es_colour c = es_picture_colour_map(i / (COLOURS - 1.0));
        json_array_append_new(list, json_pack("[i, i, i]", c.r, c.g, c.b));
    }
    return list;
}

static void send_hello(es_live_page *p) {
    send_json(p, HELLO,
              json_pack("{s:s, s:s, s:s, s:b, s:o}", "kind", "hello", "version", es_version(),
                        "source", p->options.source ? p->options.source : "", "can_save",
                        p->options.can_save, "colours", colours()));
}

/* ---- frames ------------------------------------------------------------------------ */

/* The middle of the probe's face; every other place goes when they are too many. */
static void add_place(es_live_page *p, const es_frame *frame, const es_mat4 *place) {
    double u = (frame->image.width - 1.0) / 2, v = (frame->image.height - 1.0) / 2;
    es_vec3 at = es_mat4_point(*place, es_vec3_make(u, 0, 0));
    p->middle = es_mat4_point(*place, es_vec3_make(u, v, 0));
    if (p->place_count > 0) {
        const float *last = p->places + 3 * (p->place_count - 1);
        es_vec3 step =
            es_vec3_sub(at, es_vec3_make((double)last[0], (double)last[1], (double)last[2]));
        if (!(es_vec3_length(step) >= p->place_step_mm)) return;
    }
    if (p->place_count == PATH_MOST) {
        for (size_t i = 0; i < PATH_MOST / 2; i++) {
            memmove(p->places + 3 * i, p->places + 6 * i, 3 * sizeof *p->places);
            p->place_frames[i] = p->place_frames[2 * i];
        }
        p->place_count = PATH_MOST / 2;
        p->place_step_mm *= 2;
    }
    p->place_frames[p->place_count] = frame->index;
    float *to = p->places + 3 * p->place_count++;
    to[0] = (float)at.x;
    to[1] = (float)at.y;
    to[2] = (float)at.z;
    p->path_changed = true;
}

/* With the lock held. */
static void show_picture(es_live_page *p, const es_frame *frame, const es_mat4 *place,
                         const es_trace *trace) {
    double now = es_clock_s();
    const page_picture picture = {frame, place, trace, p->options.picture_side, &p->white};
    if (!frame->has_image || now < p->picture_due_s || es_page_server_sockets(p->server) == 0)
        return;
    p->picture_due_s = fmax(p->picture_due_s + 1 / p->options.picture_hz, now);
    if (page_put_picture(&p->picture, &picture)) send_bytes(p, PICTURE, &p->picture);
}

void es_live_page_frame(es_live_page *p, const es_frame *frame, const es_mat4 *place) {
    if (!p) return;
    double now = es_clock_s();
    page_evidence_frame(p->evidence, frame);
    pthread_mutex_lock(&p->lock);
    es_coach_frame(p->coach, frame, place, now);
    if (place) add_place(p, frame, place);
    if (now - p->bone_s > BONE_LATE_S) show_picture(p, frame, place, NULL);
    pthread_mutex_unlock(&p->lock);
}

void es_live_page_bone(es_live_page *p, const es_frame *frame, const es_mat4 *place,
                       const es_trace *trace) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->bone_s = es_clock_s();
    show_picture(p, frame, place, trace);
    pthread_mutex_unlock(&p->lock);
}

void es_live_page_mesh(es_live_page *p, const es_mesh *mesh) {
    if (!p) return;
    if (page_put_mesh(&p->mesh, mesh)) send_bytes(p, MESH, &p->mesh);
}

bool es_live_page_wants_mesh(es_live_page *p, bool *anybody) {
    *anybody = false;
    return p && es_page_server_wants(p->server, MESH, anybody);
}

void es_live_page_volume(es_live_page *p, const es_grid *volume) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    es_vec3 middle = p->middle;
    double white = volume->info.type == ES_U8 ? 255 : p->white;
    pthread_mutex_unlock(&p->lock);
    page_slices_volume(&p->slices, volume, middle, white);
}

void es_live_page_undone(es_live_page *p, int64_t first) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    while (p->place_count > 0 && p->place_frames[p->place_count - 1] >= first) p->place_count--;
    es_coach_undo(p->coach, first);
    p->path_changed = true;
    p->path_due_s = 0;
    pthread_mutex_unlock(&p->lock);
}

/* ---- how it stands -------------------------------------------------- */

static double rate(int64_t now, int64_t *before, double seconds) {
    double hz = (double)(now - *before) / seconds;
    *before = now;
    return hz;
}

static void find_rates(es_live_page *p, const es_live_state *s, double now) {
    double seconds = now - p->counted_s;
    if (seconds < RATE_OVER_S) return;
    p->received_hz = rate(s->received, &p->received, seconds);
    p->inserted_hz = rate(s->inserted, &p->inserted, seconds);
    p->mesh_hz = rate(s->previews, &p->previews, seconds);
    p->counted_s = now;
}

static json_t *coach_json(const es_live_page *p, double now) {
    es_coach_advice advice[ES_COACH_WHATS];
    size_t count = es_coach_advise(p->coach, now, advice);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const es_coach_advice *a = &advice[i];
        json_t *one =
            json_pack("{s:s, s:s, s:o, s:o}", "what", es_coach_names[a->what], "text", a->text,
                      "measured", number(a->measured), "limit", number(a->limit));
        if (a->has_place)
            json_object_set_new(one, "place",
                                json_pack("[f, f, f]", a->place.x, a->place.y, a->place.z));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *saved_json(const es_live_page *p) {
    json_t *list = json_array();
    size_t first = p->saved_count > SAVED_MOST ? p->saved_count - SAVED_MOST : 0;
    for (size_t i = first; i < p->saved_count; i++) {
        const saved *s = &p->saved[i % SAVED_MOST];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "name", s->name, "address",
                                              s->address, "bytes", (json_int_t)s->bytes));
    }
    return list;
}

static const char *phase_of(const es_live_page *p, es_live_run *run) {
    if (p->ended) return "ended";
    if (!run) return "waiting";
    if (es_live_run_is_paused(run)) return "paused";
    return es_live_run_setup(run) ? "running" : "starting";
}

static void add_counts(json_t *root, const es_live_page *p, const es_live_state *s) {
    json_t *counts = json_pack(
        "{s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "seconds", s->seconds,
        "received", (json_int_t)s->received, "recorded", (json_int_t)s->recorded, "inserted",
        (json_int_t)s->inserted, "dropped", (json_int_t)s->dropped, "unplaced",
        (json_int_t)s->unplaced, "lost", (json_int_t)s->link.lost, "previews",
        (json_int_t)s->previews, "triangles", (json_int_t)s->triangles, "bricks",
        (json_int_t)s->bricks, "volume_bytes", (json_int_t)s->volume_bytes, "memory_bytes",
        (json_int_t)s->memory_peak, "connected", s->link.connected);
    json_object_set_new(counts, "latency_s", number(s->latency_median_s));
    json_object_set_new(counts, "latency_p99_s", number(s->latency_p99_s));
    json_object_set_new(counts, "preview_s", number(s->preview_s));
    json_object_set_new(counts, "received_hz", number(p->received_hz));
    json_object_set_new(counts, "inserted_hz", number(p->inserted_hz));
    json_object_set_new(counts, "mesh_hz", number(p->mesh_hz));
    if (s->record_error) json_object_set_new(counts, "record_error", json_string(s->record_error));
    json_object_update(root, counts);
    json_decref(counts);
}

static void add_undo(json_t *root, const es_live_page *p, const es_live_state *s) {
    json_object_set_new(root, "undone", json_integer((json_int_t)s->undone));
    json_object_set_new(root, "undo_bytes", json_integer((json_int_t)s->undo_bytes));
    json_object_set_new(root, "undo_s", number(s->undo_s));
    json_object_set_new(root, "undo_step_s", number(s->undo_step_s));
    json_object_set_new(root, "last_undo",
                        json_pack("{s:I, s:I, s:f}", "number", (json_int_t)p->undos, "frames",
                                  (json_int_t)p->undone.frames, "seconds", p->undone.seconds));
}

/* Where the slices are, if a page has put them there. */
static json_t *slice_json(es_live_page *p) {
    es_vec3 at;
    if (!page_slices_place(&p->slices, &at)) return json_null();
    return json_pack("[f, f, f]", at.x, at.y, at.z);
}

/* With the lock held. */
static void send_state(es_live_page *p, es_live_run *run, const es_live_state *s) {
    double now = es_clock_s();
    json_t *root = json_pack("{s:s, s:s, s:b, s:s, s:o, s:o, s:f, s:o}", "kind", "state", "phase",
                             phase_of(p, run), "saving", p->saving, "line", p->line, "coach",
                             coach_json(p, now), "saved", saved_json(p), "limit_mm",
                             es_coach_limit_mm(p->coach), "slice", slice_json(p));
    if (root && s) {
        find_rates(p, s, now);
        add_counts(root, p, s);
        add_undo(root, p, s);
    }
    send_json(p, STATE, root);
    p->state_due_s = now + STATE_EVERY_S;
}

static void send_path(es_live_page *p) {
    es_vec3 gaps[ES_COACH_GAPS];
    size_t count = es_coach_gaps(p->coach, gaps);
    p->path_due_s = es_clock_s() + PATH_EVERY_S;
    p->path_changed = false;
    if (page_put_path(&p->path, p->places, p->place_count, gaps, count))
        send_bytes(p, PATH, &p->path);
}

static void learn_voxel(es_live_page *p, const es_live_run *run) {
    const es_setup *setup = es_live_run_setup(run);
    if (!setup || p->voxel_known) return;
    p->voxel_known = true;
    es_coach_set_voxel(p->coach, setup->recon.spacing_mm[0]);
}

/* The lock is not held: what is done tells of itself. */
static bool undo_as_asked(es_live_page *p, es_live_run *run) {
    pthread_mutex_lock(&p->lock);
    int times = p->wants_undo;
    p->wants_undo = 0;
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < times; i++) {
        es_live_undone undone;
        es_live_run_undo(run, &undone);
        pthread_mutex_lock(&p->lock);
        p->undone = undone;
        p->undos++;
        pthread_mutex_unlock(&p->lock);
    }
    return times > 0;
}

static bool move_slices_as_asked(es_live_page *p) {
    pthread_mutex_lock(&p->lock);
    bool wanted = p->wants_slice, follow = p->slice_follows;
    es_vec3 at = p->slice_at;
    p->wants_slice = false;
    pthread_mutex_unlock(&p->lock);
    if (wanted) page_slices_move(&p->slices, follow ? NULL : &at);
    return wanted;
}

bool es_live_page_poll(es_live_page *p, es_live_run *run) {
    if (!p) return false;
    bool changed = undo_as_asked(p, run) | move_slices_as_asked(p);
    double now = es_clock_s();
    pthread_mutex_lock(&p->lock);
    bool pressed = p->wants_pause || p->wants_start, save = p->wants_save && p->options.can_save;
    if (pressed) es_live_run_pause(run, p->wants_pause);
    p->wants_pause = p->wants_start = p->wants_save = false;
    learn_voxel(p, run);
    bool due = pressed || changed || now >= p->state_due_s;
    if (p->path_changed && now >= p->path_due_s) send_path(p);
    pthread_mutex_unlock(&p->lock);
    if (!due) return save;
    es_live_state s = es_live_run_state(run);
    pthread_mutex_lock(&p->lock);
    send_state(p, run, &s);
    pthread_mutex_unlock(&p->lock);
    return save;
}

void es_live_page_saving(es_live_page *p, bool goes_on, const char *line) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->saving = goes_on;
    snprintf(p->line, sizeof p->line, "%s", line);
    p->state_due_s = 0;
    pthread_mutex_unlock(&p->lock);
}

void es_live_page_wizard(es_live_page *p, const char *json) {
    if (p) es_page_server_send(p->server, WIZARD, true, json, strlen(json), NULL);
}

bool es_live_page_offer(es_live_page *p, const char *path, es_error *err) {
    saved s;
    struct stat about;
    if (!p) return true;
    snprintf(s.name, sizeof s.name, "%s", es_path_name(path));
    snprintf(s.address, sizeof s.address, "/saved/%s", s.name);
    s.bytes = stat(path, &about) == 0 ? (int64_t)about.st_size : 0;
    if (!es_page_server_offer(p->server, s.address, path, err)) return false;
    pthread_mutex_lock(&p->lock);
    p->saved[p->saved_count++ % SAVED_MOST] = s;
    p->state_due_s = 0;
    pthread_mutex_unlock(&p->lock);
    return true;
}

void es_live_page_end(es_live_page *p, const char *line) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    snprintf(p->line, sizeof p->line, "%s", line);
    send_state(p, NULL, NULL);
    pthread_mutex_unlock(&p->lock);
}

/* ---- beginning and end -------------------------------------------------- */

static void *serve(void *context) {
    es_live_page *p = context;
    es_page_server_run(p->server, NULL);
    return NULL;
}

static bool open_server(es_live_page *p, es_error *err) {
    const es_page_options o = {.pages = live_pages,
                               .count = live_page_count,
                               .address = p->options.address,
                               .port = p->options.port,
                               .token = p->options.token,
                               .socket = "/live",
                               .text = on_text,
                               .context = p};
    p->server = es_page_server_new(&o, err);
    p->slices.server = p->server;
    p->slices.channel = CUTS;
    return p->server != NULL;
}

static bool start(es_live_page *p, es_error *err) {
    p->coach = es_coach_new(&p->options.coach, err);
    if (!p->coach || !open_server(p, err)) return false;
    p->evidence = page_evidence_new(p->server, EVIDENCE, p->options.plus, p->options.config, err);
    if (!p->evidence) return false;
    send_hello(p);
    send_state(p, NULL, NULL);
    p->thread_runs = pthread_create(&p->thread, NULL, serve, p) == 0;
    return p->thread_runs ||
           es_fail(err, ES_MEMORY, "the thread of the live page could not be started");
}

es_live_page *es_live_page_new(const es_live_page_options *options, es_error *err) {
    if (!(options->picture_hz > 0) || options->picture_side < 16) {
        es_fail(err, ES_USAGE, "%g pictures a second of %d pixels; expected some, of 16 or more",
                options->picture_hz, options->picture_side);
        return NULL;
    }
    es_live_page *p = es_alloc_zero(1, sizeof *p, err);
    if (!p) return NULL;
    p->options = *options;
    p->bone_s = -INFINITY;
    p->place_step_mm = PATH_STEP_MM;
    pthread_mutex_init(&p->lock, NULL);
    page_slices_init(&p->slices);
    if (start(p, err)) return p;
    es_live_page_free(p);
    return NULL;
}

int es_live_page_port(const es_live_page *page) { return es_page_server_port(page->server); }

void es_live_page_free(es_live_page *p) {
    if (!p) return;
    if (p->thread_runs) {
        es_page_server_stop(p->server);
        pthread_join(p->thread, NULL);
    }
    page_evidence_free(p->evidence);
    es_page_server_free(p->server);
    es_coach_free(p->coach);
    es_text_free(&p->picture);
    es_text_free(&p->mesh);
    es_text_free(&p->path);
    page_slices_clear(&p->slices);
    pthread_mutex_destroy(&p->lock);
    es_free(p);
}
