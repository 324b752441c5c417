/* The columns of a pose table by its numbers, where no header names them.
 *
 * Rotations give themselves away: four numbers of length one in every row, or
 * nine that make an orthonormal matrix. A row is taken as some leading columns
 * that grow (frame number, time), then one pose for each tool, all of one
 * form. Three bare angles have no such mark, so they are believed only when
 * nothing else fits. */
#include <math.h>
#include <string.h>

#include "pose_table_internal.h"

enum { TEST_ROWS = 5000 };
static const double MOST = 0.98; /* share of the rows that must agree: some may be broken */

/* A pose as it may stand in a row. */
typedef struct form {
    const char *name;
    int numbers;
    int rotation;
    int position[3], order[9]; /* columns from the start of the pose */
    int bottom;                /* first column of 0 0 0 1, -1: none; step to the next */
    int bottom_step;
    bool order_known; /* of quaternion or matrix */
} form;

static const form forms[] = {
    {"4x4 matrix, row by row",
     16,
     ES_POSE_IS_MATRIX,
     {3, 7, 11},
     {0, 1, 2, 4, 5, 6, 8, 9, 10},
     12,
     1,
     true},
    {"4x4 matrix, column by column",
     16,
     ES_POSE_IS_MATRIX,
     {12, 13, 14},
     {0, 4, 8, 1, 5, 9, 2, 6, 10},
     3,
     4,
     true},
    {"3x4 matrix, row by row",
     12,
     ES_POSE_IS_MATRIX,
     {3, 7, 11},
     {0, 1, 2, 4, 5, 6, 8, 9, 10},
     -1,
     0,
     true},
    {"nine of a matrix, then the position",
     12,
     ES_POSE_IS_MATRIX,
     {9, 10, 11},
     {0, 1, 2, 3, 4, 5, 6, 7, 8},
     -1,
     0,
     false},
    {"the position, then nine of a matrix",
     12,
     ES_POSE_IS_MATRIX,
     {0, 1, 2},
     {3, 4, 5, 6, 7, 8, 9, 10, 11},
     -1,
     0,
     false},
    {"the position, then a quaternion",
     7,
     ES_POSE_IS_QUATERNION,
     {0, 1, 2},
     {3, 4, 5, 6},
     -1,
     0,
     false},
    {"a quaternion, then the position",
     7,
     ES_POSE_IS_QUATERNION,
     {4, 5, 6},
     {0, 1, 2, 3},
     -1,
     0,
     false},
    {"six numbers: a position and three angles",
     6,
     ES_POSE_IS_EULER,
     {0, 1, 2},
     {3, 4, 5},
     -1,
     0,
     false},
};
enum { FORMS = sizeof forms / sizeof *forms };

/* Whether the row's pose at `column` fits: 1 yes, 0 no, -1 a gap. */
static int fits(const pose_cells *cells, size_t row, const form *f, int column) {
    double n[9], p[3];
    int count = pose_rotation_numbers(f->rotation);
    for (int i = 0; i < 3; i++) p[i] = pose_cell(cells, row, column + f->position[i]);
    for (int i = 0; i < count; i++) n[i] = pose_cell(cells, row, column + f->order[i]);
    for (int i = 0; i < 3; i++)
        if (isnan(p[i])) return -1;
    for (int i = 0; i < count; i++)
        if (isnan(n[i])) return -1;
    for (int i = 0; i < 4 && f->bottom >= 0; i++)
        if (fabs(pose_cell(cells, row, column + f->bottom + i * f->bottom_step) - (i == 3)) > 1e-6)
            return 0;
    es_mat4 pose;
    es_pose_reading reading = {{[ES_POSE_ROTATION] = (int8_t)f->rotation}};
    return pose_from_numbers(p, n, false, &reading, &pose);
}

static bool all_fit(const pose_cells *cells, const form *f, int column) {
    size_t good = 0, seen = 0, step = cells->rows / TEST_ROWS + 1;
    for (size_t r = 0; r < cells->rows; r += step) {
        int fit = fits(cells, r, f, column);
        seen += fit >= 0;
        good += fit == 1;
    }
    return seen > 0 && (double)good >= MOST * (double)seen;
}

