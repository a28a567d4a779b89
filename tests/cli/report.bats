#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

# ---- usage ---------------------------------------------------------------------------------------

@test "usage errors: status 2, one line" {
	lm report
	refused 2 "needs more arguments"
	lm report a b
	refused 2 "too many arguments"
	lm report "$trace" --jsn
	refused 2 "did you mean '--json'?"
	lm report "$trace" --xyz
	refused 2 "'lmmeter report --help'"
	lm report "$trace" --csv
	refused 2 "--csv needs a value"
	lm report "$trace" --json=1
	refused 2 "--json takes no value"
	lm report -z "$trace"
	refused 2 "no option '-z'"
}

@test "options stand before or behind the file, and -- ends them" {
	lm report --json "$trace"
	[ "$status" = 0 ]
	cp out first
	lm report "$trace" --json
	cmp out first
	cp "$trace" ./--json
	lm report -- --json
	[ "$status" = 0 ]
	[[ $out == "llama-completion ran"* ]]
}

# ---- what is read --------------------------------------------------------------------------------

@test "the text is the expected one, and plain in a pipe" {
	lm report "$trace"
	[ "$status" = 0 ]
	[ -z "$err" ]
	cmp out "$LMM_SOURCE/tests/golden/expected/report.txt"
	TERM=xterm LANG=C.UTF-8 lm report "$trace"
	cmp out "$LMM_SOURCE/tests/golden/expected/report.txt"
}

@test "all tables" {
	lm report "$trace" --requests --steps --layers --kernels
	[ "$status" = 0 ]
	cmp out "$LMM_SOURCE/tests/golden/expected/report-all.txt"
}

@test "--recompute says the same" {
	lm report "$trace" --recompute
	cmp out "$LMM_SOURCE/tests/golden/expected/report.txt"
}

@test "a terminal gets colour and bars, unless NO_COLOR" {
	command -v script >/dev/null || skip "script(1) is not installed"
	export TERM=xterm LANG=C.UTF-8
	script -qec "$LMMETER report $trace" /dev/null >tty
	grep -q $'\e\[1m' tty
	grep -q '█' tty
	NO_COLOR=1 script -qec "$LMMETER report $trace" /dev/null >tty
	lacks $'\e' tty
	grep -q '█' tty
	LANG=C script -qec "$LMMETER report $trace" /dev/null >tty
	lacks '█' tty
	grep -q '###' tty
}

@test "JSON is valid and has the keys" {
	command -v jq >/dev/null || skip "jq is not installed"
	lm report "$trace" --json
	[ "$status" = 0 ]
	[ "$(jq -r .schema out)" = lmmeter.report/1 ]
	jq -e '.session | has("command_name") and has("duration_ns") and has("processes") and has("host")' out
	jq -e '.session.engine | has("name") and has("version")' out
	jq -e '.session.model.name == "Tiny" and .session.model.size_bytes == 1048576' out
	jq -e '[.phases[] | has("phase") and has("count") and has("total_ns") and has("mean_ns") and has("p50_ns") and
		has("p95_ns") and has("p99_ns") and has("max_ns") and has("share_percent")] | all' out
	jq -e '[.requests[] | has("id") and has("prompt_tokens") and has("output_tokens") and has("ttft_ns") and
		has("tpot_ns") and has("wall_ns") and has("unaccounted_ns") and has("phases")] | all' out
	jq -e '[.layers[] | has("layer") and has("attention_ns") and has("mlp_ns") and has("norm_ns") and has("other_ns")] | all' out
	jq -e '[.kernels[] | has("name") and has("op") and has("role") and has("device") and has("phase") and has("count") and
		has("total_ns") and has("p50_ns") and has("p95_ns") and has("bytes") and has("flops")] | all' out
	jq -e '.records.emitted == .records.stored + .records.lost' out
	jq -e '.level.reached == "kernels" and (.level.reasons | length) == 1' out
	jq -e '.requests | all(.wall_ns as $w | ([.phases[].total_ns] | add) + .unaccounted_ns | . >= $w * 0.999 and . <= $w * 1.001)' out
}

@test "JSON is as the schema says" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	lm report "$trace" --json
	python3 "$LMM_SOURCE/tests/golden/check_schema.py" "$LMM_SOURCE/docs/report.schema.json" out
}

@test "--paper: LM-Meter's phases in its order, one of each in sum, beside its values" {
	lm report "$trace" --paper
	[ "$status" = 0 ]
	[ "$(awk '/^Phase, ms each/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' out | tr '\n' ' ')" = "embedding prefill decode softmax copy_probs_to_cpu sampling end " ] ||
		{ cat out; false; }
	grep -q '2667.3113 to 9859.5473' out
	# worked out here, from the JSON report
	lm report "$trace" --json
	sum=$(jq '[.phases[] | select(.phase | IN("embedding", "prefill", "decode", "softmax", "copy_to_cpu", "sampling")) | select(.count > 0) | .mean_ns] | add / 1e6' out)
	lm report "$trace" --paper
	awk -v want="$sum" '/^  end to end/ { exit !($4 > want - 0.001 && $4 < want + 0.001) }' out
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
}

# ---- bad files -----------------------------------------------------------------------------------

@test "a missing file, a folder, an empty file, another file: status 1, one line" {
	lm report none.lmt
	refused 1 "none.lmt: no such file"
	mkdir folder
	lm report folder
	refused 1 "folder"
	: >empty.lmt
	lm report empty.lmt
	refused 1 "empty.lmt: not a .lmt file"
	echo "this is not a trace, but it is long enough to be looked at more closely" >text.lmt
	lm report text.lmt
	refused 1 "text.lmt: not a .lmt file"
	head -c 100000 /dev/urandom >random.lmt
	lm report random.lmt
	refused 1 "not a .lmt file"
}

