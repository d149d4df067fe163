# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# How we compile our own programs. None of it reaches users.
set(CMAKE_CXX_EXTENSIONS OFF)
separate_arguments(arch_flags UNIX_COMMAND "${TESSERA_ARCH_FLAGS}")
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wdouble-promotion;${arch_flags}>")

# The macros that these flags make the compiler define tell the instruction sets of our programs.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${arch_flags} -dM -E -x c++ /dev/null OUTPUT_VARIABLE arch_macros ERROR_QUIET)
if(arch_macros MATCHES "__AVX512F__")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-mprefer-vector-width=512>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 19)
  add_compile_options(-Wno-invalid-feature-combination)  # what it says about its own -march=native where there is AVX10
endif()

find_package(OpenMP)
