"""Trains the demo model from scratch on the CPU and writes it as a Hugging Face BLOOM checkpoint.

    uv run --group train python -m assets.demo.train --out assets/demo

Reads `dialogues.jsonl`; `heldout.jsonl` is only measured, after training. With `--dev` one question of each
intent is kept out of training and measured instead: that is how the settings below were chosen.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from assets.demo import scoring
from assets.demo.data import FOLDER, Dialogue, Probe, all_sums, read_dialogues, read_probes
from assets.demo.model import Bloom, BloomShape, checkpoint_config, checkpoint_state, checkpoint_tensors
from assets.demo.samples import NO_CLASS, Mixture, Sample, SampleMaker
from assets.demo.tokenizer import PAD_ID, save_tokenizer, train_tokenizer

N_VOCAB = 5000
REPETITION_PENALTY = 1.2

log = logging.getLogger("train")


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="folder for the checkpoint (default: this one)"
    )
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--resume", type=Path, help="go on from the checkpoint in this folder")
    parser.add_argument("--minutes", type=float, default=1e9, help="finish by then, whatever --steps says")
    parser.add_argument("--batch-tokens", type=int, default=3072, help="tokens in a batch, padding included")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--question-weight", type=float, default=0.1, help="loss weight of question tokens")
    parser.add_argument(
        "--class-weight", type=float, default=0.3, help="loss weight of the auxiliary answer classifier"
    )
    parser.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--every", type=int, default=600, help="steps between measurements")
    parser.add_argument(
        "--dev", action="store_true", help="measure on training questions kept out, not on heldout.jsonl"
    )
    return parser.parse_args(arguments)


def texts_of(dialogues: Sequence[Dialogue]) -> Iterator[str]:
    """All questions, and each answer a few times (its wording matters more), to learn a vocabulary from."""
    for dialogue in dialogues:
        for turn in dialogue.turns:
            yield from turn.questions
            yield from [turn.answer] * 3


def keep_out(dialogues: Sequence[Dialogue], seed: int) -> tuple[list[Dialogue], list[Probe]]:
    """Take one question of every single-turn intent away, to measure on."""
    rng = random.Random(seed)
    kept, probes = [], []
    for d in dialogues:
        if len(d.turns) > 1:
            kept.append(d)
            continue
        turn = d.turns[0]
        chosen = rng.choice(turn.questions)
        rest = tuple(question for question in turn.questions if question != chosen)
        kept.append(replace(d, turns=(replace(turn, questions=rest),)))
        probes.append(Probe("kept out", d.id, d.lang, d.topic, chosen, turn.answer))
    return kept, probes


def position_weights(sample: Sample, question_weight: float) -> Tensor:
    """What each next-token prediction counts, shape (tokens - 1,); most are left out at random to save time.

    An answer is decided by its first tokens: those always count. Others are drawn, and count more when drawn.
    """
    answer = torch.tensor(sample.is_answer[1:])
    chance = torch.rand(len(answer))
    weight = torch.where(answer, (chance < 0.5) * 2.0, (chance < 0.2) * question_weight * 5)
    for position, _ in sample.marks:
        weight[position : position + 3] = 1.0
    return weight


class Batch:
    """Samples of similar length as tensors: ids (batch, tokens), and what each position counts."""

    def __init__(self, samples: Sequence[Sample], question_weight: float) -> None:
        n_tokens = max(len(sample.ids) for sample in samples)
        self.ids = torch.full((len(samples), n_tokens), PAD_ID)
        weight = torch.zeros(len(samples), n_tokens - 1)
        marks = []
        for row, sample in enumerate(samples):
            self.ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
            weight[row, : len(sample.ids) - 1] = position_weights(sample, question_weight)
            marks += [(row, position, label) for position, label in sample.marks if label != NO_CLASS]
        self.rows, self.positions = weight.nonzero(as_tuple=True)
        self.weight = weight[self.rows, self.positions]
        self.marks = torch.tensor(marks or [(0, 0, NO_CLASS)])


def batches(maker: SampleMaker, batch_tokens: int, options: argparse.Namespace) -> Iterator[Batch]:
    """Endless batches: a pool of fresh samples, sorted by length, cut into batches, shuffled."""
    rng = random.Random(options.seed)
    while True:
        pool = sorted(maker.draw(1500), key=lambda sample: len(sample.ids))
        cuts: list[list[Sample]] = [[]]
        for sample in pool:
            if (len(cuts[-1]) + 1) * len(sample.ids) > batch_tokens:
                cuts.append([])
            cuts[-1].append(sample)
        rng.shuffle(cuts)
        for samples in cuts:
            yield Batch(samples, options.question_weight)


def penalised(logits: Tensor, batch: Batch) -> Tensor:
    """Logits as the sampler's repetition penalty will change them, so that answers survive it."""
    earlier = torch.arange(batch.ids.shape[1])[None] <= batch.positions[:, None]
    seen = torch.where(earlier, batch.ids[batch.rows], PAD_ID)
    mask = torch.zeros(logits.shape, dtype=torch.bool).scatter_(1, seen, True)
    changed = torch.where(logits > 0, logits / REPETITION_PENALTY, logits * REPETITION_PENALTY)
    return torch.where(mask, changed, logits)


