"""Where the tests' files are."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
#: Real data and oracles, where they lie beside the project.
SHARED = ROOT.parent / "shared"
REGION = SHARED / "realregion"
