//! Any text is a scenario or a list of problems, each with a place in the text; a scenario can be
//! put into words, and plans any request the same way twice.
#![no_main]

use flag_scenario::{Planner, RequestKey, Scenario};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Scenario::from_toml(text) {
        Ok(scenario) => {
            assert!(!scenario.to_string().is_empty());
            let planner = Planner::new(&scenario);
            for path in ["/flags/br/br.gif", "/flags/zz/metadata.json", text] {
                for attempt in [1, 3, u32::MAX] {
                    let request = RequestKey { run: "", method: "GET", path, attempt };
                    assert_eq!(planner.plan(&request), planner.plan(&request));
                }
            }
        }
        Err(error) => {
            let lines = text.split('\n').count();
            assert!(!error.problems.is_empty());
            assert!(error.problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
            assert!(error.problems.iter().all(|problem| !problem.message.is_empty()));
        }
    }
});
