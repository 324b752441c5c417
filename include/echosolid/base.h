/* echosolid/base.h: what every room stands on: errors, memory, numbers in
 * text, files, threads, random numbers, cancelling and progress.
 *
 * Conventions of the whole library: fallible functions return bool (or a
 * pointer, NULL on failure) and take `es_error *err` last; err may be NULL.
 * Nothing here prints, exits or aborts. Millimetres, seconds and radians. */
#ifndef ECHOSOLID_BASE_H
#define ECHOSOLID_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ES_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define ES_PRINTF(a, b)
#endif

/* The version of the library, "0.1.0". */
const char *es_version(void);

/* ---- errors ---------------------------------------------------------- */

typedef enum es_code {
    ES_OK = 0,
    ES_USAGE,       /* the caller asked for something contradictory */
    ES_IO,          /* the operating system refused: file, disk, socket */
    ES_FORMAT,      /* input that breaks the rules of its format */
    ES_UNSUPPORTED, /* valid input that this version does not handle */
    ES_GEOMETRY,    /* singular, missing or ambiguous transforms */
    ES_MEMORY,      /* out of memory, or a size past the stated limit */
    ES_CANCELLED,   /* es_cancel was called (Ctrl-C) */
} es_code;

/* Belongs to the caller, never allocates. Start it with {0}. */
typedef struct es_error {
    es_code code;
    char message[1000];
} es_error;

/* Writes code and message into err (if not NULL). Returns false always, so
 * that `return es_fail(err, ...)` reads well. A message says what was found,
 * what was expected and what to do next. */
bool es_fail(es_error *err, es_code code, const char *format, ...) ES_PRINTF(3, 4);

/* Puts "<what>: " in front of the message. Returns false always. */
bool es_prefix(es_error *err, const char *format, ...) ES_PRINTF(2, 3);

/* The errno of a failed system call as an ES_IO error: "<what>: <strerror>". */
bool es_fail_errno(es_error *err, const char *format, ...) ES_PRINTF(2, 3);

/* ---- memory ---------------------------------------------------------- */

/* count * size bytes, overflow checked; zeroed or not. NULL and ES_MEMORY on
 * failure. A count of 0 gives a valid pointer. Free with es_free. */
void *es_alloc(size_t count, size_t size, es_error *err);
void *es_alloc_zero(size_t count, size_t size, es_error *err);
/* The same as es_alloc_zero, for megabytes that will be touched all over: asks the
 * system for huge pages, of which there are fewer to fault in. */
void *es_alloc_large(size_t count, size_t size, es_error *err);

/* Resizes like realloc; on failure *block is untouched and false returned. */
bool es_resize(void *block_address, size_t count, size_t size, es_error *err);
void es_free(void *block);

char *es_copy_text(const char *text, es_error *err);

/* False when a * b does not fit. */
bool es_multiply(size_t a, size_t b, size_t *product);

/* For tests: the n-th allocation from now fails, once; negative turns off. */
void es_alloc_fail_after(long n);

/* ---- growing text ---------------------------------------------------- */

/* Start with {0}; `failed` stays set after the first failed allocation, so
 * that only the end needs a check. */
typedef struct es_text {
    char *bytes; /* NUL terminated once anything was added */
    size_t length, capacity;
    bool failed;
} es_text;

void es_text_add(es_text *text, const char *format, ...) ES_PRINTF(2, 3);
void es_text_add_bytes(es_text *text, const void *bytes, size_t length);
/* The same with & < > " ' as entities, for HTML, SVG and XML. */
void es_text_add_escaped(es_text *out, const char *text);
void es_text_free(es_text *text);

/* ---- numbers in order ------------------------------------------------ */

/* For qsort, rising. Numbers that are NaN have no place: keep them out. */
int es_compare_doubles(const void *a, const void *b);
int es_compare_floats(const void *a, const void *b);

/* ---- numbers in text ------------------------------------------------- */

/* Independent of the locale. The whole of [text, end of token) must be a
 * number; leading and trailing blanks are allowed. Infinities and NaN are
 * parsed (files carry them) and must be checked by the caller. */
bool es_parse_double(const char *text, double *value);
bool es_parse_int(const char *text, int64_t *value);

/* Parses up to `limit` numbers separated by blanks, commas or semicolons.
 * Returns how many were found (may exceed limit: the rest is only counted),
 * or -1 when something else than a number stands there. */
long es_parse_doubles(const char *text, double *values, long limit);

/* Shortest decimal text that reads back to the same double, at least
 * ES_NUMBER_SIZE bytes; never uses the locale. Returns `text`. */
enum { ES_NUMBER_SIZE = 32 };
char *es_format_double(double value, char text[ES_NUMBER_SIZE]);

/* ---- files ----------------------------------------------------------- */

/* A file that appears under its name only when it is whole: bytes go to
 * <path>.part, which es_output_commit renames and es_output_discard removes.
 * An existing file of the final name stays as it is until then. */
