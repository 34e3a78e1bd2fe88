"""Errors that a user can act on.

Every message says what is wrong, the value, what is allowed and what to do. Each child also inherits the standard
exception a caller would expect, and carries only its message, so that it crosses process boundaries unharmed.
"""


class VivaError(Exception):
    """Base of all expected errors; the command line prints it as one line and exits with code 2."""


class ConfigError(VivaError, ValueError):
    """A configuration, flag or rule file is not valid, or does not match what it is to resume."""


class DataError(VivaError, ValueError):
    """An input (audio, picture, film, text, table) is broken or outside its bounds."""


class CheckpointError(VivaError, RuntimeError):
    """A checkpoint lacks tensors, has wrong shapes or another version."""


class AssetError(VivaError, RuntimeError):
    """A weights or data package cannot be had, or its digest is not the pinned one."""


class EndpointError(VivaError, RuntimeError):
    """A model endpoint is down, slow, or answers something other than what was asked."""


class MissingExtraError(VivaError, ImportError):
    """A command needs an optional extra that is not installed."""
