"""Every engine path on a device against the CPU, then the tables of speed: `make gpu-check`.

First the networks of the zoo at reduced sizes with random weights: shared and plain engine, in
each precision of the device, against the plain engine on the CPU in float32. Then the benchmarks,
whose tables say date and card. It exits with 1 where a network differs by more than its precision
allows. On a CPU: ``--device cpu --quick``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import reduced_networks
from howfar.bench import inference, training
from howfar.cli.common import REGION
from howfar.core.errors import HowfarError
from howfar.core.project import results_folder
from howfar.models.registry import load_model

#: Largest difference over the largest value, and smallest r; random weights magnify rounding, by up
#: to 0.11 and 0.991 in bfloat16 on a CPU.
LIMITS = {"float32": (1e-4, 0.9999), "tf32": (5e-2, 0.999), "bfloat16": (0.25, 0.98)}
#: Networks whose cohort is scored: window in bp, windows at once.
MODELS = [("enformer", 196_608, 4), ("alphagenome", 131_072, 8)]
PEOPLE, FEW = 8, 3  # windows of the check of values, and of a quick one
VALUES = 8  # that r is computed from, at least


def check_values(device: str, precisions: list[str], people: int) -> pd.DataFrame:
    """Compare the reduced networks, in each precision on the device, with float32 on the CPU."""
    rows = []
    for case, name, write, options in reduced_networks.CASES:
        with tempfile.TemporaryDirectory() as folder:
            weights, given = write(Path(folder)), options(Path(folder))
            model = load_model(name, weights, "cpu", **given)
            bins = list(range(model.layout.n_bins))[:: max(1, model.layout.n_bins // 8)]
            tracks = list(range(len(model.tracks)))[:8]
            enough = -(-VALUES // (len(bins) * len(tracks)))
            windows = reduced_networks.windows(model, max(people, enough))
            truth = model.predict(windows, bins, tracks)
            for precision in precisions:
                if asked_too_much(device, name, precision):
                    print(f"{case}, {precision}: left out, many minutes on a CPU")
                    continue
                given |= {} if precision == "float32" else {"precision": precision}
                try:
                    model = load_model(name, weights, device, **given)
                except HowfarError as error:  # not every network takes a precision
                    print(f"{case}, {precision}: {error}")
                    continue
                begun = time.perf_counter()
                found = model.predict(windows, bins, tracks)
                row = {"case": case, "precision": precision}
                row["error"] = float(np.abs(found - truth).max() / np.abs(truth).max())
                row["r"] = float(np.corrcoef(found.ravel(), truth.ravel())[0, 1])
                row["seconds"] = time.perf_counter() - begun
                row["allowed"] = LIMITS[precision][0]
                row["right"] = row["error"] <= row["allowed"] and row["r"] >= LIMITS[precision][1]
                rows.append(row)
                print(row, flush=True)
    return pd.DataFrame(rows)


def asked_too_much(device: str, name: str, precision: str) -> bool:
    """Whether a case takes many minutes: Borzoi's convolutions in bfloat16 without a GPU."""
    return device == "cpu" and precision == "bfloat16" and name in ("borzoi", "flashzoi")


def measure_speed(device: str, precisions: list[str], quick: bool) -> dict[str, pd.DataFrame]:
    """Make the tables of speed: of a cohort's inference and of a training step."""
    files = {role: results_folder(path) for role, path in REGION.items()}
    if not all(path.is_file() for path in files.values()):
        for command in (["fetch", "region"], ["simulate", "--study", "region"]):
            subprocess.run([sys.executable, "-m", "howfar", *command], check=True)
    scored, trained = [], []
    if device == "cpu":  # which has no fast bfloat16: a minute for what takes float32 a second
        precisions = ["float32"]
    for precision in precisions:
        shared = {"gene": "FKBP1A", "device": device, "precision": precision, "quick": quick}
        for model, context, batch in MODELS:
            scored.append(
                inference.measure(
                    **files,
                    model=model,
                    context=context // 8 if quick else context,
                    haplotypes=8 if quick else 842,
                    batch_size=2 if quick else batch,
                    **shared,
                )
            )
            print(scored[-1].T.to_string(header=False), flush=True)
        if precision != "tf32":
            size = (12_288, 4, 2) if quick else (49_152, 64, 8)
            size = dict(zip(("context", "people", "chunk"), size, strict=True))
            trained.append(training.measure(**files, **size, say=print, **shared))
    return {"inference": pd.concat(scored), "training": pd.concat(trained)}


def main() -> int:
    """Check and measure; write the tables."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--device", default="cuda")
    given.add_argument("--quick", action="store_true", help="reduced networks, few haplotypes")
    given.add_argument("--out", type=Path, default=Path("gpu_check"), help="a folder")
    asked = given.parse_args()
    precisions = ["float32", *(["tf32"] if asked.device == "cuda" else []), "bfloat16"]
    card = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    tables = {"values": check_values(asked.device, precisions, FEW if asked.quick else PEOPLE)}
    tables |= measure_speed(asked.device, precisions, asked.quick)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        mode = "quick" if asked.quick else "full"
        about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "card": card, "mode": mode}
        table.assign(**about).to_csv(asked.out / f"gpu_{name}.csv", index=False)
    wrong = tables["values"].query("not right")
    print(f"{len(tables['values'])} checks of values on {card}, {len(wrong)} wrong")
    return int(len(wrong) > 0)


if __name__ == "__main__":
    sys.exit(main())
