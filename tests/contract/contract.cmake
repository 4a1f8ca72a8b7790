# Makes taut::contract: the suite that every transport passes, compiled as part of whatever test links it, with the
# GoogleTest and the compiler flags of that project. Link GTest::gmock_main beside it.
#
# Read by tests/contract, and by find_package(taut COMPONENTS testing): the files are installed in the folders that they
# have here.
if(TARGET taut::contract)
  return()
endif()
set(taut_contract_root "${CMAKE_CURRENT_LIST_DIR}/../..")
set(taut_contract_schemas "")
foreach(schema IN ITEMS calculator echo kinds orders)
  list(APPEND taut_contract_schemas "${taut_contract_root}/schemas/${schema}.fbs")
endforeach()
taut_add_schema(taut_contract_schemas SCHEMAS ${taut_contract_schemas})
add_library(taut_contract INTERFACE)
foreach(part IN ITEMS cancel coroutines drain interceptors kinds replies retry transport)
  target_sources(taut_contract INTERFACE "${CMAKE_CURRENT_LIST_DIR}/${part}_test.cpp")
endforeach()
target_include_directories(taut_contract INTERFACE "${CMAKE_CURRENT_LIST_DIR}/include" "${taut_contract_root}/tests")
target_link_libraries(taut_contract INTERFACE taut_contract_schemas taut::rpc GTest::gmock)
add_library(taut::contract ALIAS taut_contract)
