/* What exists in domain code, that it gives the same answer in every process, and that it means what stock Lua means. */
#include <lualib.h>

#include "base/buf.h"
#include "one_domain.h"

/* ---- the environment ---- */

static const char names_of[] =
    "local names = {} for name in pairs(%s) do names[#names + 1] = name end "
    "return table.concat(names, ' ')";

static void expect_names(const char *table, const char *names) {
  char text[256];
  snprintf(text, sizeof text, names_of, table);
  expect(domain, text, names);
}

static void exactly_these_names_exist(void **state) {
  (void)state;
  expect_names(
      "_ENV",
      "_VERSION assert error getmetatable ipairs math next pairs pcall rawequal rawget rawlen "
      "require select setmetatable string table tonumber tostring type utf8 xpcall");
  expect_names("string", "byte char find format gmatch gsub len lower match rep reverse sub upper");
  expect_names("table", "concat insert move pack remove sort unpack");
  expect_names("math", "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min "
                       "mininteger modf pi "
                       "rad sin sqrt tan tointeger type ult");
  expect_names("utf8", "char charpattern codepoint codes len offset");
}

/* ---- determinism ---- */

static void pairs_visits_integers_then_strings_whatever_the_history(void **state) {
  static const char text[] =
      "local t = {} "
      "local keys = { 'b', 3, 'a', 1, 'ab', 2, 10, -5, 'B', '', 1.5, true, false, 'z\\0a', 'z' } "
      "for i = 1, 500 do t['junk' .. i] = i end "
      "for step = 1, #keys do local at = (step * %d) %% #keys + 1 t[keys[at]] = at end "
      "for i = 500, 1, -1 do t['junk' .. i] = nil end "
      "local out = {} for k in pairs(t) do out[#out + 1] = (tostring(k):gsub('\\0', '0')) end "
      "return table.concat(out, ',')";
  char program[1024];

  (void)state;
  static const int steps[] = {1, 2,  4,  7,
                              8, 11, 13, 14}; /* prime to the number of keys: each visits all */
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
    snprintf(program, sizeof program, text, steps[i]);
    expect(domain, program, "false,true,-5,1,1.5,2,3,10,,B,a,ab,b,z,z0a");
  }
}

static void pairs_survives_changes_while_it_runs(void **state) {
  (void)state;
  expect(domain,
         "local t, out = { a = 1, b = 2, c = 3 }, '' for k in pairs(t) do out = out .. k t.b = nil "
         "t.d = 4 end return out",
         "ac");
  expect(domain,
         "local t, n = { 1, 2, 3, 4 }, 0 for i in pairs(t) do t[i] = nil n = n + i end return n",
         "10");
  expect(domain, "local n = 0 for k, v in pairs({ 5, nil, 7 }) do n = n + k * v end return n",
         "26");
  expect(domain, "for k in pairs({}) do error(k) end return 'none'", "none");
  expect(domain,
         "local t = setmetatable({}, { __pairs = function(t) return function(_, k) if not k then "
         "return 1, 2 end end, t end }) "
         "for k, v in pairs(t) do return k + v end",
         "3");
  expect_error(domain, "for k in pairs({ [{}] = 1 }) do end", "a table used as a key has no order");
  expect_error(domain, "pairs(nil)", "table expected, got nil");
}

static void next_follows_the_same_order(void **state) {
  (void)state;
  expect(domain,
         "local t, out, k = { x = 1, 'p', 'q', a = 2 }, '' repeat k = next(t, k) out = out .. "
         "tostring(k) until k == nil return out",
         "12axnil");
  expect(domain, "return tostring(next({}))", "nil");
  expect(domain, "return select(2, next({ 'only' }))", "only");
  expect(domain, "return tostring(next({ [1] = 1, [2^53|0] = 2, [2.0^53 + 2] = 3 }, 2^53))",
         "9007199254740994");
}

