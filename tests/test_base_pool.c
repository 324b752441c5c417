/* The pool of threads: every task once, the same result for any number of
 * threads. Meant to run under ThreadSanitizer too. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "echosolid/base.h"

enum { COUNT = 5000, MOST_THREADS = 9 };

typedef struct job {
    uint32_t runs[COUNT]; /* each touched by one task: no atomics needed */
    uint64_t results[COUNT];
    atomic_int in_worker[MOST_THREADS]; /* tasks that run as this worker just now */
    atomic_int wrong;
    uint64_t offset; /* written by the caller before the run, read by the tasks */
} job;

static void task(void *context, size_t index, int worker) {
    job *j = context;
    if (worker < 0 || worker >= MOST_THREADS) {
        atomic_fetch_add(&j->wrong, 1);
        return;
    }
    if (atomic_fetch_add(&j->in_worker[worker], 1) != 0) atomic_fetch_add(&j->wrong, 1);
    es_random random = es_random_new(7, index);
    j->runs[index]++;
    j->results[index] = es_random_bits(&random) + j->offset;
    atomic_fetch_sub(&j->in_worker[worker], 1);
}

static job *run_job(int threads, size_t count, int rounds) {
    job *j = es_alloc_zero(1, sizeof *j, NULL);
    es_pool *pool = threads ? es_pool_new(threads, NULL) : NULL;
    assert_true(pool || !threads);
    for (int i = 0; i < rounds; i++) {
        j->offset = (uint64_t)i;
        es_pool_run(pool, count, task, j);
    }
    es_pool_free(pool);
    return j;
}

static void every_task_runs_once_for_any_number_of_threads(void **state) {
    (void)state;
    job *plain = run_job(0, COUNT, 1);
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        job *j = run_job(threads, COUNT, 1);
        for (int i = 0; i < COUNT; i++) assert_int_equal(j->runs[i], 1);
        assert_memory_equal(j->results, plain->results, sizeof j->results);
        assert_int_equal(j->wrong, 0);
        es_free(j);
    }
    es_free(plain);
}

static void a_pool_is_used_again_and_again(void **state) {
    (void)state;
    job *j = run_job(4, 50, 3000); /* short rounds: late workers would be caught */
    for (int i = 0; i < COUNT; i++) assert_int_equal(j->runs[i], i < 50 ? 3000 : 0);
    assert_int_equal(j->wrong, 0);
    es_free(j);
}

static void few_tasks_run_too(void **state) {
    (void)state;
    for (size_t count = 0; count < 4; count++) {
        job *j = run_job(3, count, 1);
        for (size_t i = 0; i < 10; i++) assert_int_equal(j->runs[i], i < count);
        es_free(j);
    }
}

typedef struct order {
    size_t seen[100], count;
} order;

static void note_order(void *context, size_t index, int worker) {
    order *o = context;
    if (worker == 0) o->seen[o->count++] = index;
}

static void without_a_pool_tasks_run_in_order(void **state) {
    (void)state;
    order o = {0};
    es_pool_run(NULL, 100, note_order, &o);
    assert_int_equal(o.count, 100);
    for (size_t i = 0; i < 100; i++) assert_int_equal(o.seen[i], i);
    assert_int_equal(es_pool_threads(NULL), 1);
}

static void wait_for_another(void *context, size_t index, int worker) {
    atomic_int *waiting = context;
    (void)index;
    (void)worker;
    atomic_fetch_add(waiting, 1);
    for (double end = es_clock_s() + 20; atomic_load(waiting) < 3 && es_clock_s() < end;)
        usleep(100);
}

static void tasks_really_run_at_the_same_time(void **state) {
    (void)state;
    atomic_int waiting = 0;
    es_pool *pool = es_pool_new(3, NULL);
    double start = es_clock_s();
    es_pool_run(pool, 3, wait_for_another, &waiting); /* each waits for all three */
    assert_true(es_clock_s() - start < 15);
    es_pool_free(pool);
}

static void two_pools_work_side_by_side(void **state) {
    (void)state;
    es_pool *a = es_pool_new(2, NULL), *b = es_pool_new(3, NULL);
    job *ja = es_alloc_zero(1, sizeof *ja, NULL), *jb = es_alloc_zero(1, sizeof *jb, NULL);
    es_pool_run(a, 100, task, ja);
    es_pool_run(b, 100, task, jb);
    assert_memory_equal(ja->results, jb->results, sizeof ja->results);
    es_pool_free(a);
    es_pool_free(b);
    es_free(ja);
    es_free(jb);
}

typedef struct caller {
    es_pool *pool;
    job *j;
} caller;

enum { CALLS = 40 };

static void *call_often(void *context) {
    caller *c = context;
    for (int i = 0; i < CALLS; i++) es_pool_run(c->pool, COUNT, task, c->j);
    return NULL;
}

static void several_threads_may_call_one_pool(void **state) {
    (void)state;
    enum { CALLERS = 3 };
    es_pool *pool = es_pool_new(3, NULL);
    caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){pool, es_alloc_zero(1, sizeof(job), NULL)};
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < CALLERS; i++) {
        for (int k = 0; k < COUNT; k++) assert_int_equal(callers[i].j->runs[k], CALLS);
        assert_int_equal(callers[i].j->wrong, 0);
        es_free(callers[i].j);
    }
    es_pool_free(pool);
}

static void a_pool_has_the_threads_that_were_asked_for(void **state) {
    (void)state;
    es_pool *two = es_pool_new(2, NULL), *all = es_pool_new(0, NULL), *also = es_pool_new(-5, NULL);
    assert_int_equal(es_pool_threads(two), 2);
    assert_true(es_pool_threads(all) >= 1);
    assert_int_equal(es_pool_threads(all), es_pool_threads(also));
    es_pool_free(two); /* freed without ever having run */
    es_pool_free(all);
    es_pool_free(also);
    es_pool_free(NULL);
}

static void a_pool_without_memory_is_reported(void **state) {
    (void)state;
    es_pool *pool = NULL;
    for (long n = 0; n < 5 && !pool; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        pool = es_pool_new(2, &err);
        es_alloc_fail_after(-1);
        assert_true(pool || err.code == ES_MEMORY);
    }
    assert_non_null(pool);
    es_pool_free(pool);
}

static void cancel_after_ten(void *context, size_t index, int worker) {
    atomic_int *done = context;
    (void)index;
    (void)worker;
    if (es_cancelled(NULL)) return;
    if (atomic_fetch_add(done, 1) == 10) es_cancel();
}

static void tasks_may_cancel_and_see_it(void **state) {
    (void)state;
    atomic_int done = 0;
    es_pool *pool = es_pool_new(3, NULL);
    es_pool_run(pool, 100000, cancel_after_ten, &done);
    es_cancel_reset();
    assert_true(done > 10 && done < 100000);
    es_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once_for_any_number_of_threads),
        cmocka_unit_test(a_pool_is_used_again_and_again),
        cmocka_unit_test(few_tasks_run_too),
        cmocka_unit_test(without_a_pool_tasks_run_in_order),
        cmocka_unit_test(tasks_really_run_at_the_same_time),
        cmocka_unit_test(two_pools_work_side_by_side),
        cmocka_unit_test(several_threads_may_call_one_pool),
        cmocka_unit_test(a_pool_has_the_threads_that_were_asked_for),
        cmocka_unit_test(a_pool_without_memory_is_reported),
        cmocka_unit_test(tasks_may_cancel_and_see_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
