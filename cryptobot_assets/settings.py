"""The one place that reads the environment.

Order, first wins: environment variables, then the home's own `home.json` (written when a demo
fills it, so that later commands on the same home agree about interval and currencies), then
the defaults below.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from cryptobot_assets.automation_settings import CRON_PATTERN, AutomationSettings
from cryptobot_assets.cluster_settings import ClusterSettings
from cryptobot_assets.domain.universe import KINDS
from cryptobot_assets.errors import UsageError
from cryptobot_assets.plugged import RULES
from cryptobot_assets.service_settings import ServiceSettings

DEFAULT_CURRENCIES = (
    "BTCUSDT", "ETHUSDT", "BNBUSDT", "XRPUSDT", "SOLUSDT",
    "ADAUSDT", "DOGEUSDT", "LTCUSDT", "LINKUSDT", "TRXUSDT",
)  # fmt: skip
EXCHANGE_URL = "https://data-api.binance.vision"
ARCHIVE_URL = "https://data.binance.vision"
ARCHIVE_INDEX_URL = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
NO_ARCHIVE = "none"
EVERY = ("all",)
"""`currencies` of a universe that is every one listed."""
CURRENCY_PATTERN = re.compile(r"^[A-Z0-9]{2,30}$")
HOME_PROFILE = "home.json"


def parse_currencies(text: str) -> tuple[str, ...]:
    """Symbols from a comma list, upper-cased, in order, without repeats; raises `UsageError`."""
    names = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    bad = [name for name in names if not CURRENCY_PATTERN.match(name)]
    if bad or not names:
        raise UsageError(f"not currencies: {', '.join(bad) or repr(text)}; write for example BTCUSDT,ETHUSDT")
    return names


class HomeProfileSource(PydanticBaseSettingsSource):
    """What the home remembers of the market it holds (`home.json`)."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        home = self.current_state.get("home") or Settings.model_fields["home"].default
        profile = Path(home).expanduser() / HOME_PROFILE
        if not profile.is_file():
            return {}
        try:
            content = json.loads(profile.read_text()).items()
        except (ValueError, AttributeError) as error:
            raise UsageError(f"{profile} cannot be read: mend it, or use another CRYPTOBOT_HOME") from error
        return {key: value for key, value in content if key in Settings.model_fields}


