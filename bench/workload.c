/* workload: the events that both sides write and read, made from a number alone. Knows no store. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const char *const aggregate_types[] = {"Account", "Wallet"};
static const char *const event_types[] = {"AccountOpened", "AccountDebited", "AccountCredited",
                                          "WalletOpened",  "WalletDebited",  "WalletCredited"};
static const int64_t first_time = INT64_C(1704067200000000); /* 2024-01-01T00:00:00Z */
static const char note[] = "transfer between two accounts of one owner, as agreed by telephone "
                           "last week, the rest of the sum is to follow next month";

/* splitmix64: random enough for ids and reproducible. */
static uint64_t scramble(uint64_t number) {
  number += UINT64_C(0x9E3779B97F4A7C15);
  number = (number ^ (number >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  number = (number ^ (number >> 27)) * UINT64_C(0x94D049BB133111EB);
  return number ^ (number >> 31);
}

static void make_id(uint8_t out[ES_ID_SIZE], int64_t number, uint64_t salt) {
  uint64_t millis = (uint64_t)(workload_time(number) / 1000);
  uint64_t random = scramble((uint64_t)number * 8 + salt);

  for (int i = 0; i < 6; i++)
    out[i] = (uint8_t)(millis >> (40 - 8 * i));
  out[6] = (uint8_t)(0x70 | salt);
  out[7] = 0;
  for (int i = 0; i < 8; i++)
    out[8 + i] = (uint8_t)(random >> (8 * i));
  out[8] = (uint8_t)(0x80 | (out[8] & 0x3F));
}

int64_t workload_time(int64_t number) { return first_time + number * 1000; }
void workload_event_id(uint8_t out[ES_ID_SIZE], int64_t number) { make_id(out, number, 1); }
void workload_correlation_id(uint8_t out[ES_ID_SIZE], int64_t number) {
  make_id(out, number / EVENTS_PER_CORRELATION * EVENTS_PER_CORRELATION, 2);
}

int64_t bench_proof(int64_t i, int64_t events) {
  return (int64_t)(scramble((uint64_t)i * 5) % (uint64_t)events);
}

const char *workload_aggregate_type(int64_t number) { return aggregate_types[number - 1]; }
const char *workload_event_type(int64_t number) { return event_types[number - 1]; }

void workload_stream_id(char out[64], int64_t stream) {
  snprintf(out, 64, "acct-%012" PRId64, stream);
}

void workload_tenant_id(char out[32], int64_t tenant) {
  snprintf(out, 32, "tenant-%02" PRId64, tenant);
}

void workload_actor_id(char out[32], int64_t actor) {
  snprintf(out, 32, "user:clerk-%04" PRId64, actor);
}

static es_text text_of(const char *text) { return (es_text){text, strlen(text)}; }

static void point(workload_row *row) {
  es_event *event = &row->event;

  event->tenant_id = row->tenant == 0 ? (es_text){NULL, 0} : text_of(row->tenant_id);
  event->aggregate_type = text_of(workload_aggregate_type(row->aggregate_type));
  event->aggregate_id = text_of(row->aggregate_id);
  event->event_type = text_of(workload_event_type(row->event_type));
  event->actor_id = text_of(row->actor_id);
  event->data = text_of(row->data);
  event->metadata = text_of(row->metadata);
}

static void write_data(workload_row *row, int64_t number) {
  uint8_t id[ES_ID_SIZE];
  char from[ES_ID_TEXT_SIZE], to[ES_ID_TEXT_SIZE];

  row->amount = (int64_t)(scramble((uint64_t)number) % 9000) + 1000;
  make_id(id, number, 3);
  es_id_text(from, id);
  make_id(id, number, 4);
  es_id_text(to, id);
  snprintf(row->data, sizeof row->data,
           "{\"amount\":%" PRId64
           ",\"currency\":\"EUR\",\"from\":\"%s\",\"note\":\"%s\",\"to\":\"%s\"}",
           row->amount, from, note, to);
}

static void fill(workload_row *row, int64_t number) {
  es_event *event = &row->event;

  workload_event_id(event->event_id, number);
  workload_correlation_id(event->correlation_id, number);
  event->has_causation = number % EVENTS_PER_CORRELATION != 0;
  if (event->has_causation) workload_event_id(event->causation_id, number - 1);
  event->schema_version = 1;
  event->occurred_at = event->recorded_at = workload_time(number);
  row->actor = (int64_t)(scramble((uint64_t)number * 3) % ACTORS) + 1;
  workload_actor_id(row->actor_id, row->actor);
  workload_tenant_id(row->tenant_id, row->tenant);
  write_data(row, number);
  snprintf(row->metadata, sizeof row->metadata,
           "{\"ip_address\":\"198.51.100.%03d\",\"request_id\":\"req-%017" PRId64 "\"}",
           (int)(number % 200) + 20, number);
  point(row);
}

void workload_row_make(workload_row *out, int64_t number) {
  int64_t within = number % EVENTS_PER_BLOCK;

  memset(&out->event, 0, sizeof out->event);
  out->stream = number / EVENTS_PER_BLOCK * ACTIVE_STREAMS + within % ACTIVE_STREAMS + 1;
  out->event.version = within / ACTIVE_STREAMS + 1;
  out->tenant = out->stream % TENANTS;
  out->aggregate_type = out->stream % 4 == 0 ? 2 : 1;
  out->event_type = (out->aggregate_type - 1) * 3 + 1;
  if (out->event.version > 1) out->event_type += 1 + out->event.version % 2;
  workload_stream_id(out->aggregate_id, out->stream);
  fill(out, number);
}

void workload_row_decided(workload_row *out, int64_t number) {
  char rest[sizeof out->metadata];

  workload_row_make(out, number);
  memcpy(rest, out->metadata + 1, sizeof rest - 1);
  snprintf(out->metadata, sizeof out->metadata,
           "{\"$\":{\"command\":\"credit\",\"module\":\"%064d\"},%.*s", 0, 200, rest);
  point(out);
}

void workload_row_imported(workload_row *out, int64_t number) {
  es_event *event = &out->event;

  workload_row_make(out, number);
  for (int i = 0; i < ES_ID_SIZE; i++)
    event->event_id[i] =
        (uint8_t)(scramble((uint64_t)number * 16 + (i < 8 ? 0 : 1)) >> (8 * (i % 8)));
  make_id(event->correlation_id, number, 2);
  event->has_causation = false;
  out->tenant = 0;
  snprintf(out->metadata, sizeof out->metadata,
           "{\"$\":{\"import\":{\"row\":%" PRId64 ",\"source\":\"bench\"}}}", number + 1);
  point(out);
}

void workload_long_row(workload_row *out, int64_t before, int64_t number) {
  memset(&out->event, 0, sizeof out->event);
  out->stream = before / EVENTS_PER_BLOCK * ACTIVE_STREAMS + 1;
  out->event.version = number + 1;
  out->tenant = 0;
  out->aggregate_type = 1;
  out->event_type = number == 0 ? 1 : 2 + number % 2;
  snprintf(out->aggregate_id, sizeof out->aggregate_id, "%s", LONG_STREAM);
  fill(out, before + number);
}

void workload_row_copy(workload_row *out, const workload_row *from) {
  *out = *from;
  point(out);
}
