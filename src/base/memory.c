/* Allocation with checked sizes, and a switch that makes the n-th one fail,
 * so that tests can walk through every failure path. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "echosolid/base.h"

static atomic_long fail_after = -1;

void es_alloc_fail_after(long n) { atomic_store(&fail_after, n); }

static bool should_fail(void) {
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0) return false;
    return atomic_fetch_sub(&fail_after, 1) == 0;
}

bool es_multiply(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

static bool refuse(size_t count, size_t size, es_error *err) {
    return es_fail(err, ES_MEMORY, "out of memory: %zu x %zu bytes could not be allocated", count,
                   size);
}

static bool checked_size(size_t count, size_t size, size_t *bytes, es_error *err) {
    if (!es_multiply(count, size, bytes) || *bytes > PTRDIFF_MAX || should_fail())
        return refuse(count, size, err);
    if (*bytes == 0) *bytes = 1;
    return true;
}

void *es_alloc(size_t count, size_t size, es_error *err) {
    size_t bytes;
    if (!checked_size(count, size, &bytes, err)) return NULL;
    void *block = malloc(bytes);
    if (!block) refuse(count, size, err);
    return block;
}

void *es_alloc_zero(size_t count, size_t size, es_error *err) {
    size_t bytes;
    if (!checked_size(count, size, &bytes, err)) return NULL;
    void *block = calloc(1, bytes);
    if (!block) refuse(count, size, err);
    return block;
}

/* Only a wish: where the system has no huge pages, small ones do. Asked for from the
 * first page to the last, so that blocks side by side share the huge page between them. */
static void ask_for_huge_pages(char *block, size_t bytes) {
#ifdef MADV_HUGEPAGE
    enum { PAGE = 4096 };
    const size_t before = (uintptr_t)block % PAGE, pages = (before + bytes + PAGE - 1) / PAGE;
    madvise(block - before, pages * PAGE, MADV_HUGEPAGE);
#else
    (void)block;
    (void)bytes;
#endif
}

void *es_alloc_large(size_t count, size_t size, es_error *err) {
    void *block = es_alloc_zero(count, size, err);
    if (block) ask_for_huge_pages(block, count * size);
    return block;
}

bool es_resize(void *block_address, size_t count, size_t size, es_error *err) {
    size_t bytes;
    if (!checked_size(count, size, &bytes, err)) return false;
    void *old;
    memcpy(&old, block_address, sizeof old);
    void *block = realloc(old, bytes);
    if (!block) return refuse(count, size, err);
    memcpy(block_address, &block, sizeof block);
    return true;
}

void es_free(void *block) { free(block); }

char *es_copy_text(const char *text, es_error *err) {
    size_t length = strlen(text) + 1;
    char *copy = es_alloc(length, 1, err);
    if (copy) memcpy(copy, text, length);
    return copy;
}
