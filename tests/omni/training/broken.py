"""A run that stops in the middle, as a machine's failure would stop it."""

from typing import Any

from torch.utils.data import Dataset


class BrokenAt(Dataset[Any]):
    """The batches of `whole` until step `stop`, where reading one raises ZeroDivisionError; all else is that of `whole`."""

    def __init__(self, whole: Any, stop: int) -> None:
        self._whole, self._stop = whole, stop

    def __getitem__(self, step: int) -> Any:
        return self._whole[step] if step < self._stop else 1 / 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)
