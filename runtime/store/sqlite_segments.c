/* sqlite_segments: the table of segments, finding their files, and an archived event's texts from them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "store/archive.h"
#include "store/sqlite.h"
#include "json/writer.h"

#define COLUMNS                                                                                    \
  "first, last, file, folder, sha256, file_bytes, text_bytes, created_at, frames, checksum"

struct es_sqlite_archive {
  char *folder;       /* looked in first; NULL: the one beside the store */
  es_segment segment; /* that was read from last */
  es_segment_reader *reader;
};

static void close_reader(es_sqlite_archive *archive) {
  es__segment_reader_free(archive->reader);
  archive->reader = NULL;
  es__segment_clear(&archive->segment);
}

void es__sqlite_archive_forget(es_sqlite *store) {
  if (store->archive != NULL) close_reader(store->archive);
}

void es__sqlite_archive_free(es_sqlite *store) {
  if (store->archive == NULL) return;
  close_reader(store->archive);
  free(store->archive->folder);
  free(store->archive);
}

static es_status archive_of(es_sqlite_archive **out, es_sqlite *store, es_error *err) {
  if (store->archive == NULL) store->archive = calloc(1, sizeof *store->archive);
  *out = store->archive;
  return *out == NULL ? es__no_memory(err) : ES_OK;
}

/* ---- Rows ---- */

/* Over everything in the row. */
static es_status checksum_of(uint8_t out[ES_HASH_SIZE], es_sqlite *store, const es_segment *segment,
                             es_error *err) {
  es_buf text = {0};

  es__buf_format(&text, "%lld\n%lld\n%lld\n%lld\n%lld\n%s\n%s\n", (long long)segment->first,
                 (long long)segment->last, (long long)segment->file_bytes,
                 (long long)segment->text_bytes, (long long)segment->created_at, segment->name,
                 segment->folder == NULL ? "" : segment->folder);
  es__buf_add(&text, segment->sha256, ES_HASH_SIZE);
  es_status status = text.failed ? es__no_memory(err)
                                 : es__sha256(store->base.chain, out, text.data, text.length,
                                              segment->frames.data, segment->frames.length, err);
  es__buf_free(&text);
  return status;
}

static es_status fail_row(es_sqlite *store, int64_t first, es_error *err) {
  return es__sqlite_damage(store, first, "segment", err,
                           "the row of the segment that begins there does not agree with its "
                           "checksum");
}

/* Reads COLUMNS. A row that does not agree with its checksum is ES_ERR_INTEGRITY. */
static es_status take_row(es_segment *out, es_sqlite *store, sqlite3_stmt *row, es_error *err) {
  uint8_t stored[ES_HASH_SIZE], computed[ES_HASH_SIZE];
  es_text name = es__sqlite_text(row, 2), folder = es__sqlite_text(row, 3);

  *out = (es_segment){.first = sqlite3_column_int64(row, 0),
                      .last = sqlite3_column_int64(row, 1),
                      .file_bytes = sqlite3_column_int64(row, 5),
                      .text_bytes = sqlite3_column_int64(row, 6),
                      .created_at = sqlite3_column_int64(row, 7)};
  if (out->first < 1 || out->last < out->first || out->last == INT64_MAX || name.data == NULL ||
      name.length >= sizeof out->name || memchr(name.data, '/', name.length) != NULL ||
      !es__sqlite_blob(out->sha256, row, 4, ES_HASH_SIZE) ||
      !es__sqlite_blob(stored, row, 9, ES_HASH_SIZE))
    return fail_row(store, out->first, err);
  memcpy(out->name, name.data, name.length);
  if (folder.length > 0) out->folder = es__text_copy(folder);
  es__buf_add(&out->frames, sqlite3_column_blob(row, 8), (size_t)sqlite3_column_bytes(row, 8));
  if ((folder.length > 0 && out->folder == NULL) || out->frames.failed) return es__no_memory(err);
  es_status status = checksum_of(computed, store, out, err);
  if (status == ES_OK && memcmp(stored, computed, ES_HASH_SIZE) != 0)
    status = fail_row(store, out->first, err);
  return status;
}

