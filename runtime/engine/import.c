/* import: events from a text, in groups that are stored whole or not at all. Takes the input apart into lines and rows and
 * stores what became of them; what a line means is in import_export.c and import_map.c. */
#include "engine/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "json/reader.h"

enum { GROUP_DEFAULT = 1000, GROUP_MAX = 10000, GROUP_MAX_BYTES = 8388608 };
enum { LINE_MAX_BYTES = ES_JSON_MAX_BYTES };

/* ---- opening and closing ---- */

static es_status check_options(es_runtime *rt, const es_import_options *options, es_error *err) {
  if (rt->in_transaction || rt->execution != NULL)
    return es__fail(err, ES_ERR_USAGE, "in_transaction",
                    "an import makes its own transactions: commit the open one first");
  if (rt->read_only) {
    es__fail(err, ES_ERR_STORE, "read_only", "the store was opened read-only");
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  if (options->group < 0 || options->group > GROUP_MAX)
    return es__fail(err, ES_ERR_USAGE, "bad_group", "a group has 1 to %d events, not %lld",
                    GROUP_MAX, (long long)options->group);
  bool mapped = options->form != ES_IMPORT_EXPORT;
  if (mapped != (options->mapping != NULL))
    return es__fail(err, ES_ERR_USAGE, "bad_mapping", "%s",
                    mapped ? "rows of CSV and JSON need a mapping to become events"
                           : "lines of an export are events already: they take no mapping");
  if (mapped && options->name == NULL)
    return es__fail(err, ES_ERR_USAGE, "bad_mapping", "an import with a mapping needs a name");
  return ES_OK;
}

static es_status check_name(const es_import *import, es_error *err) {
  char actor[ES_ID_MAX + 16];

  if (import->name == NULL) return ES_OK;
  snprintf(actor, sizeof actor, "import:%s", import->name);
  return es_actor_parse(NULL, actor, &import->rt->actor_policy, err);
}

es_status es_import_open(es_import **out, es_runtime *rt, const es_import_options *given,
                         es_error *err) {
  es_import_options known = ES_IMPORT_INIT, *options = &known;
  es_import *import = NULL;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__take_options(options, given, sizeof known, "ES_IMPORT_INIT", err);
  if (status == ES_OK) status = check_options(rt, options, err);
  if (status != ES_OK) return status;
  import = calloc(1, sizeof *import);
  if (import == NULL) return es__no_memory(err);
  import->rt = rt;
  rt->import_count++;
  import->form = options->form;
  import->append = options->append || options->form != ES_IMPORT_EXPORT;
  import->group = options->group == 0 ? GROUP_DEFAULT : (size_t)options->group;
  status = es__chain_new(&import->chain, err);
  if (status == ES_OK && options->name != NULL) {
    import->name = strdup(options->name);
    status = import->name == NULL ? es__no_memory(err) : check_name(import, err);
  }
  if (status == ES_OK && !import->append) {
    status = es__store_head_of(&import->last, rt->store, err);
    import->present_until = import->last.position;
  }
  if (status == ES_OK && options->mapping != NULL)
    status = es__import_map_load(import, options->mapping, options->mapping_path, err);
  if (status == ES_OK) {
    *out = import;
    import = NULL;
  }
  es_import_close(import);
  return status;
}

static void drop_group(es_import *import) {
  for (size_t i = 0; i < import->count; i++)
    es__incoming_free(&import->incoming[i]);
  import->count = 0;
  import->row_count = 0;
  es__buf_clear(&import->rows);
}

/* What belongs to the runtime is given back as soon as the import is over, so that closing needs no runtime. */
static void end_import(es_import *import) {
  drop_group(import);
  es__store_cursor_close(import->present);
  import->present = NULL;
  es__import_map_drop(import);
  import->rt->import_count--;
}

void es_import_close(es_import *import) {
  if (import == NULL) return;
  if (!import->finished) {
    if (es__refuse_thread(import->rt, "es_import_close")) return;
    end_import(import);
  }
  es__chain_free(import->chain);
  es__csv_free(&import->csv);
  es__buf_free(&import->pending);
  es__buf_free(&import->scratch);
  es__buf_free(&import->rows);
  es__buf_free(&import->rows_key);
  free(import->events);
  free(import->incoming);
  free(import->row_ends);
  free(import->row_lines);
  free(import->name);
  free(import);
}

void es_import_report_get(es_import_report *out, const es_import *import) { *out = import->report; }

/* ---- a group ---- */

es_incoming *es__import_reserve(es_import *import, size_t size) {
  if (import->count == import->capacity) {
    size_t capacity = import->capacity == 0 ? 256 : import->capacity * 2;
    es_event *events = realloc(import->events, capacity * sizeof *events);
    if (events == NULL) return NULL;
    import->events = events;
    es_incoming *incoming = realloc(import->incoming, capacity * sizeof *incoming);
    if (incoming == NULL) return NULL;
    import->incoming = incoming;
    import->capacity = capacity;
  }
  es_incoming *out = &import->incoming[import->count];
  *out = (es_incoming){.texts = malloc(size)};
  return out->texts == NULL ? NULL : out;
}

es_status es__import_wrap(es_error *err, es_status status, int64_t line, int64_t position) {
  static const char of_the_text[] = "line 1, "; /* a JSON reader's, who saw this line alone */
  size_t length = sizeof of_the_text - 1;

  if (err != NULL && strncmp(err->message, of_the_text, length) == 0)
    memmove(err->message, err->message + length, strlen(err->message) - length + 1);
  if (position > 0) {
    es__wrap(err, "line %lld, position %lld", (long long)line, (long long)position);
    if (err != NULL) err->position = position;
  } else {
    es__wrap(err, "line %lld", (long long)line);
  }
  return status;
}

static es_status wrap_event(es_error *err, es_status status, const es_incoming *incoming) {
  return es__import_wrap(err, status, incoming->line, incoming->source_position);
}

static bool same_content(const es_import *import, const es_event *stored, size_t i) {
  if (import->form == ES_IMPORT_EXPORT) return es__import_same_export(stored, &import->incoming[i]);
  return es__import_same_mapped(stored, &import->events[i], &import->incoming[i]);
}

static es_status refuse_duplicate(es_import *import, size_t i, const char *where, es_error *err) {
  char text[ES_ID_TEXT_SIZE];

  es_id_text(text, import->events[i].event_id);
  es__fail(err, ES_ERR_CONFLICT, "duplicate_event_id", "event id %s %s", text, where);
  return wrap_event(err, ES_ERR_CONFLICT, &import->incoming[i]);
}

/* Where a table of kept events has event i's id: the slot holds the event's place + 1, or 0 when none is kept. */
static size_t *find_kept(const es_import *import, size_t *slots, size_t size, size_t i) {
  const uint8_t *id = import->events[i].event_id;
  uint64_t halves[2];

  memcpy(halves, id, sizeof halves);
  uint64_t mixed =
      (halves[0] ^ halves[1] * UINT64_C(0xD6E8FEB86659FD93)) * UINT64_C(0x9E3779B97F4A7C15);
  size_t at = (size_t)((mixed ^ mixed >> 32) % size);
  while (slots[at] != 0 && memcmp(import->events[slots[at] - 1].event_id, id, ES_ID_SIZE) != 0)
    at = (at + 1) % size;
  return &slots[at];
}

/* Event i is known when the store has it with the same content; with other content it is refused. */
static es_status find_known(bool *known, es_import *import, size_t i, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  char id[ES_ID_TEXT_SIZE];
  es_store_cursor *cursor = NULL;
  const es_event *stored = NULL;
  es_status status;

  *known = false;
  es_id_text(id, import->events[i].event_id);
  filter.event_id = id;
  status = es__store_read(&cursor, import->rt->store, &filter, err);
  if (status == ES_OK) status = es__store_next(&stored, cursor, err);
  if (status == ES_OK && stored != NULL) {
    *known = import->append && same_content(import, stored, i);
    if (!*known)
      status = refuse_duplicate(import, i,
                                import->append ? "is stored already, with other content"
                                               : "is stored already, at another position",
                                err);
  }
  es__store_cursor_close(cursor);
  return status;
}

/* Drops what the store has already. Only when something is known to be there: a first import does not pay for it. */
static es_status drop_known(es_import *import, es_error *err) {
  size_t kept = 0, size = 2 * import->count;
  size_t *slots = calloc(size, sizeof *slots);
  es_status status = slots == NULL ? es__no_memory(err) : ES_OK;

  for (size_t i = 0; i < import->count && status == ES_OK; i++) {
    bool known = false;
    size_t *slot = find_kept(import, slots, size, i);
    if (*slot != 0) {
      known = import->append && same_content(import, &import->events[*slot - 1], i);
      if (!known) status = refuse_duplicate(import, i, "comes twice in the input", err);
    } else {
      status = find_known(&known, import, i, err);
    }
    if (status != ES_OK) break;
    es_incoming incoming = import->incoming[i];
    import->incoming[i] = (es_incoming){0};
    if (known) {
      es__incoming_free(&incoming);
      import->report.skipped_count++;
    } else {
      import->events[kept] = import->events[i];
      import->incoming[kept] = incoming;
      *slot = ++kept;
    }
  }
  free(slots);
  if (status == ES_OK) import->count = kept;
  return status;
}

static es_status check_head(const es_import *import, es_error *err) {
  const es_incoming *first = &import->incoming[0];
  es_store_head head;
  es_status status;

  if (import->append) return ES_OK;
  status = es__store_head_of(&head, import->rt->store, err);
  if (status != ES_OK || (head.position == first->source_position - 1 &&
                          memcmp(head.hash, import->events[0].previous_hash, ES_HASH_SIZE) == 0))
    return status;
  es__fail(err, ES_ERR_CONFLICT, "store_moved", "the store was written to during the import");
  es__hint(err, "import again while nobody writes, or append");
  return wrap_event(err, ES_ERR_CONFLICT, first);
}

/* The store stamps versions and hashes; they must come out as the input says. */
static es_status check_stamps(const es_import *import, es_error *err) {
  for (size_t i = 0; i < import->count; i++) {
    const es_event *event = &import->events[i];
    const es_incoming *incoming = &import->incoming[i];
    if (incoming->version != 0 && incoming->version != event->version) {
      es__fail(err, import->append ? ES_ERR_CONFLICT : ES_ERR_INTEGRITY, "version_order",
               "version %lld of %.*s/%.*s is out of order: the next one here is %lld",
               (long long)incoming->version, (int)event->aggregate_type.length,
               event->aggregate_type.data, (int)event->aggregate_id.length,
               event->aggregate_id.data, (long long)event->version);
      if (import->append)
        es__hint(err, "the stream has other events here, or the input lacks its first ones");
      return wrap_event(err, import->append ? ES_ERR_CONFLICT : ES_ERR_INTEGRITY, incoming);
    }
    if (!import->append && memcmp(incoming->source_hash, event->hash, ES_HASH_SIZE) != 0) {
      es__fail(err, ES_ERR_INTEGRITY, "hash", "stored here, the event gets another hash");
      return wrap_event(err, ES_ERR_INTEGRITY, incoming);
    }
  }
  return ES_OK;
}

/* In commits of at most what the store takes at once: a mapping may make many events of a row. */
static es_status append_events(es_import *import, es_error *err) {
  es_commit commit = {.now = es__now(import->rt),
                      .keep_recorded_at = !import->append,
                      .hashed = !import->append,
                      .whole_group = true};
  es_status status = ES_OK;

  for (size_t at = 0; at < import->count && status == ES_OK; at += commit.event_count) {
    commit.events = import->events + at;
    commit.event_count = import->count - at < GROUP_MAX ? import->count - at : GROUP_MAX;
    status = es__store_append(import->rt->store, &commit, err);
  }
  return status;
}

static es_status append_group(es_import *import, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  es_status status = check_head(import, err);

  if (status != ES_OK) return status;
  status = append_events(import, &problem);
  if (status == ES_ERR_CONFLICT) { /* an event id that is there: see which, and begin again */
    es__store_rollback(import->rt->store);
    status = es__store_begin(import->rt->store, err);
    if (status == ES_OK) status = check_head(import, err);
    if (status == ES_OK) status = drop_known(import, err);
    if (status != ES_OK) return status;
    problem = (es_error)ES_ERROR_INIT;
    status = append_events(import, &problem);
  }
  if (status != ES_OK) {
    if (err != NULL) *err = problem;
    return es__import_wrap(err, status, import->report.line_count, 0);
  }
  return check_stamps(import, err);
}

es_status es__import_store(es_import *import, es_error *err) {
  es_store *store = import->rt->store;
  int64_t skipped = import->report.skipped_count;
  es_status status;

  if (import->count == 0) return ES_OK;
  status = es__store_begin(store, err);
  if (status != ES_OK) return status;
  status = append_group(import, err);
  if (status == ES_OK) {
    status = es__store_commit(store, err);
  } else {
    es__store_rollback(store);
  }
  if (status == ES_OK) {
    import->report.imported_count += (int64_t)import->count;
  } else {
    import->report.skipped_count = skipped;
  }
  drop_group(import);
  es__checkpoint_if_due(import->rt);
  return status;
}

/* ---- the input ---- */

static es_status take_row(es_import *import, const char *text, size_t length, int64_t line,
                          es_error *err) {
  es_status status = import->has_mapping ? es__import_map_row(import, text, length, line, err)
                                         : es__import_export_line(import, text, length, err);
  size_t waiting = import->has_mapping ? import->row_count : import->count;

  import->taken += length;
  if (status != ES_OK || (waiting < import->group && import->taken < GROUP_MAX_BYTES))
    return status;
  import->taken = 0;
  if (import->has_mapping) status = es__import_map_run(import, err);
  return status == ES_OK ? es__import_store(import, err) : status;
}

static bool is_blank(const char *line, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
  }
  return true;
}

