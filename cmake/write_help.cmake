# SPDX-License-Identifier: Apache-2.0
# cmake -D LMMETER=lmmeter [-D EMULATOR=…] -D OUT=folder -P write_help.cmake
# Lets lmmeter write its manual pages (OUT/man1) and completions (OUT/lmmeter for bash, OUT/_lmmeter for zsh).
function(write file)
	execute_process(COMMAND ${EMULATOR} ${LMMETER} ${ARGN} OUTPUT_FILE ${OUT}/${file} ERROR_VARIABLE why RESULT_VARIABLE rc)
	if(NOT rc EQUAL 0)
		message(FATAL_ERROR "lmmeter ${ARGN}: ${rc} ${why}")
	endif()
endfunction()

file(REMOVE_RECURSE ${OUT})
file(MAKE_DIRECTORY ${OUT}/man1)
write(names help --names)
write(man1/lmmeter.1 help --man)
file(STRINGS ${OUT}/names commands)
foreach(command ${commands})
	write(man1/lmmeter-${command}.1 help --man ${command})
endforeach()
write(lmmeter completion bash)
write(_lmmeter completion zsh)
file(TOUCH ${OUT}/done)