@test "an unreadable file" {
	chmod 000 "$trace"
	lm_as_user report "$trace"
	refused 1 "permission denied"
}

@test "a cut file is shown up to the cut, and says so, wherever it is cut" {
	size=$(stat -c %s "$trace")
	for part in 10 30 50 70 90 99; do
		rm -f cut.lmt
		"$GOLDEN_TRACE" cut.lmt cut $((size * part / 100))
		lm report cut.lmt
		[ "$status" = 0 ]
		[ "$(wc -l <err)" = 1 ]
		[[ $err == *"cut"* ]]
		[[ $out == *"The recording was cut"* ]]
		lm report cut.lmt --json
		[ "$status" = 0 ]
		if command -v jq >/dev/null; then
			jq -e '.session.complete == false' out
		fi
	done
}

@test "a damaged file is shown up to the damage, and says so" {
	size=$(stat -c %s "$trace")
	printf '\377\377\377\377' | dd of="$trace" bs=1 seek=$((size * 2 / 3)) conv=notrunc status=none
	lm report "$trace"
	[ "$status" = 0 ]
	[[ $err == *"damaged"* ]]
	[ "$(wc -l <err)" = 1 ]
}

# ---- where it goes -------------------------------------------------------------------------------

@test "-o writes a file, and never over another one without --force" {
	lm report "$trace" -o report.txt
	[ "$status" = 0 ]
	[ -z "$out" ]
	cmp report.txt "$LMM_SOURCE/tests/golden/expected/report.txt"
	echo mine >mine.txt
	lm report "$trace" -o mine.txt
	refused 1 "mine.txt exists; --force overwrites it"
	[ "$(cat mine.txt)" = mine ]
	lm report "$trace" -o mine.txt --force
	[ "$status" = 0 ]
	cmp mine.txt report.txt
	lm report "$trace" -o -
	[ "$status" = 0 ]
	cmp out report.txt
}

@test "CSV: five files with a header, never over others without --force" {
	lm report "$trace" --csv tables
	[ "$status" = 0 ]
	[ -z "$out" ]
	for name in phases requests steps layers kernels; do
		cmp "tables/$name.csv" "$LMM_SOURCE/tests/golden/expected/$name.csv"
	done
	lm report "$trace" --csv tables
	refused 1 "tables/phases.csv exists"
	lm report "$trace" --csv tables --force
	[ "$status" = 0 ]
}

@test "CSV and JSON at once" {
	lm report "$trace" --csv tables --json
	[ "$status" = 0 ]
	[ -s tables/kernels.csv ]
	cmp out "$LMM_SOURCE/tests/golden/expected/report.json"
}

@test "a folder that cannot be written, or is none: status 1, one line" {
	lm report "$trace" --csv /dev/null/tables
	refused 1 "cannot write /dev/null/tables"
	lm report "$trace" -o none/out.txt
	refused 1 "cannot write none/out.txt: no such file"
	mkdir read-only
	chmod 555 read-only
	chmod a+r "$trace"
	lm_as_user report "$trace" -o read-only/out.txt
	refused 1 "permission denied"
	lm_as_user report "$trace" --csv read-only/tables
	refused 1 "permission denied"
}

@test "a full disk: status 1, one line" {
	[ -c /dev/full ] || skip "no /dev/full"
	run bash -c '"$LMMETER" report "$0" --json >/dev/full' "$trace"
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 1 ]
	[[ $output == *"cannot write standard output"* ]]
}

@test "a reader that has seen enough is no failure and no noise" {
	run bash -c 'set -o pipefail; "$LMMETER" report "$0" --json | true' "$trace"
	[ "$status" = 0 ]
	[ -z "$output" ]
	run bash -c 'set -o pipefail; "$LMMETER" report "$0" --kernels | head -1' "$trace"
	[ "$status" = 0 ]
	[ "${#lines[@]}" = 1 ]
}

# ---- the page ------------------------------------------------------------------------------------

@test "--html writes a page that is whole and loads nothing, and nothing else" {
	lm report "$trace" --html page.html
	[ "$status" = 0 ]
	[ -z "$out$err" ]
	python3 "$LMM_SOURCE/tests/html/check_page.py" page.html "$LMM_SOURCE/tests/golden/expected/report.json"
	# without a script too: summary, figures, phases, kernels
	grep -q 'class="summary">.* took .* of the time of 2 requests' page.html
	for id in figures tokens phases layers kernels recording machine; do
		grep -q "<section id=\"$id\">" page.html
	done
	lm report "$trace" --html again.html
	cmp page.html again.html
}

@test "--html overwrites only with --force; - is standard output" {
	echo mine >page.html
	lm report "$trace" --html page.html
	refused 1 "page.html exists"
	[ "$(cat page.html)" = mine ]
	lm report "$trace" --html page.html --force
	[ "$status" = 0 ]
	lm report "$trace" --html -
	cmp out page.html
	lm report "$trace" --html none/page.html
	refused 1 "cannot write none/page.html: no such file"
	lm report "$trace" --html
	refused 2 "--html needs a value"
}

@test "--html of a recording that was cut says so" {
	"$GOLDEN_TRACE" short.lmt cut 3000
	lm report short.lmt --html page.html
	[ "$status" = 0 ]
	[[ $err == *"short.lmt was cut"* ]]
	grep -q 'class="warning">The recording was cut' page.html
}
