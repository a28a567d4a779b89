// SPDX-License-Identifier: Apache-2.0
// The plot of the time before each token. All else on the page stands without scripts.
(() => {
	'use strict';

	const COLORS = 8;
	const data = (id) => JSON.parse(document.getElementById(id).textContent);
	const box = document.getElementById('token-plot');
	const tokens = data('lmm-tokens');
	if (!box || tokens.requests.length === 0)
		return;
	const itl = data('lmm-report').tokens.itl;
	// one outlier must not press all others to the floor
	const state = { by: 'token', scale: itl.max_ns > 10 * itl.p50_ns ? 'log' : 'linear' };
	let plot;
	let points; // in order of x: { request, color, token, t, ms }

	const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	const three = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
	const say = (ms) =>
		ms >= 1000 ? `${three(ms / 1000)} s` : ms >= 1 ? `${three(ms)} ms` : `${three(ms * 1000)} µs`;
	const add = (parent, tag, properties) =>
		parent.appendChild(Object.assign(document.createElement(tag), properties));

	// ---- data ---------------------------------------------------------------------------------

	const all = tokens.requests.flatMap((q, i) => q.token.map((token, k) => ({
		request: q.id, color: i % COLORS, token, t: q.t_us[k] / 1e6, ms: q.itl_us[k] / 1e3,
	})));

	function columns() {
		const x = (p) => (state.by === 'token' ? p.token : p.t);
		points = [...all].sort((a, b) => x(a) - x(b));
		// a logarithm knows no 0
		return [points.map(x), points.map((p) => (state.scale === 'log' && p.ms <= 0 ? null : p.ms))];
	}

	// ---- drawing ------------------------------------------------------------------------------

	function drawLine(u, ms, name) {
		const y = u.valToPos(ms, 'y', true);
		const { left, top, width, height } = u.bbox;
		if (!(y > top && y < top + height))
			return;
		u.ctx.save();
		u.ctx.strokeStyle = u.ctx.fillStyle = color('--quiet');
		u.ctx.lineWidth = devicePixelRatio;
		u.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
		u.ctx.beginPath();
		u.ctx.moveTo(left, y);
		u.ctx.lineTo(left + width, y);
		u.ctx.stroke();
		u.ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
		u.ctx.textAlign = 'left';
		u.ctx.textBaseline = 'middle';
		u.ctx.fillText(name, left + width + 5 * devicePixelRatio, y);
		u.ctx.restore();
	}

	function draw(u) {
		const { left, top, width, height } = u.bbox;
		const colors = Array.from({ length: COLORS }, (_, i) => color(`--r${i}`));
		const [from, to] = u.series[0].idxs;
		const size = (to - from > 2000 ? 2 : to - from > 300 ? 3 : 4) * devicePixelRatio;
		u.ctx.save();
		u.ctx.beginPath();
		u.ctx.rect(left - size, top - size, width + 2 * size, height + 2 * size);
		u.ctx.clip();
		for (let i = from; i <= to; i++) {
			if (u.data[1][i] == null)
				continue;
			u.ctx.fillStyle = colors[points[i].color];
			u.ctx.fillRect(u.valToPos(u.data[0][i], 'x', true) - size / 2,
				u.valToPos(u.data[1][i], 'y', true) - size / 2, size, size);
		}
		u.ctx.restore();
		drawLine(u, itl.p50_ns / 1e6, 'p50');
		drawLine(u, itl.p99_ns / 1e6, 'p99');
	}

	function point(u) {
		const p = points[u.cursor.idx];
		readout.textContent = p ? `request ${p.request}, token ${p.token + 1}: ${say(p.ms)}, at ${p.t.toFixed(3)} s` : HINT;
	}

	// A finger that goes sideways chooses a range, as the mouse does.
	function touch(u) {
		for (const [from, to] of [['pointerdown', 'mousedown'], ['pointermove', 'mousemove'], ['pointerup', 'mouseup']]) {
			u.over.addEventListener(from, (e) => {
				if (e.pointerType !== 'touch')
					return;
				const target = to === 'mouseup' ? document : u.over;
				target.dispatchEvent(new MouseEvent(to, { bubbles: true, button: 0, clientX: e.clientX, clientY: e.clientY }));
			});
		}
	}

	function axis(more) {
		return { stroke: color('--quiet'), font: '12px system-ui, sans-serif', grid: { stroke: color('--line'), width: 1 },
			ticks: { show: false }, ...more };
	}

	function show() {
		plot?.destroy();
		const seconds = (u, values) => values.map((v) => `${+v.toPrecision(6)} s`);
		plot = new uPlot({
			width: box.clientWidth,
			height: box.clientWidth < 500 ? 240 : 300,
			padding: [8, 32, 0, 0],
			legend: { show: false },
			cursor: { y: false, points: { size: 7, fill: color('--ink') }, drag: { x: true, y: false } },
			scales: {
				x: { time: false },
				y: state.scale === 'log' ? { distr: 3 } : { range: (u, min, max) => [0, max > 0 ? max * 1.05 : 1] },
			},
			axes: [
				axis({ size: 28, ...(state.by === 'time' && { values: seconds }) }),
				axis({ size: 60, values: (u, values) => values.map((v) => (v == null ? '' : v === 0 ? '0' : say(v))) }),
			],
			series: [{}, { paths: () => null, points: { show: false } }],
			hooks: { draw: [draw], setCursor: [point], ready: [touch] },
		}, columns(), place);
	}

	// ---- controls -----------------------------------------------------------------------------

	const HINT = 'drag to zoom, double-click for all of it';
	const head = add(box, 'div', { className: 'plot-head' });
	function choice(key, choices) {
		const group = add(head, 'span', {});
		const buttons = Object.entries(choices).map(([value, textContent]) => {
			const button = add(group, 'button', { type: 'button', textContent });
			button.onclick = () => {
				state[key] = value;
				buttons.forEach((b) => b.setAttribute('aria-pressed', b === button));
				show();
			};
			button.setAttribute('aria-pressed', state[key] === value);
			return button;
		});
	}
	choice('by', { token: 'by token', time: 'by time' });
	choice('scale', { linear: 'linear', log: 'logarithmic' });
	add(add(head, 'span', {}), 'button', { type: 'button', textContent: 'all' }).onclick = show;
	const readout = add(head, 'output', { textContent: HINT });
	const place = add(box, 'div', {});
	if (tokens.requests.length > 1) {
		const keys = add(box, 'div', { className: 'plot-keys' });
		for (const [i, q] of tokens.requests.slice(0, COLORS).entries()) {
			const key = add(keys, 'span', {});
			add(key, 'i', { className: `r${i}` });
			key.append(`request ${q.id}`);
		}
		if (tokens.requests.length > COLORS)
			keys.append('and so on, in the same colours');
	}
	show();
	new ResizeObserver(() => {
		if (plot.width !== box.clientWidth)
			plot.setSize({ width: box.clientWidth, height: plot.height });
	}).observe(box);
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
})();
