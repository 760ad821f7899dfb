"""Compare the compiled forest and its explanations with LightGBM and other engines: python benchmarks/bench_forest.py.

Prints medians of one run on one thread. Equal answers are asserted first: our scores to the last bit, our shares within
1e-9, the rivals' within the tolerance that is printed, since some of them round. A rival is measured when
``--rivals PYTHON`` names the interpreter of an environment that has it:

    python -m venv rivals
    rivals/bin/pip install lleaves "llvmlite<0.45" treelite tl2cgen onnxruntime onnxmltools lightgbm

``--instructions avx2`` measures as on a machine without AVX-512, ``plain`` as on any; the same equality is asserted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import lightgbm

    from ordervet.model.predictor import ForestPredictor

N_FEATURES = 64
SHAPES = ((200, 31), (400, 63))
SIZES = (1, 2, 4, 8, 16, 32, 64, 512, 4_096, 32_768, 262_144, 1_000_000)
#: The rates of the others no longer depend on the size here; a million rows would take half a minute each time.
OTHERS_ROWS = 32_768
EXPLAINED_ROWS, LIGHTGBM_EXPLAINED_ROWS = 100_000, 200
SECONDS, MIN_ROUNDS, MAX_ROUNDS = 1.0, 5, 200


def draw_matrix(n_rows: int, seed: int = 0) -> np.ndarray:
    """Draw what features look like: amounts, counts, shares, with missing values."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    features[:, 1::4] = np.exp(features[:, 1::4] * 2)
    features[:, 2::4] = rng.poisson(3, features[:, 2::4].shape)
    features[:, ::2][rng.random(features[:, ::2].shape) < 0.1] = np.nan
    return features


def train(n_trees: int, n_leaves: int) -> str:
    import lightgbm

    features = draw_matrix(60_000)
    values = np.tanh(np.nan_to_num(features))
    weights = np.random.default_rng(1).normal(size=N_FEATURES) / 4
    risk = values @ weights + values[:, 0] * values[:, 3] - 1
    labels = np.random.default_rng(2).random(len(values)) < 1 / (1 + np.exp(-risk))
    parameters = {"objective": "binary", "num_leaves": n_leaves, "max_depth": 6, "learning_rate": 0.05}
    parameters |= {"feature_fraction": 0.5, "verbosity": -1, "seed": 1, "deterministic": True, "force_row_wise": True}
    return lightgbm.train(parameters, lightgbm.Dataset(features, labels.astype(np.float32)), n_trees).model_to_string()


