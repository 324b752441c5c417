/* echosolid plan: how many images a region takes, and what a recording left
 * out. */
#include "echosolid/plan.h"

#include <math.h>
#include <string.h>

#include "echosolid/spacing.h"
#include "setup_options.h"

typedef struct plan_options {
    common_options common;
    setup_options setup; /* of which only some are options here */
    double length, across, depth, width, rate, voxel, overlap, arc;
    const char *probe, *probes;
} plan_options;

static const opt table[] = {
    {.name = "length",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 1,
     .high = 1e4,
     .offset = offsetof(plan_options, length),
     .help = "of the region along the sweep"},
    {.name = "across",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0,
     .high = 1e4,
     .fallback = "0",
     .offset = offsetof(plan_options, across),
     .help = "width of the region across the sweep; 0: one sweep is wide enough"},
    {.name = "arc",
     .type = OPT_NUMBER,
     .unit = UNIT_DEG,
     .low = 0,
     .high = 360,
     .fallback = "0",
     .offset = offsetof(plan_options, arc),
     .help = "how far round the bone, e.g. 180 for front and both sides"},
    {.name = "probe",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(plan_options, probe),
     .help = "the name on the probe, e.g. L14-5/38: gives the picture's width"},
    {.name = "probes",
     .type = OPT_TEXT,
     .value = "JSON",
     .offset = offsetof(plan_options, probes),
     .help = "your own probes, asked before the built-in table (docs/spacing.md)"},
    {.name = "width",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 1,
     .high = 1000,
     .offset = offsetof(plan_options, width),
     .help = "of the picture at the depth of the bone, instead of --probe"},
    {.name = "depth",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 1,
     .high = 500,
     .fallback = "40",
     .offset = offsetof(plan_options, depth),
     .help = "of the bone below the skin"},
    {.name = "rate",
     .type = OPT_NUMBER,
     .unit = UNIT_HZ,
     .low = 0.1,
     .high = 1e4,
     .fallback = "30",
     .offset = offsetof(plan_options, rate),
     .help = "frames a second that reach the recording with a pose"},
    {.name = "voxel",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.01,
     .high = 50,
     .fallback = "0.5",
     .offset = offsetof(plan_options, voxel),
     .help = "what the volume shall resolve"},
    {.name = "overlap",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 0.9,
     .fallback = "0.2",
     .value = "SHARE",
     .offset = offsetof(plan_options, overlap),
     .help = "of neighbouring sweeps"},
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(plan_options, setup.config),
     .help = "PLUS device-set file with the ImageToProbe of the recording"},
    {.name = "image-to-reference",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(plan_options, setup.transform),
     .help = "the transform that places a picture (see reconstruct)"},
    RECORDING_OPTIONS(plan_options, setup.recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid plan --length 120mm --across 90mm --arc 180deg --probe L14-5/38 --depth 30mm",
    "echosolid plan knee.igs.mha --config knee.xml --voxel 0.5mm", NULL};

/* ---- before the scan ------------------------------------------------------------------ */

/* The picture's width at the bone: of a linear array that of the array, of a
 * curved one the arc's chord at that depth. */
static bool find_width(const plan_options *o, double *width, char *why, size_t size,
                       es_error *err) {
    es_probe_entry probe;
    bool known = false;
    *width = o->width;
    snprintf(why, size, "given");
    if (!isnan(o->width)) return true;
    if (!o->probe)
        return es_fail(err, ES_USAGE,
                       "how wide is the picture at the bone? Give --probe NAME or --width MM");
    if (!es_probe_find(o->probe, o->probes, &probe, &known, err)) return false;
    if (known && probe.curved)
        *width = 2 * (probe.radius_mm + o->depth) * sin(probe.field_deg / 2 * 0.017453292519943295);
    else if (known)
        *width = probe.aperture_mm;
    snprintf(why, size, "%s, %s", known ? probe.name : "",
             probe.curved ? "at the bone's depth" : "its array");
    if (known && isfinite(*width)) return true;
    return es_fail(err, ES_USAGE, "%s: %s; give --width, the picture's width at the bone", o->probe,
                   known ? "its width is not in the table" : "not in the table of probes");
}

