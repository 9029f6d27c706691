/* import: what the files of es_import share. import.c takes the input apart; import_export.c knows lines of our own exports,
 * import_map.c rows that a mapping makes events of; import_group.c stores what became of them. */
#ifndef ES_ENGINE_IMPORT_H
#define ES_ENGINE_IMPORT_H

#include <pthread.h>
#include <stdlib.h>

#include "engine/csv.h"
#include "engine/runtime.h"

/* An event that waits for its group to be stored. */
typedef struct es_incoming {
  int64_t line;
  char *texts;     /* what the event points into; owned */
  char *metadata;  /* the same, where it was written anew; or NULL */
  int64_t version; /* it must get; 0: the stream's next */
  int64_t source_position;
  uint8_t source_hash[ES_HASH_SIZE]; /* an export's: it must get this one, unless appended */
  bool any_time;                     /* occurred_at was not given: two imports may differ in it */
} es_incoming;

/* Events that are stored whole or not at all. */
typedef struct es_import_group {
  es_store *store;
  es_import_form form;
  bool append;
  es_event *events;
  es_incoming *incoming;
  size_t count, capacity;
  int64_t ignored_count; /* rows that the mapping made no event of */
  int64_t skipped_count; /* events that the store had already */
  int64_t line_count;    /* lines of the input until its end */
  int64_t now;           /* recorded_at, unless that is later */
  es_status status;      /* of storing it */
  es_error error;
} es_import_group;

struct es_import {
  es_runtime *rt;
  es_context *context; /* of the call under way, whatever a clock does */
  es_import_form form;
  bool append;
  char *name;
  size_t group;
  es_chain *chain;
  es_import_report report;
  es_error failure; /* status ES_OK: none */
  bool finished;
  es_buf pending; /* bytes of a line that is not complete yet */
  es_csv csv;
  es_buf scratch;

  int64_t now; /* es__import_look_at_clock() */
  uint8_t row_id
      [ES_ID_SIZE]; /* what the events of a row have in common; the next row's is the one behind it */

  es_import_group making;
  size_t taken; /* bytes of input that it was made of */
  es_import_group storing;
  bool is_storing; /* until es__import_settle() */
  bool has_storer; /* a thread, which alone uses `storing` and the store meanwhile */
  pthread_t storer;

  bool begun;               /* a line was taken */
  es_store_head last;       /* the last line's event, or where the store stood */
  es_store_cursor *present; /* what the store has already, read beside the input */
  int64_t present_until;

  es_buf rows;     /* of a mapping: JSON texts, one behind the other */
  es_buf rows_key; /* the scope of rows' keys */
  size_t *row_ends;
  int64_t *row_lines;
  size_t row_count, row_capacity;
  int64_t row_number;
  bool has_mapping;
};

/* Frees what an event that waits owns. */
static inline void es__incoming_free(es_incoming *incoming) {
  free(incoming->texts);
  free(incoming->metadata);
}

/* import_group.c. Room for one more event, whose texts may take `size` bytes; NULL when out of memory. The caller fills
 * group->events[i], incoming->line and what else it knows, then adds to group->count. */
es_incoming *es__import_reserve(es_import_group *group, size_t size);
void es__import_group_free(es_import_group *group);
/* Hands the group over that was made, to be stored while the caller goes on; waits for the one before, whose failure is
 * returned. */
es_status es__import_store(es_import *import, es_error *err);
/* Reads the host's clock for what is made and stored from here on. */
void es__import_look_at_clock(es_import *import);
/* Waits until nothing is being stored; whether all that was handed over is. */
es_status es__import_settle(es_import *import, es_error *err);

/* Puts "line N, position P: " before the message and sets the position (0: not told). */
es_status es__import_wrap(es_error *err, es_status status, int64_t line, int64_t position);

/* import_export.c: takes one line. */
es_status es__import_export_line(es_import *import, const char *line, size_t length, es_error *err);
/* Is what the store has under the event's id this event? */
bool es__import_same_export(const es_event *stored, const es_incoming *incoming);

/* import_map.c */
es_status es__import_map_load(es_import *import, const char *text, const char *path, es_error *err);
void es__import_map_drop(es_import *import);
es_status es__import_map_row(es_import *import, const char *row, size_t length, int64_t line,
                             es_error *err);
/* Makes the events of the rows that wait. */
es_status es__import_map_run(es_import *import, es_error *err);
bool es__import_same_mapped(const es_event *stored, const es_event *event,
                            const es_incoming *incoming);

#endif
