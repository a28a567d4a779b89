#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Measurements in as little time as they can be made in: what they look like, not how large they are.
load common

says() { # filter
	[ "$(jq -c "$1" "${2:-out}")" = true ] || { echo "not so: $1"; jq -c . "${2:-out}"; return 1; }
}

quick() {
	command -v jq >/dev/null || skip "jq is not installed"
	export XDG_CACHE_HOME=$dir/cache
	lm calibrate --seconds 0.02 "$@"
}

@test "usage errors: status 2, one line" {
	lm calibrate now
	refused 2 "too many arguments"
	for bad in 0 -1 fast 1x "" nan inf; do
		lm calibrate --seconds "$bad"
		refused 2 "--seconds"
	done
	lm calibrate --threads 0
	refused 2 "--threads takes a number from 1"
	lm calibrate --threads 5000
	refused 2 "--threads takes a number from 1"
}

@test "every thread count is listed, every rate is positive and in order" {
	quick --threads 3 --json
	[ "$status" = 0 ]
	says '[.cpu[].threads] == [1, 2, 3]'
	says '[.cpu[] | .read_bytes_per_second, .f32_flops_per_second | .worst > 0 and .median >= .worst and .best >= .median] | all'
	says '[.. | objects | select(has("best")) | .spread_percent >= 0 and .spread_percent < 100 and .repetitions == 12] | all'
	says '.host.cpus > 0 and .host.cpu != "" and .f32_instructions != "" and .working_set_bytes > 0'
	says '.noisy == (.spread_percent > 10)'
	says '.opencl == []'
}

@test "the result is stored for this machine, 0600, and is what was printed" {
	quick --threads 1 --json
	[[ $err == "lmmeter: stored in $dir/cache/lmmeter/peaks-"*.json ]]
	cmp out cache/lmmeter/peaks-*.json
	[ "$(stat -c %a cache/lmmeter/peaks-*.json)" = 600 ]
	[ "$(stat -c %a cache/lmmeter)" = 700 ]
	quick --threads 2
	says '[.cpu[].threads] == [1, 2]' cache/lmmeter/peaks-*.json
	[ "$(ls cache/lmmeter | wc -l)" = 1 ]
}

@test "text: a line per thread count, no progress into a pipe" {
	quick --threads 2
	[ "$status" = 0 ]
	grep -q "^ *1 .* GB/s .* GFLOP/s " out
	grep -q "^ *2 .* GB/s .* GFLOP/s " out
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
	[ "$(wc -l <err)" = 1 ]
}

@test "-o: a file of its own, not overwritten without --force, and nothing is measured for nothing" {
	quick --threads 1 -o mine.json
	[ "$status" = 0 ]
	[ ! -e cache ]
	says '.schema == "lmmeter.peaks/1"' mine.json
	cp mine.json before
	lm calibrate --seconds 3600 -o mine.json
	refused 1 "mine.json exists; --force"
	cmp mine.json before
	quick --threads 1 -o mine.json --force
	[ "$status" = 0 ]
	quick --threads 1 -o - --json
	says '.schema == "lmmeter.peaks/1"'
	lm roofline "$trace" --peaks mine.json --json
	[ "$status" = 0 ]
	lm calibrate --seconds 3600 -o none/mine.json
	refused 1 "none/mine.json"
}

@test "where nothing can be stored, that is said" {
	command -v jq >/dev/null || skip "jq is not installed"
	unset XDG_CACHE_HOME
	HOME='' lm calibrate --seconds 0.02 --threads 1
	refused 1 "neither XDG_CACHE_HOME nor HOME"
	touch file
	XDG_CACHE_HOME=$dir/file lm calibrate --seconds 0.02 --threads 1
	refused 1 "not a directory"
}

@test "OpenCL: the device is measured by its own clock, or it is said why not" {
	if [ ! -e /etc/OpenCL/vendors/pocl.icd ]; then
		OCL_ICD_VENDORS=$dir quick --threads 1 --opencl
		refused 1 "OpenCL was not measured"
		skip "PoCL is not installed: the rest needs a device"
	fi
	export POCL_DEVICES=basic POCL_CACHE_DIR=$dir/pocl
	quick --threads 1 --opencl --json
	[ "$status" = 0 ]
	says '.opencl | length == 1'
	says '.opencl[0] | .name != "" and .platform != "" and .working_set_bytes > 0 and .compute_units > 0'
	says '[.opencl[0] | .read_bytes_per_second, .f32_flops_per_second | .worst > 0 and .best >= .median] | all'
	OCL_ICD_VENDORS=$dir quick --threads 1 --opencl
	refused 1 "there is no OpenCL platform"
}

@test "JSON is as the schema says, and the page names its keys" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	quick --threads 2 --json
	python3 "$LMM_SOURCE/tests/golden/check_schema.py" "$LMM_SOURCE/docs/peaks.schema.json" out --page "$LMM_SOURCE/docs/json.md"
}
