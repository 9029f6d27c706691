/* json locate: line, column and path of an offset in a JSON text. */
#include "json/locate.h"

#include <stdio.h>
#include <string.h>

#include "json/reader.h"

static const char ellipsis[] = "\xE2\x80\xA6";

/* Appends one whole step of a path, or the mark that steps are missing; a path that carries the mark stays as it is. */
static void add_step(char *out, size_t size, const char *step, size_t length) {
  size_t used = strlen(out), mark = sizeof ellipsis - 1;

  if (used >= mark && memcmp(out + used - mark, ellipsis, mark) == 0) return;
  if (used + length + mark + 1 > size) {
    step = ellipsis;
    length = mark;
  }
  if (used + length + 1 > size) return;
  memcpy(out + used, step, length);
  out[used + length] = '\0';
}

static bool is_plain_name(const char *key, size_t length) {
  if (length == 0 || (key[0] >= '0' && key[0] <= '9')) return false;
  for (size_t i = 0; i < length; i++) {
    char c = key[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) return false;
  }
  return true;
}

void es__json_path_key(char *out, size_t size, const char *key, size_t length) {
  char step[ES_JSON_PATH_MAX * 2];
  size_t used = 0;

  if (length > ES_JSON_PATH_MAX / 2) { /* no room for it anyway */
    add_step(out, size, ellipsis, sizeof ellipsis - 1);
    return;
  }
  if (is_plain_name(key, length)) {
    step[used++] = '.';
    memcpy(step + used, key, length);
    add_step(out, size, step, used + length);
    return;
  }
  memcpy(step, "[\"", 2);
  used = 2;
  for (size_t i = 0; i < length && used + 8 < sizeof step; i++) {
    unsigned char byte = (unsigned char)key[i];
    if (byte < 0x20) {
      used += (size_t)snprintf(step + used, sizeof step - used, "\\u%04x", byte);
    } else {
      if (byte == '"' || byte == '\\') step[used++] = '\\';
      step[used++] = (char)byte;
    }
  }
  memcpy(step + used, "\"]", 2);
  add_step(out, size, step, used + 2);
}

void es__json_path_index(char *out, size_t size, long long index) {
  char step[32];
  int length = snprintf(step, sizeof step, "[%lld]", index);

  add_step(out, size, step, (size_t)length);
}

/* ---- the way to an offset ---- */

enum { NO_KEY = -1 };

/* An open container on the way. */
struct step {
  bool is_object;
  long long index; /* of an array: of the element being read */
  long long key;   /* of an object: where the name of the member being read starts, or NO_KEY */
};

static void count_lines(es_json_place *out, const char *text, size_t offset) {
  out->line = 1;
  out->column = 1;
  for (size_t i = 0; i < offset; i++) {
    if (text[i] == '\n') {
      out->line++;
      out->column = 1;
    } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
      out->column++;
    }
  }
}

static void add_key_at(char *path, const char *text, size_t length, size_t offset) {
  es_json_reader reader;
  es_json_token token;

  es__json_reader_init(&reader, text + offset, length - offset, 0);
  if (es__json_next(&reader, &token, NULL) == ES_OK)
    es__json_path_key(path, ES_JSON_PATH_MAX, token.text.data, token.text.length);
  es__json_reader_free(&reader);
}

/* Notes that a value begins or a name was read. */
static void take_token(struct step *steps, int depth, const es_json_token *token) {
  struct step *parent = depth > 0 ? &steps[depth - 1] : NULL;

  if (parent == NULL) return;
  if (token->kind == ES_JSON_KEY)
    parent->key = (long long)token->offset;
  else if (!parent->is_object)
    parent->index++;
}

void es__json_locate(es_json_place *out, const char *text, size_t length, size_t offset,
                     bool is_token) {
  struct step steps[ES_JSON_MAX_DEPTH];
  es_json_reader reader;
  es_json_token token;
  int depth = 0;
  bool at_value;

  count_lines(out, text, offset);
  es__json_reader_init(&reader, text, is_token ? length : offset, 0);
  for (;;) {
    int depth_before = reader.depth;
    if (es__json_next(&reader, &token, NULL) != ES_OK || token.kind == ES_JSON_END) break;
    if (reader.depth >= depth_before)
      take_token(steps, depth_before, &token);
    else
      depth = reader.depth;
    if (is_token && token.offset >= offset) break;
    if (reader.depth > depth_before)
      steps[reader.depth - 1] = (struct step){token.kind == ES_JSON_OBJECT_BEGIN, -1, NO_KEY};
    depth = reader.depth;
  }

  /* Without a token, the innermost container counts only if reading stopped where one of its values should be. */
  at_value = is_token || es__json_reader_wants_value(&reader);
  if (!is_token && at_value && depth > 0 && !steps[depth - 1].is_object) steps[depth - 1].index++;
  memcpy(out->path, "$", 2);
  for (int i = 0; i < (at_value ? depth : depth - 1); i++) {
    if (!steps[i].is_object)
      es__json_path_index(out->path, sizeof out->path, steps[i].index);
    else if (steps[i].key != NO_KEY)
      add_key_at(out->path, text, length, (size_t)steps[i].key);
  }
  es__json_reader_free(&reader);
}
