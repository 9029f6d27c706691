/* replay: folds every stream; with `check` twice, in fresh states with other histories, and names the first difference, also of
 * a snapshot from what the events say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/fold.h"
#include "engine/runtime.h"
#include "json/value.h"

/* The second domain is made anew after this many streams, so that what a module keeps between streams shows. */
enum { STREAMS_PER_DOMAIN = 32, WARM_UP_EVENTS = 3, SECOND_BATCH = 7 };

typedef struct replay {
  es_runtime *rt;
  const es_replay_options *options;
  es_replay_report *report;
  es_domain *first;
  es_domain *second;
  int streams_in_second;
  int64_t total;
  es_buf states[2];
  es_buf lists;
} replay;

static es_status fold_into(replay *self, es_domain *domain, const es_fold *how, es_buf *state,
                           es_fold *out, es_error *err) {
  es_status status;

  *out = *how;
  status = es__fold(out, domain, self->rt->store, err);
  es__buf_clear(state);
  if (status != ES_OK) return status;
  status = es__fold_write_state(state, domain, err);
  if (status != ES_OK) {
    es__wrap(err, "%.*s/%.*s", (int)how->stream.aggregate_type.length,
             how->stream.aggregate_type.data, (int)how->stream.aggregate_id.length,
             how->stream.aggregate_id.data);
  }
  return status;
}

static es_status fresh_second(replay *self, es_error *err) {
  if (self->second != NULL && self->streams_in_second < STREAMS_PER_DOMAIN) return ES_OK;
  es__domain_free(self->second);
  self->second = NULL;
  self->streams_in_second = 0;
  return es__modules_load(&self->second, &self->rt->modules, &self->rt->limits, err);
}

/* The path of the first difference between two states, e.g. "state.lines[2].price". */
static void find_path(const es_json_value *a, const es_json_value *b, es_buf *path) {
  if (a->kind != b->kind || a->count != b->count) return;
  for (size_t i = 0; i < a->count; i++) {
    es_buf left = {0}, right = {0};
    bool same = a->keys == NULL || es__text_equal(a->keys[i], b->keys[i]);
    if (same) {
      es__json_write_value(&left, &a->items[i]);
      es__json_write_value(&right, &b->items[i]);
      same = left.length == right.length && memcmp(left.data, right.data, left.length) == 0;
      es__buf_free(&left);
      es__buf_free(&right);
      if (same) continue;
    }
    if (a->keys != NULL) {
      es__buf_format(path, ".%.*s", (int)a->keys[i].length, a->keys[i].data);
      if (es__text_equal(a->keys[i], b->keys[i])) find_path(&a->items[i], &b->items[i], path);
    } else {
      es__buf_format(path, "[%zu]", i + 1);
      find_path(&a->items[i], &b->items[i], path);
    }
    return;
  }
}

static void differing_path(replay *self, es_buf *path) {
  es_json_document *documents[2] = {NULL, NULL};

  es__buf_text(path, "state");
  for (int i = 0; i < 2; i++) {
    if (es__json_parse(&documents[i], self->states[i].data, self->states[i].length, NULL) != ES_OK)
      goto done;
  }
  find_path(es__json_root(documents[0]), es__json_root(documents[1]), path);
done:
  es__json_document_free(documents[0]);
  es__json_document_free(documents[1]);
}

static bool states_equal(const replay *self) {
  return self->states[0].length == self->states[1].length &&
         memcmp(self->states[0].data, self->states[1].data, self->states[0].length) == 0;
}

/* A throwaway fold of the stream's beginning: what the module keeps outside the state now differs. */
static es_status warm_up(replay *self, const es_fold *how, es_error *err) {
  es_fold fold = *how;

  fold.to_version = WARM_UP_EVENTS;
  return es__fold(&fold, self->second, self->rt->store, err);
}

static es_status fold_both(replay *self, const es_stream_name *stream, int64_t to_version,
                           es_fold *out, es_error *err) {
  es_fold first = {.stream = *stream, .to_version = to_version, .fresh = true};
  es_fold second = first;
  es_status status;

  second.batch = SECOND_BATCH;
  second.rebuild_between = true;
  status = fold_into(self, self->first, &first, &self->states[0], out, err);
  if (status == ES_OK) status = fresh_second(self, err);
  if (status == ES_OK) status = warm_up(self, &second, err);
  if (status == ES_OK)
    status = fold_into(self, self->second, &second, &self->states[1], &second, err);
  self->streams_in_second++;
  return status;
}

/* Differing states are rare and worth the work: fold to every version until the first that differs. */
static es_status name_difference(replay *self, const es_stream_name *stream, int64_t version,
                                 es_error *err) {
  es_buf path = {0};
  es_fold fold;
  int64_t at = version;

  for (int64_t i = 1; i < version; i++) {
    es_status status = fold_both(self, stream, i, &fold, err);
    if (status != ES_OK) return status;
    if (!states_equal(self)) {
      at = i;
      break;
    }
  }
  if (at == version) { /* chance may have hidden it meanwhile: the path then reads "state" */
    es_status status = fold_both(self, stream, 0, &fold, err);
    if (status != ES_OK) return status;
  }
  differing_path(self, &path);
  es__fail(err, ES_ERR_INTEGRITY, "not_deterministic",
           "%.*s/%.*s: two replays differ first at version %lld, at %s",
           (int)stream->aggregate_type.length, stream->aggregate_type.data,
           (int)stream->aggregate_id.length, stream->aggregate_id.data, (long long)at, path.data);
  es__hint(
      err,
      "apply may depend only on the state and the event: look for variables outside the state");
  es__buf_free(&path);
  return ES_ERR_INTEGRITY;
}

