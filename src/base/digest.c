/* What inputs were: XXH3-128 over bytes. */
#include "echosolid/base.h"

#include <fts.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

static void write_hex(XXH128_hash_t hash, char hex[33]) {
    snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

void es_bytes_digest(const void *bytes, size_t length, char hex[33]) {
    write_hex(XXH3_128bits(bytes, length), hex);
}

bool es_file_digest(const char *path, char hex[33], es_error *err) {
    FILE *file = fopen(path, "rb");
    if (!file) return es_fail_errno(err, "%s: cannot be opened", path);
    XXH3_state_t *state = XXH3_createState();
    unsigned char *block = es_alloc(1, 1 << 20, err);
    bool ok = state && block;
    if (!state) es_fail(err, ES_MEMORY, "%s: out of memory", path);
    if (ok) XXH3_128bits_reset(state);
    for (size_t n = 1; ok && n;) {
        n = fread(block, 1, 1 << 20, file);
        XXH3_128bits_update(state, block, n);
        if (n == 0 && ferror(file)) ok = es_fail_errno(err, "%s: reading failed", path);
        if (ok && es_cancelled(err)) ok = false;
    }
    if (ok) write_hex(XXH3_128bits_digest(state), hex);
    es_free(block);
    XXH3_freeState(state);
    fclose(file);
    return ok;
}

/* ---- folders ------------------------------------------------------------------ */

static int by_name(const FTSENT **a, const FTSENT **b) {
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* "name digest" of every file, in order, links left out. */
static bool list_folder(char *path, es_text *list, es_error *err) {
    char *const roots[] = {path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!walk) return es_fail_errno(err, "%s: cannot be looked through", path);
    bool ok = true;
    for (FTSENT *entry; ok && (entry = fts_read(walk)) != NULL;) {
        char hex[33];
        if (entry->fts_info != FTS_F) continue;
        ok = es_file_digest(entry->fts_accpath, hex, err);
        if (ok) es_text_add(list, "%s %s\n", entry->fts_path + strlen(path), hex);
    }
    fts_close(walk);
    return ok;
}

static bool digest_folder(char *path, char hex[33], es_error *err) {
    es_text list = {0};
    bool ok = list_folder(path, &list, err);
    if (ok && list.failed) ok = es_fail(err, ES_MEMORY, "out of memory");
    if (ok) es_bytes_digest(list.bytes, list.length, hex);
    es_text_free(&list);
    return ok;
}

/* Cuts a name that is no file down to the file before #, or to its folder. */
static void cut_to_what_is_there(char *path) {
    struct stat status;
    char *mark = strrchr(path, '#');
    if (mark && mark != path) {
        *mark = '\0';
        if (stat(path, &status) == 0) return;
        *mark = '#';
    }
    char *slash = strrchr(path, '/');
    if (slash && slash != path)
        *slash = '\0';
    else
        strcpy(path, slash ? "/" : ".");
}

bool es_input_digest(const char *path, char hex[33], es_error *err) {
    struct stat status;
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) return es_file_digest(path, hex, err);
    char *there = es_copy_text(path[0] ? path : ".", err);
    if (!there) return false;
    if (stat(there, &status) != 0) cut_to_what_is_there(there);
    bool ok;
    if (stat(there, &status) != 0)
        ok = es_fail_errno(err, "%s: cannot be opened", path);
    else
        ok = S_ISDIR(status.st_mode) ? digest_folder(there, hex, err)
                                     : es_file_digest(there, hex, err);
    es_free(there);
    return ok;
}
