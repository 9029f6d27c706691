/* utf8: strict UTF-8 (RFC 3629, section 4: the table of well-formed byte sequences). */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

size_t es__utf8_bad(const char *text, size_t length) {
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0;

  while (i < length) {
    uint64_t word;
    if (length >=
        sizeof word) { /* most text is ASCII: eight bytes at a time, the last eight twice */
      size_t at = length - i >= sizeof word ? i : length - sizeof word;
      memcpy(&word, s + at, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        i = at + sizeof word;
        continue;
      }
    }
    unsigned char lead = s[i];
    size_t left = length - i;
    if (lead < 0x80) {
      i += 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      if (left < 2 || !continues(s[i + 1])) return i;
      i += 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      if (left < 3 || !continues(s[i + 1]) || !continues(s[i + 2])) return i;
      if (lead == 0xE0 && s[i + 1] < 0xA0) return i;
      if (lead == 0xED && s[i + 1] > 0x9F) return i;
      i += 3;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      if (left < 4 || !continues(s[i + 1]) || !continues(s[i + 2]) || !continues(s[i + 3]))
        return i;
      if (lead == 0xF0 && s[i + 1] < 0x90) return i;
      if (lead == 0xF4 && s[i + 1] > 0x8F) return i;
      i += 4;
    } else {
      return i;
    }
  }
  return length;
}
