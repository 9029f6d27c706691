/* execute: the life of a command, from its parameters to one durable commit. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/execution.h"
#include "engine/fold.h"
#include "store/reply.h"

/* What the command at hand needs beside its execution. */
typedef struct attempt {
  es_execution execution;
  es_buf audit_text;
  es_buf reply_body;
  es_event *events;
} attempt;

static void attempt_free(attempt *self) {
  es__buf_free(&self->execution.params);
  es__buf_free(&self->execution.new_ids);
  es__buf_free(&self->execution.text);
  free(self->execution.decided);
  es__buf_free(&self->audit_text);
  es__buf_free(&self->reply_body);
  free(self->events);
}

static es_status check_names(const es_command *command, es_error *err) {
  es_status status;

  if (command->aggregate_type == NULL || command->aggregate_id == NULL ||
      command->command == NULL) {
    return es__fail(err, ES_ERR_USAGE, "bad_command",
                    "a command needs an aggregate type, an aggregate id and a name");
  }
  status = es__name_check(es__text(command->aggregate_type), "aggregate type", ES_TYPE_MAX, err);
  if (status == ES_OK)
    status = es__name_check(es__text(command->aggregate_id), "aggregate id", ES_ID_MAX, err);
  if (status == ES_OK)
    status = es__name_check(es__text(command->command), "command", ES_TYPE_MAX, err);
  if (status == ES_OK && command->idempotency_key != NULL) {
    status = es__name_check(es__text(command->idempotency_key), "idempotency key", ES_ID_MAX, err);
  }
  if (status == ES_OK && command->expected_version < ES_ANY_VERSION) {
    status = es__fail(err, ES_ERR_USAGE, "bad_command",
                      "expected version %lld: must be 0 or more, or ES_ANY_VERSION",
                      (long long)command->expected_version);
  }
  return status;
}

static void take_identity(es_execution *execution) {
  es_runtime *rt = execution->rt;
  const es_context *context = execution->context;

  if (context == NULL || context->correlation_id == NULL ||
      !es_id_parse(execution->correlation_id, context->correlation_id)) {
    es__id_new(&rt->ids,
               execution->correlation_id); /* the outermost command starts a correlation */
  }
  execution->has_causation = context != NULL && context->causation_id != NULL &&
                             es_id_parse(execution->causation_id, context->causation_id);
}

/* ---- committing ---- */

static void fill_event(es_event *out, const es_execution *execution, const es_decided *decided) {
  const char *text = execution->text.data;
  const es_context *context = execution->context;

  *out = (es_event){.tenant_id = execution->stream.tenant_id,
                    .aggregate_type = execution->stream.aggregate_type,
                    .aggregate_id = execution->stream.aggregate_id,
                    .event_type = {text + decided->event_type.offset, decided->event_type.length},
                    .schema_version = decided->schema_version,
                    .actor_id = es__text(context == NULL ? NULL : context->actor_id),
                    .has_causation = decided->has_causation,
                    .occurred_at = execution->now,
                    .data = {text + decided->data.offset, decided->data.length},
                    .metadata = {text + decided->metadata.offset, decided->metadata.length}};
  es__id_new(&execution->rt->ids, out->event_id);
  memcpy(out->correlation_id, decided->correlation_id, ES_ID_SIZE);
  memcpy(out->causation_id, decided->causation_id, ES_ID_SIZE);
}

/* Builds self->events from what was decided; a dry run ends here. */
static es_status build_events(attempt *self, es_error *err) {
  es_execution *execution = &self->execution;
  size_t count = execution->decided_count;
  es_event *events =
      realloc(self->events, (count + 1) * sizeof *events); /* one more for the audit */
  es_status status = ES_OK;

  if (events == NULL) return es__no_memory(err);
  self->events = events;
  for (size_t i = 0; i < count && status == ES_OK; i++) {
    fill_event(&events[i], execution, &execution->decided[i]);
    events[i].version = execution->version + (int64_t)i + 1;
    status = es__event_check(&events[i], err);
  }
  return status;
}

