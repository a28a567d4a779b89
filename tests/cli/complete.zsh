#!/usr/bin/env zsh
# SPDX-License-Identifier: Apache-2.0
# zsh -f complete.zsh FUNCTIONS OUT LINE…
# Types each line and a tab into a real zsh that has FUNCTIONS in its $fpath, and writes what is offered for line n to OUT/n.
folder=$1 out=$2
shift 2
mkdir -p $out
zmodload zsh/zpty

cat >$out/rc <<'RC'
PS1=''
fpath=($folder $fpath)
autoload -Uz compinit
compinit -D -u
# what is added on the way to an array is not offered yet
compadd() {
	local -a hits
	local word

	for word in ${@[1,(i)(-|--)]}; do
		if [[ $word == -[OAD]* ]]; then
			builtin compadd "$@"
			return
		fi
	done
	builtin compadd -O hits "$@"
	(( $#hits )) && print -rl -- $hits >>$out/$number
	builtin compadd "$@"
}
finished() {
	touch $out/$number.done
}
zstyle ':completion:*' completer _complete
LISTMAX=1000000
bindkey '^I' list-choices
RC

zpty shell "TERM=dumb zsh -f -i"
zpty -w shell "folder=${(q)folder} out=${(q)out}; . ${(q)out}/rc; touch ${(q)out}/ready"
wait_for() {
	local i text

	for (( i = 0; i < 200; i++ )); do
		[[ -e $1 ]] && return
		zpty -rt shell text
		sleep 0.05
	done
	print -u2 -r -- "no $1"
	exit 1
}
wait_for $out/ready
number=0
for line; do
	(( number++ ))
	: >$out/$number
	zpty -w shell "number=$number comppostfuncs=(finished)"
	zpty -n -w shell $line$'\t'
	wait_for $out/$number.done
	zpty -n -w shell $'\C-u'
done
zpty -d shell
