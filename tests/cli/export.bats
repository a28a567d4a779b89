#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

@test "usage errors: status 2, one line" {
	lm export "$trace"
	refused 2 "needs more arguments"
	lm export "$trace" a b
	refused 2 "too many arguments"
	lm export "$trace" --to parquet out.x
	refused 2 "--to takes one of perfetto|chrome|speedscope|folded|csv, not 'parquet'"
	lm export "$trace" out.x --too chrome
	refused 2 "did you mean '--to'?"
	[ ! -e out.x ]
}

@test "Chrome's JSON is the expected one" {
	lm export "$trace" --to chrome trace.json
	[ "$status" = 0 ]
	[ -z "$out$err" ]
	cmp trace.json "$LMM_SOURCE/tests/golden/expected/chrome.json"
}

@test "Chrome's JSON is valid, and on no track do slices overlap" {
	command -v jq >/dev/null || skip "jq is not installed"
	lm export "$trace" --to chrome -
	[ "$status" = 0 ]
	jq -e '.traceEvents | length > 300' out
	jq -e '[.traceEvents[] | select(.ph == "X")] | group_by([.pid, .tid]) | map(
		sort_by(.ts) | . as $t | [range(1; length) | $t[.].ts + 0.0005 >= $t[. - 1].ts + $t[. - 1].dur] | all) | all' out
	# two requests, three and six passes
	[ "$(jq '[.traceEvents[] | select(.cat == "request")] | length' out)" = 2 ]
	[ "$(jq '[.traceEvents[] | select(.cat == "step" and .name == "prefill")] | length' out)" = 3 ]
	[ "$(jq '[.traceEvents[] | select(.cat == "step" and .name == "decode")] | length' out)" = 6 ]
}

@test "stacks and steps are the expected ones" {
	for pair in folded:run.folded speedscope:speedscope.json csv:run-steps.csv; do
		lm export "$trace" --to "${pair%%:*}" made
		[ "$status" = 0 ]
		[ -z "$out$err" ]
		cmp made "$LMM_SOURCE/tests/golden/expected/${pair#*:}"
		rm made
	done
}

@test "stacks and steps add up to the report" {
	run python3 "$LMM_SOURCE/tests/export/check_exports.py" "$LMMETER" "$trace"
	[ "$status" = 0 ] || { echo "$output"; false; }
}

@test "Perfetto is the default, to a file and to standard output" {
	lm export "$trace" trace.pftrace
	[ "$status" = 0 ]
	[ -z "$out$err" ]
	[ "$(head -c 1 trace.pftrace | od -An -tx1 | tr -d ' ')" = 0a ]
	"$LMMETER" export "$trace" --to perfetto - >piped
	cmp trace.pftrace piped
}

@test "an existing file is kept, unless --force" {
	echo mine >mine
	lm export "$trace" mine
	refused 1 "mine exists; --force overwrites it"
	[ "$(cat mine)" = mine ]
	lm export "$trace" --force mine
	[ "$status" = 0 ]
	[ "$(cat mine | wc -c)" -gt 1000 ]
}

@test "bad files: status 1, one line, and no output made" {
	lm export none.lmt out.x
	refused 1 "none.lmt: no such file"
	echo nothing >text.lmt
	lm export text.lmt out.x
	refused 1 "not a .lmt file"
	[ ! -e out.x ]
	lm export "$trace" none/out.x
	refused 1 "cannot write none/out.x"
}

@test "a cut file is exported up to the cut, and says so" {
	size=$(stat -c %s "$trace")
	rm -f cut.lmt
	"$GOLDEN_TRACE" cut.lmt cut $((size - 20))
	lm export cut.lmt --to chrome cut.json
	[ "$status" = 0 ]
	[ "$(wc -l <err)" = 1 ]
	[[ $err == *"was cut"* ]]
	if command -v jq >/dev/null; then
		jq -e '.traceEvents | length > 100' cut.json
	fi
}

@test "a full disk is a failure, a reader that leaves is none" {
	[ -c /dev/full ] || skip "no /dev/full"
	for format in perfetto chrome speedscope folded csv; do
		run bash -c '"$LMMETER" export "$0" --to "$1" - >/dev/full' "$trace" "$format"
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
		[[ $output == *"no space left"* ]]
		run bash -c 'set -o pipefail; "$LMMETER" export "$0" --to "$1" - | true' "$trace" "$format"
		[ "$status" = 0 ]
		[ -z "$output" ]
	done
}

@test "what could only be written in part is taken away" {
	for format in perfetto chrome; do
		run bash -c 'trap "" XFSZ; ulimit -f 8; exec "$LMMETER" export "$0" --to "$1" part.out' "$trace" "$format"
		[ "$status" = 1 ]
		[ "${#lines[@]}" = 1 ]
		[[ $output == *"cannot write part.out"* ]]
		[ ! -e part.out ]
	done
}
