/* echosolid track: what a tracker sends, once a second, and as a table of poses. */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "echosolid/trackers.h"

enum { QUEUE = 8192, TOOLS = 64 };

typedef struct track_options {
    common_options common;
    double seconds;
    const char *output;
} track_options;

static const opt table[] = {{.name = "seconds",
                             .type = OPT_NUMBER,
                             .unit = UNIT_S,
                             .low = 0.01,
                             .high = 1e6,
                             .value = "S",
                             .offset = offsetof(track_options, seconds),
                             .help = "stop after this time; else on Ctrl-C or when the input ends"},
                            {.name = "output",
                             .letter = 'o',
                             .type = OPT_TEXT,
                             .value = "CSV",
                             .offset = offsetof(track_options, output),
                             .help = "write a table of poses, as --poses reads it"},
                            {.name = NULL}};

static const char *const examples[] = {"echosolid track natnet://192.168.1.10",
                                       "echosolid track vrpn://Probe@192.168.1.10 --json",
                                       "echosolid track - --seconds 10s --output poses.csv", NULL};

/* ---- from the tracker's thread to this one ----------------------------------------- */

typedef struct mailbox {
    pthread_mutex_t lock;
    es_tracked items[QUEUE];
    size_t first, count;
    uint64_t dropped;
} mailbox;

static void receive(void *context, const es_tracked *tracked) {
    mailbox *box = context;
    pthread_mutex_lock(&box->lock);
    if (box->count == QUEUE)
        box->dropped++;
    else
        box->items[(box->first + box->count++) % QUEUE] = *tracked;
    pthread_mutex_unlock(&box->lock);
}

static bool take(mailbox *box, es_tracked *tracked) {
    pthread_mutex_lock(&box->lock);
    bool any = box->count > 0;
    if (any) {
        *tracked = box->items[box->first];
        box->first = (box->first + 1) % QUEUE;
        box->count--;
    }
    pthread_mutex_unlock(&box->lock);
    return any;
}

/* ---- figures ------------------------------------------------------------------------- */

/* Jitter is the noise of the positions by their second differences, whose variance is
 * six times that of white noise: a tool that glides adds nothing. At rest it is
 * the tracker's noise; a hand that shakes adds its own. */
typedef struct figures {
    uint64_t poses, valid, differences, errors;
    double latency_s, squares_mm2, error_mm; /* sums */
} figures;

typedef struct tool_record {
    char name[ES_NAME_SIZE];
    figures all, lately;
    es_vec3 last[2]; /* valid places before this one */
    int places;
    double last_s;
} tool_record;

typedef struct tracking {
    const track_options *options;
    mailbox box;
    tool_record tools[TOOLS];
    int tool_count;
    es_tracker_state state;
    es_output *out;
    uint64_t rows, backwards, elsewhere; /* the latter two left out of the table */
    double last_s;                       /* of the table */
    double begun_s, lately_s;
} tracking;

static void add_figures(figures *f, const es_tracked *t, const es_vec3 *difference) {
    f->poses++;
    f->latency_s += t->received_s - t->pose.time_s;
    if (!t->pose.valid) return;
    f->valid++;
    if (difference) {
        f->differences++;
        f->squares_mm2 += es_vec3_dot(*difference, *difference);
    }
    if (!isfinite(t->error_mm)) return;
    f->errors++;
    f->error_mm += t->error_mm;
}

static tool_record *find_tool(tracking *t, const char *name) {
    for (int i = 0; i < t->tool_count; i++)
        if (strcmp(t->tools[i].name, name) == 0) return &t->tools[i];
    if (t->tool_count == TOOLS) return NULL;
    tool_record *found = &t->tools[t->tool_count++];
    *found = (tool_record){.last_s = -INFINITY};
    snprintf(found->name, sizeof found->name, "%s", name);
    return found;
}

static void count_pose(tool_record *tool, const es_tracked *t) {
    es_vec3 place = es_mat4_column(t->pose.matrix, 3);
    es_vec3 difference =
        es_vec3_add(es_vec3_sub(place, es_vec3_scale(tool->last[0], 2)), tool->last[1]);
    const es_vec3 *second = t->pose.valid && tool->places >= 2 ? &difference : NULL;
    add_figures(&tool->all, t, second);
    add_figures(&tool->lately, t, second);
    tool->places = t->pose.valid ? tool->places + 1 : 0; /* no difference across a gap */
    tool->last[1] = tool->last[0];
    tool->last[0] = place;
}

static double share(double sum, uint64_t count) { return count ? sum / (double)count : NAN; }
static double jitter_mm(const figures *f) {
    return sqrt(share(f->squares_mm2, f->differences) / 6);
}
static bool has_latency(const es_tracker_state *s) { return s->clock != ES_CLOCK_NONE; }

/* ---- the table ---------------------------------------------------------------------------- */

/* "ProbeToTracker" -> "Probe"; others are relative to something that the table has
 * no word for. */
