/* Lines of poses from UDP (one or more lines a datagram), TCP or standard input. */
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tracker_internal.h"

enum { BUFFER = 1 << 16 };

typedef struct lines {
    es_tracker *tracker;
    size_t length;
    bool skipping; /* the rest of a line that was too long */
    char bytes[BUFFER];
} lines;

static void on_line(lines *l, const char *text, size_t length, double arrived_s) {
    es_pose_line line;
    es_error err = {0};
    size_t blank = strspn(text, " \t\r");
    if (length == 0 || blank >= length || text[blank] == '#') return;
    tracker_count(l->tracker, COUNT_PACKET, 1);
    if (!es_pose_line_parse(text, length, &line, &err)) {
        tracker_malformed(l->tracker, &err);
        return;
    }
    tracker_sample sample = {.name = line.name,
                             .time_s = arrived_s,
                             .received_s = arrived_s,
                             .error_mm = line.error_mm,
                             .valid = line.valid};
    if (line.has_time) sample.time_s = tracker_stamp(l->tracker, line.time_s, arrived_s);
    tracker_give_matrix(l->tracker, &sample, line.matrix);
}

/* Whole lines are used; what is behind the last stays. One that fills the buffer
 * is dropped up to its end. */
static void take_lines(lines *l, double arrived_s) {
    char *at = l->bytes, *end = l->bytes + l->length, *stop;
    while (at < end && (stop = memchr(at, '\n', (size_t)(end - at)))) {
        *stop = '\0'; /* as on_line reads texts */
        if (!l->skipping) on_line(l, at, (size_t)(stop - at), arrived_s);
        l->skipping = false;
        at = stop + 1;
    }
    l->length = (size_t)(end - at);
    memmove(l->bytes, at, l->length);
    if (l->length < ES_POSE_LINE_MAX * 2) return;
    es_error err = {0};
    es_fail(&err, ES_FORMAT, "a line of more than %d bytes", ES_POSE_LINE_MAX);
    if (!l->skipping) tracker_malformed(l->tracker, &err);
    l->skipping = true;
    l->length = 0;
}

/* False when the stream has ended. */
static bool read_stream(lines *l, int fd) {
    long got = socket_receive_within(fd, l->bytes + l->length, BUFFER - 1 - l->length, 0.1);
    if (got > 0) {
        l->length += (size_t)got;
        take_lines(l, tracker_now(l->tracker));
    }
    return got >= 0;
}

/* A last line may lack its end. */
static void finish(lines *l) {
    if (l->length == 0) return;
    l->bytes[l->length++] = '\n';
    take_lines(l, tracker_now(l->tracker));
}

static void read_datagrams(lines *l) {
    tracker_connected(l->tracker, "lines over UDP, port %d", l->tracker->address.port);
    while (!tracker_stopping(l->tracker)) {
        long got = socket_receive_within(l->tracker->listening, l->bytes, BUFFER - 1, 0.1);
        l->length = got > 0 ? (size_t)got : 0;
        finish(l);
        l->length = 0;
        l->skipping = false;
        if (got < 0) usleep(1000); /* an empty one, or an error of an earlier packet */
    }
}

static void read_input(lines *l) {
    tracker_connected(l->tracker, "lines on standard input");
    while (!tracker_stopping(l->tracker) && read_stream(l, STDIN_FILENO)) continue;
    finish(l);
    pthread_mutex_lock(&l->tracker->lock);
    l->tracker->state.ended = true;
    pthread_mutex_unlock(&l->tracker->lock);
}

/* The next sender: we go to it, or it comes to us. */
static int next_stream(es_tracker *tracker, es_error *err) {
    const tracker_address *a = &tracker->address;
    if (tracker->listening >= 0) {
        while (!tracker_stopping(tracker) && !socket_wait_two(tracker->listening, -1, 0.1))
            continue;
        return accept4(tracker->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    return socket_connect(a->host, a->port, 3, &tracker->stop, err);
}

static void read_connections(lines *l) {
    while (!tracker_stopping(l->tracker)) {
        es_error err = {0};
        int fd = next_stream(l->tracker, &err);
        if (fd >= 0) {
            tracker_connected(l->tracker, "lines over TCP, port %d", l->tracker->address.port);
            l->length = 0;
            l->tracker->arrivals = (clock_fit){0};
            while (!tracker_stopping(l->tracker) && read_stream(l, fd)) continue;
            finish(l);
            close(fd);
            es_fail(&err, ES_IO, "the sender of lines closed the connection");
        }
        if (tracker_stopping(l->tracker)) return;
        tracker_problem(l->tracker, "%.390s", err.message);
        tracker_pause(l->tracker, l->tracker->listening >= 0 ? 0.05 : 1);
    }
}

void tracker_run_lines(es_tracker *tracker) {
    es_error err = {0};
    lines *l = es_alloc(1, sizeof *l, &err);
    if (!l) {
        tracker_problem(tracker, "%s", err.message);
        return;
    }
    memset(l, 0, offsetof(lines, bytes));
    l->tracker = tracker;
    if (strcmp(tracker->address.scheme, "-") == 0)
        read_input(l);
    else if (strcmp(tracker->address.scheme, "udp") == 0)
        read_datagrams(l);
    else
        read_connections(l);
    es_free(l);
}
