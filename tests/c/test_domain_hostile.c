/* Code that means harm must end within its limits, with the process alive and the state usable. */
#include <signal.h>
#include <unistd.h>

#include "domain_help.h"

enum { LIMIT_MS = 200, MEMORY_BYTES = 24 * 1024 * 1024 };

#if defined(__SANITIZE_ADDRESS__)
enum { SLACK = 30, HOOK_LIMIT_MS = 150, SHORT_LIMIT_MS = 80 }; /* all is many times slower */
#else
enum { SLACK = 10, HOOK_LIMIT_MS = 60, SHORT_LIMIT_MS = 20 };
#endif

/* How a case may end: any of the codes in `ends`; "ok" where the guarded function simply answers. */
static const struct hostile {
  const char *name, *ends, *text;
} cases[] = {
    {"an endless loop", "time_limit", "while true do end"},
    {"an endless repeat", "time_limit", "repeat until false"},
    {"an endless goto", "time_limit", "::again:: goto again"},
    {"an endless tail call", "time_limit", "local function f() return f() end f()"},
    {"a for over a huge range", "time_limit", "for i = 1, math.maxinteger do end"},
    {"a pcall loop", "time_limit", "while true do pcall(function() while true do end end) end"},
    {"a pcall loop over errors", "time_limit", "while true do pcall(error, 'x') end"},
    {"nested pcall loops", "time_limit", "local function f() while true do pcall(f) end end f()"},
    {"xpcall with a looping handler", "time_limit",
     "xpcall(error, function() while true do end end)"},
    {"xpcall of a loop with a looping handler", "time_limit",
     "xpcall(function() while true do end end, function() while true do end end)"},
    {"an xpcall loop with a failing handler", "time_limit",
     "while true do pcall(xpcall, error, function() error('again') end) end"},
    {"a pcall loop over memory", "memory_limit",
     "while true do pcall(function() local t = {} while true do t[#t + 1] = { t } end end) end"},
    {"a memory error that pcall would catch", "memory_limit", "pcall(string.rep, 'x', 1000000000)"},
    {"a memory error that xpcall would catch", "memory_limit",
     "xpcall(string.rep, function() return 1 end, 'x', 1000000000)"},
    {"a time limit that pcall would catch", "time_limit",
     "pcall(string.find, ('a'):rep(5000), '.-.-.-b')"},
    {"a huge repetition of nothing", "ok", "return string.rep('', math.maxinteger)"},
    {"a huge repetition of nothing by nothing", "ok", "return string.rep('', math.maxinteger, '')"},
    {"a gigabyte of text", "memory_limit", "return string.rep('x', 1000000000)"},
    {"a gigabyte of text by a method", "memory_limit", "return ('x'):rep(1000000000)"},
    {"more text than there are addresses", "runtime_error", "return ('xy'):rep(math.maxinteger)"},
    {"text that doubles", "memory_limit", "local s = 'x' while true do s = s .. s end"},
    {"text that doubles in pcall", "memory_limit",
     "local s = 'x' while true do pcall(function() s = s .. s end) end"},
    {"text by concat", "memory_limit",
     "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(100000) end return table.concat(t)"},
    {"a huge move", "time_limit", "table.move({}, 1, 10^15|0, 2)"},
    {"a huge move to another table", "time_limit", "table.move({}, 1, 10^15|0, 1, {})"},
    {"an insert on a huge __len", "ok",
     "local t = setmetatable({}, { __len = function() return 10^15|0 end }) table.insert(t, 1, "
     "'x')"},
    {"a remove on a huge __len", "ok",
     "local t = setmetatable({}, { __len = function() return 10^15|0 end }) table.remove(t, 1)"},
    {"a concat of a huge __len", "ok",
     "local t = setmetatable({}, { __len = function() return 10^15|0 end, __index = function() "
     "return '' end }) "
     "table.concat(t)"},
    {"a concat of a huge range", "runtime_error",
     "return table.concat({}, '', 1, math.maxinteger)"},
    {"a concat up to the last integer", "runtime_error",
     "return table.concat({}, '', math.maxinteger, math.maxinteger)"},
    {"an unpack of a huge range", "runtime_error", "return table.unpack({}, 1, 10^15|0)"},
    {"an unpack of the widest range", "runtime_error",
     "return table.unpack({}, math.mininteger, math.maxinteger)"},
    {"an unpack loop", "time_limit",
     "local t = {} while true do pcall(table.unpack, t, 1, 900000) end"},
    {"a select of a million", "time_limit",
     "while true do select('#', table.unpack({}, 1, 200000)) end"},
    {"a pattern bomb", "time_limit", "string.find(('a'):rep(400), '.-.-.-b')"},
    {"a worse pattern bomb", "time_limit", "string.find(('a'):rep(100000), '.-.-.-.-.-.-b')"},
    {"a pattern bomb with *", "time_limit", "string.match(('a'):rep(5000), '.*.*.*.*b')"},
    {"a pattern bomb by gsub", "time_limit", "string.gsub(('a'):rep(50000), '.-b', 'x')"},
    {"a pattern bomb by gmatch", "time_limit", "for _ in ('a'):rep(5000):gmatch('.-.-.-b') do end"},
    {"a pattern bomb by %b", "time_limit", "string.find(('('):rep(1000000), '%b()')"},
    {"a pattern bomb in pcall", "time_limit",
     "while true do pcall(string.find, ('a'):rep(5000), '.-.-.-b') end"},
    {"a plain find bomb", "ok",
     "string.find(('a'):rep(2000000), ('a'):rep(1000000) .. 'b', 1, true)"},
    {"a find bomb without specials", "ok",
     "string.find(('a'):rep(2000000), ('a'):rep(1000000) .. 'b')"},
    {"a pattern too deep", "runtime_error",
     "string.find(('a'):rep(100000), ('(a)'):rep(32) .. ('a?'):rep(5000))"},
    {"gsub with a looping callback", "time_limit",
     "string.gsub('abc', '.', function() while true do end end)"},
    {"gsub that grows", "memory_limit",
     "local s = 'x' while true do s = string.gsub(s, '.', '%0%0%0%0') end"},
    {"gsub with a huge template", "memory_limit",
     "string.gsub(('x'):rep(10000), '.', ('%0'):rep(100000))"},
    {"__gc", "runtime_error", "setmetatable({}, { __gc = function() while true do end end })"},
    {"__close", "runtime_error",
     "local x <close> = setmetatable({}, { __close = function() while true do end end })"},
    {"__mode", "runtime_error", "setmetatable({}, { __mode = 'k' })"},
    {"__close added afterwards", "runtime_error",
     "local m = {} local x = setmetatable({}, m) m.__close = function() while true do end end "
     "do local y <close> = x end"},
    {"__gc added afterwards", "ok",
     "local m = { __gc = nil } for i = 1, 1000 do setmetatable({}, m) end m.__gc = function() "
     "while true do end end "
     "for i = 1, 100000 do local t = { i } end"},
    {"deep recursion", "runtime_error memory_limit time_limit",
     "local function f() return 1 + f() end f()"},
    {"deep recursion through pcall", "ok runtime_error time_limit memory_limit",
     "local function f() pcall(f) end f()"},
    {"deep recursion through __index", "runtime_error memory_limit time_limit",
     "local t = setmetatable({}, {}) t = setmetatable({}, { __index = function(self, k) return "
     "self[k] end }) return t.x"},
    {"deep recursion through tostring", "runtime_error",
     "local t t = setmetatable({}, { __tostring = function() return tostring(t) end }) "
     "tostring(t)"},
    {"deep recursion through gsub", "runtime_error",
     "local function f() return (string.gsub('x', '.', f)) end f()"},
    {"deep recursion through sort", "runtime_error",
     "local function f() table.sort({ 1, 2, 3 }, f) end f()"},
    {"a table bomb", "memory_limit", "local t = {} while true do t[#t + 1] = {} end"},
    {"a table bomb by keys", "memory_limit",
     "local t, i = {}, 0 while true do i = i + 1 t['k' .. i] = i end"},
    {"a table bomb by insert", "memory_limit",
     "local t = {} while true do table.insert(t, {}) end"},
    {"a table bomb in front", "time_limit memory_limit",
     "local t = {} while true do table.insert(t, 1, {}) end"},
    {"a closure bomb", "memory_limit",
     "local t = {} while true do local i = #t t[i + 1] = function() return i end end"},
    {"a long chain of concats", "memory_limit time_limit",
     "local s = '' while true do s = s .. ('y'):rep(1000) end"},
    {"a sort with a looping order", "time_limit",
     "table.sort({ 1, 2, 3 }, function() while true do end end)"},
    {"a sort with a lying order", "ok",
     "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function() return true end)"},
    {"a sort with a random order", "ok",
     "local n, t = 1, {} for i = 1, 1000 do t[i] = i end "
     "table.sort(t, function() n = n * 1103515245 + 12345 return n & 65536 == 0 end)"},
    {"a sort of much with a function in C", "time_limit memory_limit",
     "local t = {} for i = 1, 400000 do t[i] = i end while true do table.sort(t, math.ult) end"},
    {"pairs over much", "time_limit memory_limit",
     "local t = {} for i = 1, 200000 do t['k' .. i] = i end while true do for _ in pairs(t) do "
     "break end end"},
    {"next over much", "time_limit",
     "local t = {} for i = 1, 20000 do t['k' .. i] = i end local k repeat k = next(t, k) until not "
     "k"},
    {"a looping __tostring", "time_limit",
     "tostring(setmetatable({}, { __tostring = function() while true do end end }))"},
    {"a looping __tostring in format", "time_limit",
     "string.format('%s', setmetatable({}, { __tostring = function() while true do end end }))"},
    {"an error object with a looping __tostring", "time_limit",
     "error(setmetatable({}, { __tostring = function() while true do end end }))"},
    {"an error object with a failing __tostring", "runtime_error",
     "error(setmetatable({}, { __tostring = function() error('no') end }))"},
    {"an error object whose __tostring gives no text", "runtime_error",
     "error(setmetatable({}, { __tostring = function() return {} end }))"},
    {"an error object with a growing __tostring", "memory_limit",
     "error(setmetatable({}, { __tostring = function() local s = 'x' while true do s = s .. s end "
     "end }))"},
    {"an error object made of itself", "runtime_error", "local t = {} t.message = t error(t)"},
    {"a huge error message", "runtime_error memory_limit", "error(('x'):rep(1000000))"},
    {"wide formats", "time_limit", "while true do string.format('%99.99f', 1e308) end"},
    {"many conversions", "runtime_error",
     "string.format(('%99.99f'):rep(100000), table.unpack({}, 1, 100000))"},
    {"a format wider than there is room", "runtime_error", "string.format('%999999f', 1)"},
    {"a looping __index", "time_limit",
     "local t = setmetatable({}, { __index = function() while true do end end }) return t.x"},
    {"a looping __eq", "time_limit",
     "local m = { __eq = function() while true do end end } return setmetatable({}, m) == "
     "setmetatable({}, m)"},
    {"a looping __pairs", "time_limit",
     "for _ in pairs(setmetatable({}, { __pairs = function() while true do end end })) do end"},
    {"an iterator that never ends", "time_limit", "for _ in function() return 1 end do end"},
    {"an __index chain that bites its tail", "runtime_error",
     "local a, b = {}, {} setmetatable(a, { __index = b }) setmetatable(b, { __index = a }) return "
     "a.x"},
    {"number parsing", "time_limit memory_limit",
     "local s = ('9'):rep(1000000) while true do tonumber(s) end"},
    {"utf8 over much", "time_limit", "local s = ('x'):rep(1000000) while true do utf8.len(s) end"},
    {"ipairs over an endless __index", "time_limit",
     "for _ in ipairs(setmetatable({}, { __index = function(_, i) return i end })) do end"},
};

