// SPDX-License-Identifier: Apache-2.0
// Greedy text through node-llama-cpp: node opens the engine's libraries as an addon, in a scope of their own.
//	node generate.mjs MODEL THREADS TOKENS PROMPT
// The program lies beside its node_modules; the test copies it there.
import {getLlama, LlamaCompletion} from "node-llama-cpp";

const [modelPath, threads, maxTokens, prompt] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", progressLogs: false, maxThreads: Number(threads)});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({contextSize: 512, threads: Number(threads)});
const completion = new LlamaCompletion({contextSequence: context.getSequence()});
const text = await completion.generateCompletion(prompt, {maxTokens: Number(maxTokens), temperature: 0});

process.stdout.write(text + "\n");
await context.dispose();
await model.dispose();
await llama.dispose();
