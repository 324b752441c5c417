/* What a client of the server asked to get. */
#ifndef ES_LIVE_SUBSCRIBE_H
#define ES_LIVE_SUBSCRIBE_H

#include "echosolid/live.h"

enum { ASKED_TYPES = 16, ASKED_NAMES = 64, TOOLS_MOST = 64 };

/* {0}: all messages, no TDATA. */
typedef struct subscription {
    bool chosen; /* by a CLIENTINFO */
    int type_count, name_count;
    char types[ASKED_TYPES][ES_IGTL_TYPE + 1];
    char names[ASKED_NAMES][ES_IGTL_DEVICE + 1]; /* of IMAGE, TRANSFORM and STRING */
    bool tools, quaternions;                     /* TDATA, or QTDATA */
    double every_s, due_s;
} subscription;

/* PLUS's CLIENTINFO: <ClientInfo TDATARequested TDATAResolution> with
 * <Message Type/>, <Transform Name/>, <String Name/> and
 * <Image Name EmbeddedTransformToFrame/> within. What is not named is not sent; without
 * a message type, all are. False for what is none, and nothing was changed. */
bool subscription_read(subscription *subscription, const char *xml);
bool subscription_wants(const subscription *subscription, const char *type, const char *device);

/* Tools at least resolution_ms apart. */
void subscription_start(subscription *subscription, int32_t resolution_ms, bool quaternions);
/* Whether it is time for the next ones; then the one after it is set. */
bool subscription_is_due(subscription *subscription, double now_s);

/* The newest transforms of one sending. */
typedef struct tool_list {
    es_igtl_tool tools[TOOLS_MOST];
    bool valid[TOOLS_MOST];
    size_t count;
    uint64_t time;
} tool_list;
/* Adds what is a TRANSFORM. */
void tool_list_take(tool_list *list, const es_igtl_message *message);
/* As TDATA or QTDATA. Version 2 has the metadata <name>Status; version 1, which
 * cannot say so, leaves out tools that were not seen. */
void tool_list_put(const tool_list *list, int version, bool quaternions, es_igtl_out *out);

#endif
