"""Who may look, by OpenID Connect through Streamlit's own login: who the provider vouches for and our list names.

A provider such as a big mail service knows half the world, so the list is what decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard.settings import DashboardSettings


def streamlit_secrets(dashboard: DashboardSettings) -> dict[str, Any]:
    """The `[auth]` section that Streamlit wants. A restart logs nobody out: the key comes from our secret."""
    secret = dashboard.dashboard_oidc_client_secret.get_secret_value()
    return {
        "auth": {
            "redirect_uri": dashboard.dashboard_oidc_redirect_url,
            "cookie_secret": hashlib.blake2b(secret.encode(), person=b"movers cookie").hexdigest(),
            "client_id": dashboard.dashboard_oidc_client_id,
            "client_secret": secret,
            "server_metadata_url": dashboard.dashboard_oidc_metadata_url,
        }
    }


def may_look(email: object, verified: object, readers: Sequence[str]) -> bool:
    """Whether the list names this address or its domain. An address the provider has not verified is nobody's."""
    if not isinstance(email, str) or verified is not True:
        return False
    address = email.lower()
    return any(address.endswith(r.lower()) if r.startswith("@") else address == r.lower() for r in readers)


def admit(readers: Sequence[str] | None) -> None:
    """Lets the script go on for a reader who may look; everybody else sees a button and nothing more."""
    if readers is None:
        return
    if not st.user.is_logged_in:
        st.button("Log in", on_click=st.login)
        st.stop()
    if not may_look(st.user.get("email"), st.user.get("email_verified"), readers):
        st.error("You are logged in, but not on the list of this dashboard's readers.", icon=":material/lock:")
        st.button("Log out", on_click=st.logout)
        st.stop()
