/* limits: how much time and memory one run of domain code may take. Knows nothing of what the code does.
 *
 * Time. A count hook that is always on makes calls twice as slow, so a timer sends a signal to this very thread every now and
 * then, and its handler looks at the clock; when the time is up it asks Lua to call a hook at the next instruction, which
 * raises. A run's time begins at its first signal, so that beginning a run asks for no time: it may last longer than the limit
 * by what lies between two signals. Time is the thread's processor time, so that a busy machine or a suspended process does
 * not stop honest code. The handler reaches its domain through the signal's value: there is no global state, and any number
 * of domains and threads may run at once. Setting a timer takes longer than a short run: es__domain_watch() keeps it.
 *
 * Memory. The allocator counts. A request that passes the limit by no more than the credit below is granted, and the hook
 * collects garbage and raises if that was not enough: so the error can name a line. A larger one is refused, which
 * Lua turns into an error of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "lua/internal.h"

enum {
  /* Instructions between two looks at the clock, with a count hook; each may be a long call. */
  HOOK_COUNT = 200,
  /* Rounds of a loop in C between two looks at the clock, with a count hook. */
  TICK_COUNT = 256,
  /* Between two signals: a tenth of the limit, but within these. They go on when the time is up, so that one that met Lua
   * halfway into a call is not lost. */
  INTERVAL_MIN_US = 1000,
  INTERVAL_MAX_US = 20 * 1000,
  DEFAULT_TIME_US = 1000 * 1000
};
static const size_t DEFAULT_MEMORY = (size_t)256 * 1024 * 1024;
/* Larger than any Lua stack (16 MB): a refused request that exceeds it is not the stack being moved, so the call frames can
 * be read at that moment. */
static const size_t MEMORY_CREDIT = (size_t)32 * 1024 * 1024;

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static bool has_count_hook(const es_domain *domain) { return domain->options.limit_signal < 0; }

static int64_t processor_time_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  es__limits_attend(L, es__domain_of(L));
}

/* Safe in a signal handler and in the allocator, as lua_sethook is. */
static void ask_for_attention(es_domain *domain) {
  domain->limits.attention = 1;
  if (domain->L != NULL) lua_sethook(domain->L, on_hook, LUA_MASKCOUNT, 1);
}

static void on_signal(int number, siginfo_t *info, void *context) {
  es_domain *domain = info->si_value.sival_ptr;
  int saved = errno;
  (void)number, (void)context;

  if (info->si_code != SI_TIMER || domain == NULL || !domain->limits.running) return;
  int64_t now = processor_time_us();
  errno = saved;
  if (domain->limits.starting) {
    domain->limits.deadline_us = now + domain->options.time_limit_us;
    domain->limits.starting = 0;
  } else if (now >= domain->limits.deadline_us) {
    domain->limits.expired = 1;
    ask_for_attention(domain);
  }
}

static void calm(es_domain *domain) {
  if (has_count_hook(domain)) {
    domain->limits.attention = domain->depth > 0; /* loops in C look at the clock themselves */
    lua_sethook(domain->L, domain->depth > 0 ? on_hook : NULL, LUA_MASKCOUNT, HOOK_COUNT);
  } else {
    domain->limits.attention = 0;
    lua_sethook(domain->L, NULL, 0, 0);
    if (domain->limits.expired) ask_for_attention(domain); /* the signal came in between */
  }
}

bool es__lua_where(char *out, size_t size, lua_State *L, int level) {
  lua_Debug ar;
  bool found = false;

  out[0] = '\0';
  for (; lua_getstack(L, level, &ar); level++) {
    if (!lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0) continue;
    if (ar.source[0] == '=' && found) continue; /* built-in modules' names start so */
    /* A project's own name whole: Lua's short one is cut at 60 bytes. */
    snprintf(out, size, "%s:%d", ar.source[0] == '@' ? ar.source + 1 : ar.short_src,
             ar.currentline);
    if (ar.source[0] != '=') return true;
    found = true;
  }
  return found;
}

