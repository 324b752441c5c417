/* One tracker: its thread, its counters, and how a pose leaves it.
 *
 * Times. Cameras and cables delay a pose, and the tracker's clock is not ours.
 * Where the tracker can be asked (NatNet), stamps are laid on our clock by echo: the
 * round trip that took least leaves the least doubt (Cristian 1989). Where it only
 * stamps, the packet with the least delay is taken to have had none. Our own
 * clock is the monotonic one, laid on Unix time once, so it does not jump. */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tracker_internal.h"

const char *es_tracker_clock_name(es_tracker_clock clock) {
    static const char *const names[] = {"none", "sent", "arrival", "echo"};
    return names[clock];
}

/* ---- clocks -------------------------------------------------------------------------- */

void clock_fit_add(clock_fit *fit, double offset_s, double cost) {
    fit->offset[fit->next] = offset_s;
    fit->cost[fit->next] = cost;
    fit->next = (fit->next + 1) % CLOCK_SAMPLES;
    if (fit->count < CLOCK_SAMPLES) fit->count++;
}

bool clock_fit_best(const clock_fit *fit, double *offset_s, double *cost) {
    int best = -1;
    for (int i = 0; i < fit->count; i++)
        if (best < 0 || fit->cost[i] < fit->cost[best]) best = i;
    if (best < 0) return false;
    *offset_s = fit->offset[best];
    *cost = fit->cost[best];
    return true;
}

double clock_fit_arrival(clock_fit *fit, double stamp_s, double arrived_s) {
    double offset = arrived_s - stamp_s, best = offset, cost;
    /* A clock that was set anew is another clock. */
    if (clock_fit_best(fit, &best, &cost) && fabs(offset - best) > 5) *fit = (clock_fit){0};
    int last = (fit->next + CLOCK_SAMPLES - 1) % CLOCK_SAMPLES;
    if (fit->count == 0 || arrived_s - fit->begun_s > 0.5 || arrived_s < fit->begun_s) {
        clock_fit_add(fit, offset, offset);
        fit->begun_s = arrived_s;
    } else if (offset < fit->offset[last]) {
        fit->offset[last] = fit->cost[last] = offset;
    }
    clock_fit_best(fit, &best, &cost);
    return stamp_s + best;
}

double tracker_now(const es_tracker *tracker) { return es_clock_s() + tracker->unix_s; }

double tracker_stamp(es_tracker *tracker, double stamp_s, double arrived_s) {
    bool sent = tracker->address.clock_sent;
    tracker_set_clock(tracker, sent ? ES_CLOCK_SENT : ES_CLOCK_ARRIVAL, NAN);
    if (sent) return stamp_s;
    /* Tools of one moment stay of one moment. */
    if (stamp_s == tracker->stamp_s && tracker->arrivals.count) return tracker->stamp_time_s;
    tracker->stamp_s = stamp_s;
    tracker->stamp_time_s = clock_fit_arrival(&tracker->arrivals, stamp_s, arrived_s);
    return tracker->stamp_time_s;
}

void tracker_pause(es_tracker *tracker, double seconds) {
    double until = es_clock_s() + seconds;
    while (es_clock_s() < until && !tracker_stopping(tracker)) usleep(20000);
}

/* ---- what others see ------------------------------------------------------------------- */

void tracker_connected(es_tracker *tracker, const char *format, ...) {
    va_list arguments;
    pthread_mutex_lock(&tracker->lock);
    va_start(arguments, format);
    vsnprintf(tracker->state.peer, sizeof tracker->state.peer, format, arguments);
    va_end(arguments);
    if (!tracker->state.connected) tracker->state.connects++;
    tracker->state.connected = true;
    pthread_mutex_unlock(&tracker->lock);
}

void tracker_problem(es_tracker *tracker, const char *format, ...) {
    va_list arguments;
    pthread_mutex_lock(&tracker->lock);
    va_start(arguments, format);
    vsnprintf(tracker->state.problem, sizeof tracker->state.problem, format, arguments);
    va_end(arguments);
    tracker->state.connected = false;
    pthread_mutex_unlock(&tracker->lock);
}

void tracker_malformed(es_tracker *tracker, const es_error *err) {
    pthread_mutex_lock(&tracker->lock);
    tracker->state.malformed++;
    snprintf(tracker->state.problem, sizeof tracker->state.problem, "%.390s", err->message);
    pthread_mutex_unlock(&tracker->lock);
}

void tracker_count(es_tracker *tracker, tracker_counter counter, uint64_t more) {
    es_tracker_state *s = &tracker->state;
    uint64_t *const counters[] = {&s->packets, &s->foreign, &s->stale, &s->missed};
    pthread_mutex_lock(&tracker->lock);
    *counters[counter] += more;
    pthread_mutex_unlock(&tracker->lock);
}

void tracker_set_clock(es_tracker *tracker, es_tracker_clock clock, double error_s) {
    pthread_mutex_lock(&tracker->lock);
    tracker->state.clock = clock;
    tracker->state.clock_error_s = error_s;
    pthread_mutex_unlock(&tracker->lock);
}

void es_tracker_look(es_tracker *tracker, es_tracker_state *state) {
    pthread_mutex_lock(&tracker->lock);
    *state = tracker->state;
    state->silent = es_clock_s() - tracker->last_pose_s > tracker->options.silence_s;
    pthread_mutex_unlock(&tracker->lock);
}

/* ---- a pose ------------------------------------------------------------------------------ */

/* "Probe" -> "ProbeToTracker"; a name with From and To stays. Control signs would
 * reach terminals and files: they become '_'. */
