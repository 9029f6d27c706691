/* The quick answer to "does it fit?" and es.schema_check, which it stands in for, never disagree; and types that domain code
 * has tampered with do no harm. */
#include "one_domain.h"

/* Every type with every value, alone and in a list, a map and a table, each checked with the plan and without it. Returns how
 * many fit, or the first difference. */
static const char both_ways[] =
    "local es, schema = require 'es', require 'es.schema'\n"
    "local null = es.null\n"
    "local types = {\n"
    "  'any', 'boolean', 'integer', 'number', 'string', 'uuid', 'timestamp', 'list', 'table',\n"
    "  'integer?', 'string?', 'list?', 'any?', 'table?',\n"
    "  schema.integer { min = -1, max = 7 }, schema.number { min = 0.5, max = 7 },\n"
    "  schema.string { min = 2, max = 3 }, schema.string { pattern = '^%l+$' },\n"
    "  schema.enum { 'a', 'ab' }, schema.list('integer', { min = 1, max = 2 }),\n"
    "  schema.map('string', { min = 1, max = 2 }), schema.map(schema.list 'string'),\n"
    "  schema.table { a = 'integer', b = 'string?' }, schema.table {},\n"
    "  schema.optional(schema.table { a = schema.table { a = 'any' } }),\n"
    "}\n"
    "local function values()\n"
    "  return {\n"
    "    true, false, 0, -1, 7, 8, 1.5, 0.0, 0/0, 1/0, -1/0, math.mininteger, null,\n"
    "    '', 'a', 'ab', 'abc', 'abcd', 'AB', 'a\\0b', '\\xff', 'Zo\\u{eb}', "
    "'\\u{eb}\\u{eb}\\u{eb}',\n"
    "    '0190f5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b', '0190F5C8-1C2D-7E3F-8A4B-5C6D7E8F9A0B',\n"
    "    '0190f5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0', '0190f5c8x1c2d-7e3f-8a4b-5c6d7e8f9a0b',\n"
    "    '2024-01-15T10:30:00Z', '2024-01-15', '2024-13-15', '2024-01-15T10:30:00Z\\0',\n"
    "    {}, es.array(), es.array { 1 }, { 1 }, { 1, 2 }, { 1, 2, 3 }, { 'a', 'b' }, { [2] = 1 },\n"
    "    { 1, nil, 3 }, { 1, a = 2 }, { a = 1 }, { a = 1, b = 'x' }, { a = 1, b = null },\n"
    "    { a = 1, c = 2 }, { a = 'x' }, { a = { 'x', 'y' } }, { a = {} }, { a = { a = 1 } },\n"
    "    { a = { a = null } }, { [true] = 1 }, { [1.5] = 1 }, { [''] = 'x' }, { ['\\xff'] = 'x' "
    "},\n"
    "    setmetatable({ a = 1 }, { __index = { b = 7 } }), setmetatable({}, { __len = tostring "
    "}),\n"
    "    es, tostring, {},\n"
    "  }\n"
    "end\n"
    "local function text(value, depth)\n"
    "  local out = {}\n"
    "  if value == null then return 'null' end\n"
    "  if type(value) ~= 'table' or value == es or depth > 9 then return tostring(value) end\n"
    "  for key, item in pairs(value) do out[#out + 1] = tostring(key) .. '=' .. text(item, depth + "
    "1) end\n"
    "  return (rawequal(getmetatable(value), getmetatable(es.array())) and '[' or '{') .. "
    "table.concat(out, ' ')\n"
    "end\n"
    "local wrap = {\n"
    "  function(t) return t, function(v) return v end end,\n"
    "  function(t) return schema.list(t), function(v) return { v } end end,\n"
    "  function(t) return schema.map(t), function(v) return { x = v } end end,\n"
    "  function(t) return schema.table { x = t, y = 'any?' }, function(v) return { x = v } end "
    "end,\n"
    "}\n"
    "local fitting = 0\n"
    "for number, of in ipairs(types) do\n"
    "  for shape, into in ipairs(wrap) do\n"
    "    local fine, outer, inner = pcall(into, of)\n"
    "    local plain, quick, slow = values(), values(), {}\n"
    "    if fine then\n"
    "      local compiled = schema.compile({ f = outer }, 'test')\n"
    "      if not compiled.plan then return 'no plan' end\n"
    "      for name, part in pairs(compiled) do slow[name] = part end\n"
    "      slow.plan = nil\n"
    "      for i = 1, #plain do\n"
    "        local a, b = { f = inner(quick[i]) }, { f = inner(plain[i]) }\n"
    "        local ok_a, fits_a, problem_a = pcall(schema.check, compiled, a, 'r')\n"
    "        local ok_b, fits_b, problem_b = pcall(schema.check, slow, b, 'r')\n"
    "        local said_a = tostring(fits_a) .. (problem_a and problem_a.message or '') .. text(a, "
    "0)\n"
    "        local said_b = tostring(fits_b) .. (problem_b and problem_b.message or '') .. text(b, "
    "0)\n"
    "        if ok_a ~= ok_b or said_a ~= said_b then\n"
    "          return number .. ' ' .. shape .. ' ' .. i .. ': ' .. said_a .. ' / ' .. said_b\n"
    "        end\n"
    "        if fits_a == true then fitting = fitting + 1 end\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return fitting > 500 and 'agreed' or fitting";

