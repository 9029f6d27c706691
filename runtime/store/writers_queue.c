/* writers_queue: two robust mutexes in a mapped file, shared by all processes that write one store. Knows no SQL.
 *
 * A mutex alone is not fair: whoever unlocks it can lock it again before a waiter has woken up. So the turn is only waited for
 * by whoever stands at the door, and the last owner finds the door held by somebody else and has to line up there. */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include "store/writers_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

enum { BOOT_ID_SIZE = 40 };

/* The file. A mutex is only meaningful in the boot and the file it was made in: a power cut or a copy may leave it locked by
 * an owner that nothing will ever report dead, so both are recorded and a stranger's mutex is made anew. */
typedef struct queue_file {
  char magic[16];
  char boot_id[BOOT_ID_SIZE];
  uint64_t inode;
  uint64_t size; /* differs between C libraries that must not share a mutex */
  pthread_mutex_t door;
  pthread_mutex_t turn;
} queue_file;

struct es_queue {
  queue_file *file;
  char *path;
};

static const char queue_magic[16] = "esrun queue 1";

static es_status system_failure(const char *path, const char *what, es_error *err) {
  int error = errno;

  es__fail(err, ES_ERR_STORE, error == EACCES || error == EPERM ? "permission" : "queue",
           "%s: %s: %s", path, what, strerror(error));
  es__hint(err,
           "who writes a store must be able to write its folder and the -queue file beside it");
  return ES_ERR_STORE;
}

static void read_boot_id(char out[BOOT_ID_SIZE]) {
  memset(out, 0, BOOT_ID_SIZE);
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return; /* all zero: the mutex then outlives a boot, as it would without this check */
  ssize_t got = read(fd, out, BOOT_ID_SIZE - 1);
  if (got < 0) memset(out, 0, BOOT_ID_SIZE);
  close(fd);
}

static bool is_current(const queue_file *file, const char boot_id[BOOT_ID_SIZE], ino_t inode) {
  return memcmp(file->magic, queue_magic, sizeof queue_magic) == 0 &&
         memcmp(file->boot_id, boot_id, BOOT_ID_SIZE) == 0 && file->inode == (uint64_t)inode &&
         file->size == sizeof *file;
}

static int make_mutexes(queue_file *file, const char boot_id[BOOT_ID_SIZE], ino_t inode) {
  pthread_mutexattr_t attributes;
  int error = pthread_mutexattr_init(&attributes);

  if (error != 0) return error;
  memset(file, 0, sizeof *file);
  error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  if (error == 0) error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  if (error == 0) error = pthread_mutex_init(&file->door, &attributes);
  if (error == 0) error = pthread_mutex_init(&file->turn, &attributes);
  pthread_mutexattr_destroy(&attributes);
  if (error != 0) return error;
  memcpy(file->boot_id, boot_id, BOOT_ID_SIZE);
  file->inode = (uint64_t)inode;
  file->size = sizeof *file;
  memcpy(file->magic, queue_magic, sizeof queue_magic);
  return 0;
}

/* Under the file's flock: sizes the file, maps it, and makes the mutex where there is none that holds. */
static es_status map_file(es_queue *queue, int fd, const char *store_path, es_error *err) {
  struct stat store_stat, queue_stat;
  char boot_id[BOOT_ID_SIZE];

  if (fstat(fd, &queue_stat) != 0) return system_failure(queue->path, "cannot look at it", err);
  if (queue_stat.st_size == 0 && stat(store_path, &store_stat) == 0) {
    /* Best effort, as SQLite does for its own side files: whoever may write the store may queue. */
    if (fchmod(fd, store_stat.st_mode & 0666) == 0 && geteuid() == 0) {
      int ignored = fchown(fd, store_stat.st_uid, store_stat.st_gid);
      (void)ignored;
    }
  }
  /* Not ftruncate: writing to a hole of a mapped file on a full disk would be a SIGBUS. */
  errno = posix_fallocate(fd, 0, sizeof(queue_file));
  if (es__no_room(errno)) {
    es__fail(err, ES_ERR_STORE, "disk_full", "%s: cannot make the file: the disk is full",
             queue->path);
    es__hint(err, "make room, then try again: nothing is half done");
    return ES_ERR_STORE;
  }
  if (errno != 0) return system_failure(queue->path, "cannot make room", err);
  void *memory = mmap(NULL, sizeof(queue_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return system_failure(queue->path, "cannot map it", err);
  queue->file = memory;
  read_boot_id(boot_id);
  if (is_current(queue->file, boot_id, queue_stat.st_ino)) return ES_OK;
  errno = make_mutexes(queue->file, boot_id, queue_stat.st_ino);
  return errno == 0 ? ES_OK : system_failure(queue->path, "cannot make a mutex", err);
}

es_status es__queue_open(es_queue **out, const char *store_path, es_error *err) {
  es_queue *queue = calloc(1, sizeof *queue);
  es_status status;
  int fd = -1;

  *out = NULL;
  if (queue == NULL) return es__no_memory(err);
  size_t size = strlen(store_path) + sizeof "-queue";
  queue->path = malloc(size);
  if (queue->path == NULL) {
    status = es__no_memory(err);
    goto done;
  }
  snprintf(queue->path, size, "%s-queue", store_path);
  fd = open(queue->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) {
    status = system_failure(queue->path, "cannot open it", err);
    goto done;
  }
  while (flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    status = system_failure(queue->path, "cannot lock it", err);
    goto done;
  }
  status = map_file(queue, fd, store_path, err);
  if (status != ES_OK) goto done;
  *out = queue;
  queue = NULL;
done:
  if (fd >= 0) {
    flock(fd, LOCK_UN); /* closing would not give it up: the mapping keeps the open file alive */
    close(fd);
  }
  es__queue_close(queue);
  return status;
}

static struct timespec deadline(int64_t timeout_ms) {
  struct timespec at;

  clock_gettime(CLOCK_MONOTONIC, &at); /* a stepping wall clock must not stretch anybody's wait */
  at.tv_sec += (time_t)(timeout_ms / 1000);
  at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_nsec -= 1000000000;
    at.tv_sec += 1;
  }
  return at;
}

/* The owner may have died holding it. What it left half done is SQLite's to roll back, and it does. */
static int lock(pthread_mutex_t *mutex, const struct timespec *until) {
  int error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, until);
  return error == EOWNERDEAD ? pthread_mutex_consistent(mutex) : error;
}

es_status es__queue_take(es_queue *queue, int64_t timeout_ms, es_error *err) {
  const struct timespec until = deadline(timeout_ms);
  int error = lock(&queue->file->door, &until);

  if (error == 0) {
    error = lock(&queue->file->turn, &until);
    pthread_mutex_unlock(&queue->file->door);
  }
  if (error == 0) return ES_OK;
  if (error == ETIMEDOUT) {
    es__fail(err, ES_ERR_STORE, "busy", "%s: no turn to write within %lld ms", queue->path,
             (long long)timeout_ms);
    es__hint(err,
             "another process holds a long transaction on this store; try again when it is done");
    return ES_ERR_STORE;
  }
  errno = error;
  system_failure(queue->path, "cannot take a turn", err);
  es__hint(err, "when no process has the store open, this file may be deleted; it is made anew");
  return ES_ERR_STORE;
}

void es__queue_release(es_queue *queue) { pthread_mutex_unlock(&queue->file->turn); }

void es__queue_close(es_queue *queue) {
  if (queue == NULL) return;
  if (queue->file != NULL) munmap(queue->file, sizeof(queue_file));
  free(queue->path);
  free(queue);
}
