#!/usr/bin/env bash
# llama.cpp: a build with SOURCE_DATE_EPOCH in the environment has no AVX2, no FMA, not even SSE4.2, and is five times
# slower; nothing fails, and the same command without the variable builds another program.
#
# Whoever distributes programs sets SOURCE_DATE_EPOCH, so that builds are reproducible: Debian's and Nix's build systems
# do, and guides to wheels. ggml's CMake file takes it for a reason not to build for the processor at hand (fine), and
# then also turns off every instruction set that -DGGML_NATIVE=OFF otherwise stands for (AVX2, FMA, F16C, BMI2,
# SSE4.2), as if one were cross-compiling. A build with -DGGML_CPU_ALL_VARIANTS=ON is not touched, since each variant
# names its own instruction sets. What was built is told by `ggml_backend_get_features`, or by llama_print_system_info.
#
# Seen with llama-cpp-python 0.3.36 (ggml 0.25.3), GCC 12, CMake 3.25. Generating with SmolLM2-135M-Instruct Q4_1, one
# thread of an AMD EPYC (Zen 4): 61 ms of processor time a token with plain x86-64 code, 12 ms with that for AVX2.
# Only configures, which takes seconds. Needs cmake and a C++ compiler. Exits with 1 when any of this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" download --quiet --no-deps --no-binary llama-cpp-python --dest "$folder" llama-cpp-python==0.3.36
mkdir "$folder/source"
tar -xzf "$folder"/llama_cpp_python-*.tar.gz -C "$folder/source" --strip-components 1
variants="-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON"

# Prints the compiler's switches for the CPU code whose name ends with $2, with the variable as $1 sets it.
switches() {
    local setting=$1 name=$2
    shift 2
    rm -rf "$folder/build"
    env $setting cmake -S "$folder/source/vendor/llama.cpp" -B "$folder/build" -DLLAMA_BUILD_TESTS=OFF "$@" \
        >"$folder/log" 2>&1 || { tail -5 "$folder/log" >&2; exit 1; }
    sed -n "s/.*Adding CPU backend variant ggml-cpu$name: //p" "$folder/log"
}

for setting in "-u SOURCE_DATE_EPOCH" "SOURCE_DATE_EPOCH=1700000000"; do
    portable=$(switches "$setting" "" -DGGML_NATIVE=OFF)
    haswell=$(switches "$setting" -haswell $variants)
    echo "$setting: portable build [$portable]; variant haswell [$haswell]"
    [[ $haswell == *-mavx2* ]]
    if [[ $setting == -u* ]]; then [[ $portable == *-mavx2* ]]; else [[ $portable != *-m* ]]; fi
done