static void the_quick_answer_is_the_slow_one(void **state) {
  es_error err;
  char *result = NULL;

  (void)state;
  if (run_text(domain, both_ways, &result, &err) != ES_OK) fail_msg("%s", err.message);
  assert_string_equal(result, "agreed");
  free(result);
}

/* covers E11 */
static void names_that_are_not_declared_do_not_fit(void **state) {
  (void)state;
  expect(
      domain,
      "local schema = require 'es.schema' "
      "local t = schema.compile({ a = 'integer', b = 'string?' }, 'test') "
      "local function says(v) local ok, p = schema.check(t, v, 'r') return ok and 'fits' or "
      "p.message end "
      "return says { a = 1 } .. '; ' .. says { a = 1, b = 'x' } .. '; ' .. says { a = 1, c = 1 } "
      ".. '; ' .. says { b = 'x' } .. '; ' .. says { a = 1, b = 'x', [1] = 1 }",
      "fits; fits; r.c: is not a declared field; fields are a, b; r.a: is missing, expected "
      "integer; r: expected table, got list");
}

static void a_forged_plan_is_no_plan(void **state) {
  (void)state;
  expect(domain,
         "local es, schema = require 'es', require 'es.schema' "
         "local t = schema.compile({ a = 'integer' }, 'test') "
         "for _, plan in ipairs { es, {}, 'x', 1, es.null, true, tostring } do "
         "  t.plan = plan "
         "  if schema.check(t, { a = 'x' }, 'r') or schema.check(t, {}, 'r') or not "
         "schema.check(t, { a = 1 }, 'r') then return "
         "tostring(plan) end "
         "end return 'refused'",
         "refused");
}

/* What a constructor returned is a table that domain code can change. */
static void tampered_types_do_no_harm(void **state) {
  (void)state;
  expect(domain,
         "local schema = require 'es.schema' "
         "local function compile(change, of) change(of) "
         "  return tostring((pcall(schema.compile, { a = of }, 'test'))) end "
         "return table.concat({ "
         "  compile(function(t) t.element = t end, schema.list 'integer'), "
         "  compile(function(t) t.fields.a, t.fields.b = t, t end, schema.table { a = 'any', b = "
         "'any' }), "
         "  compile(function(t) t.values = 'abc' end, schema.enum { 'a' }), "
         "  compile(function(t) t.names = 'abc' end, schema.table { a = 'any' }), "
         "  compile(function(t) t.names[2] = 'b' end, schema.table { a = 'any' }), "
         "  compile(function(t) t.fields = 7 end, schema.table { a = 'any' }), "
         "  compile(function(t) t.kind = 7 end, schema.table { a = 'any' }), "
         "  compile(function(t) t.element = 'integer' end, schema.list 'integer'), "
         "  compile(function(t) t.min = {} end, schema.integer { max = 1 }), "
         "}, ' ')",
         "true true false false false false true false true");
}

