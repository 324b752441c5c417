/* echosolid live: frames from a scanner as they come, into a volume. */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/bone_flow.h"
#include "echosolid/capture.h"
#include "echosolid/live_page.h"
#include "echosolid/trackers.h"
#include "grey.h"
#include "live_save.h"
#include "live_wizard.h"
#include "setup_options.h"

enum { TRACKERS = 4, POSES = 4096 };

typedef struct live_options {
    common_options common;
    setup_options setup;
    const char *connect, *capture, *output, *record, *model, *listen, *token, *folder;
    const char *trackers[TRACKERS];
    double seconds, tolerance, wait, lag, preview, first, serve, page, elevation;
    int64_t queue;
    double crop[4]; /* u, v, width, height; NaN first: not given */
    bool bone, no_crc, whole, parts;
} live_options;

static const opt table[] = {
    {.name = "connect",
     .type = OPT_TEXT,
     .value = "HOST:PORT",
     .offset = offsetof(live_options, connect),
     .help = "the OpenIGTLink server: PlusServer, 3D Slicer, a scanner's bridge; default: "
             "127.0.0.1:18944"},
    {.name = "capture",
     .type = OPT_TEXT,
     .value = "SOURCE",
     .offset = offsetof(live_options, capture),
     .help = "instead of --connect, pictures without a server: v4l2:///dev/video0 (a grabber), "
             "rtsp://HOST/PATH, udp://:PORT or tcp://HOST:PORT (streams), or a file, played as if "
             "it came now; poses come from --tracker. Nothing but what is named is connected to"},
    {.name = "crop",
     .type = OPT_NUMBERS,
     .unit = UNIT_PX,
     .low = 0,
     .high = 65535,
     .count = 4,
     .value = "U,V,W,H",
     .offset = offsetof(live_options, crop),
     .help = "with --capture, keep this part of every picture; ImageToProbe must be that of the "
             "part"},
    {.name = "whole",
     .type = OPT_FLAG,
     .offset = offsetof(live_options, whole),
     .help = "with --capture, do not look for the field of the echoes in the first pictures: what "
             "the scanner writes beside it, names too, is then recorded"},
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "VOLUME",
     .offset = offsetof(live_options, output),
     .help = "the grey volume at the end: .mha, .nrrd, .nii, .dcm and so on"},
    {.name = "record",
     .type = OPT_TEXT,
     .value = "FILE",
     .offset = offsetof(live_options, record),
     .help = "record everything that comes. NAME.igs.nhdr is readable at any time, whatever "
             "happens; NAME.igs.mha and so on are made of it at the end (until then it is "
             "NAME.live.nhdr)"},
    {.name = "bone",
     .type = OPT_FLAG,
     .offset = offsetof(live_options, bone),
     .help = "find the bone in each frame, and show its surface as it grows"},
    {.name = "model",
     .type = OPT_TEXT,
     .value = "MESH",
     .offset = offsetof(live_options, model),
     .help = "with --bone, the solid at the end: .stl, .ply, .obj, .3mf or .glb"},
    {.name = "seconds",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0.1,
     .high = 1e6,
     .offset = offsetof(live_options, seconds),
     .help = "stop after so long; default: at Ctrl-C"},
    {.name = "first",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0.1,
     .high = 3600,
     .fallback = "10",
     .offset = offsetof(live_options, first),
     .help = "how long to wait for the first picture"},
    {.name = "tolerance",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0,
     .high = 1,
     .fallback = "0.02",
     .offset = offsetof(live_options, tolerance),
     .help = "a picture takes the pose of its own time stamp, else the nearest within this"},
    {.name = "wait",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0,
     .high = 2,
     .fallback = "0.1",
     .offset = offsetof(live_options, wait),
     .help = "how long a picture waits for poses that come later"},
    {.name = "lag",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = -2,
     .high = 2,
     .fallback = "0",
     .offset = offsetof(live_options, lag),
     .help = "the tracker is late by this, as calibrate lag finds it"},
    {.name = "queue",
     .type = OPT_INT,
     .low = 2,
     .high = 64,
     .fallback = "8",
     .offset = offsetof(live_options, queue),
     .help = "frames that may wait for insertion; one that comes when so many wait is recorded, "
             "marked and not inserted"},
    {.name = "tracker",
     .type = OPT_TEXTS,
     .count = TRACKERS,
     .value = "ADDRESS",
     .offset = offsetof(live_options, trackers),
     .help = "poses of another tracker, joined with the pictures by time: natnet://HOST, "
             "vrpn://TOOL@HOST, ndi://HOST, udp://:PORT, as in echosolid track; up to 4 times"},
    {.name = "no-crc",
     .type = OPT_FLAG,
     .offset = offsetof(live_options, no_crc),
     .help = "take messages with a wrong check sum: old bridges send none"},
    {.name = "serve",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 65535,
     .value = "PORT",
     .offset = offsetof(live_options, serve),
     .help = "serve picture, poses, volume and bone by OpenIGTLink, for 3D Slicer; 0: any port, "
             "which is told"},
    {.name = "parts",
     .type = OPT_FLAG,
     .offset = offsetof(live_options, parts),
     .help =
         "with --serve, while the volume's box stays the same send only the box of what changed, "
         "as a part of an IMAGE; for clients that understand it, as 3D Slicer does"},
    {.name = "page",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 65535,
     .value = "PORT",
     .offset = offsetof(live_options, page),
     .help =
         "show the scan in a browser: picture, bone, the growing surface, what to do better; 0: "
         "any port; the address is told"},
    {.name = "elevation",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.1,
     .high = 50,
     .fallback = "3",
     .offset = offsetof(live_options, elevation),
     .help = "with --page, how thick the scanner's picture is: the page warns of pictures that are "
             "further apart, or further than three voxels"},
    {.name = "listen",
     .type = OPT_TEXT,
     .value = "ADDRESS",
     .fallback = "127.0.0.1",
     .offset = offsetof(live_options, listen),
     .help = "where --serve and --page listen; one that others can reach needs --token"},
    {.name = "token",
     .type = OPT_TEXT,
     .value = "WORD",
     .offset = offsetof(live_options, token),
     .help = "clients of --serve from other machines must send it as a STRING of the device Token; "
             "they may look, not command. The page needs it in its address, and may command"},
    {.name = "folder",
     .type = OPT_TEXT,
     .value = "FOLDER",
     .offset = offsetof(live_options, folder),
     .help = "where the commands of clients on this machine may write (StartRecording, SaveConfig, "
             "...), and Save on the page; default: nowhere"},
    {.name = "preview",
     .type = OPT_NUMBER,
     .unit = UNIT_HZ,
     .low = 0,
     .high = 60,
     .fallback = "30",
     .offset = offsetof(live_options, preview),
     .help = "surfaces shown a second at most, and never more than half of the time is "
             "spent on them; 0: none"},
    {.name = "fill",
     .type = OPT_TEXT,
     .value = "STEPS",
     .offset = offsetof(live_options, setup.fill),
     .help = "fill holes of the volume at the end, as in reconstruct"},
    PLACE_OPTIONS(live_options),
    THREADS_OPTION(live_options, setup.threads),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid live --connect 192.168.0.5:18944 --config scan.xml --record scan.igs.nhdr -o "
    "volume.mha",
    "echosolid live --config scan.xml --bone --model bone.stl --serve 18945 --folder .",
    "echosolid live --config scan.xml --bone --page 8080 --folder out",
    "echosolid live --capture 'v4l2:///dev/video0?size=1920x1080' --tracker natnet://192.168.0.9 "
    "--config scan.xml --record scan.igs.nhdr",
    NULL};

