#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

# All pages, in the test's folder.
pages() {
	local command

	"$LMMETER" help --man >lmmeter.1
	for command in $(commands); do
		"$LMMETER" help --man "$command" >"lmmeter-$command.1"
	done
}

@test "mandoc and groff find nothing to say about the pages" {
	command -v mandoc >/dev/null || command -v groff >/dev/null || skip "neither mandoc nor groff is installed"
	pages
	[ "$(find . -name 'lmmeter*.1' | wc -l)" -gt 8 ]
	for page in lmmeter*.1; do
		if command -v mandoc >/dev/null; then
			run mandoc -T lint -W style "$page"
			[ -z "$output" ] || { echo "$output"; false; }
		fi
		if command -v groff >/dev/null; then
			run bash -c "groff -man -ww -Tutf8 $page 2>&1 >/dev/null"
			[ -z "$output" ] || { echo "$output"; false; }
		fi
	done
}

@test "each page has its sections, and every option and example of --help" {
	pages
	for command in $(commands); do
		sed 's/\\-/-/g; s/\\(aq/'"'"'/g; s/\\(ti/~/g; s/\\f[BIRP]//g' "lmmeter-$command.1" >plain
		for section in NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES "EXIT STATUS" FILES ENVIRONMENT "SEE ALSO"; do
			grep -qx ".SH $section" plain || { echo "$command: no $section"; false; }
		done
		"$LMMETER" help "$command" | sed -n 's/^  \(-[a-z], \|    \)\(--[a-z-]*\).*/\2/p' >options
		grep -qx -- --help options
		while read -r option; do
			grep -qE -- "^(-[a-z], )?$option( |\$)" plain || { echo "$command: no $option"; false; }
		done <options
		"$LMMETER" help "$command" | sed -n '/^Examples:/,$ s/^  \(lmmeter.*\)/\1/p' >examples
		[ -s examples ]
		while read -r example; do
			grep -qxF -- "$example" plain || { echo "$command: no '$example'"; false; }
		done <examples
		grep -qF ".BR lmmeter\\-$command (1)" lmmeter.1
	done
}

@test "a page that can be built again, byte for byte" {
	SOURCE_DATE_EPOCH=86400 "$LMMETER" help --man run >one
	[[ $(head -1 one) == *'"1970-01-02"'* ]]
}

@test "a page of no command" {
	lm help --man rrun
	refused 2 "did you mean 'run'?"
}
