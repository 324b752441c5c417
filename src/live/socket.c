/* Sockets of POSIX, non-blocking throughout; every wait is bounded. */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void make_quick(int fd) {
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool socket_wait(int fd, bool to_write, double timeout_s) {
    struct pollfd p = {.fd = fd, .events = to_write ? POLLOUT : POLLIN};
    return poll(&p, 1, (int)(timeout_s * 1e3)) > 0;
}

static struct addrinfo *resolve(const char *host, int port, bool to_listen, es_error *err) {
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = to_listen ? AI_PASSIVE : 0},
                    *found = NULL;
    snprintf(service, sizeof service, "%d", port);
    int code = getaddrinfo(host, service, &hints, &found);
    if (code == 0) return found;
    es_fail(err, ES_IO, "%s: %s; give a name or an address", host, gai_strerror(code));
    return NULL;
}

/* In short steps, so that whoever is asked to stop does so soon. */
static bool wait_connected(int fd, double timeout_s, const atomic_bool *stop) {
    double until = es_clock_s() + timeout_s;
    while (es_clock_s() < until && !(stop && atomic_load(stop)))
        if (socket_wait(fd, true, fmin(timeout_s, 0.1))) return true;
    return false;
}

/* 0, or the errno of what went wrong. */
static int connect_one(int fd, const struct addrinfo *to, double timeout_s,
                       const atomic_bool *stop) {
    int code = 0;
    socklen_t size = sizeof code;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (!wait_connected(fd, timeout_s, stop)) return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno;
}

int socket_connect(const char *host, int port, double timeout_s, const atomic_bool *stop,
                   es_error *err) {
    struct addrinfo *found = resolve(host, port, false, err);
    int code = EADDRNOTAVAIL, fd = -1;
    if (!found) return -1;
    for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM, 0);
        if (fd < 0) {
            code = errno;
            continue;
        }
        make_quick(fd);
        if ((code = connect_one(fd, at, timeout_s, stop)) == 0) break;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0)
        es_fail(err, ES_IO, "%s:%d: %s; is the server running, and its port open?", host, port,
                strerror(code));
    return fd;
}

static int bound_port(int fd) {
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) return -1;
    if (at.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&at)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&at)->sin6_port);
}

int socket_listen(const char *address, int port, int *bound, es_error *err) {
    struct addrinfo *found = resolve(address, port, true, err);
    if (!found) return -1;
    int on = 1, fd = socket(found->ai_family, SOCK_STREAM, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 64) == 0;
    int code = errno;
    freeaddrinfo(found);
    if (ok) {
        make_quick(fd);
        *bound = bound_port(fd);
        return fd;
    }
    if (fd >= 0) close(fd);
    es_fail(err, ES_IO, "listening on %s:%d: %s; choose another port or address", address, port,
            strerror(code));
    return -1;
}

static bool is_near(const struct sockaddr_storage *from) {
    if (from->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)from)->sin_addr.s_addr) >> 24 == 127;
    return from->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)from)->sin6_addr);
}

int socket_accept(int listener, bool *near_by) {
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    int fd = accept(listener, (struct sockaddr *)&from, &size);
    if (fd < 0) return -1;
    make_quick(fd);
    *near_by = is_near(&from);
    return fd;
}

static socket_state state_of(ssize_t moved, size_t *count) {
    *count = moved > 0 ? (size_t)moved : 0;
    if (moved > 0) return SOCKET_SOME;
    bool later = moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return later ? SOCKET_NONE : SOCKET_GONE;
}

socket_state socket_receive(int fd, void *bytes, size_t room, size_t *got) {
    return state_of(recv(fd, bytes, room, 0), got);
}

socket_state socket_send(int fd, const void *bytes, size_t length, size_t *sent) {
    return state_of(send(fd, bytes, length, MSG_NOSIGNAL), sent);
}

int socket_wait_two(int first, int second, double seconds) {
    struct pollfd fds[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    if (poll(fds, 2, (int)(seconds * 1000)) <= 0) return 0;
    return (fds[0].revents ? 1 : 0) | (fds[1].revents ? 2 : 0);
}

bool socket_send_all(int fd, const void *bytes, size_t length, es_error *err) {
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

long socket_receive_within(int fd, void *bytes, size_t room, double seconds) {
    if (!socket_wait_two(fd, -1, seconds)) return 0;
    ssize_t got = read(fd, bytes, room);
    if (got > 0) return (long)got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* ---- datagrams ------------------------------------------------------------------- */

bool socket_resolve(const char *host, int port, struct sockaddr_in *address, es_error *err) {
    struct addrinfo hints = {.ai_family = AF_INET}, *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0 || !found)
        return es_fail(err, ES_IO, "%s: no address (%s)", host, gai_strerror(code));
    memcpy(address, found->ai_addr, sizeof *address);
    address->sin_port = htons((uint16_t)port);
    freeaddrinfo(found);
    return true;
}

static bool bind_to(int fd, struct in_addr address, int port, es_error *err) {
    struct sockaddr_in own = {
        .sin_family = AF_INET, .sin_addr = address, .sin_port = htons((uint16_t)port)};
    return bind(fd, (struct sockaddr *)&own, sizeof own) == 0 ||
           es_fail_errno(err, "%s port %d of this machine", inet_ntoa(address), port);
}

int socket_datagram(struct in_addr address, int port, bool shared, es_error *err) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, room = 1 << 20;
    if (fd < 0) {
        es_fail_errno(err, "a UDP socket");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind_to(fd, address, port, err)) return fd;
    close(fd);
    return -1;
}

bool socket_join(int fd, const uint8_t group[4], struct in_addr interface, es_error *err) {
    struct ip_mreq join = {.imr_interface = interface};
    memcpy(&join.imr_multiaddr, group, 4);
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) == 0 ||
           es_fail_errno(err, "joining multicast group %u.%u.%u.%u", group[0], group[1], group[2],
                         group[3]);
}
