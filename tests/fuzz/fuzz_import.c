/* fuzz_import: any bytes given to an import are stored or refused with a reason, the same however they are cut; a line that is
 * taken for an event is written back as a line that is taken for the same event; CSV gives the same rows in any pieces. */
#include "base/error.h"
#include "engine/csv.h"
#include "event/event.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void refused_with_a_reason(const es_error *err) {
  if (err->status == ES_OK || err->code[0] == '\0' || err->message[0] == '\0') abort();
}

/* ---- one line ---- */

static bool parse(es_event *event, char *texts, const char *line, size_t length) {
  es_error err = ES_ERROR_INIT;
  es_buf scratch = {0};
  es_status status = es__event_parse(event, texts, &scratch, line, length, &err);

  es__buf_free(&scratch);
  if (status != ES_OK) refused_with_a_reason(&err);
  return status == ES_OK;
}

/* True if the line is an event. */
static bool check_line(const char *line, size_t length) {
  es_event first, second;
  char *texts = malloc(length + 1), *more = NULL, *again = NULL, *thrice = NULL;
  size_t written, rewritten;

  if (texts == NULL) abort();
  bool is_event = parse(&first, texts, line, length);
  if (is_event) {
    if (es_event_json(&again, &written, &first, ES_FORM_EXPORT, NULL) != ES_OK) abort();
    more = malloc(written + 1);
    if (more == NULL || !parse(&second, more, again, written)) abort();
    if (es_event_json(&thrice, &rewritten, &second, ES_FORM_EXPORT, NULL) != ES_OK) abort();
    if (written != rewritten || memcmp(again, thrice, written) != 0) abort();
  }
  free(texts);
  free(more);
  es_free(again);
  es_free(thrice);
  return is_event;
}

/* ---- CSV ---- */

static es_status read_csv(es_buf *rows, const char *bytes, size_t length, size_t piece) {
  static es_csv csv; /* too large for the stack of a fuzzer */
  es_error err = ES_ERROR_INIT;
  es_status status = ES_OK;
  size_t at = 0, used;
  bool row;

  csv = (es_csv){0};
  while (at < length && status == ES_OK) {
    size_t size = length - at < piece ? length - at : piece;
    status = es__csv_next(&row, &used, &csv, rows, bytes + at, size, &err);
    if (used == 0) abort();
    at += used;
  }
  if (status == ES_OK) status = es__csv_end(&row, &csv, rows, &err);
  if (status != ES_OK) refused_with_a_reason(&err);
  es__csv_free(&csv);
  return status;
}

static void check_csv(const char *bytes, size_t length) {
  es_buf whole = {0}, pieces = {0};
  es_status status = read_csv(&whole, bytes, length, length);

  if (read_csv(&pieces, bytes, length, 1) != status) abort();
  if (whole.length != pieces.length) abort();
  if (whole.length > 0 && memcmp(whole.data, pieces.data, whole.length) != 0) abort();
  es__buf_free(&whole);
  es__buf_free(&pieces);
}

/* ---- an import ---- */

static es_status run_import(es_import_report *report, uint8_t head[ES_HASH_SIZE], const char *bytes,
                            size_t length, size_t piece) {
  es_options options = ES_OPTIONS_INIT;
  es_import_options how = ES_IMPORT_INIT;
  es_verify_report verified;
  es_error err = ES_ERROR_INIT;
  es_runtime *rt = NULL;
  es_import *import = NULL;
  es_status status = ES_OK;

  options.store_path = ":memory:";
  options.limit_signal = -1;
  how.group = 2;
  if (es_open(&rt, &options, &err) != ES_OK) abort();
  if (es_import_open(&import, rt, &how, &err) != ES_OK) abort();
  for (size_t at = 0; at < length && status == ES_OK; at += piece) {
    size_t size = length - at < piece ? length - at : piece;
    status = es_import_feed(import, bytes + at, size, &err);
  }
  if (status == ES_OK) status = es_import_finish(import, &err);
  if (status != ES_OK) refused_with_a_reason(&err);
  es_import_report_get(report, import);
  es_import_close(import);
  if (es_verify(&verified, rt, NULL, &err) != ES_OK) abort(); /* what is stored is sound */
  if (verified.event_count != report->imported_count) abort();
  memcpy(head, verified.head_hash, ES_HASH_SIZE);
  es_close(rt);
  return status;
}

static void check_import(const char *bytes, size_t length) {
  es_import_report whole, pieces;
  uint8_t head[ES_HASH_SIZE], other[ES_HASH_SIZE];
  es_status status = run_import(&whole, head, bytes, length, length);

  if (run_import(&pieces, other, bytes, length, 7) != status) abort();
  if (memcmp(head, other, ES_HASH_SIZE) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  const char *text = (const char *)bytes, *end;

  if (length == 0) return 0;
  check_csv(text, length);
  end = memchr(text, '\n', length);
  /* Opening a runtime is slow: only for what gets beyond its first line. */
  if (check_line(text, end == NULL ? length : (size_t)(end - text))) check_import(text, length);
  return 0;
}
