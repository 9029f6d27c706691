/* import: events from a text. Takes the input apart into lines and rows; what they mean is in import_export.c and
 * import_map.c, how their events are stored in import_group.c. */
#include "engine/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "json/reader.h"

enum { GROUP_DEFAULT = 4000, GROUP_MAX = 10000, GROUP_MAX_BYTES = 8388608 };
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
  import->making =
      (es_import_group){.store = rt->store, .form = import->form, .append = import->append};
  import->storing = import->making;
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

/* What belongs to the runtime is given back as soon as the import is over, so that closing needs no runtime. */
static void end_import(es_import *import) {
  es__import_settle(import, NULL);
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
  es__import_group_free(&import->making);
  es__import_group_free(&import->storing);
  free(import->row_ends);
  free(import->row_lines);
  free(import->name);
  free(import);
}

void es_import_report_get(es_import_report *out, const es_import *import) { *out = import->report; }

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

/* ---- the input ---- */

static es_status take_row(es_import *import, const char *text, size_t length, int64_t line,
                          es_error *err) {
  es_status status = import->has_mapping ? es__import_map_row(import, text, length, line, err)
                                         : es__import_export_line(import, text, length, err);
  size_t waiting = import->has_mapping ? import->row_count : import->making.count;

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

/* Ends a call: nothing is being stored when it returns. The first failure is kept: what follows the bad line was never looked
 * at. */
static es_status conclude(es_import *import, es_status status, const es_error *problem,
                          es_error *err) {
  es_status stored = es__import_settle(import, &import->failure);

  es__context_release(import->context);
  if (stored == ES_OK && status == ES_OK) return ES_OK;
  if (stored == ES_OK) {
    import->failure = *problem;
    stored = status;
  }
  import->failure.status = stored;
  import->finished = true;
  end_import(import);
  if (err != NULL) *err = import->failure;
  return stored;
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

static void begin_call(es_import *import) {
  import->context = es__context_retain(import->rt->context);
  es__import_look_at_clock(import);
}

es_status es_import_feed(es_import *import, const char *bytes, size_t length, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  es_status status = check_usable(import, err);

  if (status != ES_OK) return status;
  if (length > 0 && es__is_missing(bytes, "bytes", err)) return ES_ERR_USAGE;
  begin_call(import);
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
  begin_call(import);
  status = conclude(import, finish(import, &problem), &problem, err);
  if (status == ES_OK) {
    import->finished = true;
    end_import(import);
  }
  return status;
}
