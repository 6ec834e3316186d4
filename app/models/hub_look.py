"""A look at a checkpoint on a hub: what it can become on this machine, or why it can't be converted.

Reads the configuration, the tokenizer and the headers of the weights by HTTP ranges, never the weights.
"""

from __future__ import annotations

from pathlib import Path

from app.models.hub_folder import HubFolder
from app.models.type_options import TypeOption, checkpoint_options
from convert.detect import open_checkpoint
from engine.models.endpoints import Endpoints
from engine.models.hub import Repository
from engine.models.machine import Machine


class HubLook:
    """One look; `stop` ends it from another thread. file: of several in the repository.

    tokenizer: a file or folder here to take the tokenizer from instead. subfolder: where the checkpoint is.
    """

    def __init__(
        self,
        repository: Repository,
        endpoints: Endpoints,
        file: str | None = None,
        tokenizer: Path | None = None,
        subfolder: str = "",
    ) -> None:
        self._file = file
        self._tokenizer = tokenizer
        self._folder = HubFolder(repository, endpoints, subfolder=subfolder)

    def read(self, machine: Machine) -> tuple[TypeOption, ...]:
        """The types it can become. Raises ConvertErrors, FetchErrors, and ReadStopped after `stop`."""
        with (
            self._folder,
            open_checkpoint(self._folder, self._tokenizer, file=self._file) as checkpoint,
        ):
            return checkpoint_options(checkpoint, machine)

    def stop(self) -> None:
        """End it; harmless when repeated."""
        self._folder.stop()
