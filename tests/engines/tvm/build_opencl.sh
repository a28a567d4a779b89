#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds TVM's OpenCL runtime, which the stock package of apache-tvm 0.27 lacks, from the copy of TVM (0.25) in tilelang's source.
#
#	build_opencl.sh SITE TILELANG.tar.gz FOLDER      SITE: where the packages tvm and tvm_ffi lie
#
# FOLDER/linked/libtvm_runtime_opencl.so links libOpenCL; FOLDER/hidden/… opens it by name, with hidden symbols, as upstream's own does;
# FOLDER/open/… does so with symbols that everybody sees.
set -euo pipefail
site=$(realpath "$1") archive=$(realpath "$2") out=$(realpath "$3")
top=$(basename "$archive" .tar.gz)/3rdparty/tvm
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
tar xzf "$archive" --strip-components=3 -C "$work" "$top/src/runtime/opencl" "$top/src/runtime/texture.h" "$top/src/support" \
	"$top/include/tvm/support"
cp -rn "$site"/tvm/src/runtime/. "$work/src/runtime/"
cp -rn "$site"/tvm/include/. "$work/include/"
# headers that others include too, and the package lacks
cp -rn "$work/include/tvm/support" "$site/tvm/include/tvm/"
# 0.27 has no class DataType in its runtime any more.
plain='DLDataType{kDL\1, \2, 1}'
sed -i -e 's/DataType dtype(data_type);/DLDataType dtype = data_type;/' -e 's/dtype = dtype.with_lanes(1);/dtype.lanes = 1;/' \
	-e "s/DataType::\(Float\|Int\|UInt\)(\([0-9]*\))/$plain/" "$work/src/runtime/opencl/opencl_common.h"
sed -i -e 's/ DataType channel_type = GetChannelType/ DLDataType channel_type = GetChannelType/' \
	-e 's/channel_type\.code()/channel_type.code/;s/channel_type\.bits()/channel_type.bits/;s/channel_type\.lanes()/channel_type.lanes/' \
	"$work/src/runtime/opencl/opencl_device_api.cc"
sed -i -e 's/inline DataType GetChannelType/inline DLDataType GetChannelType/' -e '/^  DataType channel_type;$/d' \
	-e 's/return DataType::Float(\([0-9]*\), \([0-9]*\))/return DLDataType{kDLFloat, \1, \2}/' "$work/src/runtime/texture.h"

build() { # folder visibility libraries sources…
	local dir=$out/$1 visibility=$2 libraries=$3 source objects=() pids=() pid
	shift 3

	mkdir -p "$dir"
	for source in "$@"; do
		g++ -O2 -std=c++20 -w -fPIC "-fvisibility=$visibility" -DTVM_RUNTIME_EXPORTS -I"$work/include" -I"$site/tvm_ffi/include" \
			-I"$work/src" -c "$work/src/runtime/opencl/$source" -o "$work/$visibility-$(basename "$source").o" &
		pids+=($!)
		objects+=("$work/$visibility-$(basename "$source").o")
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	g++ -shared -o "$dir/libtvm_runtime_opencl.so" "${objects[@]}" -L"$site/tvm/lib" -ltvm_runtime -L"$site/tvm_ffi/lib" -ltvm_ffi \
		"$libraries"
}

build linked default -lOpenCL opencl_device_api.cc opencl_module.cc
build open default -ldl opencl_device_api.cc opencl_module.cc opencl_wrapper/opencl_wrapper.cc
build hidden hidden -ldl opencl_device_api.cc opencl_module.cc opencl_wrapper/opencl_wrapper.cc
