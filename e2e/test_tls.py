"""HTTPS with real clients."""

import ssl

import httpx
from conftest import CODES, run


def test_curl_uses_http2_and_http1_over_tls(server):
    with server("--profile", "local", "--port", "0", "--tls") as running:
        assert running.flags().startswith("https://127.0.0.1:")
        for option, version in [("--http2", "2"), ("--http1.1", "1.1")]:
            urls = [f"{running.flags()}/{cc}/{cc}.gif".lower() for cc in CODES[:20]]
            outputs = [word for url in urls for word in ("--output", "/dev/null", url)]
            result = run("curl", "--silent", "--insecure", option, "--write-out", "%{http_code} %{http_version}\\n", *outputs)
            assert result.stdout.splitlines() == [f"200 {version}"] * 20, result.stderr


def test_clients_trust_a_given_certificate(server, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    made = run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
        "-subj", "/CN=localhost", "-addext", names, "-keyout", key, "-out", certificate,
    )
    assert made.returncode == 0, made.stderr
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with server("--profile", "local", "--port", "0", *options) as running:
        trusting = ssl.create_default_context(cafile=str(certificate))
        resp = httpx.get(f"{running.flags()}/br/br.gif", verify=trusting)
        assert (resp.status_code, resp.content[:6]) == (200, b"GIF89a")
