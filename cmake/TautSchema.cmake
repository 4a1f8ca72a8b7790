# taut_add_schema(NAME SCHEMAS a.fbs ... [INCLUDES folder ...] [LINKS other_schema ...])
#
# Makes the library NAME of what the schemas say: for each a.fbs the messages (a_generated.h, by flatc), the stubs
# (a.taut.h) and the schema itself, embedded. Include "a.taut.h" and link NAME. Made anew when a schema, one that it
# includes, or taut-gen changes.
#   INCLUDES  where included schemas are looked for, beside the folder of the schema itself
#   LINKS     the libraries of included schemas that are not listed here
#
# Cross builds set TAUT_GEN and TAUT_FLATC to programs that run on the building machine.
#
# Programs with one FlatBuffers need nothing more, whichever it is: messages are compiled with its headers and its flatc.
# In a program that also holds code of another FlatBuffers, both define inline functions of one name, of which the linker
# keeps either. For such a program set the variable TAUT_FLATBUFFERS_NAMESPACE to a name of your own before the first
# taut_add_schema(): namespace `flatbuffers` is then called so in whatever links the schemas. What links them cannot use
# the compiled parts of FlatBuffers (its parser) at the same time.
set(TAUT_GEN "" CACHE FILEPATH "The stub generator to run instead of the one that is built or installed with taut")
find_program(TAUT_FLATC flatc DOC "The FlatBuffers compiler (flatbuffers-compiler)")

function(taut_add_schema name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SCHEMAS;INCLUDES;LINKS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SCHEMAS)
    message(FATAL_ERROR "taut_add_schema(${name}): needs SCHEMAS, and does not know \"${arg_UNPARSED_ARGUMENTS}\"")
  endif()
  if(NOT TAUT_FLATC)
    message(FATAL_ERROR "taut_add_schema(${name}): flatc was not found. Install flatbuffers-compiler, or set TAUT_FLATC.")
  endif()
  set(gen taut::gen)
  if(TAUT_GEN)
    set(gen "${TAUT_GEN}")
  endif()

  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}_schema")
  file(MAKE_DIRECTORY "${folder}")
  set(include_flags "")
  foreach(include IN LISTS arg_INCLUDES)
    cmake_path(ABSOLUTE_PATH include BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND include_flags -I "${include}")
  endforeach()

  set(sources "")
  foreach(schema IN LISTS arg_SCHEMAS)
    cmake_path(ABSOLUTE_PATH schema BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    cmake_path(GET schema STEM stem)
    set(made "${folder}/${stem}")
    add_custom_command(
      OUTPUT "${made}.taut.h" "${made}.taut.cpp" "${made}_generated.h"
      BYPRODUCTS "${made}.bfbs"
      COMMAND "${TAUT_FLATC}" --cpp --scoped-enums ${include_flags} -o "${folder}" "${schema}"
      COMMAND "${TAUT_FLATC}" --binary --schema --bfbs-builtins --bfbs-comments ${include_flags} -o "${folder}" "${schema}"
      COMMAND ${gen} "--fbs=${schema}" "--bfbs=${made}.bfbs" "--header=${made}.taut.h" "--source=${made}.taut.cpp"
              "--depfile=${made}.d"
      DEPENDS "${schema}" ${gen}
      DEPFILE "${made}.d"
      COMMENT "Making ${stem}.taut.h"
      VERBATIM)
    list(APPEND sources "${made}.taut.cpp" "${made}.taut.h" "${made}_generated.h")
  endforeach()

  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC "${folder}")
  target_link_libraries(${name} PUBLIC taut::stubs ${arg_LINKS})
  if(TAUT_FLATBUFFERS_NAMESPACE)
    target_compile_definitions(${name} PUBLIC "flatbuffers=${TAUT_FLATBUFFERS_NAMESPACE}")
  endif()
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()
