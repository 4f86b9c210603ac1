"""What is allowed and may surprise; ``tokenweir serve`` and ``tokenweir config check`` say it."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..policy.keys_file import StoredKey, read_keys
from ..pricing import mixed_rows
from .addresses import is_loopback
from .anchoring import HOME_VARIABLE, MovedPath
from .model import Config, is_consumers
from .setting_path import place
from .sink_variables import event_hub_note, otel_note
from .upstream_variables import upstream_notes

__all__ = ["notes", "notes_on_moved"]


def notes(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Sentences for a person, none of them a problem."""
    callers = () if is_consumers(config) else _about_callers(config)
    about_settings = (*callers, *_about_upstreams(config), *_about_sinks(config), *_about_prices(config))
    about_variables = (note(config, environ) for note in (upstream_notes, event_hub_note, otel_note))
    return [*about_settings, *chain.from_iterable(about_variables)]


def notes_on_moved(moved: list[MovedPath]) -> Iterator[str]:
    """Of data that stays where relative paths started before files had them start at themselves."""
    for path in moved:
        if path.here.exists():
            too = "where there is data, too" if path.there.exists() else "where nothing is yet"
            yield (
                f"{place(path.place)}: {path.here.absolute()} is not used: a relative path of a file starts at the "
                f"file, so this is {path.there}, {too}. Move it there if it belongs to this gateway; "
                f"{HOME_VARIABLE}=. lets the paths start here again"
            )


def _about_callers(config: Config) -> Iterator[str]:
    if config.server.shared_keys is not None:
        return  # nobody is let in without a key, and what there is is not asked for here
    keys = _stored_keys(config)
    if not config.callers and not keys and not config.entra.tenants:
        yield "no caller has a key, so every key is accepted and every caller is `anonymous`"
    with_key = {key.caller for key in keys if not key.is_revoked}
    for caller in config.callers:
        if caller.applications:
            continue
        if not caller.key_sha256 and caller.name not in with_key:
            yield f'caller "{caller.name}" has no key yet; `tokenweir keys create {caller.name}` makes one'


def _about_upstreams(config: Config) -> Iterator[str]:
    shared = [f'"{upstream.name}"' for upstream in config.upstreams if not upstream.credential.pass_through]
    callers = {*(caller.name for caller in config.callers), *(key.caller for key in _stored_keys(config))}
    if shared and (len(callers) > 1 or config.server.shared_keys is not None) and not _restricts_surfaces(config):
        yield (
            f"all callers use the one credential of {', '.join(shared)}, so each of them can list and read files, "
            "batches and stored responses of the others there (docs/guides/keys.md#what-callers-share); `surfaces` of "
            "[[groups]] or [[callers]] says which APIs somebody may use"
        )
    for upstream in config.upstreams:
        if _is_in_the_clear(upstream.endpoint):
            yield f'upstream "{upstream.name}" is reached without TLS: its key and content go in the clear'


def _restricts_surfaces(config: Config) -> bool:
    """Whether somebody has thought about who may use what; whether it is enough, only that person knows."""
    lists = [*(group.surfaces for group in config.groups), *(caller.surfaces for caller in config.callers)]
    return any(surfaces is not None for surfaces in lists)


def _about_sinks(config: Config) -> Iterator[str]:
    for sink in config.sinks:
        if sink.shape in ("sse-proxy", "apim") and config.journal.content == "none":
            text = f'sink "{sink.name}" sends {sink.shape} events without prompts and answers'
            yield f'{text}: with journal.content = "none" there are none'
        if sink.content and config.journal.content == "none":
            text = f'sink "{sink.name}" sends spans without prompts and answers'
            yield f'{text}: with journal.content = "none" there are none'
        if _is_in_the_clear(getattr(sink.connection, "url", None) or ""):
            yield f'sink "{sink.name}" is reached without TLS: its events go in the clear'


def _about_prices(config: Config) -> Iterator[str]:
    for mixed in mixed_rows(config.prices):
        yield f"[[prices]] #{mixed.number} model: {mixed}"


def _is_in_the_clear(text: str) -> bool:
    """Whether what goes there can be read on its way; a URL that is none is a problem, and said as one elsewhere."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme == "http" and bool(url.hostname) and not is_loopback(url.hostname or "")


def _stored_keys(config: Config) -> list[StoredKey]:
    """The keys there are; that the file cannot be read is a problem, and said as one elsewhere."""
    try:
        return read_keys(Path(config.server.keys))
    except ConfigError:
        return []
