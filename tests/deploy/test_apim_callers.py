"""From API Management's subscriptions to Tokenweir's callers."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tokenweir.policy import Keyring, read_keys

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "azure" / "apim" / "callers.sh"
INSTANCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/contoso"

# In the place of the Azure command line: two pages of subscriptions, each with two keys.
AZ = r"""#!/bin/sh
case "$*" in
  *nobody*) ;;
  *fails*) echo "ERROR: (ResourceNotFound)" >&2; exit 3 ;;
  *" get "*skip=1*value*) echo team-b ;;
  *" get "*skip=1*nextLink*) ;;
  *" get "*value*) echo team-a ;;
  *" get "*nextLink*) echo "https://management.azure.com/next?skip=1" ;;
  *" post "*team-a/listSecrets*) printf 'a-first\na-second\n' ;;
  *" post "*team-b/listSecrets*) printf 'b-first\nb-second\n' ;;
esac
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "az").write_text(AZ)
    (folder / "az").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True)


def test_every_key_of_every_subscription_opens_the_gateway(tmp_path: Path) -> None:
    done = run(tmp_path, INSTANCE)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "keys.json").write_text(done.stdout)

    keyring = Keyring([], read_keys(tmp_path / "keys.json"))

    for key, caller in [("a-first", "team-a"), ("a-second", "team-a"), ("b-first", "team-b"), ("b-second", "team-b")]:
        identity = keyring.identify(key.encode())
        assert (identity.caller, identity.key_id) == (caller, "sha256:" + hashlib.sha256(key.encode()).hexdigest())
        assert key not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status"), [([], 2), (["/subscriptions/fails"], 3), (["/subscriptions/nobody"], 1)]
)
def test_what_goes_wrong_leaves_no_keys_file_that_opens_the_port(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr
