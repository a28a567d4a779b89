/* SPDX-License-Identifier: Apache-2.0 */
/* liblmmeter-threads.so: exports ggml_barrier and nothing else. Compiled to a jump, so that the callee sees who called. */
void lmm_threads_barrier(void *threadpool);
void ggml_barrier(void *threadpool);

__attribute__((visibility("default"))) void ggml_barrier(void *threadpool)
{
	lmm_threads_barrier(threadpool);
}
