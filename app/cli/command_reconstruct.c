/* echosolid reconstruct: tracked frames to a volume of grey or bone. */
#include <math.h>
#include <string.h>

#include "detector.h"
#include "echosolid/bone_flow.h"
#include "grey.h"
#include "setup_options.h"

typedef struct reconstruct_options {
    common_options common;
    setup_options setup;
    const char *output, *hits, *spread, *filled;
    int compat, channel;
    detector_options detector;
    bool dry_run, raw;
} reconstruct_options;

static const char *const compat_words[] = {"igsio", NULL};
enum { CHANNEL_GREY, CHANNEL_BONE };
static const char *const channel_words[] = {"grey", "bone", NULL};

static const opt table[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .offset = offsetof(reconstruct_options, output),
     .help = "the volume: .mha, .mhd, .nrrd, .nhdr, .nii or .nii.gz"},
    {.name = "hits",
     .type = OPT_TEXT,
     .offset = offsetof(reconstruct_options, hits),
     .help = "also write how often each voxel was seen (0: never)"},
    {.name = "spread",
     .type = OPT_TEXT,
     .offset = offsetof(reconstruct_options, spread),
     .help = "also write the standard deviation of each voxel's hits (mean compounding)"},
    {.name = "fill",
     .type = OPT_TEXT,
     .value = "STEPS",
     .offset = offsetof(reconstruct_options, setup.fill),
     .help = "fill holes between seen voxels: none, or stick:9:1, gaussian:5:0.667:0.5, "
             "inverse:5:0.5, nearest:5:0.5, several joined by + (default: the configuration's, "
             "else none)"},
    {.name = "filled",
     .type = OPT_TEXT,
     .offset = offsetof(reconstruct_options, filled),
     .help = "also write a mask of the voxels that were filled, not seen"},
    {.name = "channel",
     .type = OPT_WORD,
     .words = channel_words,
     .fallback = "grey",
     .offset = offsetof(reconstruct_options, channel),
     .help = "what is compounded: the pictures, or the probability of bone in them, 255 for "
             "certain (as echosolid bone gives it)"},
    DETECTOR_OPTIONS(reconstruct_options, ", with --channel bone"),
    {.name = "compat",
     .type = OPT_WORD,
     .words = compat_words,
     .offset = offsetof(reconstruct_options, compat),
     .help = "the arithmetic of another program, to compare with its results"},
    {.name = "dry-run",
     .letter = 'n',
     .type = OPT_FLAG,
     .offset = offsetof(reconstruct_options, dry_run),
     .help = "only say what would be done: region, memory, time"},
    {.name = "raw",
     .type = OPT_FLAG,
     .offset = offsetof(reconstruct_options, raw),
     .help = "do not compress the volume"},
    SETUP_OPTIONS(reconstruct_options),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid reconstruct scan.igs.mha --config scan.xml -o volume.mha",
    "echosolid reconstruct scan.igs.mha --config scan.xml --dry-run",
    "echosolid reconstruct scan.igs.mha --config scan.xml --spacing 1mm --interpolation linear "
    "-o coarse.nrrd --hits hits.nrrd --json",
    "echosolid reconstruct scan.igs.mha --config scan.xml --channel bone -o bone.mha", NULL};

/* A frame's insertion takes about this long on a plain core; only for the
 * estimate of --dry-run, which says so. */
static double guess_seconds(const session *s) {
    const es_stream_info *info = es_source_info(s->source);
    double pixels = (double)info->width * info->height * info->channels;
    double ns = s->setup.recon.interpolation == ES_LINEAR ? 30 : 4;
    return (double)s->setup.survey.used * pixels * (ns + 3) * 1e-9;
}

