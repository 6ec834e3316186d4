#!/usr/bin/env bash
# PEFT: a LoRA on the embedding of a model with tied embeddings can't be merged into what was trained, with
# `ensure_weight_tying` neither.
#
# One would guess that merge_and_unload gives the model that answered during training; that is what it is for. While
# training, the adapter changes the embedding alone and the output matrix stays. The two are one tensor, so merging
# changes the output as well (PEFT warns when the adapter is made, and merges without a word). `ensure_weight_tying`
# sounds like the remedy: then the output is adapted too while training, and merging adds the change to the one tensor
# twice. A converter that wants what was trained has to untie the model: a changed embedding, and the old output matrix.
#
# Seen with peft 0.21.2, transformers 5.24.0, torch 2.13.0, a small LLaMA with random weights and a random adapter:
# untied, the merged logits are the trained ones; tied they differ by 249 where the largest is 0.39, and with
# ensure_weight_tying by 267 where the largest is 267. Exits with 1 when a tied model merges to what it was.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 peft==0.21.2
cat >"$folder/merge.py" <<'PYTHON'
"""The logits of an adapted model before and after the merge."""
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 64}


def compare(tied: bool, ensure: bool) -> tuple[float, float]:
    """How much they differ, and the largest of them before."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=tied)).eval()
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["embed_tokens"], ensure_weight_tying=ensure)
    trained = get_peft_model(model, config).eval()
    for name, parameter in trained.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    tokens = torch.arange(SHAPE["vocab_size"])[None]
    with torch.no_grad():
        before = trained(tokens).logits
        after = trained.merge_and_unload()(tokens).logits
    return float((before - after).abs().max()), float(before.abs().max())


cases = {(tied, ensure): compare(tied, ensure) for tied, ensure in ((False, False), (True, False), (True, True))}
for (tied, ensure), (difference, largest) in cases.items():
    print(f"tied {tied}, ensure_weight_tying {ensure}: differ by {difference:.3g}, largest logit {largest:.3g}")
is_merged = {case: difference < 1e-3 * largest for case, (difference, largest) in cases.items()}
sys.exit(not (is_merged[False, False] and not is_merged[True, False] and not is_merged[True, True]))
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/merge.py"
