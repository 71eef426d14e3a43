"""What an installation can choose, read once at start and passed down."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from integrations.outbound.addresses import Network, network
from integrations.outbound.rules import WEB_PORTS
from workbench.errors import InvalidInput


def _networks(given: object) -> object:
    if isinstance(given, str):
        is_list = given.lstrip().startswith("[")
        given = json.loads(given) if is_list else [part for part in given.split(",") if part.strip()]
    if isinstance(given, list | tuple):
        return tuple(network(one) if isinstance(one, str) else one for one in given)
    return given


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]

_ROLES = frozenset({"admin", "pm", "ml_engineer", "qa_lead", "viewer", "annotator"})
"""Roles that hold everywhere; a supplier lead belongs to a supplier and is made on its page."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SignInProvider(BaseModel):
    """An OpenID Connect provider that vouches for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$", description="Short name in addresses.")
    title: str = Field(default="", description="What the button says; by default the name.")
    issuer: str = Field(pattern=r"^https?://[^\s?#]+$", description="Its issuer, exactly as it says itself.")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = Field(default=None, description="None for a public client.")
    scopes: list[str] = ["openid", "email", "profile"]
    allowed_domains: list[str] = Field(
        default=[], description="E-mail domains whose people get an account at their first sign-in."
    )
    default_role: str = Field(default="viewer", description="Of such an account, where no group says more.")
    groups_claim: str = Field(default="groups", description="Claim that lists somebody's groups.")
    roles_by_group: dict[str, str] = Field(
        default={}, description="Group to role; where given, the provider decides roles at each sign-in."
    )
    trust_as_second_factor: bool = Field(
        default=False, description="The provider asks for a second factor itself."
    )
    link_by_email: bool = Field(
        default=False,
        description="Whoever proves an account's e-mail there may use that account here.",
    )

    @field_validator("default_role", "roles_by_group")
    @classmethod
    def _known(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        unknown = sorted({value} - _ROLES if isinstance(value, str) else set(value.values()) - _ROLES)
        if unknown:
            raise ValueError(f"there is no role {unknown[0]!r}; choose one of {', '.join(sorted(_ROLES))}")
        return value


class Settings(BaseSettings):
    """One installation's settings: environment (WORKBENCH_…) over `workbench.toml` over these defaults."""

    model_config = SettingsConfigDict(env_prefix="WORKBENCH_", frozen=True, extra="forbid")

    data_dir: Path = Field(default=Path("data"), description="Folder of database, keys, files and logs.")
    database_url: str = Field(
        default="", repr=False, description="Empty: SQLite in data_dir; or a PostgreSQL URL."
    )
    database_connections: int = Field(
        default=8,
        ge=1,
        le=100,
        description="PostgreSQL: connections of a process to write, and again to read.",
    )
    host: str = Field(default="127.0.0.1", description="Address the web process binds to.")
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str = Field(default="", description="Address people use, where a proxy stands in front.")
    secure_cookies: bool = Field(default=False, description="True behind TLS: cookies only over https.")
    secret_key: SecretStr | None = Field(
        default=None, description="Keys with commas between, newest first; else secret_key_file."
    )
    secret_key_file: Path | None = Field(
        default=None, description="File of keys, one a line, newest first; empty: secret.key in data_dir."
    )
    poll_seconds: float = Field(default=2.0, gt=0, description="Pause between looks at a busy lane.")
    idle_poll_seconds: float = Field(default=15.0, gt=0, description="The same for an idle lane.")
    worker_silent_s: float = Field(
        default=20.0,
        ge=1,
        le=30,
        description="A worker silent for so long is dead; others go on with its jobs.",
    )
    chunk_items: int = Field(default=1000, ge=1, le=5000, description="Items in one durable step.")
    model_folders: list[Path] = Field(
        default=[], description="Folders whose models can be registered on a page; empty: models in data_dir."
    )
    model_threads: int = Field(default=0, ge=0, description="Threads for inference; 0: one per core.")
    machine_price_per_hour: Decimal = Field(default=Decimal("0.10"), ge=0, description="Cost of inference.")
    label_studio_timeout_s: float = Field(default=60.0, gt=0)
    label_studio_networks: Networks | None = Field(
        default=None,
        description="Private networks that Label Studio servers may be in, as 10.1.0.0/16,127.0.0.1. "
        "Not set: this machine itself, while the workbench is for this machine alone; else none.",
    )
    channel_networks: Networks = Field(default=(), description="The same for notification channels.")
    sign_in_networks: Networks = Field(default=(), description="The same for the sign-in provider.")
    outbound_ports: frozenset[int] = Field(
        default=WEB_PORTS, description="Ports of public addresses that may be called."
    )
    outbound_ca_file: Path | None = Field(
        default=None, description="More certificates to trust when calling out, PEM; for own authorities."
    )
    backup_dir: str = Field(default="", description="Folder of back-ups; empty: backups in data_dir.")
    nightly_at: str = Field(
        default="02:30",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
        description="When the nightly back-up, comparison and retention run; empty: never.",
    )
    nightly_zone: str = Field(default="UTC", description="Time zone of nightly_at, as Europe/Berlin.")
    backup_days: int = Field(default=7, ge=1, description="Days of which the newest back-up is kept.")
    backup_weeks: int = Field(default=4, ge=0, description="Weeks of which the newest back-up is kept.")
    webhook_url: str = Field(
        default="", description="Address at which Label Studio servers reach the workbench; else public_url."
    )
    inbox_queue: int = Field(
        default=20_000, ge=1, description="Webhook deliveries that may wait to be stored; more are told 429."
    )
    inbox_queue_mb: int = Field(default=64, ge=1, description="The same in megabytes.")
    inbox_days: int = Field(default=2, ge=1, description="Days for which handled deliveries are remembered.")
    max_upload_mb: int = Field(default=200, ge=1)
    max_unfolded_mb: int = Field(default=4000, ge=1, description="Most an uploaded file may unfold to.")
    keep_uploads_days: int = Field(
        default=30, ge=0, description="Days an uploaded file stays after its import ended; rejects stay."
    )
    session_hours: int = Field(default=12, ge=1, description="Hours after which people sign in again.")
    session_idle_minutes: int = Field(default=240, ge=1, description="The same without any request.")
    token_days_max: int = Field(default=365, ge=1, description="Longest life of an API token.")
    require_second_factor: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether admins and project managers need a second factor; auto: where the workbench "
        "is reached at anything but this machine's own address (host, public_url).",
    )
    sign_in_providers: list[SignInProvider] = Field(
        default=[], description="OpenID Connect providers that people may sign in with."
    )
    allowed_hosts: list[str] = Field(
        default=[],
        description="Further host names that requests may name, beside public_url's and localhost.",
    )
    trusted_proxies: Networks = Field(
        default=(), description="Networks of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8."
    )

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
    def local_address(self) -> str:
        """Address of the web process for programs of this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - a name, no socket
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def address(self) -> str:
        """Address people open."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def second_factor_required(self) -> bool:
        """Whether privileged roles wait for a second factor."""
        if self.require_second_factor != "auto":
            return self.require_second_factor == "always"
        public = urlsplit(self.public_url).hostname or "localhost"
        return bool(self.trusted_proxies) or not {public, self.host.strip("[]")} <= _LOOPBACK

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
