# package: what `cmake --install` puts where, and how `cpack -G DEB` splits it. Everything goes where GNUInstallDirs says; each
# file belongs to one of four components, which are the Debian packages.
#   runtime  libesrun0      the shared library
#   dev      libesrun-dev   header, libraries to link, pkg-config file, CMake package
#   lua      lua-esrun      the module of plain lua5.4, es.testing, editor annotations
#   command  esrun          the command line, its man page and completions
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/esrun)
set(LUA_VERSION 5.4)

# ---- Libraries ----

set_target_properties(esrun_shared PROPERTIES EXPORT_NAME esrun)
set_target_properties(esrun PROPERTIES EXPORT_NAME esrun_static)
install(TARGETS esrun_shared EXPORT esrun-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS esrun EXPORT esrun-static-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES runtime/include/esrun.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)

# Two files, so that a program that links the shared library needs nothing of what is inside it.
install(EXPORT esrun-targets NAMESPACE esrun:: DESTINATION ${CMAKE_DIR} COMPONENT dev)
install(EXPORT esrun-static-targets NAMESPACE esrun:: DESTINATION ${CMAKE_DIR} COMPONENT dev)
configure_package_config_file(cmake/esrun-config.cmake.in ${CMAKE_BINARY_DIR}/esrun-config.cmake
  INSTALL_DESTINATION ${CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/esrun-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/esrun-config.cmake ${CMAKE_BINARY_DIR}/esrun-config-version.cmake
  DESTINATION ${CMAKE_DIR} COMPONENT dev)

# The prefix may still be chosen by `cmake --install --prefix`, so the file finds it from where it lies.
file(RELATIVE_PATH PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/esrun.pc.in ${CMAKE_BINARY_DIR}/esrun.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/esrun.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

# ---- Lua ----

if(TARGET esrun_lua)
  install(TARGETS esrun_lua LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lua/${LUA_VERSION} COMPONENT lua)
  install(FILES lua/esrun.lua DESTINATION ${CMAKE_INSTALL_DATADIR}/lua/${LUA_VERSION} COMPONENT lua)
  install(FILES lua/es/testing.lua DESTINATION ${CMAKE_INSTALL_DATADIR}/lua/${LUA_VERSION}/es COMPONENT lua)
  install(DIRECTORY ${CMAKE_BINARY_DIR}/lua/annotations DESTINATION ${CMAKE_INSTALL_DATADIR}/esrun COMPONENT lua OPTIONAL)
endif()

# ---- The command ----

if(TARGET esrun_command)
  install(TARGETS esrun_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
endif()
