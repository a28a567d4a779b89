/* SPDX-License-Identifier: Apache-2.0 */
/* Finds CUPTI: the copy that is loaded, else the one that came with the program's CUDA runtime. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/devices/cuda/window.h"

#define PATHS 4096

struct lmm_cupti lmm_cupti;

static const char *const versions[] = { "13", "12", "11" };

const char *lmm_cupti_text(int rc)
{
	const char *text = NULL;

	if (!lmm_cupti.cuptiGetResultString || lmm_cupti.cuptiGetResultString(rc, &text) || !text)
		return "?";
	return strncmp(text, "CUPTI_ERROR_", 12) ? text : text + 12;
}

struct runtime {
	char dir[PATHS];
	char version[16];
};

/* The CUDA runtime that is loaded, or the backend that has one inside. */
static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *base = strrchr(info->dlpi_name, '/');
	struct runtime *r = arg;

	(void)size;
	if (!base || strncmp(base, "/libcudart.so.", 14) != 0)
		return 0;
	(void)snprintf(r->dir, sizeof(r->dir), "%.*s", (int)(base - info->dlpi_name),
		       info->dlpi_name);
	(void)snprintf(r->version, sizeof(r->version), "%.*s", (int)strcspn(base + 14, "."),
		       base + 14);
	return 1;
}

static void *open_at(const char *dir, const char *rest, const char *version)
{
	char path[PATHS + 64];

	if (snprintf(path, sizeof(path), "%s%slibcupti.so%s%s", dir, rest, version ? "." : "",
		     version ? version : "") >= (int)sizeof(path))
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *open_loaded(void)
{
	void *h = NULL;
	char name[32];

	for (size_t i = 0; !h && i < LMM_ARRAY_SIZE(versions); i++) {
		(void)snprintf(name, sizeof(name), "libcupti.so.%s", versions[i]);
		h = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
	}
	return h;
}

/* As a toolkit, the pip packages of 12 and those of 13 lay it out. */
static void *open_beside(const struct runtime *r)
{
	static const char *const rests[] = { "/", "/../extras/CUPTI/lib64/",
					     "/../../../extras/CUPTI/lib64/",
					     "/../../cuda_cupti/lib/" };
	void *h = NULL;

	for (size_t i = 0; !h && r->dir[0] && i < LMM_ARRAY_SIZE(rests); i++) {
		h = open_at(r->dir, rests[i], r->version);
		if (!h)
			h = open_at(r->dir, rests[i], NULL);
	}
	return h;
}

static void *open_usual(const struct runtime *r)
{
	static const char *const dirs[] = { "", "/usr/local/cuda/extras/CUPTI/lib64/",
					    "/usr/local/cuda/lib64/",
					    "/opt/cuda/extras/CUPTI/lib64/", "/opt/cuda/lib64/" };
	void *h = NULL;

	for (size_t i = 0; !h && i < LMM_ARRAY_SIZE(dirs); i++) {
		if (r->version[0]) {
			h = open_at(dirs[i], "", r->version);
			continue;
		}
		for (size_t k = 0; !h && k < LMM_ARRAY_SIZE(versions); k++)
			h = open_at(dirs[i], "", versions[k]);
	}
	return h;
}

static void *open_any(char *why, size_t bytes)
{
	const char *path = lmm_session_cupti_path();
	struct runtime r = { "", "" };
	void *h;

	if (path[0]) {
		h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!h)
			(void)snprintf(why, bytes, "LMMETER_CUPTI=%.200s cannot be opened", path);
		return h;
	}
	dl_iterate_phdr(visit, &r);
	h = open_loaded();
	if (!h)
		h = open_beside(&r);
	if (!h)
		h = open_usual(&r);
	if (!h) {
		(void)snprintf(
			why, bytes,
			"libcupti.so%s%s is neither beside libcudart nor where toolkits have "
			"it: LMMETER_CUPTI=PATH names it",
			r.version[0] ? "." : "", r.version);
	}
	return h;
}

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define FUNCTION(symbol)                                                                           \
	{                                                                                          \
#symbol, offsetof(struct lmm_cupti, symbol)                                        \
	}
	FUNCTION(cuptiGetVersion),
	FUNCTION(cuptiGetResultString),
	FUNCTION(cuptiSubscribe),
	FUNCTION(cuptiUnsubscribe),
	FUNCTION(cuptiEnableCallback),
	FUNCTION(cuptiActivityRegisterTimestampCallback),
	FUNCTION(cuptiActivityRegisterCallbacks),
	FUNCTION(cuptiActivityEnable),
	FUNCTION(cuptiActivityDisable),
	FUNCTION(cuptiActivityFlushAll),
	FUNCTION(cuptiActivityGetNextRecord),
	FUNCTION(cuptiActivityGetNumDroppedRecords),
	FUNCTION(cuptiFinalize),
#undef FUNCTION
};

int lmm_cupti_open(char *why, size_t bytes)
{
	void *h = open_any(why, bytes);
	uint32_t version = 0;

	if (!h)
		return -1;
	for (size_t i = 0; i < LMM_ARRAY_SIZE(functions); i++) {
		void *fn = dlsym(h, functions[i].name);

		if (!fn) {
			(void)snprintf(why, bytes, "this CUPTI has no %s()", functions[i].name);
			return -1;
		}
		memcpy((char *)&lmm_cupti + functions[i].offset, &fn, sizeof(fn));
	}
	if (lmm_cupti.cuptiGetVersion(&version) || version < CUPTI_VERSION_LEAST) {
		(void)snprintf(why, bytes, "CUPTI %u is too old: %u (CUDA 11.6) is needed", version,
			       CUPTI_VERSION_LEAST);
		return -1;
	}
	return 0;
}
