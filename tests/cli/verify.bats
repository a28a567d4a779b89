#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

# The values of a JSON path, one per line.
json() {
	jq -r "$1" "$dir/out"
}

more_setup() {
	export TMPDIR=$dir/tmp
	mkdir "$TMPDIR"
}

# Nothing is left behind: temporary folders, recordings in the current one.
nothing_left() {
	[ -z "$(ls "$TMPDIR")" ] || { ls -R "$TMPDIR"; return 1; }
	[ -z "$(find "$dir" -name 'lmmeter-*.lmt')" ]
}

# A program of ours that stands for an engine.
fake_engine() {
	fake=$(dirname "$LMMETER")/../../tests/fake/plain/fake_engine
	[ -x "$fake" ] || skip "the stand-in for an engine is not built"
	fake=$(realpath "$fake")
}

@test "usage errors" {
	lm verify
	refused 2 "verify needs more arguments"
	for option in runs:100 top:16 rounds:50; do
		for value in 0 "$((${option#*:} + 1))"; do
			lm verify "--${option%:*}" "$value" -- true
			refused 2 "--${option%:*} takes a number from 1 to ${option#*:}"
		done
	done
	lm verify --runs three -- true
	refused 2 "--runs takes a number, not 'three'"
	lm verify --round 3 -- true
	refused 2 "did you mean '--rounds'?"
}

@test "a command without an engine: it says so, status 1" {
	more_setup
	lm verify --runs 2 -- true
	[ "$status" = 1 ]
	[ -z "$err" ]
	[[ $out == "true: lmmeter "*", 2 runs in "* ]]
	[[ $out == *"made no call of llama.cpp"* ]]
	[[ $out == *"not confirmed"* ]]
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
	nothing_left
}

@test "the same as JSON" {
	lm verify --runs 2 --json -- true
	[ "$status" = 1 ]
	[ -z "$err" ]
	[ "$(json .schema)" = lmmeter.verify/1 ]
	[ "$(json '.engine, .kernels' | sort -u)" = null ]
	[ "$(json '"\(.runs) \(.ended_by) \(.passed) \(.phases | length)"')" = "2 runs false 0" ]
}

@test "the stand-in for an engine: the same calls on both sides, and alpha follows from the runs" {
	fake_engine
	more_setup
	lm verify --runs 3 --json -- sh -c '"$1"; exit 0' sh "$fake"
	[ "$(json .runs)" = 3 ]
	[ "$(json .engine.name)" = llama.cpp ]
	[ "$(json '[.phases[] | select(.phase == "prefill" or .phase == "decode") | .runs | length] | tostring')" = "[3,3]" ]
	[ "$(json '[.phases[] | .runs[] | .lmmeter_calls == .reference_calls] | all')" = true ]
	# worked out here
	[ "$(json '[.phases[] | (.alpha_percent.mean - ([.runs[] | select(.reference_calls > 0 and .lmmeter_calls > 0)
		| 100 * (1 - ((.lmmeter_ns - .reference_ns) | fabs) / .reference_ns)] | add / length)) | fabs < 0.01] | all')" = true ]
	nothing_left
}

@test "nothing of the command's output is shown or kept" {
	more_setup
	lm verify --runs 1 --keep kept -- sh -c 'echo secret; echo "secret eval" >&2; cat' <<<secret
	lacks secret out
	lacks secret err
	[ -z "$(grep -rl 'secret' kept "$TMPDIR")" ]
	lm verify --runs 1 --json --show -- sh -c 'cat; echo "out $1"; echo "err $1" >&2' sh 'a b' <<<input
	[ "$(json .schema)" = lmmeter.verify/1 ]
	[ "$(grep -c '^out a b$' err)" = 2 ]
	[ "$(grep -c '^err a b$' err)" = 2 ]
	lacks input err
}

@test "the engine's own lines are read from its standard error, of which nothing else is" {
	fake_engine
	lm verify --runs 2 --json -- sh -c '"$1"; echo "0.1 I common_perf_print: prompt eval time =  12.50 ms / 5 tokens" >&2' sh "$fake"
	[ "$(json '.phases[] | select(.phase == "prefill") | .engine_ns')" = 12500000 ]
	[ "$(json '.phases[] | select(.phase == "decode") | .engine_ns')" = null ]
}

@test "a child that keeps standard error open does not hold it up" {
	start=$SECONDS
	lm verify --runs 1 -- sh -c 'sleep 20 >/dev/null &'
	[ "$status" = 1 ]
	[ $((SECONDS - start)) -lt 15 ]
}

@test "--opencl without a device is a failure" {
	fake_engine
	more_setup
	lm verify --runs 1 --opencl -- "$fake"
	[ "$status" = 1 ]
	[[ $err == "lmmeter: "*"kernel"* ]]
	[[ $out == *"a run failed"* ]]
	nothing_left
}

@test "a command that fails, that is not there, that fails later" {
	more_setup
	lm verify -- sh -c 'exit 3'
	refused 1 "sh with lmmeter ended with status 3; --show shows what it says"
	lm verify -- ./not-there
	[ "$status" = 1 ]
	[ -z "$out" ]
	lm verify --runs 5 -- sh -c 'echo >>runs; [ "$(wc -l <runs)" -le 3 ]'
	[ "$status" = 1 ]
	[[ $out == *", 2 runs in "*"a run failed"* ]]
	nothing_left
}

@test "a Ctrl-C: the command ends, what was measured is shown" {
	more_setup
	"$LMMETER" verify --runs 50 -- sh -c 'echo >>runs; [ "$(wc -l <runs)" -le 3 ] || { echo $$ >pid; exec sleep 60; }' >out 2>err &
	pid=$!
	for _ in $(seq 200); do [ -s pid ] && break; sleep 0.05; done
	start=$SECONDS
	kill -TERM "$pid"
	wait "$pid" || status=$?
	[ $((SECONDS - start)) -lt 30 ]
	grep -q ', 2 runs in .*a signal ended it' out
	[ ! -s err ]
	[ ! -e "/proc/$(cat pid)" ]
	nothing_left
}

@test "a signal before the first run: status 1" {
	more_setup
	"$LMMETER" verify -- sh -c 'echo $$ >pid; exec sleep 60' >out 2>err &
	pid=$!
	for _ in $(seq 200); do [ -s pid ] && break; sleep 0.05; done
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	out=$(cat out) err=$(cat err)
	refused 1 "ended before a run was measured"
	nothing_left
}
