/* Hole filling over bricks: which bricks are worth a look, and who writes what.
 *
 * Every brick near known voxels is a task of its own: it gathers the known bits
 * of the bricks round it, lets the steps fill what they can from seen voxels
 * alone, and writes its own voxels only. So neither the order of the tasks nor
 * what was filled before has a part in the result, and an update that repeats
 * the tasks within reach of a change gives what a new fill would. Results are
 * made in batches of fixed room; only bricks where something was filled are
 * added. */
#include <stdlib.h>
#include <string.h>

#include "fill_internal.h"

enum { SEEN = 0, TARGET = 1 }; /* marks of a cell in the store */
enum { TASKS = 8 };            /* of each thread in a batch: their results stay in its cache */

typedef struct job {
    const es_bricks *seen;
    es_pool *pool;
    const fill_kernels *kernels;
    fill_method methods[ES_FILL_STEPS];
    int count;
    int ring;    /* bricks that a step can look past a brick's faces */
    int near;    /* a hole that can be filled has a known voxel within so many steps */
    store cells; /* states are fill_bits */
    size_t *targets, target_count; /* cells to fill */
    fill_room *rooms;              /* one per worker */
    fill_result *results;          /* of the batch */
    es_brick **out;                /* where they go; NULL: nowhere */
    size_t first;                  /* target of the batch */
    es_fill_stats stats;
} job;

static void job_clear(job *j) {
    for (int i = 0; i < j->count; i++) fill_method_clear(&j->methods[i]);
    store_clear(&j->cells);
    es_free(j->targets);
    es_free(j->rooms);
    es_free(j->results);
    es_free(j->out);
}

static bool job_init(job *j, const es_bricks *seen, const es_fill_options *options, es_error *err) {
    es_cpu level;
    *j = (job){.seen = seen, .pool = options->pool, .ring = 1};
    if (!es_cpu_level(&level, err)) return false;
    j->kernels = &fill_kernels_plain;
#ifdef __x86_64__
    if (level >= ES_CPU_AVX2) j->kernels = &fill_kernels_avx2;
#endif
    for (int i = 0; i < options->count; i++) {
        fill_method *m = &j->methods[j->count++];
        if (!fill_method_make(m, &options->steps[i], es_bricks_spacing(seen), err)) return false;
        int ring = (m->longest - 1 + ES_BRICK - 1) / ES_BRICK;
        if (ring > j->ring) j->ring = ring;
        if (m->longest / 2 > j->near) j->near = m->longest / 2;
    }
    return store_init(&j->cells, sizeof(fill_bits), UINT64_MAX, err);
}

/* ---- which bricks ---------------------------------------------------------------- */

/* Marks the brick `step` bricks away, if there can be one. */
static bool touch(job *j, const int32_t at[3], const int step[3], int mark, es_error *err) {
    int32_t other[3];
    for (int a = 0; a < 3; a++)
        if (__builtin_add_overflow(at[a], step[a], &other[a])) return true;
    return store_touch(&j->cells, other, mark, err);
}

static void make_cell_bits(void *context, size_t index, int worker) {
    (void)worker;
    job *j = context;
    const cell *c = &j->cells.cells[index];
    fill_bits *bits = c->state;
    bits->brick = es_bricks_find(j->seen, c->at[0], c->at[1], c->at[2]);
    if (bits->brick) j->kernels->make_bits(bits);
}

static bool make_all_bits(job *j, es_error *err) {
    if (!store_settle(&j->cells, es_bricks_spacing(j->seen), err)) return false;
    es_pool_run(j->pool, j->cells.count, make_cell_bits, j);
    return true;
}

/* Brick that a voxel, counted from a brick's first, falls into. */
static int brick_of(int voxel) {
    return (voxel + ES_BRICK * FILL_MOST_RING) / ES_BRICK - FILL_MOST_RING;
}

