//! Decides what happens to a request. Pure: no HTTP, no clock, no chance but the seed.
//!
//! A [`Scenario`] is a seed and a list of [`Rule`]s, read from TOML by [`Scenario::from_toml`] or
//! built in code. A [`Planner`] turns it and a [`RequestKey`] into a [`Plan`]. A
//! [`Forecast`](forecast::Forecast) lists the plans of requests before they are made. The server
//! applies plans.

mod answer;
mod client_headers;
mod conditions;
mod distribution;
pub mod file;
pub mod forecast;
pub mod ideal;
mod lint;
mod millis;
mod plan;
mod planner;
pub mod profiles;
mod request;
mod response_header;
mod rule;
mod rule_builder;
mod scenario;
#[cfg(feature = "schema")]
mod schema;
mod short;
mod source;
mod status_text;
mod truncation;
pub mod wording;

pub use answer::{Answer, ConnectionFault, ConnectionFaultKind, Content, Hold, OwnResponse};
pub use client_headers::{ClientHeaders, Known};
pub use conditions::{Attempts, Conditions, Pattern, Window};
pub use distribution::{Distribution, InvalidDistribution};
pub use file::{Problem, ScenarioError, parse_duration, parse_size};
pub use lint::Finding;
pub use millis::{Millis, OptionalMillis};
pub use plan::{Ending, Pace, Plan};
pub use planner::{Doubt, Planner, Prospect};
pub use request::{Circumstances, Headers, MAX_RUN_LEN, RequestKey};
pub use response_header::{InvalidHeader, ResponseHeader};
pub use rule::{
    Cut, Dribble, Fault, InvalidRule, Probability, Rule, RuleName, StatusFault, StatusNumber,
};
pub use rule_builder::RuleBuilder;
pub use scenario::{Capacity, InvalidScenario, Scenario};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use short::{Delay, Errors, ShortScenario};
pub use source::{ScenarioSource, SourceError, named_scenario, scenario_and_text};
pub use status_text::{NOT_FOUND, status_text};
