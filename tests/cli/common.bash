# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For all .bats files here: load common. $dir is a folder of the test's own, $trace a good recording in it.

setup() {
	dir=$(mktemp -d)
	cd "$dir" || return
	trace=$dir/golden.lmt
	"$GOLDEN_TRACE" "$trace"
	unset NO_COLOR TERM LC_ALL LC_CTYPE LANG
}

teardown() {
	chmod -R u+w "$dir"
	rm -rf "$dir"
}

# Runs lmmeter with stdout and stderr apart: $out, $err, $status.
lm() {
	status=0
	"$LMMETER" "$@" >"$dir/out" 2>"$dir/err" || status=$?
	out=$(cat "$dir/out")
	err=$(cat "$dir/err")
}

# The same by a user to whom permissions mean something; skips where that cannot be.
lm_as_user() {
	local program

	[ "$(id -u)" = 0 ] || { lm "$@"; return; }
	command -v setpriv >/dev/null || skip "root may do everything, and setpriv(1) is not installed"
	# the build may lie where others cannot go
	program=$dir/lmmeter
	cp "$LMMETER" "$program"
	chmod 755 "$dir" "$program"
	status=0
	setpriv --reuid=65534 --regid=65534 --clear-groups "$program" "$@" >"$dir/out" 2>"$dir/err" || status=$?
	out=$(cat "$dir/out")
	err=$(cat "$dir/err")
}

# The commands, as the usage lists them.
commands() {
	"$LMMETER" help | awk '/^Commands:/ { list = 1; next } /^$/ { list = 0 } list { print $1 }'
}

# Succeeds if the text is not in the file ("!" does not end a test).
lacks() { # text file
	if grep -q -- "$1" "$2"; then
		echo "'$1' is in $2"
		return 1
	fi
}

# The last lm failed with this status, said so in one line that has this text, and printed no result.
refused() { # status text
	[ "$status" = "$1" ] || { echo "status $status: $err"; return 1; }
	[ -z "$out" ] || { echo "stdout: $out"; return 1; }
	[ "$(wc -l <"$dir/err")" = 1 ] || { echo "not one line: $err"; return 1; }
	[[ $err == "lmmeter: "*"$2"* ]] || { echo "no '$2' in: $err"; return 1; }
}