static void addresses_never_show(void **state) {
  (void)state;
  expect(domain, "return tostring({}) .. tostring(pairs) .. ('%s|%5s'):format({}, 'a')",
         "tablefunctiontable|    a");
  expect(domain,
         "return tostring(1) .. tostring(1.0) .. tostring(nil) .. tostring(true) .. tostring('s')",
         "11.0niltrues");
  expect(domain, "return tostring(setmetatable({}, { __tostring = function() return 'own' end }))",
         "own");
  expect(domain, "return ('%s'):format(setmetatable({}, { __name = 'Money' }))", "table");
  expect(domain, "return tostring(require('es').null):find('0x') == nil and 'none' or 'address'",
         "none");
  expect_error(domain, "error('' .. {})", "attempt to concatenate a table value");
}

static void sort_keeps_equal_elements_in_order(void **state) {
  (void)state;
  expect(domain,
         "local t = {} for i = 1, 1000 do t[i] = { key = i * 7919 % 10, at = i } end "
         "table.sort(t, function(a, b) return a.key < b.key end) "
         "for i = 2, 1000 do local a, b = t[i - 1], t[i] "
         "  if a.key > b.key or a.key == b.key and a.at > b.at then return 'wrong at ' .. i end "
         "end return 'stable'",
         "stable");
  expect(domain, "local t = { 3, 1, 2 } table.sort(t) return table.concat(t, ' ')", "1 2 3");
  expect(domain, "local t = { 'b', 'B', 'a' } table.sort(t) return table.concat(t, ' ')", "B a b");
  expect(domain,
         "local t = { 1, 2, 3 } table.sort(t, function(a, b) return a > b end) return "
         "table.concat(t, ' ')",
         "3 2 1");
  expect(domain, "local t = {} table.sort(t) return #t", "0");
  expect(domain,
         "local t = { 2, 1 } pcall(table.sort, t, function() error('x') end) return "
         "table.concat(t, ' ')",
         "2 1");
  expect_error(domain, "table.sort({ 1, 'a' })", "attempt to compare");
}

/* ---- the same meaning as stock Lua ---- */

static char *run_stock(const char *text) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadbuffer(L, text, strlen(text), "@aggregates/x.lua") != LUA_OK ||
      lua_pcall(L, 0, 1, 0) != LUA_OK) {
    fail_msg("stock Lua: %s", lua_tostring(L, -1));
  }
  char *out = strdup(lua_tostring(L, -1));
  lua_close(L);
  return out;
}

/* The text returns lines; the first that differs between stock Lua and domain code fails. */
static void expect_the_same(const char *text) {
  es_error err;
  char *ours = NULL, *theirs = run_stock(text), *our_line, *their_line, *our_rest, *their_rest;

  if (run_text(domain, text, &ours, &err) != ES_OK) fail_msg("raised: %s", err.message);
  assert_true(strlen(theirs) > 100);
  for (our_line = strtok_r(ours, "\n", &our_rest), their_line = strtok_r(theirs, "\n", &their_rest);
       our_line != NULL && their_line != NULL;
       our_line = strtok_r(NULL, "\n", &our_rest), their_line = strtok_r(NULL, "\n", &their_rest)) {
    if (strcmp(our_line, their_line) != 0)
      fail_msg("domain: %s\n  stock:  %s", our_line, their_line);
  }
  assert_true(our_line == NULL && their_line == NULL);
  free(ours);
  free(theirs);
}

static const char generator[] =
    "local seed = 12345 "
    "local function random(n) seed = (seed * 6364136223846793005 + 1442695040888963407) return "
    "((seed >> 33) % n) + 1 end "
    "local function pick(list) return list[random(#list)] end "
    "local function show(...) local out = {} for i = 1, select('#', ...) do "
    "  out[i] = ('%q'):format(tostring((select(i, ...)))):gsub('[\\n\\0]', '?') end return "
    "table.concat(out, ' ') end "
    "local lines = {} ";

