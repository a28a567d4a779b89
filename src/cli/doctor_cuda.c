/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA's driver, and the CUPTI that a recording would find where toolkits have it. Neither is set to work. */
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"

#define CUPTI_LEAST 17u /* as src/probe/devices/cuda/api.h has it */

static void path_of(void *lib, char *path, size_t bytes)
{
	struct link_map *map = NULL;

	if (dlinfo(lib, RTLD_DI_LINKMAP, &map) == 0 && map)
		(void)snprintf(path, bytes, "%s", map->l_name);
}

static void *cupti_open(const char *asked)
{
	static const char *const places[] = { "", "/usr/local/cuda/extras/CUPTI/lib64/",
					      "/usr/local/cuda/lib64/",
					      "/opt/cuda/extras/CUPTI/lib64/" };
	static const char *const versions[] = { "13", "12", "11" };
	char path[128];
	void *lib = asked ? dlopen(asked, RTLD_LAZY | RTLD_LOCAL) : NULL;

	for (size_t i = 0; !asked && !lib && i < LMM_ARRAY_SIZE(places); i++) {
		for (size_t k = 0; !lib && k < LMM_ARRAY_SIZE(versions); k++) {
			(void)snprintf(path, sizeof(path), "%slibcupti.so.%s", places[i],
				       versions[k]);
			lib = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
		}
	}
	return lib;
}

static void find_cupti(struct lmm_doctor *d)
{
	struct lmm_doctor_machine *m = &d->machine;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *asked = getenv("LMMETER_CUPTI");
	void *lib = cupti_open(asked && asked[0] ? asked : NULL);
	int (*version)(uint32_t *);

	if (!lib) {
		lmm_doctor_note(
			d,
			"CUPTI is not where toolkits have it%s: kernels of CUDA are timed if it lies beside "
			"the program's own libcudart, else LMMETER_CUPTI=PATH names it",
			asked && asked[0] ? " (LMMETER_CUPTI)" : "");
		return;
	}
	path_of(lib, m->cupti, sizeof(m->cupti));
	*(void **)&version = dlsym(lib, "cuptiGetVersion");
	if (version)
		(void)version(&m->cupti_version);
	if (m->cupti_version < CUPTI_LEAST) {
		lmm_doctor_note(d,
				"CUPTI %u is too old to time kernels of CUDA: %u (11.6) is needed",
				m->cupti_version, CUPTI_LEAST);
	}
}

void lmm_doctor_cuda(struct lmm_doctor *d)
{
	struct lmm_doctor_machine *m = &d->machine;
	void *lib = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
	int (*version)(int *);

	if (!lib)
		return;
	path_of(lib, m->cuda, sizeof(m->cuda));
	*(void **)&version = dlsym(lib, "cuDriverGetVersion");
	if (version)
		(void)version(&m->cuda_version);
	find_cupti(d);
}
