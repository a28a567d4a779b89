/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs and kernels. Building reads nothing of the source but the signatures of its kernels; "#error" makes it fail. A binary
 * is the source behind a magic word.
 */
#include "fakecl_api.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC	     "FAKECL1\n"
#define MAGIC_LENGTH (sizeof(MAGIC) - 1)

/* ---- reading signatures ---- */

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The next word or sign, behind white space, comments and lines for the preprocessor; its length, 0 at the end. */
static size_t token_next(const char **at)
{
	const char *s = *at;
	size_t n = 0;

	for (;;) {
		s += strspn(s, " \t\r\n");
		if (!strncmp(s, "//", 2) || *s == '#')
			s += strcspn(s, "\n");
		else if (!strncmp(s, "/*", 2))
			s = strstr(s + 2, "*/") ? strstr(s + 2, "*/") + 2 : s + strlen(s);
		else
			break;
	}
	*at = s;
	while (word_char(s[n]))
		n++;
	return n ? n : *s != 0;
}

static bool token_is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && !strncmp(s, word, n);
}

/* Behind the bracket that closes the one at `s`. */
static const char *brackets_skip(const char *s)
{
	int depth = 0;
	size_t n;

	while ((n = token_next(&s))) {
		depth += *s == '(' ? 1 : *s == ')' ? -1 : 0;
		s += n;
		if (!depth)
			return s;
	}
	return s;
}

static void argument_kind(const char *s, size_t n, unsigned char *kind)
{
	if (token_is(s, n, "local") || token_is(s, n, "__local"))
		*kind = ARGUMENT_LOCAL;
	else if ((*s == '*' || !strncmp(s, "image", 5)) && *kind != ARGUMENT_LOCAL)
		*kind = ARGUMENT_MEM;
}

/* From behind the opening bracket. */
static const char *arguments_read(const char *s, struct signature *sig)
{
	unsigned char kind = ARGUMENT_VALUE;
	unsigned int words = 0;
	int depth = 1;
	size_t n;

	while ((n = token_next(&s)) && depth) {
		depth += *s == '(' ? 1 : *s == ')' ? -1 : 0;
		if ((!depth || (depth == 1 && *s == ',')) && words && sig->n_args < ARGS_MAX) {
			sig->args[sig->n_args++] = kind;
			kind = ARGUMENT_VALUE;
			words = 0;
		} else if (!token_is(s, n, "void") || *s == '*') {
			argument_kind(s, n, &kind);
			words++;
		}
		s += n;
	}
	return s;
}

/* From behind the word kernel; false if no kernel follows. */
static bool signature_read(const char **at, struct signature *sig)
{
	const char *s = *at, *name = NULL;
	size_t n, length = 0;

	memset(sig, 0, sizeof(*sig));
	while ((n = token_next(&s)) && *s != '(' && *s != ';' && *s != '{') {
		if (token_is(s, n, "__attribute__")) {
			s += n;
			token_next(&s);
			s = brackets_skip(s);
			continue;
		}
		name = s;
		length = n;
		s += n;
	}
	*at = s;
	if (!name || *s != '(' || length >= NAME_MAX_LENGTH)
		return false;
	memcpy(sig->name, name, length);
	*at = arguments_read(s + 1, sig);
	return true;
}

static cl_int signatures_read(cl_program program)
{
	const char *s = program->source;
	struct signature sig, *more;
	size_t n;

	while ((n = token_next(&s))) {
		bool kernel = token_is(s, n, "kernel") || token_is(s, n, "__kernel");

		s += n;
		if (!kernel || !signature_read(&s, &sig))
			continue;
		more = realloc(program->kernels, (program->n_kernels + 1) * sizeof(sig));
		if (!more)
			return CL_OUT_OF_HOST_MEMORY;
		program->kernels = more;
		program->kernels[program->n_kernels++] = sig;
	}
	return CL_SUCCESS;
}

/* ---- programs ---- */

static cl_program program_make(cl_context context, char *source, cl_int *error)
{
	cl_program p = source ? object_new(KIND_PROGRAM) : NULL;

	if (!p) {
		free(source);
		return fail(error, CL_OUT_OF_HOST_MEMORY);
	}
	p->context = context;
	p->source = source;
	p->status = CL_BUILD_NONE;
	object_use(context);
	fail(error, CL_SUCCESS);
	return p;
}

void program_destroy(cl_program program)
{
	free(program->source);
	free(program->options);
	free(program->kernels);
	object_put(program->context);
}

static char *source_join(cl_uint n, const char **strings, const size_t *lengths)
{
	size_t size = 0;
	char *source = calloc(1, 1);

	for (cl_uint i = 0; source && i < n; i++) {
		size_t length = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
		char *more = realloc(source, size + length + 1);

		if (!more)
			break;
		memcpy(more + size, strings[i], length);
		size += length;
		more[size] = 0;
		source = more;
	}
	return source;
}

