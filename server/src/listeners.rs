//! The listeners of a running server, for those who ask what came and change what comes: a test in
//! Rust, a signal, the control plane.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::changes::Changes;
use crate::fault::{FaultInjector, TooManyScenarios};
use crate::record::Record;
use crate::record_log::RecordLog;
use crate::scenario::Scenario;

/// No listener has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no listener is named {0:?}")]
pub struct NoSuchListener(pub String);

/// Where one listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The name of the listener.
    pub name: String,
    /// Its root, without a slash at the end: `http://127.0.0.1:8001`.
    pub url: String,
}

impl Endpoint {
    /// The base of its flags, as the book's programs want it: `http://127.0.0.1:8001/flags`.
    pub fn flags_url(&self) -> String {
        format!("{}/flags", self.url)
    }
}

/// All listeners, and what they share.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    endpoints: Vec<Endpoint>,
    /// In the same order.
    records: Vec<Arc<RecordLog>>,
    /// In the same order.
    injectors: Vec<Arc<FaultInjector>>,
    /// Of all records.
    changes: Arc<Changes>,
}

impl Listeners {
    /// All of these have the same order.
    pub(crate) fn new(
        endpoints: Vec<Endpoint>,
        records: Vec<Arc<RecordLog>>,
        injectors: Vec<Arc<FaultInjector>>,
        changes: Arc<Changes>,
    ) -> Self {
        Self {
            endpoints,
            records,
            injectors,
            changes,
        }
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    fn injector(&self, listener: &str) -> Result<&FaultInjector, NoSuchListener> {
        let mut all = self.endpoints.iter().zip(&self.injectors);
        let found = all.find(|(endpoint, _)| endpoint.name == listener);
        let (_, injector) = found.ok_or_else(|| NoSuchListener(listener.to_owned()))?;
        Ok(injector)
    }

    /// The scenario of a listener, and for how long, if that is limited.
    pub(crate) fn scenario(
        &self,
        listener: &str,
    ) -> Result<(Scenario, Option<Duration>), NoSuchListener> {
        Ok(self.injector(listener)?.scenario())
    }

    /// Changes it, for this time if it is limited; false if it is the same.
    pub(crate) fn set_scenario(
        &self,
        listener: &str,
        scenario: &Scenario,
        lasts: Option<Duration>,
    ) -> Result<bool, NoSuchListener> {
        Ok(self.injector(listener)?.replace(scenario, lasts))
    }

    /// The scenario of a run on a listener, and for how long.
    pub(crate) fn run_scenario(
        &self,
        listener: &str,
        run: &str,
    ) -> Result<Option<(Scenario, Option<Duration>)>, NoSuchListener> {
        Ok(self.injector(listener)?.scenario_of_run(run))
    }

    /// Gives a run a scenario on all listeners, or on none.
    pub(crate) fn set_run_scenario(
        &self,
        run: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<(), TooManyScenarios> {
        let mut injectors = self.injectors.iter();
        let set = injectors.try_for_each(|one| one.set_scenario_of_run(run, scenario, lasts));
        if set.is_err() {
            self.remove_run_scenario(run);
        }
        set
    }

    /// The same on one listener.
    #[cfg(feature = "control")]
    pub(crate) fn set_run_scenario_on(
        &self,
        listener: &str,
        run: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<Result<(), TooManyScenarios>, NoSuchListener> {
        let injector = self.injector(listener)?;
        Ok(injector.set_scenario_of_run(run, scenario, lasts))
    }

    /// Takes the scenario of a run away everywhere; false if it had none.
    pub(crate) fn remove_run_scenario(&self, run: &str) -> bool {
        let mut had_one = false;
        for injector in &self.injectors {
            had_one |= injector.remove_scenario_of_run(run);
        }
        had_one
    }

    /// Forgets the scenario, the attempts and the records of a run.
    pub(crate) fn forget_run(&self, run: &str) {
        for injector in &self.injectors {
            injector.forget(run);
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.records.iter().map(|log| log.received()).sum()
    }

    pub(crate) fn unrecorded(&self) -> u64 {
        self.records.iter().map(|log| log.unrecorded()).sum()
    }

    /// What each listener has counted, beside its name.
    #[cfg(feature = "control")]
    pub(crate) fn logs(&self) -> impl Iterator<Item = (&str, &RecordLog)> {
        let logs = self.endpoints.iter().zip(&self.records);
        logs.map(|(endpoint, log)| (endpoint.name.as_str(), &**log))
    }

    /// How many records there are of a run.
    pub(crate) fn count_of(&self, run: &str) -> usize {
        self.records.iter().map(|log| log.count_of(run)).sum()
    }

    /// Those of a run, each with the name of its listener.
    pub(crate) fn records_by_listener<'l>(
        &'l self,
        run: &'l str,
    ) -> impl Iterator<Item = (&'l str, Arc<Record>)> {
        let logs = self.endpoints.iter().zip(&self.records);
        logs.flat_map(move |(endpoint, log)| {
            let records = log.records(run).into_iter();
            records.map(move |record| (endpoint.name.as_str(), record))
        })
    }

    /// Those of all runs.
    pub(crate) fn all_records(&self) -> Vec<Record> {
        let logs = self.records.iter();
        logs.flat_map(|log| log.all_records()).collect()
    }

    /// Whether every request that came has its record.
    pub(crate) fn is_settled(&self) -> bool {
        self.records.iter().all(|log| log.is_settled())
    }

    /// Whether no response of this run is under way.
    #[cfg(feature = "control")]
    pub(crate) fn is_settled_for(&self, run: &str) -> bool {
        self.records.iter().all(|log| log.is_settled_for(run))
    }

    /// Waits until something holds that depends on the records of a run, or of any, at most for
    /// `timeout`, and returns whether it does.
    pub(crate) async fn wait_until(
        &self,
        run: Option<&str>,
        timeout: Duration,
        holds: impl FnMut() -> bool,
    ) -> bool {
        self.changes.wait_until(run, timeout, holds).await
    }
}
