/* SPDX-License-Identifier: Apache-2.0 */
#include "report/format.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "analyze/result.h"
#include "base/compiler.h"
#include "lmmeter/trace.h"

/* ---- UTF-8 -------------------------------------------------------------------------------------- */

static size_t utf8_length(unsigned char lead, uint32_t *code, uint32_t *least)
{
	if (lead < 0x80) {
		*code = lead;
		*least = 0;
		return 1;
	}
	if (lead >= 0xc2 && lead < 0xe0) {
		*code = lead & 0x1fu;
		*least = 0x80;
		return 2;
	}
	if (lead >= 0xe0 && lead < 0xf0) {
		*code = lead & 0x0fu;
		*least = 0x800;
		return 3;
	}
	if (lead >= 0xf0 && lead < 0xf5) {
		*code = lead & 0x07u;
		*least = 0x10000;
		return 4;
	}
	return 0;
}

size_t lmm_utf8_next(const char *s, uint32_t *code)
{
	uint32_t c = 0, least = 0;
	size_t n = utf8_length((unsigned char)s[0], &c, &least);

	*code = LMM_UTF8_INVALID;
	if (n == 0)
		return 1;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0u) != 0x80u)
			return 1;
		c = c << 6 | ((unsigned char)s[i] & 0x3fu);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 1;
	*code = c;
	return n;
}

