/* echosolid bone: where the bone is in each frame, and how sure that is. */
#include <math.h>
#include <string.h>

#include "bone_output.h"

typedef struct bone_options {
    common_options common;
    const char *config, *output, *overlay, *picture, *frames, *model;
    double spacing[2], offset, threshold, min_depth, min_length;
    int method, edge;
    int64_t threads;
    bool original;
    recording_options recording;
} bone_options;

/* By es_bone_method, then what is more than one of them. */
enum { METHOD_BOTH = ES_BONE_METHODS };
static const char *const method_words[] = {"shadow", "foroughi", "network", "both", NULL};
static const char *const edge_words[] = {"crest", "front", NULL};

/* How near two detectors must be to agree. */
#define AGREE_MM 1.5

static const opt table[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "OUT",
     .offset = offsetof(bone_options, output),
     .help = "OUT.json: what --json prints; else a recording (OUT.igs.mha, ...) of the probability "
             "of bone, 255 for certain, with the poses and times of the frames"},
    {.name = "original",
     .type = OPT_FLAG,
     .offset = offsetof(bone_options, original),
     .help = "keep the pictures beside the probability in -o: RGB, red the probability, green and "
             "blue the picture's grey"},
    {.name = "overlay",
     .type = OPT_TEXT,
     .value = "FRAMES",
     .offset = offsetof(bone_options, overlay),
     .help = "the frames with the bone drawn in: a recording, or a folder of PNG (FOLDER/)"},
    {.name = "picture",
     .type = OPT_TEXT,
     .value = "PNG",
     .offset = offsetof(bone_options, picture),
     .help = "a contact sheet of up to 40 frames with the bone drawn in"},
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(bone_options, config),
     .help = "PLUS device-set file: pixel spacing, scan lines, clip"},
    {.name = "spacing-mm",
     .type = OPT_NUMBERS,
     .count = 2,
     .unit = UNIT_MM,
     .low = 1e-3,
     .high = 10,
     .value = "SX,SY",
     .offset = offsetof(bone_options, spacing),
     .help = "size of a pixel along the transducer and in depth; default: the configuration's "
             "calibration, else the evidence in the recording"},
    {.name = "method",
     .type = OPT_WORD,
     .words = method_words,
     .offset = offsetof(bone_options, method),
     .help = "which detector's bone is given; both: only where it and the second opinion agree "
             "(default: network)"},
    {.name = "model",
     .letter = 'm',
     .type = OPT_TEXT,
     .value = "FILE",
     .offset = offsetof(bone_options, model),
     .help = "the network of --method network: a .esnn, or a .onnx with a .json of its name beside "
             "it (docs/bone.md); default: the one that is built in"},
    {.name = "edge",
     .type = OPT_WORD,
     .words = edge_words,
     .fallback = "crest",
     .offset = offsetof(bone_options, edge),
     .help = "the brightest depth of the echo, or where it begins"},
    {.name = "offset",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = -100,
     .high = 100,
     .fallback = "0",
     .offset = offsetof(bone_options, offset),
     .help = "added to every depth; positive is deeper"},
    {.name = "bone-threshold",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 1,
     .offset = offsetof(bone_options, threshold),
     .help = "how sure the detector must be; default: the detector's own"},
    {.name = "min-depth",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0,
     .high = 1000,
     .fallback = "3",
     .offset = offsetof(bone_options, min_depth),
     .help = "nearer to the transducer nothing is bone"},
    {.name = "min-length",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0,
     .high = 1000,
     .fallback = "3",
     .offset = offsetof(bone_options, min_length),
     .help = "shorter pieces are dropped"},
    {.name = "frames",
     .type = OPT_TEXT,
     .value = "LIST",
     .offset = offsetof(bone_options, frames),
     .help = "only these, from 0: 4,7,10-19 or 0-599/10 for every tenth"},
    RECORDING_OPTIONS(bone_options, recording),
    THREADS_OPTION(bone_options, threads),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid bone scan.igs.mha --config scan.xml --json",
    "echosolid bone scan.igs.mha --spacing-mm 0.2,0.2 --frames 0-99/20 --picture bone.png",
    "echosolid bone scan.igs.mha --config scan.xml --edge front -o bone.igs.mha --original",
    "echosolid bone scan.igs.mha --config scan.xml --model knee.onnx --json", NULL};

