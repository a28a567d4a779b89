#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
load common

# Programs of the tests' own stand for an engine; the real one is asked for, and its tests skipped without it.
fake_engine() {
	fake=$(dirname "$LMMETER")/../../tests/fake/plain
	[ -x "$fake/fake_engine" ] || skip "the stand-in for an engine is not built"
	fake=$(cd "$fake" && pwd)
}

compile() { # options…, program text on stdin
	command -v gcc >/dev/null || skip "no gcc"
	gcc -x c -o program - "$@" 2>cc.err || skip "gcc: $(tail -1 cc.err)"
}

# The values of a JSON path, one per line.
json() {
	jq -r "$1" "$dir/out"
}

# ---- the machine ---------------------------------------------------------------------------------

@test "without a command: the machine, status 0" {
	lm doctor
	[ "$status" = 0 ]
	[ -z "$err" ]
	[[ $out == *"$(uname -sr)"* ]]
	[[ $out == *"Ready to record"* ]]
	[ "$(awk '{ print length }' out | sort -n | tail -1)" -le 100 ]
	lacks $'\x1b' out
}

@test "without a command, as JSON: what other programs say of this machine" {
	lm doctor --json
	[ "$status" = 0 ]
	[ "$(json .schema)" = lmmeter.doctor/1 ]
	[ "$(json .machine.cpus)" = "$(nproc)" ]
	[ "$(json .machine.memory_bytes)" = "$(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE)))" ]
	[ "$(json .machine.c_library.name)" = "$(getconf GNU_LIBC_VERSION || echo not glibc)" ]
	[ "$(json '.machine.clock.record_ns > 1 and .machine.clock.record_ns < 1000')" = true ]
	[ -r "$(json .machine.library.preload)" ]
	# what there is and what there is not: no family of sensors is passed over in silence
	if [ -r /proc/meminfo ]; then [[ $(json .machine.sensors.readable) == *memory_available* ]]; fi
	if [ ! -e /sys/devices/system/cpu/cpufreq/policy0 ]; then
		[ "$(json '.machine.sensors.absent[] | select(.what == "CPU frequency") | .why')" = "not there" ]
	fi
	[ "$(json .command)" = null ]
}

@test "the clock can be forced, and the reason is said" {
	LMMETER_CLOCK=monotonic lm doctor --json
	[ "$(json .machine.clock.kind)" = monotonic ]
	[[ $(json .machine.clock.reason) == *LMMETER_CLOCK* ]]
}

@test "shared memory: the folder, its file system, and nothing left in it" {
	mkdir shm
	LMMETER_DIR=$dir/shm lm doctor --json
	[ "$(json .machine.shared_memory.folder)" = "$dir/shm/lmmeter-$(id -u)" ]
	[ "$(json .machine.shared_memory.in_memory)" = "$([ "$(stat -fc %T shm)" = tmpfs ] && echo true || echo false)" ]
	[ -z "$(ls "shm/lmmeter-$(id -u)")" ]
}

@test "no library: status 1 and the line that mends it" {
	LMMETER_LIB_DIR=$dir lm doctor
	[ "$status" = 1 ]
	[[ $out == *"liblmmeter.so was not found"*"mend: LMMETER_LIB_DIR=DIR"* ]]
}

@test "usage errors" {
	lm doctor --jsn
	refused 2 "did you mean '--json'?"
}

@test "a full disk is a failure" {
	[ -c /dev/full ] || skip "no /dev/full"
	run bash -c '"$LMMETER" doctor >/dev/full'
	[ "$status" = 1 ]
	[[ $output == *"cannot write"* ]]
}

# ---- commands ------------------------------------------------------------------------------------

@test "an engine: everything is seen, status 0" {
	fake_engine
	lm doctor -- "$fake/fake_engine" tokens=4
	[ "$status" = 0 ]
	[[ $out == *"llama.cpp, ggml 9.9.9"* ]]
	[[ $out == *"Level: kernels"* ]]
	lm doctor --json -- "$fake/fake_engine"
	[ "$status" = 0 ]
	[ "$(json .level)" = kernels ]
	[ "$(json '[.sees[] | select(.seen | not)] | length')" = 0 ]
	[ "$(json '.sees | map(.what) | sort | join(" ")')" = "context_init copy_to_cpu decode detokenize embedding graphs \
model_load operators prefill sampling softmax threads_all tokenize" ]
	[ "$(json '[.command.engine_libraries[].name] | sort | join(" ")')" = "libggml-base.so libggml-cpu.so libllama.so" ]
	[ "$(json '.command.engine_libraries[] | select(.loaded_later) | .name')" = libggml-cpu.so ]
}

