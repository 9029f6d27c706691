/* sqlite_read: cursors. A page of events is copied into one block that is used again for the next page; between pages no
 * statement is open, so that a slow reader keeps nobody's checkpoint waiting. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

enum { PAGE_ROWS = 512, PAGE_BYTES = 256 * 1024 };

struct es_sqlite_page {
  es_event events[PAGE_ROWS];
  char *text; /* what the events' texts point into; never moved while events do */
  size_t text_length;
  size_t text_capacity;
};

typedef struct sqlite_cursor {
  es_store_cursor base;
  es_selection selection;
  es_sqlite_page *page;
  int count; /* events in the page */
  int next;  /* the one to hand out */
  int64_t given;
  bool ended;       /* the page is the last */
  es_status broken; /* told after the events before the damage were handed out */
  es_error broken_error;
} sqlite_cursor;

void es__sqlite_page_free(es_sqlite_page *page) {
  if (page == NULL) return;
  free(page->text);
  free(page);
}

static es_status take_page(es_sqlite_page **out, es_sqlite *store, es_error *err) {
  *out = store->spare_page;
  store->spare_page = NULL;
  if (*out != NULL) return ES_OK;
  es_sqlite_page *page = malloc(sizeof *page);
  if (page == NULL) return es__no_memory(err);
  page->text_capacity = PAGE_BYTES;
  page->text = malloc(page->text_capacity);
  if (page->text == NULL) {
    free(page);
    return es__no_memory(err);
  }
  *out = page;
  return ES_OK;
}

static void give_page(es_sqlite *store, es_sqlite_page *page) {
  if (page != NULL && store->spare_page == NULL && page->text_capacity == PAGE_BYTES) {
    store->spare_page = page;
  } else {
    es__sqlite_page_free(page);
  }
}

es_status es__sqlite_read(es_store_cursor **out, es_store *base, const es_filter *filter,
                          es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite_cursor *cursor = calloc(1, sizeof *cursor);
  es_status status;

  if (cursor == NULL) return es__no_memory(err);
  cursor->base = (es_store_cursor){.store = base};
  status = es__sqlite_select(&cursor->selection, store, filter, err);
  if (status == ES_OK) status = take_page(&cursor->page, store, err);
  if (status != ES_OK) {
    es__sqlite_cursor_close(&cursor->base);
    return status;
  }
  cursor->ended = cursor->selection.nothing;
  cursor->base.has_snapshots = cursor->selection.has_snapshots;
  *out = &cursor->base;
  return ES_OK;
}

void es__sqlite_cursor_close(es_store_cursor *base) {
  sqlite_cursor *cursor = (sqlite_cursor *)base;

  give_page((es_sqlite *)base->store, cursor->page);
  es__filter_free(&cursor->selection.terms);
  free(cursor);
}

/* ---- One row ---- */

static es_text place(es_sqlite_page *page, es_text text) {
  if (text.data == NULL) return text;
  char *at = page->text + page->text_length;
  memcpy(at, text.data, text.length);
  page->text_length += text.length;
  return (es_text){at, text.length};
}

static es_status malformed(es_sqlite *store, int64_t position, const char *column, es_error *err) {
  return es__sqlite_damage(store, position, "event", err, "its %s is malformed", column);
}

/* Fixed-size columns; texts are placed by read_texts(). */
static es_status read_fields(es_event *event, es_sqlite *store, sqlite3_stmt *row, es_error *err) {
  *event = (es_event){.position = sqlite3_column_int64(row, 0)};
  if (!es__sqlite_blob(event->event_id, row, 1, ES_ID_SIZE))
    return malformed(store, event->position, "event_id", err);
  event->version = sqlite3_column_int64(row, 3);
  event->schema_version = sqlite3_column_int64(row, 7);
  if (!es__sqlite_blob(event->correlation_id, row, 9, ES_ID_SIZE))
    return malformed(store, event->position, "correlation_id", err);
  event->has_causation = sqlite3_column_type(row, 10) != SQLITE_NULL;
  if (event->has_causation && !es__sqlite_blob(event->causation_id, row, 10, ES_ID_SIZE))
    return malformed(store, event->position, "causation_id", err);
  event->occurred_at = sqlite3_column_int64(row, 11);
  event->recorded_at = sqlite3_column_int64(row, 12);
  if (!es__sqlite_blob(event->previous_hash, row, 13, ES_HASH_SIZE))
    return malformed(store, event->position, "previous_hash", err);
  if (!es__sqlite_blob(event->hash, row, 14, ES_HASH_SIZE))
    return malformed(store, event->position, "hash", err);
  return ES_OK;
}

static es_status read_names(es_event *event, es_sqlite_page *page, es_sqlite *store,
                            sqlite3_stmt *row, es_error *err) {
  const es_event_names names = {sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 4),
                                sqlite3_column_int64(row, 5), sqlite3_column_int64(row, 6),
                                sqlite3_column_int64(row, 8)};
  char *room = page->text + page->text_length;
  es_status status = es__sqlite_place_names(event, &room, store, &names, err);

  page->text_length = (size_t)(room - page->text);
  return status;
}

