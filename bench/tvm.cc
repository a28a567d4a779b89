// SPDX-License-Identifier: Apache-2.0
// What a call of one of TVM's functions costs that goes through lmmeter's: functions that do nothing are registered in the real
// libtvm_ffi under names that lmmeter wants and under names of their own, and are called as any engine in C++ calls them.
//
// usage: tvm ROUNDS	under lmmeter; a line per round and kind: KIND, ns per call without a function of lmmeter's, and with
#include <time.h>
#include <tvm/ffi/container/shape.h>
#include <tvm/ffi/function.h>

#include <cstdio>
#include <cstdlib>

using tvm::ffi::Function;
using tvm::ffi::PackedArgs;
using tvm::ffi::Shape;

static const int CALLS = 1000, PASSES = 50, LAYERS = 4;

// One arm's functions.
struct Arm {
	Function check, begin, attention, end;

	explicit Arm(bool ours)
	    : check(registered(ours ? "vm.builtin.check_tensor_info" : "bench.check")),
	      begin(registered(ours ? "vm.builtin.kv_state_begin_forward" : "bench.begin")),
	      attention(registered(ours ? "vm.builtin.attention_kv_cache_attention_with_fused_qkv"
					: "bench.attention")),
	      end(registered(ours ? "vm.builtin.kv_state_end_forward" : "bench.end"))
	{
	}

	static Function registered(const char *name)
	{
		Function::SetGlobal(name, Function::FromPacked([](PackedArgs, tvm::ffi::Any *) {}),
				    true);
		return Function::GetGlobalRequired(name);
	}
};

static double now_ns()
{
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

// Of a function's second parameter, which tells nothing, or of its first.
static double checks(const Arm &arm, const char *context)
{
	double from = now_ns();

	for (int i = 0; i < CALLS; i++)
		arm.check(context);
	return (now_ns() - from) / CALLS;
}

static double check(const Arm &arm)
{
	return checks(arm, "ErrorContext(fn=decode, loc=param[1], param=paged_kv_cache)");
}

static double enter(const Arm &arm)
{
	return checks(arm, "ErrorContext(fn=decode, loc=param[0], param=input_embed)");
}

// Of one sequence and one token each.
static double passes(const Arm &arm, int layers)
{
	static const Shape sequences{ 0 }, lengths{ 1 };
	static int cache;
	double from = now_ns();

	for (int i = 0; i < PASSES; i++) {
		arm.begin((void *)&cache, sequences, lengths);
		for (int layer = 0; layer < layers; layer++)
			arm.attention((void *)&cache, layer);
		arm.end((void *)&cache);
	}
	return (now_ns() - from) / PASSES / (layers + 2);
}

static double pair(const Arm &arm)
{
	return passes(arm, 0);
}

static double pass(const Arm &arm)
{
	return passes(arm, LAYERS);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		double (*ns)(const Arm &arm);
	} kinds[] = { { "check", check }, { "enter", enter }, { "pair", pair }, { "pass", pass } };
	const Arm arms[2] = { Arm(false), Arm(true) };
	const timespec pause{ 0, 1000000 };
	int rounds = argc > 1 ? atoi(argv[1]) : 200;

	for (int r = 0; r < rounds; r++) {
		for (const auto &kind : kinds) {
			double ns[2];

			for (int i = 0; i < 2; i++)
				ns[(r + i) & 1] = kind.ns(arms[(r + i) & 1]);
			printf("%s %.3f %.3f\n", kind.name, ns[0], ns[1]);
		}
		// so that the collector empties the ring: a full one is cheaper
		nanosleep(&pause, nullptr);
	}
	return 0;
}
