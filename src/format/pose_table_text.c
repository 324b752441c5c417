/* The text of a pose table: lines, cells, numbers.
 *
 * Nobody says how a table is cut: with commas, semicolons, tabs or blanks, and
 * with a point or a comma before the decimals. Each way is tried on the first
 * lines; the one under which most of them hold at least a pose's worth of
 * numbers is taken. The data start at the first such line, or above it where
 * lines of the same width hold only gaps (a tracker that saw nothing yet).
 * From there on every line must have the same number of cells: a table that
 * loses a cell in its middle is refused with the line, since every number
 * behind it would be taken for another. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "pose_table_internal.h"

enum { SAMPLE_LINES = 1000 };

/* ---- lines -------------------------------------------------------------------- */

static bool check_text(const pose_cells *c, const char *path, es_error *err) {
    const unsigned char *b = (const unsigned char *)c->text;
    if (c->length >= 2 && ((b[0] == 0xFF && b[1] == 0xFE) || (b[0] == 0xFE && b[1] == 0xFF)))
        return es_fail(err, ES_UNSUPPORTED,
                       "%s: is UTF-16 text; save the table as UTF-8 (\"CSV UTF-8\")", path);
    const char *zero = memchr(c->text, 0, c->length);
    if (!zero) return true;
    return es_fail(err, ES_FORMAT, "%s: byte %zu is zero; expected a table of poses as text", path,
                   (size_t)(zero - c->text));
}

static char *end_line(char *at) {
    char *end = at + strcspn(at, "\r\n");
    char *next = end;
    if (*next == '\r') next++;
    if (*next == '\n') next++;
    *end = '\0';
    return next;
}

static size_t comment_mark(const char *line) {
    if (line[0] == '/' && line[1] == '/') return 2;
    return strspn(line, "#%!");
}

static bool add_line(pose_cells *c, size_t *room, pose_line line, es_error *err) {
    if (c->line_count == *room) {
        *room = *room ? 2 * *room : 1024;
        if (!es_resize(&c->lines, *room, sizeof *c->lines, err)) return false;
    }
    c->lines[c->line_count++] = line;
    return true;
}

