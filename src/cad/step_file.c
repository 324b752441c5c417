/* The text layer of STEP files, and sets of faces that hang together. */
#include "step_file.h"

#include <math.h>
#include <string.h>

enum { BUFFER = 1 << 16 };

bool step_flush(step_file *file) {
    if (!file->failed && file->text.failed)
        file->failed = !es_fail(file->err, ES_MEMORY, "out of memory for the text of the file");
    if (!file->failed && file->text.length)
        file->failed = !es_output_write(file->out, file->text.bytes, file->text.length, file->err);
    file->text.length = 0;
    return !file->failed;
}

static void put_arguments(step_file *file, const char *format, va_list arguments) {
    char piece[1024];
    if (file->failed) return;
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    if (length >= 0 && (size_t)length < sizeof piece)
        es_text_add_bytes(&file->text, piece, (size_t)length);
    else
        file->failed = !es_fail(file->err, ES_UNSUPPORTED, "an entity of %d characters", length);
    if (file->text.length > BUFFER) step_flush(file);
}

uint32_t step_begin(step_file *file) {
    step_put(file, "#%u=", ++file->last);
    return file->last;
}

void step_put(step_file *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    put_arguments(file, format, arguments);
    va_end(arguments);
}

void step_end(step_file *file) { step_put(file, ");\n"); }

uint32_t step_add(step_file *file, const char *format, ...) {
    va_list arguments;
    uint32_t number = step_begin(file);
    va_start(arguments, format);
    put_arguments(file, format, arguments);
    va_end(arguments);
    step_put(file, ";\n");
    return number;
}

void step_put_list(step_file *file, const uint32_t *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) /* short lines for old readers */
        step_put(file, "%s#%u", i == 0 ? "" : i % 12 == 0 ? ",\n" : ",", numbers[i]);
}

static void put_triple(step_file *file, es_vec3 v) {
    char x[STEP_REAL_SIZE], y[STEP_REAL_SIZE], z[STEP_REAL_SIZE];
    step_put(file, "(%s,%s,%s)", step_real(v.x, x), step_real(v.y, y), step_real(v.z, z));
}

uint32_t step_point(step_file *file, const char *name, es_vec3 at) {
    uint32_t number = step_begin(file);
    step_put(file, "CARTESIAN_POINT('%s',", name);
    put_triple(file, at);
    step_end(file);
    return number;
}

uint32_t step_direction(step_file *file, es_vec3 unit) {
    uint32_t number = step_begin(file);
    step_put(file, "DIRECTION('',");
    put_triple(file, unit);
    step_end(file);
    return number;
}

char *step_real(double value, char text[STEP_REAL_SIZE]) {
    char plain[ES_NUMBER_SIZE];
    es_format_double(value + 0.0, plain); /* -0 is 0 */
    size_t digits = strcspn(plain, "eE");
    bool point = memchr(plain, '.', digits) != NULL;
    snprintf(text, STEP_REAL_SIZE, "%.*s%s%s%s", (int)digits, plain, point ? "" : ".",
             plain[digits] ? "E" : "", plain[digits] ? plain + digits + 1 : "");
    return text;
}

/* ---- strings ------------------------------------------------------------------- */

/* The character at *at, which moves past it; UINT32_MAX for what is not UTF-8
 * (RFC 3629: neither overlong nor surrogates). */
static uint32_t next_character(const unsigned char **at) {
    static const uint32_t LEAST[4] = {0, 0x80, 0x800, 0x10000};
    uint32_t first = *(*at)++;
    int more = first < 0x80       ? 0
               : first >> 5 == 6  ? 1
               : first >> 4 == 14 ? 2
               : first >> 3 == 30 ? 3
                                  : -1;
    if (more < 0) return UINT32_MAX;
    uint32_t character = more == 0 ? first : first & (0x3fu >> more);
    for (int i = 0; i < more; i++, (*at)++) {
        if (**at >> 6 != 2) return UINT32_MAX;
        character = character << 6 | (**at & 0x3f);
    }
    bool surrogate = character >= 0xd800 && character < 0xe000;
    return character < LEAST[more] || surrogate || character > 0x10ffff ? UINT32_MAX : character;
}