/* ---- which frames -------------------------------------------------------------- */

enum { MOST_RANGES = 64 };

typedef struct ranges {
    struct {
        int64_t first, last, step;
    } items[MOST_RANGES];
    int count; /* 0: all */
} ranges;

static bool parse_range(const char *text, size_t length, ranges *r) {
    char first[24], last[24] = "", step[24] = "1", word[72];
    if (length == 0 || length >= sizeof word || r->count == MOST_RANGES) return false;
    memcpy(word, text, length);
    word[length] = 0;
    int used = 0;
    if (sscanf(word, "%20[0-9]-%20[0-9]/%20[0-9]%n", first, last, step, &used) < 3 &&
        sscanf(word, "%20[0-9]-%20[0-9]%n", first, last, &used) < 2) {
        if (sscanf(word, "%20[0-9]%n", first, &used) < 1) return false;
        strcpy(last, first);
    }
    int64_t a, b, s;
    if ((size_t)used != length || !es_parse_int(first, &a) || !es_parse_int(last, &b) ||
        !es_parse_int(step, &s) || b < a || s < 1)
        return false;
    r->items[r->count].first = a;
    r->items[r->count].last = b;
    r->items[r->count++].step = s;
    return true;
}

static bool parse_ranges(const char *text, ranges *r, es_error *err) {
    r->count = 0;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!parse_range(at, strcspn(at, ","), r))
            return es_fail(err, ES_USAGE,
                           "--frames %s: expected numbers and ranges such as 4,7,10-19,20-99/5, "
                           "%d at most",
                           text, MOST_RANGES);
    return true;
}

static bool in_ranges(const ranges *r, int64_t index) {
    for (int i = 0; i < r->count; i++)
        if (index >= r->items[i].first && index <= r->items[i].last &&
            (index - r->items[i].first) % r->items[i].step == 0)
            return true;
    return r->count == 0;
}

static bool beyond_ranges(const ranges *r, int64_t index) {
    for (int i = 0; i < r->count; i++)
        if (index <= r->items[i].last) return false;
    return r->count > 0;
}

static int64_t count_in_ranges(const ranges *r, int64_t frames) {
    int64_t count = 0;
    for (int64_t f = 0; f < frames; f++) count += in_ranges(r, f);
    return count;
}

/* ---- the run --------------------------------------------------------------------- */

typedef struct bone_run {
    const bone_options *o;
    const char *file;
    ranges ranges;
    es_plus *plus;
    es_source *source;
    es_setup setup;
    es_pool *pool;
    es_network *network; /* of --model */
    es_bone_method methods[2];
    es_bone_crew *crews[2]; /* the one whose bone is given, the second opinion */
    es_frame frames[ES_BATCH];
    es_trace traces[2][ES_BATCH];
    bone_json printed, saved;
    bone_frames probability, overlay;
    bone_sheet sheet;
    struct {
        int64_t frames, with_bone, doubtful;
        double detect_s;
    } sum;
} bone_run;

/* Two detectors that agree on less of a frame than this do not see the same. */
#define DOUBTFUL 0.75

static bool is_json(const char *path) { return path && es_has_suffix(path, ".json"); }

static bool check_outputs(const bone_options *o, es_error *err) {
    if (o->output && !is_json(o->output) && !es_sequence_can_write(o->output, err)) return false;
    if (o->original && (!o->output || is_json(o->output)))
        return es_fail(err, ES_USAGE, "--original needs a recording to write: -o OUT.igs.mha");
    if (o->overlay && !es_sequence_can_write(o->overlay, err)) return false;
    if (o->picture && !es_has_suffix(o->picture, ".png"))
        return es_fail(err, ES_USAGE, "%s: the contact sheet is a PNG picture, name it .png",
                       o->picture);
    return true;
}

