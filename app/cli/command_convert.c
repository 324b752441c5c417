/* echosolid convert: a recording, a volume or a mesh in another format. */
#include <math.h>
#include <string.h>

#include "echosolid/judge.h"
#include "recording.h"

typedef struct convert_options {
    common_options common;
    bool raw, echoes_only, grey;
    double crop[4]; /* u, v, width, height; NaN first: not given */
    int64_t level;
    const char *config;
    recording_options recording;
} convert_options;

static const opt table[] = {
    {.name = "raw",
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
    {.name = "crop",
     .type = OPT_NUMBERS,
     .unit = UNIT_PX,
     .low = 0,
     .high = 65535,
     .count = 4,
     .value = "U,V,W,H",
     .offset = offsetof(convert_options, crop),
     .help = "keep this part of every picture; transforms of Image in the recording move with it"},
    {.name = "echoes-only",
     .type = OPT_FLAG,
     .offset = offsetof(convert_options, echoes_only),
     .help = "find the field of the echoes and blacken what lies outside of it: names, numbers, "
             "the scanner's interface"},
    {.name = "grey",
     .type = OPT_FLAG,
     .offset = offsetof(convert_options, grey),
     .help = "colour to grey (Rec. 601)"},
    RECORDING_OPTIONS(convert_options, recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid convert scan.igs.mha scan.igs.nrrd",
    "echosolid convert scan.igs.mha plain.igs.mha --echoes-only --grey",
    "echosolid convert scan.igs.mha scan.npz",
    "echosolid convert scan.igs.mha posed.igs.mha --poses scan.csv --config scan.xml",
    "echosolid convert volume.mha volume.nii.gz",
    "echosolid convert volume.mha volume.dcm",
    "echosolid convert knee.stl knee.ply",
    NULL};

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

/* ---- what would be lost --------------------------------------------------------- */

typedef struct losses {
    char transforms[300], fields[300]; /* names, as far as they fit */
    bool times;
} losses;

/* Adds a name to "a, b" unless it is there. */
static void add_name(char *names, size_t size, const char *name) {
    size_t used = strlen(names), length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at++)
        if ((at == names || at[-1] == ' ') && (at[length] == ',' || !at[length])) return;
    if (used + length + 3 < size)
        snprintf(names + used, size - used, "%s%s", used ? ", " : "", name);
}

static void add_losses(losses *l, const es_frame *frame) {
    for (size_t i = 0; i < frame->transform_count; i++)
        add_name(l->transforms, sizeof l->transforms, frame->transforms[i].name);
    for (size_t i = 0; i < frame->fields.count; i++)
        add_name(l->fields, sizeof l->fields, frame->fields.items[i].key);
    l->times = l->times || frame->has_time;
}

static void tell_losses(const losses *l, unsigned keeps, const es_stream_info *info,
                        const char *to) {
    bool spacing = info->spacing_mm[0] != 1 || info->spacing_mm[1] != 1;
    if (!(keeps & ES_KEEPS_POSES) && *l->transforms)
        es_log(ES_WARNING, "%s cannot hold the transforms: %s", to, l->transforms);
    if (!(keeps & ES_KEEPS_TIMES) && l->times)
        es_log(ES_WARNING, "%s cannot hold the times of the frames", to);
    if (!(keeps & ES_KEEPS_FIELDS) && *l->fields)
        es_log(ES_WARNING, "%s cannot hold the fields of frames: %s", to, l->fields);
    if (!(keeps & ES_KEEPS_FIELDS) && info->fields.count)
        es_log(ES_WARNING, "%s cannot hold the %zu fields of the header", to, info->fields.count);
    if (!(keeps & ES_KEEPS_SPACING) && spacing)
        es_log(ES_WARNING, "%s cannot hold the pixel spacing of %g x %g mm", to,
               info->spacing_mm[0], info->spacing_mm[1]);
    if (!(keeps & ES_KEEPS_ORIENTATION) && info->orientation[0])
        es_log(ES_WARNING, "%s cannot hold the orientation mark; the pictures are MF", to);
}

/* Goes over the recording once, without pixels, before anything is written. */
static bool list_losses(es_source *source, const char *to, es_error *err) {
    unsigned keeps = es_sequence_keeps(to);
    losses l = {0};
    es_frame frame = {0};
    bool end = false, ok = true;
    if (keeps == ES_KEEPS_ALL || !es_source_can_rewind(source)) return true;
    while ((ok = es_source_next(source, &frame, 0, &end, err)) && !end) add_losses(&l, &frame);
    es_frame_clear(&frame);
    if (ok) tell_losses(&l, keeps, es_source_info(source), to);
    return ok && es_source_rewind(source, err);
}

/* ---- a part of the pictures ------------------------------------------------------ */

static bool find_echoes(es_source *source, es_image *mask, es_error *err) {
    es_judge_request request;
    es_judgement judgement = {0};
    es_judge_request_init(&request);
    bool ok = es_judge(source, &request, &judgement, err) && es_judge_mask(&judgement, mask, err);
    es_judgement_clear(&judgement);
    return ok;
}

static void tell_crop(const convert_options *o, const es_window *w) {
    if (w->u0 || w->v0)
        app_note(&o->common,
                 "cropped at %u, %u: transforms of Image in the recording were moved; in a "
                 "configuration, ImageToProbe must become ImageToProbe * translation(%u, %u, 0)",
                 w->u0, w->v0, w->u0, w->v0);
}

/* The source itself where nothing of the kind was asked for. */
static es_source *window_source(const convert_options *o, es_source *source, es_error *err) {
    bool crop = !isnan(o->crop[0]);
    es_window window = {.grey = o->grey};
    es_image mask = {0};
    if (!crop && !o->echoes_only && !o->grey) return source;
    if (crop) {
        window.u0 = (uint32_t)o->crop[0], window.v0 = (uint32_t)o->crop[1];
        window.width = (uint32_t)o->crop[2], window.height = (uint32_t)o->crop[3];
    }
    bool ok = !crop || (window.width > 0 && window.height > 0) ||
              es_fail(err, ES_USAGE, "--crop: width and height must be above 0");
    if (ok && o->echoes_only) {
        ok = find_echoes(source, &mask, err);
        window.keep = &mask;
    }
    if (!ok) es_source_free(source);
    es_source *cut = ok ? es_source_window(source, &window, err) : NULL;
    if (cut) tell_crop(o, &window);
    es_image_clear(&mask);
    return cut;
}

static int convert_recording(const convert_options *o, const char *const *files) {
    es_error err = {0};
    es_sequence_options options = {.compress = !o->raw, .level = (int)o->level};
    es_sink *sink = NULL;
    int64_t frames = 0;
    int status = 1;
    es_source *source = NULL;
    if (es_sequence_can_write(files[1], &err))
        source = app_open_recording_config(files[0], &o->recording, o->config, &o->common, &err);
    if (source) source = window_source(o, source, &err);
    if (source && list_losses(source, files[1], &err))
        sink = es_sequence_create(files[1], es_source_info(source), &options, &err);
    if (sink && pump(o, source, sink, &frames, &err))
        status = done(o, files[0], files[1], frames);
    else
        status = app_fail(&err);
    es_sink_free(sink);
    es_source_free(source);
    return status;
}

/* A volume may be frames to whoever names a recording as the output. */
static bool check_volume_name(const char *const *files, es_error *err) {
    if (es_grid_can_write(files[1], NULL)) return true;
    if (es_sequence_can_write(files[1], NULL))
        return es_fail(
            err, ES_USAGE,
            "%s: is a volume, and %s holds recordings; where its slices are frames, name "
            "it %s#frames",
            files[0], files[1], files[0]);
    return es_grid_can_write(files[1], err);
}

static int convert_volume(const convert_options *o, const char *const *files) {
    es_error err = {0};
    es_grid grid = {0};
    es_grid_options options = {.compress = !o->raw, .level = (int)o->level};
    bool ok = check_volume_name(files, &err) && es_grid_read(files[0], &grid, &err) &&
              es_grid_write(files[1], &grid.info, es_grid_slab, &grid, &options, &err);
    int status = ok ? done(o, files[0], files[1], -1) : app_fail(&err);
    es_grid_clear(&grid);
    return status;
}

static int convert_mesh(const convert_options *o, const char *const *files) {
    es_error err = {0};
    es_mesh mesh = {0};
    es_mesh_check check;
    es_mesh_write_options write = {0};
    bool ok = es_mesh_can_write(files[1], &err) && es_mesh_read(files[0], &mesh, &err) &&
              es_mesh_inspect_welded(&mesh, &check, &err);
    write.open = ok && !check.closed;
    ok = ok && es_mesh_write(files[1], &mesh, &write, &err);
    int status = ok ? done(o, files[0], files[1], -1) : app_fail(&err);
    es_mesh_clear(&mesh);
    return status;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    if (es_mesh_can_write(files[0], NULL)) return convert_mesh(options, files);
    es_error err = {0};
    bool is_grid = false;
    const convert_options *o = options;
    if (!app_is_volume(files[0], &o->recording, &is_grid, &err)) return app_fail(&err);
    return is_grid ? convert_volume(options, files) : convert_recording(options, files);
}

const command command_convert = {
    .name = "convert",
    .summary = "write a recording, volume or mesh in another format",
    .usage = "FROM TO [options]",
    .description =
        "The format is known by the extension of TO. Recordings: .mha, .mhd, .nrrd, .nhdr "
        "(.igs.mha and so on); every frame's transforms, times and own fields are kept, and the "
        "pictures are written in MF orientation; --poses joins a table of poses to them. Also "
        ".dcm, .npy, .npz, .h5 and, for a name that ends in /, a folder of PNG: what these cannot "
        "hold is listed first. --crop, --echoes-only and --grey take a part of the pictures; what "
        "DICOM files say of the patient never gets into an output, except where it is drawn in the "
        "picture: --echoes-only takes that away too. FROM may be anything that docs/files.md "
        "names: DICOM files and "
        "folders, video, pictures, arrays, Slicer's scenes. Volumes: .mha, .mhd, .nrrd, .nhdr, "
        ".nii, .nii.gz, .dcm. Meshes: .stl, .ply.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(convert_options),
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run};
