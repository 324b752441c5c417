/* The columns of a pose table by the names in its header.
 *
 * A name is taken apart into words ("Probe_Tx [mm]" -> Probe, Tx, mm). The
 * last words say what the number is, a unit may follow, and what stands in
 * front is the tool's. Columns of one tool make a pose when a position and one
 * whole rotation are among them. Names that say nothing to us are reported,
 * not guessed at. */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "pose_table_internal.h"

typedef enum column_role {
    IS_NOTHING,
    IS_TIME,
    IS_FRAME,
    IS_FILE,
    IS_TOOL,
    IS_STATE,
    IS_POSITION,
    IS_QUATERNION,
    IS_ANGLE,
    IS_AXIS_ANGLE,
    IS_MATRIX,
    IS_BARE, /* x y z w alone */
    ROLES
} column_role;

enum { WORDS = 12, WORD = 40 };

typedef struct column_name {
    column_role role;
    int place;               /* within the position or the rotation */
    bool azimuth, rpy;       /* angles called azimuth elevation roll; roll pitch yaw */
    char tool[ES_NAME_SIZE]; /* what stands in front */
    char unit[WORD];         /* lower case, "" none */
} column_name;

/* ---- words ---------------------------------------------------------------------- */

static bool is_break(char c) { return strchr(" _./:-[](){}\t'\"", c) != NULL; }

/* Cuts at signs and where a capital follows a small letter. */
static int cut_words(const char *name, char words[WORDS][WORD]) {
    int count = 0;
    size_t used = 0;
    for (const char *at = name;; at++) {
        bool ends = !*at || is_break(*at) ||
                    (used > 1 && isupper((unsigned char)*at) && islower((unsigned char)at[-1]));
        if (ends && used) {
            words[count++][used] = '\0';
            used = 0;
        }
        if (!*at || count == WORDS) return count;
        if (!is_break(*at) && used < WORD - 1) words[count][used++] = *at;
    }
}

static bool is_one_of(const char *word, const char *list) {
    size_t length = strlen(word);
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, " ");
        if (n == length && strncasecmp(at, word, n) == 0) return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

static int axis_of(char c) {
    const char *at = strchr("wxyz", tolower((unsigned char)c));
    return c && at ? (int)(at - "wxyz") : -1; /* w 0, x 1, y 2, z 3 */
}

static void set(column_name *c, column_role role, int place) {
    c->role = role;
    c->place = place;
}

/* "tx", "qw", "q0", "m01": one word that says all. */
static bool take_compact(const char *w, column_name *c) {
    int axis = w[1] ? axis_of(w[1]) : -1;
    bool two = strlen(w) == 2;
    char first = (char)tolower((unsigned char)w[0]);
    if (two && axis > 0 && (first == 't' || first == 'p'))
        set(c, IS_POSITION, axis - 1);
    else if (two && axis >= 0 && first == 'q')
        set(c, IS_QUATERNION, axis);
    else if (two && first == 'q' && w[1] >= '0' && w[1] <= '3')
        set(c, IS_QUATERNION, w[1] - '0');
    else if (two && axis >= 0 && first == 'r')
        set(c, axis ? IS_ANGLE : IS_QUATERNION, axis ? axis - 1 : 0);
    else if (strlen(w) == 3 && (first == 'm' || first == 'r' || first == 't') &&
             isdigit((unsigned char)w[1]) && isdigit((unsigned char)w[2]))
        set(c, IS_MATRIX, 10 * (w[1] - '0') + (w[2] - '0'));
    else if (is_one_of(w, "roll ro"))
        set(c, IS_ANGLE, 0);
    else if (is_one_of(w, "pitch el elevation"))
        set(c, IS_ANGLE, 1);
    else if (is_one_of(w, "yaw az azimuth azi"))
        set(c, IS_ANGLE, 2);
    else
        return false;
    c->azimuth = is_one_of(w, "el elevation az azimuth azi");
    c->rpy = is_one_of(w, "pitch yaw");
    return true;
}

