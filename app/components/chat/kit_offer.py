"""The model that lies in the same offline kit as this program, offered on the first run."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.i18n import window_size
from app.kit.errors import KitError, KitWithoutModel
from app.kit.manifest import ModelInKit, kit_around, model_of_kit
from app.kit.program import kit_of_program
from app.models.importing import ImportWish
from app.views.context import ViewContext
from engine.models.adding import How


def find_kit_model() -> ModelInKit | KitError | None:
    """The model beside this program, or why it can't be used; None without one. Reads the disk."""
    try:
        folder = kit_of_program()
        path = model_of_kit(folder) if folder is not None else None
        return kit_around(path) if path is not None else None
    except KitWithoutModel:
        return None
    except KitError as error:
        return error


def kit_texts(context: ViewContext, kit: ModelInKit | KitError) -> tuple[str, str]:
    """Title and sentence of the card."""
    if isinstance(kit, KitError):
        return context.t("kit.offer.broken"), context.texts.error(kit)
    about = context.t("kit.offer.about", size=window_size(kit.model.size_bytes))
    return context.t("kit.offer.title", name=kit.model.name), about


def kit_buttons(
    context: ViewContext, kit: ModelInKit | KitError, on_begun: Callable[[str], None]
) -> list[ft.Control]:
    """To install it, or to use it from where it is; on_begun is given the job."""
    if isinstance(kit, KitError):
        return []
    path = next(iter(kit.hashes()))

    async def begin(how: How) -> None:
        on_begun(await context.in_thread(context.models.import_path, ImportWish(path, how)))

    install = ft.FilledButton(
        context.t("kit.offer.install"), icon=ft.Icons.ADD, on_click=context.guard(lambda: begin("copy"))
    )
    use = ft.TextButton(context.t("kit.offer.in_place"), on_click=context.guard(lambda: begin("in-place")))
    return [identified(install, "kit-install"), identified(use, "kit-in-place")]
