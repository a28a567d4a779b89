/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf, int32_t len, int32_t lstrip,
			     _Bool special);
__attribute__((noinline)) int32_t llama_token_to_piece(void *vocab, int32_t token, char *buf,
						       int32_t len, int32_t lstrip, _Bool special)
{
	(void)vocab;
	(void)len;
	(void)lstrip;
	(void)special;
	buf[0] = (char)token;
	return 1;
}
