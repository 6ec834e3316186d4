#!/usr/bin/env bash
# Builds llama.cpp's own programs from the source that llama-cpp-python is built from, as oracles and peers:
# build_llama_cpp.sh FOLDER leaves FOLDER/bin/llama-server and FOLDER/bin/llama-bench. 10 minutes on two cores.
set -euo pipefail
folder=$1
version=$(uv run --no-sync python -c 'from importlib.metadata import version; print(version("llama-cpp-python"))')
mkdir -p "$folder"
if [ ! -x "$folder/bin/llama-server" ]; then
    uv run --no-sync --with pip python -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: \
        --dest "$folder" "llama-cpp-python==$version"
    tar -xzf "$folder/llama_cpp_python-$version.tar.gz" -C "$folder"
    cmake -S "$folder/llama_cpp_python-$version/vendor/llama.cpp" -B "$folder" -DCMAKE_BUILD_TYPE=Release \
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF >/dev/null
    cmake --build "$folder" --parallel 2 --target llama-server llama-bench >/dev/null
fi
