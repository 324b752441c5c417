/* Poses in files that are no text: arrays of NumPy, MATLAB and HDF5, whose numbers are
 * understood like those of a table without names, and recordings (of PLUS, of Slicer),
 * whose transforms say themselves what they are. */
#include <math.h>
#include <string.h>

#include "container.h"
#include "pose_table_internal.h"

enum { MATRIX = 16, ROW_LIMIT = 1 << 24 };

/* Numbers without words behind them: each cell's text is empty, each row a line. Takes
 * `numbers` over. */
static bool set_cells(pose_cells *cells, double *numbers, size_t rows, size_t columns,
                      es_error *err) {
    memset(cells, 0, sizeof *cells);
    cells->numbers = numbers;
    cells->rows = cells->line_count = rows;
    cells->columns = columns;
    cells->style = (pose_style){' ', false};
    cells->text = es_copy_text("", err);
    cells->cells = cells->text ? es_alloc_zero(rows, columns * sizeof *cells->cells, err) : NULL;
    cells->lines = cells->cells ? es_alloc(rows, sizeof *cells->lines, err) : NULL;
    for (size_t r = 0; cells->lines && r < rows; r++)
        cells->lines[r] = (pose_line){cells->text, (long)r + 1};
    return cells->lines != NULL;
}

/* ---- recordings ------------------------------------------------------------------- */

typedef struct record {
    char (*names)[ES_NAME_SIZE];
    double *numbers; /* the time, then a matrix for each tool */
    size_t rows, room, columns;
    int tools;
    bool has_time;
} record;

static int tool_of(const record *r, const char *name) {
    for (int i = 0; i < r->tools; i++)
        if (strcmp(r->names[i], name) == 0) return i;
    return -1;
}

/* A calibration that is told with every frame is no tool's pose: it scales. */
static bool is_pose(const es_frame_transform *t) {
    static const double LEAST_DEFECT = 0.01;
    return t->valid && es_mat4_rigid_defect(t->matrix) < LEAST_DEFECT;
}

/* The poses of all frames, in the order in which their names first come. */
static bool list_tools(es_source *source, record *r, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok;
    while ((ok = es_source_next(source, &frame, 0, &end, err)) && !end)
        for (size_t i = 0; i < frame.transform_count && r->tools < POSE_TOOL_LIMIT; i++)
            if (is_pose(&frame.transforms[i]) && tool_of(r, frame.transforms[i].name) < 0)
                snprintf(r->names[r->tools++], ES_NAME_SIZE, "%s", frame.transforms[i].name);
    es_frame_clear(&frame);
    return ok && (r->tools > 0 || es_fail(err, ES_FORMAT, "is a recording without valid poses"));
}

static bool add_row(record *r, const es_frame *frame, es_error *err) {
    if (r->rows == r->room) {
        r->room = r->room ? 2 * r->room : 1024;
        if (r->room > ROW_LIMIT) return es_fail(err, ES_UNSUPPORTED, "too many poses");
        if (!es_resize(&r->numbers, r->room, r->columns * sizeof *r->numbers, err)) return false;
    }
    double *row = r->numbers + r->rows++ * r->columns;
    for (size_t i = 0; i < r->columns; i++) row[i] = NAN;
    if (frame->has_time) row[0] = frame->time_s;
    r->has_time = r->has_time || frame->has_time;
    for (size_t i = 0; i < frame->transform_count; i++) {
        const es_frame_transform *t = &frame->transforms[i];
        int tool = t->valid ? tool_of(r, t->name) : -1;
        if (tool >= 0) memcpy(row + 1 + MATRIX * tool, t->matrix.m, sizeof t->matrix.m);
    }
    return true;
}

static bool add_rows(es_source *source, record *r, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = es_source_rewind(source, err);
    r->columns = 1 + MATRIX * (size_t)r->tools;
    while (ok && (ok = es_source_next(source, &frame, 0, &end, err)) && !end)
        ok = add_row(r, &frame, err);
    es_frame_clear(&frame);
    return ok;
}

/* A recording's transforms are what they are called: A to B in millimetres. */
static void know_columns(const record *r, const char *format, pose_columns *c) {
    static const int settled[][2] = {{ES_POSE_ROTATION, ES_POSE_IS_MATRIX},
                                     {ES_POSE_FIRST, 0},
                                     {ES_POSE_MATRIX, 0},
                                     {ES_POSE_UNIT, 0},
                                     {ES_POSE_DIRECTION, 0},
                                     {ES_POSE_SENSE, 0},
                                     {ES_POSE_HANDEDNESS, 0}};
    for (size_t i = 0; i < sizeof settled / sizeof *settled; i++)
        pose_doubt_settle(&c->doubt, settled[i][0], settled[i][1], "a recording's transforms");
    snprintf(c->format, sizeof c->format, "recording (%s)", format);
    if (r->has_time) c->time = 0;
    c->time_s = 1;
    c->tool_count = r->tools;
    for (int t = 0; t < r->tools; t++) {
        pose_tool *tool = &c->tools[t];
        memcpy(tool->name, r->names[t], ES_NAME_SIZE);
        tool->valid = -1;
        for (int i = 0; i < 9; i++) tool->rotation[i] = 1 + MATRIX * t + i / 3 * 4 + i % 3;
        for (int i = 0; i < 3; i++) tool->position[i] = 1 + MATRIX * t + 4 * i + 3;
    }
}

static bool read_recording(pose_cells *cells, es_source *source, pose_columns *columns,
                           es_error *err) {
    record r = {.names = es_alloc_zero(POSE_TOOL_LIMIT, sizeof *r.names, err)};
    bool ok = r.names && list_tools(source, &r, err) && add_rows(source, &r, err);
    if (ok) know_columns(&r, es_source_info(source)->format, columns);
    es_free(r.names);
    if (ok) return set_cells(cells, r.numbers, r.rows, r.columns, err);
    es_free(r.numbers);
    return false;
}

/* ---- arrays ------------------------------------------------------------------------- */

static bool take_arrays(pose_cells *cells, es_array_table *table, pose_columns *columns,
                        es_error *err) {
    double *numbers = table->numbers;
    table->numbers = NULL;
    if (!set_cells(cells, numbers, table->rows, table->columns, err)) return false;
    for (int i = 0; i < table->count; i++) memcpy(cells->names[i], table->names[i], ES_NAME_SIZE);
    snprintf(columns->format, sizeof columns->format, "array (%s)", table->format);
    return true;
}

bool pose_data_read(pose_cells *cells, const char *path, pose_columns *columns, pose_file *kind,
                    es_error *err) {
    es_array_table table;
    es_source *source;
    if (!es_pose_file_open(path, &table, &source, err)) return false;
    *kind = source ? POSE_RECORDING : table.numbers ? POSE_ARRAYS : POSE_TEXT;
    bool ok = true;
    if (*kind == POSE_RECORDING) ok = read_recording(cells, source, columns, err);
    if (*kind == POSE_ARRAYS) ok = take_arrays(cells, &table, columns, err);
    es_source_free(source);
    es_array_table_clear(&table);
    return ok || es_prefix(err, "%s", path);
}
