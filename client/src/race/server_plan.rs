//! What a server does to its clients: a scenario with a seed, and what follows from it for one
//! request. It starts no server, and asks none.

use std::time::Duration;

use flag_cli::one_line;
use flag_scenario::forecast::Outlook;
use flag_scenario::{
    ClientHeaders, Content, Doubt, Plan, Planner, RequestKey, Scenario, ScenarioError,
    ScenarioSource, SourceError, scenario_and_text,
};
use flags_data::{CountryCode, Resource};

use crate::result::ScenarioRecord;

/// The scenario of a server, embedded or named.
#[derive(Debug, Clone)]
pub struct ServerPlan {
    /// The name of its profile, or of its scenario file.
    pub name: String,
    /// The text of its scenario; the seed it runs with may be another.
    pub toml: String,
    scenario: Scenario,
    planner: Planner,
}

/// What an attempt will meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// The plan.
    pub plan: Plan,
    /// What the client gets then, and when.
    pub outlook: Outlook,
    /// How long the server works on each of its requests; none without a capacity.
    pub service: Option<Duration>,
    /// Why it may meet something else, and what the client gets then.
    pub doubt: Option<(Doubt, Plan, Outlook)>,
}

impl ServerPlan {
    /// The scenario of this source, with this seed instead of its own.
    ///
    /// # Errors
    /// When there is no such scenario, or it has errors.
    pub fn load(source: &ScenarioSource<'_>, seed: Option<u64>) -> Result<Self, SourceError> {
        let (name, scenario, toml) = scenario_and_text(source)?;
        Ok(Self::new(one_line(&name), toml, scenario, seed))
    }

    /// The scenario that a result has.
    ///
    /// # Errors
    /// When it has errors for this version.
    pub fn recorded(record: &ScenarioRecord) -> Result<Self, ScenarioError> {
        let scenario = Scenario::from_toml(&record.toml)?;
        let (name, toml) = (record.name.clone(), record.toml.clone());
        Ok(Self::new(name, toml, scenario, Some(record.seed)))
    }

    fn new(name: String, toml: String, scenario: Scenario, seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or(scenario.seed());
        let scenario = scenario.with_seed(seed);
        Self {
            name,
            toml,
            planner: Planner::new(&scenario),
            scenario,
        }
    }

    /// The seed that it runs with.
    pub fn seed(&self) -> u64 {
        self.planner.seed()
    }

    /// The scenario, with the seed that it runs with.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What is written down of it.
    pub fn record(&self) -> ScenarioRecord {
        ScenarioRecord {
            name: self.name.clone(),
            seed: self.seed(),
            toml: self.toml.clone(),
        }
    }

    /// What this attempt (the first is 1) of a client at this image will meet.
    pub fn foresee(&self, code: CountryCode, attempt: u32, client: &ClientHeaders) -> Foreseen {
        let resource = Resource::image(code);
        let request = RequestKey {
            run: "",
            method: "GET",
            path: resource.path(),
            attempt,
        };
        let content = Content::of(&resource);
        let prospect = self.planner.foresee(&request, client);
        let outlook = |plan: &Plan| Outlook::of(plan, &request, content);
        Foreseen {
            outlook: outlook(&prospect.plan),
            service: (self.scenario.capacity()).map(|_| self.planner.service_time(&request)),
            doubt: prospect.doubt.map(|(doubt, other)| {
                let outlook = outlook(&other);
                (doubt, other, outlook)
            }),
            plan: prospect.plan,
        }
    }
}
