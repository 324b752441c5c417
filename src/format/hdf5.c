/* HDF5 files of arrays: the TUS-REC challenges', and MATLAB 7.3, which is HDF5
 * with every array's axes reversed.
 *
 * Frames are read one hyperslab at a time. Files are not trusted: links into
 * other files, data kept in other files, virtual datasets, and filters that are
 * no part of the library (plugins run foreign code) are refused. */
#include <hdf5.h>
#include <string.h>

#include "container.h"

enum { CHUNK_LIMIT = 1 << 30 };

typedef struct hdf5_file {
    hid_t id;
    es_array_file arrays;
    es_error *err;
    bool failed;
    int left; /* objects that may still be looked at */
} hdf5_file;

/* ---- one dataset ------------------------------------------------------------------ */

typedef struct dataset {
    hid_t file, id, type;
    int rank;
    hsize_t size[ES_ARRAY_AXES];
} dataset;

static void dataset_free(void *self) {
    dataset *d = self;
    if (d->type > 0) H5Tclose(d->type);
    if (d->id > 0) H5Dclose(d->id);
    if (d->file > 0) H5Fclose(d->file);
    es_free(d);
}

static bool dataset_read(void *self, uint64_t start, uint64_t count, void *out, es_error *err) {
    dataset *d = self;
    hsize_t from[ES_ARRAY_AXES] = {start}, some[ES_ARRAY_AXES] = {count};
    for (int i = 1; i < d->rank; i++) some[i] = d->size[i];
    hid_t space = H5Dget_space(d->id), memory = H5Screate_simple(d->rank, some, NULL);
    bool ok = space > 0 && memory > 0 &&
              H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, some, NULL) >= 0 &&
              H5Dread(d->id, d->type, memory, space, H5P_DEFAULT, out) >= 0;
    if (memory > 0) H5Sclose(memory);
    if (space > 0) H5Sclose(space);
    return ok || es_fail(err, ES_FORMAT, "the numbers cannot be read; the file is damaged");
}

/* Our type of the file's numbers, and what HDF5 is to convert them to. */
static bool type_of(hid_t stored, es_type *type, hid_t *memory) {
    const struct {
        H5T_class_t class;
        size_t size;
        bool is_signed;
        es_type type;
        hid_t memory;
    } types[] = {
        {H5T_INTEGER, 1, false, ES_U8, H5T_NATIVE_UINT8},
        {H5T_INTEGER, 1, true, ES_I8, H5T_NATIVE_INT8},
        {H5T_INTEGER, 2, false, ES_U16, H5T_NATIVE_UINT16},
        {H5T_INTEGER, 2, true, ES_I16, H5T_NATIVE_INT16},
        {H5T_INTEGER, 4, false, ES_U32, H5T_NATIVE_UINT32},
        {H5T_INTEGER, 4, true, ES_I32, H5T_NATIVE_INT32},
        {H5T_FLOAT, 4, true, ES_F32, H5T_NATIVE_FLOAT},
        {H5T_FLOAT, 8, true, ES_F64, H5T_NATIVE_DOUBLE},
    };
    H5T_class_t class = H5Tget_class(stored);
    bool is_signed = class != H5T_INTEGER || H5Tget_sign(stored) == H5T_SGN_2;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].class == class && types[i].size == H5Tget_size(stored) &&
            types[i].is_signed == is_signed) {
            *type = types[i].type;
            *memory = types[i].memory;
            return true;
        }
    return false;
}

