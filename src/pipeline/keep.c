/* The list of what is kept in a folder: kept.json. */
#include "echosolid/keep.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char LIST[] = "kept.json";
static const int LIST_VERSION = 1;
enum { LIST_LIMIT = 1 << 24 };

struct es_keep {
    char *folder;
    json_t *stages; /* by name: key, files {name: digest}, numbers */
};

char *es_keep_path(const es_keep *keep, const char *name, es_error *err) {
    size_t size = strlen(keep->folder) + strlen(name) + 2;
    char *path = es_alloc(size, 1, err);
    if (path) snprintf(path, size, "%s/%s", keep->folder, name);
    return path;
}

/* ---- opening -------------------------------------------------------------------- */

static bool make_folder(const char *folder, es_error *err) {
    struct stat status;
    if (mkdir(folder, 0777) == 0) return true;
    if (errno == EEXIST && stat(folder, &status) == 0 && S_ISDIR(status.st_mode)) return true;
    if (errno == EEXIST)
        return es_fail(err, ES_IO, "%s: is a file; name a folder to keep results in", folder);
    return es_fail_errno(err, "%s: the folder cannot be made", folder);
}

/* The stages of the list, or NULL with the reason. */
static json_t *parse_list(const char *text, size_t length, char *why, size_t size) {
    json_error_t error;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    json_t *stages = json_object_get(root, "stages");
    if (!root)
        snprintf(why, size, "%.100s", error.text);
    else if (json_integer_value(json_object_get(root, "echosolid_kept")) != LIST_VERSION)
        snprintf(why, size, "it is not of version %d", LIST_VERSION);
    else if (!json_is_object(stages))
        snprintf(why, size, "it has no stages");
    else
        json_incref(stages);
    bool good = root && json_is_object(stages) &&
                json_integer_value(json_object_get(root, "echosolid_kept")) == LIST_VERSION;
    json_decref(root);
    return good ? stages : NULL;
}

static bool read_list(es_keep *keep, es_error *err) {
    char *path = es_keep_path(keep, LIST, err), why[160] = "";
    struct stat status;
    size_t length;
    if (!path) return false;
    if (stat(path, &status) == 0) {
        es_error reading = {0};
        char *text = es_file_read(path, LIST_LIMIT, &length, &reading);
        keep->stages = text ? parse_list(text, length, why, sizeof why) : NULL;
        if (!text) snprintf(why, sizeof why, "%.150s", reading.message);
        if (!keep->stages)
            es_log(ES_WARNING, "%s: cannot be used (%s): all is made again", path, why);
        es_free(text);
    }
    es_free(path);
    if (!keep->stages) keep->stages = json_object();
    return keep->stages || es_fail(err, ES_MEMORY, "out of memory");
}

es_keep *es_keep_open(const char *folder, es_error *err) {
    if (!make_folder(folder, err)) return NULL;
    es_keep *keep = es_alloc_zero(1, sizeof *keep, err);
    if (!keep) return NULL;
    keep->folder = es_copy_text(folder, err);
    if (keep->folder && read_list(keep, err)) return keep;
    es_keep_free(keep);
    return NULL;
}

void es_keep_free(es_keep *keep) {
    if (!keep) return;
    json_decref(keep->stages);
    es_free(keep->folder);
    es_free(keep);
}

/* ---- looking ----------------------------------------------------------------------- */

/* A name that stays in the folder, whatever a list says. */
static bool plain_name(const char *name) {
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 64;
}

static bool file_is_good(const es_keep *keep, const char *name, const json_t *digest,
                         char why[300]) {
    es_error err = {0};
    char hex[33] = "", *path = plain_name(name) ? es_keep_path(keep, name, &err) : NULL;
    bool read = path && es_file_digest(path, hex, &err);
    bool good = read && json_is_string(digest) && strcmp(json_string_value(digest), hex) == 0;
    if (!read)
        snprintf(why, 300, "%.290s", path ? err.message : "a name in the list is none");
    else if (!good)
        snprintf(why, 300, "%.200s is not as it was written", name);
    es_free(path);
    return good;
}

es_kept es_keep_look(const es_keep *keep, const char *stage, const char key[33], char why[300]) {
    json_t *entry = json_object_get(keep->stages, stage), *digest;
    const char *known = json_string_value(json_object_get(entry, "key")), *name;
    why[0] = '\0';
    if (!entry) return ES_KEPT_NOTHING;
    if (!known || strcmp(known, key) != 0) return ES_KEPT_OTHER;
    json_object_foreach(json_object_get(entry, "files"), name, digest) {
        if (!file_is_good(keep, name, digest, why)) return ES_KEPT_BROKEN;
    }
    return ES_KEPT_GOOD;
}

double es_keep_number(const es_keep *keep, const char *stage, const char *name) {
    json_t *numbers = json_object_get(json_object_get(keep->stages, stage), "numbers");
    json_t *value = json_object_get(numbers, name);
    return json_is_number(value) ? json_number_value(value) : __builtin_nan("");
}

const char *es_keep_file(const es_keep *keep, const char *stage, size_t index) {
    json_t *files = json_object_get(json_object_get(keep->stages, stage), "files");
    void *at = json_object_iter(files);
    for (size_t i = 0; at && i < index; i++) at = json_object_iter_next(files, at);
    return at ? json_object_iter_key(at) : NULL;
}

/* ---- writing ---------------------------------------------------------------------- */

static bool write_list(const es_keep *keep, es_error *err) {
    char *path = es_keep_path(keep, LIST, err);
    json_t *root = json_pack("{s:i, s:s, s:O}", "echosolid_kept", LIST_VERSION, "version",
                             es_version(), "stages", keep->stages);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    if (path && !text) es_fail(err, ES_MEMORY, "out of memory");
    es_output *out = path && text ? es_output_open(path, err) : NULL;
    bool ok = out && es_output_write(out, text, strlen(text), err);
    if (ok)
        ok = es_output_commit(out, err);
    else
        es_output_discard(out);
    free(text);
    json_decref(root);
    es_free(path);
    return ok;
}

static json_t *digest_files(const es_keep *keep, const es_keep_stage *stage, es_error *err) {
    json_t *files = json_object();
    bool ok = files || es_fail(err, ES_MEMORY, "out of memory");
    for (size_t i = 0; ok && i < stage->file_count; i++) {
        char hex[33], *path = es_keep_path(keep, stage->files[i], err);
        ok = path && es_file_digest(path, hex, err);
        if (ok && json_object_set_new(files, stage->files[i], json_string(hex)) != 0)
            ok = es_fail(err, ES_MEMORY, "out of memory");
        es_free(path);
    }
    if (ok) return files;
    json_decref(files);
    return NULL;
}

bool es_keep_put(es_keep *keep, const es_keep_stage *stage, es_error *err) {
    json_t *files = digest_files(keep, stage, err), *numbers = json_object();
    if (!files || !numbers) {
        json_decref(files);
        json_decref(numbers);
        return files == NULL ? false : es_fail(err, ES_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < stage->number_count; i++)
        json_object_set_new(numbers, stage->numbers[i].name, json_real(stage->numbers[i].value));
    json_t *entry =
        json_pack("{s:s, s:o, s:o}", "key", stage->key, "files", files, "numbers", numbers);
    if (!entry || json_object_set_new(keep->stages, stage->name, entry) != 0)
        return es_fail(err, ES_MEMORY, "out of memory");
    return write_list(keep, err);
}
