/* thread: which thread a runtime belongs to. Looked at in debug builds only (ES__CHECKS), where a call from another thread is an
 * error that says so; nothing is locked in any build. */
#include "base/error.h"
#include "engine/runtime.h"

void es_adopt(es_runtime *rt) { rt->owner = pthread_self(); }

bool es__wrong_thread(const es_runtime *rt, es_error *err) {
#ifdef ES__CHECKS
  if (pthread_equal(rt->owner, pthread_self())) return false;
  es__fail(err, ES_ERR_USAGE, "wrong_thread", "this runtime belongs to another thread");
  es__hint(err, "open one runtime a thread, or hand it over: when the other thread has finished "
                "with it, call "
                "es_adopt() here");
  return true;
#else
  (void)rt, (void)err;
  return false;
#endif
}

bool es__refuse_thread(const es_runtime *rt, const char *call) {
  es_error err = ES_ERROR_INIT;

  if (!es__wrong_thread(rt, &err)) return false;
  es__log((es_runtime *)rt, ES_LOG_ERROR, err.code, "%s: %s; nothing is done", call, err.message);
  return true;
}