static bool tool_of(const char *name, char from[ES_NAME_SIZE]) {
    char to[ES_NAME_SIZE];
    return es_transform_name_split(name, from, to, NULL) && strcmp(to, "Tracker") == 0;
}

static bool write_row(tracking *t, const es_live_pose *pose, const char *from, double error_mm,
                      es_error *err) {
    char text[9][ES_NUMBER_SIZE] = {""};
    es_quat q = es_quat_from_mat4(pose->matrix);
    es_vec3 p = es_mat4_column(pose->matrix, 3);
    const double numbers[9] = {pose->time_s, p.x, p.y, p.z, q.w, q.x, q.y, q.z, error_mm};
    for (int i = 0; i < 9; i++)
        if (i == 0 || (pose->valid && isfinite(numbers[i]))) es_format_double(numbers[i], text[i]);
    t->rows++;
    return es_output_print(t->out, err, "%s,\"%s\",%s,%s,%s,%s,%s,%s,%s,%s,%s\n", text[0], from,
                           pose->valid ? "OK" : "MISSING", text[1], text[2], text[3], text[4],
                           text[5], text[6], text[7], text[8]);
}

static bool record(tracking *t, tool_record *tool, const es_tracked *tracked, es_error *err) {
    char from[ES_NAME_SIZE];
    if (!t->out) return true;
    if (!tool_of(tracked->pose.name, from)) {
        t->elsewhere++;
        return true;
    }
    double time_s = tracked->pose.time_s;
    if (!(time_s >= t->last_s && time_s > tool->last_s)) { /* a table's times grow */
        t->backwards++;
        return true;
    }
    tool->last_s = t->last_s = time_s;
    return write_row(t, &tracked->pose, from, tracked->error_mm, err);
}

static bool open_table(tracking *t, es_error *err) {
    if (!t->options->output) return true;
    t->out = es_output_open(t->options->output, err);
    /* The first line settles how the table is to be read (src/format/pose_table.c). */
    return t->out &&
           es_output_print(t->out, err,
                           "# echosolid track: tool to tracker, mm, right-handed; Unix seconds\n"
                           "time_s,tool,state,tx_mm,ty_mm,tz_mm,qw,qx,qy,qz,error_mm\n");
}

/* ---- printing ---------------------------------------------------------------------------------
 */

static void print_tool(const tracking *t, const char *name, const figures *f, double seconds) {
    printf("  %-24s %6.1f /s", name, (double)f->poses / seconds);
    if (f->poses) printf("  %3.0f %% valid", 100 * share((double)f->valid, f->poses));
    if (has_latency(&t->state) && f->poses)
        printf("  latency %.1f ms%s", 1000 * share(f->latency_s, f->poses),
               t->state.clock == ES_CLOCK_ARRIVAL ? " over the fastest" : "");
    if (f->differences) printf("  jitter %.3f mm", jitter_mm(f));
    if (f->errors) printf("  error %.2f mm", share(f->error_mm, f->errors));
    printf("\n");
}

static void print_head(const tracking *t) {
    const es_tracker_state *s = &t->state;
    printf("%6.1f s  %s", es_clock_s() - t->begun_s, s->connected ? s->peer : "not connected");
    if (s->clock == ES_CLOCK_ECHO)
        printf("; clock by echo, +-%.2f ms", 1000 * s->clock_error_s);
    else if (s->poses)
        printf("; clock: %s", es_tracker_clock_name(s->clock));
    if (s->missed) printf("; %llu frames missed", (unsigned long long)s->missed);
    if (s->foreign)
        printf("; %llu packets of other addresses dropped", (unsigned long long)s->foreign);
    if (s->malformed) printf("; %llu refused", (unsigned long long)s->malformed);
    if (s->silent) printf("; SILENT");
    if (s->problem[0] && (!s->connected || s->malformed)) printf("; %s", s->problem);
    printf("\n");
}

static void print_second(tracking *t) {
    double now = es_clock_s();
    if (now - t->lately_s < 1) return;
    if (!t->options->common.json && !t->options->common.quiet) {
        print_head(t);
        for (int i = 0; i < t->tool_count; i++)
            print_tool(t, t->tools[i].name, &t->tools[i].lately, now - t->lately_s);
        fflush(stdout);
    }
    for (int i = 0; i < t->tool_count; i++) t->tools[i].lately = (figures){0};
    t->lately_s = now;
}

static json_t *json_tool(const tracking *t, const tool_record *tool, double seconds) {
    const figures *f = &tool->all;
    double latency = has_latency(&t->state) ? 1000 * share(f->latency_s, f->poses) : NAN;
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "name", tool->name, "poses",
                     (json_int_t)f->poses, "valid", (json_int_t)f->valid, "rate_hz",
                     app_json_number((double)f->poses / seconds), "latency_ms",
                     app_json_number(latency), "jitter_mm", app_json_number(jitter_mm(f)),
                     "error_mm", app_json_number(share(f->error_mm, f->errors)));
}