static const char *check_filters(hid_t plan) {
    int count = H5Pget_nfilters(plan);
    for (int i = 0; i < count; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        H5Z_filter_t filter =
            H5Pget_filter2(plan, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (filter < 1 || filter > H5Z_FILTER_SCALEOFFSET)
            return "is compressed by a plugin, which is not loaded; repack it with gzip (h5repack "
                   "-f GZIP=4)";
    }
    return NULL;
}

/* Why a dataset is not read, or NULL. */
static const char *check_storage(hid_t id, int rank) {
    hid_t plan = H5Dget_create_plist(id);
    if (plan < 0) return "cannot be understood; the file is damaged";
    const char *refused = NULL;
    hsize_t chunk[ES_ARRAY_AXES] = {0};
    H5D_layout_t layout = H5Pget_layout(plan);
    if (layout == H5D_VIRTUAL || H5Pget_external_count(plan) > 0) {
        refused = "keeps its numbers in another file, which is not opened";
    } else if (layout == H5D_CHUNKED) {
        double bytes = 8;
        bool known = H5Pget_chunk(plan, ES_ARRAY_AXES, chunk) == rank;
        for (int i = 0; known && i < rank; i++) bytes *= (double)chunk[i];
        refused = !known || bytes > CHUNK_LIMIT ? "is stored in chunks that are too large"
                                                : check_filters(plan);
    }
    H5Pclose(plan);
    return refused;
}

/* rank 0: no array of up to four axes. */
static void describe(hid_t id, es_array *array, const char **refused) {
    hsize_t size[ES_ARRAY_AXES];
    hid_t space = H5Dget_space(id), stored = H5Dget_type(id), memory;
    int rank = space > 0 ? H5Sget_simple_extent_ndims(space) : 0;
    *refused = NULL;
    if (rank > 0 && rank <= ES_ARRAY_AXES && stored > 0 &&
        H5Sget_simple_extent_dims(space, size, NULL) == rank) {
        array->rank = rank;
        for (int i = 0; i < rank; i++) array->size[i] = size[i];
        if (!type_of(stored, &array->type, &memory))
            *refused = "has a type that is not read; expected 8- to 32-bit integers, or 32- or "
                       "64-bit floats";
        else
            *refused = check_storage(id, rank);
    }
    if (stored > 0) H5Tclose(stored);
    if (space > 0) H5Sclose(space);
}

static bool open_dataset(void *self, size_t index, es_array_reader *reader, es_error *err) {
    hdf5_file *file = self;
    const es_array_entry *entry = &file->arrays.items[index];
    dataset *d = es_alloc_zero(1, sizeof *d, err);
    if (!d) return false;
    hid_t memory = -1;
    es_type type;
    d->rank = entry->array.rank;
    for (int i = 0; i < d->rank; i++) d->size[i] = entry->array.size[i];
    d->file = H5Freopen(file->id);
    if (d->file > 0) d->id = H5Dopen2(d->file, entry->name, H5P_DEFAULT);
    hid_t stored = d->id > 0 ? H5Dget_type(d->id) : -1;
    if (stored > 0 && type_of(stored, &type, &memory)) d->type = H5Tcopy(memory);
    if (stored > 0) H5Tclose(stored);
    if (d->type > 0) {
        *reader = (es_array_reader){dataset_read, dataset_free, d};
        return true;
    }
    dataset_free(d);
    return es_fail(err, ES_FORMAT, "cannot be opened; the file is damaged");
}

/* ---- what the file holds -------------------------------------------------------------- */

static void look_at_dataset(hdf5_file *file, const char *name) {
    es_array array = {.reversed = file->arrays.advice[0] == 'H'};
    const char *refused;
    hid_t id = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (id < 0) return;
    describe(id, &array, &refused);
    H5Dclose(id);
    if (!es_array_file_add(&file->arrays, name, &array, refused, file->err)) file->failed = true;
}

/* Called for each hard link (never for links into other files). */
static herr_t visit(hid_t root, const char *name, const H5L_info_t *link, void *self) {
    (void)root;
    hdf5_file *file = self;
    if (link->type != H5L_TYPE_HARD || name[0] == '#') return 0; /* #refs#: MATLAB's cells */
    if (file->left-- <= 0) {
        file->failed = true;
        es_fail(file->err, ES_UNSUPPORTED, "more than 100000 objects");
        return -1;
    }
    H5O_info_t info;
    if (H5Oget_info_by_name2(file->id, name, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0) return 0;
    if (info.type == H5O_TYPE_DATASET) look_at_dataset(file, name);
    return file->failed ? -1 : 0;
}

static bool is_matlab(const char *path) {
    char head[10] = "";
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    bool is =
        fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, "MATLAB 7.3", 10) == 0;
    fclose(file);
    return is;
}

static es_source *hdf5_open(const es_input *name, es_error *err) {
    bool matlab = is_matlab(name->path);
    es_error reason = {0};
    hdf5_file file = {.err = &reason, .left = 100000};
    file.arrays = (es_array_file){.given = name->path,
                                  .format = matlab ? "MATLAB 7.3" : "HDF5",
                                  .advice = matlab ? "HWN" : "NHW",
                                  .open = open_dataset,
                                  .self = &file};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* errors are ours to tell */
    H5PLset_loading_state(0);
    file.id = H5Fopen(name->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file.id < 0) {
        es_fail(err, ES_FORMAT, "%s: HDF5 cannot open it; it was cut off or is damaged",
                name->path);
        return NULL;
    }
    es_source *source = NULL;
    H5Lvisit(file.id, H5_INDEX_NAME, H5_ITER_INC, visit, &file);
    if (file.failed)
        es_fail(err, reason.code, "%s: %s", name->path, reason.message);
    else
        source = es_array_file_open(&file.arrays, name, err);
    es_array_file_clear(&file.arrays);
    H5Fclose(file.id);
    return source;
}

/* The second: MATLAB 7.3, and other user blocks. */
static const es_mark marks[] = {{0, 8, "\x89HDF\r\n\x1a\n"}, {512, 8, "\x89HDF\r\n\x1a\n"}, {0}};
const es_format es_format_hdf5 = {
    .name = "HDF5",
    .reads = ".h5 .hdf5",
    .recordings = ".h5 .hdf5",
    .keeps = ES_KEEPS_POSES | ES_KEEPS_TIMES,
    .marks = marks,
    .open = hdf5_open,
    .create = es_hdf5_create,
};
