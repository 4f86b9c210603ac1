"""What could not be read is in blob storage, signed in by identity: Azurite, which takes Entra's tokens over TLS."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from support.azurite import Azurite, azurite_by_identity
from support.clocks import JumpingClock
from tokenweir.delivery import BrokerMessage, Denied
from tokenweir.delivery.base import DeadMessage
from tokenweir.delivery.dead_letters import DeadMessages
from tokenweir.delivery.letter_blobs import LetterBlobs
from tokenweir.delivery.sources import IntakeSettings, open_dead_messages
from tokenweir.errors import ConfigError

EVENING = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)


@pytest.fixture
def azurite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azurite]:
    with azurite_by_identity(tmp_path, monkeypatch) as azurite:
        yield azurite


def letter(body: bytes) -> DeadMessage:
    return DeadMessage("hub/0", BrokerMessage(body=body, place="offset 7"), "it is odd")


def blobs(url: str, azurite: Azurite, clock: JumpingClock | None = None) -> DeadMessages:
    clock = clock or JumpingClock(EVENING)
    return DeadMessages(LetterBlobs(url, clock, ca_bundle=azurite.ca_bundle), clock)


def lines_of(azurite: Azurite, container: str, blob: str) -> list[dict[str, object]]:
    connection = azurite.connection_string()
    with ContainerClient.from_connection_string(connection, container, connection_verify=azurite.ca_bundle) as client:
        return [json.loads(line) for line in client.download_blob(blob).readall().splitlines()]


def test_letters_are_added_to_the_blob_of_their_day(azurite: Azurite) -> None:
    container, clock = azurite.make_container(), JumpingClock(EVENING)
    letters = open_dead_messages(
        IntakeSettings(dead_letters=f"{azurite.url}/{container}", ca_bundle=azurite.ca_bundle), clock
    )
    letters.bury([])
    letters.bury([letter(b"one"), letter(b"\xff")])
    letters.bury([letter(b"x" * 9_000_000)])  # more than one block takes
    clock.jump(60)
    letters.bury([letter(b"two")])
    letters.close()
    first = lines_of(azurite, container, "2026-11-24.jsonl")
    assert [line.get("body", line.get("body_base64")) for line in first] == ["one", "/w==", "x" * 9_000_000]
    assert first[0]["reason"] == "it is odd"
    assert [line["body"] for line in lines_of(azurite, container, "2026-11-25.jsonl")] == ["two"]


def test_two_consumers_share_a_day(azurite: Azurite) -> None:
    url = f"{azurite.url}/{azurite.make_container()}"
    one, other = (blobs(url, azurite) for _ in range(2))
    for number, letters in enumerate([one, other, one]):
        letters.bury([letter(str(number).encode())])
    found = lines_of(azurite, url.rpartition("/")[2], "2026-11-24.jsonl")
    assert [line["body"] for line in found] == ["0", "1", "2"]
    one.close()
    other.close()


def test_a_container_that_is_not_there_is_said_and_the_batch_comes_again(azurite: Azurite) -> None:
    letters = blobs(f"{azurite.url}/nowhere", azurite)
    with pytest.raises(Denied, match="there is no container 'nowhere' for the dead letters; create it"):
        letters.bury([letter(b"one")])
    letters.close()


def test_a_url_without_a_container_is_refused() -> None:
    with pytest.raises(ConfigError, match="no container for dead letters"):
        open_dead_messages(IntakeSettings(dead_letters="https://account.blob.core.windows.net"), JumpingClock(EVENING))
