/* event_object: temporary */
#include "lua/internal.h"
bool es__is_event(lua_State *L, int index) { return luaL_testudata(L, index, "es.event") != NULL; }
bool es__is_event_data(lua_State *L, int index) {
  return luaL_testudata(L, index, "es.event_data") != NULL;
}
int es__event_copy(lua_State *L) { return luaL_argerror(L, 1, "event expected"); }
void es__event_object_open(lua_State *L) { (void)L; }
void es__event_object_free(es_domain *domain) { (void)domain; }
