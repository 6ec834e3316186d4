"""Runs llama.cpp's converter on a checkpoint with a made-up vocabulary, which it would refuse.

    python tests/benchmarks/peer_converter.py LLAMA_CPP CHECKPOINT [its other arguments]

It tells a byte-level tokenizer by the hash of what it makes of one text, and knows the published ones only.
"""

import sys

sys.path.insert(0, sys.argv.pop(1))

import convert_hf_to_gguf  # noqa: E402
from conversion.base import TextModel  # noqa: E402

TextModel.get_vocab_base_pre = lambda self, tokenizer: "bloom"
convert_hf_to_gguf.main()
