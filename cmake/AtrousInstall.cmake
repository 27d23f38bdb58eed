# Installation: headers, libraries, the program, and a package for find_package(atrous).
include(CMakePackageConfigHelpers)

set(libraries atrous_core atrous_kernels atrous_layers atrous_nets atrous_data atrous_eval atrous_train)
install(TARGETS ${libraries} EXPORT atrous_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(folder core kernels layers nets data eval train)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/atrous FILES_MATCHING PATTERN "*.h")
endforeach()
install(EXPORT atrous_targets FILE atrousTargets.cmake NAMESPACE atrous:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/atrous)
configure_package_config_file(cmake/atrousConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/atrousConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/atrous)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/atrousConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/atrousConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/atrousConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/atrous)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
