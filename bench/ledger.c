/* ledger: the runtime's side of what the ledger costs: verifying, signing, proving; and the tree beside the appends, which is
 * caught up through the store's own call, since signing catches it up together with more. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/runtime.h"
#include "runtime.h"
#include "store/tree.h"

/* ---- verifying ---- */

static bool progress(void *data, int64_t done, int64_t total) {
  bench_progress(data, done, total);
  return true;
}

static void run_verify(bench_case *self, int jobs) {
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report;
  es_runtime *rt = open_runtime(self);

  options.progress = progress;
  options.progress_data = self;
  options.jobs = jobs;
  bench_begin(self);
  check(es_verify(&report, rt, &options, &err), "es_verify");
  bench_end(self);
  self->operations = report.event_count;
  memcpy(self->head, report.head_hash, ES_HASH_SIZE);
  self->has_head = true;
  es_close(rt);
}

static void verify(bench_case *self) { run_verify(self, 1); }
static void verify_2(bench_case *self) { run_verify(self, 2); }

/* ---- appending, and what makes it provable ---- */

static void append_tree(bench_case *self) {
  es_runtime *rt = open_runtime(self);
  int64_t size;

  bench_begin(self);
  append_batches(self, rt, BATCH_MAX, ES_APPEND_KEEP | ES_APPEND_UNCHECKED);
  check(es__tree_grow(&size, INT64_MAX, rt->store, &err), "es__tree_grow");
  bench_end(self);
  if (size != self->events) bench_die("the tree covers %lld events", (long long)size);
  es_close(rt);
}

static void take_checkpoint(const bench_case *self, es_runtime *rt) {
  es_checkpoint_options options = ES_CHECKPOINT_INIT;
  es_keygen_options making = ES_KEYGEN_INIT;
  char path[1024], *text;
  es_signing_key key = {.path = path};

  snprintf(path, sizeof path, "%s-key", self->store);
  unlink(path);
  making.name = "example.com/bench";
  making.path = path;
  check(es_keygen(&text, &making, &err), "es_keygen");
  es_free(text);
  options.keys = &key;
  options.key_count = 1;
  options.memory_path = "";
  check(es_checkpoint(&text, rt, &options, &err), "es_checkpoint");
  es_free(text);
  unlink(path);
}

static void append_signed(bench_case *self) {
  es_runtime *rt = open_runtime(self);

  bench_begin(self);
  append_batches(self, rt, BATCH_MAX, ES_APPEND_KEEP | ES_APPEND_UNCHECKED);
  take_checkpoint(self, rt);
  bench_end(self);
  es_close(rt);
}

static void sign(bench_case *self) {
  es_runtime *rt = open_runtime(self);

  bench_begin(self);
  take_checkpoint(self, rt);
  bench_end(self);
  self->operations = self->events + self->long_events;
  es_close(rt);
}

/* ---- proving ---- */

static void prove(bench_case *self, bool of_event) {
  es_runtime *rt = open_runtime(self);
  uint8_t id[ES_ID_SIZE];
  char text[ES_ID_TEXT_SIZE], *proof;

  bench_begin(self);
  for (int64_t i = 0; i < PROOFS; i++) {
    es_prove_options options = ES_PROVE_INIT;
    int64_t leaf = bench_proof(i, self->events);
    workload_event_id(id, leaf);
    es_id_text(text, id);
    if (of_event)
      options.event_id = text;
    else
      options.from = leaf + 1;
    check(es_prove(&proof, rt, &options, &err), "es_prove");
    es_free(proof);
  }
  bench_end(self);
  self->operations = PROOFS;
  es_close(rt);
}

static void prove_event(bench_case *self) { prove(self, true); }
static void prove_tree(bench_case *self) { prove(self, false); }

bench_function ledger_find(const char *name) {
  static const struct {
    const char *name;
    bench_function run;
  } cases[] = {{"verify", verify},
               {"verify_2", verify_2},
               {"append_tree", append_tree},
               {"append_signed", append_signed},
               {"sign", sign},
               {"prove_event", prove_event},
               {"prove_tree", prove_tree}};

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (strcmp(cases[i].name, name) == 0) return cases[i].run;
  }
  return NULL;
}