static int print_plan(const plan_options *o, const es_plan_request *r, const es_plan *p,
                      const char *why) {
    if (o->common.json)
        return app_print_json(json_pack(
            "{s:f, s:f, s:f, s:f, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "voxel_mm", r->voxel_mm,
            "frame_distance_mm", p->frame_distance_mm, "speed_mm_s", p->speed_mm_s, "width_mm",
            r->width_mm, "width_why", why, "sweeps_across", (json_int_t)p->sweeps_across,
            "directions", (json_int_t)p->directions, "sweeps", (json_int_t)p->sweeps,
            "frames_per_sweep", (json_int_t)p->frames_per_sweep, "frames", (json_int_t)p->frames,
            "seconds", p->seconds, "turn_deg_s", p->turn_deg_s));
    printf("frames        %lld: %lld sweep%s of %lld, %.0f s of scanning at %g frames a second\n",
           (long long)p->frames, (long long)p->sweeps, p->sweeps == 1 ? "" : "s",
           (long long)p->frames_per_sweep, p->seconds, r->rate_hz);
    printf("apart         at most %.2f mm (1.5 voxels of %g mm: further apart, voxels between "
           "frames stay empty)\n",
           p->frame_distance_mm, r->voxel_mm);
    printf("speed         at most %.0f mm/s, and turning in place %.0f degrees a second\n",
           p->speed_mm_s, p->turn_deg_s);
    printf("sweeps        %lld side by side (picture %.0f mm wide: %s; %.0f %% overlap) from %lld "
           "direction%s\n",
           (long long)p->sweeps_across, r->width_mm, why, 100 * r->overlap,
           (long long)p->directions, p->directions == 1 ? "" : "s, 45 degrees apart");
    printf("across        frames are sharp in their plane only: between them detail is as coarse "
           "as the slice is thick,\n              2 to 4 mm with most probes, however many frames "
           "there are; sweeps that cross help\n");
    return 0;
}

static int plan_scan(const plan_options *o) {
    es_error err = {0};
    char why[128];
    es_plan plan;
    es_plan_request request = {.length_mm = o->length,
                               .across_mm = o->across,
                               .depth_mm = o->depth,
                               .rate_hz = o->rate,
                               .voxel_mm = o->voxel,
                               .overlap = o->overlap,
                               .arc_deg = o->arc};
    if (isnan(o->length)) {
        es_fail(&err, ES_USAGE, "plan: how long is the region? Give --length MM, or a recording");
        return app_fail(&err);
    }
    if (!find_width(o, &request.width_mm, why, sizeof why, &err) ||
        !es_plan_make(&request, &plan, &err))
        return app_fail(&err);
    return print_plan(o, &request, &plan, why);
}

/* ---- after the scan --------------------------------------------------------------------- */

static json_t *gap_json(const es_gap *g) {
    return json_pack("{s:[f,f,f], s:[f,f,f], s:f, s:f, s:f, s:I, s:o, s:I}", "centre_mm",
                     g->centre.x, g->centre.y, g->centre.z, "direction", g->direction.x,
                     g->direction.y, g->direction.z, "length_mm", g->length_mm, "width_mm",
                     g->width_mm, "volume_mm3", g->volume_mm3, "near_frame",
                     (json_int_t)g->near_frame, "near_s", app_json_number(g->near_s),
                     "frames_needed", (json_int_t)g->frames);
}

static json_t *coverage_json(const es_coverage *c) {
    json_t *gaps = json_array(), *far = json_array();
    for (int i = 0; i < c->gap_count; i++) json_array_append_new(gaps, gap_json(&c->gaps[i]));
    for (int i = 0; i < c->far_count; i++)
        json_array_append_new(far,
                              json_pack("{s:I, s:o, s:f}", "frame", (json_int_t)c->far[i].frame,
                                        "time_s", app_json_number(c->far[i].time_s), "distance_mm",
                                        c->far[i].distance_mm));
    return json_pack(
        "{s:I, s:I, s:f, s:f, s:b, s:f, s:f, s:f, s:o, s:o, s:I, s:I, s:o, s:I, s:o, s:o}",
        "frames", (json_int_t)c->frames, "sweeps", (json_int_t)c->sweeps, "frame_distance_mm",
        c->limit_mm, "cell_mm", c->cell_mm, "coarsened", c->coarsened, "seen_mm3", c->seen_mm3,
        "gaps_mm3", c->gaps_mm3, "share", c->share, "step_p50_mm", app_json_number(c->step_p50_mm),
        "step_p95_mm", app_json_number(c->step_p95_mm), "steps", (json_int_t)c->steps, "too_far",
        (json_int_t)c->too_far, "too_far_at", far, "gap_count", (json_int_t)c->gaps_in_all, "gaps",
        gaps, "rate_hz", app_json_number(c->rate_hz));
}