@test "the command itself is not run" {
	compile <<-END
		#include <fcntl.h>
		__attribute__((constructor)) static void early(void) { open("$dir/was-run", O_CREAT, 0600); }
		int main(void) { return 0; }
	END
	lm doctor -- ./program
	[ ! -e was-run ]
	[[ $out == *"linked dynamically"* ]]
}

@test "a backend that lacks what operators are seen by: phases, and why" {
	fake_engine
	cp "$fake"/*.so "$fake/fake_engine" .
	echo 'int ggml_graph_compute(void *g, void *p) { return g == p; }' | compile -shared -fPIC
	mv program libggml-cpu.so
	lm doctor --json -- ./fake_engine
	[ "$status" = 1 ]
	[ "$(json .level)" = phases ]
	[[ $(json '.gaps[].what') == *"operators cannot be seen"* ]]
	[ "$(json '.gaps[0].mend != null')" = true ]
}

@test "a function that an engine calls directly is not seen" {
	fake_engine
	cp "$fake"/*.so "$fake/fake_engine" .
	compile -shared -fPIC -O1 -Wl,-Bsymbolic <<-END
		__attribute__((noinline)) int ggml_cpu_extra_compute_forward(void *p, void *n) { return p == n; }
		void ggml_barrier(void *p) { (void)p; }
		int ggml_graph_compute(void *g, void *p) { return ggml_cpu_extra_compute_forward(g, p); }
	END
	mv program libggml-cpu.so
	lm doctor --json -- ./fake_engine
	[ "$(json .level)" = phases ]
	[ "$(json '.sees[] | select(.what == "operators") | .why')" = \
		"ggml_graph_compute() is called directly, not through the loader" ]
	[[ $(json '.gaps[0].mend') == *"-Bsymbolic"* ]]
}

@test "a library that is missing is named" {
	fake_engine
	cp "$fake/fake_engine" .
	lm doctor -- ./fake_engine
	[ "$status" = 1 ]
	[[ $out == *"does not find lib"*"the command will not start"*"mend: LD_LIBRARY_PATH=DIR"* ]]
	LD_LIBRARY_PATH=$fake lm doctor --json -- ./fake_engine
	[ "$(json .command.missing_library)" = null ]
}

@test "a program without an engine: it cannot be told" {
	echo 'int main(void) { return 0; }' | compile
	lm doctor -- ./program
	[ "$status" = 1 ]
	[[ $out == *"Level: unknown"*"no engine is among its libraries"* ]]
	lm doctor --json -- ./program
	[ "$(json .level)" = null ]
	[ "$(json .engine)" = null ]
}

@test "a static program: off, and how to build it" {
	echo 'int main(void) { return 0; }' | compile -static
	lm doctor -- ./program
	[ "$status" = 1 ]
	[[ $out == *"linked statically"*"Level: off"*"mend: build it with shared libraries"* ]]
}

@test "a setuid program: the loader ignores us" {
	[ "$(id -u)" = 0 ] || skip "only root can make one that is not its own"
	echo 'int main(void) { return 0; }' | compile
	chown 65534 program
	chmod 4755 program
	lm doctor -- ./program
	[ "$status" = 1 ]
	[[ $out == *"setuid"*"Level: off"*"the loader ignores us"* ]]
	lm doctor --json -- ./program
	[ "$(json .command.is_setuid)" = true ]
}

@test "scripts and interpreters: the engine comes later" {
	printf '#!/bin/sh\nexit 0\n' >script
	printf '#!/usr/bin/env -S bash -e\nexit 0\n' >env-script
	printf 'echo no interpreter line\n' >plain-script
	chmod +x script env-script plain-script
	for file in script env-script plain-script; do
		lm doctor --json -- "./$file"
		[ "$status" = 1 ]
		[ "$(json .command.kind)" = script ]
		[[ $(json .command.interpreter) == */*sh ]]
		[ "$(json .command.loads_later)" = true ]
		[ "$(json .level)" = null ]
	done
	lm doctor -- sh -c true
	[[ $out == *"it loads the engine later"*"scripts and children"* ]]
}

