"""Why there was no response, with a cure. The HTTP client's own texts may hold header values, so none is used."""

import socket
import ssl
from collections.abc import Iterator

import httpx

from .._finding import Finding, Level, quoted


def failure_of(error: BaseException, *, is_connected: bool, waited: float) -> Finding:
    """Return the finding for a request without a response."""
    return Finding("head", "connection", Level.FAIL, *_in_words(error, is_connected, waited))


def no_head(waited: float, *, is_connected: bool) -> Finding:
    """Return the finding for a request whose response did not begin in time."""
    if not is_connected:
        return failure_of(httpx.ConnectTimeout(""), is_connected=False, waited=waited)
    evidence = f"connected, but no response within {waited:.1f} s"
    cure = "send the response headers before the work begins; look for a proxy that waits for the whole body"
    return Finding("head", "connection", Level.FAIL, evidence, cure)


def interrupted(waited: float, *, is_connected: bool) -> Finding:
    """Return the finding for Ctrl-C before the response."""
    state = "connected, but no response" if is_connected else "no connection"
    return Finding("head", "connection", Level.note, f"{state} before Ctrl-C, after {waited:.1f} s")


def _in_words(error: BaseException, is_connected: bool, waited: float) -> tuple[str, str]:
    for each in _chain(error):
        match each:
            case httpx.ProxyError():
                return (
                    f"the proxy refused the connection: {quoted(str(each)) or 'no reason given'}",
                    "check the address, the user and the password in --proxy, or in HTTPS_PROXY",
                )
            case socket.gaierror():
                return "the host name cannot be resolved", "check the spelling, and DNS on this machine"
            case ssl.SSLCertVerificationError(verify_message=reason):
                return (
                    f"the certificate was rejected: {quoted(str(reason))}",
                    "install the full chain on the server; for a private authority, set SSL_CERT_FILE",
                )
            case ssl.SSLError() if not is_connected:
                reason = (each.reason or "no reason given").replace("_", " ").lower()
                return f"the TLS handshake failed: {reason}", "check the port, and whether it expects http"
            case ConnectionRefusedError():
                return "connection refused: nothing is listening there", "start the server; check the host and the port"
            case httpx.ConnectTimeout():
                return (
                    f"no connection within {waited:.1f} s",
                    "check the firewall, and whether the server accepts connections",
                )
            case _:
                pass
    if not is_connected:
        reasons = [each.strerror for each in _chain(error) if isinstance(each, OSError) and each.strerror]
        return (
            f"no connection: {reasons[-1] if reasons else type(error).__name__}",
            "check the host, the port and the network",
        )
    return (
        f"the connection was closed before the response, after {waited:.1f} s ({type(error).__name__})",
        "see the server's log, it may have crashed; check whether the port expects https",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
