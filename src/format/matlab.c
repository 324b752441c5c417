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

/* Whether the pieces of a file of version 5 reach to its end: matio fills what
 * was cut off with nothing and does not tell. */
static bool is_whole(const char *path, uint64_t size) {
    unsigned char head[128], tag[8];
    FILE *file = fopen(path, "rb");
    bool ok = file && fread(head, 1, sizeof head, file) == sizeof head;
    bool version5 = ok && (memcmp(head + 126, "IM", 2) == 0 || memcmp(head + 126, "MI", 2) == 0);
    uint64_t at = sizeof head;
    while (version5 && ok && at < size) {
        ok = fseeko(file, (off_t)at, SEEK_SET) == 0 && fread(tag, 1, 8, file) == 8;
        if (ok && head[126] == 'M') es_swap_bytes(tag, 4, 2);
        uint32_t numbers[2] = {0};
        memcpy(numbers, tag, sizeof tag);
        at += 8 + (uint64_t)numbers[1];
        ok = ok && at <= size;
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
        es_fail(err, ES_FORMAT, "%s: is no MATLAB file, or was cut off", name->path);
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
    es_source *source = ok ? es_array_file_open(&file, name->choice, err) : NULL;
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