cl_program fake_clCreateProgramWithSource(cl_context context, cl_uint n, const char **strings,
					  const size_t *lengths, cl_int *error)
{
	WITH_LOCK;
	if (!object_alive(context, KIND_CONTEXT))
		return fail(error, CL_INVALID_CONTEXT);
	if (!n || !strings)
		return fail(error, CL_INVALID_VALUE);
	for (cl_uint i = 0; i < n; i++) {
		if (!strings[i])
			return fail(error, CL_INVALID_VALUE);
	}
	if (driver_lost())
		return fail(error, CL_OUT_OF_RESOURCES);
	return program_make(context, source_join(n, strings, lengths), error);
}

static cl_int binaries_check(cl_context context, cl_uint n, const cl_device_id *devices,
			     const size_t *lengths, const unsigned char **binaries)
{
	if (!object_alive(context, KIND_CONTEXT))
		return CL_INVALID_CONTEXT;
	if (!n || !devices || !lengths || !binaries)
		return CL_INVALID_VALUE;
	for (cl_uint i = 0; i < n; i++) {
		if (!device_in(context, devices[i]))
			return CL_INVALID_DEVICE;
		if (!lengths[i] || !binaries[i])
			return CL_INVALID_VALUE;
		if (lengths[i] < MAGIC_LENGTH || memcmp(binaries[i], MAGIC, MAGIC_LENGTH))
			return CL_INVALID_BINARY;
	}
	return driver_lost() ? CL_OUT_OF_RESOURCES : CL_SUCCESS;
}

cl_program fake_clCreateProgramWithBinary(cl_context context, cl_uint n,
					  const cl_device_id *devices, const size_t *lengths,
					  const unsigned char **binaries, cl_int *status,
					  cl_int *error)
{
	cl_program p;
	cl_int rc;

	WITH_LOCK;
	rc = binaries_check(context, n, devices, lengths, binaries);
	for (cl_uint i = 0; status && i < n; i++)
		status[i] = rc;
	if (rc)
		return fail(error, rc);
	p = program_make(
		context,
		strndup((const char *)binaries[0] + MAGIC_LENGTH, lengths[0] - MAGIC_LENGTH),
		error);
	if (p)
		p->from_binary = true;
	return p;
}

cl_program fake_clCreateProgramWithIL(cl_context context, const void *il, size_t length,
				      cl_int *error)
{
	(void)context;
	(void)il;
	(void)length;
	return fail(error, CL_INVALID_OPERATION);
}

cl_program fake_clCreateProgramWithBuiltInKernels(cl_context context, cl_uint n,
						  const cl_device_id *devices, const char *names,
						  cl_int *error)
{
	(void)context;
	(void)n;
	(void)devices;
	(void)names;
	return fail(error, CL_INVALID_VALUE);
}

cl_int fake_clRetainProgram(cl_program program)
{
	return object_retain(program, KIND_PROGRAM, CL_INVALID_PROGRAM);
}

cl_int fake_clReleaseProgram(cl_program program)
{
	return object_release(program, KIND_PROGRAM, CL_INVALID_PROGRAM);
}

static cl_int program_build(cl_program program, cl_uint n, const cl_device_id *devices,
			    const char *options)
{
	cl_int rc;

	WITH_LOCK;
	if (!object_alive(program, KIND_PROGRAM))
		return CL_INVALID_PROGRAM;
	if (!n != !devices)
		return CL_INVALID_VALUE;
	for (cl_uint i = 0; i < n; i++) {
		if (!device_in(program->context, devices[i]))
			return CL_INVALID_DEVICE;
	}
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	if (program->kernels_alive)
		return CL_INVALID_OPERATION;
	free(program->options);
	program->options = options ? strdup(options) : NULL;
	program->n_kernels = 0;
	rc = strstr(program->source, "#error") ? CL_BUILD_PROGRAM_FAILURE
					       : signatures_read(program);
	program->status = rc ? CL_BUILD_ERROR : CL_BUILD_SUCCESS;
	return rc;
}

cl_int fake_clBuildProgram(cl_program program, cl_uint n, const cl_device_id *devices,
			   const char *options, void(CL_CALLBACK *call)(cl_program, void *),
			   void *data)
{
	cl_int rc = !call && data ? CL_INVALID_VALUE : program_build(program, n, devices, options);

	if (call && (!rc || rc == CL_BUILD_PROGRAM_FAILURE))
		call(program, data);
	return rc;
}

cl_int fake_clCompileProgram(cl_program program, cl_uint n, const cl_device_id *devices,
			     const char *options, cl_uint n_headers, const cl_program *headers,
			     const char **names, void(CL_CALLBACK *call)(cl_program, void *),
			     void *data)
{
	(void)program;
	(void)n;
	(void)devices;
	(void)options;
	(void)n_headers;
	(void)headers;
	(void)names;
	(void)call;
	(void)data;
	return CL_COMPILER_NOT_AVAILABLE;
}

cl_program fake_clLinkProgram(cl_context context, cl_uint n, const cl_device_id *devices,
			      const char *options, cl_uint n_programs, const cl_program *programs,
			      void(CL_CALLBACK *call)(cl_program, void *), void *data,
			      cl_int *error)
{
	(void)context;
	(void)n;
	(void)devices;
	(void)options;
	(void)n_programs;
	(void)programs;
	(void)call;
	(void)data;
	return fail(error, CL_LINKER_NOT_AVAILABLE);
}

