#!/usr/bin/env bash
# A GGUF's `llama.rope.scaling.yarn_attn_factor` changes nothing in llama.cpp, although gguf-py has a method that writes
# it and llama.cpp's own converter does so for every checkpoint whose config.json sets YaRN's `attention_factor`.
#
# One would guess that what the converter writes the library reads. It is read for a few architectures only (not for
# llama, qwen2, qwen3), and where it is, the context sets the factor anew while YaRN is on. So such a model computes
# with the paper's factor, in silence. What works is the key `rope.scaling.attn_factor`, by which the paper's factor is
# multiplied: a converter has to write the quotient of the two.
#
# Seen with llama-cpp-python 0.3.36 and gguf 0.19.0: two files that differ in this key alone give the same logits, bit
# for bit; with `attn_factor` 2 they differ by 1.2. Exits with 1 when one of the two is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36 gguf==0.19.0
cat >"$folder/compare.py" <<'PYTHON'
"""Logits of tiny models with YaRN that differ in one key: compare.py FOLDER."""
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

WIDTH, N_HEADS, N_LAYERS, N_TOKENS, N_CONTEXT = 64, 4, 2, 64, 256


def write(path: Path, key: str | None) -> None:
    random = np.random.default_rng(0)
    file = gguf.GGUFWriter(path, "llama")
    file.add_vocab_size(N_TOKENS)
    file.add_tokenizer_model("none")
    file.add_context_length(N_CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(N_LAYERS)
    file.add_feed_forward_length(WIDTH)
    file.add_head_count(N_HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(WIDTH // N_HEADS)
    file.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    file.add_rope_scaling_factor(4.0)
    file.add_rope_scaling_orig_ctx_len(64)
    if key:
        file.add_float32(f"llama.rope.scaling.{key}", 2.0)

    def add(name: str, *shape: int) -> None:
        values = np.ones(shape) if "norm" in name else random.normal(size=shape)
        file.add_tensor(f"{name}.weight", values.astype(np.float32))

    add("token_embd", N_TOKENS, WIDTH)
    add("output_norm", WIDTH)
    for layer in range(N_LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}", WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            add(f"blk.{layer}.{name}", WIDTH, WIDTH)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def last_logits(key: str | None) -> np.ndarray:
    path = Path(sys.argv[1]) / f"{key}.gguf"
    write(path, key)
    model = llama_cpp.Llama(str(path), n_ctx=N_CONTEXT, logits_all=True, n_threads=1, verbose=False)
    model.eval([number % N_TOKENS for number in range(100)])
    return np.array(model.scores[99])


plain = last_logits(None)
differences = {key: float(np.abs(last_logits(key) - plain).max()) for key in ("yarn_attn_factor", "attn_factor")}
print("largest difference of a logit:", differences)
sys.exit(not (differences["yarn_attn_factor"] == 0 and differences["attn_factor"] > 0.1))
PYTHON
"$folder/venv/bin/python" "$folder/compare.py" "$folder"
