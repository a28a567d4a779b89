#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The recording is made up: its sums are in tests/golden/expected. Rates below are worked out from them by hand.
load common

rate() { # per second
	echo "{\"best\": $1, \"median\": $1, \"worst\": $1, \"spread_percent\": 0, \"repetitions\": 12}"
}

row() { # threads GB/s GFLOP/s GOP/s
	echo "{\"threads\": $1, \"read_bytes_per_second\": $(rate "$2e9"), \"f32_flops_per_second\": $(rate "$3e9"),
		\"int8_ops_per_second\": $(rate "$4e9"), \"caches\": []}"
}

peaks() { # host.cpu rows…
	local cpu=$1
	shift
	(
		IFS=,
		echo "{\"schema\": \"lmmeter.peaks/1\", \"host\": {\"cpu\": \"$cpu\", \"cpus\": 2}, \"cpu\": [$*], \"opencl\": []}"
	)
}

setup_peaks() {
	export XDG_CACHE_HOME=$dir/cache
	command -v jq >/dev/null || skip "jq is not installed"
	peaks "Made-up CPU" "$(row 1 10 100 400)" "$(row 2 16 200 800)" >peaks.json
}

# jq's words against the last output.
says() { # filter
	[ "$(jq -c "$1" out)" = true ] || { echo "not so: $1"; jq -c . out; return 1; }
}

@test "usage errors: status 2, one line" {
	lm roofline
	refused 2 "needs more arguments"
	lm roofline "$trace" --threads 0
	refused 2 "--threads takes a number from 1"
	lm roofline "$trace" --threads many
	refused 2 "--threads"
	lm roofline "$trace" --peaks a --calibrate
	refused 2 "one at a time"
}

@test "operators against the peaks: exact figures" {
	setup_peaks
	lm roofline "$trace" --peaks peaks.json --threads 1 --json
	[ "$status" = 0 ]
	[ -z "$err" ]
	says '.warnings == []'
	# ffn_out in decode: 12 runs, 13,320 ns, 52,224 bytes, 98,304 operations: 3.920721 GB/s, 7.380180 GFLOP/s
	says '.kernels[] | select(.name == "ffn_out" and .phase == "decode") | .count == 12 and .time_ns == 13320 and
		.bytes_per_second == 3920720721 and .flops_per_second == 7380180180 and .flops_per_byte == 1.8824 and
		.memory_percent == 39.207 and .compute_percent == 1.845 and .compute_peak == "int8" and .roof_ns == 5222.4 and .bound == "neither"'
	# attn_norm in decode: 12 runs, 12,480 ns, 6,144 bytes, 768 operations, no weight: f32
	says '.kernels[] | select(.name == "attn_norm" and .phase == "decode") | .bytes_per_second == 492307692 and
		.memory_percent == 4.923 and .compute_percent == 0.062 and .compute_peak == "f32"'
	# decode: 308,736 bytes in 124,860 ns
	says '.phases[] | select(.phase == "decode") | .bytes == 308736 and .bytes_per_second == 2472657376 and .memory_percent == 24.727'
	says '[.phases[].phase] == ["embedding", "prefill", "decode"]'
}

@test "MBU: bytes of weights and cache per token over the time between tokens" {
	setup_peaks
	lm roofline "$trace" --peaks peaks.json --threads 1 --json
	# 6 steps: (5 rows × 46,080 + 23,040) ÷ 6 = 42,240 of weights, 3,072 ÷ 6 = 512 of cache; 28,410 ns a token
	says '.mbu | .weight_bytes == 42240 and .cache_bytes == 512 and .token_ns == 28410 and .step_ns == 22810 and
		.bytes_per_second == 1504822246 and .percent == 15.048 and .step_percent == 18.743 and .bytes_source == "operators"'
}

