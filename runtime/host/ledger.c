/* ledger: keys, checkpoints and proofs from Lua. */
#include <string.h>

#include "host/host.h"

enum { LIST_MAX = 32 };

/* A list of texts at index: their addresses live as long as the list stays as it is. */
static size_t texts(lua_State *L, int index, const char *out[LIST_MAX]) {
  size_t count;

  if (lua_isnoneornil(L, index)) return 0;
  host_check_type(L, index, LUA_TTABLE);
  count = lua_rawlen(L, index);
  if (count > LIST_MAX) host_error(L, "at most %d are taken", LIST_MAX);
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
      host_error(L, "a list of strings is expected");
    out[i] = lua_tostring(L, -1);
    lua_pop(L, 1); /* the list keeps it */
  }
  return count;
}

/* { path = …, text = …, passphrase = … } at the top of the stack. */
static es_signing_key signing_key(lua_State *L) {
  int index = lua_absindex(L, -1);
  es_signing_key key = {0};

  host_check_type(L, index, LUA_TTABLE);
  key.path = host_text(L, index, "path");
  key.text = host_text(L, index, "text");
  key.passphrase = host_text(L, index, "passphrase");
  return key;
}

/* keygen { name, path, passphrase } -> vkey */
int host_keygen(lua_State *L) {
  es_keygen_options options = ES_KEYGEN_INIT;
  es_error err = ES_ERROR_INIT;
  char **box;
  es_status status;

  host_check_type(L, 1, LUA_TTABLE);
  options.name = host_text(L, 1, "name");
  options.path = host_text(L, 1, "path");
  options.passphrase = host_text(L, 1, "passphrase");
  box = host_push_text(L);
  status = es_keygen(box, &options, &err);
  if (status != ES_OK) return host_fail(L, &err);
  lua_pushstring(L, *box);
  return 1;
}

/* key_public { path, text, passphrase } -> vkey */
int host_key_public(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  es_signing_key key;
  char **box;

  lua_settop(L, 1);
  key = signing_key(L);
  box = host_push_text(L);
  if (es_key_public(box, &key, &err) != ES_OK) return host_fail(L, &err);
  lua_pushstring(L, *box);
  return 1;
}

/* sign_detached({ path, text, passphrase }, bytes) -> signature, public key */
int host_sign_detached(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  es_signing_key key;
  size_t length, signature_length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  char **signature, **public_key;

  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  key = signing_key(L);
  signature = host_push_text(L);
  public_key = host_push_text(L);
  if (es_sign_detached(signature, &signature_length, public_key, &key, bytes, length, &err) !=
      ES_OK)
    return host_fail(L, &err);
  lua_pushlstring(L, *signature, signature_length);
  lua_pushstring(L, *public_key);
  return 2;
}

/* verify_proof { proof, keys, event, older } -> result */
int host_verify_proof(lua_State *L) {
  es_proof_check check = ES_PROOF_CHECK_INIT;
  const char *keys[LIST_MAX];
  es_error err = ES_ERROR_INIT;
  char **box;

  host_check_type(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "proof");
  check.proof = luaL_checklstring(L, -1, &check.proof_length);
  lua_getfield(L, 1, "keys");
  check.key_count = texts(L, lua_gettop(L), keys);
  check.keys = keys;
  check.event_json = host_text(L, 1, "event");
  check.older = host_text(L, 1, "older");
  box = host_push_text(L);
  return host_push_result(L, es_verify_proof(box, &check, &err), box, false, &err);
}

/* Member `keys` of the table at 2: { { path … } … }. The texts stay on the stack. */
static size_t signing_keys(lua_State *L, es_signing_key out[LIST_MAX]) {
  size_t count;

  host_check_type(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 4 * LIST_MAX, NULL);
  lua_getfield(L, 2, "keys");
  host_check_type(L, -1, LUA_TTABLE);
  int list = lua_gettop(L);
  count = lua_rawlen(L, list);
  if (count > LIST_MAX) host_error(L, "at most %d keys are taken", LIST_MAX);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    out[i] = signing_key(L);
  }
  return count;
}

static int consult_body(lua_State *L) { /* function, store id, host, options */
  host_runtime *host = lua_touserdata(L, 3);
  es_verify_options *options = lua_touserdata(L, 4);

  lua_settop(L, 2);
  lua_call(L, 1, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, 1); /* host_verify_evidence() looks at 2 */
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host->evidence); /* its texts are used after this */
  host_verify_evidence(L, options, &host->evidence);
  return 0;
}

/* What the function answers; raising is having no answer. */
static bool consult(void *data, const char *store_id, es_verify_options *options) {
  host_runtime *host = data;
  lua_State *L = host->L;
  bool done;

  if (!lua_checkstack(L, 6)) return false;
  lua_pushcfunction(L, consult_body);
  lua_rawgeti(L, LUA_REGISTRYINDEX, host->consult_ref);
  lua_pushstring(L, store_id);
  lua_pushlightuserdata(L, host);
  lua_pushlightuserdata(L, options);
  host->busy++;
  done = lua_pcall(L, 4, 0, 0) == LUA_OK;
  host->busy--;
  if (!done) lua_pop(L, 1);
  return done;
}

