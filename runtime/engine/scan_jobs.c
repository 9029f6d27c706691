/* scan_jobs: the threads of a verification. */
#include "engine/scan_jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

enum { PIECE = 16384, JOBS_MAX = 64, KEPT_MAX = 10000 };

typedef struct kept_finding {
  int64_t piece; /* findings of the store's check come last */
  char kind[ES_ERROR_CODE_MAX];
  char fault[16];
  int64_t position;
  char *message;
} kept_finding;

typedef struct scan_pool {
  es_scan *whole;
  const char *path;
  es_id_source *ids;
  pthread_mutex_t lock; /* guards everything below */
  pthread_cond_t changed;
  int64_t next_piece, piece_count;
  bool check_taken, stop;
  int running;
  int64_t done;
  uint8_t last_hash[ES_HASH_SIZE];
  kept_finding *findings;
  size_t finding_count, finding_capacity;
  es_status status; /* the first failure */
  es_error error;
} scan_pool;

/* What one thread is at. */
typedef struct worker {
  scan_pool *pool;
  es_store *store;
  int64_t piece;
  int64_t told; /* of the piece's events, already counted in pool->done */
} worker;

static void keep(void *data, const char *kind, int64_t position, const char *fault,
                 const char *message) {
  worker *self = data;
  scan_pool *pool = self->pool;

  pthread_mutex_lock(&pool->lock);
  if (pool->finding_count == pool->finding_capacity && pool->finding_capacity < KEPT_MAX) {
    size_t capacity = pool->finding_capacity == 0 ? 64 : pool->finding_capacity * 2;
    kept_finding *moved = realloc(pool->findings, capacity * sizeof *moved);
    if (moved != NULL) {
      pool->findings = moved;
      pool->finding_capacity = capacity;
    }
  }
  if (pool->finding_count < pool->finding_capacity) {
    kept_finding *kept = &pool->findings[pool->finding_count++];
    *kept = (kept_finding){.piece = self->piece, .position = position, .message = strdup(message)};
    strncpy(kept->kind, kind, sizeof kept->kind - 1);
    strncpy(kept->fault, fault, sizeof kept->fault - 1);
  }
  pthread_mutex_unlock(&pool->lock);
}

static void keep_of_store(void *data, const char *kind, int64_t position, const char *message) {
  keep(data, kind, position, "", message);
}

static bool count(void *data, int64_t done) {
  worker *self = data;
  bool go_on;

  pthread_mutex_lock(&self->pool->lock);
  self->pool->done += done - self->told;
  self->told = done;
  go_on = !self->pool->stop;
  pthread_mutex_unlock(&self->pool->lock);
  return go_on;
}

static es_status scan_piece(worker *self, es_error *err) {
  const es_scan *whole = self->pool->whole;
  es_scan scan = {.store = self->store,
                  .after = whole->after + self->piece * PIECE,
                  .finding = keep,
                  .finding_data = self,
                  .keep_going = count,
                  .keep_going_data = self};
  es_status status;

  scan.to = scan.after + PIECE < whole->to ? scan.after + PIECE : whole->to;
  self->told = 0;
  status = es__scan(&scan, err);
  count(self, scan.event_count);
  if (self->piece + 1 == self->pool->piece_count)
    memcpy(self->pool->last_hash, scan.last_hash, ES_HASH_SIZE);
  return status;
}

/* Takes the next piece of work; false when there is none left. */
static bool take(worker *self, bool *check) {
  scan_pool *pool = self->pool;
  bool taken = false;

  pthread_mutex_lock(&pool->lock);
  *check = !pool->check_taken && !pool->stop;
  if (*check) {
    pool->check_taken = taken = true;
    self->piece = pool->piece_count;
  } else if (pool->next_piece < pool->piece_count && !pool->stop) {
    self->piece = pool->next_piece++;
    taken = true;
  }
  pthread_mutex_unlock(&pool->lock);
  return taken;
}

static void fail(scan_pool *pool, es_status status, const es_error *err) {
  pthread_mutex_lock(&pool->lock);
  if (pool->status == ES_OK) {
    pool->status = status;
    pool->error = *err;
  }
  pool->stop = true;
  pthread_mutex_unlock(&pool->lock);
}

