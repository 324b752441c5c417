/* What a live run shows: each frame as it comes, and the growing result at a
 * rate that leaves the machine to the insertion. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "outgo.h"
#include "preview_field.h"
#include "run.h"

/* A preview takes at most this share of the time. */
static const double SHARE = 0.25;
/* The volume is large and changes little. */
static const double VOLUME_EVERY_S = 2;
enum { VOLUME_MOST = 1 << 25, SMOOTH = 4, COARSEST = 8 };

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

/* ---- the mesh ------------------------------------------------------------------------ */

/* The surface of the field, or of a coarser one until it has few enough triangles.
 * What was too fine once is not tried again: surfaces grow. */
static bool extract_few(es_live_run *r, const es_bricks *field, const es_iso_options *iso,
                        es_mesh *mesh) {
    for (;; r->preview_by *= 2) {
        es_bricks *coarse = r->preview_by > 1 ? preview_coarsen(field, r->preview_by, NULL) : NULL;
        bool ok = (coarse || r->preview_by == 1) &&
                  es_surface_extract(coarse ? coarse : field, iso, NULL, mesh, NULL);
        es_bricks_free(coarse);
        if (!ok || mesh->triangle_count <= r->options.preview_triangles ||
            r->preview_by >= COARSEST)
            return ok;
        es_mesh_clear(mesh);
    }
}

/* Frames wait while the field is copied; all the rest is done beside them, the
 * smoothing too. */
static bool make_mesh(es_live_run *r, es_mesh *mesh) {
    pthread_mutex_lock(&r->work);
    es_bricks *field = es_model_preview(r->model, NULL);
    es_iso_options iso = es_model_iso(r->model);
    pthread_mutex_unlock(&r->work);
    bool ok = field && extract_few(r, field, &iso, mesh) &&
              es_mesh_smooth(mesh, r->preview_by > 1 ? SMOOTH / 2 : SMOOTH, 0.5, -0.53, NULL);
    es_bricks_free(field);
    es_decimate_options fewer = {.triangles = r->options.preview_triangles,
                                 .max_distance_mm = INFINITY};
    es_decimate_report report;
    if (ok && mesh->triangle_count > fewer.triangles)
        ok = es_mesh_decimate(mesh, &fewer, NULL, &report, NULL);
    return ok && mesh->triangle_count > 0;
}

static void show_mesh(es_live_run *r) {
    es_mesh mesh = {0};
    double start = es_clock_s();
    if (make_mesh(r, &mesh)) {
        if (r->options.watch.mesh) r->options.watch.mesh(r->options.watch.context, &mesh);
        es_igtl_out out = {0};
        es_igtl_head head = {.version = 2, .device = "Bone", .time = outgo_now()};
        if (r->options.server) {
            es_igtl_put_mesh(&out, &head, &mesh);
            es_live_server_send(r->options.server, &out, true);
        }
        es_igtl_out_clear(&out);
        pthread_mutex_lock(&r->lock);
        r->state.previews++;
        r->state.preview_s = es_clock_s() - start;
        r->state.triangles = mesh.triangle_count;
        pthread_mutex_unlock(&r->lock);
    }
    es_mesh_clear(&mesh);
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
    pthread_mutex_lock(&r->work);
    bool ok = es_volume_grid_info(r->volume, &grid->info, err) && es_grid_alloc(grid, err) &&
              es_volume_slab(r->volume, 0, grid->info.size[2], grid->data, err);
    pthread_mutex_unlock(&r->work);
    return ok;
}

bool es_live_run_snapshot(es_live_run *r, es_live_snapshot *s, es_error *err) {
    memset(s, 0, sizeof *s);
    bool ok = run_copy_volume(r, &s->volume, err);
    pthread_mutex_lock(&r->work);
    if (ok && r->model) ok = (s->model = es_model_snapshot(r->model, NULL, err)) != NULL;
    pthread_mutex_unlock(&r->work);
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
    pthread_mutex_lock(&r->work);
    bool ok = es_volume_grid_info(r->volume, &info, NULL) && run_is_sendable(&info);
    pthread_mutex_unlock(&r->work);
    es_grid_info_clear(&info);
    return ok;
}

static void show_volume(es_live_run *r) {
    es_grid grid = {0};
    es_igtl_out out = {0};
    bool ok = has_sendable_volume(r) && run_copy_volume(r, &grid, NULL);
    if (ok && r->options.watch.volume) r->options.watch.volume(r->options.watch.context, &grid);
    ok = ok && r->options.server;
    if (ok) outgo_volume(&out, "Volume", &grid, outgo_now());
    if (ok) es_live_server_send(r->options.server, &out, true);
    es_igtl_out_clear(&out);
    es_grid_clear(&grid);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* False when nothing more will change. */
static bool wait_until(es_live_run *r, double due_s) {
    for (;;) {
        struct timespec pause = {.tv_nsec = 5000000};
        pthread_mutex_lock(&r->lock);
        bool over = r->all_inserted || r->failed;
        pthread_mutex_unlock(&r->lock);
        if (over || es_clock_s() >= due_s) return !over;
        nanosleep(&pause, NULL);
    }
}

static int64_t changes_of(es_live_run *r) {
    pthread_mutex_lock(&r->work);
    int64_t changes = r->changes;
    pthread_mutex_unlock(&r->work);
    return changes;
}

/* What was shown last: the number of changes it stands for. */
typedef struct shown {
    int64_t mesh, volume;
    double volume_due_s;
} shown;

static void show_changes(es_live_run *r, shown *s, bool volume_is_due) {
    int64_t now = changes_of(r);
    bool wanted = r->options.watch.mesh || has_clients(r);
    if (r->model && wanted && now != s->mesh) {
        show_mesh(r);
        s->mesh = now;
    }
    wanted = r->options.watch.volume || has_clients(r);
    if (wanted && now != s->volume && volume_is_due) {
        show_volume(r);
        s->volume = now;
        s->volume_due_s = es_clock_s() + VOLUME_EVERY_S;
    }
}

/* The last previews show all that was inserted, however short or slow the run. */
void *run_preview(void *context) {
    es_live_run *r = context;
    shown s = {0};
    double due_s = 0;
    while (wait_until(r, due_s)) {
        double start = es_clock_s();
        show_changes(r, &s, start >= s.volume_due_s);
        double took_s = es_clock_s() - start;
        due_s = start + fmax(1 / r->options.preview_hz, took_s / SHARE);
    }
    show_changes(r, &s, true);
    return NULL;
}
