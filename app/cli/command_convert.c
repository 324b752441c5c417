/* echosolid convert: a recording, a volume or a mesh in another format. */
#include <string.h>

#include "recording.h"

typedef struct convert_options {
    common_options common;
    bool raw;
    int64_t level;
    const char *config;
    recording_options recording;
} convert_options;

static const opt table[] = {{.name = "raw",
                             .type = OPT_FLAG,
                             .offset = offsetof(convert_options, raw),
                             .help = "do not compress"},
                            {.name = "level",
                             .type = OPT_INT,
                             .low = 1,
                             .high = 9,
                             .fallback = "1",
                             .offset = offsetof(convert_options, level),
                             .help = "effort of the compression"},
                            {.name = "config",
                             .letter = 'c',
                             .type = OPT_TEXT,
                             .value = "XML",
                             .offset = offsetof(convert_options, config),
                             .help = "PLUS device-set file whose ImageToProbe helps to read "
                                     "--poses"},
                            RECORDING_OPTIONS(convert_options, recording),
                            {.name = NULL}};

static const char *const examples[] = {"echosolid convert scan.igs.mha scan.igs.nrrd",
                                       "echosolid convert scan.igs.mha posed.igs.mha --poses "
                                       "scan.csv --config scan.xml",
                                       "echosolid convert volume.mha volume.nii.gz",
                                       "echosolid convert knee.stl knee.ply", NULL};

static int done(const convert_options *o, const char *from, const char *to, int64_t frames) {
    if (o->common.json) {
        json_t *root = json_pack("{s:s, s:s}", "from", from, "to", to);
        if (frames >= 0) json_object_set_new(root, "frames", json_integer(frames));
        return app_print_json(root);
    }
    if (frames >= 0)
        printf("%s: %lld frames written\n", to, (long long)frames);
    else
        printf("%s: written\n", to);
    return 0;
}

static bool pump(const convert_options *o, es_source *source, es_sink *sink, int64_t *frames,
                 es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = true;
    *frames = 0;
    while (ok) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = es_sink_put(sink, &frame, err);
        es_progress_step(app_progress(&o->common), "converting", (double)++*frames,
                         (double)es_source_info(source)->frame_count);
    }
    es_frame_clear(&frame);
    return ok && es_sink_finish(sink, err);
}

static int convert_recording(const convert_options *o, const char *const *files) {
    es_error err = {0};
    es_sequence_options options = {.compress = !o->raw, .level = (int)o->level};
    es_sink *sink = NULL;
    int64_t frames = 0;
    int status = 1;
    es_source *source = NULL;
    if (es_sequence_can_write(files[1], &err))
        source = app_open_recording_told(files[0], &o->recording, o->config, &o->common, &err);
    if (source) sink = es_sequence_create(files[1], es_source_info(source), &options, &err);
    if (sink && pump(o, source, sink, &frames, &err))
        status = done(o, files[0], files[1], frames);
    else
        status = app_fail(&err);
    es_sink_free(sink);
    es_source_free(source);
    return status;
}

static int convert_volume(const convert_options *o, const char *const *files) {
    es_error err = {0};
    es_grid grid = {0};
    es_grid_options options = {.compress = !o->raw, .level = (int)o->level};
    bool ok = es_grid_can_write(files[1], &err) && es_grid_read(files[0], &grid, &err) &&
              es_grid_write(files[1], &grid.info, es_grid_slab, &grid, &options, &err);
    int status = ok ? done(o, files[0], files[1], -1) : app_fail(&err);
    es_grid_clear(&grid);
    return status;
}

static int convert_mesh(const convert_options *o, const char *const *files) {
    es_error err = {0};
    es_mesh mesh = {0};
    bool ok = es_mesh_can_write(files[1], &err) && es_mesh_read(files[0], &mesh, &err) &&
              es_mesh_write(files[1], &mesh, NULL, &err);
    int status = ok ? done(o, files[0], files[1], -1) : app_fail(&err);
    es_mesh_clear(&mesh);
    return status;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    if (es_mesh_can_write(files[0], NULL)) return convert_mesh(options, files);
    es_error err = {0};
    bool is_grid = false;
    if (!es_file_is_grid(files[0], &is_grid, &err)) return app_fail(&err);
    return is_grid ? convert_volume(options, files) : convert_recording(options, files);
}

const command command_convert = {
    .name = "convert",
    .summary = "write a recording, volume or mesh in another format",
    .usage = "FROM TO [options]",
    .description =
        "The format is known by the extension of TO. Recordings: .mha, .mhd, .nrrd, .nhdr "
        "(.igs.mha and so on); every frame's transforms, times and own fields are kept, and the "
        "pictures are written in MF orientation; --poses joins a table of poses to them. Volumes: "
        ".mha, .mhd, .nrrd, .nhdr, .nii, "
        ".nii.gz. Meshes: .stl, .ply.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(convert_options),
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run};
