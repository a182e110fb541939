"""The gate to the train extra: modules that need torch import it, and transformers, from here.

Without the extra, importing this raises `MissingExtraError` with the line to type.
"""

from __future__ import annotations

from pangolin_guard.extras import require

require("train", "torch", "transformers", "accelerate", "safetensors", "yaml", "pyarrow")

import torch  # noqa: E402
import transformers  # noqa: E402

__all__ = ["torch", "transformers"]