static void print_steps(const es_coverage *c) {
    printf("frames        %lld in %lld sweep%s\n", (long long)c->frames, (long long)c->sweeps,
           c->sweeps == 1 ? "" : "s");
    if (c->steps == 0) return;
    printf("apart         median %.2f mm, 95 %% under %.2f mm; wanted at most %.2f mm\n",
           c->step_p50_mm, c->step_p95_mm, c->limit_mm);
    if (c->too_far == 0) {
        printf("speed         slow enough everywhere\n");
        return;
    }
    printf("speed         %lld of %lld steps are too long", (long long)c->too_far,
           (long long)c->steps);
    if (c->rate_hz > 0)
        printf("; at %.1f frames a second move at most %.0f mm/s", c->rate_hz,
               c->limit_mm * c->rate_hz);
    printf("\n");
    for (int i = 0; i < c->far_count && i < 5; i++) {
        printf("              %.2f mm before frame %lld", c->far[i].distance_mm,
               (long long)c->far[i].frame);
        if (isfinite(c->far[i].time_s)) printf(" (at %.2f s)", c->far[i].time_s);
        printf("\n");
    }
}

static void print_gaps(const es_coverage *c) {
    printf("covered       %.1f %% of what the frames enclose, in cells of %.2f mm%s\n",
           100 * c->share, c->cell_mm, c->coarsened ? " (coarser than wanted: memory)" : "");
    if (c->gaps_in_all == 0) {
        printf("gaps          none\n");
        return;
    }
    printf("gaps          %zu; the largest, each with the sweep that would close it:\n",
           c->gaps_in_all);
    for (int i = 0; i < c->gap_count && i < 5; i++) {
        const es_gap *g = &c->gaps[i];
        printf("              %.1f cm3 about (%.1f, %.1f, %.1f) mm, %.0f x %.0f mm, near frame "
               "%lld: %lld frames along (%.2f, %.2f, %.2f)\n",
               g->volume_mm3 / 1000, g->centre.x, g->centre.y, g->centre.z, g->length_mm,
               g->width_mm, (long long)g->near_frame, (long long)g->frames, g->direction.x,
               g->direction.y, g->direction.z);
    }
}

static int judge_recording(const plan_options *o, const char *file) {
    es_error err = {0};
    es_coverage coverage;
    session s;
    if (!session_open(&s, file, &o->setup, &err)) return app_fail(&err);
    bool ok = es_coverage_find(s.source, &s.setup, s.placement, o->voxel, &coverage, &err);
    session_close(&s);
    if (!ok) return app_fail(&err);
    if (o->common.json) return app_print_json(coverage_json(&coverage));
    print_steps(&coverage);
    print_gaps(&coverage);
    return 0;
}

/* What the setup has and this command has no option for: not said. */
static void not_said(setup_options *s) {
    double *const numbers[] = {s->spacing, s->origin, s->size};
    for (int i = 0; i < 9; i++) numbers[i / 3][i % 3] = NAN;
    for (int i = 0; i < 4; i++) s->clip[i] = NAN;
    for (int i = 0; i < 2; i++) s->fan_angles[i] = s->fan_origin[i] = s->fan_radii[i] = NAN;
    s->threshold = s->memory = NAN;
    s->interpolation = s->compounding = -1;
    s->threads = 1;
}

static int run(const void *options, const char *const *files, int count) {
    plan_options o = *(const plan_options *)options;
    not_said(&o.setup);
    return count ? judge_recording(&o, files[0]) : plan_scan(&o);
}

const command command_plan = {
    .name = "plan",
    .summary = "how many images do I need? what did a recording leave out?",
    .usage = "[FILE] [options]",
    .description =
        "Without a FILE: from the region's size, the probe and the wanted voxel, how far apart "
        "frames may lie, how fast the probe may move, how many sweeps and frames that makes. With "
        "a recording: where its frames lie too far apart, what lies between them unseen, and which "
        "sweep would close each gap. docs/plan.md has the reasons.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(plan_options),
    .arguments_min = 0,
    .arguments_max = 1,
    .run = run};