def put_edges(features: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Let every fourth row hold values at the forest's thresholds, one step beside them, NaN, infinities and zeros."""
    rows = np.arange(0, len(features), 4)
    features[rows] = edges[rows % len(edges)]
    return features


def time_in_turn(runs: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """Time runs one after the other, round by round, so that those given together see the same noise; median seconds.

    A run is told its round: it takes other rows each time, since branches on rows just seen are guessed too well.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    started = time.perf_counter()
    while (n_rounds := len(next(iter(taken.values())))) < MAX_ROUNDS:
        if n_rounds >= MIN_ROUNDS and time.perf_counter() - started > SECONDS * len(runs):
            break
        for name, run in runs.items():
            begun = time.perf_counter()
            run(n_rounds)
            taken[name].append(time.perf_counter() - begun)
    return {name: statistics.median(times) for name, times in taken.items()}


def take(features: np.ndarray, size: int, n_round: int) -> np.ndarray:
    """Give the rows of a round: as many as asked for, from a place of the round's own."""
    start = n_round * 7_919 * size % (len(features) - size + 1)
    return features[start : start + size]


def measure_shape(n_trees: int, n_leaves: int, n_rows: int, rivals: str | None, instructions: str) -> None:
    import lightgbm
    import pandas as pd

    from ordervet.model.forest import parse_forest
    from ordervet.model.predictor import ForestPredictor, draw_edge_rows

    text = train(n_trees, n_leaves)
    booster, ours = lightgbm.Booster(model_str=text), ForestPredictor(text, instructions=instructions)
    features = put_edges(draw_matrix(n_rows, seed=3), draw_edge_rows(parse_forest(text), 65_536))
    assert ours.engine == "compiled", ours.why
    expected = booster.predict(features, raw_score=True)
    np.testing.assert_array_equal(ours.predict_raw(features), expected)
    np.testing.assert_array_equal(ours.predict_raw(features, n_threads=2), expected)
    print(f"\n## {n_trees} trees x {n_leaves} leaves, {N_FEATURES} features: {n_rows:,} rows equal to the last bit\n")
    frame = pd.DataFrame(features[: min(n_rows, OTHERS_ROWS)])
    np.testing.assert_array_equal(booster.predict(frame, raw_score=True), expected[: len(frame)])
    others = measure_rivals(rivals, text, features, expected)
    names = ["ours", "LightGBM", "LightGBM on pandas", *others]
    print("| rows | " + " | ".join(f"{name}, M rows/s" for name in names) + " | ours / LightGBM | ours / best other |")
    print("|---:" * (len(names) + 3) + "|")
    for size in (size for size in SIZES if size <= n_rows):
        fewer = min(size, OTHERS_ROWS)
        # NOT: in turn. Each of the others has the caches to itself too, in a process of its own.
        engines = {
            "ours": lambda at, n=size: ours.predict_raw(take(features, n, at)),
            "LightGBM": lambda at, n=fewer: booster.predict(take(features, n, at), raw_score=True, num_threads=1),
            "LightGBM on pandas": lambda _, n=fewer: booster.predict(frame[:n], raw_score=True, num_threads=1),
        }
        times = {}
        for name, run in engines.items():
            times |= time_in_turn({name: run})
        rates = {name: (size if name == "ours" else fewer) / seconds for name, seconds in times.items()}
        rates |= {name: fewer / seconds[str(fewer)] for name, seconds in others.items()}
        best = max(rate for name, rate in rates.items() if name != "ours")
        cells = [f"{rates[name] / 1e6:.4f}" for name in names]
        ratios = [f"{rates['ours'] / rates['LightGBM']:.1f}", f"{rates['ours'] / best:.1f}"]
        print("| " + " | ".join([f"{size:,}", *cells, *ratios]) + " |")
    measure_explanations(ours, booster, features)


def measure_explanations(ours: ForestPredictor, booster: lightgbm.Booster, features: np.ndarray) -> None:
    part = features[:EXPLAINED_ROWS]
    sample = part[:: max(1, len(part) // LIGHTGBM_EXPLAINED_ROWS)][:LIGHTGBM_EXPLAINED_ROWS]
    difference = np.abs(ours.explain(sample) - booster.predict(sample, pred_contrib=True)).max()
    assert difference < 1e-9, difference
    times = time_in_turn(
        {
            "ours": lambda _: ours.explain(part),
            "one": lambda at: ours.explain(take(part, 1, at)),
            "LightGBM": lambda _: booster.predict(sample, pred_contrib=True, num_threads=1),
            "LightGBM one": lambda at: booster.predict(take(part, 1, at), pred_contrib=True, num_threads=1),
        }
    )
    mine, theirs = len(part) / times["ours"], len(sample) / times["LightGBM"]
    print(
        f"\nexplanations: ours {mine:,.0f} rows/s on {len(part):,} rows, pred_contrib {theirs:,.0f} on {len(sample)}: "
        f"{mine / theirs:.0f}x; largest difference {difference:.1e}; one row: ours {times['one'] * 1e6:.0f} us, "
        f"pred_contrib {times['LightGBM one'] * 1e6:.0f} us"
    )


def measure_rivals(
    python: str | None, text: str, features: np.ndarray, expected: np.ndarray
) -> dict[str, dict[str, float]]:
    """Measure each rival in its own process; give median seconds by name and size."""
    if python is None:
        print("rivals: skipped; name an interpreter that has them with --rivals\n")
        return {}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.txt").write_text(text, encoding="utf-8")
        np.save(Path(folder) / "features.npy", features)
        for name in RIVALS:
            run = subprocess.run(
                [python, __file__, "--as-rival", name, folder], capture_output=True, text=True, check=False
            )
            if run.returncode != 0:
                print(f"{name}: skipped, {(run.stderr.strip().splitlines() or ['it failed'])[-1]}")
                continue
            answer = json.loads(run.stdout.strip().splitlines()[-1])
            raw = np.load(Path(folder) / f"{name}.npy")
            n_equal, largest = int((raw == expected).sum()), float(np.abs(raw - expected).max())
            print(f"{name} {answer['version']}: {n_equal:,} of {len(raw):,} equal, largest difference {largest:.1e}")
            found[name] = answer["seconds"]
    print()
    return found


def open_lleaves(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import lleaves

    model = lleaves.Model(model_file=str(folder / "model.txt"))
    model.compile(raw_score=True)
    return lambda features: model.predict(features, n_jobs=1)


def open_tl2cgen(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import tl2cgen
    import treelite

    model = treelite.frontend.load_lightgbm_model(str(folder / "model.txt"))
    library = folder / "tl2cgen.so"
    tl2cgen.export_lib(model, toolchain="gcc", libpath=str(library), params={"parallel_comp": 4})
    predictor = tl2cgen.Predictor(str(library), nthread=1)
    return lambda features: predictor.predict(tl2cgen.DMatrix(features), pred_margin=True).reshape(-1)


def open_onnxruntime(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import lightgbm
    import onnxruntime
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lightgbm.Booster(model_file=str(folder / "model.txt"))
    inputs = [("features", FloatTensorType([None, N_FEATURES]))]
    onnx = convert_lightgbm(booster, initial_types=inputs, zipmap=False, target_opset=15)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def predict(features: np.ndarray) -> np.ndarray:
        p = session.run(None, {"features": features})[1][:, 1].astype(np.float64)
        return np.log(p / (1 - p))

    return predict


RIVALS = {"lleaves": open_lleaves, "tl2cgen": open_tl2cgen, "onnxruntime": open_onnxruntime}


def run_as_rival(name: str, folder: Path) -> None:
    if importlib.util.find_spec(name) is None:
        sys.exit(f"it is not installed for {sys.executable}")
    predict = RIVALS[name](folder)
    features = np.load(folder / "features.npy")
    np.save(folder / f"{name}.npy", np.asarray(predict(features), np.float64))
    seconds = {}
    for size in (size for size in SIZES if size <= min(len(features), OTHERS_ROWS)):
        seconds[size] = time_in_turn({name: lambda at, n=size: predict(take(features, n, at))})[name]
    print(json.dumps({"version": version(name), "seconds": seconds}))


def describe_machine(instructions: str) -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    has_wide = any("avx512bw" in line for line in lines if line.startswith("flags"))
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "lightgbm"))
    kind = instructions or "its own"
    return (
        f"{model}, {os.cpu_count()} CPUs, AVX-512 {'yes' if has_wide else 'no'}, kernels for {kind}; one thread; "
        f"Python {platform.python_version()}, {versions}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the largest batch")
    parser.add_argument(
        "--instructions", default="", help="avx512, avx2 or plain; by default the widest of the machine"
    )
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter that has lleaves, tl2cgen, onnxruntime")
    parser.add_argument("--as-rival", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_rival:
        run_as_rival(arguments.as_rival[0], Path(arguments.as_rival[1]))
        return
    print(describe_machine(arguments.instructions))
    for n_trees, n_leaves in SHAPES:
        measure_shape(n_trees, n_leaves, arguments.rows, arguments.rivals, arguments.instructions)


if __name__ == "__main__":
    main()
