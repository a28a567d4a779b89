# SPDX-License-Identifier: Apache-2.0
include(CMakePackageConfigHelpers)

# the command, and what it loads into engines
install(TARGETS lmmeter RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS lmm_probe lmm_audit lmm_inject_door lmm_threads lmm_reference LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lmmeter)
install(TARGETS lmm_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lmmeter)
if(TARGET lmm_opencl)
	install(TARGETS lmm_opencl LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lmmeter)
	install(TARGETS lmm_opencl_shim LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lmmeter/shim)
endif()
# what tells Vulkan's loader of the layer in liblmmeter.so: it names it by the path from here
install(FILES src/probe/devices/vulkan/VkLayer_lmmeter.json DESTINATION ${CMAKE_INSTALL_LIBDIR}/lmmeter/vulkan)

# the reader, for find_package(lmmeter) and pkg-config lmmeter-trace
install(DIRECTORY include/lmmeter DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# marks of programs without a loader, made of the injected library's sources
install(FILES ${PROJECT_BINARY_DIR}/include/lmmeter/mark_static.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lmmeter)
install(TARGETS lmmeter_trace EXPORT lmmeterTargets
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
	RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
set(lmm_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lmmeter)
install(EXPORT lmmeterTargets NAMESPACE lmmeter:: DESTINATION ${lmm_package_dir})
configure_package_config_file(cmake/lmmeterConfig.cmake.in ${PROJECT_BINARY_DIR}/lmmeterConfig.cmake
	INSTALL_DESTINATION ${lmm_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lmmeterConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lmmeterConfig.cmake ${PROJECT_BINARY_DIR}/lmmeterConfigVersion.cmake
	DESTINATION ${lmm_package_dir})

# the prefix is found from where the file lies, so that an installed tree can be moved
file(RELATIVE_PATH lmm_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/lmmeter-trace.pc.in ${PROJECT_BINARY_DIR}/lmmeter-trace.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lmmeter-trace.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
