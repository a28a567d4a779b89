/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LMM_CLI_SERVING_ADDRESS_H
#define LMM_CLI_SERVING_ADDRESS_H

#include <sys/socket.h>

/* "127.0.0.1:9464", "[::1]:0", "localhost:9464": numbers, no names are looked up. 0, or -1: it is none. */
int lmm_address_parse(const char *text, struct sockaddr_storage *out);
int lmm_address_is_loopback(const struct sockaddr_storage *a);

/* A socket that listens there, closed on exec. Negative: -errno. */
int lmm_address_listen(const struct sockaddr_storage *a);

/* "http://127.0.0.1:9464/metrics" of a listening socket. */
void lmm_address_url(int fd, char *out, size_t size);

#endif
