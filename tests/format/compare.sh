#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compare.sh LMT_TOOL READ_LMT.PY: docs/format.md is enough to read a .lmt file. A reader written from it alone and the library
# say the same of a whole, a cut and a damaged trace.
set -eu

tool=$1
reader=$2
if ! command -v python3 >/dev/null; then
	echo "skipped: there is no python3"
	exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

compare() {
	"$tool" dump "$1" >"$folder/ours"
	python3 "$reader" "$1" >"$folder/theirs"
	if ! cmp "$folder/ours" "$folder/theirs"; then
		diff "$folder/ours" "$folder/theirs" | cut -c1-300 | head -n 10
		echo "they differ on $2"
		exit 1
	fi
	echo "$2: $(wc -l <"$folder/ours") lines alike, $(tail -n 1 "$folder/ours")"
}

"$tool" make "$folder/whole.lmt"
compare "$folder/whole.lmt" "the whole file"
size=$(wc -c <"$folder/whole.lmt")
for part in 1 3 5 7 8; do
	head -c $((64 + (size - 64) * part / 9)) "$folder/whole.lmt" >"$folder/cut.lmt"
	compare "$folder/cut.lmt" "$part/9 of the file"
done
for part in 2 4 6; do
	at=$(((size - 64) * part / 9))
	head -c "$at" "$folder/whole.lmt" >"$folder/damaged.lmt"
	printf 'damage' >>"$folder/damaged.lmt"
	tail -c +$((at + 7)) "$folder/whole.lmt" >>"$folder/damaged.lmt"
	compare "$folder/damaged.lmt" "damage at $part/9"
done