@test "the peaks are those of the threads that the engine used" {
	setup_peaks
	lm roofline "$trace" --peaks peaks.json --threads 2 --json
	says '.threads == {decode: 2, prefill: 2, source: "option"} and .peaks.cpu.threads == 2'
	says '.peaks.cpu.read_bytes_per_second == 16000000000 and .mbu.percent == 9.405'
	# the recording does not tell: those of most threads, and what fewer would make of it
	lm roofline "$trace" --peaks peaks.json --json
	says '.threads == {decode: null, prefill: null, source: "unknown"} and .peaks.cpu.threads == 2'
	lm roofline "$trace" --peaks peaks.json
	tr -s ' \n' ' ' <out | grep -q "is not known: with 1 shares of memory are 1.60, of computing 2.00 times"
	# more than were measured
	lm roofline "$trace" --peaks peaks.json --threads 8 --json
	says '.warnings[0] | startswith("the engine used 8 threads, peaks were measured for up to 2")'
	# between two that were measured
	peaks "Made-up CPU" "$(row 1 10 100 400)" "$(row 3 16 200 800)" >three.json
	lm roofline "$trace" --peaks three.json --threads 2 --json
	says '.peaks.cpu.read_bytes_per_second == 13000000000 and .peaks.cpu.int8_ops_per_second == 600000000000'
}

@test "shares above 100 % are given as they are, and explained" {
	setup_peaks
	peaks "Made-up CPU" "$(row 1 1 100 400)" >slow.json
	lm roofline "$trace" --peaks slow.json --kernels
	[ "$status" = 0 ]
	grep -q "^  ffn_out  .*decode  q4_1 .* 392.1 %   1.8 % memory$" out
	grep -q "above 100 %" out
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
	lm roofline "$trace" --peaks peaks.json --kernels
	lacks "above 100 %" out
}

@test "a recording of another machine is refused without its peaks; peaks of another machine are named" {
	setup_peaks
	lm roofline "$trace"
	refused 1 "was recorded on another machine (Made-up CPU, 2 CPUs; this is "
	[[ $err == *"lmmeter calibrate -o FILE"*"--peaks FILE"* ]]
	lm roofline "$trace" --calibrate
	refused 1 "was recorded on another machine"
	peaks "Some other CPU" "$(row 1 10 100 400)" >other.json
	lm roofline "$trace" --peaks other.json --json
	[ "$status" = 0 ]
	says '.warnings[0] == "the peaks are of another machine (Some other CPU, 2 CPUs) than the recording"'
}

@test "a bad file of peaks: status 1, one line that says what is wrong" {
	setup_peaks
	lm roofline "$trace" --peaks none.json
	refused 1 "cannot read none.json: no such file"
	lm roofline "$trace" --peaks "$dir"
	refused 1 "cannot read $dir: is a directory"
	head -c 100 peaks.json >cut.json
	lm roofline "$trace" --peaks cut.json
	refused 1 "cut.json holds no peaks: it is not JSON"
	sed 's|peaks/1|peaks/2|' peaks.json >new.json
	lm roofline "$trace" --peaks new.json
	refused 1 "its schema is 'lmmeter.peaks/2'"
	peaks "Made-up CPU" "$(row 1 0 100 400)" >zero.json
	lm roofline "$trace" --peaks zero.json
	refused 1 "cpu[0] has rates that cannot be"
	head -c 300000 /dev/zero >long.json
	lm roofline "$trace" --peaks long.json
	refused 1 "too long"
	mkfifo pipe.json
	lm roofline "$trace" --peaks pipe.json
	refused 1 "no regular file"
}

@test "a recording that cannot be read, or holds no operators" {
	setup_peaks
	lm roofline none.lmt --peaks peaks.json
	refused 1 "cannot read none.lmt: no such file"
	lm run -o empty.lmt -- true
	[ -e empty.lmt ] || skip "nothing is written for a command without an engine"
	lm roofline empty.lmt --peaks peaks.json
	refused 1 "holds no operator"
}

@test "JSON is as the schema says, and the page names its keys" {
	setup_peaks
	command -v python3 >/dev/null || skip "python3 is not installed"
	lm roofline "$trace" --peaks peaks.json --json
	python3 "$LMM_SOURCE/tests/golden/check_schema.py" "$LMM_SOURCE/docs/roofline.schema.json" out --page "$LMM_SOURCE/docs/json.md"
	mv out first
	lm roofline "$trace" --peaks peaks.json --json
	cmp out first
}
