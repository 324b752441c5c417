/* Stream sockets of POSIX, non-blocking throughout. */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

/* 0, or the errno of what went wrong. */
static int connect_one(int fd, const struct addrinfo *to, double timeout_s) {
    int code = 0;
    socklen_t size = sizeof code;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (!socket_wait(fd, true, timeout_s)) return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno;
}

int socket_connect(const char *host, int port, double timeout_s, es_error *err) {
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
        if ((code = connect_one(fd, at, timeout_s)) == 0) break;
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
