/* csv: rows of RFC 4180 text as JSON objects, strictly, from bytes cut anywhere. Knows bytes only: no store, no Lua. */
#include "engine/csv.h"

#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "json/writer.h"

enum { AT_ROW, AT_FIELD, IN_PLAIN, IN_QUOTED, BEHIND_QUOTE, AT_LINE_FEED };

static const unsigned char byte_order_mark[] = {0xEF, 0xBB, 0xBF};

static es_status malformed(es_error *err, int64_t line, const char *what) {
  return es__fail(err, ES_ERR_USAGE, "malformed_csv", "line %lld: %s", (long long)line, what);
}

void es__csv_free(es_csv *csv) {
  es__buf_free(&csv->fields);
  es__buf_free(&csv->heading);
}

static es_status end_field(es_csv *csv, es_error *err) {
  if (csv->count == ES_CSV_COLUMNS_MAX)
    return malformed(err, csv->row_line, "more than 1,024 columns");
  csv->ends[csv->count++] = csv->fields.length;
  es__buf_byte(&csv->fields, '\0');
  return csv->fields.failed ? es__no_memory(err) : ES_OK;
}

static es_text field(const es_buf *fields, const size_t *ends, size_t i) {
  size_t start = i == 0 ? 0 : ends[i - 1] + 1;
  return (es_text){fields->data + start, ends[i] - start};
}

static es_status take_heading(es_csv *csv, es_error *err) {
  for (size_t i = 0; i < csv->count; i++) {
    es_text name = field(&csv->fields, csv->ends, i);
    if (name.length == 0)
      return malformed(err, csv->row_line, "a column of the heading has no name");
    for (size_t j = 0; j < i; j++) {
      if (es__text_equal(name, field(&csv->fields, csv->ends, j)))
        return es__fail(err, ES_ERR_USAGE, "malformed_csv",
                        "line %lld: two columns are called '%.*s'", (long long)csv->row_line,
                        (int)(name.length < 100 ? name.length : 100), name.data);
    }
  }
  es_buf empty = csv->heading;
  csv->heading = csv->fields;
  csv->fields = empty;
  memcpy(csv->heading_ends, csv->ends, csv->count * sizeof csv->ends[0]);
  csv->heading_count = csv->count;
  csv->has_heading = true;
  return ES_OK;
}

/* Members in the order of the columns: whoever reads the object sorts. */
static es_status write_row(es_buf *out, const es_csv *csv, es_error *err) {
  if (csv->count != csv->heading_count)
    return es__fail(err, ES_ERR_USAGE, "malformed_csv",
                    "line %lld: %zu fields, the heading has %zu", (long long)csv->row_line,
                    csv->count, csv->heading_count);
  es__buf_byte(out, '{');
  for (size_t i = 0; i < csv->count; i++) {
    es_text name = field(&csv->heading, csv->heading_ends, i);
    if (i > 0) es__buf_byte(out, ',');
    es__json_write_string(out, name.data, name.length);
    es__buf_byte(out, ':');
    es__json_write_text(out, field(&csv->fields, csv->ends, i));
  }
  es__buf_byte(out, '}');
  return out->failed ? es__no_memory(err) : ES_OK;
}

/* A row of one empty field is an empty line: it is passed over. */
static es_status end_row(bool *row, es_csv *csv, es_buf *out, es_error *err) {
  es_status status = end_field(csv, err);

  csv->state = AT_ROW;
  if (status != ES_OK) return status;
  if (csv->count > 1 || csv->fields.length > 1 || csv->quote_line == csv->row_line) {
    if (!es__utf8_valid(csv->fields.data, csv->fields.length))
      return malformed(err, csv->row_line, "the row is not valid UTF-8");
    if (!csv->has_heading) {
      status = take_heading(csv, err);
    } else {
      status = write_row(out, csv, err);
      *row = status == ES_OK;
    }
  }
  es__buf_clear(&csv->fields);
  csv->count = 0;
  return status;
}

