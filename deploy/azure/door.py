"""Opens the deployment site of the function to this machine's address, and closes it again: `azd deploy` from outside.

azd runs ``open`` before it deploys and ``close`` afterwards, where TOKENWEIR_DEPLOY_FROM is ``here``; else both do
nothing. Of a deployment that fails azd runs no second hook: then close by hand, as is said, or deploy once more. Asks
the Azure CLI; only the standard library is needed.
"""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from preflight import Unanswered, az

VERSION = "2024-04-01"
RULE = "while-azd-deploys"
# A network rule takes some seconds, and up to two minutes have been seen.
PATIENCE_SECONDS, PAUSE_SECONDS = 180, 5

Ask = Callable[..., Any]
Fetch = Callable[[str], tuple[int, str]]
"""A URL → status and text of what answers. OSError where nothing does."""


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read(200).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""


def own_address(environment: Mapping[str, str], fetch: Fetch) -> str:
    """As others see it. Raises ``Unanswered``."""
    given = environment.get("TOKENWEIR_DEPLOY_ADDRESS", "")
    if not given:
        try:
            _, given = fetch("https://api.ipify.org")
        except OSError as error:
            raise Unanswered(f"nobody told this machine its address ({error}); set TOKENWEIR_DEPLOY_ADDRESS") from error
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?", given.strip()):
        raise Unanswered(f"`{given.strip()[:40]}` is no IPv4 address; set TOKENWEIR_DEPLOY_ADDRESS")
    return given.strip() if "/" in given else f"{given.strip()}/32"


def app_id(environment: Mapping[str, str], ask: Ask) -> str:
    """Of the function, by the tag that azd knows it by. Raises ``Unanswered``."""
    group = environment.get("AZURE_RESOURCE_GROUP", "")
    found = ask("resource", "list", "--resource-group", group, "--tag", "azd-service-name=meter") if group else []
    if not found:
        raise Unanswered(f"there is no function in the resource group `{group}`; `azd provision` makes it")
    return str(found[0]["id"])


def patch(ask: Ask, target: str, properties: dict[str, Any]) -> None:
    url = f"https://management.azure.com{target}?api-version={VERSION}"
    ask("rest", "--method", "patch", "--url", url, "--body", json.dumps({"properties": properties}))


def open_door(environment: Mapping[str, str], ask: Ask, fetch: Fetch, pause: Callable[[float], None]) -> None:
    """Raises ``Unanswered`` where it does not open."""
    address, app = own_address(environment, fetch), app_id(environment, ask)
    rule = {"name": RULE, "action": "Allow", "ipAddress": address, "priority": 100}
    # First whom it is open to, then that it is: never the other way round.
    patch(ask, f"{app}/config/web", {"scmIpSecurityRestrictions": [rule]})
    patch(ask, app, {"publicNetworkAccess": "Enabled"})
    site = f"https://{app.rpartition('/')[2]}.scm.azurewebsites.net/"
    for _ in range(PATIENCE_SECONDS // PAUSE_SECONDS):
        try:
            if fetch(site)[0] != 403:
                print(f"{site} is open to {address} until this deployment has ended")
                return
        except OSError:
            pass  # the name may be a new one
        pause(PAUSE_SECONDS)
    raise Unanswered(f"{site} stays closed to {address}; is that the address of this machine, as others see it?")


def close_door(environment: Mapping[str, str], ask: Ask) -> None:
    """Both, also where one fails. Raises ``Unanswered`` where it may be open still."""
    app = app_id(environment, ask)
    failures = []
    for target, properties in (
        (app, {"publicNetworkAccess": "Disabled"}),
        (f"{app}/config/web", {"scmIpSecurityRestrictions": []}),
    ):
        try:
            patch(ask, target, properties)
        except Unanswered as error:
            failures.append(str(error))
    if failures:
        raise Unanswered("; ".join(failures))


def main(
    arguments: list[str],
    environment: Mapping[str, str],
    ask: Ask = az,
    fetch: Fetch = fetch,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    if environment.get("TOKENWEIR_DEPLOY_FROM") != "here" or environment.get("TOKENWEIR_HAS_METER") == "false":
        return 0
    by_hand = "close it: python3 deploy/azure/door.py close"
    try:
        if arguments == ["open"]:
            open_door(environment, ask, fetch, pause)
        elif arguments == ["close"]:
            close_door(environment, ask)
        else:
            print("usage: door.py open | close", file=sys.stderr)
            return 2
    except Unanswered as error:
        print(f"door.py {arguments[0]}: {error}. It may be open; {by_hand}", file=sys.stderr)
        return 1
    if arguments == ["open"]:
        print(f"Should the deployment fail, {by_hand}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
