from __future__ import annotations

import re

import numpy as np
import pytest

from ordervet.entities import parse_address
from ordervet.lab.simulate import address_words as words
from ordervet.lab.simulate.addresses import (
    N_WRITINGS,
    AddressBook,
    PlaceKind,
    contradict_regions,
    draw_honest_writings,
    draw_jigged_writings,
)
from ordervet.lab.simulate.dice import Dice


def write_one_door(kind: PlaceKind, writings: np.ndarray) -> list[str]:
    dice, book = Dice(5), AddressBook()
    door = book.add_doors(dice, book.add_places(dice, kind, 1))

    return book.write(np.repeat(door, len(writings)), writings).to_pylist()


@pytest.mark.parametrize("kind", list(PlaceKind))
def test_every_writing_gives_a_trimmed_address_without_separators_of_csv(kind: PlaceKind) -> None:
    texts = write_one_door(kind, np.arange(0, N_WRITINGS, 11))

    assert all(text == text.strip() and 8 <= len(text) <= 120 for text in texts)
    assert not any(re.search(r'[,"\r\n]', text) for text in texts)


def test_honest_writings_of_a_door_are_few_and_jigged_ones_many() -> None:
    honest = write_one_door(PlaceKind.HOME, draw_honest_writings(Dice(1), 300))
    jigged = write_one_door(PlaceKind.HOME, draw_jigged_writings(Dice(1), 300))

    assert len(set(honest)) < 80
    assert len(set(jigged)) > 250


def test_jigged_writings_use_every_trick() -> None:
    text = "".join(write_one_door(PlaceKind.HOME, draw_jigged_writings(Dice(1), 400)))

    for mark in ("★", "丶", "\u200b", "①", "１", "棟", "單元", "(放门口)", "-1"):
        assert mark in text


def test_swaps_change_names_and_leave_the_skeleton() -> None:
    jigged, swapped = draw_jigged_writings(Dice(1), 200), draw_jigged_writings(Dice(1), 200, 1.0)

    plain = [parse_address(text) for text in write_one_door(PlaceKind.HOME, jigged)]
    other = [parse_address(text) for text in write_one_door(PlaceKind.HOME, swapped)]

    assert [address.skeleton_text for address in other] == [address.skeleton_text for address in plain]
    assert len({address.roads for address in other}) > len({address.roads for address in plain}) == 1
    assert "" not in {address.skeleton_text for address in other}


def test_without_swaps_the_same_is_drawn_as_before_there_were_any() -> None:
    dice, plain = Dice(3), Dice(3)

    assert np.array_equal(draw_jigged_writings(dice, 50, 0.0), draw_jigged_writings(plain, 50))
    assert np.array_equal(dice.unit(3), plain.unit(3))


def test_a_contradictory_region_begins_with_another_province() -> None:
    plain = np.zeros(1, dtype=np.int64)

    (right,) = write_one_door(PlaceKind.HOME, plain)
    (wrong,) = write_one_door(PlaceKind.HOME, contradict_regions(plain))

    assert right[:3] != wrong[:3]
    assert right[-8:] == wrong[-8:]


@pytest.mark.parametrize("at", range(len(words.REGIONS)))
def test_region_forms_differ_from_each_other(at: int) -> None:
    forms = [words.write_region(at, form, 7) for form in words.REGION_FORMS]

    assert forms[3] not in forms[:3]
    assert forms[2].startswith(forms[0])


def test_numerals_of_every_form_tell_numbers_apart() -> None:
    numerals = words.list_numerals()

    for form in range(len(words.NUMERALS)):
        listed = numerals[form * words.N_NUMBERS : (form + 1) * words.N_NUMBERS]
        assert len(set(listed)) == words.N_NUMBERS
        assert listed[0] == ""


def test_numerals_are_written_as_their_form_says() -> None:
    of = {form: words.list_numerals()[at * words.N_NUMBERS + 502] for at, form in enumerate(words.NUMERALS)}

    assert of["arabic"] == of["roman"] == "502"
    assert of["full_width"] == "５０２"
    assert of["circled"] == "⑤⓪②"
    assert of["chinese"] == "五〇二"
    assert of["formal"] == "伍零贰"
