"""The workspace's settings (`sop.yaml`): frozen, unknown keys refused, every default stated here."""

from __future__ import annotations

import os
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import yaml
from babel import Locale, UnknownLocaleError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sop_workbench.errors import SettingsError
from sop_workbench.periods import Bucket, Calendar, days_off
from sop_workbench.roles import Role

SETTINGS_FILE = "sop.yaml"
USERS_FILE = "users.yaml"
_USER_KEYS = ("users", "groups")
# Limits of the company's own making, as `binding_limit` names them: what they cost is told apart from what stops the plan.
OWN_RULES = ("contract floor", "strategic share", "chase strategy")
Ratio = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A frozen part of the settings; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UnitFactor(Section):
    """One `from_unit` holds `factor` of `to_unit`; for one item, or for all when `item_id` is left out."""

    from_unit: str
    to_unit: str
    factor: float = Field(gt=0)
    item_id: str | None = None


class Sources(Section):
    """Where the input tables come from.

    `folder` holds CSV, Parquet or Excel files read by DuckDB; `url` is a SQLAlchemy address of a
    database instead. `sql` holds one `<table>.sql` per input table; a table without one is read from
    the file (or database table) of its own name. A table that would take more memory than
    `memory_limit_mb` is refused.
    """

    folder: str | None = None
    url: str | None = None
    sql: str = "sql"
    encoding: str = "utf-8"
    memory_limit_mb: int = Field(default=2048, ge=64)


class Step(Section):
    """Who owns a step of the cycle and by which working day it is due.

    `user` is the owner's user name: the one who approves what lies within tolerance; of the executive step the one who decides
    everything beyond. Where none is named any approver may.
    """

    owner: str
    due_working_day: int = Field(ge=1, le=23)
    user: str | None = None


class WorkingDays(Section):
    """Days on which nobody works, beside Saturday and Sunday: steps are due and late by the working days that remain.

    `holidays`: a country (`DE`), a part of one (`DE-BY`), a date, or a list of those.
    """

    holidays: tuple[date | str, ...] = ()

    @field_validator("holidays", mode="before")
    @classmethod
    def _as_list(cls, given: object) -> object:
        listed = given if isinstance(given, (list, tuple)) else (given,)
        if any(isinstance(one, bool) for one in listed):
            raise ValueError("YAML reads NO as no; write the country in quotes: 'NO'")
        return listed

    @field_validator("holidays")
    @classmethod
    def _known(cls, given: tuple[date | str, ...]) -> tuple[date | str, ...]:
        try:
            days_off(given, range(2026, 2027))
        except SettingsError as fault:
            raise ValueError(str(fault)) from None
        return given


class Tolerances(Section):
    """Limits inside which a step's owner decides alone; outside, the next level does.

    Of the pre-S&OP: `decision_ratio` is the money of a decision as a share of the plan's revenue, `unserved_demand_ratio` the share of
    demand, in money, that the plan leaves unserved, `budget_gap_ratio` how far the whole plan may stand below budget. What lies beyond one
    of them goes to the executive meeting; the rest is decided in the pre-S&OP (a decision worth up to a tenth of it by its step's owner).
    """

    demand_change_ratio: Ratio = 0.10
    budget_gap_ratio: Ratio = 0.05
    decision_ratio: Ratio = 0.05
    unserved_demand_ratio: Ratio = 0.05
    plan_deviation_ratio: Ratio = 0.10
    forecast_wape_ratio: Ratio = 0.35
    forecast_bias_ratio: Ratio = 0.10
    service_level_ratio: Ratio = 0.95
    utilisation_ratio: Annotated[float, Field(gt=0)] = 0.95
    excess_cover_months: Annotated[float, Field(gt=0)] = 6.0


class Forecast(Section):
    """How the statistical forecast is made."""

    effort: Literal["quick", "standard", "full"] = "standard"
    interval_ratio: Ratio = 0.8
    origins: int = Field(default=3, ge=1, le=12)


class Finance(Section):
    """Rates and days used to value a plan."""

    holding_cost_ratio_per_year: Ratio = 0.15
    receivable_days: float = Field(default=45, ge=0)
    payable_days: float = Field(default=30, ge=0)
    opening_cash_amt: float = 0.0


