"""Settings are frozen, complete and refuse what they do not know."""

from datetime import date

import pytest
from pydantic import ValidationError

from sop_workbench.errors import SettingsError
from sop_workbench.periods import days_off
from sop_workbench.settings import Settings, expand_variables, load_settings


def workspace(tmp_path, text):
    (tmp_path / "sop.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_defaults_are_enough(tmp_path):
    settings = load_settings(workspace(tmp_path, "company: Acme\n"))
    assert (settings.horizon, settings.bucket, settings.currency) == (18, "month", "EUR")
    assert settings.calendar.as_of("2026-10").date().isoformat() == "2026-09-30"


def test_all_faults_are_named_at_once(tmp_path):
    text = "company: Acme\nhorizn: 12\nhorizon: 0\nforecast: {effort: heroic}\ncurrency: euro\n"
    with pytest.raises(SettingsError) as caught:
        load_settings(workspace(tmp_path, text))
    message = str(caught.value)
    assert len(message.splitlines()) == 4
    assert "unknown key horizn" in message
    assert "forecast.effort" in message
    assert "heroic" in message


@pytest.mark.parametrize("text", ["- a list", "company: [unclosed", "just words"])
def test_a_file_that_is_not_settings(tmp_path, text):
    with pytest.raises(SettingsError, match=r"sop\.yaml"):
        load_settings(workspace(tmp_path, text))


def test_a_missing_file_says_what_makes_one(tmp_path):
    with pytest.raises(SettingsError, match="sop new"):
        load_settings(tmp_path)


def test_settings_cannot_be_changed(tmp_path):
    settings = load_settings(workspace(tmp_path, "company: Acme\n"))
    with pytest.raises(ValidationError, match="frozen"):
        settings.horizon = 3


def test_variables_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ERP", "/files")
    assert expand_variables("${ERP}/oltp:${NOT_SET:-x}") == "/files/oltp:x"
    with pytest.raises(SettingsError, match="NOT_SET"):
        expand_variables("${NOT_SET}")


@pytest.mark.parametrize(("given", "message"), [
    ("QQ", "no public holidays are known for 'QQ'; write a country such as DE"),
    ("[DE, DE-QQ]", "no public holidays are known for 'DE-QQ'"),
    ("NO", "YAML reads NO as no; write the country in quotes"), ("{DE: 1}", "calendar.holidays"),
])
def test_holidays_that_nobody_knows_are_refused(tmp_path, given, message):
    (tmp_path / "sop.yaml").write_text(f"company: Any\ncalendar: {{holidays: {given}}}\n")
    with pytest.raises(SettingsError, match=message):
        load_settings(tmp_path)


def test_holidays_are_countries_parts_of_them_and_dates(tmp_path):
    (tmp_path / "sop.yaml").write_text("company: Any\ncalendar: {holidays: [DE-BY, 2026-12-24, 'NO']}\n")
    found = days_off(load_settings(tmp_path).working_days.holidays, [2026])
    assert {date(2026, 1, 6), date(2026, 12, 24), date(2026, 5, 17)} <= set(found), "Epiphany of Bavaria, Christmas Eve, Norway's day"
    assert Settings(company="Any").working_days.holidays == ()
