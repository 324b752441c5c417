/* What clients ask for, in the words of PlusServer, so that scripts and panels
 * written for it go on working. docs/live.md lists what differs.
 *
 * Run by the thread that takes frames, between two of them. Commands that write
 * or change anything are for clients of this machine alone, and files lie
 * directly in the folder that was given. */
#include <math.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "outgo.h"
#include "run.h"
#include "tag.h"

#define CAPTURE "CaptureDevice"
#define CHANNEL "LiveChannel"
#define RECONSTRUCTOR "VolumeReconstructorDevice"

enum { META = 24 };

/* One command on its way to its answer. */
typedef struct asked {
    es_live_run *run;
    tag tag;          /* the Command */
    const char *rest; /* what stands within it */
    es_text message, error, content, store;
    size_t meta_at[META]; /* of keys and values in `store` */
    size_t meta_count;
} asked;

static void say(asked *a, const char *text) { es_text_add(&a->message, "%s", text); }

static bool refuse(asked *a, const char *why) {
    es_text_add(&a->error, "%s", why);
    return false;
}

static void tell_meta(asked *a, const char *key, const char *value) {
    if (a->meta_count + 2 > META) return;
    a->meta_at[a->meta_count++] = a->store.length;
    es_text_add_bytes(&a->store, key, strlen(key) + 1);
    a->meta_at[a->meta_count++] = a->store.length;
    es_text_add_bytes(&a->store, value, strlen(value) + 1);
}

static void add_id(asked *a, const char *id) {
    es_text_add(&a->message, "%s%s", a->message.length ? "," : "", id);
    tell_meta(a, id, id);
}

/* ---- what is there ----------------------------------------------------------------- */

static bool request_channels(asked *a) {
    add_id(a, CHANNEL);
    return true;
}

static bool request_devices(asked *a) {
    char type[64];
    bool all = !tag_attribute(&a->tag, "DeviceType", type, sizeof type);
    if (all || strcmp(type, "VirtualCapture") == 0) add_id(a, CAPTURE);
    if (all || strcmp(type, "VirtualVolumeReconstructor") == 0) add_id(a, RECONSTRUCTOR);
    return true;
}

static bool version(asked *a) {
    say(a, "Success.");
    tell_meta(a, "PlusVersion", "echosolid");
    tell_meta(a, "EchosolidVersion", es_version());
    tell_meta(a, "IGTLProtocolVersion", "3");
    tell_meta(a, "IGTLHeaderVersion", "2");
    return true;
}

static bool frame_rate(asked *a) {
    es_live_state s = es_live_run_state(a->run);
    es_text_add(&a->content, "<CommandReply FrameRate=\"%.3f\" FrameRateStdDev=\"0\" />",
                s.seconds > 0 ? (double)s.received / s.seconds : 0);
    return true;
}

/* ---- files --------------------------------------------------------------------------- */

/* A name alone, of a file directly in the folder. */
static bool is_plain(const char *name) {
    if (!*name || *name == '.' || strlen(name) > 200) return false;
    for (; *name; name++)
        if (*name == '/' || *name == '\\' || *name == ':' || (unsigned char)*name < 32)
            return false;
    return true;
}

/* The path of a file that the command names; es_free it. */
static char *path_of(asked *a, const char *name) {
    const char *folder = a->run->options.output_folder;
    if (!folder || !is_plain(name)) {
        refuse(a, folder ? "the file must be a name alone: it is written into the server's folder"
                         : "the server writes no files: it was started without --folder");
        return NULL;
    }
    es_text path = {0};
    es_text_add(&path, "%s/%s", folder, name);
    if (!path.failed) return path.bytes;
    es_text_free(&path);
    refuse(a, "out of memory");
    return NULL;
}

static char *path_attribute(asked *a, const char *key) {
    char name[256];
    if (tag_attribute(&a->tag, key, name, sizeof name)) return path_of(a, name);
    es_text_add(&a->error, "%s is missing", key);
    return NULL;
}

/* ---- recording --------------------------------------------------------------------------- */

