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
  INSTALL_DESTINATION "${package_dir}" NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break, so 0.1 is not what somebody who asks for 0.2 wants.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/taut-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/taut-config.cmake" "${PROJECT_BINARY_DIR}/taut-config-version.cmake"
  DESTINATION "${package_dir}")
# Files with functions that a user's CMake file calls; a folder appends its own, named Taut*.cmake, to the property.
get_property(modules GLOBAL PROPERTY TAUT_PACKAGE_MODULES)
install(FILES ${modules} DESTINATION "${package_dir}")
