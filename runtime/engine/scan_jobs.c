/* scan_jobs: the pieces of a verification, and the threads that take them. A piece is a run of events or a part of the store's
 * own check. */
#include "engine/scan_jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

enum { PIECE = 8192, JOBS_MAX = 64, KEPT_MAX = 10000 };

typedef struct kept_finding {
  int64_t piece; /* in this order they are handed over */
  char kind[ES_ERROR_CODE_MAX];
  char fault[16];
  int64_t position;
  char *message;
} kept_finding;

typedef struct scan_pool {
  es_scan *whole;
  const char *path;
  es_id_source *ids;
  es_store_finding store_finding;
  void *store_finding_data;
  bool threads;         /* findings are kept until they have ended */
  pthread_mutex_t lock; /* guards everything below */
  pthread_cond_t changed;
  int64_t next_piece, run_count;
  int next_part, part_count;
  bool stop;
  int running;
  int64_t done, archived_count, unseen_count, unseen_from, unseen_to;
  es_sums sums;
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
  int64_t piece; /* a run; from run_count on a part of the check */
  int64_t told;  /* of the piece's events, already counted in pool->done */
} worker;

static void hand_over(scan_pool *pool, const kept_finding *found) {
  const char *message = found->message == NULL ? "" : found->message;

  if (found->piece >= pool->run_count) {
    pool->store_finding(pool->store_finding_data, found->kind, found->position, message);
  } else {
    pool->whole->finding(pool->whole->finding_data, found->kind, found->position, found->fault,
                         message);
  }
}

static void keep(void *data, const char *kind, int64_t position, const char *fault,
                 const char *message) {
  worker *self = data;
  scan_pool *pool = self->pool;
  kept_finding found = {.piece = self->piece, .position = position, .message = strdup(message)};

  strncpy(found.kind, kind, sizeof found.kind - 1);
  strncpy(found.fault, fault, sizeof found.fault - 1);
  if (!pool->threads) {
    hand_over(pool, &found);
    free(found.message);
    return;
  }
  pthread_mutex_lock(&pool->lock);
  if (pool->finding_count == pool->finding_capacity && pool->finding_count < KEPT_MAX) {
    size_t capacity = pool->finding_capacity == 0 ? 64 : pool->finding_capacity * 2;
    kept_finding *moved = realloc(pool->findings, capacity * sizeof *moved);
    if (moved != NULL) {
      pool->findings = moved;
      pool->finding_capacity = capacity;
    }
  }
  if (pool->finding_count < pool->finding_capacity) {
    pool->findings[pool->finding_count++] = found;
  } else {
    if (pool->whole->untold_count++ == 0 || position < pool->whole->untold_lowest)
      pool->whole->untold_lowest = position;
    free(found.message);
  }
  pthread_mutex_unlock(&pool->lock);
}

static void keep_of_store(void *data, const char *kind, int64_t position, const char *message) {
  keep(data, kind, position, "", message);
}

/* In threads the caller's thread asks whether to go on: see wait_for_workers(). */
static bool count(void *data, int64_t done) {
  worker *self = data;
  scan_pool *pool = self->pool;
  const es_scan *whole = pool->whole;

  pthread_mutex_lock(&pool->lock);
  pool->done += done - self->told;
  self->told = done;
  int64_t all = pool->done;
  bool go_on = !pool->stop;
  pthread_mutex_unlock(&pool->lock);
  if (pool->threads || whole->keep_going == NULL) return go_on;
  return whole->keep_going(whole->keep_going_data, all);
}

/* Behind an empty run the next one is where there is an event again: a single row at a far position must not make work. */
static void pass_gap(worker *self, int64_t to) {
  scan_pool *pool = self->pool;
  int64_t next = 0;

  if (es__store_next_position(&next, self->store, to, NULL) != ES_OK) return;
  next = next == 0 ? pool->run_count : (next - 1) / PIECE;
  pthread_mutex_lock(&pool->lock);
  if (next > pool->next_piece) pool->next_piece = next;
  pthread_mutex_unlock(&pool->lock);
}

static void join_unseen(scan_pool *pool, const es_scan *scan) {
  pool->archived_count += scan->archived_count;
  pool->unseen_count += scan->unseen_count;
  if (scan->unseen_to > pool->unseen_to) pool->unseen_to = scan->unseen_to;
  if (scan->unseen_from > 0 && (pool->unseen_from == 0 || scan->unseen_from < pool->unseen_from))
    pool->unseen_from = scan->unseen_from;
}

