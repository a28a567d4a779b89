/* SPDX-License-Identifier: Apache-2.0 */
/* Sensors, on modelled machines: what is found, what its values are by arithmetic, and what bad files do. */
#include "machine.h"

#include <time.h>

#include "base/compiler.h"
#include "sense/sense.h"

static struct lmm_sense *open_machine(struct machine *m, const struct machine_file *files)
{
	struct lmm_sense_opts opts = { .root = m->root };
	struct lmm_sense *s;

	machine_make(m, files);
	s = lmm_sense_create(&opts);
	assert_non_null(s);
	return s;
}

static void close_machine(const struct machine *m, struct lmm_sense *s)
{
	lmm_sense_destroy(s);
	machine_remove(m);
}

static const struct lmm_sensor *find(const struct lmm_sense *s, unsigned kind, const char *name)
{
	for (unsigned i = 0; i < lmm_sense_count(s); i++) {
		const struct lmm_sensor *x = lmm_sense_sensor(s, i);

		if (x->kind == kind && strcmp(x->name, name) == 0)
			return x;
	}
	return NULL;
}

static const char *absent(const struct lmm_sense *s, const char *name)
{
	for (unsigned i = 0; i < lmm_sense_count(s); i++) {
		const struct lmm_sensor *x = lmm_sense_sensor(s, i);

		if (x->absent[0] && strcmp(x->name, name) == 0)
			return x->absent;
	}
	return "";
}

#define NOTHING INT64_MIN

/* Of the newest round. */
static int64_t value_in(const struct lmm_samples *r, const struct lmm_sensor *x)
{
	assert_non_null(x);
	for (unsigned i = 0; i < r->n; i++) {
		if (r->samples[i].sensor == x->sensor)
			return r->samples[i].value;
	}
	return NOTHING;
}

/* As many rounds as it takes to have read the slow ones, too. */
static struct lmm_samples all_read(struct lmm_sense *s)
{
	struct lmm_samples r;

	for (unsigned i = 0; i < 10; i++)
		lmm_sense_read(s, i, &r);
	return r;
}

#define VALUE(r, s, kind, name) value_in(r, find(s, LMM_SENSOR_##kind, name))

static void test_laptop(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, laptop);
	struct lmm_samples r = all_read(s);
	const struct lmm_sensor *x = find(s, LMM_SENSOR_FREQUENCY, "policy0");

	(void)state;
	assert_int_equal(r.ticks, 9);
	assert_int_equal(value_in(&r, x), 2400000000);
	assert_int_equal(x->limit, 4700000000);
	assert_string_equal(x->unit, "hz");
	assert_string_equal(x->source, POLICY "0/scaling_cur_freq");
	assert_int_equal(x->component, LMM_COMPONENT_CPU);
	/* in order of their numbers */
	assert_int_equal(find(s, LMM_SENSOR_FREQUENCY, "policy2")->sensor, 2);
	assert_int_equal(find(s, LMM_SENSOR_FREQUENCY, "policy10")->sensor, 4);
	x = find(s, LMM_SENSOR_GOVERNOR, "policy0");
	assert_string_equal(x->states, "performance powersave");
	assert_int_equal(value_in(&r, x), 1);
	/* no list: the one in use */
	x = find(s, LMM_SENSOR_GOVERNOR, "policy2");
	assert_string_equal(x->states, "powersave");
	assert_int_equal(value_in(&r, x), 0);
	assert_int_equal(VALUE(&r, s, TEMPERATURE, "x86_pkg_temp"), 71000);
	assert_int_equal(VALUE(&r, s, COOLING, "Processor"), 0);
	assert_int_equal(VALUE(&r, s, COOLING, "intel_powerclamp"), -1);
	assert_null(find(s, LMM_SENSOR_COOLING, "Fan"));
	/* sums begin at 0 */
	assert_int_equal(VALUE(&r, s, THROTTLE_COUNT, "cpu0"), 0);
	assert_int_equal(VALUE(&r, s, THROTTLE_COUNT, "cpu1"), 0);
	assert_null(find(s, LMM_SENSOR_THROTTLE_COUNT, "cpu2"));
	assert_int_equal(VALUE(&r, s, ENERGY, "package-0"), 0);
	x = find(s, LMM_SENSOR_ENERGY, "core");
	assert_int_equal(x->part_of, find(s, LMM_SENSOR_ENERGY, "package-0")->sensor + 1);
	assert_int_equal(find(s, LMM_SENSOR_ENERGY, "dram")->part_of, 0);
	assert_int_equal(find(s, LMM_SENSOR_ENERGY, "dram")->component, LMM_COMPONENT_MEMORY);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "card0"), 1100000000);
	assert_int_equal(VALUE(&r, s, POWER, "BAT0"), 11500000);
	assert_int_equal(VALUE(&r, s, VOLTAGE, "BAT0"), 11400000);
	assert_null(find(s, LMM_SENSOR_VOLTAGE, "hidpp_battery_0"));
	assert_int_equal(VALUE(&r, s, STALL, "some"), 0);
	assert_int_equal(VALUE(&r, s, MEMORY, "MemAvailable"), 9000000ll * 1024);
	assert_int_equal(find(s, LMM_SENSOR_MEMORY, "MemAvailable")->limit, 16000000ll * 1024);
	for (unsigned i = 0; i < lmm_sense_count(s); i++)
		assert_string_equal(lmm_sense_sensor(s, i)->absent, "");
	close_machine(&m, s);
}