/* ---- the end, by time or by hand ------------------------------------------------ */

static volatile sig_atomic_t stopped;

/* The first Ctrl-C ends the scan, and the outputs are written; the second ends
 * the program. es_cancel would stop the writing too. */
static void on_stop(int number) {
    stopped = 1;
    signal(number, SIG_DFL);
}

typedef struct live_app {
    const live_options *o;
    es_plus *plus;
    char source[300];     /* where the pictures come from, without a password */
    char *mask, *journal; /* NAME.live.nhdr, or what --record names */
    es_live_poses *poses; /* of other trackers */
    es_tracker *trackers[TRACKERS];
    es_live *live;
    es_live_server *server;
    es_live_run *run;
    es_live_page *page; /* NULL: none */
    live_saver saver;
    live_wizard *wizard; /* NULL without a page */
    es_model_options model;
    es_model_result bone;
    es_fill_stats fill;
    app_origin origin;
    double end_s;
} live_app;

static bool should_stop(void *context) {
    live_app *a = context;
    if (es_live_page_poll(a->page, a->run)) live_save(&a->saver);
    return stopped || es_clock_s() >= a->end_s;
}

/* ---- what is told ------------------------------------------------------------------ */

/* What only pictures without a server have. */
static const char *captured(const live_app *a, const es_live_stats *l, char text[120]) {
    *text = '\0';
    if (a->o->capture)
        snprintf(text, 120, "  doubled %llu  missed %llu  damaged %llu",
                 (unsigned long long)l->duplicates, (unsigned long long)l->missed,
                 (unsigned long long)l->damaged);
    return text;
}

