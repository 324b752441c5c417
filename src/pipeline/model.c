/* Frames to a bone: detect along the scan lines, fuse the signed distances,
 * mesh, clean, thicken.
 *
 * Detection runs one frame per task (bone_crew.c); insertion splits the
 * volume. Both depend on the frames alone, never on the threads. */
#include <math.h>
#include <string.h>

#include "echosolid/bone_flow.h"
#include "echosolid/bone_given.h"
#include "echosolid/keep.h"
#include "echosolid/picture.h"
#include "scatter.h"

enum { EXAMPLES = 6 };

/* Shorter edges are collapsed, in voxels. On a radius of 10 voxels that moves
 * the surface by 1e-4 of one. */
static const double SHORTEST_EDGE = 0.1;

typedef struct example {
    es_image picture;
    int64_t frame;
} example;

/* What a checkpoint keeps beside those of the volumes. */
typedef struct past {
    es_model_result counts;
    double depth_sum;
    int64_t depths;
    size_t example_count;
    scatter_mark scatter;
} past;

struct es_model {
    es_model_options options;
    es_pool *pool; /* borrowed */
    es_bone_crew *crew;
    es_volume *grey; /* NULL without */
    es_distance *distance;
    es_bricks *field, *seen; /* after finish, or given */
    es_trace traces[ES_BATCH];
    example examples[EXAMPLES];
    size_t example_count;
    int64_t expected; /* frames, to spread the examples */
    scatter_list *scatter;
    double truncation_mm, pixel_mm, depth_sum;
    int64_t depths;
    es_model_result counts;
    es_lines_writer *lines;               /* borrowed; NULL: not kept */
    const es_bone_given *given;           /* borrowed; NULL: detected */
    bool has_field, has_sheet, has_shape; /* given */
    es_mesh sheet;
    es_shape shape;
    past *pasts; /* the oldest first */
    size_t past_count, past_capacity;
};

/* Voxels no finer than the gaps between frames can fill (facts: voxel >=
 * frame distance / 1.5), nor than the echo is sharp. */
static double choose_spacing(const es_setup *setup) {
    double spacing = fmax(2 * setup->survey.pixel_mm[1], setup->survey.step_mm / 1.5);
    return fmin(fmax(ceil(spacing * 10) / 10, 0.3), 2);
}

static bool make_distance(es_model *m, const es_setup *setup, es_decisions *decisions,
                          es_error *err) {
    es_distance_options d = ES_DISTANCE_DEFAULTS;
    double spacing = m->options.bone_spacing_mm;
    const char *why = isnan(spacing) ? "chosen from pixel size and frame distance" : "given";
    if (isnan(spacing)) spacing = choose_spacing(setup);
    if (!isnan(m->options.truncation_mm)) d.truncation_mm = m->options.truncation_mm;
    d.truncation_mm = fmax(d.truncation_mm, 3 * spacing);
    d.slice_thickness_mm = fmin(fmax(setup->survey.step_mm, spacing), 3 * spacing);
    d.memory_limit = setup->recon.memory_limit;
    for (int a = 0; a < 3; a++) {
        d.spacing_mm[a] = spacing;
        d.origin_mm[a] = setup->recon.origin_mm[a];
    }
    m->truncation_mm = d.truncation_mm;
    m->distance = es_distance_new(&d, m->pool, err);
    return m->distance && es_decisions_add(decisions, err, "bone voxels", why, "%g mm", spacing) &&
           es_decisions_add(decisions, err, "distance band", "truncation of the signed distance",
                            "+-%g mm", d.truncation_mm) &&
           es_decisions_add(decisions, err, "slice thickness", "the distance between frames",
                            "%.2f mm", d.slice_thickness_mm);
}

