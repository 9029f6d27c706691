# embed_lua(out FOLDER...): a C file that holds every FOLDER/**/*.lua as text, rebuilt when one changes. The table is
# named as the first argument: `const struct es_embedded NAME[]`, ended by a row of nulls (runtime/base/embedded.h).
set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_files.cmake)
function(embed_lua table)
  set(files)
  foreach(folder ${ARGN})
    file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${folder}/*.lua)
    list(APPEND files ${found})
  endforeach()
  list(SORT files)
  set(out ${CMAKE_BINARY_DIR}/generated/${table}.c)
  set(inputs)
  foreach(file ${files})
    list(APPEND inputs ${CMAKE_SOURCE_DIR}/${file})
  endforeach()
  string(REPLACE ";" "," joined "${files}")
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DTABLE=${table} "-DFILES=${joined}" -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DOUT=${out} -P ${EMBED_SCRIPT}
    DEPENDS ${inputs} ${EMBED_SCRIPT}
    VERBATIM)
  set(${table} ${out} PARENT_SCOPE)
endfunction()
