/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: which one, and which of its functions are called in a way that can be hooked. */
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/redact.h"

#define VERSION_TIMEOUT_MS 10000

/* ---- which engine ------------------------------------------------------------------------------- */

static const struct lmm_doctor_object *definer(const struct lmm_doctor_command *c,
					       const char *symbol)
{
	for (unsigned i = 0; i < c->n_objects; i++) {
		if (c->object[i].elf && (lmm_elf_find(c->object[i].elf, symbol) & LMM_ELF_DEFINED))
			return &c->object[i];
	}
	return NULL;
}

/* In a child: the library's own constructors run there. */
static void ask_version(void *arg)
{
	const char *path = arg;
	const char *(*version)(void), *(*commit)(void);
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		_exit(1);
	*(void **)&version = dlsym(lib, "ggml_version");
	*(void **)&commit = dlsym(lib, "ggml_commit");
	if (!version)
		_exit(2);
	dprintf(STDOUT_FILENO, "ggml %.64s", version());
	if (commit)
		dprintf(STDOUT_FILENO, " (%.40s)", commit());
}

static void find_version(struct lmm_doctor *d)
{
	const struct lmm_doctor_object *o = definer(&d->command, "ggml_version");
	char text[sizeof(d->engine_version)];
	int rc;

	if (!o) {
		(void)snprintf(
			d->engine_version, sizeof(d->engine_version),
			"unknown: older than ggml_version(), which b5640 lacks and b6845 has");
		return;
	}
	if (o == &d->command.object[0]) {
		(void)snprintf(d->engine_version, sizeof(d->engine_version),
			       "unknown: it is part of the program, which is not run to ask");
		return;
	}
	rc = lmm_doctor_child(ask_version, o->path, VERSION_TIMEOUT_MS, text, sizeof(text));
	if (rc == 0 && text[0]) {
		(void)snprintf(d->engine_version, sizeof(d->engine_version), "%s", text);
	} else {
		(void)snprintf(d->engine_version, sizeof(d->engine_version),
			       "unknown: %.60s does not load (%.40s)", lmm_base_name(o->path),
			       lmm_strerror(rc));
	}
}

/* ---- what can be hooked ------------------------------------------------------------------------- */

enum reach {
	ABSENT,	   /* no such function */
	UNCALLED,  /* nothing that is loaded calls it, or calls it directly */
	HIDDEN,	   /* its own library has it, and calls it directly */
	REACHABLE, /* called through the loader */
};

/*
 * A function is seen where a call of it goes through the loader: from another object, or from its own if that was built
 * to let it be replaced. `within`: it is its own library that calls it.
 */
static enum reach reach_of(const struct lmm_doctor_command *c, const char *symbol, int within)
{
	enum reach best = ABSENT;

	for (unsigned i = 0; i < c->n_objects; i++) {
		unsigned use = c->object[i].elf ? lmm_elf_find(c->object[i].elf, symbol) : 0;

		if (use & LMM_ELF_DEFINED)
			best = best == ABSENT ? (within ? HIDDEN : UNCALLED) : best;
	}
	for (unsigned i = 0; best != ABSENT && i < c->n_objects; i++) {
		unsigned use = c->object[i].elf ? lmm_elf_find(c->object[i].elf, symbol) : 0;

		if (use & LMM_ELF_RELOCATED)
			best = REACHABLE;
	}
	return best;
}

/* Each of the engine's CPU backends must let its operators be seen: any one may be picked. */
static enum reach reach_on_cpu(const struct lmm_doctor_command *c, const char *symbol)
{
	enum reach worst = REACHABLE;
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_objects; i++) {
		const struct lmm_doctor_object *o = &c->object[i];
		unsigned use = o->elf && o->is_cpu ? lmm_elf_find(o->elf, symbol) : 0;
		enum reach here;

		if (!o->elf || !o->is_cpu)
			continue;
		n++;
		here = (use & LMM_ELF_RELOCATED) ? REACHABLE
		       : (use & LMM_ELF_DEFINED) ? HIDDEN
						 : ABSENT;
		worst = here < worst ? here : worst;
	}
	return n ? worst : ABSENT;
}

