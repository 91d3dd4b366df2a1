"""Where the command line's words go: through `shown`, for names and texts in them are other people's."""

import typer

from shared.kernel.terminal import shown, shown_lines


def say(text: str, *, err: bool = False) -> None:
    """One line on standard output, or on standard error."""
    typer.echo(shown(text), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Several lines that we ourselves have broken."""
    typer.echo(shown_lines(text), err=err)
