/* SPDX-License-Identifier: Apache-2.0 */
/* The command: what kind of file, and what the dynamic loader would load for it. Nothing of it is executed. */
#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/redact.h"

#define LIST_TIMEOUT_MS 10000
#define LIST_BYTES	(256u << 10)
#define SCRIPT_DEPTH	4 /* the kernel follows as many interpreters */

/* ---- finding the file --------------------------------------------------------------------------- */

static int is_file(const char *path, int mode)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, mode) == 0;
}

/* As execvp(3) does. 0, -ENOENT, or -EACCES if all that was found cannot be executed. */
static int look_up(const char *name, char path[LMM_DOCTOR_PATH])
{
	const char *dirs = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe) */
	int rc = -ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, LMM_DOCTOR_PATH, "%s", name) >= LMM_DOCTOR_PATH)
			return -ENOENT;
		return is_file(path, X_OK) ? 0 : access(path, F_OK) ? -ENOENT : -EACCES;
	}
	for (const char *p = dirs ? dirs : "/bin:/usr/bin"; name[0]; p++) {
		size_t n = strcspn(p, ":");
		int k = snprintf(path, LMM_DOCTOR_PATH, "%.*s%s%s", (int)n, p, n ? "/" : "", name);

		if (k > 0 && k < LMM_DOCTOR_PATH) {
			if (is_file(path, X_OK))
				return 0;
			if (is_file(path, F_OK))
				rc = -EACCES;
		}
		p += n;
		if (!*p)
			break;
	}
	return rc;
}

/* ---- scripts ------------------------------------------------------------------------------------ */

/* "#! /usr/bin/env -S python3 -u": the program that a script is for, looked up. 0: there is none. */
static int script_interpreter(const char *path, char interpreter[LMM_DOCTOR_PATH])
{
	char line[512] = "", *word, *save = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 2 || line[0] != '#' || line[1] != '!')
		return 0;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line + 2, " \t", &save);
	if (word && strcmp(lmm_base_name(word), "env") == 0) {
		do {
			word = strtok_r(NULL, " \t", &save);
		} while (word && (word[0] == '-' || strchr(word, '=')));
	}
	return word && look_up(word, interpreter) == 0;
}

/* A text that names no interpreter: shells and execvp(3) give it to sh. */
static int is_text(const char *path)
{
	unsigned char data[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data));

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++) {
		if (data[i] < 0x20 && !isspace(data[i]))
			return 0;
	}
	return n > 0;
}

static int follow_scripts(struct lmm_doctor_command *c)
{
	for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
		char next[LMM_DOCTOR_PATH];

		if (!script_interpreter(c->path, next)) {
			if (!is_text(c->path))
				return depth > 0;
			if (look_up("sh", next))
				return 0;
		}
		if (!c->script[0])
			memcpy(c->script, c->path, sizeof(c->script));
		memcpy(c->path, next, sizeof(c->path));
	}
	return 1;
}

/* Programs that bring an engine in later, or run it as a child. */
static int loads_later(const char *path)
{
	static const char *const names[] = {
		"python",  "pypy",   "node",   "nodejs",  "bun",     "deno",  "sh",	  "bash",
		"dash",	   "zsh",    "ksh",    "fish",	  "busybox", "perl",  "ruby",	  "lua",
		"luajit",  "java",   "dotnet", "php",	  "R",	     "julia", "electron", "env",
		"nice",	   "ionice", "chrt",   "taskset", "numactl", "nohup", "setsid",	  "stdbuf",
		"timeout", "time",   "xargs",  "make",
	};
	char name[64];
	size_t n;

	(void)snprintf(name, sizeof(name), "%s", lmm_base_name(path));
	n = strlen(name);
	while (n &&
	       (isdigit((unsigned char)name[n - 1]) || name[n - 1] == '.' || name[n - 1] == '-'))
		name[--n] = '\0';
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return 1;
	}
	return 0;
}

/* ---- what the loader makes of it ---------------------------------------------------------------- */

/* The kernel tells the loader (AT_SECURE) to ignore LD_PRELOAD and LD_AUDIT. */
static int is_secure(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return 0;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return 1;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		return 1;
	return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

/* A loader that only the system could have put there: the file under study must not choose what we execute. */
static int is_system_loader(const char *path)
{
	const char *name = lmm_base_name(path);
	struct stat st;

	if (path[0] != '/' ||
	    (strncmp(name, "ld-linux", 8) != 0 && strncmp(name, "ld-musl", 7) != 0 &&
	     strncmp(name, "ld64.so", 7) != 0))
		return 0;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & (S_ISUID | S_ISGID));
}

struct listing {
	const char *loader;
	const char *file;
	char library_path[LMM_DOCTOR_PATH + 32];
	char text[LIST_BYTES];
};

static void run_loader(void *arg)
{
	struct listing *l = arg;
	char *argv[] = { (char *)l->loader, (char *)"--list", (char *)l->file, NULL };
	char *envp[] = { l->library_path, NULL };

	/* where a library is missing, the loader's error names it */
	dup2(STDOUT_FILENO, STDERR_FILENO);
	execve(l->loader, argv, l->library_path[0] ? envp : envp + 1);
	_exit(127);
}

