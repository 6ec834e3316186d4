"""llama.cpp's samplers, put together for one answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.llama import Context
from engine.native import binding
from engine.native.owner import Owner
from engine.types import Sampler, Sampling

_MIROSTAT_CANDIDATES = 100  # llama.cpp's `m`, how many tokens its first version estimates from
_XTC_MIN_KEEP = 1


class SamplerChain(Owner):
    """Chooses a token from a context's logits: the samplers in their order, then by chance; or the best.

    Penalties come before it, see `engine.penalties`. Source: common/sampling.cpp of llama.cpp.
    """

    def __init__(self, sampling: Sampling, seed: int, n_vocab: int) -> None:
        api = binding.api()
        super().__init__(
            api.llama_sampler_chain_init(api.llama_sampler_chain_default_params()), api.llama_sampler_free
        )
        self._api = api
        self._is_greedy = sampling.temperature == 0 and not sampling.mirostat
        if self._is_greedy:
            return
        for sampler in self._samplers(sampling, seed, n_vocab):
            api.llama_sampler_chain_add(self.pointer, sampler)  # the chain owns it from here on

    def sample(self, context: Context) -> int:
        """Choose the token that follows the last evaluated one."""
        if self._is_greedy:  # llama.cpp would first make candidates of the whole vocabulary
            return int(context.logits().argmax())
        return int(self._api.llama_sampler_sample(self.pointer, context.pointer, -1))

    def _samplers(self, sampling: Sampling, seed: int, n_vocab: int) -> Iterator[Any]:
        api, tau, eta = self._api, sampling.mirostat_tau, sampling.mirostat_eta
        if sampling.mirostat:
            yield api.llama_sampler_init_temp(sampling.temperature)
            if sampling.mirostat == 1:
                yield api.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, _MIROSTAT_CANDIDATES)
            else:
                yield api.llama_sampler_init_mirostat_v2(seed, tau, eta)
            return
        for name in sampling.sequence:
            if (sampler := self._sampler(name, sampling, seed)) is not None:
                yield sampler
        yield api.llama_sampler_init_dist(seed)

    def _sampler(self, name: Sampler, sampling: Sampling, seed: int) -> Any | None:
        """The native sampler of this name; None for one that changes nothing."""
        api = self._api
        if name == "temperature" and sampling.temperature != 1:
            return api.llama_sampler_init_temp(sampling.temperature)
        if name == "top_k" and sampling.top_k > 0:
            return api.llama_sampler_init_top_k(sampling.top_k)
        if name == "top_p" and sampling.top_p < 1:
            return api.llama_sampler_init_top_p(sampling.top_p, 1)
        if name == "min_p" and sampling.min_p > 0:
            return api.llama_sampler_init_min_p(sampling.min_p, 1)
        if name == "xtc" and sampling.xtc_probability > 0:
            return api.llama_sampler_init_xtc(
                sampling.xtc_probability, sampling.xtc_threshold, _XTC_MIN_KEEP, seed
            )
        return None