static void test_sums(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, laptop);
	struct lmm_samples r;

	(void)state;
	lmm_sense_read(s, 1, &r);
	machine_set(&m, RAPL "0/energy_uj", "262143000000\n");
	lmm_sense_read(s, 2, &r);
	assert_int_equal(VALUE(&r, s, ENERGY, "package-0"), 143000000);
	/* it wraps: 262143328850 - 262143000000 + 500000 */
	machine_set(&m, RAPL "0/energy_uj", "500000\n");
	lmm_sense_read(s, 3, &r);
	assert_int_equal(VALUE(&r, s, ENERGY, "package-0"), 143000000 + 328850 + 500000);
	/* a counter that has no end and goes back has begun anew: nothing is known of it */
	machine_set(&m, CPU "0/thermal_throttle/package_throttle_total_time_ms", "260\n");
	machine_set(&m, CPU "0/thermal_throttle/core_throttle_count", "3\n");
	machine_set(&m, "/proc/pressure/memory",
		    "some avg10=0.00 avg60=0.00 avg300=0.00 total=1700\n"
		    "full avg10=0.00 avg60=0.00 avg300=0.00 total=450\n");
	r = all_read(s);
	assert_int_equal(VALUE(&r, s, THROTTLE_TIME, "package of this CPU"), 10000);
	assert_int_equal(VALUE(&r, s, THROTTLE_COUNT, "cpu0"), 0);
	assert_int_equal(VALUE(&r, s, STALL, "some"), 700);
	assert_int_equal(VALUE(&r, s, STALL, "full"), 50);
	machine_set(&m, CPU "0/thermal_throttle/core_throttle_count", "5\n");
	r = all_read(s);
	assert_int_equal(VALUE(&r, s, THROTTLE_COUNT, "cpu0"), 2);
	close_machine(&m, s);
}

static void test_jetson(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, jetson);
	struct lmm_samples r = all_read(s);

	(void)state;
	assert_int_equal(VALUE(&r, s, POWER, "VDD_IN"), 4976 * 2345);
	assert_int_equal(VALUE(&r, s, POWER, "VDD_CPU_GPU_CV"), 4968 * 1200);
	assert_int_equal(VALUE(&r, s, POWER, "VDD_SOC"), 4960 * 500);
	assert_int_equal(find(s, LMM_SENSOR_POWER, "VDD_IN")->component, LMM_COMPONENT_BOARD);
	assert_int_equal(find(s, LMM_SENSOR_POWER, "VDD_CPU_GPU_CV")->component,
			 LMM_COMPONENT_CPU_GPU);
	assert_null(find(s, LMM_SENSOR_POWER, "Sum of shunt voltages"));
	assert_int_equal(VALUE(&r, s, FREQUENCY, "17000000.gpu"), 918000000);
	assert_null(find(s, LMM_SENSOR_FREQUENCY, "15340000.vic"));
	assert_int_equal(VALUE(&r, s, LOAD, "gpu.0"), 987);
	assert_int_equal(VALUE(&r, s, TEMPERATURE, "gpu-thermal"), 55500);
	/* a zone whose part is switched off */
	assert_null(find(s, LMM_SENSOR_TEMPERATURE, "cv0-thermal"));
	assert_null(find(s, LMM_SENSOR_COOLING, "gpu-fan"));
	machine_set(&m, HWMON "1/curr1_input", "3000\n");
	lmm_sense_read(s, 11, &r);
	assert_int_equal(VALUE(&r, s, POWER, "VDD_IN"), 4976 * 3000);
	close_machine(&m, s);
}

