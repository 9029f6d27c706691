/* projection_query: named queries of a projection, for one tenant, as JSON objects. Knows SQL and JSON; no Lua. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/projection_parts.h"
#include "json/writer.h"

static void add_names(es_buf *out, const es_projection_column *params, size_t count) {
  for (size_t i = 0; i < count; i++)
    es__buf_format(out, "%s%s", i == 0 ? "" : ", ", params[i].name);
  if (count == 0) es__buf_text(out, "none");
}

static es_status unknown_query(const es_projection *projection, const char *name, es_error *err) {
  es_buf names = {0};

  for (size_t i = 0; i < projection->query_count; i++)
    es__buf_format(&names, "%s%s", i == 0 ? "" : ", ", projection->queries[i].name);
  es__fail(err, ES_ERR_NOT_FOUND, "unknown_query", "projection %s has no query %s",
           projection->name, name);
  es__hint(err, "its queries: %s", names.length > 0 ? names.data : "none");
  es__buf_free(&names);
  return ES_ERR_NOT_FOUND;
}

static const es_projection_sql *find_query(const es_projection *projection, const char *name) {
  for (size_t i = 0; i < projection->query_count; i++) {
    if (strcmp(projection->queries[i].name, name) == 0) return &projection->queries[i];
  }
  return NULL;
}

static es_status check_param_names(const es_projection_sql *query, const es_json_value *params,
                                   es_error *err) {
  if (params->kind != ES_JSON_OBJECT_BEGIN)
    return es__fail(err, ES_ERR_USAGE, "bad_parameter", "parameters must be a JSON object");
  for (size_t i = 0; i < params->count; i++) {
    bool known = false;
    for (size_t j = 0; j < query->param_count; j++) {
      const char *name = query->params[j].name;
      known = known || (strlen(name) == params->keys[i].length &&
                        memcmp(name, params->keys[i].data, params->keys[i].length) == 0);
    }
    if (!known) {
      es_buf names = {0};
      add_names(&names, query->params, query->param_count);
      es__fail(err, ES_ERR_USAGE, "unknown_parameter", "query %s has no parameter %.*s",
               query->name, (int)params->keys[i].length, params->keys[i].data);
      es__hint(err, "its parameters: %s", names.failed ? "?" : names.data);
      es__buf_free(&names);
      return ES_ERR_USAGE;
    }
  }
  return ES_OK;
}

static es_status bind_params(sqlite3_stmt *statement, const es_projection_sql *query,
                             const char *params_json, es_error *err) {
  es_json_document *document = NULL;
  es_status status;

  if (params_json == NULL) params_json = "{}";
  status = es__json_parse(&document, params_json, strlen(params_json), err);
  if (status == ES_OK) status = check_param_names(query, es__json_root(document), err);
  for (size_t i = 0; i < query->param_count && status == ES_OK; i++) {
    char name[ES_ERROR_CODE_MAX * 2];
    snprintf(name, sizeof name, ":%s", query->params[i].name);
    status = es__column_bind_json(
        statement, sqlite3_bind_parameter_index(statement, name), &query->params[i],
        es__json_member(es__json_root(document), query->params[i].name), err);
  }
  es__json_document_free(document);
  return status;
}

static es_status write_row(es_buf *out, sqlite3_stmt *statement,
                           const es_projection_column *const *types, es_error *err) {
  int count = sqlite3_column_count(statement);

  es__buf_clear(out);
  es__buf_byte(out, '{');
  for (int i = 0; i < count; i++) {
    const char *name = sqlite3_column_name(statement, i);
    if (name == NULL) return es__no_memory(err);
    es__json_write_key(out, name);
    if (!es__column_write_json(out, statement, i, types[i]))
      return es__fail(err, ES_ERR_OTHER, "not_json",
                      "column %s holds what JSON cannot say (bytes or no finite number)", name);
  }
  es__buf_byte(out, '}');
  return out->failed ? es__no_memory(err) : ES_OK;
}

static es_status run(es_projection_file *file, const es_projection_sql *query,
                     const char *params_json, es_row row, void *row_data, es_error *err) {
  const es_projection_column **types = NULL;
  sqlite3_stmt *statement = NULL;
  es_buf text = {0};
  int code = SQLITE_DONE;
  es_status status = es__projection_file_prepare(&statement, file, query->sql, ES_SQL_QUERY, err);

  if (status == ES_OK) status = bind_params(statement, query, params_json, err);
  if (status == ES_OK) {
    size_t count = (size_t)sqlite3_column_count(statement);
    types = calloc(count + 1, sizeof *types);
    if (types == NULL) status = es__no_memory(err);
    for (size_t i = 0; types != NULL && i < count; i++)
      types[i] = es__projection_result_column(file->projection, statement, (int)i);
  }
  es__projection_sql_arm(file, ES_SQL_QUERY);
  while (status == ES_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    status = write_row(&text, statement, types, err);
    if (status == ES_OK && !row(row_data, text.data, text.length)) {
      code = SQLITE_DONE;
      break;
    }
  }
  if (status == ES_OK && code == SQLITE_INTERRUPT) {
    status = es__fail(err, ES_ERR_OTHER, "query_limit", "the query takes too long");
    es__hint(err, "declare an index over the columns it compares and orders by");
  } else if (status == ES_OK && code != SQLITE_DONE) {
    status = (code & 0xff) == SQLITE_ERROR || (code & 0xff) == SQLITE_MISMATCH
                 ? es__fail(err, ES_ERR_USAGE, "query_failed", "%s", sqlite3_errmsg(file->db))
                 : es__projection_sqlite_error(file->db, code, query->name, err);
  }
  sqlite3_finalize(statement);
  free(types);
  es__buf_free(&text);
  return status;
}

es_status es__projections_query(es_projections *projections, const char *projection,
                                const char *query, es_text tenant_id, const char *params_json,
                                es_row row, void *row_data, es_error *err) {
  es_projection *found;
  const es_projection_sql *sql;
  es_status status = es__projections_find(&found, projections, projection, err);

  if (status != ES_OK) return status;
  sql = find_query(found, query);
  if (sql == NULL) return unknown_query(found, query, err);
  status = es__projection_use_current(found, false, err);
  if (status != ES_OK) return status;
  if (!found->file->schema_matches) {
    es__fail(err, ES_ERR_OTHER, "rebuild_needed",
             "projection %s was built with other tables than it declares now", projection);
    es__hint(err, "build it again: esrun project rebuild %s", projection);
    return ES_ERR_OTHER;
  }
  found->file->tenant_id = tenant_id;
  status = run(found->file, sql, params_json, row, row_data, err);
  found->file->tenant_id = es__text(NULL);
  if (status != ES_OK) es__wrap(err, "projection %s, query %s", projection, query);
  return status;
}
