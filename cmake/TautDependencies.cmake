# Every package that taut needs, found in one place. README.md names the reason for each.
find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED)                     # header only: Interprocess maps the segments
if(NOT TARGET flatbuffers::flatbuffers)               # a program that brings its own adds it first
  find_package(FlatBuffers CONFIG REQUIRED NAMES FlatBuffers flatbuffers)  # Debian spells it so; libflatbuffers-dev
endif()
find_program(TAUT_FLATC flatc REQUIRED DOC "The FlatBuffers compiler (flatbuffers-compiler)")
if(TAUT_BUILD_TOOLS)
  find_package(CLI11 CONFIG REQUIRED)
  find_package(fmt CONFIG REQUIRED)
endif()
if(TAUT_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(TAUT_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()
