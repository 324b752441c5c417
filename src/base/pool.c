/* A fixed set of threads that share a counter of tasks. Which worker takes
 * which task is chance; results depend on the task's index alone. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "echosolid/base.h"

typedef void task_fn(void *context, size_t index, int worker);

typedef struct worker {
    es_pool *pool;
    pthread_t thread;
    int number;
} worker;

struct es_pool {
    int threads; /* the caller included */
    worker *workers;
    int started;
    pthread_mutex_t turn; /* held by the caller whose tasks run */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    unsigned long round; /* grows with each run; workers wait for it */
    int busy;
    bool quit;
    task_fn *fn;
    void *context;
    size_t count;
    atomic_size_t next;
};

static void take_tasks(es_pool *pool, int number) {
    for (;;) {
        size_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= pool->count) return;
        pool->fn(pool->context, index, number);
    }
}

static void *work(void *argument) {
    worker *self = argument;
    es_pool *pool = self->pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->quit) pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->quit) break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        take_tasks(pool, self->number);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int cores(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (int)n;
}

es_pool *es_pool_new(int threads, es_error *err) {
    if (threads <= 0) threads = cores();
    es_pool *pool = es_alloc_zero(1, sizeof *pool, err);
    if (!pool) return NULL;
    pool->threads = threads;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->workers = es_alloc_zero((size_t)threads, sizeof *pool->workers, err);
    if (!pool->workers) goto failed;
    for (int i = 1; i < threads; i++) {
        pool->workers[i] = (worker){.pool = pool, .number = i};
        if (pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]) != 0) {
            es_fail(err, ES_MEMORY, "thread %d of %d could not be started; ask for fewer", i + 1,
                    threads);
            goto failed;
        }
        pool->started = i;
    }
    return pool;
failed:
    es_pool_free(pool);
    return NULL;
}

int es_pool_threads(const es_pool *pool) { return pool ? pool->threads : 1; }

void es_pool_run(es_pool *pool, size_t count, task_fn *fn, void *context) {
    if (!pool || pool->threads == 1 || count < 2) {
        for (size_t i = 0; i < count; i++) fn(context, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->turn);
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->context = context;
    pool->count = count;
    atomic_store(&pool->next, 0);
    pool->busy = pool->started;
    pool->round++;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->turn);
}

void es_pool_free(es_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->turn);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    es_free(pool->workers);
    es_free(pool);
}
