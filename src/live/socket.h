/* What the links and the trackers share: sockets that never block, waits that end. */
#ifndef ES_LIVE_SOCKET_H
#define ES_LIVE_SOCKET_H

#include <netinet/in.h>
#include <stdatomic.h>

#include "echosolid/base.h"

/* A connected stream socket, non-blocking, without Nagle's delay; -1 on failure
 * (ES_IO, naming both ends and what to check). Gives up soon after *stop (may be
 * NULL) has become true. */
int socket_connect(const char *host, int port, double timeout_s, const atomic_bool *stop,
                   es_error *err);

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
/* Up to two descriptors (-1: none): bit 1 and 2 for those readable, 0 for none in time. */
int socket_wait_two(int first, int second, double seconds);

/* All of it within a second; a serial line will do too. */
bool socket_send_all(int fd, const void *bytes, size_t length, es_error *err);
/* What is there within the time: > 0 bytes, 0 none yet, -1 closed or broken. Any
 * descriptor. */
long socket_receive_within(int fd, void *bytes, size_t room, double seconds);

/* ---- datagrams, IPv4: what trackers speak -------------------------------------- */

bool socket_resolve(const char *host, int port, struct sockaddr_in *address, es_error *err);
/* A bound UDP socket with room for bursts, or -1. */
int socket_datagram(struct in_addr address, int port, bool shared, es_error *err);
/* Joins the group on the interface (INADDR_ANY: the system's choice). */
bool socket_join(int fd, const uint8_t group[4], struct in_addr interface, es_error *err);

#endif