/* Marks all bricks within `near` voxels of the known ones of a cell. */
static bool touch_near(job *j, size_t index, es_error *err) {
    const fill_bits *bits = j->cells.cells[index].state;
    int32_t at[3];
    int low[3], high[3];
    memcpy(at, j->cells.cells[index].at, sizeof at);
    for (int a = 0; a < 3; a++) {
        low[a] = brick_of(bits->low[a] - j->near);
        high[a] = brick_of(bits->high[a] + j->near);
    }
    bool ok = true;
    for (int z = low[2]; ok && z <= high[2]; z++)
        for (int y = low[1]; ok && y <= high[1]; y++)
            for (int x = low[0]; ok && x <= high[0]; x++) {
                int step[3] = {x, y, z};
                ok = touch(j, at, step, TARGET, err);
            }
    return ok;
}

static bool plan_all(job *j, es_error *err) {
    const int here[3] = {0, 0, 0};
    for (size_t i = 0; i < es_bricks_count(j->seen); i++)
        if (!touch(j, es_bricks_get(j->seen, i)->at, here, SEEN, err)) return false;
    if (!make_all_bits(j, err)) return false;
    const size_t seen = j->cells.count;
    for (size_t i = 0; i < seen; i++) {
        const fill_bits *bits = j->cells.cells[i].state;
        if (bits->any && !touch_near(j, i, err)) return false;
    }
    return store_settle(&j->cells, es_bricks_spacing(j->seen), err);
}

/* What one changed brick can reach, and what those bricks look at. */
static bool touch_changed(job *j, const int32_t at[3], es_error *err) {
    const int far = 2 * j->ring;
    bool ok = true;
    for (int z = -far; ok && z <= far; z++)
        for (int y = -far; ok && y <= far; y++)
            for (int x = -far; ok && x <= far; x++) {
                int step[3] = {x, y, z};
                bool target = abs(x) <= j->ring && abs(y) <= j->ring && abs(z) <= j->ring;
                ok = touch(j, at, step, target ? TARGET : SEEN, err);
            }
    return ok;
}

static bool plan_changed(job *j, es_brick_places changed, es_error *err) {
    for (size_t i = 0; i < changed.count; i++)
        if (!touch_changed(j, changed.at[i], err)) return false;
    return make_all_bits(j, err);
}

static bool list_targets(job *j, es_error *err) {
    j->targets = es_alloc(j->cells.count, sizeof *j->targets, err);
    if (!j->targets) return false;
    for (size_t i = 0; i < j->cells.count; i++)
        if (j->cells.cells[i].frames >> TARGET & 1) j->targets[j->target_count++] = i;
    return true;
}

/* ---- filling ------------------------------------------------------------------------ */

static void fill_target(void *context, size_t index, int worker) {
    job *j = context;
    const cell *c = &j->cells.cells[j->targets[j->first + index]];
    j->kernels->fill(j->methods, j->count, &j->cells, c->at, &j->rooms[worker], &j->results[index]);
}

static void write_target(void *context, size_t index, int worker) {
    (void)worker;
    const job *j = context;
    if (j->out[index]) j->kernels->write(&j->results[index], j->out[index]);
}

/* Finds or adds the bricks that the batch writes. */
static bool place_results(job *j, size_t count, es_bricks *filled, es_error *err) {
    for (size_t i = 0; i < count; i++) {
        const int32_t *at = j->cells.cells[j->targets[j->first + i]].at;
        uint64_t sum = 0;
        for (int s = 0; s < j->count; s++) {
            sum += j->results[i].filled[s];
            j->stats.filled[s] += j->results[i].filled[s];
        }
        j->stats.holes += j->results[i].hole_count;
        j->out[i] = sum > 0 ? es_bricks_add(filled, at[0], at[1], at[2], err)
                            : es_bricks_find(filled, at[0], at[1], at[2]);
        if (sum > 0 && !j->out[i]) return false;
    }
    return true;
}

static bool make_room(job *j, size_t batch, es_error *err) {
    const size_t threads = (size_t)es_pool_threads(j->pool);
    j->rooms = es_alloc(threads, sizeof *j->rooms, err);
    j->results = es_alloc(batch, sizeof *j->results, err);
    j->out = es_alloc(batch, sizeof(es_brick *), err);
    if (!j->rooms || !j->results || !j->out) return false;
    for (size_t i = 0; i < threads; i++) j->rooms[i].window.ring = j->ring;
    return true;
}

