/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/redact.h"
#include "lmmeter/version.h"
#include "report/format.h"
#include "report/json_writer.h"

#define WIDTH  100
#define INDENT 17

enum style { PLAIN, HEAD, GOOD, BAD, DIM };

struct page {
	FILE *out;
	int color;
};

const char *lmm_doctor_kind_name(enum lmm_doctor_kind kind)
{
	static const char *const names[] = {
		[LMM_DOCTOR_NOT_FOUND] = "not_found",
		[LMM_DOCTOR_NOT_EXECUTABLE] = "not_executable",
		[LMM_DOCTOR_DYNAMIC] = "elf_dynamic",
		[LMM_DOCTOR_STATIC] = "elf_static",
		[LMM_DOCTOR_SCRIPT] = "script",
		[LMM_DOCTOR_FOREIGN] = "foreign",
		[LMM_DOCTOR_DAMAGED] = "damaged",
	};

	return names[kind];
}

static enum lmm_doctor_kind shown_kind(const struct lmm_doctor_command *c)
{
	return c->script[0] ? LMM_DOCTOR_SCRIPT : c->kind;
}

static const char *level_text(int level)
{
	return level < 0 ? "unknown" : lmm_level_name((unsigned)level);
}

/* ---- text --------------------------------------------------------------------------------------- */

static void style(const struct page *p, enum style s)
{
	static const char *const codes[] = { "\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[1;33m",
					     "\x1b[2m" };

	if (p->color)
		fputs(codes[s], p->out);
}

/* Words of text from column `indent` on, which is where the line stands; unsafe bytes are shown, not sent. */
static void wrapped(const struct page *p, const char *text, int indent)
{
	char safe[4 * 600 + 1], *word = safe;
	int column = indent;

	lmm_text_fit(safe, sizeof(safe), text, 600);
	while (*word) {
		int n = (int)strcspn(word, " ");

		if (column > indent && column + 1 + n > WIDTH) {
			fprintf(p->out, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', p->out);
			column++;
		}
		fprintf(p->out, "%.*s", n, word);
		column += n;
		word += n + (int)strspn(word + n, " ");
	}
	fputc('\n', p->out);
}

LMM_PRINTF(3, 4)
static void row(const struct page *p, const char *label, const char *format, ...)
{
	char text[LMM_DOCTOR_PATH + 256];
	va_list ap;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	fprintf(p->out, "  %-*s", INDENT - 2, label);
	wrapped(p, text, INDENT);
}

static void head(const struct page *p, const char *title)
{
	style(p, HEAD);
	fprintf(p->out, "%s\n", title);
	style(p, PLAIN);
}

/* Those with the same reason stand together. */
static void print_sensors(const struct page *p, const struct lmm_doctor_machine *m)
{
	char text[512] = "";
	size_t n = 0;

	for (unsigned i = 0; i < m->n_sensors_absent && n < sizeof(text); i++) {
		const struct lmm_doctor_absent *a = &m->sensor_absent[i];
		int goes_on = i && strcmp(a[-1].why, a->why) == 0;
		int ends = i + 1 == m->n_sensors_absent || strcmp(a[1].why, a->why) != 0;

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s",
				      goes_on ? ", "
				      : i     ? "; no "
					      : "no ",
				      a->what, ends ? ": " : "", ends ? a->why : "");
	}
	row(p, "sensors", "%s", m->sensors_readable[0] ? m->sensors_readable : "none");
	if (text[0])
		row(p, "", "%s", text);
}