bool pose_text_read(pose_cells *c, const char *path, es_error *err) {
    memset(c, 0, sizeof *c);
    c->text = es_file_read(path, POSE_FILE_LIMIT, &c->length, err);
    if (!c->text || !check_text(c, path, err)) return false;
    size_t room = 0;
    char *at = c->text, *end = c->text + c->length;
    if (strncmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3;
    for (long number = 1; at < end; number++) {
        pose_line line = {at, number};
        /* A mark of only one CR LF belongs to one line even when both are there. */
        at = end_line(at);
        line.text += strspn(line.text, " ");
        size_t mark = comment_mark(line.text);
        if (mark && c->line_count == 0) c->comment = (pose_line){line.text + mark, number};
        if (mark || line.text[strspn(line.text, " \t")] == '\0') continue;
        if (!add_line(c, &room, line, err)) return false;
    }
    return c->line_count > 0 || es_fail(err, ES_FORMAT, "%s: holds no line of a table", path);
}

void pose_text_clear(pose_cells *c) {
    es_free(c->text);
    es_free(c->lines);
    es_free(c->cells);
    es_free(c->numbers);
    memset(c, 0, sizeof *c);
}

/* ---- cells -------------------------------------------------------------------- */

static char *trim(char *text, char *end) {
    while (text < end && (*text == ' ' || *text == '\t')) text++;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (end - text >= 2 && *text == '"' && end[-1] == '"') text++, end--;
    *end = '\0';
    return text;
}

/* The end of the cell that starts at `at`. Separators inside quotes count as
 * text. */
static char *cell_end(char *at, char separator) {
    bool quoted = false;
    for (; *at; at++) {
        if (*at == '"') quoted = !quoted;
        if (!quoted && (*at == separator || (separator == ' ' && *at == '\t'))) break;
    }
    return at;
}

size_t pose_line_cut(char *line, pose_style style, char **cells, size_t limit) {
    size_t count = 0;
    for (char *at = line;; at++) {
        if (style.separator == ' ') at += strspn(at, " \t");
        if (style.separator == ' ' && !*at) return count;
        char *end = cell_end(at, style.separator);
        bool last = *end == '\0';
        char *text = trim(at, end);
        if (count < limit) cells[count] = text;
        count++;
        if (last) return count;
        at = end;
    }
}

bool pose_number(const char *text, bool decimal_comma, double *number) {
    if (!decimal_comma) return es_parse_double(text, number) && isfinite(*number);
    char copy[64];
    size_t length = strlen(text);
    if (length >= sizeof copy || strchr(text, '.')) return false;
    memcpy(copy, text, length + 1);
    char *comma = strchr(copy, ',');
    if (comma) *comma = '.';
    return es_parse_double(copy, number) && isfinite(*number);
}

bool pose_is_gap(const char *text) {
    static const char *const words[] = {"",     "nan", "-nan",     "missing", "n/a", "na",  "null",
                                        "none", "-",   "disabled", "invalid", "inf", "-inf"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return strcasestr(text, "out of volume") || strcasestr(text, "outofvolume");
}

typedef struct line_count {
    size_t cells, numbers, gaps;
} line_count;

/* Lines are counted on a copy and stay as they are. */
typedef struct scratch {
    char *line;
    size_t room;
    char **cells; /* POSE_COLUMN_LIMIT */
} scratch;

static bool start_scratch(scratch *s, es_error *err) {
    *s = (scratch){.cells = es_alloc(POSE_COLUMN_LIMIT, sizeof *s->cells, err)};
    return s->cells != NULL;
}

static void end_scratch(scratch *s) {
    es_free(s->line);
    es_free(s->cells);
}

static bool count_cells(scratch *s, const char *line, pose_style style, line_count *count,
                        es_error *err) {
    size_t length = strlen(line) + 1;
    if (length > s->room) {
        if (!es_resize(&s->line, 2 * length, 1, err)) return false;
        s->room = 2 * length;
    }
    memcpy(s->line, line, length);
    *count = (line_count){.cells = pose_line_cut(s->line, style, s->cells, POSE_COLUMN_LIMIT)};
    double number;
    for (size_t i = 0; i < count->cells && i < POSE_COLUMN_LIMIT; i++) {
        bool gap = pose_is_gap(s->cells[i]);
        count->gaps += gap;
        count->numbers += !gap && pose_number(s->cells[i], style.decimal_comma, &number);
    }
    return true;
}

static bool holds_pose(line_count n) {
    return n.numbers >= POSE_NEEDED && 10 * (n.numbers + n.gaps) >= 6 * n.cells;
}

/* ---- the style ----------------------------------------------------------------- */

static bool find_style(pose_cells *c, scratch *work, es_error *err) {
    static const pose_style styles[] = {{'\t', false}, {'\t', true}, {';', false}, {';', true},
                                        {',', false},  {',', true},  {' ', false}, {' ', true}};
    size_t best = 0;
    for (size_t s = 0; s < sizeof styles / sizeof *styles; s++) {
        size_t good = 0;
        for (size_t i = 0; i < c->line_count && i < SAMPLE_LINES; i++) {
            line_count n;
            if (!count_cells(work, c->lines[i].text, styles[s], &n, err)) return false;
            good += holds_pose(n);
        }
        if (good <= best) continue;
        best = good;
        c->style = styles[s];
    }
    return best > 0 ||
           es_fail(err, ES_FORMAT,
                   "no line of the first %d holds the %d numbers of a pose; expected a table with "
                   "a position and a rotation in each row",
                   SAMPLE_LINES, POSE_NEEDED);
}

/* The first line with a pose, then back over lines of gaps above it. */
static bool find_first(pose_cells *c, scratch *work, es_error *err) {
    line_count n = {0}, above;
    for (c->first = 0; c->first < c->line_count; c->first++) {
        if (!count_cells(work, c->lines[c->first].text, c->style, &n, err)) return false;
        if (holds_pose(n)) break;
    }
    c->columns = n.cells;
    for (; c->first > 0; c->first--) {
        if (!count_cells(work, c->lines[c->first - 1].text, c->style, &above, err)) return false;
        if (above.cells != n.cells || above.numbers == 0 || above.gaps < POSE_NEEDED) break;
    }
    return true;
}

/* ---- cutting -------------------------------------------------------------------- */

static bool check_width(const pose_cells *c, const pose_line *line, char **row, size_t count,
                        bool short_rows, es_error *err) {
    size_t used = count;
    while (used > c->columns && row[used - 1][0] == '\0') used--;
    if (used == c->columns || (short_rows && used < c->columns)) return true;
    return es_fail(err, ES_FORMAT,
                   "line %ld: %zu columns; expected %zu as in line %ld (cells must be separated by "
                   "the same sign throughout; leave a cell blank for a gap)",
                   line->number, used, c->columns, c->lines[c->first].number);
}

static bool take_row(pose_cells *c, size_t r, char **row, size_t count, es_error *err) {
    size_t numbers = 0, gaps = 0;
    for (size_t i = 0; i < c->columns; i++) {
        const char *text = i < count ? row[i] : c->text + c->length;
        double number = NAN;
        bool gap = pose_is_gap(text);
        if (!gap && !pose_number(text, c->style.decimal_comma, &number)) number = NAN;
        numbers += !isnan(number);
        gaps += gap;
        c->cells[r * c->columns + i] = (uint32_t)(text - c->text);
        c->numbers[r * c->columns + i] = number;
    }
    if (numbers + gaps > 0) return true;
    return es_fail(err, ES_FORMAT, "line %ld: '%.40s' where a row of numbers was expected",
                   c->lines[c->first + r].number, row[0]);
}

static bool cut_rows(pose_cells *c, char **row, bool short_rows, es_error *err) {
    for (size_t r = 0; r < c->rows; r++) {
        pose_line *line = &c->lines[c->first + r];
        size_t count = pose_line_cut(line->text, c->style, row, POSE_COLUMN_LIMIT);
        if (!check_width(c, line, row, count, short_rows, err) ||
            !take_row(c, r, row, count < c->columns ? count : c->columns, err))
            return false;
    }
    return true;
}

/* A known format says where its rows start, and how wide they are at least. */
static bool take_first(pose_cells *c, size_t first, scratch *work, es_error *err) {
    line_count n;
    c->first = first;
    if (first >= c->line_count) return es_fail(err, ES_FORMAT, "no rows behind the header");
    if (!count_cells(work, c->lines[first].text, c->style, &n, err)) return false;
    if (c->columns < n.cells) c->columns = n.cells;
    return true;
}

static bool make_room(pose_cells *c, es_error *err) {
    size_t total = 0;
    if (c->columns > POSE_COLUMN_LIMIT)
        return es_fail(err, ES_FORMAT, "line %ld: %zu columns; %d are the limit",
                       c->lines[c->first].number, c->columns, POSE_COLUMN_LIMIT);
    c->rows = c->line_count - c->first;
    if (!es_multiply(c->rows, c->columns, &total))
        return es_fail(err, ES_MEMORY, "%zu rows of %zu columns are too many", c->rows, c->columns);
    return (c->cells = es_alloc(total, sizeof *c->cells, err)) &&
           (c->numbers = es_alloc(total, sizeof *c->numbers, err));
}

bool pose_text_cut(pose_cells *c, const char *path, size_t first, bool short_rows, es_error *err) {
    scratch work;
    bool ok = start_scratch(&work, err);
    if (ok && first == SIZE_MAX)
        ok = find_style(c, &work, err) && find_first(c, &work, err);
    else
        ok = ok && take_first(c, first, &work, err);
    ok = ok && make_room(c, err) && cut_rows(c, work.cells, short_rows, err);
    end_scratch(&work);
    return ok || es_prefix(err, "%s", path);
}