static void print_state(void *context, const es_live_state *s) {
    const live_app *a = context;
    char memory[32], more[120];
    app_note(&a->o->common,
             "%4.0f s  received %lld  paired %llu  inserted %lld  dropped %lld  unplaced %lld  "
             "lost %llu%s  latency %.1f ms (99 %%: %.1f)  %s%s",
             s->seconds, (long long)s->received, (unsigned long long)s->link.paired,
             (long long)s->inserted, (long long)s->dropped, (long long)s->unplaced,
             (unsigned long long)s->link.lost, captured(a, &s->link, more),
             1e3 * s->latency_median_s, 1e3 * s->latency_p99_s, app_bytes(s->memory_peak, memory),
             s->link.connected ? "" : "  (no connection)");
}

static void show_frame(void *context, const es_frame *frame, const es_mat4 *place) {
    live_app *a = context;
    live_wizard_frame(a->wizard, frame);
    es_live_page_frame(a->page, frame, place);
}

static void show_mesh(void *context, const es_mesh *mesh) {
    es_live_page_mesh(((live_app *)context)->page, mesh);
}

static bool wants_mesh(void *context, bool *anybody) {
    return es_live_page_wants_mesh(((live_app *)context)->page, anybody);
}

static void show_volume(void *context, const es_grid *volume) {
    es_live_page_volume(((live_app *)context)->page, volume);
}

static void show_bone(void *context, const es_frame *frame, const es_mat4 *place,
                      const es_trace *trace) {
    es_live_page_bone(((live_app *)context)->page, frame, place, trace);
}

static void show_undone(void *context, int64_t first) {
    es_live_page_undone(((live_app *)context)->page, first);
}

static json_t *link_json(const es_live_stats *l) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                     "messages", (json_int_t)l->messages, "bytes", (json_int_t)l->bytes, "pictures",
                     (json_int_t)l->pictures, "poses", (json_int_t)l->poses, "paired",
                     (json_int_t)l->paired, "unpaired", (json_int_t)l->unpaired, "lost",
                     (json_int_t)l->lost, "odd", (json_int_t)l->odd, "wrong_sum",
                     (json_int_t)l->crc, "malformed", (json_int_t)l->malformed, "connections",
                     (json_int_t)l->connections, "duplicates", (json_int_t)l->duplicates, "missed",
                     (json_int_t)l->missed, "damaged", (json_int_t)l->damaged);
}

