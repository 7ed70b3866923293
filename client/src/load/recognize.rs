//! Whether a server is Flagbench's: only such a one is told which attempt of which run a request
//! is.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::SERVER;

use crate::download::http::exchange::install_crypto;

/// How long the answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Asks the server of this URL once for `/healthz`, which no scenario touches and no decision log
/// mentions. Whatever else answers there, or nothing, is somebody else's server.
pub fn is_flagbench(url: &Url) -> bool {
    install_crypto();
    let ask = || {
        let client = reqwest::blocking::Client::builder();
        let client = client.timeout(TIME_LIMIT).no_proxy().build()?;
        let url = url.join("/healthz").unwrap_or_else(|_| url.clone());
        client.get(url).send()
    };
    ask().is_ok_and(|answer| {
        let name = answer.headers().get(SERVER);
        name.is_some_and(|name| name == "flag-server")
    })
}
