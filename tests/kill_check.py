"""Kill a study's run at random moments; its tables must equal those of an undisturbed run.

    python tests/kill_check.py --study demo --kills 10 --between 5 30

Takes minutes, so it is a script and no test; `test_workflow.py` does the same on a small world.
"""

import argparse
import random
import tempfile
from pathlib import Path

from helpers.workflows import content, run_killed


def main() -> None:
    """Run twice, once disturbed, and compare every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="demo")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--between", type=float, nargs=2, default=(5, 30), metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    moments = [rng.uniform(*options.between) for _ in range(options.kills)]
    with tempfile.TemporaryDirectory() as folder:
        calm, disturbed = Path(folder) / "calm", Path(folder) / "disturbed"
        run_killed(options.study, calm, [])
        kills = run_killed(options.study, disturbed, moments)
        expected, found = (content(r, options.study) for r in (calm, disturbed))
    differing = sorted(k for k in expected | found if expected.get(k) != found.get(k))
    at = ", ".join(f"{m:.0f}" for m in moments)
    print(f"{kills} kills, each after {at} s; {len(expected)} tables, differing: {differing}")
    raise SystemExit(bool(differing) or not expected)


if __name__ == "__main__":
    main()