static void a_large_or_deep_type_is_checked_all_the_same(void **state) {
  (void)state;
  expect(domain,
         "local schema = require 'es.schema' local fields, deep, value = {}, 'integer', 1 "
         "for i = 1, 5000 do fields['f' .. i] = 'integer?' end "
         "for _ = 1, 40 do deep, value = schema.table { a = deep }, { a = value } end "
         "local large = schema.compile(fields, 'test') "
         "deep = schema.compile({ a = deep }, 'test') "
         "return tostring(schema.check(large, { f7 = 1 })) .. tostring(schema.check(large, { f7 = "
         "'x' })) "
         ".. tostring(schema.check(deep, { a = value })) .. tostring(schema.check(deep, value))",
         "truenil"
         "truenil");
}

/* ---- writing what fits ---- */

typedef struct writing {
  const char *text; /* returns { fields }, { value } */
  es_buf quick, slow;
  bool written;
} writing;

static int write_both_ways(lua_State *L) {
  writing *job = lua_touserdata(L, 1);

  es__domain_load(L, job->text, strlen(job->text), "aggregates/x.lua");
  lua_getfield(L, 2, "plan");
  lua_getfield(L, 2, "value");
  job->written = es__schema_write(L, 3, 4, &job->quick);
  es__lua_write_json(L, 4, &job->slow, "data");
  return 0;
}

static void expect_written(const char *fields, const char *value, bool written) {
  writing job = {0};
  es_error err = ES_ERROR_INIT;
  char text[1024];

  snprintf(text, sizeof text,
           "local schema = require 'es.schema' return { plan = schema.compile({ %s }, 'x').plan, "
           "value = { %s } }",
           fields, value);
  job.text = text;
  es__buf_text(&job.quick, "before");
  if (es__domain_run(domain, write_both_ways, &job, &err) != ES_OK) fail_msg("%s", err.message);
  if (job.written != written) fail_msg("%s", value);
  assert_memory_equal(job.quick.data, "before", 6);
  if (written) {
    assert_string_equal(job.quick.data + 6, job.slow.data);
    assert_int_equal(job.quick.length - 6, job.slow.length);
  }
  if (!written) assert_int_equal(job.quick.length, 6);
  es__buf_free(&job.quick);
  es__buf_free(&job.slow);
}

static void what_fits_is_written_as_everywhere_else(void **state) {
  (void)state;
  expect_written("b = 'integer', a = 'number?', ['a b'] = 'any?', Z = 'boolean?'",
                 "b = -7, a = 1.0, ['a b'] = '\\n\"x\" Zo\\u{eb}', Z = false", true);
  expect_written("b = 'integer', a = 'number?'", "b = math.mininteger", true);
  expect_written("ab = 'string', a = 'string', ['a\\0'] = 'string', B = 'string'",
                 "ab = '', a = '\\0', ['a\\0'] = 'x', B = '\\31\\127'", true);
  expect_written("a = 'any'", "a = 0.1", true);
  expect_written("", "", true);
  expect_written("a = 'any'", "a = {}", false);
  expect_written("a = 'any'", "a = require 'es'.null", false);
  expect_written("a = 'list'", "a = { 1 }", false);
  expect_written("a = 'integer'", "a = 1, b = 2", false);
  expect_written("a = 'integer', b = 'integer'", "a = 1", false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_quick_answer_is_the_slow_one),
      cmocka_unit_test(names_that_are_not_declared_do_not_fit),
      cmocka_unit_test(a_forged_plan_is_no_plan),
      cmocka_unit_test(tampered_types_do_no_harm),
      cmocka_unit_test(what_fits_is_written_as_everywhere_else),
      cmocka_unit_test(a_large_or_deep_type_is_checked_all_the_same),
  };
  return cmocka_run_group_tests(tests, open_domain, close_domain);
}
