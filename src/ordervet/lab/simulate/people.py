"""Who buys: accounts with a platform, a door, a phone, a device, an IP and a payment account.

Everything is a running number here; `simulated_tables.py` writes the numbers as text.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Flags, Ints
    from ordervet.lab.simulate.simulation_settings import SimulationSettings

_PAYMENT_RATE = 0.45
_VIRTUAL_PHONE_RATE = 0.03
_VIRTUAL_PHONE_PLATFORM = "wechat"
_VIRTUAL_PHONE_PLATFORM_RATE = 0.25
_COLUMNS = (
    *("platform", "door", "writing", "recipient", "phone", "extension", "device", "ip", "payment", "age_s"),
    *("is_masked", "has_device", "has_ip", "has_group"),
)
NONE = -1


class People:
    """All accounts; grows while honest buyers and rings are invented.

    Every column is an array of whole numbers, one per account; -1 stands for "none".
    """

    def __init__(self, settings: SimulationSettings) -> None:
        platforms = tuple(settings.platform_shares)
        self._platform_weights = tuple(settings.platform_shares.values())
        self._masked = np.array([settings.masked_rates[name] for name in platforms])
        self._device = np.array([settings.device_rates[name] for name in platforms])
        self._group = np.array([settings.group_key_rates[name] for name in platforms])
        virtual = [
            _VIRTUAL_PHONE_PLATFORM_RATE if name == _VIRTUAL_PHONE_PLATFORM else _VIRTUAL_PHONE_RATE
            for name in platforms
        ]
        self._virtual = np.array(virtual)
        self._chunks: dict[str, list[Ints]] = {name: [] for name in _COLUMNS}
        self._issued: Counter[str] = Counter()
        self.n = 0

    def issue(self, what: str, n: int) -> Ints:
        """Return `n` numbers of this kind (phone, device, …) that nobody has."""
        first = self._issued[what]
        self._issued[what] += n
        return np.arange(first, first + n)

    def draw_platforms(self, dice: Dice, n: int) -> Ints:
        """Draw the selling platform of `n` accounts."""
        return dice.pick(self._platform_weights, n)

    def add(self, dice: Dice, *, doors: Ints, writings: Ints, age_s: Ints, **shared: Ints) -> Ints:
        """Open one account per door and return their numbers.

        `age_s` is seconds from the registration to the first order; `shared` are platform, phone, extension, device,
        ip, payment and recipient that are not new ones of the account's own.
        """
        n = len(doors)
        columns = dict(shared)
        columns.update(door=doors, writing=writings, age_s=age_s)
        for name in ("phone", "device", "ip", "payment", "recipient"):
            if name not in columns:
                columns[name] = self.issue(name, n)
        platform = columns.setdefault("platform", self.draw_platforms(dice, n))
        columns["payment"] = np.where(dice.chance(_PAYMENT_RATE, n), columns["payment"], NONE)
        if "extension" not in columns:
            columns["extension"] = self.draw_extensions(dice, dice.chance(self._virtual[platform], n))
        columns["is_masked"] = dice.chance(self._masked[platform], n).astype(np.int64)
        columns["has_device"] = dice.chance(self._device[platform], n).astype(np.int64)
        columns["has_ip"] = dice.chance(self._device[platform], n).astype(np.int64)
        columns["has_group"] = dice.chance(self._group[platform], n).astype(np.int64)
        for name in _COLUMNS:
            self._chunks[name].append(columns[name])
        self.n += n
        return np.arange(self.n - n, self.n)

    def draw_extensions(self, dice: Dice, is_virtual: Flags) -> Ints:
        """Draw four-digit extensions for virtual phones, none for the others."""
        n = len(is_virtual)
        return np.where(is_virtual, dice.between(1000, 9999, n), NONE)

    def column(self, name: str) -> Ints:
        """Return one column, shape (n_accounts,)."""
        chunks = self._chunks[name]
        if len(chunks) > 1:
            self._chunks[name] = [np.concatenate(chunks)]
        return self._chunks[name][0]
