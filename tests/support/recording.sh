# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Which recording a check is made of: sourced behind script/lib.sh, with lmmeter and tmp set.

# Prints the file that the words name, made in $tmp if need be: FILE.lmt | --made-by PROGRAM | --recorded
recording() {
	local engine model file=$tmp/recording.lmt

	case $1 in
	--made-by) "$2" "$file" || exit $? ;;
	--recorded)
		engine=$("$root/script/get-engine" llama) || exit $?
		model=$("$root/script/get-engine" model) || exit $?
		"$lmmeter" run -o "$file" -- "$engine/llama-completion" -m "$model" -t 1 -p "The capital of France is" -n 48 --temp 0 \
			-no-cnv >/dev/null 2>"$tmp/run.log" </dev/null || { tail -n 5 "$tmp/run.log" >&2; die "recording failed"; }
		;;
	*) file=$1 ;;
	esac
	echo "$file"
}
