#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

# The values of a JSON path, one per line.
json() {
	jq -r "$1" "$dir/out"
}

# Nothing is left behind: temporary folders, recordings in the current one.
nothing_left() {
	[ -z "$(ls "$TMPDIR")" ] || { ls -R "$TMPDIR"; return 1; }
	[ -z "$(find "$dir" -name 'lmmeter-*.lmt')" ]
}

more_setup() {
	export TMPDIR=$dir/tmp
	mkdir "$TMPDIR"
}

# A program of ours that stands for an engine.
fake_engine() {
	fake=$(dirname "$LMMETER")/../../tests/fake/plain/fake_engine
	[ -x "$fake" ] || skip "the stand-in for an engine is not built"
	fake=$(realpath "$fake")
}

@test "usage errors" {
	lm overhead
	refused 2 "overhead needs more arguments"
	lm overhead --pairs 0 -- true
	refused 2 "--pairs takes a number from 1 to 1000"
	lm overhead --pairs 1001 -- true
	refused 2 "--pairs takes a number from 1 to 1000"
	lm overhead --pairs three -- true
	refused 2 "--pairs takes a number, not 'three'"
	for time in '' s 5h -1 1000000000000; do
		lm overhead --time="$time" -- true
		refused 2 "--time takes a time such as 90s or 5m"
	done
	for list in '' , a, a,,b Performance 'a b' ../x; do
		lm overhead --governors="$list" -- true
		refused 2 "--governors takes up to 8 names"
	done
	lm overhead --pair 3 -- true
	refused 2 "did you mean '--pairs'?"
}

@test "a command without an engine: the process alone is compared, and it says so" {
	more_setup
	lm overhead --pairs 3 -- sleep 0.05
	[ "$status" = 0 ]
	[ -z "$err" ]
	[[ $out == "sleep with and without lmmeter"*": 3 pairs in "* ]]
	[[ $out == *"whole process"* ]]
	[[ $out == *"no call of llama.cpp"* ]]
	[[ $out == *"arXiv 2510.06126"*performance*0.00*0.10*powersave*2.58*0.99* ]]
	lacks "decode step" out
	lacks "By arithmetic" out
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
	nothing_left
}

@test "the same as JSON, with one pair: no interval" {
	more_setup
	lm overhead --pairs 1 --json -- sleep 0.05
	[ "$status" = 0 ]
	[ -z "$err" ]
	[ "$(json .schema)" = lmmeter.overhead/1 ]
	[ "$(json .command_name)" = sleep ]
	[ "$(json '.series[0] | .decode, .prefill, .arithmetic, .engine, .level, .governor' | sort -u)" = null ]
	[ "$(json '.series[0].engine_seen')" = false ]
	[ "$(json '.series[0].pairs | length')" = 1 ]
	[ "$(json '.series[0].process.slowdown.count')" = 1 ]
	[ "$(json '.series[0].process.slowdown.low_percent')" = null ]
	[ "$(json '.series[0].process.verdict')" = unknown ]
	[ "$(json '.series[0].pairs[0] | .without.wall_ns >= 50000000 and .with.wall_ns >= 50000000')" = true ]
	# the ratio of the pair, worked out here
	json '.series[0] | .process.slowdown.percent - (.pairs[0] | .with.wall_ns / .without.wall_ns - 1) * 100 | fabs < 0.001' | grep -qx true
	[ "$(json '.published.rows | length')" = 6 ]
}

@test "it goes on until it knows, ten pairs at most; --time ends it after three" {
	lm overhead --json -- true
	[ "$status" = 0 ]
	[ "$(json '.series[0] | (.pairs | length) as $n | $n >= 3 and $n <= 10 and (.ended_by == "pairs") == ($n == 10) or .ended_by == "precision"')" = true ]
	lm overhead --json --time 0s -- true
	[ "$(json '.series[0] | "\(.pairs | length) \(.ended_by)"')" = "3 time" ]
	lm overhead --json --time 0 --pairs 20 -- true
	[ "$(json '.series[0] | "\(.pairs | length) \(.ended_by)"')" = "3 time" ]
	lm overhead --json --pairs 12 -- true
	[ "$(json '.series[0] | "\(.pairs | length) \(.ended_by)"')" = "12 pairs" ]
}

@test "a command that is slower with lmmeter is said to be" {
	lm overhead --json --pairs 6 -- sh -c '[ -z "$LMMETER_SESSION" ] || sleep 0.3'
	[ "$status" = 0 ]
	[ "$(json '.series[0].pairs | map(.with.wall_ns > 300000000 and .without.wall_ns < .with.wall_ns) | all')" = true ]
	[ "$(json '.series[0].process | .slowdown.percent > 0 and .with_ns > .without_ns')" = true ]
	# a noisy machine may hide even that
	json '.series[0].process.verdict' | grep -qxE 'slower|too_noisy'
}

@test "which run is first is left to chance" {
	lm overhead --json --pairs 40 -- true
	[ "$(json '.series[0].pairs[].with_first' | sort -u | wc -l)" = 2 ]
}

@test "a command that fails, that is not there, that cannot be executed, that dies" {
	more_setup
	lm overhead -- sh -c 'exit 3'
	refused 1 "sh ended with status 3; --show shows what it says"
	lm overhead -- ./not-there
	refused 1 "./not-there: not found"
	touch plain
	lm overhead -- ./plain
	refused 1 "./plain: cannot be executed"
	lm overhead -- sh -c 'kill -9 $$'
	refused 1 "sh died of signal 9"
	nothing_left
}

@test "a command that fails later: what was measured is shown, status 1" {
	lm overhead --pairs 5 -- sh -c 'echo >>runs; [ "$(wc -l <runs)" -le 6 ]'
	[ "$status" = 1 ]
	[[ $err == *"ended with status 1"* ]]
	[[ $out == *": 2 pairs in "*"a run failed"* ]]
}

