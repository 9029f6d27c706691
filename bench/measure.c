/* measure: clocks, memory, the disk's sync rate and the time a program takes to start. Knows no store. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

static double read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_now(void) { return read_clock(CLOCK_MONOTONIC); }

void bench_begin(bench_case *self) {
  self->seconds = -seconds_now();
  self->processor = -read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_end(bench_case *self) {
  self->seconds += seconds_now();
  self->processor += read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_die(const char *format, ...) {
  va_list args;

  va_start(args, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

/* VmHWM and not ru_maxrss: the latter remembers the program that forked this one. */
int64_t bench_peak_kib(void) {
  char line[128];
  long long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");

  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "VmHWM: %lld", &kib) == 1) break;
  }
  fclose(file);
  return kib;
}

void bench_progress(bench_case *self, int64_t done, int64_t total) {
  if (self->early_kib == 0 && done >= total / 10) self->early_kib = bench_peak_kib();
}

/* ---- the disk ---- */

enum { SYNC_BLOCK = 4096, SYNC_TENTHS = 5 };

static double syncs_per_second(int file, bool extend) {
  static char block[SYNC_BLOCK];
  double start = seconds_now(), now = start;
  off_t at = 0;
  int count = 0;

  while (now - start < SYNC_TENTHS / 10.0) {
    if (pwrite(file, block, sizeof block, at) != SYNC_BLOCK || fdatasync(file) != 0)
      bench_die("the disk cannot be written");
    if (extend) at += SYNC_BLOCK;
    count++;
    now = seconds_now();
  }
  return count / (now - start);
}

int bench_sync(const char *path) {
  int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

  if (file < 0) bench_die("%s cannot be made", path);
  double extending = syncs_per_second(file, true), overwriting = syncs_per_second(file, false);
  printf("overwriting=%.0f extending=%.0f\n", overwriting, extending);
  close(file);
  unlink(path);
  return 0;
}

/* ---- starting programs ---- */

static double spawn_once(char **arguments, posix_spawn_file_actions_t *actions) {
  double start = seconds_now();
  pid_t child;
  int status;

  if (posix_spawnp(&child, arguments[0], actions, NULL, arguments, environ) != 0)
    bench_die("%s cannot be started", arguments[0]);
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    bench_die("%s failed", arguments[0]);
  return seconds_now() - start;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double children_processor(void) {
  struct rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* The median of `count` starts: a single one says little. */
int bench_spawn(int64_t count, char **arguments) {
  posix_spawn_file_actions_t actions;
  double *times = calloc((size_t)count, sizeof *times);

  if (times == NULL) bench_die("out of memory");
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (int64_t i = 0; i < count; i++)
    times[i] = spawn_once(arguments, &actions);
  qsort(times, (size_t)count, sizeof *times, compare);
  printf("seconds=%.9f processor=%.9f operations=1\n", times[count / 2],
         children_processor() / (double)count);
  posix_spawn_file_actions_destroy(&actions);
  free(times);
  return 0;
}