static bool may_end(const struct hostile *hostile, const char *code) {
  const char *at = strstr(hostile->ends, code);
  return code[0] != '\0' && at != NULL;
}

/* Runs one case; prints and returns false when it did not end as it must. */
static bool endures(const struct hostile *hostile, int time_limit_ms, int limit_signal) {
  bool by_memory = strcmp(hostile->ends, "memory_limit") == 0;
  /* Memory alone must stop what grows, so its time is ample. */
  int limit_ms = by_memory ? 5 * SLACK * time_limit_ms : time_limit_ms;
  es_domain *domain = new_domain(limit_ms, MEMORY_BYTES, limit_signal);
  es_error err;
  double started = processor_ms(), took;
  bool good = true;

  es_status status = run_text(domain, hostile->text, NULL, &err);
  took = processor_ms() - started;
  if (!may_end(hostile, status == ES_OK ? "ok" : err.code)) {
    print_error("%s: ended with %s (%s), not %s\n", hostile->name,
                status == ES_OK ? "ok" : err.code, err.message, hostile->ends);
    good = false;
  }
  if (took > (by_memory ? limit_ms : time_limit_ms * SLACK)) {
    print_error("%s: took %.0f ms of processor time\n", hostile->name, took);
    good = false;
  }
  if (strstr(err.code, "_limit") != NULL && strncmp(err.message, "aggregates/x.lua:1: ", 20) != 0) {
    print_error("%s: no line in: %s\n", hostile->name, err.message);
    good = false;
  }
  expect(domain, "local t = {} for i = 1, 1000 do t[i] = 'v' .. i end return #t .. t[1000]",
         "1000v1000");
  es__domain_free(domain);
  return good;
}

