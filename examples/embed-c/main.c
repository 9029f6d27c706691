/* embed-c: a host program with esrun inside. It acts for several users on the document example, is refused twice, and
 * reads the audit log back. Usage: embed_c PROJECT STORE. Knows esrun.h only. */
#include <esrun.h>
#include <stdio.h>

/* Runs one command as `actor` (ES_NONE: nobody) and says what came of it: a refusal is an answer, not a crash. */
static es_status act(es_runtime *rt, const char *actor, const char *role, const char *command,
                     const char *params_json, es_error *err) {
  es_frame frame = ES_FRAME_INIT;
  es_command request = ES_COMMAND_INIT;
  es_reply *reply = NULL;
  es_token token = {0};
  es_status status;

  frame.actor_id = actor;
  frame.roles = &role;
  frame.role_count = role == NULL ? 0 : 1;
  status = es_context_enter(&token, rt, &frame, err);
  if (status != ES_OK) return status;

  request.aggregate_type = "Document";
  request.aggregate_id = "meeting-notes";
  request.command = command;
  request.params_json = params_json;
  status = es_execute(&reply, rt, &request, err);
  if (status == ES_OK) {
    printf("%s: version %lld, %zu event\n", command, (long long)es_reply_version(reply),
           es_reply_count(reply));
  } else if (status == ES_ERR_REJECTED || status == ES_ERR_DENIED) {
    printf("%s: %s: %s\n", command, es_status_name(status), err->message);
    status = ES_OK;
  }
  es_reply_free(reply);
  if (status != ES_OK) {
    es_context_leave(rt, token, NULL); /* the first error is the one to report */
    return status;
  }
  return es_context_leave(rt, token, err);
}

static bool print_row(void *data, const char *row, size_t length) {
  (void)data;
  printf("%.*s\n", (int)length, row);
  return true;
}

int main(int argc, char **argv) {
  es_error err = ES_ERROR_INIT;
  es_options options = ES_OPTIONS_INIT;
  es_runtime *rt = NULL;
  es_status status;

  if (argc != 3) {
    fprintf(stderr, "usage: %s PROJECT STORE\n", argv[0]);
    return ES_ERR_USAGE;
  }
  options.project_path = argv[1];
  options.store_path = argv[2];
  if ((status = es_open(&rt, &options, &err)) != ES_OK) goto done;

  status = act(rt, "user:alice", NULL, "create",
               "{\"title\": \"Meeting Notes\", \"content\": \"Agenda\"}", &err);
  if (status != ES_OK) goto done;
  status = act(rt, "user:bob", "editor", "edit", "{\"new_content\": \"Agenda and minutes\"}", &err);
  if (status != ES_OK) goto done;
  /* Rejected: the domain says no. Denied: no rule lets this actor do it. Both are recorded. */
  status = act(rt, "user:alice", NULL, "create",
               "{\"title\": \"Meeting Notes\", \"content\": \"Again\"}", &err);
  if (status != ES_OK) goto done;
  status = act(rt, "user:carol", NULL, "edit", "{\"new_content\": \"Mine now\"}", &err);
  if (status != ES_OK) goto done;

  if ((status = es_project(rt, NULL, NULL, NULL, &err)) != ES_OK) goto done;
  status = es_query(rt, "audit_log", "by_aggregate",
                    "{\"aggregate_type\": \"Document\", \"aggregate_id\": \"meeting-notes\"}",
                    print_row, NULL, &err);

done:
  if (status != ES_OK) {
    fprintf(stderr, "embed_c: %s\n", err.message);
    if (err.hint[0] != '\0') fprintf(stderr, "hint: %s\n", err.hint);
  }
  es_close(rt);
  return status;
}