class Supply(Section):
    """Rules of the supply plan.

    Penalty ratios are multiples of an item's price (lost sales, contract floors) or of its monthly
    holding cost (safety stock); they order what is given up first and are shown beside the money.

    `objective`: `profit`; `cost` (as much demand served as can be, at least cost); `service` (contract floors, then market
    priorities one after the other, then profit). `strategy`: `free` takes the best mix; `chase` makes nothing ahead of demand;
    `level` works the same hours every period; `hybrid` lets them swing by `hybrid_band_ratio` around a level.
    `strategic_min_ratio` is the share of demand over the horizon that strategic markets and items get at least. A change of a
    quantity from one period to the next costs `smoothing_penalty_ratio`, a change against the previous plan inside the first
    `plan_fence_buckets` periods `plan_change_penalty_ratio` of the item's value. `frozen`: the frozen zone is `firm` (a plan that
    cannot keep it is refused) or `priced` (what cannot be made of it is shown). Stock beyond its shelf life costs
    `shelf_life_penalty_ratio` of its value each period. `allocation` shares what is short inside a priority. The ranges of
    `explained_limits` binding limits are worked out.
    """

    shortage: Literal["lost_sales", "backlog"] = "lost_sales"
    lost_sales_penalty_ratio: float = Field(default=0.10, ge=0)
    contract_floor_penalty_ratio: float = Field(default=1.0, ge=0)
    safety_stock_penalty_ratio: float = Field(default=3.0, ge=0)
    objective: Literal["profit", "cost", "service"] = "profit"
    strategy: Literal["free", "chase", "level", "hybrid"] = "free"
    hybrid_band_ratio: Ratio = 0.15
    strategic_min_ratio: Ratio = 0.0
    smoothing_penalty_ratio: float = Field(default=0.0, ge=0)
    plan_change_penalty_ratio: float = Field(default=0.0, ge=0)
    plan_fence_buckets: int = Field(default=3, ge=0)
    frozen: Literal["firm", "priced"] = "firm"
    shelf_life_penalty_ratio: float = Field(default=1.0, ge=0)
    allocation: Literal["fair_share", "margin"] = "fair_share"
    explained_limits: int = Field(default=12, ge=0)
    is_integer_lots: bool = False
    time_limit_seconds: float = Field(default=120, gt=0)
    optimality_gap_ratio: Ratio = 0.001


class SupplyEvent(Section):
    """Something that may go wrong with a resource or a supplier: in each period it starts with a probability and lasts a while."""

    title: str
    resource_id: str | None = None
    supplier_id: str | None = None
    probability_ratio: Ratio
    loss_ratio: Ratio = 1.0
    duration_buckets: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _hits_one_thing(self) -> SupplyEvent:
        if (self.resource_id is None) == (self.supplier_id is None):
            raise ValueError("name a resource_id or a supplier_id, one of them")
        return self


class Risk(Section):
    """How the plan is tried against futures that may come; 0 samples leaves it out.

    `committed_buckets`: what is started and ordered in them is fixed before the future is known (empty: the frozen zone, at least one).
    `persistence_ratio`: how much of a period's demand error carries over into the next. `cvar_weight_ratio`: what share of the aim is
    the mean of the worst outcomes (those beyond `cvar_ratio`) instead of the mean of all.
    """

    samples: int = Field(default=20, ge=0, le=1000)
    committed_buckets: int | None = Field(default=None, ge=1)
    persistence_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.5
    cvar_weight_ratio: Ratio = 0.0
    cvar_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.9
    loss_buckets: int = Field(default=1, ge=1)
    supply_events: tuple[SupplyEvent, ...] = ()


class Compute(Section):
    """Seed of everything random, and how many processes plan scenarios side by side (and threads read sources).

    A forecast is one process: all series go abreast through one model after another.
    """

    seed: int = 7
    workers: int = Field(default=2, ge=1)


class Mail(Section):
    """Where failed and late runs are told.

    `smtp` is a server (`host` or `host:port`); the password stands in the environment variable `password_variable`, never in the file.
    """

    smtp: str = Field(pattern=r"^[^\s:]+(:\d+)?$")
    sender: str = Field(alias="from", pattern=r"^\S+@\S+$")
    to: tuple[Annotated[str, Field(pattern=r"^\S+@\S+$")], ...] = Field(min_length=1)
    starttls: bool = False
    user: str | None = None
    password_variable: str = "SOP_MAIL_PASSWORD"
    timeout_seconds: float = Field(default=20, gt=0)

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class Hierarchy(Section):
    """Levels from top to bottom; each is a column of `item` or of `market`."""

    product: tuple[str, ...] = ("category", "family", "item_id")
    market: tuple[str, ...] = ("region", "channel", "market_id")