static void test_adreno(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, adreno);
	struct lmm_samples r = all_read(s);

	(void)state;
	assert_int_equal(VALUE(&r, s, LOAD, "kgsl-3d0"), 612);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "kgsl-3d0"), 587000000);
	assert_int_equal(VALUE(&r, s, COOLING, "thermal-cpufreq-0"), 4);
	assert_int_equal(find(s, LMM_SENSOR_COOLING, "kgsl-3d0")->component, LMM_COMPONENT_GPU);
	assert_null(find(s, LMM_SENSOR_COOLING, "panel0-backlight"));
	/* 0.85 A × 4.012 V, whatever the sign */
	assert_int_equal(VALUE(&r, s, POWER, "battery"), 3410200);
	assert_int_equal(VALUE(&r, s, CURRENT, "battery"), -850000);
	assert_string_equal(absent(s, "memory pressure"), "");
	/* the counters were reset by the last reading, and nothing ran since; then 1/4 */
	machine_set(&m, KGSL "gpubusy", "      0       0\n");
	lmm_sense_read(s, 11, &r);
	assert_int_equal(VALUE(&r, s, LOAD, "kgsl-3d0"), 0);
	machine_set(&m, KGSL "gpubusy", "  25000  100000\n");
	lmm_sense_read(s, 12, &r);
	assert_int_equal(VALUE(&r, s, LOAD, "kgsl-3d0"), 250);
	/* busier than time allows */
	machine_set(&m, KGSL "gpubusy", "  200000  100000\n");
	lmm_sense_read(s, 13, &r);
	assert_int_equal(VALUE(&r, s, LOAD, "kgsl-3d0"), NOTHING);
	close_machine(&m, s);
}

static void test_mali(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, mali);
	struct lmm_samples r = all_read(s);
	unsigned clocks = 0;

	(void)state;
	assert_int_equal(VALUE(&r, s, LOAD, "mali0"), 730);
	/* said in kHz there; three files tell the same */
	assert_int_equal(VALUE(&r, s, FREQUENCY, "28000000.mali"), 848000000);
	for (unsigned i = 0; i < lmm_sense_count(s); i++) {
		const struct lmm_sensor *x = lmm_sense_sensor(s, i);

		clocks += x->kind == LMM_SENSOR_FREQUENCY && x->component == LMM_COMPONENT_GPU;
	}
	assert_int_equal(clocks, 1);
	assert_string_equal(absent(s, "throttling"), "not there");
	/* what flows into the battery is not what the phone draws */
	assert_int_equal(VALUE(&r, s, POWER, "battery"), NOTHING);
	machine_set(&m, "/sys/class/power_supply/battery/status", "Discharging\n");
	r = all_read(s);
	assert_int_equal(VALUE(&r, s, POWER, "battery"), 5160000);
	close_machine(&m, s);
}

static void test_nothing(void **state)
{
	static const struct machine_file empty[] = { { "/sys/none", "" }, { NULL, NULL } };
	static const char *const names[] = { "CPU frequency",  "CPU governor", "temperature",
					     "throttling",     "GPU",	       "power",
					     "memory pressure" };
	struct machine m;
	struct lmm_sense *s = open_machine(&m, empty);
	struct lmm_samples r;

	(void)state;
	lmm_sense_read(s, 7, &r);
	assert_int_equal(r.n, 0);
	assert_int_equal(r.ticks, 7);
	assert_int_equal(lmm_sense_count(s), LMM_ARRAY_SIZE(names));
	for (size_t i = 0; i < LMM_ARRAY_SIZE(names); i++)
		assert_string_equal(absent(s, names[i]), "not there");
	close_machine(&m, s);
}

