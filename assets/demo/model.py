"""A small BLOOM in plain torch, and its export in the layout `transformers` would save.

The forward pass follows "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model"
(arXiv:2211.05100) and its published checkpoints: ALiBi, a query/key/value matrix interleaved per head,
layer norm after the embedding, GELU in its tanh form, and an output layer tied to the embedding. It knows
nothing of text, tokens or training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class BloomShape:
    """The sizes that define a BLOOM; `config.json` is written from them."""

    vocab_size: int
    hidden_size: int = 256
    n_layer: int = 6
    n_head: int = 8
    layer_norm_epsilon: float = 1e-5
    seq_length: int = 2048


def alibi_slopes(n_head: int) -> Tensor:
    """ALiBi's slopes for a power-of-two number of heads, shape (n_head,)."""
    if n_head & (n_head - 1):
        raise ValueError(f"n_head must be a power of two, not {n_head}")
    return torch.tensor([2.0 ** (-8.0 * (i + 1) / n_head) for i in range(n_head)])


def alibi_bias(n_head: int, n_tokens: int) -> Tensor:
    """Causal attention bias, shape (1, n_head, n_tokens, n_tokens); a shift along a row changes nothing."""
    position = torch.arange(n_tokens)
    distance = (position[None, :] - position[:, None]).float()
    bias = alibi_slopes(n_head)[:, None, None] * distance
    return bias.masked_fill(distance > 0, float("-inf"))[None]


class CheapDropout(nn.Module):
    """Dropout that cuts its masks from one pool of random numbers: drawing fresh ones is slow on a CPU."""

    def __init__(self, rate: float, pool_size: int = 1 << 23) -> None:
        super().__init__()
        self.rate = rate
        keep = torch.rand(pool_size if rate else 0) >= rate
        self._pool = keep.to(torch.bfloat16) / (1 - rate)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        start = int(torch.randint(len(self._pool) - x.numel(), ()))
        return x * self._pool[start : start + x.numel()].view(x.shape)


class SelfAttention(nn.Module):
    """Causal attention with ALiBi over a fused, per-head interleaved query/key/value."""

    def __init__(self, shape: BloomShape) -> None:
        super().__init__()
        self.n_head = shape.n_head
        self.query_key_value = nn.Linear(shape.hidden_size, 3 * shape.hidden_size)
        self.dense = nn.Linear(shape.hidden_size, shape.hidden_size)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        n_batch, n_tokens, n_hidden = x.shape
        fused = self.query_key_value(x).view(n_batch, n_tokens, self.n_head, 3, n_hidden // self.n_head)
        query, key, value = fused.permute(3, 0, 2, 1, 4)
        # Written out: on a CPU the fused kernel's backward pass costs more than all the rest.
        scores = torch.add(bias, query @ key.transpose(2, 3), alpha=(n_hidden // self.n_head) ** -0.5)
        mixed = scores.softmax(-1).to(value.dtype) @ value
        out: Tensor = self.dense(mixed.transpose(1, 2).reshape(n_batch, n_tokens, n_hidden))
        return out


class MLP(nn.Module):
    """The feed-forward half of a block."""

    def __init__(self, shape: BloomShape) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(shape.hidden_size, 4 * shape.hidden_size)
        self.dense_4h_to_h = nn.Linear(4 * shape.hidden_size, shape.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x), approximate="tanh"))
        return out


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, shape: BloomShape, dropout: nn.Module) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_epsilon)
        self.self_attention = SelfAttention(shape)
        self.post_attention_layernorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_epsilon)
        self.mlp = MLP(shape)
        self.dropout = dropout

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.dropout(self.self_attention(self.input_layernorm(x), bias))
        x = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
        return x


class Bloom(nn.Module):
    """The model without its head: token ids in, final hidden states out; `logits` applies the tied head."""

    def __init__(self, shape: BloomShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.word_embeddings_layernorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_epsilon)
        self.dropout = CheapDropout(dropout)
        self.h = nn.ModuleList(Block(shape, self.dropout) for _ in range(shape.n_layer))
        self.ln_f = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_epsilon)
        self._bias = alibi_bias(shape.n_head, 512)
        self.apply(self._initialise)
        for block in self.h:
            for layer in (block.self_attention.dense, block.mlp.dense_4h_to_h):
                nn.init.normal_(layer.weight, std=0.02 / (2 * shape.n_layer) ** 0.5)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Final hidden states, shape (batch, tokens, hidden), of `ids`, shape (batch, tokens)."""
        n_tokens = ids.shape[1]
        if n_tokens > self._bias.shape[-1]:
            self._bias = alibi_bias(self.shape.n_head, n_tokens)
        bias = self._bias[:, :, :n_tokens, :n_tokens]
        x = self.dropout(self.word_embeddings_layernorm(self.word_embeddings(ids)))
        if torch.is_autocast_enabled("cpu"):  # half the memory traffic; the weights stay in float32
            x, bias = x.to(torch.bfloat16), bias.to(torch.bfloat16)
        for block in self.h:
            x = block(x, bias)
        out: Tensor = self.ln_f(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary for hidden states of any leading shape."""
        return F.linear(hidden, self.word_embeddings.weight)


def checkpoint_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` of a `Bloom` as float16, named as in a saved `BloomForCausalLM`, without the tied head."""
    return {f"transformer.{name}": tensor.to(torch.float16).contiguous() for name, tensor in state.items()}


def checkpoint_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `checkpoint_tensors`, in float32."""
    return {name.removeprefix("transformer."): tensor.float() for name, tensor in tensors.items()}


def checkpoint_config(shape: BloomShape) -> dict[str, object]:
    """The `config.json` of a `BloomForCausalLM` of this shape."""
    return {
        "architectures": ["BloomForCausalLM"],
        "model_type": "bloom",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "n_layer": shape.n_layer,
        "n_head": shape.n_head,
        "layer_norm_epsilon": shape.layer_norm_epsilon,
        "seq_length": shape.seq_length,
        "apply_residual_connection_post_layernorm": False,
        "initializer_range": 0.02,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "unk_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "use_cache": True,
    }
