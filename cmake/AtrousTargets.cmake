# atrous_library(<folder> [DEPENDS lib...] [PRIVATE lib...])
#
# One static library per top-level folder, from every .cpp below it. Files named *_avx2.cpp, *_avx512.cpp and
# *_bf16_isa.cpp are compiled for that instruction set; they are only entered after a run-time check of the CPU.
function(atrous_library folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.cpp)
  endif()
  add_library(atrous_${folder} STATIC ${sources})
  add_library(atrous::${folder} ALIAS atrous_${folder})
  set_target_properties(atrous_${folder} PROPERTIES EXPORT_NAME ${folder})
  target_include_directories(atrous_${folder} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/atrous>)
  target_compile_features(atrous_${folder} PUBLIC cxx_std_20)
  target_link_libraries(atrous_${folder} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE} $<BUILD_INTERFACE:atrous_flags>)
  set(avx512 "-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx2;-mfma;-mprefer-vector-width=512;-Wno-uninitialized;-Wno-maybe-uninitialized")  # GCC 12 warns about its own intrinsics
  foreach(source IN LISTS sources)
    if(source MATCHES "_avx512\\.cpp$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${avx512}")
    elseif(source MATCHES "_bf16_isa\\.cpp$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${avx512};-mavx512bf16;-mamx-tile;-mamx-bf16")
    elseif(source MATCHES "_avx2\\.cpp$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
    endif()
  endforeach()
endfunction()

# atrous_simulated(<variable> <path of a .cu>): sets the variable to a source that compiles the .cu for the simulator.
function(atrous_simulated variable source)
  file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR} ${source})
  string(REPLACE "/" "_" name ${path})
  set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/sim/${name}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "// Generated: ${path} for the simulator.\n#include \"${path}\"\n" @ONLY)
  # Vector accesses reinterpret memory, as CUDA allows and C++ does not.
  set_source_files_properties(${wrapper} PROPERTIES COMPILE_OPTIONS "-fno-strict-aliasing;-Wno-unknown-pragmas")
  set(${variable} ${wrapper} PARENT_SCOPE)
endfunction()