static void hit(es_domain *domain, lua_State *L, es_limit limit) {
  if (domain->limits.hit == ES_LIMIT_NONE) {
    domain->limits.hit = limit;
    es__lua_where(domain->limits.where, sizeof domain->limits.where, L, 0);
  }
  es__limits_raise(L);
}

void es__limits_raise(lua_State *L) {
  lua_pushlightuserdata(L, es__domain_of(L)); /* allocates nothing */
  lua_error(L);
  abort(); /* not reached: lua_error does not return */
}

void es__limits_attend(lua_State *L, es_domain *domain) {
  es_limits *limits = &domain->limits;

  if (limits->hit != ES_LIMIT_NONE) es__limits_raise(L);
  if (has_count_hook(domain) && domain->depth > 0 && processor_time_us() > limits->deadline_us) {
    limits->expired = 1;
  }
  if (limits->expired) {
    ask_for_attention(domain);
    hit(domain, L, ES_LIMIT_TIME);
  }
  if (limits->memory_used > limits->memory_limit) {
    lua_gc(L, LUA_GCCOLLECT);
    if (limits->memory_used > limits->memory_limit) hit(domain, L, ES_LIMIT_MEMORY);
  }
  calm(domain);
}

void es__limits_tick(lua_State *L, es_domain *domain) {
  es_limits *limits = &domain->limits;
  bool only_the_clock = has_count_hook(domain) && limits->memory_used <= limits->memory_limit;

  if (only_the_clock && ++limits->ticks % TICK_COUNT != 0) return;
  es__limits_attend(L, domain);
}

static void *resize(es_domain *domain, void *block, size_t old_size, size_t new_size) {
  const es_domain_options *options = &domain->options;

  if (options->allocate != NULL)
    return options->allocate(options->allocate_data, block, old_size, new_size);
  return es__pool_resize(&domain->pool, block, old_size, new_size);
}

void *es__limits_allocate(void *data, void *block, size_t old_size, size_t new_size) {
  es_domain *domain = data;
  es_limits *limits = &domain->limits;
  size_t was = block == NULL ? 0 : old_size; /* for a new block Lua passes its type there */
  void *out;

  if (new_size == 0) {
    limits->memory_used -= was;
    resize(domain, block, was, 0);
    return NULL;
  }
  if (new_size > was && new_size - was + limits->memory_used > limits->memory_limit) {
    size_t growth = new_size - was;
    if (growth + limits->memory_used > limits->memory_limit + MEMORY_CREDIT) {
      if (growth > MEMORY_CREDIT && domain->L != NULL && limits->hit == ES_LIMIT_NONE) {
        es__lua_where(limits->where, sizeof limits->where, domain->L, 0);
      }
      return NULL;
    }
    if (domain->depth > 0) ask_for_attention(domain);
  }
  out = resize(domain, block, was, new_size);
  if (out != NULL) limits->memory_used = limits->memory_used - was + new_size;
  return out;
}

es_status es__limits_install(es_domain *domain, es_error *err) {
  struct sigaction action = {0};
  es_domain_options *options = &domain->options;

  if (options->time_limit_us <= 0) options->time_limit_us = DEFAULT_TIME_US;
  domain->limits.memory_limit =
      options->memory_limit_bytes > 0 ? (size_t)options->memory_limit_bytes : DEFAULT_MEMORY;
  if (options->limit_signal == 0) options->limit_signal = SIGRTMIN + 3;
  if (options->limit_signal < -1) {
    es__fail(err, ES_ERR_USAGE, "limit_signal", "there is no signal %d", options->limit_signal);
    es__hint(err, "0 takes SIGRTMIN+3, -1 a count hook instead of a signal");
    return ES_ERR_USAGE;
  }
  if (has_count_hook(domain)) return ES_OK;

  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (sigaction(options->limit_signal, &action, NULL) != 0) {
    return es__fail(err, ES_ERR_USAGE, "limit_signal", "signal %d cannot carry the time limit: %s",
                    options->limit_signal, strerror(errno));
  }
  return ES_OK;
}

