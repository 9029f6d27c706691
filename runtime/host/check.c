/* check: verifying the ledger and replaying streams from Lua. */
#include "host/host.h"

static int push_finding(lua_State *L) {
  const es_finding *finding = lua_touserdata(L, -1);

  lua_createtable(L, 0, 3);
  lua_pushstring(L, finding->kind);
  lua_setfield(L, -2, "kind");
  if (finding->position > 0) {
    lua_pushinteger(L, finding->position);
    lua_setfield(L, -2, "position");
  }
  lua_pushstring(L, finding->message);
  lua_setfield(L, -2, "message");
  lua_pushstring(L, finding->fault);
  lua_setfield(L, -2, "fault");
  return 1;
}

static void on_finding(void *data, const es_finding *finding) {
  host_callback_call(data, push_finding, (void *)finding);
}

static void set_count(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

void host_push_hash(lua_State *L, const uint8_t hash[ES_HASH_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  char hex[2 * ES_HASH_SIZE];

  for (size_t i = 0; i < ES_HASH_SIZE; i++) {
    hex[2 * i] = digits[hash[i] >> 4];
    hex[2 * i + 1] = digits[hash[i] & 15];
  }
  lua_pushlstring(L, hex, sizeof hex);
}

void host_set_hash(lua_State *L, const char *name, const uint8_t hash[ES_HASH_SIZE]) {
  host_push_hash(L, hash);
  lua_setfield(L, -2, name);
}

/* verify(runtime, options) -> report; a report with findings is followed by message, code, details of the damage. */
static int verify(lua_State *L) {
  host_runtime *host = host_check(L);
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report = {0};
  es_error err = ES_ERROR_INIT;
  host_callback finding, progress;
  host_evidence evidence;
  es_status status;

  host_check_type(L, 2, LUA_TTABLE);
  host_verify_evidence(L, &options, &evidence);
  host_callback_begin(&finding, L, 2, "on_finding");
  host_callback_begin(&progress, L, 2, "progress");
  options.finding = on_finding;
  options.finding_data = &finding;
  options.progress = host_progress;
  options.progress_data = &progress;
  host->busy++;
  status = es_verify(&report, host->rt, &options, &err);
  host->busy--;
  host_callback_end(&finding);
  host_callback_end(&progress);
  if (status != ES_OK && status != ES_ERR_INTEGRITY) return host_fail(L, &err);
  if (status == ES_ERR_INTEGRITY) host_fail(L, &err);
  lua_createtable(L, 0, 4);
  set_count(L, "event_count", report.event_count);
  set_count(L, "finding_count", report.finding_count);
  set_count(L, "verified_from", report.verified_from);
  set_count(L, "anchored_to", report.anchored_to);
  set_count(L, "unlinked_to", report.unlinked_to);
  set_count(L, "signed_to", report.signed_to);
  set_count(L, "hashes_only_to", report.hashes_only_to);
  set_count(L, "archived_count", report.archived_count);
  set_count(L, "unseen_count", report.unseen_count);
  set_count(L, "unseen_from", report.unseen_from);
  set_count(L, "unseen_to", report.unseen_to);
  if (report.unknown_signer[0] != '\0') {
    lua_pushstring(L, report.unknown_signer);
    lua_setfield(L, -2, "unknown_signer");
  }
  if (report.unknown_anchor[0] != '\0') {
    lua_pushstring(L, report.unknown_anchor);
    lua_setfield(L, -2, "unknown_anchor");
  }
  host_set_hash(L, "head_hash", report.head_hash);
  lua_pushboolean(L, status == ES_OK);
  lua_setfield(L, -2, "ok");
  if (status == ES_OK) return 1;
  lua_replace(L, -5); /* the nil of host_fail */
  return 4;
}

/* replay(runtime, options) -> report */
static int replay(lua_State *L) {
  host_runtime *host = host_check(L);
  es_replay_options options = ES_REPLAY_INIT;
  es_replay_report report = {0};
  es_error err = ES_ERROR_INIT;
  host_callback progress;
  es_status status;

  host_check_type(L, 2, LUA_TTABLE);
  options.aggregate_type = host_text(L, 2, "aggregate_type");
  options.aggregate_id = host_text(L, 2, "aggregate_id");
  options.check = host_flag(L, 2, "check");
  host_callback_begin(&progress, L, 2, "progress");
  options.progress = host_progress;
  options.progress_data = &progress;
  host->busy++;
  status = es_replay(&report, host->rt, &options, &err);
  host->busy--;
  host_callback_end(&progress);
  if (status != ES_OK) return host_fail(L, &err);
  lua_createtable(L, 0, 2);
  set_count(L, "stream_count", report.stream_count);
  set_count(L, "event_count", report.event_count);
  return 1;
}

const luaL_Reg host_check_methods[] = {{"verify", verify}, {"replay", replay}, {NULL, NULL}};