static void hostile_code_ends_within_its_limits(void **state) {
  int failures = 0;
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    failures += !endures(&cases[i], LIMIT_MS, 0);
  assert_int_equal(failures, 0);
}

static void hostile_code_ends_within_its_limits_with_a_count_hook(void **state) {
  int failures = 0;
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    failures += !endures(&cases[i], HOOK_LIMIT_MS, -1);
  assert_int_equal(failures, 0);
}

static void one_state_survives_all_of_it(void **state) {
  es_domain *domain = new_domain(SHORT_LIMIT_MS, MEMORY_BYTES, 0);
  es_error err;

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    run_text(domain, cases[i].text, NULL, &err);
    expect(domain, "return select('#', pcall(error, 'x')) .. ('ab'):rep(2)", "2abab");
  }
  es__domain_free(domain);
}

/* Names that would open the sandbox. */
static void what_would_open_the_sandbox_does_not_exist(void **state) {
  static const char *const names[] = {
      "load", "loadstring", "dofile",    "loadfile", "collectgarbage", "os",
      "io",   "debug",      "coroutine", "package",  "rawset",         "print",
      "_G",   "module",     "setfenv",   "getfenv",  "newproxy",       "warn"};
  es_domain *domain = new_domain(1000, MEMORY_BYTES, 0);
  char text[128];

  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf(text, sizeof text, "return %s", names[i]);
    expect_error(domain, text, names[i]);
  }
  expect_error(domain, "return string.dump", "string.dump");
  expect_error(domain, "return ('').dump", "string.dump");
  expect_error(domain, "return string.pack", "string.pack");
  expect_error(domain, "return math.random", "math.random");
  expect(domain, "return getmetatable('')", "nil");
  expect_error(domain, "getmetatable('').__index = {}", "attempt to index a nil value");
  expect_error(domain, "return string.format('%p', {})", "%p");
  es__domain_free(domain);
}