size_t lmm_utf8_put(char dst[4], uint32_t c)
{
	if (c < 0x80) {
		dst[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (char)(0xc0 | c >> 6);
		dst[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (char)(0xe0 | c >> 12);
		dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | c >> 18);
	dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

struct code_range {
	uint32_t from, to;
};

static int in_ranges(const struct code_range *ranges, size_t n, uint32_t code)
{
	for (size_t i = 0; i < n; i++) {
		if (code >= ranges[i].from && code <= ranges[i].to)
			return 1;
	}
	return 0;
}

int lmm_code_is_unsafe(uint32_t code)
{
	static const struct code_range unsafe[] = {
		{ 0x00, 0x1f },	    { 0x7f, 0x9f },	{ 0xad, 0xad },	    { 0x61c, 0x61c },
		{ 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xe0000, 0xe0fff },
	};

	return code == LMM_UTF8_INVALID || in_ranges(unsafe, LMM_ARRAY_SIZE(unsafe), code);
}

static int code_width(uint32_t code)
{
	static const struct code_range combining[] = {
		{ 0x300, 0x36f },   { 0x483, 0x489 },	{ 0x591, 0x5bd },
		{ 0x610, 0x61a },   { 0x64b, 0x65f },	{ 0x1ab0, 0x1aff },
		{ 0x1dc0, 0x1dff }, { 0x20d0, 0x20ff }, { 0xfe20, 0xfe2f },
	};
	static const struct code_range wide[] = {
		{ 0x1100, 0x115f },   { 0x2e80, 0xa4cf },   { 0xac00, 0xd7a3 },
		{ 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },
		{ 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff },
		{ 0x1f900, 0x1faff }, { 0x20000, 0x3fffd },
	};

	if (code < 0x300)
		return 1;
	if (in_ranges(combining, LMM_ARRAY_SIZE(combining), code))
		return 0;
	return in_ranges(wide, LMM_ARRAY_SIZE(wide), code) ? 2 : 1;
}

/* One code point as it is shown; returns its columns. */
static int show_code(const char *s, size_t n, uint32_t code, char shown[12])
{
	if (code == LMM_UTF8_INVALID || (code < 0x100 && lmm_code_is_unsafe(code))) {
		return snprintf(shown, 12, "\\x%02x",
				code == LMM_UTF8_INVALID ? (unsigned)(unsigned char)s[0] : code);
	}
	if (lmm_code_is_unsafe(code))
		return snprintf(shown, 12, "\\u%04" PRIx32, code);
	memcpy(shown, s, n);
	shown[n] = '\0';
	return code_width(code);
}

/* Bytes of src that fit, shown, in columns and size; *used gets the columns. */
static size_t fit_some(char *dst, size_t size, const char *src, int columns, int *used)
{
	size_t at = 0, out = 0;
	int width = 0;

	while (src[at]) {
		char shown[12];
		uint32_t code;
		size_t n = lmm_utf8_next(src + at, &code);
		int w = show_code(src + at, n, code, shown);
		size_t len = strlen(shown);

		if (width + w > columns || out + len + 1 > size)
			break;
		memcpy(dst + out, shown, len);
		out += len;
		width += w;
		at += n;
	}
	dst[out] = '\0';
	*used = width;
	return at;
}

int lmm_text_fit(char *dst, size_t size, const char *src, int columns)
{
	int used = 0;
	size_t out;

	if (size == 0)
		return 0;
	if (src[fit_some(dst, size, src, columns, &used)] == '\0')
		return used;
	if (size < 2 || columns < 1)
		return used;
	fit_some(dst, size - 1, src, columns - 1, &used);
	out = strlen(dst);
	dst[out] = '~';
	dst[out + 1] = '\0';
	return used + 1;
}

/* ---- numbers ------------------------------------------------------------------------------------ */

static struct lmm_human three_digits(double v, const char *unit)
{
	struct lmm_human h;
	int decimals = v < 9.995 ? 2 : (v < 99.95 ? 1 : 0);

	(void)snprintf(h.s, sizeof(h.s), "%.*f%s", decimals, v, unit);
	return h;
}

struct lmm_human lmm_human_ns(double ns)
{
	struct lmm_human h;
	uint64_t s;

	if (!(ns > 0.0)) {
		(void)snprintf(h.s, sizeof(h.s), "%s", ns < 0.0 ? "-" : "0");
		return h;
	}
	if (ns < 999.5) {
		(void)snprintf(h.s, sizeof(h.s), ns < 9.95 ? "%.1f ns" : "%.0f ns", ns);
		return h;
	}
	if (ns < 999.5e3)
		return three_digits(ns / 1e3, " us");
	if (ns < 999.5e6)
		return three_digits(ns / 1e6, " ms");
	if (ns < 119.95e9)
		return three_digits(ns / 1e9, " s");
	s = ns < 1e18 ? (uint64_t)(ns / 1e9 + 0.5) : 1000000000u;
	if (s < 7200) {
		(void)snprintf(h.s, sizeof(h.s), "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	} else {
		(void)snprintf(h.s, sizeof(h.s), "%" PRIu64 "h%02" PRIu64 "m", s / 3600,
			       s / 60 % 60);
	}
	return h;
}

struct lmm_human lmm_human_bytes(double bytes)
{
	static const char *const units[] = { " KiB", " MiB", " GiB", " TiB", " PiB", " EiB" };
	struct lmm_human h;
	size_t i = 0;

	if (!(bytes >= 1023.5)) {
		(void)snprintf(h.s, sizeof(h.s), "%.0f B", bytes > 0 ? bytes : 0.0);
		return h;
	}
	for (bytes /= 1024; bytes >= 999.5 && i + 1 < LMM_ARRAY_SIZE(units); i++)
		bytes /= 1024;
	return three_digits(bytes, units[i]);
}

struct lmm_human lmm_human_count(uint64_t count)
{
	struct lmm_human h;
	char plain[24];
	int n = snprintf(plain, sizeof(plain), "%" PRIu64, count);
	size_t out = 0;

	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			h.s[out++] = ',';
		h.s[out++] = plain[i];
	}
	h.s[out] = '\0';
	return h;
}

struct lmm_human lmm_human_si(double v)
{
	static const char *const units[] = { "", " k", " M", " G", " T", " P", " E" };
	struct lmm_human h;
	size_t i = 0;

	if (!(v >= 999.5)) {
		(void)snprintf(h.s, sizeof(h.s), "%.0f", v > 0 ? v : 0.0);
		return h;
	}
	for (; v >= 999.5 && i + 1 < LMM_ARRAY_SIZE(units); i++)
		v /= 1000;
	return three_digits(v, units[i]);
}

struct lmm_human lmm_human_hz(double hz)
{
	struct lmm_human h = lmm_human_si(hz);

	(void)strncat(h.s, h.s[0] && strchr(h.s, ' ') ? "Hz" : " Hz",
		      sizeof(h.s) - strlen(h.s) - 1);
	return h;
}

struct lmm_human lmm_human_short(uint64_t count)
{
	return count < 1000000 ? lmm_human_count(count) : lmm_human_si((double)count);
}

struct lmm_human lmm_human_rate(double v)
{
	if (!(v > 0.0) || !isfinite(v))
		return lmm_human_count(0);
	if (v < 999.5)
		return three_digits(v, "");
	return lmm_human_count(v < 1e15 ? (uint64_t)(v + 0.5) : 1000000000000000u);
}

struct lmm_human lmm_human_percent(double v)
{
	struct lmm_human h;

	if (!isfinite(v) || v < 0) {
		(void)snprintf(h.s, sizeof(h.s), "-");
	} else if (v > 0 && v < 0.00095) {
		(void)snprintf(h.s, sizeof(h.s), "~0 %%"); /* wider would burst a column */
	} else if (v > 0 && v < 0.0095) {
		(void)snprintf(h.s, sizeof(h.s), "%.1g %%", v);
	} else {
		(void)snprintf(h.s, sizeof(h.s), v > 0 && v < 0.0995 ? "%.2f %%" : "%.1f %%",
			       v < 1e9 ? v : 1e9);
	}
	return h;
}

struct lmm_human lmm_decimal(double v, unsigned decimals)
{
	struct lmm_human h;
	uint64_t scale = 1, n;
	double scaled;
	int len;

	if (!isfinite(v)) {
		(void)snprintf(h.s, sizeof(h.s), "null");
		return h;
	}
	for (unsigned i = 0; i < decimals && i < 9; i++)
		scale *= 10;
	scaled = fabs(v) * (double)scale;
	if (scaled >= 9e15) {
		/* beyond the exact integers of a double: no digits behind the point, 17 in front */
		(void)snprintf(h.s, sizeof(h.s), fabs(v) < 1e17 ? "%.0f" : "%.12e", v);
		for (char *p = h.s; *p; p++) {
			if (*p == ',')
				*p = '.';
		}
		return h;
	}
	n = (uint64_t)(scaled + 0.5);
	len = snprintf(h.s, sizeof(h.s), "%s%" PRIu64, v < 0 && n ? "-" : "", n / scale);
	n %= scale;
	if (n == 0)
		return h;
	h.s[len++] = '.';
	for (scale /= 10; n; scale /= 10) {
		h.s[len++] = (char)('0' + n / scale);
		n %= scale;
	}
	h.s[len] = '\0';
	return h;
}

const char *lmm_gap_name(unsigned cause)
{
	static const char *const names[LMM_GAP_CAUSES] = { "host", "read_back", "driver",
							   "first_use", "unknown" };

	return cause < LMM_GAP_CAUSES ? names[cause] : "?";
}

const char *lmm_gap_reason(unsigned cause)
{
	static const char *const reasons[LMM_GAP_CAUSES] = {
		"the host handed the next command over late",
		"the host read results back, sampled, and began the next step",
		"handed over in time, the driver or the device had not begun",
		"the next command's kernel was made ready for its first run",
		"shorter than the error of the clocks",
	};

	return cause < LMM_GAP_CAUSES ? reasons[cause] : "?";
}

const char *lmm_level_name(unsigned level)
{
	static const char *const names[] = { "off", "counts", "phases", "kernels" };

	return level < LMM_ARRAY_SIZE(names) ? names[level] : "?";
}

const char *lmm_clock_name(unsigned clock)
{
	static const char *const names[] = { "monotonic", "tsc", "cntvct" };

	return clock < LMM_ARRAY_SIZE(names) ? names[clock] : "?";
}
