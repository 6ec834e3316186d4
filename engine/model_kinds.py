"""Which sound GGUF files can't chat, and what they are: told from the header, before any weight is read.

The kinds follow what writes them into a file (`general.type`, non-causal attention, pooling, the names of
tensors); names of architectures decide only where nothing else does. What llama.cpp itself says of a loaded
model has the last word (`engine.loading`).
"""

from __future__ import annotations

from engine.errors import (
    AdapterFile,
    DiffusionModel,
    DraftModel,
    EmbeddingModel,
    EncoderDecoderModel,
    ImageModel,
    ImportanceMatrixFile,
    NotAChatModel,
    ProjectorFile,
    SpeechModel,
    VocabularyFile,
)
from engine.gguf_header import GgufHeader

# `general.type`: GGUFType of gguf-py's constants.py.
_BY_TYPE: dict[str, type[NotAChatModel]] = {
    "mmproj": ProjectorFile,
    "adapter": AdapterFile,
    "imatrix": ImportanceMatrixFile,
}
# Architectures that llama.cpp has for other ends than text after text (llama-arch.cpp), and those that
# ComfyUI-GGUF (github.com/city96/ComfyUI-GGUF, loader.py), whisper and TTS programs write.
_DIFFUSION = ("dream", "llada", "llada-moe", "rnd1")
_IMAGE = (
    *("flux", "sd1", "sdxl", "sd3", "aura", "hidream", "cosmos", "ltxv", "hyvid", "wan", "lumina2"),
    *("qwen_image", "ideogram", "krea2", "minimax_h3"),
)
_BY_ARCHITECTURE: dict[str, type[NotAChatModel]] = {
    "clip": ProjectorFile,
    "clip-vision": ProjectorFile,
    "controlvector": AdapterFile,
    "gemma-embedding": EmbeddingModel,
    "llama-embed": EmbeddingModel,
    "t5": EncoderDecoderModel,
    "t5encoder": EmbeddingModel,
    **dict.fromkeys(_DIFFUSION, DiffusionModel),
    **dict.fromkeys(_IMAGE, ImageModel),
    **dict.fromkeys(("wavtokenizer-dec", "qwen3tts", "pockettts", "whisper"), SpeechModel),
    **dict.fromkeys(("eagle3", "dflash", "gemma4-assistant"), DraftModel),
}
# stable-diffusion.cpp keeps the tensors' names of the checkpoints, and names no architecture.
_IMAGE_TENSORS = ("model.diffusion_model.", "first_stage_model.")
_POOLED = (1, 2, 3, 4)  # LLAMA_POOLING_TYPE: mean, first token, last token, rank


def require_chat_model(header: GgufHeader) -> None:
    """Raise the subclass of NotAChatModel for what `header` describes, unless it may be a chat model."""
    kind = other_kind(header)
    if kind is not None:
        raise kind(header.path)


def other_kind(header: GgufHeader) -> type[NotAChatModel] | None:
    """What the file is if it is no chat model; None where it may be one."""
    known = _BY_TYPE.get(header.text("general.type") or "") or _BY_ARCHITECTURE.get(header.architecture)
    if known is not None:
        return known
    if not header.tensors:
        return VocabularyFile if _is_vocabulary(header) else None
    if any(tensor.name.startswith(_IMAGE_TENSORS) for tensor in header.tensors):
        return ImageModel
    if "diffusion.shift_logits" in header.metadata:
        return DiffusionModel
    return EmbeddingModel if _gives_numbers(header) else None


def _is_vocabulary(header: GgufHeader) -> bool:
    """The first file of a split model may have no tensors either."""
    n_files = header.metadata.get("split.count", 1)
    return header.array_lengths.get("tokenizer.ggml.tokens", 0) > 0 and n_files in (0, 1)


def _gives_numbers(header: GgufHeader) -> bool:
    """Whether each token sees the later ones, or the file says how the tokens' vectors become one."""
    name = header.architecture
    is_causal = header.metadata.get(f"{name}.attention.causal", True)
    return not is_causal or header.metadata.get(f"{name}.pooling_type") in _POOLED or "bert" in name
