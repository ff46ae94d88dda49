"""Commands run in this process, on studies that a test holds in its hands."""

from pathlib import Path

import yaml
from click.testing import Result
from typer.testing import CliRunner

from howfar.cli import app
from howfar.study.schema import Study


def invoke(study: Study, results: Path, command: str, *words: object) -> Result:
    """Run a command on a study, written to a file beside `results`; errors are raised."""
    path = results.parent / f"{study.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    given = ["--results", results, command, "--study", path, *words]
    return CliRunner().invoke(app.app, [str(word) for word in given], catch_exceptions=False)
