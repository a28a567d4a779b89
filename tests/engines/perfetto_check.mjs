// SPDX-License-Identifier: Apache-2.0
// Loads an exported trace into Perfetto's own trace processor (the WebAssembly build that its UI ships) and compares
// what Perfetto understood with the report of the same recording.
//
//	node perfetto_check.mjs WEB_DIST TRACE.pftrace REPORT.json
//	node perfetto_check.mjs WEB_DIST TRACE.pftrace --sql 'SELECT …'

import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

// node would print the whole (minified) line of the bundle that an error came from
for (const kind of ['uncaughtException', 'unhandledRejection']) {
	process.on(kind, (e) => {
		console.error(`perfetto_check: ${String(e?.message ?? e).slice(0, 400)}`);
		process.exit(1);
	});
}

// ---- protobuf: as much as the trace processor's RPC needs ---------------------------------------

function varint(value) {
	const out = [];
	let v = BigInt(value);
	while (v >= 128n) {
		out.push(Number(v & 127n) | 128);
		v >>= 7n;
	}
	out.push(Number(v));
	return Buffer.from(out);
}

const numberField = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytesField = (field, bytes) =>
	Buffer.concat([varint((field << 3) | 2), varint(bytes.length), Buffer.from(bytes)]);

class Reader {
	constructor(bytes) {
		this.bytes = bytes;
		this.at = 0;
	}
	get done() {
		return this.at >= this.bytes.length;
	}
	varint() {
		let value = 0n;
		for (let shift = 0n; ; shift += 7n) {
			const b = this.bytes[this.at++];
			value |= BigInt(b & 127) << shift;
			if (b < 128)
				return value;
		}
	}
	take(n) {
		this.at += n;
		return this.bytes.subarray(this.at - n, this.at);
	}
	field() {
		const tag = Number(this.varint());
		switch (tag & 7) {
		case 0:
			return { id: tag >> 3, value: this.varint() };
		case 1:
			return { id: tag >> 3, value: this.take(8) };
		case 2:
			return { id: tag >> 3, value: this.take(Number(this.varint())) };
		case 5:
			return { id: tag >> 3, value: this.take(4) };
		default:
			throw new Error(`wire type ${tag & 7}`);
		}
	}
	static fields(bytes) {
		const r = new Reader(bytes);
		const all = [];
		while (!r.done)
			all.push(r.field());
		return all;
	}
	static varints(bytes) {
		const r = new Reader(bytes);
		const all = [];
		while (!r.done)
			all.push(r.varint());
		return all;
	}
}

// ---- trace processor ------------------------------------------------------------------------------

const RPC = { APPEND: 1, FINALIZE: 2, QUERY: 3 };
const CHUNK = 16 << 20;

class TraceProcessor {
	static async start(dir) {
		const tp = new TraceProcessor();
		const readLocal = (url) => fs.readFileSync(path.join(dir, path.basename(String(url))));
		// a world that looks like a web worker and has nothing of node in it
		const world = {
			console: { log() {}, warn: (text) => tp.log.push(String(text)), error() {} },
			TextDecoder, TextEncoder, performance, setTimeout, clearTimeout,
			URL, crypto,
			WorkerGlobalScope: function () {},
			importScripts() {},
			location: { href: 'http://lmmeter/engine_bundle.js', protocol: 'http:', host: 'lmmeter' },
			XMLHttpRequest: class {
				open(_, url) { this.url = url; }
				send() {
					const b = readLocal(this.url);
					this.status = 200;
					this.response = b.buffer.slice(b.byteOffset, b.byteOffset + b.length);
				}
			},
			fetch: async (url) => new Response(readLocal(url),
				{ headers: { 'Content-Type': 'application/wasm' } }),
		};
		world.self = world;
		vm.createContext(world);
		tp.makeBytes = vm.runInContext('(n) => new Uint8Array(n)', world);
		vm.runInContext(fs.readFileSync(path.join(dir, 'engine_bundle.js'), 'utf8'), world,
			{ filename: 'engine_bundle.js' });
		tp.port = { onmessage: null, postMessage: (bytes) => tp.receive(bytes) };
		world.onmessage({ data: tp.port });
		for (let i = 0; i < 100 && !tp.ready; i++) {
			await new Promise((resolve) => setTimeout(resolve, 50));
			tp.tryPing();
		}
		if (!tp.ready)
			throw new Error('the trace processor did not start');
		return tp;
	}

	constructor() {
		this.log = [];
		this.pending = Buffer.alloc(0);
		this.answers = [];
		this.sequence = 0;
		this.ready = false;
	}

