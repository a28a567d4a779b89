/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/recordings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lmmeter/trace.h"
#include "report/json_writer.h"

#define NAME_BYTES 32

/* A process's own name for itself; "" if it has gone. */
static void process_name(int32_t pid, char name[NAME_BYTES])
{
	char path[64];
	ssize_t n = 0;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n = read(fd, name, NAME_BYTES - 1);
		close(fd);
	}
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

struct lmm_recording_line lmm_recording_line(const struct lmm_folder_session *s)
{
	struct lmm_recording_line line;
	char name[NAME_BYTES], more[32] = "";

	if (!s->traced_pid) {
		(void)snprintf(line.s, sizeof(line.s), "no engine yet  %.*s (lmmeter %d)",
			       (int)sizeof(s->out_path), s->out_path, (int)s->collector_pid);
		return line;
	}
	process_name(s->traced_pid, name);
	if (s->alive > 1)
		(void)snprintf(more, sizeof(more), " and %u more", s->alive - 1);
	(void)snprintf(line.s, sizeof(line.s), "%d %s%s  %.*s (lmmeter %d)", (int)s->traced_pid,
		       name, more, (int)sizeof(s->out_path), s->out_path, (int)s->collector_pid);
	return line;
}

void lmm_recordings_json(const struct lmm_folder_session *list, unsigned n, FILE *out)
{
	struct lmm_json j;

	lmm_json_init(&j, out, 1);
	lmm_json_object_begin(&j, NULL);
	lmm_json_string(&j, "schema", "lmmeter.recordings/1");
	lmm_json_array_begin(&j, "recordings");
	for (unsigned i = 0; i < n; i++) {
		char name[NAME_BYTES];

		process_name(list[i].traced_pid, name);
		lmm_json_row_begin(&j, NULL);
		lmm_json_i64(&j, "lmmeter_pid", list[i].collector_pid);
		lmm_json_string(&j, "file", list[i].out_path);
		lmm_json_u64(&j, "processes", list[i].alive);
		if (list[i].traced_pid) {
			lmm_json_i64(&j, "pid", list[i].traced_pid);
			lmm_json_string(&j, "name", name);
		} else {
			lmm_json_null(&j, "pid");
			lmm_json_null(&j, "name");
		}
		lmm_json_object_end(&j);
	}
	lmm_json_array_end(&j);
	lmm_json_object_end(&j);
}

static int is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == 0;
}

static int file_take(const char *path, struct lmm_folder_session *s)
{
	memset(s, 0, sizeof(*s));
	if (strlen(path) >= sizeof(s->out_path)) {
		lmm_error("%s: %s", path, lmm_strerror(-ENAMETOOLONG));
		return -1;
	}
	memcpy(s->out_path, path, strlen(path) + 1);
	return 0;
}

int lmm_recording_choose(const char *what, struct lmm_folder_session *s)
{
	int32_t pid = what && is_number(what) ? (int32_t)strtol(what, NULL, 10) : 0;
	struct lmm_folder_session list[LMM_RECORDINGS_MAX];
	unsigned n;

	if (what && !is_number(what))
		return file_take(what, s);
	n = lmm_folder_recordings(pid, list, LMM_RECORDINGS_MAX);
	if (n > 1 && !what)
		return 1;
	if (n) {
		*s = list[0];
		return 0;
	}
	if (what) {
		lmm_error("no recording of yours is going on in process %s", what);
	} else {
		lmm_error(
			"no recording of yours is going on; start one with lmmeter run, or name a file");
	}
	return -1;
}

void lmm_recordings_say(void)
{
	struct lmm_folder_session list[LMM_RECORDINGS_MAX];
	unsigned n = lmm_folder_recordings(0, list, LMM_RECORDINGS_MAX);

	lmm_error("%u recordings go on; name one by its process or file:", n);
	for (unsigned i = 0; i < n; i++) {
		struct lmm_recording_line line = lmm_recording_line(&list[i]);

		lmm_error("  %s", line.s);
	}
}