/* "position x", "rot w": a group and an axis. Returns the words used. */
static int take_pair(const char *group, const char *letter, column_name *c) {
    int axis = strlen(letter) == 1 ? axis_of(letter[0]) : -1;
    if (axis < 0) return 0;
    if (group && axis > 0 &&
        is_one_of(group, "pos position trans translation translate t p loc location"))
        set(c, IS_POSITION, axis - 1);
    else if (group && is_one_of(group, "q quat quaternion"))
        set(c, IS_QUATERNION, axis);
    else if (group && axis > 0 && is_one_of(group, "rvec rotvec helical axisangle"))
        set(c, IS_AXIS_ANGLE, axis - 1);
    else if (group && axis > 0 && is_one_of(group, "euler angle angles rpy"))
        set(c, IS_ANGLE, axis - 1);
    else if (group && is_one_of(group, "rot rotation orientation orient ori attitude r"))
        set(c, axis ? IS_ANGLE : IS_QUATERNION, axis ? axis - 1 : 0);
    else {
        set(c, IS_BARE, axis);
        return 1;
    }
    return 2;
}

static bool take_plain(const char *w, column_name *c) {
    if (is_one_of(w, "time timestamp timestamps t stamp seconds sec secs clock"))
        set(c, IS_TIME, 0);
    else if (is_one_of(w, "frame frames index idx sample fid"))
        set(c, IS_FRAME, 0);
    else if (is_one_of(w, "file filename image imagename picture path"))
        set(c, IS_FILE, 0);
    else if (is_one_of(w, "tool port sensor marker handle body device"))
        set(c, IS_TOOL, 0);
    else if (is_one_of(w, "state status valid validity tracked ok"))
        set(c, IS_STATE, 0);
    else
        return false;
    return true;
}

static void join_tool(char words[WORDS][WORD], int count, column_name *c) {
    for (int i = 0; i < count; i++) {
        if (is_one_of(words[i], "pose field data header")) continue;
        size_t used = strlen(c->tool);
        snprintf(c->tool + used, sizeof c->tool - used, "%s%s", used ? "_" : "", words[i]);
    }
}

static column_name understand(const char *name) {
    column_name c = {0};
    char words[WORDS][WORD];
    int count = cut_words(name, words);
    static const char units[] =
        "mm cm m inch inches in deg degree degrees rad radian radians s ms "
        "us ns sec seconds msec milliseconds meters metres meter millimeters";
    if (count > 1 && is_one_of(words[count - 1], units)) {
        memcpy(c.unit, words[--count], WORD);
    }
    if (count == 0) return c;
    if (count > 1 && is_one_of(words[count - 1], "no nr number id name")) count--;
    int used = take_compact(words[count - 1], &c);
    if (!used) used = take_pair(count > 1 ? words[count - 2] : NULL, words[count - 1], &c);
    if (!used) used = take_plain(words[count - 1], &c) ? 1 : 0;
    if (!used && count > 1 && take_plain(words[0], &c)) return c;
    if (used) join_tool(words, count - used, &c);
    return c;
}

/* ---- groups --------------------------------------------------------------------- */

typedef struct group {
    char tool[ES_NAME_SIZE];
    int position[3], quaternion[4], angle[3], axis_angle[3], matrix[100], bare[4], state;
    char position_unit[WORD], angle_unit[WORD];
    bool azimuth, rpy;
} group;

static void start_group(group *g, const char *tool) {
    memset(g, 0xFF, sizeof *g); /* -1: no such column */
    snprintf(g->tool, sizeof g->tool, "%s", tool);
    g->position_unit[0] = g->angle_unit[0] = '\0';
    g->azimuth = g->rpy = false;
}

static int *slot_of(group *g, const column_name *c) {
    switch (c->role) {
    case IS_POSITION: return &g->position[c->place];
    case IS_QUATERNION: return &g->quaternion[c->place];
    case IS_ANGLE: return &g->angle[c->place];
    case IS_AXIS_ANGLE: return &g->axis_angle[c->place];
    case IS_MATRIX: return &g->matrix[c->place];
    case IS_BARE: return &g->bare[c->place];
    case IS_STATE: return &g->state;
    default: return NULL;
    }
}

