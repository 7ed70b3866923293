//! Telling the world that the server accepts connections: the ready file.

use std::io;
use std::path::Path;

use flag_host::write_atomically;
use flag_server::Endpoint;
use serde::Serialize;

#[derive(Serialize)]
struct Ready<'a> {
    listeners: &'a [Endpoint],
}

/// Writes `{"listeners": [{"name": …, "url": …}]}` to `path`, which appears whole or not at all.
///
/// # Errors
/// When the folder of `path` does not exist or cannot be written to.
pub(crate) fn write_ready_file(path: &Path, endpoints: &[Endpoint]) -> io::Result<()> {
    let ready = Ready {
        listeners: endpoints,
    };
    let json = serde_json::to_string(&ready).expect("names and URLs are JSON") + "\n";
    write_atomically(path, json.as_bytes())
}
