# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# tessera_find_xsimd(<include_dirs> <problem>) sets the first variable to the include directories of xsimd 8.1 or newer, or
# the second to a sentence. It looks at TESSERA_XSIMD_INCLUDE_DIR, then for a target that the including project brought,
# then for xsimd's package (xsimd_DIR, CMAKE_PREFIX_PATH). Our CMakeLists.txt and every find_package(tessera) use it.
#
# Only the include directories are taken from xsimd's target: Debian's 8.1 links a library xtl that no package provides.
# No version is asked of find_package: xsimd's version file refuses all other major versions, so we compare afterwards.
function(tessera_find_xsimd include_dirs problem)
  if(TESSERA_XSIMD_INCLUDE_DIR)
    set(found "${TESSERA_XSIMD_INCLUDE_DIR}")
    set(header "${found}/xsimd/config/xsimd_config.hpp")
    if(EXISTS "${header}")
      file(READ "${header}" text)
      string(REGEX MATCH "VERSION_MAJOR ([0-9]+).*VERSION_MINOR ([0-9]+)" text "${text}")
      set(xsimd_VERSION ${CMAKE_MATCH_1}.${CMAKE_MATCH_2})
    else()
      set(found "")
    endif()
  else()
    if(NOT TARGET xsimd AND NOT TARGET xsimd::xsimd)
      find_package(xsimd CONFIG QUIET)
    endif()
    foreach(target xsimd xsimd::xsimd)
      if(TARGET ${target})
        get_target_property(found ${target} INTERFACE_INCLUDE_DIRECTORIES)
      endif()
    endforeach()
  endif()

  set(${problem} "" PARENT_SCOPE)
  if(NOT found)
    set(${problem} "xsimd was not found; install libxsimd-dev, or set xsimd_DIR or TESSERA_XSIMD_INCLUDE_DIR" PARENT_SCOPE)
  elseif(xsimd_VERSION AND xsimd_VERSION VERSION_LESS 8.1)
    set(${problem} "xsimd ${xsimd_VERSION} was found; 8.1 or newer is needed" PARENT_SCOPE)
  endif()
  set(${include_dirs} "${found}" PARENT_SCOPE)
endfunction()
