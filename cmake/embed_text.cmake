# SPDX-License-Identifier: Apache-2.0
# cmake -D IN=file -D NAME=name -D HEADER=header.h -D OUT=file.c -P embed_text.cmake
# Writes a text file as a C string that the header declares.
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE "${OUT}" "#include \"${HEADER}\"\n\nconst char ${NAME}[] = {\n${hex}0x00\n};\n")
