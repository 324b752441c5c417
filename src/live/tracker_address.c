/* "natnet://192.168.1.10:1510?interface=192.168.1.20&up=y-to-z" taken apart. */
#include <string.h>

#include "tracker_internal.h"

static bool set_word(const char *value, const char *const *words, int *index, const char *key,
                     es_error *err) {
    for (int i = 0; words[i]; i++)
        if (strcmp(value, words[i]) == 0) {
            *index = i;
            return true;
        }
    return es_fail(err, ES_USAGE, "%s=%s: expected %s, %s%s%s", key, value, words[0], words[1],
                   words[2] ? " or " : "", words[2] ? words[2] : "");
}

static bool copy(char *to, size_t room, const char *from, size_t length, const char *what,
                 es_error *err) {
    if (length >= room)
        return es_fail(err, ES_USAGE, "%s of %zu characters; at most %zu", what, length, room - 1);
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

static bool is(const tracker_address *a, const char *scheme) {
    return strcmp(a->scheme, scheme) == 0;
}

static bool set_key(tracker_address *a, const char *key, const char *value, es_error *err) {
    static const char *const ups[] = {"as-sent", "y-to-z", "z-to-y", NULL};
    static const char *const clocks[] = {"arrival", "sent", NULL, NULL};
    static const char *const replies[] = {"bx", "tx", NULL, NULL};
    int index = 0;
    if (strcmp(key, "up") == 0) {
        if (!set_word(value, ups, &index, key, err)) return false;
        a->up = (es_up_axis)index;
    } else if (strcmp(key, "clock") == 0 && !is(a, "natnet") && !is(a, "ndi")) {
        if (!set_word(value, clocks, &index, key, err)) return false;
        a->clock_sent = index == 1;
    } else if (strcmp(key, "interface") == 0 && is(a, "natnet")) {
        return copy(a->interface, sizeof a->interface, value, strlen(value), key, err);
    } else if (strcmp(key, "version") == 0 && is(a, "natnet")) {
        return es_natnet_version_parse(value, &a->version, err);
    } else if (strcmp(key, "reply") == 0 && is(a, "ndi")) {
        if (!set_word(value, replies, &index, key, err)) return false;
        a->text_replies = index == 1;
    } else if (strcmp(key, "rom") == 0 && is(a, "ndi")) {
        if (a->rom_count == TRACKER_ROMS || !strchr(value, ':'))
            return es_fail(err, ES_USAGE, "rom=%s: expected NAME:FILE, at most %d times", value,
                           TRACKER_ROMS);
        return copy(a->roms[a->rom_count++], sizeof a->roms[0], value, strlen(value), key, err);
    } else {
        return es_fail(err, ES_USAGE,
                       "\"%s\" means nothing to %s://; docs/trackers.md lists the keys", key,
                       a->scheme);
    }
    return true;
}

static bool parse_keys(tracker_address *a, const char *text, es_error *err) {
    char key[500];
    while (*text) {
        size_t length = strcspn(text, "&");
        if (!copy(key, sizeof key, text, length, "a key", err)) return false;
        char *equals = strchr(key, '=');
        if (!equals) return es_fail(err, ES_USAGE, "\"%s\": expected key=value", key);
        *equals = '\0';
        if (!set_key(a, key, equals + 1, err)) return false;
        text += length + (text[length] == '&');
    }
    return true;
}

static int usual_port(const tracker_address *a) {
    if (is(a, "natnet")) return ES_NATNET_COMMAND_PORT;
    if (is(a, "vrpn")) return ES_VRPN_PORT;
    if (is(a, "ndi")) return ES_NDI_PORT;
    return 0;
}

/* [USER@]HOST[:PORT], or a serial line's path */
static bool parse_host(tracker_address *a, const char *text, size_t length, es_error *err) {
    if (is(a, "ndi") && length > 0 && text[0] == '/')
        return copy(a->host, sizeof a->host, text, length, "a device", err);
    const char *at = memchr(text, '@', length), *end = text + length;
    if (at) {
        if (!is(a, "vrpn"))
            return es_fail(err, ES_USAGE, "%s:// takes no name in front of '@'", a->scheme);
        if (!copy(a->user, sizeof a->user, text, (size_t)(at - text), "a sender", err))
            return false;
        text = at + 1;
    }
    const char *colon = memchr(text, ':', (size_t)(end - text));
    size_t host = (size_t)((colon ? colon : end) - text);
    if (!copy(a->host, sizeof a->host, text, host, "a host", err)) return false;
    a->port = usual_port(a);
    if (colon) {
        char number[16];
        int64_t port = 0;
        if (!copy(number, sizeof number, colon + 1, (size_t)(end - colon - 1), "a port", err))
            return false;
        if (!es_parse_int(number, &port) || port < 1 || port > 65535)
            return es_fail(err, ES_USAGE, "port \"%s\": expected 1 to 65535", number);
        a->port = (int)port;
    }
    bool hostless = is(a, "udp") || is(a, "tcp");
    if (!a->host[0] && !hostless)
        return es_fail(err, ES_USAGE, "%s://: the host is missing", a->scheme);
    return a->port || es_fail(err, ES_USAGE, "%s://: the port is missing, as in %s://:5005",
                              a->scheme, a->scheme);
}

bool tracker_address_parse(const char *text, tracker_address *a, es_error *err) {
    static const char *const schemes[] = {"natnet", "vrpn", "ndi", "udp", "tcp"};
    *a = (tracker_address){0};
    const char *keys = strchr(text, '?');
    size_t length = keys ? (size_t)(keys - text) : strlen(text);
    const char *host = strstr(text, "://");
    bool input = strncmp(text, "stdin://", length > 8 ? length : 8) == 0;
    if (input || (length == 1 && text[0] == '-')) {
        snprintf(a->scheme, sizeof a->scheme, "-");
        return !keys || parse_keys(a, keys + 1, err);
    }
    for (size_t i = 0; host && host < text + length && i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i]) == (size_t)(host - text) &&
            strncmp(text, schemes[i], (size_t)(host - text)) == 0)
            snprintf(a->scheme, sizeof a->scheme, "%s", schemes[i]);
    if (!a->scheme[0])
        return es_fail(
            err, ES_USAGE,
            "tracker \"%.100s\": expected natnet://HOST, vrpn://SENDER@HOST, ndi://HOST, "
            "udp://:PORT, tcp://HOST:PORT, stdin:// or -",
            text);
    host += 3;
    return (parse_host(a, host, (size_t)(text + length - host), err) &&
            (!keys || parse_keys(a, keys + 1, err))) ||
           es_prefix(err, "tracker %.100s", text);
}
