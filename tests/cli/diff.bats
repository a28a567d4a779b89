#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

@test "usage errors: status 2, one line" {
	lm diff
	refused 2 "needs more arguments"
	lm diff "$trace"
	refused 2 "needs two sides"
	lm diff --against "$trace"
	refused 2 "needs more arguments"
	lm diff --against "$trace" "$trace"
	refused 2 "before --against"
	lm diff "$trace" --against "$trace" --fail-over much
	refused 2 "--fail-over takes a share"
	lm diff "$trace" --against "$trace" --json --markdown
	refused 2 "one at a time"
}

@test "files that cannot be read: status 1, one line that names the file" {
	echo "this is not a trace, but it is long enough to be looked at more closely" >text.lmt
	lm diff "$trace" --against none.lmt
	refused 1 "cannot read none.lmt: no such file"
	lm diff text.lmt --against "$trace"
	refused 1 "cannot read text.lmt: not a .lmt file"
	lm diff "$trace" "$dir" --against "$trace"
	refused 1 "cannot read $dir"
}

@test "a recording against itself: nothing changed, status 0, and one run a side is said" {
	cp "$trace" again.lmt
	lm diff "$trace" --against again.lmt --fail-over 0.1%
	refused 2 "--fail-over needs two recordings a side"
	lm diff "$trace" --against again.lmt
	[ "$status" = 0 ]
	[ -z "$err" ]
	grep -q "Nothing changed beyond noise" out
	grep -q "one run a side" out
	lacks "Without partner" out
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
}

@test "where --against stands among the files decides the side" {
	cp "$trace" b.lmt
	cp "$trace" c.lmt
	lm diff --json "$trace" b.lmt --against c.lmt
	grep -q '"before": 2, "after": 1, "within_only": false' out
	lm diff "$trace" --against=b.lmt c.lmt --json
	grep -q '"before": 1, "after": 2' out
}

@test "a cut recording is compared up to the cut, and that is said" {
	"$GOLDEN_TRACE" cut.lmt cut $(($(stat -c %s "$trace") * 97 / 100))
	lm diff "$trace" --against cut.lmt
	[ "$status" = 0 ]
	[[ $err == *"cut.lmt was cut"* ]]
	rm cut.lmt
	"$GOLDEN_TRACE" cut.lmt cut $(($(stat -c %s "$trace") * 30 / 100))
	lm diff "$trace" --against cut.lmt
	[ "$status" = 1 ]
	[[ $err == *"cut.lmt holds no step"* ]]
}

@test "JSON is as the schema says, and the page names its keys" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	cp "$trace" again.lmt
	lm diff "$trace" --against again.lmt --json
	[ "$status" = 0 ]
	python3 "$LMM_SOURCE/tests/golden/check_schema.py" "$LMM_SOURCE/docs/diff.schema.json" out --page "$LMM_SOURCE/docs/json.md"
	mv out first
	lm diff "$trace" --against again.lmt --json
	cmp out first
}

@test "Markdown is a table" {
	cp "$trace" again.lmt
	lm diff "$trace" --against again.lmt --markdown
	[ "$status" = 0 ]
	grep -q '^### ' out
	grep -q '^| whole step |' out
}

@test "a full disk: status 1, one line" {
	[ -c /dev/full ] || skip "no /dev/full"
	run bash -c '"$LMMETER" diff "$0" --against "$0" --json >/dev/full' "$trace"
	[ "$status" = 1 ]
	[[ $output == *"cannot write standard output"* ]]
}
