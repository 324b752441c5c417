/* NumPy's .npy: one array of numbers.
 *
 * Eight bytes of mark and version, the length of the header, and a header that
 * is a Python dictionary with exactly the keys descr, fortran_order and shape
 * (NEP 1, "A simple file format for NumPy arrays"). It is parsed here as the
 * few forms that NumPy writes, never evaluated; object arrays, which are
 * pickles and could run code, are refused. */
#include <ctype.h>
#include <string.h>

#include "container.h"

enum { HEADER_LIMIT = 65536, MARK = 6 };
static const char mark[] = "\x93NUMPY";

/* ---- the header ------------------------------------------------------------------ */

typedef struct header {
    char descr[32];
    bool fortran, has_descr, has_fortran, has_shape, structured;
    int rank;
    uint64_t shape[8];
} header;

static const char *skip_blanks(const char *at) {
    while (isspace((unsigned char)*at)) at++;
    return at;
}

/* 'text' or "text"; NULL when it is something else or too long. */
static const char *take_string(const char *at, char *text, size_t size) {
    char quote = *at;
    if (quote != '\'' && quote != '"') return NULL;
    const char *stop = strchr(at + 1, quote);
    if (!stop || (size_t)(stop - at) > size) return NULL;
    memcpy(text, at + 1, (size_t)(stop - at) - 1);
    text[stop - at - 1] = '\0';
    return stop + 1;
}

/* (3, 480, 640), (3,), () */
static const char *take_shape(const char *at, header *h) {
    if (*at != '(') return NULL;
    for (at = skip_blanks(at + 1); *at != ')'; at = skip_blanks(at)) {
        uint64_t value = 0;
        if (!isdigit((unsigned char)*at) || h->rank >= 8) return NULL;
        for (; isdigit((unsigned char)*at); at++) {
            if (value > (UINT64_MAX >> 8) / 10) return NULL;
            value = value * 10 + (uint64_t)(*at - '0');
        }
        if (*at == 'L') at++; /* Python 2 */
        h->shape[h->rank++] = value;
        at = skip_blanks(at);
        if (*at == ',')
            at++;
        else if (*at != ')')
            return NULL;
    }
    return at + 1;
}

static const char *take_flag(const char *at, bool *flag) {
    *flag = strncmp(at, "True", 4) == 0;
    return *flag ? at + 4 : strncmp(at, "False", 5) == 0 ? at + 5 : NULL;
}

static const char *take_value(const char *at, const char *key, header *h) {
    bool *has = strcmp(key, "descr") == 0           ? &h->has_descr
                : strcmp(key, "fortran_order") == 0 ? &h->has_fortran
                : strcmp(key, "shape") == 0         ? &h->has_shape
                                                    : NULL;
    if (!has || *has) return NULL;
    *has = true;
    if (has == &h->has_shape) return take_shape(at, h);
    if (has == &h->has_fortran) return take_flag(at, &h->fortran);
    h->structured = *at == '[';
    return h->structured ? NULL : take_string(at, h->descr, sizeof h->descr);
}

static bool parse(const char *at, header *h) {
    char key[32];
    at = skip_blanks(at);
    if (*at++ != '{') return false;
    for (at = skip_blanks(at); *at != '}'; at = skip_blanks(at)) {
        if (!(at = take_string(at, key, sizeof key))) return false;
        at = skip_blanks(at);
        if (*at++ != ':' || !(at = take_value(skip_blanks(at), key, h))) return false;
        at = skip_blanks(at);
        if (*at == ',')
            at++;
        else if (*at != '}')
            return false;
    }
    return h->has_descr && h->has_fortran && h->has_shape && !*skip_blanks(at + 1);
}

/* Byte order and type of "<f4". What cannot be read is named in *refused. */
static void take_type(const header *h, es_array *array, const char **refused) {
    static const struct {
        const char *name;
        es_type type;
    } types[] = {{"u1", ES_U8},  {"b1", ES_U8},  {"i1", ES_I8},  {"u2", ES_U16}, {"i2", ES_I16},
                 {"u4", ES_U32}, {"i4", ES_I32}, {"f4", ES_F32}, {"f8", ES_F64}};
    char order = h->descr[0];
    *refused = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strchr("<>|=", order) && order && strcmp(h->descr + 1, types[i].name) == 0) {
            array->type = types[i].type;
            array->swap = order == '>';
            return;
        }
    *refused = h->descr[0] && strchr(h->descr, 'O')
                   ? "holds Python objects (a pickle), which are never loaded: they could run "
                     "code; save numbers alone"
                   : "has a type of numbers that is not read; expected 8- to 32-bit integers, or "
                     "32- or 64-bit floats: use astype()";
}

/* The header's text; *data_at is where the numbers start. */
static char *read_header(FILE *file, uint64_t *data_at, es_error *err) {
    unsigned char head[12] = {0};
    if (fread(head, 1, 10, file) != 10 || memcmp(head, mark, MARK) != 0) {
        es_fail(err, ES_FORMAT, "does not begin as a .npy file");
        return NULL;
    }
    bool wide = head[6] >= 2;
    if (head[6] < 1 || head[6] > 3 || (wide && fread(head + 10, 1, 2, file) != 2)) {
        es_fail(err, ES_UNSUPPORTED, "version %d of the .npy format; expected 1 to 3", head[6]);
        return NULL;
    }
    size_t length =
        (size_t)head[8] | (size_t)head[9] << 8 | (size_t)head[10] << 16 | (size_t)head[11] << 24;
    if (length > HEADER_LIMIT) {
        es_fail(err, ES_FORMAT, "a header of %zu bytes; expected at most %d", length, HEADER_LIMIT);
        return NULL;
    }
    char *text = es_alloc(length + 1, 1, err);
    if (!text) return NULL;
    text[length] = '\0';
    *data_at = (wide ? 12 : 10) + length;
    if (fread(text, 1, length, file) == length && !memchr(text, 0, length)) return text;
    es_fail(err, ES_FORMAT, "the header is cut off or holds zero bytes");
    es_free(text);
    return NULL;
}

