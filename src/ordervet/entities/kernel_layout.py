"""How kernels lay out what they pass to each other: classes, units, counters and columns, as plain numbers.

Truth: ``lexicon.CharClass`` and ``lexicon.Unit``; a test compares them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Scalar = Any
"""An int64 or a boolean of numba's."""

Record = Any
"""A NumPy record of arrays: ``address_arrays.load_tables()`` or ``make_scratch()``."""

# Classes of characters.
NAME, DIGIT, NUMERAL, LETTER, SPACE, HYPHEN, BREAK, HASH, STAR, JUNK, COMMA, END = range(12)

# SPEED: numba compiles a function anew for each literal passed to it, but not for each np.int64.
NUMBER, LANE, SECTION, GROUP, BUILDING, STAIR, FLOOR, ROOM = map(np.int64, range(8))
NOTHING, ZERO, ONE = np.int64(-1), np.int64(0), np.int64(1)
FULL_ONLY, OR_SHORT = np.int64(0), np.int64(1)

# The counters in the scratch's state.
REGION, REST_AT, N_NAMES, N_NUMBERS, N_GROUPS, RUN_AT, RUN_END, LAST, AFTER_ROAD, NUMBER_END, UNITS_SEEN = range(11)

# The columns of the scratch's element_rows.
TEXT_AT, TEXT_END, SOURCE_END, N_DIGITS, N_SOURCE, IS_ARABIC, N_PREFIX, N_SUFFIX, IS_F = range(9)