/* Before the recording is looked at: a wrong model costs nothing. */
static bool choose_methods(bone_run *r, es_error *err) {
    const bone_options *o = r->o;
    bool open = o->method < 0 || o->method == METHOD_BOTH;
    r->methods[0] = !open      ? (es_bone_method)o->method
                    : o->model ? ES_BONE_NETWORK
                               : es_bone_method_default();
    r->methods[1] = es_bone_second(r->methods[0]);
    if (o->model && r->methods[0] != ES_BONE_NETWORK)
        return es_fail(err, ES_USAGE, "--model is for --method network, not %s",
                       method_words[o->method]);
    return !o->model || (r->network = es_network_open(o->model, err));
}

/* What found the bone, for the decisions. */
static bool tell_detectors(bone_run *r, es_error *err) {
    const es_network_info *info = r->network ? es_network_about(r->network) : NULL;
    return es_decisions_add(
        &r->setup.decisions, err, "bone detector",
        r->o->model ? r->o->model : "the option --method",
        "%s%s%s%s%s, threshold %g; second opinion %s", es_bone_method_names[r->methods[0]],
        info ? " " : "", info ? info->name : "", info ? " by " : "", info ? info->runtime : "",
        es_bone_crew_threshold(r->crews[0]), es_bone_method_names[r->methods[1]]);
}

static bool open_crews(bone_run *r, es_error *err) {
    const bone_options *o = r->o;
    es_bone_options b = es_setup_bone_options(&r->setup);
    b.network = r->network;
    b.edge = (es_bone_edge)o->edge;
    b.offset_mm = o->offset;
    b.threshold = o->threshold;
    b.min_depth_mm = o->min_depth;
    b.min_length_mm = o->min_length;
    r->pool = es_pool_new((int)o->threads, err);
    for (int i = 0; r->pool && i < 2; i++) {
        b.method = r->methods[i];
        if (!(r->crews[i] = es_bone_crew_new(&b, r->pool, err))) return false;
        b.threshold = NAN; /* the option is that of the first */
    }
    return r->pool && tell_detectors(r, err) &&
           es_decisions_add(&r->setup.decisions, err, "depth of the bone",
                            "the options --edge and --offset", "%s of the echo %+g mm",
                            edge_words[o->edge], o->offset);
}

static bool open_input(bone_run *r, es_error *err) {
    const bone_options *o = r->o;
    es_bone_request request = {.config = o->config ? es_path_name(o->config) : NULL,
                               .spacing_mm = {o->spacing[0], o->spacing[1]}};
    if (o->config && !(r->plus = es_plus_read(o->config, err))) return false;
    request.plus = r->plus;
    r->source = app_open_recording_told(r->file, &o->recording, r->plus, &o->common, err);
    if (!r->source) return false;
    if (!es_bone_setup_make(r->source, &request, &r->setup, err))
        return es_prefix(err, "%s", r->file);
    return open_crews(r, err);
}

static const char *method_name(const bone_run *r) {
    return r->o->method == METHOD_BOTH ? "both" : es_bone_method_names[r->methods[0]];
}

static json_t *head_json(const bone_run *r) {
    const double *pixel = r->setup.survey.pixel_mm;
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:[f,f], s:o}", "version", es_version(), "file",
                     es_path_name(r->file), "method", method_name(r), "edge",
                     edge_words[r->o->edge], "offset_mm", r->o->offset, "spacing_mm", pixel[0],
                     pixel[1], "decisions", app_json_decisions(&r->setup.decisions));
}

