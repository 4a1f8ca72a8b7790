# Installs every layer and program that the folders registered, and makes find_package(taut CONFIG) work there.
# Included last: it reads what taut_add_layer and taut_add_program wrote down.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(layers GLOBAL PROPERTY TAUT_LAYERS)
get_property(programs GLOBAL PROPERTY TAUT_PROGRAMS)
get_property(exported_programs GLOBAL PROPERTY TAUT_EXPORTED_PROGRAMS)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/taut")

install(TARGETS ${layers} EXPORT taut FILE_SET HEADERS)
install(TARGETS ${exported_programs} EXPORT taut)
install(TARGETS ${programs})
install(EXPORT taut NAMESPACE taut:: DESTINATION "${package_dir}" FILE taut-targets.cmake)

configure_package_config_file(cmake/taut-config.cmake.in "${PROJECT_BINARY_DIR}/taut-config.cmake"
  INSTALL_DESTINATION "${package_dir}" PATH_VARS CMAKE_INSTALL_DATADIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break, so 0.1 is not what somebody who asks for 0.2 wants.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/taut-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/taut-config.cmake" "${PROJECT_BINARY_DIR}/taut-config-version.cmake"
  DESTINATION "${package_dir}")
# Files with functions that a user's CMake file calls; a folder appends its own, named Taut*.cmake, to the property.
get_property(modules GLOBAL PROPERTY TAUT_PACKAGE_MODULES)
install(FILES ${modules} DESTINATION "${package_dir}")

# pkg-config, for builds without CMake. The libraries are static, so whoever uses another stands before it.
set(taut_libraries "")
foreach(layer IN LISTS layers)
  get_target_property(type ${layer} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    string(PREPEND taut_libraries " -l${layer}")
  endif()
endforeach()
# Paths from the file itself: the tree may be installed with another prefix, or moved.
cmake_path(SET pc_dir NORMALIZE "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_INCLUDEDIR BASE_DIRECTORY "${pc_dir}" OUTPUT_VARIABLE pc_includes)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_LIBDIR BASE_DIRECTORY "${pc_dir}" OUTPUT_VARIABLE pc_libraries)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_BINDIR BASE_DIRECTORY "${pc_dir}" OUTPUT_VARIABLE pc_programs)
configure_file(cmake/taut.pc.in "${PROJECT_BINARY_DIR}/taut.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/taut.pc" DESTINATION "${pc_dir}")

# For authors of transports outside the tree: contract.cmake looks for its files where they stand here.
foreach(file IN ITEMS tests/contract/contract.cmake tests/contract/cancel_test.cpp tests/contract/coroutines_test.cpp
    tests/contract/drain_test.cpp tests/contract/interceptors_test.cpp tests/contract/kinds_test.cpp
    tests/contract/replies_test.cpp tests/contract/retry_test.cpp tests/contract/transport_test.cpp
    tests/contract/include/taut/testing/contract.h tests/contract/include/taut/testing/contract_desk.h
    tests/contract/include/taut/testing/contract_kinds.h tests/support/child_process.h
    tests/support/expect_status.h tests/support/seed.h tests/support/service_folder.h tests/support/temporary_directory.h
    tests/support/accounting/journal.h
    schemas/calculator.fbs schemas/echo.fbs schemas/kinds.fbs schemas/orders.fbs)
  cmake_path(GET file PARENT_PATH folder)
  install(FILES ${file} DESTINATION "${CMAKE_INSTALL_DATADIR}/taut/${folder}" COMPONENT testing)
endforeach()
