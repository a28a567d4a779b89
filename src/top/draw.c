/* SPDX-License-Identifier: Apache-2.0 */
#include "top/top.h"

#include <errno.h>

const char *lmm_top_terminal_why(int rc)
{
	switch (rc) {
	case -ENOTTY:
		return "this process has no terminal";
	case -EINVAL:
		return "the terminal's kind is not known: is TERM set?";
	case -ENOSYS:
		return "lmmeter was built without ncursesw";
	default:
		return "out of memory";
	}
}

#ifdef LMM_HAVE_NCURSESW

#define NCURSES_WIDECHAR 1
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>

#define CHOICE_MS 1000 /* from one look at what goes on to the next */

struct lmm_top_terminal {
	FILE *tty;
	SCREEN *screen;
	struct lmm_top_screen cells;
	uint8_t is_utf8;
};

static void colors_make(void)
{
	if (!has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(1, COLOR_CYAN, -1);
	init_pair(2, COLOR_YELLOW, -1);
}

static attr_t attribute_of(uint8_t style)
{
	static const attr_t plain[LMM_TOP_STYLES] = {
		[LMM_TOP_TITLE] = A_REVERSE, [LMM_TOP_HEAD] = A_BOLD, [LMM_TOP_DIM] = A_DIM,
		[LMM_TOP_WARN] = A_BOLD,     [LMM_TOP_KEY] = A_BOLD,
	};

	return style < LMM_TOP_STYLES ? plain[style] : A_NORMAL;
}

static short pair_of(uint8_t style)
{
	if (style == LMM_TOP_BAR)
		return 1;
	return style == LMM_TOP_WARN ? 2 : 0;
}

int lmm_top_terminal_open(struct lmm_top_terminal **out)
{
	struct lmm_top_terminal *x = calloc(1, sizeof(*x));
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	const char *term = getenv("TERM");
	int rc = -ENOTTY;

	*out = NULL;
	if (!x)
		return -ENOMEM;
	x->tty = fopen("/dev/tty", "r+e");
	if (!x->tty)
		goto err;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): lmmeter has one thread */
	setlocale(LC_CTYPE, "");
	rc = -EINVAL;
	x->screen = term ? newterm(term, x->tty, x->tty) : NULL;
	if (!x->screen)
		goto err;
	x->is_utf8 = MB_CUR_MAX > 1;
	set_term(x->screen);
	colors_make();
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	*out = x;
	return 0;
err:
	if (x->tty)
		fclose(x->tty);
	free(x);
	return rc;
}

void lmm_top_terminal_close(struct lmm_top_terminal *x)
{
	if (!x)
		return;
	endwin();
	delscreen(x->screen);
	fclose(x->tty);
	free(x->cells.cells);
	free(x);
}

