/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/redact.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

const char *lmm_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Options of llama.cpp's tools, of shells and interpreters, whose value is text of the user's or a secret. */
static int carries_text(const char *option)
{
	static const char *const options[] = {
		"-p",
		"--prompt",
		"-sys",
		"--system-prompt",
		"-sysf",
		"--system-prompt-file",
		"-f",
		"--file",
		"-bf",
		"--binary-file",
		"--in-prefix",
		"--in-suffix",
		"-r",
		"--reverse-prompt",
		"--grammar",
		"--grammar-file",
		"-j",
		"--json-schema",
		"-jf",
		"--json-schema-file",
		"--chat-template",
		"--chat-template-file",
		"--chat-template-kwargs",
		"--api-key",
		"--api-key-file",
		"-hft",
		"--hf-token",
		"-c",
		"-e",
		"--eval",
		"--image",
		"--audio",
		"--prompt-cache",
		"--logit-bias",
		"-l",
		"--context-file",
		"--ssl-key-file",
		"-m-url",
		"--model-url",
		"-mu",
	};

	for (size_t i = 0; i < LMM_ARRAY_SIZE(options); i++) {
		if (strcmp(option, options[i]) == 0)
			return 1;
	}
	return 0;
}

/* "-c" is a script for a shell and a number for llama.cpp. */
static int is_number(const char *s)
{
	return s[0] && strspn(s, "0123456789.,-+") == strlen(s);
}

static int looks_private(const char *arg)
{
	return strlen(arg) > 64 || strpbrk(arg, " \t\n") != NULL || strstr(arg, "://") != NULL;
}

static void put(char *out, size_t bytes, size_t *used, const char *text, size_t n)
{
	if (*used && *used + 1 < bytes)
		out[(*used)++] = ' ';
	for (size_t i = 0; i < n && *used + 1 < bytes; i++)
		out[(*used)++] = text[i];
	out[*used] = 0;
}

static void put_argument(char *out, size_t bytes, size_t *used, const char *arg)
{
	char option[64];
	const char *eq = arg[0] == '-' ? strchr(arg, '=') : NULL;
	size_t n = eq ? (size_t)(eq - arg) : 0;

	if (eq && n < sizeof(option)) {
		memcpy(option, arg, n);
		option[n] = 0;
		put(out, bytes, used, arg, n + 1);
		if (carries_text(option) || looks_private(eq + 1) || strchr(eq, '/')) {
			put(out, bytes, used, "…", strlen("…"));
		} else {
			put(out, bytes, used, eq + 1, strlen(eq + 1));
		}
		return;
	}
	if (looks_private(arg)) {
		put(out, bytes, used, "…", strlen("…"));
		return;
	}
	if (arg[0] != '-')
		arg = lmm_base_name(arg);
	put(out, bytes, used, arg, strlen(arg));
}

void lmm_redact_command(char *const *argv, char *out, size_t bytes)
{
	size_t used = 0;

	if (bytes == 0)
		return;
	out[0] = 0;
	for (int i = 0; argv[i]; i++) {
		if (i && carries_text(argv[i - 1]) && !is_number(argv[i])) {
			put(out, bytes, &used, "…", strlen("…"));
		} else {
			put_argument(out, bytes, &used, argv[i]);
		}
	}
}
