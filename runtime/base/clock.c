/* clock: the system's time, and RFC 3339 text of microseconds. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

int64_t es__clock_system(void *unused) {
  struct timespec now;

  (void)unused;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms", days_from_civil and civil_from_days. */
static int64_t days_from_civil(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * day_of_year + 2) / 153;
  *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static char *put_digits(char *at, int count, int value, char after) {
  for (int i = count - 1; i >= 0; i--) {
    at[i] = (char)('0' + value % 10);
    value /= 10;
  }
  at[count] = after;
  return at + count + 1;
}

void es_time_text(char out[ES_TIME_TEXT_SIZE], int64_t time_us) {
  int year, month, day;

  if (time_us < ES__TIME_MIN) time_us = ES__TIME_MIN;
  if (time_us > ES__TIME_MAX) time_us = ES__TIME_MAX;
  int64_t days = time_us / 86400000000;
  int64_t rest = time_us % 86400000000;
  if (rest < 0) {
    rest += 86400000000;
    days -= 1;
  }
  civil_from_days(days, &year, &month, &day);
  int seconds = (int)(rest / 1000000);
  int micros = (int)(rest % 1000000);
  out = put_digits(out, 4, year, '-');
  out = put_digits(out, 2, month, '-');
  out = put_digits(out, 2, day, 'T');
  out = put_digits(out, 2, seconds / 3600, ':');
  out = put_digits(out, 2, seconds / 60 % 60, ':');
  out = put_digits(out, 2, seconds % 60, '.');
  out = put_digits(out, 6, micros, 'Z');
  *out = '\0';
}

static bool digits(const char **at, int count, int *out) {
  int value = 0;
  for (int i = 0; i < count; i++) {
    char c = (*at)[i];
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  *at += count;
  *out = value;
  return true;
}

static int days_in_month(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[month - 1];
}

static bool parse_fraction(const char **at, int *micros) {
  int count = 0, value = 0;

  while ((*at)[0] >= '0' && (*at)[0] <= '9') {
    if (count == 6) return false;
    value = value * 10 + ((*at)[0] - '0');
    count++;
    (*at)++;
  }
  if (count == 0) return false;
  for (; count < 6; count++)
    value *= 10;
  *micros = value;
  return true;
}

static bool parse_zone(const char **at, int *offset_minutes) {
  int hours, minutes, sign;

  *offset_minutes = 0;
  if (**at == 'Z' || **at == 'z') {
    (*at)++;
    return true;
  }
  if (**at != '+' && **at != '-') return false;
  sign = **at == '-' ? -1 : 1;
  (*at)++;
  if (!digits(at, 2, &hours) || *(*at)++ != ':' || !digits(at, 2, &minutes)) return false;
  if (hours > 23 || minutes > 59) return false;
  *offset_minutes = sign * (hours * 60 + minutes);
  return true;
}

bool es_time_parse(int64_t *out_us, const char *text) {
  int year, month, day, hour = 0, minute = 0, second = 0, micros = 0, offset = 0;
  const char *at = text;

  if (text == NULL) return false;
  if (!digits(&at, 4, &year) || *at++ != '-' || !digits(&at, 2, &month) || *at++ != '-' ||
      !digits(&at, 2, &day)) {
    return false;
  }
  if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
  if (*at == 'T' || *at == 't' || *at == ' ') {
    at++;
    if (!digits(&at, 2, &hour) || *at++ != ':' || !digits(&at, 2, &minute) || *at++ != ':' ||
        !digits(&at, 2, &second)) {
      return false;
    }
    if (hour > 23 || minute > 59 || second > 59) return false;
    if (*at == '.') {
      at++;
      if (!parse_fraction(&at, &micros)) return false;
    }
    if (!parse_zone(&at, &offset)) return false;
  }
  if (*at != '\0') return false;
  int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
                    (int64_t)offset * 60;
  *out_us = seconds * 1000000 + micros;
  return *out_us >= ES__TIME_MIN && *out_us <= ES__TIME_MAX;
}