static void print_machine(const struct page *p, const struct lmm_doctor_machine *m)
{
	head(p, "This machine");
	row(p, "system", "%s", m->host.os);
	row(p, "CPU", "%s, %u logical, %s", m->host.cpu[0] ? m->host.cpu : "unknown", m->host.cpus,
	    lmm_human_bytes((double)m->host.memory_bytes).s);
	row(p, "clock", "%s: %s", lmm_clock_name(m->clock), m->clock_reason);
	row(p, "stamp", "%s ns per record", lmm_decimal(m->stamp_ns, 1).s);
	if (m->folder_error) {
		row(p, "shared memory", "none: %s", lmm_strerror(m->folder_error));
	} else {
		row(p, "shared memory", "%s (%s, %s free)", m->folder, m->file_system,
		    lmm_human_bytes((double)m->free_bytes).s);
	}
	row(p, "C library", "%s, %s", m->c_library,
	    m->c_library_audits ? "has LD_AUDIT" : "has no LD_AUDIT");
	row(p, "OpenCL", "%s%s", m->opencl[0] ? m->opencl : "no loader was found",
	    !m->opencl[0]	   ? ""
	    : m->opencl_has_layers ? ", takes layers"
				   : ", takes no layers");
	row(p, "Vulkan", "%s%s", m->vulkan[0] ? m->vulkan : "no loader was found",
	    !m->vulkan[0]	    ? ""
	    : m->vulkan_finds_layer ? ", finds lmmeter's layer"
				    : ", does not find lmmeter's layer");
	if (m->cuda[0]) {
		row(p, "CUDA", "%s (%d.%d)", m->cuda, m->cuda_version / 1000,
		    m->cuda_version % 1000 / 10);
		row(p, "CUPTI", "%s", m->cupti[0] ? m->cupti : "none where toolkits have it");
	}
	print_sensors(p, m);
	row(p, "liblmmeter.so", "%s", m->libs_error ? "not found" : m->libs.probe);
}

static void print_libraries(const struct page *p, const struct lmm_doctor_command *c)
{
	unsigned modules = 0, last = 0;

	for (unsigned i = 0; i < c->n_objects; i++) {
		const struct lmm_doctor_object *o = &c->object[i];

		if (!o->elf || !o->is_engine || i == 0)
			continue;
		if (o->loaded_later) {
			modules++;
			last = i;
			continue;
		}
		row(p, "engine library", "%s", o->path);
	}
	if (modules == 1) {
		row(p, "backend", "%s, loaded when it runs", c->object[last].path);
	} else if (modules) {
		row(p, "backends", "%u of which it loads some when it runs, such as %s", modules,
		    c->object[last].path);
	}
}

static void print_command(const struct page *p, const struct lmm_doctor_command *c)
{
	static const char *const kinds[] = {
		[LMM_DOCTOR_NOT_FOUND] = "not found",
		[LMM_DOCTOR_NOT_EXECUTABLE] = "not executable",
		[LMM_DOCTOR_DYNAMIC] = "linked dynamically",
		[LMM_DOCTOR_STATIC] = "linked statically",
		[LMM_DOCTOR_SCRIPT] = "script",
		[LMM_DOCTOR_FOREIGN] = "for another machine",
		[LMM_DOCTOR_DAMAGED] = "damaged",
	};

	fputc('\n', p->out);
	head(p, "The command");
	row(p, "file", "%s", c->script[0] ? c->script : c->path[0] ? c->path : c->argument);
	row(p, "kind", "%s%s%s%s", kinds[shown_kind(c)], c->script[0] ? " for " : "",
	    c->script[0] ? c->path : "", c->is_secure ? ", setuid or with capabilities" : "");
	if (c->loader[0])
		row(p, "loader", "%s", c->loader);
	print_libraries(p, c);
}

static void print_sights(const struct page *p, const struct lmm_doctor *d)
{
	fputc('\n', p->out);
	head(p, "What will be seen");
	for (unsigned i = 0; i < d->n_sights; i++) {
		const struct lmm_doctor_sight *s = &d->sight[i];

		fprintf(p->out, "  %-*s", INDENT - 2, s->what);
		style(p, s->seen ? GOOD : BAD);
		fprintf(p->out, "%-5s", s->seen ? "yes" : "no");
		style(p, DIM);
		wrapped(p, s->why, INDENT + 5);
		style(p, PLAIN);
	}
}