static bool start_recording(asked *a) {
    run_capture *c = &a->run->capture;
    es_error err = {0};
    char name[256];
    if (c->journal) return refuse(a, "a recording runs already");
    if (!tag_attribute(&a->tag, "OutputFilename", name, sizeof name))
        strcpy(name, "recording.igs.nhdr");
    char *path = path_of(a, name);
    if (!path) return false;
    bool ok = es_sequence_can_write(path, &err) && run_capture_start(a->run, path, &err);
    if (!ok) refuse(a, err.message);
    es_free(path);
    if (ok) say(a, "VirtualCapture (" CAPTURE ") StartRecording successful.");
    return ok;
}

static bool pause_recording(asked *a, bool paused) {
    if (!a->run->capture.journal) return refuse(a, "no recording runs");
    a->run->capture.paused = paused;
    es_text_add(&a->message, "VirtualCapture (" CAPTURE ") %sRecording successful.",
                paused ? "Suspend" : "Resume");
    return true;
}
static bool suspend_recording(asked *a) { return pause_recording(a, true); }
static bool resume_recording(asked *a) { return pause_recording(a, false); }

/* Clients take what stands behind the last slash as the file's name. */
static bool stop_recording(asked *a) {
    run_capture *c = &a->run->capture;
    es_error err = {0};
    if (!c->journal) return refuse(a, "no recording runs");
    int64_t frames = c->frames;
    if (frames == 0) {
        run_capture_stop(a->run, NULL);
        return refuse(a, "No frames to record.");
    }
    es_text_add(&a->message,
                "VirtualCapture (" CAPTURE
                ") StopRecording Recording %lld frames successful to file %s",
                (long long)frames, c->path);
    if (run_capture_stop(a->run, &err)) return true;
    es_text_free(&a->message);
    return refuse(a, err.message);
}

/* ---- the volume --------------------------------------------------------------------------- */

static bool start_volume(asked *a) {
    if (!a->run->paused) return refuse(a, "the reconstruction runs already");
    a->run->paused = false;
    say(a, "StartVolumeReconstruction(" RECONSTRUCTOR
           ") Volume reconstruction from live frames started.");
    return true;
}

static bool suspend_volume(asked *a) {
    a->run->paused = true;
    say(a, "Volume reconstruction from live frames suspended, device: " RECONSTRUCTOR);
    return true;
}

static bool resume_volume(asked *a) {
    a->run->paused = false;
    say(a, "ResumeVolumeReconstruction(" RECONSTRUCTOR
           ") Volume reconstruction from live frames resumed.");
    return true;
}

static bool write_volume(asked *a, const es_grid *grid) {
    char name[256];
    es_error err = {0};
    es_grid_options options = ES_GRID_DEFAULTS;
    if (!tag_attribute(&a->tag, "OutputVolFilename", name, sizeof name)) return true;
    char *path = path_of(a, name);
    if (!path) return false;
    bool ok = es_grid_write(path, &grid->info, es_grid_slab, (void *)grid, &options, &err);
    if (ok)
        es_text_add(&a->error, "saved reconstructed volume to file: %s", path);
    else
        refuse(a, err.message);
    es_free(path);
    return ok;
}

static bool send_volume(asked *a, const es_grid *grid) {
    char name[ES_IGTL_DEVICE + 1];
    es_igtl_out out = {0};
    if (!tag_attribute(&a->tag, "OutputVolDeviceName", name, sizeof name)) return true;
    if (!run_is_sendable(&grid->info)) return refuse(a, "the volume is too large to be sent");
    outgo_volume(&out, name, grid, outgo_now());
    bool ok = es_live_server_send(a->run->options.server, &out, false);
    es_igtl_out_clear(&out);
    es_text_add(&a->error, "%simage sent as: %s", a->error.length ? ", " : "", name);
    return ok;
}

/* The image goes before the answer: clients look for it then. */
static bool snapshot(asked *a) {
    es_grid grid = {0};
    es_error err = {0};
    bool ok = a->run->ready ? run_copy_volume(a->run, &grid, &err)
                            : es_fail(&err, ES_GEOMETRY, "nothing was inserted yet");
    if (!ok) refuse(a, err.message);
    ok = ok && write_volume(a, &grid) && send_volume(a, &grid);
    es_grid_clear(&grid);
    if (ok) say(a, "Command succeeded.");
    return ok;
}

