"""What an installation can choose, read once at start and passed down."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from workbench.errors import InvalidInput


class Settings(BaseSettings):
    """One installation's settings: environment (WORKBENCH_…) over `workbench.toml` over these defaults."""

    model_config = SettingsConfigDict(env_prefix="WORKBENCH_", frozen=True, extra="forbid")

    data_dir: Path = Field(default=Path("data"), description="Folder of database, keys, files and logs.")
    database_url: str = Field(default="", description="Empty: SQLite in data_dir; or a PostgreSQL URL.")
    host: str = Field(default="127.0.0.1", description="Address the web process binds to.")
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str = Field(default="", description="Address people use, where a proxy stands in front.")
    secure_cookies: bool = Field(default=False, description="True behind TLS: cookies only over https.")
    secret_key: SecretStr | None = Field(default=None, description="Else a key file in the data folder.")
    poll_seconds: float = Field(default=2.0, gt=0, description="Pause between looks at a busy lane.")
    idle_poll_seconds: float = Field(default=15.0, gt=0, description="The same for an idle lane.")
    chunk_items: int = Field(default=1000, ge=1, le=5000, description="Items in one durable step.")
    model_folders: list[Path] = Field(
        default=[], description="Folders whose models can be registered on a page; empty: models in data_dir."
    )
    model_threads: int = Field(default=0, ge=0, description="Threads for inference; 0: one per core.")
    machine_price_per_hour: Decimal = Field(default=Decimal("0.10"), ge=0, description="Cost of inference.")
    label_studio_timeout_s: float = Field(default=60.0, gt=0)
    max_upload_mb: int = Field(default=200, ge=1)
    session_hours: int = Field(default=12, ge=1)

    @model_validator(mode="after")
    def _fill(self) -> Self:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data_dir.resolve()}/workbench.sqlite3")
        if not self.model_folders:
            object.__setattr__(self, "model_folders", [self.data_dir / "models"])
        return self

    @property
    def engine_url(self) -> str:
        """Database of the job engine: beside SQLite in a file of its own, else in the same PostgreSQL."""
        if self.database_url.startswith("sqlite"):
            return self.database_url.removesuffix(".sqlite3") + "-jobs.sqlite3"
        return self.database_url

    @property
    def address(self) -> str:
        """Address people open."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then environment, then the file."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file()))


def _config_file() -> Path:
    return Path("configs/workbench.toml")


def load_settings(**given: object) -> Settings:
    """Settings of this process.

    Raises:
        InvalidInput: A setting is unknown or has a value that cannot be used; the message names it.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as problem:
        lines = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in problem.errors())
        raise InvalidInput(
            f"settings cannot be used: {lines}. Mend configs/workbench.toml or the WORKBENCH_… variable."
        ) from None