class Settings(ServiceSettings, AutomationSettings, ClusterSettings):
    """Typed settings, frozen; build one with `Settings.load()`."""

    model_config = SettingsConfigDict(
        env_prefix="CRYPTOBOT_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    home: Path = Field(Path(".cryptobot"), description="where embedded state lives")
    exchange_url: str = Field(EXCHANGE_URL, description="REST market data")
    archive_url: str = Field(
        ARCHIVE_URL,
        description="bulk archives of the exchange; `none`, the default beside another exchange_url, means REST alone",
    )
    archive_index_url: str = Field(
        ARCHIVE_INDEX_URL,
        description="directory of the archives (S3 ListObjects); by default that of archive_url, `none` for none",
    )
    store_url: str = Field(
        "", description="a directory, s3://bucket/prefix or postgresql://...; empty means `lake` under the home"
    )
    currencies: Annotated[tuple[str, ...], NoDecode] = Field(
        DEFAULT_CURRENCIES, description="comma list, or `all` for every USDT symbol trading"
    )
    kinds: Annotated[tuple[str, ...], NoDecode] = Field(
        ("coin",),
        description="of a universe of `all`, the kinds that models learn from and pools hold: comma list of coin, "
        "leveraged, stable, wrapped",
    )
    interval: Literal["1m", "1h"] = Field("1m", description="kline interval stored")
    partition: Literal["", "day", "month"] = Field("", description="span of one partition; day at 1m, month at 1h")
    start_day: date = Field(date(2017, 8, 17), description="first partition")
    metadata_url: str | None = Field(
        None,
        description="PostgreSQL server for Dagster's and MLflow's metadata; unset means the embedded one",
    )
    mlflow_tracking_uri: str | None = Field(
        None,
        validation_alias=AliasChoices("mlflow_tracking_uri", "MLFLOW_TRACKING_URI"),
        description="MLflow registry; unset means the metadata server",
    )
    artifacts_url: str = Field(
        "", description="where models are kept: a directory or s3://bucket/prefix; empty means `mlflow` under the home"
    )
    s3_endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices("s3_endpoint", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="S3 server of a lake in a bucket; unset means AWS",
    )
    s3_allow_http: bool = Field(
        False,
        validation_alias=AliasChoices("s3_allow_http", "AWS_ALLOW_HTTP"),
        description="whether backups may go to an S3 server on another machine unencrypted",
    )
    backup_url: str = Field("", description="a directory or s3://bucket/prefix; empty means `backups` under the home")
    backups_kept: int = Field(7, ge=1, description="newest backups that stay when another is made")
    dashboard_port: int = Field(8501, ge=0, le=65_535, description="dashboard")
    dashboard_stores: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma list of further stores the dashboard offers, each as store_url has it"
    )
    dashboard_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma list of further names by which browsers may call the dashboard, beside localhost"
    )
    webserver_port: int = Field(3001, ge=0, le=65_535, description="Dagster webserver")
    mlflow_port: int = Field(5000, ge=0, le=65_535, description="MLflow server")
    metrics_port: int = Field(9120, ge=0, le=65_535, description="exporter of pipeline and model metrics")
    metrics_seconds: float = Field(30.0, ge=1, le=3_600, description="seconds between two readings of its sources")
    commit: str = Field("", description="commit that the code was built of, for lineage; unset: git is asked")
    workspace: Path | None = Field(None, description="Dagster's workspace file; unset: its services load the code")
    code_port: int = Field(4000, ge=0, le=65_535, description="Dagster's code server, where it is one of its own")
    trials: int = Field(20, ge=1, description="tuning trials per model")
    folds: int = Field(3, ge=1, description="walk-forward folds per trial")
    seed: int = Field(7, ge=0, description="seed of tuning and bootstraps")
    draws: int = Field(1_000, ge=20, description="bootstrap draws behind each interval; fewer are sooner and rougher")
    pictures: int = Field(4, ge=0, description="most currencies of a run whose klines or indicators are drawn")
    algorithms: Annotated[tuple[str, ...], NoDecode] = Field((), description="comma list; empty means the default ones")
    warm_start: bool = Field(True, description="whether tuning begins with an earlier version's values")
    train_stride_minutes: int = Field(30, ge=1, description="spacing of training rows per currency at 1m")
    max_training_rows: int = Field(400_000, ge=1_000, description="rows of the final fit; more are thinned evenly")
    max_tuning_rows: int = Field(120_000, ge=1_000, description="rows of one tuning trial; more are thinned evenly")
    second_look_rows: int = Field(
        20_000,
        ge=0,
        description="most rows on which chosen parameters are tried again, on combinatorial folds and on currencies "
        "held out; 0 leaves it out",
    )
    embargo_hours: float = Field(
        24.0, ge=0, le=10_000, description="hours after a test span's last label in which no row trains"
    )
    holdout_from: date | None = Field(
        None,
        description="first day whose outcomes nothing reads until `cryptobot holdout open`; unset for no holdout",
    )
    train_days: int = Field(730, ge=1, description="days of history a model trains on")
    fee_bps: float = Field(10.0, ge=0, le=5_000, description="exchange fee per side, basis points")
    slippage_bps: float = Field(2.0, ge=0, le=5_000, description="slippage per side, basis points")
    history_days: int = Field(30, ge=7, description="days for which every version of a lake's tables can be read again")
    pool_capital: float = Field(100_000.0, gt=0, description="capital of the pool whose value is told, in USDT")
    pool_capacity: float = Field(
        0.01, gt=0, le=1, description="largest share of 24 h traded value that a sleeve holds of a currency"
    )
    paper_rule: str = Field("keep", description="allocation rule of the paper bot")
    drift_days: int = Field(28, ge=7, le=365, description="newest days whose features are held against training's")
    retrain_days: int = Field(2, ge=1, le=365, description="days after a training before drift may ask for another")
    paper_cron: str = Field("5 * * * *", pattern=CRON_PATTERN, description="when the paper bot books what is due")
    paper_patience_minutes: int = Field(
        30, ge=1, le=60, description="minutes after an hour in which its orders may still find an open"
    )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, env_settings: Any, dotenv_settings: Any,
        file_secret_settings: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        return init_settings, env_settings, HomeProfileSource(settings_cls)

    @field_validator("currencies", mode="before")
    @classmethod
    def _split_currencies(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return tuple(value)
        if value.strip().lower() == "all":
            return EVERY
        try:
            return parse_currencies(value)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @field_validator("kinds", mode="before")
    @classmethod
    def _split_kinds(cls, value: Any) -> Any:
        kinds = value.split(",") if isinstance(value, str) else value
        chosen = tuple(dict.fromkeys(kind.strip().lower() for kind in kinds if kind.strip()))
        unknown = [kind for kind in chosen if kind not in KINDS]
        if unknown or not chosen:
            raise ValueError(
                f"not kinds of currencies: {', '.join(unknown) or value!r}; choose among {', '.join(KINDS)}"
            )
        return chosen

    @field_validator("algorithms", "dashboard_stores", "dashboard_hosts", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("paper_rule")
    @classmethod
    def _known_rule(cls, value: str) -> str:
        if value not in RULES:
            raise ValueError(f"no allocation rule {value!r}; choose from {', '.join(RULES)}")
        return value

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="before")
    @classmethod
    def _fill_partition(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("partition"):
            values["partition"] = "month" if values.get("interval") == "1h" else "day"
        return values

    @model_validator(mode="before")
    @classmethod
    def _fill_archive(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Archives of one exchange never fill the holes of another's klines."""
        other = values.get("exchange_url", EXCHANGE_URL).rstrip("/") != EXCHANGE_URL
        archive = values.setdefault("archive_url", NO_ARCHIVE if other else ARCHIVE_URL)
        values.setdefault("archive_index_url", ARCHIVE_INDEX_URL if archive.rstrip("/") == ARCHIVE_URL else archive)
        return values

    def but(self, values: dict[str, Any]) -> Settings:
        """The same but for some fields, whose values are as JSON has them."""
        kinds: dict[str, Any] = {name: type(self).model_fields[name].annotation for name in values}
        return self.model_copy(update={name: TypeAdapter(kinds[name]).validate_python(values[name]) for name in values})

    @property
    def holdout_start(self) -> datetime | None:
        """First instant of the holdout, None where there is none."""
        return None if self.holdout_from is None else datetime.combine(self.holdout_from, time.min, UTC)

    @property
    def archive_address(self) -> str | None:
        """Where the archives are, None where klines come over REST alone."""
        return None if self.archive_url == NO_ARCHIVE else self.archive_url

    @property
    def archive_index_address(self) -> str | None:
        """Where the archives' directory is, None where there is none."""
        return None if self.archive_index_url == NO_ARCHIVE else self.archive_index_url

    @property
    def artifacts_address(self) -> str:
        """Where models are kept: the setting, or `mlflow` under the home."""
        return self.artifacts_url or str(self.home / "mlflow")

    @property
    def backup_address(self) -> str:
        """Where backups go: the setting, or `backups` under the home."""
        return self.backup_url or str(self.home / "backups")

    @property
    def lake_url(self) -> str:
        """Address of the store: the setting, or `lake` under the home."""
        return self.store_url or str(self.home / "lake")

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Settings of this process; `overrides` (not None) win over the environment.

        Raises:
            UsageError: a variable holds something that cannot be read, named in the message.
        """
        try:
            return cls(**{key: value for key, value in overrides.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "settings"
            variable = name.upper() if name.isupper() else f"CRYPTOBOT_{name.upper()}"
            raise UsageError(f"setting {variable}: {first['msg'].removeprefix('Value error, ')}") from error
