/* What the files of the pose tables share: the text cut into cells, and what
 * is known of the columns. */
#ifndef ES_POSE_TABLE_INTERNAL_H
#define ES_POSE_TABLE_INTERNAL_H

#include "echosolid/format.h"

/* Files come from strangers: past these a table is refused. */
enum {
    POSE_FILE_LIMIT = 1 << 29,
    POSE_COLUMN_LIMIT = 4096,
    POSE_TOOL_LIMIT = 64,
    POSE_HEADER_LINES = 64,
    POSE_NEEDED = 6, /* numbers that a pose has at least */
};

/* ---- the text (pose_table_text.c) ------------------------------------------ */

/* How lines are cut: at `separator` (' ' stands for any run of blanks), and
 * whether decimals stand behind a comma. */
typedef struct pose_style {
    char separator;
    bool decimal_comma;
} pose_style;

typedef struct pose_line {
    char *text;
    long number; /* 1-based */
} pose_line;

/* A file cut into cells: `rows` x `columns` offsets into the text, and their
 * numbers (NaN: a gap, or words). The lines before the data are kept whole. */
typedef struct pose_cells {
    char *text;
    size_t length;
    pose_line *lines; /* not blank, no comments */
    size_t line_count;
    pose_line comment; /* the last one above the table, without its mark; text NULL: none */
    pose_style style;
    size_t first; /* index of the first line of data */
    size_t rows, columns;
    uint32_t *cells;
    double *numbers;
    char names[POSE_TOOL_LIMIT][ES_NAME_SIZE]; /* of the arrays that were read, else "" */
} pose_cells;

bool pose_text_read(pose_cells *cells, const char *path, es_error *err);
void pose_text_clear(pose_cells *cells);
/* Finds style, first line of data and columns, then cuts everything. `first`
 * (SIZE_MAX: find it) is where a known format starts its data; `short_rows`:
 * a row may end early, the rest is a gap. */
bool pose_text_cut(pose_cells *cells, const char *path, size_t first, bool short_rows,
                   es_error *err);
/* Cuts one line in place into at most `limit` cells; returns how many there are. */
size_t pose_line_cut(char *line, pose_style style, char **cells, size_t limit);
bool pose_number(const char *text, bool decimal_comma, double *number);
/* Blank, NaN, MISSING and their like. */
bool pose_is_gap(const char *text);

/* ---- poses in other files (pose_table_data.c) -------------------------------- */

typedef struct pose_columns pose_columns;
typedef enum pose_file { POSE_TEXT, POSE_ARRAYS, POSE_RECORDING } pose_file;
/* Arrays of numbers as cells whose columns are still to be understood, or the transforms
 * of a recording with columns that leave no doubt. POSE_TEXT: neither; nothing is read. */
bool pose_data_read(pose_cells *cells, const char *path, pose_columns *columns, pose_file *kind,
                    es_error *err);

/* ---- the columns (pose_table_columns.c, pose_table_vendor.c) ----------------- */

/* Where a tool's numbers stand; the rotation in the order that its kind has:
 * w x y z (or as in the file while QUATERNION is in doubt), rows of a matrix,
 * three angles. */
typedef struct pose_tool {
    char name[ES_NAME_SIZE];
    int position[3], rotation[9];
    int valid; /* column with a state, -1: none */
} pose_tool;

struct pose_columns {
    pose_tool tools[POSE_TOOL_LIMIT];
    int tool_count;
    int time, frame, file, tool; /* -1: none; `tool` names the tool of each row */
    bool angles_by_axis;         /* Euler angles are named by their axes */
    double time_s;               /* seconds of a unit of the time column; NaN: not known */
    char format[40];
    char unread[200]; /* names of columns that say nothing to us */
    es_pose_doubt doubt;
};

/* Leaves only `value` of an attribute, with the reason. */
void pose_doubt_settle(es_pose_doubt *doubt, int attribute, int value, const char *why);
int pose_attribute_value(int attribute, const char *word); /* -1: unknown */
int pose_rotation_numbers(int rotation);                   /* how many a rotation has */
/* False when they are no rotation. `rotation` as pose_tool has it; by_axis: the
 * Euler angles are those about x, y and z, in whichever order they act. */
bool pose_from_numbers(const double position[3], const double *rotation, bool by_axis,
                       const es_pose_reading *reading, es_mat4 *pose);

/* From the names in the header; *found = false when they name no whole pose. */
bool pose_columns_by_name(const pose_cells *cells, char **names, pose_columns *columns, bool *found,
                          es_error *err);
/* From the numbers alone. */
bool pose_columns_by_number(const pose_cells *cells, pose_columns *columns, es_error *err);

/* Motive, Vicon and .trc: known by their first line. *known = false: another. */
bool pose_vendor_read(pose_cells *cells, const char *path, pose_columns *columns, bool *known,
                      es_error *err);

static inline double pose_cell(const pose_cells *cells, size_t row, int column) {
    return cells->numbers[row * cells->columns + (size_t)column];
}
static inline const char *pose_words(const pose_cells *cells, size_t row, int column) {
    return cells->text + cells->cells[row * cells->columns + (size_t)column];
}

#endif