class Settings(Section):
    """Everything `sop.yaml` may say. Money is in `currency` unless a row says otherwise.

    An exchange rate (reporting currency for one unit of the other) is a number, or a table of first days and the rate from then on:
    `{USD: 0.92, GBP: {2026-01-01: 1.17, 2026-07-01: 1.15}}`. `kpi_targets` sets or replaces the target of any KPI by its name, of one
    level by `kpi.level` (`wape.item_id`); `kpi_amber` says up to which multiple of the target it is still amber.
    `calendar: {holidays: DE}` says which days are no working days (see `WorkingDays`).
    `monthly_workspace` (a weekly workspace's) is the folder of the monthly one that its change requests go to (`sop request`).
    `locale` says how numbers and months are written (`de`: 1.234,5 and Okt. 26); `brand_colour` is the company's colour on every page.
    """

    company: str
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    exchange_rates: dict[str, float | dict[str, float]] = {}
    bucket: Bucket = "month"
    calendar_shift_days: int = Field(default=0, ge=-15, le=15)
    working_days: WorkingDays = Field(default=WorkingDays(), alias="calendar")
    horizon: int = Field(default=18, ge=1, le=104)
    frozen_buckets: int = Field(default=1, ge=0)
    newest_cycle: str | None = None
    units: tuple[UnitFactor, ...] = ()
    hierarchy: Hierarchy = Hierarchy()
    sources: Sources = Sources(folder="extract")
    store: str = "store"
    steps: dict[str, Step] = {}
    users: dict[str, Role] = {}
    groups: dict[str, Role] = {}
    tolerances: Tolerances = Tolerances()
    kpi_targets: dict[str, float] = {}
    kpi_amber: dict[str, Annotated[float, Field(ge=1)]] = {}
    forecast: Forecast = Forecast()
    supply: Supply = Supply()
    risk: Risk = Risk()
    finance: Finance = Finance()
    compute: Compute = Compute()
    check_severity: dict[str, Literal["blocks", "warns", "info"]] = {}
    brand_colour: str = Field(default="#0b5394", pattern="^#[0-9a-fA-F]{6}$")
    locale: str = "en"
    mail: Mail | None = None
    monthly_workspace: str | None = None

    @field_validator("locale")
    @classmethod
    def _is_known_locale(cls, value: str) -> str:
        try:
            Locale.parse(value, sep="-" if "-" in value else "_")
        except (UnknownLocaleError, ValueError):
            raise ValueError("not a locale that is known; write it like en, de or pt_BR") from None
        return value

    @model_validator(mode="after")
    def _only_a_week_has_a_month(self) -> Settings:
        if self.monthly_workspace is not None and self.bucket != "week":
            raise ValueError("monthly_workspace is for a weekly workspace (bucket: week), whose change requests go there; remove it")
        return self

    @property
    def calendar(self) -> Calendar:
        """The planning calendar these settings describe."""
        return Calendar(self.bucket, self.calendar_shift_days)


def load_settings(workspace: Path | str) -> Settings:
    """Read `sop.yaml` of a workspace folder, and `users.yaml` beside it where there is one (`users` and `groups` only).

    Raises
    ------
    SettingsError
        When the file is missing, is not YAML, or any key or value is wrong; all faults at once.
    """
    path = Path(workspace) / SETTINGS_FILE
    if not path.is_file():
        raise SettingsError(f"{path} is missing; `sop new {workspace}` makes a workspace with one")
    content = _read_yaml(path)
    people = path.with_name(USERS_FILE)
    if people.is_file():
        content = _with_people(content, people)
    try:
        return Settings.model_validate(content)
    except ValidationError as faults:
        raise SettingsError("\n".join(_fault_line(path, dict(fault)) for fault in faults.errors())) from None


def _with_people(content: dict, people: Path) -> dict:
    """The settings with the roles of a users file, which may say nothing else and nothing twice."""
    roles = _read_yaml(people)
    unknown = [str(key) for key in roles if key not in _USER_KEYS]
    if unknown:
        raise SettingsError(f"{people}: unknown key {', '.join(unknown)}; it may hold {' and '.join(_USER_KEYS)}")
    double = [key for key in roles if key in content]
    if double:
        raise SettingsError(f"{', '.join(double)} stands in {SETTINGS_FILE} and in {people}; keep one of them")
    return content | roles


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path} is not readable YAML in UTF-8: {fault}") from fault
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold `key: value` lines, got {type(content).__name__}")
    return content


def expand_variables(text: str) -> str:
    """Replace `${NAME}` and `${NAME:-default}` by environment variables.

    Examples
    --------
    >>> expand_variables("${SOP_NO_SUCH_NAME:-../files}/erp")
    '../files/erp'
    """

    def value(match: re.Match) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise SettingsError(f"environment variable {match[1]} is not set; {text!r} needs it")
        return found

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, text)


def _fault_line(path: Path, fault: dict) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{path}: unknown key {key}; remove it or correct its spelling"
    return f"{path}: {key}: {fault['msg']} (found {fault.get('input')!r})"
