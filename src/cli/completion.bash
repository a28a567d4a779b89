# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2046
# The part of `lmmeter completion bash` that knows no commands. In front of it stand three tables: functions that print the
# names of a command's options (of all commands for ''), and the kinds of an option's value and of the n-th argument. A kind is
# one of those below, or =word for the word itself.

# Adds what of these kinds begins like $cur to COMPREPLY.
_lmmeter_offer() { # kind…
	local kind process

	for kind; do
		case $kind in
		recording | file | folder | program) compopt -o filenames 2>/dev/null ;;
		esac
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(
			case $kind in
			recording)
				compgen -f -X '!*.lmt' -- "$cur"
				compgen -d -- "$cur"
				;;
			file) compgen -f -- "$cur" ;;
			folder) compgen -d -- "$cur" ;;
			program)
				compgen -c -- "$cur"
				[[ $cur == */* ]] || compgen -d -- "$cur"
				;;
			process)
				for process in /proc/[0-9]*; do
					[[ ! -O $process ]] || compgen -W "${process#/proc/}" -- "$cur"
				done
				;;
			command) compgen -W "$(_lmmeter_options '')" -- "$cur" ;;
			=*) compgen -W "${kind#=}" -- "$cur" ;;
			esac
		)
	done
}

# Another program's words: it is word $1.
_lmmeter_program() {
	if ((COMP_CWORD == $1)); then
		_lmmeter_offer program
	elif declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	else
		_lmmeter_offer file
	fi
}

_lmmeter() {
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} option='' only_arguments='' word
	local -i i n=0

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_lmmeter_offer command =--help =--version
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == '=' ]]; then
			continue # "--option=value" is three words
		elif [[ $option ]]; then
			option=''
		elif [[ $word == -- && ! $only_arguments ]]; then
			only_arguments=1
		elif [[ $word == -?* && ! $only_arguments ]]; then
			[[ $word == --* ]] || word=-${word: -1}
			[[ ! $(_lmmeter_value "$command" "$word") ]] || option=$word
		elif [[ $(_lmmeter_argument "$command" 0) == program ]]; then
			_lmmeter_program "$i"
			return
		else
			n+=1
		fi
	done
	[[ $cur != '=' ]] || cur=''
	if [[ $option ]]; then
		_lmmeter_offer $(_lmmeter_value "$command" "$option")
	elif [[ $cur == -* && ! $only_arguments ]]; then
		_lmmeter_offer $(printf '=%s ' $(_lmmeter_options "$command"))
	elif [[ $(_lmmeter_argument "$command" 0) == program ]]; then
		_lmmeter_program "$i"
	else
		_lmmeter_offer $(_lmmeter_argument "$command" "$n")
	fi
}

complete -F _lmmeter lmmeter