static bool take_header(FILE *file, es_array *array, const char **refused, uint64_t *data_at,
                        es_error *err) {
    header h = {0};
    char *text = read_header(file, data_at, err);
    if (!text) return false;
    bool parsed = parse(text, &h);
    for (char *at = text; *at; at++)
        if (iscntrl((unsigned char)*at)) *at = ' '; /* it is shown */
    if (!parsed && h.structured)
        es_fail(err, ES_UNSUPPORTED, "holds records, not plain numbers; save one field of them");
    else if (!parsed)
        es_fail(err, ES_FORMAT,
                "expected a header {'descr': .., 'fortran_order': .., 'shape': (..)}, found "
                "\"%.80s\"",
                text);
    es_free(text);
    if (!parsed) return false;
    *array = (es_array){.rank = h.rank, .reversed = h.fortran};
    for (int i = 0; i < h.rank && h.rank <= ES_ARRAY_AXES; i++)
        array->size[i] = h.shape[h.fortran ? h.rank - 1 - i : i];
    take_type(&h, array, refused);
    return true;
}

/* ---- the numbers ------------------------------------------------------------------- */

typedef struct npy {
    es_payload payload;
    es_scratch *scratch;
    size_t step_bytes;
} npy;

static void npy_free(void *self) {
    npy *n = self;
    es_payload_clear(&n->payload);
    es_scratch_close(n->scratch);
    es_free(n);
}

static bool npy_read(void *self, uint64_t start, uint64_t count, void *out, es_error *err) {
    npy *n = self;
    return es_payload_read(&n->payload, start * n->step_bytes, out, (size_t)count * n->step_bytes,
                           err);
}

static bool plan(npy *n, const char *path, const es_array *array, uint64_t data_at, es_error *err) {
    size_t bytes = es_type_size(array->type);
    bool fits = true;
    for (int i = array->rank - 1; i > 0 && fits; i--)
        fits = es_multiply(bytes, (size_t)array->size[i], &bytes);
    n->step_bytes = bytes;
    fits = fits && es_multiply(bytes, (size_t)array->size[0], &bytes) && bytes <= INT64_MAX / 2;
    if (!fits) return es_fail(err, ES_FORMAT, "its shape overflows; the header is damaged");
    n->payload.bytes = bytes;
    n->payload.skip = data_at;
    return es_payload_add(&n->payload, path, err);
}

bool es_npy_read(const char *path, es_scratch *scratch, es_array *array, es_array_reader *reader,
                 const char **refused, es_error *err) {
    uint64_t data_at = 0;
    FILE *file = fopen(path, "rb");
    npy *n = es_alloc_zero(1, sizeof *n, err);
    bool ok = file && n;
    if (n) es_payload_start(&n->payload);
    if (!file) es_fail_errno(err, "cannot be opened");
    ok = ok && take_header(file, array, refused, &data_at, err);
    if (file) fclose(file);
    bool usable = ok && !*refused && array->rank >= 1 && array->rank <= ES_ARRAY_AXES;
    if (usable) ok = plan(n, path, array, data_at, err);
    if (usable && ok && scratch) ok = es_payload_check(&n->payload, err);
    if (ok) {
        n->scratch = scratch;
        *reader = (es_array_reader){npy_read, npy_free, n};
        return true;
    }
    if (n) npy_free(n);
    es_scratch_close(scratch);
    return false;
}

/* ---- a file of one array -------------------------------------------------------------- */

static bool hand_over(void *self, size_t index, es_array_reader *reader, es_error *err) {
    (void)index;
    (void)err;
    es_array_reader *mine = self;
    *reader = *mine;
    memset(mine, 0, sizeof *mine);
    return true;
}

static es_source *npy_open(const es_input *name, es_error *err) {
    es_array array;
    es_array_reader reader = {0};
    const char *refused = NULL;
    if (!es_npy_read(name->path, NULL, &array, &reader, &refused, err)) {
        es_prefix(err, "%s", name->path);
        return NULL;
    }
    es_array_file file = {
        .given = name->path, .format = "npy", .advice = "NHW", .open = hand_over, .self = &reader};
    es_error payload_error = {0};
    npy *n = reader.self;
    if (!refused && !es_payload_check(&n->payload, &payload_error))
        es_log(ES_WARNING, "%s", payload_error.message);
    es_source *source = NULL;
    if (refused)
        es_fail(err, ES_UNSUPPORTED, "%s: %s", name->path, refused);
    else if (array.rank < 1 || array.rank > ES_ARRAY_AXES)
        es_fail(err, ES_UNSUPPORTED,
                "%s: an array of %d axes; expected [N, H, W], [H, W] or "
                "[N, H, W, 3]",
                name->path, array.rank);
    else if (es_array_file_add(&file, "array", &array, NULL, err))
        source = es_array_file_open(&file, name, err);
    es_array_file_clear(&file);
    es_array_reader_clear(&reader);
    return source;
}

static const es_mark marks[] = {{0, 6, "\x93NUMPY"}, {0}};
const es_format es_format_npy = {
    .name = "NumPy array",
    .reads = ".npy",
    .recordings = ".npy",
    .marks = marks,
    .open = npy_open,
    .create = es_npy_create,
};
