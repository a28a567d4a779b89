/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TVM (MLC-LLM): its runtime's functions are registered by name as objects, which C++ calls through pointers inside them: no
 * symbol stands between. So the registration is hooked, and what is registered under the few names that tell phases apart is
 * a function of ours that goes on to the real one. Copies of tensors are hooked as the C++ symbols that they are.
 * The layout of what is registered is written down here as far as it is looked at; of calls in tvm_ffi.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/engines/tvm_ffi.h"
#include "probe/engines/tvm_kernels.h"

/* ---- TVM's C interface -------------------------------------------------------------------------- */

/* What is registered; until late 2025 without metadata in front of the method. */
struct method_info {
	struct lmm_tvm_bytes name, doc;
	union {
		struct {
			int64_t flags;
			struct lmm_tvm_any method;
		} old;
		struct {
			struct lmm_tvm_bytes metadata;
			int64_t flags;
			struct lmm_tvm_any method;
		} now;
	} u;
};

static struct {
	int (*call)(void *function, const struct lmm_tvm_any *args, int32_t n,
		    struct lmm_tvm_any *result);
	int (*create)(void *self, lmm_tvm_safe_call call, void (*deleter)(void *self), void **out);
	int (*retain)(void *object);
	int (*release)(void *object);
	void (*version)(uint32_t *major_minor_patch);
} ffi;

static bool ffi_bind(const void *ra)
{
	if (ffi.call)
		return true;
	*(void **)&ffi.create = lmm_door_lookup("TVMFFIFunctionCreate", ra);
	*(void **)&ffi.retain = lmm_door_lookup("TVMFFIObjectIncRef", ra);
	*(void **)&ffi.release = lmm_door_lookup("TVMFFIObjectDecRef", ra);
	*(void **)&ffi.version = lmm_door_lookup("TVMFFIGetVersion", ra);
	if (ffi.create && ffi.retain && ffi.release)
		*(void **)&ffi.call = lmm_door_lookup("TVMFFIFunctionCall", ra);
	return ffi.call;
}

static bool is_late;

static void describe_engine(void)
{
	uint32_t v[3] = { 0 };
	char text[64] = "";

	if (lmm_engine_is_described())
		return;
	if (ffi.version) {
		ffi.version(v);
		(void)snprintf(text, sizeof(text), "tvm-ffi %u.%u.%u", v[0], v[1], v[2]);
	}
	lmm_engine_describe("TVM", text);
	if (is_late) {
		lmm_session_reason(LMM_LEVEL_KERNELS, "lmmeter was loaded after TVM: what a device "
						      "does for it is not seen");
	}
}

static bool is_function(const struct lmm_tvm_any *a)
{
	return a->type == LMM_TVM_FUNCTION && a->rest == 0 && (uintptr_t)a->v.p > UINT16_MAX &&
	       (uintptr_t)a->v.p % sizeof(void *) == 0 && lmm_tvm_cell(a->v.p, LMM_TVM_FUNCTION);
}

/* NULL: it is none, or none that is known. */
static struct lmm_tvm_any *method_of(struct method_info *info)
{
	if (is_function(&info->u.old.method))
		return &info->u.old.method;
	return is_function(&info->u.now.method) ? &info->u.now.method : NULL;
}

/* ---- functions of ours -------------------------------------------------------------------------- */

struct wrapper {
	void *real; /* a reference of ours */
	enum lmm_tvm_what what;
};

static const struct lmm_tvm_shape *arg_shape(const struct lmm_tvm_any *args, int32_t n, int32_t i)
{
	return i < n && args[i].type == LMM_TVM_SHAPE ? lmm_tvm_cell(args[i].v.p, LMM_TVM_SHAPE)
						      : NULL;
}

static int64_t arg_int(const struct lmm_tvm_any *args, int32_t n, int32_t i)
{
	return i < n && args[i].type == LMM_TVM_INT ? args[i].v.i : -1;
}

/* The beginning of DLPack's tensor. */
struct dl_tensor {
	void *data;
	int32_t device_type, device_id;
	int32_t dimensions;
	struct {
		uint8_t code, bits;
		uint16_t lanes;
	} type;
	const int64_t *shape;
};

static bool is_host(int32_t device_type)
{
	return device_type == 1 || device_type == 3; /* pinned for CUDA */
}

static bool is_on_device(const struct lmm_tvm_any *args, int32_t n, int32_t i)
{
	const struct dl_tensor *t = NULL;

	if (i < n && args[i].type == LMM_TVM_TENSOR)
		t = lmm_tvm_cell(args[i].v.p, LMM_TVM_TENSOR);
	return t && !is_host(t->device_type);
}

static struct lmm_tvm_bytes arg_text(const struct lmm_tvm_any *args, int32_t n, int32_t i)
{
	struct lmm_tvm_bytes text = { NULL, 0 };
	const struct lmm_tvm_bytes *cell;

