#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Has speedscope itself, as npm has it, open what was exported for it, in a real browser.
#
#	speedscope.sh LMMETER --made-by PROGRAM [SCREENSHOTS]    of the recording that PROGRAM FILE writes
#	speedscope.sh LMMETER --recorded [SCREENSHOTS]           of a real engine, recorded here
#	speedscope.sh LMMETER FILE.lmt [SCREENSHOTS]
#
# Exit 77 and a line with the reason when the browser or speedscope cannot be had.
# shellcheck source=script/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"
# shellcheck source=tests/support/recording.sh
. "$root/tests/support/recording.sh"
# shellcheck source=tests/support/playwright.sh
. "$root/tests/support/playwright.sh"

readonly SPEEDSCOPE=speedscope-1.25.0.tgz

[ $# -ge 2 ] || die "usage: speedscope.sh LMMETER FILE.lmt | --made-by PROGRAM | --recorded"

get_speedscope() { # prints the folder
	local dir=$cache/speedscope-1.25.0 made

	if [ ! -e "$dir/.complete" ]; then
		fetch_npm "$SPEEDSCOPE" speedscope@1.25.0
		made=$(mktemp -d "$cache/tmp.XXXXXX")
		tar xzf "$cache/dl/$SPEEDSCOPE" -C "$made" --strip-components=1
		finish_dir "$made" "$dir"
		rm -f "$cache/dl/$SPEEDSCOPE"
	fi
	echo "$dir"
}

lmmeter=$1
need_browser
speedscope=$(get_locked speedscope get_speedscope) || exit $?
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
file=$(recording "${@:2}") || exit $?
if [ "$2" = --made-by ]; then shift 3; else shift 2; fi
"$lmmeter" export "$file" --to speedscope "$tmp/run.speedscope.json"
"$lmmeter" export "$file" --to folded "$tmp/run.folded"
python3 "$root/tests/golden/check_schema.py" "$speedscope/dist/release/file-format-schema.json" "$tmp/run.speedscope.json"
for made in run.speedscope.json run.folded; do
	mkdir "$tmp/profile.$made"
	node "$(dirname "${BASH_SOURCE[0]}")/speedscope.mjs" "$playwright" "$chromium" "$tmp/profile.$made" \
		"$speedscope/dist/release/index.html" "$tmp/$made" "$@"
done
