"""The gate to the train extra: modules that need torch import it, and transformers, from here.

Without the extra, importing this raises `MissingExtraError` with the line to type.
"""

from __future__ import annotations

from typing import Any

from pangolin_guard.extras import require

require("train", "torch", "transformers", "accelerate", "safetensors", "yaml", "pyarrow")

import torch  # noqa: E402
import transformers  # noqa: E402

__all__ = ["quiet_libraries", "torch", "transformers"]


def quiet_libraries() -> None:
    """Switch off the bars and notes of transformers; the room reports in its own way."""
    settings: Any = transformers.utils.logging  # its functions carry no types
    settings.set_verbosity_error()
    settings.disable_progress_bar()