static int print_summary(const tracking *t, double seconds) {
    const es_tracker_state *s = &t->state;
    if (!t->options->common.json) {
        print_head(t);
        printf("in all\n");
        for (int i = 0; i < t->tool_count; i++)
            print_tool(t, t->tools[i].name, &t->tools[i].all, seconds);
        return 0;
    }
    json_t *tools = json_array();
    for (int i = 0; i < t->tool_count; i++)
        json_array_append_new(tools, json_tool(t, &t->tools[i], seconds));
    return app_print_json(
        json_pack("{s:s, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "peer", s->peer,
                  "tools", tools, "clock", es_tracker_clock_name(s->clock), "clock_error_ms",
                  app_json_number(1000 * s->clock_error_s), "packets", (json_int_t)s->packets,
                  "refused", (json_int_t)s->malformed, "foreign", (json_int_t)s->foreign, "stale",
                  (json_int_t)s->stale, "missed", (json_int_t)s->missed, "dropped",
                  (json_int_t)t->box.dropped, "rows", (json_int_t)t->rows, "problem", s->problem));
}

/* ---- running
 * -------------------------------------------------------------------------------------- */

static bool drain(tracking *t, es_error *err) {
    es_tracked tracked;
    while (take(&t->box, &tracked)) {
        tool_record *tool = find_tool(t, tracked.pose.name);
        if (!tool)
            return es_fail(err, ES_UNSUPPORTED, "more than %d tools; the last is \"%s\"", TOOLS,
                           tracked.pose.name);
        count_pose(tool, &tracked);
        if (!record(t, tool, &tracked, err)) return false;
    }
    return true;
}

static bool follow(tracking *t, es_tracker *tracker, es_error *err) {
    double seconds = t->options->seconds;
    t->begun_s = t->lately_s = es_clock_s();
    while (!es_cancelled(NULL) && !t->state.ended &&
           !(es_clock_s() - t->begun_s >= seconds)) { /* NAN: without end */
        usleep(10000);
        es_tracker_look(tracker, &t->state); /* first, so that its end is behind its poses */
        if (!drain(t, err)) return false;
        print_second(t);
    }
    es_tracker_look(tracker, &t->state);
    return drain(t, err);
}

static void note_left_out(const tracking *t) {
    const common_options *common = &t->options->common;
    if (t->elsewhere)
        app_note(common, "%llu poses relative to something else than Tracker are not in the table",
                 (unsigned long long)t->elsewhere);
    if (t->backwards)
        app_note(common, "%llu poses whose time did not grow are not in the table",
                 (unsigned long long)t->backwards);
    if (t->box.dropped)
        app_note(common, "%llu poses were dropped: this machine was too slow",
                 (unsigned long long)t->box.dropped);
}

static int finish(tracking *t, const char *address) {
    es_error err = {0};
    double seconds = fmax(es_clock_s() - t->begun_s, 1e-3);
    if (t->state.poses == 0) {
        es_fail(&err, ES_IO, "%s: no pose came in %.1f s%s%s", address, seconds,
                t->state.problem[0] ? ": " : "; is the tracker streaming?", t->state.problem);
        return app_fail(&err);
    }
    if (t->out && !es_output_commit(t->out, &err)) {
        t->out = NULL;
        return app_fail(&err);
    }
    t->out = NULL;
    note_left_out(t);
    return print_summary(t, seconds);
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    es_error err = {0};
    tracking *t = es_alloc_zero(1, sizeof *t, &err);
    if (!t) return app_fail(&err);
    t->options = options;
    t->last_s = -INFINITY;
    pthread_mutex_init(&t->box.lock, NULL);
    es_tracker_options how = {.pose = receive, .context = &t->box};
    es_tracker *tracker = open_table(t, &err) ? es_tracker_open(files[0], &how, &err) : NULL;
    bool ok = tracker && follow(t, tracker, &err);
    es_tracker_close(tracker);
    int status = ok ? finish(t, files[0]) : app_fail(&err);
    es_output_discard(t->out);
    pthread_mutex_destroy(&t->box.lock);
    es_free(t);
    return status;
}

const command command_track = {
    .name = "track",
    .summary = "what a tracker sends: tools, validity, rate, latency, jitter; as a table of poses",
    .usage = "ADDRESS [options]",
    .description =
        "Reads poses from natnet://HOST (OptiTrack), vrpn://SENDER@HOST, ndi://HOST or "
        "ndi:///dev/ttyUSB0, lines of text "
        "over udp://:PORT or tcp://HOST:PORT, or - for lines on standard input, and prints once a "
        "second what came; docs/trackers.md has the keys behind a '?' and the form of a line. "
        "Jitter is the noise of the positions, by their second differences: let the tool lie "
        "still. The table written with -o is read again by --poses. Its times are Unix seconds of "
        "this machine.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(track_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
