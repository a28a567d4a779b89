/* SPDX-License-Identifier: Apache-2.0 */
/* Names and error texts of the public vocabulary. */
#include <errno.h>
#include <stddef.h>

#include "base/compiler.h"
#include "lmmeter/trace.h"

static const char *const phase_names[] = {
	[LMM_PHASE_NONE] = "none",
	[LMM_PHASE_MODEL_LOAD] = "model_load",
	[LMM_PHASE_CONTEXT_INIT] = "context_init",
	[LMM_PHASE_WAITING] = "waiting",
	[LMM_PHASE_TOKENIZE] = "tokenize",
	[LMM_PHASE_EMBEDDING] = "embedding",
	[LMM_PHASE_PREFILL] = "prefill",
	[LMM_PHASE_DECODE] = "decode",
	[LMM_PHASE_COPY_TO_CPU] = "copy_to_cpu",
	[LMM_PHASE_SOFTMAX] = "softmax",
	[LMM_PHASE_SAMPLING] = "sampling",
	[LMM_PHASE_DETOKENIZE] = "detokenize",
	[LMM_PHASE_DRAFT] = "draft",
	[LMM_PHASE_VERIFY] = "verify",
	[LMM_PHASE_UNACCOUNTED] = "unaccounted",
};
_Static_assert(LMM_ARRAY_SIZE(phase_names) == LMM_PHASE_COUNT, "every phase has a name");

static const char *const role_names[] = {
	[LMM_ROLE_OTHER] = "other",
	[LMM_ROLE_ATTENTION] = "attention",
	[LMM_ROLE_MLP] = "mlp",
	[LMM_ROLE_NORM] = "norm",
	[LMM_ROLE_EMBEDDING] = "embedding",
	[LMM_ROLE_LM_HEAD] = "lm_head",
};
_Static_assert(LMM_ARRAY_SIZE(role_names) == LMM_ROLE_COUNT, "every role has a name");

static const char *const kernel_kind_names[] = {
	[LMM_KERNEL_PROGRAM] = "kernel",  [LMM_KERNEL_READ] = "read",
	[LMM_KERNEL_WRITE] = "write",	  [LMM_KERNEL_COPY] = "copy",
	[LMM_KERNEL_FILL] = "fill",	  [LMM_KERNEL_MAP] = "map",
	[LMM_KERNEL_UNMAP] = "unmap",	  [LMM_KERNEL_MARKER] = "marker",
	[LMM_KERNEL_MIGRATE] = "migrate", [LMM_KERNEL_COMMAND_BUFFER] = "command buffer",
	[LMM_KERNEL_PASS] = "pass",
};
_Static_assert(LMM_ARRAY_SIZE(kernel_kind_names) == LMM_KERNEL_KIND_COUNT, "every kind has a name");

static const char *const sensor_kind_names[] = {
	[0] = "none",
	[LMM_SENSOR_FREQUENCY] = "frequency",
	[LMM_SENSOR_GOVERNOR] = "governor",
	[LMM_SENSOR_TEMPERATURE] = "temperature",
	[LMM_SENSOR_COOLING] = "cooling",
	[LMM_SENSOR_THROTTLE_COUNT] = "throttle_count",
	[LMM_SENSOR_THROTTLE_TIME] = "throttle_time",
	[LMM_SENSOR_THROTTLE_REASONS] = "throttle_reasons",
	[LMM_SENSOR_ENERGY] = "energy",
	[LMM_SENSOR_POWER] = "power",
	[LMM_SENSOR_STALL] = "stall",
	[LMM_SENSOR_MEMORY] = "memory_available",
	[LMM_SENSOR_LOAD] = "load",
	[LMM_SENSOR_VOLTAGE] = "voltage",
	[LMM_SENSOR_CURRENT] = "current",
	[LMM_SENSOR_RUN_WAIT] = "run_wait",
	[LMM_SENSOR_MAJOR_FAULTS] = "major_faults",
	[LMM_SENSOR_MINOR_FAULTS] = "minor_faults",
};
_Static_assert(LMM_ARRAY_SIZE(sensor_kind_names) == LMM_SENSOR_KIND_COUNT, "every kind has a name");

