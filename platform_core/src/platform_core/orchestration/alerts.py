"""Alerts: stored always, sent to a Slack-compatible webhook when ``MESH_ALERT_WEBHOOK`` names one."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from platform_core.contracts import naming
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_TIMEOUT_SECONDS = 10.0
_NAMED = 3


@dataclass(frozen=True)
class Alert:
    """Something a person should know.

    Attributes:
        domain: Whom it concerns.
        title: One line.
        detail: More, in plain text.
        run_id: The run it is about.
    """

    domain: str
    title: str
    detail: str
    run_id: str | None


def failed_run(assets: Iterable[naming.Key], job: str, reason: str, run_id: str) -> Alert:
    """The alert on a run that failed: its title names the products whose ports were to be published, its detail every asset.

    Args:
        assets: What the run was to make.
        job: Its name, for a run that makes no assets.
        reason: Why it failed.
        run_id: The run.
    """
    keys = sorted(assets)
    if not keys:
        return Alert("platform", f"run of {job} failed", reason, run_id)
    products = sorted({product for key in keys if (product := naming.product_of(key)) is not None})
    names = products or ["/".join(key) for key in keys]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    made = f"assets: {', '.join('/'.join(key) for key in keys)}"
    return Alert(keys[0][0], f"run of {', '.join(names[:_NAMED])}{more} failed", f"{reason}\n{made}" if reason else made, run_id)


def send(alert: Alert, settings: Settings, warehouse: Warehouse) -> str:
    """Stores the alert and sends it; a webhook that does not answer is recorded with the alert and raises nothing.

    Returns:
        What became of it, for the log.
    """
    failure = _post(alert, settings.alert_webhook) if settings.alert_webhook else None
    state = "stored" if settings.alert_webhook is None else "not sent" if failure else "sent"
    with warehouse.connect_platform() as connection:
        connection.execute(
            "INSERT INTO mesh.alerts (domain, title, detail, run_id, state, failure) VALUES (%s, %s, %s, %s, %s, %s)",
            (alert.domain, alert.title, alert.detail, alert.run_id, state, failure),
        )
    return f"{state}: {alert.title}" + (f" ({failure})" if failure else "")


def _post(alert: Alert, webhook: str) -> str | None:
    import orjson

    if not webhook.startswith(("https://", "http://")):
        return "MESH_ALERT_WEBHOOK is no http address"
    body = orjson.dumps({"text": f"*{alert.domain}*: {alert.title}\n{alert.detail}" + (f"\nrun {alert.run_id}" if alert.run_id else "")})
    # The address is a secret: of what goes wrong only those words are kept that cannot contain it.
    try:
        request = urllib.request.Request(webhook, body, {"Content-Type": "application/json"})  # noqa: S310 - the scheme is checked above
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"the webhook answered {error.code}"
    except (http.client.InvalidURL, ValueError):
        return "MESH_ALERT_WEBHOOK is no address"
    except http.client.HTTPException as error:
        return f"the webhook answered no HTTP ({type(error).__name__})"
    except OSError as error:  # refused, unknown host, timeout
        return f"{type(error).__name__}: {getattr(error, 'reason', None) or error}".replace(webhook, "the webhook")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would be followed without the message, and its answer taken for the webhook's."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        """Follows none."""
