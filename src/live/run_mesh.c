/* The bone's surface while it grows.
 *
 * The whole field is never copied: a coarse copy of it follows the bricks that
 * change, and only that is done under the lock that the insertion waits for. When
 * the surface passes the triangles that are asked for, the copy's voxels are doubled
 * as far as the thin band of distances about the bone allows, so that extracting it
 * takes few milliseconds; then it is thinned on a lattice that is coarsened as it
 * grows. */
#include <time.h>

#include "outgo.h"
#include "run.h"
#include "thin.h"

/* Finer facets show the noise of single frames. */
static const double FINEST_MM = 0.6;
/* Of the band's half width; the diagonal of a voxel must fit into it. */
static const double COARSEST = 0.577;
/* The thinning lattice, in voxels of the copy; the first: none. */
static const double CELLS[] = {0, 1.5, 2, 3, 4, 6, 8, 12, 16};
enum { CELLS_MOST = sizeof CELLS / sizeof *CELLS - 1 };

static bool may_be_coarser(const es_distance *distance, int level) {
    const es_distance_options *o = es_distance_get_options(distance);
    return o->spacing_mm[0] * (double)(2 << level) <= COARSEST * o->truncation_mm;
}

static int first_level(const es_distance *distance) {
    double spacing_mm = es_distance_get_options(distance)->spacing_mm[0];
    int level = 0;
    while (spacing_mm * (double)(1 << level) < FINEST_MM && may_be_coarser(distance, level))
        level++;
    return level;
}

/* Frames wait meanwhile. */
static bool follow(es_live_run *r, es_distance_copy *copy, int level) {
    const es_distance *distance = es_model_distance(r->model);
    run_lock_work(r);
    bool ok = (copy->bricks || es_distance_copy_new(distance, level, copy, NULL)) &&
              es_distance_follow(distance, copy, NULL);
    run_unlock_work(r);
    return ok;
}

/* In the next coarser copy, if the surface has too many triangles in this one. */
static bool extract(es_live_run *r, run_surface *surface, es_mesh *mesh) {
    const es_distance *distance = es_model_distance(r->model);
    const es_iso_options iso = es_model_iso(r->model);
    es_distance_copy *copy = &surface->field;
    int level = copy->bricks ? copy->level : first_level(distance);
    for (;; level++) {
        if (!follow(r, copy, level) || !es_surface_extract(copy->bricks, &iso, NULL, mesh, NULL))
            return false;
        if (mesh->triangle_count <= r->options.preview_triangles ||
            !may_be_coarser(distance, level))
            return true;
        es_mesh_clear(mesh);
        es_bricks_free(copy->bricks);
        copy->bricks = NULL;
    }
}

static bool thin(es_live_run *r, run_surface *surface, es_mesh *mesh) {
    const double voxel_mm = es_bricks_spacing(surface->field.bricks)[0];
    if (surface->cells > 0 && !thin_mesh(mesh, CELLS[surface->cells] * voxel_mm, NULL))
        return false;
    while (mesh->triangle_count > r->options.preview_triangles && surface->cells < CELLS_MOST)
        if (!thin_mesh(mesh, CELLS[++surface->cells] * voxel_mm, NULL)) return false;
    return true;
}

static void send_mesh(es_live_run *r, const es_mesh *mesh) {
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = "Bone", .time = outgo_now()};
    es_igtl_put_mesh(&out, &head, mesh);
    es_live_server_send(r->options.server, &out, true);
    es_igtl_out_clear(&out);
}

/* The arrivals of the frames that the next mesh will show. */
static size_t take_unshown(es_live_run *r, double arrived_s[UNSHOWN_MOST]) {
    pthread_mutex_lock(&r->lock);
    size_t count = r->unshown_count;
    for (size_t i = 0; i < count; i++) arrived_s[i] = r->unshown[i];
    r->unshown_count = 0;
    pthread_mutex_unlock(&r->lock);
    return count;
}

static double processor_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void note_shown(es_live_run *r, double start_s, size_t triangles, const double *arrived_s,
                       size_t count) {
    double now_s = es_clock_s(), took_s = processor_s() - start_s;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < count; i++) latencies_add(&r->shown, now_s - arrived_s[i]);
    r->state.previews++;
    r->state.preview_s = took_s;
    r->state.previews_s += took_s;
    r->state.triangles = triangles;
    pthread_mutex_unlock(&r->lock);
}

void run_show_mesh(es_live_run *r, run_surface *surface) {
    double start_s = processor_s(), arrived_s[UNSHOWN_MOST];
    es_mesh mesh = {0};
    size_t count = take_unshown(r, arrived_s);
    bool ok = extract(r, surface, &mesh) && thin(r, surface, &mesh);
    /* Nothing is shown only where something was, and was taken back. */
    if (ok && (mesh.triangle_count > 0 || surface->shows)) {
        surface->shows = mesh.triangle_count > 0;
        if (r->options.watch.mesh) r->options.watch.mesh(r->options.watch.context, &mesh);
        if (r->options.server) send_mesh(r, &mesh);
        note_shown(r, start_s, mesh.triangle_count, arrived_s, count);
    }
    es_mesh_clear(&mesh);
}
