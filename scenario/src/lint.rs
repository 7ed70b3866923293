//! What is legal in a scenario and can never happen: mostly a slip.

use std::fmt;

use flags_data::Catalogue;

use crate::response_header::is_token;
use crate::wording::{listed, words};
use crate::{Conditions, Fault, Pattern, Plan, Probability, Rule, RuleName, Scenario};

/// Something that a rule asks for in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleName,
    /// Why it is in vain.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.reason)
    }
}

impl Scenario {
    /// What its rules ask for in vain, in their order.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, rule) in self.rules().iter().enumerate() {
            let reasons = (own_reasons(rule).into_iter())
                .chain(hidden_by(&self.rules()[..index], rule))
                .map(|reason| Finding {
                    rule: rule.name().clone(),
                    reason,
                });
            findings.extend(reasons);
        }
        findings
    }
}

fn own_reasons(rule: &Rule) -> Vec<String> {
    let mut reasons = Vec::new();
    let Conditions {
        codes,
        path,
        methods,
        headers,
        ..
    } = rule.conditions();
    if rule.probability().get() == 0.0 {
        reasons.push("never fires, because its probability is 0".to_owned());
    }
    let flags = Catalogue::embedded();
    let unknown = codes.iter().filter(|code| flags.get(**code).is_none());
    let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
    if !unknown.is_empty() {
        let codes = listed(unknown, "or");
        reasons.push(format!(
            "there is no embedded flag of {codes}: such a path is a 404, unless --flags has a file for it"
        ));
    }
    if let Some(reason) = path.as_ref().and_then(unknown_path) {
        reasons.push(format!("never fires, because {reason}"));
    }
    let impossible = methods.iter().filter(|method| !is_token(method));
    if let Some(method) = impossible.clone().next()
        && impossible.count() == methods.len()
    {
        reasons.push(format!(
            "never fires, because {method:?} cannot be a method: it has other characters than a token"
        ));
    }
    for (name, pattern) in headers {
        let visible = |text: &str| text.chars().all(|c| matches!(c, ' '..='~' | '\t'));
        if !is_token(name) {
            reasons.push(format!(
                "never fires, because {name:?} cannot be a header: it has other characters than a token"
            ));
        } else if !visible(&pattern.to_string()) {
            reasons.push(format!(
                "never fires, because the pattern for {name} has characters that no value has: only visible ASCII counts"
            ));
        }
    }
    if let Fault::Latency(distribution) = rule.fault()
        && let Some((least, max)) = distribution.always_cut()
    {
        reasons.push(format!(
            "every delay is {}, its max, because none is below {}",
            words(max),
            words(least)
        ));
    }
    reasons
}

/// Why no canonical path with a decision is like this pattern; none if one may be.
fn unknown_path(pattern: &Pattern) -> Option<String> {
    let text = pattern.to_string();
    if !pattern.matches_below("/flags/") {
        return Some(format!(
            "no path with faults is like {text}: they begin with /flags/"
        ));
    }
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        return Some(format!(
            "no path is like {text}: canonical paths are in lower case"
        ));
    }
    let never = ["//", "/./", "/../"]
        .into_iter()
        .find(|part| text.contains(part));
    never.map(|part| format!("no path is like {text}: canonical paths have no {part}"))
}