static es_status take_byte(bool *row, es_csv *csv, es_buf *out, char byte, es_error *err) {
  switch (csv->state) {
  case AT_ROW:
    csv->row_line = csv->line;
    csv->quote_line = 0;
    csv->state = AT_FIELD; /* fall through */
  case AT_FIELD:
    if (byte == '"') {
      csv->quote_line = csv->line;
      csv->state = IN_QUOTED;
      return ES_OK;
    }
    csv->state = IN_PLAIN; /* fall through */
  case IN_PLAIN:
  case BEHIND_QUOTE:
    if (byte == ',') {
      csv->state = AT_FIELD;
      return end_field(csv, err);
    }
    if (byte == '\n') return end_row(row, csv, out, err);
    if (byte == '\r') {
      csv->state = AT_LINE_FEED;
      return ES_OK;
    }
    if (csv->state == BEHIND_QUOTE) {
      if (byte != '"')
        return malformed(err, csv->line, "text follows the closing quote of a field");
      csv->state = IN_QUOTED;
    } else if (byte == '"') {
      return malformed(err, csv->line, "a quote inside a field that does not begin with one");
    }
    es__buf_byte(&csv->fields, byte);
    return ES_OK;
  case IN_QUOTED:
    if (byte == '"') {
      csv->state = BEHIND_QUOTE;
    } else {
      es__buf_byte(&csv->fields, byte);
    }
    return ES_OK;
  default: /* AT_LINE_FEED */
    if (byte == '\n') return end_row(row, csv, out, err);
    return malformed(err, csv->line, "a carriage return without a line feed");
  }
}

/* True while the byte belongs to a byte order mark. */
static bool skip_mark(es_csv *csv, char byte) {
  if (csv->mark < 0) return false;
  if (csv->mark < 3 && (unsigned char)byte == byte_order_mark[csv->mark]) {
    csv->mark++;
    return true;
  }
  return false;
}

/* How many of the bytes only add to the field at hand, whatever comes before and after them. */
static size_t run_length(const es_csv *csv, const char *bytes, size_t length) {
  static const bool ends_plain[256] = {
      [0] = true, ['\n'] = true, ['\r'] = true, ['"'] = true, [','] = true};
  static const bool ends_quoted[256] = {[0] = true, ['\n'] = true, ['"'] = true};
  const bool *ends = csv->state == IN_QUOTED ? ends_quoted : ends_plain;
  size_t at = 0;

  if (csv->state != IN_QUOTED && csv->state != IN_PLAIN) return 0;
  while (at < length && !ends[(unsigned char)bytes[at]])
    at++;
  return at;
}

es_status es__csv_next(bool *row, size_t *used, es_csv *csv, es_buf *out, const char *bytes,
                       size_t length, es_error *err) {
  es_status status = ES_OK;
  size_t at = 0;

  *row = false;
  if (csv->line == 0) csv->line = 1;
  while (at < length && !*row && status == ES_OK) {
    size_t run = run_length(csv, bytes + at, length - at);
    if (run > 0) {
      es__buf_add(&csv->fields, bytes + at, run);
      at += run;
      if (csv->fields.length > ES_CSV_ROW_MAX)
        status = malformed(err, csv->row_line, "the row is longer than 16 MiB");
      continue;
    }
    char byte = bytes[at++];
    if (skip_mark(csv, byte)) continue;
    if (csv->mark > 0 && csv->mark < 3) {
      status = malformed(err, 1, "the row is not valid UTF-8"); /* half a mark */
      break;
    }
    csv->mark = -1;
    if (byte == '\0') {
      status = malformed(err, csv->line, "a NUL byte");
      break;
    }
    status = take_byte(row, csv, out, byte, err);
    if (byte == '\n') csv->line++;
    if (csv->fields.length > ES_CSV_ROW_MAX)
      status = malformed(err, csv->row_line, "the row is longer than 16 MiB");
  }
  *used = at;
  if (status == ES_OK && csv->fields.failed) status = es__no_memory(err);
  return status;
}

es_status es__csv_end(bool *row, es_csv *csv, es_buf *out, es_error *err) {
  *row = false;
  if (csv->mark > 0 && csv->mark < 3) return malformed(err, 1, "the row is not valid UTF-8");
  if (csv->state == IN_QUOTED)
    return malformed(err, csv->quote_line, "a quoted field has no closing quote");
  if (csv->state == AT_LINE_FEED)
    return malformed(err, csv->line, "a carriage return without a line feed");
  es_status status = csv->state == AT_ROW ? ES_OK : end_row(row, csv, out, err);
  if (status == ES_OK && !csv->has_heading) {
    malformed(err, 1, "there is no heading: the first row names the columns");
    status = ES_ERR_USAGE;
  }
  return status;
}
