"""One column of raw values, to spans and back.

A column learns from training values what it holds, encodes raw values to `(n, stored)` channels and
decodes them in the spelling of its file. Seven kinds:

    continuous, integer, datetime    numbers: see `Numeric`
    categorical, boolean             one symbol a value; a rest and a missing one where they occur
    constant                         nothing to model: no span, written back
    identifier                       nothing to model: no span, fresh ones are made

Missing values are a value: they get a symbol of their own and are generated. The same columns
stand for the conditions of every modality (`as_condition`), so nothing here knows pandas.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from itertools import islice
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.spelling import Dates, Numbers, is_missing, number
from genwright.errors import DataError, RunError, suggest
from genwright.space import Real, Space, Span, Symbol