static es_status commit_decided(attempt *self, es_reply **out, es_error *err) {
  es_execution *execution = &self->execution;
  es_runtime *rt = execution->rt;
  const es_command *command = execution->command;
  es_condition condition = {execution->stream, execution->version};
  es_commit commit = {.now = es__now(rt), .fresh_ids = true};
  es_reply_record record;
  es_status status = build_events(self, err);

  if (status != ES_OK) return status;
  commit.events = self->events;
  commit.event_count = execution->decided_count;
  if (execution->rejected) {
    status = es__audit_event(&self->events[0], &self->audit_text, execution, ES_REJECTED_EVENT,
                             execution->code, err);
    if (status != ES_OK) return status;
    commit.event_count = 1;
  } else if (execution->decided_count > 0) {
    commit.conditions = &condition;
    commit.condition_count = 1;
  }
  if (command->idempotency_key != NULL) {
    status = es__reply_record(&record, &self->reply_body, execution, err);
    if (status != ES_OK) return status;
    commit.reply = &record;
  }
  if (commit.event_count > 0 || commit.reply != NULL) {
    es__domain_watch(rt->domain, false);
    status = es__store_append(rt->store, &commit, err);
    if (status != ES_OK) return status;
  }
  if (commit.duplicate) {
    status = es__reply_again(out, execution, &commit.existing, err);
    es__reply_record_free(&commit.existing);
    return status;
  }
  if (execution->rejected)
    return es__fail(err, ES_ERR_REJECTED, execution->code, "%s", execution->message);
  return es__reply_new(out, execution, self->events, execution->decided_count,
                       execution->version + (int64_t)execution->decided_count, err);
}

/* Records that a command was refused or failed, in a commit of its own. The outcome in *err stays what it was: when the
 * record cannot be written, that is said in its hint, since an unrecorded refusal is still a refusal. */
static void record_outcome(attempt *self, const char *type, const char *code, es_error *err) {
  es_execution *execution = &self->execution;
  es_error problem = ES_ERROR_INIT;
  es_event event;
  es_commit commit = {
      .events = &event, .event_count = 1, .now = es__now(execution->rt), .fresh_ids = true};

  if (execution->command->dry_run || execution->rt->read_only) return;
  es__domain_watch(execution->rt->domain, false);
  es_status status = es__audit_event(&event, &self->audit_text, execution, type, code, &problem);
  if (status == ES_OK) status = es__store_append(execution->rt->store, &commit, &problem);
  if (status == ES_OK) return;
  es__log(execution->rt, ES_LOG_ERROR, "audit_failed", "%s could not be recorded: %s", type,
          problem.message);
  es__hint(err, "and this could not be recorded: %s", problem.message);
}

/* ---- one attempt ---- */

static es_status authorize(attempt *self, es_error *err) {
  es_execution *execution = &self->execution;
  const es_context *context = execution->context;
  char why[ES_ERROR_MESSAGE_MAX] = "";
  es_error problem = ES_ERROR_INIT;
  es_status status = ES_OK;

  if (execution->rt->settings.require_actor && (context == NULL || context->actor_id == NULL)) {
    execution->allowed = false;
    strcpy(execution->code, "unauthenticated");
    strcpy(execution->message, "Authentication required");
  } else {
    status = es__execution_authorize(execution, &problem);
  }
  if (status != ES_OK && status != ES_ERR_LUA) {
    if (err != NULL) *err = problem;
    return status;
  }
  if (status == ES_ERR_LUA) { /* a rule that fails, or takes too long, allows nothing */
    memcpy(why, problem.message, sizeof why);
    execution->allowed = false;
    strcpy(execution->code, "rule_failed");
    strcpy(execution->message, "Access denied");
  }
  if (execution->allowed) return ES_OK;
  es__fail(err, ES_ERR_DENIED, execution->code, "%s", execution->message);
  if (why[0] != '\0') es__hint(err, "the rule failed: %s", why);
  if (strcmp(execution->code, "no_rule") == 0) {
    es__hint(err, "the command has no `allow` rule: add one to the module");
  }
  record_outcome(self, "$CommandDenied", execution->code, err);
  return ES_ERR_DENIED;
}

