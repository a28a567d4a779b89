/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serving_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 16

static int port_parse(const char *text, in_port_t *port)
{
	unsigned long n;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 5 || text[digits])
		return -1;
	n = strtoul(text, NULL, 10);
	*port = htons((uint16_t)n);
	return n > 65535 ? -1 : 0;
}

int lmm_address_parse(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t n = colon ? (size_t)(colon - text) : 0;

	memset(out, 0, sizeof(*out));
	if (n == 0 || n >= sizeof(host))
		return -1;
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		out->ss_family = AF_INET6;
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1
			       ? port_parse(colon + 1, &v6->sin6_port)
			       : -1;
	}
	out->ss_family = AF_INET;
	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) != 1)
		return -1;
	return port_parse(colon + 1, &v4->sin_port);
}

int lmm_address_is_loopback(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
}

static socklen_t address_size(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

int lmm_address_listen(const struct sockaddr_storage *a)
{
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, rc;

	if (fd < 0)
		return -errno;
	/* of connections that are just being forgotten, not of another that listens */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)a, address_size(a)) || listen(fd, BACKLOG)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

void lmm_address_url(int fd, char *out, size_t size)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;
	socklen_t n = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "";

	out[0] = '\0';
	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.any, &n))
		return;
	if (a.any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host));
		(void)snprintf(out, size, "http://[%s]:%d/metrics", host, ntohs(a.v6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host));
		(void)snprintf(out, size, "http://%s:%d/metrics", host, ntohs(a.v4.sin_port));
	}
}
