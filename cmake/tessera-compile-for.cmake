# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# tessera_compile_for(<target> <source> <march>...) compiles the source once with each -march=<march> and adds the objects
# to the target: one translation unit an instruction set, for run-time dispatch. Its functions name `tessera::default_arch`
# in their template parameters, so that no two objects define the same symbol; see test/multiarch for a whole program.
function(tessera_compile_for target source)
  foreach(march IN LISTS ARGN)
    set(objects ${target}_${march})
    add_library(${objects} OBJECT ${source})
    target_compile_options(${objects} PRIVATE -march=${march})
    target_include_directories(${objects} PRIVATE $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
    target_link_libraries(${objects} PRIVATE tessera::tessera)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