static bool make_detectors(es_model *m, const es_setup *setup, es_decisions *decisions,
                           es_error *err) {
    es_bone_options b = es_setup_bone_options(setup);
    b.method = m->options.method;
    b.network = m->options.network;
    const es_network_info *own = b.network ? es_network_about(b.network) : NULL;
    if (!isnan(m->options.bone_threshold)) b.threshold = m->options.bone_threshold;
    m->crew = es_bone_crew_new(&b, m->pool, err);
    return m->crew &&
           es_decisions_add(decisions, err, "bone detector",
                            own ? "the option --network" : "the option --detector",
                            "%s%s%s, threshold %g", es_bone_method_names[b.method], own ? " " : "",
                            own ? own->name : "", es_bone_crew_threshold(m->crew));
}

es_model *es_model_new(const es_setup *setup, const es_model_options *options, es_pool *pool,
                       es_decisions *decisions, es_error *err) {
    es_model *m = es_alloc_zero(1, sizeof *m, err);
    if (!m) return NULL;
    m->options = *options;
    m->pool = pool;
    m->expected = setup->survey.used;
    m->pixel_mm = setup->survey.pixel_mm[1];
    m->scatter = scatter_new(m->expected, err);
    bool ok = m->scatter && make_distance(m, setup, decisions, err) &&
              make_detectors(m, setup, decisions, err);
    if (ok && options->with_grey) ok = (m->grey = es_volume_new(&setup->recon, pool, err)) != NULL;
    if (ok) return m;
    es_model_free(m);
    return NULL;
}

void es_model_free(es_model *m) {
    if (!m) return;
    es_bone_crew_free(m->crew);
    scatter_free(m->scatter);
    es_volume_free(m->grey);
    es_distance_free(m->distance);
    es_bricks_free(m->field);
    es_bricks_free(m->seen);
    es_mesh_clear(&m->sheet);
    es_shape_clear(&m->shape);
    for (int i = 0; i < ES_BATCH; i++) es_trace_clear(&m->traces[i]);
    for (int i = 0; i < EXAMPLES; i++) es_image_clear(&m->examples[i].picture);
    es_free(m->pasts);
    es_free(m);
}

static bool count_lines(es_model *m, const es_trace *trace) {
    int64_t found = 0;
    double u, v;
    for (size_t i = 0; i < trace->count; i++) {
        if (!trace->lines[i].found) continue;
        es_bone_point(&trace->lines[i], &u, &v);
        m->depth_sum += v * m->pixel_mm;
        found++;
    }
    m->depths += found;
    m->counts.lines += (int64_t)trace->count;
    m->counts.lines_found += found;
    m->counts.frames++;
    m->counts.frames_with_bone += found > 0;
    return found > 0;
}

/* Keeps a picture when the recording has passed the next of EXAMPLES marks;
 * the middle of each sixth. */
static bool keep_example(es_model *m, const es_frame *frame, const es_trace *trace, es_error *err) {
    if (m->example_count == EXAMPLES) return true;
    double mark = ((double)m->example_count + 0.5) / EXAMPLES * (double)m->expected;
    if ((double)m->counts.frames < mark) return true;
    example *e = &m->examples[m->example_count];
    if (!es_picture_trace(&frame->image, trace, &e->picture, err)) return false;
    e->frame = frame->index;
    m->example_count++;
    return true;
}

bool es_model_detect(es_model *m, const es_frame *const *frames, size_t count, es_error *err) {
    double start = es_clock_s();
    bool ok = m->given ? es_bone_crew_lines(m->crew, frames, count, m->traces, err)
                       : es_bone_crew_detect(m->crew, frames, count, m->traces, err);
    for (size_t i = 0; ok && m->given && i < count; i++)
        es_bone_given_put(m->given, frames[i]->index, &m->traces[i]);
    if (!ok) return false;
    m->counts.detect_s += es_clock_s() - start;
    for (size_t i = 0; i < count; i++) {
        count_lines(m, &m->traces[i]);
        if (!keep_example(m, frames[i], &m->traces[i], err)) return false;
    }
    return true;
}

