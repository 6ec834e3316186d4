#!/usr/bin/env bash
# llama.cpp: what a GGUF is called (`general.name`) changes how it is tokenized, and whether it loads.
#
# One would guess that the name is for people. But GGUF has no place for the attributes of added tokens (lstrip, rstrip),
# so llama.cpp takes them from names: where `general.name` contains "phi-3" or "phi3", in any case, every control token
# but <unk>, <s> and <|endoftext|> swallows the white space after it. Two files that differ in their name alone send
# different tokens for the same prompt; and a vocabulary without <|endoftext|> that is renamed so no longer loads, with
# "unordered_map::at" as the only reason. So a converter that makes up a name, or a person who edits one, changes answers.
#
# Seen with llama-cpp-python 0.3.36 and gguf 0.19.0, on a vocabulary of 261 tokens made here.
# Exits with 1 when any of this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llama-cpp-python==0.3.36 gguf==0.19.0 "numpy>=2,<3"
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import gguf
import llama_cpp

lines = []
log = llama_cpp.llama_log_callback(lambda _level, text, _data: lines.append(text.decode()))  # kept until the end
llama_cpp.llama_log_set(log, None)
llama_cpp.llama_backend_init()

printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
others = [byte for byte in range(256) if byte not in printable]
byte_texts = [chr(byte) if byte in printable else chr(256 + others.index(byte)) for byte in range(256)]
CONTROL = ["<unk>", "<s>", "</s>", "<|end|>"]


def write(name, ending):
    path = Path(sys.argv[1]) / "vocabulary.gguf"
    tokens = [*CONTROL, ending, *byte_texts]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_block_count(1)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["a b"])
    types = [gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL] * 256
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def load(name, ending="<|endoftext|>"):
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    return llama_cpp.llama_model_load_from_file(str(write(name, ending)).encode(), parameters)


def tokens(name, text=b"<|end|>\n\n  a"):
    model = load(name)
    assert model, lines
    ids = (llama_cpp.llama_token * 64)()
    n = llama_cpp.llama_tokenize(llama_cpp.llama_model_get_vocab(model), text, len(text), ids, 64, False, True)
    llama_cpp.llama_model_free(model)
    return list(ids[:n])


plain, renamed = tokens("tiny model"), tokens("tiny Phi-3 model")
print("named 'tiny model':      ", plain)
print("named 'tiny Phi-3 model':", renamed)
assert len(plain) == 6 and len(renamed) == 2 and renamed == [plain[0], plain[-1]]

assert load("tiny model", "<|other|>")
lines.clear()
assert not load("tiny Phi-3 model", "<|other|>")
reason = next(line.strip() for line in lines if "error loading model vocabulary" in line)
print("without <|endoftext|>:   ", reason)
assert "unordered_map::at" in reason
PYTHON
