"""The commands and their options. What they do is imported when they run, so that each starts as fast as it can.

Exit codes: 0 done, 1 failed, 2 refused (wrong usage, wrong settings, a service without Kafka).
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from sluice.console import say, say_lines

REFUSED: Final = 2

app = typer.Typer(
    name="sluice",
    help="Login flows as event-sourced services. `sluice up` starts everything on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
topics = typer.Typer(help="The topics on the Kafka brokers of SLUICE_KAFKA.", no_args_is_help=True)
users = typer.Typer(help="Users, written straight to the database. Beside a running Sluice or without one.", no_args_is_help=True)
keys = typer.Typer(help="The keys with which services sign what they write to Kafka.", no_args_is_help=True)
flows = typer.Typer(help="Flow definitions.", no_args_is_help=True)
sessions = typer.Typer(help="Sessions in the log, beside running workers.", no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(sessions, name="sessions")
app.add_typer(users, name="users")
app.add_typer(flows, name="flows")
app.add_typer(keys, name="keys")


class ServiceName(StrEnum):
    """The services."""

    CATALOG = "catalog"
    PLANNER = "planner"
    POLICY = "policy"
    EXECUTOR = "executor"


class Role(StrEnum):
    """The parts of the executor that scale on their own."""

    EDGE = "edge"
    WORKER = "worker"
    BOTH = "both"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input; else it is asked for.")]


@app.command()
def up() -> None:
    """Start everything in this process, PostgreSQL too. Ctrl-C stops it, the data stay in SLUICE_DATA."""
    from sluice.up import up as command

    raise typer.Exit(command())


@app.command()
def run(
    service: Annotated[ServiceName, typer.Argument(help="Which service.")],
    role: Annotated[Role | None, typer.Option(help="Which part of the executor: HTTP (edge), sessions (worker), or both.")] = None,
) -> None:
    """Run one service as a process of its own. It needs the Kafka of SLUICE_KAFKA."""
    from sluice.run import run as command

    if role is not None and service is not ServiceName.EXECUTOR:
        raise typer.BadParameter(f"{service.value} has no roles", param_hint="--role")
    raise typer.Exit(command(service.value, role.value if role else None))


@app.command()
def settings() -> None:
    """Print all settings, secrets left out. With where each value comes from, and what it is for."""
    from sluice.settings import table

    say_lines(table())


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Such as executor.sessions.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Everything that the topic still holds.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=1_000_000, help="How many of the newest events without --from-beginning.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print a topic, decoded, one line an event. Of executor.sessions only accepted transitions; elsewhere a copy is marked (repeat).

    Reads the Kafka of SLUICE_KAFKA, or else the log in SLUICE_DATA, also while `sluice up` runs.
    """
    from sluice.tail.command import tail as command

    raise typer.Exit(command(topic, follow=follow, newest=None if from_beginning else lines, as_json=as_json))


@app.command()
def doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="As browsers have it: https://login.example.com, or with a path.")],
    ca_file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Who signs the front's certificate (PEM).")] = None,
    source: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Ask from this address of this machine, where another is a trusted proxy's.")
    ] = "",
) -> None:
    """Look at a running Sluice through its front. Says what to change, and in which setting or header; exit code 1 if something is."""
    from sluice.doctor import doctor as look

    found = look(url, ca_file, source)
    for finding in found:
        say(str(finding))
    raise typer.Exit(0 if all(finding.good for finding in found) else 1)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    say(f"sluice {installed('sluice')}")


@topics.command("create")
def topics_create(replication: Annotated[int, typer.Option(min=1, help="Copies of each record; 3 in production.")] = 1) -> None:
    """Make the topics that are not there. Adds partitions where there are too few; changes no other setting."""
    from sluice.topics import create

    create(replication)


@topics.command("describe")
def topics_describe(replication: Annotated[int, typer.Option(min=1, help="The copies that there should be.")] = 1) -> None:
    """Print the topics on the brokers. Exit code 1 if one differs from how Sluice wants it."""
    from sluice.topics import describe

    describe(replication)


@topics.command("acls")
def topics_acls(
    principal: Annotated[list[str] | None, typer.Option(metavar="SERVICE=User:NAME", help="Who a service is to the brokers.")] = None,
    reader: Annotated[list[str] | None, typer.Option(metavar="User:NAME", help="May read every topic and write none.")] = None,
    command_config: Annotated[str | None, typer.Option(metavar="FILE", help="For the commands: how the administrator connects.")] = None,
) -> None:
    """Print who may do what on the brokers, as kafka-acls.sh commands. A service is User:SERVICE unless --principal says otherwise."""
    from sluice.acls import acls

    acls(principal or (), reader or (), command_config)