static void print_verdict(const struct page *p, const struct lmm_doctor *d)
{
	fputc('\n', p->out);
	if (d->has_command) {
		style(p, HEAD);
		fputs("Level: ", p->out);
		style(p, d->level == LMM_LEVEL_KERNELS ? GOOD : BAD);
		fprintf(p->out, "%s\n", level_text(d->level));
		style(p, PLAIN);
	} else if (d->n_gaps == 0) {
		fputs("Ready to record: lmmeter run -- COMMAND\n", p->out);
	}
	for (unsigned i = 0; i < d->n_gaps; i++) {
		style(p, BAD);
		fputs("  - ", p->out);
		style(p, PLAIN);
		wrapped(p, d->gap[i].what, 4);
		if (!d->gap[i].mend[0])
			continue;
		fputs("    mend: ", p->out);
		wrapped(p, d->gap[i].mend, 10);
	}
	for (unsigned i = 0; i < d->n_notes; i++) {
		fputs("  note: ", p->out);
		wrapped(p, d->note[i], 8);
	}
}

void lmm_doctor_text(const struct lmm_doctor *d, FILE *out, int color)
{
	struct page p = { out, color };

	print_machine(&p, &d->machine);
	if (d->has_command)
		print_command(&p, &d->command);
	if (d->engine_name[0]) {
		row(&p, "engine", "%s%s%s", d->engine_name, d->engine_version[0] ? ", " : "",
		    d->engine_version);
	}
	if (d->n_sights)
		print_sights(&p, d);
	print_verdict(&p, d);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void string_or_null(struct lmm_json *j, const char *key, const char *value)
{
	if (value[0]) {
		lmm_json_string(j, key, value);
	} else {
		lmm_json_null(j, key);
	}
}

static void json_sensors(struct lmm_json *j, const struct lmm_doctor_machine *m)
{
	lmm_json_object_begin(j, "sensors");
	string_or_null(j, "readable", m->sensors_readable);
	lmm_json_array_begin(j, "absent");
	for (unsigned i = 0; i < m->n_sensors_absent; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "what", m->sensor_absent[i].what);
		lmm_json_string(j, "why", m->sensor_absent[i].why);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void json_machine(struct lmm_json *j, const struct lmm_doctor_machine *m)
{
	lmm_json_object_begin(j, "machine");
	lmm_json_string(j, "os", m->host.os);
	lmm_json_string(j, "cpu", m->host.cpu);
	lmm_json_u64(j, "cpus", m->host.cpus);
	lmm_json_u64(j, "memory_bytes", m->host.memory_bytes);
	lmm_json_row_begin(j, "clock");
	lmm_json_string(j, "kind", lmm_clock_name(m->clock));
	lmm_json_string(j, "reason", m->clock_reason);
	lmm_json_ns(j, "record_ns", m->stamp_ns);
	lmm_json_object_end(j);
	lmm_json_row_begin(j, "shared_memory");
	string_or_null(j, "folder", m->folder);
	string_or_null(j, "file_system", m->file_system);
	lmm_json_bool(j, "in_memory", m->folder_in_memory);
	lmm_json_u64(j, "free_bytes", m->free_bytes);
	string_or_null(j, "error", m->folder_error ? lmm_strerror(m->folder_error) : "");
	lmm_json_object_end(j);
	lmm_json_row_begin(j, "c_library");
	lmm_json_string(j, "name", m->c_library);
	lmm_json_bool(j, "has_audit", m->c_library_audits);
	lmm_json_object_end(j);
	lmm_json_object_begin(j, "opencl");
	string_or_null(j, "loader", m->opencl);
	lmm_json_bool(j, "has_layers", m->opencl_has_layers);
	lmm_json_object_end(j);
	lmm_json_object_begin(j, "vulkan");
	string_or_null(j, "loader", m->vulkan);
	lmm_json_bool(j, "finds_layer", m->vulkan_finds_layer);
	lmm_json_object_end(j);
	lmm_json_object_begin(j, "cuda");
	string_or_null(j, "driver", m->cuda);
	lmm_json_u64(j, "version", (uint64_t)(m->cuda_version > 0 ? m->cuda_version : 0));
	string_or_null(j, "cupti", m->cupti);
	lmm_json_u64(j, "cupti_version", m->cupti_version);
	lmm_json_object_end(j);
	json_sensors(j, m);
	lmm_json_row_begin(j, "library");
	string_or_null(j, "preload", m->libs.probe);
	string_or_null(j, "audit", m->libs.audit);
	string_or_null(j, "opencl", m->libs.opencl);
	string_or_null(j, "vulkan", m->libs.vulkan);
	string_or_null(j, "cuda", m->libs.cuda);
	string_or_null(j, "threads", m->libs.threads);
	lmm_json_object_end(j);
	lmm_json_object_end(j);
}

static void json_command(struct lmm_json *j, const struct lmm_doctor_command *c)
{
	lmm_json_object_begin(j, "command");
	lmm_json_string(j, "argument", c->argument);
	string_or_null(j, "file", c->script[0] ? c->script : c->path);
	lmm_json_string(j, "kind", lmm_doctor_kind_name(shown_kind(c)));
	string_or_null(j, "interpreter", c->script[0] ? c->path : "");
	string_or_null(j, "loader", c->loader);
	lmm_json_bool(j, "is_setuid", c->is_secure);
	lmm_json_bool(j, "loads_later", c->loads_later);
	string_or_null(j, "missing_library", c->missing);
	lmm_json_array_begin(j, "engine_libraries");
	for (unsigned i = 0; i < c->n_objects; i++) {
		const struct lmm_doctor_object *o = &c->object[i];

		if (!o->elf || !o->is_engine)
			continue;
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "name", lmm_base_name(o->path));
		lmm_json_string(j, "path", o->path);
		lmm_json_bool(j, "loaded_later", o->loaded_later);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_object_end(j);
}

static void json_findings(struct lmm_json *j, const struct lmm_doctor *d)
{
	lmm_json_array_begin(j, "sees");
	for (unsigned i = 0; i < d->n_sights; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "what", d->sight[i].what);
		lmm_json_bool(j, "seen", d->sight[i].seen == 1);
		lmm_json_string(j, "why", d->sight[i].why);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	string_or_null(j, "level", d->level < 0 ? "" : lmm_level_name((unsigned)d->level));
	lmm_json_array_begin(j, "gaps");
	for (unsigned i = 0; i < d->n_gaps; i++) {
		lmm_json_row_begin(j, NULL);
		lmm_json_string(j, "what", d->gap[i].what);
		string_or_null(j, "mend", d->gap[i].mend);
		lmm_json_object_end(j);
	}
	lmm_json_array_end(j);
	lmm_json_array_begin(j, "notes");
	for (unsigned i = 0; i < d->n_notes; i++)
		lmm_json_string(j, NULL, d->note[i]);
	lmm_json_array_end(j);
}

void lmm_doctor_json(const struct lmm_doctor *d, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.doctor/1");
	lmm_json_string(&j, "lmmeter", LMM_VERSION_STRING);
	json_machine(&j, &d->machine);
	if (d->has_command) {
		json_command(&j, &d->command);
	} else {
		lmm_json_null(&j, "command");
	}
	if (d->engine_name[0]) {
		lmm_json_row_begin(&j, "engine");
		lmm_json_string(&j, "name", d->engine_name);
		lmm_json_string(&j, "version", d->engine_version);
		lmm_json_object_end(&j);
	} else {
		lmm_json_null(&j, "engine");
	}
	json_findings(&j, d);
	lmm_json_object_end(&j);
	fputc('\n', out);
}
