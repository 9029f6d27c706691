/* json number: the grammar of JSON numbers and the text of doubles, both independent of the locale. Knows characters and
 * numbers only. */
#ifndef ES_JSON_NUMBER_H
#define ES_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct es_json_number {
  bool is_integer;   /* written without fraction and exponent */
  bool out_of_range; /* well-formed, but neither int64 nor a finite double */
  int64_t integer;   /* if is_integer */
  double number;     /* if not */
  size_t length;     /* bytes read */
} es_json_number;

/* Reads the number that starts at text[0]. Returns NULL, or what is wrong with it. What follows the number is not looked
 * at, except that a digit after a leading zero is refused. */
const char *es__json_scan_number(es_json_number *out, const char *text, size_t length);

enum { ES_JSON_DOUBLE_TEXT_MAX = 40 };

/* Writes the canonical text of a finite double and returns its length; 0 for NaN and infinities. */
size_t es__json_format_double(char out[ES_JSON_DOUBLE_TEXT_MAX], double value);

#endif
