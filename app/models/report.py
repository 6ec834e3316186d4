"""What `chatbelle models` tells, as plain values: the same is printed as JSON or shown as a table."""

from __future__ import annotations

from typing import Any

from app.home import Home
from app.i18n import Texts
from app.models.errands import Get
from app.models.job_records import JobRecord
from app.models.offers import Option, make_offer
from app.models.problem_kinds import problem_kind
from app.models.unfinished import is_at_work, own_name
from convert.recipes import AUTO
from engine.models.catalog import Catalog, CatalogModel
from engine.models.fit import Fit, judge
from engine.models.library import Library
from engine.models.listing import Listing, LocalModel
from engine.models.machine import Machine
from engine.models.user_entries import UserEntry


def listing_report(listing: Listing, library: Library, machine: Machine, texts: Texts) -> dict[str, Any]:
    """All that `list` shows; sizes in bytes, times in seconds since 1970."""
    return {
        "models": [local_report(model, machine, texts) for model in listing.models],
        "missing": [
            {"name": gone.name, "path": str(gone.path), "source": gone.source} for gone in listing.missing
        ],
        "folder": str(library.folder),
        "unreadable": [str(folder) for folder in library.unreadable_folders()],
        "free_bytes": library.free_bytes(),
    }


def local_report(model: LocalModel, machine: Machine, texts: Texts) -> dict[str, Any]:
    """A model on this disk; `problem` is a sentence where it can't be used, `problem_kind` a name for it."""
    summary = model.summary
    return {
        "name": model.name,
        "path": str(model.path),
        "files": [str(path) for path in model.parts],
        "place": model.place,
        "size_bytes": model.size_bytes,
        "title": summary.title if summary else None,
        "architecture": summary.architecture if summary else None,
        "quantization": summary.quantization if summary else None,
        "n_parameters": summary.n_parameters if summary else None,
        "trained_context_tokens": summary.footprint.shape.trained_context_tokens if summary else None,
        "prompt_format": model.prompt_format,
        "license": model.license,
        "source": model.source,
        "sha256": model.sha256,
        "added_at": model.added_at,
        "used_at": model.used_at,
        "moved_from": str(model.moved_from) if model.moved_from else None,
        "problem": texts.error(model.problem) if model.problem else None,
        "problem_kind": problem_kind(model.problem) if model.problem else None,
        "fit": fit_report(judge(summary.footprint, machine)) if summary and not model.problem else None,
    }


def catalog_report(model: CatalogModel, catalog: Catalog, machine: Machine, texts: Texts) -> dict[str, Any]:
    """A model of the catalog; what is not known is None.

    chosen: the type that is got unless another one is asked for, and whose `fit` this is; outputs: the
    types that can be asked for, of those it can be converted to only what is of a known size.
    """
    architecture = catalog.architecture(model)
    offer = make_offer(model, catalog, machine)
    return {
        "id": model.id,
        "name": model.name,
        "repo": model.repo,
        "family": model.family,
        "group": model.group,
        "license": model.license,
        "form": model.form,
        "prompt_format": model.prompt_format,
        "prompt_verified": model.prompt_verified,
        "n_parameters": architecture.n_parameters if architecture else None,
        "download_bytes": model.about_bytes(),
        "variants": [name for name in model.variants if name],
        "needs": [{"kind": need.kind, "name": need.name} for need in model.needs],
        "about": model.about.in_language(texts.language),
        "recommendation": model.recommendation.in_language(texts.language),
        "rank": model.rank,
        "can_be_used": model.can_be_used,
        "chosen": offer.chosen_type,
        "fit": fit_report(offer.fit) if offer.fit else None,
        "outputs": {
            option.name or AUTO: _output_report(option)
            for option in offer.options
            if option.name or (model.can_be_used and option.result_bytes is not None)
        },
    }


def _output_report(option: Option) -> dict[str, Any]:
    return {
        "size_bytes": option.result_bytes,
        "is_estimate": option.is_estimate,
        "fit": fit_report(option.fit) if option.fit else None,
    }


def entry_report(entry: UserEntry) -> dict[str, Any]:
    """What a person added to the catalog; only where it comes from is known."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "source": entry.source,
        "repo": entry.repo,
        "file": entry.file,
        "added_at": entry.added_at,
    }


def unfinished_report(record: JobRecord, home: Home) -> dict[str, Any]:
    """Work that came to no end. path: of the result, "" until that is known; sizes in bytes.

    own_name: what `remove` takes, and nothing else is called. is_at_work: by some process.
    """
    return {
        "name": record.title,
        "own_name": own_name(record),
        "path": record.output,
        "done_bytes": record.done_bytes,
        "total_bytes": record.total_bytes,
        "percent": 100 * record.done_bytes // max(1, record.total_bytes),
        "is_at_work": is_at_work(record, home),
        "is_download": isinstance(record.errand, Get),
    }


def fit_report(fit: Fit) -> dict[str, Any]:
    """How a model does on this machine; sizes in bytes."""
    return {
        "verdict": fit.verdict.value,
        "needed_bytes": fit.need.total,
        "committed_bytes": fit.need.committed,
        "free_bytes": fit.free_bytes,
        "context_tokens": fit.context_tokens,
        "smaller_context_tokens": fit.smaller_context,
        "quantization": fit.quantization,
    }