static struct lmm_doctor_object *add_object(struct lmm_doctor_command *c, const char *path)
{
	struct lmm_doctor_object *o;

	if (c->n_objects == LMM_DOCTOR_OBJECTS)
		return NULL;
	o = &c->object[c->n_objects];
	memset(o, 0, sizeof(*o));
	o->path = strdup(path);
	if (!o->path)
		return NULL;
	c->n_objects++;
	return o;
}

static int is_engine_name(const char *name)
{
	return strncmp(name, "ggml_", 5) == 0 || strncmp(name, "llama_", 6) == 0;
}

/* Keeps the ELF file of whoever defines or uses an engine's functions. */
static void look_into(struct lmm_doctor_command *c, struct lmm_doctor_object *o)
{
	struct lmm_elf *e;
	unsigned uses = 0;

	if (lmm_elf_open(o->path, &e))
		return;
	c->marks |= e->marks;
	for (uint32_t i = 0; i < e->n_symbols; i++) {
		if (is_engine_name(e->symbols[i].name))
			uses |= e->symbols[i].use;
	}
	if (!uses) {
		lmm_elf_close(e);
		return;
	}
	o->elf = e;
	o->is_engine = (uses & LMM_ELF_DEFINED) != 0;
	o->is_cpu = (lmm_elf_find(e, "ggml_graph_compute") & LMM_ELF_DEFINED) != 0;
}

static void note_missing(struct lmm_doctor_command *c, const char *name)
{
	if (!c->missing[0]) {
		(void)snprintf(c->missing, sizeof(c->missing), "%.*s", (int)strcspn(name, ": "),
			       name);
	}
}

/* "	NAME => PATH (0x…)", "	PATH (0x…)", or what glibc and musl say of a library that is not there */
static void take_line(struct lmm_doctor_command *c, char *line)
{
	static const char *const errors[] = { "error while loading shared libraries: ",
					      "Error loading shared library " };
	char *path = strstr(line, " => "), *end;
	struct lmm_doctor_object *o;

	for (size_t i = 0; i < LMM_ARRAY_SIZE(errors); i++) {
		const char *said = strstr(line, errors[i]);

		if (said) {
			note_missing(c, said + strlen(errors[i]));
			return;
		}
	}
	path = path ? path + 4 : line + strspn(line, " \t");
	end = strstr(path, " (0x");
	if (!end || path[0] != '/')
		return;
	*end = '\0';
	o = add_object(c, path);
	if (o)
		look_into(c, o);
}