/* The traces of a batch into the field, unless that is there. */
static bool insert(es_model *m, const es_mat4 *image_to_reference, size_t count, es_error *err) {
    const es_trace *traces[ES_BATCH];
    for (size_t i = 0; i < count; i++) {
        traces[i] = &m->traces[i];
        scatter_add(m->scatter, traces[i], image_to_reference[i]);
    }
    double start = es_clock_s();
    bool ok =
        m->has_field || es_distance_insert(m->distance, traces, image_to_reference, count, err);
    m->counts.insert_s += es_clock_s() - start;
    return ok;
}

bool es_model_stage_grey(void *model, const es_frame *const *frames,
                         const es_mat4 *image_to_reference, size_t count, es_error *err) {
    es_model *m = model;
    return !m->grey || es_stage_volume(m->grey, frames, image_to_reference, count, err);
}

bool es_model_insert(es_model *m, const es_frame *const *frames, const es_mat4 *image_to_reference,
                     size_t count, es_error *err) {
    for (size_t i = 0; m->lines && i < count; i++)
        if (!es_lines_put(m->lines, frames[i]->index, &image_to_reference[i], &m->traces[i], err))
            return false;
    return insert(m, image_to_reference, count, err) &&
           es_model_stage_grey(m, frames, image_to_reference, count, err);
}

bool es_model_stage(void *model, const es_frame *const *frames, const es_mat4 *image_to_reference,
                    size_t count, es_error *err) {
    return es_model_detect(model, frames, count, err) &&
           es_model_insert(model, frames, image_to_reference, count, err);
}

/* ---- taking frames back ---------------------------------------------------------- */

void es_model_checkpoint(es_model *m, const es_undo_limit *limit) {
    es_distance_checkpoint(m->distance, limit);
    if (m->grey) es_volume_checkpoint(m->grey, limit);
    if (m->past_count == m->past_capacity &&
        es_resize(&m->pasts, m->past_capacity + 16, sizeof *m->pasts, NULL))
        m->past_capacity += 16;
    size_t room = m->past_capacity < limit->checkpoints ? m->past_capacity : limit->checkpoints;
    if (room == 0) return;
    if (m->past_count >= room) {
        m->past_count = room - 1;
        memmove(m->pasts, m->pasts + 1, m->past_count * sizeof *m->pasts);
    }
    m->pasts[m->past_count++] = (past){.counts = m->counts,
                                       .depth_sum = m->depth_sum,
                                       .depths = m->depths,
                                       .example_count = m->example_count,
                                       .scatter = scatter_where(m->scatter)};
}

size_t es_model_checkpoints(const es_model *m) {
    size_t count = es_distance_checkpoints(m->distance);
    if (m->grey && es_volume_checkpoints(m->grey) < count) count = es_volume_checkpoints(m->grey);
    return m->past_count < count ? m->past_count : count;
}

bool es_model_undo(es_model *m, size_t steps) {
    if (steps > es_model_checkpoints(m)) return false;
    if (steps == 0) return true;
    es_distance_undo(m->distance, steps);
    if (m->grey) es_volume_undo(m->grey, steps);
    m->past_count -= steps;
    const past *p = &m->pasts[m->past_count];
    m->counts = p->counts;
    m->depth_sum = p->depth_sum;
    m->depths = p->depths;
    m->example_count = p->example_count;
    scatter_back(m->scatter, p->scatter);
    return true;
}

/* ---- what is there already -------------------------------------------------------- */

bool es_model_take_lines(es_model *m, es_lines_reader *lines, es_error *err) {
    es_mat4 matrices[ES_BATCH];
    int64_t index;
    for (bool end = false; !end;) {
        size_t count = 0;
        while (count < ES_BATCH) {
            if (!es_lines_next(lines, &index, &matrices[count], &m->traces[count], &end, err))
                return false;
            if (end) break;
            count_lines(m, &m->traces[count++]);
        }
        if (es_cancelled(err) || !insert(m, matrices, count, err)) return false;
    }
    return true;
}

void es_model_keep_lines(es_model *m, es_lines_writer *lines) { m->lines = lines; }
void es_model_use_given(es_model *m, const es_bone_given *given) { m->given = given; }