	tryPing() {
		try {
			this.query('SELECT 1');
			this.ready = true;
		} catch (e) {
			this.lastError = e;
			this.sequence = 0;
		}
	}

	receive(bytes) {
		this.pending = Buffer.concat([this.pending, Buffer.from(bytes)]);
		while (this.pending.length > 0) {
			const r = new Reader(this.pending);
			r.varint();
			const length = Number(r.varint());
			if (this.pending.length < r.at + length)
				return;
			this.answers.push(Reader.fields(r.take(length)));
			this.pending = this.pending.subarray(r.at);
		}
	}

	// The processor answers before it returns.
	call(kind, ...fields) {
		const message = Buffer.concat([numberField(1, this.sequence++), numberField(2, kind), ...fields]);
		const frame = bytesField(1, message);
		const data = this.makeBytes(frame.length);
		data.set(frame);
		this.answers = [];
		this.port.onmessage({ data });
		if (this.answers.length === 0)
			throw new Error('no answer');
		for (const answer of this.answers) {
			for (const f of answer) {
				if (f.id === 5)
					throw new Error(`trace processor: ${f.value}`);
			}
		}
		return this.answers;
	}

	load(bytes) {
		for (let at = 0; at < bytes.length; at += CHUNK) {
			const [answer] = this.call(RPC.APPEND, bytesField(101, bytes.subarray(at, at + CHUNK)));
			const result = answer.find((f) => f.id === 201);
			const error = result && Reader.fields(result.value).find((f) => f.id === 2);
			if (error)
				throw new Error(`the trace is refused: ${error.value}`);
		}
		this.call(RPC.FINALIZE);
	}

	query(sql) {
		const columns = [];
		const cells = [];
		for (const answer of this.call(RPC.QUERY, bytesField(103, bytesField(1, Buffer.from(sql))))) {
			const result = answer.find((f) => f.id === 203);
			for (const f of result ? Reader.fields(result.value) : []) {
				if (f.id === 1)
					columns.push(f.value.toString());
				else if (f.id === 2 && f.value.length > 0)
					throw new Error(`${f.value}\n${sql}`);
				else if (f.id === 3)
					cells.push(...TraceProcessor.cells(f.value));
			}
		}
		const rows = [];
		for (let i = 0; i < cells.length; i += columns.length)
			rows.push(Object.fromEntries(columns.map((c, k) => [c, cells[i + k]])));
		return rows;
	}

	static cells(batch) {
		let kinds = [], numbers = [], doubles = [], strings = [];
		for (const f of Reader.fields(batch)) {
			if (f.id === 1)
				kinds = [...f.value];
			else if (f.id === 2)
				numbers = Reader.varints(f.value).map((v) => Number(BigInt.asIntN(64, v)));
			else if (f.id === 3)
				doubles = Array.from({ length: f.value.length / 8 }, (_, i) => f.value.readDoubleLE(8 * i));
			else if (f.id === 5)
				strings = f.value.toString().split('\0');
		}
		return kinds.map((k) => (k === 2 ? numbers.shift() : k === 3 ? doubles.shift() :
			k === 4 ? strings.shift() : null));
	}
}

// ---- the comparison -------------------------------------------------------------------------------

let failures = 0;
let checks = 0;

function check(ok, text) {
	checks++;
	if (ok)
		return;
	failures++;
	console.log(`FAIL ${text}`);
}

// Slices are whole nanoseconds, sums in the report are not: half of one per slice, and a millionth for the clock's fit.
const isNear = (a, b, slices) => Math.abs(a - b) <= slices + 1 + 2e-6 * Math.abs(b);

function compare(what, have, want) {
	for (const key of new Set([...have.keys(), ...want.keys()])) {
		const h = have.get(key) ?? { count: 0, pieces: 0, total: 0 };
		const w = want.get(key) ?? { count: 0, total: 0 };
		check(h.count === w.count, `${what} ${key}: ${h.count} in the trace, ${w.count} in the report`);
		check(isNear(h.total, w.total, h.pieces),
			`${what} ${key}: ${h.total} ns in the trace, ${w.total} ns in the report`);
	}
	console.log(`${what}: ${want.size} compared`);
}

