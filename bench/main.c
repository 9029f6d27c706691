/* main: runs one case of one side and prints what came of it as name=value pairs. run.lua calls it; so can you, under perf.
 * Usage: esrun_bench baseline|esrun CASE STORE PROJECT EVENTS LONG_EVENTS | sync FILE | spawn COUNT PROGRAM … */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static void report(const bench_case *self) {
  printf("seconds=%.9f processor=%.9f operations=%lld early_kib=%lld peak_kib=%lld", self->seconds,
         self->processor, (long long)self->operations, (long long)self->early_kib,
         (long long)bench_peak_kib());
  if (self->has_head) {
    fputs(" head=", stdout);
    for (int i = 0; i < ES_HASH_SIZE; i++)
      printf("%02x", self->head[i]);
  }
  putchar('\n');
}

int main(int argc, char **argv) {
  bench_case self = {0};
  bench_function run = NULL;

  if (argc == 3 && strcmp(argv[1], "sync") == 0) return bench_sync(argv[2]);
  if (argc > 3 && strcmp(argv[1], "spawn") == 0) return bench_spawn(atoll(argv[2]), argv + 3);
  if (argc != 7)
    bench_die("usage: esrun_bench baseline|esrun CASE STORE PROJECT EVENTS LONG_EVENTS");
  if (strcmp(argv[1], "baseline") == 0) run = baseline_find(argv[2]);
  if (strcmp(argv[1], "esrun") == 0) run = runtime_find(argv[2]);
  if (run == NULL) bench_die("there is no case %s %s", argv[1], argv[2]);
  self.store = argv[3];
  self.project = argv[4];
  self.events = atoll(argv[5]);
  self.long_events = atoll(argv[6]);
  run(&self);
  report(&self);
  return 0;
}
