# Headers, libraries, the CMake package (postgen::postgen, postgen::c) and pkg-config files. Two components:
# postgen_runtime for programs that are there already, postgen_development for building new ones.

include(CMakePackageConfigHelpers)

set(libraries postgen)
set(pkgconfig_files postgen)
if(TARGET postgen_c)
  list(APPEND libraries postgen_c)
  list(APPEND pkgconfig_files postgen_c)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/capi/include/postgen" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
          COMPONENT postgen_development FILES_MATCHING PATTERN "*.h")
endif()

install(TARGETS ${libraries} EXPORT postgenTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        COMPONENT postgen_runtime NAMELINK_COMPONENT postgen_development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/postgen" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        COMPONENT postgen_development FILES_MATCHING PATTERN "*.h")
install(FILES "${PROJECT_BINARY_DIR}/include/postgen/version.h"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/postgen" COMPONENT postgen_development)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/postgen")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/package/postgenConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/package/postgenConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/postgenConfigVersion.cmake"
  COMPATIBILITY SameMajorVersion)
install(EXPORT postgenTargets NAMESPACE postgen:: DESTINATION "${package_dir}" COMPONENT postgen_development)
install(FILES "${PROJECT_BINARY_DIR}/package/postgenConfig.cmake"
              "${PROJECT_BINARY_DIR}/package/postgenConfigVersion.cmake"
        DESTINATION "${package_dir}" COMPONENT postgen_development)

# Relative to the .pc file where the folders allow it, so that an installed tree can be moved.
foreach(kind IN ITEMS LIB INCLUDE)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    set(pc_${kind}DIR "${CMAKE_INSTALL_${kind}DIR}")
  else()
    set(pc_${kind}DIR "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
  endif()
endforeach()
foreach(name IN LISTS pkgconfig_files)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/package/${name}.pc.in" "${PROJECT_BINARY_DIR}/package/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/package/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
          COMPONENT postgen_development)
endforeach()