static void shared_libraries_cannot_be_changed(void **state) {
  static const char *const attempts[] = {"string.rep = 1",
                                         "math.huge = 0",
                                         "table.insert(string, 1)",
                                         "table.move({ 1 }, 1, 1, 1, math)",
                                         "setmetatable(string, {})",
                                         "setmetatable(_ENV, {})",
                                         "_ENV.x = 1",
                                         "x = 1",
                                         "pairs = 1",
                                         "table.sort(utf8)",
                                         "table.insert(_ENV, 1)",
                                         "require('es').x = 1",
                                         "require('es').array(math)",
                                         "require('es').array(_ENV)",
                                         "table.insert(require('es'), 1)",
                                         "table.remove(table)",
                                         "setmetatable(require('es'), {})"};
  es_domain *domain = new_domain(1000, MEMORY_BYTES, 0);
  es_error err;

  (void)state;
  for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
    if (run_text(domain, attempts[i], NULL, &err) == ES_OK)
      fail_msg("%s: was allowed", attempts[i]);
    if (strcmp(err.code, "runtime_error") != 0)
      fail_msg("%s: %s %s", attempts[i], err.code, err.message);
  }
  expect(domain, "return ('x'):rep(3) .. math.floor(1.5) .. #string", "xxx10");
  es__domain_free(domain);
}

static int load_bytecode(lua_State *L) {
  static const char bytecode[] = "\x1bLua\x54\x00\x19\x93\r\n\x1a\n";
  es__domain_load(L, bytecode, sizeof bytecode - 1, "aggregates/x.lua");
  return 0;
}

static void bytecode_is_refused(void **state) {
  es_domain *domain = new_domain(1000, MEMORY_BYTES, 0);
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_int_equal(es__domain_run(domain, load_bytecode, NULL, &err), ES_ERR_LUA);
  assert_non_null(strstr(err.message, "bytecode is refused"));
  es__domain_free(domain);
}

static void a_signal_that_there_is_not_is_refused(void **state) {
  es_domain_options options = {.limit_signal = -2};
  es_domain *domain = NULL;
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_int_equal(es__domain_new(&domain, &options, &err), ES_ERR_USAGE);
  assert_string_equal(err.code, "limit_signal");
  assert_null(domain);
}

/* A program that waits for its signals with sigwait has all of them blocked. */
static void the_time_limit_holds_when_the_program_has_blocked_all_signals(void **state) {
  es_domain *domain = new_domain(50, MEMORY_BYTES, 0);
  sigset_t all, before;
  es_error err;

  (void)state;
  expect(domain, "return 'run once'", "run once");
  sigfillset(&all);
  sigdelset(&all, SIGALRM); /* which ends the test where the limit does not hold */
  alarm(60);
  assert_int_equal(pthread_sigmask(SIG_BLOCK, &all, &before), 0);
  assert_int_equal(run_text(domain, "while true do end", NULL, &err), ES_ERR_LUA);
  assert_string_equal(err.code, "time_limit");
  alarm(0);
  assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
  es__domain_free(domain);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hostile_code_ends_within_its_limits),
      cmocka_unit_test(hostile_code_ends_within_its_limits_with_a_count_hook),
      cmocka_unit_test(one_state_survives_all_of_it),
      cmocka_unit_test(what_would_open_the_sandbox_does_not_exist),
      cmocka_unit_test(shared_libraries_cannot_be_changed),
      cmocka_unit_test(bytecode_is_refused),
      cmocka_unit_test(a_signal_that_there_is_not_is_refused),
      cmocka_unit_test(the_time_limit_holds_when_the_program_has_blocked_all_signals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
