/* SPDX-License-Identifier: Apache-2.0 */
/* Imports of loaded objects, one at a time: for functions that only some callers should reach us through. */
#ifndef LMM_PROBE_PATCH_H
#define LMM_PROBE_PATCH_H

/*
 * In every loaded object that imports `symbol` and, beside it, `other`, lets the import lead to fn, unless it does already;
 * *orig gets what it led to (what the object would be bound to, if it was not bound yet). Returns how many imports
 * lead to fn now. Not for the hot path; callers take turns.
 */
int lmm_patch_imports(const char *symbol, const char *other, void *fn, void **orig);

#endif
