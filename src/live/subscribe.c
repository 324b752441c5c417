#include "subscribe.h"

#include <math.h>
#include <string.h>

#include "intake.h"
#include "tag.h"

/* ---- CLIENTINFO --------------------------------------------------------------------- */

static void add_type(subscription *s, const tag *t) {
    char type[ES_IGTL_TYPE + 1];
    if (s->type_count < ASKED_TYPES && tag_attribute(t, "Type", type, sizeof type))
        strcpy(s->types[s->type_count++], type);
}

/* Longer names are cut in the header of a message, and so here. */
static void add_name(subscription *s, const char *name) {
    if (s->name_count < ASKED_NAMES)
        snprintf(s->names[s->name_count++], sizeof s->names[0], "%.20s", name);
}

static void add_item(subscription *s, const tag *t) {
    char name[ES_NAME_SIZE], frame[ES_NAME_SIZE], device[2 * ES_NAME_SIZE];
    if (strcmp(t->name, "Message") == 0) add_type(s, t);
    if (!tag_attribute(t, "Name", name, sizeof name)) return;
    if (strcmp(t->name, "Transform") == 0 || strcmp(t->name, "String") == 0) add_name(s, name);
    if (strcmp(t->name, "Image") == 0) {
        bool framed = tag_attribute(t, "EmbeddedTransformToFrame", frame, sizeof frame);
        snprintf(device, sizeof device, framed ? "%s_%s" : "%s", name, frame);
        add_name(s, device);
    }
}

/* In seconds or milliseconds: PlusServer compares what it calls milliseconds with
 * seconds, so that both are found in the field. 10 and more are milliseconds. */
static double resolution_of(const tag *t) {
    char text[32];
    double number;
    if (!tag_attribute(t, "TDATAResolution", text, sizeof text) || !es_parse_double(text, &number))
        return 0;
    return number >= 10 ? number / 1000 : number;
}

bool subscription_read(subscription *s, const char *xml) {
    char requested[8];
    tag t;
    if (!tag_next(&xml, &t) || strcmp(t.name, "ClientInfo") != 0) return false;
    *s = (subscription){.chosen = true};
    s->tools = tag_attribute(&t, "TDATARequested", requested, sizeof requested) &&
               strcasecmp(requested, "TRUE") == 0;
    s->every_s = resolution_of(&t);
    while (tag_next(&xml, &t)) add_item(s, &t);
    return true;
}

static bool is_named(const subscription *s, const char *device) {
    for (int i = 0; i < s->name_count; i++)
        if (strcmp(s->names[i], device) == 0) return true;
    return false;
}

bool subscription_wants(const subscription *s, const char *type, const char *device) {
    bool wanted = !s->chosen || s->type_count == 0;
    for (int i = 0; i < s->type_count && !wanted; i++) wanted = strcmp(s->types[i], type) == 0;
    bool by_name = strcmp(type, "IMAGE") == 0 || strcmp(type, "TRANSFORM") == 0;
    return wanted && (!s->chosen || !by_name || s->name_count == 0 || is_named(s, device));
}

/* ---- tools ---------------------------------------------------------------------------- */

void subscription_start(subscription *s, int32_t resolution_ms, bool quaternions) {
    s->tools = true;
    s->quaternions = quaternions;
    s->every_s = resolution_ms > 0 ? resolution_ms / 1000.0 : 0;
    s->due_s = 0;
}

bool subscription_is_due(subscription *s, double now_s) {
    if (!s->tools || now_s < s->due_s) return false;
    s->due_s += s->every_s; /* on the raster of the first, unless one was missed */
    if (s->due_s < now_s) s->due_s = now_s + s->every_s;
    return true;
}

void tool_list_take(tool_list *list, const es_igtl_message *message) {
    es_live_pose pose;
    bool is_pose;
    if (strcmp(message->type, "TRANSFORM") != 0 || list->count == TOOLS_MOST) return;
    intake_pose(message, &pose, &is_pose);
    if (!is_pose) return;
    es_igtl_tool *tool = &list->tools[list->count];
    *tool = (es_igtl_tool){.type = 2, .matrix = pose.matrix};
    tool->turn = es_quat_from_mat4(pose.matrix);
    snprintf(tool->name, sizeof tool->name, "%.20s", pose.name);
    list->valid[list->count++] = pose.valid;
    list->time = message->time;
}

void tool_list_put(const tool_list *list, int version, bool quaternions, es_igtl_out *out) {
    char keys[TOOLS_MOST][ES_IGTL_DEVICE + 8], device[ES_IGTL_DEVICE + 1];
    const char *meta[2 * TOOLS_MOST + 1] = {NULL};
    es_igtl_tool seen[TOOLS_MOST];
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (version == 1 && !list->valid[i]) continue;
        seen[count] = list->tools[i];
        snprintf(keys[count], sizeof keys[0], "%.20sStatus", seen[count].name);
        meta[2 * count] = keys[count];
        meta[2 * count + 1] = list->valid[i] ? "OK" : "MISSING";
        count++;
    }
    snprintf(device, sizeof device, "TDATA_%zuElem", count);
    es_igtl_head head = {.version = version, .device = device, .time = list->time, .meta = meta};
    es_igtl_put_tools(out, &head, seen, count, quaternions);
}