static bool stop_volume(asked *a) {
    a->run->paused = true;
    return snapshot(a);
}

static bool reconstruct_file(asked *a) {
    return refuse(a, "live reconstruction runs; echosolid reconstruct does it from a file");
}

/* ---- transforms and configuration ------------------------------------------------------------ */

static void numbers_of(const es_mat4 *m, es_text *text) {
    char number[ES_NUMBER_SIZE];
    for (int i = 0; i < 16; i++)
        es_text_add(text, "%s%s", i ? " " : "", es_format_double(m->m[i], number));
}

/* In the newest frame, else in the configuration. */
static bool find_transform(const es_live_run *r, const char *name, es_mat4 *matrix) {
    const es_frame_transform *t = es_frame_find_transform(&r->newest, name);
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    if (t && t->valid) {
        *matrix = t->matrix;
        return true;
    }
    if (!es_transform_name_split(name, from, to, NULL)) return false;
    for (size_t i = 0; i < es_plus_transform_count(r->plus); i++) {
        es_plus_transform p;
        if (!es_plus_transform_get(r->plus, i, &p, NULL)) return false;
        *matrix = p.matrix;
        if (strcmp(p.from, from) == 0 && strcmp(p.to, to) == 0) return true;
    }
    return false;
}

static bool get_transform(asked *a) {
    char name[ES_NAME_SIZE];
    es_text numbers = {0};
    es_mat4 matrix;
    if (!tag_attribute(&a->tag, "TransformName", name, sizeof name))
        return refuse(a, "TransformName is missing");
    if (!find_transform(a->run, name, &matrix))
        return refuse(a, "there is no valid transform of this name");
    numbers_of(&matrix, &numbers);
    es_text_add(&a->message,
                "GetTransform (%s)<name=\"%s\" value=\"%s\" persistent=\"true\" date=\"\" "
                "error=\"0\"/>",
                name, name, numbers.failed ? "" : numbers.bytes);
    if (!numbers.failed) tell_meta(a, name, numbers.bytes);
    es_text_free(&numbers);
    return true;
}

static bool update_transform(asked *a) {
    char name[ES_NAME_SIZE], value[1024];
    es_plus_transform t = {.error = NAN};
    es_error err = {0};
    if (!tag_attribute(&a->tag, "TransformName", name, sizeof name) ||
        !tag_attribute(&a->tag, "TransformValue", value, sizeof value))
        return refuse(a, "TransformName and TransformValue (16 numbers) are needed");
    if (!es_transform_name_split(name, t.from, t.to, &err)) return refuse(a, err.message);
    if (es_parse_doubles(value, t.matrix.m, 16) != 16 || !es_mat4_finite(t.matrix))
        return refuse(a, "TransformValue: expected 16 finite numbers");
    tag_attribute(&a->tag, "TransformDate", t.date, sizeof t.date);
    if (!es_plus_transform_set(a->run->plus, &t, &err)) return refuse(a, err.message);
    es_text_add(&a->message,
                "UpdateTransform (%s) completed successfully WARNING: it is for SaveConfig and "
                "the next run; a running reconstruction keeps its calibration",
                name);
    return true;
}

static bool save_config(asked *a) {
    es_error err = {0};
    char *path = path_attribute(a, "Filename");
    if (!path) return false;
    bool ok = es_plus_write(a->run->plus, path, &err);
    if (ok)
        es_text_add(&a->message, "SaveConfig (%s) Completed successfully.", path);
    else
        refuse(a, err.message);
    es_free(path);
    return ok;
}

/* ---- the scanner's settings --------------------------------------------------------------------
 */