static void transform_name(const char *name, char out[ES_NAME_SIZE]) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    snprintf(out, ES_NAME_SIZE, "%.*s", ES_NAME_SIZE - 10, name[0] ? name : "Tool");
    for (char *at = out; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127 || *at == '"' || *at == ',') *at = '_';
    if (es_transform_name_split(out, from, to, NULL)) return;
    memcpy(out + strlen(out), "ToTracker", sizeof "ToTracker");
}

static void hand_over(es_tracker *tracker, const tracker_sample *sample, es_mat4 matrix,
                      bool valid) {
    es_tracked tracked = {.error_mm = sample->error_mm, .received_s = sample->received_s};
    tracked.pose.time_s = sample->time_s;
    tracked.pose.valid = valid;
    tracked.pose.matrix = valid ? es_mat4_multiply(tracker->turn, matrix) : es_mat4_identity();
    transform_name(sample->name, tracked.pose.name);
    pthread_mutex_lock(&tracker->lock);
    tracker->state.poses++;
    tracker->last_pose_s = es_clock_s();
    pthread_mutex_unlock(&tracker->lock);
    tracker->options.pose(tracker->options.context, &tracked);
}

/* Numbers of a real pose: within 100 m, as finite as they should be. */
static bool is_near(es_vec3 p) {
    return fabs(p.x) < 1e5 && fabs(p.y) < 1e5 && fabs(p.z) < 1e5; /* false for NaN */
}

void tracker_give(es_tracker *tracker, const tracker_sample *sample) {
    es_quat q = sample->turn;
    double norm = sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z);
    /* float and printed quaternions are off by 1e-7 and 1e-4; 1 % is another thing */
    bool valid = sample->valid && fabs(norm - 1) < 0.01 && is_near(sample->place_mm);
    es_mat4 matrix = es_mat4_identity();
    if (valid) {
        es_quat unit = {q.w / norm, q.x / norm, q.y / norm, q.z / norm};
        matrix = es_quat_to_mat4(unit, sample->place_mm);
    }
    hand_over(tracker, sample, matrix, valid);
}

void tracker_give_matrix(es_tracker *tracker, const tracker_sample *sample, es_mat4 matrix) {
    bool valid = sample->valid && es_mat4_finite(matrix) && is_near(es_mat4_column(matrix, 3)) &&
                 es_mat4_rigid_defect(matrix) < 0.01 && es_mat4_det3(matrix) > 0;
    hand_over(tracker, sample, matrix, valid);
}

void es_tracker_push(void *context, const es_tracked *tracked) {
    es_live_poses_push(context, &tracked->pose);
}

/* ---- open and close ------------------------------------------------------------------------ */

static es_mat4 up_turn(es_up_axis up) {
    const double quarter = 1.5707963267948966;
    es_vec3 x = es_vec3_make(1, 0, 0);
    es_mat4 turn = up == ES_UP_Y_TO_Z   ? es_mat4_rotation(x, quarter)
                   : up == ES_UP_Z_TO_Y ? es_mat4_rotation(x, -quarter)
                                        : es_mat4_identity();
    for (int i = 0; i < 16; i++) turn.m[i] = round(turn.m[i]); /* quarter turns are exact */
    return turn;
}

static void *run(void *context) {
    es_tracker *tracker = context;
    const char *scheme = tracker->address.scheme;
    if (strcmp(scheme, "natnet") == 0)
        tracker_run_natnet(tracker);
    else if (strcmp(scheme, "vrpn") == 0)
        tracker_run_vrpn(tracker);
    else if (strcmp(scheme, "ndi") == 0)
        tracker_run_ndi(tracker);
    else
        tracker_run_lines(tracker);
    return NULL;
}

/* The sockets of this machine that lines come in by: a port in use is said at once. */
static bool open_own(es_tracker *tracker, es_error *err) {
    const tracker_address *a = &tracker->address;
    struct sockaddr_in own = {.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool udp = strcmp(a->scheme, "udp") == 0;
    int bound;
    if (!udp && !(strcmp(a->scheme, "tcp") == 0 && !a->host[0])) return true;
    if (udp && a->host[0] && !socket_resolve(a->host, a->port, &own, err)) return false;
    tracker->listening = udp ? socket_datagram(own.sin_addr, a->port, false, err)
                             : socket_listen("127.0.0.1", a->port, &bound, err);
    return tracker->listening >= 0;
}

static double unix_minus_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - es_clock_s();
}

es_tracker *es_tracker_open(const char *address, const es_tracker_options *options, es_error *err) {
    es_tracker *tracker = es_alloc_zero(1, sizeof *tracker, err);
    if (!tracker) return NULL;
    tracker->listening = -1;
    tracker->options = *options;
    if (!(options->silence_s > 0)) tracker->options.silence_s = 1;
    tracker->unix_s = unix_minus_monotonic();
    tracker->last_pose_s = es_clock_s();
    tracker->state.clock_error_s = NAN;
    if (!tracker_address_parse(address, &tracker->address, err) || !open_own(tracker, err)) {
        es_free(tracker);
        return NULL;
    }
    tracker->turn = up_turn(tracker->address.up);
    pthread_mutex_init(&tracker->lock, NULL);
    if (pthread_create(&tracker->thread, NULL, run, tracker) == 0) return tracker;
    es_fail(err, ES_IO, "tracker %s: no thread could be started", address);
    if (tracker->listening >= 0) close(tracker->listening);
    pthread_mutex_destroy(&tracker->lock);
    es_free(tracker);
    return NULL;
}

void es_tracker_close(es_tracker *tracker) {
    if (!tracker) return;
    atomic_store(&tracker->stop, true);
    pthread_join(tracker->thread, NULL);
    if (tracker->listening >= 0) close(tracker->listening);
    pthread_mutex_destroy(&tracker->lock);
    es_free(tracker);
}
