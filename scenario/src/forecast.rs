//! What every request of a run will get and how long it will take, computed before the run.
//!
//! Pure: it asks the planner, and computes. What depends on the clock (time windows) or on headers
//! that are not known is computed as if it were the start, and without those headers;
//! [`Forecast::notes`] says so, and then there is no ideal time.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use flags_data::{CountryCode, Resource};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

use crate::ideal::{NoIdeal, Schedule, Slots, Step};
use crate::wording::{counted, listed};
use crate::{
    ClientHeaders, Content, Doubt, Ending, Known, Millis, OptionalMillis, Plan, Planner,
    RequestKey, Scenario, Window,
};

/// What to compute.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What the server does to its clients.
    pub scenario: &'a Scenario,
    /// The name of the scenario.
    pub name: &'a str,
    /// The flags, in the order in which they are requested.
    pub codes: &'a [CountryCode],
    /// How many attempts at each.
    pub attempts: NonZeroU32,
    /// The value of the header `flag-run`, or nothing.
    pub run: &'a str,
    /// The other headers of the client.
    pub client: &'a ClientHeaders,
    /// Whether the metadata of each flag is requested too, after its image.
    pub metadata: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Forecast {
    /// Distinguishes it from the other documents of this project.
    pub kind: ForecastKind,
    /// The version of the shape.
    pub schema_version: u32,
    /// The name of the scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// The value of the header `flag-run`, or nothing.
    pub run: String,
    /// What cannot be known, and what was assumed of it: a sentence each.
    pub notes: Vec<String>,
    /// The ideal times of the first attempts in this order, for growing numbers of workers.
    pub ideal: Vec<Ideal>,
    /// Why there is none; absent if there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_ideal: Option<String>,
    /// The requests, in the order in which they are made, all attempts at one path after another.
    pub entries: Vec<Entry>,
}

/// Says what a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForecastKind {
    /// A forecast.
    Plan,
}

/// One request, and what it will get.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Entry {
    /// The country.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub code: CountryCode,
    /// The canonical path.
    pub path: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Whether there is such a flag; if not, a response without an ending is a 404.
    pub exists: bool,
    /// From the request to the end of the response, for a client and a network that take no time;
    /// none if the response never ends. What a capacity takes is not part of it. In JSON:
    /// milliseconds.
    #[serde(rename = "time_ms", with = "OptionalMillis")]
    pub time: Option<Duration>,
    /// How long a server with a capacity works on the request; none without one. In JSON:
    /// milliseconds.
    #[serde(
        rename = "service_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub service: Option<Duration>,
    /// The bytes of the body that are sent.
    pub bytes: u64,
    /// What was decided.
    pub plan: Plan,
}

/// How long a perfect client takes that makes the requests in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Ideal {
    /// The requests under way at one time.
    pub workers: NonZeroUsize,
    /// From the first request to the end of the last response. In JSON: milliseconds.
    #[serde(rename = "makespan_ms", with = "Millis")]
    pub makespan: Duration,
    /// Less is not possible, in whatever order. In JSON: milliseconds.
    #[serde(rename = "bound_ms", with = "Millis")]
    pub bound: Duration,
}

/// What one GET will take, and what it will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// The delay, the paced time of the bytes that are sent, and the time of silence; `None` for
    /// silence without end.
    pub time: Option<Duration>,
    /// The status, if there is a head.
    pub status: Option<u16>,
    /// The bytes of the body that are sent.
    pub bytes: u64,
    /// Whether there is a response that is complete.
    pub is_whole: bool,
    /// Whether the bytes that are sent are those of the file.
    pub is_right: bool,
}

impl Outlook {
    /// The outlook of this plan for this request, where a response without an ending would be
    /// `content`.
    pub fn of(plan: &Plan, request: &RequestKey<'_>, content: Content) -> Self {
        let answer = plan.answer(request, content);
        let len = match &plan.ending {
            Some(ending) => ending.content(request, content).len,
            None => content.len,
        };
        let time = answer.hold().map(|hold| {
            plan.delay
                .saturating_add(plan.redirect_time(request))
                .saturating_add(plan.pace.due(len, answer.sent))
                .saturating_add(hold)
        });
        Self {
            time,
            status: answer.status,
            bytes: answer.sent,
            is_whole: answer.is_whole,
            is_right: answer.is_right,
        }
    }
}

impl Forecast {
    /// The version of its shape.
    pub const SCHEMA_VERSION: u32 = 1;

    /// The numbers of workers for which the ideal time is computed; those beyond the number of
    /// requests are left out.
    const WORKERS: [usize; 9] = [1, 2, 5, 10, 30, 100, 200, 500, 1000];

