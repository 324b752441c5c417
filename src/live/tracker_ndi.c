/* An NDI client: INIT; handles that are to be freed are freed, tool definitions
 * (.rom) of passive tools loaded, all handles initialised and enabled; then TSTART and one
 * BX (or TX) after the other. BX:0001 asks for tools inside the measurement
 * volume only: outside the tracker promises no accuracy, and they count as missing. */
#include <math.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tracker_internal.h"

enum {
    REPLY = 1 << 17,
    PORT_FREE = 1,
    PORT_INIT = 2,
    PORT_ENABLE = 3,
    ROM_BLOCK = 64,
    ROM_MAX = 1024 * 16
};

typedef struct talk {
    es_tracker *tracker;
    int fd;
    char names[256][ES_NAME_SIZE]; /* by handle */
    uint32_t frames[256];          /* the last one of each handle */
    bool seen[256];
    es_ndi_tools tools;
    size_t length; /* of what was read and not used yet */
    char bytes[REPLY];
} talk;

static bool is_out_of_time(talk *t, double until, const char *command, es_error *err) {
    if (!tracker_stopping(t->tracker) && es_clock_s() < until) return false;
    es_fail(err, ES_IO, "the NDI tracker does not answer %.20s", command);
    return true;
}

static bool read_more(talk *t, es_error *err) {
    if (t->length == REPLY) return es_fail(err, ES_FORMAT, "NDI: a reply without end");
    long got = socket_receive_within(t->fd, t->bytes + t->length, REPLY - t->length, 0.1);
    if (got < 0) return es_fail(err, ES_IO, "the NDI tracker closed the connection");
    t->length += (size_t)got;
    return true;
}

static bool send_command(talk *t, const char *command, es_error *err) {
    char line[256];
    t->length = 0; /* one question, one answer */
    int length = snprintf(line, sizeof line, "%s%04X\r", command,
                          (unsigned)es_ndi_crc(command, strlen(command)));
    return length < (int)sizeof line && socket_send_all(t->fd, line, (size_t)length, err);
}

/* The reply up to its carriage return, sum checked; *length without both. */
static bool read_text(talk *t, const char *command, double timeout_s, size_t *length,
                      es_error *err) {
    double until = es_clock_s() + timeout_s;
    const char *end;
    while (!(end = memchr(t->bytes, '\r', t->length)))
        if (is_out_of_time(t, until, command, err) || !read_more(t, err)) return false;
    *length = (size_t)(end - t->bytes);
    return es_ndi_check_reply(t->bytes, length, err) || es_prefix(err, "%.20s", command);
}

static bool ask(talk *t, const char *command, double timeout_s, size_t *length, es_error *err) {
    return send_command(t, command, err) && read_text(t, command, timeout_s, length, err);
}

/* ---- handles --------------------------------------------------------------------------- */