static void list_libraries(struct lmm_doctor *d)
{
	struct lmm_doctor_command *c = &d->command;
	struct listing *l = calloc(1, sizeof(*l));
	const char *user = getenv("LD_LIBRARY_PATH"); /* NOLINT(concurrency-mt-unsafe) */
	char *save = NULL;
	int rc;

	if (!l)
		return;
	l->loader = c->loader;
	l->file = c->path;
	if (user && user[0] && strlen(user) < LMM_DOCTOR_PATH) {
		(void)snprintf(l->library_path, sizeof(l->library_path), "LD_LIBRARY_PATH=%s",
			       user);
	}
	rc = lmm_doctor_child(run_loader, l, LIST_TIMEOUT_MS, l->text, sizeof(l->text));
	for (char *line = strtok_r(l->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(c, line);
	/* a loader that misses a library ends with an error, but has listed what there is */
	c->libraries_known = rc == 0 || c->missing[0];
	if (!c->libraries_known) {
		lmm_doctor_note(d, "%s could not list its libraries (%s)", c->loader,
				lmm_strerror(rc));
	}
	free(l);
}

/* ---- backends that are loaded at run time ------------------------------------------------------- */

static int is_loaded(const struct lmm_doctor_command *c, const char *path)
{
	for (unsigned i = 0; i < c->n_objects; i++) {
		if (strcmp(lmm_base_name(c->object[i].path), lmm_base_name(path)) == 0)
			return 1;
	}
	return 0;
}

static int is_module(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return strncmp(e->d_name, "libggml-", 8) == 0 && dot && strcmp(dot, ".so") == 0;
}

static void add_modules(struct lmm_doctor_command *c, const char *beside)
{
	char dir[LMM_DOCTOR_PATH], path[LMM_DOCTOR_PATH + 300];
	struct dirent **entry = NULL;
	char *slash;
	int n;

	(void)snprintf(dir, sizeof(dir), "%s", beside);
	slash = strrchr(dir, '/');
	if (!slash)
		return;
	*slash = '\0';
	n = scandir(dir, &entry, is_module, alphasort);
	for (int i = 0; i < n; i++) {
		struct lmm_doctor_object *o = NULL;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		if (!is_loaded(c, path))
			o = add_object(c, path);
		if (o) {
			o->loaded_later = 1;
			look_into(c, o);
		}
		free(entry[i]);
	}
	free((void *)entry);
}

/* Builds with GGML_BACKEND_DL link no backend: they look for modules beside the program and beside libggml. */
static void find_modules(struct lmm_doctor_command *c)
{
	unsigned linked = c->n_objects;
	char real[LMM_DOCTOR_PATH];

	for (unsigned i = 0; i < linked; i++) {
		if (c->object[i].elf && c->object[i].is_cpu)
			return;
	}
	for (unsigned i = 0; i < linked; i++) {
		if (c->object[i].elf &&
		    (lmm_elf_find(c->object[i].elf, "ggml_backend_load_all") & LMM_ELF_DEFINED) &&
		    realpath(c->object[i].path, real))
			add_modules(c, real);
	}
	if (realpath(c->path, real) && linked > 1)
		add_modules(c, real);
}

/* ---- the verdict on the file -------------------------------------------------------------------- */

static enum lmm_doctor_kind elf_kind(struct lmm_doctor_command *c)
{
	struct lmm_doctor_object *o;
	struct lmm_elf *e;

	c->error = lmm_elf_open(c->path, &e);
	if (c->error == -ENOEXEC)
		return LMM_DOCTOR_NOT_EXECUTABLE;
	if (c->error == -ENOTSUP)
		return LMM_DOCTOR_FOREIGN;
	if (c->error)
		return LMM_DOCTOR_DAMAGED;
	c->machine = e->machine;
	(void)snprintf(c->loader, sizeof(c->loader), "%s", e->interp);
	lmm_elf_close(e);
	if (c->machine != lmm_elf_own_machine())
		return LMM_DOCTOR_FOREIGN;
	o = add_object(c, c->path);
	if (o)
		look_into(c, o);
	return c->loader[0] ? LMM_DOCTOR_DYNAMIC : LMM_DOCTOR_STATIC;
}

static void say_kind(struct lmm_doctor *d)
{
	struct lmm_doctor_command *c = &d->command;

	switch (c->kind) {
	case LMM_DOCTOR_NOT_FOUND:
		lmm_doctor_gap(d, NULL, "%s was not found", c->argument);
		break;
	case LMM_DOCTOR_NOT_EXECUTABLE:
		lmm_doctor_gap(d, NULL, "%s cannot be executed", c->path);
		break;
	case LMM_DOCTOR_FOREIGN:
		lmm_doctor_gap(d, NULL, "it is built for another machine (%s); lmmeter is for %s",
			       c->error ? "32 bits or big-endian"
					: lmm_elf_machine_name(c->machine),
			       lmm_elf_machine_name(lmm_elf_own_machine()));
		break;
	case LMM_DOCTOR_DAMAGED:
		lmm_doctor_gap(d, NULL, "the file is damaged (%s)", lmm_strerror(c->error));
		break;
	case LMM_DOCTOR_STATIC:
		if (c->marks & LMM_ELF_MARKS_STATIC)
			break;
		if (c->marks) {
			lmm_doctor_gap(
				d, "add a C file with the line #include <lmmeter/mark_static.h>",
				"it has marks, but is linked statically: nobody takes them");
		} else if (!c->loads_later) {
			lmm_doctor_gap(
				d,
				"build it with shared libraries (llama.cpp: -DBUILD_SHARED_LIBS=ON)",
				"it is linked statically: no loader runs that could bring liblmmeter.so in");
		}
		break;
	default:
		break;
	}
	if (c->is_secure) {
		lmm_doctor_gap(
			d,
			"run a copy without the setuid bit, or all of it under sudo: sudo lmmeter run -- …",
			"it changes its user or has capabilities (setuid): the loader ignores us");
	}
	if (c->missing[0]) {
		lmm_doctor_gap(
			d, "LD_LIBRARY_PATH=DIR lmmeter run …, with DIR the folder that has it",
			"the loader does not find %s: the command will not start", c->missing);
	}
}

static void inspect(struct lmm_doctor *d)
{
	struct lmm_doctor_command *c = &d->command;

	c->loads_later = (uint8_t)follow_scripts(c);
	c->is_secure = (uint8_t)is_secure(c->path);
	c->kind = elf_kind(c);
	if (loads_later(c->path))
		c->loads_later = 1;
	if (c->kind != LMM_DOCTOR_DYNAMIC)
		return;
	if (is_system_loader(c->loader)) {
		list_libraries(d);
		find_modules(c);
	} else {
		lmm_doctor_note(
			d, "its loader %s is not the system's: it was not asked for the libraries",
			c->loader);
	}
}

void lmm_doctor_command(struct lmm_doctor *d, const char *argument)
{
	struct lmm_doctor_command *c = &d->command;
	int rc;

	d->has_command = 1;
	c->argument = argument;
	rc = look_up(argument, c->path);
	if (rc) {
		c->kind = rc == -EACCES ? LMM_DOCTOR_NOT_EXECUTABLE : LMM_DOCTOR_NOT_FOUND;
		c->path[0] = '\0';
		if (rc == -EACCES)
			(void)snprintf(c->path, sizeof(c->path), "%s", argument);
	} else {
		inspect(d);
	}
	say_kind(d);
}

void lmm_doctor_free(struct lmm_doctor *d)
{
	for (unsigned i = 0; i < d->command.n_objects; i++) {
		lmm_elf_close(d->command.object[i].elf);
		free(d->command.object[i].path);
	}
}
