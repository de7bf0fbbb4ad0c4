"""One HTTP request to an Airbyte server: authorised, limited in time, repeated only where that cannot do harm.

Repeated are 429, 5xx and lost connections, with growing pauses or what ``Retry-After`` asks for, and only requests that may reach
the server twice. A request that must not is repeated after a 429 alone: there the server says that it did nothing. No other 4xx is
ever repeated; a 401 gets one new token.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from platform_core.ingestion.server.errors import ApiError, ConflictError, UnreachableError
from platform_core.settings import AirbyteSettings

if TYPE_CHECKING:
    import requests

    Sign = Callable[[requests.PreparedRequest], requests.PreparedRequest]

_SAFE_METHODS = {"GET", "PUT", "DELETE"}
_TOKEN_SECONDS = 150.0  # of a token whose answer does not say; the cloud's live for three minutes
_SHORTEST_SECRET = 4
_log = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True)
class Patience:
    """How long to try. Seconds.

    Attributes:
        tries: Most times that one request is sent.
        first: Pause after the first failure; each further one doubles it.
        most: Longest pause that we choose.
        most_asked: Longest pause that the server can make us take by ``Retry-After``.
        timeout: Longest wait for an answer.
        slow_timeout: The same for writes during which the server runs a connector (it discovers the source's schema).
    """

    tries: int = 6
    first: float = 0.5
    most: float = 20.0
    most_asked: float = 300.0
    timeout: float = 30.0
    slow_timeout: float = 600.0


class Transport:
    """Speaks HTTP with one server. Shared by threads."""

    def __init__(
        self,
        settings: AirbyteSettings,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._patience = patience or Patience()
        self._sleep = sleep
        self._clock = clock
        self._token: str | None = None
        self._token_until = 0.0
        self._guard = threading.Lock()
        self._hidden: set[str] = {text for text in (settings.client_secret, settings.password) if text}
        self._session: requests.Session | None = None

    def __repr__(self) -> str:
        return f"Transport({self._settings.url})"

    def hide(self, secrets: tuple[str, ...]) -> None:
        """Texts that no error or log line of this transport shows, should the server repeat them."""
        self._hidden.update(text for text in secrets if len(text) >= _SHORTEST_SECRET)

    def redact(self, text: str) -> str:
        """``text`` without any secret that went through here."""
        for secret in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def request(
        self,
        method: str,
        url: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
        slow: bool = False,
    ) -> Json:
        """Sends a request and gives the answer's JSON object, empty when there is none.

        Args:
            method: HTTP method.
            url: Absolute address.
            body: JSON object.
            params: Query.
            repeatable: The request may reach the server twice; by default GET, PUT and DELETE may.
            slow: The server runs a connector before it answers.

        Raises:
            ConflictError: 409.
            ApiError: Another 4xx, or an answer that is no JSON object.
            UnreachableError: No usable answer after all tries.
        """
        may_repeat = method in _SAFE_METHODS if repeatable is None else repeatable
        where, renewed, attempt = f"{method} {url}", False, 0
        while True:
            attempt += 1
            pause: float | None = None
            sent = False
            try:
                credentials = self._credentials()
                sent = True
                response = self._send(method, url, body, params, credentials, slow=slow)
            except OSError as error:  # requests' own exceptions are OSErrors
                reason = self.redact(f"{type(error).__name__}: {error}")
                again = may_repeat or not sent or _never_left(error)
            else:
                if response.status_code == 401 and not renewed and self._forget_token():
                    renewed = True
                    continue
                if response.status_code < 300:
                    return self._json(response, where)
                reason = self._reason(response)
                again = response.status_code == 429 or (response.status_code >= 500 and may_repeat)
                if response.status_code < 500 and response.status_code != 429:
                    raise _refusal(response.status_code, reason, where)
                pause = _asked_pause(response.headers.get("Retry-After"))
            if not again or attempt >= self._patience.tries:
                raise UnreachableError(
                    f"no usable answer after {attempt} {'try' if attempt == 1 else 'tries'}: {reason}",
                    where=where,
                    remedy="look whether the Airbyte server is up and MESH_AIRBYTE_URL is right, then run this again: nothing is doubled",
                )
            seconds = min(pause, self._patience.most_asked) if pause is not None else self._backoff(attempt)
            _log.warning("%s: %s; trying again in %.1f s", where, reason, seconds)
            self._sleep(seconds)

    def _backoff(self, attempt: int) -> float:
        # Spread, so that the runs of many domains do not come back in step.
        return min(self._patience.most, self._patience.first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311

    def _send(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None,
        credentials: Sign,
        *,
        slow: bool = False,
    ) -> requests.Response:
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.headers.update({"Accept": "application/json", "User-Agent": "mesh"})
        patience = self._patience
        return self._session.request(
            method,
            url,
            json=body,
            params=params,
            auth=credentials,
            timeout=(min(10.0, patience.timeout), patience.slow_timeout if slow else patience.timeout),
            allow_redirects=False,  # a redirect would carry the body, and with it secrets, to who knows where
        )

    def _credentials(self) -> Sign:
        """Always something: without it requests would look into ~/.netrc."""
        settings = self._settings
        if settings.client_id is None:
            from requests.auth import HTTPBasicAuth

            return HTTPBasicAuth((settings.username or "").encode(), (settings.password or "").encode())
        token = self._bearer()

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return sign

    def _bearer(self) -> str:
        with self._guard:
            if self._token is None or self._clock() >= self._token_until:
                self._token, seconds = self._new_token()
                self._hidden.add(self._token)
                # Early enough that it does not expire on the way, however short it lives.
                self._token_until = self._clock() + seconds - min(30.0, seconds / 2)
            return self._token

    def _new_token(self) -> tuple[str, float]:
        url = f"{self._settings.public_api}/applications/token"
        body = {"client_id": self._settings.client_id, "client_secret": self._settings.client_secret, "grant-type": "client_credentials"}
        response = self._send("POST", url, body, None, _unsigned)
        if response.status_code in {400, 401, 403}:
            raise _refusal(response.status_code, self._reason(response), f"POST {url}")
        response.raise_for_status()
        answer = self._json(response, f"POST {url}")
        if not isinstance(answer.get("access_token"), str):
            raise ApiError("the answer has no access_token", where=f"POST {url}", remedy="check that MESH_AIRBYTE_URL is an Airbyte server")
        return answer["access_token"], float(answer.get("expires_in") or _TOKEN_SECONDS)

    def _forget_token(self) -> bool:
        with self._guard:
            known, self._token = self._token, None
            return known is not None

    def _json(self, response: requests.Response, where: str) -> Json:
        if response.status_code == 204 or not response.content:
            return {}
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            remedy = "check MESH_AIRBYTE_URL: the root of the server, as the browser shows it"
            raise ApiError("the answer is no JSON object", where=where, remedy=remedy)
        return answer

    def _reason(self, response: requests.Response) -> str:
        """What the server says, in its problem document (RFC 9457) or the older ``message``; never more than a few lines."""
        try:
            answer = response.json()
        except ValueError:
            answer = None
        said: list[str] = []
        if isinstance(answer, dict):
            data = answer.get("data")
            inner = data.get("message") if isinstance(data, dict) else None
            said = [str(part) for part in (answer.get("detail") or answer.get("title"), inner or answer.get("message")) if part]
        return self.redact(f"{response.status_code} {': '.join(said) or response.reason or 'without a reason'}"[:1000])


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _never_left(error: OSError) -> bool:
    """Whether the connection was not even made, so that the server cannot have acted."""
    import requests
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _refusal(status: int, reason: str, where: str) -> ApiError:
    if status < 400:
        remedy = "set MESH_AIRBYTE_URL to the address that answers without a redirect"
    elif status in {401, 403}:
        remedy = "check MESH_AIRBYTE_CLIENT_ID and MESH_AIRBYTE_CLIENT_SECRET, and the application's permissions in the workspace"
    elif status == 404:
        remedy = "check MESH_AIRBYTE_URL and MESH_AIRBYTE_WORKSPACE; run ./mesh apply when the connection was deleted on the server"
    elif status == 409:
        remedy = "wait until the server is done with it, then run this again"
    else:
        remedy = "correct what the server names; the request will not succeed unchanged"
    kind = ConflictError if status == 409 else ApiError
    error = kind(f"the server refuses: {reason}", where=where, remedy=remedy)
    error.status = status
    return error


def _asked_pause(text: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header: a number, or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