/* Member `evidence` of the table at 2: a function, or nil. Answers its reference. */
static int evidence_function(lua_State *L) {
  if (lua_getfield(L, 2, "evidence") == LUA_TNIL) return LUA_NOREF;
  luaL_checktype(L, -1, LUA_TFUNCTION);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* checkpoint(runtime, { keys, memory, evidence }) -> note */
static int checkpoint(lua_State *L) {
  host_runtime *host = host_check(L);
  es_checkpoint_options options = ES_CHECKPOINT_INIT;
  es_signing_key keys[LIST_MAX];
  es_error err = ES_ERROR_INIT;
  char **box;

  options.key_count = signing_keys(L, keys);
  options.keys = keys;
  options.memory_path = host_text(L, 2, "memory");
  options.replace_lost_key = host_flag(L, 2, "replace_lost_key");
  options.accept_rollback = host_flag(L, 2, "accept_rollback");
  box = host_push_text(L);
  int policy_ref = host->consult_ref;
  host->consult_ref = evidence_function(L);
  if (host->consult_ref != LUA_NOREF) options.consult = consult;
  options.consult_data = host;
  es_status status = es_checkpoint(box, host->rt, &options, &err);
  luaL_unref(L, LUA_REGISTRYINDEX, host->consult_ref);
  host->consult_ref = policy_ref;
  if (status != ES_OK) return host_fail(L, &err);
  lua_pushstring(L, *box);
  return 1;
}

static int deliver_body(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 2));
  lua_replace(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

/* The function's answer; raising is answering no. */
static bool deliver(void *data, const char *note) {
  host_runtime *host = data;
  lua_State *L = host->L;
  bool done;

  if (!lua_checkstack(L, 6)) return false;
  lua_pushcfunction(L, deliver_body);
  lua_rawgeti(L, LUA_REGISTRYINDEX, host->deliver_ref);
  lua_pushlightuserdata(L, (char *)note);
  host->busy++;
  done = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  host->busy--;
  lua_pop(L, 1);
  return done;
}

/* checkpoint_every(runtime, { events, seconds, keys, memory, evidence, deliver }) -> true; once for a runtime */
static int checkpoint_every(lua_State *L) {
  host_runtime *host = host_check(L);
  es_checkpoint_policy policy = ES_CHECKPOINT_POLICY_INIT;
  es_signing_key keys[LIST_MAX];
  es_error err = ES_ERROR_INIT;

  policy.key_count = signing_keys(L, keys);
  policy.keys = keys;
  policy.events = host_integer(L, 2, "events", 0);
  policy.seconds = host_integer(L, 2, "seconds", 0);
  policy.memory_path = host_text(L, 2, "memory");
  if (lua_getfield(L, 2, "deliver") != LUA_TNIL && host->deliver_ref == LUA_NOREF) {
    host_check_type(L, -1, LUA_TFUNCTION);
    host->deliver_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    policy.deliver = deliver;
    policy.deliver_data = host;
  }
  if (host->consult_ref == LUA_NOREF) host->consult_ref = evidence_function(L);
  if (host->consult_ref != LUA_NOREF) policy.consult = consult;
  policy.consult_data = host;
  if (es_checkpoint_every(host->rt, &policy, &err) != ES_OK) return host_fail(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

/* prove(runtime, { event_id } or { from, to }) -> proof */
static int prove(lua_State *L) {
  host_runtime *host = host_check(L);
  es_prove_options options = ES_PROVE_INIT;
  es_error err = ES_ERROR_INIT;
  char **box;

  host_check_type(L, 2, LUA_TTABLE);
  options.event_id = host_text(L, 2, "event_id");
  options.from = host_integer(L, 2, "from", 0);
  options.to = host_integer(L, 2, "to", 0);
  box = host_push_text(L);
  if (es_prove(box, host->rt, &options, &err) != ES_OK) return host_fail(L, &err);
  lua_pushstring(L, *box);
  return 1;
}

/* Fills what verify looks at beside the store; the texts stay on the stack. */
void host_verify_evidence(lua_State *L, es_verify_options *options, host_evidence *evidence) {
  luaL_checkstack(L, 4 * LIST_MAX, NULL);
  lua_getfield(L, 2, "keys");
  options->key_count = texts(L, lua_gettop(L), evidence->keys);
  options->keys = evidence->keys;
  options->memory_path = host_text(L, 2, "memory");
  options->jobs = host_int(L, 2, "jobs", 0);
  options->since_checkpoint = host_flag(L, 2, "since_checkpoint");
  options->anchors = evidence->anchors;
  if (lua_getfield(L, 2, "anchors") == LUA_TNIL) return;
  host_check_type(L, -1, LUA_TTABLE);
  int list = lua_gettop(L);
  options->anchor_count = lua_rawlen(L, list);
  if (options->anchor_count > LIST_MAX) host_error(L, "at most %d anchors are taken", LIST_MAX);
  for (size_t i = 0; i < options->anchor_count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    host_check_type(L, -1, LUA_TTABLE);
    int anchor = lua_gettop(L);
    evidence->anchors[i].name = host_text(L, anchor, "name");
    evidence->anchors[i].note = host_text(L, anchor, "note");
    if (evidence->anchors[i].name == NULL || evidence->anchors[i].note == NULL)
      host_error(L, "an anchor is { name = …, note = … }");
  }
}

const luaL_Reg host_ledger_methods[] = {{"checkpoint", checkpoint},
                                        {"checkpoint_every", checkpoint_every},
                                        {"prove", prove},
                                        {NULL, NULL}};