static int hex_digit(char c) {
    const char *digits = "0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}
static bool hex_byte(const char *text, int *value) {
    int high = hex_digit(text[0]), low = hex_digit(text[1]);
    *value = 16 * high + low;
    return high >= 0 && low >= 0;
}

/* PHSR: 2 digits count, then 2 digits handle and 3 digits status each. */
static bool find_handles(talk *t, int which, uint8_t handles[ES_NDI_HANDLES], int *count,
                         es_error *err) {
    char command[16];
    size_t length;
    snprintf(command, sizeof command, "PHSR:%02X", which);
    if (!ask(t, command, 3, &length, err)) return false;
    bool good = length >= 2 && hex_byte(t->bytes, count) && *count <= ES_NDI_HANDLES &&
                length == 2 + 5 * (size_t)*count;
    for (int i = 0; good && i < *count; i++) {
        int handle;
        good = hex_byte(t->bytes + 2 + 5 * i, &handle);
        handles[i] = (uint8_t)handle;
    }
    return good || es_fail(err, ES_FORMAT, "NDI: PHSR answers \"%.*s\"",
                           (int)(length < 40 ? length : 40), t->bytes);
}

/* One command for every handle that PHSR names. */
static bool for_handles(talk *t, int which, const char *name, es_error *err) {
    uint8_t handles[ES_NDI_HANDLES];
    int count = 0;
    if (!find_handles(t, which, handles, &count, err)) return false;
    for (int i = 0; i < count; i++) {
        char command[24];
        size_t length;
        int used = snprintf(command, sizeof command, "%.8s%02X", name, (unsigned)handles[i]);
        if (which == PORT_ENABLE) snprintf(command + used, sizeof command - (size_t)used, "D");
        if (!ask(t, command, 5, &length, err)) return false;
    }
    return true;
}

/* A tool definition into a handle of its own, in blocks of 64 bytes. */
static bool load_rom(talk *t, const char *rom, es_error *err) {
    const char *file = strchr(rom, ':') + 1;
    size_t size, length;
    int handle = 0;
    char *bytes = es_file_read(file, ROM_MAX, &size, err);
    bool ok = bytes && ask(t, "PHRQ:*********1****", 3, &length, err);
    if (ok && (length != 2 || !hex_byte(t->bytes, &handle)))
        ok = es_fail(err, ES_FORMAT, "NDI: PHRQ gives no handle");
    for (size_t at = 0; ok && at < size; at += ROM_BLOCK) {
        char command[16 + 2 * ROM_BLOCK];
        int used =
            snprintf(command, sizeof command, "PVWR:%02X%04X", (unsigned)handle, (unsigned)at);
        for (size_t i = at; i < at + ROM_BLOCK; i++)
            used += snprintf(command + used, sizeof command - (size_t)used, "%02X",
                             i < size ? (unsigned)(unsigned char)bytes[i] : 0u);
        ok = ask(t, command, 3, &length, err);
    }
    if (ok) snprintf(t->names[handle], ES_NAME_SIZE, "%.*s", (int)(file - 1 - rom), rom);
    es_free(bytes);
    return ok || es_prefix(err, "tool definition %.200s", file);
}

static bool set_up(talk *t, es_error *err) {
    size_t length;
    /* Left tracking by somebody who went away, it takes no INIT before TSTOP. */
    if (!ask(t, "INIT:", 5, &length, err) &&
        !(ask(t, "TSTOP:", 3, &length, NULL) && ask(t, "INIT:", 5, &length, err)))
        return false;
    if (!for_handles(t, PORT_FREE, "PHF:", err)) return false;
    for (int i = 0; i < t->tracker->address.rom_count; i++)
        if (!load_rom(t, t->tracker->address.roms[i], err)) return false;
    return for_handles(t, PORT_INIT, "PINIT:", err) && for_handles(t, PORT_ENABLE, "PENA:", err) &&
           ask(t, "TSTART:", 8, &length, err);
}

/* ---- tracking ------------------------------------------------------------------------------ */

static bool read_bx(talk *t, es_error *err) {
    double until = es_clock_s() + 2;
    size_t size = 0;
    while (size == 0 || t->length < size) {
        if (is_out_of_time(t, until, "BX", err) || !read_more(t, err)) return false;
        if (t->length > 5 && memcmp(t->bytes, "ERROR", 5) == 0) {
            read_text(t, "BX", 1, &size, err);
            return es_prefix(err, "a tracker that knows no BX may know ?reply=tx");
        }
        if (size == 0 && t->length >= 6 &&
            (size = es_ndi_bx_size((const uint8_t *)t->bytes, err)) == 0)
            return false;
    }
    return es_ndi_get_bx((const uint8_t *)t->bytes, size, &t->tools, err);
}

static bool read_poses(talk *t, es_error *err) {
    size_t length;
    if (!t->tracker->address.text_replies)
        return send_command(t, "BX:0001", err) && read_bx(t, err);
    return ask(t, "TX:0001", 2, &length, err) && es_ndi_get_tx(t->bytes, length, &t->tools, err);
}

/* The tracker answers faster than it measures: a frame that was given is left out. */
static void give_tools(talk *t, double arrived_s) {
    for (int i = 0; i < t->tools.count; i++) {
        const es_ndi_tool *tool = &t->tools.items[i];
        int h = tool->handle;
        char name[16];
        if (tool->disabled || (t->seen[h] && t->frames[h] == tool->frame)) continue;
        t->seen[h] = true;
        t->frames[h] = tool->frame;
        snprintf(name, sizeof name, "Tool%02X", (unsigned)h);
        tracker_sample sample = {.name = t->names[h][0] ? t->names[h] : name,
                                 .time_s = arrived_s,
                                 .received_s = arrived_s,
                                 .error_mm = tool->error_mm,
                                 .valid = tool->valid,
                                 .turn = tool->turn,
                                 .place_mm = tool->place_mm};
        tracker_give(t->tracker, &sample);
    }
}

static bool read_all_along(talk *t, es_error *err) {
    while (!tracker_stopping(t->tracker)) {
        double asked_s = es_clock_s();
        if (!read_poses(t, err)) return false;
        tracker_count(t->tracker, COUNT_PACKET, 1);
        give_tools(t, tracker_now(t->tracker));
        double spent = es_clock_s() - asked_s; /* four times the 60 Hz of a Polaris is enough */
        if (spent < 0.004) usleep((useconds_t)((0.004 - spent) * 1e6));
    }
    return true;
}

/* A tracker that goes on tracking wears its lamps. An answer may still be on its way:
 * both are awaited a moment, lest closing throws the question away. */
static void stop_tracking(talk *t) {
    static const char okay[] = "OKAYA896\r";
    double until = es_clock_s() + 0.2;
    size_t size = sizeof okay - 1;
    if (!send_command(t, "TSTOP:", NULL)) return;
    while (es_clock_s() < until && read_more(t, NULL))
        if (t->length >= size && memcmp(t->bytes + t->length - size, okay, size) == 0) return;
}

/* A break resets the tracker to 9600 baud, which it says; then both go to 115200
 * (COMM: rate 5, 8 bits, no parity, one stop bit, no handshake). What is no serial line of
 * its own (a USB bridge that keeps its rate) may say nothing to the break. */
static bool open_serial(talk *t, const char *device, es_error *err) {
    double until = es_clock_s() + 2;
    size_t length;
    t->fd = serial_open(device, err);
    if (t->fd < 0) return false;
    t->length = 0;
    tcsendbreak(t->fd, 0);
    while (!memchr(t->bytes, '\r', t->length) && es_clock_s() < until &&
           !tracker_stopping(t->tracker))
        if (!read_more(t, err)) return false;
    if (!ask(t, "COMM:50000", 2, &length, err)) return false;
    usleep(100000); /* it changes its rate after its answer */
    return serial_rate(t->fd, true, err);
}

static bool open_tcp(talk *t, const tracker_address *a, es_error *err) {
    t->fd = socket_connect(a->host, a->port, 3, &t->tracker->stop, err);
    return t->fd >= 0;
}

static bool track(talk *t, es_error *err) {
    const tracker_address *a = &t->tracker->address;
    bool open = a->host[0] == '/' ? open_serial(t, a->host, err) : open_tcp(t, a, err);
    if (!open || !set_up(t, err)) return false;
    tracker_connected(t->tracker, "NDI Combined API, %s", a->text_replies ? "TX" : "BX");
    bool ok = read_all_along(t, err);
    if (tracker_stopping(t->tracker)) stop_tracking(t);
    return ok;
}

void tracker_run_ndi(es_tracker *tracker) {
    es_error err = {0};
    talk *t = es_alloc(1, sizeof *t, &err);
    if (!t) {
        tracker_problem(tracker, "%s", err.message);
        return;
    }
    while (!tracker_stopping(tracker)) {
        memset(t, 0, offsetof(talk, bytes));
        t->tracker = tracker;
        t->fd = -1;
        if (!track(t, &err) && !tracker_stopping(tracker)) {
            tracker_problem(tracker, "%.390s", err.message);
            tracker_pause(tracker, 1);
        }
        if (t->fd >= 0) close(t->fd);
    }
    es_free(t);
}
