"""The command line: serve, token, vapid-keys, doctor. It reads arguments and prints; the rest is elsewhere.

What is wrong is told in plain lines on standard error. Exit codes: 0, all is well; 1, the doctor found
something; 2, the settings or arguments cannot be used.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import click

from messaging import __version__, logs
from messaging.domain.ids import user_id
from messaging.settings import IN_MEMORY, Settings, SettingsError, read_settings
from messaging.tokens import mint

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TEN_YEARS = timedelta(days=3653)


def _duration(context: click.Context, parameter: click.Parameter, text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if duration is None or duration > _TEN_YEARS:
        raise click.BadParameter(
            "must be a time such as 30s, 15m, 12h or 7d, up to ten years", context, parameter
        )
    return duration


@click.group()
@click.version_option(__version__, prog_name="messaging")
def main() -> None:
    """A self-hosted realtime messaging service. Settings come from the environment (see README.md)."""


@main.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many processes share the port. More than one need MongoDB and Redis.",
)
def serve(workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = _settings()
    logs.set_up(settings.log_format, settings.log_level)
    if workers == 1:
        from messaging import serving

        serving.run(settings)
        return
    from messaging import supervisor

    if mistakes := list(supervisor.several_mistakes(settings)):
        _give_up(*mistakes)
    try:
        sys.exit(supervisor.supervise(settings, workers))
    except OSError as wrong:
        _give_up(str(wrong))


@main.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("slot", type=int)
@click.argument("starts", type=int)
def worker(folder: Path, slot: int, starts: int) -> None:
    """Be one of the processes that `serve --workers` starts."""
    settings = _settings()
    logs.set_up(settings.log_format, settings.log_level)
    from messaging import app, serving

    serving.run(settings, app.Worker(folder=folder, slot=slot, starts=starts))


@main.command()
@click.argument("user")
@click.option("--role", help="The token's role, such as service.")
@click.option("--name", help="The user's name as others see it.")
@click.option(
    *("--ttl", "ttl"),
    callback=_duration,
    default="24h",
    show_default=True,
    help="How long it lasts, such as 30s, 15m, 12h or 7d.",
)
def token(user: str, role: str | None, name: str | None, ttl: timedelta) -> None:
    """Print a token for USER, signed with JWT_SECRET (or with the secret of development mode)."""
    settings = _settings()
    if settings.jwt_secret is None:
        _give_up("JWT_SECRET: is not set; without it, tokens are made by whoever has the private key.")
    if settings.development and settings.database_path == IN_MEMORY:
        _give_up("DATABASE_PATH: with a database in memory, the secret is known to the server alone.")
    if settings.development and not settings.database_path.exists():
        where = settings.database_path.absolute()
        click.echo(f"No server has run with {where} yet. One that keeps its database elsewhere", err=True)
        click.echo("refuses this token: call this in its folder, or with its DATABASE_PATH.", err=True)
    click.echo(_mint(settings, settings.jwt_secret, user, role, name, ttl))


def _mint(
    settings: Settings, secret: str, user: str, role: str | None, name: str | None, ttl: timedelta
) -> str:
    try:
        user_id(user)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="USER") from None
    return mint(
        *(secret, user),
        role=role,
        name=name,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        ttl=ttl,
        now=datetime.now(UTC),
    )


def _settings() -> Settings:
    try:
        return read_settings()
    except SettingsError as wrong:
        _give_up(*wrong.mistakes)


def _give_up(*mistakes: str) -> NoReturn:
    for mistake in mistakes:
        click.echo(mistake, err=True)
    sys.exit(2)


@main.command("vapid-keys")
def vapid_keys() -> None:
    """Make a key for Web Push, as settings; keep the private one secret, and keep it."""
    from messaging.push.keys import new_key

    secret, public = new_key()
    click.echo(f"VAPID_PRIVATE_KEY={secret}")
    click.echo(f"# its public key, which clients get from /api/push/key: {public}")


@main.command()
def doctor() -> None:
    """Check versions, settings, storage and Redis; say what is wrong and how to mend it."""
    from messaging.doctor import examine

    sick = False
    for finding in examine():
        click.echo(finding)
        sick = sick or finding.startswith("wrong: ")
    sys.exit(1 if sick else 0)