static bool each_parameter(asked *a, bool set) {
    const char *at = a->rest;
    tag parameter;
    es_text_add(&a->content, "<CommandReply>");
    bool all = true;
    while (tag_next(&at, &parameter)) {
        char name[64], value[64] = "";
        if (strcmp(parameter.name, "Parameter") != 0 ||
            !tag_attribute(&parameter, "Name", name, sizeof name))
            continue;
        double depth = a->run->options.live ? es_live_depth_mm(a->run->options.live) : NAN;
        bool known = !set && strcmp(name, "DepthMm") == 0 && !isnan(depth);
        if (known) snprintf(value, sizeof value, "%g", depth);
        es_text_add(&a->content, "<Parameter Name=\"");
        es_text_add_escaped(&a->content, name);
        es_text_add(&a->content, "\" Success=\"%s\"", known ? "true" : "false");
        if (!set) es_text_add(&a->content, " Value=\"%s\"", value);
        es_text_add(&a->content, "/>");
        tell_meta(a, name, known ? value : "FAIL");
        all = all && known;
    }
    es_text_add(&a->content, "</CommandReply>");
    return all || refuse(a, set ? "the scanner is not set from here; use the program that runs it"
                                : "not told by the server that the pictures come from");
}
static bool get_parameter(asked *a) { return each_parameter(a, false); }
static bool set_parameter(asked *a) { return each_parameter(a, true); }

/* ---- the table
 * --------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(asked *a);
    bool writes; /* clients of this machine alone */
} known[] = {
    {"RequestChannelIds", request_channels, false},
    {"RequestDeviceIds", request_devices, false},
    {"StartRecording", start_recording, true},
    {"SuspendRecording", suspend_recording, true},
    {"ResumeRecording", resume_recording, true},
    {"StopRecording", stop_recording, true},
    {"StartVolumeReconstruction", start_volume, true},
    {"SuspendVolumeReconstruction", suspend_volume, true},
    {"ResumeVolumeReconstruction", resume_volume, true},
    {"StopVolumeReconstruction", stop_volume, true},
    {"GetVolumeReconstructionSnapshot", snapshot, true},
    {"ReconstructVolume", reconstruct_file, true},
    {"GetTransform", get_transform, false},
    {"UpdateTransform", update_transform, true},
    {"SaveConfig", save_config, true},
    {"GetUsParameter", get_parameter, false},
    {"SetUsParameter", set_parameter, true},
    {"GetFrameRate", frame_rate, false},
    {"Version", version, false},
};

static bool run_one(asked *a, const char *name, bool near_by) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) != 0) continue;
        if (known[i].writes && !near_by)
            return refuse(a, "this command is for clients on the server's own machine");
        return known[i].run(a);
    }
    return refuse(a, "Unknown command type requested.");
}

static bool understand(asked *a, const es_live_command *c, char name[129]) {
    a->rest = c->text;
    if (!tag_next(&a->rest, &a->tag) || strcasecmp(a->tag.name, "Command") != 0)
        return refuse(a, "expected XML of the form <Command Name=\"...\" />");
    if (c->as_string)
        tag_attribute(&a->tag, "Name", name, 129);
    else
        strcpy(name, c->name);
    return true;
}

static void answer(asked *a, const es_live_command *c, bool ok) {
    const char *meta[META + 1] = {NULL};
    bool memory = !a->message.failed && !a->error.failed && !a->content.failed && !a->store.failed;
    for (size_t i = 0; memory && i < a->meta_count; i++) meta[i] = a->store.bytes + a->meta_at[i];
    es_live_reply reply = {.ok = ok && memory,
                           .message = ok ? (a->message.length ? a->message.bytes : "")
                                         : "Command failed. See error message.",
                           .error = !memory           ? "out of memory"
                                    : a->error.length ? a->error.bytes
                                                      : NULL,
                           .content = memory && a->content.length ? a->content.bytes : NULL,
                           .meta = meta};
    es_live_server_reply(a->run->options.server, c, &reply);
    es_text_free(&a->message);
    es_text_free(&a->error);
    es_text_free(&a->content);
    es_text_free(&a->store);
}

void run_commands(es_live_run *r) {
    es_live_command c;
    while (r->options.server && es_live_server_command(r->options.server, &c)) {
        asked a = {.run = r};
        char name[129] = "";
        bool ok = understand(&a, &c, name) && run_one(&a, name, c.near_by);
        answer(&a, &c, ok);
        es_live_command_clear(&c);
    }
}
