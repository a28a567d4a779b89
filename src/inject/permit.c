/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/permit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "inject/target_internal.h"

#define NONE (-1LL)

long long lmm_status_number(int32_t pid, const char *key, int base, long long none)
{
	char path[64], line[512];
	size_t n = strlen(key);
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, n) == 0 && line[n] == ':') {
			none = (long long)strtoull(line + n + 1, NULL, base);
			break;
		}
	}
	if (f)
		(void)fclose(f);
	return none;
}

/* A word of a line of /proc/PID/status. */
static int status_has(int32_t pid, const char *key, const char *word)
{
	char path[64], line[512];
	size_t n = strlen(key);
	int found = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strncmp(line, key, n) == 0 && line[n] == ':' && strstr(line + n, word);
	if (f)
		(void)fclose(f);
	return found;
}

int lmm_yama_scope(void)
{
	FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	char line[16];
	int scope = -1;

	if (f && fgets(line, sizeof(line), f))
		scope = (int)strtol(line, NULL, 10);
	if (f)
		(void)fclose(f);
	return scope;
}

const char *lmm_refusal(int scope)
{
	switch (scope) {
	case 1:
		return "this system lets a process be traced by its parents alone (kernel.yama.ptrace_scope is 1): `sudo sysctl kernel.yama.ptrace_scope=0` "
		       "allows it until the next start; or start the program with lmmeter run --dormant";
	case 2:
		return "this system lets an administrator alone trace processes (kernel.yama.ptrace_scope is 2): `sudo sysctl kernel.yama.ptrace_scope=0` "
		       "allows it until the next start; or start the program with lmmeter run --dormant";
	case 3:
		return "this system forbids tracing until its next start (kernel.yama.ptrace_scope is 3): start the program with lmmeter run --dormant";
	default:
		return "the system does not let it be traced (it has rights that you have not, or a security module or container forbids ptrace: a "
		       "container needs --cap-add=SYS_PTRACE); start the program with lmmeter run --dormant";
	}
}

/* What kind of program it is, by its file. NULL: one that can load libraries. */
static const char *why_program_cannot(int fd)
{
	Elf64_Ehdr eh;
	char interp[256] = "";

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return "its program file cannot be read";
	if (eh.e_ident[EI_CLASS] != ELFCLASS64)
		return "it is a 32-bit program, and lmmeter's library is for 64 bits";
	if (eh.e_machine != EM_X86_64)
		return "its program is for another kind of processor (it runs in an emulator)";
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		off_t at = (off_t)(eh.e_phoff + (uint64_t)i * sizeof(Elf64_Phdr));
		Elf64_Phdr ph;

		if (pread(fd, &ph, sizeof(ph), at) == sizeof(ph) && ph.p_type == PT_INTERP &&
		    pread(fd, interp, sizeof(interp) - 1, (off_t)ph.p_offset) <= 0)
			interp[0] = 0;
	}
	if (!interp[0])
		return "it is a static program: nothing can be loaded into it, and its engine's functions have no names that could be hooked";
	if (strstr(interp, "musl") || strstr(interp, "/linker64"))
		return "its C library is not glibc, and how others load a library into a program that runs is not known: start it with lmmeter run";
	return NULL;
}

static const char *program_reason(int32_t pid)
{
	const char *why;
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? "it has ended" : lmm_refusal(lmm_yama_scope());
	why = why_program_cannot(fd);
	close(fd);
	return why;
}

/* A filter that lmmeter lives below as well (a container's) lets these calls pass; of another nobody knows whether it kills. */
static int is_filtered(int32_t pid)
{
	int32_t self = (int32_t)getpid();

	return lmm_status_number(pid, "Seccomp", 10, 0) != 0 &&
	       lmm_status_number(pid, "Seccomp_filters", 10, 1) !=
		       lmm_status_number(self, "Seccomp_filters", 10, 0);
}

/* The same file under the same path below the root that the process has. */
static int sees_library(int32_t pid, const char *library)
{
	char path[4200];
	struct stat here, there;

	return snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, library) <
		       (int)sizeof(path) &&
	       stat(library, &here) == 0 && stat(path, &there) == 0 &&
	       here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

int lmm_permit(int32_t pid, const char *library, char *why, size_t bytes)
{
	long long tracer = lmm_status_number(pid, "TracerPid", 10, NONE);
	const char *reason = NULL;
	int rc = -ENOTSUP;

	if (tracer == NONE) {
		reason = "there is no such process";
		rc = -ESRCH;
	} else if (status_has(pid, "State", "T (stopped)")) {
		reason = "it is stopped: let it go on (kill -CONT) first";
		rc = -EAGAIN;
	} else if (tracer > 0) {
		(void)snprintf(
			why, bytes,
			"process %lld traces it already (a debugger, strace): end that first",
			tracer);
		return -EBUSY;
	}
	if (!reason)
		reason = program_reason(pid);
	if (!reason && is_filtered(pid)) {
		reason =
			"it runs below a system call filter (seccomp) of its own, which might kill it for loading a library: start it with lmmeter run "
			"--dormant";
	}
	if (!reason && status_has(pid, "x86_Thread_features", "shstk")) {
		reason =
			"it runs with a shadow stack, on which no call can be laid from outside: start it with lmmeter run --dormant";
	}
	if (!reason && !sees_library(pid, library)) {
		(void)snprintf(
			why, bytes,
			"it has another root (a container), where %s is not: mount that folder there under the same path, read-only",
			library);
		return -ENOENT;
	}
	if (reason)
		(void)snprintf(why, bytes, "%s", reason);
	return reason ? rc : 0;
}