static bool fill_targets(job *j, es_bricks *filled, es_error *err) {
    const size_t batch = TASKS * (size_t)es_pool_threads(j->pool);
    if (!list_targets(j, err) || !make_room(j, batch, err)) return false;
    j->stats.bricks = j->target_count;
    for (; j->first < j->target_count; j->first += batch) {
        size_t left = j->target_count - j->first, count = left < batch ? left : batch;
        if (es_cancelled(err)) return false;
        es_pool_run(j->pool, count, fill_target, j);
        if (!place_results(j, count, filled, err)) return false;
        es_pool_run(j->pool, count, write_target, j);
    }
    es_bricks_sort(filled);
    return true;
}

/* ---- the two ways in ------------------------------------------------------------------ */

/* A stick needs a seen voxel at both ends. */
static bool check_volume(const job *j, es_error *err) {
    int64_t low[3] = {INT64_MAX, INT64_MAX, INT64_MAX}, high[3] = {INT64_MIN, INT64_MIN, INT64_MIN};
    int64_t longest = 0, stick = 0;
    for (size_t i = 0; i < j->cells.count; i++) {
        const fill_bits *bits = j->cells.cells[i].state;
        for (int a = 0; a < 3 && bits->any; a++) {
            int64_t first = (int64_t)ES_BRICK * j->cells.cells[i].at[a];
            if (first + bits->low[a] < low[a]) low[a] = first + bits->low[a];
            if (first + bits->high[a] > high[a]) high[a] = first + bits->high[a];
        }
    }
    if (low[0] > high[0]) return true; /* nothing seen, nothing to fill */
    for (int a = 0; a < 3; a++)
        if (high[a] - low[a] + 1 > longest) longest = high[a] - low[a] + 1;
    for (int i = 0; i < j->count; i++)
        if (j->methods[i].step.stick_length_limit > stick && j->methods[i].sticks)
            stick = j->methods[i].step.stick_length_limit;
    return stick <= longest ||
           es_fail(err, ES_USAGE,
                   "hole filling: StickLengthLimit is %d voxels, but the seen volume is only %d "
                   "voxels long on its longest side; give a shorter stick or a finer spacing",
                   (int)stick, (int)longest);
}

static void report(job *j, double start_s, es_fill_stats *stats) {
    j->stats.seconds = es_clock_s() - start_s;
    if (stats) *stats = j->stats;
}

es_bricks *es_fill(const es_bricks *seen, const es_fill_options *options, es_fill_stats *stats,
                   es_error *err) {
    const double start_s = es_clock_s();
    if (!fill_check(options, err)) return NULL;
    job j;
    es_bricks *filled = NULL;
    bool ok = job_init(&j, seen, options, err) && plan_all(&j, err) && check_volume(&j, err) &&
              (filled = es_bricks_new(es_bricks_origin(seen), es_bricks_spacing(seen), err)) &&
              fill_targets(&j, filled, err);
    if (ok) {
        report(&j, start_s, stats);
    } else {
        es_bricks_free(filled);
        filled = NULL;
    }
    job_clear(&j);
    return filled;
}

bool es_fill_update(const es_bricks *seen, es_brick_places changed, const es_fill_options *options,
                    es_bricks *filled, es_fill_stats *stats, es_error *err) {
    const double start_s = es_clock_s();
    if (!fill_check(options, err)) return false;
    if (memcmp(es_bricks_origin(seen), es_bricks_origin(filled), 3 * sizeof(double)) != 0 ||
        memcmp(es_bricks_spacing(seen), es_bricks_spacing(filled), 3 * sizeof(double)) != 0)
        return es_fail(err, ES_USAGE,
                       "hole filling: the seen and the filled bricks lie on "
                       "different lattices; start again with es_fill");
    job j;
    bool ok = job_init(&j, seen, options, err) && plan_changed(&j, changed, err) &&
              fill_targets(&j, filled, err);
    if (ok) report(&j, start_s, stats);
    job_clear(&j);
    return ok;
}
