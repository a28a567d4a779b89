/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TVM up to 0.19 (early 2025): the runtime registers in C++, unseen. But its C interface can put another function under a name
 * later. That is done once, when the program first looks a function up or loads a model: by then the runtime is loaded, and
 * what engines keep of a name they ask for afterwards. Layouts: tvm/runtime/c_runtime_api.h of those years.
 */
#include <stdlib.h>
#include <string.h>

#include "probe/engines/tvm_calls.h"
#include "probe/engines/tvm_late.h"

enum {
	CODE_INT = 0,
	CODE_MODULE = 9,
	CODE_FUNCTION = 10,
	CODE_STR = 11,
	CODE_OBJECT = 8,
};

union value {
	int64_t i;
	void *p;
};

/* An object of TVM's: what it is, its count, its deleter; then the list. */
struct shape {
	uint32_t type;
	int32_t count;
	void *deleter;
	struct lmm_tvm_shape list;
};

static struct {
	int (*get)(const char *name, void **function);
	int (*put)(const char *name, void *function, int override);
	int (*create)(int (*call)(union value *args, int *codes, int n, void *result, void *self),
		      void *self, void (*end)(void *self), void **out);
	int (*call)(void *function, union value *args, int *codes, int n, union value *result,
		    int *code);
	int (*set)(void *result, union value *value, int *code, int n);
	int (*release)(void *object);
} tvm;

struct wrapper {
	void *real;
	enum lmm_tvm_what what;
};

static const struct lmm_tvm_shape *arg_shape(const union value *args, const int *codes, int n,
					     int i)
{
	const struct shape *object = i < n && codes[i] == CODE_OBJECT ? args[i].p : NULL;

	return object ? &object->list : NULL;
}

static int64_t arg_int(const union value *args, const int *codes, int n, int i)
{
	return i < n && codes[i] == CODE_INT ? args[i].i : -1;
}

static struct lmm_tvm_call read_args(enum lmm_tvm_what what, const union value *args,
				     const int *codes, int n)
{
	struct lmm_tvm_call c = { .what = what, .cache = n > 0 ? args[0].p : NULL };

	if (what == LMM_TVM_BEGIN_FORWARD || what == LMM_TVM_COMMIT) {
		c.pass =
			lmm_tvm_pass_of(c.cache, arg_shape(args, codes, n, 1),
					arg_shape(args, codes, n, 2), arg_shape(args, codes, n, 3));
	} else if (what == LMM_TVM_CHECK) {
		if (n > 0 && codes[n - 1] == CODE_STR) {
			c.context = args[n - 1].p;
			c.context_bytes = strnlen(c.context, 256);
		}
	} else {
		c.number = arg_int(args, codes, n, what == LMM_TVM_FORK ? 2 : 1);
		c.count = arg_int(args, codes, n, 2);
	}
	return c;
}

/* What a function returns is handed on, and what the handing on took a share of is let go. */
static int call_real(const struct wrapper *w, union value *args, int *codes, int n, void *result)
{
	union value value = { .i = 0 };
	int code = CODE_INT;
	int rc = tvm.call(w->real, args, codes, n, &value, &code);

	if (rc)
		return rc;
	rc = tvm.set(result, &value, &code, 1);
	/* an array's handle is none of an object's: its share stays taken, and none of these functions returns one */
	if (tvm.release && value.p &&
	    (code == CODE_OBJECT || code == CODE_MODULE || code == CODE_FUNCTION))
		tvm.release(value.p);
	return rc;
}

static int wrapped(union value *args, int *codes, int n, void *result, void *self)
{
	const struct wrapper *w = self;
	struct lmm_entry at = lmm_enter();
	struct lmm_thread *th = lmm_tvm_enter(&at);
	struct lmm_tvm_call call;
	bool has_end;
	int rc;

	if (!th && !lmm_tvm_is_kept(w->what))
		return call_real(w, args, codes, n, result);
	call = read_args(w->what, args, codes, n);
	if (!th) {
		lmm_tvm_call_unseen(&call);
		return call_real(w, args, codes, n, result);
	}
	if (call.what == LMM_TVM_BEGIN_FORWARD)
		lmm_engine_describe("TVM", "up to 0.19");
	has_end = lmm_tvm_call_begin(th, &call, at);
	rc = call_real(w, args, codes, n, result);
	lmm_tvm_call_end(th, &call, has_end, rc);
	return rc;
}

/* At exit the runtime may be gone: what is ours is never given back. */
static bool wrap(unsigned row)
{
	const char *name = lmm_tvm_wanted_name(row);
	void *real = NULL, *ours = NULL;
	struct wrapper *w;

	if (lmm_tvm_wanted_what(row) == LMM_TVM_MACHINE || tvm.get(name, &real) || !real)
		return false;
	w = malloc(sizeof(*w));
	if (!w)
		return false;
	*w = (struct wrapper){ real, lmm_tvm_wanted_what(row) };
	return tvm.create(wrapped, w, NULL, &ours) == 0 && ours && tvm.put(name, ours, 1) == 0;
}

/* ra: who calls; NULL: nobody does. */
static void *find(const char *name, const void *ra)
{
	return ra ? lmm_door_lookup(name, ra) : lmm_door_anyone(name);
}

/* False: there is nothing to put them in the place of. */
static LMM_COLD bool wrap_all(const void *ra)
{
	unsigned n = 0;

	*(void **)&tvm.put = find("TVMFuncRegisterGlobal", ra);
	*(void **)&tvm.create = find("TVMFuncCreateFromCFunc", ra);
	*(void **)&tvm.call = find("TVMFuncCall", ra);
	*(void **)&tvm.set = find("TVMCFuncSetReturn", ra);
	*(void **)&tvm.release = find("TVMObjectFree", ra);
	*(void **)&tvm.get = find("TVMFuncGetGlobal", ra);
	if (!tvm.put || !tvm.create || !tvm.call || !tvm.set || !tvm.get)
		return false;
	for (unsigned i = 0; lmm_tvm_wanted_name(i); i++)
		n += wrap(i);
	return n > 0;
}

static _Atomic int is_done;

static void look(const void *ra)
{
	int no = 0;

	if (lmm_unlikely(!atomic_load_explicit(&is_done, memory_order_relaxed)) &&
	    atomic_compare_exchange_strong(&is_done, &no, 1))
		wrap_all(ra);
}

void lmm_tvm_old_late(void)
{
	if (!wrap_all(NULL))
		return;
	atomic_store(&is_done, 1);
	lmm_tvm_array_late();
	lmm_tvm_scopes_late();
}

/* The three ways to a function by its name. */

LMM_HOOK(int, TVMFuncGetGlobal, const char *name, void **function)
{
	LMM_REAL_EARLY(TVMFuncGetGlobal);
	look(__builtin_return_address(0));
	return fn(name, function);
}

LMM_HOOK(int, TVMModLoadFromFile, const char *file, const char *format, void **module)
{
	LMM_REAL_EARLY(TVMModLoadFromFile);
	look(__builtin_return_address(0));
	return fn(file, format, module);
}

/* tvm::runtime::Registry::Get(const String &) */
LMM_HOOK(const void *, _ZN3tvm7runtime8Registry3GetERKNS0_6StringE, const void *name)
{
	LMM_REAL_EARLY(_ZN3tvm7runtime8Registry3GetERKNS0_6StringE);
	look(__builtin_return_address(0));
	return fn(name);
}