es_status es__sqlite_add_segment(es_store *base, const es_segment *segment, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  uint8_t checksum[ES_HASH_SIZE];
  sqlite3_stmt *add;
  int64_t last =
      es__sqlite_ask_integer(store->db, "SELECT coalesce(max(last), 0) FROM segments", -1);

  if (segment->first != last + 1) {
    es__fail(err, ES_ERR_CONFLICT, "archived",
             "positions up to %lld were archived meanwhile, so that position %lld does not follow",
             (long long)last, (long long)segment->first);
    es__hint(err, "try again: what is archived stays so");
    return ES_ERR_CONFLICT;
  }
  es_status status = checksum_of(checksum, store, segment, err);
  if (status == ES_OK) status = es__sqlite_statement(&add, store, ES_SQL_SEGMENT_ADD, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int64(add, 1, segment->first);
  sqlite3_bind_int64(add, 2, segment->last);
  sqlite3_bind_text(add, 3, segment->name, -1, SQLITE_STATIC);
  sqlite3_bind_text(add, 4, segment->folder == NULL ? "" : segment->folder, -1, SQLITE_STATIC);
  sqlite3_bind_blob(add, 5, segment->sha256, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 6, segment->file_bytes);
  sqlite3_bind_int64(add, 7, segment->text_bytes);
  sqlite3_bind_int64(add, 8, segment->created_at);
  sqlite3_bind_blob64(add, 9, segment->frames.data, segment->frames.length, SQLITE_STATIC);
  sqlite3_bind_blob(add, 10, checksum, ES_HASH_SIZE, SQLITE_STATIC);
  status = es__sqlite_inserted(store, sqlite3_step(add), 1, "recording a segment", err);
  sqlite3_reset(add);
  sqlite3_clear_bindings(add);
  return status;
}

/* ---- Files ---- */

es_status es__sqlite_archive_folder(char **out, es_store *base, es_error *err) {
  const es_sqlite *store = (const es_sqlite *)base;
  es_buf folder = {0};

  /* SQLite's name of the file is absolute: the program may have gone elsewhere since it was opened. */
  es__buf_format(&folder, "%s-archive", sqlite3_db_filename(store->db, "main"));
  *out = es__buf_take(&folder, NULL);
  return *out == NULL ? es__no_memory(err) : ES_OK;
}

es_status es__sqlite_look_in(es_store *base, const char *folder, es_error *err) {
  es_sqlite_archive *archive;
  es_status status = archive_of(&archive, (es_sqlite *)base, err);

  if (status != ES_OK) return status;
  close_reader(archive);
  free(archive->folder);
  archive->folder = strdup(folder);
  return archive->folder == NULL ? es__no_memory(err) : ES_OK;
}

/* The folder that is looked in first; freed by the caller. */
static es_status first_folder(char **out, es_sqlite *store, es_error *err) {
  if (store->archive == NULL || store->archive->folder == NULL)
    return es__sqlite_archive_folder(out, &store->base, err);
  *out = strdup(store->archive->folder);
  return *out == NULL ? es__no_memory(err) : ES_OK;
}

/* *out is where the segment's file is, freed by the caller, or NULL. */
static es_status find_file(char **out, es_sqlite *store, const es_segment *segment, es_error *err) {
  char *folders[2] = {NULL, NULL};
  es_status status = first_folder(&folders[0], store, err);

  *out = NULL;
  if (status == ES_OK && segment->folder != NULL) folders[1] = strdup(segment->folder);
  for (int i = 0; i < 2 && *out == NULL; i++) {
    es_buf path = {0};
    if (folders[i] == NULL) continue;
    es__buf_format(&path, "%s/%s", folders[i], segment->name);
    *out = es__buf_take(&path, NULL);
    if (*out == NULL) {
      status = es__no_memory(err);
    } else if (access(*out, F_OK) != 0) {
      free(*out);
      *out = NULL;
    }
  }
  free(folders[0]);
  free(folders[1]);
  return status;
}

static es_status fail_missing(es_sqlite *store, const es_segment *segment, int64_t position,
                              es_error *err) {
  char *folder;
  es_status status = first_folder(&folder, store, err);

  if (status != ES_OK) return status;
  es__fail(err, ES_ERR_STORE, "segment_missing",
           "%s: event %lld is archived, and its segment %s is not at hand", store->path,
           (long long)position, segment->name);
  es__hint(err, "put the file back into %s%s%s", folder, segment->folder == NULL ? "" : " or ",
           segment->folder == NULL ? "" : segment->folder);
  if (err != NULL) err->position = position;
  free(folder);
  return ES_ERR_STORE;
}

/* ---- One event ---- */

static es_status find_row(es_segment *out, es_sqlite *store, int64_t position, es_error *err) {
  sqlite3_stmt *row;
  es_status status = es__sqlite_statement(&row, store, ES_SQL_SEGMENT_FIND, err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(row, 1, position);
  int rc = sqlite3_step(row);
  if (rc == SQLITE_ROW) {
    status = take_row(out, store, row, err);
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "looking for a segment", err);
  }
  sqlite3_reset(row);
  if (status == ES_OK && (rc == SQLITE_DONE || out->last < position))
    status = es__sqlite_damage(store, position, "segment", err,
                               "it has no texts, and no segment has its position");
  return status;
}

static bool has_position(const es_segment *segment, int64_t position) {
  return position >= segment->first && position <= segment->last;
}

/* A row never changes, but a file that was away may be back. */
static es_status open_segment(es_sqlite_archive *archive, es_sqlite *store, int64_t position,
                              es_error *err) {
  es_status status = ES_OK;
  char *path = NULL;

  if (!has_position(&archive->segment, position)) {
    close_reader(archive);
    status = find_row(&archive->segment, store, position, err);
    if (status != ES_OK) es__segment_clear(&archive->segment);
  }
  if (status == ES_OK) status = find_file(&path, store, &archive->segment, err);
  if (status == ES_OK && path != NULL) {
    status = es__segment_open(&archive->reader, &archive->segment, path, err);
    if (status == ES_ERR_NOT_FOUND) status = ES_OK; /* gone between the two looks */
  }
  if (status == ES_OK && archive->reader == NULL)
    status = fail_missing(store, &archive->segment, position, err);
  free(path);
  return status;
}

static es_status check_line(es_sqlite *store, const es_event *line, const es_event *event,
                            es_error *err) {
  uint8_t hash[ES_HASH_SIZE];
  es_status status = es__chain_hash(store->base.chain, hash, line, err);

  if (status != ES_OK || (memcmp(hash, event->hash, ES_HASH_SIZE) == 0 &&
                          memcmp(line->hash, event->hash, ES_HASH_SIZE) == 0))
    return status;
  es__fail(err, ES_ERR_INTEGRITY, "segment",
           "%s: the segment %s has another event at position %lld", store->path,
           store->archive->segment.name, (long long)event->position);
  es__hint(err, "the file was changed, or is of another store: put back the one that was written");
  if (err != NULL) err->position = event->position;
  return ES_ERR_INTEGRITY;
}

es_status es__sqlite_fetch(es_event *event, es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  const es_event *line = NULL;
  es_sqlite_archive *archive;
  es_status status = archive_of(&archive, store, err);

  if (status != ES_OK) return status;
  if (archive->reader == NULL || !has_position(&archive->segment, event->position))
    status = open_segment(archive, store, event->position, err);
  if (status == ES_OK) status = es__segment_read(&line, archive->reader, event->position, err);
  if (status == ES_OK) status = check_line(store, line, event, err);
  if (status != ES_OK) return status;
  event->data = line->data;
  event->metadata = line->metadata;
  return ES_OK;
}

es_status es__sqlite_replace_texts(es_store *base, int64_t position, es_text data, es_text metadata,
                                   es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *replace;
  es_status status = es__sqlite_statement(&replace, store, ES_SQL_TEXTS_REPLACE, err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(replace, 1, position);
  sqlite3_bind_text64(replace, 2, data.data, data.length, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(replace, 3, metadata.data, metadata.length, SQLITE_STATIC, SQLITE_UTF8);
  status = es__sqlite_inserted(store, sqlite3_step(replace), 1, "moving an event's texts", err);
  sqlite3_reset(replace);
  sqlite3_clear_bindings(replace);
  return status;
}

es_status es__sqlite_next_to_move(int64_t *out, es_store *base, int64_t after, int64_t to,
                                  es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *next;
  es_status status = es__sqlite_statement(&next, store, ES_SQL_TEXTS_NEXT, err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(next, 1, after);
  sqlite3_bind_int64(next, 2, to);
  int rc = sqlite3_step(next);
  if (rc == SQLITE_ROW) {
    *out = sqlite3_column_int64(next, 0);
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "looking for what to archive", err);
  }
  sqlite3_reset(next);
  return status;
}

/* ---- All segments ---- */

/* The first segment that begins behind `after`. No statement stays open behind it: what is done with a segment may take long, and
 * may write. Of a damaged one the positions are taken all the same. */
static es_status next_row(bool *found, es_segment *out, es_sqlite *store, int64_t after,
                          es_error *err) {
  sqlite3_stmt *row;
  es_status status = es__sqlite_statement(&row, store, ES_SQL_SEGMENT_NEXT, err);

  *found = false;
  *out = (es_segment){0};
  if (status != ES_OK) return status;
  sqlite3_bind_int64(row, 1, after);
  int rc = sqlite3_step(row);
  if (rc == SQLITE_ROW) {
    *found = true;
    status = take_row(out, store, row, err);
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "reading the segments", err);
  }
  sqlite3_reset(row);
  return status;
}

es_status es__sqlite_segments(es_store *base, es_segment_visitor visitor, void *data,
                              es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  int64_t after = INT64_MIN;
  es_segment segment;
  bool found;
  es_status status = next_row(&found, &segment, store, after, err);

  while (found) {
    char *path = NULL;
    after = segment.first;
    if (status == ES_OK) status = find_file(&path, store, &segment, err);
    if (status == ES_OK) status = visitor(data, &segment, path, err);
    free(path);
    es__segment_clear(&segment);
    if (status != ES_OK) break;
    status = next_row(&found, &segment, store, after, err);
  }
  return status;
}

/* The file at hand, bit by bit; one that is not at hand is no fault, but whose events' texts are not seen is told elsewhere. */
static es_status check_file(es_sqlite *store, const es_segment *segment, es_error *err) {
  es_segment_reader *reader = NULL;
  char *path = NULL;
  es_status status = find_file(&path, store, segment, err);

  if (status == ES_OK && path != NULL) {
    status = es__segment_open(&reader, segment, path, err);
    if (status == ES_OK) status = es__segment_check_file(reader, err);
    if (status == ES_ERR_NOT_FOUND) status = ES_OK;
  }
  es__segment_reader_free(reader);
  free(path);
  return status;
}

/* A damaged row or file is told, and those behind it are looked at all the same. */
es_status es__sqlite_check_segments(es_sqlite *store, es_store_finding finding, void *data,
                                    es_error *err) {
  int64_t after = INT64_MIN, covered = 0;
  es_status status = ES_OK;
  bool found = true;
  char message[160];

  es__sqlite_integrity_check(store, "PRAGMA integrity_check(segments)", finding, data);
  while (status == ES_OK && found) {
    es_error why = ES_ERROR_INIT;
    es_segment segment;
    status = next_row(&found, &segment, store, after, &why);
    if (found && status == ES_OK) status = check_file(store, &segment, &why);
    if (status == ES_ERR_INTEGRITY) {
      finding(data, "segment", why.position, why.message);
      status = ES_OK;
    } else if (status != ES_OK && err != NULL) {
      *err = why;
    }
    if (found && segment.first - 1 != covered) {
      snprintf(message, sizeof message, "a segment begins at position %lld where %lld is due",
               (long long)segment.first, (long long)(covered + 1));
      finding(data, "segment", segment.first, message);
    }
    after = segment.first;
    covered = segment.last;
    es__segment_clear(&segment);
  }
  return status;
}

/* ---- The file's size ---- */

static es_status rewrite(es_sqlite *store, es_error *err) {
  char busy[8] = "";
  /* Its copy goes to a file: in memory there may be no room for it. */
  int rc = es__sqlite_ask(store->db, "PRAGMA temp_store = file", NULL, 0);

  if (rc == SQLITE_OK) rc = es__sqlite_ask(store->db, "VACUUM", NULL, 0);
  es__sqlite_ask(store->db, "PRAGMA temp_store = memory", NULL, 0);
  if (rc == SQLITE_OK)
    rc = es__sqlite_ask(store->db, "PRAGMA wal_checkpoint(TRUNCATE)", busy, sizeof busy);
  if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "compacting", err);
  if (strcmp(busy, "0") == 0) return ES_OK;
  es__fail(err, ES_ERR_STORE, "busy", "%s: compacting: another program is reading the store",
           store->path);
  es__hint(err, "end what reads it, then try again: nothing is lost");
  return ES_ERR_STORE;
}

es_status es__sqlite_compact(es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;

  if (store->in_group)
    return es__fail(err, ES_ERR_USAGE, "in_transaction", "commit the open transaction first");
  if (store->read_only) {
    es__fail(err, ES_ERR_STORE, "read_only", "%s: the store was opened read-only", store->path);
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  es_status status = es__queue_take(store->queue, store->lock_timeout_ms, err);
  if (status != ES_OK) return status;
  status = rewrite(store, err);
  es__queue_release(store->queue);
  return status;
}