static const char pattern_cases[] =
    "local atoms = { 'a', 'b', '.', '%a', '%d', '%s', '%w', '%A', '%D', '%p', '%x', '%u', '%l', "
    "'%c', '%g', '%z', '[ab]', '[^a]', "
    "  '[%w_]', '[a-c]', '[]]', '[^]]', '[%]]', '[-a]', '[a-]', '[a-%d]', '%%', '%.', '(', ')', "
    "'()', '(a)', '(.-)', '(%w*)', "
    "  '%1', '%2', '%0', '%b()', '%bab', '%f[%w]', '%f[^a]', '$', '^', '-', '*', '+', '?', '[', "
    "']', '[a', '%', '%f', '%b', '\\0', '[%a-z]', '[z-a]' } "
    "local marks = { '', '', '', '', '*', '+', '-', '?' } "
    "local letters = { 'a', 'b', 'c', 'ab', '1', ' ', '(', ')', '.', '-', '%', 'A', 'aa', '_', "
    "']', '\\0', '\\n', '\\xff' } "
    "local templates = { 'x', '%0', '%1', '%2', '<%0>', '%%', '%', '%x', '', '%1%1', '%9' } "
    "local tables = { a = 'A', b = false, ab = 1, [1] = 'one', ['('] = 2.5 } "
    "local function subject() local out = {} for i = 1, random(8) - 1 do out[i] = pick(letters) "
    "end return table.concat(out) end "
    "local function pattern() local out = {} for i = 1, random(5) do out[i] = pick(atoms) .. "
    "pick(marks) end "
    "  return (random(6) == 1 and '^' or '') .. table.concat(out) end "
    "local function walk(s, p, init) local out = {} for a, b in s:gmatch(p, init) do out[#out + 1] "
    "= show(a, b) "
    "  if #out > 20 then break end end return table.concat(out, ';') end "
    "for case = 1, 30000 do "
    "  local s, p, init = subject(), pattern(), random(14) - 6 "
    "  local which, result = random(7) "
    "  if which == 1 then result = show(pcall(string.find, s, p, init)) "
    "  elseif which == 2 then result = show(pcall(string.find, s, p, init, true)) "
    "  elseif which == 3 then result = show(pcall(string.match, s, p, init)) "
    "  elseif which == 4 then result = show(pcall(walk, s, p, init)) "
    "  elseif which == 5 then result = show(pcall(string.gsub, s, p, pick(templates), random(3) > "
    "1 and random(4) - 1 or nil)) "
    "  elseif which == 6 then result = show(pcall(string.gsub, s, p, tables)) "
    "  else result = show(pcall(string.gsub, s, p, function(a, b) if a == 'a' then return nil end "
    "return tostring(a) .. tostring(b) end)) end "
    "  lines[case] = show(which, s, p, init) .. ' => ' .. result "
    "end return table.concat(lines, '\\n')";

static void patterns_mean_what_stock_patterns_mean(void **state) {
  es_buf text = {0};
  (void)state;
  es__buf_text(&text, generator);
  es__buf_text(&text, pattern_cases);
  expect_the_same(text.data);
  es__buf_free(&text);
}

static const char table_cases[] =
    "local function list() local out = {} for i = 1, random(7) - 1 do out[i] = random(9) end "
    "return out end "
    "local function flat(t) local out = {} for i = 1, 12 do out[i] = tostring(t[i]) end return "
    "table.concat(out, ',') end "
    "for case = 1, 20000 do "
    "  local t, u, a, b, c = list(), list(), random(12) - 4, random(12) - 4, random(12) - 4 "
    "  local which, result = random(8) "
    "  if which == 1 then result = show(pcall(table.insert, t, a, 'new')) "
    "  elseif which == 2 then result = show(pcall(table.insert, t, 'new')) "
    "  elseif which == 3 then result = show(pcall(table.remove, t, a)) "
    "  elseif which == 4 then result = show(pcall(table.remove, t)) "
    "  elseif which == 5 then result = show(pcall(table.concat, t, '-', a, b)) "
    "  elseif which == 6 then result = show(pcall(table.unpack, t, a, b)) "
    "  elseif which == 7 then result = show(pcall(function() table.move(t, a, b, c) end)) "
    "  else result = show(pcall(function() table.move(t, a, b, c, u) end)) .. flat(u) end "
    "  result = result:gsub('bad argument .*%((.*)%)', '%1') "
    "  lines[case] = show(which, a, b, c) .. flat(t) .. ' => ' .. result "
    "end return table.concat(lines, '\\n')";

