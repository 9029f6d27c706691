/* error: filling the caller's es_error. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  es_status status;
  const char *name;
} statuses[] = {
#define ES_STATUS_NAME(constant, number, name, meaning) {constant, name},
    ES_STATUS_TABLE(ES_STATUS_NAME)
#undef ES_STATUS_NAME
};

const char *es_status_name(es_status status) {
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    if (statuses[i].status == status) return statuses[i].name;
  }
  return "unknown";
}

void es__error_clear(es_error *err) {
  if (err != NULL) *err = (es_error)ES_ERROR_INIT;
}

/* A cut message must still be valid UTF-8: drop a sequence that the buffer's end split. */
static void trim_split_sequence(char *text) {
  size_t length = strlen(text), start = length;

  while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
    start--;
  if (start == 0) return;
  unsigned char lead = (unsigned char)text[start - 1];
  size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length - (start - 1) < want) text[start - 1] = '\0';
}

static void format_into(char *out, size_t size, const char *format, va_list args) {
  int wanted = vsnprintf(out, size, format, args);
  if (wanted >= 0 && (size_t)wanted >= size) trim_split_sequence(out);
}

es_status es__fail(es_error *err, es_status status, const char *code, const char *format, ...) {
  va_list args;

  if (err == NULL) return status;
  es__error_clear(err);
  err->status = status;
  snprintf(err->code, sizeof err->code, "%s", code);
  va_start(args, format);
  format_into(err->message, sizeof err->message, format, args);
  va_end(args);
  return status;
}

void es__hint(es_error *err, const char *format, ...) {
  va_list args;

  if (err == NULL) return;
  va_start(args, format);
  format_into(err->hint, sizeof err->hint, format, args);
  va_end(args);
}

void es__wrap(es_error *err, const char *format, ...) {
  char was[ES_ERROR_MESSAGE_MAX];
  va_list args;
  size_t length;

  if (err == NULL) return;
  memcpy(was, err->message, sizeof was);
  va_start(args, format);
  format_into(err->message, sizeof err->message, format, args);
  va_end(args);
  length = strlen(err->message);
  snprintf(err->message + length, sizeof err->message - length, ": %s", was);
  if (strlen(err->message) == sizeof err->message - 1) trim_split_sequence(err->message);
}

es_status es__no_memory(es_error *err) {
  return es__fail(err, ES_ERR_OTHER, "no_memory", "out of memory");
}
