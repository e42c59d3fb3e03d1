"""The trained network that comes with dilannot, and when it is taken."""

from __future__ import annotations

from pathlib import Path

from dilannot.errors import DilannotError
from dilannot.run import RECORD

FOLDER = Path(__file__).parent / "trained" / "hg19-chr20"
CARD = FOLDER / "MODEL_CARD.md"
_OWN = Path("run")


def run_and_genome(run: Path | None, genome: Path | None) -> tuple[Path, Path | None, bool]:
    """What to annotate with, and what: a run and a genome as given, or one of the two, or none.

    Without a run it is run/ where there is one, else the one that comes with dilannot.

    Parameters
    ----------
    run, genome
        As given on the command line; a lone FASTA stands where the run would.

    Returns
    -------
    run, genome, shipped
        The last says whether it is the one that comes with dilannot.

    Raises
    ------
    DilannotError
        Neither a run nor a genome; or nothing where one of them should be.
    """
    if run is not None and genome is None and not run.is_dir():
        if not run.exists():
            raise DilannotError("no such run folder or genome", where=run, remedy="name a run, a FASTA, or both")
        run, genome = None, run
    if run is not None:
        return run, genome, False
    if (_OWN / RECORD).exists():
        return _OWN, genome, False
    if genome is None:
        raise DilannotError(
            "no run in run/ here, and no genome for the network that comes with dilannot",
            remedy="give a genome, as in dilannot annotate hg19.fa, or train a network first",
        )
    return FOLDER, genome, True
