/* MATLAB's .mat of version 5 (and 4), through matio; version 7.3 is HDF5 and
 * read there. MATLAB counts axes from the fastest: a stack of frames is
 * [H, W, N], stored column by column.
 *
 * Variables of these versions hold 2 GB at most, and are one compressed piece:
 * the one that is asked for is read whole. */
#include <matio.h>
#include <string.h>
#include <sys/stat.h>

#include "container.h"

enum { DEFLATE_LIMIT = 1032 };

typedef struct variable {
    matvar_t *var;
    size_t step_bytes;
} variable;

static void variable_free(void *self) {
    variable *v = self;
    Mat_VarFree(v->var);
    es_free(v);
}

static bool variable_read(void *self, uint64_t start, uint64_t count, void *out, es_error *err) {
    (void)err;
    variable *v = self;
    memcpy(out, (const char *)v->var->data + start * v->step_bytes, (size_t)count * v->step_bytes);
    return true;
}

static const char *type_of(const matvar_t *var, es_type *type) {
    static const struct {
        enum matio_classes class;
        es_type type;
    } types[] = {{MAT_C_UINT8, ES_U8},   {MAT_C_INT8, ES_I8},    {MAT_C_UINT16, ES_U16},
                 {MAT_C_INT16, ES_I16},  {MAT_C_UINT32, ES_U32}, {MAT_C_INT32, ES_I32},
                 {MAT_C_SINGLE, ES_F32}, {MAT_C_DOUBLE, ES_F64}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].class == var->class_type && !var->isComplex) {
            *type = types[i].type;
            return NULL;
        }
    return "is no array of 8- to 32-bit integers or of floats";
}

static bool add_variable(es_array_file *file, const matvar_t *var, uint64_t most, es_error *err) {
    es_array array = {.rank = var->rank, .reversed = true};
    if (var->rank < 1 || var->rank > ES_ARRAY_AXES || !var->name) return true;
    const char *refused = type_of(var, &array.type);
    size_t bytes = refused ? 1 : es_type_size(array.type);
    for (int i = 0; i < var->rank; i++) {
        array.size[var->rank - 1 - i] = var->dims[i];
        if (!es_multiply(bytes, var->dims[i], &bytes) || bytes > most)
            refused = "announces more numbers than the file can hold; the file is damaged";
    }
    return es_array_file_add(file, var->name, &array, refused, err);
}

typedef struct mat_names {
    mat_t *mat;
    const es_array_file *file;
} mat_names;

static bool open_variable(void *self, size_t index, es_array_reader *reader, es_error *err) {
    mat_names *names = self;
    const es_array_entry *entry = &names->file->items[index];
    variable *v = es_alloc_zero(1, sizeof *v, err);
    if (!v) return false;
    v->var = Mat_VarRead(names->mat, entry->name);
    v->step_bytes = es_type_size(entry->array.type);
    size_t bytes = v->step_bytes * (size_t)entry->array.size[0];
    for (int i = 1; i < entry->array.rank; i++) {
        v->step_bytes *= (size_t)entry->array.size[i];
        bytes *= (size_t)entry->array.size[i];
    }
    if (v->var && v->var->data && v->var->nbytes >= bytes) {
        *reader = (es_array_reader){variable_read, variable_free, v};
        return true;
    }
    variable_free(v);
    return es_fail(err, ES_FORMAT, "cannot be read; the file was cut off or is damaged");
}

/* The tag in front of a piece: its kind and the bytes that follow. Pieces of at
 * most four bytes lie within their tag, beside a length of 16 bits. */
typedef struct piece {
    uint32_t kind, length;
    bool small;
} piece;

static piece piece_at(const unsigned char *bytes, bool swap) {
    unsigned char tag[8];
    uint32_t numbers[2];
    memcpy(tag, bytes, sizeof tag);
    if (swap) es_swap_bytes(tag, 4, 2);
    memcpy(numbers, tag, sizeof tag);
    if (numbers[0] >> 16) return (piece){numbers[0] & 0xffff, numbers[0] >> 16, true};
    return (piece){numbers[0], numbers[1], false};
}

enum { ARRAY = 14, PACKED = 15, HEAD = 512, AXES_BYTES = 4 * 32, NAME_BYTES = 4096 };

/* Whether an array begins as one should: flags, sizes, name. matio takes memory for
 * as many sizes and letters as a file announces. */