/* Room for an event's texts. *fits is false when they belong to the next page; an event alone in its page always fits. */
static es_status make_room(bool *fits, es_sqlite_page *page, bool alone, const es_event *event,
                           es_error *err) {
  size_t wanted = 5 * ES_ID_MAX + event->data.length + event->metadata.length;

  *fits = wanted <= page->text_capacity - page->text_length;
  if (*fits || !alone) return ES_OK;
  char *text = realloc(page->text, wanted);
  if (text == NULL) return es__no_memory(err);
  page->text = text;
  page->text_capacity = wanted;
  *fits = true;
  return ES_OK;
}

/* Where they are until the next row: SQLite's memory, or the segment's. */
static es_status read_texts(es_event *event, sqlite_cursor *cursor, sqlite3_stmt *row,
                            es_error *err) {
  es_sqlite *store = (es_sqlite *)cursor->base.store;

  if (sqlite3_column_type(row, 15) != SQLITE_TEXT || sqlite3_column_type(row, 16) != SQLITE_TEXT)
    return malformed(store, event->position, "data or metadata", err);
  event->data = es__sqlite_text(row, 15);
  event->metadata = es__sqlite_text(row, 16);
  return cursor->base.as_stored ? ES_OK : es__archive_fetch(event, &store->base, err);
}

static es_status read_row(bool *fits, es_event *event, sqlite_cursor *cursor, sqlite3_stmt *row,
                          es_error *err) {
  es_sqlite *store = (es_sqlite *)cursor->base.store;
  es_sqlite_page *page = cursor->page;
  es_status status = read_fields(event, store, row, err);

  if (status == ES_OK) status = read_texts(event, cursor, row, err);
  if (status == ES_OK) status = make_room(fits, page, cursor->count == 0, event, err);
  if (status != ES_OK || !*fits) return status;
  status = read_names(event, page, store, row, err);
  event->data = place(page, event->data);
  event->metadata = place(page, event->metadata);
  return status;
}

/* ---- Pages ---- */

/* Later pages start where this one ended. */
static void move_on(es_selection *selection, const es_event *last) {
  selection->last_version = last->version;
  if (selection->terms.reverse) {
    selection->highest = last->position - 1;
  } else if (last->position < INT64_MAX) {
    selection->lowest = last->position + 1;
  } else {
    selection->highest =
        last->position - 1; /* of a file that was tampered with: nothing is behind it */
    selection->lowest = last->position;
  }
}

/* Events after the span that were appended while it was being read. */
static bool past_the_span(const es_filter_terms *terms, const es_event *event) {
  return event->recorded_at >= terms->to_time || event->recorded_at < terms->from_time;
}

static es_status read_failure(sqlite_cursor *cursor, int rc, es_error *err) {
  es_sqlite *store = (es_sqlite *)cursor->base.store;

  if ((rc & 0xFF) != SQLITE_CORRUPT) return es__sqlite_fail(store, rc, "reading events", err);
  int64_t position =
      cursor->selection.terms.reverse ? cursor->selection.highest : cursor->selection.lowest;
  if (cursor->count > 0) {
    position = cursor->page->events[cursor->count - 1].position +
               (cursor->selection.terms.reverse ? -1 : 1);
  }
  return es__sqlite_damage(store, position, "page", err, "the database page is damaged");
}

static es_status fill(sqlite_cursor *cursor, es_error *err) {
  es_sqlite *store = (es_sqlite *)cursor->base.store;
  es_sqlite_page *page = cursor->page;
  int64_t rows = cursor->selection.terms.limit - cursor->given;
  sqlite3_stmt *row;
  bool fits = true;
  int rc = SQLITE_DONE;

  if (rows > PAGE_ROWS) rows = PAGE_ROWS;
  cursor->count = cursor->next = 0;
  page->text_length = 0;
  es_status status = es__sqlite_select_page(&row, store, &cursor->selection, rows, err);
  if (status != ES_OK) return status;
  while (status == ES_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
    es_event *event = &page->events[cursor->count];
    status = read_row(&fits, event, cursor, row, err);
    if (status != ES_OK || !fits) break;
    if (past_the_span(&cursor->selection.terms, event)) {
      cursor->ended = true;
      break;
    }
    cursor->count++;
  }
  if (status == ES_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
    status = read_failure(cursor, rc, err);
  sqlite3_reset(row);
  if (cursor->count < rows && rc == SQLITE_DONE) cursor->ended = true;
  if (cursor->count > 0) move_on(&cursor->selection, &page->events[cursor->count - 1]);
  return status;
}

es_status es__sqlite_next(const es_event **event, es_store_cursor *base, es_error *err) {
  sqlite_cursor *cursor = (sqlite_cursor *)base;

  if (cursor->next == cursor->count) {
    if (cursor->broken != ES_OK) {
      if (err != NULL) *err = cursor->broken_error;
      return cursor->broken;
    }
    if (cursor->ended || cursor->given >= cursor->selection.terms.limit) return ES_OK;
    cursor->broken = fill(cursor, &cursor->broken_error);
    if (cursor->count == 0) {
      if (cursor->broken != ES_OK && err != NULL) *err = cursor->broken_error;
      return cursor->broken;
    }
  }
  *event = &cursor->page->events[cursor->next++];
  cursor->given++;
  return ES_OK;
}
