# The package taut-rpc for Debian and its kin: `cpack -G DEB` in the build folder of a release build.
# It holds what `cmake --install` installs.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME taut-rpc)
set(CPACK_PACKAGE_VENDOR taut)
set(CPACK_PACKAGE_CONTACT "the authors of taut <taut@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "typed calls through shared-memory rings: library, stub generator and tool")
set(CPACK_PACKAGE_DESCRIPTION
  "taut is remote procedure calls for C++20 programs that cannot wait: a call\n\
is a FlatBuffers message written into a ring of shared memory and found there\n\
by a thread that polls. This package holds the static libraries and headers,\n\
files for CMake and pkg-config, the generator taut-gen, the tool taut, and the\n\
contract suite for authors of transports.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
# What compiling a schema needs; what the programs need is read from them.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libflatbuffers-dev, flatbuffers-compiler, flatbuffers-compiler-dev")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "cmake, pkg-config, g++")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libgtest-dev, libgmock-dev")
# As Debian's policy wants it: what others may write nobody installs.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# Every package carries its licence and its changes, and Debian looks for them under these names.
set(documents "${CMAKE_INSTALL_DATADIR}/doc/taut-rpc")
file(ARCHIVE_CREATE OUTPUT "${PROJECT_BINARY_DIR}/changelog.gz" PATHS "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
  FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/CHANGELOG.md")
install(FILES cmake/deb/copyright DESTINATION "${documents}")
install(FILES "${PROJECT_BINARY_DIR}/changelog.gz" DESTINATION "${documents}")
include(CPack)
