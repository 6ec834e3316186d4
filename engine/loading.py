"""From a path to a model that can answer: every check that spares llama.cpp a bad file, then the load
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine import memory
from engine.architectures import require_architecture
from engine.backend import Progress, untold
from engine.chat_template import TemplateFormat
from engine.cpu import performance_cores
from engine.errors import (
    ChatTemplateFailed,
    DiffusionModel,
    EmbeddingModel,
    EncoderDecoderModel,
    UnknownPromptFormat,
)
from engine.gguf_header import GgufHeader, read_gguf_header
from engine.llama import Context, Model, can_use_gpu, outputs_kept
from engine.model_kinds import require_chat_model
from engine.model_shape import ModelShape, read_model_shape
from engine.named_templates import NAMED_TEMPLATES, NamedTemplate, recognise_template
from engine.prompt import BASE, PROMPT_FORMATS, TEMPLATE, PromptFormat, detect_format, own_format
from engine.session import Session
from engine.template_sandbox import MAX_TEMPLATE_CHARS
from engine.thought_tokens import Thoughts, read_thoughts
from engine.threads import Threads
from engine.types import LoadOptions, ModelInfo

_MIN_CONTEXT = 16
_GPU_BATCH = 512

# Between two evaluations the number of threads can change: a prompt is read in such as take about a second.
# One thread multiplies some 64 billion weights in that (an AVX-512 core, Q4_0). 16 tokens at once cost a 7B
# about 5 % of its speed against 64; no model was faster with more than 128.
_WEIGHTS_PER_THREAD = 64_000_000_000
_READ_STEP = 16


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its context and session; `close` frees both native objects."""

    info: ModelInfo
    session: Session
    model: Model

    def close(self) -> None:
        """Free the context and the model."""
        self.model.close()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What will be loaded, all of it decided before llama.cpp is called."""

    header: GgufHeader
    prompt_format: str
    chat_template: str | None
    is_base: bool
    context_tokens: int
    thread_counts: range
    on_gpu: bool
    n_micro_batch: int
    gpu_layers: int | None


def load_model(path: Path, options: LoadOptions, progress: Progress = untold) -> LoadedModel:
    """Check and load the GGUF at `path`.

    Raises the subclasses of ModelFileError, NotEnoughMemory (unless `options.ignore_memory`),
    UnknownPromptFormat, ChatTemplateFailed (format `template` without a template) and NativeLibraryMissing;
    nothing stays loaded then.
    """
    plan = _plan(path, options)
    model = Model(path, gpu_layers=plan.gpu_layers, progress=progress)
    try:
        _require_decoder(model)
        context = Context(
            model,
            context_tokens=plan.context_tokens,
            n_batch=min(plan.n_micro_batch, plan.context_tokens),
            n_micro_batch=plan.n_micro_batch,
            n_threads=plan.thread_counts[-1],
        )
        if not context.has_memory:  # as with any encoder
            raise EmbeddingModel(path)
        thoughts = _thoughts(plan, model)
        prompt_format = _prompt_format(plan, model, thoughts)
        session = Session(
            model,
            context,
            prompt_format,
            Threads(plan.thread_counts),
            thoughts=thoughts,
            vocabulary=plan.header.vocabulary,
            context_tokens=plan.context_tokens,
            n_read=_GPU_BATCH if plan.on_gpu else tokens_at_once(model.n_parameters, plan.thread_counts[-1]),
        )
        info = _info(plan, model, context, prompt_format, thoughts)
        return LoadedModel(info, session, model)
    except BaseException:
        model.close()
        raise


def _plan(path: Path, options: LoadOptions) -> _Plan:
    header = read_gguf_header(path)
    require_chat_model(header)
    require_architecture(header)
    shape = read_model_shape(header)
    on_gpu = options.gpu_layers != 0 and can_use_gpu()
    name = _format_name(header, options)
    plan = _Plan(
        header=header,
        prompt_format=name,
        chat_template=options.chat_template,
        is_base=name == BASE.name and options.prompt_format is None,
        context_tokens=_context_tokens(header, shape, options),
        thread_counts=_thread_counts(options),
        on_gpu=on_gpu,
        n_micro_batch=_GPU_BATCH if on_gpu else memory.MICRO_BATCH,
        gpu_layers=options.gpu_layers,
    )
    if not options.ignore_memory:
        n_outputs = outputs_kept(plan.n_micro_batch)
        memory.require_memory(header, shape, plan.context_tokens, plan.n_micro_batch, n_outputs)
    return plan


def _require_decoder(model: Model) -> None:
    """What only llama.cpp knows: a kind of model that is newer than the rules for headers."""
    if model.is_diffusion:
        raise DiffusionModel(model.path)
    if not model.has_decoder:
        raise EmbeddingModel(model.path)
    if model.has_encoder:
        raise EncoderDecoderModel(model.path)


def _thread_counts(options: LoadOptions) -> range:
    """The numbers of threads to choose from while computing."""
    fixed = options.threads
    return range(fixed, fixed + 1) if fixed else range(1, performance_cores() + 1)


def tokens_at_once(n_parameters: int, n_threads: int) -> int:
    """How many tokens of a prompt processors evaluate in about a second, in steps of 16."""
    in_a_second = n_threads * _WEIGHTS_PER_THREAD // max(1, n_parameters)
    return min(max(in_a_second // _READ_STEP, 1) * _READ_STEP, memory.MICRO_BATCH)


def _context_tokens(header: GgufHeader, shape: ModelShape, options: LoadOptions) -> int:
    if options.context_tokens is not None:
        return max(options.context_tokens, _MIN_CONTEXT)
    available = None if options.ignore_memory else memory.available_bytes()
    return memory.default_context(memory.footprint(header, shape), available)


def _format_name(header: GgufHeader, options: LoadOptions) -> str:
    template = header.text("tokenizer.chat_template")
    if options.chat_template is not None:
        return TEMPLATE
    name = options.prompt_format or detect_format(header.architecture, template)
    if name not in PROMPT_FORMATS:
        raise UnknownPromptFormat(name, PROMPT_FORMATS)
    if name == TEMPLATE and not (template or "").strip():
        raise ChatTemplateFailed("the file has no chat template")
    return name


def _prompt_format(plan: _Plan, model: Model, thoughts: Thoughts | None) -> PromptFormat:
    named = NAMED_TEMPLATES.get(plan.prompt_format)
    if named is None and plan.prompt_format != TEMPLATE:
        return own_format(plan.prompt_format)
    return TemplateFormat(
        named.template if named is not None else _template(plan),
        model.token_text(model.begin_token),
        model.token_text(model.end_token),
        controls=lambda: [control.text for control in model.control_tokens],
        thoughts=thoughts.format if thoughts is not None else None,
        stop_strings=_ends_in_text(named, model) if named is not None else (),
        name=plan.prompt_format,
    )


def _ends_in_text(named: NamedTemplate, model: Model) -> tuple[str, ...]:
    """What ends an answer, where the vocabulary was not made for the format: a text, as the model sees it."""
    return (named.end,) if named.end and not model.is_token(named.end) else ()


def _template(plan: _Plan) -> str:
    return plan.chat_template or plan.header.text("tokenizer.chat_template") or ""


def _thoughts(plan: _Plan, model: Model) -> Thoughts | None:
    """How the model writes its thoughts: only its own template, or a file's, can say so."""
    if plan.prompt_format != TEMPLATE or len(_template(plan)) > MAX_TEMPLATE_CHARS:
        return None
    return read_thoughts(_template(plan), plan.header.architecture, model)


def _info(
    plan: _Plan, model: Model, context: Context, prompt_format: PromptFormat, thoughts: Thoughts | None
) -> ModelInfo:
    return ModelInfo(
        path=str(plan.header.path),
        name=plan.header.text("general.name") or plan.header.path.stem,
        architecture=plan.header.architecture,
        quantization=model.quantization,
        n_parameters=model.n_parameters,
        size_bytes=plan.header.size_bytes,
        n_vocab=model.n_vocab,
        trained_context_tokens=model.trained_context_tokens,
        context_tokens=min(plan.context_tokens, context.context_tokens),
        n_threads=plan.thread_counts[-1],
        prompt_format=plan.prompt_format,
        vocabulary=plan.header.vocabulary,
        is_base=plan.is_base,
        likely_format=recognise_template(model.is_token) if plan.is_base else None,
        thinks=thoughts is not None,
        can_switch_thinking=isinstance(prompt_format, TemplateFormat) and prompt_format.can_switch_thinking,
    )
