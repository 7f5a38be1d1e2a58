"""Fails if a package got in that must stay out. Standard library only."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatch
from importlib.metadata import distributions

BUSL = "its licence (BUSL) is not ours to depend on"
UNWANTED = {
    "torchvision": "beside the CPU build of torch even importing it fails",
    "torchaudio": "beside the CPU build of torch even importing it fails",
    "nvidia-*": "gigabytes that a machine without a GPU has no use for",
    "sdv": BUSL,
    "ctgan": BUSL,
    "rdt": BUSL,
    "copulas": BUSL,
    "deepecho": BUSL,
    "lightning": "some of its releases were malicious, and nothing here needs it",
    "pytorch-lightning": "some of its releases were malicious, and nothing here needs it",
}


def main() -> None:
    installed = {re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower() for d in distributions()}
    found = [
        f"{name} is installed: {why}"
        for name in sorted(installed)
        for pattern, why in UNWANTED.items()
        if fnmatch(name, pattern)
    ]
    if found:
        sys.exit("\n".join(found))
    sys.stdout.write(f"tripwire: none of {len(installed)} packages is unwanted\n")


if __name__ == "__main__":
    main()
