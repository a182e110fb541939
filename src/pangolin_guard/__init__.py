"""PangolinGuard: a small, calibrated, self-hosted guard against prompt injection and jailbreaks."""

from pangolin_guard._version import __version__
from pangolin_guard.errors import (
    CalibrationError,
    DatasetError,
    DownloadError,
    ExportMismatchError,
    InputError,
    MissingExtraError,
    ModelFilesError,
    ModelFormatError,
    PangolinGuardError,
)
from pangolin_guard.guard import Guard
from pangolin_guard.types import (
    Action,
    Checkpoint,
    Coverage,
    Finding,
    Label,
    Mode,
    Reason,
    Span,
    Verdict,
)

__all__ = [
    "Action",
    "CalibrationError",
    "Checkpoint",
    "Coverage",
    "DatasetError",
    "DownloadError",
    "ExportMismatchError",
    "Finding",
    "Guard",
    "InputError",
    "Label",
    "MissingExtraError",
    "Mode",
    "ModelFilesError",
    "ModelFormatError",
    "PangolinGuardError",
    "Reason",
    "Span",
    "Verdict",
    "__version__",
]