@test "not found, not executable, a folder, another machine's, damaged" {
	lm doctor -- no-such-program
	[ "$status" = 1 ]
	[[ $out == *"no-such-program was not found"* ]]
	printf '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03' >short
	touch plain
	chmod +x short
	for file in ./plain /; do
		lm doctor -- "$file"
		[ "$status" = 1 ]
		[[ $out == *"cannot be executed"* ]]
	done
	lm doctor -- ./short
	[ "$status" = 1 ]
	[[ $out == *"damaged"* ]]
	echo 'int main(void) { return 0; }' | compile
	printf '\xf3\x00' | dd of=program bs=1 seek=18 conv=notrunc 2>/dev/null
	lm doctor -- ./program
	[ "$status" = 1 ]
	[[ $out == *"another machine (riscv)"* ]]
}

@test "hostile ELF files end in words" {
	echo 'int main(void) { return 0; }' | compile
	size=$(stat -c %s program)
	for n in 64 200 1000 $((size / 2)) $((size - 1)); do
		head -c "$n" program >short
		chmod +x short
		lm doctor -- ./short
		[ "$status" = 1 ]
		[ -z "$err" ]
	done
	for at in 32 40 56 60 62 72 96 104 120; do
		cp program bent
		printf '\xff\xff\xff\xff\xff\xff\xff\x7f' | dd of=bent bs=1 seek="$at" conv=notrunc 2>/dev/null
		lm doctor -- ./bent
		[ "$status" = 1 ]
	done
}

@test "a loader of the file's own choice is not executed" {
	cat >ld-linux-x86-64.so.2 <<-END
		#!/bin/sh
		touch $dir/was-run
	END
	chmod 777 ld-linux-x86-64.so.2
	echo 'int main(void) { return 0; }' | compile -Wl,--dynamic-linker="$dir/ld-linux-x86-64.so.2"
	lm doctor -- ./program
	[ ! -e was-run ]
	[[ $out == *"is not the system's"* ]]
}

@test "names of files do not reach the terminal raw" {
	echo 'int main(void) { return 0; }' | compile
	mv program $'./re\e[31md'
	lm doctor -- $'./re\e[31md'
	lacks $'\x1b' out
}

# ---- a real engine -------------------------------------------------------------------------------

@test "llama-completion: everything, and its version" {
	engine=$("$LMM_SOURCE/script/get-engine" llama 2>get.err | head -1) || true
	[ -n "$engine" ] || skip "$(tail -1 get.err)"
	lm doctor --json -- "$engine/llama-completion" -m model.gguf
	[ "$status" = 0 ]
	[ "$(json .level)" = kernels ]
	[[ $(json .engine.version) =~ ^ggml\ [0-9]+\.[0-9]+\.[0-9]+\ \([0-9a-f]+\)$ ]]
	[ "$(json '[.sees[] | select(.seen | not)] | length')" = 0 ]
}

# ---- marks ---------------------------------------------------------------------------------------

@test "a program with marks: dynamic, static, and static without the other half" {
	headers=$(cd "$(dirname "$LMMETER")/../.." && pwd)/include
	[ -e "$headers/lmmeter/mark_static.h" ] || skip "mark_static.h was not made"
	compile -I"$LMM_SOURCE/include" <<<'#include <lmmeter/mark.h>
		int main(void) { lmm_mark_token(1); return 0; }'
	lm doctor -- ./program
	# phases and no kernels
	[ "$status" = 1 ]
	[[ $out == *"engine         marked by itself"* ]]
	[[ $out == *"Level: phases"* ]]
	compile -static -I"$LMM_SOURCE/include" <<<'#include <lmmeter/mark.h>
		int main(void) { lmm_mark_token(1); return 0; }'
	lm doctor -- ./program
	[ "$status" = 1 ]
	[[ $out == *"Level: off"* && $out == *"mark_static.h"* ]]
	compile -static -I"$headers" -I"$LMM_SOURCE/include" <<<'#include <lmmeter/mark_static.h>
		int main(void) { lmm_mark_token(1); return 0; }'
	lm doctor --json -- ./program
	[ "$(json .level)" = phases ]
	[ "$(json .command.kind)" = elf_static ]
}
