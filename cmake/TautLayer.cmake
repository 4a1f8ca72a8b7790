# taut_add_layer(NAME [SOURCES ...] HEADERS ... [LINKS ...] [PRIVATE_LINKS ...] [HEADERS_OF ...])
#
# One layer: the target taut::NAME with its own include path, so that a header of a layer that is not linked
# cannot be included. Headers are named relative to the layer's include/ folder, and each is compiled alone.
#   LINKS          what its headers need; whoever links the layer gets it too
#   PRIVATE_LINKS  what only its sources need, and the program must be linked with
#   HEADERS_OF     packages of which only its sources include headers (Boost): an installed taut does not ask for them
# Folders are added in dependency order: a layer must not see one that is registered after it, and a test holds that.
function(taut_add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;LINKS;PRIVATE_LINKS;HEADERS_OF")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_HEADERS)
    message(FATAL_ERROR "taut_add_layer(${name}): needs HEADERS, and does not know \"${arg_UNPARSED_ARGUMENTS}\"")
  endif()
  set(target taut_${name})
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE ${arg_PRIVATE_LINKS})
    foreach(package IN LISTS arg_HEADERS_OF)
      target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${package}>)
    endforeach()
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    # Nobody interposes our functions, so they may be inlined into each other.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(taut::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  list(TRANSFORM arg_HEADERS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/include/")
  target_sources(${target} ${scope}
    FILE_SET HEADERS BASE_DIRS "${CMAKE_CURRENT_SOURCE_DIR}/include" FILES ${arg_HEADERS})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_link_libraries(${target} ${scope} ${arg_LINKS})
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ${TAUT_VERIFY_HEADERS})
  set_property(GLOBAL APPEND PROPERTY TAUT_LAYERS ${target})
endfunction()
