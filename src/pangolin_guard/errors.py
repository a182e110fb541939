"""Every error that the library raises on purpose.

```
PangolinGuardError(Exception)
├─ InputError(…, ValueError)          empty list, too long, not UTF-8, a bad option's value
├─ ModelFilesError                    folder or file missing, hash differs
├─ ModelFormatError                   version, label order or architecture not understood
├─ MissingExtraError(…, ImportError)  names the extra and the line to type
├─ DatasetError                       bad row or source: source, row number, field
├─ DownloadError                      a source could not be fetched, or its hash changed
├─ CalibrationError                   too few rows for the requested budget
└─ ExportMismatchError                torch and ONNX disagree
```

No message ever holds prompt text. A wrong Python type raises the builtin `TypeError`.
"""

from __future__ import annotations

from pathlib import Path


class PangolinGuardError(Exception):
    """Base of all errors of this package."""


class InputError(PangolinGuardError, ValueError):
    """The text or an option cannot be used as given."""


class ModelFilesError(PangolinGuardError):
    """A model folder, or a file in it, is missing or is not what its manifest says."""

    def __init__(self, message: str, path: Path | str | None = None) -> None:
        """Keep the path beside the message."""
        super().__init__(message)
        self.path = None if path is None else Path(path)


class ModelFormatError(PangolinGuardError):
    """A model folder is whole, but this version does not understand it."""


class MissingExtraError(PangolinGuardError, ImportError):
    """A feature needs an extra that is not installed."""

    def __init__(self, extra: str, missing: str) -> None:
        """Say which package is missing and the line that installs it."""
        super().__init__(
            f"This needs the package '{missing}', which is not installed. "
            f"Run: pip install 'pangolin-guard[{extra}]'"
        )
        self.extra = extra
        self.missing = missing


class DatasetError(PangolinGuardError):
    """A data source or one of its rows cannot be used."""

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        """Keep where it happened: source name, 1-based row number, field name."""
        where = ", ".join(
            part
            for part in (
                f"source '{source}'" if source is not None else "",
                f"row {row}" if row is not None else "",
                f"field '{field}'" if field is not None else "",
            )
            if part
        )
        super().__init__(f"{where}: {message}" if where else message)
        self.source = source
        self.row = row
        self.field = field


class DownloadError(PangolinGuardError):
    """A file could not be fetched, or it is not the one that was fetched before."""

    def __init__(self, message: str, url: str | None = None) -> None:
        """Keep the address beside the message."""
        super().__init__(message)
        self.url = url


class CalibrationError(PangolinGuardError):
    """The rows at hand cannot support the threshold that was asked for."""


class ExportMismatchError(PangolinGuardError):
    """An exported model gives other probabilities than the one it came from."""

    def __init__(self, message: str, *, max_difference: float, tolerance: float) -> None:
        """Keep the largest difference of P(unsafe) and the tolerance, both in [0, 1]."""
        super().__init__(message)
        self.max_difference = max_difference
        self.tolerance = tolerance
