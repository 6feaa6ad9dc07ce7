"""The section `jambonz`: whose API calls people where a jambonz carries the calls."""

from typing import Any

import pytest

from config.checks.cross import cross_problems

JAMBONZ = {
    "api_url": "https://jambonz.example.com/v1",
    "token": "t",
    "account_sid": "a",
    "application_sid": "b",
}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"sip": {"listen": []}, "jambonz": JAMBONZ}, False),
        ({"jambonz": JAMBONZ}, True),
        ({"sip": {"listen": ["udp:127.0.0.1:5060"]}, "jambonz": JAMBONZ}, True),
    ],
)
def test_it_is_asked_where_we_do_no_sip(data: dict[str, Any], told: bool) -> None:
    found = [str(problem) for problem in cross_problems(data) if problem.path[0] == "jambonz"]
    assert bool(found) is told
    assert all("sip.listen" in text for text in found)
