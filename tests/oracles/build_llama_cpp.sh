#!/usr/bin/env bash
# Builds llama.cpp's own programs from the source that llama-cpp-python is built from, as oracles and peers:
# build_llama_cpp.sh FOLDER [PROGRAM…] leaves FOLDER/bin/PROGRAM (default: llama-server and llama-bench; 10 minutes
# on two cores) and the source in FOLDER/source.
set -euo pipefail
folder=$1
shift
[ $# -gt 0 ] || set -- llama-server llama-bench
version=$(uv run --no-sync python -c 'from importlib.metadata import version; print(version("llama-cpp-python"))')
mkdir -p "$folder"
missing=()
for program; do
    [ -x "$folder/bin/$program" ] || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ ! -d "$folder/source" ]; then
        # pip asks a source distribution for its metadata, for which it installs the build's own requirements.
        uv run --no-sync --with pip python -m pip download --quiet --no-deps --no-binary llama-cpp-python \
            --dest "$folder" "llama-cpp-python==$version"
        rm -rf "$folder/unpacked"
        mkdir "$folder/unpacked"
        tar -xzf "$folder/llama_cpp_python-$version.tar.gz" -C "$folder/unpacked" --strip-components 1
        mv "$folder/unpacked" "$folder/source"
    fi
    cmake -S "$folder/source/vendor/llama.cpp" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF \
        -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF >/dev/null
    cmake --build "$folder" --parallel 2 --target "${missing[@]}" >/dev/null
fi
