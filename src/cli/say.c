/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "report/format.h"

#define WIDTH 100

void lmm_say(FILE *out, const char *format, ...)
{
	char text[1024], safe[4096], *word = safe;
	int column = 0;
	va_list ap;

	va_start(ap, format);
	if (vsnprintf(text, sizeof(text), format, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	lmm_text_fit(safe, sizeof(safe), text, 1000);
	while (*word) {
		int n = (int)strcspn(word, " ");

		if (column == 0) {
			column = fprintf(out, "  %.*s", n, word);
		} else if (column + 1 + n > WIDTH) {
			column = fprintf(out, "\n      %.*s", n, word) - 1;
		} else {
			column += fprintf(out, " %.*s", n, word);
		}
		word += n;
		word += *word == ' ';
	}
	fputc('\n', out);
}