/* A timer reaches one thread, so it is made by the thread that runs, and made anew when the domain has moved (also into the
 * child of a fork). */
static es_status make_timer(es_domain *domain, es_error *err) {
  es_limits *limits = &domain->limits;
  struct sigevent event = {0};
  pid_t thread = gettid();

  if (limits->has_timer && limits->timer_thread == thread) return ES_OK; /* ids differ after fork */
  es__limits_free(domain);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = domain->options.limit_signal;
  event.sigev_value.sival_ptr = domain;
  event.sigev_notify_thread_id = thread;
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &limits->timer) != 0) {
    return es__fail(err, ES_ERR_OTHER, "timer", "no timer for the time limit: %s", strerror(errno));
  }
  limits->has_timer = true;
  limits->timer_thread = thread;
  limits->timer_process = getpid();
  return ES_OK;
}

static es_status arm(es_domain *domain, es_error *err) {
  es_limits *limits = &domain->limits;
  int64_t interval = domain->options.time_limit_us / 10;
  es_status status = make_timer(domain, err);
  sigset_t signals;

  if (status != ES_OK) return status;
  sigemptyset(
      &signals); /* each time: the program may have blocked all signals since, for sigwait */
  sigaddset(&signals, domain->options.limit_signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
  if (interval < INTERVAL_MIN_US) interval = INTERVAL_MIN_US;
  if (interval > INTERVAL_MAX_US) interval = INTERVAL_MAX_US;
  struct itimerspec every = {{0, interval * 1000}, {0, interval * 1000}};
  if (timer_settime(limits->timer, 0, &every, NULL) != 0) {
    return es__fail(err, ES_ERR_OTHER, "timer", "the time limit cannot be set: %s",
                    strerror(errno));
  }
  limits->armed = true;
  return ES_OK;
}

/* Once the timer is disarmed no signal of it is pending in this thread: it was delivered on the way out of the system call at
 * the latest. */
static void disarm(es_domain *domain) {
  const struct itimerspec never = {{0, 0}, {0, 0}};

  if (domain->limits.armed) timer_settime(domain->limits.timer, 0, &never, NULL);
  domain->limits.armed = false;
}

void es__domain_watch(es_domain *domain, bool on) {
  domain->limits.watched = on;
  if (!on && domain->depth == 0) disarm(domain);
}

es_status es__limits_begin(es_domain *domain, es_error *err) {
  es_limits *limits = &domain->limits;

  limits->hit = ES_LIMIT_NONE;
  limits->where[0] = '\0';
  limits->expired = 0;
  limits->ticks = 0;
  if (has_count_hook(domain)) {
    limits->deadline_us = processor_time_us() + domain->options.time_limit_us;
    limits->attention = 1;
    lua_sethook(domain->L, on_hook, LUA_MASKCOUNT, HOOK_COUNT);
    return ES_OK;
  }
  limits->starting = 1;
  limits->running = 1;
  es_status status = limits->armed ? ES_OK : arm(domain, err);
  if (status != ES_OK) limits->running = 0;
  return status;
}

/* Called with depth 0 again. */
void es__limits_end(es_domain *domain) {
  domain->limits.running = 0;
  if (!domain->limits.watched) disarm(domain);
  domain->limits.expired = 0;
  domain->limits.hit = ES_LIMIT_NONE;
  if (domain->limits.attention) calm(domain);
}

/* In a fork's child the parent's timer does not exist, and its id may by now be another domain's. */
void es__limits_free(es_domain *domain) {
  if (domain->limits.has_timer && domain->limits.timer_process == getpid()) {
    timer_delete(domain->limits.timer);
  }
  domain->limits.has_timer = false;
  domain->limits.armed = false;
}