typedef struct header {
    group groups[POSE_TOOL_LIMIT];
    int count;
} header;

/* The tool's group; a new one when it is full already: tools side by side
 * under the same names. */
static group *group_for(header *h, const column_name *c) {
    for (int i = h->count; i-- > 0;) {
        group *g = &h->groups[i];
        if (strcmp(g->tool, c->tool) != 0) continue;
        if (*slot_of(g, c) < 0) return g;
        break;
    }
    if (h->count == POSE_TOOL_LIMIT) return NULL;
    group *g = &h->groups[h->count++];
    start_group(g, c->tool);
    return g;
}

static void put(header *h, const column_name *c, int column) {
    group *g = group_for(h, c);
    if (!g) return;
    *slot_of(g, c) = column;
    g->azimuth |= c->azimuth;
    g->rpy |= c->rpy;
    bool angle = c->role == IS_ANGLE || c->role == IS_AXIS_ANGLE;
    char *unit = angle ? g->angle_unit : g->position_unit;
    if (c->unit[0] && (angle || c->role == IS_POSITION || c->role == IS_BARE))
        memcpy(unit, c->unit, WORD);
}

static bool whole(const int *columns, int count) {
    for (int i = 0; i < count; i++)
        if (columns[i] < 0) return false;
    return true;
}

/* x y z alone are a position, or beside one, with w, a quaternion; "rot x"
 * beside "rot w" is one too. */
static void settle_bare(group *g) {
    if (whole(g->position, 3) && whole(g->bare, 4)) memcpy(g->quaternion, g->bare, sizeof g->bare);
    if (!whole(g->position, 3) && whole(g->bare + 1, 3))
        memcpy(g->position, g->bare + 1, sizeof g->position);
    if (g->quaternion[0] < 0 && whole(g->angle, 3)) g->quaternion[0] = g->bare[0];
    if (g->quaternion[0] >= 0 && !whole(g->quaternion + 1, 3) && whole(g->angle, 3))
        memcpy(g->quaternion + 1, g->angle, sizeof g->angle);
}

/* Digits of names from 0 or from 1; a fourth column holds the position. */
static bool settle_matrix(group *g, int matrix[9]) {
    for (int base = 0; base < 2; base++) {
        for (int i = 0; i < 9; i++) matrix[i] = g->matrix[10 * (i / 3 + base) + i % 3 + base];
        if (!whole(matrix, 9)) continue;
        for (int i = 0; i < 3 && !whole(g->position, 3); i++)
            g->position[i] = g->matrix[10 * (i + base) + 3 + base];
        return true;
    }
    return false;
}

static void settle_unit(es_pose_doubt *doubt, const group *g) {
    static const char *const lists[] = {"mm millimeters", "cm", "m meters metres meter",
                                        "inch inches in"};
    for (int u = 0; u < 4; u++)
        if (g->position_unit[0] && is_one_of(g->position_unit, lists[u]))
            pose_doubt_settle(doubt, ES_POSE_UNIT, u, "the header says so");
    if (!g->angle_unit[0]) return;
    bool degrees = is_one_of(g->angle_unit, "deg degree degrees");
    if (degrees || is_one_of(g->angle_unit, "rad radian radians"))
        pose_doubt_settle(doubt, ES_POSE_ANGLE, degrees, "the header says so");
}

static void settle_angles(const group *g, pose_columns *columns) {
    es_pose_doubt *doubt = &columns->doubt;
    columns->angles_by_axis = true;
    doubt->possible[ES_POSE_EULER] = 0x3F; /* every order of three axes, once */
    snprintf(doubt->why[ES_POSE_EULER], sizeof doubt->why[0], "the header names the axes");
    if (g->azimuth)
        pose_doubt_settle(doubt, ES_POSE_EULER, pose_attribute_value(ES_POSE_EULER, "ZYX"),
                          "azimuth, elevation and roll are turns about z, y and x");
    doubt->possible[ES_POSE_ROTATION] = 1u << ES_POSE_IS_EULER;
    if (!g->azimuth && !g->rpy) doubt->possible[ES_POSE_ROTATION] |= 1u << ES_POSE_IS_AXIS_ANGLE;
}

