"""The page that lies on top of an offline kit: Chinese, then English; one file, to be read and printed."""

from __future__ import annotations

from html import escape
from typing import Any

from app.i18n import Texts
from app.kit.manifest import Kit
from convert.i18n import Language

PAGE_NAME = "请先读我 READ ME FIRST.html"

_LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
_STYLE = """
body { font: 16px/1.6 system-ui, "Microsoft YaHei", "PingFang SC", "Noto Sans CJK SC", sans-serif;
  max-width: 44em; margin: 2em auto; padding: 0 1em; color: #111; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 1.6em }
code, td { overflow-wrap: anywhere } td { padding: .2em 1em .2em 0; vertical-align: top }
section + section { border-top: 2px solid #888; margin-top: 3em }
@media print { body { font-size: 11pt; margin: 0 } section + section { page-break-before: always } }
"""


def page_of(kit: Kit) -> str:
    """The page as HTML that needs no other file."""
    sections = "\n".join(_section(kit, language) for language in _LANGUAGES)
    head = f'<meta charset="utf-8"><title>ChatBELLE</title><style>{_STYLE}</style>'
    return f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{sections}\n</body></html>\n"


def _section(kit: Kit, language: Language) -> str:
    texts = Texts(language)

    def t(key: str, **values: Any) -> str:
        return escape(texts.text(f"kit.page.{key}", **values))

    system = kit.system.partition("-")[0].lower()
    is_archive = kit.program.endswith(".tar")
    program = kit.program.removesuffix(".tar")
    start = (
        [t("unpack", archive=kit.program, program=program)] if is_archive else [t("copy", program=program)]
    )
    start.append(t(f"start.{system}", program=program))
    if kit.model is not None:
        start.append(t("install_apart" if is_archive else "install", name=kit.model.name))
    parts = [
        f"<h1>{t('title')}</h1>",
        f"<p>{t('about', version=kit.version, system=kit.system)}</p>",
        f"<h2>{t('steps')}</h2>",
        "<ol>" + "".join(f"<li>{step}</li>" for step in start) + "</ol>",
        f"<p>{t('private')}</p>",
        f"<h2>{t('contents')}</h2>",
        _table(kit, t("program"), t("none")),
        f"<p>{t('by_checksum')}</p>",
        f"<h2>{t('licences')}</h2>",
        f"<p>{t('program_licence', program=program)}</p>",
    ]
    if kit.model is not None:
        known = kit.model.license
        said = t("model_licence", name=kit.model.name, license=known) if known else t("model_licence_unknown")
        parts.append(f"<p>{said}</p>")
    return f'<section lang="{language}">' + "\n".join(parts) + "</section>"


def _table(kit: Kit, program: str, no_model: str) -> str:
    rows = [(program, f"{kit.program} ({kit.version}, {kit.system})", "")]
    if kit.model is None:
        rows.append((no_model, "", ""))
    else:
        rows += [(file.path, f"{file.size_bytes:,} B", file.sha256) for file in kit.model.files]
    return "<table>" + "".join(map(_row, rows)) + "</table>"


def _row(cells: tuple[str, str, str]) -> str:
    name, about, digest = map(escape, cells)
    return f"<tr><td>{name}</td><td>{about}<br><code>{digest}</code></td></tr>"
