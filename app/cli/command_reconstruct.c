/* echosolid reconstruct: tracked frames to a grey volume. */
#include <math.h>
#include <string.h>

#include "setup_options.h"

typedef struct reconstruct_options {
    common_options common;
    setup_options setup;
    const char *output, *hits, *spread;
    bool dry_run, raw;
} reconstruct_options;

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
    NULL};

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

/* ---- writing ---------------------------------------------------------------- */

static bool write_one(const char *path, const es_volume *volume, const app_origin *origin,
                      es_slab_fn *slab, int type, const reconstruct_options *o, es_error *err) {
    if (!path) return true;
    es_grid_info info = {0};
    es_grid_options options = {.compress = !o->raw, .level = 1};
    bool ok = es_volume_grid_info(volume, &info, err);
    if (ok && type >= 0) {
        info.type = (es_type)type;
        info.channels = 1;
    }
    ok = ok && app_origin_fields(origin, &info.fields, err) &&
         es_grid_write(path, &info, slab, (void *)volume, &options, err);
    es_grid_info_clear(&info);
    return ok;
}

static bool write_all(const reconstruct_options *o, const es_volume *volume,
                      const app_origin *origin, es_error *err) {
    return write_one(o->output, volume, origin, es_volume_slab, -1, o, err) &&
           write_one(o->hits, volume, origin, es_volume_hits_slab, ES_U16, o, err) &&
           write_one(o->spread, volume, origin, es_volume_spread_slab, ES_F32, o, err);
}

static int print_result(const reconstruct_options *o, const session *s, const es_flow_stats *flow,
                        const es_volume *volume, double write_s) {
    es_volume_stats v = es_volume_statistics(volume);
    double ms = flow->inserted ? 1e3 * v.insert_s / (double)flow->inserted : 0;
    double read_ms = flow->read ? 1e3 * flow->read_s / (double)flow->read : 0;
    if (o->common.json) {
        json_t *root = session_json(s);
        json_object_set_new(root, "output", json_string(o->output));
        json_object_set_new(root, "frames_inserted", json_integer(flow->inserted));
        json_object_set_new(root, "ms_per_frame_insert", json_real(ms));
        json_object_set_new(root, "ms_per_frame_read", json_real(read_ms));
        json_object_set_new(root, "read_s", json_real(flow->read_s));
        json_object_set_new(root, "insert_s", json_real(flow->stage_s));
        json_object_set_new(root, "wall_s", json_real(flow->wall_s));
        json_object_set_new(root, "write_s", json_real(write_s));
        json_object_set_new(root, "bricks", json_integer((json_int_t)v.bricks));
        json_object_set_new(root, "bytes", json_integer((json_int_t)v.bytes));
        json_object_set_new(root, "pixels_inserted", json_integer((json_int_t)v.pixels_inserted));
        json_object_set_new(root, "pixels_outside", json_integer((json_int_t)v.pixels_outside));
        json_object_set_new(root, "peak_memory_bytes", json_integer((json_int_t)es_memory_peak()));
        return app_print_json(root);
    }
    char a[32], b[32];
    printf("%s: %lld of %lld frames, %.2f ms a frame inserted, %.2f ms read\n", o->output,
           (long long)flow->inserted, (long long)flow->read, ms, read_ms);
    printf("reading %.2f s and inserting %.2f s took %.2f s together, writing %.2f s\n",
           flow->read_s, flow->stage_s, flow->wall_s, write_s);
    printf("%llu bricks, %s; peak memory of the program %s\n", (unsigned long long)v.bricks,
           app_bytes(v.bytes, a), app_bytes(es_memory_peak(), b));
    return 0;
}

static bool reconstruct(const reconstruct_options *o, session *s, const char *file, int *status,
                        es_error *err) {
    const char *inputs[] = {file, o->setup.config};
    es_flow flow = {.source = s->source,
                    .placement = s->placement,
                    .skip = s->setup.skip,
                    .total = s->setup.survey.frames,
                    .progress = app_progress(&o->common),
                    .what = "reconstructing"};
    app_origin origin = {0};
    es_flow_stats stats;
    s->setup.recon.spread = o->spread != NULL;
    es_volume *volume = es_volume_new(&s->setup.recon, s->pool, err);
    bool ok = volume && es_flow_run(&flow, es_stage_volume, volume, &stats, err) &&
              app_origin_make(&origin, &command_reconstruct, o, inputs, 2, err);
    double start = es_clock_s();
    ok = ok && write_all(o, volume, &origin, err);
    app_progress_end();
    if (ok) *status = print_result(o, s, &stats, volume, es_clock_s() - start);
    app_origin_clear(&origin);
    es_volume_free(volume);
    return ok;
}

/* Outputs are checked before the work. */
static bool check_outputs(const reconstruct_options *o, es_error *err) {
    if (!o->output && !o->dry_run)
        return es_fail(err, ES_USAGE, "reconstruct: name the volume with -o, or use --dry-run");
    const char *paths[] = {o->output, o->hits, o->spread};
    for (int i = 0; i < 3; i++)
        if (paths[i] && !es_grid_can_write(paths[i], err)) return false;
    return true;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    const reconstruct_options *o = options;
    es_error err = {0};
    session s;
    if (!check_outputs(o, &err) || !session_open(&s, files[0], &o->setup, &err))
        return app_fail(&err);
    const es_survey *v = &s.setup.survey;
    int status = 1;
    if (o->dry_run) {
        status = print_dry_run(o, &s);
    } else {
        app_decisions(&o->common, &s.setup.decisions);
        if (v->placed < v->frames)
            app_note(&o->common, "%lld of %lld frames have no valid position and are left out: %s",
                     (long long)(v->frames - v->placed), (long long)v->frames, v->reason);
        if (!reconstruct(o, &s, files[0], &status, &err)) status = app_fail(&err);
    }
    session_close(&s);
    return status;
}

const command command_reconstruct = {
    .name = "reconstruct",
    .summary = "tracked frames to a grey volume",
    .usage = "FILE -o VOLUME [options]",
    .description =
        "Places each frame by the transforms of the recording and of --config, and compounds the "
        "pixels into a sparse volume that grows where frames fall. Options come from the command "
        "line, else from the PLUS configuration (VolumeReconstruction), else they are chosen from "
        "pixel size and frame distance; what was chosen, and why, is printed. Frames without a "
        "valid position are left out and counted. Voxels that no frame saw are 0 in the volume; "
        "--hits tells them from voxels that were seen black.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(reconstruct_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
