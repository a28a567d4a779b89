// SPDX-License-Identifier: Apache-2.0
// A small engine on TVM's runtime that calls it as MLC-LLM does: one thread, functions of the model by name, paged KV cache. It
// writes what it did when, by its own clock, as the truth for tests: one JSON object per phase and step.
//
// usage: engine MODEL PROMPT TOKENS TRUTH.jsonl [sync] [two] [draft] [fail] [piece]… [late=LIBRARY]
//	sync: waits for the device after each pass, inside of its bracket
//	two: two sequences, whose passes take turns
//	draft: speculative decoding with a second model of the same weights. So many drafts are taken as the round says: the model
//	       gives logits of a prompt's last token alone
//	piece: the prompt goes through the model in a piece more
//	fail: behind the prompt comes a pass at which the runtime throws
//	late: loads that library when everything else is loaded
#include <dlfcn.h>
#include <time.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/shape.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/runtime/device_api.h>
#include <tvm/runtime/tensor.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using tvm::ffi::Any;
using tvm::ffi::Array;
using tvm::ffi::Function;
using tvm::ffi::Shape;
using tvm::runtime::DeviceAPI;
using tvm::runtime::Tensor;

static long now_ns()
{
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

struct Bracket {
	const char *phase;
	int sequence, step;
	long t0, t1;
};

static std::vector<Bracket> brackets;

struct Phase {
	const char *name;
	int sequence, step;
	long t0 = now_ns();
	~Phase()
	{
		brackets.push_back({ name, sequence, step, t0, now_ns() });
	}
};

struct Engine {
	bool sync;
	DLDevice device;
	const DLDevice cpu{ kDLCPU, 0 };
	std::optional<tvm::ffi::Module> vm;
	Function embed, prefill, decode, softmax, begin, end, pop, commit;
	Array<Any> params;
	Any cache;
	Tensor probabilities;
	std::mt19937 random{ 1 };

	static constexpr DLDataType f32{ kDLFloat, 32, 1 }, i32{ kDLInt, 32, 1 };

	void load(const std::string &dir, int sequences)
	{
		std::ifstream config(dir + "/config.json");
		std::string text((std::istreambuf_iterator<char>(config)), {});
		const char *backend = nullptr;

		device = DLDevice{ kDLCPU, 0 };
		if (text.find("\"opencl\"") != std::string::npos) {
			device.device_type = kDLOpenCL;
			backend = "libtvm_runtime_opencl.so";
		} else if (text.find("\"cuda\"") != std::string::npos) {
			device.device_type = kDLCUDA;
			backend = "libtvm_runtime_cuda.so";
		}
		if (backend && !dlopen(backend, RTLD_NOW | RTLD_LOCAL)) {
			fprintf(stderr, "%s\n", dlerror());
			exit(1);
		}
		vm = tvm::ffi::Module::LoadFromFile(dir + "/model.so")
			     ->GetFunction("vm_load_executable")
			     .value()()
			     .cast<tvm::ffi::Module>();
		// 2: the allocator that pools
		(*vm)->GetFunction("vm_initialization")
			.value()((int)device.device_type, 0, 2, (int)kDLCPU, 0, 2);
		embed = (*vm)->GetFunction("embed", true).value();
		prefill = (*vm)->GetFunction("prefill", true).value();
		decode = (*vm)->GetFunction("decode", true).value();
		softmax = (*vm)->GetFunction("softmax_with_temperature", true).value();
		begin = Function::GetGlobalRequired("vm.builtin.kv_state_begin_forward");
		end = Function::GetGlobalRequired("vm.builtin.kv_state_end_forward");
		pop = Function::GetGlobalRequired("vm.builtin.kv_state_popn");
		commit = Function::GetGlobalRequired(
			"vm.builtin.attention_kv_cache_commit_accepted_token_tree_nodes");
		read_params(dir);
		cache = (*vm)->GetFunction("create_tir_paged_kv_cache", true)
				.value()(Shape({ sequences }), Shape({ 1024 }), Shape({ 512 }),
					 Shape({ 16 }), Shape({ 0 }));
		DeviceAPI::Get(device)->StreamSync(device, nullptr);
	}

	void read_params(const std::string &dir)
	{
		std::ifstream shapes(dir + "/params.txt"), data(dir + "/params.bin", std::ios::binary);
		std::string line;

		while (std::getline(shapes, line)) {
			std::istringstream words(line);
			std::vector<int64_t> shape;
			int64_t n = 4;
			for (int64_t d; words >> d; n *= d)
				shape.push_back(d);
			std::vector<char> bytes(n);
			data.read(bytes.data(), n);
			Tensor t = Tensor::Empty(Shape(shape.begin(), shape.end()), f32, device);
			t.CopyFromBytes(bytes.data(), n);
			params.push_back(t);
		}
	}

	Tensor embedded(const std::vector<int> &ids, int sequence, int step)
	{
		Phase phase{ "embedding", sequence, step };
		Tensor t = Tensor::Empty(Shape({ (int64_t)ids.size() }), i32, device);

		t.CopyFromBytes(ids.data(), 4 * ids.size());
		Tensor e = embed(t, params).cast<Tensor>();
		return e.CreateView(Shape({ 1, (int64_t)ids.size(), e->shape[1] }), f32);
	}

	Tensor pass(const char *name, Function &function, Tensor x, int64_t tokens, int sequence, int step)
	{
		Phase phase{ name, sequence, step };

		if (strcmp(name, "verify") == 0) {
			std::vector<int64_t> parents(tokens); // a chain
			std::iota(parents.begin(), parents.end(), -1);
			begin(cache, Shape({ sequence }), Shape({ tokens }), Shape(parents.begin(), parents.end()));
		} else {
			begin(cache, Shape({ sequence }), Shape({ tokens }));
		}
		Tensor logits = function(x, cache, params).cast<Array<Any>>()[0].cast<Tensor>();
		end(cache);
		if (sync)
			DeviceAPI::Get(device)->StreamSync(device, nullptr);
		return logits;
	}

	int chosen(
		Tensor logits, int sequence, int step, const std::function<void()> &accept = [] {})
	{
		Tensor p;
		{
			Phase phase{ "softmax", sequence, step };
			float temperature = 0.7f;
			Tensor t = Tensor::Empty(Shape({ 1 }), f32, device);

			t.CopyFromBytes(&temperature, 4);
			p = softmax(logits, t).cast<Tensor>();
		}
		{
			Phase phase{ "copy_to_cpu", sequence, step };

			if (!probabilities.defined())
				probabilities = Tensor::Empty(Shape({ 1, 1, p->shape[2] }), f32, cpu);
			probabilities.CopyFrom(p);
		}
		Phase phase{ "sampling", sequence, step };
		int token = sampled((const float *)probabilities->data, (int)p->shape[2]);
		accept();
		return token;
	}

	// Top p, as MLC-LLM does it on the CPU.
	int sampled(const float *p, int n)
	{
		std::vector<int> order(n);
		double sum = 0, u;
		int most = 0, i = 0;

		std::iota(order.begin(), order.end(), 0);
		std::sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });
		while (most < n && sum < 0.95)
			sum += p[order[most++]];
		u = std::uniform_real_distribution<>(0, sum)(random);
		while (i < most - 1 && (u -= p[order[i]]) > 0)
			i++;
		return order[i];
	}
};

