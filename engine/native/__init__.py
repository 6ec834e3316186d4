"""All that opens llama.cpp's libraries: `kernels` for ggml-base, `binding` for llama_cpp itself, `registry`
for the code that they compute with.
"""
