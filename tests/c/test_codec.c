/* JSON <-> Lua: nothing is lost either way, and what JSON cannot hold is refused by path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/error.h"
#include "lua/domain.h"
#include "random_json.h"

/* ---- a plain Lua state whose memory is counted and can run out ---- */

struct memory {
  size_t used, peak;
  long allocations_left; /* negative: no end */
};

typedef struct fixture {
  lua_State *L;
  struct memory memory;
  es_buf out; /* outside of Lua, as the codec's users keep it */
  es_error err;
} fixture;

static void *allocate(void *data, void *block, size_t old_size, size_t new_size) {
  struct memory *memory = data;
  void *grown;

  if (block == NULL) old_size = 0;
  if (new_size == 0) {
    free(block);
    memory->used -= old_size;
    return NULL;
  }
  if (new_size > old_size) { /* Lua takes it that shrinking never fails */
    if (memory->allocations_left == 0) return NULL;
    if (memory->allocations_left > 0) memory->allocations_left--;
  }
  grown = realloc(block, new_size);
  assert_non_null(grown);
  memory->used += new_size - old_size;
  if (memory->used > memory->peak) memory->peak = memory->used;
  return grown;
}

static int lua_decode(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);

  es__lua_push_json(L, text, length);
  return 1;
}

static int lua_encode(lua_State *L) {
  fixture *f = lua_touserdata(L, lua_upvalueindex(1));

  es__buf_clear(&f->out);
  es__lua_write_json(L, 1, &f->out, "data");
  lua_pushlstring(L, f->out.data, f->out.length);
  return 1;
}

static int lua_array(lua_State *L) {
  lua_settop(L, 1);
  es__lua_push_array_metatable(L);
  lua_setmetatable(L, 1);
  return 1;
}

static int lua_userdata(lua_State *L) {
  lua_newuserdatauv(L, 1, 0);
  luaL_newmetatable(L, luaL_checkstring(L, 1));
  lua_setmetatable(L, -2);
  return 1;
}

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);

  f->memory.allocations_left = -1;
  f->L = lua_newstate(allocate, &f->memory);
  luaL_openlibs(f->L);
  lua_register(f->L, "decode", lua_decode);
  lua_register(f->L, "array", lua_array);
  lua_register(f->L, "userdata", lua_userdata);
  lua_pushlightuserdata(f->L, f);
  lua_pushcclosure(f->L, lua_encode, 1);
  lua_setglobal(f->L, "encode");
  es__lua_push_null(f->L);
  lua_setglobal(f->L, "null");
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;

  lua_close(f->L);
  assert_int_equal(f->memory.used, 0);
  es__buf_free(&f->out);
  free(f);
  return 0;
}

/* Runs Lua code; what it returns is at the top. An es_error it raises becomes f->err. */
static bool run(fixture *f, const char *code) {
  es__error_clear(&f->err);
  lua_settop(f->L, 0);
  if (luaL_loadstring(f->L, code) != LUA_OK) fail_msg("%s", lua_tostring(f->L, -1));
  if (lua_pcall(f->L, 0, 1, 0) == LUA_OK) return true;
  if (lua_type(f->L, -1) != LUA_TUSERDATA) fail_msg("%s: %s", code, lua_tostring(f->L, -1));
  f->err = *(es_error *)lua_touserdata(f->L, -1);
  return false;
}

/* The Lua code must return true. */
static void assert_holds(fixture *f, const char *code) {
  if (!run(f, code)) fail_msg("%s: %s", code, f->err.message);
  if (!lua_toboolean(f->L, -1)) fail_msg("not so: %s", code);
}

static void assert_error(fixture *f, const char *code, const char *error_code,
                         const char *message) {
  if (run(f, code)) fail_msg("%s raised nothing", code);
  assert_int_equal(f->err.status, ES_ERR_USAGE);
  assert_string_equal(f->err.code, error_code);
  assert_string_equal(f->err.message, message);
}

/* ---- reading ---- */

