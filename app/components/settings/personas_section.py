"""The personas in the settings: the list, and an editor for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import flet as ft

from app.components.basics.dialogs import ask_confirmation, cancel_button
from app.components.settings.sampling_knobs import SamplingKnobs
from app.components.settings.settings_section import note
from app.personas import Persona
from app.views.context import ViewContext
from engine.partial_sampling import NOTHING, ResolvedSampling, Source

if TYPE_CHECKING:
    from app.chat.service import ChatService

_EDITOR_WIDTH = 520
_MAX_NAME = 60


class PersonasSection(ft.Column):
    """Presets and own personas. on_changed is called after a change was saved."""

    def __init__(self, context: ViewContext, on_changed: Callable[[], None]) -> None:
        super().__init__(spacing=4)
        self._context = context
        self._on_changed = on_changed
        self._store = context.service.personas
        self._fill()

    def _fill(self) -> None:
        context = self._context
        self.controls = [
            *(self._tile(persona) for persona in self._store.all(context.language)),
            ft.Row(
                [
                    ft.TextButton(
                        context.t("settings.persona_add"),
                        icon=ft.Icons.ADD,
                        on_click=context.guard(self._add),
                    )
                ]
            ),
        ]

    def _tile(self, persona: Persona) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        menu = [ft.PopupMenuItem(t("settings.persona_edit"), on_click=guard(lambda: self._edit(persona)))]
        if persona.is_changed:
            menu.append(
                ft.PopupMenuItem(
                    t("settings.persona_reset"),
                    on_click=guard(lambda: self._save(self._store.reset, persona.id)),
                )
            )
        if not persona.is_preset:
            menu.append(
                ft.PopupMenuItem(t("settings.persona_delete"), on_click=guard(lambda: self._delete(persona)))
            )
        name = f"{persona.name} · {t('settings.persona_changed')}" if persona.is_changed else persona.name
        return ft.ListTile(
            leading=ft.Icon(ft.Icons.PERSON_OUTLINE if persona.is_preset else ft.Icons.PERSON_ADD_OUTLINED),
            title=ft.Text(name, max_lines=1, overflow=ft.TextOverflow.ELLIPSIS),
            subtitle=ft.Text(
                persona.system or t("settings.persona_none"), max_lines=2, overflow=ft.TextOverflow.ELLIPSIS
            ),
            content_padding=ft.Padding.symmetric(horizontal=4),
            trailing=ft.PopupMenuButton(items=menu, tooltip=t("sidebar.more")),
            on_click=guard(lambda: self._edit(persona)),
        )

    async def _add(self) -> None:
        blank = Persona(id="", name="", system="", sampling=NOTHING)

        def add(persona: Persona) -> None:
            self._save(self._store.add, persona.name, persona.system, persona.sampling)

        await self._open_editor("settings.persona_add", blank, add)

    async def _edit(self, persona: Persona) -> None:
        def change(changed: Persona) -> None:
            self._save(self._store.change, changed)

        await self._open_editor("settings.persona_edit", persona, change)

    async def _open_editor(self, title: str, persona: Persona, on_save: Callable[[Persona], None]) -> None:
        below = await self._context.in_thread(_sampling_below, self._context.service)
        _open_editor(self._context, self._context.t(title), persona, below, on_save)

    def _delete(self, persona: Persona) -> None:
        t = self._context.t
        ask_confirmation(
            self._context,
            t("settings.persona_delete"),
            t("settings.persona_delete_text", name=persona.name),
            t("settings.persona_delete"),
            lambda: self._save(self._store.reset, persona.id),
        )

    def _save(self, call: Callable[..., Any], *arguments: Any) -> None:
        async def save() -> None:
            await self._context.in_thread(call, *arguments)
            self._fill()
            self.update()
            self._on_changed()

        self._context.run(save)


def _sampling_below(service: ChatService) -> ResolvedSampling:
    """The values where a persona says nothing: those of the chosen model."""
    return service.model_sampling(service.chosen_model(), with_own=True)


def _open_editor(
    context: ViewContext,
    title: str,
    persona: Persona,
    below: ResolvedSampling,
    on_save: Callable[[Persona], None],
) -> None:
    """A dialog with name, system text and sampling; `on_save` is given the edited persona."""
    t = context.t
    name = ft.TextField(
        value=persona.name, label=t("settings.persona_name"), max_length=_MAX_NAME, autofocus=True
    )
    system = ft.TextField(
        value=persona.system,
        label=t("settings.persona_system"),
        multiline=True,
        align_label_with_hint=True,
        min_lines=4,
        max_lines=10,
    )
    knobs = SamplingKnobs(context, persona.sampling, below, Source.PERSONA, lambda _: None)

    def save() -> None:
        if not (name.value or "").strip():
            return
        context.close_dialog(dialog)
        on_save(replace(persona, name=name.value or "", system=system.value or "", sampling=knobs.chosen))

    dialog = ft.AlertDialog(
        title=ft.Text(title),
        content=ft.Container(
            ft.Column(
                [name, system, note(t("settings.persona_sampling")), knobs],
                spacing=12,
                tight=True,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            ),
            width=_EDITOR_WIDTH,
            padding=ft.Padding(top=8),  # the first field's label stands out of it
        ),
        scrollable=True,
        actions=[
            cancel_button(context, lambda: context.close_dialog(dialog)),
            ft.FilledButton(t("gui.save"), on_click=context.guard(save)),
        ],
    )
    context.open_dialog(dialog)
