/* test_embedded: the runtime's own Lua files run from their bytecode only in the Lua that compiled it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "base/embedded.h"
#include "lua/domain.h"

/* A file whose text and bytecode differ, so that a test sees which one ran. */
static const char text[] = "return 'text'";

static int write_code(lua_State *L, const void *bytes, size_t length, void *out) {
  (void)L;
  luaL_addlstring(out, bytes, length);
  return 0;
}

/* Leaves the bytecode on the stack; it lives as long as it stays there. */
static struct es_embedded compiled(lua_State *L, const char *release) {
  struct es_embedded file = {"lua/one.lua", text, sizeof text - 1, NULL, 0, release};
  luaL_Buffer code;

  assert_int_equal(luaL_loadstring(L, "return 'bytecode'"), LUA_OK);
  lua_State *writer = luaL_newstate();
  luaL_buffinit(writer, &code);
  assert_int_equal(lua_dump(L, write_code, &code, 0), 0);
  luaL_pushresult(&code);
  size_t length;
  const char *bytes = lua_tolstring(writer, -1, &length);
  file.code = lua_pushlstring(L, bytes, length);
  file.code_length = length;
  lua_close(writer);
  return file;
}

static const char *ran(lua_State *L, const struct es_embedded *file) {
  assert_int_equal(es__embedded_load(L, file), LUA_OK);
  lua_call(L, 0, 1);
  return lua_tostring(L, -1);
}

static int new_state(void **state) {
  *state = luaL_newstate();
  return *state == NULL;
}

static int close_state(void **state) {
  lua_close(*state);
  return 0;
}

static void runs_the_bytecode_of_this_lua(void **state) {
  lua_State *L = *state;
  const struct es_embedded file = compiled(L, "$LuaVersion: ");
  assert_string_equal(ran(L, &file), "bytecode");
}

static void runs_the_text_when_another_release_compiled_it(void **state) {
  lua_State *L = *state;
  const struct es_embedded file = compiled(L, "Lua 5.4.999 ");
  assert_string_equal(ran(L, &file), "text");
}

static void runs_the_text_when_the_bytecode_is_of_another_machine(void **state) {
  lua_State *L = *state;
  struct es_embedded file = compiled(L, "$LuaVersion: ");
  char *other = lua_newuserdatauv(L, file.code_length, 0);
  memcpy(other, file.code, file.code_length);
  other[4] ^= 1; /* the version in the header */
  file.code = other;
  assert_string_equal(ran(L, &file), "text");
}

static void runs_the_text_of_a_file_that_was_not_compiled(void **state) {
  lua_State *L = *state;
  const struct es_embedded file = {"lua/one.lua", text, sizeof text - 1, NULL, 0, NULL};
  assert_string_equal(ran(L, &file), "text");
}

static void names_the_file_and_its_line_from_bytecode_too(void **state) {
  lua_State *L = *state;

  for (const struct es_embedded *file = es_builtin_modules; file->path != NULL; file++) {
    if (strcmp(file->path, "lua/es/rule.lua") != 0) continue;
    lua_Debug about;
    assert_int_equal(es__embedded_load(L, file), LUA_OK);
    lua_getinfo(L, ">SL", &about);
    assert_string_equal(about.source, "=lua/es/rule.lua");
    lua_pushnil(L);
    assert_true(lua_next(L, -2)); /* it has lines */
    return;
  }
  fail_msg("lua/es/rule.lua is not embedded");
}

/* Pushes the lines on which a file has code. */
static void push_lines(lua_State *L, const struct es_embedded *file) {
  lua_Debug about;
  assert_int_equal(es__embedded_load(L, file), LUA_OK);
  lua_getinfo(L, ">L", &about);
}

static void has_the_lines_of_its_text(void **state) {
  lua_State *L = *state;
  int compared = 0;

  for (const struct es_embedded *file = es_builtin_modules; file->path != NULL; file++) {
    struct es_embedded uncompiled = *file;
    uncompiled.code = NULL;
    push_lines(L, &uncompiled);
    push_lines(L, file);
    for (lua_pushnil(L); lua_next(L, -3) != 0; lua_pop(L, 1), compared++) {
      lua_pushvalue(L, -2);
      assert_int_not_equal(lua_rawget(L, -4), LUA_TNIL);
      lua_pop(L, 1);
    }
    lua_settop(L, 0);
  }
  assert_true(compared > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_state, close_state)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(runs_the_bytecode_of_this_lua),
      TEST(runs_the_text_when_another_release_compiled_it),
      TEST(runs_the_text_when_the_bytecode_is_of_another_machine),
      TEST(runs_the_text_of_a_file_that_was_not_compiled),
      TEST(names_the_file_and_its_line_from_bytecode_too),
      TEST(has_the_lines_of_its_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
