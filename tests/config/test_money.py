"""What the keys about money and about callers say of each other."""

from pathlib import Path

import pytest

from config.reloading import reload
from config.settings import load
from tests.config.test_settings import problem, read

TRUNK = "trunks: [{name: carrier, gateways: ['sip:192.0.2.1']}]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "outbound: {spend: {day: 5}}",
            "outbound.spend.day: lets no call out: there are no outbound.rates and no",
        ),
        (
            "outbound: {spend: {per_call: 5}, rates: []}",
            "outbound.spend.per_call: lets no call out",
        ),
        (
            "outbound: {rates: [{per_minute: 1}], spend: {trunk: {carier: 5}}}",
            "outbound.spend.trunk.carier: there is no trunk named carier; did you mean carrier?",
        ),
        (
            "outbound: {rates: [{per_minute: 1, trunk: other}]}",
            "outbound.rates[0].trunk: there is no trunk named other",
        ),
        (
            "outbound: {rates: [{prefix: +1, per_minute: 1}, {prefix: +1, per_minute: 2}]}",
            'outbound.rates[1].prefix: prefix "+1" has a rate already',
        ),
        (
            "outbound: {spend: {currency: usd}}",
            "outbound.spend.currency: 'usd' is not a currency of three capital letters",
        ),
        ("outbound: {rates: [{per_minute: -1}]}", "outbound.rates[0].per_minute: "),
        (
            "outbound: {rates_file: rates.csv}",
            "outbound.rates_file: rates.csv:2: per_minute: 'free' is not an amount",
        ),
        ("inbound: {block: ['two words']}", "inbound.block[0]: 'two words' is neither a caller's"),
        (
            "inbound: {caller: {calls_per_hour: 9, calls_per_day: 8}}",
            "inbound.caller.calls_per_hour: has no effect: calls_per_day lets no more than 8",
        ),
        (
            "media: {sounds: .}\ninbound: {announcement: over.wav}",
            "inbound.announcement: has no effect: no max_duration_s says when it is heard",
        ),
        (
            "inbound: {announcement: over.wav, max_duration_s: 60}",
            "inbound.announcement: is a file of media.sounds, which names no folder",
        ),
        (
            "numbers: {'+14155550100': {inbound: {announcement: over.wav, max_duration_s: 60}}}",
            "numbers.+14155550100.inbound.announcement: is a file of media.sounds",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "rates.csv").write_text("prefix,per_minute\n+1,free\n")
    found = problem(tmp_path, TRUNK + text)
    assert told in found, found


@pytest.mark.parametrize(
    "text",
    [
        "outbound: {spend: {day: 5, unknown: 0.5}}",
        "outbound: {spend: {day: 5}, rates_file: rates.csv}",
        "outbound: {rates: [{prefix: +1, per_minute: 1},"
        " {prefix: +1, per_minute: 2, trunk: carrier}]}",
        "media: {sounds: .}\ninbound: {announcement: over.wav}\n"
        "numbers: {'+14155550100': {inbound: {max_duration_s: 60}}}",
        "media: {sounds: .}\ninbound: {max_duration_s: 60}\n"
        "numbers: {'+14155550100': {inbound: {announcement: over.wav}}}",
    ],
)
def test_what_goes_together_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "rates.csv").write_text("prefix,per_minute\n+1,0.01\n")
    read(tmp_path, TRUNK + text)


def test_a_file_of_rates_is_read_with_the_configuration(tmp_path: Path) -> None:
    """And again with each reload: what stands in force does not change by itself."""
    file, rates = tmp_path / "gateway.yaml", tmp_path / "rates.csv"
    rates.write_text("prefix,per_minute\n1,0.01\n")
    file.write_text("outbound: {rates_file: rates.csv, rates: [{prefix: +44, per_minute: 1}]}")
    old = load(file, {})
    rates.write_text("prefix,per_minute\n1,0.02\n")
    told = {rate.prefix: rate.per_minute for rate in old.outbound.every_rate()}
    assert told == {"+44": 1, "+1": 0.01}
    assert load(file, {}).outbound.every_rate()[1].per_minute == 0.02
    assert reload(old, load(file, {})).changed == ("outbound.rates_file",)
