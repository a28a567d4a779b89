#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

more_setup() {
	export LMMETER_STUDY_LOCK=bats-$$-$BATS_TEST_NUMBER
	fake=$(dirname "$LMMETER")/../../tests/fake/plain/fake_engine
	[ -x "$fake" ] || skip "the stand-in for an engine is not built"
	cat >p.toml <<-END
		name = "small"
		[engine]
		command = ["$(realpath "$fake")", "prompt={prompt_tokens}", "tokens=24"]
		[factors]
		prompt_tokens = [4, 32]
		[run]
		repeats = 2
		warmup = 0
	END
}

@test "usage errors: status 2, one line" {
	lm study
	refused 2 "needs more arguments"
	lm study report
	refused 2 "needs the folder of a study"
	lm study a.toml b.toml
	refused 2 "takes one plan"
	lm study a.toml --html x
	refused 2 "are for study report"
	lm study report x --resume
	refused 2 "are for running a study"
	lm study report x --json --paper
	refused 2 "one at a time"
	lm study none.toml
	refused 2 "none.toml: No such file"
}

@test "a wrong plan is named by line, and nothing is run" {
	more_setup
	echo 'repeat = 3' >>p.toml
	lm study p.toml
	refused 2 "p.toml:9: there is no key 'repeat' in [run]"
	[ ! -e small-study ]
	sed -i '$d; s|"[^"]*fake_engine"|"./no-such-engine"|' p.toml
	lm study p.toml
	refused 2 "the engine ./no-such-engine: not found"
	printf '[engine]\ncommand = ["true", "{model}"]\n[factors]\nmodel = "none.gguf"\n' >q.toml
	lm study q.toml
	refused 2 "q.toml:4: model none.gguf: no such file"
}

@test "--check says what it comes to, and runs nothing" {
	more_setup
	lm study p.toml --check
	[ "$status" = 0 ]
	[[ $out == *"2 conditions, 2 repeats, 4 cells"* ]]
	[ ! -e small-study ]
}

@test "it runs, and the report is text, JSON by its schema, CSV, a page" {
	more_setup
	lm study p.toml
	[ "$status" = 0 ]
	[[ $out == *"4 of 4 cells measured"* ]]
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 104 ]
	lm study report small-study --csv cells.csv
	[ "$status" = 0 ]
	[ "$(wc -l <cells.csv)" = 5 ]
	lm study report small-study --csv cells.csv
	refused 1 "--force"
	lm study report small-study --html page.html
	[ "$status" = 0 ]
	grep -q "<h2>Conclusions</h2>" page.html
	grep -q "Content-Security-Policy" page.html
	lacks "<!--@" page.html
	lm study report small-study --paper
	[[ $out == *'"prompt_tokens=4","prefill",'* ]]
	lm study report small-study --json
	[ "$status" = 0 ]
	command -v python3 >/dev/null || skip "python3 is not installed"
	python3 "$LMM_SOURCE/tests/golden/check_schema.py" "$LMM_SOURCE/docs/study.schema.json" out --page "$LMM_SOURCE/docs/study.md"
}

@test "a folder that is no study, and one whose files are not what they should be" {
	more_setup
	lm study report "$dir/none"
	[ "$status" = 1 ]
	[ -z "$out" ]
	mkdir full && touch full/file
	lm study p.toml -o full
	refused 1 "full is not empty, and no study"
	lm study p.toml
	lm study p.toml
	refused 1 "--resume goes on with it"
	echo '{' >small-study/cells/0001-0001.json
	lm study report small-study
	refused 1 "cells/0001-0001.json is not what it should be"
	# as it says: without the file the cell is run again
	rm small-study/cells/0001-0001.json
	lm study p.toml --resume
	[ "$status" = 0 ]
	[[ $out == *"4 of 4 cells measured"* ]]
}

@test "a full disk is a failure" {
	[ -c /dev/full ] || skip "no /dev/full"
	more_setup
	lm study p.toml
	run bash -c '"$LMMETER" study report small-study --json >/dev/full'
	[ "$status" = 1 ]
	[[ $output == *"cannot write standard output"* ]]
}
