# SPDX-License-Identifier: Apache-2.0
install(TARGETS lmmeter RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS lmm_probe lmm_audit LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lmmeter)
