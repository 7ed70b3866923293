//! Telling the world that the server accepts connections: the ready file.

use std::io;
use std::path::Path;

use flag_host::Destination;
use flag_server::Endpoint;
use serde::Serialize;

#[derive(Serialize)]
struct Ready<'a> {
    listeners: &'a [Endpoint],
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<&'a str>,
}

/// The file that says where the server listens, once it does.
#[derive(Debug)]
pub(crate) struct ReadyFile(Destination);

impl ReadyFile {
    /// Finds out whether it can be written, and removes what an earlier server has left: nobody may
    /// take that for this one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn prepare(path: &Path) -> io::Result<Self> {
        let destination = Destination::new(path)?;
        destination.check()?;
        destination.remove()?;
        Ok(Self(destination))
    }

    /// Whether it is standard output.
    pub(crate) fn is_standard_output(&self) -> bool {
        self.0.is_standard_output()
    }

    /// Writes `{"listeners": [{"name": …, "url": …}]}`, and the URL of the control plane as
    /// `control` if there is one; a file appears whole or not at all.
    ///
    /// # Errors
    /// When it can no longer be written.
    pub(crate) fn write(&self, endpoints: &[Endpoint], control: Option<&str>) -> io::Result<()> {
        let ready = Ready {
            listeners: endpoints,
            control,
        };
        let json = serde_json::to_string(&ready).expect("names and URLs are JSON") + "\n";
        self.0.write(json.as_bytes())
    }
}
