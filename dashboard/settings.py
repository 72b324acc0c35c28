"""The dashboard's own settings: who may look."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from kernel.settings import Group


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A list written with commas; empty is none."""


class DashboardSettings(Group):
    """Who may look at the dashboard. On loopback nobody is asked; on any other address one of the two is needed."""

    dashboard_password_hash: SecretStr = Field(
        SecretStr(""), description="What `movers hash-password` prints; a password is asked for when set"
    )
    dashboard_allowed_hosts: Names = Field(
        (), description="Names that readers reach the dashboard by, comma-separated; loopback's are always allowed"
    )
    dashboard_oidc_metadata_url: str = Field(
        "", description="OpenID Connect provider, the address of its openid-configuration"
    )
    dashboard_oidc_client_id: str = Field("", description="Our name at that provider")
    dashboard_oidc_client_secret: SecretStr = Field(SecretStr(""), description="Our secret at that provider")
    dashboard_oidc_redirect_url: str = Field("", description="The dashboard's own address, ending in /oauth2callback")
    dashboard_oidc_readers: Names = Field(
        (), description="Who may look, comma-separated: e-mail addresses, or @domain for all of one"
    )