static json_t *summary_json(const live_app *a, const es_live_state *s) {
    const es_setup *setup = es_live_run_setup(a->run);
    json_t *root = json_pack(
        "{s:f, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "seconds",
        s->seconds, "received", (json_int_t)s->received, "recorded", (json_int_t)s->recorded,
        "unplaced", (json_int_t)s->unplaced, "inserted", (json_int_t)s->inserted, "dropped",
        (json_int_t)s->dropped, "latency_median_s", app_json_number(s->latency_median_s),
        "latency_p99_s", app_json_number(s->latency_p99_s), "previews", (json_int_t)s->previews,
        "bricks", (json_int_t)s->bricks, "peak_memory_bytes", (json_int_t)s->memory_peak,
        "shown_median_s", app_json_number(s->shown_median_s), "shown_p99_s",
        app_json_number(s->shown_p99_s), "depth_mm", app_json_number(es_live_depth_mm(a->live)),
        "link", link_json(&s->link));
    json_object_set_new(root, "undone", json_integer((json_int_t)s->undone));
    if (a->o->output) json_object_set_new(root, "output", json_string(a->o->output));
    if (a->o->record) json_object_set_new(root, "record", json_string(a->o->record));
    if (a->o->model)
        json_object_set_new(root, "triangles",
                            json_integer((json_int_t)a->bone.shape.mesh.triangle_count));
    if (setup) json_object_set_new(root, "decisions", app_json_decisions(&setup->decisions));
    return root;
}

static void print_summary(const live_app *a, const es_live_state *s) {
    printf("%lld frames in %.1f s: %lld inserted, %lld dropped, %lld without a valid position, "
           "%llu lost\n",
           (long long)s->received, s->seconds, (long long)s->inserted, (long long)s->dropped,
           (long long)s->unplaced, (unsigned long long)s->link.lost);
    if (a->o->capture)
        printf("%llu pictures came twice, %llu never, %llu were damaged\n",
               (unsigned long long)s->link.duplicates, (unsigned long long)s->link.missed,
               (unsigned long long)s->link.damaged);
    if (s->undone > 0) printf("%lld more were taken back\n", (long long)s->undone);
    if (s->inserted > 0)
        printf("latency from received to inserted: median %.1f ms, 99 %% %.1f ms\n",
               1e3 * s->latency_median_s, 1e3 * s->latency_p99_s);
    if (s->previews > 0)
        printf("%lld surfaces shown, from received: median %.1f ms, 99 %% %.1f ms\n",
               (long long)s->previews, 1e3 * s->shown_median_s, 1e3 * s->shown_p99_s);
    if (a->o->record) printf("%s: %lld frames recorded\n", a->o->record, (long long)s->recorded);
    if (a->o->output) printf("%s: the volume\n", a->o->output);
    if (a->o->model) printf("%s: %zu triangles\n", a->o->model, a->bone.shape.mesh.triangle_count);
}

/* ---- the start ------------------------------------------------------------------------ */

static bool check_source(const live_options *o, es_error *err) {
    bool crop = !isnan(o->crop[0]);
    if (o->capture && (o->connect || o->no_crc))
        return es_fail(err, ES_USAGE,
                       "live: --capture takes pictures without a server: leave out %s",
                       o->connect ? "--connect" : "--no-crc");
    if (!o->capture && (crop || o->whole))
        return es_fail(err, ES_USAGE, "live: %s is for --capture", crop ? "--crop" : "--whole");
    return !crop || (o->crop[2] > 0 && o->crop[3] > 0) ||
           es_fail(err, ES_USAGE, "--crop: width and height must be above 0");
}

static bool check_outputs(const live_options *o, es_error *err) {
    if (!o->output && !o->record && !o->model && isnan(o->serve) && isnan(o->page))
        return es_fail(err, ES_USAGE,
                       "live: name the volume with -o, or what to record with --record, or show it "
                       "with --page");
    if (o->folder && access(o->folder, W_OK | X_OK) != 0)
        return es_fail_errno(err, "--folder %s", o->folder);
    if (o->output && !es_grid_can_write(o->output, err)) return false;
    if (o->record && !es_sequence_can_write(o->record, err)) return false;
    if (o->model && !o->bone)
        return es_fail(err, ES_USAGE, "--model is made of the bone: give --bone beside it");
    return !o->model || es_mesh_can_write(o->model, err);
}

