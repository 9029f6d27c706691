/* test_hostile_commands: domain code that tries to run for ever, eat the memory or break out, as a command of a project: each
 * ends within the limits, stores no event, and the next command works. */
#include <time.h>

#include "engine_support.h"

enum { TIME_LIMIT_MS = 60, MEMORY_LIMIT_MB = 32 };

/* Each is the body of a decision. Bombs may end in an error or be defused: they must end, and store nothing. From the first of
 * the break-outs on, each must fail. */
static const char *const bombs[] = {
    "while true do end",
    "while true do pcall(error) end",
    "local function f() return pcall(f) end while true do f() end",
    "xpcall(error, function() while true do end end)",
    "xpcall(function() while true do end end, function() while true do end end)",
    "return string.rep('', math.maxinteger)",
    "return string.rep('x', 1 << 30)",
    "return ('x'):rep(1 << 40)",
    "table.move({}, 1, 10^15 | 0, 2)",
    "table.insert(setmetatable({}, { __len = function() return math.maxinteger - 1 end }), 1)",
    "table.concat({}, 'x', 1, 10^15 | 0)",
    "table.concat(setmetatable({}, { __index = function() return 'x' end }), '', 1, 10^9 | 0)",
    "return table.unpack({}, 1, 10^8 | 0)",
    "return (('a'):rep(400)):find('.-.-.-b')",
    "return (('a'):rep(10000)):gsub('a-a-a-a-$b', '')",
    "setmetatable({}, { __gc = function() while true do end end })",
    "local x <close> = setmetatable({}, { __close = function() while true do end end })",
    "es.event('Done').__index.__gc = function() while true do end end "
    "for _ = 1, 1e6 do es.event 'Done' end",
    "local function f() return 1 + f() end return f()",
    "local t = {} while true do t[#t + 1] = { t } end",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "table.sort({ 3, 2, 1 }, function() while true do end end)",
    "return ('x'):rep(100):gsub('x', function() while true do end end)",
    "error(setmetatable({}, { __tostring = function() while true do end end }))",
    "return tostring(setmetatable({}, { __tostring = function() while true do end end }))",
    "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]",
    "for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) "
    "do end error 'x'",
#define FIRST_BREAK_OUT "return load('return 1')()"
    FIRST_BREAK_OUT,
    "return os.time()",
    "return io.open('/etc/passwd')",
    "return debug.getinfo(1)",
    "return coroutine.wrap(function() while true do end end)()",
    "rawset(_ENV, 'x', 1)",
    "getmetatable('').__index = nil",
    "getmetatable('').__index.rep = nil",
    "string.rep = nil",
    "stolen = 1",
    "return package.loaded",
    "return require('es.kernel')",
    "return require('es.support')",
    "ctx.actor_id = 'user:root'",
    "state.x = 1",
    "cmd.x = 1",
    "es.event = nil",
    "es.event('Done').__index.with_metadata = nil",
    "local e = es.event 'Done' e.metadata = setmetatable({ request_id = 'forged' }, "
    "{ __pairs = function() return function() end end }) return e",
    "rule.authenticated = function() return true end",
    "return ctx.new_id:find('x')",
    "return es.event('Done', { note = ('x'):rep(5 * 1024 * 1024) })",
    "local t = {} t.t = t return es.event('Done', { any = t })",
    "return es.event('Done', { any = function() end })",
    "return es.event('Done', { any = 0/0 })",
    "return es.event('Done', { any = '\\xff' })",
    "return es.event('Done', { any = ctx })",
    "local t = {} for i = 1, 200 do t = { t } end return es.event('Done', { any = t })",
    "local t = {} for i = 1, 2000 do t[i] = es.event 'Done' end return t",
};
enum { BOMBS = sizeof bombs / sizeof bombs[0] };

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void write_bombs(engine *self) {
  static char text[64 * 1024];
  size_t at = (size_t)snprintf(text, sizeof text,
                               "local es = require 'es'\nlocal rule = require 'es.rule'\n"
                               "local Bomb = es.aggregate 'Bomb'\n"
                               "Bomb.events = { Done = { note = 'string?', any = 'any?' } }\n"
                               "Bomb.commands = { fine = { params = {}, allow = rule.anyone,\n"
                               "  decide = function() return es.event 'Done' end } }\n");
  for (size_t i = 0; i < BOMBS; i++) {
    at += (size_t)snprintf(text + at, sizeof text - at,
                           "Bomb.commands.bomb%zu = { params = {}, allow = rule.anyone,\n"
                           "  decide = function(state, cmd, ctx) %s end }\n",
                           i, bombs[i]);
  }
  snprintf(text + at, sizeof text - at, "return Bomb\n");
  write_file(self, "aggregates/bomb.lua", text);
}