static int print_dry_run(const reconstruct_options *o, const session *s) {
    uint64_t dense, bricks, size[3];
    es_setup_memory(&s->setup, &dense, &bricks, size);
    double seconds = guess_seconds(s);
    if (o->common.json) {
        json_t *root = session_json(s);
        json_object_set_new(
            root, "size",
            json_pack("[I,I,I]", (json_int_t)size[0], (json_int_t)size[1], (json_int_t)size[2]));
        json_object_set_new(root, "dense_bytes", json_integer((json_int_t)dense));
        json_object_set_new(root, "bricks_bytes_at_most", json_integer((json_int_t)bricks));
        json_object_set_new(root, "seconds_estimated", json_real(seconds));
        return app_print_json(root);
    }
    char a[32], b[32];
    printf("frames        %lld, %lld with a valid position, %lld to insert\n",
           (long long)s->setup.survey.frames, (long long)s->setup.survey.placed,
           (long long)s->setup.survey.used);
    for (size_t i = 0; i < s->setup.decisions.count; i++) {
        const es_decision *d = &s->setup.decisions.items[i];
        printf("%-13s %s (%s)\n", d->what, d->value, d->why);
    }
    printf("memory        at most %s of bricks; the file is %s before compression\n",
           app_bytes(bricks, a), app_bytes(dense, b));
    printf("time          about %.1f s on one core (an estimate from the pixel count)\n", seconds);
    return 0;
}

/* ---- the run ------------------------------------------------------------------ */

typedef struct reconstruct_run {
    const reconstruct_options *o;
    session s;
    app_origin origin;
    es_volume *volume;        /* or */
    es_compat_volume *compat; /* with --compat */
    es_bone_method method;
    es_network *network;   /* of --network */
    es_bone_channel *bone; /* with --channel bone: what fills the volume */
    es_flow_stats flow;
    es_fill_stats fill;
    double write_s;
} reconstruct_run;

static void run_free(reconstruct_run *r) {
    app_origin_clear(&r->origin);
    es_volume_free(r->volume);
    es_compat_free(r->compat);
    es_bone_channel_free(r->bone);
    es_network_free(r->network);
    session_close(&r->s);
}

/* Hits and spread beside the volume. */
static bool write_beside(const reconstruct_run *r, const char *path, es_slab_fn *slab, es_type type,
                         es_error *err) {
    if (!path) return true;
    es_grid_info info = {0};
    es_grid_options options = {.compress = !r->o->raw, .level = 1};
    bool ok = es_volume_grid_info(r->volume, &info, err);
    info.type = type;
    info.channels = 1;
    ok = ok && app_origin_fields(&r->origin, &info.fields, err) &&
         es_grid_write(path, &info, slab, r->volume, &options, err);
    es_grid_info_clear(&info);
    return ok;
}

static bool write_all(reconstruct_run *r, es_error *err) {
    const reconstruct_options *o = r->o;
    grey_output out = {.path = o->output,
                       .filled = o->filled,
                       .holes = &r->s.setup.holes,
                       .pool = r->s.pool,
                       .origin = &r->origin,
                       .raw = o->raw};
    return grey_write(&out, r->volume, &r->fill, err) &&
           write_beside(r, o->hits, es_volume_hits_slab, ES_U16, err) &&
           write_beside(r, o->spread, es_volume_spread_slab, ES_F32, err);
}

static bool write_compat(reconstruct_run *r, es_error *err) {
    es_compat_fill_step steps[ES_PLUS_HOLE_MAX];
    size_t count = es_holes_compat_steps(&r->s.setup.holes, steps);
    es_grid_info info = {0};
    es_grid_options options = {.compress = !r->o->raw, .level = 1};
    bool ok = (count == 0 || es_compat_fill(r->compat, steps, count, err)) &&
              es_compat_grid_info(r->compat, &info, err) &&
              app_origin_fields(&r->origin, &info.fields, err) &&
              es_grid_write(r->o->output, &info, es_compat_slab, r->compat, &options, err);
    es_grid_info_clear(&info);
    return ok;
}

