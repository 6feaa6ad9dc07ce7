"""Twilio's section: what its keys say against each other and the rest."""

from pathlib import Path

import pytest

from tests.config.test_settings import problems

SID = "AC" + "0" * 32
BASE = 'http: {public_url: "https://gateway.example.com"}\nretell: {api_key: k}\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"retell: {{api_key: k}}\ntwilio: {{account_sid: {SID}, auth_token: t}}",
            "http.public_url: is required with twilio: its signatures are over the URL that it"
            " calls",
        ),
        (
            f"http: {{public_url: 'https://a.example'}}\ntwilio: {{account_sid: {SID},"
            " auth_token: t}",
            "retell.api_key: is required: calls of twilio are registered with it"
            " (twilio.answer: retell)",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, answer: edge}}",
            "twilio.edge: is required: answer is edge",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, edge: {{uri: 'sip:a.example'}}}}",
            "twilio.edge: has no effect: answer is retell",
        ),
        (
            BASE + f"sip: {{listen: []}}\ntwilio: {{account_sid: {SID}, auth_token: t,"
            " answer: stream}",
            "twilio.answer: stream wants our own softswitch, and sip.listen is empty",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, answer: edge,"
            " edge: {uri: 'sip:a.example', username: u}}\n"
            "trunks: [{name: voice, profile: twilio, login: {username: u, password: p}}]",
            "twilio.edge.password: is required with twilio.edge.username",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, answer: edge,"
            " edge: {uri: 'sip:a.example', username: u, password: p}}",
            "twilio.edge.username: no trunk has the login u",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, answer: edge,"
            " edge: {uri: 'sip:a.example', username: u, password: p}}\n"
            "trunks: [{name: voice, login: {username: u, password: p}}]",
            "twilio.edge.username: trunk voice is known by its login alone, and Twilio shows none"
            " before it is asked: it would get no answer. Name Twilio's addresses in the trunk's"
            " identify",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, machine: {{then: message}}}}",
            "twilio.machine.message: is required: then is message",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, subaccounts: ["
            f"{{account_sid: {SID[:-1]}1, auth_token: t, numbers: ['+14155550100']}},"
            f" {{account_sid: {SID[:-1]}2, auth_token: t, numbers: ['+14155550100']}}]}}",
            "twilio.subaccounts[1].numbers[0]: +14155550100 is AC" + 31 * "0" + "1's already",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t,"
            f" subaccounts: [{{account_sid: {SID}, auth_token: u}}]}}",
            f"twilio.subaccounts[0].account_sid: {SID} is listed already",
        ),
        (
            BASE + "twilio: {account_sid: AC1, auth_token: t}",
            "twilio.account_sid: 'AC1' is no account SID: AC and 32 hex digits",
        ),
        (
            BASE + f"twilio: {{account_sid: {SID}, auth_token: t, fallback: {{say: ' '}}}}",
            "twilio.fallback.say: must be a sentence",
        ),
        (
            "http: {public_url: 'https://u:p@a.example'}",
            "http.public_url: must be scheme, host, and perhaps port and path: no login, no ? and"
            " no #",
        ),
    ],
)
def test_one_line_for(tmp_path: Path, text: str, line: str) -> None:
    found = [each.split(": ", 1)[1] for each in problems(tmp_path, text)]
    assert line in found
