# Makes taut::health: the health service, compiled as part of the project that links it, with the FlatBuffers that its
# other messages are compiled with.
#
# Read by this folder, and by find_package(taut COMPONENTS health): the files are installed as they stand here.
if(TARGET taut::health)
  return()
endif()
taut_add_schema(taut_health SCHEMAS "${CMAKE_CURRENT_LIST_DIR}/taut_health.fbs")
target_sources(taut_health PRIVATE "${CMAKE_CURRENT_LIST_DIR}/src/health.cpp")
target_include_directories(taut_health PUBLIC "${CMAKE_CURRENT_LIST_DIR}/include")
# Nobody who does not link it builds it.
set_target_properties(taut_health PROPERTIES EXCLUDE_FROM_ALL TRUE)
add_library(taut::health ALIAS taut_health)