void es_model_give_field(es_model *m, es_bricks *field, es_bricks *seen,
                         es_volume_stats statistics) {
    es_bricks_free(m->field);
    es_bricks_free(m->seen);
    m->field = field;
    m->seen = seen;
    m->has_field = true;
    m->counts.distance = statistics;
}

void es_model_give_sheet(es_model *m, es_mesh *sheet, size_t kept, size_t dropped) {
    es_mesh_clear(&m->sheet);
    m->sheet = *sheet;
    *sheet = (es_mesh){0};
    m->has_sheet = true;
    m->counts.pieces_kept = kept;
    m->counts.pieces_dropped = dropped;
}

void es_model_give_shape(es_model *m, es_shape *shape) {
    es_shape_clear(&m->shape);
    m->shape = *shape;
    *shape = (es_shape){0};
    m->has_shape = true;
}

bool es_model_give_example(es_model *m, int64_t frame, const es_image *picture, es_error *err) {
    if (m->example_count == EXAMPLES) return true;
    example *e = &m->examples[m->example_count];
    if (!es_image_copy(picture, &e->picture, err)) return false;
    e->frame = frame;
    m->example_count++;
    return true;
}

es_volume *es_model_volume(const es_model *model) { return model->grey; }
const es_distance *es_model_distance(const es_model *model) { return model->distance; }

const es_trace *es_model_trace(const es_model *model, size_t i) { return &model->traces[i]; }

es_model *es_model_snapshot(const es_model *model, es_pool *pool, es_error *err) {
    es_model *m = es_alloc_zero(1, sizeof *m, err);
    if (!m) return NULL;
    m->options = model->options;
    m->pool = pool;
    m->truncation_mm = model->truncation_mm;
    m->pixel_mm = model->pixel_mm;
    m->depth_sum = model->depth_sum;
    m->depths = model->depths;
    m->counts = model->counts;
    m->counts.distance = es_distance_statistics(model->distance);
    m->scatter = scatter_copy(model->scatter, err);
    m->field = es_distance_bricks(model->distance, model->options.smooth_voxels, err);
    m->seen = m->field ? es_distance_seen(model->distance, err) : NULL;
    m->has_field = true;
    if (m->scatter && m->seen) return m;
    es_model_free(m);
    return NULL;
}

es_iso_options es_model_iso(const es_model *model) {
    es_iso_options iso = ES_ISO_DEFAULTS;
    iso.min_weight = (float)model->options.min_weight;
    iso.half_weight = 1; /* confidence 0.5 where one clear hit lies */
    return iso;
}

es_bricks *es_model_field(const es_model *model) { return model->field; }
es_bricks *es_model_seen(const es_model *model) { return model->seen; }
size_t es_model_example_count(const es_model *model) { return model->example_count; }

const es_image *es_model_example(const es_model *model, size_t index, int64_t *frame) {
    *frame = model->examples[index].frame;
    return &model->examples[index].picture;
}

/* Which of the steps left nothing. */
static bool refuse_empty(const es_model *m, const es_model_result *r, es_error *err) {
    long long bone = (long long)m->counts.frames_with_bone, all = (long long)m->counts.frames;
    if (r->pieces_dropped > 0)
        return es_fail(err, ES_GEOMETRY,
                       "no bone surface was found: %lld of %lld frames had an echo like bone, but "
                       "all %zu pieces are smaller than --min-area %g mm2; give less",
                       bone, all, r->pieces_dropped, m->options.min_area_mm2);
    if (bone > 0)
        return es_fail(err, ES_GEOMETRY,
                       "no bone surface was found: %lld of %lld frames had an echo like bone, but "
                       "they do not overlap enough to be one; try a larger --bone-spacing or a "
                       "smaller --min-weight",
                       bone, all);
    if (all == 0)
        return es_fail(err, ES_GEOMETRY,
                       "no bone surface was found: what was given crosses no surface where it is "
                       "known");
    return es_fail(err, ES_GEOMETRY,
                   "no bone surface was found: none of %lld frames had an echo like bone; try "
                   "--detector %s, a lower --bone-threshold, or look at the frames with "
                   "echosolid bone --picture",
                   all, es_bone_method_names[es_bone_second(m->options.method)]);
}

