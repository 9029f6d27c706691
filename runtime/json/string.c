/* json string: reading strings. One without escapes costs one scan and no copy. */
#include "json/string.h"

#include <string.h>

#include "base/utf8.h"

static const char *wrong_at(es_json_string *out, size_t offset, const char *code,
                            const char *reason) {
  out->end = offset;
  out->code = code;
  return reason;
}

/* Reads the run of plain bytes from `at` on; on success out->end is the offset of the quote or backslash behind it. */
static const char *scan_run(es_json_string *out, const char *text, size_t length, size_t at) {
  bool high;
  size_t end = es__json_plain_end(&high, text, length, at);

  if (high) {
    size_t bad = es__utf8_bad(text + at, end - at);
    if (bad != end - at)
      return wrong_at(out, at + bad, "json_utf8", "the bytes here are not valid UTF-8");
  }
  if (end == length) return wrong_at(out, end, "malformed_json", "the text ends within a string");
  if ((unsigned char)text[end] < 0x20)
    return wrong_at(out, end, "malformed_json", "a control character in a string must be escaped");
  out->end = end;
  return NULL;
}

/* ---- escapes ---- */

static bool hex4(unsigned *out, const char *text, size_t left) {
  *out = 0;
  if (left < 4) return false;
  for (int i = 0; i < 4; i++) {
    char c = text[i];
    unsigned digit;
    if (c >= '0' && c <= '9')
      digit = (unsigned)(c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
      digit = (unsigned)((c | 32) - 'a' + 10);
    else
      return false;
    *out = *out << 4 | digit;
  }
  return true;
}

static void add_code_point(es_buf *out, unsigned code) {
  size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  char bytes[4];

  for (size_t i = length - 1; i > 0; i--) {
    bytes[i] = (char)(0x80 | (code & 0x3F));
    code >>= 6;
  }
  bytes[0] = (char)(leads[length] | code);
  es__buf_add(out, bytes, length);
}

/* A \u escape whose backslash is at `at`; a high surrogate takes the low one after it along. */
static const char *scan_unicode(es_json_string *out, es_buf *scratch, const char *text,
                                size_t length, size_t at) {
  unsigned code, low;

  if (!hex4(&code, text + at + 2, length - at - 2))
    return wrong_at(out, at, "malformed_json", "\\u must be followed by four hexadecimal digits");
  out->end = at + 6;
  if (code >= 0xD800 && code <= 0xDFFF) {
    const char *next = text + out->end;
    if (code >= 0xDC00 || length - out->end < 6 || next[0] != '\\' || next[1] != 'u' ||
        !hex4(&low, next + 2, 4) || low < 0xDC00 || low > 0xDFFF)
      return wrong_at(out, at, "json_utf8",
                      "a surrogate without its other half stands for no character");
    out->end += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  add_code_point(scratch, code);
  return NULL;
}

/* The escape whose backslash is at `at`; on success out->end is behind it. */
static const char *scan_escape(es_json_string *out, es_buf *scratch, const char *text,
                               size_t length, size_t at) {
  static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
  const char *name;

  if (length - at < 2)
    return wrong_at(out, length, "malformed_json", "the text ends within a string");
  if (text[at + 1] == 'u') return scan_unicode(out, scratch, text, length, at);
  name = memchr(names, text[at + 1], sizeof names - 1);
  if (name == NULL)
    return wrong_at(out, at, "malformed_json",
                    "no such escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
  es__buf_byte(scratch, bytes[name - names]);
  out->end = at + 2;
  return NULL;
}

const char *es__json_scan_string(es_json_string *out, es_buf *scratch, const char *text,
                                 size_t length, size_t at) {
  size_t start = at + 1;
  const char *wrong = scan_run(out, text, length, start);

  if (wrong != NULL) return wrong;
  if (text[out->end] == '"') {
    out->text = (es_text){text + start, out->end - start};
    out->end++;
    return NULL;
  }
  es__buf_clear(scratch);
  for (;;) {
    es__buf_add(scratch, text + start, out->end - start);
    if (text[out->end] == '"') break;
    wrong = scan_escape(out, scratch, text, length, out->end);
    if (wrong != NULL) return wrong;
    start = out->end;
    wrong = scan_run(out, text, length, start);
    if (wrong != NULL) return wrong;
  }
  if (scratch->failed) return wrong_at(out, at, "no_memory", "out of memory");
  out->text = (es_text){scratch->data, scratch->length};
  out->end++;
  return NULL;
}
