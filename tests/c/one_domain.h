/* one_domain: one state for domain code that all tests of a program share, made before the first and freed behind the last. */
#ifndef ONE_DOMAIN_H
#define ONE_DOMAIN_H

#include "domain_help.h"

static es_domain *domain;

static int open_domain(void **state) {
  (void)state;
  domain = new_domain(60000, 0, 0);
  return 0;
}

static int close_domain(void **state) {
  (void)state;
  es__domain_free(domain);
  return 0;
}

#endif