static struct lmm_doctor_sight *add_sight(struct lmm_doctor *d, const char *what, int seen)
{
	static struct lmm_doctor_sight spare;
	struct lmm_doctor_sight *s =
		d->n_sights < LMM_DOCTOR_SIGHTS ? &d->sight[d->n_sights++] : &spare;

	s->what = what;
	s->seen = (int8_t)seen;
	s->why[0] = '\0';
	return s;
}

static void say_reach(struct lmm_doctor_sight *s, enum reach reach, const char *symbol)
{
	static const char *const before[] = {
		[ABSENT] = "this engine has no ",
		[UNCALLED] = "nothing that is linked here calls ",
		[HIDDEN] = "",
		[REACHABLE] = "",
	};

	(void)snprintf(s->why, sizeof(s->why), "%s%s()%s", before[reach], symbol,
		       reach == HIDDEN ? " is called directly, not through the loader" : "");
}

/* The first of the symbols that can be reached; else the best there is. */
static int see_any(struct lmm_doctor *d, const char *what, const char *const *symbols, int within)
{
	enum reach best = ABSENT;
	const char *symbol = symbols[0];

	for (; *symbols; symbols++) {
		enum reach r = reach_of(&d->command, *symbols, within);

		if (r > best) {
			best = r;
			symbol = *symbols;
		}
		if (r == REACHABLE)
			break;
	}
	say_reach(add_sight(d, what, best == REACHABLE), best, symbol);
	return best == REACHABLE;
}

static const char *const load_symbols[] = { "llama_model_load_from_file",
					    "llama_load_model_from_file",
					    "llama_model_load_from_splits", NULL };
static const char *const init_symbols[] = { "llama_init_from_model", "llama_new_context_with_model",
					    NULL };
static const char *const tokenize_symbols[] = { "llama_tokenize", NULL };
static const char *const step_symbols[] = { "llama_decode", "llama_encode", NULL };
static const char *const sched_symbols[] = { "ggml_backend_sched_graph_compute_async", NULL };
static const char *const copy_symbols[] = { "ggml_backend_tensor_get_async", NULL };
static const char *const softmax_symbols[] = { "llama_sampler_apply", NULL };
static const char *const sampling_symbols[] = {
	"llama_get_logits_ith", "llama_get_logits",    "llama_get_sampled_probs_ith",
	"llama_sampler_sample", "llama_sampler_apply", NULL
};
static const char *const text_symbols[] = { "llama_token_to_piece", "llama_detokenize", NULL };

/* Steps come from llama_decode(), or, where that is hidden, from the graphs that it runs. */
static int see_steps(struct lmm_doctor *d, const char *what)
{
	struct lmm_doctor_sight *s;

	if (see_any(d, what, step_symbols, 0))
		return 1;
	s = &d->sight[d->n_sights - 1];
	if (reach_of(&d->command, sched_symbols[0], 1) != REACHABLE)
		return 0;
	s->seen = 1;
	(void)snprintf(s->why, sizeof(s->why),
		       "%s(): steps are told from graphs, llama_decode() is not visible",
		       sched_symbols[0]);
	return 1;
}

/* Functions that the probe asks about a graph: they need only be there. */
static int see_graphs(struct lmm_doctor *d)
{
	static const char *const all[] = {
		"ggml_op_desc",	      "ggml_get_name", "ggml_type_name", "ggml_nbytes",
		"ggml_graph_n_nodes", "ggml_init",     "ggml_free",	 "ggml_tensor_overhead",
		"ggml_new_tensor_2d", "ggml_add",      "ggml_mul"
	};
	struct lmm_doctor_sight *s = add_sight(d, "graphs", 1);

	for (size_t i = 0; i < LMM_ARRAY_SIZE(all); i++) {
		if (definer(&d->command, all[i]))
			continue;
		s->seen = 0;
		say_reach(s, ABSENT, all[i]);
		return 0;
	}
	if (!definer(&d->command, "ggml_graph_nodes") && !definer(&d->command, "ggml_graph_node")) {
		s->seen = 0;
		say_reach(s, ABSENT, "ggml_graph_node");
		return 0;
	}
	(void)snprintf(s->why, sizeof(s->why),
		       "ggml_graph_node() and others; the layout is checked when it runs");
	return 1;
}