    /// Answers the question. The bodies are those of the embedded flags.
    pub fn new(question: &Question<'_>) -> Self {
        let planner = Planner::new(question.scenario);
        let has_capacity = question.scenario.capacity().is_some();
        let mut entries = Vec::new();
        let mut doubt = None;
        for &code in question.codes {
            let image = Some(Resource::image(code));
            let metadata = question.metadata.then(|| Resource::metadata(code));
            for resource in image.into_iter().chain(metadata) {
                let content = Content::of(&resource);
                for attempt in 1..=question.attempts.get() {
                    let request = RequestKey {
                        run: question.run,
                        method: "GET",
                        path: resource.path(),
                        attempt,
                    };
                    let prospect = planner.foresee(&request, question.client);
                    if let Some((cause, _)) = prospect.doubt.filter(|_| attempt == 1) {
                        doubt.get_or_insert(cause);
                    }
                    let plan = prospect.plan;
                    let Outlook { time, bytes, .. } = Outlook::of(&plan, &request, content);
                    entries.push(Entry {
                        service: has_capacity.then(|| planner.service_time(&request)),
                        code,
                        path: resource.to_string(),
                        attempt,
                        exists: content.is_file,
                        time,
                        bytes,
                        plan,
                    });
                }
            }
        }
        let ideal = ideal(question.scenario, &entries, doubt);
        Self {
            kind: ForecastKind::Plan,
            schema_version: Self::SCHEMA_VERSION,
            scenario: question.name.to_owned(),
            seed: question.scenario.seed(),
            run: question.run.to_owned(),
            notes: notes(question),
            no_ideal: ideal.as_ref().err().map(ToString::to_string),
            ideal: ideal.unwrap_or_default(),
            entries,
        }
    }

    /// The answer as one JSON document.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers can be written") + "\n"
    }
}

/// The ideal times of the first attempts. With a capacity, those numbers of workers that have none
/// are left out, unless it is all of them.
fn ideal(
    scenario: &Scenario,
    entries: &[Entry],
    doubt: Option<Doubt>,
) -> Result<Vec<Ideal>, NoIdeal> {
    if let Some(doubt) = doubt {
        return Err(doubt.into());
    }
    let firsts = || entries.iter().filter(|entry| entry.attempt == 1);
    let attempts = firsts().filter(|entry| entry.time.is_none()).count();
    if attempts > 0 {
        return Err(NoIdeal::Endless { attempts });
    }
    let schedule = Schedule {
        downloads: firsts().map(|entry| vec![entry.step()]).collect(),
        time_limit: Duration::MAX,
        capacity: scenario.capacity().map(Slots::from),
    };
    let Some(all) = NonZeroUsize::new(schedule.downloads.len()) else {
        return Ok(Vec::new());
    };
    let fewer = Forecast::WORKERS
        .into_iter()
        .filter_map(NonZeroUsize::new)
        .filter(|workers| *workers < all);
    let (mut known, mut unknown) = (Vec::new(), None);
    for workers in fewer.chain([all]) {
        let times = schedule.times(workers);
        match (times.ideal, times.bound) {
            (Ok(makespan), Some(bound)) => known.push(Ideal {
                workers,
                makespan,
                bound,
            }),
            (Err(reason), _) => unknown = Some(reason),
            (Ok(_), None) => {}
        }
    }
    match unknown {
        Some(reason) if known.is_empty() => Err(reason),
        _ => Ok(known),
    }
}

impl Entry {
    fn step(&self) -> Step {
        let hops = self.plan.ending.as_ref().map_or(0, Ending::hops);
        let time = self.time.unwrap_or(Duration::MAX);
        Step {
            requests: 1 + hops,
            service: self.service.unwrap_or_default(),
            delay: self.plan.delay,
            body: time.saturating_sub(self.plan.delay),
            pause: Duration::ZERO,
        }
    }
}