static void take(pose_tool *tool, const int *rotation, int count) {
    memcpy(tool->rotation, rotation, (size_t)count * sizeof *rotation);
}

/* The group as a tool; false when it holds no whole pose. */
static bool make_tool(group *g, pose_columns *columns) {
    static const char why[] = "the header names the columns";
    pose_tool *tool = &columns->tools[columns->tool_count];
    es_pose_doubt *doubt = &columns->doubt;
    int matrix[9];
    settle_bare(g);
    bool is_matrix = settle_matrix(g, matrix);
    if (!whole(g->position, 3)) return false;
    if (whole(g->quaternion, 4)) {
        take(tool, g->quaternion, 4);
        pose_doubt_settle(doubt, ES_POSE_ROTATION, ES_POSE_IS_QUATERNION, why);
        pose_doubt_settle(doubt, ES_POSE_QUATERNION, 0, "");
        snprintf(doubt->why[ES_POSE_QUATERNION], sizeof doubt->why[0], "%s, in any order", why);
    } else if (is_matrix) {
        take(tool, matrix, 9);
        pose_doubt_settle(doubt, ES_POSE_ROTATION, ES_POSE_IS_MATRIX, why);
        pose_doubt_settle(doubt, ES_POSE_MATRIX, 0, why);
    } else if (whole(g->axis_angle, 3)) {
        take(tool, g->axis_angle, 3);
        pose_doubt_settle(doubt, ES_POSE_ROTATION, ES_POSE_IS_AXIS_ANGLE, why);
    } else if (whole(g->angle, 3)) {
        take(tool, g->angle, 3);
        settle_angles(g, columns);
    } else
        return false;
    pose_doubt_settle(doubt, ES_POSE_FIRST, 0, why);
    memcpy(tool->position, g->position, sizeof tool->position);
    memcpy(tool->name, g->tool, sizeof tool->name);
    tool->valid = g->state;
    settle_unit(doubt, g);
    columns->tool_count++;
    return true;
}

/* ---- the header -------------------------------------------------------------------- */

static double seconds_of(const char *unit) {
    if (is_one_of(unit, "s sec seconds")) return 1;
    if (is_one_of(unit, "ms msec milliseconds")) return 1e-3;
    if (is_one_of(unit, "us")) return 1e-6;
    if (is_one_of(unit, "ns")) return 1e-9;
    return NAN;
}

static void note_unread(pose_columns *columns, const char *name) {
    size_t used = strlen(columns->unread);
    if (name[0])
        snprintf(columns->unread + used, sizeof columns->unread - used, "%s%s", used ? ", " : "",
                 name);
}

/* Columns that belong to the row, the first of each role. */
static bool take_row_column(const column_name *c, int column, pose_columns *columns) {
    int *slot = c->role == IS_TIME    ? &columns->time
                : c->role == IS_FRAME ? &columns->frame
                : c->role == IS_FILE  ? &columns->file
                : c->role == IS_TOOL  ? &columns->tool
                                      : NULL;
    if (!slot || *slot >= 0) return false;
    *slot = column;
    if (c->role == IS_TIME) columns->time_s = seconds_of(c->unit);
    return true;
}

bool pose_columns_by_name(const pose_cells *cells, char **names, pose_columns *columns, bool *found,
                          es_error *err) {
    header *h = es_alloc_zero(1, sizeof *h, err);
    if (!h) return false;
    for (size_t i = 0; i < cells->columns; i++) {
        column_name c = understand(names[i]);
        if (c.role == IS_STATE && !c.tool[0] && h->count)
            memcpy(c.tool, h->groups[h->count - 1].tool, sizeof c.tool);
        if (c.role >= IS_STATE)
            put(h, &c, (int)i);
        else if (!take_row_column(&c, (int)i, columns))
            note_unread(columns, names[i]);
    }
    for (int g = 0; g < h->count; g++)
        if (!make_tool(&h->groups[g], columns)) note_unread(columns, h->groups[g].tool);
    *found = columns->tool_count > 0;
    es_free(h);
    return true;
}