static void table_functions_mean_what_stock_ones_mean(void **state) {
  es_buf text = {0};
  (void)state;
  es__buf_text(&text, generator);
  es__buf_text(&text, table_cases);
  expect_the_same(text.data);
  es__buf_free(&text);
}

static const char string_cases[] =
    "local formats = { '%d', '%5d', '%-5d|', '%05.1f', '%g', '%s', '%10s', '%-10s|', '%.2s', '%q', "
    "'%x', '%X', '%c', '%i', '%e', '%a', "
    "  '%%', '%s %s', '%5', '%y', '%', '%q', '%u', '%.99f', '%100d' } "
    "local values = { 1, 0, -1, 1.5, 2^53, 'text', '', 'a\\0b', 10, 255, 1e300, true, '12', "
    "'0x10', 'x' } "
    "for case = 1, 10000 do "
    "  local which, s, n, m, result = random(4), pick { 'ab', '', 'x', 'long text' }, random(6) - "
    "2, random(12) - 6 "
    "  if which == 1 then result = show(pcall(string.rep, s, n, pick { '', ',', ', ' })) "
    "  elseif which == 2 then result = show(pcall(string.format, pick(formats), pick(values), "
    "pick(values))) "
    "  elseif which == 3 then result = show(pcall(string.sub, s, n, m)) "
    "  else result = show(pcall(string.byte, s, n, m)) end "
    "  result = result:gsub('bad argument #%d to [^ ]*', '') "
    "  lines[case] = show(which, s, n, m) .. ' => ' .. result "
    "end return table.concat(lines, '\\n')";

static void string_functions_mean_what_stock_ones_mean(void **state) {
  es_buf text = {0};
  (void)state;
  es__buf_text(&text, generator);
  es__buf_text(&text, string_cases);
  expect_the_same(text.data);
  es__buf_free(&text);
}

static void pcall_and_xpcall_mean_what_stock_ones_mean(void **state) {
  (void)state;
  expect(domain, "return select('#', pcall(function() return 1, nil, 3 end))", "4");
  expect(domain, "local ok, e = pcall(error, { code = 7 }) return tostring(ok) .. e.code",
         "false7");
  expect(domain, "return select(2, pcall(error))  == nil and 'nil' or 'other'", "nil");
}

static void xpcall_calls_its_handler_with_the_error(void **state) {
  (void)state;
  expect(domain,
         "return table.concat({ select(2, xpcall(function(a, b) return a, b end, tostring, 1, 2)) "
         "}, ' ')",
         "1 2");
  expect(domain,
         "local ok, a, b = xpcall(error, function(e) return 'handled ' .. e, 2 end, 'x', 0) return "
         "tostring(ok) .. a .. b",
         "falsehandled x2");
  expect_error(domain, "xpcall(error, function(e) error('in the handler') end)", "in the handler");
  expect_error(domain, "xpcall(error)", "function expected");
}