static es_status scan_run(worker *self, es_error *err) {
  scan_pool *pool = self->pool;
  const es_scan *whole = pool->whole;
  es_scan scan = {.store = self->store,
                  .after = self->piece * PIECE,
                  .hash_after = whole->hash_after,
                  .sums = &pool->sums,
                  .finding = keep,
                  .finding_data = self,
                  .keep_going = count,
                  .keep_going_data = self};
  es_status status;

  scan.to = whole->to - scan.after > PIECE ? scan.after + PIECE : whole->to;
  self->told = 0;
  status = es__scan(&scan, err);
  count(self, scan.event_count);
  pthread_mutex_lock(&pool->lock);
  es__sums_join(&pool->sums, &scan.part);
  join_unseen(pool, &scan);
  pthread_mutex_unlock(&pool->lock);
  if (self->piece + 1 == pool->run_count) memcpy(pool->last_hash, scan.last_hash, ES_HASH_SIZE);
  if (status == ES_OK && scan.event_count == 0) pass_gap(self, scan.to);
  return status;
}

static es_status check_part(worker *self, es_error *err) {
  scan_pool *pool = self->pool;
  es_sums sums;

  es__sums_part(&sums, &pool->sums, 0, pool->whole->to);
  es_status status = es__store_check_part(self->store, (int)(self->piece - pool->run_count), &sums,
                                          keep_of_store, self, err);
  pthread_mutex_lock(&pool->lock);
  es__sums_join(&pool->sums, &sums);
  pthread_mutex_unlock(&pool->lock);
  return status;
}

/* The next piece of work; false when there is none left. Threads begin with the store's parts, the longest first, so that the
 * many short runs of events keep all of them busy to the end. */
static bool take(worker *self) {
  scan_pool *pool = self->pool;
  bool taken = false;

  pthread_mutex_lock(&pool->lock);
  bool parts_first = pool->threads || pool->next_piece == pool->run_count;
  if (!pool->stop && parts_first && pool->next_part < pool->part_count) {
    self->piece = pool->run_count + pool->next_part++;
    taken = true;
  } else if (!pool->stop && pool->next_piece < pool->run_count) {
    self->piece = pool->next_piece++;
    taken = true;
  }
  pthread_mutex_unlock(&pool->lock);
  return taken;
}

static es_status work_on(worker *self, es_error *err) {
  es_status status = ES_OK;

  while (status == ES_OK && take(self))
    status = self->piece < self->pool->run_count ? scan_run(self, err) : check_part(self, err);
  return status;
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
  es_status status =
      es__store_open_sqlite(&self.store, self.pool->path, &options, self.pool->ids, &err);

  if (status == ES_OK) status = work_on(&self, &err);
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

static void hand_over_all(scan_pool *pool) {
  if (pool->finding_count > 0)
    qsort(pool->findings, pool->finding_count, sizeof *pool->findings, compare_findings);
  for (size_t i = 0; i < pool->finding_count; i++) {
    hand_over(pool, &pool->findings[i]);
    free(pool->findings[i].message);
  }
  free(pool->findings);
}

static es_status run_threads(scan_pool *pool, int jobs, es_error *err) {
  pthread_t threads[JOBS_MAX];
  int started = 0;

  pool->threads = true;
  if (jobs > JOBS_MAX) jobs = JOBS_MAX;
  for (; started < jobs; started++) {
    pthread_mutex_lock(&pool->lock);
    pool->running++;
    pthread_mutex_unlock(&pool->lock);
    if (pthread_create(&threads[started], NULL, work, pool) == 0) continue;
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    pthread_mutex_unlock(&pool->lock);
    break;
  }
  if (started == 0)
    return es__fail(err, ES_ERR_OTHER, "no_threads", "the system gives no threads to verify with");
  wait_for_workers(pool);
  for (int i = 0; i < started; i++)
    pthread_join(threads[i], NULL);
  hand_over_all(pool);
  if (pool->status == ES_OK && pool->stop)
    return es__fail(err, ES_ERR_OTHER, "stopped", "stopped after %lld events",
                    (long long)pool->done);
  if (pool->status != ES_OK && err != NULL) *err = pool->error;
  return pool->status;
}

es_status es__scan_in_jobs(es_scan *scan, int jobs, const char *path, es_id_source *ids,
                           es_store_finding store_finding, void *store_finding_data,
                           es_error *err) {
  scan_pool pool = {.whole = scan,
                    .path = path,
                    .ids = ids,
                    .store_finding = store_finding,
                    .store_finding_data = store_finding_data,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .changed = PTHREAD_COND_INITIALIZER,
                    .part_count = scan->store->kind->check_parts,
                    .run_count = scan->to / PIECE + (scan->to % PIECE > 0)};
  es_status status = es__sums_init(&pool.sums, scan->to, err);

  if (status != ES_OK) return status;
  if (path != NULL) {
    status = run_threads(&pool, jobs, err);
  } else {
    worker self = {.pool = &pool, .store = scan->store};
    es__store_forget(scan->store);
    status = work_on(&self, err);
  }
  scan->event_count = pool.done;
  scan->archived_count = pool.archived_count;
  scan->unseen_count = pool.unseen_count;
  scan->unseen_from = pool.unseen_from;
  scan->unseen_to = pool.unseen_to;
  memcpy(scan->last_hash, pool.last_hash, ES_HASH_SIZE);
  if (status != ES_OK) return status;
  return es__store_compare_sums(scan->store, &pool.sums, store_finding, store_finding_data, err);
}