/* Whoever writes the file can give any state a right checksum: only folding again tells. */
static es_status check_snapshot(replay *self, const es_snapshot_record *record, es_error *err) {
  es_fold fold = {.stream = record->stream, .to_version = record->version, .fresh = true};
  es_buf path = {0};
  es_status status = es__fold(&fold, self->first, self->rt->store, err);

  for (int i = 0; i < 2; i++)
    es__buf_clear(&self->states[i]);
  es__buf_clear(&self->lists);
  if (status == ES_OK)
    status = es__fold_write_exact(&self->states[0], &self->lists, self->first, err);
  if (status != ES_OK) return status;
  es__buf_add(&self->states[1], record->state.data, record->state.length);
  if (self->states[1].failed) return es__no_memory(err);
  if (states_equal(self) &&
      es__text_equal((es_text){self->lists.length == 0 ? "" : self->lists.data, self->lists.length},
                     record->lists))
    return ES_OK;
  differing_path(self, &path);
  es__fail(err, ES_ERR_INTEGRITY, "snapshot",
           "%.*s/%.*s: the snapshot at version %lld is not what the events say, at %s",
           (int)record->stream.aggregate_type.length, record->stream.aggregate_type.data,
           (int)record->stream.aggregate_id.length, record->stream.aggregate_id.data,
           (long long)record->version, path.data);
  es__hint(err,
           "the events are right: take it away with esrun snapshot --drop, and ask who wrote to "
           "the file");
  es__buf_free(&path);
  return ES_ERR_INTEGRITY;
}

/* Those that loading would use. */
static es_status check_snapshots(replay *self, const es_stream_name *stream, es_error *err) {
  es_snapshot_wish wish = {.to_version = INT64_MAX,
                           .module_hash = es__module_hash(self->rt, stream->aggregate_type)};
  es_snapshot_record record = {0};
  bool found = true;
  es_status status = ES_OK;

  while (status == ES_OK && found && wish.to_version > 0) {
    status = es__store_find_snapshot(&found, &record, self->rt->store, stream, &wish, err);
    if (status == ES_OK && found) status = check_snapshot(self, &record, err);
    wish.to_version = record.version - 1;
    es__snapshot_record_free(&record);
  }
  return status;
}

static es_status each_stream(void *data, const es_stream_name *stream, int64_t version,
                             es_error *err) {
  replay *self = data;
  const es_replay_options *options = self->options;
  es_fold fold = {.stream = *stream, .fresh = true};
  es_status status;

  if (stream->aggregate_type.data[0] == '$') return ES_OK; /* the runtime's own have no module */
  if (options->aggregate_id != NULL &&
      !es__text_equal(stream->aggregate_id, es__text(options->aggregate_id))) {
    return ES_OK;
  }
  if (options->check) {
    status = fold_both(self, stream, 0, &fold, err);
    if (status == ES_OK && !states_equal(self))
      status = name_difference(self, stream, version, err);
    if (status == ES_OK) status = check_snapshots(self, stream, err);
  } else {
    status = es__fold(&fold, self->first, self->rt->store, err);
  }
  if (status != ES_OK) return status;
  self->report->stream_count++;
  self->report->event_count += fold.event_count;
  if (options->progress != NULL &&
      !options->progress(options->progress_data, self->report->event_count, self->total)) {
    return es__fail(err, ES_ERR_OTHER, "stopped", "stopped after %lld streams",
                    (long long)self->report->stream_count);
  }
  return ES_OK;
}

es_status es_replay(es_replay_report *out, es_runtime *rt, const es_replay_options *options,
                    es_error *err) {
  es_replay_options known = ES_REPLAY_INIT;
  replay self = {.rt = rt, .options = &known, .report = out};
  es_store_head head;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = (es_replay_report){0};
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (options != NULL) {
    status = es__take_options(&known, options, sizeof known, "ES_REPLAY_INIT", err);
    if (status != ES_OK) return status;
  }
  status = es__store_head_of(&head, rt->store, err);
  if (status == ES_OK) self.total = head.position;
  if (status == ES_OK) status = es__modules_load(&self.first, &rt->modules, &rt->limits, err);
  if (status == ES_OK)
    status = es__store_streams(rt->store, self.options->aggregate_type, each_stream, &self, err);
  if (status == ES_OK && self.options->aggregate_id != NULL && out->stream_count == 0) {
    status = es__fail(err, ES_ERR_NOT_FOUND, "not_found", "there is no stream of that type and id");
  }
  es__domain_free(self.first);
  es__domain_free(self.second);
  es__buf_free(&self.states[0]);
  es__buf_free(&self.states[1]);
  es__buf_free(&self.lists);
  return status;
}
