"""Compare the answers of this ordervet with those of another: python benchmarks/same_answers.py PYTHON [--texts N].

PYTHON is the interpreter of an environment with the other one, such as the last that was compiled by numba. Both are
given the same texts and forests, and give digests of all ids, scores and contributions, which have to be equal: the
addresses of CCKS 2021 (shared/data), disguised ones, random texts of all of Unicode as every kind of id, and forests
of 200 x 31 and 400 x 63 and the bundled one. Rows are also scored by LightGBM, and compared to the last bit.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import feather

ROOT = Path(__file__).resolve().parents[1]
CCKS = ROOT.parent / "shared" / "data" / "addr_pairs_ccks2021_r1" / "pairs_fold0.csv.gz"
#: Ranges of code points that texts are drawn from, and how often.
RANGES = (
    (0x30, 0x3A, 25), (0x20, 0x7F, 25), (0x4E00, 0xA000, 25), (0xFF01, 0xFF5F, 8), (0x80, 0x3000, 8),
    (0xE000, 0x10000, 4), (0x10000, 0x110000, 5),
)  # fmt: skip
SHAPES = ((200, 31), (400, 63))
BATCH = 1 << 18


def draw_texts(n: int) -> pa.Array:
    """Draw texts of up to 24 characters."""
    rng = np.random.default_rng(16)
    lengths = rng.integers(0, 25, n)
    share = np.array([each[2] for each in RANGES], float)
    which = rng.choice(len(RANGES), lengths.sum(), p=share / share.sum())
    first, stop = (np.array([each[at] for each in RANGES])[which] for at in (0, 1))
    points = (first + rng.random(len(which)) * (stop - first)).astype("<u4")
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    ends = np.concatenate([[0], sizes.cumsum()])[np.concatenate([[0], lengths.cumsum()])]
    text = points.tobytes().decode("utf-32-le").encode()
    return pa.LargeStringArray.from_buffers(n, pa.py_buffer(ends.astype(np.int64)), pa.py_buffer(text))


def draw_addresses(n: int) -> list[str]:
    """Read the addresses of CCKS, where they are, and disguise made-up ones."""
    sys.path.insert(0, str(ROOT / "tests" / "entities" / "address"))
    from address_makers import TRICKS, disguise, make_parts  # type: ignore[import-not-found]

    rng = random.Random(16)  # noqa: S311 - nothing secret
    found = [disguise(make_parts(rng), frozenset(rng.sample(sorted(TRICKS), 3)), rng) for _ in range(n)]
    if CCKS.exists():
        with gzip.open(CCKS, "rt", encoding="utf-8") as file:
            found += sorted({text for row in csv.DictReader(file) for text in row.values()})
    else:
        print(f"without the addresses of CCKS: {CCKS} is not there")
    return found


def digest(*arrays: np.ndarray) -> str:
    hashed = sha256()
    for array in arrays:
        hashed.update(np.ascontiguousarray(array).view(np.uint8).data)
    return hashed.hexdigest()[:16]


def answer(folder: Path) -> dict[str, str]:
    """Give the digest of every answer; by names that both have."""
    from ordervet.entities import Key, hash_texts, identities, key_addresses, phones
    from ordervet.entities.plain import key_texts
    from ordervet.model import ForestPredictor

    key = Key(bytes(range(16)))
    read = {path.stem: feather.read_table(path)["text"] for path in folder.glob("*.arrow")}
    found = {"hashes": digest(hash_texts(read["texts"], key, "any"))}
    for name, column in read.items():
        keyed = key_addresses(column, key)
        found[f"{name} as addresses"] = digest(*(getattr(keyed, each.name) for each in fields(keyed)))
    forms = {
        name: getattr(identities, f"canonical_{name}") for name in ("buyer", "recipient", "device", "ip", "network")
    }
    for name, canonicalise in {**forms, "phone": phones.canonical_phone}.items():
        found[f"texts as {name}"] = digest(*key_texts(read["texts"], canonicalise, key, name))
    for path in sorted(folder.glob("*.txt")):
        predictor = ForestPredictor(path.read_text(encoding="utf-8"))
        rows = np.load(path.with_suffix(".npy"))
        found[f"{path.stem} scores"] = digest(predictor.predict_raw(rows))
        found[f"{path.stem} contributions"] = digest(predictor.explain(rows[:20_000]))
    return found


def write_forests(folder: Path, n_rows: int) -> None:
    from bench_forest import draw_matrix, put_edges, train

    from ordervet.model import find_live_model
    from ordervet.model.forest import parse_forest
    from ordervet.model.predictor import draw_edge_rows

    texts = {f"{trees} x {leaves}": train(trees, leaves) for trees, leaves in SHAPES}
    texts["bundled"] = (find_live_model(ROOT / "models") / "model.txt").read_text(encoding="utf-8")
    for name, text in texts.items():
        forest = parse_forest(text)
        rows = np.resize(draw_matrix(n_rows, seed=3), (n_rows, forest.n_features))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        np.save(folder / f"{name}.npy", put_edges(rows, draw_edge_rows(forest, 65_536)))


def compare_with_lightgbm(folder: Path) -> None:
    """Assert the scores of LightGBM, to the last bit."""
    import lightgbm

    from ordervet.model import ForestPredictor

    for path in sorted(folder.glob("*.txt")):
        rows = np.load(path.with_suffix(".npy"), mmap_mode="r")
        booster, ours = lightgbm.Booster(model_file=path), ForestPredictor(path.read_text(encoding="utf-8"))
        for start in range(0, len(rows), BATCH):
            part = np.ascontiguousarray(rows[start : start + BATCH])
            assert np.array_equal(ours.predict_raw(part), booster.predict(part, raw_score=True)), path.stem
        print(f"{path.stem}: {len(rows):,} rows equal to LightGBM's, to the last bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="?", help="an interpreter with the other ordervet")
    parser.add_argument("--texts", type=int, default=5_000_000)
    parser.add_argument("--addresses", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.answer:
        print(json.dumps(answer(chosen.answer)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        addresses = pa.array(draw_addresses(chosen.addresses), pa.large_string())
        for file, texts in {"addresses": addresses, "texts": draw_texts(chosen.texts)}.items():
            print(f"{len(texts):,} {file}")
            feather.write_feather(pa.table({"text": texts}), folder / f"{file}.arrow", compression="uncompressed")
        write_forests(folder, chosen.rows)
        answers = {}
        for python in filter(None, (sys.executable, chosen.python)):
            started = time.perf_counter()
            command = [python, Path(__file__), "--answer", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            answers[python] = json.loads(done.stdout.splitlines()[-1])
            print(f"{python}: {time.perf_counter() - started:.0f} s")
        ours = answers[sys.executable]
        for what, found in ours.items():
            is_same = all(each[what] == found for each in answers.values())
            print(f"{found}  {what}: {'equal' if is_same else 'DIFFERENT'}")
        compare_with_lightgbm(folder)
        if any(each != ours for each in answers.values()):
            raise SystemExit("the answers differ")


if __name__ == "__main__":
    main()
