#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A page of ten million records stays below 1 MB: large.sh LMMETER BENCH_TRACE
# shellcheck source=script/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"

[ $# = 2 ] || die "usage: large.sh LMMETER BENCH_TRACE"
engine=$("$root/script/get-engine" llama) || exit $?
model=$("$root/script/get-engine" model) || exit $?
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$1" run -q -o "$tmp/real.lmt" -- "$engine/llama-completion" -m "$model" -t 1 -p "The capital of France is" -n 48 --temp 0 \
	-no-cnv >/dev/null 2>&1 </dev/null || die "recording failed"
"$2" make "$tmp/real.lmt" "$tmp/large.lmt" 10000000
TIMEFORMAT='%R s for the page'
time "$1" report "$tmp/large.lmt" --html "$tmp/page.html"
"$1" report "$tmp/large.lmt" --json >"$tmp/report.json"
python3 "$root/tests/html/check_page.py" "$tmp/page.html" "$tmp/report.json" --size 1000000
