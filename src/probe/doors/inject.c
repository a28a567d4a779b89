/* SPDX-License-Identifier: Apache-2.0 */
/* liblmmeter-inject.so: brings liblmmeter.so into a process that runs, and says that nothing is bound to it. */
void lmm_inject_begin(void);

__attribute__((constructor)) static void opened(void)
{
	lmm_inject_begin();
}