typedef struct es_output es_output;
es_output *es_output_open(const char *path, es_error *err);
bool es_output_write(es_output *out, const void *bytes, size_t length, es_error *err);
bool es_output_print(es_output *out, es_error *err, const char *format, ...) ES_PRINTF(3, 4);
/* Bytes written so far, and rewriting some of them (headers with sizes). */
uint64_t es_output_position(const es_output *out);
bool es_output_patch(es_output *out, uint64_t offset, const void *bytes, size_t length,
                     es_error *err);
/* Both free `out`; discard accepts NULL. Commit flushes to disk first. */
bool es_output_commit(es_output *out, es_error *err);
void es_output_discard(es_output *out);
/* Commits all of them or none under the final names (detached headers). */
bool es_output_commit_all(es_output **outs, size_t count, es_error *err);
/* For tests: the n-th write from now fails as if the disk were full, once;
 * negative turns off. */
void es_output_fail_after(long n);

/* Whole small file into memory (NUL terminated, `limit` bytes at most). */
char *es_file_read(const char *path, size_t limit, size_t *length, es_error *err);

/* XXH3-128 of a file's bytes as 32 hex digits. */
bool es_file_digest(const char *path, char hex[33], es_error *err);
void es_bytes_digest(const void *bytes, size_t length, char hex[33]);
/* The same of whatever can be an input: a file; FILE#CHOICE; a folder, by the
 * names and digests of all files in it in order; a pattern of names, by its
 * folder. */
bool es_input_digest(const char *path, char hex[33], es_error *err);

/* Last extension tests without case: es_has_suffix("a.IGS.MHA", ".mha"). */
bool es_has_suffix(const char *path, const char *suffix);
/* `name` relative to the folder of `path` (absolute names stay). es_free it. */
char *es_path_beside(const char *path, const char *name, es_error *err);
const char *es_path_name(const char *path);

/* ---- threads --------------------------------------------------------- */

/* A pool runs `count` tasks fn(context, index, worker) and returns when all
 * are done. Results must depend on the index only, never on worker or order:
 * that is how the same bytes come out for any number of threads. The caller
 * works too, as worker 0. Several threads may call: each waits for its turn. A
 * task must not run tasks of its own pool. */
typedef struct es_pool es_pool;
es_pool *es_pool_new(int threads, es_error *err); /* <= 0: all the cores */
int es_pool_threads(const es_pool *pool);         /* 1 for NULL */
/* pool may be NULL: all tasks run on the caller's thread, in order. */
void es_pool_run(es_pool *pool, size_t count, void (*fn)(void *context, size_t index, int worker),
                 void *context);
void es_pool_free(es_pool *pool);

/* ---- cancelling, progress, notes ------------------------------------- */

/* Async-signal-safe. Long work asks es_cancelled between steps. */
void es_cancel(void);
void es_cancel_reset(void);
/* True after es_cancel, and then writes ES_CANCELLED into err. */
bool es_cancelled(es_error *err);

/* Called between steps from the thread that started the work. */
typedef struct es_progress {
    void (*step)(void *context, const char *what, double done, double total);
    void *context;
} es_progress;
void es_progress_step(const es_progress *progress, const char *what, double done, double total);

/* Notes and warnings of the library for a person; NULL (the start) drops them. */
typedef enum es_level { ES_NOTE, ES_WARNING } es_level;
typedef void es_log_fn(void *context, es_level level, const char *message);
void es_log_set(es_log_fn *fn, void *context);
void es_log(es_level level, const char *format, ...) ES_PRINTF(2, 3);

/* ---- processor, clock, chance ---------------------------------------- */

/* The best kernel level of this processor, or what ES_CPU asks for
 * (scalar, avx2, avx512), never more than the processor has. An unknown
 * word in ES_CPU is ES_USAGE. Resolved once. */
typedef enum es_cpu { ES_CPU_SCALAR, ES_CPU_AVX2, ES_CPU_AVX512 } es_cpu;
bool es_cpu_level(es_cpu *level, es_error *err);
const char *es_cpu_name(es_cpu level);

double es_clock_s(void);       /* monotonic wall clock, seconds */
uint64_t es_memory_peak(void); /* peak resident bytes of this process */
uint64_t es_memory_free(void); /* bytes the system could still give */

/* Counter-based: a sequence is a function of (seed, stream) alone, on every
 * machine (no libm in the integer part). SplitMix64 of Steele, Lea and
 * Flood, "Fast splittable pseudorandom number generators", 2014. */
typedef struct es_random {
    uint64_t state;
} es_random;
es_random es_random_new(uint64_t seed, uint64_t stream);
uint64_t es_random_bits(es_random *random);
double es_random_uniform(es_random *random); /* [0, 1) */
double es_random_normal(es_random *random);  /* mean 0, variance 1 */

#ifdef __cplusplus
}
#endif
#endif