fn notes(question: &Question<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for rule in question.scenario.rules() {
        let (name, conditions) = (rule.name(), rule.conditions());
        let of_client = |known: Known<'_>| {
            let names = conditions.headers.iter().map(|(header, _)| header);
            let own = names.filter(|header| {
                !matches!(header.as_str(), "flag-run" | "flag-attempt")
                    && std::mem::discriminant(&question.client.value(header))
                        == std::mem::discriminant(&known)
            });
            let own: Vec<String> = own.cloned().collect();
            (!own.is_empty()).then(|| listed(own, "and"))
        };
        if let Some(headers) = of_client(Known::Absent) {
            notes.push(format!(
                "the rule {name} asks for the header {headers}, which the client does not send: here it never fires"
            ));
        } else if let Some(headers) = of_client(Known::Unknown) {
            notes.push(format!(
                "the rule {name} asks for the header {headers}, which only a request has: this is computed as if none had it"
            ));
        } else if conditions.window != Window::default() {
            let fires = if conditions.window.from.is_zero() {
                "as if it were open"
            } else {
                "as if it were not open yet"
            };
            notes.push(format!(
                "the rule {name} has a time window: this is computed {fires}"
            ));
        }
    }
    if let Some(capacity) = question.scenario.capacity() {
        notes.push(format!(
            "the server works on {} at a time: the ideal times count that, and the waiting for it; the times of the requests do not",
            counted(capacity.workers.get().into(), "request")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(toml: &str, codes: &[&str]) -> Forecast {
        let codes: Vec<CountryCode> = codes.iter().map(|code| code.parse().unwrap()).collect();
        Forecast::new(&Question {
            scenario: &Scenario::from_toml(toml).unwrap(),
            name: "test",
            codes: &codes,
            attempts: NonZeroU32::MIN,
            run: "",
            client: &ClientHeaders::none(),
            metadata: false,
        })
    }

    /// The time of one download of Brazil's flag under one rule of 100 ms delay and this one.
    fn time(rule: &str) -> Option<Duration> {
        let toml = format!(
            "rule = [{{ fault = \"latency\", distribution = {{ fixed = \"100ms\" }} }}, {{ {rule} }}]"
        );
        forecast(&toml, &["BR"]).entries[0].time
    }

    #[test]
    fn the_time_of_a_download_is_its_delay_and_the_pace_of_what_is_sent_and_silence() {
        let len = Content::of(&Resource::image("BR".parse().unwrap())).len;
        let after = |millis| Some(Duration::from_millis(millis));
        let paced = |bytes: u64| Some(Duration::from_millis(100) + Duration::from_millis(bytes));
        assert_eq!(time("fault = \"close\""), after(100));
        assert_eq!(time("fault = \"garbage\""), after(100));
        assert_eq!(time("fault = \"corrupt\""), after(100));
        assert_eq!(time("fault = \"redirect\", hops = 3"), after(100));
        assert_eq!(time("fault = \"stall\", hold = \"1s\""), after(1100));
        assert_eq!(time("fault = \"stall\""), None);
        assert_eq!(time("fault = \"bandwidth\", rate = \"1kB\""), paced(len));
        assert_eq!(
            time("fault = \"dribble\", chunks = 3, over = \"1s\""),
            after(1100)
        );
        assert_eq!(
            time("fault = \"dribble\", chunks = 1, over = \"1s\""),
            after(100)
        );
        let with_rate = |rule: &str| {
            time(&format!(
                "{rule} }}, {{ fault = \"bandwidth\", rate = \"1kB\""
            ))
        };
        assert_eq!(
            with_rate("fault = \"truncate\", after = \"50B\""),
            paced(50)
        );
        assert_eq!(with_rate("fault = \"reset\", after = \"50B\""), paced(50));
        assert_eq!(with_rate("fault = \"reset\""), after(100));
        assert_eq!(
            with_rate("fault = \"stall\", after = \"50B\", hold = \"1s\""),
            paced(1050)
        );
        assert_eq!(
            with_rate("fault = \"status\", status = 503, body = \"0123456789\""),
            paced(10)
        );
        assert_eq!(with_rate("fault = \"status\", status = 204"), after(100));
    }

    const TWENTY: [&str; 20] = [
        "AD", "AE", "AF", "AG", "AL", "AM", "AO", "AR", "AT", "AU", "AZ", "BA", "BB", "BD", "BE",
        "BF", "BG", "BH", "BI", "BJ",
    ];

    #[test]
    fn the_ideal_counts_the_capacity() {
        let toml = "capacity = { workers = 2, service_time = { fixed = '40ms' } }
            rule = [{ fault = 'latency', distribution = { fixed = '20ms' } }]";
        let forecast = forecast(toml, &TWENTY);
        let ideal = forecast.ideal.iter();
        let ideal: Vec<_> = ideal
            .map(|ideal| (ideal.workers.get(), ideal.makespan.as_millis()))
            .collect();
        assert_eq!(ideal, [(1, 1200), (2, 600), (5, 420), (10, 420), (20, 420)]);
        assert_eq!(forecast.no_ideal, None);
        assert_eq!(forecast.entries[0].service, Some(Duration::from_millis(40)));
    }

    #[test]
    fn what_is_not_known_has_no_ideal_and_one_reason() {
        let reason = |toml: &str| {
            let forecast = forecast(toml, &["BR", "JP"]);
            assert_eq!(forecast.ideal, []);
            forecast.no_ideal.unwrap()
        };
        assert_eq!(
            reason("rule = [{ fault = 'stall', match = { cc = 'JP' } }]"),
            "1 first attempt would last for ever"
        );
        assert_eq!(
            reason("rule = [{ fault = 'close', window = { from = '5s' } }]"),
            "the rule close-1 has a time window, so what it does depends on when a request comes"
        );
        assert_eq!(
            reason(
                "capacity = { workers = 1, service_time = { fixed = '1s' }, queue = 0 }
                rule = [{ fault = 'stall', match = { cc = 'JP' } }]"
            ),
            "1 first attempt would last for ever"
        );
        let elsewhere = forecast(
            "rule = [{ fault = 'close', window = { from = '5s' }, match = { cc = 'US' } }]",
            &["BR", "JP"],
        );
        assert_eq!((elsewhere.no_ideal, elsewhere.ideal.len()), (None, 2));
    }
}
