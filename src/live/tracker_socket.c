/* Sockets with bounded waits. IPv4: what trackers speak. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tracker_internal.h"

bool net_resolve(const char *host, int port, struct sockaddr_in *address, es_error *err) {
    struct addrinfo hints = {.ai_family = AF_INET}, *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0 || !found)
        return es_fail(err, ES_IO, "%s: no address (%s)", host, gai_strerror(code));
    memcpy(address, found->ai_addr, sizeof *address);
    address->sin_port = htons((uint16_t)port);
    freeaddrinfo(found);
    return true;
}

int net_wait(int first, int second, double seconds) {
    struct pollfd fds[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    if (poll(fds, 2, (int)(seconds * 1000)) <= 0) return 0;
    return (fds[0].revents ? 1 : 0) | (fds[1].revents ? 2 : 0);
}

static int fail_close(int fd) {
    if (fd >= 0) close(fd);
    return -1;
}

/* Waits for the connection in short steps, so that closing the tracker is quick. */
static bool wait_connected(es_tracker *tracker, int fd, double timeout_s) {
    double until = es_clock_s() + timeout_s;
    while (es_clock_s() < until && !tracker_stopping(tracker)) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 100) <= 0) continue;
        socklen_t size = sizeof errno;
        int code = 0;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
        errno = code;
        return code == 0;
    }
    errno = ETIMEDOUT;
    return false;
}

int net_connect(es_tracker *tracker, const struct sockaddr_in *to, double timeout_s,
                es_error *err) {
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &to->sin_addr, text, sizeof text);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    bool ok = fd >= 0 && (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 ||
                          (errno == EINPROGRESS && wait_connected(tracker, fd, timeout_s)));
    if (!ok) {
        es_fail_errno(err, "%s port %d", text, ntohs(to->sin_port));
        return fail_close(fd);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static bool bind_to(int fd, struct in_addr address, int port, es_error *err) {
    struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_addr = address, .sin_port = htons((uint16_t)port)};
    return bind(fd, (struct sockaddr *)&own, sizeof own) == 0 ||
           es_fail_errno(err, "%s port %d of this machine", inet_ntoa(address), port);
}

int net_udp(struct in_addr address, int port, bool shared, es_error *err) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, room = 1 << 20;
    if (fd < 0) {
        es_fail_errno(err, "a UDP socket");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind_to(fd, address, port, err) ? fd : fail_close(fd);
}

bool net_join(int fd, const uint8_t group[4], struct in_addr interface, es_error *err) {
    struct ip_mreq join = {.imr_interface = interface};
    memcpy(&join.imr_multiaddr, group, 4);
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) == 0 ||
           es_fail_errno(err, "joining multicast group %u.%u.%u.%u", group[0], group[1], group[2],
                         group[3]);
}

int net_listen(struct in_addr address, int port, es_error *err) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0) {
        es_fail_errno(err, "a TCP socket");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!bind_to(fd, address, port, err)) return fail_close(fd);
    if (listen(fd, 1) == 0) return fd;
    es_fail_errno(err, "listening on port %d", port);
    return fail_close(fd);
}

bool net_send(int fd, const void *bytes, size_t length, es_error *err) {
    const uint8_t *at = bytes;
    double until = es_clock_s() + 1;
    while (length > 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == ENOTSOCK) sent = write(fd, at, length); /* a serial line */
        if (sent > 0) {
            at += sent;
            length -= (size_t)sent;
            continue;
        }
        bool busy = sent < 0 && (errno == EAGAIN || errno == EINTR);
        if (!busy || es_clock_s() > until) return es_fail_errno(err, "sending");
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        poll(&p, 1, 100);
    }
    return true;
}

long net_receive(int fd, void *bytes, size_t room, double seconds) {
    if (!net_wait(fd, -1, seconds)) return 0;
    ssize_t got = read(fd, bytes, room);
    if (got > 0) return (long)got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}