@test "the command: no input, its arguments, its output only with --show, and then on stderr" {
	lm overhead --pairs 1 --json -- sh -c 'cat; echo "out $1"; echo "err $1" >&2' sh 'a b' <<<input
	[ "$status" = 0 ]
	[ -z "$err" ]
	[ "$(json .schema)" = lmmeter.overhead/1 ]
	lm overhead --pairs 1 --json --show -- sh -c 'cat; echo "out $1"; echo "err $1" >&2' sh 'a b' <<<input
	[ "$(json .schema)" = lmmeter.overhead/1 ]
	[ "$(grep -c '^out a b$' err)" = 4 ]
	[ "$(grep -c '^err a b$' err)" = 4 ]
	lacks input err
}

@test "the environment: the user's own preload first, no recording of his" {
	LMMETER_OUT=$dir/mine.lmt LD_PRELOAD=$dir/none.so lm overhead --pairs 1 --show -- sh -c 'echo "$LD_PRELOAD|$LMMETER_OUT|$LMMETER_SESSION"'
	[ "$status" = 0 ]
	[ ! -e mine.lmt ]
	[ "$(grep -c "^$dir/none.so:.*/liblmmeter-reference.so||$" err)" = 2 ]
	[ "$(grep -c "^$dir/none.so:.*/liblmmeter-reference.so:.*liblmmeter.so||." err)" = 2 ]
}

@test "--keep: made, or refused when it is not empty" {
	fake_engine
	lm overhead --pairs 1 --keep kept -- "$fake"
	[ "$status" = 0 ]
	[[ $out == *"Recordings are kept in $(realpath kept)"* ]]
	[ "$(ls kept)" = "$(printf 'pair000-with.lmt\npair001-with.lmt')" ]
	lm report kept/pair001-with.lmt
	[ "$status" = 0 ]
	lm overhead --pairs 1 --keep kept -- true
	refused 1 "kept is not empty"
	lm overhead --pairs 1 --keep no/such/place -- true
	refused 1 "cannot make the folder no/such/place"
}

@test "the stand-in for an engine, in a child: prefill, decode and the arithmetic" {
	fake_engine
	more_setup
	lm overhead --pairs 3 --json -- sh -c '"$1"; true' sh "$fake"
	[ "$status" = 0 ]
	[ "$(json '.series[0] | .engine_seen, .decode.slowdown.count, .prefill.slowdown.count' | tr '\n' ' ')" = "true 3 3 " ]
	[ "$(json '.series[0].pairs | map(.with.calls == .without.calls and .with.decode_steps == .without.decode_steps and .with.prefills == .without.prefills) | all')" = true ]
	[ "$(json '.series[0].arithmetic | .operators_per_token > 0 and .per_token_ns > 0')" = true ]
	[ "$(json '.series[0].arithmetic | (.operators_per_token * .operator_ns + .phases_per_token * .phase_pair_ns) / .per_token_ns - 1 | fabs < 0.01')" = true ]
	nothing_left
}

@test "a Ctrl-C: the command ends, what was measured is shown" {
	more_setup
	"$LMMETER" overhead --pairs 50 -- sh -c 'echo >>runs; [ "$(wc -l <runs)" -le 4 ] || { echo $$ >pid; exec sleep 60; }' >out 2>err &
	pid=$!
	for _ in $(seq 200); do [ -s pid ] && break; sleep 0.05; done
	start=$SECONDS
	kill -TERM "$pid"
	wait "$pid"
	[ $((SECONDS - start)) -lt 30 ]
	grep -q ': 1 pair in .*a signal ended it' out
	[ ! -s err ]
	[ ! -e "/proc/$(cat pid)" ]
	nothing_left
}

@test "a command that ignores the first signal is killed by the second" {
	more_setup
	"$LMMETER" overhead -- sh -c 'trap "" INT TERM; echo $$ >pid; exec sleep 60' >out 2>err &
	pid=$!
	for _ in $(seq 200); do [ -s pid ] && break; sleep 0.05; done
	start=$SECONDS
	kill -TERM "$pid"
	sleep 0.3
	[ -e "/proc/$(cat pid)" ]
	kill -TERM "$pid"
	wait "$pid" || status=$?
	[ "$status" = 1 ]
	[ $((SECONDS - start)) -lt 30 ]
	[ ! -e "/proc/$(cat pid)" ]
	nothing_left
}

@test "a signal before the first pair: status 1" {
	more_setup
	"$LMMETER" overhead -- sh -c 'echo $$ >pid; exec sleep 60' >out 2>err &
	pid=$!
	for _ in $(seq 200); do [ -s pid ] && break; sleep 0.05; done
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	out=$(cat out) err=$(cat err)
	refused 1 "ended before a pair was measured"
	nothing_left
}

@test "--governors where there are none: one line says so, and it goes on" {
	[ ! -e /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor ] || skip "this machine has governors"
	lm overhead --pairs 1 --governors performance,powersave -- true
	[ "$status" = 0 ]
	[[ $out == *"this machine shows no cpufreq: they are left as they are, and cost × count"* ]]
	lm overhead --pairs 1 --governors performance --json -- true
	[ "$(json .governors_error)" = "this machine shows no cpufreq" ]
	[ "$(json '.series | length')" = 1 ]
}

@test "a full disk is a failure" {
	[ -c /dev/full ] || skip "no /dev/full"
	run bash -c '"$LMMETER" overhead --pairs 1 -- true >/dev/full'
	[ "$status" = 1 ]
	[[ $output == *"cannot write standard output"* ]]
}
