/* fuzz_codec: any JSON text becomes a Lua value and canonical text again, the same text that the reader without Lua makes
 * of it; what one refuses the other refuses too. */
#include "lua/domain.h"
#include "json/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
const char *__asan_default_options(void);

/* A domain lives from one input to the next: looking for leaks after each input would take nearly all of the time. */
const char *__asan_default_options(void) { return "detect_leaks=0"; }

struct text {
  const char *data;
  size_t length;
  es_buf out;
};

static int round_trip(lua_State *L) {
  struct text *text = lua_touserdata(L, 1);

  es__lua_push_json(L, text->data, text->length);
  es__lua_write_json(L, -1, &text->out, "$");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static es_domain *domain = NULL; /* one for all inputs: what one leaves behind meets the next */
  static const es_domain_options options = {.limit_signal = -1};
  struct text text = {(const char *)bytes, length, {0}};
  es_buf expected = {0};
  es_error err = ES_ERROR_INIT;
  es_status through_lua, without_lua;

  if (domain == NULL && es__domain_new(&domain, &options, &err) != ES_OK) abort();
  through_lua = es__domain_run(domain, round_trip, &text, &err);
  without_lua = es__json_canonical(&expected, text.data, length, &err);
  if (through_lua != without_lua) abort();
  if (through_lua == ES_OK && (text.out.length != expected.length ||
                               memcmp(text.out.data, expected.data, expected.length) != 0)) {
    abort();
  }
  es__buf_free(&text.out);
  es__buf_free(&expected);
  return 0;
}