/* The stage that takes the frames, and its context. */
static bool open_stage(reconstruct_run *r, es_stage_fn **stage, void **context, es_error *err) {
    es_setup *setup = &r->s.setup;
    es_bone_options bone = es_setup_bone_options(setup);
    if (r->o->compat >= 0) {
        *stage = es_stage_compat;
        *context = r->compat =
            es_compat_new(&setup->recon, setup->optimization, setup->recon.mask, err);
        return *context != NULL;
    }
    bool wants_bone = r->o->channel == CHANNEL_BONE;
    if (wants_bone) es_setup_for_bone(setup);
    *stage = wants_bone ? es_stage_bone : es_stage_volume;
    *context = r->volume = es_volume_new(&setup->recon, r->s.pool, err);
    if (!r->volume || !wants_bone) return r->volume != NULL;
    bone.method = r->method;
    bone.network = r->network;
    *context = r->bone = es_bone_channel_new(&bone, r->s.pool, r->volume, err);
    return r->bone != NULL;
}

static bool work(reconstruct_run *r, const char *file, es_error *err) {
    const reconstruct_options *o = r->o;
    es_setup *setup = &r->s.setup;
    const char *inputs[] = {file, o->setup.config, o->setup.recording.poses, o->detector.network};
    es_flow flow = {.source = r->s.source,
                    .placement = r->s.placement,
                    .skip = setup->skip,
                    .all = o->setup.all,
                    .total = setup->survey.frames,
                    .progress = app_progress(&o->common),
                    .what = "reconstructing"};
    setup->recon.spread = o->spread != NULL;
    es_stage_fn *stage = NULL;
    void *context = NULL;
    bool ok = open_stage(r, &stage, &context, err) &&
              es_flow_run(&flow, stage, context, &r->flow, err) &&
              app_origin_make(&r->origin, &command_reconstruct, o, inputs, 3, err);
    double start = es_clock_s();
    ok = ok && (r->compat ? write_compat(r, err) : write_all(r, err));
    r->write_s = es_clock_s() - start;
    return ok;
}

/* ---- what is printed ------------------------------------------------------------- */

static double ms_each(double seconds, int64_t count) {
    return count ? 1e3 * seconds / (double)count : 0;
}

static uint64_t filled_voxels(const reconstruct_run *r) {
    uint64_t sum = 0;
    for (int i = 0; i < ES_FILL_STEPS; i++) sum += r->fill.filled[i];
    return sum;
}

static int print_json(const reconstruct_run *r) {
    const es_flow_stats *f = &r->flow;
    es_volume_stats v = {.insert_s = f->stage_s};
    if (r->volume) v = es_volume_statistics(r->volume);
    json_t *root = session_json(&r->s);
    json_object_set_new(root, "output", json_string(r->o->output));
    json_object_set_new(root, "frames_inserted", json_integer(f->inserted));
    json_object_set_new(root, "ms_per_frame_insert", json_real(ms_each(v.insert_s, f->inserted)));
    json_object_set_new(root, "ms_per_frame_read", json_real(ms_each(f->read_s, f->read)));
    json_object_set_new(root, "read_s", json_real(f->read_s));
    json_object_set_new(root, "insert_s", json_real(f->stage_s));
    json_object_set_new(root, "wall_s", json_real(f->wall_s));
    json_object_set_new(root, "write_s", json_real(r->write_s));
    json_object_set_new(root, "bricks", json_integer((json_int_t)v.bricks));
    json_object_set_new(root, "bytes", json_integer((json_int_t)v.bytes));
    json_object_set_new(root, "pixels_inserted", json_integer((json_int_t)v.pixels_inserted));
    json_object_set_new(root, "pixels_outside", json_integer((json_int_t)v.pixels_outside));
    json_object_set_new(root, "holes", json_integer((json_int_t)r->fill.holes));
    json_object_set_new(root, "holes_filled", json_integer((json_int_t)filled_voxels(r)));
    json_object_set_new(root, "fill_s", json_real(r->fill.seconds));
    json_object_set_new(root, "peak_memory_bytes", json_integer((json_int_t)es_memory_peak()));
    return app_print_json(root);
}