static bool name_journal(live_app *a, es_error *err) {
    const char *record = a->o->record;
    if (!record) return true;
    a->journal = es_has_suffix(record, ".nhdr") ? es_copy_text(record, err)
                                                : app_sibling(record, ".live.nhdr", err);
    return a->journal != NULL;
}

static bool open_server(live_app *a, es_error *err) {
    const live_options *o = a->o;
    if (isnan(o->serve)) return true;
    es_live_server_options s = ES_LIVE_SERVER_DEFAULTS;
    s.address = o->listen;
    s.port = (int)o->serve;
    s.token = o->token;
    a->server = es_live_server_new(&s, err);
    if (a->server)
        app_note(&o->common, "OpenIGTLink is served at %s:%d", o->listen,
                 es_live_server_port(a->server));
    return a->server != NULL;
}

static void name_source(live_app *a) {
    const live_options *o = a->o;
    if (o->capture)
        es_capture_name(o->capture, a->source);
    else
        snprintf(a->source, sizeof a->source, "%s", o->connect ? o->connect : "127.0.0.1:18944");
}

/* Before the link: the page then says what is waited for. */
static bool open_page(live_app *a, es_error *err) {
    const live_options *o = a->o;
    es_live_page_options p = ES_LIVE_PAGE_DEFAULTS;
    if (isnan(o->page)) return true;
    p.address = o->listen;
    p.port = (int)o->page;
    p.token = o->token;
    p.source = a->source;
    p.can_save = o->folder != NULL;
    p.coach.elevation_mm = o->elevation;
    p.plus = a->plus;
    p.config = o->setup.config ? es_path_name(o->setup.config) : NULL;
    a->wizard = live_wizard_new(a->plus, o->folder, a->source, err);
    p.wizard = live_wizard_text;
    p.wizard_context = a->wizard;
    a->page = a->wizard ? es_live_page_new(&p, err) : NULL;
    if (!a->page) return false;
    live_wizard_show(a->wizard, a->page);
    app_note(&o->common, "the page: http://%s:%d/%s%s", o->listen, es_live_page_port(a->page),
             o->token ? "?token=" : "", o->token ? o->token : "");
    if (!es_live_page_has_scene())
        app_note(&o->common, "without its 3-D view: this echosolid was built without npm");
    return true;
}

static bool open_trackers(live_app *a, es_error *err) {
    if (!a->o->trackers[0]) return true;
    a->poses = es_live_poses_new(POSES, err);
    for (int i = 0; a->poses && i < TRACKERS && a->o->trackers[i]; i++) {
        const es_tracker_options options = {.pose = es_tracker_push, .context = a->poses};
        a->trackers[i] = es_tracker_open(a->o->trackers[i], &options, err);
        if (!a->trackers[i]) return false;
    }
    return a->poses != NULL;
}

static es_live *open_capture(const live_app *a, const es_live_options *l, es_error *err) {
    const live_options *o = a->o;
    es_live_capture_options c = {.address = o->capture, .whole = o->whole};
    for (int i = 0; !isnan(o->crop[0]) && i < 4; i++) c.crop[i] = (uint32_t)o->crop[i];
    if (!o->trackers[0] && es_capture_is(o->capture))
        app_note(
            &o->common,
            "no --tracker is given: the pictures will have no poses, and can only be recorded");
    return es_live_capture(&c, l, err);
}

static bool open_link(live_app *a, es_error *err) {
    const live_options *o = a->o;
    char host[256];
    es_live_options l = ES_LIVE_DEFAULTS;
    if (!o->capture && !es_live_endpoint(a->source, host, &l.port, err)) return false;
    l.host = host;
    l.first_s = o->first;
    l.tolerance_s = o->tolerance;
    l.wait_s = o->wait;
    l.lag_s = o->lag;
    l.ignore_crc = o->no_crc;
    l.poses = a->poses;
    a->live = o->capture ? open_capture(a, &l, err) : es_live_open(&l, err);
    if (!a->live) return false;
    const es_stream_info *info = es_source_info(es_live_source(a->live));
    app_note(&o->common, "%s: pictures of %u x %u, taken as MF (u along the transducer)", a->source,
             info->width, info->height);
    return true;
}