static es_status take_line(es_import *import, const char *line, size_t length, es_error *err) {
  import->report.line_count++;
  if (is_blank(line, length)) return ES_OK;
  return take_row(import, line, length, import->report.line_count, err);
}

static es_status too_long(const es_import *import, es_error *err) {
  return es__fail(err, ES_ERR_USAGE, "line_too_long", "line %lld is longer than 16 MiB",
                  (long long)import->report.line_count + 1);
}

static es_status feed_lines(es_import *import, const char *bytes, size_t length, es_error *err) {
  es_status status = ES_OK;

  while (length > 0 && status == ES_OK) {
    const char *end = memchr(bytes, '\n', length);
    size_t piece = end == NULL ? length : (size_t)(end - bytes);
    if (import->pending.length + piece > LINE_MAX_BYTES) return too_long(import, err);
    if (end == NULL || import->pending.length > 0) es__buf_add(&import->pending, bytes, piece);
    if (import->pending.failed) return es__no_memory(err);
    if (end == NULL) return ES_OK;
    if (import->pending.length > 0) {
      status = take_line(import, import->pending.data, import->pending.length, err);
      es__buf_clear(&import->pending);
    } else {
      status = take_line(import, bytes, piece, err);
    }
    bytes = end + 1;
    length -= piece + 1;
  }
  return status;
}