static json_t *tail_json(const bone_run *r) {
    return json_pack(
        "{s:I, s:I, s:I, s:o}", "frames_read", (json_int_t)r->sum.frames, "frames_with_bone",
        (json_int_t)r->sum.with_bone, "frames_doubtful", (json_int_t)r->sum.doubtful,
        "detect_ms_per_frame",
        app_json_number(r->sum.frames ? 1e3 * r->sum.detect_s / (double)r->sum.frames : NAN));
}

static bool open_outputs(bone_run *r, es_error *err) {
    const bone_options *o = r->o;
    const es_stream_info *info = es_source_info(r->source);
    const double *pixel = r->setup.survey.pixel_mm;
    r->printed.info = r->saved.info = info;
    if (is_json(o->output) && (!(r->saved.file = es_output_open(o->output, err)) ||
                               !bone_json_begin(&r->saved, head_json(r), err)))
        return false;
    bone_picture kind = o->original ? BONE_BESIDE : BONE_PROBABILITY;
    r->sheet.path = o->picture;
    int64_t frames = info->frame_count < 0 ? BONE_TILES : info->frame_count;
    r->sheet.expected = count_in_ranges(&r->ranges, frames);
    return bone_frames_open(&r->probability, is_json(o->output) ? NULL : o->output, kind, info,
                            pixel, err) &&
           bone_frames_open(&r->overlay, o->overlay, BONE_OVERLAY, info, pixel, err) &&
           (!o->common.json || bone_json_begin(&r->printed, head_json(r), err));
}

/* Reads up to ES_BATCH wanted frames. */
static bool read_batch(bone_run *r, size_t *count, bool *end, es_error *err) {
    *count = 0;
    while (!*end && *count < ES_BATCH) {
        es_frame *frame = &r->frames[*count];
        if (es_cancelled(err) || !es_source_next(r->source, frame, ES_READ_PIXELS, end, err))
            return false;
        if (*end) break;
        *count += in_ranges(&r->ranges, frame->index);
        *end = beyond_ranges(&r->ranges, frame->index + 1);
    }
    return true;
}

/* Both detectors on the frames of a batch that have pictures. */
static bool detect(bone_run *r, size_t count, bool *has, es_error *err) {
    const es_frame *frames[ES_BATCH];
    size_t pictures = 0;
    for (size_t i = 0; i < count; i++) {
        has[i] = r->frames[i].has_image;
        if (has[i]) frames[pictures++] = &r->frames[i];
    }
    double start = es_clock_s();
    for (int k = 0; k < 2; k++)
        if (!es_bone_crew_detect(r->crews[k], frames, pictures, r->traces[k], err)) return false;
    r->sum.detect_s += es_clock_s() - start;
    return true;
}

static bool put(bone_run *r, const es_frame *frame, es_trace *trace, const es_trace *second,
                es_error *err) {
    bone_frame f = {.frame = frame, .trace = trace, .agreement = NAN};
    if (trace && !es_bone_agreement(trace, second, AGREE_MM, &f.agreement, err)) return false;
    if (trace && r->o->method == METHOD_BOTH && !es_bone_keep_agreed(trace, second, AGREE_MM, err))
        return false;
    r->sum.frames++;
    r->sum.doubtful += f.agreement < DOUBTFUL;
    for (size_t i = 0; trace && i < trace->count; i++)
        if (trace->lines[i].found) {
            r->sum.with_bone++;
            break;
        }
    return (!r->saved.file || bone_json_put(&r->saved, &f, err)) &&
           (!r->o->common.json || bone_json_put(&r->printed, &f, err)) &&
           bone_frames_put(&r->probability, &f, err) && bone_frames_put(&r->overlay, &f, err) &&
           bone_sheet_put(&r->sheet, &f, err);
}

