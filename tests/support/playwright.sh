# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For scripts that look at something in a real browser: source it after script/lib.sh.

readonly PLAYWRIGHT=playwright-core-1.65.1.tgz

get_playwright() { # prints the folder
	local dir=$cache/playwright-core-1.65.1 made

	if [ ! -e "$dir/.complete" ]; then
		fetch_npm "$PLAYWRIGHT" playwright-core@1.65.1
		made=$(mktemp -d "$cache/tmp.XXXXXX")
		tar xzf "$cache/dl/$PLAYWRIGHT" -C "$made" --strip-components=1
		finish_dir "$made" "$dir"
		rm -f "$cache/dl/$PLAYWRIGHT"
	fi
	echo "$dir"
}

get_locked() { # lock function: one at a time
	exec 9>"$cache/$1.lock"
	flock 9
	"$2"
}

# Sets chromium, playwright and cache; skips where one cannot be had.
need_browser() {
	# shellcheck disable=SC2034 # for those who source this
	chromium=$(type -P chromium) || skip "chromium is not installed"
	type -P node >/dev/null || skip "node is not installed"
	cache=$(cache_dir)
	mkdir -p "$cache/dl"
	playwright=$(get_locked playwright get_playwright) || exit $?
}
