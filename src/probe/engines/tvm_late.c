/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TVM's runtime was loaded before us and has registered its functions unseen (tvm.c), and engines keep the ones that they looked
 * up: so the calls in these objects are replaced, plain words in memory. An object has two: one for C, and one for C++ that throws
 * what goes wrong, through us (this file is compiled for that). In some releases the first goes on to the second.
 */
#include <link.h>
#include <pthread.h>

#include "probe/engines/tvm_ffi.h"
#include "probe/engines/tvm_late.h"

#define ROWS 24

typedef void (*cpp_call)(const void *self, const struct lmm_tvm_any *args, int32_t n,
			 struct lmm_tvm_any *result);

struct cell {
	_Atomic(lmm_tvm_safe_call) safe;
	_Atomic(cpp_call) cpp; /* NULL: there is none */
};

/* Written before its calls are replaced, and never again. */
static struct row {
	struct cell *cell; /* in an object that a reference of ours keeps */
	lmm_tvm_safe_call safe;
	cpp_call cpp;
	enum lmm_tvm_what what;
} rows[ROWS];
static unsigned n_rows;

/* The row whose C call goes on to the real one on this thread, from 1 on. */
static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned passing;

static int pass_safe(unsigned i, void *self, const struct lmm_tvm_any *args, int32_t n,
		     struct lmm_tvm_any *result)
{
	struct lmm_tvm_told told = lmm_tvm_tell(rows[i].what, args, n);
	int rc;

	passing = i + 1;
	rc = rows[i].safe(self, args, n, result);
	passing = 0;
	lmm_tvm_told(&told, rc);
	return rc;
}

static void pass_cpp(unsigned i, const void *self, const struct lmm_tvm_any *args, int32_t n,
		     struct lmm_tvm_any *result)
{
	struct lmm_tvm_told told;

	if (passing == i + 1) {
		passing = 0;
		rows[i].cpp(self, args, n, result);
		return;
	}
	told = lmm_tvm_tell(rows[i].what, args, n);
	rows[i].cpp(self, args, n, result);
	lmm_tvm_told(&told, 0);
}

#define ROWS_0(X)   X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define ROWS_8(X)   X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define ROWS_16(X)  X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)
#define EACH_ROW(X) ROWS_0(X) ROWS_8(X) ROWS_16(X)

#define CALLS(i)                                                                                   \
	static int safe_##i(void *self, const struct lmm_tvm_any *args, int32_t n,                 \
			    struct lmm_tvm_any *result)                                            \
	{                                                                                          \
		return pass_safe(i, self, args, n, result);                                        \
	}                                                                                          \
	static void cpp_##i(const void *self, const struct lmm_tvm_any *args, int32_t n,           \
			    struct lmm_tvm_any *result)                                            \
	{                                                                                          \
		pass_cpp(i, self, args, n, result);                                                \
	}
EACH_ROW(CALLS)

#define SAFE(i) safe_##i,
#define CPP(i)	cpp_##i,
static const lmm_tvm_safe_call safe_calls[ROWS] = { EACH_ROW(SAFE) };
static const cpp_call cpp_calls[ROWS] = { EACH_ROW(CPP) };

/* ---- taking over -------------------------------------------------------------------------------- */

static int code_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t addr = (uintptr_t)arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && ph->p_flags & PF_X &&
		    addr - (info->dlpi_addr + ph->p_vaddr) < ph->p_memsz)
			return 1;
	}
	return 0;
}

static bool is_code(uintptr_t addr)
{
	return addr && dl_iterate_phdr(code_visit, (void *)addr);
}

static bool is_known(const struct cell *cell)
{
	for (unsigned i = 0; i < n_rows; i++) {
		if (rows[i].cell == cell)
			return true;
	}
	return false;
}

/* False: it is no object as they are known. */
static bool row_read(struct row *row, void *function, enum lmm_tvm_what what)
{
	struct cell *cell = lmm_tvm_cell(function, LMM_TVM_FUNCTION);

	if (!cell)
		return false;
	*row = (struct row){ cell, atomic_load_explicit(&cell->safe, memory_order_acquire),
			     atomic_load_explicit(&cell->cpp, memory_order_acquire), what };
	return is_code((uintptr_t)row->safe) && (!row->cpp || is_code((uintptr_t)row->cpp));
}

typedef int (*get_global)(const struct lmm_tvm_bytes *name, void **out);

/* Reads what is registered under the names that tell something. False: something of it is not as it should be. */
static bool rows_read(get_global get)
{
	const char *name;

	for (unsigned i = 0; (name = lmm_tvm_wanted_name(i)); i++) {
		struct lmm_tvm_bytes text = { name, strlen(name) };
		void *function = NULL;
		struct row row;

		if (get(&text, &function) || !function)
			continue;
		if (n_rows == ROWS || !row_read(&row, function, lmm_tvm_wanted_what(i)))
			return false;
		if (!is_known(row.cell)) /* by another name */
			rows[n_rows++] = row;
	}
	return true;
}

static void rows_patch(void)
{
	for (unsigned i = 0; i < n_rows; i++) {
		/* pairs with whoever loads the address to call it: the row is complete */
		atomic_store_explicit(&rows[i].cell->safe, safe_calls[i], memory_order_release);
		if (rows[i].cpp) {
			atomic_store_explicit(&rows[i].cell->cpp, cpp_calls[i],
					      memory_order_release);
		}
	}
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_taken;

void lmm_tvm_late_end(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; is_taken && i < n_rows; i++) {
		atomic_store_explicit(&rows[i].cell->safe, rows[i].safe, memory_order_release);
		if (rows[i].cpp) {
			atomic_store_explicit(&rows[i].cell->cpp, rows[i].cpp,
					      memory_order_release);
		}
	}
	is_taken = false;
	pthread_mutex_unlock(&lock);
}

int lmm_tvm_late(void)
{
	static bool is_done, is_unknown;
	get_global get = NULL;

	if (lmm_tvm_is_registered())
		return 0;
	pthread_mutex_lock(&lock);
	if (!is_done)
		*(void **)&get = lmm_door_anyone("TVMFFIFunctionGetGlobal");
	if (get) {
		is_unknown = !rows_read(get);
		is_done = is_unknown || n_rows > 0;
		if (!is_unknown && n_rows > 0)
			lmm_tvm_ffi_late();
	}
	if (is_done && !is_unknown && !is_taken) {
		rows_patch();
		is_taken = true;
	}
	pthread_mutex_unlock(&lock);
	return is_unknown ? -1 : 0;
}
