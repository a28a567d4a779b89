/* SPDX-License-Identifier: Apache-2.0 */
/* Khronos' headers with every function of every version declared: whoever stands in the way of them all needs all. */
#ifndef LMM_PROBE_DEVICES_OPENCL_CL_H
#define LMM_PROBE_DEVICES_OPENCL_CL_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#define CL_USE_DEPRECATED_OPENCL_2_0_APIS
#define CL_USE_DEPRECATED_OPENCL_2_1_APIS
#define CL_USE_DEPRECATED_OPENCL_2_2_APIS
#include <CL/cl.h>
#include <CL/cl_icd.h>

#endif
