"""`sluice users`: written straight to the directory's database and its outbox, beside a running Sluice or without one."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import typer

from services.executor.administration import Administration, NewUser, administration, read_table
from services.executor.settings import Settings
from shared.kernel.variables import Misconfigured, variable
from sluice.configuration import read
from sluice.console import say
from sluice.database import database

T = TypeVar("T")
_UNTOLD = (
    "it is done in PostgreSQL, but running services have not been told yet: what it ends may be good there until they are. They are told "
    "by the first executor worker, or `sluice up`, that runs"
)
_LOCKS = {"account": "for strangers", "network": "for a network", "browser": "for a browser"}


def create(name: str, *, password_stdin: bool, superuser: bool, email: str, full_name: str) -> None:
    """Make a user."""
    new = NewUser(name, full_name, email, _password(password_stdin), superuser=superuser)
    number = _run(lambda users: users.create(new))
    say(f"made user {name} (number {number})")


def set_password(name: str, *, password_stdin: bool) -> None:
    """Give a user a new password."""
    password = _password(password_stdin)
    _run_and_tell(lambda users: users.set_password(name, password))
    say(f"{name} has a new password; all logins of {name} are over")


def disable(name: str, *, force: bool) -> None:
    """Keep a user from logging in."""
    _run_and_tell(lambda users: users.disable(name, force=force))
    say(f"{name} cannot log in any more; all logins of {name} are over")


def enable(name: str) -> None:
    """Let a user log in again."""
    _run_and_tell(lambda users: users.enable(name))
    say(f"{name} can log in")


def unlock(name: str) -> None:
    """Let a user log in again whose password was guessed at too often."""
    were = _run(lambda users: users.unlock(name))
    where = ", ".join(_LOCKS[lock] for lock in were.locked)
    guesses = {0: "there were no wrong guesses to give back", 1: "1 guess was given back"}.get(
        were.guesses, f"{were.guesses} guesses were given back"
    )
    # Which limits the server has is not known here: its settings may be others.
    by_limits = f"{name} is unlocked ({where})" if where else f"{name} was not locked by the limits that are set here"
    say(f"{by_limits}; {guesses}")


def create_token(name: str, *, identifier: str | None, days: int | None) -> None:
    """Make a bearer token: the token alone on standard output, what it is called on standard error."""
    made = _run_and_tell(lambda users: users.create_token(name, identifier=identifier, days=days))
    say(made.token)
    until = "until it is revoked" if days is None else "for a day" if days == 1 else f"for {days} days"
    say(f"token {made.identifier} of {name}, good {until}; it is not shown again", err=True)


def revoke_token(identifier: str) -> None:
    """End a bearer token."""
    _run_and_tell(lambda users: users.revoke_token(identifier))
    say(f"token {identifier} is good no more")


def accept_secret() -> None:
    """Take the secret key of the settings as the installation's."""
    secret = read(Settings).secret_key
    if secret is None:
        raise Misconfigured(f"{variable('secret_key')} is not set: which one is to be taken?")
    _run(lambda users: users.accept_secret(secret.get_secret_value()), any_secret=True)
    say("executors with this SLUICE_SECRET_KEY may start; restart those that have another one")


def import_file(path: Path) -> None:
    """Make users from a CSV file; exit code 1 if some could not be made."""
    lines = read_table(path)
    imported = _run(lambda users: users.import_users(lines))
    say(f"made {imported.created} users")
    for line, reason in imported.refused:
        say(f"{path}:{line}: {reason}", err=True)
    if imported.refused:
        raise typer.Exit(1)


def _run(work: Callable[[Administration], Awaitable[T]], *, any_secret: bool = False) -> T:
    async def main(settings: Settings) -> T:
        async with database(settings, "executor") as dsn, administration(dsn, settings, any_secret=any_secret) as users:
            return await work(users)

    return asyncio.run(main(read(Settings)))


def _run_and_tell(work: Callable[[Administration], Awaitable[T]]) -> T:
    """Do something that ends or gives a right, and wait until the services know; say it where they may not yet."""

    async def told(users: Administration) -> tuple[T, bool]:
        return await work(users), await users.told()

    done, is_told = _run(told)
    if not is_told:
        say(_UNTOLD, err=True)
    return done


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
