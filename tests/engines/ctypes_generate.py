# SPDX-License-Identifier: Apache-2.0
"""Greedy text through ctypes: every function is found by dlsym() on a handle, which no preloaded library can see.

    ctypes_generate.py LIBRARY-FOLDER MODEL THREADS TOKENS PROMPT

Prints the text, and on standard error {"wall_ns", "decode_ns", "tokens", "prompt"} by Python's own clock.
"""

import ctypes as c
import json
import os
import sys
import time


class Params(c.Structure):
    """Larger than any parameter structure: passed last and by value, the callee reads what it knows of it."""
    _fields_ = [("bytes", c.c_char * 512)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.c_void_p), ("embd", c.c_void_p), ("pos", c.c_void_p),
                ("n_seq_id", c.c_void_p), ("seq_id", c.c_void_p), ("logits", c.c_void_p)]


def functions(folder):
    names = sorted(os.listdir(folder))
    ggml = c.CDLL(os.path.join(folder, next(n for n in names if n.startswith("libggml.") and n.endswith(".so"))))
    llama = c.CDLL(os.path.join(folder, next(n for n in names if n.startswith("libllama.") and n.endswith(".so"))))
    for name in ("llama_model_load_from_file", "llama_init_from_model", "llama_model_get_vocab", "llama_sampler_chain_init",
                 "llama_sampler_init_greedy"):
        getattr(llama, name).restype = c.c_void_p
    for name in ("llama_model_default_params", "llama_context_default_params"):
        getattr(llama, name).restype = Params
    llama.llama_batch_get_one.restype = Batch
    return ggml, llama


def main():
    folder, model_path, threads, n, prompt = sys.argv[1:6]
    ggml, llama = functions(folder)
    quiet = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda *_: None)
    llama.llama_log_set(quiet, None)
    ggml.ggml_backend_load_all_from_path(folder.encode())
    model = c.c_void_p(llama.llama_model_load_from_file(model_path.encode(), llama.llama_model_default_params()))
    ctx = c.c_void_p(llama.llama_init_from_model(model, llama.llama_context_default_params()))
    llama.llama_set_n_threads(ctx, int(threads), int(threads))
    vocab = c.c_void_p(llama.llama_model_get_vocab(model))
    sampler = c.c_void_p(llama.llama_sampler_chain_init(c.c_bool(True)))
    llama.llama_sampler_chain_add(sampler, c.c_void_p(llama.llama_sampler_init_greedy()))
    start = time.monotonic_ns()
    text = prompt.encode()
    tokens = (c.c_int32 * 512)()
    n_prompt = llama.llama_tokenize(vocab, text, len(text), tokens, 512, c.c_bool(True), c.c_bool(True))
    batch = llama.llama_batch_get_one(tokens, n_prompt)
    out, decode_ns, piece = b"", 0, c.create_string_buffer(256)
    for _ in range(int(n)):
        before = time.monotonic_ns()
        if llama.llama_decode(ctx, batch):
            sys.exit(1)
        decode_ns += time.monotonic_ns() - before
        token = (c.c_int32 * 1)(llama.llama_sampler_sample(sampler, ctx, -1))
        got = llama.llama_token_to_piece(vocab, token[0], piece, 256, 0, c.c_bool(True))
        out += piece.raw[:max(got, 0)]
        batch = llama.llama_batch_get_one(token, 1)
    wall = time.monotonic_ns() - start
    print(out.decode("utf-8", "replace"))
    print(json.dumps({"wall_ns": wall, "decode_ns": decode_ns, "tokens": int(n), "prompt": n_prompt}), file=sys.stderr)


if __name__ == "__main__":
    main()