static void reads_values_as_lua_has_them(void **state) {
  fixture *f = *state;

  assert_holds(f, "return decode('true') == true and decode('false') == false");
  assert_holds(f, "return decode('null') == null and type(null) == 'userdata'");
  assert_holds(f, "return math.type(decode('7')) == 'integer' and decode('7') == 7");
  assert_holds(f, "return math.type(decode('7.0')) == 'float' and decode('7.0') == 7");
  assert_holds(f, "return 'acc-' .. decode('7') == 'acc-7'");
  assert_holds(f, "return decode('9223372036854775807') == math.maxinteger");
  assert_holds(f, "return decode('-9223372036854775808') == math.mininteger");
  assert_holds(f, "return decode('9007199254740993') == 9007199254740993");
  assert_holds(f, "return 1 / decode('-0.0') == -math.huge");
  assert_holds(f, "return decode([[\"a\\u0000b\\ud83d\\ude00\"]]) == 'a\\0b\\u{1F600}'");
  assert_holds(f, "local t = decode('[1,[],null]') return #t == 3 and #t[2] == 0 and t[3] == null");
  assert_holds(f, "local t = decode('{\"a\":{\"b\":[2]}}') return t.a.b[1] == 2 and #t == 0");
}

static void arrays_carry_one_hidden_metatable(void **state) {
  fixture *f = *state;

  assert_holds(f, "return getmetatable(decode('[]')) == 'es.array'");
  assert_holds(f, "return getmetatable(decode('[[1]]')[1]) == 'es.array'");
  assert_holds(f, "return getmetatable(decode('{}')) == nil");
  assert_holds(f, "return not pcall(setmetatable, decode('[]'), {})");
}

static void large_containers_are_read_whole(void **state) {
  fixture *f = *state;

  assert_holds(f, "for _, n in ipairs { 1, 2, 63, 64, 65, 127, 128, 129, 1000, 70000 } do\n"
                  "  local list, object = {}, {}\n"
                  "  for i = 1, n do list[i] = i * 3; object['k' .. i] = { i } end\n"
                  "  local back = decode(encode(list))\n"
                  "  if #back ~= n then return false end\n"
                  "  for i = 1, n do if back[i] ~= i * 3 then return false end end\n"
                  "  back = decode(encode(object))\n"
                  "  for i = 1, n do if back['k' .. i][1] ~= i then return false end end\n"
                  "  for k in pairs(back) do if not object[k] then return false end end\n"
                  "end\n"
                  "return true");
}

static void refuses_duplicate_keys_wherever_they_are(void **state) {
  fixture *f = *state;

  assert_error(f, "return decode('{\"a\":{\"k\":1,\"l\":2,\"k\":3}}')", "json_duplicate_key",
               "line 1, column 19, at $.a.k: this name was given before in the same object");
  assert_error(f, "return decode('[{\"\":1,\"\":3}]')", "json_duplicate_key",
               "line 1, column 8, at $[0][\"\"]: this name was given before in the same object");
  /* the first and the last of many members, before and after the table is made */
  assert_holds(f, "for n = 1, 200 do\n"
                  "  for _, twin in ipairs { 1, n } do\n"
                  "    local parts = {}\n"
                  "    for i = 1, n do parts[i] = ('\"key%d\":%d'):format(i, i) end\n"
                  "    local good = '{' .. table.concat(parts, ',') .. '}'\n"
                  "    local bad = ('%s,\"key%d\":0}'):format(good:sub(1, -2), twin)\n"
                  "    if not pcall(decode, good) or pcall(decode, bad) then return false end\n"
                  "  end\n"
                  "end\n"
                  "return true");
  /* the same name elsewhere is no duplicate */
  assert_holds(f, "return encode(decode('{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]}}')) =="
                  "'{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]}}'");
}

static void malformed_text_is_an_error_with_its_place(void **state) {
  fixture *f = *state;

  assert_error(f, "return decode('[1,\\n  {\"price\": 1.}]')", "malformed_json",
               "line 2, column 13, at $[1].price: a digit must follow the decimal point");
  assert_error(f, "return decode('')", "malformed_json",
               "line 1, column 1, at $: the text ends too early");
  assert_error(f, "return decode('[\"\\xff\"]')", "json_utf8",
               "line 1, column 3, at $[0]: the bytes here are not valid UTF-8");
  assert_error(f, "return decode('[9223372036854775808]')", "json_number_range",
               "line 1, column 2, at $[0]: the integer is beyond 64 bits");
}