static void metatables_work_where_they_are_harmless(void **state) {
  (void)state;
  expect(domain,
         "local Money = {} Money.__index = Money "
         "function Money.new(n) return setmetatable({ n = n }, Money) end "
         "function Money.__add(a, b) return Money.new(a.n + b.n) end "
         "function Money.__eq(a, b) return a.n == b.n end "
         "function Money:twice() return self + self end "
         "local m = Money.new(2):twice() "
         "return m.n .. tostring(m == Money.new(4)) .. tostring(getmetatable(m) == Money)",
         "4truetrue");
  expect(domain,
         "local Base = {} Base.__index = Base function Base.hello() return 'hello' end "
         "local Derived = setmetatable({}, { __index = Base }) Derived.__index = Derived "
         "return setmetatable({}, Derived).hello()",
         "hello");
  expect(domain, "local t = setmetatable({}, { __call = function(_, x) return x end }) return t(5)",
         "5");
  expect(domain,
         "local m = {} local t = setmetatable({}, m) setmetatable(t, nil) return "
         "tostring(getmetatable(t))",
         "nil");
  expect(domain,
         "return tostring(getmetatable(require('es').array())) .. tostring(getmetatable(string))",
         "nilnil");
  expect_error(domain, "setmetatable(require('es').array(), {})", "cannot be changed");
  expect_error(domain, "setmetatable({}, { __metatable = 1 })", "'__metatable' does not exist");
  expect_error(domain,
               "local m = {} local t = setmetatable({}, m) m.__mode = 'k' setmetatable({}, m)",
               "'__mode' does not exist");
}

/* ---- read-only views ---- */

static const char viewed[] = "return { title = 'T', lines = { { price = 1 }, { price = 2 } }, "
                             "words = { 'a', 'b', 'c' }, n = 3, empty = {} }";

static int make_view(lua_State *L) {
  script *job = lua_touserdata(L, 1);

  es__domain_load(L, viewed, sizeof viewed - 1, "aggregates/x.lua");
  es__domain_load(L, job->text, strlen(job->text), "aggregates/x.lua");
  es__domain_push_read_only(L, -2);
  lua_call(L, 1, 1);
  job->result = strdup(luaL_tolstring(L, -1, NULL));
  return 0;
}

static void expect_of_view(const char *text, const char *expected, const char *error_part) {
  char program[1024];
  script job = {program, "aggregates/x.lua", NULL};
  es_error err = ES_ERROR_INIT;

  snprintf(program, sizeof program, "return function(v) %s end", text);
  es_status status = es__domain_run(domain, make_view, &job, &err);
  if (error_part != NULL) {
    assert_int_equal(status, ES_ERR_LUA);
    if (strstr(err.message, error_part) == NULL)
      fail_msg("%s\n  raised: %s\n  not: %s", text, err.message, error_part);
  } else {
    if (status != ES_OK) fail_msg("%s\n  raised: %s", text, err.message);
    assert_string_equal(job.result, expected);
  }
  free(job.result);
}

static void views_read_like_tables(void **state) {
  (void)state;
  expect_of_view("return v.title .. v.n .. tostring(v.absent)", "T3nil", NULL);
  expect_of_view("return type(v) .. type(v.lines) .. #v.lines .. #v.empty", "tabletable20", NULL);
  expect_of_view("local s = '' for k, x in pairs(v) do s = s .. k .. type(x) .. ' ' end return s",
                 "emptytable linestable nnumber titlestring wordstable ", NULL);
  expect_of_view(
      "local s = 0 for i, line in ipairs(v.lines) do s = s + i * line.price end return s", "5",
      NULL);
  expect_of_view("local s = 0 for _, line in pairs(v.lines) do s = s + line.price end return s",
                 "3", NULL);
  expect_of_view("return table.concat(v.words, ' ') .. table.concat({ table.unpack(v.words) })",
                 "a b cabc", NULL);
  expect_of_view("return next(v) .. tostring(next(v.empty)) .. select(2, next(v.lines)).price",
                 "emptynil1", NULL);
  expect_of_view(
      "local copy = table.move(v.words, 1, 3, 2, {}) copy[1] = 'z' return table.concat(copy)",
      "zabc", NULL);
  expect_of_view("return tostring(v.lines == v.lines) .. tostring(v.lines[1] == v.lines[2])",
                 "truefalse", NULL);
  expect_of_view("local seen = {} seen[v.lines[1]] = 'yes' return seen[v.lines[1]]", "yes", NULL);
  expect_of_view("return tostring(v) .. ('%s'):format(v.lines)", "tabletable", NULL);
  expect_of_view("return (string.gsub('title n', '%w+', v))", "T 3", NULL);
  expect_of_view("return tostring(getmetatable(v))", "nil", NULL);
}

