/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd without a thread of its own: it is called when its descriptor says that something came. A scrape looks at the recording
 * only if the last look is old enough, so that asking often costs no more than asking sometimes.
 */
#include "cli/serving.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/serving_address.h"
#include "report/prometheus.h"

#ifdef LMM_HAVE_MICROHTTPD
#include <microhttpd.h>

#define CLIENTS	       16 /* at once; others wait */
#define CLIENT_BYTES   16384
#define CLIENT_SECONDS 10 /* without a word, then it is cut off */
#define LOOK_EVERY_NS  UINT64_C(250000000)
#define CONTENT_TYPE   "text/plain; version=0.0.4; charset=utf-8"

struct lmm_serving {
	struct lmm_serving_opts opts;
	struct MHD_Daemon *daemon;
	struct lmm_prometheus *metrics;
	char *text; /* of the last look */
	size_t n_text;
	uint64_t looked_ns; /* 0: never */
	int poll_fd;
	char url[96];
};

/* ---- what is answered --------------------------------------------------------------------------- */

static int text_make(struct lmm_serving *s, const struct lmm_settled *settled, int is_over)
{
	struct lmm_prometheus_opts opts = { .has_ended = is_over, .own_cpu_ns = lmm_cpu_ns() };
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	int rc, failed;

	if (!out)
		return -ENOMEM;
	rc = lmm_prometheus_write(s->metrics, settled, &opts, out);
	failed = ferror(out);
	if (fclose(out) || failed)
		rc = -ENOMEM;
	if (rc) {
		free(text);
		return rc;
	}
	free(s->text);
	s->text = text;
	s->n_text = n;
	return 0;
}

static int look(struct lmm_serving *s)
{
	uint64_t now_ns = lmm_mono_ns();
	struct lmm_settled settled = { 0 };
	int is_over = 0, rc;

	if (s->looked_ns && now_ns - s->looked_ns < LOOK_EVERY_NS)
		return 0;
	rc = s->opts.look(s->opts.ctx, &settled, &is_over);
	if (rc == 0)
		rc = text_make(s, &settled, is_over);
	lmm_settled_free(&settled);
	if (rc == 0)
		s->looked_ns = now_ns;
	return rc;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *text, size_t n,
			      const char *type)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(n, (void *)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;

	if (!r)
		return MHD_NO;
	(void)MHD_add_response_header(r, "Content-Type", type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(r, "Allow", "GET, HEAD");
	rc = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result answer_line(struct MHD_Connection *c, unsigned status, const char *line)
{
	return answer(c, status, line, strlen(line), "text/plain; charset=utf-8");
}

/* NOLINTNEXTLINE(readability-function-size): it is given what libmicrohttpd gives */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_bytes, void **request)
{
	static int is_read; /* the request: only its address counts */
	struct lmm_serving *s = ctx;
	int rc;

	(void)version;
	(void)upload;
	(void)upload_bytes;
	if (strcmp(url, "/metrics") != 0)
		return answer_line(c, MHD_HTTP_NOT_FOUND, "here is only /metrics\n");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		return answer_line(c, MHD_HTTP_METHOD_NOT_ALLOWED,
				   "/metrics is only to be read (GET, HEAD)\n");
	}
	/* an answer before the end of the request would end the connection with it */
	if (!*request) {
		*request = &is_read;
		return MHD_YES;
	}
	rc = look(s);
	if (rc) {
		char line[128];

		(void)snprintf(line, sizeof(line), "the recording cannot be read: %.80s\n",
			       lmm_strerror(rc));
		return answer_line(c, MHD_HTTP_INTERNAL_SERVER_ERROR, line);
	}
	return answer(c, MHD_HTTP_OK, s->text, s->n_text, CONTENT_TYPE);
}

/* ---- listening ---------------------------------------------------------------------------------- */

static int daemon_start(struct lmm_serving *s, int fd)
{
	const union MHD_DaemonInfo *info;

	s->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, s,
				     MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				     (unsigned)CLIENTS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				     (size_t)CLIENT_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
				     (unsigned)CLIENT_SECONDS, MHD_OPTION_END);
	info = s->daemon ? MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return -EIO;
	s->poll_fd = info->epoll_fd;
	return 0;
}

static int listen_at(struct lmm_serving *s, const struct sockaddr_storage *address)
{
	int fd = lmm_address_listen(address), rc;

	if (fd < 0)
		return fd;
	lmm_address_url(fd, s->url, sizeof(s->url));
	s->metrics = lmm_prometheus_create();
	rc = s->metrics ? daemon_start(s, fd) : -ENOMEM;
	/* the daemon closes it, if there is one */
	if (rc && !s->daemon)
		close(fd);
	return rc;
}

static int serving_make(const struct lmm_serving_opts *opts, const struct sockaddr_storage *address,
			struct lmm_serving **out)
{
	struct lmm_serving *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : -ENOMEM;

	if (s) {
		s->opts = *opts;
		rc = listen_at(s, address);
	}
	if (rc) {
		lmm_error("cannot listen on %s: %s%s", opts->where, lmm_strerror(rc),
			  rc == -EADDRINUSE ? "; port 0 takes one that is free" : "");
		lmm_serving_close(s);
		return LMM_EXIT_FAILURE;
	}
	*out = s;
	return 0;
}

const char *lmm_serving_url(const struct lmm_serving *s)
{
	return s->url;
}

void lmm_serving_poll(struct lmm_serving *s, int ms)
{
	struct pollfd p = { .fd = s->poll_fd, .events = POLLIN };
	MHD_UNSIGNED_LONG_LONG due_ms;

	if (MHD_get_timeout(s->daemon, &due_ms) == MHD_YES && due_ms < (unsigned)ms)
		ms = (int)due_ms;
	if (poll(&p, 1, ms) >= 0)
		(void)MHD_run(s->daemon);
}

void lmm_serving_close(struct lmm_serving *s)
{
	if (!s)
		return;
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	lmm_prometheus_destroy(s->metrics);
	free(s->text);
	free(s);
}

#else

static int serving_make(const struct lmm_serving_opts *opts, const struct sockaddr_storage *address,
			struct lmm_serving **out)
{
	(void)opts;
	(void)address;
	(void)out;
	lmm_error(
		"this lmmeter was built without libmicrohttpd and cannot serve; `lmmeter top --json` says the same to programs");
	return LMM_EXIT_FAILURE;
}

const char *lmm_serving_url(const struct lmm_serving *s)
{
	(void)s;
	return "";
}

void lmm_serving_poll(struct lmm_serving *s, int ms)
{
	(void)s;
	(void)ms;
}

void lmm_serving_close(struct lmm_serving *s)
{
	(void)s;
}

#endif

int lmm_serving_open(const struct lmm_serving_opts *opts, struct lmm_serving **out)
{
	struct sockaddr_storage address;

	*out = NULL;
	if (lmm_address_parse(opts->where, &address)) {
		lmm_error(
			"--prometheus takes ADDRESS:PORT (as 127.0.0.1:9464 or [::1]:9464), not '%s'",
			opts->where);
		return LMM_EXIT_USAGE;
	}
	if (!opts->allow_remote && !lmm_address_is_loopback(&address)) {
		lmm_error(
			"%s can be reached from other machines, and whoever reaches it may read; --allow-remote if that is meant",
			opts->where);
		return LMM_EXIT_USAGE;
	}
	return serving_make(opts, &address, out);
}
