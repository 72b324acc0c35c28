"""The first page under its own name, as a reader types it beside the names of the others.

To Streamlit the default page has the path `/` alone, whatever `url_path` says (1.67): under its name it draws the page
with "Page not found" over it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

NAME = "top_movers"


async def _to_the_root(request: Request) -> RedirectResponse:
    """With what the address asks for, as the market that is open."""
    query = request.url.query
    return RedirectResponse(f"/?{query}" if query else "/")


ROUTES = [Route(f"/{NAME}", _to_the_root)]