static es_status take_csv_row(es_import *import, es_error *err) {
  es_status status =
      take_row(import, import->pending.data, import->pending.length, import->csv.row_line, err);
  es__buf_clear(&import->pending);
  return status;
}

static es_status feed_csv(es_import *import, const char *bytes, size_t length, es_error *err) {
  es_status status = ES_OK;
  bool row;
  size_t used;

  while (length > 0 && status == ES_OK) {
    status = es__csv_next(&row, &used, &import->csv, &import->pending, bytes, length, err);
    import->report.line_count = import->csv.line - 1;
    if (status == ES_OK && row) status = take_csv_row(import, err);
    bytes += used;
    length -= used;
  }
  return status;
}

/* The first failure is kept: what follows the bad line was never looked at. */
static es_status conclude(es_import *import, es_status status, const es_error *problem,
                          es_error *err) {
  es__context_release(import->context);
  if (status == ES_OK) return ES_OK;
  import->failure = *problem;
  import->failure.status = status;
  import->finished = true;
  end_import(import);
  if (err != NULL) *err = import->failure;
  return status;
}

static es_status check_usable(const es_import *import, es_error *err) {
  if (es__wrong_thread(import->rt, err)) return ES_ERR_USAGE;
  if (import->failure.status != ES_OK) {
    if (err != NULL) *err = import->failure;
    return import->failure.status;
  }
  if (import->finished || import->rt->in_transaction)
    return es__fail(err, ES_ERR_USAGE, "import_over", "%s",
                    import->finished ? "this import is finished"
                                     : "an import cannot go on inside a transaction");
  return ES_OK;
}