static void test_denied(void **state)
{
	struct machine m;
	struct lmm_sense *s;
	struct lmm_sense_opts opts = { .root = m.root };
	static const char *const zones[] = { "0", "0:0", "0:1" };
	uid_t user = geteuid();
	char path[256];

	(void)state;
	machine_make(&m, laptop);
	assert_int_equal(chmod(m.root, 0755), 0);
	for (size_t i = 0; i < LMM_ARRAY_SIZE(zones); i++) {
		(void)snprintf(path, sizeof(path), "%s" RAPL "%s/energy_uj", m.root, zones[i]);
		assert_int_equal(chmod(path, 0), 0);
	}
	/* root may read everything */
	if (user == 0)
		assert_int_equal(seteuid(65534), 0);
	s = lmm_sense_create(&opts);
	assert_int_equal(seteuid(user), 0);
	assert_non_null(s);
	assert_string_equal(absent(s, "CPU energy (RAPL)"), "not readable: permission denied");
	assert_string_equal(absent(s, "power"), ""); /* the battery says it */
	assert_null(find(s, LMM_SENSOR_ENERGY, "package-0"));
	close_machine(&m, s);
}

/* NVIDIA's library, played by another of the same interface: device 1 does not tell its power. */
static void test_nvml(void **state)
{
	static const struct machine_file empty[] = { { "/sys/none", "" }, { NULL, NULL } };
	struct machine m;
	struct lmm_sense_opts opts = { .root = m.root, .nvml = FAKE_NVML };
	struct lmm_sense *s;
	struct lmm_samples r;

	(void)state;
	machine_make(&m, empty);
	s = lmm_sense_create(&opts);
	assert_non_null(s);
	r = all_read(s);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "0: Fake GPU"), 1755000000);
	assert_int_equal(find(s, LMM_SENSOR_FREQUENCY, "0: Fake GPU")->limit, 1980000000);
	assert_int_equal(find(s, LMM_SENSOR_FREQUENCY, "0: Fake GPU")->component,
			 LMM_COMPONENT_GPU);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "0: Fake GPU memory"), 2619000000);
	assert_int_equal(find(s, LMM_SENSOR_FREQUENCY, "0: Fake GPU memory")->limit, 2619000000);
	/* what is the GPU's is shown as its clock */
	assert_int_equal(find(s, LMM_SENSOR_FREQUENCY, "0: Fake GPU memory")->component,
			 LMM_COMPONENT_MEMORY);
	assert_int_equal(VALUE(&r, s, LOAD, "0: Fake GPU"), 420);
	assert_int_equal(VALUE(&r, s, POWER, "0: Fake GPU"), 123456000);
	assert_int_equal(VALUE(&r, s, TEMPERATURE, "0: Fake GPU"), 61000);
	/* dear, and needed only where there is no power: 5 mJ more at each reading, of which the first is when it is found */
	assert_null(find(s, LMM_SENSOR_ENERGY, "0: Fake GPU"));
	assert_int_equal(VALUE(&r, s, ENERGY, "1: Fake GPU"), 10 * 5000);
	/* idleness and the user's own clocks are no throttling */
	assert_int_equal(VALUE(&r, s, THROTTLE_REASONS, "0: Fake GPU"), 0x24);
	assert_null(find(s, LMM_SENSOR_POWER, "1: Fake GPU"));
	assert_non_null(find(s, LMM_SENSOR_LOAD, "1: Fake GPU"));
	assert_string_equal(absent(s, "GPU"), "");
	close_machine(&m, s);
}

/* A library that is none, and one that is not NVIDIA's. */
static void test_no_nvml(void **state)
{
	static const struct machine_file empty[] = { { "/sys/none", "" }, { NULL, NULL } };
	struct machine m;
	struct lmm_sense_opts opts = { .root = m.root, .nvml = "liblmmeter-is-not-there.so" };
	struct lmm_sense *s;

	(void)state;
	machine_make(&m, empty);
	s = lmm_sense_create(&opts);
	assert_non_null(s);
	assert_string_equal(absent(s, "NVIDIA GPU (NVML)"), "");
	assert_string_equal(absent(s, "GPU"), "not there");
	lmm_sense_destroy(s);
	opts.nvml = "libc.so.6";
	s = lmm_sense_create(&opts);
	assert_non_null(s);
	assert_string_equal(absent(s, "NVIDIA GPU (NVML)"), "not readable");
	close_machine(&m, s);
}

