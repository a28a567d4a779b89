/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmt_tool make FILE	writes a trace with every kind of item and wild events, uncompressed
 * lmt_tool dump FILE	prints the items of a trace as tests/golden/read_lmt.py does
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/trace_util.h"

/* ---- dump --------------------------------------------------------------------------------------- */

static void print_hex(const char *name, const void *data, size_t n)
{
	const uint8_t *p = data;

	(void)printf(" %s=x", name);
	for (size_t i = 0; i < n; i++)
		(void)printf("%02x", p[i]);
}

static void print_text(const char *name, const char *s)
{
	print_hex(name, s, strlen(s));
}

static void print_shape(const char *name, const struct lmm_tensor_shape *s)
{
	print_text(name, s->type);
	for (int i = 0; i < 4; i++)
		(void)printf(":%" PRId64, s->ne[i]);
}

static void print_graph(const struct lmm_graph *g)
{
	(void)printf("graph process=%" PRIu32 " graph=%" PRIu32 " n_nodes=%" PRIu32
		     " n_tokens=%" PRIu32 "\n",
		     g->process, g->graph, g->n_nodes, g->n_tokens);
	for (uint32_t i = 0; i < g->n_nodes; i++) {
		const struct lmm_node *n = &g->nodes[i];

		(void)printf("node");
		print_text("name", n->name);
		print_text("op", n->op);
		print_text("weight", n->weight);
		(void)printf(" layer=%" PRId32 " role=%u runs=%u", n->layer, n->role, n->runs);
		(void)printf(" bytes_read=%" PRIu64 " bytes_written=%" PRIu64 " flops=%" PRIu64,
			     n->bytes_read, n->bytes_written, n->flops);
		print_shape("out", &n->out);
		for (unsigned k = 0; k < n->n_src; k++)
			print_shape("src", &n->src[k]);
		(void)printf("\n");
	}
}

static void print_events(const struct lmm_events *e)
{
	(void)printf("events stream=%" PRIu32 " n=%" PRIu32 " ring_from=%" PRIu64
		     " ring_to=%" PRIu64 "\n",
		     e->stream, e->n, e->ring_from, e->ring_to);
	for (uint32_t i = 0; i < e->n; i++) {
		const struct lmm_event *ev = &e->ev[i];

		(void)printf("event t=%" PRIu64 " type=%u phase=%u seq=%u id=%" PRIu32 " a=%" PRIu64
			     " b=%" PRIu64 "\n",
			     ev->t, ev->type, ev->phase, ev->seq, ev->id, ev->a, ev->b);
	}
}

static void print_session(const struct lmm_session *s)
{
	(void)printf("session");
	print_text("id", s->id);
	print_text("lmmeter", s->lmmeter);
	print_text("command_name", s->command_name);
	print_text("command_line", s->command_line);
	print_text("host_os", s->host_os);
	print_text("host_cpu", s->host_cpu);
	(void)printf(" host_cpus=%" PRIu32 " host_memory_bytes=%" PRIu64
		     " clock=%u threads_all=%u embedded=%u start_ticks=%" PRIu64
		     " start_realtime_ns=%" PRIu64 "\n",
		     s->host_cpus, s->host_memory_bytes, s->clock, s->threads_all, s->embedded,
		     s->start_ticks, s->start_realtime_ns);
}

static void print_process(const struct lmm_process *p)
{
	(void)printf("process process=%" PRIu32 " pid=%" PRId32 " parent_pid=%" PRId32, p->process,
		     p->pid, p->parent_pid);
	print_text("name", p->name);
	print_text("engine_name", p->engine_name);
	print_text("engine_version", p->engine_version);
	print_text("door", p->door);
	(void)printf(" start_ticks=%" PRIu64 " op_cost_ps=%" PRIu32 " pair_cost_ps=%" PRIu32
		     " joined=%u\n",
		     p->start_ticks, p->op_cost_ps, p->pair_cost_ps, p->joined);
}