/* Frame numbers and times grow from row to row. */
static bool grows(const pose_cells *cells, int column) {
    for (size_t r = 1; r < cells->rows; r++)
        if (!(pose_cell(cells, r, column) > pose_cell(cells, r - 1, column))) return false;
    return cells->rows > 0 && !isnan(pose_cell(cells, 0, column));
}

static bool counts_rows(const pose_cells *cells, int column) {
    for (size_t r = 1; r < cells->rows; r++)
        if (pose_cell(cells, r, column) != pose_cell(cells, r - 1, column) + 1) return false;
    double first = pose_cell(cells, 0, column);
    return first == floor(first);
}

/* Columns that hold words: names of files, states. */
static int count_words(const pose_cells *cells, int *leading) {
    int words = 0;
    for (size_t i = 0; i < cells->columns; i++) {
        bool word =
            isnan(pose_cell(cells, 0, (int)i)) && !pose_is_gap(pose_words(cells, 0, (int)i));
        if (word && (size_t)words == i) *leading = words + 1;
        words += word;
    }
    return words;
}

static void name_leading(const pose_cells *cells, int words, int extra, pose_columns *columns) {
    if (words) columns->file = 0;
    for (int i = words; i < words + extra; i++) {
        if (columns->frame < 0 && counts_rows(cells, i))
            columns->frame = i;
        else
            columns->time = i;
    }
}

static void take_form(const form *f, int start, int tools, pose_columns *columns) {
    es_pose_doubt *doubt = &columns->doubt;
    char why[120];
    snprintf(why, sizeof why, "%s: the numbers fit in every row", f->name);
    columns->tool_count = tools;
    for (int t = 0; t < tools; t++) {
        pose_tool *tool = &columns->tools[t];
        tool->valid = -1;
        if (tools > 1) snprintf(tool->name, sizeof tool->name, "Tool%d", t + 1);
        int column = start + t * f->numbers;
        for (int i = 0; i < 3; i++) tool->position[i] = column + f->position[i];
        for (int i = 0; i < pose_rotation_numbers(f->rotation); i++)
            tool->rotation[i] = column + f->order[i];
    }
    if (f->rotation == ES_POSE_IS_EULER) {
        doubt->possible[ES_POSE_ROTATION] = 1u << ES_POSE_IS_EULER | 1u << ES_POSE_IS_AXIS_ANGLE;
        return;
    }
    pose_doubt_settle(doubt, ES_POSE_ROTATION, f->rotation, why);
    pose_doubt_settle(doubt, ES_POSE_FIRST, 0, why);
    if (f->order_known) pose_doubt_settle(doubt, ES_POSE_MATRIX, 0, why);
}

/* Whether the row is `words` names, `extra` growing columns, then poses of f. */
static bool try_form(const pose_cells *cells, const form *f, int words, int extra,
                     pose_columns *columns) {
    int left = (int)cells->columns - words - extra;
    int tools = left / f->numbers;
    if (left <= 0 || left % f->numbers || tools > POSE_TOOL_LIMIT) return false;
    /* Nothing marks angles: no second tool, and no time that one row cannot show. */
    if (f->rotation == ES_POSE_IS_EULER && (tools > 1 || (extra && cells->rows < 2))) return false;
    for (int i = words; i < words + extra; i++)
        if (!grows(cells, i)) return false;
    for (int t = 0; t < tools; t++)
        if (!all_fit(cells, f, words + extra + t * f->numbers)) return false;
    name_leading(cells, words, extra, columns);
    take_form(f, words + extra, tools, columns);
    return true;
}

bool pose_columns_by_number(const pose_cells *cells, pose_columns *columns, es_error *err) {
    int leading = 0, words = count_words(cells, &leading);
    if (words == leading && words <= 1)
        for (int f = 0; f < FORMS; f++)
            for (int extra = 0; extra <= 2; extra++)
                if (try_form(cells, &forms[f], words, extra, columns)) return true;
    return es_fail(err, ES_FORMAT,
                   "%zu columns without names that make no pose known here: no four numbers of "
                   "length 1, no rotation matrix, not six numbers behind a frame number and a "
                   "time; name them with --pose-layout \"columns=time:tx:ty:tz:qw:qx:qy:qz\" (- "
                   "for one to leave out)",
                   cells->columns);
}