static void *work(void *data) {
  worker self = {.pool = data};
  es_sqlite_options options = {.read_only = true, .must_exist = true};
  es_error err = ES_ERROR_INIT;
  bool check;
  es_status status =
      es__store_open_sqlite(&self.store, self.pool->path, &options, self.pool->ids, &err);

  while (status == ES_OK && take(&self, &check)) {
    status =
        check ? es__store_check(self.store, keep_of_store, &self, &err) : scan_piece(&self, &err);
  }
  if (status != ES_OK) fail(self.pool, status, &err);
  es__store_close(self.store);
  pthread_mutex_lock(&self.pool->lock);
  self.pool->running--;
  pthread_cond_signal(&self.pool->changed);
  pthread_mutex_unlock(&self.pool->lock);
  return NULL;
}

static int compare_findings(const void *a, const void *b) {
  const kept_finding *left = a, *right = b;
  if (left->piece != right->piece) return left->piece < right->piece ? -1 : 1;
  return (left->position > right->position) - (left->position < right->position);
}

/* The caller's thread asks whether to go on, a few times a second. */
static void wait_for_workers(scan_pool *pool) {
  struct timespec until;

  pthread_mutex_lock(&pool->lock);
  while (pool->running > 0) {
    timespec_get(&until, TIME_UTC);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) {
      until.tv_sec++;
      until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
    int64_t done = pool->done;
    pthread_mutex_unlock(&pool->lock);
    bool go_on = pool->whole->keep_going == NULL ||
                 pool->whole->keep_going(pool->whole->keep_going_data, done);
    pthread_mutex_lock(&pool->lock);
    if (!go_on) pool->stop = true;
  }
  pthread_mutex_unlock(&pool->lock);
}

static void hand_over(scan_pool *pool, es_store_finding store_finding, void *store_finding_data) {
  if (pool->finding_count > 0)
    qsort(pool->findings, pool->finding_count, sizeof *pool->findings, compare_findings);
  for (size_t i = 0; i < pool->finding_count; i++) {
    const kept_finding *kept = &pool->findings[i];
    const char *message = kept->message == NULL ? "" : kept->message;
    if (kept->piece == pool->piece_count) {
      store_finding(store_finding_data, kept->kind, kept->position, message);
    } else {
      pool->whole->finding(pool->whole->finding_data, kept->kind, kept->position, kept->fault,
                           message);
    }
    free(kept->message);
  }
  free(pool->findings);
}

es_status es__scan_in_jobs(es_scan *scan, int jobs, const char *path, es_id_source *ids,
                           es_store_finding store_finding, void *store_finding_data,
                           es_error *err) {
  scan_pool pool = {.whole = scan,
                    .path = path,
                    .ids = ids,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .changed = PTHREAD_COND_INITIALIZER,
                    .piece_count = (scan->to - scan->after + PIECE - 1) / PIECE};
  pthread_t threads[JOBS_MAX];
  int started = 0;

  if (jobs > JOBS_MAX) jobs = JOBS_MAX;
  for (; started < jobs; started++) {
    pthread_mutex_lock(&pool.lock);
    pool.running++;
    pthread_mutex_unlock(&pool.lock);
    if (pthread_create(&threads[started], NULL, work, &pool) == 0) continue;
    pthread_mutex_lock(&pool.lock);
    pool.running--;
    pthread_mutex_unlock(&pool.lock);
    break;
  }
  if (started == 0)
    return es__fail(err, ES_ERR_OTHER, "no_threads", "the system gives no threads to verify with");
  wait_for_workers(&pool);
  for (int i = 0; i < started; i++)
    pthread_join(threads[i], NULL);
  hand_over(&pool, store_finding, store_finding_data);
  scan->event_count = pool.done;
  memcpy(scan->last_hash, pool.last_hash, ES_HASH_SIZE);
  if (pool.status == ES_OK && pool.stop)
    return es__fail(err, ES_ERR_OTHER, "stopped", "stopped after %lld events",
                    (long long)pool.done);
  if (pool.status != ES_OK && err != NULL) *err = pool.error;
  return pool.status;
}