def loss_of(
    model: Bloom, classifier: nn.Linear, batch: Batch, options: argparse.Namespace, step: int
) -> Tensor:
    """The training loss: answers, a little of the questions, and the auxiliary classifier."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(batch.ids)
        logits = model.logits(hidden[batch.rows, batch.positions])
        classes = classifier(hidden[batch.marks[:, 0], batch.marks[:, 1]])
    if step % 4 == 3:
        logits = penalised(logits, batch)
    targets = batch.ids[batch.rows, batch.positions + 1]
    each = F.cross_entropy(logits.float(), targets, reduction="none")
    loss = (each * batch.weight).sum() / batch.weight.sum()
    if options.class_weight:
        loss = loss + options.class_weight * F.cross_entropy(
            classes.float(), batch.marks[:, 2], ignore_index=NO_CLASS
        )
    return loss


def learning_rate(step: int, progress: float, options: argparse.Namespace) -> float:
    """Linear warm-up, then constant, then from 55 % of the way linearly down to 2 % of the highest rate."""
    warm_up = min(1.0, (step + 1) / 60)
    cool_down = min(1.0, (1.0 - progress) / 0.45)
    return float(options.rate * warm_up * max(0.02, cool_down))


def optimisers_of(
    model: Bloom, classifier: nn.Module, options: argparse.Namespace
) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices (it memorises rare facts in far fewer steps), AdamW for the rest."""
    matrices = [p for p in model.h.parameters() if p.dim() == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in [*model.parameters(), *classifier.parameters()] if id(p) not in chosen]
    groups = [
        {"params": [p for p in rest if p.dim() == 2], "weight_decay": options.weight_decay},
        {"params": [p for p in rest if p.dim() != 2], "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(
            matrices,
            lr=options.rate,
            weight_decay=options.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), eps=1e-8, fused=True),
    ]


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together: each works on its own batches, gradients are averaged.

    Two processes of one thread each outrun one process of two threads wherever other programs compete for
    the cores, because they wait for each other once a step instead of at every operation.
    """

    rank: int
    n_workers: int

    def average_gradients(self, parameters: Sequence[nn.Parameter], seconds: float) -> float:
        """Replace every gradient by its mean over the workers; returns their mean time, so that all agree."""
        if self.n_workers == 1:
            return seconds
        grads = [p.grad.reshape(-1) for p in parameters if p.grad is not None]
        flat = torch.cat([torch.tensor([seconds]), *grads])
        torch.distributed.all_reduce(flat)
        flat /= self.n_workers
        start = 1
        for p in parameters:
            if p.grad is not None:
                p.grad.copy_(flat[start : start + p.numel()].view_as(p))
                start += p.numel()
        return float(flat[0])


class Training:
    """The state of one worker's training: models, optimiser, data."""

    def __init__(self, tokenizer: Tokenizer, maker: SampleMaker, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.model = Bloom(BloomShape(vocab_size=tokenizer.get_vocab_size()), options.dropout)
        if options.resume:
            self.model.load_state_dict(checkpoint_state(load_file(options.resume / "model.safetensors")))
        self.classifier = nn.Linear(self.model.shape.hidden_size, len(maker.class_of))
        self.parameters = [*self.model.parameters(), *self.classifier.parameters()]
        self.optimisers = optimisers_of(self.model, self.classifier, options)
        self.average = copy.deepcopy(self.model).eval()
        self.started = time.monotonic()
        self.progress = 0.0

    def step(self, number: int, batch: Batch, worker: Worker) -> float:
        """One update; returns the loss."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(number, self.progress, self.options)
        loss = loss_of(self.model, self.classifier, batch, self.options, number)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        seconds = worker.average_gradients(self.parameters, time.monotonic() - self.started)
        self.progress = max((number + 1) / self.options.steps, seconds / 60 / self.options.minutes)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        update_average(self.average, self.model, min(self.options.average, (number + 1) / (number + 20)))
        return loss.item()


def train(
    tokenizer: Tokenizer,
    maker: SampleMaker,
    probes: Sequence[Probe],
    options: argparse.Namespace,
    worker: Worker,
) -> Bloom:
    """Run the training; returns the averaged model, the same in every worker."""
    training = Training(tokenizer, maker, options)
    torch.manual_seed(options.seed + 1000 * (worker.rank + 1))
    if worker.rank == 0:
        log.info("%d parameters", sum(p.numel() for p in training.model.parameters()))
    stream = batches(maker, options.batch_tokens // worker.n_workers, options)
    losses: list[float] = []
    n_tokens = 0
    for number in range(options.steps):
        batch = next(stream)
        losses.append(training.step(number, batch, worker))
        n_tokens += batch.ids.numel() * worker.n_workers
        done = number + 1
        if worker.rank == 0 and done % 100 == 0:
            seconds = time.monotonic() - training.started
            recent = sum(losses[-100:]) / 100
            log.info("step %d  loss %.4f  %.0f tokens/s  %.0f s", done, recent, n_tokens / seconds, seconds)
        if training.progress >= 1:
            break
        if worker.rank == 0 and done % options.every == 0:
            scoring.report_probes(training.average, tokenizer, probes, misses=False)
            export(training.average, tokenizer, options.out)
    return training.average


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the current ones."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def export(model: Bloom, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the checkpoint's five files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder)
    config = json.dumps(checkpoint_config(model.shape), indent=2) + "\n"
    (folder / "config.json").write_text(config, encoding="utf-8")
    weights = folder / "model.safetensors"
    save_file(checkpoint_tensors(model.state_dict()), weights, metadata={"format": "pt"})
    weights.chmod(0o644)


def keep_freed_memory() -> None:
    """Tell glibc not to hand big freed blocks back to the system: page faults took a third of the time."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for name, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**29)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(name, value)


def work(rank: int, definition: str, meeting_point: str, options: argparse.Namespace) -> None:
    """One worker's life; the first also exports and measures."""
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(1)
    worker = Worker(rank, options.workers)
    if options.workers > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=options.workers
        )
    dialogues, probes = exam(options)
    sums, sum_probes = all_sums()
    tokenizer = Tokenizer.from_str(definition)
    maker = SampleMaker(tokenizer, dialogues, sums, Mixture(), options.seed + rank)
    model = train(tokenizer, maker, probes, options, worker)
    if rank:
        return
    export(model, tokenizer, options.out)
    torch.set_num_threads(options.workers)
    rounded = Bloom(model.shape).eval()
    rounded.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
    trained = [*dialogues, *sums]
    scoring.report_training(rounded, tokenizer, trained[::8] if options.dev else trained)
    scoring.report_probes(rounded, tokenizer, [*probes, *sum_probes], misses=True)


def exam(options: argparse.Namespace) -> tuple[list[Dialogue], list[Probe]]:
    """What to train on, and what to measure on."""
    dialogues = read_dialogues()
    if options.dev:
        return keep_out(dialogues, seed=99)
    return dialogues, read_probes(dialogues)


def main() -> int:
    """Train, export, measure."""
    options = read_options()
    dialogues, _ = exam(options)
    if options.resume:
        definition = (options.resume / "tokenizer.json").read_text(encoding="utf-8")
    else:
        definition = train_tokenizer(texts_of([*dialogues, *all_sums()[0]]), N_VOCAB).to_str()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        arguments = (definition, str(Path(folder, "workers")), options)
        if options.workers == 1:
            work(0, *arguments)
        else:
            torch.multiprocessing.spawn(work, arguments, nprocs=options.workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