static bool open_run(live_app *a, const es_setup_request *request, es_error *err) {
    const live_options *o = a->o;
    es_live_run_options r = ES_LIVE_RUN_DEFAULTS;
    a->model = (es_model_options)ES_MODEL_DEFAULTS;
    a->model.method = es_bone_method_default();
    r.source = es_live_source(a->live);
    r.live = a->live;
    r.request = request;
    r.bone = o->bone ? &a->model : NULL;
    r.record = a->journal;
    r.queue = (int)o->queue;
    r.preview_hz = o->preview;
    r.threads = (int)o->setup.threads;
    r.server = a->server;
    r.volume_parts = o->parts;
    r.output_folder = o->folder;
    r.stop = should_stop;
    r.stop_context = a;
    r.watch = (es_live_watch){.context = a, .state = print_state};
    if (a->page) {
        r.watch.frame = show_frame;
        r.watch.mesh = show_mesh;
        r.watch.wants_mesh = wants_mesh;
        r.watch.volume = show_volume;
        r.watch.bone = show_bone;
        r.watch.undone = show_undone;
    }
    a->run = es_live_run_new(&r, err);
    a->saver = (live_saver){.page = a->page,
                            .run = a->run,
                            .folder = o->folder,
                            .origin = &a->origin,
                            .thickness_mm = a->model.shape.thickness_mm};
    return a->run != NULL;
}

/* ---- the outputs ---------------------------------------------------------------------- */

/* What was recorded as it came becomes the file that was asked for. */
static bool convert_journal(live_app *a, es_error *err) {
    es_sequence_options options = ES_SEQUENCE_DEFAULTS;
    int64_t frames;
    return !a->journal || strcmp(a->journal, a->o->record) == 0 ||
           es_journal_convert(a->journal, a->o->record, &options, &frames, err);
}

static bool write_outputs(live_app *a, es_error *err) {
    const live_options *o = a->o;
    const es_setup *setup = es_live_run_setup(a->run);
    const char *inputs[] = {o->record, o->setup.config};
    if (!setup) return true;
    app_decisions(&o->common, &setup->decisions);
    app_origin_clear(&a->origin); /* of Save, before the recording was there */
    if (!app_origin_make(&a->origin, &command_live, o, inputs, 2, err)) return false;
    grey_output grey = {.path = o->output, .holes = &setup->holes, .origin = &a->origin};
    if (!grey_write(&grey, es_live_run_volume(a->run), &a->fill, err)) return false;
    if (!o->bone || !o->model) return true;
    char title[80];
    app_origin_title(&a->origin, "bone", title);
    es_mesh_write_options write = {.title = title};
    return es_model_finish(es_live_run_model(a->run), &a->bone, err) &&
           es_mesh_write(o->model, &a->bone.shape.mesh, &write, err);
}

/* A solution that goes on is given up. */
static void end_wizard(live_app *a) {
    bool cancelled = es_cancelled(NULL);
    es_cancel();
    live_wizard_free(a->wizard);
    if (!cancelled) es_cancel_reset();
}

static void close_all(live_app *a) {
    es_model_result_clear(&a->bone);
    app_origin_clear(&a->origin);
    live_save_end(&a->saver);
    es_live_run_free(a->run);
    live_wizard_show(a->wizard, NULL);
    es_live_page_free(a->page);
    end_wizard(a);
    for (int i = 0; i < TRACKERS; i++) es_tracker_close(a->trackers[i]);
    es_live_free(a->live);
    es_live_poses_free(a->poses);
    es_live_server_free(a->server);
    es_plus_free(a->plus);
    es_free(a->mask);
    es_free(a->journal);
}