/* Each of these in each file of each machine, before it is opened and afterwards. */
static const char *const bad_texts[] = {
	"",
	"\n",
	"garbage\n",
	"-1\n",
	"-999999999999\n",
	"99999999999999999999999999\n",
	"9223372036854775807\n",
	"-9223372036854775808\n",
	"1e9\n",
	"12.5\n",
	"* : *\n",
	"some total=\nfull total=x\n",
	"MemAvailable:\n",
	"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38\n",
	"\x80\xff\x01\x7f",
};

static const struct {
	int64_t min, max;
} plausible[LMM_SENSOR_KIND_COUNT] = {
	[LMM_SENSOR_FREQUENCY] = { 0, 100000000000 },
	[LMM_SENSOR_GOVERNOR] = { 0, 255 },
	[LMM_SENSOR_TEMPERATURE] = { -60000, 250000 },
	[LMM_SENSOR_COOLING] = { -1, INT32_MAX },
	[LMM_SENSOR_THROTTLE_COUNT] = { 0, INT64_MAX },
	[LMM_SENSOR_THROTTLE_TIME] = { 0, INT64_MAX },
	[LMM_SENSOR_ENERGY] = { 0, INT64_MAX },
	[LMM_SENSOR_POWER] = { 0, 100000000000 },
	[LMM_SENSOR_STALL] = { 0, INT64_MAX },
	[LMM_SENSOR_MEMORY] = { 0, INT64_MAX },
	[LMM_SENSOR_LOAD] = { 0, 1000 },
	[LMM_SENSOR_VOLTAGE] = { 0, 10000000000 },
	[LMM_SENSOR_CURRENT] = { -1000000000, 1000000000 },
};

static void assert_plausible(struct lmm_sense *s, const struct lmm_samples *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		const struct lmm_sensor *x = lmm_sense_sensor(s, r->samples[i].sensor);

		assert_true(r->samples[i].value >= plausible[x->kind].min);
		assert_true(r->samples[i].value <= plausible[x->kind].max);
		assert_string_equal(x->absent, "");
		assert_true(x->limit >= 0);
		if (x->kind == LMM_SENSOR_GOVERNOR)
			assert_true(x->states[0] != '\0');
	}
}

static void break_files(const struct machine_file *files)
{
	struct machine m;
	struct lmm_sense_opts opts = { .root = m.root };
	struct lmm_sense *s;
	struct lmm_samples r;

	machine_make(&m, files);
	for (const struct machine_file *f = files; f->path; f++) {
		for (size_t i = 0; i < LMM_ARRAY_SIZE(bad_texts); i++) {
			unsigned n;

			s = lmm_sense_create(&opts);
			assert_non_null(s);
			lmm_sense_read(s, 1, &r);
			n = r.n;
			machine_set(&m, f->path, bad_texts[i]);
			r = all_read(s);
			/* the others go on */
			assert_true(r.n + 4 >= n);
			assert_plausible(s, &r);
			lmm_sense_destroy(s);
			s = lmm_sense_create(&opts);
			assert_non_null(s);
			r = all_read(s);
			assert_true(r.n + 4 >= n);
			assert_plausible(s, &r);
			lmm_sense_destroy(s);
			machine_set(&m, f->path, f->text);
		}
	}
	machine_remove(&m);
}

static void test_bad_files(void **state)
{
	(void)state;
	break_files(laptop);
	break_files(jetson);
	break_files(adreno);
	break_files(mali);
}