static const char *const component_names[] = {
	[LMM_COMPONENT_OTHER] = "other",     [LMM_COMPONENT_CPU] = "cpu",
	[LMM_COMPONENT_GPU] = "gpu",	     [LMM_COMPONENT_MEMORY] = "memory",
	[LMM_COMPONENT_PACKAGE] = "package", [LMM_COMPONENT_BOARD] = "board",
	[LMM_COMPONENT_BATTERY] = "battery", [LMM_COMPONENT_SOC] = "soc",
	[LMM_COMPONENT_CPU_GPU] = "cpu_gpu", [LMM_COMPONENT_PROCESS] = "process",
};
_Static_assert(LMM_ARRAY_SIZE(component_names) == LMM_COMPONENT_COUNT, "every one has a name");

/* strerror() is not thread-safe and strerrordesc_np() is not everywhere: what files and memory can say. */
static const struct {
	int err;
	const char *text;
} error_texts[] = {
	{ 0, "success" },
	{ LMM_E_NOT_LMT, "not a .lmt file" },
	{ LMM_E_VERSION, "written by a newer lmmeter, which this one cannot read" },
	{ LMM_E_CORRUPT, "corrupt data" },
	{ LMM_E_CODEC, "compressed in a way that this build cannot read" },
	{ LMM_E_ENDIAN, "big-endian machines are not supported" },
	{ LMM_E_LIMIT, "a limit of the format is exceeded" },
	{ LMM_E_NO_ENGINE, "no engine was seen" },
	{ -EPERM, "operation not permitted" },
	{ -ENOENT, "no such file or directory" },
	{ -ESRCH, "no such process" },
	{ -EINTR, "interrupted" },
	{ -EIO, "input/output error" },
	{ -E2BIG, "argument list too long" },
	{ -ENOEXEC, "not an executable format" },
	{ -EBADF, "bad file descriptor" },
	{ -ECHILD, "no child process" },
	{ -EAGAIN, "temporarily unavailable" },
	{ -ENOMEM, "out of memory" },
	{ -EACCES, "permission denied" },
	{ -EBUSY, "busy" },
	{ -EEXIST, "file exists" },
	{ -ENODEV, "no such device" },
	{ -ENOTDIR, "not a directory" },
	{ -EISDIR, "is a directory" },
	{ -EINVAL, "invalid argument" },
	{ -ENFILE, "too many open files in the system" },
	{ -EMFILE, "too many open files" },
	{ -ETXTBSY, "text file busy" },
	{ -EFBIG, "file too large" },
	{ -ENOSPC, "no space left on the device" },
	{ -ESPIPE, "not seekable" },
	{ -EROFS, "read-only file system" },
	{ -EPIPE, "broken pipe" },
	{ -ERANGE, "out of range" },
	{ -ENAMETOOLONG, "file name too long" },
	{ -ENOSYS, "not supported by this kernel" },
	{ -ELOOP, "too many symbolic links" },
	{ -EOVERFLOW, "value too large" },
	{ -EPROTO, "protocol error" },
	{ -EOPNOTSUPP, "not supported" },
	{ -ECONNREFUSED, "connection refused" },
	{ -ECONNRESET, "connection reset" },
	{ -ETIMEDOUT, "timed out" },
	{ -EADDRINUSE, "address in use" },
	{ -EADDRNOTAVAIL, "no address of this machine" },
	{ -EAFNOSUPPORT, "kind of address not supported" },
	{ -EDQUOT, "disk quota exceeded" },
};

const char *lmm_phase_name(unsigned phase)
{
	return phase < LMM_PHASE_COUNT ? phase_names[phase] : "?";
}

const char *lmm_role_name(unsigned role)
{
	return role < LMM_ROLE_COUNT ? role_names[role] : "?";
}

const char *lmm_kernel_kind_name(unsigned kind)
{
	return kind < LMM_KERNEL_KIND_COUNT ? kernel_kind_names[kind] : "?";
}

const char *lmm_sensor_kind_name(unsigned kind)
{
	return kind < LMM_SENSOR_KIND_COUNT ? sensor_kind_names[kind] : "?";
}

const char *lmm_component_name(unsigned component)
{
	return component < LMM_COMPONENT_COUNT ? component_names[component] : "?";
}

const char *lmm_strerror(int err)
{
	for (size_t i = 0; i < LMM_ARRAY_SIZE(error_texts); i++) {
		if (error_texts[i].err == err)
			return error_texts[i].text;
	}
	return err < 0 ? "system error" : "unknown error";
}