static void ten_thousand_levels_are_refused_without_harm(void **state) {
  fixture *f = *state;

  for (int levels = 129; levels <= 10000; levels += 9871) {
    lua_pushinteger(f->L, levels);
    lua_setglobal(f->L, "levels");
    assert_false(run(f, "return decode(('['):rep(levels) .. (']'):rep(levels))"));
    assert_string_equal(f->err.code, "json_too_deep");
    assert_false(run(f, "return decode(('{\"a\":'):rep(levels) .. '1' .. ('}'):rep(levels))"));
    assert_string_equal(f->err.code, "json_too_deep");
    assert_false(run(f, "local t = 1 for _ = 1, levels do t = { t } end return encode(t)"));
    assert_string_equal(f->err.code, "not_json");
    assert_non_null(strstr(f->err.message, "nested deeper than 128 levels"));
  }
  assert_holds(f, "local text = ('['):rep(128) .. (']'):rep(128)\n"
                  "return encode(decode(text)) == text");
  assert_holds(f, "local text = ('{\"a\":'):rep(128) .. '1' .. ('}'):rep(128)\n"
                  "return encode(decode(text)) == text");
}

/* ---- writing ---- */

static void writes_the_canonical_form(void **state) {
  static const struct {
    const char *value, *json;
  } rows[] = {
      {"null", "null"},
      {"true", "true"},
      {"1", "1"},
      {"1.0", "1.0"},
      {"-0.0", "-0.0"},
      {"2^53", "9007199254740992.0"},
      {"9007199254740993", "9007199254740993"},
      {"math.mininteger", "-9223372036854775808"},
      {"0.1 + 0.2", "0.30000000000000004"},
      {"'a\\0\\n\\\"/\\u{1F600}\\x7f'", "\"a\\u0000\\n\\\"/\xF0\x9F\x98\x80\x7F\""},
      {"{}", "{}"},
      {"array {}", "[]"},
      {"{ {}, array {} }", "[{},[]]"},
      {"{ 1, 'x', null }", "[1,\"x\",null]"},
      {"array { 1, 2 }", "[1,2]"},
      {"{ [1.0] = 'a', [2.0] = 'b' }",
       "[\"a\",\"b\"]"}, /* Lua itself makes integers of these keys */
      {"{ b = 1, a = { d = false, c = null }, B = '' }",
       "{\"B\":\"\",\"a\":{\"c\":null,\"d\":false},\"b\":1}"},
      {"{ ['2'] = 'b', ['10'] = 'a' }", "{\"10\":\"a\",\"2\":\"b\"}"},
      {"{ ['1'] = 'a' }", "{\"1\":\"a\"}"},
      {"{ ab = 1, a = 2, ['a\\0'] = 3, [''] = 4 }", "{\"\":4,\"a\":2,\"a\\u0000\":3,\"ab\":1}"},
      {"{ ['\\u{E9}'] = 1, z = 2 }", "{\"z\":2,\"\xC3\xA9\":1}"},
  };
  fixture *f = *state;
  char code[256];

  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    snprintf(code, sizeof code, "return encode(%s)", rows[i].value);
    if (!run(f, code)) fail_msg("%s: %s", code, f->err.message);
    assert_string_equal(lua_tostring(f->L, -1), rows[i].json);
  }
}