static es_status check_expected(const es_execution *execution, es_error *err) {
  int64_t expected = execution->command->expected_version;

  if (expected == ES_ANY_VERSION || expected == execution->version) return ES_OK;
  es_condition condition = {execution->stream, expected};
  return es__version_conflict(&condition, execution->version, err);
}

static es_status try_once(attempt *self, es_reply **out, es_error *err) {
  es_execution *execution = &self->execution;
  es_runtime *rt = execution->rt;
  es_fold fold = {.stream = execution->stream,
                  .module_hash = execution->module == NULL ? NULL : execution->module->hash};

  es__domain_watch(rt->domain, true); /* until something is stored */
  es_status status = es__fold(&fold, rt->domain, rt->store, err);

  if (status != ES_OK) return status;
  execution->version = fold.version;
  execution->met_at = fold.last_recorded_at;
  execution->met_bytes = fold.data_bytes;
  status = es__execution_start(execution, err);
  if (status == ES_OK && execution->version == 0) status = es__execution_missing(execution, err);
  if (status == ES_OK) status = authorize(self, err);
  if (status == ES_OK) status = check_expected(execution, err);
  if (status == ES_OK) status = es__execution_decide(execution, err);
  if (status != ES_OK) return status;
  if (execution->command->dry_run) {
    if (execution->rejected)
      return es__fail(err, ES_ERR_REJECTED, execution->code, "%s", execution->message);
    status = build_events(self, err);
    if (status != ES_OK) return status;
    return es__reply_new(out, execution, self->events, execution->decided_count,
                         execution->version + (int64_t)execution->decided_count, err);
  }
  return commit_decided(self, out, err);
}

/* Under contention somebody may always be first: then the command takes its turn before it looks, and decides with nobody
 * else writing. Whatever the outcome, what try_once() appended is whole, so that the transaction is committed. */
static es_status try_in_turn(attempt *self, es_reply **out, es_error *err) {
  es_store *store = self->execution.rt->store;
  es_status status = es__store_begin(store, err);

  if (status != ES_OK) return status;
  status = try_once(self, out, err);
  es_error problem = ES_ERROR_INIT;
  if (es__store_commit(store, &problem) != ES_OK) {
    es_reply_free(*out);
    *out = NULL;
    *err = problem;
    status = problem.status;
    es__fold_forget(self->execution.rt->domain);
  }
  return status;
}

/* A stored reply for the same key ends the matter before anything runs. */
static es_status find_reply(attempt *self, es_reply **out, bool *found, es_error *err) {
  es_execution *execution = &self->execution;
  es_reply_record scope, record;
  es_status status;

  *found = false;
  if (execution->command->idempotency_key == NULL) return ES_OK;
  status = es__reply_record(&scope, &self->reply_body, execution, err);
  if (status == ES_OK)
    status = es__store_find_reply(found, &record, execution->rt->store, scope.key, err);
  if (status != ES_OK || !*found) return status;
  status = es__reply_again(out, execution, &record, err);
  es__reply_record_free(&record);
  return status;
}

static int64_t day_of(int64_t time_us) {
  const int64_t day_us = INT64_C(86400) * 1000000;
  return time_us / day_us - (time_us % day_us < 0);
}

/* Whether what was just stored makes a snapshot due. Only what the command knows anyway is looked at, so that without a policy
 * nothing is. */
static bool makes_snapshot_due(const attempt *self, const es_reply *reply) {
  const es_execution *execution = &self->execution;
  const es_snapshot_policy *policy = &execution->module->snapshot;
  int64_t count = (int64_t)execution->decided_count, met = execution->version;
  int64_t bytes = execution->met_bytes;

  if (execution->command->dry_run || reply->replayed || count == 0) return false;
  if (policy->every > 0 && (met + count) / policy->every > met / policy->every) return true;
  for (size_t i = 0; i < execution->decided_count; i++)
    bytes += (int64_t)execution->decided[i].data.length;
  if (policy->bytes > 0 && bytes >= policy->bytes) return true;
  return policy->daily && met > 0 &&
         day_of(self->events[count - 1].recorded_at) != day_of(execution->met_at);
}

