# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# find_package(tessera) defines tessera::tessera; find_package(tessera COMPONENTS cuda) also looks for the CUDA Toolkit, whose
# headers tessera::cuda then brings; COMPONENTS mpi looks for an MPI, which tessera::mpi then brings. None enables a language.
include(${CMAKE_CURRENT_LIST_DIR}/tessera-xsimd.cmake)
tessera_find_xsimd(tessera_xsimd_include_dirs tessera_NOT_FOUND_MESSAGE)

foreach(component IN LISTS tessera_FIND_COMPONENTS)
  if(component STREQUAL "cuda")
    find_package(CUDAToolkit QUIET)
    set(tessera_cuda_FOUND ${CUDAToolkit_FOUND})
  elseif(component STREQUAL "mpi")
    find_package(MPI QUIET COMPONENTS CXX)
    set(tessera_mpi_FOUND ${MPI_CXX_FOUND})
  endif()
  if(tessera_FIND_REQUIRED_${component} AND NOT tessera_${component}_FOUND)
    set(tessera_NOT_FOUND_MESSAGE "component ${component} was not found (there are two: cuda needs the CUDA Toolkit, mpi an MPI)")
  endif()
endforeach()

if(tessera_NOT_FOUND_MESSAGE)
  set(tessera_FOUND FALSE)
  return()
endif()

include(${CMAKE_CURRENT_LIST_DIR}/tessera-targets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/tessera-compile-for.cmake)
target_include_directories(tessera::tessera INTERFACE "${tessera_xsimd_include_dirs}")
if(tessera_cuda_FOUND)
  target_include_directories(tessera::cuda INTERFACE "${CUDAToolkit_INCLUDE_DIRS}")
endif()
