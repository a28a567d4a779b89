#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

# Of one command, as the help has them.
options() { # command
	"$LMMETER" help "$1" | grep -oE '^  (-[a-z],|   ) --[a-z-]+' | grep -oE -- '-[a-z],|--[a-z-]+' | tr -d , | sort
}

# What bash offers for the last of these words, one a line; in $replies.
in_bash() { # word…
	"$LMMETER" completion bash >"$dir/lmmeter.bash"
	# shellcheck disable=SC2016
	bash --norc -c '. "$0"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_lmmeter
		printf "%s\n" "${COMPREPLY[@]}"' "$dir/lmmeter.bash" "$@" >"$dir/replies"
	replies=$(sort -u "$dir/replies")
}

offers() { # word…: all of them, and nothing else
	local wanted

	wanted=$(printf '%s\n' "$@" | sort)
	[ "$replies" = "$wanted" ] || { echo "offered: $replies"; echo "wanted: $wanted"; return 1; }
}

some_files() {
	mkdir -p d/folder
	touch d/a.lmt "d/b c.lmt" d/notes.txt
	cd d || return
}

@test "bash: commands" {
	in_bash lmmeter ''
	# shellcheck disable=SC2046
	offers $(commands) --help --version
	in_bash lmmeter re
	offers report
	in_bash lmmeter help ver
	offers verify
}

@test "bash: every option of every command, and no other" {
	for command in $(commands); do
		in_bash lmmeter "$command" -
		[ -n "$replies" ]
		# shellcheck disable=SC2046
		offers $(options "$command")
	done
}

@test "bash: the words that an option takes" {
	in_bash lmmeter run --threads ''
	offers first all
	in_bash lmmeter run -q --threads = a
	offers all
	in_bash lmmeter run --threads =
	offers first all
	in_bash lmmeter export x.lmt --to p
	offers perfetto
	in_bash lmmeter completion ''
	offers bash zsh
	for command in $(commands); do
		"$LMMETER" help "$command" | grep -oE -- '--[a-z-]+ [a-z]+(\|[a-z]+)+' >choices || continue
		while read -r option words; do
			in_bash lmmeter "$command" "$option" ''
			# shellcheck disable=SC2046
			offers $(tr '|' ' ' <<<"$words")
		done <choices
	done
}

@test "bash: recordings, files and folders where they are meant" {
	some_files
	in_bash lmmeter report ''
	offers a.lmt "b c.lmt" folder
	in_bash lmmeter report --csv ''
	offers folder
	in_bash lmmeter report -o ''
	offers a.lmt "b c.lmt" notes.txt folder
	in_bash lmmeter export a.lmt ''
	offers a.lmt "b c.lmt" notes.txt folder
	in_bash lmmeter diff a.lmt "b c.lmt" --against a.lmt b
	offers "b c.lmt"
	in_bash lmmeter report -- -
	offers ''
	in_bash lmmeter run --memory ''
	offers ''
}

@test "bash: processes of the user's" {
	in_bash lmmeter top "$$"
	[[ $replies == *"$$"* ]]
	[ "$(grep -vc '^[0-9]*$' <<<"$replies")" = 0 ]
}

@test "bash: behind run's options stands a program with words of its own" {
	some_files
	in_bash lmmeter run -- printen
	offers printenv
	in_bash lmmeter run --live printen
	offers printenv
	in_bash lmmeter run -q -o x.lmt -- cat ''
	offers a.lmt "b c.lmt" notes.txt folder
	in_bash lmmeter run -- cat -
	offers ''
	in_bash lmmeter verify --runs 3 cat n
	offers notes.txt
	[ -e /usr/share/bash-completion/bash_completion ] || skip "bash-completion is not installed"
	"$LMMETER" completion bash >l
	# shellcheck disable=SC2016
	run bash --norc -c '. /usr/share/bash-completion/bash_completion; . ./l
		COMP_WORDS=(lmmeter run -- lmmeter exp) COMP_CWORD=4 COMP_LINE="lmmeter run -- lmmeter exp" COMP_POINT=26
		_lmmeter; echo "${COMPREPLY[@]}"'
	[ "$output" = export ]
}

@test "zsh: commands, options, words and files" {
	command -v zsh >/dev/null || skip "zsh is not installed"
	mkdir functions
	"$LMMETER" completion zsh >functions/_lmmeter
	some_files
	lines=("lmmeter " "lmmeter run --threads " "lmmeter run --threads=" "lmmeter report " "lmmeter report --csv "
		"lmmeter export a.lmt n" "lmmeter completion " "lmmeter top $$" "lmmeter run -- printen" "lmmeter run -q cat n")
	for command in $(commands); do
		lines+=("lmmeter $command --")
	done
	zsh -f "$LMM_SOURCE/tests/cli/complete.zsh" "$dir/functions" "$dir/zsh" "${lines[@]}"
	of() { # number; zsh gives names as they are quoted
		replies=$(sort -u "$dir/zsh/$1" | tr -d '\\')
	}
	of 1
	# shellcheck disable=SC2046
	offers $(commands)
	of 2 && offers first all
	of 3 && offers first all
	of 4 && offers a.lmt "b c.lmt" folder
	of 5 && offers folder
	of 6 && offers notes.txt
	of 7 && offers bash zsh
	of 8 && [[ $replies == *"$$"* ]]
	of 9 && offers printenv
	of 10 && offers notes.txt
	i=10
	for command in $(commands); do
		i=$((i + 1))
		of "$i"
		# shellcheck disable=SC2046
		offers $(options "$command" | grep -e --)
	done
}

@test "a shell that is not known" {
	lm completion fish
	refused 2 "bash and zsh, not 'fish'"
	lm completion
	refused 2 "needs more arguments"
}