static int see_operators(struct lmm_doctor *d)
{
	static const char *const both[] = { "ggml_graph_compute",
					    "ggml_cpu_extra_compute_forward" };
	struct lmm_doctor_sight *s = add_sight(d, "operators", 1);

	for (size_t i = 0; i < LMM_ARRAY_SIZE(both); i++) {
		enum reach r = reach_on_cpu(&d->command, both[i]);

		say_reach(s, r, both[i]);
		if (r == REACHABLE)
			continue;
		s->seen = 0;
		if (r == ABSENT && !definer(&d->command, "ggml_graph_compute"))
			(void)snprintf(s->why, sizeof(s->why), "no CPU backend of ggml was found");
		return 0;
	}
	return 1;
}

/* With clang the barrier of each operator is inlined, and arrivals cannot be seen. */
static void see_threads(struct lmm_doctor *d, int operators)
{
	enum reach r = reach_on_cpu(&d->command, "ggml_barrier");
	struct lmm_doctor_sight *s = add_sight(d, "threads_all", operators && r == REACHABLE);

	if (!operators) {
		(void)snprintf(s->why, sizeof(s->why), "needs operators");
	} else {
		say_reach(s, r, "ggml_barrier");
	}
}

static void note_devices(struct lmm_doctor *d)
{
	static const char *const devices[] = { "libggml-hip",  "libggml-metal", "libggml-sycl",
					       "libggml-cann", "libggml-musa",	"libggml-rpc" };
	const struct lmm_doctor_command *c = &d->command;

	for (unsigned i = 0; i < c->n_objects; i++) {
		const char *name = lmm_base_name(c->object[i].path);

		if (strncmp(name, "libggml-cuda", 12) == 0) {
			lmm_doctor_note(d,
					"kernels of %s are counted, and timed in short windows "
					"with CUPTI, as often as --budget allows (docs/gpu.md)",
					name);
		}
		for (size_t k = 0; k < LMM_ARRAY_SIZE(devices); k++) {
			if (strncmp(name, devices[k], strlen(devices[k])) == 0) {
				lmm_doctor_note(
					d,
					"operators that run on %s are not timed one by one: their "
					"time is in prefill and decode",
					name);
			}
		}
	}
}

static int level_of(int steps, int operators, int graphs)
{
	if (steps && operators && graphs)
		return LMM_LEVEL_KERNELS;
	return steps ? LMM_LEVEL_PHASES : operators ? LMM_LEVEL_COUNTS : LMM_LEVEL_OFF;
}

#define MEND_BUILD                                                                                 \
	"build it with -DBUILD_SHARED_LIBS=ON, without LTO, -Bsymbolic and -fvisibility=hidden"
#define MEND_UPDATE "use llama.cpp b4753 (February 2025) or later"

static void explain(struct lmm_doctor *d)
{
	static const char *const needed[] = { "decode", "operators", "graphs" };

	for (unsigned i = 0; i < d->n_sights; i++) {
		const struct lmm_doctor_sight *s = &d->sight[i];

		for (size_t k = 0; k < LMM_ARRAY_SIZE(needed); k++) {
			if (!s->seen && strcmp(s->what, needed[k]) == 0) {
				lmm_doctor_gap(
					d, strstr(s->why, "directly") ? MEND_BUILD : MEND_UPDATE,
					"%s cannot be seen: %s", s->what, s->why);
			}
		}
	}
}

