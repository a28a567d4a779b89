#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the path of promtool: the system's, else the one of Debian's package, which is not installed, as that would start a server.
# It is kept in the user's cache; apt checks it. Exit 77 and a line with the reason when it cannot be had.
# shellcheck source=script/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"

if type -P promtool; then exit 0; fi
type -P apt-get dpkg-deb >/dev/null || skip "promtool is not installed, and apt is not there to get it"
cache=$(cache_dir)
dir=$cache/promtool
exec 9>"$cache/promtool.lock"
flock 9
if [ ! -e "$dir/.complete" ]; then
	say "downloading promtool"
	made=$(mktemp -d "$cache/tmp.XXXXXX")
	if ! (cd "$made" && apt-get download -q prometheus >log 2>&1 </dev/null && [ -n "$(ls prometheus_*.deb)" ]); then
		reason=$(tail -n 1 "$made/log")
		rm -rf "$made"
		skip "Debian's package prometheus cannot be downloaded: $reason"
	fi
	dpkg-deb --fsys-tarfile "$made"/prometheus_*.deb | tar -x -C "$made" --strip-components=3 ./usr/bin/promtool
	rm "$made"/prometheus_*.deb "$made/log"
	finish_dir "$made" "$dir"
fi
echo "$dir/promtool"