static bool work(bone_run *r, es_error *err) {
    bool end = false, has[ES_BATCH];
    size_t count;
    while (!end) {
        if (!read_batch(r, &count, &end, err) || !detect(r, count, has, err)) return false;
        for (size_t i = 0, k = 0; i < count; i++) {
            es_trace *trace = has[i] ? &r->traces[0][k] : NULL;
            if (!put(r, &r->frames[i], trace, has[i] ? &r->traces[1][k] : NULL, err)) return false;
            k += has[i];
        }
        es_progress_step(app_progress(&r->o->common), "finding bone", (double)r->sum.frames,
                         (double)r->sheet.expected);
    }
    if (r->sum.frames > 0) return true;
    return es_fail(err, ES_USAGE, "%s: none of the frames that --frames asks for is there",
                   r->file);
}

static bool finish(bone_run *r, es_error *err) {
    es_output *saved = r->saved.file;
    if (!bone_frames_finish(&r->probability, err) || !bone_frames_finish(&r->overlay, err) ||
        !bone_sheet_write(&r->sheet, err))
        return false;
    if (saved && !bone_json_end(&r->saved, tail_json(r), err)) return false;
    r->saved.file = NULL;
    if (saved && !es_output_commit(saved, err)) return false;
    return !r->o->common.json || bone_json_end(&r->printed, tail_json(r), err);
}

static void close_run(bone_run *r) {
    es_output_discard(r->saved.file);
    bone_frames_close(&r->probability);
    bone_frames_close(&r->overlay);
    bone_sheet_clear(&r->sheet);
    for (int i = 0; i < ES_BATCH; i++) {
        es_frame_clear(&r->frames[i]);
        es_trace_clear(&r->traces[0][i]);
        es_trace_clear(&r->traces[1][i]);
    }
    es_bone_crew_free(r->crews[0]);
    es_bone_crew_free(r->crews[1]);
    es_pool_free(r->pool);
    es_setup_clear(&r->setup);
    es_source_free(r->source);
    es_plus_free(r->plus);
    es_network_free(r->network);
}

static void print_result(const bone_run *r) {
    const bone_options *o = r->o;
    printf("%s: bone in %lld of %lld frames, %.1f ms a frame for both detectors\n", r->file,
           (long long)r->sum.with_bone, (long long)r->sum.frames,
           1e3 * r->sum.detect_s / (double)r->sum.frames);
    if (r->sum.doubtful)
        printf("%lld frame%s doubtful: the two detectors agree on less than %.0f %% of the "
               "columns\n",
               (long long)r->sum.doubtful, r->sum.doubtful == 1 ? " is" : "s are", 100 * DOUBTFUL);
    const char *const written[] = {o->output, o->overlay, o->picture};
    for (int i = 0; i < 3; i++)
        if (written[i]) printf("%s: written\n", written[i]);
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    es_error err = {0};
    int status = 0;
    bone_run *r = es_alloc_zero(1, sizeof *r, &err);
    if (!r) return app_fail(&err);
    r->o = options;
    r->file = files[0];
    bool ok = check_outputs(r->o, &err) && parse_ranges(r->o->frames, &r->ranges, &err) &&
              choose_methods(r, &err) && open_input(r, &err);
    if (ok) app_decisions(&r->o->common, &r->setup.decisions);
    ok = ok && open_outputs(r, &err) && work(r, &err) && finish(r, &err);
    app_progress_end();
    if (!ok)
        status = app_fail(&err);
    else if (!r->o->common.json)
        print_result(r);
    close_run(r);
    es_free(r);
    return status;
}

const command command_bone = {
    .name = "bone",
    .summary = "where the bone is in each frame, and how sure that is",
    .usage = "FILE [options]",
    .description =
        "Finds the bone along the scan lines of each frame and gives its surface as lines in "
        "pixels of the picture as the file stores it (centres at whole numbers), with the "
        "detector's confidence, and agreement: the share of the columns on which a second detector "
        "says the same within 1.5 mm. Low agreement marks frames to look at. Poses are not needed, "
        "the size of a pixel is: it is taken from --spacing-mm, the configuration, or the evidence "
        "in the recording, and asked for when there is none. A frame without bone has an empty "
        "surface. docs/bone.md explains the figures.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(bone_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