static void test_vanishing(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, laptop);
	struct lmm_samples r;
	char path[256];

	(void)state;
	lmm_sense_read(s, 1, &r);
	machine_set(&m, POLICY "0/scaling_cur_freq", "");
	lmm_sense_read(s, 2, &r);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "policy0"), NOTHING);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "policy2"), 1900000000);
	machine_set(&m, POLICY "0/scaling_cur_freq", "1000000\n");
	lmm_sense_read(s, 3, &r);
	assert_int_equal(VALUE(&r, s, FREQUENCY, "policy0"), 1000000000);
	(void)snprintf(path, sizeof(path), "%s" POLICY "2/scaling_cur_freq", m.root);
	assert_int_equal(unlink(path), 0);
	lmm_sense_read(s, 4, &r);
	assert_int_equal(r.ticks, 4);
	lmm_sense_destroy(s);
	machine_remove(&m);
}

/* A sum that is away for a while loses nothing. */
static void test_sum_returns(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, laptop);
	struct lmm_samples r;

	(void)state;
	machine_set(&m, RAPL "0:1/energy_uj", "garbage");
	lmm_sense_read(s, 1, &r);
	assert_int_equal(VALUE(&r, s, ENERGY, "dram"), NOTHING);
	machine_set(&m, RAPL "0:1/energy_uj", "905000\n");
	lmm_sense_read(s, 2, &r);
	assert_int_equal(VALUE(&r, s, ENERGY, "dram"), 900000);
	close_machine(&m, s);
}

/* A machine with more of everything than is taken. */
static void test_too_many(void **state)
{
	struct machine m;
	struct lmm_sense *s;
	struct lmm_sense_opts opts = { .root = m.root };
	char path[128];
	unsigned policies = 0;

	(void)state;
	machine_make(&m, mali);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(path, sizeof(path), POLICY "%u/scaling_cur_freq", i);
		machine_set(&m, path, "1000000\n");
		(void)snprintf(path, sizeof(path), ZONE "%u/temp", i);
		machine_set(&m, path, "40000\n");
		(void)snprintf(path, sizeof(path), RAPL "%u/energy_uj", i);
		machine_set(&m, path, "40000\n");
		(void)snprintf(path, sizeof(path), RAPL "%u/name", i);
		machine_set(&m, path, "package-0\n");
	}
	s = lmm_sense_create(&opts);
	assert_non_null(s);
	assert_true(lmm_sense_count(s) <= 256);
	for (unsigned i = 0; i < lmm_sense_count(s); i++) {
		policies += lmm_sense_sensor(s, i)->kind == LMM_SENSOR_FREQUENCY &&
			    lmm_sense_sensor(s, i)->component == LMM_COMPONENT_CPU;
	}
	assert_int_equal(policies, 16);
	/* the ones behind are found all the same */
	assert_non_null(find(s, LMM_SENSOR_LOAD, "mali0"));
	assert_null(lmm_sense_sensor(s, lmm_sense_count(s)));
	close_machine(&m, s);
}

/* A round costs what it costs; the period follows. */
static void test_period(void **state)
{
	struct machine m;
	struct lmm_sense *s = open_machine(&m, laptop);
	struct lmm_samples r;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		lmm_sense_read(s, i, &r);
	assert_true(lmm_sense_cost_ns(s) > 0);
	assert_true(lmm_sense_period_ns(s) >= LMM_SENSE_PERIOD_NS);
	assert_true(lmm_sense_period_ns(s) >= lmm_sense_cost_ns(s) * 1000);
	print_message("a round of %u sensors: %llu ns of CPU time\n", r.n,
		      (unsigned long long)lmm_sense_cost_ns(s));
	close_machine(&m, s);
}

/* This very machine, whatever it has. */
/* ---- the traced process ------------------------------------------------------------------------- */

/* Its name may hold anything. minflt is the tenth number, majflt the twelfth. */
#define STAT(minor, major) "77 (a) b 9 (c) S 1 2 3 4 5 6 " minor " 8 " major " 10 11"

static const struct machine_file processes[] = {
	{ "/proc/77/stat", STAT("1000", "20") },
	{ "/proc/77/task/77/schedstat", "5000000 7000000 12" },
	{ "/proc/77/task/78/schedstat", "5000000 1000000 12" },
	{ "/proc/99/stat", STAT("5", "6") },
	{ "/proc/99/task/99/schedstat", "1 2 3" },
	{ NULL, NULL },
};

