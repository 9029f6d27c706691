/* runtime: what the files of the runtime's side share. */
#ifndef ES_BENCH_RUNTIME_H
#define ES_BENCH_RUNTIME_H

#include "bench.h"

enum { BATCH_MAX = 1000 };

extern es_error err;                              /* of the call that check() is about to judge */
void check(es_status status, const char *doing);  /* ends the program with *err unless ES_OK */
es_runtime *open_runtime(const bench_case *self); /* as an operator who sees every tenant */
void append_batches(bench_case *self, es_runtime *rt, int64_t batch, unsigned flags);

#endif
