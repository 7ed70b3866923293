//! What a reader must know before the figures of a load.

use std::time::Duration;

use super::counts::MOST;
use super::document::LoadResult;
use super::generator::LATE_SHARE;
use crate::result::environment::Neighbourhood;

/// The 99th percentile of the lag from which on the load generator counts as late.
const LATE_MS: f64 = 1.0;

/// Something that a reader must know before he believes the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadWarning {
    /// No request succeeded, so there are no times.
    NothingSucceeded,
    /// More than half of the requests were not sent, or failed against the plan.
    MostFailed {
        /// Their share.
        share: f64,
    },
    /// The rate was not reached, because no connection was free.
    TooSlow {
        /// Requests per second that should have been sent.
        wanted: f64,
        /// Those that were sent.
        sent: f64,
    },
    /// All were sent, but some only after they had waited for a connection for long.
    LateConnections {
        /// The longest wait.
        wait: Duration,
    },
    /// The load generator was not fast enough.
    LateSender {
        /// The 99th percentile of its lag.
        lag_ms: f64,
        /// Its share of that of the response time.
        share: f64,
    },
    /// The threads of the load generator had hardly a pause, or did late what was due: an answer
    /// that had arrived waited to be read.
    Saturated {
        /// The share of the time in which a thread was busy with hardly a pause.
        busy: f64,
        /// The 90th percentile of how late a thread did what was due.
        late_ms: f64,
    },
    /// Other programs were at work meanwhile.
    BusyMachine(Neighbourhood),
    /// Compiled without optimisation.
    DebugBuild,
}

impl LoadResult {
    /// What a reader must know first.
    pub fn warnings(&self) -> Vec<LoadWarning> {
        let counts = self.requests;
        let mut warnings = Vec::new();
        if counts.right() == 0 {
            warnings.push(LoadWarning::NothingSucceeded);
        } else if let Some(share) = counts.wrong_share().filter(|share| *share > MOST) {
            warnings.push(LoadWarning::MostFailed { share });
        }
        warnings.extend(self.busy_connections());
        let late = self.times.lag.percentile(99.0);
        if let (Some(lag_ms), Some(response)) = (late, self.times.response.percentile(99.0)) {
            let share = lag_ms / response;
            if lag_ms > LATE_MS && share > LATE_SHARE {
                warnings.push(LoadWarning::LateSender { lag_ms, share });
            }
        }
        if let Some((busy, late_ms)) = self.generator.saturation(&self.times.service) {
            warnings.push(LoadWarning::Saturated { busy, late_ms });
        }
        // A named server may run here, and be such a program.
        let is_alone = self.server.is_embedded();
        let busy = self.neighbours.filter(|it| is_alone && it.is_busy());
        warnings.extend(busy.map(LoadWarning::BusyMachine));
        if self.environment.build == "debug" {
            warnings.push(LoadWarning::DebugBuild);
        }
        warnings
    }

    /// Whether requests of an open loop were late because all connections were busy.
    fn busy_connections(&self) -> Option<LoadWarning> {
        let (counts, rate) = (self.requests, self.job.rate?);
        if counts.unsent > 0 {
            let sent = (counts.sent + counts.cut_off) as f64 / counts.intended() as f64;
            return Some(LoadWarning::TooSlow {
                wanted: rate,
                sent: rate * sent,
            });
        }
        let behind = self.throughput?.behind?;
        let wait = self.longest_wait;
        (wait >= behind / 2).then_some(LoadWarning::LateConnections { wait })
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{computed, well};
    use super::super::times::times;
    use super::*;

    #[test]
    fn requests_that_waited_for_a_connection_are_warned_about() {
        let mut result = well(100.0, 100);
        result.last_answer = Some(Duration::from_secs(4));
        result.longest_wait = Duration::from_millis(2500);
        let wait = result.longest_wait;
        let warnings = computed(result).warnings();
        assert_eq!(warnings, [LoadWarning::LateConnections { wait }]);
    }

    #[test]
    fn a_saturated_generator_is_warned_about_although_no_request_was_sent_late() {
        let warned = |busy, late: Vec<u64>| {
            let mut result = well(100.0, 100);
            assert_eq!(result.times.lag.percentile(100.0), Some(0.0));
            result.generator.busy = busy;
            result.generator.late = times(late);
            let warnings = result.warnings();
            matches!(warnings[..], [LoadWarning::Saturated { .. }])
        };
        assert!(warned(38, vec![1; 40]), "hardly a pause");
        assert!(!warned(4, vec![1; 40]), "a busy moment");
        assert!(warned(0, vec![5; 40]), "late");
        let once = [vec![1; 39], vec![100]].concat();
        assert!(!warned(0, once), "late once");
        assert!(!warned(3, vec![5; 3]), "too short to say");
    }

    #[test]
    fn a_thread_that_is_late_does_not_matter_beside_a_long_service_time() {
        let mut result = well(100.0, 100);
        result.generator.late = times([5; 40]);
        result.times.service = times([200; 100]);
        assert_eq!(result.warnings(), []);
    }
}
