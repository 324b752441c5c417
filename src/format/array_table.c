/* Arrays of numbers as a table of poses: [N, 7], [N, 4, 4] and their like, of which
 * nothing is known but the numbers. Which of them a pose has where is for others to
 * find out (pose_table_numbers.c). */
#include <string.h>

#include "container.h"

enum { LEAST = 6, MOST = 64 }; /* numbers of one row */

void es_array_table_clear(es_array_table *table) {
    es_free(table->numbers);
    memset(table, 0, sizeof *table);
}

/* Where element (row, number) of an array lies in the order of storage. */
typedef struct layout {
    uint64_t rows, numbers, inner; /* a number is a place of `inner` columns */
    uint64_t row_step, outer_step, inner_step;
} layout;

static bool is_width(uint64_t size) { return size >= LEAST && size <= MOST; }

/* Elements between neighbours along an axis as the file's own world counts it. */
static uint64_t world_step(const es_array *a, int axis) {
    uint64_t step = 1;
    for (int i = 0; i < a->rank; i++)
        if (a->reversed ? i < axis : i > axis) step *= es_array_world_size(a, i);
    return step;
}

/* Rows first, where both axes could be; of matrices the axis that is not theirs. */
static bool lay_out(const es_array *a, layout *l) {
    uint64_t s[3] = {0};
    for (int i = 0; i < a->rank && i < 3; i++) s[i] = es_array_world_size(a, i);
    if (a->rank == 2 && (is_width(s[1]) || is_width(s[0]))) {
        int row = is_width(s[1]) ? 0 : 1;
        *l = (layout){s[row], s[1 - row], 1, world_step(a, row), world_step(a, 1 - row), 0};
        return true;
    }
    bool first = s[2] == 4 && (s[1] == 4 || s[1] == 3);
    bool last = s[1] == 4 && (s[0] == 4 || s[0] == 3);
    if (a->rank != 3 || !(first || last)) return false;
    int row = first && !(last && a->reversed) ? 0 : 2, outer = row == 0 ? 1 : 0;
    *l = (layout){s[row],
                  s[outer] * 4,
                  4,
                  world_step(a, row),
                  world_step(a, outer),
                  world_step(a, outer + 1)};
    return true;
}

static bool holds_poses(const es_array_entry *e) {
    layout l;
    return !e->refused && lay_out(&e->array, &l);
}

static bool is_tool(const es_array_entry *e) {
    char name[ES_NAME_SIZE];
    return holds_poses(e) && es_array_is_transform(e, name);
}

static bool is_usual(const es_array_entry *e) {
    return holds_poses(e) && es_array_usual_pose_name(e);
}

static int count_all(const es_array_file *file, bool (*fits)(const es_array_entry *), int *last) {
    int count = 0;
    for (size_t i = 0; i < file->count; i++)
        if (fits(&file->items[i])) count++, *last = (int)i;
    return count;
}

static bool fail_choice(const es_array_file *file, es_error *err) {
    char all[700];
    int last;
    bool any = count_all(file, holds_poses, &last) > 0;
    es_array_list(file, any ? holds_poses : NULL, all, sizeof all);
    if (any)
        return es_fail(err, ES_USAGE,
                       "several arrays could be the poses: %s; choose one: FILE#NAME", all);
    return es_fail(err, ES_FORMAT,
                   "holds no array that could be poses ([N, 6] to [N, %d], [N, 4, 4], [N, 3, 4] or "
                   "[4, 4, N]); it has: %s",
                   MOST, *all ? all : "no arrays of numbers");
}

/* The chosen one, the only one, all that bear names of transforms, or the only one with
 * a usual name. */
static bool choose(const es_array_file *file, const char *choice, int *chosen, int *count,
                   es_error *err) {
    int last = -1;
    *count = 1;
    if (*choice) {
        *chosen = es_array_find(file, choice);
        if (*chosen >= 0 && holds_poses(&file->items[*chosen])) return true;
        char all[700];
        es_array_list(file, NULL, all, sizeof all);
        return es_fail(err, ES_USAGE, "has no array of poses \"%.60s\"; it has: %s", choice, all);
    }
    if (count_all(file, holds_poses, &last) != 1) {
        int tools = count_all(file, is_tool, &last);
        if (tools > ES_ARRAY_POSES)
            return es_fail(err, ES_UNSUPPORTED, "more than %d arrays of poses", ES_ARRAY_POSES);
        *count = tools;
        for (int i = 0, k = 0; tools && i < (int)file->count; i++)
            if (is_tool(&file->items[i])) chosen[k++] = i;
        if (tools) return true;
        *count = 1;
        if (count_all(file, is_usual, &last) != 1) return fail_choice(file, err);
    }
    *chosen = last;
    return true;
}

static bool check_rows(const es_array_file *file, const int *chosen, es_array_table *t,
                       es_error *err) {
    for (int i = 0; i < t->count; i++) {
        layout l;
        if (!lay_out(&file->items[chosen[i]].array, &l)) return false;
        if (i == 0) t->rows = (size_t)l.rows;
        if (l.rows != t->rows)
            return es_fail(err, ES_FORMAT, "%s has %zu poses, %s has %llu; expected as many",
                           file->items[chosen[0]].name, t->rows, file->items[chosen[i]].name,
                           (unsigned long long)l.rows);
        t->columns += (size_t)l.numbers;
    }
    return t->rows > 0 || es_fail(err, ES_FORMAT, "%s is empty", file->items[chosen[0]].name);
}

static bool put_array(es_array_file *file, int index, size_t column, es_array_table *t,
                      size_t *width, es_error *err) {
    layout l;
    double *values = es_array_values(file, index, err);
    if (!values || !lay_out(&file->items[index].array, &l)) return false;
    *width = (size_t)l.numbers;
    for (size_t r = 0; r < t->rows; r++)
        for (size_t i = 0; i < l.numbers; i++)
            t->numbers[r * t->columns + column + i] =
                values[r * l.row_step + i / l.inner * l.outer_step + i % l.inner * l.inner_step];
    es_free(values);
    return true;
}

static bool put_times(es_array_file *file, int index, es_array_table *t, es_error *err) {
    double *values = es_array_values(file, index, err);
    for (size_t r = 0; values && r < t->rows; r++) t->numbers[r * t->columns] = values[r];
    es_free(values);
    return values != NULL;
}

static uint64_t count_values(const es_array *a) {
    uint64_t count = 1;
    for (int i = 0; i < a->rank; i++) count *= a->size[i];
    return count;
}

bool es_array_file_table(es_array_file *file, const char *choice, es_array_table *t,
                         es_error *err) {
    int chosen[ES_ARRAY_POSES];
    size_t column, width;
    memset(t, 0, sizeof *t);
    snprintf(t->format, sizeof t->format, "%s", file->format);
    if (!choose(file, choice, chosen, &t->count, err) || !check_rows(file, chosen, t, err))
        return false;
    int times = es_array_find_times(file, file->items[chosen[0]].name);
    t->has_time = times >= 0 && count_values(&file->items[times].array) == t->rows;
    column = t->has_time;
    t->columns += column;
    t->numbers = es_alloc(t->rows, t->columns * sizeof *t->numbers, err);
    bool ok = t->numbers && (!t->has_time || put_times(file, times, t, err));
    for (int i = 0; ok && i < t->count; i++, column += width) {
        ok = put_array(file, chosen[i], column, t, &width, err);
        es_array_is_transform(&file->items[chosen[i]], t->names[i]);
    }
    if (!ok) es_array_table_clear(t);
    return ok;
}