static void refuses_what_json_cannot_hold(void **state) {
  static const struct {
    const char *value, *message;
  } rows[] = {
      {"nil", "data: nil cannot be stored"},
      {"print", "data: a function cannot be stored"},
      {"{ a = { coroutine.create(print) } }", "data.a[1]: a thread cannot be stored"},
      {"{ a = io.stdout }", "data.a: a userdata cannot be stored"},
      {"{ a = userdata 'es.event' }", "data.a: an event cannot be stored; keep e:copy() instead"},
      {"{ { b = userdata 'es.event_data' } }",
       "data[1].b: an event cannot be stored; keep e:copy() instead"},
      {"{ lines = { { price = 1 }, { price = 0 / 0 } } }",
       "data.lines[2].price: NaN cannot be stored"},
      {"{ 1 / 0 }", "data[1]: infinity cannot be stored"},
      {"{ a = -1 / 0 }", "data.a: -infinity cannot be stored"},
      {"{ a = '\\xC3\\x28' }", "data.a: byte 1 of the string is not valid UTF-8"},
      {"{ a = 'ok\\xED\\xA0\\x80' }", "data.a: byte 3 of the string is not valid UTF-8"},
      {"{ a = { ['\\xFF'] = 1 } }", "data.a: a name in this table is not valid UTF-8"},
      {"{ x = { 1, 2, nil, 4 } }", "data.x: element 3 is missing in a list that goes to 4"},
      {"{ [2] = 'b' }", "data: element 1 is missing in a list that goes to 2"},
      {"array { [3] = 'c' }", "data: element 1 is missing in a list that goes to 3"},
      {"{ [math.maxinteger] = 1 }",
       "data: element 1 is missing in a list that goes to 9223372036854775807"},
      {"{ [0] = 'a', 'b' }", "data: 0 cannot be a key"},
      {"{ [-1] = 'a' }", "data: -1 cannot be a key"},
      {"{ [1.5] = 'a' }", "data: 1.5 cannot be a key"},
      {"{ [true] = 'a' }", "data: a boolean cannot be a key"},
      {"{ a = { [{}] = 'a' } }", "data.a: a table cannot be a key"},
      {"{ [null] = 'a' }", "data: a userdata cannot be a key"},
      {"{ 1, x = 2 }", "data: a list (keys 1..n) cannot have the name \"x\" as well"},
      {"{ ['a b'] = array { x = 2 } }",
       "data[\"a b\"]: a list (keys 1..n) cannot have the name \"x\" as well"},
      {"setmetatable({}, {})", "data: a table with a metatable of its own cannot be stored"},
  };
  fixture *f = *state;
  char code[256];

  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    snprintf(code, sizeof code, "return encode(%s)", rows[i].value);
    assert_error(f, code, "not_json", rows[i].message);
    assert_int_equal(f->out.length, 0); /* nothing half-written is left behind */
  }
}

static void refuses_tables_inside_themselves(void **state) {
  fixture *f = *state;

  assert_error(f, "local t = {} t.x = t return encode(t)", "not_json",
               "data.x: this table is inside itself (it is data)");
  assert_error(f, "local t = { a = { {} } } t.a[1].b = t.a return encode(t)", "not_json",
               "data.a[1].b: this table is inside itself (it is data.a)");
  assert_holds(f, "local t = { 1 } return encode { t, t } == '[[1],[1]]'"); /* twice is no cycle */
}

static void the_order_of_insertion_does_not_show(void **state) {
  fixture *f = *state;

  assert_holds(f, "local expected\n"
                  "for round = 1, 50 do\n"
                  "  local names = {}\n"
                  "  for i = 1, 40 do names[i] = 'k' .. i end\n"
                  "  for i = 40, 2, -1 do\n"
                  "    local j = math.random(i)\n"
                  "    names[i], names[j] = names[j], names[i]\n"
                  "  end\n"
                  "  local t = {}\n"
                  "  for i = 1, round do t['gone' .. i] = i end\n"
                  "  for _, name in ipairs(names) do t[name] = name end\n"
                  "  for i = 1, round do t['gone' .. i] = nil end\n"
                  "  local text = encode(t)\n"
                  "  expected = expected or text\n"
                  "  if text ~= expected then return false end\n"
                  "end\n"
                  "return true");
}

static void lists_behind_many_names_have_room_on_the_stack(void **state) {
  fixture *f = *state;

  assert_holds(f, "local deep, t = 7, {}\n"
                  "for _ = 1, 126 do deep = { deep } end\n"
                  "for i = 1, 5000 do t['k' .. i] = deep end\n"
                  "return encode(decode(encode(t))) == encode(t)");
  assert_false(run(f, "local t = {}\n"
                      "for i = 1, 1000000 do t['k' .. i] = 1 end\n"
                      "return encode(t)"));
  assert_string_equal(f->err.message, "data: there are too many names in this table to write it");
}

static void refuses_more_than_16_mib(void **state) {
  fixture *f = *state;

  assert_error(
      f,
      "local s = ('x'):rep(1024 * 1024) return encode { s, { s, s, s, s, s, s, s, s, s, s, "
      "s, s, s, s, s, s, s } }",
      "not_json", "data[2][15]: the JSON is longer than 16 MiB");
}