static void every_bomb_ends_and_stores_no_event(void **state) {
  engine self;
  es_options options = ES_OPTIONS_INIT;
  char name[32];
  bool must_fail = false;

  (void)state;
  new_project(&self);
  write_bombs(&self);
  options.project_path = self.folder;
  options.store_path = ":memory:";
  options.time_limit_ms = TIME_LIMIT_MS;
  options.memory_limit_bytes = MEMORY_LIMIT_MB * 1024 * 1024;
  if (es_open(&self.rt, &options, &self.err) != ES_OK) fail_msg("%s", self.err.message);
  for (size_t i = 0; i < BOMBS; i++) {
    snprintf(name, sizeof name, "bomb%zu", i);
    double start = cpu_seconds();
    es_status status = execute(&self, "Bomb", "b", name, NULL);
    double took = cpu_seconds() - start;
    if (strcmp(bombs[i], FIRST_BREAK_OUT) == 0) must_fail = true;
    if (status == ES_OK && must_fail) fail_msg("%s was allowed", bombs[i]);
    if (took > 40 * TIME_LIMIT_MS / 1000.0) fail_msg("%s took %.2f s", bombs[i], took);
    if (count_events(&self, "Done") != 0) fail_msg("%s stored an event", bombs[i]);
  }
  succeeds(&self, "Bomb", "b", "fine", NULL);
  assert_int_equal(count_events(&self, "Done"), 1);
  remove_project(&self);
}

/* The rule and apply are under the same limits as the decision. */
static void bombs_in_rules_and_apply_end_too(void **state) {
  engine self;
  es_options options = ES_OPTIONS_INIT;
  char *json = NULL;

  (void)state;
  new_project(&self);
  write_file(
      &self, "aggregates/bomb.lua",
      "local es = require 'es'\nlocal rule = require 'es.rule'\nlocal Bomb = es.aggregate 'Bomb'\n"
      "Bomb.events = { Lit = {} }\n"
      "Bomb.apply = { Lit = function(s) while true do pcall(error) end end }\n"
      "Bomb.commands = {\n"
      "  light = { params = {}, allow = rule.anyone, decide = function() return es.event 'Lit' end "
      "},\n"
      "  guess = { params = {}, allow = function() while true do end end, decide = function() end "
      "} }\n"
      "return Bomb\n");
  options.project_path = self.folder;
  options.store_path = ":memory:";
  options.time_limit_ms = TIME_LIMIT_MS;
  if (es_open(&self.rt, &options, &self.err) != ES_OK) fail_msg("%s", self.err.message);
  assert_int_equal(execute(&self, "Bomb", "b", "guess", NULL), ES_ERR_DENIED);
  succeeds(&self, "Bomb", "b", "light", NULL);
  assert_int_equal(es_load(&json, self.rt, "Bomb", "b", NULL, &self.err), ES_ERR_LUA);
  assert_string_equal(self.err.code, "time_limit");
  assert_non_null(strstr(self.err.message, "aggregates/bomb.lua:5"));
  assert_non_null(strstr(self.err.message, "Bomb/b, version 1, Lit at position"));
  remove_project(&self);
}

static void a_bomb_while_loading_ends_too(void **state) {
  engine self;

  (void)state;
  new_project(&self);
  write_file(&self, "aggregates/bomb.lua", "while true do end");
  assert_int_equal(try_open(&self, ":memory:"), ES_ERR_LUA);
  assert_string_equal(self.err.code, "time_limit");
  remove_project(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bomb_ends_and_stores_no_event),
      cmocka_unit_test(bombs_in_rules_and_apply_end_too),
      cmocka_unit_test(a_bomb_while_loading_ends_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