/// Why an earlier rule leaves nothing for this one.
fn hidden_by(earlier: &[Rule], rule: &Rule) -> Option<String> {
    let ends = |rule: &Rule| {
        let mut plan = Plan::default();
        plan.add(rule.fault(), || 0);
        plan.ending.is_some()
    };
    if !ends(rule) {
        return None;
    }
    let hides = |one: &&Rule| {
        let is_about_all = *one.conditions() == Conditions::default();
        let is_about_the_same = one.conditions() == rule.conditions();
        ends(one) && one.probability() == Probability::ALWAYS && (is_about_all || is_about_the_same)
    };
    let name = earlier.iter().find(hides)?.name();
    Some(format!(
        "never fires, because the rule {name} always ends the response before it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(rules: &str) -> Vec<String> {
        let scenario = Scenario::from_toml(&format!("rule = [{rules}]")).unwrap();
        scenario
            .findings()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn of_match(conditions: &str) -> Vec<String> {
        findings(&format!(
            "{{ name = 'r', fault = 'close', match = {{ {conditions} }} }}"
        ))
    }

    #[test]
    fn every_profile_is_free_of_them() {
        for profile in crate::profiles::PROFILES {
            assert_eq!(
                profile.scenario().unwrap().findings(),
                [],
                "{}",
                profile.name
            );
        }
    }

    #[test]
    fn a_path_that_no_resource_has_is_found() {
        for pattern in [
            "*",
            "/flags/*",
            "*.gif",
            "/flags/br/br.gif",
            "/f*/br/*",
            "/?????/br/br.gif",
            "*/br.gif",
            "/flags/?",
        ] {
            assert_eq!(
                of_match(&format!("path = '{pattern}'")).len(),
                0,
                "{pattern}"
            );
        }
        for pattern in [
            "",
            "br.gif",
            "/flag/*",
            "/data/flags/*",
            "/flags",
            "/flags/",
            "/healthz",
            "/flags/BR/*",
            "*.GIF",
            "/flags//br.gif",
            "/flags/../*",
            "????/br",
        ] {
            assert_eq!(
                of_match(&format!("path = '{pattern}'")).len(),
                1,
                "{pattern}"
            );
        }
    }

    #[test]
    fn methods_and_headers_that_cannot_be_are_found() {
        assert_eq!(of_match("method = ['GET', 'BREW']").len(), 0);
        assert_eq!(of_match("method = ['GET', 'G T']").len(), 0);
        assert_eq!(of_match("method = 'G T'").len(), 1);
        assert_eq!(of_match("header = { x-a = '*' }").len(), 0);
        assert_eq!(of_match("header = { 'x a' = '*' }").len(), 1);
        assert_eq!(of_match("header = { x-a = 'é*' }").len(), 1);
        assert_eq!(of_match("cc = ['BR', 'ZZ']").len(), 1);
    }

    #[test]
    fn a_max_below_every_delay_is_found() {
        let latency = |distribution: &str, max: &str| {
            findings(&format!(
                "{{ fault = 'latency', distribution = {{ {distribution} }}, max = '{max}' }}"
            ))
        };
        for (distribution, least) in [
            ("uniform = { lower = '20ms', upper = '30ms' }", "20ms"),
            ("pareto = { scale = '20ms', shape = 2 }", "20ms"),
            ("fixed = '20ms'", "20ms"),
        ] {
            let found = latency(distribution, "10ms");
            let expected =
                format!("latency-1: every delay is 10ms, its max, because none is below {least}");
            assert_eq!(found, [expected], "{distribution}");
            assert_eq!(latency(distribution, "25ms").len(), 0, "{distribution}");
        }
        assert_eq!(
            latency("normal = { mean = '20ms', sd = '1ms' }", "1ms").len(),
            0
        );
    }

    #[test]
    fn a_rule_behind_one_that_always_ends_the_response_is_found() {
        let always = "{ name = 'all', fault = 'status', status = 503 }";
        let late = "{ name = 'late', fault = 'latency', distribution = { fixed = '1ms' } }";
        let close = "{ name = 'close', fault = 'close', match = { cc = 'BR' } }";
        let sometimes = always.replace("503", "503, probability = 0.5");
        let brazil = always.replace("503", "503, match = { cc = 'BR' }");
        let twice = always.replace("503", "503, attempts = { first = 2 }");
        assert_eq!(
            findings(&format!("{always}, {late}, {close}")),
            ["close: never fires, because the rule all always ends the response before it"]
        );
        assert_eq!(findings(&format!("{brazil}, {close}")).len(), 1);
        for first in [&sometimes, &twice, late] {
            assert_eq!(findings(&format!("{first}, {close}")).len(), 0, "{first}");
        }
        assert_eq!(findings(&sometimes.replace("0.5", "0")).len(), 1);
    }
}
