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

# The command prints its own man page and completions, so that they cannot say anything else than it does. A sanitizer's build
# would run it much slower, and is not installed.
if(TARGET esrun_command)
  install(TARGETS esrun_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
  if(NOT ESRUN_SANITIZE AND NOT ESRUN_TSAN)
    set(SHELL_FILES)
    foreach(format man bash zsh fish)
      set(file ${CMAKE_BINARY_DIR}/shell/esrun.${format})
      add_custom_command(OUTPUT ${file} COMMAND esrun_command help --format ${format} > ${file} DEPENDS esrun_command)
      list(APPEND SHELL_FILES ${file})
    endforeach()
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/shell)
    add_custom_target(esrun_shell ALL DEPENDS ${SHELL_FILES})
    set(ZSH_DIR zsh/site-functions)
    if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" AND EXISTS /etc/debian_version)
      set(ZSH_DIR zsh/vendor-completions) # where Debian's zsh looks for what packages bring
    endif()
    install(FILES ${CMAKE_BINARY_DIR}/shell/esrun.man DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
      RENAME esrun.1 COMPONENT command)
    install(FILES ${CMAKE_BINARY_DIR}/shell/esrun.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
      RENAME esrun COMPONENT command)
    install(FILES ${CMAKE_BINARY_DIR}/shell/esrun.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/${ZSH_DIR}
      RENAME _esrun COMPONENT command)
    install(FILES ${CMAKE_BINARY_DIR}/shell/esrun.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
      COMPONENT command)
  endif()
endif()

# ---- Debian packages ----

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME esrun)
set(CPACK_PACKAGE_CONTACT "The esrun maintainers <esrun@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Event sourcing runtime with domain modules in Lua")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL runtime dev lua command)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON) # the libraries that the binaries name
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
# libcrypto is loaded when a key is used and libzstd when an archive is, so no binary names them.
set(LOADED_PACKAGES "libssl3, libzstd1")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS ${LOADED_PACKAGES})
set(CPACK_DEBIAN_LUA_PACKAGE_DEPENDS ${LOADED_PACKAGES})
set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS ${LOADED_PACKAGES})

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libesrun0)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Event sourcing runtime: shared library")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libesrun-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
  "libesrun0 (= ${PROJECT_VERSION}), liblua5.4-dev, libsqlite3-dev (>= 3.37), libssl-dev, uuid-dev, zlib1g-dev") # zlib: for sqlite3 as pkg-config --static sees it
set(CPACK_COMPONENT_DEV_DESCRIPTION "Event sourcing runtime: header and files to build programs with")

set(CPACK_DEBIAN_LUA_PACKAGE_NAME lua-esrun)
set(CPACK_DEBIAN_LUA_PACKAGE_SECTION interpreters)
set(CPACK_DEBIAN_LUA_PACKAGE_RECOMMENDS lua5.4)
set(CPACK_COMPONENT_LUA_DESCRIPTION "Event sourcing runtime: module for Lua 5.4 and annotations for editors")

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME esrun)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION utils)
if(NOT LUA_ARGPARSE) # otherwise compiled in
  set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS "${LOADED_PACKAGES}, lua-argparse")
endif()
set(CPACK_DEBIAN_COMMAND_PACKAGE_RECOMMENDS "libedit2, lua-busted, lua-cjson, lua-esrun, lua5.4")
set(CPACK_COMPONENT_COMMAND_DESCRIPTION "Event sourcing runtime: the esrun command")
include(CPack)
