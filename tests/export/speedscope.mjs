// SPDX-License-Identifier: Apache-2.0
// Opens an exported file (its own format, or folded stacks) in speedscope and has it export again what it understood: the same time for every stack.
//
//	node speedscope.mjs PLAYWRIGHT-CORE CHROMIUM PROFILE SPEEDSCOPE.html FILE [SCREENSHOTS]
//
// PROFILE is a new, empty folder.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import fs from 'node:fs';
import path from 'node:path';

const [library, executablePath, profile, page, file, screenshots] = process.argv.slice(2);
if (!file) {
	console.error('usage: node speedscope.mjs PLAYWRIGHT-CORE CHROMIUM PROFILE SPEEDSCOPE.html FILE [SCREENSHOTS]');
	process.exit(2);
}
const { chromium } = createRequire(import.meta.url)(path.resolve(library));
let failures = 0;

function check(ok, what) {
	if (!ok)
		console.log(`FAIL ${what}`);
	failures += !ok;
}

function sumSamples(p, frames, sums) {
	p.samples.forEach((sample, i) => {
		const key = sample.map((f) => frames[f].name).join(';');
		sums.set(key, (sums.get(key) ?? 0) + p.weights[i]);
	});
}

function sumEvents(p, frames, sums) {
	const stack = [];
	let at = p.startValue;
	for (const e of p.events) {
		if (e.at > at) {
			const key = stack.map((f) => frames[f].name).join(';');
			sums.set(key, (sums.get(key) ?? 0) + e.at - at);
		}
		at = e.at;
		if (e.type === 'O')
			stack.push(e.frame);
		else
			check(stack.pop() === e.frame, 'a frame is closed that is not open');
	}
	check(stack.length === 0, 'a frame stays open');
	sums.set('', (sums.get('') ?? 0) + p.endValue - at);
}

function sumsOf(doc) {
	const all = new Map();
	for (const p of doc.profiles) {
		const sums = new Map();
		(p.type === 'sampled' ? sumSamples : sumEvents)(p, doc.shared.frames, sums);
		all.set(p.name, sums);
	}
	return all;
}

// Folded stacks have no profile's name: speedscope takes the file's.
function given(text) {
	if (text.startsWith('{'))
		return sumsOf(JSON.parse(text));
	const line = (l) => [l.slice(0, l.lastIndexOf(' ')), Number(l.slice(l.lastIndexOf(' ')))];
	return new Map([[path.basename(file), new Map(text.trimEnd().split('\n').map(line))]]);
}

const context = await chromium.launchPersistentContext(profile, {
	executablePath, headless: true, acceptDownloads: true,
	args: ['--headless', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
		'--disable-sync', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
});
const tab = await context.newPage();
tab.on('pageerror', (e) => check(false, e.message));
tab.on('dialog', (d) => { check(false, d.message()); d.dismiss(); });
tab.on('request', (r) => check(/^(file|blob|data):/.test(r.url()), `asks for ${r.url()}`));
await tab.goto(pathToFileURL(path.resolve(page)).href);
await tab.locator('input[type=file]').first().setInputFiles(file);
await tab.getByText('Left Heavy').click();
if (screenshots)
	await tab.screenshot({ path: path.join(screenshots, 'speedscope.png') });
const [download] = await Promise.all([tab.waitForEvent('download'), tab.getByText('Export').click()]);
const understood = sumsOf(JSON.parse(fs.readFileSync(await download.path(), 'utf8')));
await context.close();

const wanted = given(fs.readFileSync(file, 'utf8'));
check(understood.size === wanted.size, `${understood.size} profiles of ${wanted.size}`);
for (const [name, sums] of wanted) {
	const seen = understood.get(name) ?? new Map();
	for (const [stack, ns] of sums)
		check(Math.abs((seen.get(stack) ?? 0) - ns) <= 1, `${name}: ${stack}: ${seen.get(stack)} ns of ${ns}`);
	check(seen.size <= sums.size + 1, `${name}: ${seen.size} stacks of ${sums.size}`);
}
console.log(failures ? `${failures} checks failed` : `ok: ${wanted.size} profiles`);
process.exit(failures ? 1 : 0);
