//! The scenarios that come with the server: TOML files in the users' own format, embedded.

use flags_data::did_you_mean;

use crate::{Scenario, ScenarioError};

/// An embedded scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// What `--profile` calls it.
    pub name: &'static str,
    /// Its file, as a user would write it. The first line is a comment that says what it is for.
    pub toml: &'static str,
}

macro_rules! profile {
    ($name:literal) => {
        Profile {
            name: $name,
            toml: include_str!(concat!("profiles/", $name, ".toml")),
        }
    };
}

/// All of them, in the order in which they are listed.
pub const PROFILES: &[Profile] = &[
    profile!("local"),
    profile!("delay"),
    profile!("error"),
    profile!("delay-1e"),
    profile!("error-1e"),
    profile!("bench"),
    profile!("wan"),
    profile!("flaky"),
];

impl Profile {
    /// The profile of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// ` (did you mean X?)` for a name that is almost that of a profile; nothing for another.
    pub fn hint(name: &str) -> String {
        did_you_mean(name, PROFILES.iter().map(|profile| profile.name))
    }

    /// What the profile is for: the comment in its first line.
    pub fn summary(&self) -> &'static str {
        self.toml
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches(['#', ' '])
    }

    /// The profile as a scenario.
    ///
    /// # Errors
    /// Never for a profile of [`PROFILES`]: a test reads each of them.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        Scenario::from_toml(self.toml)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::mem::discriminant;

    use super::*;
    use crate::file::KINDS;
    use crate::{Ending, Planner, RequestKey};

    #[test]
    fn every_profile_is_a_valid_scenario_with_a_description() {
        for profile in PROFILES {
            profile
                .scenario()
                .unwrap_or_else(|error| panic!("{}: {error}", profile.name));
            assert!(profile.toml.starts_with("# "), "{}", profile.name);
            assert!(
                profile.summary().ends_with('.'),
                "{}: {}",
                profile.name,
                profile.summary()
            );
        }
    }

    #[test]
    fn flaky_has_every_fault_and_half_of_its_requests_succeed() {
        let scenario = Profile::find("flaky").unwrap().scenario().unwrap();
        for kind in KINDS {
            let has = scenario
                .rules()
                .iter()
                .any(|rule| rule.fault().kind() == kind);
            assert!(has, "{kind}");
        }
        let planner = Planner::new(&scenario);
        let ending = |cc: &str, attempt| {
            let path = format!("/flags/{cc}/{cc}.gif");
            let request = RequestKey {
                run: "",
                method: "GET",
                path: &path,
                attempt,
            };
            planner.plan(&request).ending
        };
        let goes_well =
            |ending: &Option<Ending>| matches!(ending, None | Some(Ending::Redirect { .. }));
        let well = (1..=1000).filter(|attempt| goes_well(&ending("br", *attempt)));
        let well = well.count();
        assert!((480..=620).contains(&well), "{well} of 1000");

        // The profile that most users see first shows every kind of fault.
        let endings: Vec<_> = flags_data::POP20
            .iter()
            .map(|code| ending(code.to_lowercase().as_ref(), 1))
            .collect();
        assert_eq!(
            endings.iter().filter(|ending| goes_well(ending)).count(),
            10
        );
        let kinds: HashSet<_> = endings.iter().flatten().map(discriminant).collect();
        assert_eq!(
            kinds.len(),
            KINDS.len() - 3,
            "all except those that only delay"
        );
    }
}