/* Pictures without poses are enough where a recording of them is all that was asked for. */
static bool was_only_recorded(const live_app *a, es_error *err) {
    const live_options *o = a->o;
    bool only = o->capture && !o->output && !o->model && es_live_run_state(a->run).recorded > 0 &&
                err->code == ES_GEOMETRY && !es_live_run_setup(a->run);
    if (!only) return false;
    app_note(&o->common, "%s", err->message);
    *err = (es_error){0};
    return true;
}

/* Whatever came is kept: an error in the middle costs neither the recording nor
 * the volume so far. */
static bool work(live_app *a, es_error *err) {
    es_error later = {0};
    double depth;
    bool ran = es_live_run_go(a->run, err) || was_only_recorded(a, err);
    live_save_end(&a->saver);
    es_live_page_end(a->page, ran ? "The scan is over." : err->message);
    es_live_stop(a->live);
    bool kept = es_live_run_state(a->run).recorded == 0 || convert_journal(a, &later);
    kept = kept && write_outputs(a, &later);
    if (ran && !kept) *err = later;
    if (!ran && !kept) app_note(&a->o->common, "%s", later.message);
    depth = es_live_depth_mm(a->live);
    if (!isnan(depth))
        app_note(&a->o->common,
                 "the server says DepthMm %g: that is the scanner's setting, which echosolid "
                 "spacing weighs with --depth-mm",
                 depth);
    return ran && kept;
}

/* Of what is saved while the scan goes on: the recording is no input yet. */
static bool make_origin(live_app *a, es_error *err) {
    const char *inputs[] = {a->o->setup.config};
    return !a->page || app_origin_make(&a->origin, &command_live, a->o, inputs, 1, err);
}

static bool open_all(live_app *a, es_setup_request *request, es_error *err) {
    const live_options *o = a->o;
    name_source(a);
    if (!check_source(o, err) || !check_outputs(o, err) || !name_journal(a, err)) return false;
    if (o->setup.config && !(a->plus = es_plus_read(o->setup.config, err))) return false;
    return session_request(&o->setup, a->plus, &a->mask, request, err) && open_server(a, err) &&
           open_page(a, err) && open_trackers(a, err) && open_link(a, err) && make_origin(a, err) &&
           open_run(a, request, err);
}

static int run(const void *options, const char *const *files, int count) {
    (void)files;
    (void)count;
    live_app a = {.o = options};
    es_error err = {0};
    es_setup_request request;
    struct sigaction action = {.sa_handler = on_stop}, old[2];
    stopped = 0;
    a.end_s = isnan(a.o->seconds) ? INFINITY : es_clock_s() + a.o->seconds;
    int status = 1;
    bool ok = open_all(&a, &request, &err);
    if (ok) {
        sigaction(SIGINT, &action, &old[0]);
        sigaction(SIGTERM, &action, &old[1]);
        a.end_s = isnan(a.o->seconds) ? INFINITY : es_clock_s() + a.o->seconds;
        ok = work(&a, &err);
        sigaction(SIGINT, &old[0], NULL);
        sigaction(SIGTERM, &old[1], NULL);
    }
    if (ok) {
        es_live_state state = es_live_run_state(a.run);
        status = 0;
        if (a.o->common.json)
            status = app_print_json(summary_json(&a, &state));
        else
            print_summary(&a, &state);
    } else {
        status = app_fail(&err);
    }
    close_all(&a);
    return status;
}

const command command_live = {
    .name = "live",
    .summary = "frames from a scanner as they come, recorded and built into a volume",
    .usage = "--connect HOST:PORT | --capture SOURCE -o VOLUME [options]",
    .description =
        "Connects to an OpenIGTLink server, or takes pictures from a grabber or stream, joins "
        "pictures and poses by their time stamps, records everything, and inserts each frame into "
        "the volume as it comes. A frame that comes when "
        "the queue is full is recorded with a mark and not inserted: nothing ever lags behind. The "
        "recording, given to reconstruct with the same configuration and options, makes the same "
        "volume. Once a second the counts are told; Ctrl-C ends the scan and writes the outputs. "
        "docs/live.md goes through it with PlusServer and 3D Slicer.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(live_options),
    .arguments_min = 0,
    .arguments_max = 0,
    .run = run};