static void test_process(void **state)
{
	struct machine m;
	struct lmm_sense_opts opts = { .root = m.root, .process = 1 };
	struct lmm_sense *s;
	struct lmm_samples r;

	(void)state;
	machine_make(&m, processes);
	s = lmm_sense_create(&opts);
	assert_non_null(s);
	/* described, and silent until somebody says which process it is */
	assert_int_equal(find(s, LMM_SENSOR_RUN_WAIT, "process")->component, LMM_COMPONENT_PROCESS);
	lmm_sense_read(s, 1, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), NOTHING);
	assert_int_equal(VALUE(&r, s, MAJOR_FAULTS, "process"), NOTHING);
	lmm_sense_watch(s, 77);
	lmm_sense_read(s, 2, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), 0);
	assert_int_equal(VALUE(&r, s, MAJOR_FAULTS, "process"), 0);
	assert_int_equal(VALUE(&r, s, MINOR_FAULTS, "process"), 0);
	/* 3 ms and 5 ms side by side: the process waited 5 */
	machine_set(&m, "/proc/77/task/77/schedstat", "5000000 10000000 13");
	machine_set(&m, "/proc/77/task/78/schedstat", "5000000 6000000 13");
	machine_set(&m, "/proc/77/stat", STAT("1500", "23"));
	lmm_sense_read(s, 3, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), 5000);
	assert_int_equal(VALUE(&r, s, MAJOR_FAULTS, "process"), 3);
	assert_int_equal(VALUE(&r, s, MINOR_FAULTS, "process"), 500);
	/* a thread that is new is found in time, and what it waited before is not this round's */
	machine_set(&m, "/proc/77/task/79/schedstat", "1 90000000 1");
	for (unsigned i = 0; i < 10; i++)
		lmm_sense_read(s, 4 + i, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), 5000);
	machine_set(&m, "/proc/77/task/79/schedstat", "1 91000000 1");
	lmm_sense_read(s, 20, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), 6000);
	/* another process: sums never go back */
	lmm_sense_watch(s, 99);
	lmm_sense_read(s, 21, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), 6000);
	assert_int_equal(VALUE(&r, s, MINOR_FAULTS, "process"), 500);
	machine_set(&m, "/proc/99/stat", STAT("6", "6"));
	lmm_sense_read(s, 22, &r);
	assert_int_equal(VALUE(&r, s, MINOR_FAULTS, "process"), 501);
	/* gone, or never there */
	lmm_sense_watch(s, 100);
	lmm_sense_read(s, 23, &r);
	assert_int_equal(VALUE(&r, s, RUN_WAIT, "process"), NOTHING);
	assert_int_equal(VALUE(&r, s, MINOR_FAULTS, "process"), NOTHING);
	/* as it is with a machine that is modelled and has no process to be watched */
	lmm_sense_destroy(s);
	opts.process = 0;
	s = lmm_sense_create(&opts);
	assert_null(find(s, LMM_SENSOR_RUN_WAIT, "process"));
	lmm_sense_watch(s, 77);
	lmm_sense_destroy(s);
	machine_remove(&m);
}

static void test_here(void **state)
{
	struct lmm_sense_opts opts = { .nvml = "libnvidia-ml.so.1" };
	struct lmm_sense *s = lmm_sense_create(&opts);
	struct lmm_samples r;

	(void)state;
	assert_non_null(s);
	r = all_read(s);
	assert_true(lmm_sense_count(s) >= r.n);
	for (unsigned i = 0; i < lmm_sense_count(s); i++) {
		const struct lmm_sensor *x = lmm_sense_sensor(s, i);

		assert_int_equal(x->sensor, i);
		assert_true(x->name[0] && x->source[0] && x->unit[0]);
		assert_true(x->part_of <= lmm_sense_count(s));
	}
	lmm_sense_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_laptop),	  cmocka_unit_test(test_sums),
		cmocka_unit_test(test_jetson),	  cmocka_unit_test(test_adreno),
		cmocka_unit_test(test_mali),	  cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_denied),	  cmocka_unit_test(test_nvml),
		cmocka_unit_test(test_no_nvml),	  cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_vanishing), cmocka_unit_test(test_sum_returns),
		cmocka_unit_test(test_too_many),  cmocka_unit_test(test_period),
		cmocka_unit_test(test_process),	  cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
