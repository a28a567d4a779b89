/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, reflected, initial and final value ~0), as iSCSI and ext4 use it. */
#ifndef LMM_BASE_CRC32C_H
#define LMM_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0 to begin, or the value for the bytes that went before. Thread-safe. */
uint32_t lmm_crc32c(uint32_t crc, const void *data, size_t n);

#endif
