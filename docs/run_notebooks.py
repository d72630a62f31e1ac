"""Execute the notebooks and keep their outputs: `python docs/run_notebooks.py`."""

import os
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent / "notebooks"
ROOT = Path(__file__).parent.parent


def execute(path: Path):
    """Return a notebook with the outputs of a run, without what differs from machine to machine for no reason.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    paths = [str(ROOT / "src"), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "VECPROP_BACKEND": "numpy"}
    NotebookClient(notebook, timeout=120, record_timing=False).execute(env=environment)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output.data.pop("text/plain", None)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def main() -> None:
    """Execute and write each notebook."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        start = time.perf_counter()
        nbformat.write(execute(path), path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    sys.exit(main())