static void views_refuse_every_way_of_writing(void **state) {
  static const char *const attempts[][2] = {
      {"v.title = 'x'", "aggregates/x.lua:1: 'title' is read-only here"},
      {"v.new = 1", "'new' is read-only here"},
      {"v.lines[1] = nil", "[1] is read-only here"},
      {"v.lines[1].price = 2", "'price' is read-only here"},
      {"for _, line in ipairs(v.lines) do line.price = 0 end", "'price' is read-only here"},
      {"for _, line in pairs(v.lines) do line.price = 0 end", "'price' is read-only here"},
      {"select(2, next(v.lines)).price = 0", "'price' is read-only here"},
      {"table.unpack(v.lines).price = 0", "'price' is read-only here"},
      {"table.move(v.lines, 1, 1, 1, {})[1].price = 0", "'price' is read-only here"},
      {"table.insert(v.words, 'd')", "read-only here"},
      {"table.remove(v.words)", "read-only here"},
      {"table.sort(v.words)", "read-only here"},
      {"table.move({ 'x' }, 1, 1, 1, v.words)", "read-only here"},
      {"setmetatable(v, {})", "table expected, got read-only table"},
      {"rawget(v, 'title')", "table expected"},
      {"return rawlen(v.words)", "table or string expected"},
      {"require('es').array(v.words)", "table expected"},
      {"v()", "attempt to call a table value"}};
  (void)state;
  for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
    expect_of_view(attempts[i][0], NULL, attempts[i][1]);
}

static int wrap_and_unwrap(lua_State *L) {
  lua_newtable(L);
  es__domain_push_read_only(L, -1);
  luaL_argcheck(L, !lua_rawequal(L, -1, -2), 1, "the view is the table");
  es__domain_unwrap(L, -1);
  luaL_argcheck(L, lua_rawequal(L, -1, -2), 1, "unwrapping gave another table");
  es__domain_unwrap(L, -1);
  luaL_argcheck(L, lua_rawequal(L, -1, -2), 1, "a plain table was changed");
  lua_pushinteger(L, 5);
  es__domain_push_read_only(L, -1);
  luaL_argcheck(L, lua_tointeger(L, -1) == 5, 1, "a scalar was changed");
  es__domain_push_read_only(L, -4);
  lua_pushnil(L);
  es__domain_push_read_only(L, -1);
  luaL_argcheck(L, lua_isnil(L, -1), 1, "nil was changed");
  return 0;
}

static void unwrapping_gives_back_the_same_table(void **state) {
  es_error err = ES_ERROR_INIT;
  (void)state;
  if (es__domain_run(domain, wrap_and_unwrap, NULL, &err) != ES_OK) fail_msg("%s", err.message);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exactly_these_names_exist),
      cmocka_unit_test(pairs_visits_integers_then_strings_whatever_the_history),
      cmocka_unit_test(pairs_survives_changes_while_it_runs),
      cmocka_unit_test(next_follows_the_same_order),
      cmocka_unit_test(addresses_never_show),
      cmocka_unit_test(sort_keeps_equal_elements_in_order),
      cmocka_unit_test(patterns_mean_what_stock_patterns_mean),
      cmocka_unit_test(table_functions_mean_what_stock_ones_mean),
      cmocka_unit_test(string_functions_mean_what_stock_ones_mean),
      cmocka_unit_test(pcall_and_xpcall_mean_what_stock_ones_mean),
      cmocka_unit_test(xpcall_calls_its_handler_with_the_error),
      cmocka_unit_test(metatables_work_where_they_are_harmless),
      cmocka_unit_test(views_read_like_tables),
      cmocka_unit_test(views_refuse_every_way_of_writing),
      cmocka_unit_test(unwrapping_gives_back_the_same_table),
  };
  return cmocka_run_group_tests(tests, open_domain, close_domain);
}
