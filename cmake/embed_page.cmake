# SPDX-License-Identifier: Apache-2.0
# cmake -D PAGE=… -D STYLES=a|b -D SCRIPTS=a|b -D LICENCE=… -D OUT=page.c -P embed_page.cmake
#
# Puts style sheets and scripts into the page, with the hashes by which its security policy lets exactly these through, and
# writes it as a C array.
cmake_minimum_required(VERSION 3.22)

function(read_all list out)
	set(all "")
	string(REPLACE "|" ";" files "${list}")
	foreach(file IN LISTS files)
		file(READ "${file}" text)
		string(APPEND all "${text}\n")
	endforeach()
	set(${out} "${all}" PARENT_SCOPE)
endfunction()

# Three hexadecimal digits are two of base 64; the 64 of SHA-256 leave one over.
function(sha256_base64 text out)
	set(digits "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	string(SHA256 hex "${text}")
	set(code "")
	foreach(i RANGE 0 63 3)
		string(SUBSTRING "${hex}00" ${i} 3 three)
		math(EXPR high "0x${three} >> 6")
		math(EXPR low "0x${three} & 63")
		string(SUBSTRING "${digits}" ${high} 1 first)
		string(SUBSTRING "${digits}" ${low} 1 second)
		string(APPEND code "${first}${second}")
	endforeach()
	string(SUBSTRING "${code}" 0 43 code)
	set(${out} "${code}=" PARENT_SCOPE)
endfunction()

file(READ "${PAGE}" page)
file(READ "${LICENCE}" licence)
read_all("${STYLES}" style)
read_all("${SCRIPTS}" script)
if(script MATCHES "</script" OR style MATCHES "</style")
	message(FATAL_ERROR "a script or a style sheet would end its own element")
endif()
sha256_base64("${style}" style_hash)
sha256_base64("${script}" script_hash)
foreach(name style_hash script_hash licence style script)
	string(REPLACE "@${name}@" "${${name}}" page "${page}")
endforeach()

string(HEX "${page}" hex)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE "${OUT}" "#include \"report/html_page.h\"\n\nconst char lmm__html_page[] = {\n${hex}0x00\n};\n")