bool step_string(const char *utf8, es_text *encoded, es_error *err) {
    const unsigned char *at = (const unsigned char *)utf8;
    es_text_add(encoded, "%s", "");
    while (*at) {
        uint32_t c = next_character(&at);
        if (c == UINT32_MAX)
            return es_fail(err, ES_USAGE, "the name '%s' is not UTF-8; give it in UTF-8", utf8);
        if (c < ' ' || c == 127)
            es_text_add(encoded, " ");
        else if (c == '\'' || c == '\\')
            es_text_add(encoded, "%c%c", (int)c, (int)c);
        else if (c < 127)
            es_text_add(encoded, "%c", (int)c);
        else
            es_text_add(encoded, c < 0x10000 ? "\\X2\\%04X\\X0\\" : "\\X4\\%08X\\X0\\", c);
    }
    return !encoded->failed || es_fail(err, ES_MEMORY, "out of memory for a name");
}

void step_put_name(step_file *file, const char *encoded, size_t piece, size_t pieces) {
    step_put(file, "'%s", encoded);
    if (pieces > 1) step_put(file, " %zu", piece + 1);
    step_put(file, "'");
}

bool step_add_item(step_sum *sum, uint32_t item, es_error *err) {
    if (sum->item_count == sum->item_capacity) {
        size_t capacity = 2 * sum->item_capacity + 8;
        if (!es_resize(&sum->items, capacity, sizeof *sum->items, err)) return false;
        sum->item_capacity = capacity;
    }
    sum->items[sum->item_count++] = item;
    return true;
}

void step_add_measures(step_sum *sum, const es_patches_measure *solid) {
    sum->report.solids++;
    sum->report.area_mm2 += solid->area_mm2;
    sum->report.volume_mm3 += solid->volume_mm3;
    sum->moment[0] += solid->centroid.x * solid->volume_mm3;
    sum->moment[1] += solid->centroid.y * solid->volume_mm3;
    sum->moment[2] += solid->centroid.z * solid->volume_mm3;
}

/* ---- sets ------------------------------------------------------------------------ */

uint32_t *step_sets_new(size_t count, es_error *err) {
    uint32_t *sets = es_alloc(count, sizeof *sets, err);
    for (size_t i = 0; sets && i < count; i++) sets[i] = (uint32_t)i;
    return sets;
}

uint32_t step_sets_root(uint32_t *sets, uint32_t member) {
    for (; sets[member] != member; member = sets[member]) sets[member] = sets[sets[member]];
    return member;
}

void step_sets_join(uint32_t *sets, uint32_t a, uint32_t b) {
    a = step_sets_root(sets, a);
    b = step_sets_root(sets, b);
    if (a < b)
        sets[b] = a;
    else
        sets[a] = b;
}

bool step_pieces_find(uint32_t *sets, size_t count, step_pieces *pieces, es_error *err) {
    *pieces = (step_pieces){0};
    uint32_t *number = es_alloc(count, sizeof *number, err); /* of a root: its piece */
    pieces->members = number ? es_alloc(count, sizeof *pieces->members, err) : NULL;
    pieces->start = pieces->members ? es_alloc_zero(count + 2, sizeof *pieces->start, err) : NULL;
    bool ok = pieces->start != NULL;
    if (ok) {
        for (size_t i = 0; i < count; i++) {
            uint32_t root = step_sets_root(sets, (uint32_t)i);
            number[i] = root == i ? (uint32_t)pieces->count++ : number[root];
            pieces->start[number[i] + 2]++;
        }
        for (size_t p = 0; p < pieces->count; p++) pieces->start[p + 2] += pieces->start[p + 1];
        for (size_t i = 0; i < count; i++)
            pieces->members[pieces->start[number[i] + 1]++] = (uint32_t)i;
    } else {
        step_pieces_clear(pieces);
    }
    es_free(number);
    return ok;
}

void step_pieces_clear(step_pieces *pieces) {
    es_free(pieces->members);
    es_free(pieces->start);
    *pieces = (step_pieces){0};
}