static void see_all(struct lmm_doctor *d)
{
	struct lmm_doctor_sight *embedding;
	int steps, operators, graphs;

	see_any(d, "model_load", load_symbols, 0);
	see_any(d, "context_init", init_symbols, 0);
	see_any(d, "tokenize", tokenize_symbols, 0);
	embedding = add_sight(d, "embedding", 0);
	see_steps(d, "prefill");
	steps = see_steps(d, "decode");
	see_any(d, "copy_to_cpu", copy_symbols, 1);
	see_any(d, "softmax", softmax_symbols, 0);
	see_any(d, "sampling", sampling_symbols, 0);
	see_any(d, "detokenize", text_symbols, 0);
	operators = see_operators(d);
	graphs = see_graphs(d);
	see_threads(d, operators);
	embedding->seen = (int8_t)(operators && graphs);
	(void)snprintf(embedding->why, sizeof(embedding->why), "%s",
		       embedding->seen ? "told from operators" : "needs operators and graphs");
	d->level = level_of(steps, operators, graphs);
	explain(d);
}

/* ---- TVM ---------------------------------------------------------------------------------------- */

static int has_library(const struct lmm_doctor_command *c, const char *begin)
{
	for (unsigned i = 0; i < c->n_objects; i++) {
		if (strncmp(lmm_base_name(c->object[i].path), begin, strlen(begin)) == 0)
			return 1;
	}
	return 0;
}

/* Functions that TVM registers by name are hooked when they are registered: no symbol says beforehand which these are. */
static void see_tvm(struct lmm_doctor *d)
{
	static const char *const phases[] = { "embedding",   "prefill",	 "decode", "softmax",
					      "copy_to_cpu", "sampling", "draft",  "verify" };
	int is_new = has_library(&d->command, "libtvm_ffi");

	(void)snprintf(d->engine_name, sizeof(d->engine_name), "TVM");
	for (size_t i = 0; i < LMM_ARRAY_SIZE(phases); i++) {
		struct lmm_doctor_sight *s = add_sight(d, phases[i], 1);

		(void)snprintf(s->why, sizeof(s->why), "from its registered functions and copies");
	}
	d->level = LMM_LEVEL_PHASES;
	lmm_doctor_note(
		d,
		"kernels are timed where TVM runs on OpenCL; on a CPU its layers are, by the host's clock");
	if (is_new) {
		lmm_doctor_note(
			d,
			"on a CPU, lmmeter run --instrument times compiled functions too, for some 1 %% of a token");
	}
	lmm_doctor_note(d,
			is_new ? "tried with TVM's stock runtime and MLC-LLM's names of functions, "
				 "not with a stock MLC-LLM build"
			       : "TVM up to 0.19: tried with a stand-in for its C interface alone");
}

/* What the marks will say nobody knows beforehand. */
static void see_marks(struct lmm_doctor *d)
{
	struct lmm_doctor_sight *s = add_sight(d, "marks", 1);

	(void)snprintf(d->engine_name, sizeof(d->engine_name), "marked by itself");
	(void)snprintf(s->why, sizeof(s->why), "requests, steps, phases and spans that it names");
	d->level = LMM_LEVEL_PHASES;
}

void lmm_doctor_engine(struct lmm_doctor *d)
{
	const struct lmm_doctor_command *c = &d->command;
	int runs = c->kind == LMM_DOCTOR_DYNAMIC ||
		   (c->kind == LMM_DOCTOR_STATIC &&
		    (c->loads_later || (c->marks & LMM_ELF_MARKS_STATIC)));
	int engine = 0;

	for (unsigned i = 0; i < c->n_objects; i++)
		engine |= c->object[i].is_engine;
	d->level = LMM_LEVEL_OFF;
	if (!runs)
		return;
	if (engine) {
		(void)snprintf(d->engine_name, sizeof(d->engine_name), "%s",
			       definer(c, "llama_model_load_from_file") ||
					       definer(c, "llama_decode")
				       ? "llama.cpp"
				       : "ggml");
		find_version(d);
		see_all(d);
		note_devices(d);
	} else if (has_library(c, "libtvm_runtime") || has_library(c, "libtvm_ffi")) {
		see_tvm(d);
	} else if (c->marks) {
		see_marks(d);
	} else {
		d->level = -1;
	}
	if (c->is_secure || c->missing[0] || d->machine.libs_error || d->machine.folder_error)
		d->level = LMM_LEVEL_OFF;
}