static bool begins_well(const unsigned char *bytes, size_t length, bool swap) {
    static const uint32_t most[] = {8, AXES_BYTES, NAME_BYTES};
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        if (at + 8 > length) return false;
        piece p = piece_at(bytes + at, swap);
        if (p.length > most[part] || (part == 0 && p.length != 8)) return false;
        at += p.small ? 8 : 8 + ((size_t)p.length + 7) / 8 * 8;
    }
    return true;
}

/* The first bytes of a piece at the file's position, unpacked where it is packed. */
static size_t first_bytes(FILE *file, piece p, unsigned char out[HEAD]) {
    unsigned char in[HEAD];
    size_t length = fread(in, 1, p.length < HEAD ? p.length : HEAD, file);
    if (p.kind == ARRAY) {
        memcpy(out, in, length);
        return length;
    }
    z_stream stream = {
        .next_in = in, .avail_in = (unsigned)length, .next_out = out, .avail_out = HEAD};
    if (inflateInit(&stream) != Z_OK) return 0;
    inflate(&stream, Z_SYNC_FLUSH);
    inflateEnd(&stream);
    return HEAD - stream.avail_out;
}

static bool check_piece(FILE *file, piece p, bool swap) {
    unsigned char bytes[HEAD];
    if (p.kind != ARRAY && p.kind != PACKED) return true;
    size_t length = first_bytes(file, p, bytes), skip = p.kind == PACKED ? 8 : 0;
    if (length < skip || (skip && piece_at(bytes, swap).kind != ARRAY)) return false;
    return begins_well(bytes + skip, length - skip, swap);
}

/* Whether the pieces of a file of version 5 reach to its end and begin as they
 * should: matio fills what was cut off with nothing and does not tell. */
static bool is_whole(const char *path, uint64_t size) {
    unsigned char head[128], tag[8];
    FILE *file = fopen(path, "rb");
    bool ok = file && fread(head, 1, sizeof head, file) == sizeof head;
    bool version5 = ok && (memcmp(head + 126, "IM", 2) == 0 || memcmp(head + 126, "MI", 2) == 0);
    bool swap = ok && head[126] == 'M';
    uint64_t at = sizeof head;
    while (version5 && ok && at < size) {
        ok = fseeko(file, (off_t)at, SEEK_SET) == 0 && fread(tag, 1, 8, file) == 8;
        piece p = ok ? piece_at(tag, swap) : (piece){0};
        at += p.small ? 8 : 8 + (uint64_t)p.length;
        ok = ok && at <= size && check_piece(file, p, swap);
    }
    if (file) fclose(file);
    return ok;
}

static void say_nothing(int level, char *message) {
    (void)level;
    (void)message;
}

static es_source *matlab_open(const es_input *name, es_error *err) {
    struct stat status;
    mat_names names = {0};
    es_array_file file = {.given = name->path,
                          .format = "MATLAB",
                          .advice = "HWN",
                          .open = open_variable,
                          .self = &names};
    if (stat(name->path, &status) != 0 || !is_whole(name->path, (uint64_t)status.st_size)) {
        es_fail(err, ES_FORMAT, "%s: is no MATLAB file, or was cut off or damaged", name->path);
        return NULL;
    }
    Mat_LogInitFunc("echosolid", say_nothing);
    names.file = &file;
    names.mat = Mat_Open(name->path, MAT_ACC_RDONLY);
    if (!names.mat) {
        es_fail(err, ES_FORMAT, "%s: is no MATLAB file, or damaged", name->path);
        return NULL;
    }
    uint64_t most = ((uint64_t)status.st_size + 1) * DEFLATE_LIMIT;
    bool ok = true;
    for (matvar_t *var; ok && (var = Mat_VarReadNextInfo(names.mat)); Mat_VarFree(var))
        ok = add_variable(&file, var, most, err);
    es_source *source = ok ? es_array_file_open(&file, name, err) : NULL;
    if (!ok) es_prefix(err, "%s", name->path);
    es_array_file_clear(&file);
    Mat_Close(names.mat);
    return source;
}

static const es_mark marks[] = {{0, 10, "MATLAB 5.0"}, {0}};
const es_format es_format_matlab = {
    .name = "MATLAB",
    .reads = ".mat",
    .marks = marks,
    .open = matlab_open,
};