// Rounds of drafts and their check behind a prompt, as MLC-LLM's BatchDraft and BatchVerify.
struct Speculation {
	static constexpr int drafts = 3;
	Engine &main, &draft;

	int prompt(const std::vector<int> &ids, int s)
	{
		int64_t n = (int64_t)ids.size();
		Function add = Function::GetGlobalRequired("vm.builtin.kv_state_add_sequence");

		add(main.cache, s);
		add(draft.cache, s);
		Tensor logits = main.pass("prefill", main.prefill, main.embedded(ids, s, 0), n, s, 0);
		draft.pass("draft", draft.prefill, draft.embedded(ids, s, 0), n, s, 0);
		return main.chosen(logits, s, 0);
	}

	void round(std::vector<int> &out, int s, int step)
	{
		int accepted = (step - 1) % (drafts + 1);
		std::vector<int> ids{ out.back() };

		for (int i = 0; i < drafts; i++) {
			Tensor x = draft.embedded({ ids.back() }, s, step);
			ids.push_back(draft.chosen(draft.pass("draft", draft.decode, x, 1, s, step), s, step));
		}
		Tensor x = main.embedded(ids, s, step);
		Tensor logits = main.pass("verify", main.prefill, x, drafts + 1, s, step);
		int token = main.chosen(logits, s, step, [&] {
			if (accepted < drafts)
				draft.pop(draft.cache, s, drafts - accepted - 1);
			main.commit(main.cache, Shape({ s }), Shape({ accepted }));
		});
		out.insert(out.end(), ids.begin() + 1, ids.begin() + 1 + accepted);
		out.push_back(token);
		if (accepted == drafts) {
			// the last draft was not in the draft model's cache
			draft.pass("draft", draft.decode, draft.embedded({ ids.back() }, s, step), 1, s, step);
			DeviceAPI::Get(draft.device)->StreamSync(draft.device, nullptr);
		}
	}
};