/* The extracted surface to a sheet: smoothed between two cleanings, the first
 * against slivers that would pull at their neighbours, the second against what
 * smoothing drew together. */
static bool refine_sheet(es_model *m, es_model_result *r, es_error *err) {
    const es_model_options *o = &m->options;
    const double *spacing = es_bricks_spacing(m->field);
    double shortest = SHORTEST_EDGE * fmin(fmin(spacing[0], spacing[1]), spacing[2]);
    return es_mesh_clean(&r->sheet, shortest, NULL, err) &&
           es_mesh_keep_components(&r->sheet, (size_t)o->components, o->min_area_mm2,
                                   &r->pieces_kept, &r->pieces_dropped, err) &&
           es_mesh_smooth(&r->sheet, (int)o->smooth_iterations, 0.5, -0.53, err) &&
           es_mesh_clean(&r->sheet, shortest, NULL, err);
}

static bool count_holes(es_model_result *r, es_error *err) {
    es_mesh_loops loops;
    if (!es_mesh_find_loops(&r->sheet, &loops, err)) return false;
    for (size_t i = 0; i < loops.count; i++) {
        if (loops.items[i].outer) continue;
        r->holes++;
        r->hole_mm2 += loops.items[i].area_mm2;
    }
    es_mesh_loops_clear(&loops);
    return true;
}

/* The field, unless it is given. */
static bool finish_field(es_model *m, es_model_result *r, es_error *err) {
    if (m->has_field) return true;
    double start = es_clock_s();
    r->distance = es_distance_statistics(m->distance);
    m->field = es_distance_bricks(m->distance, m->options.smooth_voxels, err);
    m->seen = m->field ? es_distance_seen(m->distance, err) : NULL;
    r->field_s = es_clock_s() - start;
    return m->seen != NULL;
}

static bool finish_sheet(es_model *m, es_model_result *r, es_error *err) {
    es_iso_options iso = es_model_iso(m);
    double start = es_clock_s();
    if (m->has_sheet) {
        r->sheet = m->sheet;
        m->sheet = (es_mesh){0};
    } else if (!es_surface_extract(m->field, &iso, m->pool, &r->sheet, err) ||
               !es_shape_check_size(&r->sheet, err) || !refine_sheet(m, r, err)) {
        return false;
    }
    if (r->sheet.triangle_count == 0) return refuse_empty(m, r, err);
    bool ok = es_mesh_inspect_welded(&r->sheet, &r->sheet_check, err) && count_holes(r, err) &&
              es_seen_find(m->seen, &r->sheet, &r->seen, err) &&
              scatter_judge(m->scatter, &r->sheet, m->truncation_mm, m->pool, &r->scatter, err);
    r->surface_s = es_clock_s() - start;
    return ok;
}

static bool finish_shape(es_model *m, es_model_result *r, es_error *err) {
    double start = es_clock_s();
    bool ok = true;
    if (m->has_shape) {
        r->shape = m->shape;
        m->shape = (es_shape){0};
    } else {
        ok = es_shape_make(&r->sheet, &m->options.shape, m->pool, &r->shape, err);
    }
    r->shape_s = es_clock_s() - start;
    return ok;
}

bool es_model_finish(es_model *m, es_model_result *result, es_error *err) {
    es_model_result r = m->counts;
    memset(result, 0, sizeof *result);
    r.depth_mm = m->depths ? m->depth_sum / (double)m->depths : NAN;
    bool ok = finish_field(m, &r, err) && finish_sheet(m, &r, err) && finish_shape(m, &r, err);
    if (ok)
        *result = r;
    else
        es_model_result_clear(&r);
    return ok;
}

void es_model_result_clear(es_model_result *result) {
    es_mesh_clear(&result->sheet);
    es_seen_clear(&result->seen);
    es_shape_clear(&result->shape);
    memset(result, 0, sizeof *result);
}