static void print_model(const struct lmm_model *m)
{
	(void)printf("model process=%" PRIu32, m->process);
	print_text("name", m->name);
	print_text("description", m->description);
	print_text("architecture", m->architecture);
	print_text("quantization", m->quantization);
	print_text("file", m->file);
	(void)printf(" size_bytes=%" PRIu64 " parameters=%" PRIu64 " layers=%" PRIu32
		     " vocabulary=%" PRIu32 " embedding=%" PRIu32 "\n",
		     m->size_bytes, m->parameters, m->layers, m->vocabulary, m->embedding);
}

static void print_device_item(const struct lmm_item *it)
{
	if (it->kind == LMM_ITEM_KERNEL) {
		(void)printf("kernel process=%" PRIu32 " kernel=%" PRIu32, it->kernel.process,
			     it->kernel.kernel);
		print_text("name", it->kernel.name);
		print_text("device", it->kernel.device);
		(void)printf("\n");
		return;
	}
	(void)printf("queue process=%" PRIu32 " queue=%u", it->queue.process, it->queue.queue);
	print_text("device", it->queue.device);
	(void)printf(" ticks_per_second=%" PRIu64 "\n", it->queue.ticks_per_second);
}

static void print_small(const struct lmm_item *it)
{
	switch (it->kind) {
	case LMM_ITEM_STREAM:
		(void)printf("stream stream=%" PRIu32 " process=%" PRIu32 " ring=%" PRIu32
			     " tid=%" PRId32 "\n",
			     it->stream.stream, it->stream.process, it->stream.ring,
			     it->stream.tid);
		break;
	case LMM_ITEM_CLOCK:
		(void)printf("clock ticks=%" PRIu64 " mono_ns=%" PRIu64 " error_ns=%" PRIu32 "\n",
			     it->clock.ticks, it->clock.mono_ns, it->clock.error_ns);
		break;
	case LMM_ITEM_REASON:
		(void)printf("reason process=%" PRIu32 " level=%u", it->reason.process,
			     it->reason.level);
		print_text("text", it->reason.text);
		(void)printf("\n");
		break;
	case LMM_ITEM_NAME:
		(void)printf("name process=%" PRIu32 " number=%" PRIu32, it->name.process,
			     it->name.number);
		print_text("text", it->name.text);
		(void)printf("\n");
		break;
	case LMM_ITEM_CHECKPOINT:
		(void)printf("checkpoint");
		print_hex("data", it->checkpoint.data, it->checkpoint.size_bytes);
		(void)printf("\n");
		break;
	case LMM_ITEM_LOSS:
		(void)printf("loss stream=%" PRIu32 " emitted=%" PRIu64 " lost=%" PRIu64 "\n",
			     it->loss.stream, it->loss.emitted, it->loss.lost);
		break;
	case LMM_ITEM_DROPPED:
		(void)printf("dropped batches=%" PRIu64 " events=%" PRIu64 "\n",
			     it->dropped.batches, it->dropped.events);
		break;
	case LMM_ITEM_PROCESS_END:
		(void)printf("process_end process=%" PRIu32 " ticks=%" PRIu64 "\n",
			     it->process_end.process, it->process_end.ticks);
		break;
	default:
		(void)printf("end ticks=%" PRIu64 " exit_status=%" PRId32
			     " collector_cpu_ns=%" PRIu64 " no_ring_lost=%" PRIu64 "\n",
			     it->end.ticks, it->end.exit_status, it->end.collector_cpu_ns,
			     it->end.no_ring_lost);
	}
}

static void print_sensor(const struct lmm_sensor *s)
{
	(void)printf("sensor sensor=%" PRIu32 " kind=%u component=%u", s->sensor, s->kind,
		     s->component);
	print_text("name", s->name);
	print_text("unit", s->unit);
	print_text("source", s->source);
	print_text("states", s->states);
	print_text("absent", s->absent);
	(void)printf(" limit=%" PRId64 " part_of=%" PRIu32 "\n", s->limit, s->part_of);
}

static void print_samples(const struct lmm_samples *s)
{
	(void)printf("samples ticks=%" PRIu64, s->ticks);
	for (uint32_t i = 0; i < s->n; i++)
		(void)printf(" %" PRIu32 "=%" PRId64, s->samples[i].sensor, s->samples[i].value);
	(void)printf("\n");
}

