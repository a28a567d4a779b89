#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

@test "no command: the usage on stderr, status 2" {
	lm
	[ "$status" = 2 ]
	[ -z "$out" ]
	[[ $err == "Usage: lmmeter COMMAND"* ]]
}

@test "--help, -h and help: the usage on stdout, every command named" {
	for how in --help -h help; do
		lm "$how"
		[ "$status" = 0 ]
		[ -z "$err" ]
		for command in "$LMM_SOURCE"/src/cli/cmd_*.c; do
			command=${command##*/cmd_}
			commands | grep -qx "${command%.c}"
		done
		[ "$(commands)" = "$("$LMMETER" help --names)" ]
	done
}

@test "every command has --help with examples, and help COMMAND is the same" {
	for command in $(commands); do
		lm "$command" --help
		[ "$status" = 0 ]
		[ -z "$err" ]
		[[ $out == "Usage: lmmeter $command"* ]]
		[[ $out == *"Examples:"*"lmmeter $command"* ]]
		[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
		cp out first
		lm help "$command"
		[ "$status" = 0 ]
		cmp out first
	done
}

@test "--version" {
	lm --version
	[ "$status" = 0 ]
	[[ $out =~ ^lmmeter\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "an unknown command: status 2, and the one that was meant" {
	lm rreport
	refused 2 "did you mean 'report'?"
	lm exportt x y
	refused 2 "did you mean 'export'?"
	lm frobnicate
	refused 2 "'lmmeter help' lists them"
	lm help rreport
	refused 2 "did you mean 'report'?"
}

@test "an unknown command does not reach the terminal raw" {
	lm $'re\e[31mport'
	refused 2 '\x1b[31m'
}

@test "an option before the command" {
	lm --json report x
	refused 2 "options follow the command"
}

@test "help on a full disk is a failure" {
	[ -c /dev/full ] || skip "no /dev/full"
	run bash -c '"$LMMETER" --help >/dev/full'
	[ "$status" = 1 ]
	[[ $output == *"cannot write"* ]]
}
