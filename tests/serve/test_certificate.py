"""A certificate is read again when it was renewed, and its end is known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from support.clocks import JumpingClock
from tokenweir.cli.checkup.machine import check_certificate
from tokenweir.config import Config, expires_at
from tokenweir.gateway import ServerSettings
from tokenweir.serve.certificate import Certificate

AUTHORITY = trustme.CA()
END = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def issue(path: Path, end: datetime) -> ServerSettings:
    certificate = AUTHORITY.issue_cert("127.0.0.1", not_before=END - timedelta(days=9000), not_after=end)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return ServerSettings(certificate=str(path), private_key=str(path))


@pytest.mark.parametrize("end", [END, END.replace(year=2049), END.replace(year=2050), END.replace(year=2120)])
def test_the_end_is_read_in_both_ways_of_writing_it(tmp_path: Path, end: datetime) -> None:
    issue(tmp_path / "c.pem", end)
    assert expires_at((tmp_path / "c.pem").read_bytes()) == end


@pytest.mark.parametrize("cut", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_has_no_end(cut: bytes) -> None:
    assert expires_at(cut) is None


def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "c.pem", JumpingClock(END - timedelta(days=90))
    certificate = Certificate(issue(path, END), clock)
    first = certificate.context
    clock.jump(10)
    certificate.look()
    assert certificate.context is first

    issue(path, END + timedelta(days=90))
    clock.jump(10)
    certificate.look()
    assert certificate.context is not first and certificate.expires_at == END + timedelta(days=90)

    second = certificate.context
    path.write_bytes(path.read_bytes()[:100])
    for _ in range(3):
        clock.jump(10)
        certificate.look()
    assert certificate.context is second
    assert len([one for one in caplog.messages if "the old one stays" in one]) == 1


def test_the_end_is_told_once_a_day_from_two_weeks_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = JumpingClock(END - timedelta(days=15))
    certificate = Certificate(issue(tmp_path / "c.pem", END), clock)
    told = []
    for _ in range(4 * 24):
        certificate.look()
        told.append(len(caplog.messages))
        clock.jump(3600)
    assert told[23] == 0 and told[-1] == 3
    assert "expires on 2031-05-06 07:08 UTC; renew it" in caplog.messages[0]


@pytest.mark.parametrize(("days", "status"), [(15, "ok"), (13, "warn"), (-1, "bad")])
def test_the_doctor_looks_at_the_end(tmp_path: Path, days: int, status: str) -> None:
    config = Config(server=issue(tmp_path / "c.pem", END))
    (result,) = check_certificate(config, END - timedelta(days=days))
    assert result.status == status and "2031-05-06" in result.what
    assert list(check_certificate(Config(), END)) == []