/* ---- both ways ---- */

static int round_trip(lua_State *L) {
  fixture *f = lua_touserdata(L, 1);
  const es_buf *text = lua_touserdata(L, 2);

  es__lua_push_json(L, text->data, text->length);
  es__buf_clear(&f->out);
  es__lua_write_json(L, -1, &f->out, "data");
  return 0;
}

static void canonical_text_comes_back_byte_for_byte(void **state) {
  fixture *f = *state;

  start_random();
  for (int i = 0; i < 30000; i++) {
    struct twins twins = {{0}, {0}};
    add_value(&twins, 0);
    const es_buf *texts[] = {&twins.canonical, &twins.loose};
    for (int way = 0; way < 2; way++) {
      lua_settop(f->L, 0);
      lua_pushcfunction(f->L, round_trip);
      lua_pushlightuserdata(f->L, f);
      lua_pushlightuserdata(f->L, (void *)texts[way]);
      if (lua_pcall(f->L, 2, 0, 0) != LUA_OK) fail_msg("%s was refused", texts[way]->data);
      assert_string_equal(f->out.data, twins.canonical.data);
    }
    es__buf_free(&twins.canonical);
    es__buf_free(&twins.loose);
  }
}

/* ---- memory ---- */

/* At every allocation in turn: an error, nothing lost (the state's count and the leak checker say so), and the state works on. */
static void running_out_of_memory_anywhere_loses_nothing(void **state) {
  static const char code[] =
      "return encode(decode('{\"a\":[1,{\"b\\\\n\":\"\\\\u00e9\"}],\"c\":[]}'))";
  fixture *f = *state;
  int result = LUA_ERRMEM;

  for (long n = 0; result != LUA_OK; n++) {
    tear_down(state);
    set_up(state);
    f = *state;
    assert_int_equal(luaL_loadstring(f->L, code), LUA_OK);
    f->memory.allocations_left = n;
    result = lua_pcall(f->L, 0, 1, 0);
    f->memory.allocations_left = -1;
    if (result != LUA_OK) assert_int_equal(result, LUA_ERRMEM);
    assert_holds(f, code);
    assert_string_equal(lua_tostring(f->L, -1), "{\"a\":[1,{\"b\\n\":\"\xC3\xA9\"}],\"c\":[]}");
    assert_true(n < 1000);
  }
}

static void memory_stays_in_proportion_to_the_text(void **state) {
  static const char *const parts[] = {"[],", "{},", "0,", "\"\",", "[[[]]],", "{\"a\":{}},"};
  fixture *f = *state;

  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    es_buf text = {0};
    es__buf_byte(&text, '[');
    while (text.length < 1000000)
      es__buf_text(&text, parts[i]);
    text.data[text.length - 1] = ']';
    lua_settop(f->L, 0);
    lua_gc(f->L, LUA_GCCOLLECT);
    f->memory.peak = f->memory.used;
    size_t before = f->memory.used;
    lua_pushcfunction(f->L, round_trip);
    lua_pushlightuserdata(f->L, f);
    lua_pushlightuserdata(f->L, &text);
    assert_int_equal(lua_pcall(f->L, 2, 0, 0), LUA_OK);
    assert_string_equal(f->out.data, text.data);
    if (f->memory.peak - before > 40 * text.length)
      fail_msg("%s took %zu bytes a byte", parts[i], (f->memory.peak - before) / text.length);
    es__buf_free(&text);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(reads_values_as_lua_has_them),
      TEST(arrays_carry_one_hidden_metatable),
      TEST(large_containers_are_read_whole),
      TEST(refuses_duplicate_keys_wherever_they_are),
      TEST(malformed_text_is_an_error_with_its_place),
      TEST(ten_thousand_levels_are_refused_without_harm),
      TEST(writes_the_canonical_form),
      TEST(refuses_what_json_cannot_hold),
      TEST(refuses_tables_inside_themselves),
      TEST(the_order_of_insertion_does_not_show),
      TEST(lists_behind_many_names_have_room_on_the_stack),
      TEST(refuses_more_than_16_mib),
      TEST(canonical_text_comes_back_byte_for_byte),
      TEST(running_out_of_memory_anywhere_loses_nothing),
      TEST(memory_stays_in_proportion_to_the_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