static int print_result(const reconstruct_run *r) {
    const es_flow_stats *f = &r->flow;
    char a[32], b[32];
    if (r->o->common.json) return print_json(r);
    printf("%s: %lld of %lld frames, %.2f ms a frame inserted, %.2f ms read\n", r->o->output,
           (long long)f->inserted, (long long)f->read, ms_each(f->stage_s, f->inserted),
           ms_each(f->read_s, f->read));
    printf("reading %.2f s and inserting %.2f s took %.2f s together, writing %.2f s\n", f->read_s,
           f->stage_s, f->wall_s, r->write_s);
    if (r->fill.holes)
        printf("%llu of %llu holes near data were filled in %.2f s; --filled marks them\n",
               (unsigned long long)filled_voxels(r), (unsigned long long)r->fill.holes,
               r->fill.seconds);
    if (r->compat) {
        printf("arithmetic of IGSIO, with its known defects: for comparing only\n");
        return 0;
    }
    es_volume_stats v = es_volume_statistics(r->volume);
    printf("%llu bricks, %s; peak memory of the program %s\n", (unsigned long long)v.bricks,
           app_bytes(v.bytes, a), app_bytes(es_memory_peak(), b));
    return 0;
}

/* Outputs are checked before the work. */
static bool check_outputs(const reconstruct_options *o, es_error *err) {
    if (!o->output && !o->dry_run)
        return es_fail(err, ES_USAGE, "reconstruct: name the volume with -o, or use --dry-run");
    if (o->compat >= 0 && (o->hits || o->spread || o->filled))
        return es_fail(err, ES_USAGE,
                       "--hits, --spread and --filled are not there with --compat: its volumes do "
                       "not know them");
    if (o->compat >= 0 && o->channel == CHANNEL_BONE)
        return es_fail(err, ES_USAGE,
                       "--channel bone and --compat exclude one another: the other program knows "
                       "no bone");
    if ((o->detector.method >= 0 || o->detector.network) && o->channel != CHANNEL_BONE)
        return es_fail(err, ES_USAGE, "--%s is for --channel bone",
                       o->detector.network ? "network" : "detector");
    const char *paths[] = {o->output, o->hits, o->spread, o->filled};
    for (int i = 0; i < 4; i++)
        if (paths[i] && !es_grid_can_write(paths[i], err)) return false;
    return true;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    es_error err = {0};
    reconstruct_run r = {.o = options};
    setup_options setup = r.o->setup;
    setup.peer_defaults = r.o->compat >= 0;
    if (!check_outputs(r.o, &err) || !detector_open(&r.o->detector, &r.method, &r.network, &err) ||
        !session_open(&r.s, files[0], &setup, &err)) {
        run_free(&r);
        return app_fail(&err);
    }
    const es_survey *v = &r.s.setup.survey;
    int status = 1;
    if (r.o->dry_run) {
        status = print_dry_run(r.o, &r.s);
    } else {
        app_decisions(&r.o->common, &r.s.setup.decisions);
        if (v->placed < v->frames)
            app_note(&r.o->common,
                     "%lld of %lld frames have no valid position and are left out: %s",
                     (long long)(v->frames - v->placed), (long long)v->frames, v->reason);
        bool ok = work(&r, files[0], &err);
        app_progress_end();
        status = ok ? print_result(&r) : app_fail(&err);
    }
    run_free(&r);
    return status;
}

const command command_reconstruct = {
    .name = "reconstruct",
    .summary = "tracked frames to a volume of grey or bone",
    .usage = "FILE -o VOLUME [options]",
    .description =
        "Places each frame by the transforms of the recording and of --config, and compounds the "
        "pixels into a sparse volume that grows where frames fall. Options come from the command "
        "line, else from the PLUS configuration (VolumeReconstruction), else they are chosen from "
        "pixel size and frame distance; what was chosen, and why, is printed. Frames without a "
        "valid position are left out and counted. Voxels that no frame saw are 0 in the volume; "
        "--hits tells them from voxels that were seen black. Holes between seen voxels are filled "
        "only "
        "when --fill or the configuration asks for it, and --filled marks them.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(reconstruct_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
