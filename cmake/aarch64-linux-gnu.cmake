# SPDX-License-Identifier: Apache-2.0
# Cross build for 64-bit ARM Linux with Debian's gcc-aarch64-linux-gnu; tests run under qemu-user.
# LMM_AARCH64_SYSROOT (variable or environment) holds libzstd and cmocka for arm64: script/check-build aarch64 makes it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
if(NOT LMM_AARCH64_SYSROOT)
	set(LMM_AARCH64_SYSROOT "$ENV{LMM_AARCH64_SYSROOT}")
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LMM_AARCH64_SYSROOT)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(run qemu-aarch64-static -L /usr/aarch64-linux-gnu)
if(LMM_AARCH64_SYSROOT)
	list(PREPEND CMAKE_FIND_ROOT_PATH ${LMM_AARCH64_SYSROOT})
	list(APPEND run -E LD_LIBRARY_PATH=${LMM_AARCH64_SYSROOT}/usr/lib/aarch64-linux-gnu)
	# libcmocka.so and libzstd.so are themselves linked against nothing but libc
	set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${LMM_AARCH64_SYSROOT}/usr/lib/aarch64-linux-gnu")
endif()
set(CMAKE_CROSSCOMPILING_EMULATOR ${run})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
