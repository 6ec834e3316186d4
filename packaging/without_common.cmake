# CMake reads this after llama.cpp's project() command. llama-cpp-python insists on llama.cpp's helpers for
# command-line tools; we have none, and they are a third of the build.
set(LLAMA_BUILD_COMMON OFF)