cl_int fake_clUnloadCompiler(void)
{
	return CL_SUCCESS;
}

cl_int fake_clUnloadPlatformCompiler(cl_platform_id platform)
{
	return platform == &the_platform ? CL_SUCCESS : CL_INVALID_PLATFORM;
}

cl_int fake_clSetProgramReleaseCallback(cl_program program,
					void(CL_CALLBACK *call)(cl_program, void *), void *data)
{
	(void)program;
	(void)call;
	(void)data;
	return CL_INVALID_OPERATION;
}

cl_int fake_clSetProgramSpecializationConstant(cl_program program, cl_uint id, size_t size,
					       const void *value)
{
	(void)program;
	(void)id;
	(void)size;
	(void)value;
	return CL_INVALID_OPERATION;
}

static size_t binary_size(cl_program p)
{
	return p->status == CL_BUILD_SUCCESS ? MAGIC_LENGTH + strlen(p->source) : 0;
}

static cl_int binary_sizes(cl_program p, struct answer a)
{
	size_t sizes[DEVICES_MAX];

	for (cl_uint i = 0; i < p->context->n_devices; i++)
		sizes[i] = binary_size(p);
	return answer(a, sizes, p->context->n_devices * sizeof(size_t));
}

static cl_int binaries_answer(cl_program p, struct answer a)
{
	size_t size = p->context->n_devices * sizeof(char *);
	char **to = a.to;

	if (a.to && a.room < size)
		return CL_INVALID_VALUE;
	if (a.size)
		*a.size = size;
	for (cl_uint i = 0; to && i < p->context->n_devices; i++) {
		if (!to[i] || !binary_size(p))
			continue;
		memcpy(to[i], MAGIC, MAGIC_LENGTH);
		memcpy(to[i] + MAGIC_LENGTH, p->source, strlen(p->source));
	}
	return CL_SUCCESS;
}

static cl_int kernel_names(cl_program p, struct answer a)
{
	size_t room = p->n_kernels * NAME_MAX_LENGTH + 1, used = 0;
	char *names = calloc(1, room);
	cl_int rc;

	if (!names)
		return CL_OUT_OF_HOST_MEMORY;
	for (unsigned int i = 0; i < p->n_kernels; i++)
		used += (size_t)snprintf(names + used, room - used, "%s%s", i ? ";" : "",
					 p->kernels[i].name);
	rc = answer_text(a, names);
	free(names);
	return rc;
}

cl_int fake_clGetProgramInfo(cl_program p, cl_program_info what, size_t room, void *to,
			     size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(p, KIND_PROGRAM))
		return CL_INVALID_PROGRAM;
	if (driver_lost())
		return CL_OUT_OF_RESOURCES;
	switch (what) {
	case CL_PROGRAM_REFERENCE_COUNT:
		return answer_uint(a, (cl_uint)p->o.refs);
	case CL_PROGRAM_CONTEXT:
		return answer_pointer(a, p->context);
	case CL_PROGRAM_NUM_DEVICES:
		return answer_uint(a, p->context->n_devices);
	case CL_PROGRAM_DEVICES:
		return answer(a, p->context->devices, p->context->n_devices * sizeof(cl_device_id));
	case CL_PROGRAM_SOURCE:
		return answer_text(a, p->from_binary ? "" : p->source);
	case CL_PROGRAM_IL:
		return answer(a, NULL, 0);
	case CL_PROGRAM_BINARY_SIZES:
		return binary_sizes(p, a);
	case CL_PROGRAM_BINARIES:
		return binaries_answer(p, a);
	case CL_PROGRAM_NUM_KERNELS:
		return p->status ? CL_INVALID_PROGRAM_EXECUTABLE : answer_size(a, p->n_kernels);
	case CL_PROGRAM_KERNEL_NAMES:
		return p->status ? CL_INVALID_PROGRAM_EXECUTABLE : kernel_names(p, a);
	default:
		return CL_INVALID_VALUE;
	}
}

cl_int fake_clGetProgramBuildInfo(cl_program p, cl_device_id device, cl_program_build_info what,
				  size_t room, void *to, size_t *size)
{
	struct answer a = { room, to, size };

	WITH_LOCK;
	if (!object_alive(p, KIND_PROGRAM))
		return CL_INVALID_PROGRAM;
	if (!device_in(p->context, device))
		return CL_INVALID_DEVICE;
	switch (what) {
	case CL_PROGRAM_BUILD_STATUS:
		return answer(a, &p->status, sizeof(p->status));
	case CL_PROGRAM_BUILD_OPTIONS:
		return answer_text(a, p->options ? p->options : "");
	case CL_PROGRAM_BUILD_LOG:
		return answer_text(a, p->status == CL_BUILD_ERROR ? "#error" : "");
	case CL_PROGRAM_BINARY_TYPE:
		return answer_uint(a, p->status == CL_BUILD_SUCCESS
					      ? CL_PROGRAM_BINARY_TYPE_EXECUTABLE
					      : CL_PROGRAM_BINARY_TYPE_NONE);
	default:
		return CL_INVALID_VALUE;
	}
}
