"""The command line: commands in the order of the work, and errors as exit codes."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import click

from dilannot import __version__
from dilannot.cli import (
    annotate,
    build_data,
    compare,
    completion,
    download,
    evaluate,
    import_data,
    info,
    markers,
    merge,
    models,
    plot,
    signals,
    train,
    tune,
    verify,
)
from dilannot.errors import ENVIRONMENT, DilannotError, printable, shorten

_ENVIRONMENT_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE,
    errno.ENFILE, errno.ENOMEM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.ENOENT,
}  # fmt: skip


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="dilannot")
@click.option("--debug", is_flag=True, envvar="DILANNOT_DEBUG", help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Annotate genomes with dilated convolutions: DNA in, regulatory tracks out.

    \b
      dilannot build-data hg19.fa peaks/            FASTA + narrowPeak -> dataset.h5
      dilannot train                                dataset.h5 -> run/
      dilannot evaluate                             ROC and PR AUC per marker and class
      dilannot annotate --region chr1 -o tracks/    a bigWig and a BED per marker

    Regions are 1-based and inclusive, as in samtools; BED files are 0-based and half-open.
    """


for _command in (
    markers.command,
    download.command,
    build_data.command,
    import_data.command,
    verify.command,
    models.command,
    train.command,
    tune.command,
    evaluate.command,
    plot.command,
    compare.command,
    annotate.command,
    merge.command,
    info.command,
    completion.command,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and end with 0, 1 (bad input), 2 (usage), 3 (environment), 130 or 143."""
    signals.leave_at_once()
    debug = "--debug" in sys.argv[1:] or bool(os.environ.get("DILANNOT_DEBUG"))
    try:
        code = cli.main(prog_name="dilannot", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except SystemExit:
        # click turns a stdout that nobody reads any more (`| head`) into exit code 1; nothing went wrong.
        if "PacifyFlush" in type(sys.stdout).__name__:
            os._exit(0)
        raise
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        signals.leave_at_once()  # a second Ctrl-C would be a traceback here
        click.echo("interrupted", err=True)
        _exit(signals.INTERRUPTED)
    except BrokenPipeError:
        # The reader of stdout has gone (`| head`): nothing more to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (DilannotError, OSError, MemoryError, RuntimeError) as error:
        known = _explain(error)
        if debug or known is None:
            raise
        from dilannot.cli.console import fail

        fail(known[0])
        _exit(known[1])


def _exit(code: int) -> NoReturn:
    """Leave without the destructors of C libraries: HDF5 crashes in its own after a full disk."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _explain(error: Exception) -> tuple[str, int] | None:
    """What to tell the user and the exit code; None for a bug, whose traceback we want to see."""
    if isinstance(error, DilannotError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT_ERRNOS:
        where = f"{error.filename}: " if error.filename else ""
        return printable(shorten(f"{where}{os.strerror(error.errno)}", 480)), ENVIRONMENT
    # torch's error on a GPU is a class of its own, on a CPU a sentence.
    full = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    if isinstance(error, MemoryError) or full:
        return "out of memory; use fewer --threads, a smaller --batch-size or --tile", ENVIRONMENT
    return None
