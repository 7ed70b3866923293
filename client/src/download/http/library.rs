//! The HTTP libraries, by name.

use serde::{Deserialize, Serialize};

/// The HTTP libraries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http {
    /// For tasks and for threads: these are served by a hidden runtime of one thread.
    #[default]
    Reqwest,
    /// For threads only, each of which does its own input and output.
    Ureq,
    /// For tasks only: what reqwest is made of.
    Hyper,
}

impl Http {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reqwest, Self::Ureq, Self::Hyper];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reqwest => "reqwest",
            Self::Ureq => "ureq",
            Self::Hyper => "hyper",
        }
    }

    /// Whether it supports HTTP/2.
    pub fn has_http2(self) -> bool {
        self != Self::Ureq
    }
}
