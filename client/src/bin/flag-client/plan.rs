//! `flag-client plan`: what each request to an embedded server will meet.

use flag_client::download::sent_headers;
use flag_client::race::TargetError;
use flag_scenario::{ScenarioSource, ShortScenario, named_scenario};

use crate::args::PlanArgs;
use crate::terminal::say;

/// Prints it.
pub(crate) fn plan(args: &PlanArgs) -> anyhow::Result<u8> {
    let short = ShortScenario::of(args.delay, args.errors);
    let source = match (&args.scenario, short) {
        (Some(file), _) => ScenarioSource::File(file),
        (None, Some(short)) => ScenarioSource::Short(short),
        (None, None) => ScenarioSource::Profile(args.profile.as_deref().unwrap_or("bench")),
    };
    let (name, scenario) = named_scenario(&source).map_err(TargetError::from)?;
    let seed = args.seed.unwrap_or(scenario.seed());
    let codes = args.selection.codes();
    let (scenario, client) = (scenario.with_seed(seed), sent_headers(None, false));
    say(&args.forecast.text(&name, &scenario, &codes, &client));
    Ok(0)
}
