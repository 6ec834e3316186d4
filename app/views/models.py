"""The models screen: what is on this disk, and what there is to get."""

from __future__ import annotations

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred
from app.components.basics.refresh import refresh
from app.components.models.get_models import GetModels
from app.components.models.import_dialog import ask_import
from app.components.models.local_models import WIDTH, LocalModels
from app.components.work.job_list import JobList
from app.models.events import ModelEvent
from app.views.context import ModelsSection, ViewContext

_SECTIONS: tuple[ModelsSection, ...] = ("local", "get")
_LARGE = 1.1  # letters from which on title and button don't fit side by side in a narrow window


class ModelsView(ft.Container):
    """One section at a time; long work is shown above both."""

    def __init__(self, context: ViewContext, section: ModelsSection) -> None:
        self._context = context
        self._section: ModelsSection = section
        # A control has one place, so each section has its own list of the same jobs.
        self._jobs = {name: JobList(context) for name in _SECTIONS}
        self._local = LocalModels(context, self._jobs["local"])
        self._get = GetModels(context)
        self._bodies: dict[ModelsSection, ft.Control] = {"local": self._local, "get": self._get_body()}
        self._switch = self._make_switch()
        self._place = ft.Container(self._bodies[section], expand=True)
        super().__init__(
            ft.Column([self._header(), self._switch_row(), self._place], spacing=0),
            expand=True,
            bgcolor=ft.Colors.SURFACE,
        )

    async def load(self) -> None:
        """Read what is on disk, and show it."""
        for jobs in self._jobs.values():
            jobs.show()
        refresh(self._jobs[self._section])
        await (self._local.load() if self._section == "local" else self._get.load())

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        for jobs in self._jobs.values():
            jobs.on_model_event(event)
        self._local.on_model_event(event)
        self._get.on_model_event(event)

    def show_section(self, section: ModelsSection) -> None:
        """Show the other section."""
        if section == self._section:
            return
        self._section = section
        self._switch.selected = [section]
        self._place.content = self._bodies[section]
        refresh(self._switch, self._place)

    def _header(self) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        menu = ft.IconButton(
            ft.Icons.MENU, tooltip=t("gui.menu"), on_click=guard(self._context.toggle_sidebar)
        )
        title = ft.Text(
            t("library.title"),
            theme_style=ft.TextThemeStyle.TITLE_LARGE,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
        )
        return ft.Container(
            ft.Row(
                [
                    identified(menu, "menu"),
                    identified(title, "models-title", expand=True),
                    identified(self._import_button(), "import"),
                ],
                spacing=UNIT,
            ),
            padding=ft.Padding(UNIT, UNIT, 2 * UNIT, UNIT),
        )

    def _import_button(self) -> ft.Control:
        """With its name, unless large letters leave too little of a narrow window for the title."""
        t, icon = self._context.t, ft.Icons.DRIVE_FOLDER_UPLOAD_OUTLINED
        on_click = self._context.guard(lambda: ask_import(self._context))
        if self._context.is_narrow and self._context.settings.settings.font_scale > _LARGE:
            return ft.FilledTonalIconButton(icon, tooltip=t("library.import.button"), on_click=on_click)
        return ft.FilledTonalButton(t("library.import.button"), icon=icon, on_click=on_click)

    def _make_switch(self) -> ft.SegmentedButton:
        return ft.SegmentedButton(
            segments=[
                ft.Segment(
                    name,
                    label=identified(self._section_name(name), f"section-{name}"),
                )
                for name in _SECTIONS
            ],
            selected=[self._section],
            show_selected_icon=False,
            on_change=self._context.guard(self._chosen),
        )

    def _section_name(self, section: ModelsSection) -> ft.Control:
        return ft.Text(self._context.t(f"library.section.{section}"), text_align=ft.TextAlign.CENTER)

    def _switch_row(self) -> ft.Control:
        return centred(self._switch, WIDTH, ft.Padding(2 * UNIT, 0, 2 * UNIT, UNIT))

    def _get_body(self) -> ft.Control:
        items = (self._jobs["get"], self._get)
        return ft.ListView(
            [centred(item, WIDTH, ft.Padding.symmetric(horizontal=2 * UNIT, vertical=4)) for item in items],
            expand=True,
            padding=ft.Padding.only(top=4, bottom=32),
        )

    def _chosen(self, event: ft.Event[ft.SegmentedButton]) -> None:
        section: ModelsSection = "get" if "get" in event.control.selected else "local"
        self._context.open_models(section)