/* Which aggregate and command a Lua error belongs to; the fold has named the stream's event already. */
static void name_command(es_error *err, const es_command *command) {
  es__wrap(err, "%s/%s %s", command->aggregate_type, command->aggregate_id, command->command);
}

es_status es_execute(es_reply **out, es_runtime *rt, const es_command *given, es_error *err) {
  es_command known = ES_COMMAND_INIT, *command = &known;
  attempt self = {.execution = {.rt = rt, .command = command}};
  es_execution *execution = &self.execution;
  es_status status;
  bool found = false;
  int left;
  es_error unseen = ES_ERROR_INIT;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (err == NULL) err = &unseen; /* the log and $audit tell it all the same */
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__take_options(command, given, sizeof known, "ES_COMMAND_INIT", err);
  if (status == ES_OK) status = check_names(command, err);
  if (status != ES_OK) return status;
  left = command->expected_version == ES_ANY_VERSION ? rt->conflict_retries : 0;
  if (rt->execution != NULL) {
    return es__fail(err, ES_ERR_USAGE, "nested_command",
                    "a command is running: commands do not nest");
  }
  if (rt->read_only && !command->dry_run) {
    es__fail(err, ES_ERR_STORE, "read_only", "the store was opened read-only");
    es__hint(err, "open it for writing, or use a dry run");
    return ES_ERR_STORE;
  }
  execution->context = es__context_retain(rt->context);
  execution->stream = (es_stream_name){es__tenant(rt), es__text(command->aggregate_type),
                                       es__text(command->aggregate_id)};
  rt->execution = execution;
  execution->now = es__now(rt);
  execution->module = es__modules_aggregate(&rt->modules, execution->stream.aggregate_type);
  take_identity(execution);
  es__domain_watch(rt->domain, true);
  status = es__execution_params(execution, err);
  if (status == ES_OK) status = find_reply(&self, out, &found, err);
  if (status == ES_OK && !found) {
    while ((status = try_once(&self, out, err)) == ES_ERR_CONFLICT && left-- > 0) {
      es__error_clear(err); /* another attempt may succeed */
      if (left == 0 && !rt->in_transaction) {
        status = try_in_turn(&self, out, err);
        break;
      }
    }
  }
  if (status != ES_OK) {
    es__log(rt, status == ES_ERR_LUA || status == ES_ERR_STORE ? ES_LOG_ERROR : ES_LOG_INFO,
            err->code, "%s/%s %s: %s", command->aggregate_type, command->aggregate_id,
            command->command, err->message);
  }
  if (status == ES_ERR_LUA) {
    name_command(err, command);
    record_outcome(&self, "$CommandFailed", err->code, err);
  }
  rt->execution = NULL;
  es__domain_watch(rt->domain, false);
  if (status == ES_OK && makes_snapshot_due(&self, *out)) es__snapshot_due(rt, &execution->stream);
  es__context_release(execution->context);
  attempt_free(&self);
  es__checkpoint_if_due(rt);
  return status;
}

es_status es_transaction_begin(es_runtime *rt, es_error *err) {
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  es_status status = es__store_begin(rt->store, err);

  if (status == ES_OK) rt->in_transaction = true;
  return status;
}

es_status es_transaction_commit(es_runtime *rt, es_error *err) {
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  rt->in_transaction = false;
  es_status status = es__store_commit(rt->store, err);
  if (status != ES_OK) es__fold_forget(rt->domain);
  es__snapshots_after_transaction(rt, status == ES_OK);
  es__checkpoint_if_due(rt);
  return status;
}

void es_transaction_rollback(es_runtime *rt) {
  if (es__refuse_thread(rt, "es_transaction_rollback")) return;
  rt->in_transaction = false;
  es__store_rollback(rt->store);
  es__fold_forget(rt->domain); /* kept states may hold what was undone */
  es__snapshots_after_transaction(rt, false);
}
