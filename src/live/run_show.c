/* What a live run shows: each frame as it comes, and the growing result at a
 * rate that leaves the machine to the insertion. */
#include <math.h>
#include <string.h>

#include "clock.h"
#include "outgo.h"
#include "run.h"

/* A preview takes at most this share of the time. */
static const double SHARE = 0.5;
/* The volume is large and changes little. */
static const double VOLUME_EVERY_S = 2;
/* While nobody looks on: so much is little to catch up with for who comes. */
static const double UNSEEN_MESH_EVERY_S = 2;
enum { VOLUME_MOST = 1 << 25 };

static bool has_clients(const es_live_run *r) {
    return r->options.server && es_live_server_statistics(r->options.server).clients > 0;
}

void run_send_frame(es_live_run *r, const es_frame *frame, const es_mat4 *place) {
    if (r->options.watch.frame) r->options.watch.frame(r->options.watch.context, frame, place);
    if (!has_clients(r)) return;
    es_igtl_out out = {0};
    char device[2 * ES_NAME_SIZE];
    uint64_t time = es_igtl_time(frame->time_s);
    snprintf(device, sizeof device, "%s_%s", es_placement_image(r->placement),
             es_placement_reference(r->placement));
    if (place && frame->has_image) outgo_picture(&out, frame, device, place, time);
    for (size_t i = 0; i < frame->transform_count; i++)
        outgo_transform(&out, &frame->transforms[i], time);
    es_live_server_send(r->options.server, &out, false);
    es_igtl_out_clear(&out);
}

/* ---- the volume ------------------------------------------------------------------------ */

bool run_is_sendable(const es_grid_info *info) {
    size_t bytes = es_type_size(info->type) * (size_t)info->channels;
    for (int a = 0; a < 3; a++)
        if (info->size[a] > UINT16_MAX || !es_multiply(bytes, (size_t)info->size[a], &bytes))
            return false;
    return bytes <= VOLUME_MOST;
}

bool run_copy_volume(es_live_run *r, es_grid *grid, es_error *err) {
    run_lock_work(r);
    bool ok = es_volume_grid_info(r->volume, &grid->info, err) && es_grid_alloc(grid, err) &&
              es_volume_slab(r->volume, 0, grid->info.size[2], grid->data, err);
    run_unlock_work(r);
    return ok;
}

bool es_live_run_snapshot(es_live_run *r, es_live_snapshot *s, es_error *err) {
    memset(s, 0, sizeof *s);
    bool ok = run_copy_volume(r, &s->volume, err);
    run_lock_work(r);
    if (ok && r->model) ok = (s->model = es_model_snapshot(r->model, NULL, err)) != NULL;
    run_unlock_work(r);
    if (!ok) es_live_snapshot_clear(s);
    return ok;
}

void es_live_snapshot_clear(es_live_snapshot *s) {
    es_model_free(s->model);
    es_grid_clear(&s->volume);
    memset(s, 0, sizeof *s);
}

static bool has_sendable_volume(es_live_run *r) {
    es_grid_info info = {0};
    run_lock_work(r);
    bool ok = es_volume_grid_info(r->volume, &info, NULL) && run_is_sendable(&info);
    run_unlock_work(r);
    es_grid_info_clear(&info);
    return ok;
}

static void show_volume(es_live_run *r, es_grid *sent) {
    es_grid grid = {0};
    bool ok = has_sendable_volume(r) && run_copy_volume(r, &grid, NULL);
    if (ok && r->options.watch.volume) r->options.watch.volume(r->options.watch.context, &grid);
    if (ok && r->options.server) run_send_volume(r, sent, &grid);
    es_grid_clear(&grid);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* What was shown last: the number of changes it stands for. */
typedef struct shown {
    int64_t mesh, volume;
    double due_s, volume_due_s;
    double mesh_s; /* when it was made */
    run_surface surface;
    es_grid sent; /* the volume, whole */
} shown;

/* Until more is inserted, the next preview is due, or a little while: clients come
 * and go unheard. */
static void wait_changed(es_live_run *r, double due_s) {
    double now_s = es_clock_s(), end_s = now_s + 0.02;
    if (due_s > now_s && due_s < end_s) end_s = due_s;
    clock_wait(&r->changed, &r->lock, end_s);
}

/* What changed since it was shown and is looked at, and the changes it stands for. */
typedef struct due {
    int64_t changes;
    bool mesh, volume;
} due;

/* Whether somebody who looks on is ready for a mesh, or, at the end of all time, will be.
 * The lock is held. */
static bool wants_mesh(es_live_run *r, const shown *s, bool has_clients, double now_s) {
    const es_live_watch *w = &r->options.watch;
    bool anybody = true;
    if (has_clients || !w->mesh) return has_clients;
    if (!w->wants_mesh || w->wants_mesh(w->context, &anybody)) return true;
    if (!anybody) r->unshown_count = 0; /* their time is no latency */
    return now_s >= s->mesh_s + (anybody ? INFINITY : UNSEEN_MESH_EVERY_S);
}

/* The lock is held. */
static due find_due(es_live_run *r, const shown *s, bool has_clients, double now_s) {
    const es_live_watch *w = &r->options.watch;
    return (due){.changes = r->changes,
                 .mesh = r->model && r->changes != s->mesh && wants_mesh(r, s, has_clients, now_s),
                 .volume = r->changes != s->volume && (has_clients || w->volume) &&
                           now_s >= s->volume_due_s};
}

/* Until something is to be shown; false when nothing more will change, with all that is
 * left. */
static bool wait_due(es_live_run *r, const shown *s, due *next) {
    for (;;) {
        bool clients = has_clients(r);
        pthread_mutex_lock(&r->lock);
        double now_s = es_clock_s();
        bool over = r->all_inserted || r->failed; /* then all is due */
        *next = find_due(r, s, clients, over ? INFINITY : now_s);
        bool ready = over || ((next->mesh || next->volume) && now_s >= s->due_s);
        if (!ready) wait_changed(r, s->due_s);
        pthread_mutex_unlock(&r->lock);
        if (ready) return !over;
    }
}

static void show_due(es_live_run *r, shown *s, const due *next) {
    if (next->mesh) {
        run_show_mesh(r, &s->surface);
        s->mesh = next->changes;
        s->mesh_s = es_clock_s();
    }
    if (next->volume) {
        show_volume(r, &s->sent);
        s->volume = next->changes;
        s->volume_due_s = es_clock_s() + VOLUME_EVERY_S;
    }
}

/* The last previews show all that was inserted, however short or slow the run. */
void *run_preview(void *context) {
    es_live_run *r = context;
    shown s = {0};
    due next;
    while (wait_due(r, &s, &next)) {
        double start_s = es_clock_s();
        show_due(r, &s, &next);
        double took_s = es_clock_s() - start_s;
        s.due_s = start_s + fmax(1 / r->options.preview_hz, took_s / SHARE);
    }
    show_due(r, &s, &next);
    es_bricks_free(s.surface.field.bricks);
    es_grid_clear(&s.sent);
    return NULL;
}
