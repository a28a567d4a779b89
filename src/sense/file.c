/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sense/sense_internal.h"

#define NUMBER_BYTES 64

int lmm__parse_number(const char *text, int64_t *value)
{
	const char *digits = text[0] == '-' ? text + 1 : text;
	long long v;
	char *end;

	if (!isdigit((unsigned char)digits[0]))
		return -EINVAL;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end && !isspace((unsigned char)*end) && !isalpha((unsigned char)*end) && *end != '%')
		return -EINVAL;
	*value = v;
	return 0;
}

int lmm__read_text(int fd, char *text, size_t bytes)
{
	ssize_t n;

	do {
		n = pread(fd, text, bytes - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	/* a NUL in it ends it */
	n = (ssize_t)strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	return n > 0 ? (int)n : -ENODATA;
}

int lmm__read_number(int fd, int64_t *value)
{
	char text[NUMBER_BYTES];
	int rc = lmm__read_text(fd, text, sizeof(text));

	return rc < 0 ? rc : lmm__parse_number(text, value);
}

int lmm__path(char *path, size_t bytes, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start */
	n = vsnprintf(path, bytes, format, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < bytes)
		return 0;
	path[0] = '\0';
	return -ENAMETOOLONG;
}

int lmm__open(const struct lmm_sense *s, const char *path)
{
	char full[2 * LMM_I_PATH_BYTES];
	int rc = lmm__path(full, sizeof(full), "%s%s", s->root, path);
	int fd = rc ? -1 : open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (rc)
		return rc;
	return fd >= 0 ? fd : -errno;
}

int lmm__text_of(const struct lmm_sense *s, const char *path, char *text, size_t bytes)
{
	int fd = lmm__open(s, path), rc;

	text[0] = '\0';
	if (fd < 0)
		return fd;
	rc = lmm__read_text(fd, text, bytes);
	close(fd);
	return rc;
}

int lmm__number_of(const struct lmm_sense *s, const char *path, int64_t *value)
{
	char text[NUMBER_BYTES];
	int rc = lmm__text_of(s, path, text, sizeof(text));

	return rc < 0 ? rc : lmm__parse_number(text, value);
}

/* policy2 before policy10 */
static int by_number(const struct dirent **a, const struct dirent **b)
{
	const char *x = (*a)->d_name, *y = (*b)->d_name;

	while (*x && *y) {
		if (isdigit((unsigned char)*x) && isdigit((unsigned char)*y)) {
			char *x_end, *y_end;
			unsigned long m = strtoul(x, &x_end, 10), n = strtoul(y, &y_end, 10);

			if (m != n)
				return m < n ? -1 : 1;
			x = x_end;
			y = y_end;
		} else if (*x != *y) {
			break;
		} else {
			x++;
			y++;
		}
	}
	return (unsigned char)*x - (unsigned char)*y;
}

int lmm__each(struct lmm_sense *s, const char *folder, const char *prefix, unsigned max,
	      void (*fn)(struct lmm_sense *s, const char *path, const char *name))
{
	char full[2 * LMM_I_PATH_BYTES], path[LMM_I_PATH_BYTES];
	struct dirent **entries;
	unsigned done = 0;
	int n;

	if (lmm__path(full, sizeof(full), "%s%s", s->root, folder))
		return -ENAMETOOLONG;
	n = scandir(full, &entries, NULL, by_number);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (name[0] != '.' && strncmp(name, prefix, strlen(prefix)) == 0 && done < max &&
		    lmm__path(path, sizeof(path), "%s/%s", folder, name) == 0) {
			fn(s, path, name);
			done++;
		}
		free(entries[i]);
	}
	free(entries);
	return 0;
}
