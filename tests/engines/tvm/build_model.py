#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles a small Llama with random weights the way MLC-LLM compiles models: its function names, packed parameters, a paged KV cache.

usage: build_model.py FOLDER llvm|opencl|cuda|cuda_graph      makes FOLDER/model.so, params.bin, params.txt, config.json

cuda: for $ARCH (sm_90), by nvcc, beside a CUDA driver's library. cuda_graph: with what MLC-LLM's flag cudagraph turns on. The model's size
is $LAYERS (4), $HIDDEN (256) and $VOCAB (4096).
"""
import sys, time, os, json
import numpy as np
t0 = time.time()
os.environ.setdefault("TVM_CUDA_COMPILE_MODE", "nvcc")
import tvm
import tvm_ffi
from tvm import relax, te, tirx
from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import Tensor, op
from tvm.relax.frontend.nn.llm.kv_cache import PagedKVCache, TIRPagedKVCache, RopeMode

out, kind = sys.argv[1], sys.argv[2]
graphs = kind == "cuda_graph"
kind = "cuda" if graphs else kind
H = int(os.environ.get("HIDDEN", 256))
C = dict(hidden=H, inter=H // 4 * 11, layers=int(os.environ.get("LAYERS", 4)), heads=H // 64, kv_heads=H // 128, head_dim=64,
         vocab=int(os.environ.get("VOCAB", 4096)), dtype="float32")
CHUNK = 1024
if kind == "cuda" and not tvm_ffi.get_global_func("ffi.Module.create.cuda", allow_missing=True):
    sys.exit("libtvm_runtime_cuda.so did not load (libcuda.so.1, libcudart.so.13?): the model would hold its kernels' source, which nobody compiles")
arch = {"arch": os.environ.get("ARCH", "sm_90")} if kind == "cuda" else {}
target = tvm.target.Target({"kind": kind, "host": {"kind": "llvm"}} | arch if kind != "llvm" else {"kind": "llvm", "num-cores": 2})

class Attn(nn.Module):
    def __init__(s):
        s.qkv_proj = nn.Linear(C["hidden"], (C["heads"] + 2 * C["kv_heads"]) * C["head_dim"], bias=False)
        s.o_proj = nn.Linear(C["heads"] * C["head_dim"], C["hidden"], bias=False)
    def forward(s, x, kv, lid):
        b, n, _ = x.shape
        qkv = op.reshape(s.qkv_proj(x), (b, n, C["heads"] + 2 * C["kv_heads"], C["head_dim"]))
        o = kv.attention_with_fused_qkv(lid, qkv, C["heads"], sm_scale=C["head_dim"] ** -0.5)
        return s.o_proj(op.reshape(o, (b, n, C["heads"] * C["head_dim"])))

class FFN(nn.Module):
    def __init__(s):
        s.gate_up_proj = nn.Linear(C["hidden"], 2 * C["inter"], bias=False)
        s.down_proj = nn.Linear(C["inter"], C["hidden"], bias=False)
    def forward(s, x):
        a, b = op.split(s.gate_up_proj(x), 2, axis=-1)
        return s.down_proj(op.silu(a) * b)

class Layer(nn.Module):
    def __init__(s):
        s.attn, s.mlp = Attn(), FFN()
        s.ln1 = nn.RMSNorm(C["hidden"], -1, 1e-5, bias=False); s.ln2 = nn.RMSNorm(C["hidden"], -1, 1e-5, bias=False)
    def forward(s, x, kv, lid):
        x = s.attn(s.ln1(x), kv, lid) + x
        return s.mlp(s.ln2(x)) + x

class Llama(nn.Module):
    def __init__(s):
        s.embed_tokens = nn.Embedding(C["vocab"], C["hidden"])
        s.layers = nn.ModuleList([Layer() for _ in range(C["layers"])])
        s.norm = nn.RMSNorm(C["hidden"], -1, 1e-5, bias=False)
        s.lm_head = nn.Linear(C["hidden"], C["vocab"], bias=False)
    def trunk(s, x, kv):
        for i, l in enumerate(s.layers): x = l(x, kv, i)
        return s.norm(x)
    def embed(s, input_ids): return s.embed_tokens(input_ids)
    def prefill(s, input_embed, paged_kv_cache):
        h = s.trunk(input_embed, paged_kv_cache)
        b, n, d = h.shape
        h = nn.tensor_expr_op(lambda x: te.compute((b, 1, d), lambda i, _, k: x[i, x.shape[1] - 1, k], name="index"), "index", [h])
        return s.lm_head(h), paged_kv_cache
    def decode(s, input_embed, paged_kv_cache):
        return s.lm_head(s.trunk(input_embed, paged_kv_cache)), paged_kv_cache
    def softmax_with_temperature(s, logits, temperature):        # two kernels with MLC's names
        v = C["vocab"]; nch = v // CHUNK
        def lse(x, t):
            b = x.shape[0]
            k, k2 = te.reduce_axis((0, CHUNK), "k"), te.reduce_axis((0, CHUNK), "k2")
            m = te.compute((b, nch), lambda i, c: te.max(x[i, 0, c * CHUNK + k] / t[i], axis=k), name="cmax")
            z = te.compute((b, nch), lambda i, c: te.sum(te.exp(x[i, 0, c * CHUNK + k2] / t[i] - m[i, c]), axis=k2), name="csum")
            return te.compute((b, nch), lambda i, c: te.log(z[i, c]) + m[i, c], name="chunk_lse")
        def sm(x, t, l):
            b = x.shape[0]
            k, k2 = te.reduce_axis((0, nch), "k"), te.reduce_axis((0, nch), "k2")
            m = te.compute((b,), lambda i: te.max(l[i, k], axis=k), name="m")
            z = te.compute((b,), lambda i: te.sum(te.exp(l[i, k2] - m[i]), axis=k2), name="z")
            return te.compute((b, 1, v), lambda i, _, j: te.exp(x[i, 0, j] / t[i] - m[i]) / z[i], name="softmax_with_chunked_sum")
        l = nn.tensor_expr_op(lse, "chunk_lse", [logits, temperature])
        return nn.tensor_expr_op(sm, "softmax_with_chunked_sum", [logits, temperature, l])
    def create_tir_paged_kv_cache(s, max_batch_size, max_total_seq_len, prefill_chunk_size, page_size, support_sliding_window):
        return TIRPagedKVCache(attn_kind="mha", max_batch_size=max_batch_size, max_total_seq_len=max_total_seq_len,
            prefill_chunk_size=prefill_chunk_size, page_size=page_size, support_sliding_window=support_sliding_window,
            layer_partition=relax.ShapeExpr([0, C["layers"]]), num_hidden_layers=C["layers"], num_attention_heads=C["heads"],
            num_key_value_heads=C["kv_heads"], qk_head_dim=C["head_dim"], v_head_dim=C["head_dim"], mla_original_qk_head_dim=0,
            mla_original_v_head_dim=0, rope_mode=RopeMode.NORMAL, rope_scale=1, rope_theta=10000, rope_scaling={},
            rope_ext_factors=relax.prim_value(0), rotary_dim=C["head_dim"], enable_disaggregation=False,
            dtype=C["dtype"], target=target)

P = {"param_mode": "packed", "effect_mode": "none"}; N = {"param_mode": "none", "effect_mode": "none"}
T = nn.spec.Tensor; O = nn.spec.Object(object_type=PagedKVCache)
spec = {
    "embed": {"input_ids": T(["seq_len"], "int32"), "$": P},
    "prefill": {"input_embed": T([1, "seq_len", C["hidden"]], C["dtype"]), "paged_kv_cache": O, "$": P},
    "decode": {"input_embed": T([1, 1, C["hidden"]], C["dtype"]), "paged_kv_cache": O, "$": P},
    "softmax_with_temperature": {"logits": T(["batch_size", 1, C["vocab"]], "float32"), "temperature": T(["batch_size"], "float32"), "$": N},
    "create_tir_paged_kv_cache": {k: int for k in ("max_batch_size", "max_total_seq_len", "prefill_chunk_size", "page_size", "support_sliding_window")} | {"$": N},
}
m = Llama(); m.to(C["dtype"])
mod, params = m.export_tvm(spec=spec, allow_extern=False)[:2]
with target:
    mod = relax.transform.FuseTransposeMatmul()(mod) if kind != "llvm" else mod
with tvm.transform.PassContext(config={"relax.backend.use_cuda_graph": graphs}):
    ex = relax.build(mod, target)
os.makedirs(out, exist_ok=True)
ex.export_library(out + "/model.so")
r = np.random.default_rng(0)
np.savez(out + "/params.npz", **{f"{i:03d}|{n}": (np.ones if "ln" in n or n.startswith("norm") else
    lambda s: r.standard_normal(s) * (0.02 if "embed" not in n else 1.0))([int(d) for d in p.shape]).astype(p.dtype) for i, (n, p) in enumerate(params)})
z = np.load(out + "/params.npz"); ks = sorted(z.files)                        # flat copy for engine.cc
open(out + "/params.bin", "wb").write(b"".join(z[k].tobytes() for k in ks)); open(out + "/params.txt", "w").write("".join(" ".join(map(str, z[k].shape)) + "\n" for k in ks))
json.dump(C | {"kind": kind}, open(out + "/config.json", "w"))
print(f"{kind}: {len(params)} params, {sum(int(np.prod([int(d) for d in p.shape])) for _, p in params)/1e6:.2f} M weights, {os.path.getsize(out+'/model.so')} B model.so, {time.time()-t0:.1f} s")
