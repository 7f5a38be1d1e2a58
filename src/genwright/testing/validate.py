"""Run the checks of metrics on known truths and keep what they show: who may speak in a verdict.

python -m genwright.testing.validate [METRIC]...
"""

from __future__ import annotations

import json
import sys

from genwright.evaluation.metrics import usefulness
from genwright.evaluation.validation import file_of, kept_in
from genwright.registry import names, resolve
from genwright.testing.metrics import checks_for, run_checks, subject_of

__all__ = ["write_results"]


def write_results() -> None:
    """Write the results anew, of the metrics that are named or of all; each beside what it is kept with."""
    usefulness.TREES = 25  # as the tests do: it is the code that is checked
    known = names("metrics")
    for name in sys.argv[1:] or known:
        subject, file = subject_of(name), file_of(resolve("metrics", name))
        found = run_checks(subject, checks_for(subject.metric))
        bad = {one: why for one, why in found.items() if why}
        sys.stdout.write(f"{name}: {len(found) - len(bad)} of {len(found)} {bad or ''}\n")
        sys.stdout.flush()
        kept = {one: checks for one, checks in kept_in(file).items() if one in known}
        kept[name] = dict(sorted(found.items()))
        file.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_results()
