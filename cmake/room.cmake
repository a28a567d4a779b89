# SPDX-License-Identifier: Apache-2.0
# lmm_room(NAME DEPENDS a b): a static library of all *.c in this folder, with the project's flags.

add_library(lmm_flags INTERFACE)
target_include_directories(lmm_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_features(lmm_flags INTERFACE c_std_11)
target_compile_definitions(lmm_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(lmm_flags INTERFACE
	-Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
	-Wvla -Wformat=2 -Wundef -fvisibility=hidden -fno-common)
if(LMM_WERROR)
	target_compile_options(lmm_flags INTERFACE -Werror)
endif()

# The sanitizers cannot live in a library that is loaded into other programs: it is built without them.
add_library(lmm_sanitize INTERFACE)
if(LMM_SANITIZE)
	target_compile_options(lmm_sanitize INTERFACE
		-fsanitize=${LMM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
	target_link_options(lmm_sanitize INTERFACE -fsanitize=${LMM_SANITIZE})
endif()

function(lmm_room name)
	cmake_parse_arguments(ROOM "" "" "DEPENDS" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS *.c)
	add_library(lmm_${name} STATIC ${sources})
	set_target_properties(lmm_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_EXTENSIONS OFF)
	target_link_libraries(lmm_${name} PRIVATE lmm_flags lmm_sanitize PUBLIC ${ROOM_DEPENDS})
endfunction()
