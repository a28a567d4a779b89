/* SPDX-License-Identifier: Apache-2.0 */
/* Modelled machines: folders with the files of sysfs and procfs that a real one has, made from tables. */
#ifndef LMM_TESTS_MACHINE_H
#define LMM_TESTS_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct machine_file {
	const char *path, *text;
};

struct machine {
	char root[64];
};

/* Writes in place, as the kernel does: whoever has the file open sees it. */
static inline void machine_set(const struct machine *m, const char *path, const char *text)
{
	char full[512];
	int fd;

	(void)snprintf(full, sizeof(full), "%s%s", m->root, path);
	for (char *p = full + strlen(m->root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		(void)mkdir(full, 0755);
		*p = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline void machine_make(struct machine *m, const struct machine_file *files)
{
	(void)snprintf(m->root, sizeof(m->root), "/tmp/lmm_machine_XXXXXX");
	assert_non_null(mkdtemp(m->root));
	for (; files->path; files++)
		machine_set(m, files->path, files->text);
}

static inline void machine_remove(const struct machine *m)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", m->root);
	assert_int_equal(system(command), 0);
}

#define POLICY	"/sys/devices/system/cpu/cpufreq/policy"
#define CPU	"/sys/devices/system/cpu/cpu"
#define ZONE	"/sys/class/thermal/thermal_zone"
#define COOLING "/sys/class/thermal/cooling_device"
#define RAPL	"/sys/class/powercap/intel-rapl:"

static const char stall_text[] =
	"some avg10=0.00 avg60=0.00 avg300=0.00 total=1000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=400\n";

/* An Intel laptop on battery: two cores with two threads each. */
static const struct machine_file laptop[] = {
	{ POLICY "0/scaling_cur_freq", "2400000\n" },
	{ POLICY "0/cpuinfo_max_freq", "4700000\n" },
	{ POLICY "0/scaling_governor", "powersave\n" },
	{ POLICY "0/scaling_available_governors", "performance powersave \n" },
	{ POLICY "10/scaling_cur_freq", "800000\n" },
	{ POLICY "10/cpuinfo_max_freq", "4700000\n" },
	{ POLICY "10/scaling_governor", "powersave\n" },
	{ POLICY "10/scaling_available_governors", "performance powersave \n" },
	{ POLICY "2/scaling_cur_freq", "1900000\n" },
	{ POLICY "2/scaling_governor", "powersave\n" },
	{ CPU "0/topology/thread_siblings_list", "0,2\n" },
	{ CPU "0/topology/package_cpus_list", "0-3\n" },
	{ CPU "0/thermal_throttle/core_throttle_count", "17\n" },
	{ CPU "0/thermal_throttle/package_throttle_count", "30\n" },
	{ CPU "0/thermal_throttle/package_throttle_total_time_ms", "250\n" },
	{ CPU "1/topology/thread_siblings_list", "1,3\n" },
	{ CPU "1/topology/package_cpus_list", "0-3\n" },
	{ CPU "1/thermal_throttle/core_throttle_count", "5\n" },
	{ CPU "2/topology/thread_siblings_list", "0,2\n" },
	{ CPU "2/topology/package_cpus_list", "0-3\n" },
	{ CPU "2/thermal_throttle/core_throttle_count", "17\n" },
	{ ZONE "0/type", "acpitz\n" },
	{ ZONE "0/temp", "45000\n" },
	{ ZONE "1/type", "x86_pkg_temp\n" },
	{ ZONE "1/temp", "71000\n" },
	{ COOLING "0/type", "Processor\n" },
	{ COOLING "0/cur_state", "0\n" },
	{ COOLING "0/max_state", "3\n" },
	{ COOLING "1/type", "Fan\n" },
	{ COOLING "1/cur_state", "1\n" },
	{ COOLING "2/type", "intel_powerclamp\n" },
	{ COOLING "2/cur_state", "-1\n" },
	{ COOLING "2/max_state", "100\n" },
	{ RAPL "0/name", "package-0\n" },
	{ RAPL "0/energy_uj", "262000000000\n" },
	{ RAPL "0/max_energy_range_uj", "262143328850\n" },
	{ RAPL "0:0/name", "core\n" },
	{ RAPL "0:0/energy_uj", "1000\n" },
	{ RAPL "0:0/max_energy_range_uj", "262143328850\n" },
	{ RAPL "0:1/name", "dram\n" },
	{ RAPL "0:1/energy_uj", "5000\n" },
	{ RAPL "0:1/max_energy_range_uj", "65712999613\n" },
	{ "/sys/class/drm/card0/gt_cur_freq_mhz", "1100\n" },
	{ "/sys/class/drm/card0-eDP-1/status", "connected\n" },
	{ "/sys/class/power_supply/BAT0/type", "Battery\n" },
	{ "/sys/class/power_supply/BAT0/status", "Discharging\n" },
	{ "/sys/class/power_supply/BAT0/power_now", "11500000\n" },
	{ "/sys/class/power_supply/BAT0/voltage_now", "11400000\n" },
	{ "/sys/class/power_supply/hidpp_battery_0/type", "Battery\n" },
	{ "/sys/class/power_supply/hidpp_battery_0/scope", "Device\n" },
	{ "/sys/class/power_supply/hidpp_battery_0/voltage_now", "3900000\n" },
	{ "/proc/pressure/memory", stall_text },
	{ "/proc/meminfo",
	  "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:    9000000 kB\n" },
	{ NULL, NULL },
};

#define HWMON "/sys/class/hwmon/hwmon"

/* A Jetson Orin NX. */
static const struct machine_file jetson[] = {
	{ POLICY "0/scaling_cur_freq", "1984000\n" },
	{ POLICY "0/scaling_governor", "schedutil\n" },
	{ POLICY "0/scaling_available_governors", "userspace performance schedutil\n" },
	{ ZONE "0/type", "cpu-thermal\n" },
	{ ZONE "0/temp", "52125\n" },
	{ ZONE "1/type", "gpu-thermal\n" },
	{ ZONE "1/temp", "55500\n" },
	{ ZONE "2/type", "cv0-thermal\n" },
	{ ZONE "2/temp", "-256000\n" },
	{ COOLING "0/type", "gpu-fan\n" },
	{ COOLING "0/cur_state", "2\n" },
	{ COOLING "1/type", "thermal-cpufreq-0\n" },
	{ COOLING "1/cur_state", "0\n" },
	{ COOLING "1/max_state", "20\n" },
	{ COOLING "2/type", "thermal-devfreq-0\n" },
	{ COOLING "2/cur_state", "0\n" },
	{ HWMON "0/name", "tmp451\n" },
	{ HWMON "1/name", "ina3221\n" },
	{ HWMON "1/in1_label", "VDD_IN\n" },
	{ HWMON "1/in1_input", "4976\n" },
	{ HWMON "1/curr1_input", "2345\n" },
	{ HWMON "1/in2_label", "VDD_CPU_GPU_CV\n" },
	{ HWMON "1/in2_input", "4968\n" },
	{ HWMON "1/curr2_input", "1200\n" },
	{ HWMON "1/in3_label", "VDD_SOC\n" },
	{ HWMON "1/in3_input", "4960\n" },
	{ HWMON "1/curr3_input", "500\n" },
	{ HWMON "1/in4_label", "Sum of shunt voltages\n" },
	{ HWMON "1/in4_input", "7\n" },
	{ "/sys/class/devfreq/17000000.gpu/cur_freq", "918000000\n" },
	{ "/sys/class/devfreq/17000000.gpu/governor", "nvhost_podgov\n" },
	{ "/sys/class/devfreq/15340000.vic/cur_freq", "435200000\n" },
	{ "/sys/devices/platform/gpu.0/load", "987\n" },
	{ "/proc/pressure/memory", stall_text },
	{ "/proc/meminfo", "MemTotal: 15956636 kB\nMemAvailable: 12000000 kB\n" },
	{ NULL, NULL },
};

#define KGSL "/sys/class/kgsl/kgsl-3d0/"

/* A Snapdragon phone, as its shell sees it. */
static const struct machine_file adreno[] = {
	{ POLICY "0/scaling_cur_freq", "1804800\n" },
	{ POLICY "0/scaling_governor", "walt\n" },
	{ POLICY "4/scaling_cur_freq", "2419200\n" },
	{ POLICY "4/scaling_governor", "walt\n" },
	{ POLICY "7/scaling_cur_freq", "3187200\n" },
	{ POLICY "7/scaling_governor", "walt\n" },
	{ ZONE "0/type", "aoss-0\n" },
	{ ZONE "0/temp", "38200\n" },
	{ ZONE "17/type", "gpuss-0\n" },
	{ ZONE "17/temp", "49300\n" },
	{ COOLING "0/type", "thermal-cpufreq-0\n" },
	{ COOLING "0/cur_state", "4\n" },
	{ COOLING "5/type", "kgsl-3d0\n" },
	{ COOLING "5/cur_state", "0\n" },
	{ COOLING "9/type", "panel0-backlight\n" },
	{ COOLING "9/cur_state", "90\n" },
	{ KGSL "gpubusy", "  612345  1000000\n" },
	{ KGSL "gpu_busy_percentage", "61 %\n" },
	{ KGSL "gpuclk", "587000000\n" },
	{ KGSL "clock_mhz", "587\n" },
	{ KGSL "temp", "49300\n" },
	{ "/sys/class/power_supply/battery/type", "Battery\n" },
	{ "/sys/class/power_supply/battery/status", "Discharging\n" },
	{ "/sys/class/power_supply/battery/current_now", "-850000\n" },
	{ "/sys/class/power_supply/battery/voltage_now", "4012000\n" },
	{ "/proc/meminfo", "MemTotal: 11500000 kB\nMemAvailable: 5000000 kB\n" },
	{ NULL, NULL },
};

/* A phone with a Mali, plugged in. */
static const struct machine_file mali[] = {
	{ POLICY "0/scaling_cur_freq", "1803000\n" },
	{ POLICY "0/scaling_governor", "sched_pixel\n" },
	{ ZONE "0/type", "BIG\n" },
	{ ZONE "0/temp", "61000\n" },
	{ "/sys/class/misc/mali0/device/utilization", "73\n" },
	{ "/sys/class/misc/mali0/device/devfreq/28000000.mali/cur_freq", "848000\n" },
	{ "/sys/class/devfreq/28000000.mali/cur_freq", "848000\n" },
	{ "/sys/kernel/gpu/gpu_clock", "848000\n" },
	{ "/sys/class/power_supply/battery/type", "Battery\n" },
	{ "/sys/class/power_supply/battery/status", "Charging\n" },
	{ "/sys/class/power_supply/battery/current_now", "1200000\n" },
	{ "/sys/class/power_supply/battery/voltage_now", "4300000\n" },
	{ "/proc/pressure/memory", stall_text },
	{ "/proc/meminfo", "MemTotal: 7500000 kB\nMemAvailable: 3000000 kB\n" },
	{ NULL, NULL },
};

#endif