@sessions.command("repair")
def sessions_repair(
    partition: Annotated[list[int] | None, typer.Option(min=0, metavar="NUMBER", help="Only this one; may be given again.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Say what differs, change nothing.")] = False,
) -> None:
    """Repair partitions that were set aside because the log lost records. Says what differs, ends those sessions, keeps all logins."""
    from sluice.sessions import repair

    repair(partition or (), show=show)


@users.command("create")
def users_create(
    name: Name,
    password_stdin: PasswordStdin = False,
    superuser: Annotated[bool, typer.Option("--superuser", help="May do everything.")] = False,
    email: Annotated[str, typer.Option(help="The e-mail address.")] = "",
    full_name: Annotated[str, typer.Option("--name", help="The name for people to read.")] = "",
) -> None:
    """Make a user."""
    from sluice.users import create

    create(name, password_stdin=password_stdin, superuser=superuser, email=email, full_name=full_name)


@users.command("set-password")
def users_set_password(name: Name, password_stdin: PasswordStdin = False) -> None:
    """Give a user a new password; ends all of the user's logins."""
    from sluice.users import set_password

    set_password(name, password_stdin=password_stdin)


@users.command("disable")
def users_disable(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Do it although nobody who may administer could get in after it.")] = False,
) -> None:
    """Keep a user from logging in; ends all of the user's logins."""
    from sluice.users import disable

    disable(name, force=force)


@users.command("enable")
def users_enable(name: Name) -> None:
    """Let a user log in again who was disabled."""
    from sluice.users import enable

    enable(name)


@users.command("unlock")
def users_unlock(name: Name) -> None:
    """Let a user log in again after too many guesses."""
    from sluice.users import unlock

    unlock(name)


@users.command("create-token")
def users_create_token(
    name: Name,
    identifier: Annotated[str | None, typer.Option(metavar="ID", help="What to call it; else a name is made up.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="For how long; else until it is revoked.")] = None,
) -> None:
    """Make a bearer token for the API. Prints it, this once; who has it may do what the user may."""
    from sluice.users import create_token

    create_token(name, identifier=identifier, days=days)


@users.command("revoke-token")
def users_revoke_token(identifier: Annotated[str, typer.Argument(metavar="IDENTIFIER", help="What the token is called.")]) -> None:
    """End a bearer token."""
    from sluice.users import revoke_token

    revoke_token(identifier)


@users.command("import")
def users_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV with username,email,name,password.")],
) -> None:
    """Make users from a CSV file. A password that is a hash (argon2id, pbkdf2_sha256, pbkdf2_sha1) is taken as such."""
    from sluice.users import import_file

    import_file(file)


@flows.command("apply")
def flows_apply(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="Blueprints in YAML.")],
    end_runs: Annotated[
        bool, typer.Option("--end-runs", help="Open runs of the flows that change end at their next step, rather than go on as planned.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Do it although a brand's log-in has no proof, or no log-in that works, after it.")
    ] = False,
) -> None:
    """Bring definitions to what the files say. The same files again change nothing."""
    from sluice.flows import apply

    apply(files, end_runs=end_runs, force=force)


KeysFolder = Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="One folder a service, and `trusted`.")]


@keys.command("create")
def keys_create(folder: KeysFolder) -> None:
    """Make a signing key a service and the file of all public ones. What is there already stays."""
    from sluice.keys import create

    create(folder)


@keys.command("accept-secret")
def keys_accept_secret() -> None:
    """Take SLUICE_SECRET_KEY as the installation's after the one of before was lost. Ends all logins and open sessions."""
    from sluice.users import accept_secret

    accept_secret()


@keys.command("rotate")
def keys_rotate(
    folder: KeysFolder,
    service: Annotated[ServiceName, typer.Argument(help="Whose key.")],
    overlap: Annotated[
        int, typer.Option(min=0, max=31_536_000, help="Seconds for which the key of before still counts; 0 if somebody has it.")
    ] = 3600,
) -> None:
    """Give a service a new signing key. Restart it then; readers learn of the new key by themselves."""
    from sluice.keys import rotate

    rotate(folder, service.value, overlap)