es_status es_import_feed(es_import *import, const char *bytes, size_t length, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  es_status status = check_usable(import, err);

  if (status != ES_OK) return status;
  if (length > 0 && es__is_missing(bytes, "bytes", err)) return ES_ERR_USAGE;
  import->context = es__context_retain(import->rt->context);
  status = import->form == ES_IMPORT_CSV ? feed_csv(import, bytes, length, &problem)
                                         : feed_lines(import, bytes, length, &problem);
  return conclude(import, status, &problem, err);
}

static es_status finish(es_import *import, es_error *err) {
  es_status status = ES_OK;
  bool row = false;

  if (import->form == ES_IMPORT_CSV) {
    status = es__csv_end(&row, &import->csv, &import->pending, err);
    if (status == ES_OK) import->report.line_count = import->csv.line - (row ? 0 : 1);
    if (status == ES_OK && row) status = take_csv_row(import, err);
  } else if (import->pending.length > 0) {
    status = take_line(import, import->pending.data, import->pending.length, err);
  }
  if (status == ES_OK && import->has_mapping) status = es__import_map_run(import, err);
  return status == ES_OK ? es__import_store(import, err) : status;
}

es_status es_import_finish(es_import *import, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  es_status status = check_usable(import, err);

  if (status != ES_OK) return status;
  import->context = es__context_retain(import->rt->context);
  status = conclude(import, finish(import, &problem), &problem, err);
  if (status == ES_OK) {
    import->finished = true;
    end_import(import);
  }
  return status;
}