function checkHealth(tp) {
	const stats = tp.query(`SELECT name, value, severity FROM stats
		WHERE severity IN ('data_loss', 'error') AND value > 0`);
	check(stats.length === 0, `import errors: ${JSON.stringify(stats)}`);
	const [{ n }] = tp.query('SELECT COUNT(*) AS n FROM slice');
	check(n > 0, 'no slices');
	const [open] = tp.query('SELECT COUNT(*) AS n FROM slice WHERE dur < 0');
	check(open.n === 0, `${open.n} slices have no end`);
	const overlaps = tp.query(`SELECT t.name AS track, COUNT(*) AS n FROM
		(SELECT track_id, ts + dur AS ends, LEAD(ts) OVER (PARTITION BY track_id ORDER BY ts, id) AS next FROM slice) s
		JOIN track t ON t.id = s.track_id WHERE next < ends GROUP BY 1`);
	check(overlaps.length === 0, `slices overlap: ${JSON.stringify(overlaps)}`);
	const [deep] = tp.query('SELECT COALESCE(MAX(depth), 0) AS depth FROM slice');
	check(deep.depth === 0, `slices nest ${deep.depth} deep`);
	console.log(`slices: ${n}, none overlap`);
}

const byKey = (rows) => new Map(rows.map((r) => [r.key, r]));

function checkPhases(tp, report) {
	const have = byKey(tp.query(`SELECT name AS key, SUM(dur) AS total, COUNT(*) AS pieces,
		COUNT(*) - COUNT(EXTRACT_ARG(arg_set_id, 'debug.part')) AS count
		FROM slice s WHERE category = 'phase' AND (name <> 'unaccounted' OR EXISTS (SELECT 1 FROM slice q
			WHERE q.category = 'request' AND q.ts <= s.ts + 1 AND q.ts + q.dur + 1 >= s.ts + s.dur)) GROUP BY 1`));
	// time that belongs to nobody counts inside requests only
	const want = new Map();
	for (const p of report.phases) {
		// made by the analysis, from what other requests do: no thread is ever in it
		if (p.phase !== 'waiting' && !p.warmup_only)
			want.set(p.phase, { count: p.count, total: p.total_ns });
	}
	compare('phases', have, want);
}

function checkKernels(tp, report) {
	const have = byKey(tp.query(`SELECT s.name || ' ' || EXTRACT_ARG(arg_set_id, 'debug.op') || ' ' || category || ' ' ||
			EXTRACT_ARG(arg_set_id, 'debug.phase') || CASE WHEN EXTRACT_ARG(arg_set_id, 'debug.fused') IS NULL THEN '' ELSE '+' END AS key,
			SUM(dur) AS total, COUNT(*) AS count, COUNT(*) AS pieces
		FROM slice s JOIN track t ON t.id = s.track_id
		WHERE t.name = 'operators' AND category <> 'warmup' GROUP BY 1`));
	const want = new Map();
	for (const k of report.kernels) {
		const key = `${k.name} ${k.op} ${k.role} ${k.phase}${k.fused ? '+' : ''}`;
		const sum = want.get(key) ?? { count: 0, total: 0 };
		want.set(key, { count: sum.count + k.count, total: sum.total + k.total_ns });
	}
	compare('operators', have, want);
}

function checkSteps(tp, report) {
	const have = byKey(tp.query(`SELECT s.name AS key, SUM(dur) AS total, SUM(category = 'step') AS count, COUNT(*) AS pieces
		FROM slice s JOIN track t ON t.id = s.track_id
		WHERE t.name = 'steps' AND category IN ('step', 'wait') GROUP BY 1`));
	const want = new Map();
	for (const kind of ['prefill', 'decode']) {
		if (report.steps[kind].count > 0)
			want.set(kind, { count: report.steps[kind].count, total: report.steps[kind].total_ns });
	}
	compare('steps', have, want);
}

function checkRequests(tp, report) {
	const have = byKey(tp.query(`SELECT s.name AS key, dur AS total, 1 AS count, 1 AS pieces
		FROM slice s WHERE category = 'request'`));
	const want = new Map(report.requests.map((q) => [`request ${q.id}`, { count: 1, total: q.wall_ns }]));
	compare('requests', have, want);
}

const [dir, trace, ...rest] = process.argv.slice(2);
if (!trace || rest.length === 0) {
	console.error('usage: node perfetto_check.mjs WEB_DIST TRACE REPORT.json | --sql QUERY');
	process.exit(2);
}
const tp = await TraceProcessor.start(dir);
const bytes = fs.readFileSync(trace);
const begin = performance.now();
tp.load(bytes);
console.log(`loaded ${bytes.length} bytes in ${(performance.now() - begin).toFixed(0)} ms`);
if (rest[0] === '--sql') {
	console.table(tp.query(rest[1]));
	process.exit(0);
}
const report = JSON.parse(fs.readFileSync(rest[0], 'utf8'));
checkHealth(tp);
checkPhases(tp, report);
checkSteps(tp, report);
checkKernels(tp, report);
checkRequests(tp, report);
console.log(failures === 0 ? `ok: ${checks} checks` : `${failures} of ${checks} checks failed`);
process.exit(failures === 0 ? 0 : 1);