static void print_item(const struct lmm_item *it)
{
	switch (it->kind) {
	case LMM_ITEM_SESSION:
		print_session(&it->session);
		break;
	case LMM_ITEM_PROCESS:
		print_process(&it->process);
		break;
	case LMM_ITEM_MODEL:
		print_model(&it->model);
		break;
	case LMM_ITEM_GRAPH:
		print_graph(&it->graph);
		break;
	case LMM_ITEM_EVENTS:
		print_events(&it->events);
		break;
	case LMM_ITEM_KERNEL:
	case LMM_ITEM_QUEUE:
		print_device_item(it);
		break;
	case LMM_ITEM_SENSOR:
		print_sensor(&it->sensor);
		break;
	case LMM_ITEM_SAMPLES:
		print_samples(&it->samples);
		break;
	default:
		print_small(it);
	}
}

static int dump(const char *path)
{
	static const char *const states[] = { "reading", "complete", "cut", "corrupt" };
	const struct lmm_item *it;
	struct lmm_trace *tr;
	enum lmm_trace_state state;
	uint64_t offset;
	int rc = lmm_trace_open(path, &tr);

	if (rc) {
		(void)fprintf(stderr, "%s: %s\n", path, lmm_strerror(rc));
		return 1;
	}
	while ((rc = lmm_trace_next(tr, &it)) > 0)
		print_item(it);
	state = lmm_trace_state(tr, &offset);
	if (rc < 0)
		(void)fprintf(stderr, "%s: %s\n", path, lmm_strerror(rc));
	else
		(void)printf("%s at %" PRIu64 "\n", states[state], offset);
	lmm_trace_close(tr);
	return rc < 0;
}

/* ---- make --------------------------------------------------------------------------------------- */

#define WILD_EVENTS 20000

static int put(struct lmm_trace_writer *w, const struct lmm_item *item)
{
	int rc = lmm_trace_writer_item(w, item);

	if (rc)
		(void)fprintf(stderr, "writing: %s\n", lmm_strerror(rc));
	return rc;
}

/* Mostly operators, and everything else a byte can say. */
static void make_wild_events(struct lmm_event *ev, uint32_t n)
{
	uint64_t random = 2024, t = 1ull << 40;
	uint32_t node = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t r = next_random(&random);

		t += r % (i % 100 ? 90000 : UINT64_MAX >> (r >> 58));
		node = r % 97 ? node + (uint32_t)(r >> 20) % 30 : (uint32_t)(r >> 32);
		ev[i] = (struct lmm_event){
			.t = t, .type = LMM_EV_OP + (r >> 61 == 1), .seq = LMM_SEQ_NONE, .id = node
		};
		if (r >> 62)
			continue;
		ev[i].type = (uint8_t)(r >> 16);
		ev[i].phase = (uint8_t)(r >> 24) % 16;
		ev[i].seq = (uint16_t)(r >> 32);
		ev[i].a = next_random(&random) >> (r >> 56 & 63);
		ev[i].b = next_random(&random) >> (r >> 50 & 63);
	}
}

static int make(const char *path)
{
	static struct lmm_event ev[WILD_EVENTS];
	struct lmm_item wild = { .kind = LMM_ITEM_EVENTS };
	struct lmm_trace_writer *w;
	int rc, closed;

	make_wild_events(ev, WILD_EVENTS);
	wild.events = (struct lmm_events){
		.stream = 9, .n = WILD_EVENTS, .ev = ev, .ring_from = 12345, .ring_to = 1ull << 60
	};
	rc = lmm_trace_writer_open(path, NULL, &w);
	if (rc) {
		(void)fprintf(stderr, "%s: %s\n", path, lmm_strerror(rc));
		return 1;
	}
	rc = put(w, &wild);
	for (size_t i = 0; rc == 0 && i < LMM_ARRAY_SIZE(sample_items); i++)
		rc = put(w, &sample_items[i]);
	closed = lmm_trace_writer_close(w);
	return rc || closed;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "make") == 0) {
		(void)unlink(argv[2]);
		return make(argv[2]);
	}
	if (argc == 3 && strcmp(argv[1], "dump") == 0)
		return dump(argv[2]);
	(void)fprintf(stderr, "usage: lmt_tool make|dump FILE\n");
	return 2;
}
