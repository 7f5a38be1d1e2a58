"""How long the first words take: `import genwright` and `genwright --help`, as whole processes.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys

from _report import interleaved, say


def main() -> None:
    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], check=True, capture_output=True)

    found = interleaved(
        7,
        nothing=lambda: run("-c", ""),
        import_genwright=lambda: run("-c", "import genwright"),
        help=lambda: run("-m", "genwright", "--help"),
    )
    say(benchmark="startup", **{name: round(seconds, 3) for name, seconds in found.items()})


if __name__ == "__main__":
    main()