static int cells_fit(struct lmm_top_screen *s)
{
	unsigned rows = (unsigned)getmaxy(stdscr), columns = (unsigned)getmaxx(stdscr);
	struct lmm_top_cell *cells;

	if (rows == s->rows && columns == s->columns)
		return 0;
	cells = calloc((size_t)rows * columns + 1, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	free(s->cells);
	*s = (struct lmm_top_screen){ rows, columns, cells };
	return 0;
}

/* What a terminal without UTF-8 shows of the blocks that bars are made of. */
static wchar_t shown(const struct lmm_top_terminal *x, uint32_t code)
{
	static const char levels[] = "_.-:=+*#";

	if (code < 0x80 || x->is_utf8)
		return (wchar_t)code;
	if (code >= 0x2581 && code <= 0x2588)
		return (wchar_t)levels[code - 0x2581];
	return code >= 0x2589 && code <= 0x258f ? L'#' : L'?';
}

static void show(const struct lmm_top_terminal *x)
{
	const struct lmm_top_screen *s = &x->cells;

	for (unsigned row = 0; row < s->rows; row++) {
		for (unsigned column = 0; column < s->columns; column++) {
			const struct lmm_top_cell *c = &s->cells[row * s->columns + column];
			wchar_t text[2] = { shown(x, c->code), 0 };
			cchar_t cell;

			setcchar(&cell, text, attribute_of(c->style), pair_of(c->style), NULL);
			mvadd_wch((int)row, (int)column, &cell);
		}
	}
	refresh();
}

void lmm_top_draw(struct lmm_top_terminal *x, const struct lmm_top *t, const struct lmm_top_view *v)
{
	if (cells_fit(&x->cells))
		return;
	lmm_top_layout(t, v, &x->cells);
	show(x);
}

int lmm_top_choose(struct lmm_top_terminal *x, const char *const *lines, unsigned n,
		   unsigned *chosen)
{
	int key;

	if (*chosen >= n)
		*chosen = n ? n - 1 : 0;
	if (cells_fit(&x->cells))
		return -1;
	lmm_top_layout_choice(lines, n, *chosen, &x->cells);
	show(x);
	timeout(CHOICE_MS);
	key = getch();
	if (key >= '1' && key <= '9' && (unsigned)(key - '1') < n)
		return key - '1';
	switch (key) {
	case 'q':
	case 3:
		return -1;
	case '\n':
	case '\r':
	case KEY_ENTER:
		return n ? (int)*chosen : -EAGAIN;
	case KEY_DOWN:
		*chosen += *chosen + 1 < n;
		break;
	case KEY_UP:
		*chosen -= *chosen > 0;
		break;
	default:
		break;
	}
	return -EAGAIN;
}

static void turn_to(struct lmm_top_view *v, enum lmm_top_page page)
{
	v->page = (uint8_t)(v->page == page ? LMM_TOP_OVERVIEW : page);
	v->first = 0;
}

enum lmm_top_key lmm_top_key(struct lmm_top_terminal *x, int ms, struct lmm_top_view *v)
{
	unsigned page = x->cells.rows > 4 ? x->cells.rows - 4 : 1;

	timeout(ms);
	switch (getch()) {
	case ERR:
		return LMM_TOP_NOTHING;
	case 'q':
	case 3:
		return LMM_TOP_QUIT;
	case 'k':
		turn_to(v, LMM_TOP_KERNELS);
		break;
	case 'r':
		turn_to(v, LMM_TOP_REQUESTS);
		break;
	case 'e':
		turn_to(v, LMM_TOP_ENGINES);
		break;
	case 's':
		turn_to(v, LMM_TOP_SENSORS);
		break;
	case '\t':
		v->engine++;
		break;
	case 'n':
		return v->has_others ? LMM_TOP_OTHERS : LMM_TOP_REDRAW;
	case 'h':
	case '?':
		turn_to(v, LMM_TOP_HELP);
		break;
	case 'p':
	case ' ':
		v->is_paused = !v->is_paused;
		break;
	case 27:
		v->page = LMM_TOP_OVERVIEW;
		v->first = 0;
		break;
	case KEY_DOWN:
		v->first++;
		break;
	case KEY_UP:
		v->first -= v->first > 0;
		break;
	case KEY_NPAGE:
		v->first += page;
		break;
	case KEY_PPAGE:
		v->first = v->first > page ? v->first - page : 0;
		break;
	default: /* KEY_RESIZE among them */
		break;
	}
	return LMM_TOP_REDRAW;
}

#else

int lmm_top_terminal_open(struct lmm_top_terminal **out)
{
	*out = NULL;
	return -ENOSYS;
}

void lmm_top_terminal_close(struct lmm_top_terminal *x)
{
	(void)x;
}

void lmm_top_draw(struct lmm_top_terminal *x, const struct lmm_top *t, const struct lmm_top_view *v)
{
	(void)x, (void)t, (void)v;
}

enum lmm_top_key lmm_top_key(struct lmm_top_terminal *x, int ms, struct lmm_top_view *v)
{
	(void)x, (void)ms, (void)v;
	return LMM_TOP_QUIT;
}

int lmm_top_choose(struct lmm_top_terminal *x, const char *const *lines, unsigned n,
		   unsigned *chosen)
{
	(void)x, (void)lines, (void)n, (void)chosen;
	return -1;
}

#endif
