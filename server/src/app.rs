//! One listener's service, without a socket: a site behind a fault injector.

use std::sync::Arc;

use crate::counts::Counts;
use crate::fault::FaultInjector;
use crate::site::Site;

/// What all connections of a listener share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) site: Site,
    pub(crate) injector: Arc<FaultInjector>,
    pub(crate) counts: Arc<Counts>,
    /// Whether pages of other sites may read the answers.
    pub(crate) has_cors: bool,
}