	if (i < 0 || i >= n)
		return text;
	if (args[i].type == LMM_TVM_RAW_STR) {
		text.data = args[i].v.p;
		text.n = strnlen(text.data, 256);
	} else if (args[i].type == LMM_TVM_STR) {
		cell = lmm_tvm_cell(args[i].v.p, LMM_TVM_STR);
		if (cell)
			text = *cell;
	}
	return text;
}

static struct lmm_tvm_call read_args(enum lmm_tvm_what what, const struct lmm_tvm_any *args,
				     int32_t n)
{
	struct lmm_tvm_call c = { .what = what };
	struct lmm_tvm_bytes text;

	switch (what) {
	case LMM_TVM_BEGIN_FORWARD:
	case LMM_TVM_COMMIT:
		c.pass = lmm_tvm_pass_of(n > 0 ? args[0].v.p : NULL, arg_shape(args, n, 1),
					 arg_shape(args, n, 2), arg_shape(args, n, 3));
		break;
	case LMM_TVM_CHECK:
		text = arg_text(args, n, n - 1);
		c.context = text.data;
		c.context_bytes = text.n;
		return c;
	case LMM_TVM_COPY_IN:
	case LMM_TVM_COPY_OUT:
		c.bytes = arg_int(args, n, 2) > 0 ? (size_t)arg_int(args, n, 2) : 0;
		return c;
	case LMM_TVM_LAYER:
		c.number = arg_int(args, n, 1);
		c.is_device = is_on_device(args, n, 3);
		break;
	default:
		c.number = arg_int(args, n, what == LMM_TVM_FORK ? 2 : 1);
		c.count = arg_int(args, n, 2);
		break;
	}
	c.cache = n > 0 ? args[0].v.p : NULL;
	return c;
}

struct lmm_tvm_told lmm_tvm_tell(enum lmm_tvm_what what, const struct lmm_tvm_any *args, int32_t n)
{
	struct lmm_tvm_told told = { .th = NULL };
	struct lmm_entry at;

	if (what == LMM_TVM_MACHINE) {
		lmm_tvm_machine_seen(args, n);
		return told;
	}
	at = lmm_enter();
	told.th = lmm_tvm_enter(&at);
	if (!told.th && !lmm_tvm_is_kept(what))
		return told;
	told.call = read_args(what, args, n);
	if (!told.th) {
		lmm_tvm_call_unseen(&told.call);
		return told;
	}
	if (what == LMM_TVM_BEGIN_FORWARD)
		describe_engine();
	told.has_end = lmm_tvm_call_begin(told.th, &told.call, at);
	return told;
}

void lmm_tvm_told(const struct lmm_tvm_told *told, int rc)
{
	if (told->th)
		lmm_tvm_call_end(told->th, &told->call, told->has_end, rc);
}

static int wrapped(void *self, const struct lmm_tvm_any *args, int32_t n,
		   struct lmm_tvm_any *result)
{
	const struct wrapper *w = self;
	struct lmm_tvm_told told = lmm_tvm_tell(w->what, args, n);
	int rc = ffi.call(w->real, args, n, result);

	lmm_tvm_told(&told, rc);
	return rc;
}

static void unwrap(void *self)
{
	struct wrapper *w = self;

	ffi.release(w->real);
	free(w);
}

static _Atomic bool is_registered;

bool lmm_tvm_is_registered(void)
{
	return atomic_load_explicit(&is_registered, memory_order_relaxed);
}

/* A function that stands for the real one, for the caller to release; NULL: the real one is to stay. */
static void *wrap(const struct lmm_tvm_bytes *name, void *real)
{
	int row = lmm_tvm_wanted(name->data, name->n);
	struct wrapper *w = row < 0 ? NULL : malloc(sizeof(*w));
	void *out = NULL;

	if (!w)
		return NULL;
	atomic_store_explicit(&is_registered, true, memory_order_relaxed);
	*w = (struct wrapper){ real, lmm_tvm_wanted_what((unsigned)row) };
	if (ffi.create(w, wrapped, unwrap, &out)) {
		free(w);
		return NULL;
	}
	ffi.retain(real);
	return out;
}

LMM_HOOK(int, TVMFFIFunctionSetGlobalFromMethodInfo, struct method_info *info, int override)
{
	struct lmm_tvm_any *method = info ? method_of(info) : NULL;
	void *ours = NULL, *real;
	int rc;

	LMM_REAL_EARLY(TVMFFIFunctionSetGlobalFromMethodInfo);
	if (method && ffi_bind(__builtin_return_address(0)))
		ours = wrap(&info->name, method->v.p);
	if (!ours)
		return fn(info, override);
	real = method->v.p;
	method->v.p =
		ours; /* in its place: what else belongs to the structure differs from release to release */
	rc = fn(info, override);
	method->v.p = real;
	ffi.release(ours);
	return rc;
}