static void speculate(Engine &engine, const std::string &dir, const std::vector<int> &ids, size_t tokens,
		     std::vector<std::vector<int>> &out)
{
	Engine &draft = *new Engine();
	Speculation speculation{ engine, draft };

	draft.load(dir, (int)out.size());
	for (size_t s = 0; s < out.size(); s++)
		out[s].push_back(speculation.prompt(ids, (int)s));
	for (int step = 1; out[0].size() < tokens; step++) {
		for (size_t s = 0; s < out.size(); s++)
			speculation.round(out[s], (int)s, step);
	}
}

// An argument too many.
static void fail(Engine &engine)
{
	Phase phase{ "decode", 0, 0 };

	try {
		engine.begin(engine.cache, Shape({ 0 }), Shape({ 1 }), nullptr, 0);
	} catch (const std::exception &) {
		return;
	}
	exit(3);
}

static void generate(Engine &engine, const std::vector<int> &ids, size_t tokens, bool fails,
		     size_t pieces, std::vector<std::vector<int>> &out)
{
	for (size_t s = 0; s < out.size(); s++) {
		Function::GetGlobalRequired("vm.builtin.kv_state_add_sequence")(engine.cache, (int)s);
		// as MLC-LLM does it, the logits of each piece are read, and the last one's count
		size_t size = (ids.size() + pieces - 1) / pieces;
		int token = 0;
		for (size_t from = 0; from < ids.size(); from += size) {
			size_t to = std::min(from + size, ids.size());
			Tensor x = engine.embedded({ ids.begin() + from, ids.begin() + to }, (int)s, 0);
			Tensor logits = engine.pass("prefill", engine.prefill, x, (int64_t)(to - from), (int)s, 0);
			token = engine.chosen(logits, (int)s, 0);
		}
		out[s].push_back(token);
	}
	if (fails)
		fail(engine);
	for (int k = 1; k < (int)tokens; k++) {
		for (size_t s = 0; s < out.size(); s++) {
			Tensor x = engine.embedded({ out[s].back() }, (int)s, k);
			Tensor logits = engine.pass("decode", engine.decode, x, 1, (int)s, k);
			out[s].push_back(engine.chosen(logits, (int)s, k));
		}
	}
}

static int run(int argc, char **argv)
{
	std::string prompt = argv[2];
	std::vector<int> ids(prompt.begin(), prompt.end());
	int tokens = atoi(argv[3]), sequences = 1;
	// never taken down: at exit OpenCL may be gone before its buffers are
	Engine &engine = *new Engine();
	bool drafts = false, fails = false;
	size_t pieces = 1;
	const char *late = nullptr;

	for (int i = 5; i < argc; i++) {
		engine.sync |= strcmp(argv[i], "sync") == 0;
		sequences += strcmp(argv[i], "two") == 0;
		drafts |= strcmp(argv[i], "draft") == 0;
		fails |= strcmp(argv[i], "fail") == 0;
		pieces += strcmp(argv[i], "piece") == 0;
		if (strncmp(argv[i], "late=", 5) == 0)
			late = argv[i] + 5;
	}
	engine.load(argv[1], sequences);
	if (late && !dlopen(late, RTLD_NOW | RTLD_LOCAL)) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	std::vector<std::vector<int>> out(sequences);
	if (drafts)
		speculate(engine, argv[1], ids, (size_t)tokens, out);
	else
		generate(engine, ids, (size_t)tokens, fails, pieces, out);
	for (int s = 0; s < sequences; s++) {
		Function::GetGlobalRequired("vm.builtin.kv_state_remove_sequence")(engine.cache, s);
		printf("tokens");
		for (int t : out[s])
			printf(" %d", t);
		printf("\n");
	}
	FILE *f = fopen(argv[4], "w");
	if (!f)
		return 1;
	for (const Bracket &b : brackets) {
		fprintf(f, "{\"phase\": \"%s\", \"sequence\": %d, \"step\": %d, \"t0\": %ld, \"t1\": %ld}\n",
			b.phase, b.sequence, b.step, b.t0, b.t1);
	}
	return fclose(f) != 0;
}

int main(int argc, char **argv)
{
	int rc = 2;

	if (argc < 5) {
		fprintf(stderr, "usage: engine MODEL PROMPT TOKENS TRUTH.jsonl [sync] [two] [draft] [fail] [late=LIBRARY]\n");
		return rc;
	}
	std::thread engine([&] { rc = run(argc, argv); });
	engine.join();
	return rc;
}
