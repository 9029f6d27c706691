# embed_lua(NAME FOLDER...): a C file that holds every FOLDER/**/*.lua as text, rebuilt when one changes. The table is
# named as the first argument: `const struct es_embedded NAME[]`, ended by a row of nulls (runtime/base/embedded.h).
# embed_files(NAME PATTERNS FOLDER...): the same for files of these patterns, a list.
set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_files.cmake)
set(EMBED_COMPILER ${CMAKE_CURRENT_LIST_DIR}/bytecode.lua)
find_program(LUA_INTERPRETER lua5.4 DOC "Compiles the runtime's own Lua files; without it their text is compiled at each start")
# The command line's option parser is compiled in as esrun.argparse: compiling it at each start would take longer than what a
# short command does. Its text, which begins with its licence, comes along; without the file it is required at run time.
find_file(LUA_ARGPARSE argparse.lua PATHS /usr/share/lua/5.4 NO_DEFAULT_PATH DOC "lua-argparse's module")

function(embed_lua table)
  embed_files(${table} "*.lua" ${ARGN})
  set(${table} ${${table}} PARENT_SCOPE)
endfunction()

function(embed_files table patterns)
  set(files)
  foreach(folder ${ARGN})
    foreach(pattern ${patterns})
      file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${folder}/${pattern})
      list(APPEND files ${found})
    endforeach()
  endforeach()
  list(SORT files)
  set(out ${CMAKE_BINARY_DIR}/generated/${table}.c)
  set(inputs)
  foreach(file ${files})
    list(APPEND inputs ${CMAKE_SOURCE_DIR}/${file})
  endforeach()
  if(table STREQUAL es_host_modules AND LUA_ARGPARSE)
    list(APPEND files lua/esrun/argparse.lua@${LUA_ARGPARSE})
    list(APPEND inputs ${LUA_ARGPARSE})
  endif()
  string(REPLACE ";" "," joined "${files}")
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DTABLE=${table} "-DFILES=${joined}" -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DOUT=${out}
      -DLUA=$<$<BOOL:${LUA_INTERPRETER}>:${LUA_INTERPRETER}> -P ${EMBED_SCRIPT}
    DEPENDS ${inputs} ${EMBED_SCRIPT} ${EMBED_COMPILER}
    VERBATIM)
  set(${table} ${out} PARENT_SCOPE)
endfunction()
