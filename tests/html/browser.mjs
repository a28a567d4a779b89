// SPDX-License-Identifier: Apache-2.0
// Opens a page of `lmmeter report --html` in a real browser, wide and narrow, light and dark.
//
//	node browser.mjs PLAYWRIGHT-CORE CHROMIUM PROFILE PAGE.html [SCREENSHOTS]
//
// PROFILE is a new, empty folder. The page must say nothing on the console, ask for nothing, draw its plot and fit its width.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const [library, executablePath, profile, page, screenshots] = process.argv.slice(2);
if (!page) {
	console.error('usage: node browser.mjs PLAYWRIGHT-CORE CHROMIUM PROFILE PAGE.html [SCREENSHOTS]');
	process.exit(2);
}
const { chromium } = createRequire(import.meta.url)(path.resolve(library));
const address = pathToFileURL(path.resolve(page)).href;
let failures = 0;

function check(ok, what) {
	if (!ok)
		console.log(`FAIL ${what}`);
	failures += !ok;
}

// How many pixels of the plot have the colour of a request's points.
function inked() {
	const canvas = document.querySelector('#token-plot canvas');
	const style = getComputedStyle(document.documentElement);
	const colors = new Set([...Array(8).keys()].map((i) => parseInt(style.getPropertyValue(`--r${i}`).trim().slice(1), 16)));
	if (!canvas)
		return 0;
	const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
	let pixels = 0;
	for (let i = 0; i < data.length; i += 4)
		pixels += data[i + 3] === 255 && colors.has((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
	return pixels;
}

const picture = (tab) => tab.evaluate(() => document.querySelector('#token-plot canvas').toDataURL());

async function checkPlot(tab, name) {
	check((await tab.evaluate(inked)) > 8, `${name}: the plot has no points`);
	const whole = await picture(tab);
	await tab.locator('#token-plot').scrollIntoViewIfNeeded();
	const over = await tab.locator('#token-plot .u-over').boundingBox();
	await tab.mouse.move(over.x + over.width * 0.2, over.y + 40);
	await tab.mouse.down();
	await tab.mouse.move(over.x + over.width * 0.6, over.y + 40, { steps: 4 });
	check((await tab.locator('#token-plot output').textContent()).startsWith('request '), `${name}: no token is named`);
	await tab.mouse.up();
	await tab.mouse.move(0, 0);
	check((await picture(tab)) !== whole, `${name}: dragging does not zoom`);
	for (const button of ['by time', 'logarithmic', 'all', 'by token', 'linear']) {
		await tab.getByRole('button', { name: button }).click();
		check((await tab.evaluate(inked)) > 8, `${name}: no points after '${button}'`);
	}
}

async function look(context, width, colorScheme) {
	const name = `${colorScheme}-${width}`;
	const tab = await context.newPage();
	tab.on('console', (m) => check(false, `${name}: console: ${m.text()}`));
	tab.on('pageerror', (e) => check(false, `${name}: ${e.message}`));
	tab.on('request', (r) => check(r.url() === address, `${name}: asks for ${r.url()}`));
	await tab.setViewportSize({ width, height: 900 });
	await tab.emulateMedia({ colorScheme });
	await tab.goto(address);
	const scrolls = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
	check(scrolls <= 0, `${name}: ${scrolls} px wider than the window`);
	const back = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
	check((back[0] < 128) === (colorScheme === 'dark'), `${name}: background ${back}`);
	await checkPlot(tab, name);
	if (screenshots)
		await tab.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true });
	await tab.close();
}

const context = await chromium.launchPersistentContext(profile, {
	executablePath, headless: true,
	args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
		'--disable-component-update', '--disable-sync'],
});
for (const width of [390, 1280]) {
	for (const scheme of ['light', 'dark'])
		await look(context, width, scheme);
}
await context.close();
console.log(failures ? `${failures} checks failed` : 'ok');
process.exit(failures ? 1 : 0);