LMM_HOOK(int, TVMFFIFunctionSetGlobal, const struct lmm_tvm_bytes *name, void *function,
	 int override)
{
	void *ours = NULL;
	int rc;

	LMM_REAL_EARLY(TVMFFIFunctionSetGlobal);
	if (name && function && ffi_bind(__builtin_return_address(0)))
		ours = wrap(name, function);
	rc = fn(name, ours ? ours : function, override);
	if (ours)
		ffi.release(ours);
	return rc;
}

/* ---- copies ------------------------------------------------------------------------------------- */

static size_t tensor_bytes(const struct dl_tensor *t)
{
	uint64_t n = ((uint64_t)t->type.bits * t->type.lanes + 7) / 8;

	for (int32_t i = 0; i < t->dimensions; i++) {
		if (t->shape[i] < 0 || __builtin_mul_overflow(n, (uint64_t)t->shape[i], &n))
			return 0;
	}
	return n;
}

static enum lmm_tvm_copy way_of(const struct dl_tensor *from, const struct dl_tensor *to)
{
	if (is_host(from->device_type))
		return is_host(to->device_type) ? LMM_TVM_EITHER : LMM_TVM_IN;
	return is_host(to->device_type) ? LMM_TVM_OUT : LMM_TVM_NEITHER;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): types stand there */
/* Tensor::CopyFromBytes(const void *, size_t) and the same of NDArray, as it was called until 2025. */
#define COPY_BYTES(symbol, way, to)                                                                \
	LMM_HOOK(void, symbol, to *self, const void *bytes, size_t n)                              \
	{                                                                                          \
		struct lmm_thread *th;                                                             \
		bool has_end;                                                                      \
                                                                                                   \
		LMM_ENTER(symbol);                                                                 \
		th = at.t && fn ? lmm_thread_self() : NULL;                                        \
		has_end = th && lmm_tvm_copy_begin(th, way, n, at);                                \
		fn(self, bytes, n);                                                                \
		if (has_end)                                                                       \
			lmm_tvm_copy_end(th, n);                                                   \
	}

COPY_BYTES(_ZN3tvm7runtime6Tensor13CopyFromBytesEPKvm, LMM_TVM_IN, void)
COPY_BYTES(_ZN3tvm7runtime7NDArray13CopyFromBytesEPKvm, LMM_TVM_IN, void)
COPY_BYTES(_ZNK3tvm7runtime6Tensor11CopyToBytesEPvm, LMM_TVM_OUT, const void)
COPY_BYTES(_ZNK3tvm7runtime7NDArray11CopyToBytesEPvm, LMM_TVM_OUT, const void)
/* NOLINTEND(bugprone-macro-parentheses) */

/* Tensor::CopyFromTo(const DLTensor *, DLTensor *, TVMStreamHandle), a static function. */
#define COPY_FROM_TO(symbol)                                                                       \
	LMM_HOOK(void, symbol, const struct dl_tensor *from, struct dl_tensor *to, void *stream)   \
	{                                                                                          \
		struct lmm_thread *th;                                                             \
		bool has_end;                                                                      \
                                                                                                   \
		LMM_ENTER(symbol);                                                                 \
		th = at.t && fn && from && to ? lmm_thread_self() : NULL;                          \
		has_end = th && lmm_tvm_copy_begin(th, way_of(from, to), tensor_bytes(from), at);  \
		fn(from, to, stream);                                                              \
		if (has_end)                                                                       \
			lmm_tvm_copy_end(th, tensor_bytes(from));                                  \
	}

COPY_FROM_TO(_ZN3tvm7runtime6Tensor10CopyFromToEPK8DLTensorPS2_Pv)
COPY_FROM_TO(_ZN3tvm7runtime7NDArray10CopyFromToEPK8DLTensorPS2_Pv)

/* ---- late ---------------------------------------------------------------------------------------- */

void lmm_tvm_ffi_late(void)
{
	is_late = true;
	*(void **)&ffi.version = lmm_door_anyone("TVMFFIGetVersion");
	LMM_TVM_IMPORT(_ZN3tvm7runtime6Tensor13CopyFromBytesEPKvm);
	LMM_TVM_IMPORT(_ZNK3tvm7runtime6Tensor11CopyToBytesEPvm);
	LMM_TVM_IMPORT(_ZN3tvm7runtime6Tensor10CopyFromToEPK8DLTensorPS2_Pv);
	lmm_tvm_array_late();
	lmm_tvm_scopes_late();
}

void lmm_tvm_array_late(void)
{
	LMM_TVM_IMPORT(_ZN3tvm7runtime7NDArray13CopyFromBytesEPKvm);
	LMM_TVM_IMPORT(_ZNK3tvm7runtime7NDArray11CopyToBytesEPvm);
	LMM_TVM_IMPORT(_ZN3tvm7runtime7NDArray10CopyFromToEPK8DLTensorPS2_Pv);
}
