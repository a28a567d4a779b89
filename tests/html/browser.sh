#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes pages and looks at them in a real browser.
#
#	browser.sh LMMETER --made-by PROGRAM [SCREENSHOTS]    of the recording that PROGRAM FILE writes
#	browser.sh LMMETER --recorded [SCREENSHOTS]           of a real engine, recorded here
#	browser.sh LMMETER FILE.lmt [SCREENSHOTS]
#
# Needs Debian's chromium and node; playwright-core, which drives it, is kept in the user's cache. Exit 77 and a line with the
# reason when one of them cannot be had.
# shellcheck source=script/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"
# shellcheck source=tests/support/recording.sh
. "$root/tests/support/recording.sh"
# shellcheck source=tests/support/playwright.sh
. "$root/tests/support/playwright.sh"

[ $# -ge 2 ] || die "usage: browser.sh LMMETER FILE.lmt | --made-by PROGRAM | --recorded [SCREENSHOTS]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

lmmeter=$1
need_browser
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
file=$(recording "${@:2}") || exit $?
if [ "$2" = --made-by ]; then shift 3; else shift 2; fi
mkdir "$tmp/profile"
"$lmmeter" report "$file" --html "$tmp/page.html"
"$lmmeter" report "$file" --json >"$tmp/report.json"
python3 "$here/check_page.py" "$tmp/page.html" "$tmp/report.json"
node "$here/browser.mjs" "$playwright" "$chromium" "$tmp/profile" "$tmp/page.html" "$@"
