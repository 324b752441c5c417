/* What the links share: sockets that never block, and the names of their ends. */
#ifndef ES_LIVE_SOCKET_H
#define ES_LIVE_SOCKET_H

#include "echosolid/base.h"

/* A connected stream socket, non-blocking, without Nagle's delay; -1 on failure
 * (ES_IO, naming both ends and what to check). */
int socket_connect(const char *host, int port, double timeout_s, es_error *err);

/* A listening stream socket, non-blocking. Port 0 takes a free one; *bound is
 * the port that was taken. */
int socket_listen(const char *address, int port, int *bound, es_error *err);

/* The next waiting connection, ready for use; -1 when there is none.
 * *near_by: it comes from this machine (127/8 or ::1). */
int socket_accept(int listener, bool *near_by);

/* What send and recv gave. */
typedef enum socket_state { SOCKET_SOME, SOCKET_NONE, SOCKET_GONE } socket_state;
socket_state socket_receive(int fd, void *bytes, size_t room, size_t *got);
socket_state socket_send(int fd, const void *bytes, size_t length, size_t *sent);

/* Waits until the socket can be read (or written); false when it cannot yet. */
bool socket_wait(int fd, bool to_write, double timeout_s);

#endif
